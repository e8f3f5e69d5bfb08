/* commands.h: the commands, one file each, and the groups of flags that several share.
 *
 * Lifetime  constant tables.
 * Thread    main.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "workers/ctl/command.h"

extern const struct ctl_command ctl_apply;
extern const struct ctl_command ctl_epoch_raise_command;

/* --json */
extern const struct ctl_flag ctl_flags_output[];

#endif
