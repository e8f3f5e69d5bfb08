#include "gateway/metrics.h"

#include <inttypes.h>
#include <stdio.h>

static void write_one(struct yz_buf *buf, const char *name, const char *type, const char *help,
                      int64_t value)
{
    char text[512];
    int len = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", name,
                       help, name, type, name, value);

    if (len > 0 && (size_t)len < sizeof text)
        yz_buf_append(buf, text, (size_t)len);
}

void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf)
{
#define COUNTER(field, name, help)                                                                 \
    write_one(buf, name, "counter", help,                                                          \
              (int64_t)atomic_load_explicit(&metrics->field, memory_order_relaxed));
#define GAUGE(field, name, help)                                                                   \
    write_one(buf, name, "gauge", help,                                                            \
              atomic_load_explicit(&metrics->field, memory_order_relaxed));
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
}
