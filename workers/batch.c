#include "workers/batch.h"

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/memory.h"
#include "workers/deadletter.h"
#include "workers/item.h"
#include "workers/outbox.h"
#include "workers/settle.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_MAX   (WK_BATCH_BYTES * 2 * YZ_ARENA_FACTOR)
#define HOLD_MIN_MS 50
#define HOLD_MAX_MS 1000
#define TURN_MS     200
#define FLUSH_MS    1000

/* Whoever processes an event alone has it: were two at it, the one that ends the process would have
 * the other one counted as well, the same one each time, until both were set aside. */
static pthread_mutex_t alone_turn = PTHREAD_MUTEX_INITIALIZER;

struct wk_batch *wk_batch_new(const struct wk_batch_means *means)
{
    struct wk_batch *batch = yz_calloc(1, sizeof *batch);

    batch->items = yz_calloc((size_t)means->conf->batch_max, sizeof *batch->items);
    batch->means = *means;
    batch->fold = wk_fold_new(means->context);
    batch->store = wk_store_pop(means->pool);
    yz_arena_init(&batch->arena, ARENA_MAX);
    return batch;
}

void wk_batch_free(struct wk_batch *batch)
{
    if (!batch)
        return;
    wk_store_push(batch->means.pool, batch->store);
    wk_fold_free(batch->fold);
    yz_arena_deinit(&batch->arena);
    wk_settle_forget(batch);
    free(batch->items);
    free(batch);
}

void wk_batch_ack(const struct wk_batch_means *means, const char *reply)
{
    /* One that gets lost is an event that comes again and is found settled. */
    if (natsConnection_PublishString(means->nc, reply, "+ACK") == NATS_OK)
        yz_count(&means->metrics->events_settled, 1);
}

/* Tell the broker that all of the batch is being worked on, a few times in each ack_wait. */
static void say_in_progress(struct wk_batch *batch)
{
    int64_t now = yz_clock_mono_ms();

    if (now - batch->progress_mono_ms < batch->means.conf->ack_wait_ms / 4)
        return;
    batch->progress_mono_ms = now;
    for (size_t i = 0; i < batch->delivery_count; i++)
        natsConnection_PublishString(batch->means.nc, natsMsg_GetReply(batch->deliveries[i].msg),
                                     "+WPI");
}

/* Items whose lease is gone are let go. Returns how many are left. */
static size_t drop_lost(struct wk_batch *batch)
{
    size_t left = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];

        if (!item->lost &&
            !wk_lease_holds(batch->means.lease, item->delivery.partition, item->delivery.revision))
            item->lost = true;
        left += !item->lost;
    }
    return left;
}

/* It waits for the database or the bus; until the end of its run. */
static void note_held(struct wk_batch *batch)
{
    if (!batch->held)
        atomic_fetch_add(&batch->means.metrics->batches_waiting, 1);
    batch->held = true;
}

static void note_done(struct wk_batch *batch)
{
    if (batch->held)
        atomic_fetch_sub(&batch->means.metrics->batches_waiting, 1);
    batch->held = false;
}

/* What is let go then is not done, and nothing behind it may be begun: of one aggregate it would
 * take effect first. */
static bool is_stopping(const struct wk_batch *batch)
{
    return atomic_load(batch->means.stopping);
}

/* Before another try of what failed for now. false: nothing is left to do it for. */
static bool hold(struct wk_batch *batch, int *tries)
{
    int64_t wait_ms = (int64_t)HOLD_MIN_MS << (*tries < 5 ? *tries : 5);

    (*tries)++;
    yz_count(&batch->means.metrics->batches_held, 1);
    note_held(batch);
    if (is_stopping(batch) || drop_lost(batch) == 0)
        return false;
    say_in_progress(batch);
    nats_Sleep(wait_ms < HOLD_MAX_MS ? wait_ms : HOLD_MAX_MS);
    return true;
}

/* Too much time has passed for sending them again, see wk_settle_push: they come again. Nothing
 * behind them may be settled first: a new consumer begins with them. */
static void let_go_late(struct wk_batch *batch, const struct wk_letter *letters, size_t count)
{
    if (batch->push_until_mono_ms == 0 || yz_clock_mono_ms() < batch->push_until_mono_ms)
        return;
    for (size_t i = 0; i < count; i++) {
        struct wk_item *item = &batch->items[letters[i].tag];

        if (item->lost || letters[i].state == WK_LETTER_STORED ||
            letters[i].state == WK_LETTER_DROPPED)
            continue;
        wk_lease_renew(batch->means.lease, item->delivery.partition, item->delivery.revision);
        item->lost = true;
    }
}

static bool on_retry(void *arg, struct wk_letter *letters, size_t count)
{
    struct wk_batch *batch = arg;

    drop_lost(batch);
    let_go_late(batch, letters, count);
    say_in_progress(batch);
    for (size_t i = 0; i < count; i++) {
        bool final = letters[i].state == WK_LETTER_STORED || letters[i].state == WK_LETTER_REFUSED;

        if (batch->items[letters[i].tag].lost && !final)
            letters[i].state = WK_LETTER_DROPPED;
    }
    return !is_stopping(batch) || batch->tries_when_stopping++ < 3;
}

static void set_aside(struct wk_batch *batch, struct wk_item *item, const struct wk_letter *letter)
{
    char nak[64];

    if (letter->state == WK_LETTER_STORED) {
        item->set_aside = true;
        yz_count(&batch->means.metrics->events_dead_lettered, 1);
        yz_error("dead_letter", "sequence=%" PRIu64 " type=%s code=%s field=%s attempts=%lld",
                 item->delivery.sequence, item->env.type, yz_err_code(item->poison.err),
                 item->poison.field, (long long)item->attempts);
        return;
    }
    if (letter->state == WK_LETTER_DROPPED)
        return; /* the lease is lost */
    /* DEADLETTERS is full or away: the event stays where it is, and those behind it proceed. */
    item->lost = true;
    snprintf(nak, sizeof nak, "-NAK {\"delay\": %" PRId64 "}",
             batch->means.conf->ack_wait_ms * 1000000);
    natsConnection_PublishString(batch->means.nc, natsMsg_GetReply(item->delivery.msg), nak);
    yz_error_spaced("dead_letter_refused",
                    "sequence=%" PRIu64 " reason=\"DEADLETTERS takes no more\"",
                    item->delivery.sequence);
}

/* Poison goes to DEADLETTERS, and its PubAck is there, before an outcome says so. */
static void send_dead_letters(struct wk_batch *batch)
{
    struct wk_letter *letters = yz_calloc(batch->count + 1, sizeof *letters);
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct wk_item *item = &batch->items[i];

        if (item->lost || item->set_aside || !item->poison.err)
            continue;
        wk_deadletter_message(&item->delivery, &item->poison, item->attempts, &letters[count].msg);
        letters[count].may_refuse = true;
        letters[count++].tag = i;
    }
    if (count > 0 && wk_publisher_send(batch->means.pub, letters, count, on_retry, batch) != YZ_OK)
        yz_warn_spaced("dead_letters_held", "count=%zu", count);
    for (size_t i = 0; i < count; i++) {
        set_aside(batch, &batch->items[letters[i].tag], &letters[i]);
        natsMsg_Destroy(letters[i].msg);
    }
    free(letters);
}

static bool is_alive(void *arg, size_t event)
{
    const struct wk_batch *batch = arg;

    return !batch->items[event].lost;
}

/* (1) outcomes, (2) documents, (3) outbox. *again: fold the batch anew. */
static enum yz_err settle(struct wk_batch *batch, bool *again)
{
    int64_t due_ms;
    enum yz_err err;

    batch->stage_mono_us = yz_clock_mono_us();
    if ((err = wk_settle_decide(batch, again)) || *again)
        return err;
    if ((err = wk_settle_write(batch, again)) || *again)
        return err;
    wk_settle_staged(batch, WK_STAGE_OUTCOMES);
    yz_fault_point("after_outcomes");
    if ((err = wk_fold_write(batch->fold, batch->store, again)) || *again)
        return err;
    wk_settle_staged(batch, WK_STAGE_DOCUMENTS);
    yz_fault_point("after_documents");
    err = wk_outbox_write(batch->fold, batch->store, is_alive, batch, &due_ms);
    if (err)
        return err;
    if (due_ms > 0)
        wk_outbox_wake(batch->means.outbox, due_ms);
    wk_settle_staged(batch, WK_STAGE_OUTBOX);
    yz_fault_point("after_outbox");
    return YZ_OK;
}

/* (4) pushes, (5) acks, after the values. */
static void finish(struct wk_batch *batch)
{
    if (wk_settle_push(batch, on_retry) != YZ_OK)
        return; /* the process ends: all comes again */
    wk_settle_staged(batch, WK_STAGE_PUSH);
    yz_fault_point("after_pushes");
    yz_fault_point("before_ack");
    wk_settle_ack(batch);
    wk_settle_staged(batch, WK_STAGE_ACK);
}

/* Somebody had an event in hand before: there may be an outcome. */
static bool came_before(const struct wk_batch *batch)
{
    bool before = batch->suspects;

    for (size_t i = 0; i < batch->count; i++)
        before = before || batch->items[i].delivery.delivered > 1;
    return before;
}

/* The items as they are in batch->items. YZ_OK: settled or let go; else they cannot be done. */
static enum yz_err process(struct wk_batch *batch)
{
    bool again = false;
    int tries = 0;
    enum yz_err err;

    yz_arena_reset(&batch->arena);
    wk_fold_reset(batch->fold);
    drop_lost(batch);
    for (size_t i = 0; i < batch->count; i++)
        wk_item_read(&batch->items[i], &batch->arena, batch->means.find_handler);
    while ((err = wk_settle_refuse_repeated(batch))) {
        if (err != YZ_BUSY || !hold(batch, &tries))
            return err == YZ_BUSY ? YZ_OK : err;
    }
    send_dead_letters(batch);
    batch->ask = came_before(batch);
    while ((err = settle(batch, &again)) || again) {
        if (err && err != YZ_BUSY)
            return err;
        if (err && !hold(batch, &tries))
            return YZ_OK;
        yz_count(&batch->means.metrics->batches_again, again);
        again = false;
        batch->ask = true;
        wk_fold_again(batch->fold);
        send_dead_letters(batch); /* of what was found to be late */
    }
    wk_fold_settled(batch->fold);
    finish(batch);
    return YZ_OK;
}

static void put_item(struct wk_batch *batch, const struct wk_delivery *delivery)
{
    struct wk_item *item = &batch->items[batch->count++];

    memset(item, 0, sizeof *item);
    item->delivery = *delivery;
    item->attempts = (int64_t)delivery->delivered;
}

/* It failed not and did not end the worker, whether it is settled or was let go with its lease:
 * were it counted for that, it would in the end be set aside for the one behind it that does, since
 * what stands before that one comes again each time. Its values and its ack go out while it still
 * counts, and before the next one is tried. */
static void acquit(struct wk_batch *batch, const struct wk_delivery *delivery, int64_t attempts)
{
    if (batch->items[0].poison.err)
        return;
    wk_values_flush(batch->means.values, (int)delivery->partition);
    if (natsConnection_FlushTimeout(batch->means.nc, FLUSH_MS) != NATS_OK)
        yz_debug("ack_unsure", "sequence=%" PRIu64, delivery->sequence); /* then it comes again */
    if (wk_deadletter_acquit(batch->store, delivery, attempts) != YZ_OK)
        yz_debug("attempt_counted", "sequence=%" PRIu64, delivery->sequence);
}

/* One event by itself, counted before it is decoded, until it is settled or set aside. */
static void try_alone(struct wk_batch *batch, const struct wk_delivery *delivery)
{
    int tries = 0;

    for (;;) {
        int64_t attempts = 0;
        enum yz_err err = YZ_BUSY;

        batch->count = 0;
        put_item(batch, delivery);
        while (wk_deadletter_count(batch->store, delivery, &attempts) != YZ_OK) {
            if (!hold(batch, &tries))
                return;
        }
        batch->items[0].attempts = attempts;
        if (attempts > WK_ATTEMPTS_MAX)
            yz_violate(&batch->items[0].poison, YZ_UNPROCESSABLE, "",
                       "Processing it failed or ended the worker, each time.");
        err = process(batch);
        if (!err) {
            acquit(batch, delivery, attempts);
            return;
        }
        yz_error_spaced("event_failed", "sequence=%" PRIu64 " code=%s attempts=%lld",
                        delivery->sequence, yz_err_code(err), (long long)attempts);
        if (!hold(batch, &tries))
            return;
    }
}

static void run_alone(struct wk_batch *batch, const struct wk_delivery *delivery)
{
    struct timespec until;

    do {
        if (is_stopping(batch))
            return;
        say_in_progress(batch);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TURN_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
    } while (pthread_mutex_timedlock(&alone_turn, &until) != 0);
    try_alone(batch, delivery);
    pthread_mutex_unlock(&alone_turn);
}

/* What has to wait for what the others wrote is done once that is stored. Poison behind it goes to
 * DEADLETTERS again with it, which keeps one of each Msg-Id; only its log line is there twice. */
static void run_portion(struct wk_batch *batch, const struct wk_delivery *deliveries, size_t count)
{
    while (count > 0 && !is_stopping(batch)) {
        enum yz_err err;
        size_t done;

        batch->count = 0;
        for (size_t i = 0; i < count; i++)
            put_item(batch, &deliveries[i]);
        err = process(batch);
        done = batch->count > 0 ? batch->count : count;
        for (size_t i = 0; err && i < done && !is_stopping(batch); i++)
            run_alone(batch, &deliveries[i]);
        deliveries += done;
        count -= done;
    }
}

/* Events that were in a dead worker's hands may have killed it. Once is no proof: the first time
 * they are counted and go with the others; who was counted before goes alone. */
static bool find_suspects(struct wk_batch *batch, bool *alone)
{
    struct wk_delivery *suspects = yz_calloc(batch->delivery_count, sizeof *suspects);
    int64_t *attempts = yz_calloc(batch->delivery_count, sizeof *attempts);
    size_t *places = yz_calloc(batch->delivery_count, sizeof *places), count = 0;
    int tries = 0;
    bool good = true;

    for (size_t i = 0; i < batch->delivery_count; i++) {
        struct wk_lease_view view;

        wk_lease_look(batch->means.lease, batch->deliveries[i].partition, &view);
        if (batch->deliveries[i].sequence <= view.suspect_until) {
            suspects[count] = batch->deliveries[i];
            places[count++] = i;
        }
    }
    batch->suspects = count > 0;
    while (good && count > 0 &&
           wk_deadletter_attempts(batch->store, suspects, count, true, attempts) != YZ_OK)
        good = hold(batch, &tries);
    for (size_t i = 0; i < count; i++)
        alone[places[i]] = attempts[i] > 0;
    free(places);
    free(attempts);
    free(suspects);
    return good;
}

/* How long the events waited, by the broker's clock as far as it is known to differ from ours. */
static void note_waits(const struct wk_batch *batch)
{
    struct wk_metrics *m = batch->means.metrics;
    int64_t now_us =
        yz_clock_wall_ms() * 1000 - atomic_load_explicit(&m->clock_ahead_us, memory_order_relaxed);

    for (size_t i = 0; i < batch->delivery_count; i++)
        yz_observe_us(&m->wait, now_us - batch->deliveries[i].stored_at_ms * 1000);
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t left = ((const struct wk_delivery *)a)->sequence;
    uint64_t right = ((const struct wk_delivery *)b)->sequence;

    return left < right ? -1 : left > right;
}

void wk_batch_run(struct wk_batch *batch, struct wk_delivery *deliveries, size_t count)
{
    int64_t began_us = yz_clock_mono_us();
    bool *alone = yz_calloc(count + 1, sizeof *alone);
    size_t from = 0;

    /* What is delivered again comes behind what was stored after it. Were that decided first, it
     * would have the key that is the older one's, which then were found to be late. */
    qsort(deliveries, count, sizeof *deliveries, by_sequence);
    batch->deliveries = deliveries;
    batch->delivery_count = count;
    batch->progress_mono_ms = batch->taken_mono_ms = began_us / 1000;
    batch->count = 0;
    for (size_t i = 0; i < count; i++)
        put_item(batch, &deliveries[i]);
    yz_count(&batch->means.metrics->events_received, count);
    yz_observe_size(&batch->means.metrics->batch_events, count);
    note_waits(batch);
    if (find_suspects(batch, alone)) {
        for (size_t i = 0; i <= count; i++) {
            if (i < count && !alone[i])
                continue;
            run_portion(batch, deliveries + from, i - from);
            if (i < count && !is_stopping(batch))
                run_alone(batch, &deliveries[i]);
            from = i + 1;
        }
    }
    for (size_t i = 0; i < count; i++)
        natsMsg_Destroy(deliveries[i].msg);
    free(alone);
    note_done(batch);
    yz_count(&batch->means.metrics->batches, 1);
    yz_observe_us(&batch->means.metrics->batch, yz_clock_mono_us() - began_us);
}
