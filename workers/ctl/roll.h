/* roll.h: a sheet of members as the events that register them: every row checked as the gateway,
 * the worker and the registry would, before one is sent.
 *
 * Lifetime  ctl_roll_read .. ctl_roll_deinit; the sheet outlives it.
 * Thread    main.
 * Limits    what the sheet holds.
 */
#ifndef CTL_ROLL_H
#define CTL_ROLL_H

#include "common/envelope.h"
#include "workers/ctl/database.h"
#include "workers/ctl/sheet.h"

#include <stdint.h>

struct ctl_roll_entry {
    int line;
    struct yz_envelope env; /* its event id is made of tenant and content: the same row again is the
                               same event */
    uint8_t *payload;
    size_t len;
    bool known; /* its outcome is there already */
};

struct ctl_roll {
    struct ctl_roll_entry *entries; /* one for each row without errors */
    size_t count;
};

/* Errors go into the sheet. basis: for rows that name none; may be NULL. db NULL: the registry is
 * not looked at. YZ_BUSY: the database is away. */
YZ_MUST_USE enum yz_err ctl_roll_read(struct ctl_roll *roll, struct ctl_sheet *sheet,
                                      const struct yz_actor *actor, const char *basis,
                                      struct ctl_database *db);
void ctl_roll_deinit(struct ctl_roll *roll);

#endif
