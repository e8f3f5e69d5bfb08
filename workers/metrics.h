/* metrics.h: what a worker process counts and measures (metrics.def), and its Prometheus text.
 *
 * Lifetime  one struct per process, zeroed at first.
 * Thread    any; common/metrics.h says how.
 */
#ifndef WK_METRICS_H
#define WK_METRICS_H

#include "common/metrics.h"
#include "schemas/buf.h"

/* What is done with a batch, in this order (batch.h). */
enum wk_stage {
    WK_STAGE_LOAD,      /* documents and outcomes read */
    WK_STAGE_DECIDE,    /* judged and folded, no I/O */
    WK_STAGE_OUTCOMES,  /* written */
    WK_STAGE_DOCUMENTS, /* written */
    WK_STAGE_OUTBOX,    /* rows written */
    WK_STAGE_PUSH,      /* pushes stored, their PubAcks there */
    WK_STAGE_ACK,       /* events acknowledged, or handed to the values they wait for */
    WK_STAGES
};

struct wk_metrics {
#define YZ_METRICS_LIST "workers/metrics.def"
#include "common/metrics_fields.def"
};

/* Append the exposition text (version 0.0.4). */
void wk_metrics_write(const struct wk_metrics *metrics, struct yz_buf *buf);

#endif
