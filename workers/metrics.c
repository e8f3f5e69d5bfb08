#include "workers/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void write_one(struct yz_buf *buf, const char *kind, const char *name, const char *help,
                      const char *value)
{
    char text[512];
    int len = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name,
                       kind, name, value);

    yz_buf_append(buf, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

void wk_metrics_write(const struct wk_metrics *metrics, struct yz_buf *buf)
{
    char value[24];

#define COUNTER(field, name, help)                                                                 \
    snprintf(value, sizeof value, "%" PRIu64,                                                      \
             atomic_load_explicit(&metrics->field, memory_order_relaxed));                         \
    write_one(buf, "counter", name, help, value);
#define GAUGE(field, name, help)                                                                   \
    snprintf(value, sizeof value, "%" PRId64,                                                      \
             atomic_load_explicit(&metrics->field, memory_order_relaxed));                         \
    write_one(buf, "gauge", name, help, value);
#include "workers/metrics.def"
#undef COUNTER
#undef GAUGE
}
