#include "gateway/server_private.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/head.h"
#include "gateway/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BUFFER    512   /* of each WebSocket connection; larger frames come in parts */
#define SERVICE_BUFFER 16384 /* shared by all, for HTTP */
#define HEADERS_MAX    16384 /* bytes of one request's head; a token may have 8 KB */
#define KEEPALIVE_S    30
#define FORWARDED_MAX  512 /* of X-Forwarded-For */

static void on_wake(void *peer)
{
    gw_flush_later(peer);
}

/* Not at once: what libwebsockets has read already is handed over first. */
static void on_rest(void *peer)
{
    struct gw_connection *c = peer;

    c->tired = true;
    gw_flush_later(c);
}

static uint32_t on_spend(void *peer, int64_t now_ms)
{
    struct gw_connection *c = peer;

    return gw_addresses_take(c->server->addresses, &c->address, now_ms);
}

static const struct gw_address *on_address(void *peer)
{
    return &((struct gw_connection *)peer)->address;
}

const struct gw_session_output gw_server_session_output = {.wake = on_wake,
                                                           .rest = on_rest,
                                                           .spend = on_spend,
                                                           .write = gw_flush_wire,
                                                           .clear = gw_flush_clear,
                                                           .address = on_address};

void gw_server_answered(void *peer)
{
    gw_flush_later(peer);
}

/* false: the address is at one of its limits. */
static bool count_address(struct gw_connection *c)
{
    c->counted = c->stranger =
        gw_addresses_enter(c->server->addresses, &c->address, yz_clock_mono_ms());
    return c->counted;
}

/* Where the header names nobody, the address stays the proxy's own: a client may see to it that it
 * is not there or says nothing (head.h). */
bool gw_server_count_client(struct gw_connection *c, struct yz_violation *v)
{
    char forwarded[FORWARDED_MAX];

    if (!c->proxied || c->counted)
        return true;
    if (lws_hdr_copy(c->wsi, forwarded, sizeof forwarded, WSI_TOKEN_X_FORWARDED_FOR) < 0)
        return yz_violate(v, YZ_TOO_LONG, "X-Forwarded-For", NULL) == YZ_OK;
    (void)gw_proxies_client(c->server->parts.proxies, forwarded, &c->address);
    return count_address(c) ||
           yz_violate(v, YZ_RATE_LIMITED, NULL, "Too many connections of this address.") == YZ_OK;
}

void gw_server_note_known(struct gw_connection *c, bool known)
{
    if (!c->stranger || !known)
        return;
    c->stranger = false;
    gw_addresses_known(c->server->addresses, &c->address);
}

static int on_established(struct gw_connection *c)
{
    enum gw_encoding encoding = (enum gw_encoding)lws_get_protocol(c->wsi)->id;

    if (gw_session_open(c->server->parts.sessions, encoding, c, &c->session) != YZ_OK)
        return -1;
    c->fd = lws_get_socket_fd(c->wsi);
    c->plain = !lws_is_ssl(c->wsi);
    return 0;
}

static void drop_fragments(struct gw_connection *c)
{
    free(c->frame);
    c->frame = NULL;
    c->frame_len = 0;
}

/* false: it grows beyond frame_max_bytes, or memory ran out. */
static bool add_fragment(struct gw_connection *c, const void *data, size_t len)
{
    uint8_t *grown = realloc(c->frame, c->frame_len + len + 1);

    if (!grown)
        return false;
    memcpy(grown + c->frame_len, data, len);
    c->frame = grown;
    c->frame_len += len;
    return true;
}

static int on_received(struct gw_connection *c, const void *data, size_t len)
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
        gw_server_note_known(c, gw_session_open_now(c->session));
        return 0;
    }
    if (!add_fragment(c, data, len))
        return -1;
    if (!whole && coming == 0)
        gw_session_fragment(c->session);
    if (whole) {
        gw_session_frame(c->session, c->frame, c->frame_len, binary);
        gw_server_note_known(c, gw_session_open_now(c->session));
        drop_fragments(c);
    }
    return 0;
}

static void on_session_closed(struct gw_connection *c)
{
    drop_fragments(c);
    if (c->session)
        gw_session_free(c->session);
    c->session = NULL;
}

static void free_connection(struct gw_connection *c)
{
    struct gw_server *server = c->server;

    on_session_closed(c);
    gw_request_end(c);
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

static int note_made(struct lws *wsi)
{
    struct gw_server *server = lws_context_user(lws_get_context(wsi));

    server->made = true;
    return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct gw_connection *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        return attach_tls(wsi, user);
    if (reason == LWS_CALLBACK_WSI_CREATE)
        return note_made(wsi);
    if (!c)
        return 0;
    c->wsi = wsi;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return gw_request_upgrade(c, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(c);
    case LWS_CALLBACK_RECEIVE:
        return on_received(c, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (c->session)
            gw_flush_later(c);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        c->closed = true;
        return 0;
    case LWS_CALLBACK_CLOSED:
        on_session_closed(c);
        return 0;
    case LWS_CALLBACK_HTTP:
        return gw_request_begin(c, in, len);
    case LWS_CALLBACK_HTTP_BODY:
        return gw_request_body(c, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return gw_request_complete(c);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return gw_request_respond(c);
    case LWS_CALLBACK_RAW_ADOPT: /* CONNECT would make it a raw socket without a time-out */
    case LWS_CALLBACK_RAW_RX:
        return -1;
    case LWS_CALLBACK_CLOSED_HTTP:
        gw_request_end(c);
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

static bool admit(struct gw_server *server, struct gw_connection *c, const struct sockaddr *peer)
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
    struct gw_connection *c = calloc(1, sizeof *c);
    lws_adopt_desc_t desc = {.vh = admin ? server->admin_vhost : server->client_vhost,
                             .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
                             .fd.sockfd = fd,
                             .opaque = c};

    if (c) {
        c->server = server;
        c->admin = admin;
    }
    if (!c || !admit(server, c, peer)) {
        yz_count(&server->parts.metrics->connections_refused, 1);
        close(fd);
        free(c);
        return;
    }
    server->connections++;
    atomic_store(&server->parts.metrics->connections, (int64_t)server->connections);
    server->made = false;
    /* On an error, too, the socket is closed, and the connection freed by WSI_DESTROY if there was
     * memory for a wsi. */
    if (!lws_adopt_descriptor_vhost_via_info(&desc) && !server->made)
        free_connection(c);
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

    gw_flush_all(server);
    server->polling = true;
}

static void on_check(uv_check_t *check)
{
    struct gw_server *server = check->data;

    server->polling = false;
    gw_flush_all(server);
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
    info.timeout_secs_ah_idle = info.timeout_secs; /* who sends a part of a head, or nothing */
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
    if (!server->addresses || gw_rests_new(parts->loop, gw_flush_rested, &server->rests) != YZ_OK ||
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
