#include "workers/ctl/database.h"

bool ctl_database_open(const struct ctl *ctl, struct ctl_database *db)
{
    *db = (struct ctl_database){0};
    if (wk_pool_new(ctl->conf, &db->pool)) {
        ctl_misuse(ctl, "YZ_MONGODB_URI is no MongoDB connection string: "
                        "mongodb://host:port/?replicaSet=name");
        return false;
    }
    /* The address is not printed: it may hold a password. */
    if (wk_pool_ping(db->pool)) {
        ctl_fail(ctl, "database_unavailable",
                 "the database of YZ_MONGODB_URI does not answer as the primary of its replica "
                 "set: is it running, and is replicaSet= its name? scripts/up starts one");
        ctl_database_close(db);
        return false;
    }
    db->store = wk_store_pop(db->pool);
    return true;
}

void ctl_database_close(struct ctl_database *db)
{
    if (db->store)
        wk_store_push(db->pool, db->store);
    if (db->pool)
        wk_pool_free(db->pool);
    *db = (struct ctl_database){0};
}
