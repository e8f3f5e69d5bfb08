#include "gateway/admin.h"

#include <stdio.h>
#include <string.h>

static void append(struct gw_exchange *exchange, const char *text)
{
    yz_buf_append(&exchange->answer, text, strlen(text));
}

/* The reasons are our own constants and need no escape. */
static void answer_ready(const struct gw_admin *admin, struct gw_exchange *exchange)
{
    const char *missing = NULL;
    bool draining = gw_intake_draining(admin->intake);
    bool ready = gw_link_ready(admin->link, &missing);

    append(exchange,
           ready && !draining ? "{\"ready\":true,\"reasons\":[" : "{\"ready\":false,\"reasons\":[");
    if (draining)
        append(exchange, ready ? "\"draining\"" : "\"draining\",");
    if (!ready) {
        append(exchange, "\"");
        append(exchange, missing ? missing : "not connected to NATS");
        append(exchange, "\"");
    }
    append(exchange, "]}\n");
    gw_exchange_answer(exchange, ready && !draining ? 200 : 503, "application/json");
}

void gw_admin_answer(const struct gw_admin *admin, const struct gw_request *request,
                     struct gw_exchange *exchange)
{
    bool healthz = strcmp(request->path, "/healthz") == 0;
    bool readyz = strcmp(request->path, "/readyz") == 0;
    bool metrics = strcmp(request->path, "/metrics") == 0;

    if (!healthz && !readyz && !metrics) {
        gw_exchange_refuse(exchange, YZ_UNKNOWN_PATH, NULL, NULL);
    } else if (request->method != GW_GET && request->method != GW_HEAD) {
        gw_exchange_allow(exchange, "GET, HEAD, OPTIONS");
    } else if (healthz) {
        append(exchange, "{\"alive\":true}\n");
        gw_exchange_answer(exchange, 200, "application/json");
    } else if (readyz) {
        answer_ready(admin, exchange);
    } else {
        gw_metrics_write(admin->metrics, &exchange->answer);
        gw_exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8");
    }
}
