/* metrics.h: the process's counters and gauges, one list, and their Prometheus text.
 *
 * Lifetime  one struct per process.
 * Thread    any: all fields are atomic.
 *
 * COUNTER(field, name, help) and GAUGE(...) in metrics.def: names and units by the Prometheus
 * conventions. SECONDS (a gauge) and SECONDS_TOTAL (a counter) are fields in microseconds that are
 * shown in seconds.
 */
#ifndef WK_METRICS_H
#define WK_METRICS_H

#include "common/trouble.h"
#include "schemas/buf.h"

#include <stdatomic.h>
#include <stdint.h>

struct wk_metrics {
#define COUNTER(field, name, help)       _Atomic uint64_t field;
#define GAUGE(field, name, help)         _Atomic int64_t field;
#define SECONDS(field, name, help)       _Atomic int64_t field;
#define SECONDS_TOTAL(field, name, help) _Atomic uint64_t field;
#include "workers/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
#undef SECONDS_TOTAL
    struct yz_troubles troubles;
};

static inline void wk_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Append the exposition text (version 0.0.4). */
void wk_metrics_write(const struct wk_metrics *metrics, struct yz_buf *buf);

#endif
