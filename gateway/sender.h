/* sender.h: the one thread that speaks to NATS for the loop: publishes, subscribes and
 * unsubscribes, in the order they were given.
 *
 * Why a thread: any call of nats.c may block. It writes to the socket itself, up to the write
 * deadline once a stalled broker's buffers are full, and it takes the connection's lock, which is
 * held while the connection is being made anew.
 *
 * Lifetime  one per link. gw_sender_free waits for the call in hand, a few seconds at most.
 * Thread    loop for all functions.
 * Turns     commands are handed to the thread together: when SENDER_BATCH of them wait, else by
 *           gw_sender_flush at the end of the loop's turn. A wake-up costs more than a publish.
 * Limits    bus_queue_max commands and SENDER_BYTES_MAX bytes. A publish or subscribe beyond is
 *           refused at once with YZ_BUSY; an unsubscribe is always taken (there is at most one for
 *           each subscribe).
 * Failure   what could not be published is in gw_sender_failed, and the loop is woken. A publish
 *           given for a connection that is lost is never sent on the next one: it would overtake
 *           what was answered as failed and sent again meanwhile.
 */
#ifndef GW_SENDER_H
#define GW_SENDER_H

#include "common/conf.h"
#include "common/err.h"
#include "gateway/inbound.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENDER_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define SENDER_BATCH     64
#define SENDER_TAP_INBOX 1 /* replies; the other subscriptions count up from there */

struct gw_sender;
struct gw_subscription;

struct gw_failure {
    uint64_t request;
    enum yz_err err;
};

/* Connects in the background and subscribes to inbox (with its wildcard); messages and the
 * connection's state go to inbound. conf and metrics are borrowed, inbound is counted. */
YZ_MUST_USE enum yz_err gw_sender_new(const struct yz_conf *conf, const char *inbox,
                                      struct gw_inbound *inbound, struct gw_metrics *metrics,
                                      struct gw_sender **sender);
/* What waits is dropped; the connection is closed. */
void gw_sender_free(struct gw_sender *sender);

/* msg is taken in all cases. connection: as gw_inbound_news told it; request: for the failure. */
YZ_MUST_USE enum yz_err gw_sender_publish(struct gw_sender *sender, natsMsg *msg,
                                          uint64_t connection, uint64_t request);
/* Half of what may wait does: what can be done without is not to be given. */
bool gw_sender_half_full(struct gw_sender *sender);
/* tap is a number never used twice. Kept over reconnects and gw_sender_reopen, until it is given
 * back by gw_sender_unsubscribe. */
YZ_MUST_USE enum yz_err gw_sender_subscribe(struct gw_sender *sender, uint64_t tap,
                                            const char *subject,
                                            struct gw_subscription **subscription);
void gw_sender_unsubscribe(struct gw_sender *sender, struct gw_subscription *subscription);
/* What was given since the last call is carried out from now on. Cheap when nothing was. */
void gw_sender_flush(struct gw_sender *sender);
/* The connection was closed for good: make another one, with all subscriptions. */
void gw_sender_reopen(struct gw_sender *sender);

/* Take up to count failures; returns how many. */
size_t gw_sender_failed(struct gw_sender *sender, struct gw_failure *failures, size_t count);

#endif
