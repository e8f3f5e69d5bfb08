/* help.h: help for a person, made from the table of commands.
 *
 * Lifetime  none.
 * Thread    main.
 */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include "workers/ctl/command.h"

#include <stdio.h>

/* What yzctl is, and its commands, one line each. */
void ctl_help_overview(FILE *out);
void ctl_help_command(FILE *out, const struct ctl_command *command);
/* `yzctl help [COMMAND]`; words behind help. */
enum ctl_exit ctl_help(int argc, const char *const *argv);

#endif
