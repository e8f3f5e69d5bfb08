/* server_private.h: what server.c (libwebsockets and its connections), flush.c (what waits is
 * written behind a turn's callbacks) and request.c (HTTP on a connection) share. Nobody else
 * includes it.
 *
 * Lifetime  as in server.h.
 * Thread    loop.
 * Limits    as in server.h.
 */
#ifndef GW_SERVER_PRIVATE_H
#define GW_SERVER_PRIVATE_H

#include "gateway/limits.h"
#include "gateway/rest.h"
#include "gateway/server.h"

#include <libwebsockets.h>
#include <sys/queue.h>

#define HTTP_SPARE 1024 /* connections beside sessions_max */

struct gw_connection {
    /* first what every delivery looks at */
    struct gw_server *server;
    struct lws *wsi;
    TAILQ_ENTRY(gw_connection) dirty_link;
    struct gw_session *session;
    int fd;     /* once it is a WebSocket */
    bool plain; /* of one without TLS: what is written to fd is what the peer reads */
    bool dirty, admin, counted;
    bool stranger; /* counted, and no token was accepted yet */
    bool proxied;  /* from a trusted proxy: counted once its request names an address */
    bool closed;   /* a close frame came or went: no more data */
    struct gw_address address;
    struct gw_bucket requests; /* HTTP; a session counts its own frames */
    struct gw_rest rest;
    bool tired;     /* is to rest from the end of this turn on */
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
    TAILQ_HEAD(, gw_connection) dirty;
    bool polling; /* between the loop's prepare and check phases */
    bool made;    /* libwebsockets has made something of the socket that is being adopted */
    uv_prepare_t prepare;
    uv_check_t check;
    uint8_t *write_buffer; /* LWS_PRE bytes, then room */
    size_t write_room;
};

/* server.c */

/* Count for whom a proxy speaks, once its request is there; itself, when it names nobody. false: v
 * says why it is refused. */
bool gw_server_count_client(struct gw_connection *c, struct yz_violation *v);
/* Whoever showed a token that was accepted is no stranger any more. */
void gw_server_note_known(struct gw_connection *c, bool known);

/* flush.c */

/* Something of it is to be done behind this turn's callbacks. */
void gw_flush_later(struct gw_connection *c);
/* Do it, for all of them. */
void gw_flush_all(struct gw_server *server);
/* Write a shared message at once: gw_session_output. */
bool gw_flush_wire(void *connection, const struct gw_wire *wire);
/* gw_session_output.clear */
bool gw_flush_clear(void *connection);
/* Its rest is over: read on. */
void gw_flush_rested(void *connection);
/* The write buffer with room for at least so many bytes; NULL: out of memory. */
uint8_t *gw_flush_buffer(struct gw_server *server, size_t room);

/* request.c: each returns what the callback of libwebsockets returns. */

int gw_request_begin(struct gw_connection *c, const char *uri, size_t len);
int gw_request_body(struct gw_connection *c, const void *data, size_t len);
int gw_request_complete(struct gw_connection *c);
/* Write the answer, if it is there, and be ready for the next request. */
int gw_request_respond(struct gw_connection *c);
/* A WebSocket handshake. 0: go on. -1: refused, with an answer, and the connection ends. */
int gw_request_upgrade(struct gw_connection *c, const char *upgrade);
/* Forget the exchange under way, if any. */
void gw_request_end(struct gw_connection *c);

#endif
