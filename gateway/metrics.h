/* metrics.h: the process's counters and gauges, one list, and their Prometheus text.
 *
 * Lifetime  one struct per process.
 * Thread    loop writes; counters touched by nats.c's threads are atomic.
 *
 * COUNTER(field, name, help) and GAUGE(...): names and units by the Prometheus conventions.
 */
#ifndef GW_METRICS_H
#define GW_METRICS_H

#include "schemas/codec.h"

#include <stdatomic.h>
#include <stdint.h>

struct gw_metrics {
#define COUNTER(field, name, help) _Atomic uint64_t field;
#define GAUGE(field, name, help)   _Atomic int64_t field;
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
};

static inline void gw_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Append the exposition text (version 0.0.4). */
void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf);

#endif
