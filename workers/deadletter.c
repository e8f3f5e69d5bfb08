#include "workers/deadletter.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS "attempts"

/* Token `index` behind an event's partition: 0 the tenant, 1 the domain. */
static void subject_token(natsMsg *msg, int index, char out[YZ_ID_MAX])
{
    const char *subject = yz_event_subject_rest(natsMsg_GetSubject(msg));

    for (; index > 0 && *subject; index--) {
        subject += strcspn(subject, ".");
        subject += *subject == '.';
    }
    snprintf(out, YZ_ID_MAX, "%.*s", (int)strcspn(subject, "."), subject);
    if (!yz_id_valid(out))
        snprintf(out, YZ_ID_MAX, "_");
}

static void attempts_id(const struct wk_delivery *delivery, char out[WK_ID_MAX])
{
    char tenant[YZ_ID_MAX], sequence[24];

    subject_token(delivery->msg, 0, tenant);
    snprintf(sequence, sizeof sequence, "%" PRIu64, delivery->sequence);
    wk_id(out, tenant, sequence, NULL);
}

struct counting {
    char (*ids)[WK_ID_MAX];
    int64_t *attempts;
    size_t count;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct counting *c = arg;
    bson_iter_t id, attempts;

    if (!bson_iter_init_find(&id, row, "_id") || !BSON_ITER_HOLDS_UTF8(&id) ||
        !bson_iter_init_find(&attempts, row, "attempts"))
        return true;
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->ids[i], bson_iter_utf8(&id, NULL)) == 0)
            c->attempts[i] = bson_iter_as_int64(&attempts);
    }
    return true;
}

static enum yz_err read_attempts(struct wk_store *store, struct counting *c)
{
    const char **ids = yz_calloc(c->count + 1, sizeof *ids);
    enum yz_err err;

    for (size_t i = 0; i < c->count; i++) {
        ids[i] = c->ids[i];
        c->attempts[i] = 0;
    }
    err = wk_store_get_many(store, ATTEMPTS, ids, c->count, on_row, c);
    free(ids);
    return err;
}

static bson_t *attempts_document(const char *id, int64_t attempts)
{
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "_id", id);
    bson_append_utf8(document, "tenant", -1, id, (int)strcspn(id, "|"));
    BSON_APPEND_INT64(document, "evt_seq", attempts);
    BSON_APPEND_INT64(document, "attempts", attempts);
    BSON_APPEND_DATE_TIME(document, "at", yz_clock_wall_ms());
    return document;
}

/* Raise the counts up to `below`. A guard that fails is another owner who counts the same attempt:
 * no harm. */
static enum yz_err raise_attempts(struct wk_store *store, struct counting *c, int64_t below)
{
    struct wk_write *writes = yz_calloc(c->count + 1, sizeof *writes);
    bson_t **documents = yz_calloc(c->count + 1, sizeof *documents);
    size_t used = 0;
    enum yz_err err = YZ_OK;

    for (size_t i = 0; i < c->count; i++) {
        if (c->attempts[i] >= below)
            continue;
        documents[used] = attempts_document(c->ids[i], c->attempts[i] + 1);
        writes[used] = (struct wk_write){.kind = WK_REPLACE,
                                         .id = c->ids[i],
                                         .document = documents[used],
                                         .loaded_sequence = (uint64_t)c->attempts[i]};
        used++;
    }
    if (used > 0)
        err = wk_store_write(store, ATTEMPTS, writes, used);
    for (size_t i = 0; i < used; i++)
        bson_destroy(documents[i]);
    free(documents);
    free(writes);
    return err;
}

enum yz_err wk_deadletter_attempts(struct wk_store *store, const struct wk_delivery *deliveries,
                                   size_t count, bool first, int64_t *attempts)
{
    struct counting c = {.attempts = attempts, .count = count};
    enum yz_err err;

    c.ids = yz_calloc(count + 1, WK_ID_MAX);
    for (size_t i = 0; i < count; i++)
        attempts_id(&deliveries[i], c.ids[i]);
    err = read_attempts(store, &c);
    if (!err && first)
        err = raise_attempts(store, &c, 1);
    free(c.ids);
    return err;
}

enum yz_err wk_deadletter_count(struct wk_store *store, const struct wk_delivery *delivery,
                                int64_t *attempts)
{
    char id[1][WK_ID_MAX];
    struct counting c = {id, attempts, 1};
    enum yz_err err;

    attempts_id(delivery, id[0]);
    if ((err = read_attempts(store, &c)) || (err = raise_attempts(store, &c, INT64_MAX)))
        return err;
    (*attempts)++;
    return YZ_OK;
}

enum yz_err wk_deadletter_acquit(struct wk_store *store, const struct wk_delivery *delivery,
                                 int64_t attempts)
{
    char id[WK_ID_MAX];
    struct wk_write write = {.kind = WK_REPLACE, .id = id, .loaded_sequence = (uint64_t)attempts};
    bson_t *document;
    enum yz_err err;

    if (attempts <= 1)
        return YZ_OK;
    attempts_id(delivery, id);
    document = attempts_document(id, attempts - 1);
    write.document = document;
    err = wk_store_write(store, ATTEMPTS, &write, 1);
    bson_destroy(document);
    return err;
}

/* What the letter says anew, or what its replay would be believed for and the event was not. */
static bool stays_behind(natsMsg *event, const char *key)
{
    if (strncmp(key, "Nats-", 5) == 0 || strncmp(key, "Yz-Dead-", 8) == 0)
        return true;
    return !yz_event_subject_is_own(natsMsg_GetSubject(event)) &&
           (strcmp(key, YZ_HEADER_CAUSE) == 0 || strncmp(key, "Yz-Origin-", 10) == 0);
}

static natsStatus copy_headers(natsMsg *from, natsMsg **to)
{
    const char **keys = NULL, *value = NULL;
    int count = 0;
    natsStatus s = NATS_OK;

    s = natsMsgHeader_Keys(from, &keys, &count);
    if (s != NATS_OK) /* there are none, or what there is has no form that could be read */
        return s == NATS_NO_MEMORY ? s : NATS_OK;
    for (int i = 0; s == NATS_OK && i < count; i++) {
        if (!stays_behind(from, keys[i]) && natsMsgHeader_Get(from, keys[i], &value) == NATS_OK)
            s = yz_bus_header_set(to, keys[i], value);
    }
    free((void *)keys);
    return s;
}

static natsStatus set_if(natsStatus s, natsMsg **msg, const char *key, const char *value)
{
    return s == NATS_OK && *value ? yz_bus_header_set(msg, key, value) : s;
}

/* Where and when it was accepted first; a replay that fails again keeps what it came with. */
static natsStatus set_origin(const struct wk_delivery *delivery, natsMsg **msg)
{
    char sequence[24], time[YZ_RFC3339_MAX];
    uint64_t origin;
    int64_t at_ms;

    if (wk_deadletter_origin(delivery->msg, &origin, &at_ms))
        return NATS_OK; /* copied with the other headers */
    snprintf(sequence, sizeof sequence, "%" PRIu64, delivery->sequence);
    yz_clock_format(delivery->stored_at_ms / 1000,
                    (int32_t)(delivery->stored_at_ms % 1000) * 1000000, time);
    natsStatus s =
        set_if(NATS_OK, msg, YZ_HEADER_ORIGIN_SUBJECT, natsMsg_GetSubject(delivery->msg));
    s = set_if(s, msg, YZ_HEADER_ORIGIN_SEQUENCE, sequence);
    return set_if(s, msg, YZ_HEADER_ORIGIN_TIME, time);
}

static natsStatus make(const struct wk_delivery *delivery, const struct yz_violation *reason,
                       int64_t attempts, natsMsg **msg)
{
    char subject[YZ_SUBJECT_MAX], tenant[YZ_ID_MAX], domain[YZ_ID_MAX], id[40], number[24];
    natsStatus s;

    subject_token(delivery->msg, 0, tenant);
    subject_token(delivery->msg, 1, domain);
    yz_deadletter_subject(tenant, domain, subject);
    snprintf(id, sizeof id, "d-%" PRIu64, delivery->sequence);
    snprintf(number, sizeof number, "%lld", (long long)attempts);
    s = natsMsg_Create(msg, subject, NULL, natsMsg_GetData(delivery->msg),
                       natsMsg_GetDataLength(delivery->msg));
    if (s == NATS_OK)
        s = copy_headers(delivery->msg, msg);
    if (s == NATS_OK)
        s = set_origin(delivery, msg);
    s = set_if(s, msg, "Nats-Msg-Id", id);
    s = set_if(s, msg, YZ_HEADER_DEAD_REASON, yz_err_code(reason->err));
    s = set_if(s, msg, YZ_HEADER_DEAD_TEXT, yz_violation_text(reason));
    s = set_if(s, msg, YZ_HEADER_DEAD_FIELD, reason->field);
    return set_if(s, msg, YZ_HEADER_DEAD_ATTEMPTS, number);
}

void wk_deadletter_message(const struct wk_delivery *delivery, const struct yz_violation *reason,
                           int64_t attempts, natsMsg **msg)
{
    int waited_ms = 0;
    natsStatus s;

    while (*msg = NULL, (s = make(delivery, reason, attempts, msg)) == NATS_NO_MEMORY &&
                            yz_memory_again(&waited_ms))
        natsMsg_Destroy(*msg);
    if (s != NATS_OK)
        abort();
}

bool wk_deadletter_origin(natsMsg *msg, uint64_t *sequence, int64_t *accepted_at_ms)
{
    const char *time = NULL;
    int64_t seconds;
    int32_t nanos;

    *sequence = yz_bus_header_u64(msg, YZ_HEADER_ORIGIN_SEQUENCE, 0);
    if (*sequence == 0 || !yz_event_subject_is_own(natsMsg_GetSubject(msg)) ||
        natsMsgHeader_Get(msg, YZ_HEADER_ORIGIN_TIME, &time) != NATS_OK ||
        !yz_clock_parse(time, strlen(time), &seconds, &nanos))
        return false;
    *accepted_at_ms = seconds * 1000 + nanos / 1000000;
    return true;
}
