/* consumer.h: a thread that pulls the events of its partitions and has them settled in batches.
 *
 * Thread i of n has the partitions whose number mod n is i, as far as this process holds them.
 *
 *   look at the leases -> take a batch (wait only for its first event) -> settle it -> values due
 *
 * Lifetime  from wk_consumer_start to wk_consumer_stop, which waits for the batch in hand.
 * Thread    its own.
 * Limits    batch_max events at once; see pull.h, batch.h, value.h.
 */
#ifndef WK_CONSUMER_H
#define WK_CONSUMER_H

#include "workers/batch.h"

struct wk_consumer;

/* pub and values of `means` are the thread's own and are made here. */
YZ_MUST_USE enum yz_err wk_consumer_start(const struct wk_batch_means *means, unsigned index,
                                          unsigned count, struct wk_consumer **consumer);
/* Set the means' stopping before; leases still held are let go unsettled. */
void wk_consumer_stop(struct wk_consumer *consumer);

#endif
