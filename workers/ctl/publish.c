#include "workers/ctl/actor.h"
#include "workers/ctl/commands.h"
#include "workers/ctl/emit.h"

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag *const groups[] = {ctl_actor_flags, ctl_emit_flags, ctl_flags_output,
                                                NULL};

const struct ctl_command ctl_publish = {
    .name = "publish",
    .words = "TYPE JSON",
    .summary = "send an event, as the gateway would for a member",
    .help = "Checks contract and authority, stores the event in EVENTS and prints its sequence "
            "once JetStream\n"
            "has acknowledged it. With --wait the exit code is 1 when the outcome is not applied.",
    .examples = "yzctl publish notice.published --tenant demo --member s1 --path g1/c1 \\\n"
                "  --role secretary@g1/c1 --wait \\\n"
                "  "
                "'{\"noticeId\":\"n1\",\"orgPath\":\"g1/"
                "c1\",\"noticeClass\":\"INFO\",\"title\":\"Hello\",\"body\":\"All\"}'",
    .word_min = 2,
    .word_max = 2,
    .groups = groups,
    .exec = exec,
};

static enum ctl_exit exec(const struct ctl *ctl)
{
    return ctl_emit(ctl, ctl->args.words[0], ctl->args.words[1]);
}
