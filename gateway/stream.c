#include "gateway/stream.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/subject.h"
#include "schemas/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS    1000 /* a known stream is read again this often */
#define TICK_MS    250  /* an unknown one this often */
#define TIMEOUT_MS 3000
/* Between two questions for barriers: a STREAM.INFO costs us 25 µs and the broker more, and in a
 * storm of arrivals hundreds of channels wait for the next one. Nobody waits when none was asked
 * just now. */
#define PACE_MS  10
#define DOUBT_MS 5000 /* a replicated stream that ends earlier than it did: believed after this */

struct watched {
    struct gw_streams *owner;
    enum gw_stream_id id;
    struct gw_stream info;
    struct gw_barrier_list waiting; /* for the next request */
    struct gw_barrier_list flying;  /* for the request in flight */
    struct gw_barrier_list serving; /* being called */
    bool asking;
    uint64_t request;
    int64_t asked_mono_ms, asked_mono_us;
    int64_t shorter_since_mono_ms; /* 0: it is not */
};

/* libuv gives handles back later than the streams are freed. */
struct timers {
    uv_timer_t tick, pace;
    int open;
};

struct gw_streams {
    struct gw_link *link;
    struct timers *timers;
    struct watched watched[GW_STREAMS];
    struct gw_pulse pulse;
    gw_reset_fn *on_reset;
    void *reset_arg;
};

static const struct {
    const char *name, *missing;
} streams_table[GW_STREAMS] = {
    [GW_CHANNELS] = {YZ_STREAM_CHANNELS, "the stream CHANNELS is not there: run yzctl apply"},
    [GW_THREADS] = {YZ_STREAM_THREADS, "the stream THREADS is not there: run yzctl apply"},
    [GW_STATE] = {YZ_STREAM_STATE, "the stream STATE is not there: run yzctl apply"},
};

static void ask(struct watched *w);
static void on_pace(uv_timer_t *timer);

static void move_all(struct gw_barrier_list *from, struct gw_barrier_list *to)
{
    struct gw_barrier *b;

    TAILQ_FOREACH(b, from, entry)
    {
        b->list = to;
    }
    TAILQ_CONCAT(to, from, entry);
}

/* Answer whom the request served; err tells them why it failed. A callback may cancel another
 * barrier or begin one. */
static void serve(struct watched *w, enum yz_err err)
{
    struct gw_barrier *b;

    move_all(&w->flying, &w->serving);
    while ((b = TAILQ_FIRST(&w->serving))) {
        gw_barrier_cancel(b);
        b->on_info(b->arg, &w->info, err);
    }
}

struct parsed {
    const char *epoch; /* borrowed from the JSON */
    json_int_t first_seq, last_seq, subject_max;
    int replicas;
};

static enum yz_err parse(json_t *root, struct parsed *p)
{
    memset(p, 0, sizeof *p);
    p->replicas = 1;
    if (!root || json_object_get(root, "error"))
        return YZ_BUS_UNAVAILABLE;
    if (json_unpack(root, "{s:{s:{s:s}}}", "config", "metadata", "yizhan-epoch", &p->epoch) != 0 ||
        strlen(p->epoch) >= GW_EPOCH_MAX)
        return YZ_BUS_UNAVAILABLE;
    if (json_unpack(root, "{s:{s:I, s:I}, s:{s?I, s?i}}", "state", "first_seq", &p->first_seq,
                    "last_seq", &p->last_seq, "config", "max_msgs_per_subject", &p->subject_max,
                    "num_replicas", &p->replicas) != 0)
        return YZ_BUS_UNAVAILABLE;
    return YZ_OK;
}

/* A new leader of a cluster may not have applied all that it has: for a moment the stream seems to
 * end earlier than it did. */
static bool in_doubt(struct watched *w, const struct parsed *p)
{
    int64_t now = yz_clock_mono_ms();
    bool shorter = strcmp(w->info.epoch, p->epoch) == 0 && (uint64_t)p->last_seq < w->info.last_seq;

    if (!shorter || !w->shorter_since_mono_ms)
        w->shorter_since_mono_ms = shorter ? now : 0;
    return shorter && p->replicas > 1 && now - w->shorter_since_mono_ms < DOUBT_MS;
}

static void store(struct watched *w, const struct parsed *p)
{
    struct gw_stream *info = &w->info;
    bool had = *info->epoch != '\0';
    bool reset =
        had && (strcmp(info->epoch, p->epoch) != 0 || (uint64_t)p->last_seq < info->last_seq);

    info->known = true;
    if (in_doubt(w, p))
        return;
    snprintf(info->epoch, sizeof info->epoch, "%s", p->epoch);
    info->first_seq = (uint64_t)p->first_seq;
    info->last_seq = (uint64_t)p->last_seq;
    info->subject_max = p->subject_max;
    info->replicas = p->replicas;
    if (!had)
        yz_info("stream_known", "stream=%s epoch=%s last_seq=%" PRIu64, info->name, info->epoch,
                info->last_seq);
    if (!reset)
        return;
    info->resets++;
    yz_warn("stream_reset", "stream=%s epoch=%s last_seq=%" PRIu64, info->name, info->epoch,
            info->last_seq);
    if (w->owner->on_reset)
        w->owner->on_reset(w->owner->reset_arg, w->id);
}

/* "ts" is the broker's time when it answered: about the middle of the round trip. */
static void take_pulse(struct watched *w, json_t *root)
{
    struct gw_pulse *pulse = &w->owner->pulse;
    const char *time = json_string_value(json_object_get(root, "ts"));
    int64_t seconds;
    int32_t nanos;

    pulse->round_trip_us = yz_clock_mono_us() - w->asked_mono_us;
    if (time && yz_clock_parse(time, strlen(time), &seconds, &nanos))
        pulse->clock_ahead_us = yz_clock_wall_ms() * 1000 - pulse->round_trip_us / 2 -
                                (seconds * 1000000 + nanos / 1000);
}

static bool on_info(void *arg, natsMsg *msg, enum yz_err err)
{
    struct watched *w = arg;
    struct parsed parsed;
    json_t *root = NULL;

    w->asking = false;
    if (!err && natsMsg_IsNoResponders(msg))
        err = YZ_BUS_UNAVAILABLE;
    if (!err) {
        root = yz_json_load(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
        take_pulse(w, root);
        err = parse(root, &parsed);
    }
    if (!err)
        store(w, &parsed);
    else
        w->info.known = false;
    json_decref(root);
    serve(w, err);
    if (!TAILQ_EMPTY(&w->waiting))
        ask(w);
    return false;
}

/* false: a question was asked just now, and the next one comes when its time is there. */
static bool keeps_pace(struct watched *w)
{
    int64_t wait_ms = w->asked_mono_ms + PACE_MS - yz_clock_mono_ms();
    uv_timer_t *pace = &w->owner->timers->pace;

    if (wait_ms <= 0)
        return true;
    if (!uv_is_active((uv_handle_t *)pace))
        uv_timer_start(pace, on_pace, (uint64_t)wait_ms, 0);
    return false;
}

static void ask_now(struct watched *w)
{
    char subject[64];

    if (w->asking)
        return;
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", w->info.name);
    w->asked_mono_us = yz_clock_mono_us();
    w->asked_mono_ms = w->asked_mono_us / 1000;
    /* While the bus is away the barriers wait for the timer, which fails them. */
    if (gw_link_request(w->owner->link, subject, "", 0, TIMEOUT_MS, on_info, w, &w->request))
        return;
    w->asking = true;
    move_all(&w->waiting, &w->flying);
}

static void ask(struct watched *w)
{
    if (!w->asking && keeps_pace(w))
        ask_now(w);
}

static void on_tick(uv_timer_t *timer)
{
    struct gw_streams *streams = timer->data;
    int64_t now = yz_clock_mono_ms();

    for (int i = 0; i < GW_STREAMS; i++) {
        struct watched *w = &streams->watched[i];

        if (!w->asking && (!w->info.known || !TAILQ_EMPTY(&w->waiting) ||
                           now - w->asked_mono_ms >= POLL_MS - TICK_MS / 2))
            ask(w);
        if (w->asking)
            continue;
        if (gw_link_connected(streams->link))
            continue;
        w->info.known = false;
        move_all(&w->waiting, &w->flying);
        serve(w, YZ_BUS_UNAVAILABLE);
    }
}

/* Of all streams: one that need not be asked yet starts the timer again. */
static void on_pace(uv_timer_t *timer)
{
    struct gw_streams *streams = timer->data;

    for (int i = 0; i < GW_STREAMS; i++) {
        if (!TAILQ_EMPTY(&streams->watched[i].waiting))
            ask(&streams->watched[i]);
    }
}

static void on_resync(void *arg)
{
    struct gw_streams *streams = arg;

    for (int i = 0; i < GW_STREAMS; i++)
        ask_now(&streams->watched[i]);
}

enum yz_err gw_streams_new(struct gw_link *link, uv_loop_t *loop, struct gw_streams **streams)
{
    struct gw_streams *s = calloc(1, sizeof *s);

    if (!s)
        return YZ_INTERNAL;
    s->timers = malloc(sizeof *s->timers);
    if (!s->timers) {
        free(s);
        return YZ_INTERNAL;
    }
    s->link = link;
    for (int i = 0; i < GW_STREAMS; i++) {
        struct watched *w = &s->watched[i];

        w->owner = s;
        w->id = (enum gw_stream_id)i;
        w->info.name = streams_table[i].name;
        TAILQ_INIT(&w->waiting);
        TAILQ_INIT(&w->flying);
        TAILQ_INIT(&w->serving);
    }
    uv_timer_init(loop, &s->timers->tick);
    uv_timer_init(loop, &s->timers->pace);
    s->timers->tick.data = s->timers->pace.data = s;
    s->timers->open = 2;
    uv_timer_start(&s->timers->tick, on_tick, TICK_MS, TICK_MS);
    gw_link_on_resync(link, on_resync, s);
    *streams = s;
    return YZ_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct timers *timers = handle->data;

    if (--timers->open == 0)
        free(timers);
}

void gw_streams_free(struct gw_streams *streams)
{
    for (int i = 0; i < GW_STREAMS; i++) {
        if (streams->watched[i].asking)
            gw_link_cancel(streams->link, streams->watched[i].request);
    }
    streams->timers->tick.data = streams->timers->pace.data = streams->timers;
    uv_close((uv_handle_t *)&streams->timers->tick, on_timer_closed);
    uv_close((uv_handle_t *)&streams->timers->pace, on_timer_closed);
    free(streams);
}

const struct gw_pulse *gw_streams_pulse(const struct gw_streams *streams)
{
    return &streams->pulse;
}

bool gw_streams_ready(const struct gw_streams *streams, const char **reason)
{
    for (int i = 0; i < GW_STREAMS; i++) {
        if (!streams->watched[i].info.known) {
            *reason = streams_table[i].missing;
            return false;
        }
    }
    *reason = "";
    return true;
}

const struct gw_stream *gw_streams_get(const struct gw_streams *streams, enum gw_stream_id id)
{
    return &streams->watched[id].info;
}

void gw_streams_barrier(struct gw_streams *streams, enum gw_stream_id id,
                        struct gw_barrier *barrier)
{
    struct watched *w = &streams->watched[id];

    barrier->list = &w->waiting;
    TAILQ_INSERT_TAIL(barrier->list, barrier, entry);
    ask(w);
}

void gw_barrier_cancel(struct gw_barrier *barrier)
{
    if (barrier->list)
        TAILQ_REMOVE(barrier->list, barrier, entry);
    barrier->list = NULL;
}

void gw_streams_on_reset(struct gw_streams *streams, gw_reset_fn *on_reset, void *arg)
{
    streams->on_reset = on_reset;
    streams->reset_arg = arg;
}
