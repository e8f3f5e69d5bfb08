#include "gateway/admin.h"

#include <stdio.h>
#include <string.h>

static void append(struct gw_exchange *exchange, const char *text)
{
    yz_buf_append(&exchange->answer, text, strlen(text));
}

/* The reasons are our own constants and need no escape. */
static void append_reason(struct gw_exchange *exchange, const char *reason, bool *first)
{
    append(exchange, *first ? "\"" : ",\"");
    append(exchange, reason);
    append(exchange, "\"");
    *first = false;
}

static void answer_ready(const struct gw_admin *admin, struct gw_exchange *exchange)
{
    const char *missing = NULL, *unread = NULL;
    bool draining = gw_intake_draining(admin->intake), first = true;
    bool linked = gw_link_ready(admin->link, &missing);
    bool judging = gw_revocations_ready(admin->revocations, &unread);
    bool ready = linked && judging && !draining;

    append(exchange, ready ? "{\"ready\":true,\"reasons\":[" : "{\"ready\":false,\"reasons\":[");
    if (draining)
        append_reason(exchange, "draining", &first);
    if (!linked)
        append_reason(exchange, missing ? missing : "not connected to NATS", &first);
    if (!judging)
        append_reason(exchange, unread, &first);
    append(exchange, "]}\n");
    gw_exchange_answer(exchange, ready ? 200 : 503, "application/json");
}

/* Only when somebody asks: it looks at every session. */
static void look_at_backlog(const struct gw_admin *admin)
{
    size_t sessions, bytes = gw_sessions_backlog(admin->sessions, &sessions);

    yz_gauge(&admin->metrics->backlog_bytes, (int64_t)bytes);
    yz_gauge(&admin->metrics->backlog_sessions, (int64_t)sessions);
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
        look_at_backlog(admin);
        gw_metrics_write(admin->metrics, &exchange->answer);
        gw_exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8");
    }
}
