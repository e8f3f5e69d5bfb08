#include "workers/settle.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "workers/push.h"
#include "workers/stream.h"

#include "common/table.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BATCH 1000
/* The streams of an event and of its pushes may have leaders whose clocks differ. */
#define LOOKUP_MARGIN_MS 30000
/* Beyond those of any event's pushes. */
#define ORDINAL_SET_ASIDE 1000000

/* The one outcome of an event id, as stored or as decided in this batch. */
struct wk_record {
    const char *id;
    struct wk_outcome stored;
    const struct wk_outcome *outcome; /* NULL: none yet */
    UT_hash_handle hh;
};

void wk_settle_forget(struct wk_batch *batch)
{
    struct wk_record *record, *next;

    HASH_ITER(hh, batch->records, record, next)
    {
        HASH_DEL(batch->records, record);
        free(record);
    }
}

void wk_settle_staged(struct wk_batch *batch, enum wk_stage stage)
{
    int64_t now_us = yz_clock_mono_us();

    yz_observe_us(&batch->means.metrics->stages[stage], now_us - batch->stage_mono_us);
    batch->stage_mono_us = now_us;
}

static bool takes_part(const struct wk_item *item)
{
    return !item->lost && item->readable;
}

static bool on_outcome(void *arg, const bson_t *row)
{
    struct wk_batch *batch = arg;
    struct wk_outcome outcome;
    struct wk_record *record;

    if (!wk_outcome_read(row, &outcome))
        return true;
    HASH_FIND_STR(batch->records, outcome.id, record);
    if (record) {
        record->stored = outcome;
        record->outcome = &record->stored;
    }
    return true;
}

/* A record for each id; what is stored is looked up with `ask`. */
static enum yz_err load_outcomes(struct wk_batch *batch, bool ask)
{
    const char **ids = yz_calloc(batch->count + 1, sizeof *ids);
    size_t count = 0;
    enum yz_err err = YZ_OK;

    wk_settle_forget(batch);
    for (size_t i = 0; i < batch->count; i++) {
        const char *id = batch->items[i].outcome.id;
        struct wk_record *record;

        if (!takes_part(&batch->items[i]))
            continue;
        HASH_FIND_STR(batch->records, id, record);
        if (record)
            continue;
        record = yz_calloc(1, sizeof *record);
        record->id = ids[count++] = id;
        HASH_ADD_KEYPTR(hh, batch->records, record->id, strlen(record->id), record);
    }
    if (count > 0 && ask)
        err = wk_store_get_many(batch->store, WK_OUTCOMES, ids, count, on_outcome, batch);
    free(ids);
    return err;
}

static void refuse_repeated(struct wk_batch *batch, struct wk_item *item)
{
    struct wk_record *record = NULL;

    if (item->readable)
        HASH_FIND_STR(batch->records, item->outcome.id, record);
    if (!record || wk_item_fate(item, record->outcome) != WK_FATE_REPLAY)
        yz_violate(&item->poison, YZ_UNPROCESSABLE, "",
                   "EVENTS was restored and gave its sequence out before: yzctl epoch raise, then "
                   "replay it.");
}

enum yz_err wk_settle_refuse_repeated(struct wk_batch *batch)
{
    const struct wk_watch *watch = batch->means.watch;
    uint64_t until = watch ? wk_watch_repeated_until(watch) : 0;
    enum yz_err err = until ? load_outcomes(batch, true) : YZ_OK;

    for (size_t i = 0; !err && i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];

        if (!item->lost && !item->poison.err && item->delivery.sequence <= until)
            refuse_repeated(batch, item);
    }
    return err;
}

static enum yz_err load(struct wk_batch *batch)
{
    enum yz_err err;

    for (size_t i = 0; i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];

        if (!takes_part(item) || item->poison.err)
            continue;
        wk_fold_holder(batch->fold, item->delivery.revision);
        wk_fold_need(batch->fold, item->handler, &item->event);
    }
    err = wk_fold_load(batch->fold, batch->store);
    return err ? err : load_outcomes(batch, batch->ask);
}

/* Of what the system did by itself, its operators hear, see count_item: the member who caused it
 * did not send it, and cannot send another one. */
static void tell_actor(struct wk_batch *batch, size_t index)
{
    struct wk_item *item = &batch->items[index];
    struct yz_violation v;

    if (item->by_row || wk_outcome_discreet(&item->env))
        return; /* nobody asked for it, or it is asked for */
    wk_fold_begin(batch->fold, &item->event, index);
    /* Its effects, or that it was refused, may have been pushed before it came to that. */
    if (item->outcome.status == WK_DEAD_LETTERED)
        wk_fold_count_from(batch->fold, ORDINAL_SET_ASIDE);
    wk_outcome_push(batch->fold, &item->event, &item->outcome);
    if (wk_fold_end(batch->fold, &v) != YZ_OK)
        abort(); /* a push alone takes no key */
}

static void refuse(struct wk_batch *batch, size_t index, enum wk_status status,
                   const struct yz_violation *reason)
{
    struct wk_item *item = &batch->items[index];

    item->outcome.status = status;
    item->outcome.reason = *reason;
    tell_actor(batch, index);
}

/* Have the effects. Not YZ_OK: the key is taken, there were none. */
static enum yz_err apply(struct wk_batch *batch, size_t index, bool *late, struct yz_violation *v)
{
    struct wk_item *item = &batch->items[index];

    wk_fold_begin(batch->fold, &item->event, index);
    item->handler->apply(&item->event, batch->fold);
    *late = wk_fold_is_late(batch->fold);
    return wk_fold_end(batch->fold, v);
}

static void set_late(const struct wk_batch *batch, struct wk_item *item)
{
    if (batch->ask)
        yz_violate(&item->poison, YZ_UNPROCESSABLE, "",
                   "It comes behind a younger one of its aggregate: replay it.");
}

static enum yz_err decide_new(struct wk_batch *batch, size_t index, bool *again)
{
    struct wk_item *item = &batch->items[index];
    struct yz_violation v = {0};
    bool late = false;
    enum yz_err err;

    if (item->poison.err) {
        refuse(batch, index, WK_DEAD_LETTERED, &item->poison);
        return YZ_OK;
    }
    wk_fold_begin(batch->fold, &item->event, index);
    err = item->handler->judge(&item->event, batch->fold, &v);
    if (err == YZ_INTERNAL)
        return err;
    if (!err)
        err = apply(batch, index, &late, &v);
    if (late) {
        set_late(batch, item);
        *again = true;
        return YZ_OK;
    }
    item->outcome.status = WK_APPLIED;
    if (err)
        refuse(batch, index, WK_REFUSED, &v);
    return YZ_OK;
}

static void replay(struct wk_batch *batch, size_t index, const struct wk_outcome *stored)
{
    struct wk_item *item = &batch->items[index];
    struct yz_violation v = {0};
    bool late;

    assert(stored);
    item->outcome = *stored;
    if (item->poison.err && stored->status != WK_DEAD_LETTERED) {
        /* Its effects end the worker: whatever was decided, it is set aside now. */
        item->fate = WK_FATE_AMENDED;
        item->guard = stored->decided_by;
        refuse(batch, index, WK_DEAD_LETTERED, &item->poison);
        return;
    }
    if (stored->status != WK_APPLIED) {
        tell_actor(batch, index);
        return;
    }
    if (apply(batch, index, &late, &v) == YZ_OK)
        return; /* late or not: its effects stand */
    item->fate = WK_FATE_AMENDED;
    item->guard = stored->decided_by;
    refuse(batch, index, WK_REFUSED, &v);
}

static enum yz_err decide(struct wk_batch *batch, size_t index, struct wk_record *record,
                          bool *again)
{
    struct wk_item *item = &batch->items[index];
    struct yz_violation v = {0};
    enum yz_err err = YZ_OK;

    assert(record); /* each item's was made before the fold */
    item->fate = wk_item_fate(item, record->outcome);
    item->redelivered = record->outcome != NULL || item->delivery.delivered > 1;
    switch (item->fate) {
    case WK_FATE_NEW:
    case WK_FATE_REDECIDED:
        item->guard = record->outcome ? record->outcome->decided_by : 0;
        err = decide_new(batch, index, again);
        break;
    case WK_FATE_REPLAY:
        replay(batch, index, record->outcome);
        break;
    case WK_FATE_CONFLICT:
        yz_violate(&v, YZ_ID_CONFLICT, NULL, NULL);
        refuse(batch, index, WK_REFUSED, &v);
        return YZ_OK;
    case WK_FATE_AMENDED:
    case WK_FATE_DUPLICATE:
        return YZ_OK;
    }
    record->outcome = &item->outcome;
    return err;
}

static bool must_wait(struct wk_batch *batch, const struct wk_item *item)
{
    return !item->poison.err && wk_fold_rests_on_others(batch->fold, item->handler, &item->event);
}

enum yz_err wk_settle_decide(struct wk_batch *batch, bool *again)
{
    enum yz_err err = load(batch);

    if (!err)
        wk_settle_staged(batch, WK_STAGE_LOAD);
    for (size_t i = 0; !err && !*again && i < batch->count; i++) {
        struct wk_record *record = NULL;

        if (!takes_part(&batch->items[i]))
            continue;
        if (must_wait(batch, &batch->items[i])) {
            batch->count = i;
            break;
        }
        HASH_FIND_STR(batch->records, batch->items[i].outcome.id, record);
        assert(record); /* load_outcomes made one for each id */
        err = decide(batch, i, record, again);
    }
    if (!err)
        wk_settle_staged(batch, WK_STAGE_DECIDE);
    return err;
}

static enum yz_err results(const struct wk_write *writes, size_t count, bool *again)
{
    enum yz_err err = YZ_OK;

    for (size_t i = 0; i < count; i++) {
        if (writes[i].result == WK_TAKEN)
            *again = true;
        else if (writes[i].result == WK_FAILED && (!err || err == YZ_BUSY))
            err = writes[i].err ? writes[i].err : YZ_INTERNAL;
    }
    return err;
}

/* In order: an id that another partition took in the meantime makes its event a conflict, and what
 * was decided behind it may have rested on it. A stored outcome is final, so those must not be. */
enum yz_err wk_settle_write(struct wk_batch *batch, bool *again)
{
    struct wk_write *writes = yz_calloc(batch->count + 1, sizeof *writes);
    bson_t **documents = yz_calloc(batch->count + 1, sizeof *documents);
    size_t count = 0;
    enum yz_err err = YZ_OK;

    for (size_t i = 0; i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];
        bool insert = item->fate == WK_FATE_NEW;

        if (!takes_part(item) ||
            (!insert && item->fate != WK_FATE_REDECIDED && item->fate != WK_FATE_AMENDED))
            continue;
        documents[count] = wk_outcome_document(&item->outcome, &item->env);
        writes[count] = (struct wk_write){.kind = insert ? WK_INSERT : WK_REPLACE,
                                          .id = item->outcome.id,
                                          .document = documents[count],
                                          .loaded_sequence = item->guard};
        count++;
    }
    if (count > 0)
        err = wk_store_write_in_order(batch->store, WK_OUTCOMES, writes, count);
    if (!err)
        err = results(writes, count, again);
    for (size_t i = 0; i < count; i++)
        bson_destroy(documents[i]);
    free(documents);
    free(writes);
    return err;
}

struct lookup {
    struct wk_letter *letters;
    size_t count;
    const char *subject;
    uint64_t last_sequence;
    struct wk_metrics *metrics;
};

static void on_stored(void *arg, natsMsg *msg)
{
    struct lookup *lookup = arg;
    const char *stored = NULL, *ours = NULL;

    lookup->last_sequence = yz_bus_header_u64(msg, "Nats-Sequence", 0);
    if (natsMsgHeader_Get(msg, "Nats-Msg-Id", &stored) != NATS_OK)
        return;
    for (size_t i = 0; i < lookup->count; i++) {
        struct wk_letter *letter = &lookup->letters[i];

        if (letter->state == WK_LETTER_WAITING &&
            strcmp(natsMsg_GetSubject(letter->msg), lookup->subject) == 0 &&
            natsMsgHeader_Get(letter->msg, "Nats-Msg-Id", &ours) == NATS_OK &&
            strcmp(ours, stored) == 0) {
            letter->state = WK_LETTER_DROPPED;
            yz_count(&lookup->metrics->pushes_found, 1);
        }
    }
}

/* All that the subject holds since `since_ms`. A replica that is behind answers with what it has,
 * and the push that it lacks would be sent a second time: the leader tells the subject's end. */
static enum yz_err look_up(struct wk_batch *batch, struct lookup *lookup, int64_t since_ms)
{
    const char *stream =
        strncmp(lookup->subject, "thr.", 4) == 0 ? YZ_STREAM_THREADS : YZ_STREAM_CHANNELS;
    natsConnection *nc = wk_publisher_connection(batch->means.pub);
    struct wk_stream_end end;
    char since[YZ_RFC3339_MAX];
    uint64_t pending = 0;
    enum yz_err err;

    yz_clock_format(since_ms / 1000, (int32_t)(since_ms % 1000) * 1000000, since);
    if (!nc)
        return YZ_BUS_UNAVAILABLE;
    if ((err = wk_stream_end(nc, stream, lookup->subject, &end)))
        return err;
    err = wk_stream_each(batch->means.conf, nc, stream,
                         json_pack("{s:s, s:s, s:i}", "next_by_subj", lookup->subject, "start_time",
                                   since, "batch", LOOKUP_BATCH),
                         on_stored, lookup, &pending);
    while (!err && pending > 0) {
        pending = 0;
        err =
            wk_stream_each(batch->means.conf, nc, stream,
                           json_pack("{s:s, s:I, s:i}", "next_by_subj", lookup->subject, "seq",
                                     (json_int_t)lookup->last_sequence + 1, "batch", LOOKUP_BATCH),
                           on_stored, lookup, &pending);
    }
    if (!err && lookup->last_sequence < end.sequence && end.stored_at_ms >= since_ms)
        err = YZ_BUS_UNAVAILABLE; /* asked again, of another replica or of this one later */
    return err;
}

/* Beyond the broker's memory of message ids a replay finds its pushes only in their channel. The
 * older of two ages counts: by our clock, and by the broker's as far as it is known to differ. An
 * event from the future says that ours was set back just now: then nothing is known of its age. */
static bool is_beyond_memory(const struct wk_batch *batch, const struct wk_item *item)
{
    int64_t trusted_ms = batch->means.conf->duplicate_window_ms / 2;
    int64_t age_ms = yz_clock_wall_ms() - item->delivery.stored_at_ms;
    int64_t ahead_ms =
        atomic_load_explicit(&batch->means.metrics->clock_ahead_us, memory_order_relaxed) / 1000;

    return item->redelivered &&
           (age_ms < 0 || age_ms > trusted_ms || age_ms - ahead_ms > trusted_ms);
}

static enum yz_err find_stored(struct wk_batch *batch, struct wk_letter *letters, size_t count)
{
    enum yz_err err = YZ_OK;

    for (size_t i = 0; !err && i < count; i++) {
        const struct wk_item *item = &batch->items[letters[i].tag];
        struct lookup lookup = {letters, count, natsMsg_GetSubject(letters[i].msg), 0,
                                batch->means.metrics};
        bool asked = false;

        if (!is_beyond_memory(batch, item))
            continue;
        /* Letters stand in the order of events: the first of a subject has its earliest time. */
        for (size_t before = 0; before < i && !asked; before++)
            asked = is_beyond_memory(batch, &batch->items[letters[before].tag]) &&
                    strcmp(natsMsg_GetSubject(letters[before].msg), lookup.subject) == 0;
        if (letters[i].state == WK_LETTER_WAITING && !asked)
            err = look_up(batch, &lookup, item->delivery.stored_at_ms - LOOKUP_MARGIN_MS);
    }
    return err;
}

static struct wk_letter *make_letters(struct wk_batch *batch, size_t *count)
{
    size_t push_count;
    const struct wk_fold_push *pushes = wk_fold_pushes(batch->fold, &push_count);
    struct wk_letter *letters = yz_calloc(push_count + 1, sizeof *letters);

    *count = 0;
    for (size_t i = 0; i < push_count; i++) {
        struct wk_letter *letter = &letters[*count];
        char reply[WK_REPLY_MAX];

        if (batch->items[pushes[i].event].lost)
            continue;
        wk_publisher_reply(batch->means.pub, *count, reply);
        wk_push_message(&pushes[i], reply, &letter->msg);
        letter->tag = pushes[i].event;
        (*count)++;
    }
    return letters;
}

/* A worker that slept may have lost its leases without knowing: ask before it pushes. When it is
 * the answer that is lost, what is let go here must not be overtaken by the events behind it: a new
 * consumer begins with it. */
static void verify_leases(struct wk_batch *batch)
{
    bool asked[YZ_PARTITIONS] = {false}, held[YZ_PARTITIONS] = {false};
    int64_t now = yz_clock_mono_ms(), trusted_ms = batch->means.conf->duplicate_window_ms / 2;

    batch->push_until_mono_ms = batch->taken_mono_ms + trusted_ms;
    if (now < batch->push_until_mono_ms)
        return;
    batch->push_until_mono_ms = now + trusted_ms;
    for (size_t i = 0; i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];
        unsigned p = item->delivery.partition;

        if (!asked[p]) {
            held[p] = wk_lease_verify(batch->means.lease, p, item->delivery.revision);
            if (!held[p])
                wk_lease_renew(batch->means.lease, p, item->delivery.revision);
        }
        asked[p] = true;
        item->lost = item->lost || !held[p];
    }
}

enum yz_err wk_settle_push(struct wk_batch *batch, wk_publisher_retry_fn *on_retry)
{
    struct wk_letter *letters;
    size_t count;
    enum yz_err err;

    verify_leases(batch);
    letters = make_letters(batch, &count);
    while ((err = find_stored(batch, letters, count)) && on_retry(batch, letters, count))
        nats_Sleep(200);
    wk_publisher_until(batch->means.pub, batch->push_until_mono_ms);
    if (!err)
        err = wk_publisher_send(batch->means.pub, letters, count, on_retry, batch);
    wk_publisher_until(batch->means.pub, 0);
    batch->push_until_mono_ms = 0;
    for (size_t i = 0; i < count; i++) {
        yz_count(&batch->means.metrics->pushes, letters[i].state == WK_LETTER_STORED);
        natsMsg_Destroy(letters[i].msg);
    }
    free(letters);
    return err;
}

static void count_by_row(struct wk_metrics *metrics, const struct wk_item *item)
{
    const struct yz_violation *reason = &item->outcome.reason;
    bool refused = item->outcome.status == WK_REFUSED && item->fate != WK_FATE_REPLAY &&
                   item->fate != WK_FATE_DUPLICATE;

    yz_count(&metrics->system_refused, refused);
    if (refused)
        yz_error_spaced("system_event_refused", "id=%s type=%s code=%s field=%s",
                        item->env.event_id, item->env.type, yz_err_code(reason->err),
                        reason->field);
}

static void count_item(struct wk_metrics *metrics, const struct wk_item *item)
{
    if (item->by_row)
        count_by_row(metrics, item);
    switch (item->fate) {
    case WK_FATE_REPLAY:
    case WK_FATE_AMENDED:
        yz_count(&metrics->events_replayed, 1);
        break;
    case WK_FATE_DUPLICATE:
        yz_count(&metrics->events_duplicate, 1);
        break;
    case WK_FATE_CONFLICT:
        yz_count(&metrics->events_conflicting, 1);
        break;
    case WK_FATE_NEW:
    case WK_FATE_REDECIDED:
        yz_count(&metrics->events_applied, item->outcome.status == WK_APPLIED);
        yz_count(&metrics->events_refused, item->outcome.status == WK_REFUSED);
        break;
    }
}

static struct wk_ack *new_ack(const struct wk_item *item)
{
    const char *reply = natsMsg_GetReply(item->delivery.msg);
    size_t size = strlen(reply) + 1;
    struct wk_ack *ack = yz_calloc(1, sizeof *ack + size);

    ack->partition = item->delivery.partition;
    ack->revision = item->delivery.revision;
    memcpy(ack->reply, reply, size);
    return ack;
}

void wk_settle_ack(struct wk_batch *batch)
{
    size_t value_count, v = 0;
    const struct wk_fold_push *values = wk_fold_values(batch->fold, &value_count);

    /* Values stand in the order of their events. */
    for (size_t i = 0; i < batch->count; i++) {
        const struct wk_item *item = &batch->items[i];
        struct wk_ack *ack = NULL;

        for (; v < value_count && values[v].event == i; v++) {
            if (item->lost)
                continue;
            ack = ack ? ack : new_ack(item);
            wk_values_add(batch->means.values, &values[v], ack);
        }
        if (item->lost) {
            yz_count(&batch->means.metrics->events_dropped, 1);
            continue;
        }
        count_item(batch->means.metrics, item);
        if (!ack)
            wk_batch_ack(&batch->means, natsMsg_GetReply(item->delivery.msg));
    }
    wk_values_made(batch->means.values);
}
