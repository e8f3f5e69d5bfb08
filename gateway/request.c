#include "gateway/server_private.h"

#include "common/clock.h"
#include "gateway/head.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_GRACE_S        5
#define DISCARD_MAX           (1 << 20) /* a larger refused body is not read; the connection ends */
#define HTTP_UPGRADE_REQUIRED 426

void gw_request_end(struct gw_connection *c)
{
    if (!c->exchange)
        return;
    if (c->admin)
        gw_exchange_free(c->exchange);
    else
        gw_http_end(c->server->parts.http, c->exchange);
    c->exchange = NULL;
}

/* Head and body as far as the socket takes them. false: broken. *done: all is handed over. */
static bool write_answer(struct gw_connection *c, bool *done)
{
    size_t len, room = SERVER_WRITE_MAX;
    const uint8_t *body = gw_exchange_body(c->exchange, &len);
    uint8_t *to = gw_flush_buffer(c->server, room);

    *done = false;
    if (!to)
        return false;
    while (!lws_partial_buffered(c->wsi)) {
        struct yz_buf head;
        size_t used = 0, part;

        if (!c->head_sent) {
            yz_buf_init(&head, room);
            gw_exchange_head(c->exchange, &head);
            c->head_sent = !head.failed;
            used = c->head_sent ? head.len : 0;
            memcpy(to, head.data ? head.data : to, used);
            yz_buf_deinit(&head);
            if (!c->head_sent)
                return false; /* no memory: a body without its head is none */
        }
        part = len - c->body_sent < room - used ? len - c->body_sent : room - used;
        if (part > 0)
            memcpy(to + used, body + c->body_sent, part);
        c->body_sent += part;
        if (used + part > 0 && lws_write(c->wsi, to, used + part, LWS_WRITE_HTTP) < 0)
            return false;
        if (c->body_sent == len) {
            *done = true;
            return true;
        }
    }
    /* libwebsockets gives the whole transaction the time for a request's head; whoever takes some
     * of the answer has time for the rest. */
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE,
                    (int)((c->server->parts.conf->idle_timeout_ms + 999) / 1000));
    lws_callback_on_writable(c->wsi);
    return true;
}

int gw_request_respond(struct gw_connection *c)
{
    bool done, last = c->last;

    if (!c->exchange || c->exchange->status == 0)
        return 0; /* called back for nothing */
    if (!write_answer(c, &done))
        return -1;
    if (!done)
        return 0;
    gw_request_end(c);
    c->wants_body = false;
    return last || lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

/* Nothing is read until the answer is there: a next request waits in the kernel. */
static void await_answer(struct gw_connection *c)
{
    const struct yz_conf *conf = c->server->parts.conf;
    int64_t wait_ms = conf->query_timeout_ms > conf->uplink_timeout_ms ? conf->query_timeout_ms
                                                                       : conf->uplink_timeout_ms;

    lws_rx_flow_control(c->wsi, 0);
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE,
                    (int)(wait_ms / 1000) + ANSWER_GRACE_S);
}

static bool has_body(const struct gw_request *request)
{
    return request->content_length > 0 || request->method == GW_POST ||
           request->method == GW_OTHER_METHOD;
}

/* A request with a body that was read together with the one before it. libwebsockets 4.1 takes such
 * a request's head for its body, and may then turn for ever; nobody pipelines requests that change
 * something, so the connection ends. What was read ahead is parsed in the loop's idle phase, what
 * comes straight from the socket in its poll phase: that tells them apart. */
static bool pipelined_with_body(const struct gw_connection *c, const struct gw_request *request)
{
    return has_body(request) && !c->server->polling;
}

/* 0: a request may be answered; else the milliseconds until the connection and its address may send
 * one. */
static uint32_t excess_ms(struct gw_connection *c)
{
    const struct yz_conf *conf = c->server->parts.conf;
    int64_t now_ms = yz_clock_mono_ms();

    if (gw_bucket_take(&c->requests, conf->session_frames_per_s, conf->session_frames_burst,
                       now_ms) != GW_ALLOWED)
        return gw_bucket_wait_ms(&c->requests, conf->session_frames_per_s);
    return gw_addresses_take(c->server->addresses, &c->address, now_ms);
}

static struct gw_exchange *refuse_excess(struct gw_connection *c, const struct gw_request *request,
                                         uint32_t wait_ms)
{
    struct gw_exchange *exchange = gw_exchange_new(request, 0, c);
    struct yz_violation v;

    (void)yz_violate(&v, YZ_RATE_LIMITED, NULL, NULL);
    v.retry_after_ms = wait_ms;
    if (exchange)
        gw_exchange_problem(exchange, &v, 0);
    yz_count(&c->server->parts.metrics->frames_rate_limited, 1);
    return exchange;
}

static struct gw_exchange *begin_exchange(struct gw_connection *c, const struct gw_request *request)
{
    bool extra =
        request->content_length > 0 && (request->method == GW_GET || request->method == GW_HEAD);
    struct gw_exchange *exchange;
    uint32_t wait_ms;

    if (!c->admin && (wait_ms = excess_ms(c)) > 0)
        return refuse_excess(c, request, wait_ms);
    if (!c->admin && !extra)
        return gw_http_begin(c->server->parts.http, request, c);
    exchange = gw_exchange_new(request, 0, c);
    if (exchange && extra)
        gw_exchange_refuse(exchange, YZ_BAD_FRAME, "Content-Length", "This takes no body.");
    else if (exchange)
        gw_admin_answer(&c->server->parts.admin, request, exchange);
    return exchange;
}

/* What cannot be told where it ends is answered, and the connection with it. */
static int refuse_head(struct gw_connection *c, const struct gw_request *request,
                       const struct yz_violation *v)
{
    c->exchange = gw_exchange_new(request, 0, c);
    if (!c->exchange)
        return -1;
    gw_exchange_problem(c->exchange, v, 0);
    gw_exchange_header(c->exchange, "Connection", "close");
    c->last = true;
    return gw_request_respond(c);
}

/* A body without its length, or one too large to read for nothing, cannot be stepped over. */
static bool ends_here(const struct gw_connection *c, const struct gw_head *head)
{
    const struct gw_request *request = &head->request;

    return c->exchange->status != 0 && has_body(request) &&
           (request->content_length < 0 || request->content_length > DISCARD_MAX);
}

int gw_request_begin(struct gw_connection *c, const char *uri, size_t len)
{
    struct gw_head head;
    struct yz_violation v = {0};
    bool ends;

    if (c->exchange)
        return -1;
    c->head_sent = false;
    c->body_sent = 0;
    if (!gw_head_read(c->wsi, uri, len, &head, &v))
        return refuse_head(c, &head.request, &v);
    if (pipelined_with_body(c, &head.request))
        return -1;
    if (!gw_server_count_client(c, &v))
        return refuse_head(c, &head.request, &v);
    head.request.from = &c->address;
    c->exchange = begin_exchange(c, &head.request);
    if (!c->exchange)
        return -1;
    ends = ends_here(c, &head);
    c->last = ends || head.last || c->proxied;
    gw_server_note_known(c,
                         c->exchange->identity.actor.member[0] != '\0' && c->exchange->status == 0);
    if (c->last)
        gw_exchange_header(c->exchange, "Connection", "close");
    /* Also a refusal waits until the body is read, so that no byte of it is left behind. */
    c->wants_body = !ends && (head.request.content_length > 0 ||
                              (head.request.method == GW_POST && c->exchange->status == 0));
    c->body_until_ms = yz_clock_mono_ms() + c->server->parts.conf->request_timeout_ms;
    if (c->wants_body)
        return 0;
    if (c->exchange->status != 0)
        return gw_request_respond(c);
    await_answer(c);
    return 0;
}

/* libwebsockets begins its time-out anew with every piece; the whole has one of its own. */
int gw_request_body(struct gw_connection *c, const void *data, size_t len)
{
    if (c->wants_body && yz_clock_mono_ms() > c->body_until_ms)
        return -1;
    if (c->exchange && c->wants_body && c->exchange->status == 0 && len > 0)
        gw_http_body(c->server->parts.http, c->exchange, data, len);
    return 0;
}

/* Comes again when more bytes follow than the request said, hence wants_body. */
int gw_request_complete(struct gw_connection *c)
{
    if (!c->exchange || !c->wants_body)
        return 0;
    c->wants_body = false;
    if (c->exchange->status == 0)
        gw_http_finish(c->server->parts.http, c->exchange);
    if (c->exchange->status != 0)
        return gw_request_respond(c);
    await_answer(c);
    return 0;
}

static void judge_upgrade(struct gw_connection *c, const char *upgrade, int *status,
                          struct yz_violation *v)
{
    const struct gw_server_parts *parts = &c->server->parts;
    char origin[256], host[256];

    gw_head_judge_upgrade(c->wsi, upgrade, c->admin ? "" : SERVER_SOCKET_PATH, status, v);
    if (v->err != YZ_OK)
        return;
    gw_head_copy(c->wsi, WSI_TOKEN_HOST, host, sizeof host);
    gw_head_copy(c->wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin);
    if (parts->origins && lws_hdr_total_length(c->wsi, WSI_TOKEN_ORIGIN) > 0 &&
        (*origin == '\0' || !gw_origins_admit(parts->origins, origin, host, NULL)))
        (void)yz_violate(v, YZ_ORIGIN_NOT_ALLOWED, "Origin", NULL);
    else if (!gw_server_count_client(c, v))
        ; /* v says why */
    else if (gw_intake_draining(parts->intake))
        (void)yz_violate(v, YZ_DRAINING, NULL, NULL);
    else if (gw_sessions_count(parts->sessions) >= (size_t)parts->conf->sessions_max)
        (void)yz_violate(v, YZ_BUSY, NULL, "The server holds its maximum of sessions.");
    if (yz_err_temporary(v->err)) {
        yz_count(&parts->metrics->handshakes_refused, 1);
        v->retry_after_ms = gw_jitter_ms((uint32_t)parts->conf->reconnect_spread_ms);
    }
}

int gw_request_upgrade(struct gw_connection *c, const char *upgrade)
{
    struct gw_request request = {.method = GW_GET};
    struct yz_violation v = {0};
    struct gw_exchange *exchange;
    int status = 0;
    bool done;

    /* An unknown protocol was answered by libwebsockets already, which then calls this with a text
     * and headers that it has freed. */
    if (c->exchange || lws_hdr_total_length(c->wsi, WSI_TOKEN_UPGRADE) <= 0)
        return -1;
    judge_upgrade(c, upgrade, &status, &v);
    if (v.err == YZ_OK)
        return 0;
    exchange = gw_exchange_new(&request, 0, c);
    if (!exchange)
        return -1;
    gw_exchange_problem(exchange, &v, status);
    gw_exchange_header(exchange, "Connection", "close");
    if (status == HTTP_UPGRADE_REQUIRED)
        gw_exchange_header(exchange, "Sec-WebSocket-Version", "13");
    c->exchange = exchange;
    c->head_sent = false;
    c->body_sent = 0;
    (void)write_answer(c, &done);
    c->exchange = NULL;
    gw_exchange_free(exchange);
    return -1;
}
