/* session_rig.h: one session with no socket and no bus, its client and its connection, in the
 * test's process. Included once in a program, behind cmocka's headers.
 *
 * Lifetime  make_key to drop_key for the program, open_one to close_one for each test.
 * Thread    the test's.
 */
#ifndef SESSION_RIG_H
#define SESSION_RIG_H

#include "common/clock.h"
#include "gateway/session.h"

#include "client.pb-c.h"
#include "no_bus.h"
#include "roomy.h"

#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_one, close_one)

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

static inline void on_wake(void *peer)
{
    assert_ptr_equal(peer, &wakes);
    wakes++;
}

/* As a connection on which nothing of an earlier message waits, or something does. */
static bool blocked;
static struct gw_wire written;

static inline bool on_write(void *peer, const struct gw_wire *wire)
{
    assert_ptr_equal(peer, &wakes);
    if (blocked)
        return false;
    written = *wire;
    return true;
}

/* As one of TLS. */
static bool clear;

static inline bool on_clear(void *peer)
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

static inline int make_key(void **state)
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

static inline int drop_key(void **state)
{
    char path[64];

    (void)state;
    gw_auth_free(auth);
    snprintf(path, sizeof path, "%s/hs.HS256.key", dir);
    unlink(path);
    return rmdir(dir);
}

static inline int open_one(void **state)
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

static inline int close_one(void **state)
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
static inline void take_all(void)
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
static inline json_t *next(void)
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

static inline const char *text_at(json_t *json, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(json_object_get(json, a), b);

    return json_string_value(c ? json_object_get(at, c) : at);
}

static inline void send_text(const char *text)
{
    gw_session_frame(session, text, strlen(text), false);
}

static inline void expect_error(json_int_t id, const char *code, const char *field)
{
    json_t *item = next();
    const char *found = text_at(item, "reply", "error", "field");

    assert_non_null(item);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(item, "reply"), "id")), id);
    assert_string_equal(text_at(item, "reply", "error", "code"), code);
    assert_string_equal(found ? found : "", field);
}

/* A frame, and what is said against it. */
struct refusal {
    const char *frame;
    json_int_t id;
    const char *code, *field;
};

static inline void expect_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_text(refusals[i].frame);
        expect_error(refusals[i].id, refusals[i].code, refusals[i].field);
    }
}

static inline void expect_closing(enum yz_close close)
{
    json_t *item = next();
    json_t *closing = json_object_get(item, "closing");

    assert_non_null(closing);
    assert_int_equal(json_integer_value(json_object_get(closing, "closeCode")), close);
    assert_null(next());
    assert_int_equal(gw_session_done(session), close);
}

static inline char *token_for(const char *member, const char *path, int lives_s)
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
static inline void send_hello(const char *member, const char *path, int lives_s,
                              const char *subscribe)
{
    char *token = token_for(member, path, lives_s), text[4096];

    snprintf(text, sizeof text, "{\"id\":1,\"hello\":{\"token\":\"%s\"%s%s}}", token,
             subscribe ? ",\"subscribe\":" : "", subscribe ? subscribe : "");
    free(token);
    send_text(text);
}

static inline void open_as_member(void)
{
    send_hello("m1", "g1/c1/b1", 60, NULL);
    assert_string_equal(text_at(next(), "reply", "welcome", "member"), "m1");
}

/* Anew, with little room. */
static inline void open_narrow(void)
{
    conf.session_backlog_max_bytes = 65536;
    gw_session_free(session);
    assert_int_equal(gw_session_open(sessions, GW_JSON, &wakes, &session), YZ_OK);
}

static inline struct gw_message *new_large_push(uint64_t offset, size_t size)
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

static inline struct gw_message *new_push(uint64_t offset)
{
    return new_large_push(offset, 0);
}

static inline void deliver(uint64_t offset)
{
    struct gw_message *msg = new_push(offset);

    events->deliver(session, msg, true);
    gw_message_unref(msg);
}

/* As many as there is room for, from `first` on; the next one's offset. */
static inline uint64_t deliver_missed(uint64_t first)
{
    while (events->has_room(session)) {
        struct gw_message *msg = new_push(first++);

        events->deliver(session, msg, false);
        gw_message_unref(msg);
    }
    return first;
}

static inline void expect_push(const char *offset)
{
    json_t *item = next();

    assert_non_null(json_object_get(item, "push"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(item, "push"), "offset")),
                        offset);
}

#endif
