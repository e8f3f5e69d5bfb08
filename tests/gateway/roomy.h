/* roomy.h: windows with room for everything and an address without a limit, for tests of sessions
 * that are about something else. Included once in a program: it stands in for uplink.c and query.c.
 *
 * Lifetime  none.
 * Thread    the test's.
 */
#ifndef ROOMY_H
#define ROOMY_H

#include "gateway/query.h"
#include "gateway/uplink.h"

enum yz_err gw_uplink_room(struct gw_uplink *uplink, const struct yz_actor *actor,
                           struct yz_violation *v)
{
    (void)uplink;
    (void)actor;
    (void)v;
    return YZ_OK;
}

enum yz_err gw_query_room(struct gw_query *query, const struct yz_actor *actor,
                          struct yz_violation *v)
{
    (void)query;
    (void)actor;
    (void)v;
    return YZ_OK;
}

static inline void roomy_rest(void *peer)
{
    (void)peer;
}

static inline uint32_t roomy_spend(void *peer, int64_t now_ms)
{
    (void)peer;
    (void)now_ms;
    return 0;
}

#endif
