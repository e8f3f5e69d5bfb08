#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/subject.h"

#include <stdio.h>
#include <string.h>

#define ID64 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static void ids_have_a_form(void **state)
{
    static const char *const bad[] = {"",   " ", "a b", "a.b", "a/b",
                                      "a*", ">", "é",   "a\n", ID64 "a"};

    (void)state;
    assert_true(yz_id_valid("a"));
    assert_true(yz_id_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    assert_true(yz_id_valid(ID64));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(yz_id_valid(bad[i]));
}

/* 255 bytes */
#define LONG_PATH                                                                                  \
    "a/" ID64 "/" ID64 "/" ID64 "/1234567890123456789012345678901234567890123456789012345678"

static void org_paths_have_a_form(void **state)
{
    static const char *const bad[] = {"",
                                      "/",
                                      "a/",
                                      "/a",
                                      "a//b",
                                      "a.b",
                                      "a b",
                                      "a/*",
                                      "a/>",
                                      ID64 "a",
                                      "a/b/c/d/e/f/g/h/i/j/k/l/m"};

    (void)state;
    assert_true(yz_org_path_valid("g1"));
    assert_true(yz_org_path_valid("a/b/c/d/e/f/g/h/i/j/k/l"));
    /* 256 bytes, then 257 */
    assert_true(yz_org_path_valid(LONG_PATH "9"));
    assert_false(yz_org_path_valid(LONG_PATH "90"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(yz_org_path_valid(bad[i]));
    assert_false(yz_org_path_valid(ID64 "/" ID64 "/" ID64 "/" ID64));
}

static void covering_stops_at_components(void **state)
{
    (void)state;
    assert_true(yz_org_covers("g1", "g1"));
    assert_true(yz_org_covers("g1", "g1/c1/b1"));
    assert_true(yz_org_covers("g1/c1", "g1/c1/b1"));
    assert_false(yz_org_covers("g1/c1", "g1/c10"));
    assert_false(yz_org_covers("g1/c1/b1", "g1/c1"));
    assert_false(yz_org_covers("", "g1"));
    assert_false(yz_org_covers("g1", ""));
}

static void channels_return(void **state)
{
    static const struct {
        const char *name, *org_path, *id, *stream, *subject;
        enum yz_channel_kind kind;
    } good[] = {
        {"org.g1/c1", "g1/c1", "", "CHANNELS", "chan.t1.org.g1/c1", YZ_CHANNEL_ORG},
        {"member.u1", "", "u1", "CHANNELS", "chan.t1.member.u1", YZ_CHANNEL_MEMBER},
        {"meeting.g1/c1.m1", "g1/c1", "m1", "CHANNELS", "chan.t1.meeting.g1/c1.m1",
         YZ_CHANNEL_MEETING},
        {"thread.g1/c1.x", "g1/c1", "x", "THREADS", "thr.t1.g1/c1.x", YZ_CHANNEL_THREAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char name[YZ_CHANNEL_MAX], subject[YZ_SUBJECT_MAX];
        struct yz_channel channel;

        assert_true(yz_channel_parse(good[i].name, &channel));
        assert_int_equal(channel.kind, good[i].kind);
        assert_string_equal(channel.org_path, good[i].org_path);
        assert_string_equal(channel.id, good[i].id);
        yz_channel_name(&channel, name);
        assert_string_equal(name, good[i].name);
        assert_string_equal(yz_channel_stream(channel.kind), good[i].stream);
        yz_channel_subject("t1", name, subject);
        assert_string_equal(subject, good[i].subject);
    }
}

static void other_channels_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "org",
                                      "org.",
                                      "org.g1.x",
                                      "org.g1/",
                                      "org.*",
                                      "org.>",
                                      "member.",
                                      "member.a.b",
                                      "member.a/b",
                                      "meeting.g1",
                                      "meeting.g1.",
                                      "meeting..m",
                                      "meeting.m1",
                                      "thread.g1",
                                      "thread.g1.a.b",
                                      "live.chan.t.x",
                                      "ORG.g1",
                                      "org.g 1",
                                      "state.t.x",
                                      "org.g1\n",
                                      "org." ID64 "/" ID64 "/" ID64 "/" ID64 "/x"};
    struct yz_channel channel;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (yz_channel_parse(bad[i], &channel))
            fail_msg("'%s' is taken for a channel", bad[i]);
    }
}

static void subjects_are_built(void **state)
{
    char subject[YZ_SUBJECT_MAX], own[YZ_SUBJECT_MAX], live[YZ_SUBJECT_MAX];

    (void)state;
    yz_value_subject("t1", "meeting.g1.m1", "attendance", subject);
    assert_string_equal(subject, "state.t1.meeting.g1.m1.attendance");
    yz_live_subject(subject, live);
    assert_string_equal(live, "live.state.t1.meeting.g1.m1.attendance");
    yz_event_subject(63, "t1", "meeting", "g1/c1", subject);
    assert_string_equal(subject, "evt.63.t1.meeting.g1/c1");
    assert_false(yz_event_subject_is_own(subject));
    assert_string_equal(yz_event_subject_rest(subject), "t1.meeting.g1/c1");
    yz_event_subject_own(subject, own);
    assert_string_equal(own, "evt.63.$own.t1.meeting.g1/c1");
    assert_true(yz_event_subject_is_own(own));
    assert_string_equal(yz_event_subject_rest(own), "t1.meeting.g1/c1");
    yz_event_subject_own(own, subject);
    assert_string_equal(subject, own);
    assert_false(yz_event_subject_is_own("evt.63.$owner.t1.meeting.g1"));
    assert_string_equal(yz_event_subject_rest("evt.3"), "");
    yz_query_subject("t1", "meeting.get", subject);
    assert_string_equal(subject, "qry.t1.meeting.get");
    yz_deadletter_subject("t1", "meeting", subject);
    assert_string_equal(subject, "dlq.t1.meeting");
}

/* The function is part of the wire: gateways and workers of two releases must agree. */
static void partitions_never_move(void **state)
{
    unsigned hits[YZ_PARTITIONS] = {0};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    assert_int_equal(yz_partition("t1", "meeting|g1/c1/b1|m42"), 39);
    assert_int_equal(yz_partition("t2", "meeting|g1/c1/b1|m42"), 16);
    assert_int_equal(yz_partition("t1", "notice|n1"), 48);
    for (int i = 0; i < 6400; i++) {
        unsigned p;

        snprintf(aggregate, sizeof aggregate, "meeting|g1/c1/b%d|m%d", i % 40, i);
        p = yz_partition("t1", aggregate);
        assert_true(p < YZ_PARTITIONS);
        hits[p]++;
    }
    for (int p = 0; p < YZ_PARTITIONS; p++)
        assert_in_range(hits[p], 50, 150);
}

static void message_ids_tell_events_apart(void **state)
{
    char id[YZ_MSG_ID_MAX], other[YZ_MSG_ID_MAX];

    (void)state;
    yz_event_msg_id("t1", "u1", "e1", "notice.read", "\x0a\x02n1", 4, id);
    assert_string_equal(id, "e-cf5533b38298f9c36af5e599455e6bee");
    yz_event_msg_id("t1", "u1", "e1", "notice.read", "\x0a\x02n2", 4, other);
    assert_string_not_equal(id, other);
    yz_event_msg_id("t2", "u1", "e1", "notice.read", "\x0a\x02n1", 4, other);
    assert_string_not_equal(id, other);
    /* A byte that moves from one part to the next makes another list. */
    yz_event_msg_id("t1", "u1e", "1", "notice.read", "\x0a\x02n1", 4, other);
    assert_string_not_equal(id, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_a_form),
        cmocka_unit_test(org_paths_have_a_form),
        cmocka_unit_test(covering_stops_at_components),
        cmocka_unit_test(channels_return),
        cmocka_unit_test(other_channels_are_none),
        cmocka_unit_test(subjects_are_built),
        cmocka_unit_test(partitions_never_move),
        cmocka_unit_test(message_ids_tell_events_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
