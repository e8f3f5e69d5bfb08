/* revocation.h: tokens that no longer count, as the workers publish them in STATE
 * (state.<tenant>.auth.revoked.<member>): all of them are held in memory.
 *
 * Lifetime  one per process, from the link's start until the sessions are gone.
 * Thread    loop.
 * Limits    revocations_max. One more cannot be held, and then no token can be judged any more: the
 *           process is not ready and lets nobody in (busy) until it is started with a larger limit.
 *           Sessions that are open stay, and are still closed by what is held; of a member whose
 *           revocations found no room, or no memory, every token counts as void.
 * Failure   before all of them have been read once, no token is accepted (bus_unavailable): a
 *           follower of STATE that is behind is asked again every second until it has what the
 *           leader had at the start, or the leader says that there is no more to read. While
 *           the bus is away what is known counts; at the reconnect everything new is read, again
 *           1 s later, and from then on at least every 10 s. An entry is never dropped but by its
 *           own restoring, also when the stream was made anew or lost its tail; both are read anew.
 */
#ifndef GW_REVOCATION_H
#define GW_REVOCATION_H

#include "gateway/auth.h"
#include "gateway/link.h"
#include "gateway/metrics.h"

struct gw_revocations;

YZ_MUST_USE enum yz_err gw_revocations_new(const struct yz_conf *conf, uv_loop_t *loop,
                                           struct gw_link *link, struct gw_metrics *metrics,
                                           struct gw_revocations **revocations);
void gw_revocations_free(struct gw_revocations *revocations);

/* Tokens can be judged. *reason (constant) says why not. */
bool gw_revocations_ready(const struct gw_revocations *revocations, const char **reason);
/* YZ_OK, YZ_TOKEN_REVOKED, or the temporary error of one that cannot be judged. */
YZ_MUST_USE enum yz_err gw_revocations_judge(const struct gw_revocations *revocations,
                                             const struct gw_identity *identity);
/* Something was revoked since the last call: judge the open sessions again. To be called a few
 * times a second, for all that came in between costs one look at the sessions. */
bool gw_revocations_changed(struct gw_revocations *revocations);

#endif
