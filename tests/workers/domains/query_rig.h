/* query_rig.h: what the tests of a domain's queries share: a real database, filled by the domain's
 * own events, and an arena for what is answered.
 *
 * Lifetime  query_rig_start and query_rig_stop are a group's setup and teardown.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_DOMAINS_QUERY_RIG_H
#define YZ_TEST_WORKERS_DOMAINS_QUERY_RIG_H

#include "drive.h"
#include "tests/workers/database_rig.h"

static struct yz_arena arena;

static inline int query_rig_start(void **state)
{
    (void)state;
    yz_arena_init(&arena, (size_t)64 * 1024 * 1024);
    return database_rig_start(10000);
}

static inline int query_rig_stop(void **state)
{
    yz_arena_deinit(&arena);
    return database_rig_stop(state);
}

#endif
