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

static const char mentioning[] = "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\",\"messageId\":"
                                 "\"x1\",\"text\":\"t\",\"mentions\":[\"m1\",\"m2\"]}";

static const struct refusal of_mentions[] = {
    {"\"m2\"", "\"m1\"", YZ_INVALID_VALUE, "mentions[1]"},
    {"\"m2\"", "\"m.2\"", YZ_INVALID_VALUE, "mentions[1]"},
    {"\"m2\"", "\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"", YZ_OK, ""},
    {"\"m2\"", "\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"", YZ_TOO_MANY,
     "mentions"},
};

static void posted_is_checked(void **state)
{
    (void)state;
    assert_contract("thread.posted", posted, of_posted, COUNT(of_posted));
    assert_contract("thread.posted", mentioning, of_mentions, COUNT(of_mentions));
}

/* What is said of a post: the post, and what else there is. */
static const char of_a_post[] =
    "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\",\"sequence\":\"7\"%s}";

static const struct refusal of_ref[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "/g1", YZ_INVALID_VALUE, "orgPath"},
    {"t42", "", YZ_MISSING_FIELD, "threadId"},
    {"t42", "t 42", YZ_INVALID_VALUE, "threadId"},
    {"\"7\"", "0", YZ_MISSING_FIELD, "sequence"},
    {"\"7\"", "\"9223372036854775808\"", YZ_INVALID_VALUE, "sequence"},
    {"\"7\"", "\"9223372036854775807\"", YZ_OK, ""},
};

static const struct refusal of_text[] = {
    {"好", "", YZ_MISSING_FIELD, "text"},
    {"好", A936 Z64, YZ_OK, ""},
    {"好", A936 Z64 "a", YZ_TOO_LONG, "text"},
};

static const struct refusal of_reason[] = {
    {"好", "", YZ_MISSING_FIELD, "reason"},
    {"好", Z64 Z64 Z64 A8, YZ_OK, ""},
    {"好", Z64 Z64 Z64 A8 "a", YZ_TOO_LONG, "reason"},
};

static const struct refusal of_kind[] = {
    {"\"LIKE\"", "\"REACTION_KIND_UNSPECIFIED\"", YZ_MISSING_FIELD, "kind"},
    {"\"LIKE\"", "99", YZ_INVALID_VALUE, "kind"},
    {"\"LIKE\"", "\"ENCOURAGE\",\"takenBack\":true", YZ_OK, ""},
};

static void about_a_post_is_checked(void **state)
{
    static const struct {
        const char *type, *more;
        const struct refusal *own;
        size_t own_count;
    } events[] = {
        {"thread.edited", ",\"text\":\"好\"", of_text, COUNT(of_text)},
        {"thread.hidden", ",\"reason\":\"好\"", of_reason, COUNT(of_reason)},
        {"thread.flagged", ",\"reason\":\"好\"", of_reason, COUNT(of_reason)},
        {"thread.reacted", ",\"kind\":\"LIKE\"", of_kind, COUNT(of_kind)},
        {"thread.read_up_to", "", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(events); i++) {
        char json[256];

        snprintf(json, sizeof json, of_a_post, events[i].more);
        assert_contract(events[i].type, json, of_ref, COUNT(of_ref));
        assert_contract(events[i].type, json, events[i].own, events[i].own_count);
    }
}

static const struct refusal of_page[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"}, {"t42", "", YZ_MISSING_FIELD, "threadId"},
    {"t42", "t/42", YZ_INVALID_VALUE, "threadId"}, {"100", "0", YZ_OK, ""},
    {"100", "101", YZ_INVALID_VALUE, "limit"},     {"100", "100,\"before\":\"9\"", YZ_OK, ""},
    {"100", "100,\"after\":\"0\"", YZ_OK, ""},
};

static void page_is_checked(void **state)
{
    (void)state;
    assert_contract("thread.page", "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\",\"limit\":100}",
                    of_page, COUNT(of_page));
}

static const struct refusal of_list[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "g1//b1", YZ_INVALID_VALUE, "orgPath"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"100", "0", YZ_OK, ""},
};

static const struct refusal of_thread[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"t42", "", YZ_MISSING_FIELD, "threadId"},
    {"t42", "*", YZ_INVALID_VALUE, "threadId"},
};

static void queries_are_checked(void **state)
{
    const struct yz_query_type *flags = yz_query_type_find("thread.flags", NULL);
    char json[256];

    (void)state;
    snprintf(json, sizeof json, of_a_post, "");
    assert_contract("thread.list", "{\"orgPath\":\"g1/c1/b1\",\"limit\":100}", of_list,
                    COUNT(of_list));
    assert_contract("thread.flags", "{\"orgPath\":\"g1/c1/b1\",\"limit\":100}", of_list,
                    COUNT(of_list));
    assert_contract("thread.unread", "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"t42\"}", of_thread,
                    COUNT(of_thread));
    assert_contract("thread.history", json, of_ref, COUNT(of_ref));
    assert_int_equal(flags->authority, YZ_BY_SECRETARY);
}

/* All that is written of a thread stays in order; how far one has read is each reader's own. */
static void aggregates(void **state)
{
    static const char *const of_the_thread[] = {"thread.edited", "thread.hidden", "thread.reacted",
                                                "thread.flagged"};
    const struct yz_actor actor = {"t1", "u1", "g1/c1/b1", "member"};
    const struct yz_event_type *read = yz_event_type_find("thread.read_up_to", NULL);
    char json[256], aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    snprintf(json, sizeof json, of_a_post, "");
    for (size_t i = 0; i < COUNT(of_the_thread); i++) {
        const struct yz_event_type *type = yz_event_type_find(of_the_thread[i], NULL);

        type->aggregate(sample_json(type->payload, json), &actor, aggregate);
        assert_string_equal(aggregate, "thread|g1/c1/b1|t42");
    }
    read->aggregate(sample_json(read->payload, json), &actor, aggregate);
    assert_string_equal(aggregate, "thread_reader|g1/c1/b1|t42|u1");
    assert_int_equal(yz_event_type_find("thread.hidden", NULL)->authority, YZ_BY_SECRETARY);
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
        sample_test(posted_is_checked), sample_test(about_a_post_is_checked),
        sample_test(page_is_checked),   sample_test(queries_are_checked),
        sample_test(aggregates),        sample_test(aggregate_is_the_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
