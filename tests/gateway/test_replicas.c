/* What a stream with replicas may answer: a direct get is served by any of them, and one that lags
 * knows less than another said before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "feed_rig.h"
#include "replicas.h"

#define OTHER "chan.t1.org.g2"
/* Two for each of more reads than are tried where there is one copy. */
#define CUT_OFF_TURNS 20

struct world {
    struct broker broker;
    struct rig rig;
    struct replicas replicas;
    struct feed_rig channel;
};

static int set_up(void **state)
{
    struct world *w = world_with(state, sizeof *w, broker_start_plain);
    struct rig *rig;

    if (!w)
        return 0;
    rig = &w->rig;
    rig_conf(rig, &w->broker);
    rig->conf.audit_interval_ms = 60000; /* a test that wants a look asks for it */
    rig_loop_start(rig);
    replicas_start(&w->replicas, &w->broker, &rig->loop);
    rig_link_start(rig);
    feed_rig_start(&w->channel, rig);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    feed_rig_stop(&w->channel);
    replicas_stop(&w->replicas);
    rig_stop(&w->rig);
    return world_free(w);
}

/* Nobody tells how far an empty channel was looked at: what lies below the stream's first is gone
 * all the same. */
static void an_empty_channel_begins_at_the_streams_first(void **state)
{
    WORLD(state);
    w->replicas.first = 401;
    w->replicas.last = 500;
    feed_rig_open(&w->channel);
    assert_int_equal(w->replicas.leader_gets, 1);
    assert_int_equal(w->channel.feed.seen, 0);
    assert_int_equal(w->channel.feed.covered, 400);
    assert_int_equal(w->channel.feed.recent.floor, 400);
}

/* A phone that was away while pushes expired is told so; one that comes is told a place from which
 * nothing is lost. */
static void an_empty_channel_hides_no_loss(void **state)
{
    struct phone away, fresh;

    WORLD(state);
    w->replicas.first = 401;
    w->replicas.last = 500;
    phone_open(&w->rig, &away, "m1", MEETING, (struct gw_since){true, "1.a", 100});
    assert_false(away.recovered);
    assert_int_equal(away.promised, 400);
    phone_open(&w->rig, &fresh, "m2", MEETING, from_now);
    assert_int_equal(fresh.promised, 400);
    phone_leave(&w->rig, &fresh);
    phone_enter(&w->rig, &fresh, phone_place(&fresh));
    assert_true(fresh.recovered);
    phone_close(&w->rig, &away);
    phone_close(&w->rig, &fresh);
}

/* Between the leader's answer and its arrival another look has met a newer message. */
static void a_late_leader_hides_nothing_newer(void **state)
{
    WORLD(state);
    replicas_store(&w->replicas, FEED_SUBJECT, 500);
    w->replicas.turns[0].end = 450;
    w->replicas.leader_late = true;
    gw_feed_open(w->channel.feeds, &w->channel.feed);
    RIG_AWAIT(&w->rig, w->replicas.leader_gets == 1, 5000);
    replicas_store(&w->replicas, FEED_SUBJECT, 600);
    w->replicas.last = 700;
    RIG_AWAIT(&w->rig, w->channel.feed.watch.upto == 700, 5000);
    replicas_leader_answer(&w->replicas);
    RIG_AWAIT(&w->rig, w->channel.loaded, 5000);
    assert_int_equal(w->channel.feed.covered, 700);
    assert_int_equal(w->channel.feed.seen, 600);
}

/* The look met 600; for longer than a stream of one copy is asked again, reads are answered by a
 * replica that is cut off. */
static void awaits_what_a_replica_lacks(void **state)
{
    struct phone p;

    WORLD(state);
    replicas_store(&w->replicas, MEETING_SUBJECT, 500);
    replicas_store(&w->replicas, MEETING_SUBJECT, 600);
    for (size_t i = 1; i < CUT_OFF_TURNS; i++)
        w->replicas.turns[i].end = 590;
    phone_init(&p, "m1", MEETING);
    assert_int_equal(phone_join(&w->rig, &p, (struct gw_since){true, "1.a", 550}), YZ_OK);
    RIG_AWAIT(&w->rig, p.subscribed, 20000);
    assert_true(w->replicas.gets >= CUT_OFF_TURNS);
    assert_true(p.recovered);
    assert_int_equal(p.missed, 1);
    RIG_AWAIT(&w->rig, p.count == 1, 5000);
    assert_int_equal(p.offsets[0], 600);
    phone_close(&w->rig, &p);
}

/* A look meets 600, which did not arrive; the replica that is read ends at `end`. */
static void meet_600(struct world *w, uint64_t end)
{
    replicas_store(&w->replicas, FEED_SUBJECT, 500);
    feed_rig_open(&w->channel);
    replicas_store(&w->replicas, FEED_SUBJECT, 550);
    replicas_store(&w->replicas, FEED_SUBJECT, 600);
    w->replicas.turns[2].end = end; /* after the look that opened it, and this one */
    gw_feed_resync(&w->channel.feed);
}

static void asks_again_for_what_a_replica_lacked(void **state)
{
    WORLD(state);
    meet_600(w, 550);
    RIG_AWAIT(&w->rig, w->channel.count == 2, 5000);
    assert_int_equal(w->channel.offsets[0], 550);
    assert_int_equal(w->channel.offsets[1], 600);
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE && !w->channel.feed.suspect, 2000);
    assert_int_equal(w->channel.lost, 0);
}

/* The look that met 600 could not tell how far it looked, so the next one begins where it did; its
 * replica knows of 550 only. */
static void does_not_forget_what_was_met(void **state)
{
    WORLD(state);
    meet_600(w, 650);
    w->replicas.last = 700;
    w->replicas.turns[1].lost = 1; /* so 600 comes in the next answer */
    w->replicas.turns[3].end = 550;
    RIG_AWAIT(&w->rig, w->channel.feed.suspect == 600, 5000);
    assert_int_equal(w->channel.feed.watch.upto, 500);
    gw_feed_resync(&w->channel.feed);
    RIG_AWAIT(&w->rig, w->channel.feed.watch.list, 5000);
    assert_int_equal(w->replicas.gets, 4);
    assert_int_equal(w->channel.feed.suspect, 600);
}

/* What was met is in the stream no more: it is asked for a while, and then given up. */
static void gives_up_what_was_met_and_has_gone(void **state)
{
    size_t gets;

    WORLD(state);
    meet_600(w, 550);
    RIG_AWAIT(&w->rig, w->channel.feed.suspect == 600, 5000);
    w->replicas.count--;
    RIG_AWAIT(&w->rig, w->channel.lost == 1, 10000);
    RIG_AWAIT(&w->rig, w->channel.feed.state == GW_FEED_LIVE && !w->channel.feed.later, 5000);
    assert_int_equal(w->channel.count, 1);
    assert_int_equal(w->channel.feed.suspect, 0);
    assert_in_range(w->replicas.gets, 10, 80); /* two for each try */
    gets = w->replicas.gets;
    rig_run(&w->rig, 700); /* more than three tries' time */
    assert_int_equal(w->replicas.gets, gets);
    assert_int_equal(w->channel.lost, 1);
}

/* 500 to 579 are gone, and the replica that is read lacks 700, which the look has met: that is due
 * behind the hole still. */
static void a_hole_hides_nothing_behind_it(void **state)
{
    WORLD(state);
    replicas_store(&w->replicas, FEED_SUBJECT, 500);
    feed_rig_open(&w->channel);
    w->replicas.count = 0;
    w->replicas.first = 580;
    replicas_store(&w->replicas, FEED_SUBJECT, 600);
    replicas_store(&w->replicas, FEED_SUBJECT, 700);
    w->replicas.turns[2].end = 650;
    gw_feed_resync(&w->channel.feed);
    RIG_AWAIT(&w->rig, w->channel.lost == 1, 5000);
    RIG_AWAIT(&w->rig, w->channel.count == 2, 5000);
    assert_int_equal(w->channel.offsets[0], 600);
    assert_int_equal(w->channel.offsets[1], 700);
    assert_int_equal(w->channel.lost, 1);
}

/* A lookup of both subjects at once. */
struct asked {
    struct gw_lookup_entry entry;
    uint64_t of_subject, of_other; /* what it found */
    uint64_t upto;
    bool done;
};

static struct asked *asked_of(struct gw_lookup_entry *e)
{
    return (struct asked *)((char *)e - offsetof(struct asked, entry));
}

static void on_found(struct gw_lookup_entry *e, natsMsg *msg, uint64_t seq)
{
    struct asked *asked = asked_of(e);
    const char *subject;

    assert_int_equal(natsMsgHeader_Get(msg, "Nats-Subject", &subject), NATS_OK);
    *(strcmp(subject, FEED_SUBJECT) == 0 ? &asked->of_subject : &asked->of_other) = seq;
}

static void on_done(struct gw_lookup_entry *e, uint64_t upto, enum yz_err err)
{
    assert_int_equal(err, YZ_OK);
    asked_of(e)->upto = upto;
    asked_of(e)->done = true;
}

static struct asked look_up(struct world *w)
{
    struct asked asked = {
        .entry = {.filter = "chan.t1.>", .on_found = on_found, .on_done = on_done}};
    struct gw_lookup *lookup;

    assert_int_equal(gw_lookup_new(w->rig.link, GW_CHANNELS, &lookup), YZ_OK);
    gw_lookup_ask(lookup, &asked.entry);
    RIG_AWAIT(&w->rig, asked.done, 5000);
    gw_lookup_free(lookup);
    return asked;
}

/* The answer broke off, and the rest came from a replica that has not got 20 yet. */
static void does_not_claim_what_only_another_replica_had(void **state)
{
    struct asked asked;

    WORLD(state);
    replicas_store(&w->replicas, FEED_SUBJECT, 10);
    replicas_store(&w->replicas, OTHER, 20);
    w->replicas.last = 30;
    w->replicas.turns[0].lost = 2;
    w->replicas.turns[1].end = 15;
    asked = look_up(w);
    assert_int_equal(w->replicas.gets, 2);
    assert_int_equal(asked.of_subject, 10);
    assert_int_equal(asked.of_other, 0);
    assert_in_range(asked.upto, 0, 19);
}

/* The first page left out 5 in favour of 20, which is due on the second one; there it is not known
 * yet, and 5 lies before it. */
static void does_not_claim_what_fell_between_two_pages(void **state)
{
    struct asked asked;

    WORLD(state);
    replicas_store(&w->replicas, OTHER, 5);
    replicas_store(&w->replicas, FEED_SUBJECT, 10);
    replicas_store(&w->replicas, OTHER, 20);
    w->replicas.last = 30;
    w->replicas.turns[0].page_size = 1;
    w->replicas.turns[1].end = 15;
    asked = look_up(w);
    assert_int_equal(asked.of_subject, 10);
    assert_int_equal(asked.of_other, 0);
    assert_in_range(asked.upto, 0, 4);
}

/* The second page's replica has none of the messages, and does not say how far it is. */
static void does_not_claim_for_a_replica_that_has_nothing(void **state)
{
    struct asked asked;

    WORLD(state);
    replicas_store(&w->replicas, FEED_SUBJECT, 10);
    replicas_store(&w->replicas, OTHER, 20);
    w->replicas.last = 30;
    w->replicas.turns[0].page_size = 1;
    w->replicas.turns[1].end = 1;
    asked = look_up(w);
    assert_int_equal(asked.of_other, 0);
    assert_in_range(asked.upto, 0, 19);
}

static void goes_on_where_a_page_ends(void **state)
{
    struct asked asked;

    WORLD(state);
    replicas_store(&w->replicas, FEED_SUBJECT, 10);
    replicas_store(&w->replicas, OTHER, 20);
    w->replicas.last = 40;
    w->replicas.turns[0] = (struct replica_turn){.end = 30, .page_size = 1};
    asked = look_up(w);
    assert_int_equal(w->replicas.gets, 2);
    assert_int_equal(asked.of_subject, 10);
    assert_int_equal(asked.of_other, 20);
    assert_in_range(asked.upto, 30, 40); /* what both replicas had */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(an_empty_channel_begins_at_the_streams_first),
        CASE(an_empty_channel_hides_no_loss),
        CASE(a_late_leader_hides_nothing_newer),
        CASE(awaits_what_a_replica_lacks),
        CASE(asks_again_for_what_a_replica_lacked),
        CASE(does_not_forget_what_was_met),
        CASE(gives_up_what_was_met_and_has_gone),
        CASE(a_hole_hides_nothing_behind_it),
        CASE(does_not_claim_what_only_another_replica_had),
        CASE(does_not_claim_what_fell_between_two_pages),
        CASE(does_not_claim_for_a_replica_that_has_nothing),
        CASE(goes_on_where_a_page_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
