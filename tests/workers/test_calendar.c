/* The local calendar: days, months, years and quiet hours at their edges. */
#include "workers/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"

/* Quiet from 22:00 to 07:00, eight hours ahead of UTC. */
static const struct wk_rules_calendar china = {.utc_offset_minutes = 480,
                                               .quiet_from_minute = 1320,
                                               .quiet_to_minute = 420,
                                               .pushes_per_day = 3};

static int64_t at(const char *text)
{
    int64_t seconds;
    int32_t nanos;

    assert_true(yz_clock_parse(text, strlen(text), &seconds, &nanos));
    return seconds * 1000 + nanos / 1000000;
}

static void the_day_turns_at_local_midnight(void **state)
{
    int64_t day = wk_calendar_day(&china, at("2026-03-01T12:00:00+08:00"));

    (void)state;
    assert_int_equal(day, 20513); /* date -d 2026-03-01 +%s / 86400 */
    assert_int_equal(wk_calendar_day(&china, at("2026-03-01T00:00:00+08:00")), day);
    assert_int_equal(wk_calendar_day(&china, at("2026-03-01T23:59:59.999+08:00")), day);
    assert_int_equal(wk_calendar_day(&china, at("2026-02-28T23:59:59.999+08:00")), day - 1);
    assert_int_equal(wk_calendar_day(&china, at("2026-03-02T00:00:00+08:00")), day + 1);
    assert_int_equal(wk_calendar_day_ms(&china, day), at("2026-03-01T00:00:00+08:00"));
}

static void a_day_before_1970_is_negative(void **state)
{
    const struct wk_rules_calendar behind = {.utc_offset_minutes = -300};

    (void)state;
    assert_int_equal(wk_calendar_day(&china, at("1969-12-31T15:59:59.999Z")), -1);
    assert_int_equal(wk_calendar_day(&china, at("1969-12-31T16:00:00Z")), 0);
    assert_int_equal(wk_calendar_day(&behind, 0), -1);
    assert_int_equal(wk_calendar_year(&behind, 0), 1969);
    assert_int_equal(wk_calendar_day_ms(&behind, 0), at("1970-01-01T00:00:00-05:00"));
}

static void the_year_turns_at_local_midnight(void **state)
{
    (void)state;
    assert_int_equal(wk_calendar_year(&china, at("2025-12-31T15:59:59.999Z")), 2025);
    assert_int_equal(wk_calendar_year(&china, at("2025-12-31T16:00:00Z")), 2026);
    assert_int_equal(wk_calendar_year(&china, at("2026-12-31T23:59:59+08:00")), 2026);
}

static void months_count_over_the_year(void **state)
{
    int64_t january = wk_calendar_month(&china, at("2026-01-01T00:00:00+08:00"));

    (void)state;
    assert_int_equal(january, 2026 * 12);
    assert_int_equal(wk_calendar_month(&china, at("2026-01-31T23:59:59.999+08:00")), january);
    assert_int_equal(wk_calendar_month(&china, at("2025-12-31T23:59:59.999+08:00")), january - 1);
    assert_int_equal(wk_calendar_month(&china, at("2028-02-29T12:00:00+08:00")), january + 25);
    assert_int_equal(wk_calendar_month_ms(&china, january), at("2026-01-01T00:00:00+08:00"));
    assert_int_equal(wk_calendar_month_ms(&china, january - 1), at("2025-12-01T00:00:00+08:00"));
    assert_int_equal(wk_calendar_month_ms(&china, january + 26), at("2028-03-01T00:00:00+08:00"));
}

static void quiet_hours_go_over_midnight(void **state)
{
    int64_t until_ms = 0, morning = at("2026-03-02T07:00:00+08:00");

    (void)state;
    assert_false(wk_calendar_quiet(&china, at("2026-03-01T21:59:59.999+08:00"), &until_ms));
    assert_int_equal(until_ms, 0);
    assert_true(wk_calendar_quiet(&china, at("2026-03-01T22:00:00+08:00"), &until_ms));
    assert_int_equal(until_ms, morning);
    assert_true(wk_calendar_quiet(&china, at("2026-03-01T23:59:59.999+08:00"), &until_ms));
    assert_int_equal(until_ms, morning);
    assert_true(wk_calendar_quiet(&china, at("2026-03-02T00:00:00+08:00"), &until_ms));
    assert_int_equal(until_ms, morning);
    assert_true(wk_calendar_quiet(&china, morning - 1, &until_ms));
    assert_int_equal(until_ms, morning);
    assert_false(wk_calendar_quiet(&china, morning, &until_ms));
}

static void quiet_hours_within_a_day(void **state)
{
    const struct wk_rules_calendar noon = {
        .utc_offset_minutes = 480, .quiet_from_minute = 720, .quiet_to_minute = 840};
    int64_t until_ms = 0;

    (void)state;
    assert_false(wk_calendar_quiet(&noon, at("2026-03-01T11:59:59.999+08:00"), &until_ms));
    assert_true(wk_calendar_quiet(&noon, at("2026-03-01T12:00:00+08:00"), &until_ms));
    assert_int_equal(until_ms, at("2026-03-01T14:00:00+08:00"));
    assert_true(wk_calendar_quiet(&noon, at("2026-03-01T13:59:59.999+08:00"), &until_ms));
    assert_false(wk_calendar_quiet(&noon, at("2026-03-01T14:00:00+08:00"), &until_ms));
}

static void equal_hours_are_none(void **state)
{
    struct wk_rules_calendar never = china;
    int64_t until_ms = 0, day = at("2026-03-01T00:00:00+08:00");

    (void)state;
    for (int64_t edge = 0; edge < 1440; edge += 60) {
        never.quiet_from_minute = never.quiet_to_minute = edge;
        for (int64_t minute = 0; minute < 1440; minute += 15)
            assert_false(wk_calendar_quiet(&never, day + minute * 60000, &until_ms));
    }
}

/* What is put off to the end of the quiet hours goes out then, and is not put off again. */
static void the_end_is_never_quiet(void **state)
{
    struct wk_rules_calendar any = china;

    (void)state;
    for (any.quiet_from_minute = 0; any.quiet_from_minute < 1440; any.quiet_from_minute += 37) {
        for (any.quiet_to_minute = 0; any.quiet_to_minute < 1440; any.quiet_to_minute += 41) {
            for (int64_t ms = at("2025-12-30T00:00:30Z"), end = ms + 172800000; ms < end;
                 ms += 3540000) {
                int64_t until_ms = 0, again_ms;

                if (!wk_calendar_quiet(&any, ms, &until_ms))
                    continue;
                assert_true(until_ms > ms && until_ms <= ms + 86400000);
                assert_true(wk_calendar_quiet(&any, until_ms - 1, &again_ms));
                assert_false(wk_calendar_quiet(&any, until_ms, &again_ms));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_day_turns_at_local_midnight),
        cmocka_unit_test(a_day_before_1970_is_negative),
        cmocka_unit_test(the_year_turns_at_local_midnight),
        cmocka_unit_test(months_count_over_the_year),
        cmocka_unit_test(quiet_hours_go_over_midnight),
        cmocka_unit_test(quiet_hours_within_a_day),
        cmocka_unit_test(equal_hours_are_none),
        cmocka_unit_test(the_end_is_never_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
