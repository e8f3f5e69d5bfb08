/* proxy.h: the proxies that are believed when they say for whom they speak (X-Forwarded-For).
 *
 * Lifetime  one per process, constant.
 * Thread    loop.
 * Limits    PROXIES_MAX networks.
 *
 * A connection from one of them may carry the requests of many clients, so each ends after one
 * request: what one client smuggles cannot become the request of another. A WebSocket is one
 * client's from its handshake on. From anybody else the header is ignored. A request whose header
 * names nobody counts as the proxy's own, and one whose header does not fit is refused (server.c).
 */
#ifndef GW_PROXY_H
#define GW_PROXY_H

#include "common/err.h"
#include "gateway/limits.h"

#define PROXIES_MAX 32

struct gw_proxies;

/* Addresses and networks (10.0.0.0/8, fd00::/8), comma-separated. YZ_INVALID_VALUE: one is none, or
 * there are too many (logged). */
YZ_MUST_USE enum yz_err gw_proxies_new(const char *trusted, struct gw_proxies **proxies);
void gw_proxies_free(struct gw_proxies *proxies);

bool gw_proxies_trust(const struct gw_proxies *proxies, const struct sockaddr *peer);
/* Whom the header names: its last address that is no trusted proxy itself. false: it names nobody.
 */
bool gw_proxies_client(const struct gw_proxies *proxies, const char *forwarded_for,
                       struct gw_address *client);

#endif
