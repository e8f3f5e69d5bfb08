#include "tests/schemas/sample.h"

#include <client.pb-c.h>
#include <math.h>
#include <meeting.pb-c.h>
#include <scalars.pb-c.h>

/* Texts and what they are written as; NULL: the same. */
static void assert_returns(const ProtobufCMessageDescriptor *desc, const char *text,
                           const char *again)
{
    char *written = sample_text(sample_json(desc, text));

    assert_string_equal(written, again ? again : text);
    free(written);
}

static const char *const scalars[][2] = {
    {"{}", NULL},
    {" { } ", "{}"},
    {"{\"aInt32\":-2147483648,\"aSint32\":2147483647,\"aSfixed32\":-1}", NULL},
    {"{\"aUint32\":4294967295,\"aFixed32\":4294967295}", NULL},
    {"{\"aInt64\":\"-9223372036854775808\",\"aSint64\":\"9223372036854775807\","
     "\"aSfixed64\":\"-1\"}",
     NULL},
    {"{\"aUint64\":\"18446744073709551615\",\"aFixed64\":\"18446744073709551615\"}", NULL},
    {"{\"aInt64\":9223372036854775807}", "{\"aInt64\":\"9223372036854775807\"}"},
    {"{\"aInt32\":\"7\",\"aUint32\":\"8\"}", "{\"aInt32\":7,\"aUint32\":8}"},
    {"{\"aInt32\":1e3,\"aInt64\":-5.0,\"aUint64\":1e19}",
     "{\"aInt32\":1000,\"aInt64\":\"-5\",\"aUint64\":\"10000000000000000000\"}"},
    {"{\"aFloat\":0.1,\"aDouble\":0.1}", NULL},
    {"{\"aFloat\":1.5,\"aDouble\":-2.5e-300}", NULL},
    {"{\"aFloat\":\"NaN\",\"aDouble\":\"-Infinity\"}", NULL},
    {"{\"aFloat\":\"Infinity\",\"aDouble\":\"1.25\"}",
     "{\"aFloat\":\"Infinity\",\"aDouble\":1.25}"},
    {"{\"aDouble\":5}", NULL},
    {"{\"aDouble\":0.30000000000000004}", NULL},
    {"{\"aBool\":true}", NULL},
    {"{\"aBool\":false}", "{}"},
    {"{\"aColour\":\"BLUE\"}", NULL},
    {"{\"aColour\":-5}", "{\"aColour\":\"BLUE\"}"},
    {"{\"aColour\":1}", "{\"aColour\":\"RED\"}"},
    {"{\"aColour\":99}", NULL},
    {"{\"aColour\":\"COLOUR_UNSPECIFIED\"}", "{}"},
    {"{\"aString\":\"驿站 \\\"quoted\\\" \\\\ \\n \\u0001 \xF0\x9F\x98\x80\"}", NULL},
    {"{\"aString\":\"\\u9a7f\\ud83d\\ude00\\/\\t\"}",
     "{\"aString\":\"驿\xF0\x9F\x98\x80/\\u0009\"}"},
    {"{\"aBytes\":\"AP8=\"}", NULL},
    {"{\"aBytes\":\"-_8\"}", "{\"aBytes\":\"+/8=\"}"},
    {"{\"aBytes\":\"+/8=\"}", NULL},
    {"{\"aTime\":\"2026-03-01T08:00:00Z\"}", NULL},
    {"{\"aTime\":\"2026-03-01T08:00:00.120Z\"}", NULL},
    {"{\"aTime\":\"2026-03-01T16:00:00.000001+08:00\"}",
     "{\"aTime\":\"2026-03-01T08:00:00.000001Z\"}"},
    {"{\"aTime\":\"1970-01-01T00:00:00Z\"}", NULL},
    {"{\"aTime\":\"0001-01-01T00:00:00Z\"}", NULL},
    {"{\"aTime\":\"9999-12-31T23:59:59.999999999Z\"}", NULL},
    {"{\"inner\":{}}", NULL},
    {"{\"inner\":{\"inner\":{\"aInt32\":1}}}", NULL},
    {"{\"a_int32\":1,\"a_string\":\"x\"}", "{\"aInt32\":1,\"aString\":\"x\"}"},
    {"{\"aInt32\":null,\"inner\":null,\"aTime\":null,\"aString\":null,\"aBytes\":null}", "{}"},
};

static void scalars_return(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(scalars); i++)
        assert_returns(&yizhan__test__scalars__descriptor, scalars[i][0], scalars[i][1]);
}

static const char *const lists[][2] = {
    {"{\"numbers\":[1,-2,3],\"bigNumbers\":[\"1\",\"18446744073709551615\"]}", NULL},
    {"{\"reals\":[0.5,-0.0,\"NaN\"],\"flags\":[true,false],\"colours\":[\"RED\",\"BLUE\",7]}",
     NULL},
    {"{\"texts\":[\"\",\"a\"],\"blobs\":[\"\",\"AA==\"]}", NULL},
    {"{\"times\":[\"2026-03-01T08:00:00Z\"],\"inner\":[{},{\"numbers\":[1]}],\"fixed\":[9]}", NULL},
    {"{\"numbers\":[],\"texts\":null}", "{}"},
    {"{\"big_numbers\":[1,\"2\"]}", "{\"bigNumbers\":[\"1\",\"2\"]}"},
};

static void lists_return(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++)
        assert_returns(&yizhan__test__lists__descriptor, lists[i][0], lists[i][1]);
}

/* A member of a oneof is written though it holds its default: that it is there is what it says. */
static const char *const choices[][2] = {
    {"{\"number\":0}", NULL},
    {"{\"text\":\"\"}", NULL},
    {"{\"message\":{}}", NULL},
    {"{\"flag\":false}", NULL},
    {"{\"blob\":\"\"}", NULL},
    {"{\"number\":1,\"text\":null}", "{\"number\":1}"},
    {"{\"code_period_s\":\"x\"}", "{\"codePeriodS\":\"x\"}"},
};

static void choices_return(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(choices); i++)
        assert_returns(&yizhan__test__choice__descriptor, choices[i][0], choices[i][1]);
}

struct bad_json {
    const char *text;
    enum yz_err err;
    const char *field;
};

static const struct bad_json bad_scalars[] = {
    {"", YZ_BAD_JSON, ""},
    {"nonsense", YZ_BAD_JSON, ""},
    {"{", YZ_BAD_JSON, ""},
    {"{} {}", YZ_BAD_JSON, ""},
    {"{}x", YZ_BAD_JSON, ""},
    {"{\"aInt32\":1,}", YZ_BAD_JSON, ""},
    {"{\"aInt32\":01}", YZ_BAD_JSON, ""},
    {"{\"aInt32\":1,\"aInt32\":1}", YZ_BAD_JSON, ""},
    {"{\"aDouble\":NaN}", YZ_BAD_JSON, ""},
    {"{\"aDouble\":1e999}", YZ_BAD_JSON, ""},
    {"{\"aString\":\"\\ud800\"}", YZ_INVALID_UTF8, "aString"},
    {"{\"aString\":\"a\\udc00\\ud83d\\ude00\"}", YZ_INVALID_UTF8, "aString"},
    {"{\"aString\":\"\\uD83D\\uD83D\\uDE00\"}", YZ_INVALID_UTF8, "aString"},
    {"{\"aString\":\"\\\\\\\\\\ud83d\"}", YZ_INVALID_UTF8, "aString"},
    {"{\"inner\":{\"aString\":\"\\ud83d\\u0041\"}}", YZ_INVALID_UTF8, "inner.aString"},
    {"{\"aString\":\"\\ud83d", YZ_BAD_JSON, ""},
    {"{\"aString\":\"\\ud8", YZ_BAD_JSON, ""},
    {"{\"a\\ud83d\":1}", YZ_BAD_JSON, ""},
    {"{\"aString\":\"a\\u0000b\"}", YZ_INVALID_UTF8, "aString"},
    {"{\"aInt32\":\"7\\u0000x\"}", YZ_INVALID_UTF8, "aInt32"},
    {"{\"aColour\":\"RED\\u0000\"}", YZ_INVALID_UTF8, "aColour"},
    {"{\"aBytes\":\"AA==\\u0000\"}", YZ_INVALID_UTF8, "aBytes"},
    {"{\"aTime\":\"2026-03-01T08:00:00Z\\u0000\"}", YZ_INVALID_UTF8, "aTime"},
    {"{\"aString\":\"\xFF\"}", YZ_INVALID_UTF8, ""},
    {"{\"aString\":\"\xC0\xAF\"}", YZ_INVALID_UTF8, ""},
    {"[]", YZ_WRONG_TYPE, ""},
    {"{\"nope\":1}", YZ_UNKNOWN_FIELD, "nope"},
    {"{\"aint32\":1}", YZ_UNKNOWN_FIELD, "aint32"},
    {"{\"a_Int32\":1}", YZ_UNKNOWN_FIELD, "a_Int32"},
    {"{\"inner\":{\"inner\":{\"x\\ny\":1}}}", YZ_UNKNOWN_FIELD, "inner.inner.x?y"},
    {"{\"aInt32\":1,\"a_int32\":1}", YZ_INVALID_VALUE, "aInt32"},
    {"{\"aInt32\":2147483648}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"-2147483649\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":1.5}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":true}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\" 1\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"1 \"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"+1\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"0x1\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"007\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aInt32\":\"-\"}", YZ_WRONG_TYPE, "aInt32"},
    {"{\"aUint32\":-1}", YZ_WRONG_TYPE, "aUint32"},
    {"{\"aUint32\":4294967296}", YZ_WRONG_TYPE, "aUint32"},
    {"{\"aUint64\":\"-1\"}", YZ_WRONG_TYPE, "aUint64"},
    {"{\"aUint64\":\"18446744073709551616\"}", YZ_WRONG_TYPE, "aUint64"},
    {"{\"aInt64\":\"9223372036854775808\"}", YZ_WRONG_TYPE, "aInt64"},
    {"{\"aInt64\":1e19}", YZ_WRONG_TYPE, "aInt64"},
    {"{\"aUint64\":1e20}", YZ_WRONG_TYPE, "aUint64"},
    {"{\"aUint64\":-1.0}", YZ_WRONG_TYPE, "aUint64"},
    {"{\"aFloat\":1e39}", YZ_WRONG_TYPE, "aFloat"},
    {"{\"aDouble\":\"nan\"}", YZ_WRONG_TYPE, "aDouble"},
    {"{\"aDouble\":\"0x10\"}", YZ_WRONG_TYPE, "aDouble"},
    {"{\"aDouble\":\"1e999\"}", YZ_WRONG_TYPE, "aDouble"},
    {"{\"aDouble\":\"\"}", YZ_WRONG_TYPE, "aDouble"},
    {"{\"aBool\":\"true\"}", YZ_WRONG_TYPE, "aBool"},
    {"{\"aBool\":1}", YZ_WRONG_TYPE, "aBool"},
    {"{\"aColour\":\"GREEN\"}", YZ_INVALID_VALUE, "aColour"},
    {"{\"aColour\":\"red\"}", YZ_INVALID_VALUE, "aColour"},
    {"{\"aColour\":true}", YZ_WRONG_TYPE, "aColour"},
    {"{\"aString\":5}", YZ_WRONG_TYPE, "aString"},
    {"{\"aBytes\":\"A\"}", YZ_INVALID_VALUE, "aBytes"},
    {"{\"aBytes\":\"AB==\"}", YZ_INVALID_VALUE, "aBytes"},
    {"{\"aBytes\":\"A A=\"}", YZ_INVALID_VALUE, "aBytes"},
    {"{\"aBytes\":\"+_8=\"}", YZ_INVALID_VALUE, "aBytes"},
    {"{\"aBytes\":[0]}", YZ_WRONG_TYPE, "aBytes"},
    {"{\"aTime\":\"2026-02-29T00:00:00Z\"}", YZ_INVALID_VALUE, "aTime"},
    {"{\"aTime\":\"2026-03-01 08:00:00Z\"}", YZ_INVALID_VALUE, "aTime"},
    {"{\"aTime\":\"2026-03-01T08:00:00\"}", YZ_INVALID_VALUE, "aTime"},
    {"{\"aTime\":{\"seconds\":1}}", YZ_WRONG_TYPE, "aTime"},
    {"{\"aTime\":1772352000}", YZ_WRONG_TYPE, "aTime"},
    {"{\"inner\":[]}", YZ_WRONG_TYPE, "inner"},
    {"{\"inner\":\"x\"}", YZ_WRONG_TYPE, "inner"},
};

static const struct bad_json bad_lists[] = {
    {"{\"numbers\":1}", YZ_WRONG_TYPE, "numbers"},
    {"{\"numbers\":[1,null]}", YZ_WRONG_TYPE, "numbers[1]"},
    {"{\"numbers\":[[1]]}", YZ_WRONG_TYPE, "numbers[0]"},
    {"{\"texts\":[\"a\",null]}", YZ_WRONG_TYPE, "texts[1]"},
    {"{\"inner\":[{},{\"texts\":[\"a\",\"b\",3]}]}", YZ_WRONG_TYPE, "inner[1].texts[2]"},
    {"{\"inner\":[{\"bigNumbers\":[\"1\",\"x\"]}]}", YZ_WRONG_TYPE, "inner[0].bigNumbers[1]"},
};

static const struct bad_json bad_choices[] = {
    {"{\"number\":1,\"text\":\"a\"}", YZ_INVALID_VALUE, "text"},
    {"{\"message\":{},\"flag\":false}", YZ_INVALID_VALUE, "flag"},
    {"{\"codePeriod_s\":\"x\"}", YZ_UNKNOWN_FIELD, "codePeriod_s"},
    {"{\"message\":{\"aInt32\":\"x\"}}", YZ_WRONG_TYPE, "message.aInt32"},
};

static const struct bad_json bad_frames[] = {
    {"{\"id\":1,\"ping\":{},\"emit\":{}}", YZ_INVALID_VALUE, "emit"},
    {"{\"id\":-1}", YZ_WRONG_TYPE, "id"},
    {"{\"id\":1,\"emit\":{\"type\":\"no.such\",\"payload\":{}}}", YZ_UNKNOWN_TYPE, "emit.type"},
    {"{\"id\":1,\"emit\":{\"payload\":{}}}", YZ_MISSING_FIELD, "emit.type"},
    {"{\"id\":1,\"emit\":{\"type\":\"notice.list\",\"payload\":{}}}", YZ_UNKNOWN_TYPE, "emit.type"},
    {"{\"id\":1,\"query\":{\"type\":\"notice.read\",\"payload\":{}}}", YZ_UNKNOWN_TYPE,
     "query.type"},
    {"{\"id\":1,\"emit\":{\"type\":\"notice.read\",\"payload\":\"CgJuMQ==\"}}", YZ_WRONG_TYPE,
     "emit.payload"},
    {"{\"id\":1,\"emit\":{\"payload\":{\"roster\":[\"a\",\"b\",\"c\",4]},"
     "\"type\":\"meeting.convened\"}}",
     YZ_WRONG_TYPE, "emit.payload.roster[3]"},
    {"{\"id\":1,\"emit\":{\"payload\":{\"colour\":1},\"type\":\"meeting.convened\"}}",
     YZ_UNKNOWN_FIELD, "emit.payload.colour"},
    {"{\"id\":1,\"hello\":{\"subscribe\":[{\"channel\":\"org.g1\",\"since\":{\"offset\":\"x\"}}]}}",
     YZ_WRONG_TYPE, "hello.subscribe[0].since.offset"},
};

static void assert_refused(const ProtobufCMessageDescriptor *desc, const struct bad_json *cases,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct yz_violation v = {0};
        ProtobufCMessage *message;
        enum yz_err err = yz_json_decode(desc, cases[i].text, strlen(cases[i].text),
                                         yz_payload_resolve, &sample_arena, &message, &v);

        if (err != cases[i].err)
            fail_msg("%s: %s instead of %s", cases[i].text, yz_err_code(err),
                     yz_err_code(cases[i].err));
        assert_violation(&v, cases[i].err, cases[i].field);
        assert_null(message);
    }
}

static void bad_texts_are_refused_with_their_field(void **state)
{
    (void)state;
    assert_refused(&yizhan__test__scalars__descriptor, bad_scalars, COUNT(bad_scalars));
    assert_refused(&yizhan__test__lists__descriptor, bad_lists, COUNT(bad_lists));
    assert_refused(&yizhan__test__choice__descriptor, bad_choices, COUNT(bad_choices));
    assert_refused(&yizhan__v1__client_frame__descriptor, bad_frames, COUNT(bad_frames));
}

/* What is JSON by the letter is told for what it is. */
static void a_refused_text_says_why(void **state)
{
    static const char *const cases[][2] = {
        {"{\"aUint64\":18446744073709551616}", "A number is too large"},
        {"{\"aDouble\":1e999}", "A number is too large"},
        {"{\"a\\u0000b\":1}", "A key holds a NUL"},
        {"{\"aInt32\":1,\"aInt32\":1}", "A key stands twice"},
        {"{\"aInt32\":1,}", "This is not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct yz_violation v = {0};
        ProtobufCMessage *message;

        assert_int_equal(yz_json_decode(&yizhan__test__scalars__descriptor, cases[i][0],
                                        strlen(cases[i][0]), yz_payload_resolve, &sample_arena,
                                        &message, &v),
                         YZ_BAD_JSON);
        if (strncmp(v.text, cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("%s: '%s'", cases[i][0], v.text);
    }
}

static void payloads_are_objects_of_their_type(void **state)
{
    Yizhan__V1__ClientFrame *frame =
        sample_json(&yizhan__v1__client_frame__descriptor,
                    "{\"emit\":{\"payload\":{\"notice_id\":\"n1\"},\"type\":\"notice.read\","
                    "\"eventId\":\"e1\"},\"id\":9}");
    static const uint8_t golden[] = {0x0a, 0x02, 'n', '1'};
    char *text;

    (void)state;
    assert_int_equal(frame->body_case, YIZHAN__V1__CLIENT_FRAME__BODY_EMIT);
    assert_int_equal(frame->emit->payload.len, sizeof golden);
    assert_memory_equal(frame->emit->payload.data, golden, sizeof golden);
    text = sample_text(frame);
    assert_string_equal(text, "{\"id\":9,\"emit\":{\"eventId\":\"e1\",\"type\":\"notice.read\","
                              "\"payload\":{\"noticeId\":\"n1\"}}}");
    free(text);
    /* What cannot be resolved or decoded is shown as it is. */
    frame->emit->type = "x.y";
    text = sample_text(frame);
    assert_non_null(strstr(text, "\"payload\":\"CgJuMQ==\""));
    free(text);
    frame->emit->type = "notice.read";
    frame->emit->payload.data = (uint8_t *)"\xFF";
    frame->emit->payload.len = 1;
    text = sample_text(frame);
    assert_non_null(strstr(text, "\"payload\":\"/w==\""));
    free(text);
}

static enum yz_err nested(int depth, const char *open, const char *inner, const char *close)
{
    size_t size = (size_t)depth * (strlen(open) + strlen(close)) + strlen(inner) + 1;
    char *text = calloc(1, size), *end = text;
    struct yz_violation v = {0};
    ProtobufCMessage *message;
    enum yz_err err;

    for (int i = 0; i < depth; i++)
        end = stpcpy(end, open);
    end = stpcpy(end, inner);
    for (int i = 0; i < depth; i++)
        end = stpcpy(end, close);
    err = yz_json_decode(&yizhan__test__scalars__descriptor, text, strlen(text), NULL,
                         &sample_arena, &message, &v);
    free(text);
    return err;
}

static void depth_is_bounded_before_parsing(void **state)
{
    (void)state;
    assert_int_equal(nested(15, "{\"inner\":", "{}", "}"), YZ_OK);
    assert_int_equal(nested(16, "{\"inner\":", "{}", "}"), YZ_TOO_DEEP);
    assert_int_equal(nested(1000000, "[", "", "]"), YZ_TOO_DEEP);
    assert_int_equal(nested(1000000, "[", "", ""), YZ_TOO_DEEP);
    /* Brackets in a string are text. */
    assert_int_equal(nested(1, "{\"aString\":\"\\\"[[[[[[[[[[[[[[[[[[[[{{{{\"", "", "}"), YZ_OK);
}

static void memory_is_bounded(void **state)
{
    static const char text[] = "{\"aString\":\"0123456789012345678901234567890123456789\"}";
    struct yz_violation v = {0};
    struct yz_arena small;
    ProtobufCMessage *message;
    struct yz_buf buf;

    (void)state;
    yz_arena_init(&small, 64);
    assert_int_equal(yz_json_decode(&yizhan__test__scalars__descriptor, text, strlen(text), NULL,
                                    &small, &message, &v),
                     YZ_FRAME_TOO_LARGE);
    assert_null(message);
    yz_arena_deinit(&small);
    message = sample_json(&yizhan__test__scalars__descriptor, text);
    yz_buf_init(&buf, 20);
    yz_buf_append(&buf, "kept", 4);
    assert_int_equal(yz_json_encode(message, NULL, &buf), YZ_FRAME_TOO_LARGE);
    assert_int_equal(buf.len, 4);
    assert_true(buf.failed);
    yz_buf_deinit(&buf);
}

static void what_has_no_json_is_not_written(void **state)
{
    Yizhan__Test__Scalars message = YIZHAN__TEST__SCALARS__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct yz_buf buf;

    (void)state;
    yz_buf_init(&buf, 1000);
    message.a_string = "a\xFFz";
    assert_int_equal(yz_json_encode(&message.base, NULL, &buf), YZ_INVALID_UTF8);
    assert_int_equal(buf.len, 0);
    message.a_string = NULL;
    message.a_time = &time;
    time.seconds = INT64_MAX;
    assert_int_equal(yz_json_encode(&message.base, NULL, &buf), YZ_INVALID_VALUE);
    assert_int_equal(buf.len, 0);
    assert_false(buf.failed);
    yz_buf_deinit(&buf);
}

static uint32_t id_in(const char *text)
{
    return yz_json_frame_id(text, strlen(text));
}

static void id_is_told_from_a_bad_frame(void **state)
{
    (void)state;
    assert_int_equal(id_in("{\"nope\":1,\"id\":17}"), 17);
    assert_int_equal(id_in("{\"id\":\"4294967295\",\"emit\":3}"), 4294967295u);
    assert_int_equal(id_in("{\"id\":17,\"x\":\"a\\u0000\"}"), 17);
    assert_int_equal(id_in("{\"x\":\"\\ud83d\",\"id\":17}"), 17);
    assert_int_equal(id_in("{\"id\":4294967296}"), 0);
    assert_int_equal(id_in("{\"id\":-1}"), 0);
    assert_int_equal(id_in("{\"id\":{}}"), 0);
    assert_int_equal(id_in("[17]"), 0);
    assert_int_equal(id_in("{\"id\":17"), 0);
    assert_int_equal(id_in(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(scalars_return),
        sample_test(lists_return),
        sample_test(choices_return),
        sample_test(bad_texts_are_refused_with_their_field),
        sample_test(a_refused_text_says_why),
        sample_test(payloads_are_objects_of_their_type),
        sample_test(depth_is_bounded_before_parsing),
        sample_test(memory_is_bounded),
        sample_test(what_has_no_json_is_not_written),
        sample_test(id_is_told_from_a_bad_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
