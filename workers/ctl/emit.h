/* emit.h: sends an event as the gateway would for a member: contract, authority, EVENTS, and its
 * outcome.
 *
 * Lifetime  ctl_emit_flags is a constant table.
 * Thread    main.
 */
#ifndef CTL_EMIT_H
#define CTL_EMIT_H

#include "workers/ctl/command.h"

/* --event-id --wait --timeout; ctl_actor_flags say who acts. */
extern const struct ctl_flag ctl_emit_flags[];

/* json is the payload. What went wrong was printed. */
enum ctl_exit ctl_emit(const struct ctl *ctl, const char *type, const char *json);

#endif
