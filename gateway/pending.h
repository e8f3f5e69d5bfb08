/* pending.h: requests whose replies are awaited, found by number, with their deadlines.
 *
 * Lifetime  one per link; an entry from gw_pending_add until its last reply, its deadline or
 *           gw_pending_fail.
 * Thread    loop.
 * Limits    PENDING_MAX entries. A deadline is met within PENDING_TICK_MS, at most
 *           PENDING_TIMEOUT_MAX_MS ahead.
 */
#ifndef GW_PENDING_H
#define GW_PENDING_H

#include "common/err.h"
#include "gateway/link.h"

#define PENDING_MAX            (1024 * 1024)
#define PENDING_TICK_MS        50
#define PENDING_TIMEOUT_MAX_MS 60000

struct gw_pending;

YZ_MUST_USE enum yz_err gw_pending_new(struct gw_pending **pending);
/* Entries that are left are forgotten without a call. */
void gw_pending_free(struct gw_pending *pending);

/* *id is not 0 and not used again before four thousand million others. YZ_BUSY at the limit. */
YZ_MUST_USE enum yz_err gw_pending_add(struct gw_pending *pending, int64_t timeout_ms,
                                       gw_reply_fn *on_reply, void *arg, uint64_t *id);
/* Forget it without a call; an id that is gone already does no harm. */
void gw_pending_cancel(struct gw_pending *pending, uint64_t id);
/* A reply came: calls on_reply, unless the request is gone. */
void gw_pending_reply(struct gw_pending *pending, uint64_t id, natsMsg *msg);
/* Time goes on by one tick: whose deadline has come is failed with YZ_TIMED_OUT. */
void gw_pending_tick(struct gw_pending *pending);
/* Fail this one, unless it is gone. */
void gw_pending_fail_one(struct gw_pending *pending, uint64_t id, enum yz_err err);
/* Fail all that wait now (not those added by the callbacks). */
void gw_pending_fail(struct gw_pending *pending, enum yz_err err);
size_t gw_pending_count(const struct gw_pending *pending);

#endif
