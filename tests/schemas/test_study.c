#include "tests/schemas/sample.h"

#include <study.pb-c.h>

static const char credited[] =
    "{\"member\":\"u1\",\"sourceKind\":\"ATTENDED_MEETING\",\"source\":\"g1/c1/b1/m1\","
    "\"minutes\":90,\"orgPath\":\"g1/c1/b2\",\"endedAt\":\"2026-03-01T10:00:00Z\"}";

#define A400 A64 A64 A64 A64 A64 A64 A8 A8

static const struct refusal of_credited[] = {
    {"u1", "", YZ_MISSING_FIELD, "member"},
    {"u1", "u|1", YZ_INVALID_VALUE, "member"},
    {"ATTENDED_MEETING", "STUDY_SOURCE_UNSPECIFIED", YZ_MISSING_FIELD, "sourceKind"},
    {"\"ATTENDED_MEETING\"", "99", YZ_INVALID_VALUE, "sourceKind"},
    {"g1/c1/b1/m1", "", YZ_MISSING_FIELD, "source"},
    {"g1/c1/b1/m1", "g1|m1", YZ_INVALID_VALUE, "source"},
    {"g1/c1/b1/m1", A400, YZ_OK, ""},
    {"g1/c1/b1/m1", A400 "a", YZ_TOO_LONG, "source"},
    {"90", "0", YZ_MISSING_FIELD, "minutes"},
    {"90", "1440", YZ_OK, ""},
    {"90", "1441", YZ_INVALID_VALUE, "minutes"},
    {"g1/c1/b2", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b2", "g1//b2", YZ_INVALID_VALUE, "orgPath"},
    {",\"endedAt\":\"2026-03-01T10:00:00Z\"", "", YZ_MISSING_FIELD, "endedAt"},
};

static void credited_is_checked(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("study.credited", NULL);

    (void)state;
    assert_refusals(type->payload, type->check, credited, of_credited, COUNT(of_credited));
}

static void a_credit_belongs_to_its_member(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("study.credited", NULL);
    const struct yz_actor secretary = {"t1", "s1", "g1/c1/b1", "member"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    type->aggregate(sample_json(type->payload, credited), &secretary, aggregate);
    assert_string_equal(aggregate, "study|u1");
    assert_int_equal(type->authority, YZ_BY_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(credited_is_checked),
        sample_test(a_credit_belongs_to_its_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
