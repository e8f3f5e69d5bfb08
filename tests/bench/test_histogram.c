#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "histogram.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Small values have a bucket each; above, buckets join without a gap and are no wider than 1/1024
 * of their value. */
static void buckets_cover_all_values(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 2048; value++)
        assert_int_equal(histogram_index(value), value);
    for (uint32_t i = 1; histogram_lowest(i) < HISTOGRAM_MAX; i++) {
        uint64_t low = histogram_lowest(i), next = histogram_lowest(i + 1);

        assert_true(next > low);
        assert_int_equal(histogram_index(low), i);
        assert_int_equal(histogram_index(next - 1), i);
        assert_true(low < 2048 || (next - low) * 1024 <= low);
    }
}

static void too_high_values_count_as_the_highest(void **state)
{
    struct histogram h;

    (void)state;
    histogram_init(&h);
    histogram_record(&h, UINT64_MAX);
    assert_int_equal(h.total, 1);
    assert_int_equal(histogram_index(UINT64_MAX), histogram_index(HISTOGRAM_MAX));
    histogram_deinit(&h);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

#define SAMPLES 20000

/* Against the exact answer: never below it, never more than 1/1024 above. */
static void percentiles_are_those_of_the_sorted_values(void **state)
{
    static const double asked[] = {0, 1, 10, 50, 90, 99, 99.9, 100};
    static uint64_t values[SAMPLES];
    struct histogram h;
    uint64_t x = 88172645463325252;

    (void)state;
    histogram_init(&h);
    for (size_t i = 0; i < SAMPLES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = x >> (24 + x % 30); /* from tens to billions */
        histogram_record(&h, values[i]);
    }
    qsort(values, SAMPLES, sizeof *values, by_size);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        size_t rank = (size_t)(asked[i] / 100 * SAMPLES + 0.999999);
        uint64_t exact = values[rank ? rank - 1 : 0], found = histogram_percentile(&h, asked[i]);

        assert_true(found >= exact);
        assert_true(found <= exact + exact / 1024 + 1);
    }
    assert_int_equal(h.min, values[0]);
    assert_int_equal(h.max, values[SAMPLES - 1]);
    assert_int_equal(histogram_percentile(&h, 100), values[SAMPLES - 1]);
    histogram_deinit(&h);
}

static void merging_is_recording_both(void **state)
{
    struct histogram both, one, other;

    (void)state;
    histogram_init(&both);
    histogram_init(&one);
    histogram_init(&other);
    for (uint64_t i = 1; i <= 5000; i++) {
        histogram_record(&both, i * i);
        histogram_record(i % 3 ? &one : &other, i * i);
    }
    histogram_merge(&one, &other);
    assert_int_equal(one.total, both.total);
    assert_int_equal(one.min, both.min);
    assert_int_equal(one.max, both.max);
    assert_true(histogram_mean(&one) == histogram_mean(&both));
    for (int percent = 0; percent <= 100; percent++)
        assert_int_equal(histogram_percentile(&one, percent), histogram_percentile(&both, percent));
    histogram_deinit(&both);
    histogram_deinit(&one);
    histogram_deinit(&other);
}

static void an_empty_one_prints_zeros(void **state)
{
    struct histogram h;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    (void)state;
    assert_non_null(to);
    histogram_init(&h);
    histogram_print(&h, to);
    fclose(to);
    assert_string_equal(text, "{\"count\":0,\"mean\":0.0,\"min\":0,\"p50\":0,\"p90\":0,\"p99\":0,"
                              "\"p999\":0,\"max\":0}");
    free(text);
    histogram_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_all_values),
        cmocka_unit_test(too_high_values_count_as_the_highest),
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(merging_is_recording_both),
        cmocka_unit_test(an_empty_one_prints_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
