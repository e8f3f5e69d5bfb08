#include "workers/value.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "workers/push.h"
#include "workers/stream.h"

#include "common/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS_KEPT 4096
#define QUIET_MS      600000
#define FLUSH_MAX     1024
#define ROUNDS_MAX    8

struct value {
    char *subject;
    unsigned partition;
    uint64_t revision;
    const struct wk_fold_push *added; /* the last one of the batch at hand; NULL: none */
    natsMsg *pending;                 /* NULL: nothing to send */
    uint64_t version;                 /* of pending */
    int64_t sent_mono_ms;
    bool known; /* the next two are */
    uint64_t stored_sequence;
    uint64_t stored_version;
    struct wk_ack **acks;
    size_t ack_count, ack_cap;
    UT_hash_handle hh;
};

struct wk_values {
    const struct yz_conf *conf;
    struct wk_publisher *pub;
    struct wk_metrics *metrics;
    wk_settled_fn *on_settled;
    wk_held_fn *is_held;
    void *arg;
    struct value *table;
    struct value **added; /* those with one */
    size_t added_count, added_cap;
    size_t waiting;
    int64_t interval_ms;
};

struct wk_values *wk_values_new(const struct yz_conf *conf, struct wk_publisher *pub,
                                struct wk_metrics *metrics, wk_settled_fn *on_settled,
                                wk_held_fn *is_held, void *arg)
{
    struct wk_values *values = yz_calloc(1, sizeof *values);

    values->conf = conf;
    values->pub = pub;
    values->metrics = metrics;
    values->on_settled = on_settled;
    values->is_held = is_held;
    values->arg = arg;
    /* An ack that waits for its value must not come after the broker's patience. */
    values->interval_ms = conf->value_interval_ms < conf->ack_wait_ms / 4 ? conf->value_interval_ms
                                                                          : conf->ack_wait_ms / 4;
    return values;
}

static void release(struct wk_values *values, struct value *v, bool stored)
{
    for (size_t i = 0; i < v->ack_count; i++) {
        struct wk_ack *ack = v->acks[i];

        if (!stored)
            ack->revision = 0; /* never to be acknowledged */
        if (--ack->waiting > 0)
            continue;
        if (ack->revision)
            values->on_settled(values->arg, ack);
        else
            free(ack);
    }
    v->ack_count = 0;
    if (v->pending) {
        natsMsg_Destroy(v->pending);
        v->pending = NULL;
        values->waiting--;
        atomic_fetch_sub(&values->metrics->values_waiting, 1);
    }
}

static void forget(struct wk_values *values, struct value *v)
{
    release(values, v, false);
    HASH_DEL(values->table, v);
    free(v->acks);
    free(v->subject);
    free(v);
}

void wk_values_free(struct wk_values *values)
{
    struct value *v, *next;

    if (!values)
        return;
    HASH_ITER(hh, values->table, v, next)
    {
        forget(values, v);
    }
    free(values->added);
    free(values);
}

static struct value *obtain(struct wk_values *values, const char *subject)
{
    struct value *v;

    HASH_FIND_STR(values->table, subject, v);
    if (v)
        return v;
    v = yz_calloc(1, sizeof *v);
    v->subject = yz_strdup(subject);
    v->sent_mono_ms = INT64_MIN / 2;
    HASH_ADD_KEYPTR(hh, values->table, v->subject, strlen(v->subject), v);
    return v;
}

static void add_ack(struct value *v, struct wk_ack *ack)
{
    if (v->ack_count > 0 && v->acks[v->ack_count - 1] == ack)
        return; /* one event, the same value twice */
    if (v->ack_count == v->ack_cap) {
        v->ack_cap = v->ack_cap ? v->ack_cap * 2 : 16;
        v->acks = yz_realloc(v->acks, v->ack_cap * sizeof(struct wk_ack *));
    }
    v->acks[v->ack_count++] = ack;
    ack->waiting++;
}

void wk_values_add(struct wk_values *values, const struct wk_fold_push *push, struct wk_ack *ack)
{
    char subject[YZ_SUBJECT_MAX];
    struct value *v;

    yz_value_subject(push->tenant, push->channel, push->name, subject);
    v = obtain(values, subject);
    add_ack(v, ack);
    /* Of what waits as well: it is this lease's now, whichever it was made under. */
    v->partition = ack->partition;
    v->revision = ack->revision;
    if ((v->pending && v->version >= push->sequence) ||
        (v->added && v->added->sequence >= push->sequence))
        return;
    if (v->added) {
        yz_count(&values->metrics->values_merged, 1);
    } else {
        if (values->added_count == values->added_cap) {
            values->added_cap = values->added_cap ? values->added_cap * 2 : 64;
            values->added = yz_realloc(values->added, values->added_cap * sizeof(struct value *));
        }
        values->added[values->added_count++] = v;
    }
    v->added = push;
}

void wk_values_made(struct wk_values *values)
{
    for (size_t i = 0; i < values->added_count; i++) {
        struct value *v = values->added[i];
        natsMsg *msg = NULL;

        wk_push_message(v->added, NULL, &msg);
        if (v->pending) {
            natsMsg_Destroy(v->pending);
            yz_count(&values->metrics->values_merged, 1);
        } else {
            values->waiting++;
            atomic_fetch_add(&values->metrics->values_waiting, 1);
        }
        v->pending = msg;
        v->version = v->added->sequence;
        v->added = NULL;
    }
    values->added_count = 0;
}

int64_t wk_values_due(const struct wk_values *values, int64_t otherwise)
{
    int64_t now = yz_clock_mono_ms();

    if (values->waiting == 0)
        return otherwise;
    for (const struct value *v = values->table; v; v = v->hh.next) {
        int64_t wait = v->sent_mono_ms + values->interval_ms - now;

        if (v->pending && wait < otherwise)
            otherwise = wait;
    }
    return otherwise > 0 ? otherwise : 0;
}

/* What is stored under the subject now: after a change of owner, or when ours was not expected. */
static bool learn(struct wk_values *values, struct value *v)
{
    natsConnection *nc = wk_publisher_connection(values->pub);
    natsMsg *last = NULL;

    if (!nc || wk_stream_last(nc, YZ_STREAM_STATE, v->subject, &last) != YZ_OK)
        return false;
    v->stored_sequence = last ? yz_bus_header_u64(last, "Nats-Sequence", 0) : 0;
    v->stored_version = last ? wk_push_version(last) : 0;
    v->known = true;
    natsMsg_Destroy(last);
    return true;
}

/* true: to be sent now. What is stored already, or of a lost lease, waits no longer. */
static bool make_ready(struct wk_values *values, struct value *v)
{
    if (!values->is_held(values->arg, v->partition, v->revision)) {
        v->known = false;
        release(values, v, false);
        return false;
    }
    if (!v->known && !learn(values, v))
        return false;
    if (v->stored_version >= v->version) {
        release(values, v, true);
        return false;
    }
    return true;
}

static size_t collect(struct wk_values *values, int partition, struct value **due)
{
    int64_t now = yz_clock_mono_ms();
    size_t count = 0;

    for (struct value *v = values->table; v && count < FLUSH_MAX; v = v->hh.next) {
        bool forced = partition >= 0 && v->partition == (unsigned)partition;

        if (v->pending && (forced || now >= v->sent_mono_ms + values->interval_ms) &&
            make_ready(values, v))
            due[count++] = v;
    }
    return count;
}

struct sending {
    struct wk_values *values;
    struct value **due;
};

/* The connection broke: drop what is no longer ours; what is stored in the meantime is found by its
 * sequence, which then is not the expected one. */
static bool on_retry(void *arg, struct wk_letter *letters, size_t count)
{
    struct sending *sending = arg;
    struct wk_values *values = sending->values;

    for (size_t i = 0; i < count; i++) {
        struct value *v = sending->due[letters[i].tag];

        if (!values->is_held(values->arg, v->partition, v->revision))
            letters[i].state = WK_LETTER_DROPPED;
    }
    return true;
}

static void on_sent(struct wk_values *values, struct value *v, const struct wk_letter *letter)
{
    v->sent_mono_ms = yz_clock_mono_ms();
    if (letter->state == WK_LETTER_STORED) {
        v->stored_sequence = letter->sequence;
        v->stored_version = v->version;
        yz_count(&values->metrics->values, 1);
        release(values, v, true);
    } else if (letter->state == WK_LETTER_STALE) {
        v->known = false;
        v->sent_mono_ms = INT64_MIN / 2; /* read, and go on at once */
    } else {
        release(values, v, false);
    }
}

static size_t flush_once(struct wk_values *values, int partition)
{
    struct value **due = yz_calloc(FLUSH_MAX, sizeof *due);
    struct wk_letter *letters = yz_calloc(FLUSH_MAX, sizeof *letters);
    size_t count;

    count = collect(values, partition, due);
    for (size_t i = 0; i < count; i++) {
        letters[i].msg = due[i]->pending;
        letters[i].expects = true;
        letters[i].expected = due[i]->stored_sequence;
        letters[i].tag = i;
    }
    if (wk_publisher_send(values->pub, letters, count, on_retry, &(struct sending){values, due}) ==
        YZ_OK) {
        for (size_t i = 0; i < count; i++)
            on_sent(values, due[i], &letters[i]);
    }
    free(letters);
    free(due);
    return count;
}

static void forget_quiet(struct wk_values *values)
{
    int64_t before = yz_clock_mono_ms() - QUIET_MS;
    struct value *v, *next;

    if (HASH_COUNT(values->table) <= SUBJECTS_KEPT)
        return;
    HASH_ITER(hh, values->table, v, next)
    {
        if (!v->pending && (v->sent_mono_ms < before || HASH_COUNT(values->table) > SUBJECTS_KEPT))
            forget(values, v);
    }
}

void wk_values_flush(struct wk_values *values, int partition)
{
    /* A stale one is read and sent again at once; two owners cannot go on like this for long. */
    for (int round = 0; values->waiting > 0 && round < ROUNDS_MAX; round++) {
        if (flush_once(values, partition) == 0)
            break;
    }
    forget_quiet(values);
}
