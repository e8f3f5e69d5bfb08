/* link.h: the gateway's end of the bus: the NATS connection, what comes in from its threads, requests.
 *
 * Lifetime  one per process, from start until after the last session is gone.
 * Thread    loop for all functions; nats.c's threads only copy into a bounded queue and wake the loop.
 * Limits    inbound_queue_max messages; what does not fit is dropped and counted, and every held channel is then read
 *           again from its stream (nothing is missed silently).
 * Failure   while the bus is away, publishes fail with YZ_BUS_UNAVAILABLE at once; sessions stay.
 */
#ifndef GW_LINK_H
#define GW_LINK_H

#include "common/conf.h"
#include "common/err.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct gw_link;
struct gw_metrics;

/* Connects in the background: ready comes later. conf and metrics are borrowed for the link's life. */
YZ_MUST_USE enum yz_err gw_link_new(const struct yz_conf *conf, uv_loop_t *loop,
                                    struct gw_metrics *metrics, struct gw_link **link);
/* Closes the connection and frees; no callback comes after it. */
void gw_link_free(struct gw_link *link);

/* Connected, and the streams CHANNELS, THREADS and STATE are there. *reason (constant) says what is missing. */
bool gw_link_ready(const struct gw_link *link, const char **reason);

/* Request with many or one reply. on_reply borrows msg; msg NULL: the time is up, or the bus went away
 * (err says which). Returns true to wait for further replies of the same request. */
typedef bool gw_reply_fn(void *arg, natsMsg *msg, enum yz_err err);
/* msg is taken in all cases. On an error on_reply is not called. */
YZ_MUST_USE enum yz_err gw_link_request(struct gw_link *link, natsMsg *msg, int64_t timeout_ms,
                                        gw_reply_fn *on_reply, void *arg);

/* Subscribe to a subject (wildcards allowed). on_message borrows msg, in the order of arrival. */
struct gw_tap;
typedef void gw_message_fn(void *arg, natsMsg *msg);
YZ_MUST_USE enum yz_err gw_link_subscribe(struct gw_link *link, const char *subject,
                                          gw_message_fn *on_message, void *arg,
                                          struct gw_tap **tap);
void gw_link_unsubscribe(struct gw_link *link, struct gw_tap *tap);

/* Called on the loop after each reconnect, and after messages were dropped: read everything again. */
typedef void gw_resync_fn(void *arg);
void gw_link_on_resync(struct gw_link *link, gw_resync_fn *on_resync, void *arg);

#endif
