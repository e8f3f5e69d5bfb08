/* lease.h: which partitions this process owns, and the consumer each of them is read from.
 *
 * A keeper thread beats in the bucket WORKERS, spreads the 64 partitions over the live workers by
 * rendezvous hashing, and takes and gives them up in the bucket PARTITIONS by compare-and-set
 * only. The revision of the lease is in the name of the partition's consumer,
 * "p<n>-<revision>"; the taker deletes the older ones, so that a worker that does not know yet
 * that it lost the lease gets nothing more, and its late acks change nothing.
 *
 * Lifetime  one for the process; wk_lease_stop, then wk_lease_free once the consumer threads ended.
 * Thread    the keeper's own; all functions: any.
 * Limits    no beat of ours for lease_ttl_ms: nothing new is taken from the broker. Another
 *           worker's death is judged only after having listened for twice that time.
 *
 *   FREE --desired, free or holder dead: CAS--> HELD --another one desired, stop--> LEAVING
 *    ^--revision is no longer ours-- HELD, LEAVING        LEAVING --drained: CAS--> FREE
 *   HELD --message lost, consumer gone or dumb, bus was away: CAS--> HELD with a new revision and
 *          consumer
 */
#ifndef WK_LEASE_H
#define WK_LEASE_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/durable.h"
#include "workers/metrics.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stdint.h>

#define WK_WORKER_MAX 128

struct wk_lease;

/* worker: unique for each run of a process, [A-Za-z0-9_-]. All arguments are borrowed. */
YZ_MUST_USE enum yz_err wk_lease_new(const struct yz_conf *conf, natsConnection *nc,
                                     const char *worker, struct wk_metrics *metrics,
                                     struct wk_lease **lease);
/* Give everything up: consumer threads finish what they hold and report it drained. Returns when
 * the last lease is given up or deadline_ms has passed. */
void wk_lease_stop(struct wk_lease *lease, int64_t deadline_ms);
void wk_lease_free(struct wk_lease *lease);

/* A lease as a consumer thread sees it. */
struct wk_lease_view {
    uint64_t revision; /* 0: not ours, take nothing */
    bool leaving;      /* finish, then wk_lease_drained */
    /* The holder before died with events up to this sequence in its hands: one of them may have
     * killed it. */
    uint64_t suspect_until;
    char consumer[WK_DURABLE_MAX];
};
/* Rises with every change of a view. */
uint64_t wk_lease_version(const struct wk_lease *lease);
/* Our beat is overdue: others may take what we hold, and nothing new is to be begun with it. What
 * was delivered stays where it is until a beat is stored, or the lease turns out to be lost. */
bool wk_lease_suspended(struct wk_lease *lease);
void wk_lease_look(struct wk_lease *lease, unsigned partition, struct wk_lease_view *view);
/* A consumer thread took something of the partition. */
void wk_lease_handed(struct wk_lease *lease, unsigned partition);
/* When that was last, and when its consumer was made, by the monotonic clock; 0: never. */
int64_t wk_lease_handed_ms(const struct wk_lease *lease, unsigned partition);
int64_t wk_lease_made_ms(const struct wk_lease *lease, unsigned partition);
/* The lease is still held with this revision, as far as this process knows. */
bool wk_lease_holds(struct wk_lease *lease, unsigned partition, uint64_t revision);
/* As above, but asks the broker. */
bool wk_lease_verify(struct wk_lease *lease, unsigned partition, uint64_t revision);

/* A message of the consumer was lost, or the consumer is gone: make it anew. (After a reconnect,
 * which metrics->bus_reconnects tells, this is done for all of them.) */
void wk_lease_renew(struct wk_lease *lease, unsigned partition, uint64_t revision);
void wk_lease_drained(struct wk_lease *lease, unsigned partition, uint64_t revision);

/* The last beat is stored and the buckets are there; *reason (constant) says what is missing. */
bool wk_lease_ready(struct wk_lease *lease, const char **reason);

#endif
