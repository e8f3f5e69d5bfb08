#include "gateway/server_private.h"

#include "gateway/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CLOSE_GRACE_S 10 /* for each write of what is left, once closing */

void gw_flush_later(struct gw_connection *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&c->server->dirty, c, dirty_link);
}

static void begin_rest(struct gw_connection *c)
{
    c->tired = false;
    yz_count(&c->server->parts.metrics->rests, 1);
    lws_rx_flow_control(c->wsi, 0);
    gw_rest_begin(c->server->rests, &c->rest, c);
}

void gw_flush_rested(void *arg)
{
    struct gw_connection *c = arg;

    if (c->session && !c->closed && !gw_session_closing(c->session))
        lws_rx_flow_control(c->wsi, 1);
}

static void kill_later(struct gw_connection *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

uint8_t *gw_flush_buffer(struct gw_server *server, size_t room)
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
static bool write_session(struct gw_connection *c)
{
    struct gw_server *server = c->server;
    size_t next = gw_session_next(c->session), len;
    bool binary = lws_get_protocol(c->wsi)->id == GW_PROTOBUF;
    uint8_t *to;

    if (next == 0 || lws_partial_buffered(c->wsi))
        return true;
    to = gw_flush_buffer(server, next > SERVER_WRITE_MAX ? next : SERVER_WRITE_MAX);
    if (!to)
        return false;
    len = gw_session_take(c->session, to, next > SERVER_WRITE_MAX ? next : SERVER_WRITE_MAX);
    if (lws_write(c->wsi, to, len, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)len)
        return false;
    yz_count_own(&server->parts.metrics->writes, 1);
    yz_count_own(&server->parts.metrics->write_bytes, len);
    return true;
}

/* What the socket did not take libwebsockets keeps (a copy) and writes before anything else, also
 * before a pong or close of its own. */
static bool keep_rest(struct gw_connection *c, const uint8_t *rest, size_t len)
{
    return lws_write(c->wsi, (uint8_t *)(uintptr_t)rest, len, LWS_WRITE_HTTP) >= 0;
}

/* Straight to the socket: lws_write would copy the message, make its head anew and look at half a
 * dozen structures that are not in the processor's cache, for each of many thousand receivers. */
bool gw_flush_wire(void *connection, const struct gw_wire *wire)
{
    struct gw_connection *c = connection;
    struct gw_metrics *metrics = c->server->parts.metrics;
    ssize_t sent;

    if (!c->plain || c->closed || lws_partial_buffered(c->wsi))
        return false;
    sent = send(c->fd, wire->bytes, wire->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return false; /* full, or broken: the next write or read tells */
    if ((size_t)sent < wire->len && !keep_rest(c, wire->bytes + sent, wire->len - (size_t)sent))
        kill_later(c);
    yz_count_own(&metrics->writes, 1);
    yz_count_own(&metrics->write_bytes, wire->payload_len);
    return true;
}

bool gw_flush_clear(void *connection)
{
    const struct gw_connection *c = connection;

    return !c->plain && !c->closed && !lws_partial_buffered(c->wsi);
}

/* Send the close frame; the session is freed when libwebsockets is through with the connection. Not
 * by returning -1 from its callback: Debian's build closes twice then, and the second time drops
 * the close frame (its "uv repeat test" under _DEBUG). */
static void close_politely(struct gw_connection *c, enum yz_close close)
{
    const char *reason = yz_close_code(close);

    c->closed = true;
    lws_rx_flow_control(c->wsi, 1); /* the peer's close frame is awaited */
    lws_close_reason(c->wsi, (enum lws_close_status)close, (uint8_t *)(uintptr_t)reason,
                     strlen(reason));
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

/* Behind a turn's callbacks. */
static void flush_session(struct gw_connection *c)
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
static void flush_exchange(struct gw_connection *c)
{
    lws_rx_flow_control(c->wsi, 1);
    lws_callback_on_writable(c->wsi);
}

void gw_flush_all(struct gw_server *server)
{
    struct gw_metrics *metrics = server->parts.metrics;
    struct gw_connection *c;

    if (metrics->lag.count > 0)
        gw_lag_begin(&metrics->lag);
    while ((c = TAILQ_FIRST(&server->dirty))) {
        TAILQ_REMOVE(&server->dirty, c, dirty_link);
        c->dirty = false;
        if (c->session)
            flush_session(c);
        else if (c->exchange && c->exchange->status != 0)
            flush_exchange(c);
    }
    gw_lag_end(&metrics->lag, &metrics->delivery_lag);
}
