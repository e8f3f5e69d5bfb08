/* histogram.h: latencies as counts in log-linear buckets.
 *
 * Source    the layout of HdrHistogram (Gil Tene, hdrhistogram.org): values below 2^11 have a
 * bucket each; above, each power of two is cut into 2^10 buckets of equal width, so that a value is
 * known to 1/1024 of itself. percentile gives the highest value of the bucket, as HdrHistogram
 * does, so it never flatters. Lifetime  histogram_init to histogram_deinit. Thread    one at a
 * time; merge what threads or processes recorded apart. Limits    values up to 2^42 ns (73
 * minutes); higher ones count as that. 270 KB each.
 *
 * Coordinated omission: record the time since the *intended* sending (schedule.h), not since the
 * real one.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_MAX ((uint64_t)1 << 42)

struct histogram {
    uint64_t *counts;
    uint64_t total, min, max;
    double sum;
};

/* Ends the program when memory runs out. */
void histogram_init(struct histogram *h);
void histogram_deinit(struct histogram *h);
void histogram_reset(struct histogram *h);
void histogram_record(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that `percent` (0 to 100) of all are at or below; 0 when nothing was recorded. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
double histogram_mean(const struct histogram *h);
/* {"count":..,"mean":..,"min":..,"p50":..,"p90":..,"p99":..,"p999":..,"max":..}, in the unit that
 * was recorded. */
void histogram_print(const struct histogram *h, FILE *to);

/* The buckets themselves, for tests: index of a value, lowest value of an index. */
uint32_t histogram_index(uint64_t value);
uint64_t histogram_lowest(uint32_t index);

#endif
