#include "tests/schemas/sample.h"

#include <thread.pb-c.h>

static const char posted[] = "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\",\"messageId\":\"x1\","
                             "\"text\":\"好\",\"replyTo\":\"7\"}";

#define Z512 Z64 Z64 Z64 Z64 Z64 Z64 Z64 Z64
#define A936 A512 A64 A64 A64 A64 A64 A64 A8 A8 A8 A8 A8
#define A512 A64 A64 A64 A64 A64 A64 A64 A64

static const struct refusal of_posted[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "g1/c1/b1/", YZ_INVALID_VALUE, "orgPath"},
    {"t42", "", YZ_MISSING_FIELD, "threadId"},
    {"t42", "t.42", YZ_INVALID_VALUE, "threadId"},
    {"x1", "", YZ_MISSING_FIELD, "messageId"},
    {"x1", "x*", YZ_INVALID_VALUE, "messageId"},
    {"好", "", YZ_MISSING_FIELD, "text"},
    {"好", A936 Z64, YZ_OK, ""}, /* 1,000 characters, 1,128 bytes */
    {"好", A936 Z64 "a", YZ_TOO_LONG, "text"},
    {"好", Z512 A512, YZ_TOO_LONG, "text"},
    {"\"7\"", "0", YZ_OK, ""},
};

static void posted_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("thread.posted", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, posted, of_posted, COUNT(of_posted));
}

static const struct refusal of_page[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"}, {"t42", "", YZ_MISSING_FIELD, "threadId"},
    {"t42", "t/42", YZ_INVALID_VALUE, "threadId"}, {"100", "0", YZ_OK, ""},
    {"100", "101", YZ_INVALID_VALUE, "limit"},     {"100", "100,\"before\":\"9\"", YZ_OK, ""},
    {"100", "100,\"after\":\"0\"", YZ_OK, ""},
};

static void page_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("thread.page", NULL);

    (void)state;
    assert_refusals(type->request, type->check,
                    "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\",\"limit\":100}", of_page,
                    COUNT(of_page));
}

static void aggregate_is_the_thread(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("thread.posted", NULL);
    const struct yz_actor actor = {"t1", "u1", "g1/c1/b1", "member"};
    ProtobufCMessage *message = sample_json(type->payload, posted);
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    type->aggregate(message, &actor, aggregate);
    assert_string_equal(aggregate, "thread|g1/c1/b1|t42");
    assert_string_equal(type->org_path(message), "g1/c1/b1");
    assert_int_equal(type->authority, YZ_BY_MEMBER_OF_ORG);
    assert_int_equal(yz_query_type_find("thread.page", NULL)->authority, YZ_BY_MEMBER_OF_ORG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(posted_is_checked),
        sample_test(page_is_checked),
        sample_test(aggregate_is_the_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
