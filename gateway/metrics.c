#include "gateway/metrics.h"

#include <stdlib.h>

static const char *error_code(size_t err)
{
    return err == YZ_OK ? NULL : yz_err_code((enum yz_err)err);
}

static const struct yz_metric rows[] = {
#define YZ_METRICS_LIST "gateway/metrics.def"
#define YZ_METRICS_OF   struct gw_metrics
#include "common/metrics_rows.def"
};

void gw_metrics_write(const struct gw_metrics *metrics, struct yz_buf *buf)
{
    size_t len = 0;
    char *text = yz_metrics_text(rows, sizeof rows / sizeof rows[0], metrics, &len);

    yz_buf_append(buf, text, len);
    buf->failed |= !text;
    free(text);
}
