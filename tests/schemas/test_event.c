#include "tests/schemas/sample.h"

#include <event.pb-c.h>

static const struct refusal of_outcome[] = {
    {"e1", "", YZ_MISSING_FIELD, "eventId"},
    {"e1", "e 1", YZ_INVALID_VALUE, "eventId"},
    {"e1", A64 "a", YZ_INVALID_VALUE, "eventId"},
    {"e1", A64, YZ_OK, ""},
};

static void outcome_is_checked(void **state)
{
    const struct yz_query_type *type = yz_query_type_find("event.outcome", NULL);

    (void)state;
    assert_contract("event.outcome", "{\"eventId\":\"e1\"}", of_outcome, COUNT(of_outcome));
    assert_null(type->org_path);
    assert_int_equal(type->authority, YZ_BY_MEMBER);
}

static void nobody_sends_an_event_of_this_domain(void **state)
{
    (void)state;
    assert_null(yz_schema_event.events[0].name);
    assert_null(yz_event_type_find("event.outcome", NULL));
    assert_non_null(yz_push_type_find("event.outcome"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(outcome_is_checked),
        sample_test(nobody_sends_an_event_of_this_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
