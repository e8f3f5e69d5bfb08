/* actor.h: who an event, a query or a token is for: the flags and what they give.
 *
 * Lifetime  ctl_actor_flags is a constant table.
 * Thread    main.
 */
#ifndef CTL_ACTOR_H
#define CTL_ACTOR_H

#include "common/envelope.h"
#include "workers/ctl/command.h"

/* --tenant --member --path --role */
extern const struct ctl_flag ctl_actor_flags[];

/* "member", "public" or "<role>@<org path>" of a known role. */
bool ctl_actor_role_valid(const char *role);
/* Join roles as text. "member" is put before them, unless "public" is all there is. false: one is
 * none, or they are too long together; *wrong is the one. */
bool ctl_actor_join(const char *const *roles, int count, char out[YZ_ROLES_MAX],
                    const char **wrong);
/* From the flags; false when one is malformed, which was printed. */
bool ctl_actor_read(const struct ctl *ctl, struct yz_actor *actor);

#endif
