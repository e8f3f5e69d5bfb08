/* listener.h: a listening TCP socket on the loop, whose connections are handed to one function.
 *
 * Lifetime  from gw_listener_open to gw_listener_close, whose handle the loop frees in a later
 * turn. Thread    loop. Limits    LISTENER_ACCEPTS_MAX connections a wake-up, and no faster than
 * its pace: a storm waits in the kernel's queue and leaves the sessions their time. Out of
 * descriptors or memory it pauses for LISTENER_PAUSE_MS and leaves the connections in the kernel's
 * queue, instead of spinning.
 *
 * Our own and not libwebsockets', since that cannot share a port between processes (SO_REUSEPORT).
 */
#ifndef GW_LISTENER_H
#define GW_LISTENER_H

#include "common/err.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#define LISTENER_ACCEPTS_MAX 64
#define LISTENER_PAUSE_MS    100

struct gw_listener;

/* fd is non-blocking and without delay; it is taken. */
typedef void gw_accept_fn(void *arg, int fd, const struct sockaddr *peer);

/* per_s connections a second, a tenth of it at once; *pauses counts how often the rest had to wait.
 */
struct gw_pace {
    int64_t per_s;
    _Atomic uint64_t *pauses;
};

/* A bound socket, not listening yet. shared: other processes may bind the same port. *port is the
 * one chosen when it was 0. Logs the reason when it cannot: YZ_INVALID_VALUE. */
YZ_MUST_USE enum yz_err gw_listener_bind(const char *address, uint16_t *port, bool shared, int *fd);
/* Listen on fd (taken). pace NULL: no limit; *pauses is borrowed. Logs `event` with address and
 * port once clients can connect. */
YZ_MUST_USE enum yz_err gw_listener_open(uv_loop_t *loop, int fd, const char *event,
                                         const struct gw_pace *pace, gw_accept_fn *on_accept,
                                         void *arg, struct gw_listener **listener);
void gw_listener_close(struct gw_listener *listener);

#endif
