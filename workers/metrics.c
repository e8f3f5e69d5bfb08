#include "workers/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MICRO 1000000

static void write_one(struct yz_buf *buf, const char *kind, const char *name, const char *help,
                      const char *value)
{
    char text[512];
    int len = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name,
                       kind, name, value);

    yz_buf_append(buf, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

static void write_number(struct yz_buf *buf, const char *kind, const char *name, const char *help,
                         int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, value);
    write_one(buf, kind, name, help, text);
}

static void write_seconds(struct yz_buf *buf, const char *kind, const char *name, const char *help,
                          int64_t us)
{
    uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    char text[32];

    snprintf(text, sizeof text, "%s%" PRIu64 ".%06" PRIu64, us < 0 ? "-" : "", size / MICRO,
             size % MICRO);
    write_one(buf, kind, name, help, text);
}

void wk_metrics_write(const struct wk_metrics *metrics, struct yz_buf *buf)
{
    char troubles[YZ_TROUBLES_TEXT_MAX];

#define LOAD(field)                      ((int64_t)atomic_load_explicit(&metrics->field, memory_order_relaxed))
#define COUNTER(field, name, help)       write_number(buf, "counter", name, help, LOAD(field));
#define GAUGE(field, name, help)         write_number(buf, "gauge", name, help, LOAD(field));
#define SECONDS(field, name, help)       write_seconds(buf, "gauge", name, help, LOAD(field));
#define SECONDS_TOTAL(field, name, help) write_seconds(buf, "counter", name, help, LOAD(field));
#include "workers/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
#undef SECONDS_TOTAL
#undef LOAD
    yz_buf_append(buf, troubles, yz_troubles_metric(&metrics->troubles, troubles, sizeof troubles));
}
