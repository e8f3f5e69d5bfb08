#include "tests/schemas/sample.h"

#include <scalars.pb-c.h>
#include <thread.pb-c.h>

static enum yz_err decode(const ProtobufCMessageDescriptor *desc, const struct yz_pair *pairs,
                          size_t count, ProtobufCMessage **message, struct yz_violation *v)
{
    return yz_pairs_decode(desc, pairs, count, &sample_arena, message, v);
}

static void pairs_are_fields(void **state)
{
    const struct yz_pair pairs[] = {{"orgPath", "g1/c1"},
                                    {"thread_id", "t1"},
                                    {"after", "18446744073709551615"},
                                    {"limit", "5"}};
    struct yz_violation v;
    ProtobufCMessage *message;
    char *text;

    (void)state;
    assert_int_equal(
        decode(&yizhan__v1__thread_page_request__descriptor, pairs, COUNT(pairs), &message, &v),
        YZ_OK);
    text = sample_text(message);
    assert_string_equal(text, "{\"orgPath\":\"g1/c1\",\"threadId\":\"t1\","
                              "\"after\":\"18446744073709551615\",\"limit\":5}");
    free(text);
    assert_int_equal(decode(&yizhan__v1__thread_page_request__descriptor, NULL, 0, &message, &v),
                     YZ_OK);
}

static void every_kind_of_value_is_text(void **state)
{
    const struct yz_pair pairs[] = {{"aInt32", "-5"},     {"aBool", "true"},
                                    {"aColour", "RED"},   {"aDouble", "1.5"},
                                    {"aBytes", "_w"},     {"aTime", "2026-03-01T08:00:00Z"},
                                    {"aString", "站 \"x"}};
    const struct yz_pair texts[] = {{"texts", "a"}, {"flags", "false"}, {"texts", "b"}};
    struct yz_violation v;
    ProtobufCMessage *message;
    char *text;

    (void)state;
    assert_int_equal(decode(&yizhan__test__scalars__descriptor, pairs, COUNT(pairs), &message, &v),
                     YZ_OK);
    text = sample_text(message);
    assert_string_equal(text, "{\"aInt32\":-5,\"aDouble\":1.5,\"aBool\":true,\"aColour\":\"RED\","
                              "\"aString\":\"站 \\\"x\",\"aBytes\":\"/w==\","
                              "\"aTime\":\"2026-03-01T08:00:00Z\"}");
    free(text);
    assert_int_equal(decode(&yizhan__test__lists__descriptor, texts, COUNT(texts), &message, &v),
                     YZ_OK);
    text = sample_text(message);
    assert_string_equal(text, "{\"flags\":[false],\"texts\":[\"a\",\"b\"]}");
    free(text);
}

static void assert_refused(const ProtobufCMessageDescriptor *desc, struct yz_pair first,
                           struct yz_pair second, enum yz_err err, const char *field)
{
    const struct yz_pair pairs[] = {first, second};
    struct yz_violation v = {0};
    ProtobufCMessage *message;

    assert_int_equal(decode(desc, pairs, second.name ? 2 : 1, &message, &v), err);
    assert_violation(&v, err, field);
    assert_null(message);
}

static void bad_pairs_are_refused(void **state)
{
    const ProtobufCMessageDescriptor *desc = &yizhan__v1__thread_page_request__descriptor;
    const struct yz_pair none = {NULL, NULL};

    (void)state;
    assert_refused(desc, (struct yz_pair){"nope", "1"}, none, YZ_UNKNOWN_FIELD, "nope");
    assert_refused(desc, (struct yz_pair){"", ""}, none, YZ_UNKNOWN_FIELD, "");
    assert_refused(desc, (struct yz_pair){"limit", ""}, none, YZ_WRONG_TYPE, "limit");
    assert_refused(desc, (struct yz_pair){"limit", "five"}, none, YZ_WRONG_TYPE, "limit");
    assert_refused(desc, (struct yz_pair){"orgPath", "\xFF"}, none, YZ_INVALID_UTF8, "orgPath");
    assert_refused(desc, (struct yz_pair){"limit", "5"}, (struct yz_pair){"limit", "6"},
                   YZ_INVALID_VALUE, "limit");
    assert_refused(desc, (struct yz_pair){"orgPath", "g"}, (struct yz_pair){"org_path", "g"},
                   YZ_INVALID_VALUE, "orgPath");
    assert_refused(desc, (struct yz_pair){"before", "5"}, (struct yz_pair){"after", "6"},
                   YZ_INVALID_VALUE, "after");
    desc = &yizhan__test__scalars__descriptor;
    assert_refused(desc, (struct yz_pair){"inner", "{}"}, none, YZ_WRONG_TYPE, "inner");
    assert_refused(desc, (struct yz_pair){"aBool", "1"}, none, YZ_WRONG_TYPE, "aBool");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(pairs_are_fields),
        sample_test(every_kind_of_value_is_text),
        sample_test(bad_pairs_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
