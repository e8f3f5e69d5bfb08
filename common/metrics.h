/* metrics.h: what a process counts and measures, and its Prometheus text (version 0.0.4).
 *
 * A program has one list, metrics.def: a line is a field of its struct (metrics_fields.def), a row
 * of its table (metrics_rows.def), and a row of k8s/monitoring/METRICS.md. Names and units follow
 * Prometheus's conventions: base units, counters end in _total.
 *
 *   COUNTER(field, name, help)        what only grows
 *   GAUGE(field, name, help)          what goes up and down
 *   SECONDS(field, name, help)        a gauge of time: the field counts microseconds
 *   SECONDS_TOTAL(field, name, help)  a counter of time, the same
 *   LATENCY(field, name, help)        a histogram of times, observed in microseconds
 *   SIZES(field, name, help)          a histogram of how many
 *   BYTES(field, name, help)          a histogram of bytes
 *   TROUBLES(field, name, help)       common/trouble.h
 *   COUNTER_BY, GAUGE_BY, LATENCY_BY(field, name, help, label, count, text)
 *                                     an array of `count` of these, told apart by the label, whose
 *                                     values are text(i); NULL: that one is left out. Only labels
 *                                     with few values that are known beforehand: no ids.
 *
 * Lifetime  the fields live in the program's struct, zeroed at first; the tables are constant.
 * Thread    any, but for those that end in _own: they are for a field that only the caller's thread
 *           writes, and cost a plain addition instead of a locked one.
 * Limits    buckets are fixed: …_BOUNDS below, and +Inf.
 */
#ifndef YZ_METRICS_H
#define YZ_METRICS_H

#include "common/trouble.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Upper bounds, each at least twice the one before: so the bucket is found by one comparison. */
#define LATENCY_BOUNDS /* microseconds */                                                          \
    50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000,     \
        2000000, 5000000, 10000000, 20000000, 50000000
#define SIZES_BOUNDS 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024
#define BYTES_BOUNDS 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304

enum {
    YZ_LATENCY_BOUNDS = sizeof((const int[]){LATENCY_BOUNDS}) / sizeof(int),
    YZ_SIZES_BOUNDS = sizeof((const int[]){SIZES_BOUNDS}) / sizeof(int),
    YZ_BYTES_BOUNDS = sizeof((const int[]){BYTES_BOUNDS}) / sizeof(int),
};

/* The last bucket is +Inf. One type for each set of bounds, so that they are not mixed up. */
struct yz_latency {
    _Atomic uint64_t sum, buckets[YZ_LATENCY_BOUNDS + 1];
};
struct yz_sizes {
    _Atomic uint64_t sum, buckets[YZ_SIZES_BOUNDS + 1];
};
struct yz_bytes {
    _Atomic uint64_t sum, buckets[YZ_BYTES_BOUNDS + 1];
};

/* bounds ends with UINT64_MAX; first[n]: the first of them that is not below the least value of n
 * bits, filled before main. */
struct yz_bounds {
    const uint64_t *bounds;
    uint8_t first[65];
};
extern struct yz_bounds yz_bounds_latency, yz_bounds_sizes, yz_bounds_bytes;

static inline unsigned yz_bucket(const struct yz_bounds *set, uint64_t value)
{
    unsigned at = set->first[value ? 64 - __builtin_clzll(value) : 0];

    return at + (value > set->bounds[at]);
}

static inline void yz_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static inline void yz_count_own(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline void yz_gauge(_Atomic int64_t *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

/* Times below 0 count as 0: two clocks may disagree by a little. */
static inline void yz_observe_us(struct yz_latency *latency, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;

    yz_count(&latency->buckets[yz_bucket(&yz_bounds_latency, value)], 1);
    yz_count(&latency->sum, value);
}

/* `times` observations of the same. */
static inline void yz_observe_us_own(struct yz_latency *latency, int64_t us, uint64_t times)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;

    yz_count_own(&latency->buckets[yz_bucket(&yz_bounds_latency, value)], times);
    yz_count_own(&latency->sum, value * times);
}

static inline void yz_observe_size(struct yz_sizes *sizes, uint64_t count)
{
    yz_count(&sizes->buckets[yz_bucket(&yz_bounds_sizes, count)], 1);
    yz_count(&sizes->sum, count);
}

static inline void yz_observe_size_own(struct yz_sizes *sizes, uint64_t count)
{
    yz_count_own(&sizes->buckets[yz_bucket(&yz_bounds_sizes, count)], 1);
    yz_count_own(&sizes->sum, count);
}

static inline void yz_observe_bytes(struct yz_bytes *bytes, uint64_t len)
{
    yz_count(&bytes->buckets[yz_bucket(&yz_bounds_bytes, len)], 1);
    yz_count(&bytes->sum, len);
}

static inline void yz_observe_bytes_own(struct yz_bytes *bytes, uint64_t len)
{
    yz_count_own(&bytes->buckets[yz_bucket(&yz_bounds_bytes, len)], 1);
    yz_count_own(&bytes->sum, len);
}

enum yz_metric_kind {
    YZ_METRIC_COUNTER,
    YZ_METRIC_GAUGE,
    YZ_METRIC_SECONDS,
    YZ_METRIC_SECONDS_TOTAL,
    YZ_METRIC_LATENCY,
    YZ_METRIC_SIZES,
    YZ_METRIC_BYTES,
    YZ_METRIC_TROUBLES,
};

/* A line of metrics.def. */
struct yz_metric {
    enum yz_metric_kind kind;
    const char *name, *help;
    size_t offset;                 /* of its field in the program's struct */
    const char *label;             /* NULL: none, then count is 1 */
    size_t count;                  /* fields behind each other */
    const char *(*text)(size_t i); /* the label's value; NULL: left out */
};

const char *yz_metrics_trouble(size_t trouble);

/* The text of all rows, malloc'ed, the caller's to free; values: the program's struct. NULL: out of
 * memory. */
char *yz_metrics_text(const struct yz_metric *rows, size_t count, const void *values, size_t *len);

#endif
