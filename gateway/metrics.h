/* metrics.h: what a gateway process counts and measures (metrics.def), and its Prometheus text.
 *
 * Lifetime  one struct per process, zeroed at first.
 * Thread    loop writes most of it, nats.c's threads the rest; common/metrics.h says how.
 */
#ifndef GW_METRICS_H
#define GW_METRICS_H

#include "common/err.h"
#include "common/metrics.h"
#include "gateway/lag.h"
#include "schemas/codec.h"

struct gw_metrics {
#define YZ_METRICS_LIST "gateway/metrics.def"
#include "common/metrics_fields.def"
    struct gw_lag lag; /* the pushes of this loop turn, for delivery_lag */
};

/* Append the exposition text (version 0.0.4). */
void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf);

#endif
