/* watch.h: looks every watch_interval_ms at what this worker stands on: NATS, JetStream's streams,
 * the database, clocks, its own host; keeps gauges and troubles (trouble.def); answers `yzctl
 * doctor` (presence.h).
 *
 * It also guards the one promise that a stream can break behind our back: sequences only rise. What
 * EVENTS reached is written to `generations` ({_id: "_|EVENTS.reached", reached, repeated_until});
 * a stream that counts below it was restored from an older copy or lost its end, and its next
 * events would pass for replays of others. From then on what comes up to the old mark, and was not
 * settled under its sequence before, is set aside as a dead letter; `yzctl epoch raise` lets EVENTS
 * count on above it, and `yzctl dlq replay --all` gives back what was set aside.
 *
 * Lifetime  from wk_watch_start to wk_watch_stop; borrows nc, pool and metrics for that time.
 * Thread    two of its own: one looks and may block as long as the database does, one answers.
 * Limits    a loss is seen when EVENTS ended below what a look had written down, so within a
 *           watch_interval_ms.
 */
#ifndef WK_WATCH_H
#define WK_WATCH_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/metrics.h"
#include "workers/store.h"

#include <nats/nats.h>
#include <stdbool.h>

struct wk_watch;
struct wk_lease;

/* As in admin.h. */
typedef bool wk_watch_ready_fn(void *arg, const char **reason);

YZ_MUST_USE enum yz_err wk_watch_start(const struct yz_conf *conf, natsConnection *nc,
                                       struct wk_pool *pool, struct wk_metrics *metrics,
                                       const char *worker, wk_watch_ready_fn *is_ready, void *arg,
                                       struct wk_watch **watch);
/* From now on it looks after the partitions held by `lease` as well, see stall.h; borrowed. */
void wk_watch_leases(struct wk_watch *watch, struct wk_lease *lease);
/* NULL: nothing. */
void wk_watch_stop(struct wk_watch *watch);

/* Since the last connect EVENTS was held against what it had reached: events may be taken. Any
 * thread. */
bool wk_watch_trusts(const struct wk_watch *watch);
/* A time that the broker's clock has reached: as a look found it, and by the monotonic clock since,
 * so that a step of our own wall clock does not move it. It is behind by no more than that look's
 * answer took. 0: no look found it yet. NULL: our own time. Any thread. */
int64_t wk_watch_bus_ms(const struct wk_watch *watch);
/* Sequences up to this one may have been given out twice; 0: none was. Any thread. */
uint64_t wk_watch_repeated_until(const struct wk_watch *watch);

#endif
