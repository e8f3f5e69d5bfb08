/* rig.h: the gateway's bus end in the test's process: a loop, a link, channels, and phones that
 * write down what they get.
 *
 * Lifetime  rig_start to rig_stop; a phone from phone_init to phone_deinit, or from phone_open to
 *           phone_close.
 * Thread    the test's.
 */
#ifndef RIG_H
#define RIG_H

#include "world.h"

#include "common/clock.h"
#include "common/log.h"
#include "envelope.pb-c.h"
#include "gateway/burst.h"
#include "gateway/channel.h"
#include "gateway/metrics.h"
#include "gateway/signal.h"
#include "gateway/stream.h"

#include <cmocka.h>
#include <uv.h>

struct rig {
    struct yz_conf conf;
    struct gw_metrics metrics;
    uv_loop_t loop;
    uv_timer_t pulse; /* so that the loop wakes while a condition is awaited */
    struct gw_link *link;
    struct gw_channels *channels;
};

/* Channels that every phone may read, and where their pushes are published. */
#define MEETING         "meeting.g1/c1/b1.m1"
#define MEETING_SUBJECT "chan.t1." MEETING
#define THREAD          "thread.g1/c1/b1.t1"
#define THREAD_SUBJECT  "thr.t1.g1/c1/b1.t1"

static const struct gw_since from_now = {false, "", 0};
static const struct gw_since from_start = {true, "", 0};

/* One subscription and all that came over it. Its position is what a phone would store. */
struct phone {
    struct yz_actor actor;
    struct gw_subscriber *sub;
    const char *channel;
    bool subscribed, recovered;
    bool resumed; /* the last join named an epoch */
    enum yz_err refused;
    enum yz_close lost;
    char epoch[64];
    uint64_t position, promised; /* once what is due has come, the position is what was promised */
    uint32_t missed, due;
    bool limited, paused; /* limited: it takes in `room` missed pushes */
    size_t room;
    uint64_t *offsets; /* in the order they came, over all subscriptions */
    size_t count, capacity;
    size_t values;
    char value_name[64];
    size_t signals;
    char signal_member[YZ_ID_MAX];
};

static inline void rig_on_subscribed(void *session, struct gw_subscriber *sub, const char *epoch,
                                     uint64_t offset, bool recovered, uint32_t missed)
{
    struct phone *p = session;

    assert_ptr_equal(sub, p->sub);
    p->subscribed = true;
    p->recovered = recovered;
    p->missed = p->due = missed;
    p->promised = offset;
    if (!recovered)
        p->position = 0;
    if (missed == 0)
        p->position = offset;
    snprintf(p->epoch, sizeof p->epoch, "%s", epoch);
}

static inline void rig_on_refused(void *session, struct gw_subscriber *sub, enum yz_err err)
{
    struct phone *p = session;

    assert_ptr_equal(sub, p->sub);
    p->sub = NULL;
    p->refused = err;
}

static inline bool rig_has_room(void *session)
{
    struct phone *p = session;

    if (!p->limited || p->room > 0)
        return true;
    p->paused = true;
    return false;
}

static inline void rig_on_deliver(void *session, struct gw_message *msg, bool live)
{
    struct phone *p = session;
    uint64_t offset = gw_message_offset(msg);

    assert_true(p->subscribed);
    if (offset == 0) {
        p->values++;
        return;
    }
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 1024;
        p->offsets = realloc(p->offsets, p->capacity * sizeof *p->offsets);
        assert_non_null(p->offsets);
    }
    p->offsets[p->count++] = offset;
    if (p->limited && !live) {
        assert_true(p->room > 0);
        p->room--;
    }
    if (p->due > 0)
        p->due--;
    if (offset > p->position)
        p->position = offset;
    if (p->due == 0 && p->promised > p->position)
        p->position = p->promised;
}

static inline bool rig_on_burst(void *session, struct gw_burst *burst)
{
    struct phone *p = session;

    if (p->limited)
        return false;
    for (size_t i = 0; i < burst->count; i++)
        rig_on_deliver(p, burst->messages[i], true);
    return true;
}

static inline bool rig_on_signal(void *session, struct gw_signal *signal)
{
    struct phone *p = session;

    assert_true(p->subscribed);
    assert_string_equal(signal->channel, p->channel);
    assert_int_equal(signal->kind, 1);
    snprintf(p->signal_member, sizeof p->signal_member, "%s", signal->member);
    p->signals++;
    return true;
}

static inline void rig_on_lost(void *session, enum yz_close close)
{
    ((struct phone *)session)->lost = close;
}

static inline void rig_on_pulse(uv_timer_t *timer)
{
    (void)timer;
}

static inline void rig_conf(struct rig *rig, const struct broker *broker)
{
    char *argv[] = {(char *)(uintptr_t) "test", NULL};

    unsetenv("YZ_NATS_URL");
    assert_true(yz_conf_parse(&rig->conf, YZ_CONF_GATEWAY, 1, argv, "", NULL));
    rig->conf.nats_url = broker->url;
    rig->conf.audit_interval_ms = 2000;
}

/* The loop alone, with nothing on it. */
static inline void rig_loop_start(struct rig *rig)
{
    yz_log_init("test", getenv("YZ_TEST_VERBOSE") ? YZ_LOG_DEBUG : YZ_LOG_ERROR);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->pulse);
    uv_timer_start(&rig->pulse, rig_on_pulse, 5, 5);
}

/* Whatever else was on it is closed. */
static inline void rig_loop_stop(struct rig *rig)
{
    uv_close((uv_handle_t *)&rig->pulse, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
}

/* Do `step` until the condition holds; a failure when that takes longer. */
#define AWAIT_BY(step, condition, timeout_ms)                                                      \
    do {                                                                                           \
        int64_t await_until = yz_clock_mono_ms() + (timeout_ms);                                   \
                                                                                                   \
        while (!(condition) && yz_clock_mono_ms() < await_until)                                   \
            (step);                                                                                \
        assert_true(condition);                                                                    \
    } while (0)

/* Run the loop until the condition holds. */
#define RIG_AWAIT(rig, condition, timeout_ms)                                                      \
    AWAIT_BY(uv_run(&(rig)->loop, UV_RUN_ONCE), condition, timeout_ms)

static inline void rig_run(struct rig *rig, int64_t ms)
{
    int64_t until = yz_clock_mono_ms() + ms;

    while (yz_clock_mono_ms() < until)
        uv_run(&rig->loop, UV_RUN_ONCE);
}

static inline bool rig_ready(struct rig *rig)
{
    const char *reason;

    return gw_link_ready(rig->link, &reason);
}

/* The streams are there, or are played on the loop: it comes back when the link has found them. */
static inline void rig_link_start(struct rig *rig)
{
    static const struct gw_channel_events events = {.subscribed = rig_on_subscribed,
                                                    .refused = rig_on_refused,
                                                    .deliver = rig_on_deliver,
                                                    .has_room = rig_has_room,
                                                    .lost = rig_on_lost,
                                                    .burst = rig_on_burst,
                                                    .signal = rig_on_signal};

    assert_int_equal(gw_link_new(&rig->conf, &rig->loop, &rig->metrics, &rig->link), YZ_OK);
    assert_int_equal(
        gw_channels_new(&rig->conf, &rig->loop, rig->link, &rig->metrics, &events, &rig->channels),
        YZ_OK);
    RIG_AWAIT(rig, rig_ready(rig), 5000);
}

static inline void rig_start(struct rig *rig)
{
    rig_loop_start(rig);
    rig_link_start(rig);
}

static inline void rig_stop(struct rig *rig)
{
    gw_channels_free(rig->channels);
    gw_link_free(rig->link);
    rig_loop_stop(rig);
}

static inline uint64_t rig_counter(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static inline void phone_init(struct phone *p, const char *member, const char *channel)
{
    memset(p, 0, sizeof *p);
    snprintf(p->actor.tenant, sizeof p->actor.tenant, "t1");
    snprintf(p->actor.member, sizeof p->actor.member, "%s", member);
    snprintf(p->actor.org_path, sizeof p->actor.org_path, "g1/c1/b1");
    snprintf(p->actor.roles, sizeof p->actor.roles, "member");
    p->channel = channel;
}

static inline enum yz_err phone_join(struct rig *rig, struct phone *p, struct gw_since since)
{
    p->subscribed = p->paused = false;
    p->resumed = since.given && *since.epoch;
    p->refused = YZ_OK;
    p->lost = YZ_CLOSE_NONE;
    return gw_channels_join(rig->channels, &p->actor, p->channel, since, p, 1, &p->sub);
}

/* Joins, and is in. */
static inline void phone_enter(struct rig *rig, struct phone *p, struct gw_since since)
{
    assert_int_equal(phone_join(rig, p, since), YZ_OK);
    RIG_AWAIT(rig, p->subscribed || p->refused, 5000);
    assert_int_equal(p->refused, YZ_OK);
}

/* A new phone that is in. */
static inline void phone_open(struct rig *rig, struct phone *p, const char *member,
                              const char *channel, struct gw_since since)
{
    phone_init(p, member, channel);
    phone_enter(rig, p, since);
}

static inline void phone_make_room(struct rig *rig, struct phone *p, size_t room)
{
    p->room = room;
    p->paused = false;
    if (p->sub)
        gw_channels_continue(rig->channels, p->sub);
}

static inline struct gw_since phone_place(const struct phone *p)
{
    return (struct gw_since){true, p->epoch, p->position};
}

static inline void phone_leave(struct rig *rig, struct phone *p)
{
    if (p->sub)
        gw_channels_leave(rig->channels, p->sub);
    p->sub = NULL;
    p->subscribed = false;
}

static inline void phone_deinit(struct phone *p)
{
    free(p->offsets);
    p->offsets = NULL;
    p->count = p->capacity = 0;
}

static inline void phone_close(struct rig *rig, struct phone *p)
{
    phone_leave(rig, p);
    phone_deinit(p);
}

/* Publish count pushes (or values), without waiting for the broker. */
static inline void publish_with(natsConnection *nc, const char *subject, unsigned first, int count,
                                const char *header, const char *value)
{
    for (int i = 0; i < count; i++) {
        Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
        char id[32];
        uint8_t body[256];
        natsMsg *msg = NULL, *ack = NULL;
        size_t len;

        snprintf(id, sizeof id, "%u-0", first + (unsigned)i);
        push.id = id;
        push.type = (char *)(uintptr_t) "thread.post";
        push.version = first + (unsigned)i;
        len = yizhan__v1__push__pack(&push, body);
        assert_int_equal(natsMsg_Create(&msg, subject, NULL, (char *)body, (int)len), NATS_OK);
        if (header)
            natsMsgHeader_Set(msg, header, value);
        /* Stored when its PubAck is there; a flush only says that the server has read it. */
        assert_int_equal(natsConnection_RequestMsg(&ack, nc, msg, 10000), NATS_OK);
        natsMsg_Destroy(ack);
        natsMsg_Destroy(msg);
    }
}

static inline void publish(natsConnection *nc, const char *subject, int count)
{
    publish_with(nc, subject, 1, count, NULL, NULL);
}

/* The last sequence of a stream. */
static inline uint64_t last_sequence(struct broker *b, const char *stream)
{
    char subject[64];
    natsMsg *reply = NULL;
    const char *at;
    uint64_t seq;

    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", stream);
    assert_int_equal(natsConnection_RequestString(&reply, b->nc, subject, "", 5000), NATS_OK);
    at = strstr(natsMsg_GetData(reply), "\"last_seq\":");
    assert_non_null(at);
    seq = strtoull(at + 11, NULL, 10);
    natsMsg_Destroy(reply);
    return seq;
}

#endif
