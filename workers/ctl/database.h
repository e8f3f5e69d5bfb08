/* database.h: a command's connection to the database.
 *
 * Lifetime  ctl_database_open .. ctl_database_close.
 * Thread    main.
 */
#ifndef CTL_DATABASE_H
#define CTL_DATABASE_H

#include "workers/ctl/command.h"
#include "workers/store.h"

struct ctl_database {
    struct wk_pool *pool;
    struct wk_store *store;
};

/* false: it does not answer; printed, with what to do. */
bool ctl_database_open(const struct ctl *ctl, struct ctl_database *db);
void ctl_database_close(struct ctl_database *db);

#endif
