#include "gateway/signal.h"

#include "client.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define THREAD "thread.g1/c1/b1.t1"

static enum yz_err judge(const char *roles, const char *path, int kind)
{
    struct yz_actor actor = {.tenant = "t1", .member = "m1"};

    snprintf(actor.roles, sizeof actor.roles, "%s", roles);
    snprintf(actor.org_path, sizeof actor.org_path, "%s", path);
    return gw_signal_authorize(kind, &actor, "g1/c1");
}

static void who_may_post_may_say_so(void **state)
{
    (void)state;
    assert_int_equal(judge("member", "g1/c1/b1", 1), YZ_OK);
    assert_int_equal(judge("member", "g1/c1", 1), YZ_OK);
    assert_int_equal(judge("member", "g1", 1), YZ_FORBIDDEN);
    assert_int_equal(judge("member", "g1/c2", 1), YZ_FORBIDDEN);
    assert_int_equal(judge("public", "g1/c1/b1", 1), YZ_FORBIDDEN);
    assert_int_equal(judge("member,secretary@g1", "g1", 1), YZ_OK);
    assert_int_equal(judge("member", "g1/c1/b1", 0), YZ_FORBIDDEN);
    assert_int_equal(judge("member", "g1/c1/b1", 2), YZ_FORBIDDEN);
}

static void is_one_frame_of_each_encoding(void **state)
{
    Yizhan__V1__ServerFrame *frame;
    const struct gw_wire *pb, *text;
    struct gw_signal signal;
    json_t *json, *item;

    (void)state;
    gw_signal_init(&signal, THREAD, "m2", 1);
    pb = gw_signal_wire(&signal, GW_PROTOBUF);
    text = gw_signal_wire(&signal, GW_JSON);
    assert_ptr_equal(gw_signal_wire(&signal, GW_PROTOBUF), pb); /* made once */
    frame = yizhan__v1__server_frame__unpack(NULL, pb->payload_len, gw_wire_payload(pb));
    assert_non_null(frame);
    assert_int_equal(frame->n_items, 1);
    assert_int_equal(frame->items[0]->body_case, YIZHAN__V1__ITEM__BODY_SIGNAL);
    assert_string_equal(frame->items[0]->signal->channel, THREAD);
    assert_string_equal(frame->items[0]->signal->member, "m2");
    assert_int_equal(frame->items[0]->signal->kind, YIZHAN__V1__SIGNAL_KIND__TYPING);
    yizhan__v1__server_frame__free_unpacked(frame, NULL);
    assert_int_equal(gw_wire_payload(text)[text->payload_len - 1], '\n');
    json = json_loadb((const char *)gw_wire_payload(text), text->payload_len, 0, NULL);
    item = json_array_get(json_object_get(json, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(item, "signal"), "kind")),
                        "TYPING");
    json_decref(json);
    gw_signal_deinit(&signal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_post_may_say_so),
        cmocka_unit_test(is_one_frame_of_each_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
