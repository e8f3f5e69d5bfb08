/* inbound.h: what nats.c's threads hand to the loop: messages in order of arrival, and the
 * connection's state.
 *
 * Lifetime  counted references: one of the link, one of each subscription and of the connection, so
 *           that a late callback of nats.c never meets freed memory.
 * Thread    gw_inbound_push and the gw_inbound_note functions any; the rest loop.
 * Limits    capacity messages and INBOUND_BYTES_MAX bytes; what does not fit is destroyed and
 *           counted, and the loop is told.
 */
#ifndef GW_INBOUND_H
#define GW_INBOUND_H

#include "common/err.h"
#include "gateway/metrics.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define INBOUND_BYTES_MAX ((size_t)256 * 1024 * 1024)

struct gw_inbound;

/* One message and the subscription (a number, never used twice) it came through. */
struct gw_inbound_item {
    natsMsg *msg;
    uint64_t tap;
};

/* What happened to the connection since the last look. */
struct gw_inbound_news {
    bool disconnected, connected, closed;
    uint64_t connection; /* which one is connected: another number than any before it of one open */
    bool dropped;        /* at least one message was lost at the full queue */
    bool failed;         /* at least one publish could not be sent */
};

/* async is woken (borrowed until gw_inbound_close). */
YZ_MUST_USE enum yz_err gw_inbound_new(size_t capacity, uv_async_t *async,
                                       struct gw_metrics *metrics, struct gw_inbound **inbound);
struct gw_inbound *gw_inbound_ref(struct gw_inbound *inbound);
void gw_inbound_unref(struct gw_inbound *inbound);
/* The loop's last call: nothing wakes async or touches metrics any more, what waits is destroyed.
 */
void gw_inbound_close(struct gw_inbound *inbound);

/* What a message is worth. A reply may use the whole queue, what is live seven eighths of it: what
 * repairs a loss must not be lost by it. A signal has half of it, and its loss is counted, no news.
 */
enum gw_worth { GW_WORTH_SIGNAL, GW_WORTH_LIVE, GW_WORTH_REPLY };
/* msg is taken. */
void gw_inbound_push(struct gw_inbound *inbound, uint64_t tap, natsMsg *msg, enum gw_worth worth);
void gw_inbound_note_connected(struct gw_inbound *inbound, uint64_t connection);
void gw_inbound_note_disconnected(struct gw_inbound *inbound);
void gw_inbound_note_closed(struct gw_inbound *inbound);
void gw_inbound_note_failed(struct gw_inbound *inbound);

/* Take up to count items, oldest first; the messages are the caller's. *more: others wait, and
 * async was woken again. */
size_t gw_inbound_take(struct gw_inbound *inbound, struct gw_inbound_item *items, size_t count,
                       bool *more);
/* News, once; to be asked when no message waits, since the messages came before. */
struct gw_inbound_news gw_inbound_news(struct gw_inbound *inbound);

#endif
