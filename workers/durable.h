/* durable.h: the broker's consumer of a partition, "p<n>-<revision of the lease>": the fence
 * between its owners.
 *
 * EVENTS allows one consumer for each partition. Whoever holds a newer lease deletes the older
 * consumers and makes its own: the one before it gets nothing more, and its late acks change
 * nothing.
 *
 * Lifetime  no state here; a consumer lives in the broker's memory until a later lease deletes it.
 *           What it has delivered need not outlive the broker: settled events are gone from EVENTS,
 *           and after each reconnect the owners make their consumers anew.
 * Thread    any; all but wk_durable_name block.
 * Limits    64 consumers in EVENTS, 4096 unsettled events each.
 */
#ifndef WK_DURABLE_H
#define WK_DURABLE_H

#include "common/conf.h"
#include "common/err.h"

#include <nats/nats.h>
#include <stdint.h>

#define WK_DURABLE_MAX 48

void wk_durable_name(unsigned partition, uint64_t revision, char out[WK_DURABLE_MAX]);

/* The consumer of the lease `revision`, in place of all older ones: it begins with everything
 * unsettled, in order. YZ_EXISTS: there is one of a newer lease. YZ_BUSY: another taker came
 * between, look at the lease again. */
YZ_MUST_USE enum yz_err wk_durable_make(const struct yz_conf *conf, natsConnection *nc,
                                        unsigned partition, uint64_t revision);
/* Last sequence that the partition's consumers have delivered, if something of it is unsettled;
 * 0: nothing is. */
YZ_MUST_USE enum yz_err wk_durable_delivered(natsConnection *nc, unsigned partition,
                                             uint64_t *until);

#endif
