#include "workers/watch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/presence.h"
#include "common/subject.h"
#include "workers/stall.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_US             250000 /* a round trip; twice running */
#define CLOCK_SKEW_US       1000000
#define FULL_PERCENT        95
#define HELD_MS             5000
#define OVERDUE_MS          30000
#define IMPATIENT_MS        250 /* between two looks while events wait for one */
#define DENIAL_FORGOTTEN_MS 10000
#define PAUSE_MS            50
/* EVENTS is behind when it was seen so often in a row: a new leader of a cluster may be catching
 * up.
 */
#define BEHIND_LOOKS         2
#define BEHIND_LOOKS_CLUSTER 60
#define REACHED_ID           "_|" YZ_STREAM_EVENTS ".reached"
#define REACHED_IN           "generations"

struct wk_watch {
    const struct yz_conf *conf;
    natsConnection *nc;
    struct wk_pool *pool;
    struct wk_metrics *metrics;
    const char *worker;
    wk_watch_ready_fn *is_ready;
    void *arg;
    natsSubscription *sub;
    pthread_t looker, answerer;
    atomic_bool stopping;
    _Atomic uint64_t trusted; /* reconnects counted when EVENTS was last judged, plus one */
    _Atomic uint64_t repeated_until;
    _Atomic int64_t bus_less_mono_us; /* the broker's clock, at least, less ours; 0: not known */
    _Atomic(struct wk_lease *) lease; /* NULL: there is none yet */

    /* the looker's own */
    int64_t held_since_mono_ms;
    int bus_slow_looks, database_slow_looks, behind_looks;
    struct wk_stall stall;
};

static void set_trouble(struct wk_watch *watch, enum yz_trouble trouble, bool there)
{
    yz_trouble_note(&watch->metrics->troubles, trouble, there);
}

bool wk_watch_trusts(const struct wk_watch *watch)
{
    return atomic_load(&watch->trusted) == atomic_load(&watch->metrics->bus_reconnects) + 1;
}

uint64_t wk_watch_repeated_until(const struct wk_watch *watch)
{
    return atomic_load(&watch->repeated_until);
}

int64_t wk_watch_bus_ms(const struct wk_watch *watch)
{
    int64_t less_us = watch ? atomic_load(&watch->bus_less_mono_us) : 0;

    if (!watch)
        return yz_clock_wall_ms();
    return less_us ? (yz_clock_mono_us() + less_us) / 1000 : 0;
}

static void look_at_process(struct wk_watch *watch)
{
    struct wk_metrics *m = watch->metrics;
    struct yz_process p;

    yz_process_read(&p);
    yz_gauge(&m->process_open_fds, p.open_fds);
    yz_gauge(&m->process_max_fds, p.max_fds);
    yz_gauge(&m->process_rss_bytes, p.rss_bytes);
    yz_gauge(&m->memory_max_bytes, p.memory_max_bytes);
    yz_gauge(&m->process_started_s, p.started_s);
    atomic_store_explicit(&m->process_cpu_us, (uint64_t)p.cpu_us, memory_order_relaxed);
    yz_trouble_set(&m->troubles, YZ_TROUBLE_descriptors_short, yz_process_short(&p),
                   "open=%" PRId64 " max=%" PRId64, p.open_fds, p.max_fds);
}

/* Slow when it is so twice running: one late answer is a busy moment. */
static void judge_speed(struct wk_watch *watch, enum yz_trouble trouble, int *looks, int64_t us)
{
    *looks = us >= SLOW_US ? *looks + 1 : 0;
    if (*looks != 1)
        yz_trouble_set(&watch->metrics->troubles, trouble, *looks > 1, "round_trip_ms=%" PRId64,
                       us / 1000);
}

static bool look_at_database(struct wk_watch *watch)
{
    int64_t begin = yz_clock_mono_us(), us;
    bool up = wk_pool_ping(watch->pool) == YZ_OK;

    us = yz_clock_mono_us() - begin;
    yz_gauge(&watch->metrics->database_up, up);
    yz_gauge(&watch->metrics->database_round_trip_us, us);
    yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_database_unreachable, !up,
                   "after_ms=%" PRId64, us / 1000);
    if (up)
        judge_speed(watch, YZ_TROUBLE_database_slow, &watch->database_slow_looks, us);
    return up;
}

static int64_t time_in(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    int64_t seconds;
    int32_t nanos;

    if (!text || !yz_clock_parse(text, strlen(text), &seconds, &nanos))
        return 0;
    return seconds * 1000000 + nanos / 1000;
}

static void judge_clock(struct wk_watch *watch, const json_t *info, int64_t round_trip_us)
{
    int64_t theirs = time_in(info, "ts");
    int64_t ahead = yz_clock_wall_ms() * 1000 - round_trip_us / 2 - theirs;

    if (theirs == 0)
        return;
    atomic_store(&watch->bus_less_mono_us, theirs - yz_clock_mono_us());
    yz_gauge(&watch->metrics->clock_ahead_us, ahead);
    yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_clock_skewed,
                   (ahead < 0 ? -ahead : ahead) - round_trip_us / 2 >= CLOCK_SKEW_US,
                   "ahead_ms=%" PRId64, ahead / 1000);
}

/* STREAM.INFO, with the time it took; NULL: no answer, or an error, which is a trouble. */
static json_t *ask(struct wk_watch *watch, const char *stream, int64_t *round_trip_us)
{
    int64_t begin = yz_clock_mono_us();
    char api[64];
    json_t *info = NULL;
    int code = 0;
    bool good;

    snprintf(api, sizeof api, "STREAM.INFO.%s", stream);
    good = wk_stream_call(watch->nc, api, NULL, &info, &code) == YZ_OK;
    *round_trip_us = yz_clock_mono_us() - begin;
    if (natsConnection_Status(watch->nc) == NATS_CONN_STATUS_CONNECTED)
        yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_jetstream_unavailable, !good,
                       "stream=%s err_code=%d", stream, code);
    return good ? info : NULL;
}

static bool is_full(const json_t *info)
{
    int64_t bytes = 0, max = 0;

    if (json_unpack((json_t *)info, "{s:{s:I}, s:{s:I}}", "state", "bytes", &bytes, "config",
                    "max_bytes", &max) != 0)
        return false;
    return max > 0 && bytes >= max / 100 * FULL_PERCENT;
}

static void judge_events(struct wk_watch *watch, const json_t *info)
{
    const json_t *state = json_object_get(info, "state");
    int64_t count = json_integer_value(json_object_get(state, "messages"));
    /* Both by the broker's clock. */
    int64_t age_us = count > 0 ? time_in(info, "ts") - time_in(state, "first_ts") : 0;
    struct wk_metrics *m = watch->metrics;

    yz_gauge(&m->events_waiting, count);
    yz_gauge(&m->oldest_event_us, age_us);
    yz_gauge(&m->events_bytes, json_integer_value(json_object_get(state, "bytes")));
    yz_gauge(&m->events_max_bytes,
             json_integer_value(json_object_get(json_object_get(info, "config"), "max_bytes")));
    set_trouble(watch, YZ_TROUBLE_events_full, is_full(info));
    yz_trouble_set(&m->troubles, YZ_TROUBLE_events_stale,
                   age_us / 1000 >= watch->conf->events_stale_ms,
                   "waiting=%" PRId64 " oldest_ms=%" PRId64, count, age_us / 1000);
}

/* What the database knows of EVENTS. */
struct known {
    int64_t reached;
    int64_t repeated_until; /* it was restored once: sequences up to here were given out twice */
};

static bool read_known(struct wk_store *store, struct known *known)
{
    bson_t document;
    bson_iter_t field;
    bool found = false;
    enum yz_err err = wk_store_get(store, REACHED_IN, REACHED_ID, &document, &found);

    memset(known, 0, sizeof *known);
    if (!err && found && bson_iter_init_find(&field, &document, "reached"))
        known->reached = bson_iter_as_int64(&field);
    if (!err && found && bson_iter_init_find(&field, &document, "repeated_until"))
        known->repeated_until = bson_iter_as_int64(&field);
    bson_destroy(&document);
    return err == YZ_OK;
}

/* Both only rise, whoever writes. */
static enum yz_err write_known(struct wk_store *store, const struct known *known)
{
    bson_t *update = BCON_NEW("$max", "{", "reached", BCON_INT64(known->reached), "repeated_until",
                              BCON_INT64(known->repeated_until), "}", "$set", "{", "tenant",
                              BCON_UTF8("_"), "stream", BCON_UTF8(YZ_STREAM_EVENTS), "}");
    enum yz_err err = wk_store_update(store, REACHED_IN, REACHED_ID, update, true);

    bson_destroy(update);
    return err;
}

static int looks_enough(const json_t *info)
{
    const json_t *replicas = json_object_get(json_object_get(info, "config"), "num_replicas");

    return json_integer_value(replicas) > 1 ? BEHIND_LOOKS_CLUSTER : BEHIND_LOOKS;
}

/* `known` was read before EVENTS was asked, so EVENTS cannot count below it. That it did is kept in
 * the database: once it has counted on past the mark, nothing else would tell. */
static void judge_sequence(struct wk_watch *watch, struct wk_store *store, struct known *known,
                           const json_t *info, uint64_t reconnects)
{
    int64_t last = json_integer_value(json_object_get(json_object_get(info, "state"), "last_seq"));
    bool behind = last<known->reached, news = last> known->reached;

    if (!wk_stream_is_led(info)) {
        /* It may be behind because it is cut off: that proves nothing, and it hands out nothing. */
        watch->behind_looks = 0;
        atomic_store(&watch->trusted, 0);
        return;
    }
    watch->behind_looks = behind ? watch->behind_looks + 1 : 0;
    if (behind && watch->behind_looks < looks_enough(info)) {
        atomic_store(&watch->trusted, 0);
        return;
    }
    yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_sequence_behind, behind,
                   "last=%" PRId64 " reached=%" PRId64, last, known->reached);
    if (behind && known->repeated_until < known->reached) {
        known->repeated_until = known->reached;
        news = true;
    }
    known->reached = behind ? known->reached : last;
    if (news && write_known(store, known) != YZ_OK)
        return;
    atomic_store(&watch->repeated_until, (uint64_t)known->repeated_until);
    atomic_store(&watch->trusted, reconnects + 1);
}

/* info NULL: no answer. */
static void look_for_stalls(struct wk_watch *watch, const json_t *info)
{
    struct wk_lease *lease = atomic_load(&watch->lease);
    struct wk_metrics *m = watch->metrics;
    struct wk_stall_events events = {0};

    if (!lease)
        return;
    events.first_sequence =
        (uint64_t)json_integer_value(json_object_get(json_object_get(info, "state"), "first_seq"));
    events.now_us = time_in(info, "ts");
    events.stale = info && atomic_load(&m->oldest_event_us) / 1000 >= watch->conf->events_stale_ms;
    wk_stall_look(&watch->stall, watch->conf, watch->nc, lease, m, &events,
                  info && atomic_load(&m->database_up) && atomic_load(&m->batches_waiting) == 0 &&
                      wk_watch_trusts(watch));
}

static void look_at_events(struct wk_watch *watch, struct wk_store *store)
{
    uint64_t reconnects = atomic_load(&watch->metrics->bus_reconnects);
    struct known known;
    int64_t round_trip_us;
    bool readable = store && read_known(store, &known);
    json_t *info = ask(watch, YZ_STREAM_EVENTS, &round_trip_us);

    /* Who did not answer in time is slow, too. */
    if (natsConnection_Status(watch->nc) == NATS_CONN_STATUS_CONNECTED)
        judge_speed(watch, YZ_TROUBLE_bus_slow, &watch->bus_slow_looks, round_trip_us);
    if (!info) {
        watch->behind_looks = 0; /* who answers next may be another */
        look_for_stalls(watch, NULL);
        return;
    }
    yz_gauge(&watch->metrics->bus_round_trip_us, round_trip_us);
    judge_clock(watch, info, round_trip_us);
    judge_events(watch, info);
    if (readable)
        judge_sequence(watch, store, &known, info, reconnects);
    look_for_stalls(watch, info);
    json_decref(info);
}

static void look_at_deadletters(struct wk_watch *watch)
{
    int64_t round_trip_us;
    json_t *info = ask(watch, YZ_STREAM_DEADLETTERS, &round_trip_us);

    if (!info)
        return;
    yz_gauge(&watch->metrics->dead_letters,
             json_integer_value(json_object_get(json_object_get(info, "state"), "messages")));
    set_trouble(watch, YZ_TROUBLE_deadletters_full, is_full(info));
    json_decref(info);
}

static bool on_overdue(void *arg, const bson_t *row)
{
    bool *found = arg;

    (void)row;
    *found = true;
    return false;
}

static void look_at_outbox(struct wk_watch *watch, struct wk_store *store)
{
    bson_t *filter = BCON_NEW("state", BCON_UTF8("due"), "due_at", "{", "$lte",
                              BCON_DATE_TIME(wk_watch_bus_ms(watch) - OVERDUE_MS), "}");
    bson_t *opts = BCON_NEW("limit", BCON_INT64(1), "projection", "{", "_id", BCON_INT32(1), "}");
    bool found = false;

    if (wk_store_find(store, "outbox", filter, opts, on_overdue, &found) == YZ_OK) {
        yz_gauge(&watch->metrics->outbox_overdue, found);
        set_trouble(watch, YZ_TROUBLE_outbox_overdue, found);
    }
    bson_destroy(opts);
    bson_destroy(filter);
}

static void look_at_batches(struct wk_watch *watch)
{
    int64_t waiting = atomic_load(&watch->metrics->batches_waiting), now = yz_clock_mono_ms();

    if (waiting == 0)
        watch->held_since_mono_ms = 0;
    else if (watch->held_since_mono_ms == 0)
        watch->held_since_mono_ms = now;
    yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_batches_held,
                   waiting > 0 && now - watch->held_since_mono_ms >= HELD_MS, "batches=%" PRId64,
                   waiting);
}

static void look(struct wk_watch *watch)
{
    bool connected = natsConnection_Status(watch->nc) == NATS_CONN_STATUS_CONNECTED;
    struct wk_store *store = NULL;

    look_at_process(watch);
    look_at_batches(watch);
    yz_trouble_expire(&watch->metrics->troubles, YZ_TROUBLE_bus_permission, DENIAL_FORGOTTEN_MS);
    set_trouble(watch, YZ_TROUBLE_bus_disconnected, !connected);
    if (look_at_database(watch))
        store = wk_store_pop(watch->pool);
    if (connected) {
        look_at_events(watch, store);
        look_at_deadletters(watch);
    }
    if (store) {
        look_at_outbox(watch, store);
        wk_store_push(watch->pool, store);
    }
}

/* Until the next look is due: at once after a reconnect, soon while events wait for it. */
static void pause_until_due(struct wk_watch *watch)
{
    int64_t begin = yz_clock_mono_ms();
    uint64_t reconnects = atomic_load(&watch->metrics->bus_reconnects);

    while (!atomic_load(&watch->stopping) &&
           reconnects == atomic_load(&watch->metrics->bus_reconnects)) {
        int64_t past = yz_clock_mono_ms() - begin;

        if (past >= watch->conf->watch_interval_ms ||
            (past >= IMPATIENT_MS && !wk_watch_trusts(watch)))
            return;
        nats_Sleep(PAUSE_MS);
    }
}

static void *run_looker(void *arg)
{
    struct wk_watch *watch = arg;

    while (!atomic_load(&watch->stopping)) {
        look(watch);
        pause_until_due(watch);
    }
    return NULL;
}

static void answer(struct wk_watch *watch, const char *inbox)
{
    struct wk_metrics *m = watch->metrics;
    struct yz_process process = {.open_fds = atomic_load(&m->process_open_fds),
                                 .max_fds = atomic_load(&m->process_max_fds),
                                 .started_s = atomic_load(&m->process_started_s)};
    struct yz_presence presence = {.kind = "worker",
                                   .id = watch->worker,
                                   .load_name = "partitions",
                                   .load = atomic_load(&m->partitions),
                                   .process = &process,
                                   .troubles = &m->troubles};
    char text[YZ_PRESENCE_MAX];

    presence.ready = watch->is_ready(watch->arg, &presence.reason);
    if (yz_presence_write(&presence, text) > 0)
        natsConnection_PublishString(watch->nc, inbox, text);
}

static void *run_answerer(void *arg)
{
    struct wk_watch *watch = arg;

    while (!atomic_load(&watch->stopping)) {
        natsMsg *msg = NULL;
        natsStatus s = natsSubscription_NextMsg(&msg, watch->sub, PAUSE_MS * 4);

        if (s == NATS_OK && natsMsg_GetReply(msg))
            answer(watch, natsMsg_GetReply(msg));
        else if (s != NATS_OK && s != NATS_TIMEOUT)
            nats_Sleep(PAUSE_MS);
        natsMsg_Destroy(msg);
    }
    return NULL;
}

enum yz_err wk_watch_start(const struct yz_conf *conf, natsConnection *nc, struct wk_pool *pool,
                           struct wk_metrics *metrics, const char *worker,
                           wk_watch_ready_fn *is_ready, void *arg, struct wk_watch **watch)
{
    struct wk_watch *w = calloc(1, sizeof *w);

    if (!w || natsConnection_SubscribeSync(&w->sub, nc, YZ_SUBJECT_PING) != NATS_OK) {
        free(w);
        return YZ_INTERNAL;
    }
    w->conf = conf;
    w->nc = nc;
    w->pool = pool;
    w->metrics = metrics;
    w->worker = worker;
    w->is_ready = is_ready;
    w->arg = arg;
    look_at_process(w);
    if (pthread_create(&w->looker, NULL, run_looker, w) != 0 ||
        pthread_create(&w->answerer, NULL, run_answerer, w) != 0)
        abort();
    *watch = w;
    return YZ_OK;
}

void wk_watch_leases(struct wk_watch *watch, struct wk_lease *lease)
{
    atomic_store(&watch->lease, lease);
}

void wk_watch_stop(struct wk_watch *watch)
{
    if (!watch)
        return;
    atomic_store(&watch->stopping, true);
    pthread_join(watch->looker, NULL);
    pthread_join(watch->answerer, NULL);
    natsSubscription_Destroy(watch->sub);
    free(watch);
}
