#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "client.pb-c.h"
#include "gateway/message.h"
#include "thread.pb-c.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct gw_message *make(uint64_t offset, const char *name, const char *roles,
                               const char *exclude)
{
    Yizhan__V1__ThreadPost post = YIZHAN__V1__THREAD_POST__INIT;
    Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
    uint8_t payload[128], body[512];
    struct gw_message *msg;

    post.text = (char *)(uintptr_t) "hello";
    push.id = (char *)(uintptr_t) "77-0";
    push.type = (char *)(uintptr_t) "thread.post";
    push.payload.data = payload;
    push.payload.len = yizhan__v1__thread_post__pack(&post, payload);
    assert_int_equal(gw_message_new("thread.g1.t1", offset, name, body,
                                    yizhan__v1__push__pack(&push, body), roles, exclude, &msg),
                     YZ_OK);
    return msg;
}

static void its_frame_is_a_server_frame(void **state)
{
    static const uint64_t offsets[] = {1, 127, 128, 300000, UINT64_MAX, 0};

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct gw_message *msg = make(offsets[i], offsets[i] ? "" : "attendance", "", "");
        Yizhan__V1__ServerFrame *frame;
        Yizhan__V1__Push *push;
        size_t len;
        const uint8_t *data = gw_message_frame(msg, GW_PROTOBUF, &len);

        frame = yizhan__v1__server_frame__unpack(NULL, len, data);
        assert_non_null(frame);
        assert_int_equal(frame->n_items, 1);
        assert_int_equal(frame->items[0]->body_case, YIZHAN__V1__ITEM__BODY_PUSH);
        push = frame->items[0]->push;
        assert_string_equal(push->id, "77-0");
        assert_string_equal(push->type, "thread.post");
        assert_string_equal(push->channel, "thread.g1.t1");
        assert_string_equal(push->name, offsets[i] ? "" : "attendance");
        assert_int_equal(push->offset, offsets[i]);
        assert_int_equal(gw_message_offset(msg), offsets[i]);
        yizhan__v1__server_frame__free_unpacked(frame, NULL);
        gw_message_unref(msg);
    }
}

static void two_frames_are_one(void **state)
{
    struct gw_message *a = make(1, "", "", ""), *b = make(2, "", "", "");
    size_t a_len, b_len;
    const uint8_t *a_frame = gw_message_frame(a, GW_PROTOBUF, &a_len);
    const uint8_t *b_frame = gw_message_frame(b, GW_PROTOBUF, &b_len);
    uint8_t both[1024];
    Yizhan__V1__ServerFrame *frame;

    (void)state;
    memcpy(both, a_frame, a_len);
    memcpy(both + a_len, b_frame, b_len);
    frame = yizhan__v1__server_frame__unpack(NULL, a_len + b_len, both);
    assert_non_null(frame);
    assert_int_equal(frame->n_items, 2);
    assert_int_equal(frame->items[1]->push->offset, 2);
    yizhan__v1__server_frame__free_unpacked(frame, NULL);
    gw_message_unref(a);
    gw_message_unref(b);
}

static void its_json_shows_the_payload(void **state)
{
    struct gw_message *msg = make(9, "", "", "");
    size_t len, again;
    const uint8_t *text = gw_message_frame(msg, GW_JSON, &len);
    char copy[1024];

    (void)state;
    assert_non_null(text);
    assert_true(len < sizeof copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    assert_int_equal(copy[len - 1], '\n');
    assert_non_null(strstr(copy, "\"text\":\"hello\""));
    assert_non_null(strstr(copy, "\"offset\":\"9\""));
    assert_non_null(strstr(copy, "\"channel\":\"thread.g1.t1\""));
    assert_ptr_equal(gw_message_frame(msg, GW_JSON, &again), text); /* made once */
    gw_message_unref(msg);
}

static void it_refuses_what_is_no_push(void **state)
{
    struct gw_message *msg;

    (void)state;
    assert_int_equal(gw_message_new("org.g1", 1, "", "\xff\xff\xff", 3, "", "", &msg),
                     YZ_BAD_FRAME);
    assert_int_equal(gw_message_new("org.g1", 1, "", "", 0, "", "", &msg), YZ_OK);
    gw_message_unref(gw_message_ref(msg));
    gw_message_unref(msg);
}

static void it_knows_its_audience(void **state)
{
    static const struct {
        const char *roles, *exclude, *org_path;
        bool visible;
    } cases[] = {
        {"", "", "g1/c1", true},
        {"", "m2,m3", "g1/c1", true},
        {"", "m2,m1,m3", "g1/c1", false},
        {"", "m11", "g1/c1", true},
        {"secretary", "", "g1/c1", true},
        {"secretary", "", "g1/c1/b9", true},
        {"secretary", "", "g1", false},    /* his scope is below */
        {"secretary@own", "", "g1", true}, /* over his own org, whatever the channel's */
        {"inspector@own,secretary@own", "", "g1", true},
        {"member@own", "", "g1", true},
        {"inspector@own", "", "g1/c1", false},
        {"secretary@g1/c1", "", "g1/c1", false}, /* no such form */
        {"inspector", "", "g1/c1", false},
        {"inspector,secretary", "", "g1/c1", true},
        {"member", "", "g1", true},
        {"secretary", "", "", true}, /* a member's channel: his own org */
        {"secretary", "m1", "g1/c1", false},
    };
    const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member,secretary@g1/c1"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gw_message *msg = make(1, "", cases[i].roles, cases[i].exclude);

        assert_int_equal(gw_message_visible(msg, &actor, cases[i].org_path), cases[i].visible);
        gw_message_unref(msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_frame_is_a_server_frame), cmocka_unit_test(two_frames_are_one),
        cmocka_unit_test(its_json_shows_the_payload),  cmocka_unit_test(it_refuses_what_is_no_push),
        cmocka_unit_test(it_knows_its_audience),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
