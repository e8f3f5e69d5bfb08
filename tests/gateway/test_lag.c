#include "gateway/lag.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND 1000000

static uint64_t total(const struct yz_latency *latency)
{
    uint64_t sum = 0;

    for (size_t i = 0; i <= YZ_LATENCY_BOUNDS; i++)
        sum += latency->buckets[i];
    return sum;
}

/* Observations above a second and up to ten thousand: whatever the clock did meanwhile. */
static uint64_t above_a_second(const struct yz_latency *latency)
{
    uint64_t sum = 0;

    for (size_t i = yz_bucket(&yz_bounds_latency, SECOND) + 1; i <= YZ_LATENCY_BOUNDS; i++)
        sum += latency->buckets[i];
    return sum;
}

static void turn(struct gw_lag *lag, struct yz_latency *latency)
{
    gw_lag_begin(lag);
    gw_lag_end(lag, latency);
}

static void every_delivery_counts(void **state)
{
    static const uint64_t counts[] = {1, 2, 3, 4, 5, 15000};
    struct yz_latency latency = {0};
    struct gw_lag lag = {0};
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        gw_lag_note(&lag, yz_clock_wall_us() - 100 * SECOND, counts[i]);
        sum += counts[i];
    }
    turn(&lag, &latency);
    assert_int_equal(total(&latency), sum);
    assert_int_equal(above_a_second(&latency), sum);
    turn(&lag, &latency); /* nothing is left of the turn before */
    assert_int_equal(total(&latency), sum);
}

static void a_push_of_unknown_time_or_to_nobody_is_left_out(void **state)
{
    struct yz_latency latency = {0};
    struct gw_lag lag = {0};

    (void)state;
    gw_lag_note(&lag, 0, 7);
    gw_lag_note(&lag, yz_clock_wall_us(), 0);
    turn(&lag, &latency);
    assert_int_equal(total(&latency), 0);
}

static void more_pushes_than_fit_are_counted_with_the_last(void **state)
{
    struct yz_latency latency = {0};
    struct gw_lag lag = {0};

    (void)state;
    for (int i = 0; i < LAG_PUSHES_MAX + 10; i++)
        gw_lag_note(&lag, yz_clock_wall_us(), 3);
    turn(&lag, &latency);
    assert_int_equal(total(&latency), 3 * (LAG_PUSHES_MAX + 10));
}

/* A clock that is a thousand seconds ahead makes no lag of a thousand seconds; one that is behind
 * does not hide a lag. An offset within the error of the look is no offset. */
static void the_clocks_difference_is_taken_off(void **state)
{
    struct yz_latency latency = {0};
    struct gw_lag lag = {0};

    (void)state;
    gw_lag_set_clock(&lag, INT64_C(1000) * SECOND, SECOND);
    gw_lag_note(&lag, yz_clock_wall_us() - INT64_C(1000) * SECOND, 1);
    turn(&lag, &latency);
    assert_int_equal(latency.buckets[YZ_LATENCY_BOUNDS], 0);

    gw_lag_set_clock(&lag, -INT64_C(1000) * SECOND, SECOND);
    gw_lag_note(&lag, yz_clock_wall_us(), 1);
    turn(&lag, &latency);
    assert_int_equal(latency.buckets[YZ_LATENCY_BOUNDS], 1);

    gw_lag_set_clock(&lag, -300, 500);
    assert_int_equal(lag.ahead_us, 0);
}

/* What seems to come from the future is 0, not a wrapped number. */
static void a_push_from_the_future_has_no_lag(void **state)
{
    struct yz_latency latency = {0};
    struct gw_lag lag = {0};

    (void)state;
    gw_lag_note(&lag, yz_clock_wall_us() + INT64_C(3600) * SECOND, 5);
    turn(&lag, &latency);
    assert_int_equal(latency.buckets[0], 5);
    assert_int_equal(latency.sum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_delivery_counts),
        cmocka_unit_test(a_push_of_unknown_time_or_to_nobody_is_left_out),
        cmocka_unit_test(more_pushes_than_fit_are_counted_with_the_last),
        cmocka_unit_test(the_clocks_difference_is_taken_off),
        cmocka_unit_test(a_push_from_the_future_has_no_lag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
