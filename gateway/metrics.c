#include "gateway/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#define REFUSED "yizhan_gateway_refused_total"
#define MICRO   1000000

static void write_one(struct yz_buf *buf, const char *name, const char *type, const char *help,
                      const char *value)
{
    char text[512];
    int len = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name,
                       type, name, value);

    if (len > 0 && (size_t)len < sizeof text)
        yz_buf_append(buf, text, (size_t)len);
}

static void write_number(struct yz_buf *buf, const char *name, const char *type, const char *help,
                         int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, value);
    write_one(buf, name, type, help, text);
}

static void write_seconds(struct yz_buf *buf, const char *name, const char *type, const char *help,
                          int64_t us)
{
    uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    char text[32];

    snprintf(text, sizeof text, "%s%" PRIu64 ".%06" PRIu64, us < 0 ? "-" : "", size / MICRO,
             size % MICRO);
    write_one(buf, name, type, help, text);
}

static void write_refused(const struct gw_metrics *metrics, struct yz_buf *buf)
{
    static const char head[] = "# HELP " REFUSED " Errors answered, by their code\n"
                               "# TYPE " REFUSED " counter\n";
    char text[160];

    yz_buf_append(buf, head, sizeof head - 1);
    for (int err = YZ_OK + 1; err < YZ_ERR_COUNT; err++) {
        int len = snprintf(text, sizeof text, REFUSED "{code=\"%s\"} %" PRIu64 "\n",
                           yz_err_code((enum yz_err)err),
                           atomic_load_explicit(&metrics->refused[err], memory_order_relaxed));

        yz_buf_append(buf, text, (size_t)len);
    }
}

void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf)
{
    char troubles[YZ_TROUBLES_TEXT_MAX];

#define LOAD(field)                      ((int64_t)atomic_load_explicit(&metrics->field, memory_order_relaxed))
#define COUNTER(field, name, help)       write_number(buf, name, "counter", help, LOAD(field));
#define GAUGE(field, name, help)         write_number(buf, name, "gauge", help, LOAD(field));
#define SECONDS(field, name, help)       write_seconds(buf, name, "gauge", help, LOAD(field));
#define SECONDS_TOTAL(field, name, help) write_seconds(buf, name, "counter", help, LOAD(field));
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
#undef SECONDS_TOTAL
#undef LOAD
    write_refused(metrics, buf);
    yz_buf_append(buf, troubles, yz_troubles_metric(&metrics->troubles, troubles, sizeof troubles));
}
