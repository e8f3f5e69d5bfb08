/* The chain of one channel, with the test deciding which live messages arrive; the stream behind it
 * is real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "feed_rig.h"

struct world {
    struct broker broker;
    struct rig rig;
    struct feed_rig channel;
};

static int set_up(void **state)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    broker_streams(&w->broker, ",\"max_msgs_per_subject\":10");
    rig_conf(&w->rig, &w->broker);
    rig_start(&w->rig);
    feed_rig_start(&w->channel, &w->rig);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    feed_rig_stop(&w->channel);
    rig_stop(&w->rig);
    return world_free(w);
}

/* As the broker republishes it. */
static void arrive(struct world *w, uint64_t seq, uint64_t previous)
{
    char text[24];
    natsMsg *msg = NULL;

    assert_int_equal(natsMsg_Create(&msg, "live." FEED_SUBJECT, NULL, "", 0), NATS_OK);
    snprintf(text, sizeof text, "%lu", (unsigned long)seq);
    natsMsgHeader_Set(msg, "Nats-Sequence", text);
    snprintf(text, sizeof text, "%lu", (unsigned long)previous);
    natsMsgHeader_Set(msg, "Nats-Last-Sequence", text);
    gw_feed_take(&w->channel.feed, msg);
    natsMsg_Destroy(msg);
}

static void expect(struct world *w, uint64_t first, uint64_t last)
{
    assert_int_equal(w->channel.count, last - first + 1);
    for (uint64_t i = first; i <= last; i++)
        assert_int_equal(w->channel.offsets[i - first], i);
}

static void passes_on_what_fits_once(void **state)
{
    WORLD(state);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    assert_int_equal(w->channel.feed.seen, 3);
    arrive(w, 2, 1);
    arrive(w, 4, 3);
    arrive(w, 4, 3);
    arrive(w, 5, 4);
    arrive(w, 6, 0); /* all before it have expired: no gap */
    expect(w, 4, 6);
    assert_int_equal(rig_counter(&w->rig.metrics.gaps_found), 0);
}

static void reads_a_gap_from_the_stream(void **state)
{
    WORLD(state);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    publish(w->broker.nc, FEED_SUBJECT, 4); /* 4, 5 and 6 are lost on the way */
    arrive(w, 7, 6);
    assert_int_equal(w->channel.feed.state, GW_FEED_REPAIRING);
    assert_int_equal(w->channel.count, 0);
    publish(w->broker.nc, FEED_SUBJECT, 1);
    arrive(w, 8, 7); /* meanwhile */
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE, 2000);
    expect(w, 4, 8);
    assert_int_equal(rig_counter(&w->rig.metrics.gaps_found), 1);
    assert_int_equal(w->channel.lost, 0);
}

/* The channel was empty: only what was looked at tells where the gap begins. */
static void reads_a_gap_of_an_empty_channel(void **state)
{
    WORLD(state);
    publish(w->broker.nc, "chan.t1.org.g2", 20); /* the stream's first is 11 by now */
    feed_rig_open(&w->channel);
    assert_int_equal(w->channel.feed.covered, 20);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    arrive(w, 23, 22);
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE, 2000);
    expect(w, 21, 23);
    assert_int_equal(w->channel.lost, 0);
}

/* What an empty channel lost by age lies below the stream's first: from there on nothing was. */
static void knows_an_empty_channel_without_reading(void **state)
{
    WORLD(state);
    publish(w->broker.nc, "chan.t1.org.g2", 20); /* the stream's first is 11 by now */
    feed_rig_open(&w->channel);
    assert_int_equal(w->channel.feed.seen, 0);
    assert_int_equal(w->channel.feed.recent.floor, 10);
}

static void finds_a_lost_last_push(void **state)
{
    WORLD(state);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    rig_run(&w->rig, 1500); /* the early second look is over */
    publish(w->broker.nc, FEED_SUBJECT, 2);
    RIG_AWAIT(&w->rig, w->channel.count == 2, 2 * w->rig.conf.audit_interval_ms);
    expect(w, 4, 5);
}

/* A follower may have been behind when the channel was opened. */
static void looks_again_soon(void **state)
{
    WORLD(state);
    w->rig.conf.audit_interval_ms = 60000;
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    publish(w->broker.nc, FEED_SUBJECT, 1);
    RIG_AWAIT(&w->rig, w->channel.count == 1, 3000);
}

static void says_when_a_gap_cannot_be_repaired(void **state)
{
    WORLD(state);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    publish(w->broker.nc, FEED_SUBJECT, 30); /* ten are kept: 4 to 23 are gone */
    arrive(w, 33, 32);
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE, 2000);
    assert_int_equal(w->channel.lost, 1);
    expect(w, 24, 33);
    publish(w->broker.nc, FEED_SUBJECT, 1);
    arrive(w, 34, 33); /* the chain goes on */
    assert_int_equal(w->channel.count, 11);
}

static void gives_up_what_never_comes(void **state)
{
    WORLD(state);
    publish(w->broker.nc, FEED_SUBJECT, 3);
    feed_rig_open(&w->channel);
    arrive(w, 9, 8); /* 8 and 9 are in no stream */
    RIG_AWAIT(&w->rig, w->channel.lost == 1, 10000);
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE, 2000);
    expect(w, 9, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(passes_on_what_fits_once),
        CASE(reads_a_gap_from_the_stream),
        CASE(reads_a_gap_of_an_empty_channel),
        CASE(knows_an_empty_channel_without_reading),
        CASE(finds_a_lost_last_push),
        CASE(looks_again_soon),
        CASE(says_when_a_gap_cannot_be_repaired),
        CASE(gives_up_what_never_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
