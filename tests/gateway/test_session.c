/* Sessions with no socket and no bus: what a client sends against what waits for it afterwards. The
 * bus's side is replaced at link time by what no_bus.h and roomy.h define in its stead. */

#include "common/clock.h"
#include "gateway/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client.pb-c.h"
#include "no_bus.h"
#include "roomy.h"

#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char secret[] = "0123456789abcdef0123456789abcdef";

static struct yz_conf conf;
static struct gw_metrics metrics;
static struct gw_auth *auth;
static struct gw_intake *intake;
static struct gw_sessions *sessions;
static struct gw_session *session;
static int wakes;
static char dir[] = "/tmp/yz-session-XXXXXX";
static json_t *items; /* received and not yet looked at */

static void on_wake(void *peer)
{
    assert_ptr_equal(peer, &wakes);
    wakes++;
}

/* As a connection on which nothing of an earlier message waits, or something does. */
static bool blocked;
static struct gw_wire written;

static bool on_write(void *peer, const struct gw_wire *wire)
{
    assert_ptr_equal(peer, &wakes);
    if (blocked)
        return false;
    written = *wire;
    return true;
}

/* As one of TLS. */
static bool clear;

static bool on_clear(void *peer)
{
    assert_ptr_equal(peer, &wakes);
    return clear;
}

static const struct gw_session_output output = {.wake = on_wake,
                                                .rest = roomy_rest,
                                                .spend = roomy_spend,
                                                .write = on_write,
                                                .clear = on_clear};
static const struct gw_channel_events *const events = &gw_session_channel_events;

static int make_key(void **state)
{
    char path[64];
    FILE *file;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/hs.HS256.key", dir);
    file = fopen(path, "w");
    if (!file || fputs(secret, file) < 0 || fclose(file) != 0)
        return -1;
    return gw_auth_new(dir, "yizhan", &auth) == YZ_OK ? 0 : -1;
}

static int drop_key(void **state)
{
    char path[64];

    (void)state;
    gw_auth_free(auth);
    snprintf(path, sizeof path, "%s/hs.HS256.key", dir);
    unlink(path);
    return rmdir(dir);
}

static int open_one(void **state)
{
    struct gw_session_parts parts = {
        .conf = &conf, .auth = auth, .metrics = &metrics, .output = &output};
    char *argv[] = {(char[]){"test"}, NULL};

    (void)state;
    if (!yz_conf_parse(&conf, YZ_CONF_GATEWAY, 1, argv, "", NULL))
        return -1;
    conf.sessions_max = 2;
    conf.session_channels_max = 4;
    sub_count = 0;
    emits = wakes = signals = 0;
    blocked = clear = false;
    join_result = emit_result = ask_result = signal_result = YZ_OK;
    items = json_array();
    if (gw_intake_new(&conf, NULL, NULL, &metrics, &intake) != YZ_OK)
        return -1;
    parts.intake = intake;
    return gw_sessions_new(&parts, &sessions) == YZ_OK &&
                   gw_session_open(sessions, GW_JSON, &wakes, &session) == YZ_OK
               ? 0
               : -1;
}

static int close_one(void **state)
{
    (void)state;
    gw_sessions_free(sessions);
    gw_intake_free(intake);
    json_decref(items);
    for (size_t i = 0; i < sub_count; i++)
        assert_true(subs[i].left || subs[i].channel[0] == '\0');
    return 0;
}

/* Everything that waits goes to the client, who takes the lines apart. */
static void take_all(void)
{
    static uint8_t buffer[4 << 20];
    size_t len;

    while ((len = gw_session_take(session, buffer, sizeof buffer)) > 0) {
        char *text = strndup((char *)buffer, len), *rest = text, *line;

        while ((line = strsep(&rest, "\n"))) {
            json_t *frame = *line ? json_loads(line, 0, NULL) : NULL;

            assert_true(*line == '\0' || frame);
            json_array_extend(items, json_object_get(frame, "items"));
            json_decref(frame);
        }
        free(text);
    }
}

/* The next item, until the next call. */
static json_t *next(void)
{
    static json_t *item;

    json_decref(item);
    item = NULL;
    take_all();
    if (json_array_size(items) > 0) {
        item = json_incref(json_array_get(items, 0));
        json_array_remove(items, 0);
    }
    return item;
}

static const char *text_at(json_t *json, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(json_object_get(json, a), b);

    return json_string_value(c ? json_object_get(at, c) : at);
}

static void send_text(const char *text)
{
    gw_session_frame(session, text, strlen(text), false);
}

static void expect_error(json_int_t id, const char *code, const char *field)
{
    json_t *item = next();
    const char *found = text_at(item, "reply", "error", "field");

    assert_non_null(item);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(item, "reply"), "id")), id);
    assert_string_equal(text_at(item, "reply", "error", "code"), code);
    assert_string_equal(found ? found : "", field);
}

static void expect_closing(enum yz_close close)
{
    json_t *item = next();
    json_t *closing = json_object_get(item, "closing");

    assert_non_null(closing);
    assert_int_equal(json_integer_value(json_object_get(closing, "closeCode")), close);
    assert_null(next());
    assert_int_equal(gw_session_done(session), close);
}

static char *token_for(const char *member, const char *path, int lives_s)
{
    const char *slash = strrchr(path, '/');
    json_t *claims =
        json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:I}", "sub", member, "tid", "t1", "org",
                  slash ? slash + 1 : path, "path", path, "roles", "member", "aud", "yizhan", "exp",
                  (json_int_t)(yz_clock_wall_ms() / 1000 + lives_s));
    char *text = json_dumps(claims, 0), *token;
    jwt_t *jwt;

    jwt_new(&jwt);
    jwt_add_grants_json(jwt, text);
    jwt_add_header(jwt, "kid", "hs");
    jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret));
    token = jwt_encode_str(jwt);
    jwt_free(jwt);
    free(text);
    json_decref(claims);
    return token;
}

/* subscribe: a JSON list, or NULL. */
static void send_hello(const char *member, const char *path, int lives_s, const char *subscribe)
{
    char *token = token_for(member, path, lives_s), text[4096];

    snprintf(text, sizeof text, "{\"id\":1,\"hello\":{\"token\":\"%s\"%s%s}}", token,
             subscribe ? ",\"subscribe\":" : "", subscribe ? subscribe : "");
    free(token);
    send_text(text);
}

static void open_as_member(void)
{
    send_hello("m1", "g1/c1/b1", 60, NULL);
    assert_string_equal(text_at(next(), "reply", "welcome", "member"), "m1");
}

/* Anew, with little room. */
static void open_narrow(void)
{
    conf.session_backlog_max_bytes = 65536;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &session), YZ_OK);
}

static struct gw_message *new_large_push(uint64_t offset, size_t size)
{
    Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
    struct gw_message *msg = NULL;
    uint8_t *body;
    size_t len;

    push.id = (char[]){"7-0"};
    push.type = (char[]){"thread.post"};
    push.payload.len = size;
    push.payload.data = calloc(1, size + 1);
    len = yizhan__v1__push__get_packed_size(&push);
    body = malloc(len);
    yizhan__v1__push__pack(&push, body);
    assert_int_equal(gw_message_new("org.g1", offset, "", body, len, "", "", &msg), YZ_OK);
    free(push.payload.data);
    free(body);
    return msg;
}

static struct gw_message *new_push(uint64_t offset)
{
    return new_large_push(offset, 0);
}

static void deliver(uint64_t offset)
{
    struct gw_message *msg = new_push(offset);

    events->deliver(session, msg, true);
    gw_message_unref(msg);
}

/* As many as there is room for, from `first` on; the next one's offset. */
static uint64_t deliver_missed(uint64_t first)
{
    while (events->has_room(session)) {
        struct gw_message *msg = new_push(first++);

        events->deliver(session, msg, false);
        gw_message_unref(msg);
    }
    return first;
}

static void expect_push(const char *offset)
{
    json_t *item = next();

    assert_non_null(json_object_get(item, "push"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(item, "push"), "offset")),
                        offset);
}

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
    (void)state;
    send_text("{\"id\":0,\"ping\":{}}");
    expect_error(0, "bad_frame", "id");
    send_text("{\"id\":9}");
    expect_error(9, "bad_frame", "");
    send_text("{\"id\":9,\"pong\":{}}");
    expect_error(9, "unknown_field", "pong");
    send_text("[");
    expect_error(0, "bad_json", "");
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
    (void)state;
    open_as_member();
    send_text("{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"a.b\"}}");
    expect_error(1, "unknown_type", "type");
    send_text("{\"id\":1,\"emit\":{\"eventId\":\"e e\",\"type\":\"thread.posted\"}}");
    expect_error(1, "invalid_value", "eventId");
    send_text("{\"id\":1,\"emit\":{\"type\":\"thread.posted\"}}");
    expect_error(1, "missing_field", "eventId");
    send_text("{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"thread.posted\",\"payload\":"
              "{\"orgPath\":\"g1\",\"threadId\":\"t\",\"messageId\":\"x\",\"text\":\"\"}}}");
    expect_error(1, "missing_field", "payload.text");
    send_text("{\"id\":1,\"emit\":{\"eventId\":\"e\",\"type\":\"thread.posted\",\"payload\":"
              "{\"orgPath\":\"g2\",\"threadId\":\"t\",\"messageId\":\"x\",\"text\":\"a\"}}}");
    expect_error(1, "forbidden", "");
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
    (void)state;
    open_as_member();
    hold_channel("org.g1/c1/b1");
    send_text("{\"id\":6,\"signal\":{\"channel\":\"org.g1/c1/b1\",\"kind\":\"TYPING\"}}");
    expect_error(6, "invalid_value", "channel");
    send_text("{\"id\":6,\"signal\":{\"channel\":\"typing\",\"kind\":\"TYPING\"}}");
    expect_error(6, "unknown_channel", "channel");
    send_text("{\"id\":6,\"signal\":{\"channel\":\"thread.g1/c2.t1\",\"kind\":\"TYPING\"}}");
    expect_error(6, "not_subscribed", "channel");
    send_text("{\"id\":6,\"signal\":{\"channel\":\"" THREAD "\"}}");
    expect_error(6, "missing_field", "kind");
    send_text("{\"id\":6,\"signal\":{\"channel\":\"" THREAD "\",\"kind\":99}}");
    expect_error(6, "invalid_value", "kind");
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wants_hello_first),
        TEST(refuses_frames_with_the_reason),
        TEST(closes_after_many_unreadable_frames_in_a_row),
        TEST(closes_after_a_refused_token),
        TEST(welcomes_when_all_channels_have_answered),
        TEST(welcome_tells_of_a_join_that_failed_later),
        TEST(subscribes_and_unsubscribes),
        TEST(bounds_its_channels),
        TEST(renews_the_token_of_the_same_member_only),
        TEST(emits_with_the_tokens_actor),
        TEST(refuses_events_before_the_bus),
        TEST(answers_queries),
        TEST(drops_answers_for_a_session_that_is_gone),
        TEST(limits_sessions),
        TEST(limits_the_rate_and_cuts_off_a_flood),
        TEST(passes_a_burst_on_when_nothing_waits),
        TEST(a_burst_goes_behind_what_waits),
        TEST(a_session_that_closes_takes_no_burst),
        TEST(tells_of_its_member_typing),
        TEST(refuses_signals_with_the_reason),
        TEST(limits_signals_by_session_and_thread),
        TEST(a_signal_may_come_again_later),
        TEST(a_signal_goes_out_now_or_never),
        TEST(a_signal_over_tls_waits_for_the_turn_at_most),
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
