/* Signals of a session, and those that it is handed: what is refused, how often one may come, and
 * that none of them waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session_rig.h"

#define THREAD "thread.g1/c1/b1.t1"
#define TYPING "{\"id\":6,\"signal\":{\"channel\":\"" THREAD "\",\"kind\":\"TYPING\"}}"

static void hold_channel(const char *channel)
{
    char text[256];

    snprintf(text, sizeof text, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channel);
    send_text(text);
    events->subscribed(session, &subs[sub_count - 1], "e", 1, true, 0);
    assert_string_equal(text_at(next(), "reply", "subscribed", "channel"), channel);
}

/* The milliseconds it says are left. */
static json_int_t expect_rate_limited(void)
{
    json_t *error = json_object_get(json_object_get(next(), "reply"), "error");

    assert_string_equal(json_string_value(json_object_get(error, "code")), "rate_limited");
    return json_integer_value(json_object_get(error, "retryAfterMs"));
}

static void tells_of_its_member_typing(void **state)
{
    (void)state;
    send_text(TYPING);
    expect_error(6, "hello_first", "");
    open_as_member();
    send_text(TYPING);
    expect_error(6, "not_subscribed", "channel");
    send_text("{\"id\":2,\"subscribe\":{\"channel\":\"" THREAD "\"}}");
    send_text(TYPING); /* it does not hold it yet */
    expect_error(6, "not_subscribed", "channel");
    assert_int_equal(signals, 0);
    events->subscribed(session, &subs[0], "e", 1, true, 0);
    assert_non_null(text_at(next(), "reply", "subscribed", "channel"));
    send_text(TYPING);
    assert_null(next());
    assert_int_equal(signals, 1);
    assert_ptr_equal(last_signal, &subs[0]);
}

static void refuses_signals_with_the_reason(void **state)
{
    static const struct refusal refusals[] = {
        {"{\"id\":6,\"signal\":{\"channel\":\"org.g1/c1/b1\",\"kind\":\"TYPING\"}}", 6,
         "invalid_value", "channel"},
        {"{\"id\":6,\"signal\":{\"channel\":\"typing\",\"kind\":\"TYPING\"}}", 6, "unknown_channel",
         "channel"},
        {"{\"id\":6,\"signal\":{\"channel\":\"thread.g1/c2.t1\",\"kind\":\"TYPING\"}}", 6,
         "not_subscribed", "channel"},
        {"{\"id\":6,\"signal\":{\"channel\":\"" THREAD "\"}}", 6, "missing_field", "kind"},
        {"{\"id\":6,\"signal\":{\"channel\":\"" THREAD "\",\"kind\":99}}", 6, "invalid_value",
         "kind"},
    };

    (void)state;
    open_as_member();
    hold_channel("org.g1/c1/b1");
    expect_refusals(refusals, sizeof refusals / sizeof refusals[0]);
    assert_int_equal(signals, 0);
}

static void limits_signals_by_session_and_thread(void **state)
{
    (void)state;
    open_as_member();
    hold_channel(THREAD);
    hold_channel("thread.g1/c1/b1.t2");
    signal_result = YZ_BUSY;
    send_text(TYPING);
    expect_error(6, "busy", "");
    signal_result = YZ_OK; /* nobody was told: it does not count */
    send_text(TYPING);
    assert_int_equal(signals, 2);
    send_text(TYPING);
    assert_in_range(expect_rate_limited(), 1, 3000);
    send_text("{\"id\":7,\"signal\":{\"channel\":\"thread.g1/c1/b1.t2\",\"kind\":\"TYPING\"}}");
    assert_int_equal(signals, 3);
    /* Who leaves and comes back gains nothing. */
    send_text("{\"id\":3,\"unsubscribe\":{\"channel\":\"" THREAD "\"}}");
    assert_non_null(text_at(next(), "reply", "unsubscribed", "channel"));
    hold_channel(THREAD);
    send_text(TYPING);
    assert_in_range(expect_rate_limited(), 1, 3000);
    assert_int_equal(signals, 3);
    assert_null(next());
}

static void a_signal_may_come_again_later(void **state)
{
    (void)state;
    conf.signal_interval_ms = 20;
    open_as_member();
    hold_channel(THREAD);
    for (int i = 1; i <= 3; i++) {
        send_text(TYPING);
        assert_int_equal(signals, i);
        usleep(30000);
    }
    assert_null(next());
}

static bool hand_signal(void)
{
    struct gw_signal signal;
    bool done;

    gw_signal_init(&signal, THREAD, "m2", 1);
    written = (struct gw_wire){0};
    done = events->signal(session, &signal);
    gw_signal_deinit(&signal);
    return done;
}

static void a_signal_goes_out_now_or_never(void **state)
{
    int before;

    (void)state;
    assert_false(hand_signal()); /* nobody yet */
    open_as_member();
    before = wakes;
    assert_true(hand_signal());
    assert_true(written.payload_len > 0);
    blocked = true; /* by what the socket has not taken */
    assert_false(hand_signal());
    assert_int_equal(wakes, before);
    assert_int_equal(gw_session_next(session), 0);
    blocked = false;
    deliver(1);
    assert_false(hand_signal());
    assert_int_equal(written.len, 0);
    expect_push("1");
    assert_null(next());
    assert_true(hand_signal());
}

/* A connection with TLS writes at the end of the turn what waits. */
static void a_signal_over_tls_waits_for_the_turn_at_most(void **state)
{
    json_t *signal;

    (void)state;
    open_as_member();
    blocked = clear = true;
    assert_true(hand_signal());
    assert_false(hand_signal()); /* one waits */
    signal = json_object_get(next(), "signal");
    assert_string_equal(json_string_value(json_object_get(signal, "channel")), THREAD);
    assert_string_equal(json_string_value(json_object_get(signal, "member")), "m2");
    assert_string_equal(json_string_value(json_object_get(signal, "kind")), "TYPING");
    assert_null(next());
    clear = false; /* something of an earlier message is not out */
    assert_false(hand_signal());
    gw_session_close(session, YZ_CLOSE_IDLE);
    clear = true;
    assert_false(hand_signal());
    expect_closing(YZ_CLOSE_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_of_its_member_typing),
        TEST(refuses_signals_with_the_reason),
        TEST(limits_signals_by_session_and_thread),
        TEST(a_signal_may_come_again_later),
        TEST(a_signal_goes_out_now_or_never),
        TEST(a_signal_over_tls_waits_for_the_turn_at_most),
    };

    return cmocka_run_group_tests(tests, make_key, drop_key);
}
