#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "wire.h"

#include <cmocka.h>
#include <string.h>

#define ITEMS_MAX 8

static struct wire_item items[ITEMS_MAX];
static size_t item_count;

static void note(const struct wire_item *item, void *user)
{
    (void)user;
    assert_true(item_count < ITEMS_MAX);
    items[item_count++] = *item;
}

static bool read_all(enum wire_encoding encoding, const void *data, size_t len)
{
    item_count = 0;
    return wire_each(encoding, data, len, note, NULL);
}

/* The examples of schemas/PROTOCOL.md, which a test of their own proves true. */
static void client_frames_are_those_of_the_protocol(void **state)
{
    static const char ping[] = {0x08, 0x02, 0x3a, 0x00};
    static const char hello[] = "\x08\x01\x12\x1e\x0a\x02to\x1a\x0a\x0a\x08org.g1/c\x1a\x0c\x0a\x01"
                                "a\x12\x07\x0a\x02"
                                "e1\x10\xac\x02";
    const struct wire_channel channels[] = {{"org.g1/c", NULL, 0}, {"a", "e1", 300}};
    char out[512];

    (void)state;
    assert_int_equal(wire_ping(WIRE_PROTOBUF, 2, out, sizeof out), sizeof ping);
    assert_memory_equal(out, ping, sizeof ping);
    assert_int_equal(wire_hello(WIRE_PROTOBUF, 1, "to", channels, 2, out, sizeof out),
                     sizeof hello - 1);
    assert_memory_equal(out, hello, sizeof hello - 1);
    out[wire_hello(WIRE_JSON, 1, "to", channels, 2, out, sizeof out)] = '\0';
    assert_string_equal(
        out, "{\"id\":1,\"hello\":{\"token\":\"to\",\"subscribe\":[{\"channel\":\"org.g1/c\"},"
             "{\"channel\":\"a\",\"since\":{\"epoch\":\"e1\",\"offset\":\"300\"}}]}}");
    out[wire_emit(WIRE_JSON, 3, "e-3", "notice.read", "{}", 2, out, sizeof out)] = '\0';
    assert_string_equal(
        out, "{\"id\":3,\"emit\":{\"eventId\":\"e-3\",\"type\":\"notice.read\",\"payload\":{}}}");
}

/* Welcome with two channels joined (one recovered, 3 missed) and one refused; a push; Accepted;
 * Closing. */
static void server_items_are_read_in_protobuf(void **state)
{
    static const char message[] =
        "\x0a\x1a\x0a\x18\x08\x01\x1a\x14\x42\x06\x12\x04\x20\x01\x28\x03\x42\x04\x12\x02\x0a\x00"
        "\x42\x04\x1a\x02\x0a\x00"
        "\x0a\x07\x12\x05\x0a\x01p\x38\x09"
        "\x0a\x08\x0a\x06\x08\x05\x32\x02\x10\x2a"
        "\x0a\x09\x1a\x07\x08\xba\x17\x12\x02no";

    (void)state;
    assert_true(read_all(WIRE_PROTOBUF, message, sizeof message - 1));
    assert_int_equal(item_count, 4);
    assert_int_equal(items[0].kind, WIRE_WELCOME);
    assert_int_equal(items[0].joined, 2);
    assert_int_equal(items[0].refused, 1);
    assert_int_equal(items[0].recovered, 1);
    assert_int_equal(items[0].missed, 3);
    assert_int_equal(items[1].kind, WIRE_PUSH);
    assert_int_equal(items[1].sequence, 9);
    assert_int_equal(items[2].kind, WIRE_ACCEPTED);
    assert_int_equal(items[2].id, 5);
    assert_int_equal(items[2].sequence, 42);
    assert_int_equal(items[3].kind, WIRE_CLOSING);
    assert_int_equal(items[3].sequence, 3002);
    assert_memory_equal(items[3].code, "no", 2);
    for (size_t cut = 1; cut < 20; cut++)
        assert_false(read_all(WIRE_PROTOBUF, message, cut));
}

static void server_items_are_read_in_json(void **state)
{
    static const char message[] =
        "{\"items\":[{\"reply\":{\"id\":1,\"welcome\":{\"session\":\"s\",\"subscribed\":[{"
        "\"channel\":\"a\","
        "\"ok\":{\"channel\":\"a\",\"recovered\":true,\"missed\":3}},{\"channel\":\"b\",\"error\":{"
        "\"code\":"
        "\"forbidden\"}}]}}}]}\n"
        "{\"items\":[{\"push\":{\"id\":\"p\",\"payload\":{\"text\":\"{\\\"push\\\":{\"},\"offset\":"
        "\"9\"}},"
        "{\"reply\":{\"id\":5,\"accepted\":{\"eventId\":\"e\",\"sequence\":\"42\",\"duplicate\":"
        "true}}},"
        "{\"reply\":{\"id\":6,\"error\":{\"code\":\"busy\",\"temporary\":true}}},"
        "{\"closing\":{\"closeCode\":3002,\"code\":\"gone\"}}]}\n";

    (void)state;
    assert_true(read_all(WIRE_JSON, message, sizeof message - 1));
    assert_int_equal(item_count, 5);
    assert_int_equal(items[0].kind, WIRE_WELCOME);
    assert_int_equal(items[0].joined, 1);
    assert_int_equal(items[0].refused, 1);
    assert_int_equal(items[0].missed, 3);
    assert_int_equal(items[1].kind, WIRE_PUSH);
    assert_int_equal(items[1].sequence, 9);
    assert_int_equal(items[2].kind, WIRE_ACCEPTED);
    assert_int_equal(items[2].sequence, 42);
    assert_true(items[2].duplicate);
    assert_int_equal(items[3].kind, WIRE_ERROR);
    assert_int_equal(items[3].id, 6);
    assert_memory_equal(items[3].code, "busy", 4);
    assert_int_equal(items[4].kind, WIRE_CLOSING);
    assert_int_equal(items[4].sequence, 3002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_frames_are_those_of_the_protocol),
        cmocka_unit_test(server_items_are_read_in_protobuf),
        cmocka_unit_test(server_items_are_read_in_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
