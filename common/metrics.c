#include "common/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MICRO 1000000

static const uint64_t latency_bounds[] = {LATENCY_BOUNDS, UINT64_MAX};
static const uint64_t sizes_bounds[] = {SIZES_BOUNDS, UINT64_MAX};
static const uint64_t bytes_bounds[] = {BYTES_BOUNDS, UINT64_MAX};

struct yz_bounds yz_bounds_latency = {.bounds = latency_bounds};
struct yz_bounds yz_bounds_sizes = {.bounds = sizes_bounds};
struct yz_bounds yz_bounds_bytes = {.bounds = bytes_bounds};

static void fill_first(struct yz_bounds *set)
{
    uint8_t at = 0;

    for (unsigned bits = 1; bits <= 64; bits++) {
        while (set->bounds[at] < UINT64_C(1) << (bits - 1))
            at++;
        set->first[bits] = at;
    }
}

__attribute__((constructor)) static void fill_all(void)
{
    fill_first(&yz_bounds_latency);
    fill_first(&yz_bounds_sizes);
    fill_first(&yz_bounds_bytes);
}

/* Where a row's value is written to. label is "" or "name=\"value\"". */
struct page {
    FILE *out;
    const struct yz_metric *row;
    const char *label;
};

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void write_seconds(FILE *out, bool negative, uint64_t us)
{
    fprintf(out, "%s%" PRIu64 ".%06" PRIu64, negative ? "-" : "", us / MICRO, us % MICRO);
}

/* A bound in seconds, without zeros at its end. */
static void write_bound_seconds(FILE *out, uint64_t us)
{
    int digits = 6;
    uint64_t part = us % MICRO;

    fprintf(out, "%" PRIu64, us / MICRO);
    if (part == 0)
        return;
    for (; part % 10 == 0; part /= 10)
        digits--;
    fprintf(out, ".%0*" PRIu64, digits, part);
}

static void write_labels(const struct page *page, const char *suffix)
{
    fprintf(page->out, "%s%s", page->row->name, suffix);
    if (*page->label)
        fprintf(page->out, "{%s}", page->label);
    fputc(' ', page->out);
}

static void write_bucket(const struct page *page, bool seconds, uint64_t bound, uint64_t count)
{
    FILE *out = page->out;

    fprintf(out, "%s_bucket{%s%sle=\"", page->row->name, page->label, *page->label ? "," : "");
    if (bound == UINT64_MAX)
        fputs("+Inf", out);
    else if (seconds)
        write_bound_seconds(out, bound);
    else
        fprintf(out, "%" PRIu64, bound);
    fprintf(out, "\"} %" PRIu64 "\n", count);
}

/* The count is the buckets' own sum, so that the two never disagree. */
static void write_histogram(const struct page *page, const struct yz_bounds *set, bool seconds,
                            const _Atomic uint64_t *sum, const _Atomic uint64_t *buckets)
{
    uint64_t count = 0;
    size_t i = 0;

    do {
        count += load(&buckets[i]);
        write_bucket(page, seconds, set->bounds[i], count);
    } while (set->bounds[i++] != UINT64_MAX);
    write_labels(page, "_sum");
    if (seconds)
        write_seconds(page->out, false, load(sum));
    else
        fprintf(page->out, "%" PRIu64, load(sum));
    fputc('\n', page->out);
    write_labels(page, "_count");
    fprintf(page->out, "%" PRIu64 "\n", count);
}

static void write_gauge(const struct page *page, int64_t value, bool seconds)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    write_labels(page, "");
    if (seconds)
        write_seconds(page->out, value < 0, size);
    else
        fprintf(page->out, "%" PRId64, value);
    fputc('\n', page->out);
}

static void write_counter(const struct page *page, uint64_t value, bool seconds)
{
    write_labels(page, "");
    if (seconds)
        write_seconds(page->out, false, value);
    else
        fprintf(page->out, "%" PRIu64, value);
    fputc('\n', page->out);
}

/* The i-th field of the row. */
static void write_value(const struct page *page, const void *fields, size_t i)
{
    switch (page->row->kind) {
    case YZ_METRIC_COUNTER:
    case YZ_METRIC_SECONDS_TOTAL:
        write_counter(page, load((const _Atomic uint64_t *)fields + i),
                      page->row->kind == YZ_METRIC_SECONDS_TOTAL);
        break;
    case YZ_METRIC_GAUGE:
    case YZ_METRIC_SECONDS:
        write_gauge(page,
                    atomic_load_explicit((const _Atomic int64_t *)fields + i, memory_order_relaxed),
                    page->row->kind == YZ_METRIC_SECONDS);
        break;
    case YZ_METRIC_LATENCY: {
        const struct yz_latency *h = (const struct yz_latency *)fields + i;

        write_histogram(page, &yz_bounds_latency, true, &h->sum, h->buckets);
        break;
    }
    case YZ_METRIC_SIZES: {
        const struct yz_sizes *h = (const struct yz_sizes *)fields + i;

        write_histogram(page, &yz_bounds_sizes, false, &h->sum, h->buckets);
        break;
    }
    case YZ_METRIC_BYTES: {
        const struct yz_bytes *h = (const struct yz_bytes *)fields + i;

        write_histogram(page, &yz_bounds_bytes, false, &h->sum, h->buckets);
        break;
    }
    case YZ_METRIC_TROUBLES:
        write_counter(page, yz_trouble_there(fields, (enum yz_trouble)i), false);
        break;
    }
}

static const char *type_of(enum yz_metric_kind kind)
{
    switch (kind) {
    case YZ_METRIC_COUNTER:
    case YZ_METRIC_SECONDS_TOTAL:
        return "counter";
    case YZ_METRIC_LATENCY:
    case YZ_METRIC_SIZES:
    case YZ_METRIC_BYTES:
        return "histogram";
    case YZ_METRIC_GAUGE:
    case YZ_METRIC_SECONDS:
    case YZ_METRIC_TROUBLES:
        break;
    }
    return "gauge";
}

static void write_row(FILE *out, const struct yz_metric *row, const void *fields)
{
    struct page page = {.out = out, .row = row, .label = ""};
    char label[128];

    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
            type_of(row->kind));
    for (size_t i = 0; i < row->count; i++) {
        if (row->label) {
            const char *text = row->text(i);

            if (!text)
                continue;
            snprintf(label, sizeof label, "%s=\"%s\"", row->label, text);
            page.label = label;
        }
        write_value(&page, fields, i);
    }
}

const char *yz_metrics_trouble(size_t trouble)
{
    return yz_trouble_code((enum yz_trouble)trouble);
}

char *yz_metrics_text(const struct yz_metric *rows, size_t count, const void *values, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    bool whole;

    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        write_row(out, &rows[i], (const char *)values + rows[i].offset);
    whole = !ferror(out);
    if (fclose(out) == 0 && whole)
        return text;
    free(text);
    return NULL;
}
