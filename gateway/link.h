/* link.h: the gateway's end of the bus: the NATS connection, what comes in from its threads,
 * requests.
 *
 * Lifetime  one per process, from start until after the last session is gone; who holds taps or
 *           requests ends first.
 * Thread    loop for all functions, and none of them blocks: what goes out is written by a thread
 * of its own (sender.h), in the order it was given; what comes in is put into a bounded queue by
 * nats.c's threads, which wake the loop. Limits    bus_queue_max publishes and subscribes not yet
 * written: YZ_BUSY beyond. inbound_queue_max messages; what does not fit is dropped and counted,
 * and every held channel is then read again from its stream (nothing is missed silently).
 * LINK_WORK_MAX messages a wake-up. Failure   while the bus is away, publishes fail with
 * YZ_BUS_UNAVAILABLE at once; sessions stay. One that cannot be written fails with its on_reply,
 * YZ_FRAME_TOO_LARGE when the broker takes no message of this size.
 */
#ifndef GW_LINK_H
#define GW_LINK_H

#include "common/bus.h"
#include "common/conf.h"
#include "common/err.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define GW_INBOX_PREFIX_MAX (YZ_INBOX_MAX + 1)
#define GW_INBOX_MAX        (GW_INBOX_PREFIX_MAX + 17)

struct gw_link;
struct gw_metrics;
struct gw_streams;

/* Connects in the background: ready comes later. conf and metrics are borrowed for the link's life.
 */
YZ_MUST_USE enum yz_err gw_link_new(const struct yz_conf *conf, uv_loop_t *loop,
                                    struct gw_metrics *metrics, struct gw_link **link);
/* Closes the connection and frees; no callback comes after it. Run the loop once more for its
 * handles. */
void gw_link_free(struct gw_link *link);

bool gw_link_connected(const struct gw_link *link);
/* Connected, denied nothing, and the streams CHANNELS, THREADS and STATE are there. *reason
 * (constant) says what is missing. */
bool gw_link_ready(const struct gw_link *link, const char **reason);
/* What is known of the streams; as long-lived as the link. */
struct gw_streams *gw_link_streams(const struct gw_link *link);

/* on_reply borrows msg; msg NULL: the time is up, or the bus went away (err says which), and it is
 * the last call. Returns true to wait for further replies of the same request. */
typedef bool gw_reply_fn(void *arg, natsMsg *msg, enum yz_err err);
/* Ask for one or many replies. *id (may be NULL) is for gw_link_cancel. On an error on_reply is not
 * called, and it is never called inside. */
YZ_MUST_USE enum yz_err gw_link_request(struct gw_link *link, const char *subject, const void *data,
                                        size_t len, int64_t timeout_ms, gw_reply_fn *on_reply,
                                        void *arg, uint64_t *id);
/* The same in two steps for a message with headers, which must name its reply subject when it is
 * made: first reserve an inbox, then send. */
YZ_MUST_USE enum yz_err gw_link_expect(struct gw_link *link, int64_t timeout_ms,
                                       gw_reply_fn *on_reply, void *arg, char inbox[GW_INBOX_MAX],
                                       uint64_t *id);
/* msg is taken in all cases; on an error the reservation is gone. */
YZ_MUST_USE enum yz_err gw_link_send(struct gw_link *link, natsMsg *msg, uint64_t id);
/* An answer that expects none. msg is taken; lost while the bus is away. */
void gw_link_publish(struct gw_link *link, natsMsg *msg);
/* The same for what can be done without: YZ_BUSY while half of what may wait to be written does. */
YZ_MUST_USE enum yz_err gw_link_publish_spare(struct gw_link *link, natsMsg *msg);
/* No call for this request any more; harmless when it is over. */
void gw_link_cancel(struct gw_link *link, uint64_t id);

/* Subscribe to a subject (wildcards allowed), also while the bus is away. on_message borrows msg,
 * in the order of arrival. */
struct gw_tap;
typedef void gw_message_fn(void *arg, natsMsg *msg);
YZ_MUST_USE enum yz_err gw_link_subscribe(struct gw_link *link, const char *subject,
                                          gw_message_fn *on_message, void *arg,
                                          struct gw_tap **tap);
void gw_link_unsubscribe(struct gw_link *link, struct gw_tap *tap);

/* Called on the loop after each connect and reconnect, and after messages were dropped: read
 * everything again. At most LINK_LISTENERS_MAX listeners, called in the order they came. */
#define LINK_LISTENERS_MAX 4
typedef void gw_resync_fn(void *arg);
void gw_link_on_resync(struct gw_link *link, gw_resync_fn *on_resync, void *arg);
/* Its end: arg is called no more. */
void gw_link_off_resync(struct gw_link *link, void *arg);

#endif
