#include "gateway/server.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/head.h"
#include "gateway/limits.h"
#include "gateway/listener.h"
#include "gateway/rest.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define HTTP_SPARE            1024 /* connections beside sessions_max */
#define READ_BUFFER           2048 /* of each WebSocket connection: most frames of phones are smaller */
#define SERVICE_BUFFER        16384 /* shared by all, for HTTP */
#define HEADERS_MAX           16384 /* bytes of one request's head; a token may have 8 KB */
#define KEEPALIVE_S           30
#define CLOSE_GRACE_S         10 /* for each write of what is left, once closing */
#define ANSWER_GRACE_S        5
#define DISCARD_MAX           (1 << 20) /* a larger refused body is not read; the connection ends */
#define HTTP_UPGRADE_REQUIRED 426

struct connection {
    struct gw_server *server;
    struct lws *wsi;
    TAILQ_ENTRY(connection) dirty_link;
    bool dirty, admin, counted;
    bool stranger; /* counted, and no token was accepted yet */
    bool proxied;  /* from a trusted proxy: counted by the address that its request names */
    bool closed;   /* a close frame came or went: no more data */
    struct gw_address address;
    struct gw_bucket requests; /* HTTP; a session counts its own frames */
    struct gw_rest rest;
    bool tired; /* is to rest from the end of this turn on */
    struct gw_session *session;
    uint8_t *frame; /* fragments so far of a message that came in several */
    size_t frame_len;
    struct gw_exchange *exchange;
    bool wants_body, head_sent;
    bool last; /* the connection ends with this exchange */
    size_t body_sent;
    int64_t body_until_ms; /* monotonic: the request's body is there by then */
};

struct gw_server {
    struct gw_server_parts parts;
    struct lws_context *context;
    struct lws_vhost *client_vhost, *admin_vhost;
    struct gw_listener *client_listener, *admin_listener;
    struct gw_addresses *addresses;
    struct gw_rests *rests;
    size_t connections;
    TAILQ_HEAD(, connection) dirty;
    bool polling; /* between the loop's prepare and check phases */
    uv_prepare_t prepare;
    uv_check_t check;
    uint8_t *write_buffer; /* LWS_PRE bytes, then room */
    size_t write_room;
};

static void mark_dirty(struct connection *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&c->server->dirty, c, dirty_link);
}

static void on_wake(void *peer)
{
    mark_dirty(peer);
}

/* Not at once: what libwebsockets has read already is handed over first. */
static void on_rest(void *peer)
{
    struct connection *c = peer;

    c->tired = true;
    mark_dirty(c);
}

static uint32_t on_spend(void *peer, int64_t now_ms)
{
    struct connection *c = peer;

    return gw_addresses_take(c->server->addresses, &c->address, now_ms);
}

const struct gw_session_output gw_server_session_output = {on_wake, on_rest, on_spend};

static void begin_rest(struct connection *c)
{
    c->tired = false;
    gw_count(&c->server->parts.metrics->rests, 1);
    lws_rx_flow_control(c->wsi, 0);
    gw_rest_begin(c->server->rests, &c->rest, c);
}

static void on_rested(void *arg)
{
    struct connection *c = arg;

    if (c->session && !c->closed && !gw_session_closing(c->session))
        lws_rx_flow_control(c->wsi, 1);
}

void gw_server_answered(void *peer)
{
    mark_dirty(peer);
}

static void kill_later(struct connection *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

/* The write buffer with room for at least one piece of this size; NULL: out of memory. */
static uint8_t *write_buffer(struct gw_server *server, size_t room)
{
    uint8_t *grown;

    if (room <= server->write_room)
        return server->write_buffer + LWS_PRE;
    grown = realloc(server->write_buffer, LWS_PRE + room);
    if (!grown)
        return NULL;
    server->write_buffer = grown;
    server->write_room = room;
    return grown + LWS_PRE;
}

/* One WebSocket message of what waits, unless an earlier one is not out yet. false: the connection
 * is broken. */
static bool write_session(struct connection *c)
{
    struct gw_server *server = c->server;
    size_t next = gw_session_next(c->session), len;
    bool binary = lws_get_protocol(c->wsi)->id == GW_PROTOBUF;
    uint8_t *to;

    if (next == 0 || lws_partial_buffered(c->wsi))
        return true;
    to = write_buffer(server, next > SERVER_WRITE_MAX ? next : SERVER_WRITE_MAX);
    if (!to)
        return false;
    len = gw_session_take(c->session, to, next > SERVER_WRITE_MAX ? next : SERVER_WRITE_MAX);
    if (lws_write(c->wsi, to, len, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)len)
        return false;
    gw_count(&server->parts.metrics->writes, 1);
    gw_count(&server->parts.metrics->write_bytes, len);
    return true;
}

/* Send the close frame; the session is freed when libwebsockets is through with the connection. Not
 * by returning -1 from its callback: Debian's build closes twice then, and the second time drops
 * the close frame (its "uv repeat test" under _DEBUG). */
static void close_politely(struct connection *c, enum yz_close close)
{
    const char *reason = yz_close_code(close);

    c->closed = true;
    lws_rx_flow_control(c->wsi, 1); /* the peer's close frame is awaited */
    lws_close_reason(c->wsi, (enum lws_close_status)close, (uint8_t *)(uintptr_t)reason,
                     strlen(reason));
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

/* Behind a turn's callbacks. */
static void flush_session(struct connection *c)
{
    enum yz_close close;

    if (c->closed)
        return;
    if (gw_session_closing(c->session)) {
        lws_rx_flow_control(c->wsi, 0); /* nothing is read any more */
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, CLOSE_GRACE_S);
    }
    if (c->tired)
        begin_rest(c);
    if (!write_session(c)) {
        kill_later(c);
        return;
    }
    close = gw_session_done(c->session);
    if (gw_session_next(c->session) > 0 || lws_partial_buffered(c->wsi))
        lws_callback_on_writable(c->wsi);
    else if (close != YZ_CLOSE_NONE)
        close_politely(c, close);
}

/* Reading was off while the answer was awaited, and writing is not called back while it is. */
static void flush_exchange(struct connection *c)
{
    lws_rx_flow_control(c->wsi, 1);
    lws_callback_on_writable(c->wsi);
}

static void flush(struct gw_server *server)
{
    struct connection *c;

    while ((c = TAILQ_FIRST(&server->dirty))) {
        TAILQ_REMOVE(&server->dirty, c, dirty_link);
        c->dirty = false;
        if (c->session)
            flush_session(c);
        else if (c->exchange && c->exchange->status != 0)
            flush_exchange(c);
    }
}

/* false: the address is at one of its limits. */
static bool count_address(struct connection *c)
{
    c->counted = c->stranger =
        gw_addresses_enter(c->server->addresses, &c->address, yz_clock_mono_ms());
    return c->counted;
}

/* For whom a proxy speaks, once its request is there. */
static bool count_client(struct connection *c)
{
    char forwarded[512];

    if (!c->proxied || c->counted)
        return true;
    gw_head_copy(c->wsi, WSI_TOKEN_X_FORWARDED_FOR, forwarded, sizeof forwarded);
    return !gw_proxies_client(c->server->parts.proxies, forwarded, &c->address) || count_address(c);
}

static void note_known(struct connection *c, bool known)
{
    if (!c->stranger || !known)
        return;
    c->stranger = false;
    gw_addresses_known(c->server->addresses, &c->address);
}

static int on_established(struct connection *c)
{
    enum gw_encoding encoding = (enum gw_encoding)lws_get_protocol(c->wsi)->id;

    if (gw_session_open(c->server->parts.sessions, encoding, c, &c->session) != YZ_OK)
        return -1;
    return 0;
}

static void drop_fragments(struct connection *c)
{
    free(c->frame);
    c->frame = NULL;
    c->frame_len = 0;
}

/* false: it grows beyond frame_max_bytes, or memory ran out. */
static bool add_fragment(struct connection *c, const void *data, size_t len)
{
    uint8_t *grown = realloc(c->frame, c->frame_len + len + 1);

    if (!grown)
        return false;
    memcpy(grown + c->frame_len, data, len);
    c->frame = grown;
    c->frame_len += len;
    return true;
}

static int on_received(struct connection *c, const void *data, size_t len)
{
    size_t max = (size_t)c->server->parts.conf->frame_max_bytes;
    bool whole = lws_is_final_fragment(c->wsi), binary = lws_frame_is_binary(c->wsi);
    size_t coming = lws_remaining_packet_payload(c->wsi);

    if (!c->session || gw_session_closing(c->session))
        return 0;
    if (coming > max || c->frame_len + len + coming > max) {
        drop_fragments(c);
        gw_session_close(c->session, YZ_CLOSE_OVERSIZE);
        return 0;
    }
    if (whole && c->frame_len == 0) {
        gw_session_frame(c->session, data, len, binary);
        note_known(c, gw_session_open_now(c->session));
        return 0;
    }
    if (!add_fragment(c, data, len))
        return -1;
    if (!whole && coming == 0)
        gw_session_fragment(c->session);
    if (whole) {
        gw_session_frame(c->session, c->frame, c->frame_len, binary);
        note_known(c, gw_session_open_now(c->session));
        drop_fragments(c);
    }
    return 0;
}

static void on_session_closed(struct connection *c)
{
    drop_fragments(c);
    if (c->session)
        gw_session_free(c->session);
    c->session = NULL;
}

static void end_exchange(struct connection *c)
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
static bool write_answer(struct connection *c, bool *done)
{
    size_t len, room = SERVER_WRITE_MAX;
    const uint8_t *body = gw_exchange_body(c->exchange, &len);
    uint8_t *to = write_buffer(c->server, room);

    *done = false;
    if (!to)
        return false;
    while (!lws_partial_buffered(c->wsi)) {
        struct yz_buf head;
        size_t used = 0, part;

        if (!c->head_sent) {
            yz_buf_init(&head, room);
            gw_exchange_head(c->exchange, &head);
            used = head.failed ? 0 : head.len;
            memcpy(to, head.data ? head.data : to, used);
            yz_buf_deinit(&head);
            c->head_sent = true;
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
    lws_callback_on_writable(c->wsi);
    return true;
}

/* Write the answer, and be ready for the next request. Returns what the lws callback returns. */
static int respond(struct connection *c)
{
    bool done, last = c->last;

    if (!c->exchange || c->exchange->status == 0)
        return 0; /* called back for nothing */
    if (!write_answer(c, &done))
        return -1;
    if (!done)
        return 0;
    end_exchange(c);
    c->wants_body = false;
    return last || lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

/* Nothing is read until the answer is there: a next request waits in the kernel. */
static void await_answer(struct connection *c)
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
static bool pipelined_with_body(const struct connection *c, const struct gw_request *request)
{
    return has_body(request) && !c->server->polling;
}

/* 0: a request may be answered; else the milliseconds until the connection and its address may send
 * one. */
static uint32_t excess_ms(struct connection *c)
{
    const struct yz_conf *conf = c->server->parts.conf;
    int64_t now_ms = yz_clock_mono_ms();

    if (gw_bucket_take(&c->requests, conf->session_frames_per_s, conf->session_frames_burst,
                       now_ms) != GW_ALLOWED)
        return gw_bucket_wait_ms(&c->requests, conf->session_frames_per_s);
    return gw_addresses_take(c->server->addresses, &c->address, now_ms);
}

static struct gw_exchange *refuse_excess(struct connection *c, const struct gw_request *request,
                                         uint32_t wait_ms)
{
    struct gw_exchange *exchange = gw_exchange_new(request, 0, c);
    struct yz_violation v;

    (void)yz_violate(&v, YZ_RATE_LIMITED, NULL, NULL);
    v.retry_after_ms = wait_ms;
    if (exchange)
        gw_exchange_problem(exchange, &v, 0);
    gw_count(&c->server->parts.metrics->frames_rate_limited, 1);
    return exchange;
}

static struct gw_exchange *begin_exchange(struct connection *c, const struct gw_request *request)
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
static int refuse_head(struct connection *c, const struct gw_request *request,
                       const struct yz_violation *v)
{
    c->exchange = gw_exchange_new(request, 0, c);
    if (!c->exchange)
        return -1;
    gw_exchange_problem(c->exchange, v, 0);
    gw_exchange_header(c->exchange, "Connection", "close");
    c->last = true;
    return respond(c);
}

/* A body without its length, or one too large to read for nothing, cannot be stepped over. */
static bool ends_here(const struct connection *c, const struct gw_head *head)
{
    const struct gw_request *request = &head->request;

    return c->exchange->status != 0 && has_body(request) &&
           (request->content_length < 0 || request->content_length > DISCARD_MAX);
}

static int on_request(struct connection *c, const char *uri, size_t len)
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
    if (!count_client(c)) {
        (void)yz_violate(&v, YZ_RATE_LIMITED, NULL, "Too many connections of this address.");
        return refuse_head(c, &head.request, &v);
    }
    c->exchange = begin_exchange(c, &head.request);
    if (!c->exchange)
        return -1;
    ends = ends_here(c, &head);
    c->last = ends || head.last || c->proxied;
    note_known(c, c->exchange->identity.actor.member[0] != '\0' && c->exchange->status == 0);
    if (c->last)
        gw_exchange_header(c->exchange, "Connection", "close");
    /* Also a refusal waits until the body is read, so that no byte of it is left behind. */
    c->wants_body = !ends && (head.request.content_length > 0 ||
                              (head.request.method == GW_POST && c->exchange->status == 0));
    c->body_until_ms = yz_clock_mono_ms() + c->server->parts.conf->request_timeout_ms;
    if (c->wants_body)
        return 0;
    if (c->exchange->status != 0)
        return respond(c);
    await_answer(c);
    return 0;
}

/* libwebsockets begins its time-out anew with every piece; the whole has one of its own. */
static int on_body(struct connection *c, const void *data, size_t len)
{
    if (c->wants_body && yz_clock_mono_ms() > c->body_until_ms)
        return -1;
    if (c->exchange && c->wants_body && c->exchange->status == 0 && len > 0)
        gw_http_body(c->server->parts.http, c->exchange, data, len);
    return 0;
}

/* Comes again when more bytes follow than the request said, hence wants_body. */
static int on_body_complete(struct connection *c)
{
    if (!c->exchange || !c->wants_body)
        return 0;
    c->wants_body = false;
    if (c->exchange->status == 0)
        gw_http_finish(c->server->parts.http, c->exchange);
    if (c->exchange->status != 0)
        return respond(c);
    await_answer(c);
    return 0;
}

static void judge_upgrade(struct connection *c, const char *upgrade, int *status,
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
    else if (!count_client(c))
        (void)yz_violate(v, YZ_RATE_LIMITED, NULL, "Too many connections of this address.");
    else if (gw_intake_draining(parts->intake))
        (void)yz_violate(v, YZ_DRAINING, NULL, NULL);
    else if (gw_sessions_count(parts->sessions) >= (size_t)parts->conf->sessions_max)
        (void)yz_violate(v, YZ_BUSY, NULL, "The server holds its maximum of sessions.");
    if (yz_err_temporary(v->err)) {
        gw_count(&parts->metrics->handshakes_refused, 1);
        v->retry_after_ms = gw_jitter_ms((uint32_t)parts->conf->reconnect_spread_ms);
    }
}

/* 0: go on. -1: refused, with an answer, and the connection ends. */
static int on_upgrade(struct connection *c, const char *upgrade)
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

static void free_connection(struct connection *c)
{
    struct gw_server *server = c->server;

    on_session_closed(c);
    end_exchange(c);
    if (c->dirty)
        TAILQ_REMOVE(&server->dirty, c, dirty_link);
    if (c->counted)
        gw_addresses_leave(server->addresses, &c->address, c->stranger);
    gw_rest_cancel(&c->rest);
    server->connections--;
    atomic_store(&server->parts.metrics->connections, (int64_t)server->connections);
    free(c);
}

/* While the vhost of the clients is made. */
static int attach_tls(struct lws *wsi, void *ssl_ctx)
{
    struct gw_server *server = lws_context_user(lws_get_context(wsi));

    return gw_tls_attach(server->parts.tls, ssl_ctx) ? 0 : -1;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct connection *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        return attach_tls(wsi, user);
    if (!c)
        return 0;
    c->wsi = wsi;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(c, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(c);
    case LWS_CALLBACK_RECEIVE:
        return on_received(c, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (c->session)
            mark_dirty(c);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        c->closed = true;
        return 0;
    case LWS_CALLBACK_CLOSED:
        on_session_closed(c);
        return 0;
    case LWS_CALLBACK_HTTP:
        return on_request(c, in, len);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(c, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_complete(c);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return respond(c);
    case LWS_CALLBACK_RAW_ADOPT: /* CONNECT would make it a raw socket without a time-out */
    case LWS_CALLBACK_RAW_RX:
        return -1;
    case LWS_CALLBACK_CLOSED_HTTP:
        end_exchange(c);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        free_connection(c);
        return 0;
    default:
        return 0;
    }
}

/* The first one is what a client that offers none gets. */
static const struct lws_protocols protocols[] = {
    {.name = "yizhan.v1.json",
     .callback = on_lws,
     .rx_buffer_size = READ_BUFFER,
     .id = GW_JSON,
     .tx_packet_size = SERVER_WRITE_MAX * 64},
    {.name = "yizhan.v1.protobuf",
     .callback = on_lws,
     .rx_buffer_size = READ_BUFFER,
     .id = GW_PROTOBUF,
     .tx_packet_size = SERVER_WRITE_MAX * 64},
    {0},
};

/* Idle connections are ours to find: no pings of libwebsockets, no timer for them. */
static const lws_retry_bo_t no_keepalive_pings = {0};

static void on_lws_log(int level, const char *line)
{
    /* What it calls an error a client can cause at will, so it is for debugging only. */
    yz_debug("lws", "lws_level=%d text=\"%s\"", level, line);
}

static bool admit(struct gw_server *server, struct connection *c, const struct sockaddr *peer)
{
    size_t max = (size_t)server->parts.conf->sessions_max + HTTP_SPARE;

    if (c->admin)
        return true;
    if (server->connections >= max)
        return false;
    c->proxied = server->parts.proxies && gw_proxies_trust(server->parts.proxies, peer);
    gw_address_of(peer, &c->address);
    gw_bucket_init(&c->requests, server->parts.conf->session_frames_burst, yz_clock_mono_ms());
    return c->proxied || count_address(c);
}

static void adopt(struct gw_server *server, int fd, const struct sockaddr *peer, bool admin)
{
    struct connection *c = calloc(1, sizeof *c);
    lws_adopt_desc_t desc = {.vh = admin ? server->admin_vhost : server->client_vhost,
                             .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
                             .fd.sockfd = fd,
                             .opaque = c};

    if (c) {
        c->server = server;
        c->admin = admin;
    }
    if (!c || !admit(server, c, peer)) {
        gw_count(&server->parts.metrics->connections_refused, 1);
        close(fd);
        free(c);
        return;
    }
    server->connections++;
    atomic_store(&server->parts.metrics->connections, (int64_t)server->connections);
    /* On an error, too, the socket is closed and the connection freed by WSI_DESTROY. */
    (void)lws_adopt_descriptor_vhost_via_info(&desc);
}

static void on_client(void *arg, int fd, const struct sockaddr *peer)
{
    adopt(arg, fd, peer, false);
}

static void on_admin(void *arg, int fd, const struct sockaddr *peer)
{
    adopt(arg, fd, peer, true);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct gw_server *server = prepare->data;

    flush(server);
    server->polling = true;
}

static void on_check(uv_check_t *check)
{
    struct gw_server *server = check->data;

    server->polling = false;
    flush(server);
}

/* Two ports that nobody listens on, so that no Host header turns a client's connection into one of
 * the other vhost. */
static bool make_vhosts(struct gw_server *server, struct lws_context_creation_info *info)
{
    info->vhost_name = "admin";
    info->port = CONTEXT_PORT_NO_LISTEN;
    server->admin_vhost = lws_create_vhost(server->context, info);
    info->vhost_name = "gateway";
    info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info->alpn = "http/1.1";
    if (server->parts.tls)
        info->options |= LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
    server->client_vhost = lws_create_vhost(server->context, info);
    return server->admin_vhost && server->client_vhost;
}

static bool start_lws(struct gw_server *server)
{
    void *loops[1] = {server->parts.loop};
    struct lws_context_creation_info info = {0};

    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = loops;
    info.count_threads = 1;
    info.pt_serv_buf_size = SERVICE_BUFFER;
    info.max_http_header_data = HEADERS_MAX;
    /* As many heads may be read as there are connections, else whoever sends a thousand heads
     * slowly shuts out all who come: memory is taken only while a head is being read. */
    info.max_http_header_pool2 = (unsigned)server->parts.conf->sessions_max + HTTP_SPARE;
    info.timeout_secs = (unsigned)((server->parts.conf->request_timeout_ms + 999) / 1000);
    info.keepalive_timeout = KEEPALIVE_S;
    info.retry_and_idle_policy = &no_keepalive_pings;
    info.user = server;
    info.pcontext = &server->context; /* becomes NULL when it is gone */
    if (server->parts.tls)
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    server->context = lws_create_context(&info);
    return server->context && make_vhosts(server, &info);
}

enum yz_err gw_server_new(const struct gw_server_parts *parts, struct gw_server **out)
{
    struct gw_server *server = calloc(1, sizeof *server);

    if (!server)
        return YZ_INTERNAL;
    server->parts = *parts;
    TAILQ_INIT(&server->dirty);
    server->addresses = gw_addresses_new(
        &(struct gw_address_limits){.connections = (size_t)parts->conf->address_connections_max,
                                    .strangers = (size_t)parts->conf->address_unauthenticated_max,
                                    .per_s = parts->conf->address_connections_per_s,
                                    .burst = parts->conf->address_connections_burst,
                                    .frames_per_s = parts->conf->address_frames_per_s,
                                    .frames_burst = parts->conf->address_frames_burst});
    if (!server->addresses || gw_rests_new(parts->loop, on_rested, &server->rests) != YZ_OK ||
        !start_lws(server)) {
        yz_error("lws_failed", "needs=libwebsockets-evlib-uv");
        gw_rests_free(server->rests);
        gw_addresses_free(server->addresses);
        free(server);
        return YZ_INTERNAL;
    }
    server->prepare.data = server->check.data = server;
    uv_prepare_init(parts->loop, &server->prepare);
    uv_prepare_start(&server->prepare, on_prepare);
    uv_check_init(parts->loop, &server->check);
    uv_check_start(&server->check, on_check);
    *out = server;
    return YZ_OK;
}

enum yz_err gw_server_listen(struct gw_server *server, int fd, bool admin)
{
    struct gw_pace pace = {server->parts.conf->accepts_per_s,
                           &server->parts.metrics->accept_pauses};

    if (admin)
        return gw_listener_open(server->parts.loop, fd, "admin_listening", NULL, on_admin, server,
                                &server->admin_listener);
    return gw_listener_open(server->parts.loop, fd, "listening", &pace, on_client, server,
                            &server->client_listener);
}

void gw_server_stop_listening(struct gw_server *server)
{
    gw_listener_close(server->client_listener);
    server->client_listener = NULL;
}

void gw_server_close(struct gw_server *server)
{
    gw_server_stop_listening(server);
    gw_listener_close(server->admin_listener);
    server->admin_listener = NULL;
    gw_rests_free(server->rests);
    uv_close((uv_handle_t *)&server->prepare, NULL);
    uv_close((uv_handle_t *)&server->check, NULL);
    lws_context_destroy(server->context);
}

void gw_server_free(struct gw_server *server)
{
    /* On a foreign loop the second call is the one that frees, once the handles are closed. */
    if (server->context)
        lws_context_destroy(server->context);
    gw_addresses_free(server->addresses);
    free(server->write_buffer);
    free(server);
}
