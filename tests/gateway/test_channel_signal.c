/* Signals between two gateways against a real nats-server: who is told, and that nothing is kept.
 * Both bus ends run in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include <client.pb-c.h>

struct world {
    struct broker broker;
    struct rig one, two;
};

static int set_up_with(void **state, size_t viewers_max, int64_t per_s, int64_t deliveries_per_s)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    broker_streams(&w->broker, "");
    for (struct rig *rig = &w->one; rig; rig = rig == &w->one ? &w->two : NULL) {
        rig_conf(rig, &w->broker);
        rig->conf.thread_batch_viewers = (int64_t)viewers_max;
        rig->conf.signals_per_s = per_s;
        rig->conf.signal_deliveries_per_s = deliveries_per_s;
        rig_start(rig);
    }
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 3, 1000, 1000);
}

static int set_up_scarce(void **state)
{
    return set_up_with(state, 100, 2, 3);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    rig_stop(&w->one);
    rig_stop(&w->two);
    return world_free(w);
}

static void join(struct rig *rig, struct phone *p, const char *member, const char *channel)
{
    phone_open(rig, p, member, channel, from_now);
    rig_run(rig, 50); /* the broker has its subscriptions */
}

static enum yz_err tell(struct rig *rig, struct phone *p)
{
    return gw_channels_signal(rig->channels, p->sub, YIZHAN__V1__SIGNAL_KIND__TYPING);
}

static void run_both(struct world *w, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 10) {
        rig_run(&w->one, 5);
        rig_run(&w->two, 5);
    }
}

/* Run both gateways until the condition holds. */
#define AWAIT(condition) AWAIT_BY(run_both(w, 10), condition, 5000)

static void tells_the_others_on_every_gateway(void **state)
{
    struct phone a, a_too, b, c, other, stranger;

    WORLD(state);
    join(&w->one, &a, "m1", THREAD);
    join(&w->one, &b, "m2", THREAD);
    join(&w->two, &a_too, "m1", THREAD);
    join(&w->two, &c, "m3", THREAD);
    join(&w->two, &other, "m4", "thread.g1/c1/b1.t2");
    phone_init(&stranger, "m5", THREAD);
    snprintf(stranger.actor.tenant, sizeof stranger.actor.tenant, "t2");
    assert_int_equal(phone_join(&w->two, &stranger, from_now), YZ_OK);
    AWAIT(stranger.subscribed);
    run_both(w, 100);
    assert_int_equal(tell(&w->one, &a), YZ_OK);
    AWAIT(c.signals == 1);
    AWAIT(b.signals == 1);
    assert_string_equal(b.signal_member, "m1");
    assert_string_equal(c.signal_member, "m1");
    run_both(w, 100);
    assert_int_equal(a.signals + a_too.signals, 0); /* its own sessions are not told */
    assert_int_equal(other.signals + stranger.signals, 0);
    assert_int_equal(b.signals + c.signals, 2);
    assert_int_equal(rig_counter(&w->one.metrics.signals_sent), 1);
    assert_int_equal(rig_counter(&w->two.metrics.signal_deliveries), 1);
    phone_close(&w->one, &a);
    phone_close(&w->one, &b);
    phone_close(&w->two, &a_too);
    phone_close(&w->two, &c);
    phone_close(&w->two, &other);
    phone_close(&w->two, &stranger);
}

static void nothing_is_kept(void **state)
{
    struct phone a, b, late;
    uint64_t threads, position;

    WORLD(state);
    join(&w->one, &a, "m1", THREAD);
    join(&w->two, &b, "m2", THREAD);
    publish(w->broker.nc, THREAD_SUBJECT, 1);
    AWAIT(b.count == 1);
    threads = last_sequence(&w->broker, "THREADS");
    position = b.position;
    assert_int_equal(tell(&w->one, &a), YZ_OK);
    AWAIT(b.signals == 1);
    assert_int_equal(b.position, position);
    assert_int_equal(last_sequence(&w->broker, "THREADS"), threads);
    assert_int_equal(last_sequence(&w->broker, "CHANNELS"), 0);
    assert_int_equal(last_sequence(&w->broker, "STATE"), 0);
    phone_leave(&w->two, &b);
    assert_int_equal(tell(&w->one, &a), YZ_OK); /* while b is away */
    run_both(w, 100);
    assert_int_equal(phone_join(&w->two, &b, phone_place(&b)), YZ_OK);
    AWAIT(b.subscribed);
    join(&w->two, &late, "m3", THREAD);
    run_both(w, 100);
    assert_true(b.recovered && b.missed == 0);
    assert_int_equal(b.signals, 1);
    assert_int_equal(late.signals, 0);
    phone_close(&w->one, &a);
    phone_close(&w->two, &b);
    phone_close(&w->two, &late);
}

/* More viewers than thread_batch_viewers, wherever they are. */
static void a_crowd_is_told_nothing(void **state)
{
    struct phone a, few, crowd[4];

    WORLD(state);
    join(&w->one, &a, "m1", THREAD);
    join(&w->one, &few, "m2", THREAD);
    for (int i = 0; i < 4; i++)
        join(&w->two, &crowd[i], i ? "m3" : "m4", THREAD);
    run_both(w, 100);
    assert_int_equal(tell(&w->one, &a), YZ_OK); /* its own gateway sees two */
    AWAIT(few.signals == 1);
    AWAIT(rig_counter(&w->two.metrics.signals_dropped) == 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(crowd[i].signals, 0);
    assert_int_equal(tell(&w->two, &crowd[0]), YZ_OK); /* says nothing, and is not even sent */
    run_both(w, 100);
    assert_int_equal(few.signals, 1);
    assert_int_equal(rig_counter(&w->two.metrics.signals_sent), 0);
    phone_close(&w->two, &crowd[3]);
    assert_int_equal(tell(&w->two, &crowd[0]), YZ_OK);
    AWAIT(few.signals == 2);
    phone_close(&w->one, &a);
    phone_close(&w->one, &few);
    for (int i = 0; i < 3; i++)
        phone_close(&w->two, &crowd[i]);
}

static void a_gateway_bounds_what_it_says_and_hands_on(void **state)
{
    struct phone a, b, c;

    WORLD(state);
    join(&w->one, &a, "m1", THREAD);
    join(&w->two, &b, "m2", THREAD);
    join(&w->two, &c, "m3", THREAD);
    assert_int_equal(tell(&w->one, &a), YZ_OK);
    assert_int_equal(tell(&w->one, &a), YZ_OK);
    assert_int_equal(tell(&w->one, &a), YZ_BUSY); /* two a second */
    /* Three deliveries a second: each costs two. */
    AWAIT(rig_counter(&w->two.metrics.signals_dropped) == 1);
    assert_int_equal(b.signals, 1);
    assert_int_equal(c.signals, 1);
    phone_close(&w->one, &a);
    phone_close(&w->two, &b);
    phone_close(&w->two, &c);
}

static void publish_raw(struct world *w, const void *body, int len)
{
    assert_int_equal(natsConnection_Publish(w->broker.nc, "sig." THREAD_SUBJECT, body, len),
                     NATS_OK);
    assert_int_equal(natsConnection_FlushTimeout(w->broker.nc, 5000), NATS_OK);
}

/* What it does not understand is dropped and counted, and a bus that is away is told. */
static void takes_no_nonsense(void **state)
{
    static const char strange[] = "\x12\x02m9\x18\x63", no_id[] = "\x12\x03m 9\x18\x01",
                      garbage[] = "\xff\xff", good[] = "\x12\x02m9\x18\x01";
    struct phone a;

    WORLD(state);
    join(&w->one, &a, "m1", THREAD);
    publish_raw(w, strange, sizeof strange - 1);
    publish_raw(w, no_id, sizeof no_id - 1);
    publish_raw(w, garbage, sizeof garbage - 1);
    publish_raw(w, "", 0);
    publish_raw(w, good, sizeof good - 1);
    AWAIT(a.signals == 1);
    assert_string_equal(a.signal_member, "m9");
    assert_int_equal(rig_counter(&w->one.metrics.signals_dropped), 4);
    broker_kill(&w->broker);
    AWAIT(!gw_link_connected(w->one.link));
    assert_int_equal(tell(&w->one, &a), YZ_BUS_UNAVAILABLE);
    phone_close(&w->one, &a);
}

/* Only threads have them: no other channel costs a subscription more. */
static void other_channels_listen_to_none(void **state)
{
    static const char good[] = "\x12\x02m9\x18\x01";
    struct phone a;

    WORLD(state);
    join(&w->one, &a, "m1", MEETING);
    assert_int_equal(
        natsConnection_Publish(w->broker.nc, "sig." MEETING_SUBJECT, good, sizeof good - 1),
        NATS_OK);
    publish(w->broker.nc, MEETING_SUBJECT, 1);
    AWAIT(a.count == 1);
    assert_int_equal(a.signals, 0);
    phone_close(&w->one, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name, up) cmocka_unit_test_setup_teardown(name, up, tear_down)
        CASE(tells_the_others_on_every_gateway, set_up),
        CASE(nothing_is_kept, set_up),
        CASE(a_crowd_is_told_nothing, set_up),
        CASE(a_gateway_bounds_what_it_says_and_hands_on, set_up_scarce),
        CASE(takes_no_nonsense, set_up),
        CASE(other_channels_listen_to_none, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
