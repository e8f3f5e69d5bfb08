#include "common/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALM, ROUGH, WEATHERS };

static const char *weather(size_t i)
{
    return i == CALM ? "calm" : NULL;
}

struct sample {
    _Atomic uint64_t count, us;
    _Atomic int64_t level, offset_us;
    struct yz_latency wait;
    struct yz_sizes batch;
    struct yz_bytes write;
    _Atomic uint64_t days[WEATHERS];
    struct yz_latency crossings[1];
    struct yz_troubles troubles;
};

#define ROW(kind_, field, name_)                                                                   \
    .kind = (kind_), .name = (name_), .help = "Help", .offset = offsetof(struct sample, field)

static const struct yz_metric rows[] = {
    {ROW(YZ_METRIC_COUNTER, count, "t_things_total"), .count = 1},
    {ROW(YZ_METRIC_SECONDS_TOTAL, us, "t_spent_seconds_total"), .count = 1},
    {ROW(YZ_METRIC_GAUGE, level, "t_level"), .count = 1},
    {ROW(YZ_METRIC_SECONDS, offset_us, "t_offset_seconds"), .count = 1},
    {ROW(YZ_METRIC_LATENCY, wait, "t_wait_seconds"), .count = 1},
    {ROW(YZ_METRIC_SIZES, batch, "t_batch_events"), .count = 1},
    {ROW(YZ_METRIC_BYTES, write, "t_write_bytes"), .count = 1},
    {ROW(YZ_METRIC_COUNTER, days, "t_days_total"), .label = "sky", .count = WEATHERS,
     .text = weather},
    {ROW(YZ_METRIC_LATENCY, crossings, "t_crossing_seconds"), .label = "sky", .count = 1,
     .text = weather},
    {ROW(YZ_METRIC_TROUBLES, troubles, "t_trouble"), .label = "code", .count = YZ_TROUBLES,
     .text = yz_metrics_trouble},
};

static char *render(const struct sample *sample)
{
    size_t len;
    char *text = yz_metrics_text(rows, sizeof rows / sizeof rows[0], sample, &len);

    assert_non_null(text);
    assert_int_equal(len, strlen(text));
    return text;
}

static void shows(const struct sample *sample, const char *line)
{
    char *text = render(sample);

    if (!strstr(text, line))
        fail_msg("no %s in\n%s", line, text);
    free(text);
}

/* The bucket found by its bits is the one that a search finds, at and around each bound. */
static void finds_the_first_bound_that_is_not_below(void **state)
{
    const struct yz_bounds *sets[] = {&yz_bounds_latency, &yz_bounds_sizes, &yz_bounds_bytes};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        for (unsigned bits = 0; bits < 64; bits++) {
            for (uint64_t i = 0; i < 3; i++) {
                uint64_t value = (UINT64_C(1) << bits) - 1 + i;
                unsigned at = 0;

                while (value > sets[s]->bounds[at])
                    at++;
                assert_int_equal(yz_bucket(sets[s], value), at);
            }
        }
        for (unsigned b = 0; sets[s]->bounds[b] != UINT64_MAX; b++) {
            assert_int_equal(yz_bucket(sets[s], sets[s]->bounds[b]), b);
            assert_int_equal(yz_bucket(sets[s], sets[s]->bounds[b] + 1), b + 1);
            if (b > 0)
                assert_true(sets[s]->bounds[b] >= 2 * sets[s]->bounds[b - 1]);
        }
        assert_int_equal(yz_bucket(sets[s], 0), 0);
    }
}

static void a_histogram_is_cumulative(void **state)
{
    struct sample sample = {0};

    (void)state;
    yz_observe_us(&sample.wait, -3); /* counts as 0 */
    yz_observe_us(&sample.wait, 50);
    yz_observe_us(&sample.wait, 51);
    yz_observe_us_own(&sample.wait, 1500, 3);
    yz_observe_us(&sample.wait, 70000000);
    shows(&sample, "# HELP t_wait_seconds Help\n# TYPE t_wait_seconds histogram\n"
                   "t_wait_seconds_bucket{le=\"0.00005\"} 2\n"
                   "t_wait_seconds_bucket{le=\"0.0001\"} 3\n"
                   "t_wait_seconds_bucket{le=\"0.0002\"} 3\n"
                   "t_wait_seconds_bucket{le=\"0.0005\"} 3\n"
                   "t_wait_seconds_bucket{le=\"0.001\"} 3\n"
                   "t_wait_seconds_bucket{le=\"0.002\"} 6\n");
    shows(&sample, "t_wait_seconds_bucket{le=\"1\"} 6\n");
    shows(&sample, "t_wait_seconds_bucket{le=\"50\"} 6\n"
                   "t_wait_seconds_bucket{le=\"+Inf\"} 7\n"
                   "t_wait_seconds_sum 70.004601\n"
                   "t_wait_seconds_count 7\n");
}

static void sizes_and_bytes_are_whole_numbers(void **state)
{
    struct sample sample = {0};

    (void)state;
    yz_observe_size(&sample.batch, 1);
    yz_observe_size_own(&sample.batch, 256);
    yz_observe_size(&sample.batch, 5000);
    yz_observe_bytes(&sample.write, 65);
    yz_observe_bytes_own(&sample.write, 65536);
    shows(&sample, "\nt_batch_events_bucket{le=\"1\"} 1\n");
    shows(&sample, "\nt_batch_events_bucket{le=\"128\"} 1\n"
                   "t_batch_events_bucket{le=\"256\"} 2\n");
    shows(&sample, "\nt_batch_events_bucket{le=\"+Inf\"} 3\n"
                   "t_batch_events_sum 5257\n"
                   "t_batch_events_count 3\n");
    shows(&sample, "\nt_write_bytes_bucket{le=\"64\"} 0\n"
                   "t_write_bytes_bucket{le=\"256\"} 1\n");
    shows(&sample, "\nt_write_bytes_sum 65601\nt_write_bytes_count 2\n");
}

static void numbers_and_times(void **state)
{
    struct sample sample = {0};

    (void)state;
    yz_count(&sample.count, UINT64_C(1) << 63);
    yz_count_own(&sample.count, 1);
    yz_count(&sample.us, 12000345);
    yz_gauge(&sample.level, -7);
    yz_gauge(&sample.offset_us, -250000);
    shows(&sample, "# HELP t_things_total Help\n# TYPE t_things_total counter\n"
                   "t_things_total 9223372036854775809\n");
    shows(&sample, "\nt_spent_seconds_total 12.000345\n");
    shows(&sample, "# TYPE t_level gauge\nt_level -7\n");
    shows(&sample, "# TYPE t_offset_seconds gauge\nt_offset_seconds -0.250000\n");
}

/* One HELP and TYPE for the family; a label that has no text is left out. */
static void labels_tell_fields_apart(void **state)
{
    struct sample sample = {0};
    char *text;

    (void)state;
    yz_count(&sample.days[CALM], 4);
    yz_count(&sample.days[ROUGH], 5);
    yz_observe_us(&sample.crossings[0], 10);
    shows(&sample, "# TYPE t_days_total counter\nt_days_total{sky=\"calm\"} 4\n#");
    shows(&sample, "\nt_crossing_seconds_bucket{sky=\"calm\",le=\"0.00005\"} 1\n");
    shows(&sample, "\nt_crossing_seconds_sum{sky=\"calm\"} 0.000010\n"
                   "t_crossing_seconds_count{sky=\"calm\"} 1\n");
    text = render(&sample);
    assert_null(strstr(text, "rough"));
    free(text);
}

static void each_trouble_is_there_or_not(void **state)
{
    struct sample sample = {0};
    size_t count = 0;
    char *text;

    (void)state;
    yz_trouble_note(&sample.troubles, YZ_TROUBLE_bus_disconnected, true);
    shows(&sample, "\nt_trouble{code=\"bus_disconnected\"} 1\n");
    shows(&sample, "\nt_trouble{code=\"clock_skewed\"} 0\n");
    text = render(&sample);
    for (const char *at = text; (at = strstr(at, "\nt_trouble{")); at++)
        count++;
    free(text);
    assert_int_equal(count, YZ_TROUBLES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_bound_that_is_not_below),
        cmocka_unit_test(a_histogram_is_cumulative),
        cmocka_unit_test(sizes_and_bytes_are_whole_numbers),
        cmocka_unit_test(numbers_and_times),
        cmocka_unit_test(labels_tell_fields_apart),
        cmocka_unit_test(each_trouble_is_there_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
