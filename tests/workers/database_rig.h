/* database_rig.h: a real database and one store of it, for the unit tests that need documents and
 * no bus (rig.h has both).
 *
 * Lifetime  database_rig_start in a group's setup; database_rig_stop is its teardown.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_DATABASE_RIG_H
#define YZ_TEST_WORKERS_DATABASE_RIG_H

#include "services.h"
#include "workers/store.h"

static struct service database;
static struct yz_conf conf;
static struct wk_pool *pool;
static struct wk_store *store;

/* timeout_ms: of each operation. 0 when all is there, else -1. */
static inline int database_rig_start(int64_t timeout_ms)
{
    char *argv[] = {"test", NULL};

    if (!service_start_database(&database) ||
        !yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL))
        return -1;
    conf.mongodb_uri = database.url;
    conf.mongodb_database = "unit_test";
    conf.database_timeout_ms = timeout_ms;
    if (wk_pool_new(&conf, &pool) != YZ_OK || wk_pool_ping(pool) != YZ_OK)
        return -1;
    store = wk_store_pop(pool);
    return 0;
}

static inline int database_rig_stop(void **state)
{
    (void)state;
    if (store)
        wk_store_push(pool, store);
    if (pool)
        wk_pool_free(pool);
    service_stop(&database);
    return 0;
}

#endif
