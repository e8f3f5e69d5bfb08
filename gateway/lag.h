/* lag.h: how late live pushes and values are: from the broker's timestamp until their sessions were
 * written to. Measured once for each push and loop turn, however many sessions it has: a delivery
 * costs nothing more.
 *
 *   gw_lag_begin --shared writes--> gw_lag_note --the other writes--> gw_lag_end: observed
 *
 * The writes of a turn take time themselves: a push's deliveries are taken to have gone out evenly
 * over it, in four parts. A session whose socket is full, and gets it later, is not waited for.
 *
 * Lifetime  a plain struct in the process's metrics, zeroed at first.
 * Thread    loop.
 * Limits    LAG_PUSHES_MAX pushes of a turn are told apart; the others count as the last of these.
 * Clocks    ours is corrected by what it was last seen to be ahead of the broker's, as far as that
 *           is more than the error of that look. What is left of it is in the figures.
 */
#ifndef GW_LAG_H
#define GW_LAG_H

#include "common/metrics.h"

#include <stddef.h>
#include <stdint.h>

#define LAG_PUSHES_MAX 64

struct gw_lag {
    struct {
        int64_t stored_us; /* wall clock, the broker's */
        uint64_t deliveries;
    } pushes[LAG_PUSHES_MAX];
    size_t count;
    int64_t begun_us; /* of the turn's writes; wall clock, ours; 0: not yet */
    int64_t ahead_us; /* our clock less the broker's */
};

/* What a look at the broker's clock said: ours is ahead of it by ahead_us, give or take error_us.
 */
void gw_lag_set_clock(struct gw_lag *lag, int64_t ahead_us, int64_t error_us);
/* A push that the broker stored at stored_us (0: unknown, it is left out) was handed to so many
 * sessions. */
void gw_lag_note(struct gw_lag *lag, int64_t stored_us, uint64_t deliveries);
/* The turn's writes begin; again before gw_lag_end changes nothing. */
void gw_lag_begin(struct gw_lag *lag);
/* Observe what was noted. */
void gw_lag_end(struct gw_lag *lag, struct yz_latency *latency);

#endif
