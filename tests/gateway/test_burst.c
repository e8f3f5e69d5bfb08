#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "client.pb-c.h"
#include "gateway/burst.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* A push whose payload has this size. */
static struct gw_message *make(uint64_t offset, size_t size, const char *roles)
{
    Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
    struct gw_message *msg;
    uint8_t *body;

    push.id = (char[]){"7-0"};
    push.payload.len = size;
    push.payload.data = calloc(1, size + 1);
    body = malloc(yizhan__v1__push__get_packed_size(&push));
    assert_int_equal(gw_message_new("org.g1", offset, "", body, yizhan__v1__push__pack(&push, body),
                                    roles, "", &msg),
                     YZ_OK);
    free(push.payload.data);
    free(body);
    return msg;
}

static bool add(struct gw_burst *burst, uint64_t offset, size_t size, const char *roles)
{
    struct gw_message *msg = make(offset, size, roles);
    bool added = gw_burst_add(burst, msg);

    gw_message_unref(msg);
    return added;
}

/* Bytes of its payload, as RFC 6455 says where it begins and how long it is. */
static const uint8_t *payload_of(const struct gw_wire *wire, uint8_t opcode, size_t *len)
{
    size_t head = 2;

    assert_int_equal(wire->bytes[0], 0x80 | opcode);
    *len = wire->bytes[1];
    assert_true(*len <= 126);
    if (*len == 126) {
        *len = (size_t)wire->bytes[2] << 8 | wire->bytes[3];
        assert_true(*len > 125); /* the shortest way to say it */
        head = 4;
    }
    assert_int_equal(wire->len, head + *len);
    assert_int_equal(wire->payload_len, *len);
    return wire->bytes + head;
}

static void one_message_of_all_pushes(void **state)
{
    struct gw_burst *burst = gw_burst_new();
    Yizhan__V1__ServerFrame *frame;
    const uint8_t *payload;
    size_t len;

    (void)state;
    for (uint64_t offset = 5; offset < 8; offset++)
        assert_true(add(burst, offset, 20, ""));
    assert_int_equal(burst->first, 5);
    assert_int_equal(burst->last, 7);
    assert_false(burst->restricted);
    payload = payload_of(gw_burst_wire(burst, GW_PROTOBUF), 2, &len);
    frame = yizhan__v1__server_frame__unpack(NULL, len, payload);
    assert_non_null(frame);
    assert_int_equal(frame->n_items, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(frame->items[i]->push->offset, 5 + i);
    yizhan__v1__server_frame__free_unpacked(frame, NULL);
    payload = payload_of(gw_burst_wire(burst, GW_JSON), 1, &len);
    assert_int_equal(payload[0], '{');
    assert_int_equal(payload[len - 1], '\n');
    gw_burst_free(burst);
}

/* Every length around those at which the head changes. */
static void the_head_says_the_length(void **state)
{
    struct gw_burst *burst = gw_burst_new();

    (void)state;
    for (size_t size = 60; size < 200; size++) {
        size_t len;

        assert_true(add(burst, 1, size, ""));
        (void)payload_of(gw_burst_wire(burst, GW_PROTOBUF), 2, &len);
        assert_true(len > size && len < size + 40);
        gw_burst_empty(burst);
    }
    gw_burst_free(burst);
}

static void what_is_too_large_has_no_wire(void **state)
{
    struct gw_burst *burst = gw_burst_new();
    size_t len;

    (void)state;
    assert_true(add(burst, 1, 70000, "")); /* alone it is taken, and handed on by itself */
    assert_null(gw_burst_wire(burst, GW_PROTOBUF));
    assert_null(gw_burst_wire(burst, GW_JSON));
    assert_false(add(burst, 2, 10, ""));
    gw_burst_empty(burst);
    assert_true(add(burst, 1, 60000, "")); /* in JSON a payload is a third longer */
    assert_null(gw_burst_wire(burst, GW_JSON));
    (void)payload_of(gw_burst_wire(burst, GW_PROTOBUF), 2, &len);
    assert_true(len > 60000);
    gw_burst_free(burst);
}

static void it_is_full_at_its_limits(void **state)
{
    struct gw_burst *burst = gw_burst_new();
    uint64_t offset = 0;

    (void)state;
    while (add(burst, offset + 1, 0, ""))
        offset++;
    assert_int_equal(offset, BURST_MAX);
    gw_burst_empty(burst);
    offset = 0;
    while (add(burst, offset + 1, 1000, ""))
        offset++;
    assert_in_range(offset, 50, 65);
    assert_non_null(gw_burst_wire(burst, GW_PROTOBUF));
    gw_burst_free(burst);
}

static void it_knows_what_not_everybody_may_see(void **state)
{
    struct gw_burst *burst = gw_burst_new();

    (void)state;
    assert_true(add(burst, 1, 0, ""));
    assert_true(add(burst, 2, 0, "secretary"));
    assert_true(burst->restricted);
    gw_burst_empty(burst);
    assert_false(burst->restricted);
    gw_burst_free(burst);
}

/* An emptied burst keeps its buffers: nothing of what was in it may come out again. */
static void it_begins_anew(void **state)
{
    struct gw_burst *burst = gw_burst_new();
    const struct gw_wire *wire;
    size_t first_len;

    (void)state;
    assert_true(add(burst, 9, 500, ""));
    first_len = gw_burst_wire(burst, GW_PROTOBUF)->len;
    gw_burst_empty(burst);
    assert_int_equal(burst->first, 0);
    assert_true(add(burst, 0, 5, "")); /* a value */
    assert_int_equal(burst->last, 0);
    wire = gw_burst_wire(burst, GW_PROTOBUF);
    assert_true(wire->len < first_len);
    gw_burst_free(burst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_of_all_pushes),
        cmocka_unit_test(the_head_says_the_length),
        cmocka_unit_test(what_is_too_large_has_no_wire),
        cmocka_unit_test(it_is_full_at_its_limits),
        cmocka_unit_test(it_knows_what_not_everybody_may_see),
        cmocka_unit_test(it_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
