#include "tests/schemas/sample.h"

#include <notice.pb-c.h>

static const char published[] =
    "{\"noticeId\":\"n1\",\"orgPath\":\"g1/c1\",\"noticeClass\":\"INFO\",\"title\":\"通知\","
    "\"body\":\"正文\",\"expiresAt\":\"2027-01-01T00:00:00Z\"}";

static const struct refusal of_published[] = {
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},
    {"n1", "n|1", YZ_INVALID_VALUE, "noticeId"},
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1", "g1/", YZ_INVALID_VALUE, "orgPath"},
    {"g1/c1", "1/2/3/4/5/6/7/8/9/10/11/12", YZ_OK, ""},
    {"g1/c1", "1/2/3/4/5/6/7/8/9/10/11/12/13", YZ_INVALID_VALUE, "orgPath"},
    {"\"INFO\"", "null", YZ_MISSING_FIELD, "noticeClass"},
    {"\"INFO\"", "4", YZ_INVALID_VALUE, "noticeClass"},
    {"\"INFO\"", "-1", YZ_INVALID_VALUE, "noticeClass"},
    {"\"INFO\"", "\"CONFIRM\"", YZ_OK, ""},
    {"通知", "", YZ_MISSING_FIELD, "title"},
    {"通知", Z64, YZ_OK, ""},
    {"通知", A64 "a", YZ_TOO_LONG, "title"},
    {"正文", "", YZ_OK, ""},
    {"\"2027-01-01T00:00:00Z\"", "null", YZ_OK, ""},
};

static void published_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("notice.published", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, published, of_published, COUNT(of_published));
}

static void body_is_counted_in_characters(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("notice.published", NULL);
    Yizhan__V1__NoticePublished *notice = sample_json(type->payload, published);
    static char body[3 * 10001 + 1];
    struct yz_violation v = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        memcpy(body + 3 * i, "站", 3);
    notice->body = body;
    assert_int_equal(type->check(&notice->base, &v), YZ_OK);
    memcpy(body + 30000, "站", 3);
    assert_int_equal(type->check(&notice->base, &v), YZ_TOO_LONG);
    assert_violation(&v, YZ_TOO_LONG, "body");
}

static void times_out_of_range_are_refused(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("notice.published", NULL);
    Yizhan__V1__NoticePublished *notice = sample_json(type->payload, published);
    struct yz_violation v = {0};

    (void)state;
    notice->expires_at->nanos = 1000000000;
    assert_int_equal(type->check(&notice->base, &v), YZ_INVALID_VALUE);
    assert_violation(&v, YZ_INVALID_VALUE, "expiresAt");
    notice->expires_at->nanos = 0;
    notice->expires_at->seconds = INT64_MAX;
    assert_int_equal(type->check(&notice->base, &v), YZ_INVALID_VALUE);
}

static const struct refusal of_id[] = {
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},
    {"n1", "n 1", YZ_INVALID_VALUE, "noticeId"},
    {"n1", "通", YZ_INVALID_VALUE, "noticeId"},
};

static const struct refusal of_list[] = {
    {"100", "0", YZ_OK, ""},
    {"100", "1", YZ_OK, ""},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
};

static const struct refusal of_receipts[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},  {"g1/c1", "g1 c1", YZ_INVALID_VALUE, "orgPath"},
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},    {"g2/b2", "", YZ_OK, ""},
    {"g2/b2", "g2/", YZ_INVALID_VALUE, "after"},
};

static void others_are_checked(void **state)
{
    const struct yz_event_type *read = yz_event_type_find("notice.read", NULL);
    const struct yz_query_type *list = yz_query_type_find("notice.list", NULL);
    const struct yz_query_type *receipts = yz_query_type_find("notice.receipts", NULL);

    (void)state;
    assert_refusals(read->payload, read->check, "{\"noticeId\":\"n1\"}", of_id, COUNT(of_id));
    assert_refusals(list->request, list->check, "{\"limit\":100}", of_list, COUNT(of_list));
    assert_refusals(receipts->request, receipts->check,
                    "{\"orgPath\":\"g1/c1\",\"noticeId\":\"n1\",\"after\":\"g2/b2\"}", of_receipts,
                    COUNT(of_receipts));
}

static void aggregates_keep_receipts_apart(void **state)
{
    const struct yz_actor actor = {"t1", "u1", "g1/c1/b1", "member"};
    const struct yz_event_type *type = yz_event_type_find("notice.published", NULL);
    char aggregate[YZ_AGGREGATE_MAX];
    ProtobufCMessage *message = sample_json(type->payload, published);

    (void)state;
    type->aggregate(message, &actor, aggregate);
    assert_string_equal(aggregate, "notice|n1");
    assert_string_equal(type->org_path(message), "g1/c1");
    assert_int_equal(type->authority, YZ_BY_SECRETARY);
    type = yz_event_type_find("notice.read", NULL);
    type->aggregate(sample_json(type->payload, "{\"noticeId\":\"n1\"}"), &actor, aggregate);
    assert_string_equal(aggregate, "receipts|g1/c1/b1");
    assert_null(type->org_path);
    assert_int_equal(type->authority, YZ_BY_MEMBER);
    assert_int_equal(yz_query_type_find("notice.list", NULL)->authority, YZ_BY_MEMBER);
    assert_int_equal(yz_query_type_find("notice.receipts", NULL)->authority, YZ_BY_OVERSEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(published_is_checked),           sample_test(body_is_counted_in_characters),
        sample_test(times_out_of_range_are_refused), sample_test(others_are_checked),
        sample_test(aggregates_keep_receipts_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
