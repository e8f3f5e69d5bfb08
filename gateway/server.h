/* server.h: libwebsockets on the loop: connections of the client port and of the admin port, tied
 * to sessions and HTTP exchanges. The only file that knows a socket of a client.
 *
 * Lifetime  from start until the loop ends. A connection from its accept until libwebsockets says
 *           that it is destroyed.
 * Thread    loop.
 * Limits    sessions_max and HTTP_SPARE connections, address_connections_max of one address;
 *           SERVER_WRITE_MAX bytes written for one connection in a turn (more for a single frame).
 *
 * Fan-out: what sessions say during a loop turn is collected, and each session that has something
 * is written once, behind the turn's callbacks: one frame of everything that waits.
 */
#ifndef GW_SERVER_H
#define GW_SERVER_H

#include "gateway/admin.h"
#include "gateway/http.h"
#include "gateway/origin.h"
#include "gateway/proxy.h"
#include "gateway/session.h"
#include "gateway/tls.h"

#include <uv.h>

#define SERVER_WRITE_MAX   65536
#define SERVER_SOCKET_PATH "/v1/ws"

struct gw_server;

/* Borrowed for the server's life. */
struct gw_server_parts {
    const struct yz_conf *conf;
    uv_loop_t *loop;
    struct gw_sessions *sessions;
    struct gw_http *http;
    struct gw_intake *intake;
    const struct gw_origins *origins; /* NULL: every page may connect */
    const struct gw_proxies *proxies; /* NULL: none is trusted */
    struct gw_tls *tls;               /* NULL: the client port is plain */
    struct gw_metrics *metrics;
    struct gw_admin admin;
};

/* For gw_session_parts and gw_http_parts. */
extern const struct gw_session_output gw_server_session_output;
void gw_server_answered(void *peer);

YZ_MUST_USE enum yz_err gw_server_new(const struct gw_server_parts *parts,
                                      struct gw_server **server);
/* Ends every connection at once. Run the loop once more for the handles. */
void gw_server_close(struct gw_server *server);
/* When no connection is left and the loop has run. */
void gw_server_free(struct gw_server *server);

/* Accept on this bound socket (taken). */
YZ_MUST_USE enum yz_err gw_server_listen(struct gw_server *server, int fd, bool admin);
/* No new connection of clients; the admin port stays. */
void gw_server_stop_listening(struct gw_server *server);

#endif
