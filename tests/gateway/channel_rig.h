/* channel_rig.h: channels behind the link of a rig, with a real nats-server, as each test says.
 *
 * Lifetime  of a test: set_up, tear_down.
 * Thread    the test's, which is the loop.
 */
#ifndef CHANNEL_RIG_H
#define CHANNEL_RIG_H

#include "rig.h"

struct world {
    struct broker broker;
    struct rig rig;
};

/* What a test runs with; a number that is 0 is as it is by default. */
struct settings {
    const char *channel_limits; /* further settings of the stream, as broker_streams takes them */
    int64_t inbound_queue_max;
    int64_t batch_ms; /* of threads with more than one viewer */
};

static inline int set_up(void **state)
{
    const struct settings *settings = *state;
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    broker_streams(&w->broker, settings->channel_limits);
    rig_conf(&w->rig, &w->broker);
    if (settings->inbound_queue_max)
        w->rig.conf.inbound_queue_max = settings->inbound_queue_max;
    if (settings->batch_ms) {
        w->rig.conf.thread_batch_viewers = 1;
        w->rig.conf.thread_batch_ms = settings->batch_ms;
    }
    rig_start(&w->rig);
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    rig_stop(&w->rig);
    return world_free(w);
}

#define RIG_AND_BROKER(state)                                                                      \
    WORLD(state);                                                                                  \
    struct rig *rig = &w->rig;                                                                     \
    struct broker *broker = &w->broker

#define CASE(name, settings)                                                                       \
    cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, &(settings))

static inline void expect_all_from(const struct phone *p, uint64_t first)
{
    for (size_t i = 0; i < p->count; i++)
        assert_int_equal(p->offsets[i], first + i);
}

/* Publish, and see that the stream has them: it takes in later than it receives. */
static inline void store(struct rig *rig, struct broker *broker, const char *subject, int count)
{
    uint64_t last = last_sequence(broker, "CHANNELS") + (uint64_t)count;

    publish(broker->nc, subject, count);
    RIG_AWAIT(rig, last_sequence(broker, "CHANNELS") == last, 5000);
}

/* A phone that takes in `room` pushes at a time. */
static inline void open_limited(struct rig *rig, struct phone *p, const char *channel,
                                struct gw_since since, size_t room)
{
    phone_init(p, "m1", channel);
    p->limited = true;
    p->room = room;
    phone_enter(rig, p, since);
}

#endif
