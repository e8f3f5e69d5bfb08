#include "workers/outbox.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/memory.h"
#include "workers/document.h"
#include "workers/outcome.h"
#include "workers/publisher.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTBOX   "outbox"
#define ROWS_MAX 1000
#define SCAN_MS  500

struct wk_outbox {
    const struct yz_conf *conf;
    struct wk_pool *pool;
    struct wk_lease *lease;
    struct wk_metrics *metrics;
    const struct wk_watch *watch;
    struct wk_publisher *pub;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool stopping, woken;
    int64_t due_ms;      /* of the rows that it was woken for; 0: of none */
    struct batch *batch; /* of the scan under way */
};

static bson_t *row_document(const struct wk_fold_row *row, const char *id)
{
    const struct yz_actor *actor = &row->cause->actor;
    bool told = !wk_outcome_discreet(row->cause);
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "_id", id);
    BSON_APPEND_UTF8(document, "tenant", actor->tenant);
    BSON_APPEND_INT64(document, "evt_seq", (int64_t)row->sequence);
    BSON_APPEND_UTF8(document, "state", "due");
    BSON_APPEND_INT32(document, "partition",
                      (int32_t)yz_partition(actor->tenant, row->cause->aggregate));
    BSON_APPEND_DATE_TIME(document, "due_at", row->due_at_ms);
    BSON_APPEND_UTF8(document, "type", row->type);
    BSON_APPEND_UTF8(document, "aggregate", row->aggregate);
    bson_append_binary(document, "payload", -1, BSON_SUBTYPE_BINARY, row->payload,
                       (uint32_t)row->payload_len);
    BSON_APPEND_INT64(document, "cause", (int64_t)row->sequence);
    BSON_APPEND_INT32(document, "ordinal", row->ordinal);
    BSON_APPEND_UTF8(document, "member", told ? actor->member : "");
    BSON_APPEND_UTF8(document, "org_path", told ? actor->org_path : "");
    BSON_APPEND_UTF8(document, "roles", told ? actor->roles : "");
    return document;
}

static void row_id(const struct wk_fold_row *row, char out[WK_ID_MAX])
{
    char part[48];

    snprintf(part, sizeof part, "%" PRIu64 "-%d", row->sequence, row->ordinal);
    wk_id(out, row->cause->actor.tenant, part, NULL);
}

enum yz_err wk_outbox_write(const struct wk_fold *fold, struct wk_store *store, wk_alive_fn *alive,
                            void *arg, int64_t *due_ms)
{
    size_t count, used = 0;
    const struct wk_fold_row *rows = wk_fold_rows(fold, &count);
    struct wk_write *writes = yz_calloc(count + 1, sizeof *writes);
    char(*ids)[WK_ID_MAX] = yz_calloc(count + 1, WK_ID_MAX);
    bson_t **documents = yz_calloc(count + 1, sizeof *documents);
    enum yz_err err = YZ_OK;

    *due_ms = 0;
    for (size_t i = 0; i < count; i++) {
        if (!alive(arg, rows[i].event))
            continue;
        row_id(&rows[i], ids[used]);
        documents[used] = row_document(&rows[i], ids[used]);
        writes[used] =
            (struct wk_write){.kind = WK_INSERT, .id = ids[used], .document = documents[used]};
        if (rows[i].due_at_ms <= rows[i].time_ms && rows[i].due_at_ms > *due_ms)
            *due_ms = rows[i].due_at_ms;
        used++;
    }
    if (used > 0)
        err = wk_store_write(store, OUTBOX, writes, used);
    for (size_t i = 0; i < used; i++) {
        if (!err && writes[i].result == WK_FAILED)
            err = writes[i].err ? writes[i].err : YZ_INTERNAL;
        bson_destroy(documents[i]);
    }
    free(documents);
    free(ids);
    free(writes);
    return err;
}

struct batch {
    natsMsg *msgs[ROWS_MAX]; /* NULL: put off */
    char ids[ROWS_MAX][WK_ID_MAX];
    char keys[ROWS_MAX][YZ_ID_MAX + YZ_AGGREGATE_MAX]; /* tenant and aggregate */
    size_t count;
    const char *stored[ROWS_MAX]; /* of ids */
    size_t stored_count;
    size_t put_off;
    char bad[WK_ID_MAX]; /* a row that no version of ours wrote; one is enough at a time */
};

enum yz_err wk_outbox_message(const bson_t *row, natsMsg **msg)
{
    const struct yz_domain_schema *domain = NULL;
    struct yz_envelope env = {.own = true};
    uint32_t len;
    const uint8_t *payload = wk_document_bytes(row, "payload", &len);
    char cause[24];

    *msg = NULL;
    if (!yz_event_type_find(wk_document_text(row, "type"), &domain) || !payload)
        return YZ_UNKNOWN_TYPE;
    snprintf(env.actor.tenant, sizeof env.actor.tenant, "%s", wk_document_text(row, "tenant"));
    snprintf(env.actor.member, sizeof env.actor.member, "%s", wk_document_text(row, "member"));
    snprintf(env.actor.org_path, sizeof env.actor.org_path, "%s",
             wk_document_text(row, "org_path"));
    snprintf(env.actor.roles, sizeof env.actor.roles, "%s", wk_document_text(row, "roles"));
    snprintf(env.type, sizeof env.type, "%s", wk_document_text(row, "type"));
    snprintf(env.aggregate, sizeof env.aggregate, "%s", wk_document_text(row, "aggregate"));
    snprintf(env.event_id, sizeof env.event_id, "$t-%lld-%lld",
             (long long)wk_document_number(row, "cause"),
             (long long)wk_document_number(row, "ordinal"));
    snprintf(cause, sizeof cause, "%lld", (long long)wk_document_number(row, "cause"));
    if (yz_envelope_write(&env, domain->name, payload, len, msg) != YZ_OK)
        return YZ_INTERNAL;
    if (yz_bus_header_set(msg, YZ_HEADER_CAUSE, cause) == NATS_OK)
        return YZ_OK;
    natsMsg_Destroy(*msg);
    *msg = NULL;
    return YZ_INTERNAL;
}

/* One that cannot be made into a message just now stays as it is, and is met again; until then it
 * holds back those behind it of its aggregate. */
static bool on_due_row(void *arg, const bson_t *row)
{
    struct batch *batch = arg;
    size_t i = batch->count;
    enum yz_err err = wk_outbox_message(row, &batch->msgs[i]);

    if (err == YZ_UNKNOWN_TYPE) {
        snprintf(batch->bad, sizeof batch->bad, "%s", wk_document_text(row, "_id"));
        return true;
    }
    batch->put_off += err != YZ_OK;
    snprintf(batch->ids[i], sizeof batch->ids[i], "%s", wk_document_text(row, "_id"));
    snprintf(batch->keys[i], sizeof batch->keys[i], "%s|%s", wk_document_text(row, "tenant"),
             wk_document_text(row, "aggregate"));
    return ++batch->count < ROWS_MAX;
}

bool wk_outbox_ask(const bool held[YZ_PARTITIONS], int64_t now_ms, bson_t *filter, bson_t *opts)
{
    bson_t partition, in, due;
    uint32_t count = 0;

    BSON_APPEND_UTF8(filter, "state", "due");
    BSON_APPEND_DOCUMENT_BEGIN(filter, "partition", &partition);
    BSON_APPEND_ARRAY_BEGIN(&partition, "$in", &in);
    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        char buf[16];
        const char *key;

        if (!held[p])
            continue;
        bson_uint32_to_string(count++, &key, buf, sizeof buf);
        bson_append_int32(&in, key, -1, (int32_t)p);
    }
    bson_append_array_end(&partition, &in);
    bson_append_document_end(filter, &partition);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "due_at", &due);
    BSON_APPEND_DATE_TIME(&due, "$lte", now_ms);
    bson_append_document_end(filter, &due);
    BCON_APPEND(opts, "sort", "{", "due_at", BCON_INT32(1), "cause", BCON_INT32(1), "ordinal",
                BCON_INT32(1), "}", "limit", BCON_INT64(ROWS_MAX), "batchSize",
                BCON_INT32(ROWS_MAX + 1));
    return count > 0;
}

/* Rows of the partitions that are ours now: others' owners scan theirs. */
static bool ask_for_ours(struct wk_outbox *outbox, bson_t *filter, bson_t *opts)
{
    bool held[YZ_PARTITIONS], suspended = wk_lease_suspended(outbox->lease);
    int64_t now_ms = wk_watch_bus_ms(outbox->watch), due_ms;

    pthread_mutex_lock(&outbox->mutex);
    due_ms = outbox->due_ms;
    outbox->due_ms = 0;
    pthread_mutex_unlock(&outbox->mutex);
    now_ms = now_ms > 0 && due_ms > now_ms ? due_ms : now_ms;
    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct wk_lease_view view;

        wk_lease_look(outbox->lease, p, &view);
        held[p] = view.revision != 0 && !suspended && now_ms > 0;
    }
    return wk_outbox_ask(held, now_ms, filter, opts);
}

static enum yz_err mark(struct wk_store *store, const char *const *ids, size_t count,
                        const char *state)
{
    bson_t *update = BCON_NEW("$set", "{", "state", BCON_UTF8(state), "done_at",
                              BCON_DATE_TIME(yz_clock_wall_ms()), "}");
    enum yz_err err = wk_store_update_many(store, OUTBOX, ids, count, update);

    bson_destroy(update);
    return err;
}

/* It stays until its TTL with a state of its own, for a person to look at. */
static bool set_aside(struct wk_store *store, const char *id)
{
    if (!*id || mark(store, &id, 1, "unreadable") != YZ_OK)
        return false;
    yz_error("outbox_row_unreadable", "id=%s", id);
    return true;
}

static bool is_stopping(struct wk_outbox *outbox)
{
    bool stopping;

    pthread_mutex_lock(&outbox->mutex);
    stopping = outbox->stopping;
    pthread_mutex_unlock(&outbox->mutex);
    return stopping;
}

static bool on_retry(void *arg, struct wk_letter *letters, size_t count)
{
    (void)letters;
    (void)count;
    return !is_stopping(arg);
}

/* A row is done once its event is stored; a full EVENTS leaves it due, and those behind it of its
 * aggregate with it: events of one aggregate are stored in the order of their rows, whoever sends
 * them. For each list is read in that order, and whoever sends a row has seen all of its list
 * before it stored. */
static void publish(struct wk_outbox *outbox, struct batch *batch)
{
    struct wk_letter *letters = yz_calloc(batch->count + 1, sizeof *letters);

    for (size_t i = 0; i < batch->count; i++) {
        letters[i].msg = batch->msgs[i];
        letters[i].key = batch->keys[i];
        letters[i].state = batch->msgs[i] ? WK_LETTER_WAITING : WK_LETTER_REFUSED;
        letters[i].may_refuse = true;
        letters[i].tag = i;
    }
    if (wk_publisher_send(outbox->pub, letters, batch->count, on_retry, outbox) != YZ_OK)
        yz_info("outbox_given_up", "rows=%zu", batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        if (letters[i].state == WK_LETTER_STORED)
            batch->stored[batch->stored_count++] = batch->ids[i];
    }
    yz_count(&outbox->metrics->outbox_published, batch->stored_count);
    free(letters);
}

/* true: there may be more rows that are due. */
static bool scan_for(struct wk_outbox *outbox, struct wk_store *store, const bson_t *filter,
                     const bson_t *opts)
{
    struct batch *batch = outbox->batch;
    bool more = false;

    batch->count = batch->stored_count = batch->put_off = 0;
    batch->bad[0] = '\0';
    if (wk_store_find(store, OUTBOX, filter, opts, on_due_row, batch) == YZ_OK) {
        if (batch->count > 0)
            yz_fault_point("rows_found");
        publish(outbox, batch);
        if (batch->count > 0)
            yz_fault_point("rows_published");
        /* What cannot be marked is published again, as the same event. */
        more = batch->stored_count > 0 &&
               mark(store, batch->stored, batch->stored_count, "done") == YZ_OK &&
               batch->stored_count == ROWS_MAX;
        more = set_aside(store, batch->bad) || more;
        if (batch->put_off > 0)
            yz_warn("outbox_rows_put_off", "rows=%zu", batch->put_off);
    }
    for (size_t i = 0; i < batch->count; i++)
        natsMsg_Destroy(batch->msgs[i]);
    return more;
}

static bool scan(struct wk_outbox *outbox)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool more = false;

    if (ask_for_ours(outbox, &filter, &opts)) {
        struct wk_store *store = wk_store_pop(outbox->pool);

        more = scan_for(outbox, store, &filter, &opts);
        wk_store_push(outbox->pool, store);
    }
    bson_destroy(&opts);
    bson_destroy(&filter);
    return more;
}

static void wait_for_next_scan(struct wk_outbox *outbox)
{
    int64_t until_mono_ms = yz_clock_mono_ms() + SCAN_MS;

    pthread_mutex_lock(&outbox->mutex);
    if (!outbox->stopping && !outbox->woken)
        yz_clock_wait(&outbox->cond, &outbox->mutex, until_mono_ms);
    outbox->woken = false;
    pthread_mutex_unlock(&outbox->mutex);
}

static void *run(void *arg)
{
    struct wk_outbox *outbox = arg;

    while (!is_stopping(outbox)) {
        if (!scan(outbox))
            wait_for_next_scan(outbox);
    }
    return NULL;
}

enum yz_err wk_outbox_start(const struct yz_conf *conf, struct wk_pool *pool,
                            struct wk_lease *lease, struct wk_metrics *metrics,
                            const struct wk_watch *watch, struct wk_outbox **outbox)
{
    struct wk_outbox *o = yz_calloc(1, sizeof *o);

    if (!o || wk_publisher_new(conf, "yz-worker outbox", metrics, &o->pub) != YZ_OK) {
        free(o);
        return YZ_INTERNAL;
    }
    o->batch = yz_calloc(1, sizeof *o->batch);
    o->conf = conf;
    o->pool = pool;
    o->lease = lease;
    o->metrics = metrics;
    o->watch = watch;
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->cond, NULL);
    if (pthread_create(&o->thread, NULL, run, o) != 0)
        abort();
    *outbox = o;
    return YZ_OK;
}

void wk_outbox_wake(struct wk_outbox *outbox, int64_t due_ms)
{
    if (!outbox)
        return;
    pthread_mutex_lock(&outbox->mutex);
    outbox->woken = true;
    outbox->due_ms = due_ms > outbox->due_ms ? due_ms : outbox->due_ms;
    pthread_cond_signal(&outbox->cond);
    pthread_mutex_unlock(&outbox->mutex);
}

void wk_outbox_stop(struct wk_outbox *outbox)
{
    if (!outbox)
        return;
    pthread_mutex_lock(&outbox->mutex);
    outbox->stopping = true;
    pthread_cond_signal(&outbox->cond);
    pthread_mutex_unlock(&outbox->mutex);
    pthread_join(outbox->thread, NULL);
    wk_publisher_free(outbox->pub);
    pthread_cond_destroy(&outbox->cond);
    pthread_mutex_destroy(&outbox->mutex);
    free(outbox->batch);
    free(outbox);
}
