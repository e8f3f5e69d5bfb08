/* Who comes back: from what is kept in memory, or from the stream where that is not enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "channel_rig.h"

static struct settings usual = {.channel_limits = ""};

#define ORG_CHANNEL "org.g1/c1"
#define ORG_SUBJECT "chan.t1.org.g1/c1"

static uint64_t from_memory(const struct rig *rig)
{
    return rig_counter(&rig->metrics.resumes_from_memory);
}

static uint64_t reads_of(const struct rig *rig)
{
    return rig_counter(&rig->metrics.history_reads);
}

/* Comes back with this place and leaves: what it got is exactly first to last. */
static void come_back(struct rig *rig, const char *channel, struct gw_since since, bool recovered,
                      uint64_t first, uint64_t last)
{
    struct phone p;

    phone_open(rig, &p, "m1", channel, since);
    RIG_AWAIT(rig, p.count >= last - first + 1, 5000);
    assert_int_equal(p.recovered, recovered);
    assert_int_equal(p.count, last - first + 1);
    expect_all_from(&p, first);
    phone_close(rig, &p);
}

/* The next one needs no read, from this place or a later one; an older place needs one. */
static void keeps_in_memory_what_was_read(void **state)
{
    RIG_AND_BROKER(state);
    publish(broker->nc, ORG_SUBJECT, 25);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, true, 6, 25);
    assert_int_equal(reads_of(rig), 1);
    assert_int_equal(from_memory(rig), 0);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, true, 6, 25);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 17}, true, 18, 25);
    assert_int_equal(reads_of(rig), 1);
    assert_int_equal(from_memory(rig), 2);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 4}, true, 5, 25);
    assert_int_equal(reads_of(rig), 2);
    assert_int_equal(from_memory(rig), 2);
}

/* An inbox has one reader: its history is kept until that one has it, and no longer. */
static void keeps_no_inbox(void **state)
{
    struct phone p;

    RIG_AND_BROKER(state);
    publish(broker->nc, "chan.t1.member.m1", 25);
    come_back(rig, "member.m1", (struct gw_since){true, "1.a", 5}, true, 6, 25);
    come_back(rig, "member.m1", (struct gw_since){true, "1.a", 5}, true, 6, 25);
    assert_int_equal(reads_of(rig), 2);
    assert_int_equal(from_memory(rig), 0);
    open_limited(rig, &p, "member.m1", (struct gw_since){true, "1.a", 5}, 0);
    rig_run(rig, 50);
    assert_int_equal(p.count, 0);
    phone_make_room(rig, &p, 100);
    RIG_AWAIT(rig, p.count == 20, 2000);
    assert_int_equal(reads_of(rig), 3);
    phone_close(rig, &p);
}

/* More than is kept of a channel: from before it, the stream is asked. */
static void reads_again_what_memory_let_go(void **state)
{
    RIG_AND_BROKER(state);
    publish(broker->nc, ORG_SUBJECT, 1500);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 1}, true, 2, 1500);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 1}, true, 2, 1500);
    assert_int_equal(from_memory(rig), 0);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 1400}, true, 1401, 1500);
    assert_int_equal(from_memory(rig), 1);
}

static void forgets_what_was_purged(void **state)
{
    const struct gw_stream *stream;

    RIG_AND_BROKER(state);
    stream = gw_streams_get(gw_link_streams(rig->link), GW_CHANNELS);
    publish(broker->nc, ORG_SUBJECT, 25);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, true, 6, 25);
    broker_api(broker, "$JS.API.STREAM.PURGE.CHANNELS", "{}");
    publish(broker->nc, ORG_SUBJECT, 2);
    RIG_AWAIT(rig, stream->first_seq == 26 && stream->last_seq == 27, 5000);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, false, 26, 27);
    assert_int_equal(from_memory(rig), 0);
}

/* A place in the stream before it was made anew means nothing in what is kept of the new one. */
static void takes_no_old_epoch_from_memory(void **state)
{
    const struct gw_stream *stream;

    RIG_AND_BROKER(state);
    stream = gw_streams_get(gw_link_streams(rig->link), GW_CHANNELS);
    publish(broker->nc, ORG_SUBJECT, 25);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, true, 6, 25);
    broker_delete(broker, "CHANNELS");
    broker_stream(broker, "CHANNELS", "chan.>", "2.b", "");
    publish(broker->nc, ORG_SUBJECT, 30);
    RIG_AWAIT(rig, strcmp(stream->epoch, "2.b") == 0 && stream->last_seq == 30, 5000);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 5}, false, 1, 30);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "2.b", 5}, true, 6, 30);
    come_back(rig, ORG_CHANNEL, (struct gw_since){true, "1.a", 28}, false, 1, 30);
}

/* Pushes that come while the history is read, at each moment of it: once each and in order, and
 * what is kept then has no hole. */
static void loses_no_push_that_races_with_a_read(void **state)
{
    RIG_AND_BROKER(state);
    for (int turns = 0; turns < 40; turns++) {
        char channel[64], subject[64];
        struct phone p;
        uint64_t first, last;

        snprintf(channel, sizeof channel, "org.g1/r%d", turns);
        snprintf(subject, sizeof subject, "chan.t1.org.g1/r%d", turns);
        first = (uint64_t)turns * 30 + 1;
        last = first + 29;
        publish(broker->nc, subject, 20);
        phone_init(&p, "m1", channel);
        assert_int_equal(phone_join(rig, &p, (struct gw_since){true, "1.a", first}), YZ_OK);
        for (int i = 0; i < turns; i++)
            uv_run(&rig->loop, UV_RUN_NOWAIT);
        publish(broker->nc, subject, 5);
        for (int i = 0; i < turns / 2; i++)
            uv_run(&rig->loop, UV_RUN_NOWAIT);
        publish(broker->nc, subject, 5);
        RIG_AWAIT(rig, p.refused || p.count == 29, 5000);
        assert_int_equal(p.refused, YZ_OK);
        assert_true(p.recovered);
        expect_all_from(&p, first + 1);
        phone_close(rig, &p);
        come_back(rig, channel, (struct gw_since){true, "1.a", first}, true, first + 1, last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keeps_in_memory_what_was_read, usual),
        CASE(keeps_no_inbox, usual),
        CASE(reads_again_what_memory_let_go, usual),
        CASE(forgets_what_was_purged, usual),
        CASE(takes_no_old_epoch_from_memory, usual),
        CASE(loses_no_push_that_races_with_a_read, usual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
