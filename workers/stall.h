/* stall.h: partitions that stand still: their events wait, and their consumer hands nothing.
 *
 * A consumer whose leader is in trouble answers nobody and says so to nobody (nats-server can leave
 * a replica that was parted in a loop, somebody may have paused it). The owner's way out is the
 * same as after a lost message: a new revision of the lease and a consumer of that name, led by
 * whom the cluster chooses then; the fence between two owners stays what it is.
 *
 * A partition stands still when its oldest event is older than events_stale_ms and its consumer,
 * itself older than that, handed nothing for as long and an ack_wait_ms more (then it offers again
 * what it handed before), while the database answered, no batch was held and EVENTS was trusted. In
 * vain it is done again after twice the time, at most 32 times it.
 *
 * Lifetime  plain struct, all zero to begin with.
 * Thread    that of the watch (wk_stall_look blocks, one question for each partition under
 *           suspicion, up to the first that has no answer).
 */
#ifndef WK_STALL_H
#define WK_STALL_H

#include "common/subject.h"
#include "workers/lease.h"

struct wk_stall {
    int64_t calm_since_mono_ms; /* 0: it is not */
    int64_t renewed_mono_ms[YZ_PARTITIONS];
    unsigned tries[YZ_PARTITIONS]; /* in vain, one after the other */
};

/* What EVENTS says of itself, by the broker's clock. */
struct wk_stall_events {
    uint64_t first_sequence;
    int64_t now_us;
    bool stale; /* the oldest event waits longer than events_stale_ms */
};

/* One look. calm: nothing but the broker can be why events wait. */
void wk_stall_look(struct wk_stall *stall, const struct yz_conf *conf, natsConnection *nc,
                   struct wk_lease *lease, struct wk_metrics *metrics,
                   const struct wk_stall_events *events, bool calm);

#endif
