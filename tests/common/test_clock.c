#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *text;
    int64_t seconds;
    int32_t nanos;
    const char *again; /* NULL: the same */
} good[] = {
    {"1970-01-01T00:00:00Z", 0, 0, NULL},
    {"2026-03-01T08:00:00Z", 1772352000, 0, NULL},
    {"2026-03-01T08:00:00.120Z", 1772352000, 120000000, NULL},
    {"2026-03-01T08:00:00.12Z", 1772352000, 120000000, "2026-03-01T08:00:00.120Z"},
    {"2026-03-01T08:00:00.000001Z", 1772352000, 1000, NULL},
    {"2026-03-01T08:00:00.000000001Z", 1772352000, 1, NULL},
    {"2026-03-01T16:00:00+08:00", 1772352000, 0, "2026-03-01T08:00:00Z"},
    {"2026-03-01T02:30:00-05:30", 1772352000, 0, "2026-03-01T08:00:00Z"},
    {"2026-03-01t08:00:00z", 1772352000, 0, "2026-03-01T08:00:00Z"},
    {"2024-02-29T23:59:59Z", 1709251199, 0, NULL},
    {"1969-12-31T23:59:59.500Z", -1, 500000000, NULL},
    {"0001-01-01T00:00:00Z", -62135596800, 0, NULL},
    {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999, NULL},
};

static void times_return(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[YZ_RFC3339_MAX];
        int64_t seconds;
        int32_t nanos;

        if (!yz_clock_parse(good[i].text, strlen(good[i].text), &seconds, &nanos))
            fail_msg("%s is refused", good[i].text);
        assert_int_equal(seconds, good[i].seconds);
        assert_int_equal(nanos, good[i].nanos);
        assert_true(yz_clock_format(seconds, nanos, text));
        assert_string_equal(text, good[i].again ? good[i].again : good[i].text);
    }
}

/* gmtime_r wrote it: the calendar that it is read by is our own. */
static void days_return(int64_t from, int64_t to, int64_t step)
{
    for (int64_t second = from; second <= to; second += step) {
        char text[YZ_RFC3339_MAX];
        int64_t seconds;
        int32_t nanos;

        assert_true(yz_clock_format(second, 0, text));
        if (!yz_clock_parse(text, strlen(text), &seconds, &nanos))
            fail_msg("%s is refused", text);
        assert_int_equal(seconds, second);
    }
}

static void every_day_returns(void **state)
{
    (void)state;
    days_return(-2524608000, 4417977600, 86400 - 7);            /* each of 1890 to 2110 */
    days_return(-62135596800, 253402300799, 29 * 86400 + 3601); /* each month of all years */
}

static void bad_times_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026",
        "2026-03-01",
        "2026-03-01T08:00:00",
        "2026-03-01 08:00:00Z",
        "2026-03-01T08:00Z",
        "2026-3-1T08:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-03-00T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T08:60:00Z",
        "2026-03-01T08:00:60Z",
        "2026-03-01T08:00:00.Z",
        "2026-03-01T08:00:00.1234567890Z",
        "2026-03-01T08:00:00+8:00",
        "2026-03-01T08:00:00+24:00",
        "2026-03-01T08:00:00+0800",
        "2026-03-01T08:00:00ZZ",
        " 2026-03-01T08:00:00Z",
        "-026-03-01T08:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };
    int64_t seconds;
    int32_t nanos;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (yz_clock_parse(bad[i], strlen(bad[i]), &seconds, &nanos))
            fail_msg("%s is taken for a time", bad[i]);
    }
    /* Every beginning of a time is none. */
    for (size_t len = 0; len < strlen("2026-03-01T08:00:00.5Z"); len++)
        assert_false(yz_clock_parse("2026-03-01T08:00:00.5Z", len, &seconds, &nanos));
}

static void unwritable_times_are_refused(void **state)
{
    char text[YZ_RFC3339_MAX];

    (void)state;
    assert_false(yz_clock_format(-62135596801, 0, text));
    assert_false(yz_clock_format(253402300800, 0, text));
    assert_false(yz_clock_format(INT64_MIN, 0, text));
    assert_false(yz_clock_format(INT64_MAX, 0, text));
    assert_false(yz_clock_format(0, -1, text));
    assert_false(yz_clock_format(0, 1000000000, text));
}

static void clocks_run(void **state)
{
    int64_t wall = yz_clock_wall_ms(), mono_us = yz_clock_mono_us();

    (void)state;
    assert_true(wall > 1700000000000);
    assert_true(yz_clock_mono_us() >= mono_us);
    assert_true(yz_clock_mono_ms() >= mono_us / 1000);
}

/* A wait that nobody ends takes until its time and is never over before it. */
static void a_wait_ends_at_its_time(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    int64_t until_mono_ms = yz_clock_mono_ms() + 60;

    (void)state;
    pthread_mutex_lock(&mutex);
    while (yz_clock_wait(&cond, &mutex, until_mono_ms) == 0)
        ;
    assert_true(yz_clock_mono_ms() >= until_mono_ms);
    assert_int_equal(yz_clock_wait(&cond, &mutex, until_mono_ms - 1000), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_return),
        cmocka_unit_test(every_day_returns),
        cmocka_unit_test(bad_times_are_refused),
        cmocka_unit_test(unwritable_times_are_refused),
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(a_wait_ends_at_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
