#include "workers/metrics.h"

#include <stdlib.h>

static const char *stage_name(size_t stage)
{
    static const char *const names[WK_STAGES] = {
        [WK_STAGE_LOAD] = "load",         [WK_STAGE_DECIDE] = "decide",
        [WK_STAGE_OUTCOMES] = "outcomes", [WK_STAGE_DOCUMENTS] = "documents",
        [WK_STAGE_OUTBOX] = "outbox",     [WK_STAGE_PUSH] = "push",
        [WK_STAGE_ACK] = "ack",
    };

    return names[stage];
}

static const struct yz_metric rows[] = {
#define YZ_METRICS_LIST "workers/metrics.def"
#define YZ_METRICS_OF   struct wk_metrics
#include "common/metrics_rows.def"
};

void wk_metrics_write(const struct wk_metrics *metrics, struct yz_buf *buf)
{
    size_t len = 0;
    char *text = yz_metrics_text(rows, sizeof rows / sizeof rows[0], metrics, &len);

    yz_buf_append(buf, text, len);
    buf->failed |= !text;
    free(text);
}
