/* gather.h: whether a burst waits a moment for the rest of it. A message that many sessions get
 * costs one write each; when its successors are known to come right behind it, a wait that is short
 * beside these writes saves most of them.
 *
 * Nothing waits unless that has just been seen: messages that stood there at the end of the writes
 * of the burst before. A wait in which nothing came counts against it, GATHER_TRIES of them end it.
 *
 * Lifetime  gw_gather_new until gw_gather_free; run the loop once more for its handle.
 * Thread    loop.
 * Limits    a wait lasts GATHER_NS_EACH for each receiver (a write takes thirty times that), at
 *           most GATHER_NS_MAX; fewer than GATHER_RECEIVERS_MIN are not waited for.
 */
#ifndef GW_GATHER_H
#define GW_GATHER_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define GATHER_RECEIVERS_MIN 200
#define GATHER_NS_EACH       150
#define GATHER_NS_MAX        1000000
#define GATHER_BEHIND_NS     50000 /* what comes so soon behind the writes stood there before */
#define GATHER_TRIES         4

struct gw_gather;

/* on_over: a wait is over; never inside another call. */
YZ_MUST_USE enum yz_err gw_gather_new(uv_loop_t *loop, void (*on_over)(void *arg), void *arg,
                                      struct gw_gather **gather);
void gw_gather_free(struct gw_gather *gather);

/* A burst begins, or its writes have ended; now_ns of uv_hrtime. */
void gw_gather_begun(struct gw_gather *gather, uint64_t now_ns);
void gw_gather_written(struct gw_gather *gather, uint64_t now_ns);
/* The largest burst has so many receivers, all have so many messages. true: write nothing, on_over
 * is called. */
bool gw_gather_waits(struct gw_gather *gather, size_t receivers, size_t messages);
/* It is written after all, now: with so many messages. */
void gw_gather_end(struct gw_gather *gather, size_t messages);

#endif
