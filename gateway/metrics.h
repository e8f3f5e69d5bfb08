/* metrics.h: the process's counters and gauges, one list, and their Prometheus text.
 *
 * Lifetime  one struct per process.
 * Thread    loop writes; counters touched by nats.c's threads are atomic.
 *
 * COUNTER(field, name, help) and GAUGE(...): names and units by the Prometheus conventions. SECONDS
 * (a gauge) and SECONDS_TOTAL (a counter) are fields in microseconds that are shown in seconds.
 */
#ifndef GW_METRICS_H
#define GW_METRICS_H

#include "common/err.h"
#include "common/trouble.h"
#include "schemas/codec.h"

#include <stdatomic.h>
#include <stdint.h>

struct gw_metrics {
#define COUNTER(field, name, help)       _Atomic uint64_t field;
#define GAUGE(field, name, help)         _Atomic int64_t field;
#define SECONDS(field, name, help)       _Atomic int64_t field;
#define SECONDS_TOTAL(field, name, help) _Atomic uint64_t field;
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
#undef SECONDS_TOTAL
    _Atomic uint64_t refused[YZ_ERR_COUNT]; /* answers with this error, frames and HTTP */
    struct yz_troubles troubles;
};

static inline void gw_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Append the exposition text (version 0.0.4). */
void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf);

#endif
