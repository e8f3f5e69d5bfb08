#include "histogram.h"

#include "loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_BITS 11 /* below 2^11 each value has a bucket */
#define EXACT      (1u << EXACT_BITS)
#define HALF       (EXACT / 2)
#define MAX_BITS   42
#define BUCKETS    (EXACT + (MAX_BITS - EXACT_BITS) * HALF + 1)

uint32_t histogram_index(uint64_t value)
{
    unsigned top, shift;

    if (value < EXACT)
        return (uint32_t)value;
    if (value > HISTOGRAM_MAX)
        value = HISTOGRAM_MAX;
    top = 63 - (unsigned)__builtin_clzll(value);
    shift = top - (EXACT_BITS - 1);
    return EXACT + (shift - 1) * HALF + (uint32_t)((value >> shift) - HALF);
}

uint64_t histogram_lowest(uint32_t index)
{
    uint32_t above;

    if (index < EXACT)
        return index;
    above = index - EXACT;
    return (uint64_t)(HALF + above % HALF) << (above / HALF + 1);
}

void histogram_init(struct histogram *h)
{
    h->counts = malloc(BUCKETS * sizeof *h->counts);
    if (!h->counts)
        bench_die("no memory for a histogram");
    histogram_reset(h);
}

void histogram_deinit(struct histogram *h)
{
    free(h->counts);
    h->counts = NULL;
}

void histogram_reset(struct histogram *h)
{
    memset(h->counts, 0, BUCKETS * sizeof *h->counts);
    h->total = h->max = 0;
    h->min = UINT64_MAX;
    h->sum = 0;
}

void histogram_record(struct histogram *h, uint64_t value)
{
    h->counts[histogram_index(value)]++;
    h->total++;
    h->sum += (double)value;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    into->sum += from->sum;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t wanted = (uint64_t)ceil(percent / 100 * (double)h->total), seen = 0, highest;

    if (h->total == 0)
        return 0;
    if (wanted == 0)
        wanted = 1;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            highest = histogram_lowest(i + 1) - 1;
            return highest < h->max ? highest : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->total ? h->sum / (double)h->total : 0;
}

void histogram_print(const struct histogram *h, FILE *to)
{
    fprintf(to,
            "{\"count\":%" PRIu64 ",\"mean\":%.1f,\"min\":%" PRIu64 ",\"p50\":%" PRIu64
            ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
            h->total, histogram_mean(h), h->total ? h->min : 0, histogram_percentile(h, 50),
            histogram_percentile(h, 90), histogram_percentile(h, 99), histogram_percentile(h, 99.9),
            h->max);
}
