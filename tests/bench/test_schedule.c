#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "schedule.h"

#include <cmocka.h>

static void each_is_due_at_its_own_time(void **state)
{
    struct schedule schedule;
    uint64_t intended;

    (void)state;
    schedule_begin(&schedule, 5000, 1000); /* one in a million ns */
    assert_false(schedule_due(&schedule, 4999, &intended));
    assert_true(schedule_due(&schedule, 5000, &intended));
    assert_int_equal(intended, 5000);
    assert_false(schedule_due(&schedule, 1004999, &intended));
    assert_int_equal(schedule_next_ns(&schedule), 1005000);
    assert_true(schedule_due(&schedule, 1005000, &intended));
    assert_int_equal(intended, 1005000);
}

/* After a stall all that were meant for it are due, each with the time that it was meant for. */
static void a_stall_is_charged_to_who_stalled(void **state)
{
    struct schedule schedule;
    uint64_t intended, count = 0;

    (void)state;
    schedule_begin(&schedule, 0, 1000);
    while (schedule_due(&schedule, 10 * 1000000, &intended))
        assert_int_equal(intended, count++ * 1000000);
    assert_int_equal(count, 11);
}

/* No error gathers: after ten minutes of an odd rate the time is right to the nanosecond. */
static void the_rate_holds_over_time(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_begin(&schedule, 7, 29999);
    schedule.sent = 29999 * 600;
    assert_int_equal(schedule_next_ns(&schedule), 600000000007);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_due_at_its_own_time),
        cmocka_unit_test(a_stall_is_charged_to_who_stalled),
        cmocka_unit_test(the_rate_holds_over_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
