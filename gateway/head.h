/* head.h: the head of a request, read out of libwebsockets and judged: what is not exactly one
 * request of HTTP/1.0 or 1.1 is refused, not guessed at.
 *
 * Lifetime  a gw_head is the caller's; its request borrows from it.
 * Thread    loop.
 * Limits    HEAD_URI_MAX bytes of path and of query, HEAD_PAIRS_MAX fields of a query; what
 *           libwebsockets reads of a head is bounded by its own buffer (server.c).
 *
 * What it cannot see: libwebsockets 4.1 takes bare line feeds and folded lines, and loses the line
 * behind a header whose name is the beginning of a known one ("X:"). One client can deceive only
 * itself by that; see proxy.h for connections that carry the requests of several.
 */
#ifndef GW_HEAD_H
#define GW_HEAD_H

#include "gateway/exchange.h"

#include <libwebsockets.h>

#define HEAD_URI_MAX   2048
#define HEAD_PAIRS_MAX 64

struct gw_head {
    struct gw_request request;
    char authorization[GW_TOKEN_MAX + 64];
    char content_type[128], if_none_match[64], content_length[24], version[16];
    char origin[256], host[256], asked_method[32];
    char query[HEAD_URI_MAX], path[HEAD_URI_MAX];
    struct yz_pair pairs[HEAD_PAIRS_MAX];
    bool last; /* the client wants, or its version means, one request on this connection */
};

/* false: v says what is wrong with it; only request.method is set, and the connection must end. */
bool gw_head_read(struct lws *wsi, const char *uri, size_t len, struct gw_head *head,
                  struct yz_violation *v);

/* A WebSocket handshake on `path`, before libwebsockets answers it. v->err YZ_OK: it is one; else
 * *status is the answer's (0: the error's own). */
void gw_head_judge_upgrade(struct lws *wsi, const char *upgrade, const char *path, int *status,
                           struct yz_violation *v);

/* A header's text; "" when it is absent or does not fit. */
const char *gw_head_copy(struct lws *wsi, enum lws_token_indexes token, char *to, size_t size);

#endif
