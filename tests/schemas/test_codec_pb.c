#include "tests/schemas/sample.h"

#include <client.pb-c.h>
#include <scalars.pb-c.h>

static enum yz_err decode_hex(const ProtobufCMessageDescriptor *desc, const char *hex,
                              ProtobufCMessage **message, struct yz_violation *v)
{
    uint8_t bytes[512];
    size_t len = sample_hex(hex, NULL, bytes, sizeof bytes);
    /* A copy of exactly this size, so that a sanitizer sees a read beyond it. */
    uint8_t *copy = malloc(len ? len : 1);
    struct yz_violation checked;
    enum yz_err err;

    memcpy(copy, bytes, len);
    err = yz_pb_check(desc, copy, len, &checked);
    assert_int_equal(err, yz_pb_decode(desc, copy, len, &sample_arena, message, v));
    free(copy);
    return err;
}

/* Bytes of Google's implementation and the JSON of the same message. */
static const struct {
    const ProtobufCMessageDescriptor *desc;
    const char *hex, *json;
} golden[] = {
    {&yizhan__v1__client_frame__descriptor, "08 01 3a 00", "{\"id\":1,\"ping\":{}}"},
    {&yizhan__v1__client_frame__descriptor, "08 ac 02 22 0a 0a 08 6f 72 67 2e 67 31 2f 63",
     "{\"id\":300,\"unsubscribe\":{\"channel\":\"org.g1/c\"}}"},
    {&yizhan__test__scalars__descriptor, "08 ff ff ff ff ff ff ff ff ff 01", "{\"aInt32\":-1}"},
    {&yizhan__test__scalars__descriptor, "10 01 1d fe ff ff ff 20 ff ff ff ff 0f 2d 05 00 00 00",
     "{\"aSint32\":-1,\"aSfixed32\":-2,\"aUint32\":4294967295,\"aFixed32\":5}"},
    {&yizhan__test__scalars__descriptor,
     "30 80 80 80 80 80 80 80 80 80 01 38 03 41 ff ff ff ff ff ff ff ff",
     "{\"aInt64\":\"-9223372036854775808\",\"aSint64\":\"-2\",\"aSfixed64\":\"-1\"}"},
    {&yizhan__test__scalars__descriptor, "48 ff ff ff ff ff ff ff ff ff 01",
     "{\"aUint64\":\"18446744073709551615\"}"},
    {&yizhan__test__scalars__descriptor, "5d 00 00 c0 3f 61 00 00 00 00 00 00 d0 3f 68 01",
     "{\"aFloat\":1.5,\"aDouble\":0.25,\"aBool\":true}"},
    {&yizhan__test__scalars__descriptor,
     "70 fb ff ff ff ff ff ff ff ff 01 7a 03 e7 ab 99 82 01 02 00 ff",
     "{\"aColour\":\"BLUE\",\"aString\":\"站\",\"aBytes\":\"AP8=\"}"},
    {&yizhan__test__scalars__descriptor, "8a 01 06 08 80 e4 8f cd 06 92 01 02 08 07",
     "{\"aTime\":\"2026-03-01T08:00:00Z\",\"inner\":{\"aInt32\":7}}"},
    {&yizhan__test__lists__descriptor, "0a 03 01 02 03 32 01 61 32 00 52 04 09 00 00 00",
     "{\"numbers\":[1,2,3],\"texts\":[\"a\",\"\"],\"fixed\":[9]}"},
    {&yizhan__test__choice__descriptor, "08 00", "{\"number\":0}"},
    {&yizhan__test__choice__descriptor, "1a 00", "{\"message\":{}}"},
};

static void golden_bytes_return(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(golden); i++) {
        struct yz_violation v = {0};
        ProtobufCMessage *message;
        uint8_t bytes[256];
        size_t len = sample_hex(golden[i].hex, NULL, bytes, sizeof bytes);
        struct yz_buf buf;
        char *text;

        if (decode_hex(golden[i].desc, golden[i].hex, &message, &v))
            fail_msg("%s: %s at %s", golden[i].json, yz_err_code(v.err), v.field);
        text = sample_text(message);
        assert_string_equal(text, golden[i].json);
        free(text);
        yz_buf_init(&buf, 1000);
        assert_int_equal(yz_pb_encode(sample_json(golden[i].desc, golden[i].json), &buf), YZ_OK);
        assert_int_equal(buf.len, len);
        assert_memory_equal(buf.data, bytes, len);
        yz_buf_deinit(&buf);
    }
}

/* Both ways of writing a list of numbers are read, as every protobuf reader must. */
static void lists_may_be_unpacked(void **state)
{
    struct yz_violation v;
    ProtobufCMessage *message;
    char *text;

    (void)state;
    assert_int_equal(
        decode_hex(&yizhan__test__lists__descriptor, "08 01 0a 02 02 03 08 04", &message, &v),
        YZ_OK);
    text = sample_text(message);
    assert_string_equal(text, "{\"numbers\":[1,2,3,4]}");
    free(text);
}

static const struct {
    const ProtobufCMessageDescriptor *desc;
    const char *hex;
    enum yz_err err;
    const char *field;
} refused[] = {
    {&yizhan__v1__client_frame__descriptor, "08", YZ_BAD_FRAME, "id"},
    {&yizhan__v1__client_frame__descriptor, "08 80", YZ_BAD_FRAME, "id"},
    {&yizhan__v1__client_frame__descriptor, "3a", YZ_BAD_FRAME, "ping"},
    {&yizhan__v1__client_frame__descriptor, "3a 01", YZ_BAD_FRAME, "ping"},
    {&yizhan__v1__client_frame__descriptor, "3a ff ff ff ff 0f", YZ_BAD_FRAME, "ping"},
    {&yizhan__v1__client_frame__descriptor, "3a ff ff ff ff ff ff ff ff ff 01", YZ_BAD_FRAME,
     "ping"},
    {&yizhan__v1__client_frame__descriptor, "00", YZ_BAD_FRAME, ""},
    {&yizhan__v1__client_frame__descriptor, "ff ff ff ff ff 01 00", YZ_BAD_FRAME, ""},
    {&yizhan__v1__client_frame__descriptor, "80", YZ_BAD_FRAME, ""},
    {&yizhan__v1__client_frame__descriptor, "0b 0c", YZ_WRONG_TYPE, "id"},
    {&yizhan__v1__client_frame__descriptor, "0a 01 00", YZ_WRONG_TYPE, "id"},
    {&yizhan__v1__client_frame__descriptor, "0d 01 00 00 00", YZ_WRONG_TYPE, "id"},
    {&yizhan__v1__client_frame__descriptor, "38 01", YZ_WRONG_TYPE, "ping"},
    {&yizhan__v1__client_frame__descriptor, "08 80 80 80 80 10", YZ_WRONG_TYPE, "id"},
    {&yizhan__v1__client_frame__descriptor, "08 ff ff ff ff ff ff ff ff ff 02", YZ_BAD_FRAME, "id"},
    {&yizhan__v1__client_frame__descriptor, "08 ff ff ff ff ff ff ff ff ff ff 01", YZ_BAD_FRAME,
     "id"},
    {&yizhan__v1__client_frame__descriptor, "8a 01 00", YZ_UNKNOWN_FIELD, "#17"},
    {&yizhan__v1__client_frame__descriptor, "08 01 2a 03 8a 01 00", YZ_UNKNOWN_FIELD, "emit.#17"},
    {&yizhan__v1__client_frame__descriptor, "3a 02 08 01", YZ_UNKNOWN_FIELD, "ping.#1"},
    {&yizhan__v1__client_frame__descriptor, "08 01 08 01", YZ_INVALID_VALUE, "id"},
    {&yizhan__v1__client_frame__descriptor, "3a 00 3a 00", YZ_INVALID_VALUE, "ping"},
    {&yizhan__v1__client_frame__descriptor, "3a 00 22 00", YZ_INVALID_VALUE, "unsubscribe"},
    {&yizhan__v1__client_frame__descriptor, "22 03 0a 01 ff", YZ_INVALID_UTF8,
     "unsubscribe.channel"},
    {&yizhan__v1__client_frame__descriptor, "22 05 0a 03 61 00 62", YZ_INVALID_UTF8,
     "unsubscribe.channel"},
    {&yizhan__v1__client_frame__descriptor, "22 05 0a 03 ed a0 80", YZ_INVALID_UTF8,
     "unsubscribe.channel"},
    {&yizhan__v1__client_frame__descriptor, "2a 0e 22 0c 08 ff ff ff ff ff ff ff ff 7f 10 00",
     YZ_INVALID_VALUE, "emit.occurredAt"},
    {&yizhan__v1__client_frame__descriptor, "2a 08 22 06 10 80 94 eb dc 03", YZ_INVALID_VALUE,
     "emit.occurredAt"},
    {&yizhan__test__scalars__descriptor, "08 80 80 80 80 08", YZ_WRONG_TYPE, "aInt32"},
    {&yizhan__test__scalars__descriptor, "68 02", YZ_WRONG_TYPE, "aBool"},
    {&yizhan__test__scalars__descriptor, "5d 00 00 00", YZ_BAD_FRAME, "aFloat"},
    {&yizhan__test__scalars__descriptor, "61 00 00 00 00 00 00 00", YZ_BAD_FRAME, "aDouble"},
    {&yizhan__test__lists__descriptor, "0a 02 01 80", YZ_BAD_FRAME, "numbers"},
    {&yizhan__test__lists__descriptor, "52 03 01 00 00", YZ_BAD_FRAME, "fixed"},
    {&yizhan__test__lists__descriptor, "55 01 00 00", YZ_BAD_FRAME, "fixed"},
    {&yizhan__test__lists__descriptor, "4a 03 32 01 c0", YZ_INVALID_UTF8, "inner[0].texts[0]"},
    {&yizhan__test__lists__descriptor, "32 01 61 4a 00 4a 06 32 01 62 32 01 c0", YZ_INVALID_UTF8,
     "inner[1].texts[1]"},
    {&yizhan__test__choice__descriptor, "08 01 12 01 61", YZ_INVALID_VALUE, "text"},
};

static void bad_bytes_are_refused_with_their_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct yz_violation v = {0};
        ProtobufCMessage *message;
        enum yz_err err = decode_hex(refused[i].desc, refused[i].hex, &message, &v);

        if (err != refused[i].err)
            fail_msg("%s: %s instead of %s", refused[i].hex, yz_err_code(err),
                     yz_err_code(refused[i].err));
        assert_violation(&v, refused[i].err, refused[i].field);
        assert_null(message);
    }
}

/* `depth` messages one in the other, innermost empty. */
static enum yz_err nested(size_t depth)
{
    struct yz_violation v;
    ProtobufCMessage *message;
    uint8_t *bytes = malloc(8 * depth), *at = bytes + 8 * depth;
    enum yz_err err;

    for (size_t len = 0, i = 1; i < depth; i++, len = (size_t)(bytes + 8 * depth - at)) {
        size_t rest = len;
        uint8_t prefix[8], count = 0;

        prefix[count++] = 0x92; /* field 18 */
        prefix[count++] = 0x01;
        for (; rest >= 0x80; rest >>= 7)
            prefix[count++] = (uint8_t)(rest | 0x80);
        prefix[count++] = (uint8_t)rest;
        at -= count;
        memcpy(at, prefix, count);
    }
    err = yz_pb_decode(&yizhan__test__scalars__descriptor, at, (size_t)(bytes + 8 * depth - at),
                       &sample_arena, &message, &v);
    free(bytes);
    return err;
}

static void depth_is_bounded_before_unpacking(void **state)
{
    (void)state;
    assert_int_equal(nested(16), YZ_OK);
    assert_int_equal(nested(17), YZ_TOO_DEEP);
    assert_int_equal(nested(500000), YZ_TOO_DEEP);
}

static void memory_is_bounded(void **state)
{
    static const uint8_t bytes[] = {0x22, 0x0a, 0x0a, 8, 'o', 'r', 'g', '.', 'g', '1', '/', 'c'};
    struct yz_violation v = {0};
    struct yz_arena small;
    ProtobufCMessage *message;

    (void)state;
    yz_arena_init(&small, 40);
    assert_int_equal(yz_pb_decode(&yizhan__v1__client_frame__descriptor, bytes, sizeof bytes,
                                  &small, &message, &v),
                     YZ_FRAME_TOO_LARGE);
    assert_null(message);
    yz_arena_deinit(&small);
}

static void empty_input_is_an_empty_message(void **state)
{
    struct yz_violation v;
    ProtobufCMessage *message;
    struct yz_buf buf;

    (void)state;
    assert_int_equal(
        yz_pb_decode(&yizhan__v1__ping__descriptor, NULL, 0, &sample_arena, &message, &v), YZ_OK);
    yz_buf_init(&buf, 0);
    assert_int_equal(yz_pb_encode(message, &buf), YZ_OK);
    assert_int_equal(buf.len, 0);
    yz_buf_deinit(&buf);
}

/* What makes coalescing a memcpy: two server frames, one behind the other, are one with the items
 * of both. */
static void server_frames_concatenate(void **state)
{
    struct yz_violation v;
    ProtobufCMessage *message;
    char *text;

    (void)state;
    assert_int_equal(decode_hex(&yizhan__v1__server_frame__descriptor,
                                "0a 06 0a 04 08 01 42 00 0a 06 0a 04 08 02 42 00", &message, &v),
                     YZ_OK);
    text = sample_text(message);
    assert_string_equal(text, "{\"items\":[{\"reply\":{\"id\":1,\"pong\":{}}},"
                              "{\"reply\":{\"id\":2,\"pong\":{}}}]}");
    free(text);
}

static uint32_t id_in(const char *hex)
{
    uint8_t bytes[64];

    return yz_pb_frame_id(bytes, sample_hex(hex, NULL, bytes, sizeof bytes));
}

static void id_is_told_from_a_bad_frame(void **state)
{
    (void)state;
    assert_int_equal(id_in("08 11 8a 01 00"), 17);
    assert_int_equal(id_in("8a 01 00 08 11"), 17);
    assert_int_equal(id_in("9d 01 00 00 00 00 08 11"), 17);
    assert_int_equal(id_in("99 01 00 00 00 00 00 00 00 00 08 11"), 17);
    assert_int_equal(id_in("08 ff ff ff ff 0f"), 4294967295u);
    assert_int_equal(id_in("08 80 80 80 80 10"), 0);
    assert_int_equal(id_in("0a 01 08"), 0);
    assert_int_equal(id_in("3a 05 08"), 0);
    assert_int_equal(id_in("08"), 0);
    assert_int_equal(id_in(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(golden_bytes_return),
        sample_test(lists_may_be_unpacked),
        sample_test(bad_bytes_are_refused_with_their_field),
        sample_test(depth_is_bounded_before_unpacking),
        sample_test(memory_is_bounded),
        sample_test(empty_input_is_an_empty_message),
        sample_test(server_frames_concatenate),
        sample_test(id_is_told_from_a_bad_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
