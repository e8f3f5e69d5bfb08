/* Channels against a real nats-server: resuming, gaps, values, outages. The bus end runs in this
 * process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_rig.h"

static struct settings usual = {.channel_limits = ""};
static struct settings small_queue = {.channel_limits = "", .inbound_queue_max = 1024};
/* A window that no machine is too slow for: it ends by what the test does. */
static struct settings batches = {.channel_limits = "", .batch_ms = 5000};
static struct settings short_batches = {.channel_limits = "", .batch_ms = 50};
static struct settings keeps_10 = {.channel_limits = ",\"max_msgs_per_subject\":10"};
static struct settings keeps_10_of_a_small_queue = {
    .channel_limits = ",\"max_msgs_per_subject\":10", .inbound_queue_max = 1024};

static void joins_empty_channel_and_resumes(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    publish(broker->nc, "chan.t1.org.g1", 7);
    phone_open(rig, &p, "m1", MEETING, from_now);
    assert_int_equal(p.position, 7); /* the stream's last: all before it is known not to be ours */
    assert_false(p.recovered);
    assert_int_equal(p.missed, 0);
    assert_string_equal(p.epoch, "1.a");
    phone_leave(rig, &p);

    publish(broker->nc, MEETING_SUBJECT, 3);
    rig_run(rig, 100); /* else they may come behind the reply as live ones */
    phone_enter(rig, &p, phone_place(&p));
    assert_true(p.recovered);
    assert_int_equal(p.missed, 3);
    assert_int_equal(p.count, 3);
    assert_int_equal(p.offsets[0], 8);
    assert_int_equal(p.position, 10);

    publish(broker->nc, MEETING_SUBJECT, 2);
    RIG_AWAIT(rig, p.count == 5, 2000);
    assert_int_equal(p.position, 12);
    phone_close(rig, &p);
}

static void publish_apart(struct rig *rig, struct broker *broker, const char *subject, int count)
{
    for (int i = 0; i < count; i++) {
        publish(broker->nc, subject, 1);
        rig_run(rig, 20);
    }
}

static void assert_each_once(const struct phone *p, uint64_t count)
{
    assert_int_equal(p->count, count);
    expect_all_from(p, 1);
}

/* Above so many viewers pushes of a thread wait for each other; who comes meanwhile gets each once,
 * and so do those who were there. */
static void many_viewers_get_batches(void **state)
{
    struct phone a, b, late;

    RIG_AND_BROKER(state);
    phone_open(rig, &a, "m1", THREAD, from_start);
    publish_apart(rig, broker, THREAD_SUBJECT, 2);
    RIG_AWAIT(rig, a.count == 2, 2000); /* one viewer: at once */
    phone_open(rig, &b, "m2", THREAD, from_start);
    RIG_AWAIT(rig, b.count == 2, 2000);
    publish_apart(rig, broker, THREAD_SUBJECT, 5);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    phone_open(rig, &late, "m3", THREAD, from_start);
    RIG_AWAIT(rig, late.count == 7, 2000);
    assert_each_once(&a, 7);
    assert_each_once(&b, 7);
    publish_apart(rig, broker, THREAD_SUBJECT, 1);
    phone_leave(rig, &late); /* with a batch waiting */
    assert_each_once(&late, 7);
    /* and back: from where it was, with what came meanwhile */
    publish_apart(rig, broker, THREAD_SUBJECT, 1);
    phone_enter(rig, &late, phone_place(&late));
    RIG_AWAIT(rig, late.count == 9 && a.count == 9 && b.count == 9, 2000);
    assert_true(late.recovered);
    assert_each_once(&late, 9);
    assert_each_once(&a, 9);
    publish_apart(rig, broker, THREAD_SUBJECT, 1);
    RIG_AWAIT(rig, a.count == 10 && b.count == 10 && late.count == 10,
              15000); /* the window's end */
    assert_each_once(&b, 10);
    phone_close(rig, &a);
    phone_close(rig, &b);
    phone_close(rig, &late);
}

/* Batch after batch, some of them full before their time: all of it, in order. */
static void batches_lose_nothing(void **state)
{
    struct phone a, b;

    RIG_AND_BROKER(state);
    phone_open(rig, &a, "m1", THREAD, from_start);
    phone_open(rig, &b, "m2", THREAD, from_start);
    for (int i = 0; i < 5; i++) {
        publish(broker->nc, THREAD_SUBJECT, 300);
        rig_run(rig, 30);
    }
    RIG_AWAIT(rig, a.count == 1500 && b.count == 1500, 15000);
    assert_each_once(&a, 1500);
    assert_each_once(&b, 1500);
    phone_close(rig, &a);
    phone_close(rig, &b);
}

/* Other channels have other ends: they are handed on at once. */
static void only_threads_are_batched(void **state)
{
    struct phone a, b;

    RIG_AND_BROKER(state);
    phone_open(rig, &a, "m1", MEETING, from_start);
    phone_open(rig, &b, "m2", MEETING, from_start);
    publish(broker->nc, MEETING_SUBJECT, 3);
    RIG_AWAIT(rig, a.count == 3 && b.count == 3, 2000);
    phone_close(rig, &a);
    phone_close(rig, &b);
}

static void resumes_from_each_place(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    for (int i = 0; i < 5; i++) {
        publish(broker->nc, MEETING_SUBJECT, 1); /* 1, 3, 5, 7, 9 */
        publish(broker->nc, "chan.t1.org.g1", 1);
    }
    for (uint64_t place = 0; place <= 10; place++) {
        uint64_t expected = (10 - place) / 2;

        phone_open(rig, &p, "m1", MEETING, (struct gw_since){true, "1.a", place});
        assert_true(p.recovered);
        assert_int_equal(p.missed, expected);
        assert_int_equal(p.count, expected);
        for (size_t i = 0; i < p.count; i++)
            assert_int_equal(p.offsets[i], 11 - 2 * (expected - i));
        phone_close(rig, &p);
    }
}

static void tells_what_it_cannot_recover(void **state)
{
    static const struct {
        struct gw_since since;
        bool recovered;
        uint32_t missed;
    } cases[] = {
        {{true, "1.a", 5}, false, 10},  /* evicted: 1 to 20 are gone */
        {{true, "1.a", 20}, false, 10}, /* nothing is missing, but nothing proves it */
        {{true, "1.a", 21}, true, 9},   /* its own place survives */
        {{true, "1.a", 30}, true, 0},   {{true, "1.a", 31}, false, 10}, /* beyond the end */
        {{true, "0.z", 25}, false, 10},                                 /* another epoch */
        {{true, "", 0}, false, 10},                                     /* whole */
        {{false, "", 0}, false, 0},
    };
    struct phone p;

    RIG_AND_BROKER(state);
    publish(broker->nc, MEETING_SUBJECT, 30);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        phone_open(rig, &p, "m1", MEETING, cases[i].since);
        assert_int_equal(p.recovered, cases[i].recovered);
        assert_int_equal(p.missed, cases[i].missed);
        assert_int_equal(p.count, cases[i].missed);
        assert_int_equal(p.position, 30);
        phone_close(rig, &p);
    }
}

static void reads_long_history_in_pages(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    publish(broker->nc, THREAD_SUBJECT, 3000);
    phone_open(rig, &p, "m1", THREAD, from_start);
    assert_int_equal(p.missed, 3000);
    assert_each_once(&p, 3000);
    phone_close(rig, &p);
}

static void sends_only_to_the_audience(void **state)
{
    struct phone p, q;

    RIG_AND_BROKER(state);
    publish_with(broker->nc, MEETING_SUBJECT, 1, 1, "Yz-Push-Exclude", "m9,m1");
    publish_with(broker->nc, MEETING_SUBJECT, 2, 1, "Yz-Push-Roles", "secretary");
    publish(broker->nc, MEETING_SUBJECT, 1);
    phone_init(&p, "m1", MEETING);
    phone_init(&q, "m2", MEETING);
    snprintf(q.actor.roles, sizeof q.actor.roles, "member,secretary@g1");
    phone_enter(rig, &p, from_start);
    phone_enter(rig, &q, from_start);
    assert_int_equal(p.missed, 1);
    assert_int_equal(p.offsets[0], 3);
    assert_int_equal(q.missed, 3);
    publish_with(broker->nc, MEETING_SUBJECT, 4, 1, "Yz-Push-Roles", "secretary");
    RIG_AWAIT(rig, q.count == 4, 2000);
    assert_int_equal(p.count, 1);
    phone_close(rig, &p);
    phone_close(rig, &q);
}

static void sends_values_after_history(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    publish(broker->nc, MEETING_SUBJECT, 2);
    publish_with(broker->nc, "state.t1." MEETING ".attendance", 1, 3, NULL, NULL);
    publish_with(broker->nc, "state.t1." MEETING ".board.x", 1, 1, NULL, NULL);
    publish_with(broker->nc, "state.t1.meeting.g1/c1/b1.m2.attendance", 1, 1, NULL, NULL);
    phone_open(rig, &p, "m1", MEETING, from_start);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.values, 2); /* of each name the last one */
    publish_with(broker->nc, "state.t1." MEETING ".attendance", 4, 1, NULL, NULL);
    RIG_AWAIT(rig, p.values == 3, 2000);
    phone_close(rig, &p);
}

/* More values than one multi_last answers. */
static void loads_many_values(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    for (int i = 0; i < 1500; i++) {
        char subject[128];

        snprintf(subject, sizeof subject, "state.t1.member.m1.receipts.n%d.g1", i);
        publish_with(broker->nc, subject, 1, 1, NULL, NULL);
    }
    phone_open(rig, &p, "m1", "member.m1", from_now);
    assert_int_equal(p.values, 1500);
    phone_close(rig, &p);
}

/* The loop stands still while more comes than the queue takes. */
static void repairs_what_the_queue_dropped(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    phone_open(rig, &p, "m1", MEETING, from_now);
    publish(broker->nc, MEETING_SUBJECT, 20000);
    nats_Sleep(500);
    RIG_AWAIT(rig, p.count == 20000, 30000);
    assert_true(rig_counter(&rig->metrics.inbound_dropped) > 0);
    assert_true(rig_counter(&rig->metrics.pushes_repaired) > 0);
    expect_all_from(&p, 1);
    assert_int_equal(p.lost, YZ_CLOSE_NONE);
    phone_close(rig, &p);
}

/* More comes than the queue takes, and than the stream keeps: whoever was closed for it, and comes
 * back to where it was, is not told that nothing is missing. */
static void remembers_a_hole(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    phone_open(rig, &p, "m1", MEETING, from_now);
    publish(broker->nc, MEETING_SUBJECT, 2000);
    RIG_AWAIT(rig, p.lost, 10000);
    assert_int_equal(p.lost, YZ_CLOSE_CHANNEL_LOST);
    assert_true(p.position < 1990);
    phone_leave(rig, &p);
    p.count = 0;
    rig_run(rig, 500); /* the chain goes on behind the hole */
    phone_enter(rig, &p, phone_place(&p));
    RIG_AWAIT(rig, p.count == 10, 5000);
    expect_all_from(&p, 1991);
    assert_false(p.recovered);
    phone_close(rig, &p);
}

static void refuses_while_the_bus_is_away_and_goes_on(void **state)
{
    struct phone p, q;

    RIG_AND_BROKER(state);
    phone_init(&p, "m1", MEETING);
    phone_init(&q, "m2", MEETING);
    publish(broker->nc, MEETING_SUBJECT, 5);
    phone_enter(rig, &p, from_start);
    broker_kill(broker);
    RIG_AWAIT(rig, !gw_link_connected(rig->link), 5000);
    assert_int_equal(phone_join(rig, &q, from_now), YZ_BUS_UNAVAILABLE);
    broker_restart(broker);
    publish(broker->nc, MEETING_SUBJECT, 5); /* most likely before the gateway is back */
    RIG_AWAIT(rig, p.count == 10, 10000);
    assert_int_equal(p.lost, YZ_CLOSE_NONE);
    phone_enter(rig, &q, (struct gw_since){true, "1.a", 2});
    assert_true(q.recovered);
    assert_int_equal(q.count, 8);
    phone_close(rig, &p);
    phone_close(rig, &q);
}

static void loses_its_sessions_when_a_stream_is_made_anew(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    phone_init(&p, "m1", MEETING);
    publish(broker->nc, MEETING_SUBJECT, 5);
    phone_enter(rig, &p, from_start);
    broker_delete(broker, "CHANNELS");
    broker_stream(broker, "CHANNELS", "chan.>", "2.b", "");
    publish(broker->nc, MEETING_SUBJECT, 2);
    RIG_AWAIT(rig, p.lost == YZ_CLOSE_STREAM_RESET, 5000);
    phone_leave(rig, &p);
    p.count = 0;
    phone_enter(rig, &p, phone_place(&p));
    assert_false(p.recovered);
    assert_string_equal(p.epoch, "2.b");
    assert_int_equal(p.count, 2);
    assert_int_equal(p.position, 2);
    phone_close(rig, &p);
}

static void becomes_ready_when_the_streams_come(void **state)
{
    const char *reason;

    RIG_AND_BROKER(state);
    broker_delete(broker, "THREADS");
    RIG_AWAIT(rig, !gw_link_ready(rig->link, &reason), 5000);
    assert_non_null(strstr(reason, "THREADS"));
    broker_stream(broker, "THREADS", "thr.>", "1.a", "");
    RIG_AWAIT(rig, gw_link_ready(rig->link, &reason), 5000);
}

#define PHONES 1000

/* All phones come back at once, each from another place: a few reads serve them all. */
static void shares_reads_in_a_storm(void **state)
{
    struct phone *phones;
    uint64_t reads;
    size_t served = 0;

    RIG_AND_BROKER(state);
    publish(broker->nc, MEETING_SUBJECT, 500);
    phones = calloc(PHONES, sizeof *phones);
    reads = rig_counter(&rig->metrics.history_reads);
    for (size_t i = 0; i < PHONES; i++) {
        phone_init(&phones[i], "m1", MEETING);
        assert_int_equal(
            phone_join(rig, &phones[i], (struct gw_since){true, "1.a", 1 + i * 7 % 500}), YZ_OK);
    }
    while (served < PHONES) {
        uv_run(&rig->loop, UV_RUN_ONCE);
        for (served = 0; served < PHONES && phones[served].subscribed; served++)
            ;
    }
    for (size_t i = 0; i < PHONES; i++) {
        assert_true(phones[i].recovered);
        assert_int_equal(phones[i].count, 499 - i * 7 % 500);
        phone_close(rig, &phones[i]);
    }
    assert_true(rig_counter(&rig->metrics.history_reads) - reads <= 8);
    free(phones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(joins_empty_channel_and_resumes, usual),
        CASE(many_viewers_get_batches, batches),
        CASE(batches_lose_nothing, short_batches),
        CASE(only_threads_are_batched, batches),
        CASE(resumes_from_each_place, usual),
        CASE(tells_what_it_cannot_recover, keeps_10),
        CASE(reads_long_history_in_pages, usual),
        CASE(sends_only_to_the_audience, usual),
        CASE(sends_values_after_history, usual),
        CASE(loads_many_values, usual),
        CASE(repairs_what_the_queue_dropped, small_queue),
        CASE(remembers_a_hole, keeps_10_of_a_small_queue),
        CASE(refuses_while_the_bus_is_away_and_goes_on, usual),
        CASE(loses_its_sessions_when_a_stream_is_made_anew, usual),
        CASE(becomes_ready_when_the_streams_come, usual),
        CASE(shares_reads_in_a_storm, usual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
