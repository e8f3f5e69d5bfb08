#include "gateway/exchange.h"

#include "gateway/limits.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX        (8 << 20)
#define RETRY_AFTER_MS    1000
#define HTTP_NO_CONTENT   204
#define HTTP_UNAUTHORIZED 401
#define HTTP_NOT_ALLOWED  405

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

struct gw_exchange *gw_exchange_new(const struct gw_request *request, size_t body_max, void *peer)
{
    struct gw_exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        return NULL;
    exchange->method = request->method;
    exchange->peer = peer;
    exchange->from = request->from;
    yz_buf_init(&exchange->body, body_max);
    yz_buf_init(&exchange->answer, ANSWER_MAX);
    return exchange;
}

void gw_exchange_free(struct gw_exchange *exchange)
{
    if (!exchange)
        return;
    yz_buf_deinit(&exchange->body);
    yz_buf_deinit(&exchange->answer);
    free(exchange);
}

void gw_exchange_header(struct gw_exchange *exchange, const char *name, const char *value)
{
    size_t used = strlen(exchange->headers), room = sizeof exchange->headers - used;
    int len = snprintf(exchange->headers + used, room, "%s: %s\r\n", name, value);

    if (len < 0 || (size_t)len >= room)
        exchange->headers[used] = '\0'; /* whole lines only */
}

void gw_exchange_lend(struct gw_exchange *exchange, int status, const char *content_type,
                      const void *bytes, size_t len)
{
    if (exchange->status != 0)
        return;
    exchange->status = status;
    exchange->content_type = content_type;
    exchange->borrowed = bytes;
    exchange->len = len;
}

void gw_exchange_answer(struct gw_exchange *exchange, int status, const char *content_type)
{
    if (exchange->answer.failed)
        gw_exchange_lend(exchange, 500, "text/plain", "", 0);
    else
        gw_exchange_lend(exchange, status, content_type, exchange->answer.data,
                         exchange->answer.len);
}

static int append_json(const char *text, size_t len, void *arg)
{
    yz_buf_append(arg, text, len);
    return 0;
}

/* In whole seconds, rounded up. */
static void advise_retry(struct gw_exchange *exchange, const struct yz_violation *v)
{
    uint32_t ms = v->retry_after_ms ? v->retry_after_ms : gw_jitter_ms(RETRY_AFTER_MS);
    char text[12];

    snprintf(text, sizeof text, "%u", (unsigned)(ms / 1000 + 1));
    gw_exchange_header(exchange, "Retry-After", text);
}

void gw_exchange_problem(struct gw_exchange *exchange, const struct yz_violation *v, int status)
{
    const char *code = yz_err_code(v->err);
    json_t *problem;

    if (exchange->status != 0)
        return;
    exchange->refused = v->err;
    if (status == 0)
        status = yz_err_http_status(v->err);
    problem =
        json_pack("{s:s+, s:s, s:i, s:s, s:s, s:s, s:b}", "type", "urn:yizhan:error:", code,
                  "title", yz_err_text(v->err), "status", status, "detail", yz_violation_text(v),
                  "code", code, "field", v->field, "temporary", (int)yz_err_temporary(v->err));
    exchange->answer.len = 0;
    exchange->answer.failed =
        !problem || json_dump_callback(problem, append_json, &exchange->answer, JSON_COMPACT) != 0;
    json_decref(problem);
    if (yz_err_temporary(v->err))
        advise_retry(exchange, v);
    if (status == HTTP_UNAUTHORIZED)
        gw_exchange_header(exchange, "WWW-Authenticate", "Bearer");
    gw_exchange_answer(exchange, status, "application/problem+json");
}

void gw_exchange_refuse(struct gw_exchange *exchange, enum yz_err err, const char *field,
                        const char *text)
{
    struct yz_violation v;

    (void)yz_violate(&v, err, field, text);
    gw_exchange_problem(exchange, &v, 0);
}

void gw_exchange_allow(struct gw_exchange *exchange, const char *methods)
{
    gw_exchange_header(exchange, "Allow", methods);
    if (exchange->method == GW_OPTIONS)
        gw_exchange_lend(exchange, HTTP_NO_CONTENT, NULL, NULL, 0);
    else
        gw_exchange_refuse(exchange, YZ_METHOD_NOT_ALLOWED, NULL, NULL);
}

void gw_exchange_head(const struct gw_exchange *exchange, struct yz_buf *buf)
{
    char head[GW_HEADERS_MAX + 256];
    int len = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\n%s", exchange->status,
                       reason_of(exchange->status), exchange->headers);

    if (len < 0 || (size_t)len >= sizeof head) {
        buf->failed = true;
        return;
    }
    yz_buf_append(buf, head, (size_t)len);
    if (exchange->content_type) {
        len = snprintf(head, sizeof head, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n",
                       exchange->content_type);
        yz_buf_append(buf, head, (size_t)len);
    }
    /* 204 and 304 have no body, nor its length. */
    if (exchange->status != HTTP_NO_CONTENT && exchange->status != 304) {
        len = snprintf(head, sizeof head, "Content-Length: %zu\r\n", exchange->len);
        yz_buf_append(buf, head, (size_t)len);
    }
    yz_buf_append(buf, "\r\n", 2);
}

const uint8_t *gw_exchange_body(const struct gw_exchange *exchange, size_t *len)
{
    bool none = exchange->method == GW_HEAD || exchange->status == HTTP_NO_CONTENT ||
                exchange->status == 304;

    *len = none ? 0 : exchange->len;
    return exchange->borrowed;
}
