/* commands.h: the commands, one file each, and the groups of flags that several share.
 *
 * Lifetime  constant tables.
 * Thread    main.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "workers/ctl/command.h"

extern const struct ctl_command ctl_apply;
extern const struct ctl_command ctl_doctor;
extern const struct ctl_command ctl_key_new;
extern const struct ctl_command ctl_secret_new;
extern const struct ctl_command ctl_token;
extern const struct ctl_command ctl_publish;
extern const struct ctl_command ctl_import;
extern const struct ctl_command ctl_query;
extern const struct ctl_command ctl_revoke;
extern const struct ctl_command ctl_unrevoke;
extern const struct ctl_command ctl_code;
extern const struct ctl_command ctl_tail;
extern const struct ctl_command ctl_dlq_list;
extern const struct ctl_command ctl_dlq_show;
extern const struct ctl_command ctl_dlq_replay;
extern const struct ctl_command ctl_dlq_drop;
extern const struct ctl_command ctl_epoch_raise_command;
extern const struct ctl_command ctl_demo;

/* --json */
extern const struct ctl_flag ctl_flags_output[];

#endif
