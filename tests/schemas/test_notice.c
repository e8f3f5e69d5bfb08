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
    (void)state;
    assert_contract("notice.published", published, of_published, COUNT(of_published));
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

static const char with_audience[] =
    "{\"noticeId\":\"n1\",\"orgPath\":\"g1\",\"noticeClass\":\"URGENT\",\"title\":\"t\","
    "\"audience\":"
    "{\"orgPaths\":[\"g1/c1\",\"g1/c2\"],\"roles\":[\"secretary\"],\"exclude\":[\"u1\",\"u2\"]}}";

static const struct refusal of_audience[] = {
    {"g1/c2", "g1/", YZ_INVALID_VALUE, "audience.orgPaths[1]"},
    {"g1/c2", "", YZ_INVALID_VALUE, "audience.orgPaths[1]"},
    {"g1/c2", "g1/c1", YZ_INVALID_VALUE, "audience.orgPaths[1]"},
    {"g1/c2", "g1/c1/b1", YZ_INVALID_VALUE, "audience.orgPaths[1]"},
    {"g1/c1", "g1", YZ_INVALID_VALUE, "audience.orgPaths[1]"},
    {"g1/c2", "g1/c10", YZ_OK, ""},
    {"\"g1/c1\",\"g1/c2\"", "", YZ_OK, ""},
    {"secretary", "public", YZ_INVALID_VALUE, "audience.roles[0]"},
    {"secretary", "", YZ_INVALID_VALUE, "audience.roles[0]"},
    {"\"secretary\"", "\"member\",\"secretary\",\"inspector\",\"admin\",\"admin\"", YZ_TOO_MANY,
     "audience.roles"},
    {"\"secretary\"", "", YZ_OK, ""},
    {"u2", "u 2", YZ_INVALID_VALUE, "audience.exclude[1]"},
    {"u2", "u1", YZ_INVALID_VALUE, "audience.exclude[1]"},
    {"\"u1\",\"u2\"", "", YZ_OK, ""},
};

static void audience_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("notice.published", NULL);
    Yizhan__V1__NoticePublished *notice;
    char names[33][YZ_ID_MAX], *paths[33];
    struct yz_violation v = {0};

    (void)state;
    assert_contract("notice.published", with_audience, of_audience, COUNT(of_audience));
    notice = sample_json(type->payload, with_audience);
    for (int i = 0; i < 33; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        paths[i] = names[i];
    }
    notice->audience->org_paths = paths;
    notice->audience->n_org_paths = 32;
    assert_int_equal(type->check(&notice->base, &v), YZ_OK);
    notice->audience->n_org_paths = 33;
    assert_int_equal(type->check(&notice->base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "audience.orgPaths");
    notice->audience->n_org_paths = 1;
    notice->audience->exclude = paths;
    notice->audience->n_exclude = 16;
    assert_int_equal(type->check(&notice->base, &v), YZ_OK);
    notice->audience->n_exclude = 17;
    assert_int_equal(type->check(&notice->base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "audience.exclude");
}

static const struct refusal of_place[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1", "g1/", YZ_INVALID_VALUE, "orgPath"},
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},
    {"n1", "n 1", YZ_INVALID_VALUE, "noticeId"},
};

static const struct refusal of_recalled[] = {
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},
    {"n1", "n 1", YZ_INVALID_VALUE, "noticeId"},
    {"误", "", YZ_OK, ""},
    {"误", Z64 Z64 Z64 Z8, YZ_OK, ""},
    {"误", Z64 Z64 Z64 Z8 "a", YZ_TOO_LONG, "reason"},
};

static const struct refusal of_received[] = {
    {"\"n1\",\"n2\"", "", YZ_MISSING_FIELD, "noticeIds"},
    {"n2", "n1", YZ_INVALID_VALUE, "noticeIds[1]"},
    {"n2", "n 2", YZ_INVALID_VALUE, "noticeIds[1]"},
};

static const struct refusal of_reminded[] = {
    {"\"g1/c1\"", "\"\"", YZ_MISSING_FIELD, "orgPath"},
    {"n1", "", YZ_MISSING_FIELD, "noticeId"},
    {"g1/c1/b1", "g1/c1", YZ_OK, ""},
    {"g1/c1/b1", "g1/c10", YZ_INVALID_VALUE, "branches[0]"},
    {"g1/c1/b1", "g1/c1/", YZ_INVALID_VALUE, "branches[0]"},
    {"\"g1/c1/b1\"", "", YZ_OK, ""},
    {"\"g1/c1/b1\"", "\"g1/c1/b1\",\"g1/c1/b2\",\"g1/c1\"", YZ_OK, ""},
    {"\"g1/c1/b1\"", "\"g1/c1/b1\",\"g1/c1/b2\",\"g1/c1/b1\"", YZ_INVALID_VALUE, "branches[2]"},
    {"]", "],\"subtree\":true", YZ_INVALID_VALUE, "subtree"},
};

static const struct refusal of_pending[] = {
    {"g1", "", YZ_MISSING_FIELD, "orgPath"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
};

static void steps_are_checked(void **state)
{
    static const char place[] = "{\"orgPath\":\"g1/c1\",\"noticeId\":\"n1\"}";

    (void)state;
    assert_contract("notice.approved", place, of_place, COUNT(of_place));
    assert_contract("notice.release_due", place, of_place, COUNT(of_place));
    assert_contract("notice.remind_due", place, of_place, COUNT(of_place));
    assert_contract("notice.reminded", place, of_place, COUNT(of_place));
    assert_contract("notice.reminded",
                    "{\"orgPath\":\"g1/c1\",\"noticeId\":\"n1\",\"branches\":[\"g1/c1/b1\"]}",
                    of_reminded, COUNT(of_reminded));
    assert_contract("notice.recalled", "{\"noticeId\":\"n1\",\"reason\":\"误\"}", of_recalled,
                    COUNT(of_recalled));
    assert_contract("notice.received", "{\"noticeIds\":[\"n1\",\"n2\"]}", of_received,
                    COUNT(of_received));
    assert_contract("notice.unread_members", place, of_place, COUNT(of_place));
    assert_contract("notice.pending", "{\"orgPath\":\"g1\",\"limit\":100}", of_pending,
                    COUNT(of_pending));
}

static void lists_have_a_maximum(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("notice.received", NULL);
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    Yizhan__V1__NoticeReminded reminded = YIZHAN__V1__NOTICE_REMINDED__INIT;
    static char names[201][YZ_ID_MAX], *all[201];
    struct yz_violation v = {0};

    (void)state;
    for (int i = 0; i < 201; i++) {
        snprintf(names[i], sizeof names[i], "x%d", i);
        all[i] = names[i];
    }
    received.notice_ids = all;
    received.n_notice_ids = 50;
    assert_int_equal(type->check(&received.base, &v), YZ_OK);
    received.n_notice_ids = 51;
    assert_int_equal(type->check(&received.base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "noticeIds");
    for (int i = 0; i < 201; i++)
        snprintf(names[i], sizeof names[i], "g/x%d", i);
    type = yz_event_type_find("notice.reminded", NULL);
    reminded.org_path = "g";
    reminded.notice_id = "n1";
    reminded.branches = all;
    reminded.n_branches = 200;
    assert_int_equal(type->check(&reminded.base, &v), YZ_OK);
    reminded.n_branches = 201;
    assert_int_equal(type->check(&reminded.base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "branches");
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
    (void)state;
    assert_contract("notice.read", "{\"noticeId\":\"n1\"}", of_id, COUNT(of_id));
    assert_contract("notice.confirmed", "{\"noticeId\":\"n1\"}", of_id, COUNT(of_id));
    assert_contract("notice.list", "{\"limit\":100}", of_list, COUNT(of_list));
    assert_contract("notice.receipts",
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
        sample_test(published_is_checked),
        sample_test(body_is_counted_in_characters),
        sample_test(times_out_of_range_are_refused),
        sample_test(others_are_checked),
        sample_test(aggregates_keep_receipts_apart),
        sample_test(audience_is_checked),
        sample_test(steps_are_checked),
        sample_test(lists_have_a_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
