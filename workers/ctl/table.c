#include "workers/ctl/commands.h"

const struct ctl_flag ctl_flags_output[] = {
    {.name = "json", .kind = CTL_SWITCH, .help = "print JSON, one value a line"},
    {0},
};

/* In the order of help. */
const struct ctl_command *const ctl_commands[] = {
    &ctl_apply,
    &ctl_doctor,
    &ctl_key_new,
    &ctl_secret_new,
    &ctl_token,
    &ctl_publish,
    &ctl_import,
    &ctl_query,
    &ctl_revoke,
    &ctl_unrevoke,
    &ctl_code,
    &ctl_tail,
    &ctl_dlq_list,
    &ctl_dlq_show,
    &ctl_dlq_replay,
    &ctl_dlq_drop,
    &ctl_epoch_raise_command,
    &ctl_demo,
    NULL,
};
