/* listener.h: a listening TCP socket on the loop, whose connections are handed to one function.
 *
 * Lifetime  from gw_listener_open to gw_listener_close, whose handle the loop frees in a later
 * turn. Thread    loop. Limits    LISTENER_ACCEPTS_MAX connections a wake-up. Out of descriptors or
 * memory it pauses for LISTENER_PAUSE_MS and leaves the connections in the kernel's queue, instead
 * of spinning.
 *
 * Our own and not libwebsockets', since that cannot share a port between processes (SO_REUSEPORT).
 */
#ifndef GW_LISTENER_H
#define GW_LISTENER_H

#include "common/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#define LISTENER_ACCEPTS_MAX 64
#define LISTENER_PAUSE_MS    100

struct gw_listener;

/* fd is non-blocking and without delay; it is taken. */
typedef void gw_accept_fn(void *arg, int fd, const struct sockaddr *peer);

/* A bound socket, not listening yet. shared: other processes may bind the same port. *port is the
 * one chosen when it was 0. Logs the reason when it cannot: YZ_INVALID_VALUE. */
YZ_MUST_USE enum yz_err gw_listener_bind(const char *address, uint16_t *port, bool shared, int *fd);
/* Listen on fd (taken). Logs `event` with address and port once clients can connect. */
YZ_MUST_USE enum yz_err gw_listener_open(uv_loop_t *loop, int fd, const char *event,
                                         gw_accept_fn *on_accept, void *arg,
                                         struct gw_listener **listener);
void gw_listener_close(struct gw_listener *listener);

#endif
