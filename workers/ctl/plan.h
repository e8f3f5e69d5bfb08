/* plan.h: what apply finds and does, item by item, for a person or as JSON.
 *
 * Lifetime  ctl_plan_init .. ctl_plan_finish, which frees.
 * Thread    main.
 */
#ifndef CTL_PLAN_H
#define CTL_PLAN_H

#include "workers/ctl/command.h"

#include <jansson.h>

enum ctl_action { CTL_OK, CTL_CREATE, CTL_CHANGE, CTL_REFUSE, CTL_ACTIONS };

struct ctl_plan {
    json_t *items;
    int counts[CTL_ACTIONS];
    bool json;
};

void ctl_plan_init(struct ctl_plan *plan, bool json);
/* Add and, unless JSON is wanted, print at once. changes (taken, may be NULL):
 * [{"field","from","to"}]; text may be NULL. */
void ctl_plan_add(struct ctl_plan *plan, enum ctl_action action, const char *kind, const char *name,
                  json_t *changes, const char *text);
/* The summary, or everything as JSON; frees. Returns the exit code: CTL_FAILED when something was
 * refused. */
enum ctl_exit ctl_plan_finish(struct ctl_plan *plan, bool plan_only);

#endif
