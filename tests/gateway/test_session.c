/* Sessions with no socket and no bus: what a client sends against what waits for it afterwards. The
 * bus's side is replaced at link time by what no_bus.h and roomy.h define in its stead. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session_rig.h"

static void wants_hello_first(void **state)
{
    (void)state;
    send_text("{\"id\":5,\"subscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(5, "hello_first", "");
    send_text("{\"id\":6,\"ping\":{}}");
    assert_non_null(json_object_get(json_object_get(next(), "reply"), "pong"));
    open_as_member();
    assert_false(gw_session_closing(session));
}

static void refuses_frames_with_the_reason(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"id\":0,\"ping\":{}}", 0, "bad_frame", "id"},
        {"{\"id\":9}", 9, "bad_frame", ""},
        {"{\"id\":9,\"pong\":{}}", 9, "unknown_field", "pong"},
        {"[", 0, "bad_json", ""},
    };

    (void)state;
    expect_refusals(refusals, sizeof refusals / sizeof refusals[0]);
    gw_session_frame(session, "{}", 2, true);
    expect_error(0, "bad_frame", "");
    gw_session_frame(session, "", 0, false);
    expect_error(0, "bad_json", "");
}

static void closes_after_many_unreadable_frames_in_a_row(void **state)
{
    json_t *item;
    int errors = 0;

    (void)state;
    for (int i = 0; i < 31; i++)
        send_text("{");
    send_text("{\"id\":1,\"ping\":{}}");
    for (int i = 0; i < 31; i++)
        send_text("{");
    assert_false(gw_session_closing(session));
    send_text("{");
    assert_true(gw_session_closing(session));
    while ((item = next()) && json_object_get(item, "reply"))
        errors++;
    assert_int_equal(errors, 64);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(item, "closing"), "code")),
        "protocol_error");
}

static void closes_after_a_refused_token(void **state)
{
    (void)state;
    send_text("{\"id\":1,\"hello\":{\"token\":\"nonsense\"}}");
    expect_error(1, "token_malformed", "token");
    expect_closing(YZ_CLOSE_UNAUTHORIZED);
    send_text("{\"id\":2,\"ping\":{}}");
    assert_null(next());
}

static void welcomes_when_all_channels_have_answered(void **state)
{
    json_t *list;

    (void)state;
    send_hello("m1", "g1/c1/b1", 60,
               "[{\"channel\":\"org.g1\"},{\"channel\":\"org.g2\"},{\"channel\":\"nothing\"},"
               "{\"channel\":\"member.m1\",\"since\":{\"epoch\":\"e\",\"offset\":\"9\"}}]");
    assert_int_equal(sub_count, 2);
    assert_true(subs[1].since.given);
    assert_int_equal(subs[1].since.offset, 9);
    assert_null(next());
    /* The second answers first; what it missed waits for the Welcome. */
    assert_false(events->has_room(session));
    events->subscribed(session, &subs[1], "e", 12, true, 1);
    assert_false(events->has_room(session));
    assert_null(next());
    events->subscribed(session, &subs[0], "e", 20, false, 0);
    assert_true(events->has_room(session));
    assert_int_equal(subs[1].continued, 1);
    deliver(12);
    deliver(21);
    list =
        json_object_get(json_object_get(json_object_get(next(), "reply"), "welcome"), "subscribed");
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(text_at(json_array_get(list, 0), "ok", "offset", NULL), "20");
    assert_string_equal(text_at(json_array_get(list, 1), "error", "code", NULL), "forbidden");
    assert_string_equal(text_at(json_array_get(list, 2), "error", "code", NULL), "unknown_channel");
    assert_string_equal(text_at(json_array_get(list, 3), "ok", "offset", NULL), "12");
    expect_push("12");
    expect_push("21");
    assert_null(next());
}

static void welcome_tells_of_a_join_that_failed_later(void **state)
{
    json_t *list;

    (void)state;
    send_hello("m1", "g1/c1/b1", 60, "[{\"channel\":\"org.g1\"},{\"channel\":\"org.g1\"}]");
    assert_int_equal(sub_count, 1);
    subs[0].left = true; /* refused: gone already */
    events->refused(session, &subs[0], YZ_TIMED_OUT);
    list =
        json_object_get(json_object_get(json_object_get(next(), "reply"), "welcome"), "subscribed");
    assert_string_equal(text_at(json_array_get(list, 0), "error", "code", NULL), "timed_out");
    assert_string_equal(text_at(json_array_get(list, 1), "error", "code", NULL), "busy");
}

/* One of them has answered, but nobody was told. */
static void holds_no_channel_before_the_welcome(void **state)
{
    (void)state;
    send_hello("m1", "g1/c1/b1", 60, "[{\"channel\":\"org.g1\"},{\"channel\":\"member.m1\"}]");
    events->subscribed(session, &subs[0], "e", 5, true, 2);
    send_text("{\"id\":2,\"unsubscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(2, "not_subscribed", "channel");
    send_text("{\"id\":3,\"subscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(3, "busy", "channel");
    assert_false(subs[0].left);
    events->subscribed(session, &subs[1], "e", 1, true, 0);
    assert_non_null(text_at(next(), "reply", "welcome", "session"));
    send_text("{\"id\":4,\"unsubscribe\":{\"channel\":\"org.g1\"}}");
    assert_string_equal(text_at(next(), "reply", "unsubscribed", "channel"), "org.g1");
    assert_true(subs[0].left);
}

static void subscribes_and_unsubscribes(void **state)
{
    (void)state;
    open_as_member();
    send_text("{\"id\":2,\"subscribe\":{\"channel\":\"org.g1\"}}");
    assert_null(next());
    send_text("{\"id\":3,\"subscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(3, "busy", "channel");
    send_text("{\"id\":4,\"unsubscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(4, "not_subscribed", "channel");
    events->subscribed(session, &subs[0], "e", 5, true, 1);
    deliver(5);
    assert_string_equal(text_at(next(), "reply", "subscribed", "epoch"), "e");
    expect_push("5");
    /* Again: left and joined anew, with the new position. */
    send_text("{\"id\":5,\"subscribe\":{\"channel\":\"org.g1\"}}");
    assert_true(subs[0].left);
    assert_int_equal(sub_count, 2);
    events->subscribed(session, &subs[1], "e", 6, true, 0);
    assert_string_equal(text_at(next(), "reply", "subscribed", "offset"), "6");
    send_text("{\"id\":6,\"unsubscribe\":{\"channel\":\"org.g1\"}}");
    assert_true(subs[1].left);
    assert_string_equal(text_at(next(), "reply", "unsubscribed", "channel"), "org.g1");
}

static void bounds_its_channels(void **state)
{
    (void)state;
    send_hello("m1", "g1/c1/b1", 60,
               "[{\"channel\":\"a\"},{\"channel\":\"a\"},{\"channel\":\"a\"},{\"channel\":\"a\"},"
               "{\"channel\":\"a\"}]");
    expect_error(1, "too_many_channels", "subscribe");
    open_as_member();
    for (int i = 0; i < 4; i++) {
        char text[128];

        snprintf(text, sizeof text, "{\"id\":2,\"subscribe\":{\"channel\":\"thread.g1.t%d\"}}", i);
        send_text(text);
    }
    send_text("{\"id\":3,\"subscribe\":{\"channel\":\"org.g1\"}}");
    expect_error(3, "too_many_channels", "channel");
}

static void renews_the_token_of_the_same_member_only(void **state)
{
    json_t *list;

    (void)state;
    send_hello("m1", "g1/c1/b1", 60, "[{\"channel\":\"org.g1/c1\"},{\"channel\":\"member.m1\"}]");
    events->subscribed(session, &subs[0], "e", 1, true, 0);
    events->subscribed(session, &subs[1], "e", 1, true, 0);
    assert_non_null(text_at(next(), "reply", "welcome", "session"));
    send_hello("m2", "g1/c1/b1", 60, NULL);
    expect_error(1, "token_other_member", "token");
    send_hello("m1", "g1/c1/b1", -1, NULL);
    expect_error(1, "token_expired", "token");
    send_hello("m1", "g1/c1/b1", 60, "[{\"channel\":\"org.g1\"}]");
    expect_error(1, "invalid_value", "subscribe");
    assert_false(gw_session_closing(session));
    /* The member has moved: the old company's channel is taken away, and named. */
    send_hello("m1", "g1/c2/b7", 90, NULL);
    assert_true(subs[0].left);
    assert_false(subs[1].left);
    list =
        json_object_get(json_object_get(json_object_get(next(), "reply"), "welcome"), "subscribed");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "channel")),
                        "org.g1/c1");
    assert_string_equal(text_at(json_array_get(list, 0), "error", "code", NULL), "forbidden");
}

static void a_renewed_token_answers_the_joins_it_ends(void **state)
{
    (void)state;
    open_as_member();
    send_text("{\"id\":2,\"subscribe\":{\"channel\":\"org.g1/c1\"}}");
    send_text("{\"id\":3,\"subscribe\":{\"channel\":\"member.m1\"}}");
    send_hello("m1", "g1/c2/b7", 90, NULL);
    assert_true(subs[0].left);
    assert_false(subs[1].left);
    expect_error(2, "forbidden", "channel");
    assert_non_null(text_at(next(), "reply", "welcome", "session"));
    events->subscribed(session, &subs[1], "e", 1, true, 0);
    assert_string_equal(text_at(next(), "reply", "subscribed", "channel"), "member.m1");
}

#define POST                                                                                       \
    "{\"id\":4,\"emit\":{\"eventId\":\"e1\",\"type\":\"thread.posted\",\"payload\":{"              \
    "\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t\",\"messageId\":\"x\",\"text\":\"hi\"}}}"

static void emits_with_the_tokens_actor(void **state)
{
    json_t *item;

    (void)state;
    open_as_member();
    send_text(POST);
    assert_int_equal(emits, 1);
    assert_null(next());
    assert_string_equal(last_envelope.actor.member, "m1");
    assert_string_equal(last_envelope.actor.org_path, "g1/c1/b1");
    assert_string_equal(last_envelope.event_id, "e1");
    assert_int_equal(strlen(last_envelope.traceparent), 55);
    gw_sessions_accepted(sessions, last_ticket, "e1", YZ_OK, 77, true);
    item = next();
    assert_string_equal(text_at(item, "reply", "accepted", "sequence"), "77");
    assert_true(json_is_true(
        json_object_get(json_object_get(json_object_get(item, "reply"), "accepted"), "duplicate")));
    send_text(POST);
    gw_sessions_accepted(sessions, last_ticket, "e1", YZ_BUS_UNAVAILABLE, 0, false);
    expect_error(4, "bus_unavailable", "");
    emit_result = YZ_BUSY;
    send_text(POST);
    expect_error(4, "busy", "");
}

static void refuses_events_before_the_bus(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"a.b\"}}", 1, "unknown_type", "type"},
        {"{\"id\":1,\"emit\":{\"eventId\":\"e e\",\"type\":\"thread.posted\"}}", 1, "invalid_value",
         "eventId"},
        {"{\"id\":1,\"emit\":{\"type\":\"thread.posted\"}}", 1, "missing_field", "eventId"},
        {"{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"thread.posted\",\"payload\":"
         "{\"orgPath\":\"g1\",\"threadId\":\"t\",\"messageId\":\"x\",\"text\":\"\"}}}",
         1, "missing_field", "payload.text"},
        {"{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"thread.posted\",\"payload\":"
         "{\"orgPath\":\"g2\",\"threadId\":\"t\",\"messageId\":\"x\",\"text\":\"a\"}}}",
         1, "forbidden", ""},
    };

    (void)state;
    open_as_member();
    expect_refusals(refusals, sizeof refusals / sizeof refusals[0]);
    gw_intake_drain(intake);
    send_text(POST);
    expect_error(4, "draining", "");
    assert_int_equal(emits, 0);
}

static void answers_queries(void **state)
{
    struct yz_violation v;

    (void)state;
    open_as_member();
    send_text("{\"id\":8,\"query\":{\"type\":\"thread.page\",\"payload\":{\"orgPath\":\"g1\","
              "\"threadId\":\"t\"}}}");
    gw_sessions_answered(sessions, last_ticket, "thread.page", YZ_OK, NULL, "", 0);
    assert_string_equal(text_at(next(), "reply", "queryResult", "type"), "thread.page");
    (void)yz_violate(&v, YZ_NOT_FOUND, "threadId", NULL);
    gw_sessions_answered(sessions, last_ticket, "thread.page", YZ_NOT_FOUND, &v, NULL, 0);
    expect_error(8, "not_found", "payload.threadId");
}

static void drops_answers_for_a_session_that_is_gone(void **state)
{
    struct gw_ticket old;

    (void)state;
    open_as_member();
    send_text(POST);
    old = last_ticket;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &session), YZ_OK);
    gw_sessions_accepted(sessions, old, "e1", YZ_OK, 1, false);
    assert_null(next());
}

static void limits_sessions(void **state)
{
    struct gw_session *second, *third;

    (void)state;
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &second), YZ_OK);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &third), YZ_BUSY);
    assert_int_equal(gw_sessions_count(sessions), 2);
    gw_session_free(second);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &third), YZ_OK);
}

static void limits_the_rate_and_cuts_off_a_flood(void **state)
{
    json_t *item;
    int pongs = 0, refused = 0;

    (void)state;
    conf.session_frames_burst = 5;
    conf.session_frames_per_s = 1;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &session), YZ_OK);
    for (int i = 0; i < 1000; i++)
        send_text("{\"id\":3,\"ping\":{}}");
    while ((item = next()) && json_object_get(item, "reply")) {
        if (!text_at(item, "reply", "error", "code")) {
            pongs++;
            continue;
        }
        assert_string_equal(text_at(item, "reply", "error", "code"), "rate_limited");
        assert_true(json_integer_value(json_object_get(
                        json_object_get(json_object_get(item, "reply"), "error"), "retryAfterMs")) >
                    0);
        refused++;
    }
    assert_int_equal(pongs, 5);
    assert_int_equal(refused, 20);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(item, "closing"), "code")), "flood");
}

static bool deliver_burst(uint64_t first, uint64_t last)
{
    struct gw_burst *burst = gw_burst_new();
    bool done;

    for (uint64_t offset = first; offset <= last; offset++) {
        struct gw_message *msg = new_push(offset);

        assert_true(gw_burst_add(burst, msg));
        gw_message_unref(msg);
    }
    written = (struct gw_wire){0};
    done = events->burst(session, burst);
    gw_burst_free(burst);
    return done;
}

static void passes_a_burst_on_when_nothing_waits(void **state)
{
    int before;

    (void)state;
    open_as_member();
    before = wakes;
    assert_true(deliver_burst(1, 3));
    assert_true(written.payload_len > 0);
    assert_int_equal(wakes, before);
    assert_int_equal(gw_session_next(session), 0);
}

static void a_burst_goes_behind_what_waits(void **state)
{
    (void)state;
    open_as_member();
    deliver(1);
    assert_false(deliver_burst(2, 3));
    assert_int_equal(written.len, 0);
    assert_non_null(next());
    blocked = true; /* by what the socket has not taken */
    assert_false(deliver_burst(2, 3));
    blocked = false;
    assert_true(deliver_burst(2, 3));
}

static void a_session_that_closes_takes_no_burst(void **state)
{
    (void)state;
    assert_false(deliver_burst(1, 1)); /* nobody yet */
    open_as_member();
    gw_session_close(session, YZ_CLOSE_IDLE);
    while (next())
        ;
    assert_false(deliver_burst(1, 1));
    assert_int_equal(written.len, 0);
}

/* What was queued before the limit still goes out, so that a resume gets further. */
static void closes_a_slow_reader_behind_what_is_queued(void **state)
{
    uint64_t pushes = 0;
    json_t *item;

    (void)state;
    open_narrow();
    open_as_member();
    for (uint64_t i = 1; i <= 5000; i++)
        deliver(i);
    assert_true(gw_session_closing(session));
    assert_int_equal(gw_session_done(session), YZ_CLOSE_NONE);
    while ((item = next()) && json_object_get(item, "push"))
        pushes++;
    assert_in_range(pushes, 100, 2000);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(item, "closing"), "code")),
        "slow_reader");
    assert_int_equal(gw_session_done(session), YZ_CLOSE_SLOW_READER);
}

/* What was missed comes in portions, each when the one before is read. */
static void paces_what_was_missed(void **state)
{
    uint64_t from = 1, to;
    json_t *item;

    (void)state;
    open_narrow();
    send_hello("m1", "g1/c1/b1", 60, "[{\"channel\":\"org.g1\"}]");
    events->subscribed(session, &subs[0], "e", 5000, true, 5000);
    assert_non_null(text_at(next(), "reply", "welcome", "session"));
    subs[0].continued = 0;
    for (int i = 0; i < 10; i++, from = to) {
        to = deliver_missed(from);
        assert_in_range(to - from, 50, 1000);
        assert_int_equal(subs[0].continued, i);
        assert_false(events->has_room(session));
        for (uint64_t n = from; n < to; n++) {
            item = next();
            assert_int_equal(strtoull(json_string_value(
                                          json_object_get(json_object_get(item, "push"), "offset")),
                                      NULL, 10),
                             n);
        }
        assert_int_equal(subs[0].continued, i + 1);
    }
    assert_false(gw_session_closing(session));
}

static void waits_for_room_until_a_quarter_is_left(void **state)
{
    uint8_t buffer[16384];
    size_t taken = 0;

    (void)state;
    open_narrow();
    open_as_member();
    send_text("{\"id\":2,\"subscribe\":{\"channel\":\"org.g1\"}}");
    events->subscribed(session, &subs[0], "e", 5, true, 1);
    (void)deliver_missed(1);
    while (subs[0].continued == 0)
        taken += gw_session_take(session, buffer, 1024);
    assert_in_range(taken, 16384, 16384 + 3072);
}

/* One missed push may be larger than all the room; what is live has its own behind it. */
static void a_large_missed_push_is_no_slow_reader(void **state)
{
    struct gw_message *msg;

    (void)state;
    open_narrow();
    open_as_member();
    msg = new_large_push(1, 300000);
    assert_true(events->has_room(session));
    events->deliver(session, msg, false);
    assert_false(events->has_room(session));
    for (uint64_t i = 2; i < 100; i++)
        deliver(i);
    assert_false(gw_session_closing(session));
    events->deliver(session, msg, true);
    assert_true(gw_session_closing(session));
    gw_message_unref(msg);
}

/* It sends pings, but takes nothing. */
static void closes_who_takes_nothing(void **state)
{
    (void)state;
    open_as_member();
    conf.idle_timeout_ms = 100;
    deliver(1);
    usleep(120000);
    send_text("{\"id\":3,\"ping\":{}}");
    /* A second one makes the next look due at once. */
    conf.hello_timeout_ms = 0;
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &(struct gw_session *){NULL}),
                     YZ_OK);
    gw_sessions_tick(sessions);
    expect_push("1");
    assert_non_null(json_object_get(json_object_get(next(), "reply"), "pong"));
    expect_closing(YZ_CLOSE_SLOW_READER);
}

static void closes_when_a_channel_is_lost(void **state)
{
    (void)state;
    open_as_member();
    events->lost(session, YZ_CLOSE_STREAM_RESET);
    events->lost(session, YZ_CLOSE_CHANNEL_LOST);
    deliver(1);
    expect_closing(YZ_CLOSE_STREAM_RESET);
}

static void closes_without_hello_in_time(void **state)
{
    (void)state;
    conf.hello_timeout_ms = 0;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &session), YZ_OK);
    gw_sessions_tick(sessions);
    expect_closing(YZ_CLOSE_HELLO_TIMEOUT);
}

static void closes_an_idle_session(void **state)
{
    (void)state;
    open_as_member();
    conf.idle_timeout_ms = 0;
    conf.hello_timeout_ms = 0;
    /* A second one makes the next look due at once. */
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &(struct gw_session *){NULL}),
                     YZ_OK);
    gw_sessions_tick(sessions);
    expect_closing(YZ_CLOSE_IDLE);
}

static void closes_when_the_token_expires(void **state)
{
    (void)state;
    send_hello("m1", "g1/c1/b1", 1, NULL);
    assert_non_null(text_at(next(), "reply", "welcome", "session"));
    gw_sessions_tick(sessions);
    assert_false(gw_session_closing(session));
    usleep(1100000);
    gw_sessions_tick(sessions);
    expect_closing(YZ_CLOSE_SESSION_EXPIRED);
}

static void dismisses_in_portions(void **state)
{
    struct gw_session *second;

    (void)state;
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &second), YZ_OK);
    assert_int_equal(gw_sessions_dismiss(sessions, 1), 1);
    assert_int_equal(gw_sessions_dismiss(sessions, 1), 0);
    expect_closing(YZ_CLOSE_GOING_AWAY);
}

static void speaks_protobuf_too(void **state)
{
    static const uint8_t ping[] = {0x08, 0x07, 0x3a, 0x00};
    uint8_t out[256];
    Yizhan__V1__ServerFrame *frame;
    size_t len;

    (void)state;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_PROTOBUF, &wakes, &session), YZ_OK);
    gw_session_frame(session, ping, sizeof ping, true);
    gw_session_frame(session, ping, sizeof ping, true);
    gw_session_frame(session, "\x08\x09\x12", 3, true);
    len = gw_session_take(session, out, sizeof out);
    /* Three frames behind one another are one frame with three items. */
    frame = yizhan__v1__server_frame__unpack(NULL, len, out);
    assert_non_null(frame);
    assert_int_equal(frame->n_items, 3);
    assert_int_equal(frame->items[0]->reply->id, 7);
    assert_int_equal(frame->items[1]->reply->result_case, YIZHAN__V1__REPLY__RESULT_PONG);
    assert_int_equal(frame->items[2]->reply->id, 9);
    assert_string_equal(frame->items[2]->reply->error->code, "bad_frame");
    yizhan__v1__server_frame__free_unpacked(frame, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wants_hello_first),
        TEST(refuses_frames_with_the_reason),
        TEST(closes_after_many_unreadable_frames_in_a_row),
        TEST(closes_after_a_refused_token),
        TEST(welcomes_when_all_channels_have_answered),
        TEST(welcome_tells_of_a_join_that_failed_later),
        TEST(holds_no_channel_before_the_welcome),
        TEST(subscribes_and_unsubscribes),
        TEST(bounds_its_channels),
        TEST(renews_the_token_of_the_same_member_only),
        TEST(a_renewed_token_answers_the_joins_it_ends),
        TEST(emits_with_the_tokens_actor),
        TEST(refuses_events_before_the_bus),
        TEST(answers_queries),
        TEST(drops_answers_for_a_session_that_is_gone),
        TEST(limits_sessions),
        TEST(limits_the_rate_and_cuts_off_a_flood),
        TEST(passes_a_burst_on_when_nothing_waits),
        TEST(a_burst_goes_behind_what_waits),
        TEST(a_session_that_closes_takes_no_burst),
        TEST(closes_a_slow_reader_behind_what_is_queued),
        TEST(paces_what_was_missed),
        TEST(waits_for_room_until_a_quarter_is_left),
        TEST(a_large_missed_push_is_no_slow_reader),
        TEST(closes_who_takes_nothing),
        TEST(closes_when_a_channel_is_lost),
        TEST(closes_without_hello_in_time),
        TEST(closes_an_idle_session),
        TEST(closes_when_the_token_expires),
        TEST(dismisses_in_portions),
        TEST(speaks_protobuf_too),
    };

    return cmocka_run_group_tests(tests, make_key, drop_key);
}
