/* What may wait for one client. */

#include "common/clock.h"
#include "gateway/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void lets_in_up_to_a_half_and_again_below_a_quarter(void **state)
{
    struct gw_backlog backlog;

    (void)state;
    gw_backlog_init(&backlog, 1000);
    assert_true(gw_backlog_has_room(&backlog, 500));
    assert_false(gw_backlog_taken(&backlog, 0)); /* nothing waits for it */
    assert_false(gw_backlog_has_room(&backlog, 501));
    assert_false(gw_backlog_taken(&backlog, 250));
    assert_true(gw_backlog_taken(&backlog, 249));
    gw_backlog_resumed(&backlog);
    assert_false(gw_backlog_taken(&backlog, 0));
}

static void allows_what_was_missed_until_it_is_written(void **state)
{
    struct gw_backlog backlog;

    (void)state;
    gw_backlog_init(&backlog, 1000);
    assert_false(gw_backlog_exceeded(&backlog, 1000));
    assert_true(gw_backlog_exceeded(&backlog, 1001));
    gw_backlog_allow(&backlog, 500);
    assert_true(gw_backlog_exceeded(&backlog, 1001));
    gw_backlog_allow(&backlog, 3000);
    assert_false(gw_backlog_exceeded(&backlog, 3500));
    assert_true(gw_backlog_exceeded(&backlog, 3501));
    (void)gw_backlog_taken(&backlog, 250);
    assert_false(gw_backlog_exceeded(&backlog, 3500));
    (void)gw_backlog_taken(&backlog, 249);
    assert_true(gw_backlog_exceeded(&backlog, 1001));
}

static void is_stuck_from_the_first_that_waits(void **state)
{
    struct gw_backlog backlog;

    (void)state;
    gw_backlog_init(&backlog, 1000);
    assert_int_equal(gw_backlog_stuck_ms(&backlog, 0, 10), INT64_MAX);
    backlog.moved_ms = 5;
    gw_backlog_adding(&backlog, 1);
    assert_int_equal(gw_backlog_stuck_ms(&backlog, 1, 10), 15);
    (void)gw_backlog_taken(&backlog, 1);
    assert_true(backlog.moved_ms > 5 && backlog.moved_ms <= yz_clock_mono_ms());
    backlog.moved_ms = 5;
    gw_backlog_adding(&backlog, 0);
    assert_true(backlog.moved_ms > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_up_to_a_half_and_again_below_a_quarter),
        cmocka_unit_test(allows_what_was_missed_until_it_is_written),
        cmocka_unit_test(is_stuck_from_the_first_that_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
