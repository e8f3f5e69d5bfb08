/* Who has no room for more: paused, and gone on with from memory or from the stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_rig.h"

static struct settings usual = {.channel_limits = ""};
static struct settings keeps_1500 = {.channel_limits = ",\"max_msgs_per_subject\":1500"};

/* What was missed, what came meanwhile, then the values as they are now, then what is live. */
static void goes_on_when_there_is_room(void **state)
{
    struct phone p, witness; /* who sees at once what came */
    size_t published = 50;

    RIG_AND_BROKER(state);
    store(rig, broker, MEETING_SUBJECT, 50);
    phone_open(rig, &witness, "m2", MEETING, from_start);
    publish_with(broker->nc, "state.t1." MEETING ".attendance", 1, 1, NULL, NULL);
    open_limited(rig, &p, MEETING, from_start, 0);
    assert_int_equal(p.missed, 50);
    rig_run(rig, 50);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.position, 0);
    for (size_t had = 0; had < 80; had += 8) {
        publish(broker->nc, MEETING_SUBJECT, 3);
        published += 3;
        publish_with(broker->nc, "state.t1." MEETING ".attendance", 2 + (unsigned)had, 1, NULL,
                     NULL);
        RIG_AWAIT(rig, witness.count == published, 2000); /* so that they count as missed */
        phone_make_room(rig, &p, 8);
        RIG_AWAIT(rig, p.paused, 2000);
        rig_run(rig, 20);
        assert_int_equal(p.count, had + 8);
        assert_int_equal(p.values, 0);
    }
    assert_int_equal(p.position, 80);
    phone_make_room(rig, &p, 1); /* all is here, and the values need room */
    RIG_AWAIT(rig, p.values == 1, 2000);
    p.room = 0;
    publish(broker->nc, MEETING_SUBJECT, 1);
    publish_with(broker->nc, "state.t1." MEETING ".attendance", 100, 1, NULL, NULL);
    RIG_AWAIT(rig, p.count == 81 && p.values == 2, 2000);
    expect_all_from(&p, 1);
    phone_close(rig, &p);
    phone_close(rig, &witness);
}

/* Without anything missed, too, the first push must not come before there is room. */
static void pauses_before_what_is_live(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    open_limited(rig, &p, MEETING, from_now, 0);
    publish(broker->nc, MEETING_SUBJECT, 5);
    rig_run(rig, 100);
    assert_int_equal(p.count, 0);
    phone_make_room(rig, &p, 9);
    RIG_AWAIT(rig, p.count == 5, 2000);
    publish(broker->nc, MEETING_SUBJECT, 5);
    RIG_AWAIT(rig, p.count == 10, 2000);
    expect_all_from(&p, 1);
    phone_close(rig, &p);
}

#define WALKERS 20

/* Longer than what is kept in memory; each is somewhere else in it. */
static void goes_on_from_the_stream_in_portions(void **state)
{
    struct phone phones[WALKERS];

    RIG_AND_BROKER(state);
    store(rig, broker, MEETING_SUBJECT, 5000);
    for (size_t i = 0; i < WALKERS; i++) {
        open_limited(rig, &phones[i], MEETING, (struct gw_since){true, "1.a", 200 * i}, 10 * i);
        assert_true(phones[i].recovered);
        assert_int_equal(phones[i].missed, 5000 - 200 * i);
    }
    publish(broker->nc, MEETING_SUBJECT, 1000);
    for (size_t i = 0; i < WALKERS; i++) {
        while (phones[i].count < 6000 - 200 * i) {
            for (size_t k = i; k < WALKERS; k++)
                phone_make_room(rig, &phones[k], 300 + 10 * k);
            RIG_AWAIT(rig, phones[i].paused || phones[i].count == 6000 - 200 * i, 5000);
        }
        assert_int_equal(phones[i].lost, YZ_CLOSE_NONE);
        expect_all_from(&phones[i], 200 * i + 1);
        phone_close(rig, &phones[i]);
    }
    assert_true(rig_counter(&rig->metrics.history_reads) < 500);
}

/* Nothing was there before it, by which a portion of what follows could be told to be whole. */
static void goes_on_from_an_empty_channel(void **state)
{
    struct phone p, witness;

    RIG_AND_BROKER(state);
    open_limited(rig, &p, MEETING, from_start, 0);
    phone_open(rig, &witness, "m2", MEETING, from_now);
    publish(broker->nc, MEETING_SUBJECT, 3000);
    RIG_AWAIT(rig, witness.count == 3000, 5000);
    phone_make_room(rig, &p, 5000);
    RIG_AWAIT(rig, p.count == 3000 || p.lost, 5000);
    assert_int_equal(p.lost, YZ_CLOSE_NONE);
    expect_all_from(&p, 1);
    phone_close(rig, &p);
    phone_close(rig, &witness);
}

/* What is due next survives, although the place itself is gone. */
static void goes_on_behind_a_place_that_is_gone(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    store(rig, broker, MEETING_SUBJECT, 1600); /* 101 is the first that is kept */
    open_limited(rig, &p, MEETING, from_start, 0);
    assert_int_equal(p.missed, 1500);
    phone_make_room(rig, &p, 10);
    RIG_AWAIT(rig, p.count == 10, 2000);
    store(rig, broker, MEETING_SUBJECT, 10); /* up to 110 are gone */
    rig_run(rig, 50);
    phone_make_room(rig, &p, 5000);
    RIG_AWAIT(rig, p.count == 1510, 5000);
    expect_all_from(&p, 101);
    assert_int_equal(p.lost, YZ_CLOSE_NONE);
    phone_close(rig, &p);
}

static void is_lost_when_what_is_due_is_gone(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    store(rig, broker, "chan.t1.org.g1", 1); /* the stream's first tells nothing */
    store(rig, broker, MEETING_SUBJECT, 1600);
    open_limited(rig, &p, MEETING, from_start, 10);
    RIG_AWAIT(rig, p.count == 10, 2000);
    store(rig, broker, MEETING_SUBJECT, 11);
    rig_run(rig, 50);
    phone_make_room(rig, &p, 5000);
    RIG_AWAIT(rig, p.lost == YZ_CLOSE_CHANNEL_LOST, 5000);
    assert_int_equal(p.count, 10);
    phone_leave(rig, &p);
    phone_enter(rig, &p, phone_place(&p));
    assert_false(p.recovered);
    assert_int_equal(p.missed, 1500);
    phone_close(rig, &p);
}

static void goes_on_when_the_bus_is_back(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    store(rig, broker, MEETING_SUBJECT, 3000);
    open_limited(rig, &p, MEETING, from_start, 10);
    RIG_AWAIT(rig, p.count == 10, 2000);
    broker_kill(broker);
    RIG_AWAIT(rig, !gw_link_connected(rig->link), 5000);
    phone_make_room(rig, &p, 5000);
    rig_run(rig, 300);
    assert_int_equal(p.lost, YZ_CLOSE_NONE);
    assert_int_equal(p.count, 10);
    broker_restart(broker);
    publish(broker->nc, MEETING_SUBJECT, 10);
    RIG_AWAIT(rig, p.count == 3010, 10000);
    expect_all_from(&p, 1);
    phone_close(rig, &p);
}

static void loses_the_paused_when_a_stream_is_made_anew(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    store(rig, broker, MEETING_SUBJECT, 5);
    open_limited(rig, &p, MEETING, from_start, 2);
    broker_delete(broker, "CHANNELS");
    broker_stream(broker, "CHANNELS", "chan.>", "2.b", "");
    RIG_AWAIT(rig, p.lost == YZ_CLOSE_STREAM_RESET, 5000);
    phone_make_room(rig, &p, 5);
    rig_run(rig, 50);
    assert_int_equal(p.count, 2);
    phone_close(rig, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_on_when_there_is_room, usual),
        CASE(pauses_before_what_is_live, usual),
        CASE(goes_on_from_the_stream_in_portions, usual),
        CASE(goes_on_from_an_empty_channel, usual),
        CASE(goes_on_behind_a_place_that_is_gone, keeps_1500),
        CASE(is_lost_when_what_is_due_is_gone, keeps_1500),
        CASE(goes_on_when_the_bus_is_back, usual),
        CASE(loses_the_paused_when_a_stream_is_made_anew, usual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
