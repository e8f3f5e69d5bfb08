#include "tests/schemas/sample.h"

#include <auth.pb-c.h>

static const char revoked[] = "{\"orgPath\":\"g1/c1\",\"memberId\":\"u7\",\"tokenId\":\"k9\","
                              "\"notBefore\":\"2026-03-01T08:00:00Z\"}";

static const struct refusal of_revoked[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1", "g1//c1", YZ_INVALID_VALUE, "orgPath"},
    {"u7", "", YZ_MISSING_FIELD, "memberId"},
    {"u7", "u.7", YZ_INVALID_VALUE, "memberId"},
    {"u7", "u>", YZ_INVALID_VALUE, "memberId"},
    {"k9", "", YZ_OK, ""},
    {"k9", "k 9", YZ_INVALID_VALUE, "tokenId"},
    {",\"notBefore\":\"2026-03-01T08:00:00Z\"", "", YZ_OK, ""},
    {"2026", "9999", YZ_OK, ""},
};

static void revoked_is_checked(void **state)
{
    (void)state;
    assert_contract("auth.revoked", revoked, of_revoked, COUNT(of_revoked));
}

static const struct refusal of_restored[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"u7", "", YZ_MISSING_FIELD, "memberId"},
    {"k9", "", YZ_OK, ""},
    {"k9", "k*", YZ_INVALID_VALUE, "tokenId"},
};

static void restored_is_checked(void **state)
{
    (void)state;
    assert_contract("auth.restored",
                    "{\"orgPath\":\"g1/c1\",\"memberId\":\"u7\",\"tokenId\":\"k9\"}", of_restored,
                    COUNT(of_restored));
}

static const struct refusal of_revocations[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"u7", "", YZ_MISSING_FIELD, "memberId"},
    {"u7", "u/7", YZ_INVALID_VALUE, "memberId"},
};

static void revocations_are_checked(void **state)
{
    (void)state;
    assert_contract("auth.revocations", "{\"orgPath\":\"g1/c1\",\"memberId\":\"u7\"}",
                    of_revocations, COUNT(of_revocations));
}

/* All that is revoked of one member is in order, whatever the org. */
static void aggregate_is_the_member(void **state)
{
    static const char *const names[] = {"auth.revoked", "auth.restored"};
    const struct yz_actor actor = {"t1", "a1", "g1", "admin@g1"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct yz_event_type *type = yz_event_type_find(names[i], NULL);
        ProtobufCMessage *message =
            sample_json(type->payload, "{\"orgPath\":\"g1/c1\",\"memberId\":\"u7\"}");

        type->aggregate(message, &actor, aggregate);
        assert_string_equal(aggregate, "auth|u7");
        assert_string_equal(type->org_path(message), "g1/c1");
        assert_int_equal(type->authority, YZ_BY_ADMIN);
    }
    assert_int_equal(yz_query_type_find("auth.revocations", NULL)->authority, YZ_BY_ADMIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(revoked_is_checked),
        sample_test(restored_is_checked),
        sample_test(revocations_are_checked),
        sample_test(aggregate_is_the_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
