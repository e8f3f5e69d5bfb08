#include "workers/ctl/actor.h"
#include "workers/ctl/commands.h"
#include "workers/ctl/emit.h"

#include <stdlib.h>

static enum ctl_exit exec_revoke(const struct ctl *ctl);
static enum ctl_exit exec_unrevoke(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "scope",
     .kind = CTL_TEXT,
     .value = "PATH",
     .help = "the org whose tokens are meant, with all below it (default: --path)"},
    {.name = "token-id",
     .kind = CTL_TEXT,
     .value = "JTI",
     .help = "only the token with this jti (default: all of the member)"},
    {0},
};
static const struct ctl_flag before_flags[] = {
    {.name = "before",
     .kind = CTL_TEXT,
     .value = "TIME",
     .help = "tokens issued before this are void, 2026-03-01T08:00:00Z (default: now); a time to "
             "come bars the member until then"},
    {0},
};
static const struct ctl_flag *const revoke_groups[] = {
    ctl_actor_flags, flags, before_flags, ctl_emit_flags, ctl_flags_output, NULL};
static const struct ctl_flag *const unrevoke_groups[] = {ctl_actor_flags, flags, ctl_emit_flags,
                                                         ctl_flags_output, NULL};

const struct ctl_command ctl_revoke = {
    .name = "revoke",
    .words = "MEMBER",
    .summary = "make a member's tokens void at once, on open sessions too",
    .help = "Sends auth.revoked as the admin that --member names. The gateways close the sessions "
            "and refuse the\n"
            "tokens within a second; tokens issued later are good.",
    .examples = "yzctl revoke u7 --tenant demo --member a1 --path g1 --role admin@g1 --wait\n"
                "  yzctl revoke u7 --token-id 4f2a --tenant demo --member a1 --path g1 --role "
                "admin@g1",
    .word_min = 1,
    .word_max = 1,
    .groups = revoke_groups,
    .exec = exec_revoke,
};

const struct ctl_command ctl_unrevoke = {
    .name = "unrevoke",
    .words = "MEMBER",
    .summary = "take back what revoke said",
    .help = "Sends auth.restored as the admin that --member names, for the same --scope and "
            "--token-id.\n"
            "A member with a newer token needs it not.",
    .examples = "yzctl unrevoke u7 --tenant demo --member a1 --path g1 --role admin@g1 --wait",
    .word_min = 1,
    .word_max = 1,
    .groups = unrevoke_groups,
    .exec = exec_unrevoke,
};

/* Absent members are left out. */
static enum ctl_exit emit(const struct ctl *ctl, const char *type, const char *before)
{
    const char *scope = ctl_text(ctl, "scope");
    json_t *payload = json_pack(
        "{s:s, s:s, s:s*, s:s*}", "orgPath", scope ? scope : ctl_text(ctl, "path"), "memberId",
        ctl->args.words[0], "tokenId", ctl_text(ctl, "token-id"), "notBefore", before);
    char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
    enum ctl_exit code =
        text ? ctl_emit(ctl, type, text) : ctl_misuse(ctl, "an argument is no valid UTF-8");

    free(text);
    json_decref(payload);
    return code;
}

static enum ctl_exit exec_revoke(const struct ctl *ctl)
{
    return emit(ctl, "auth.revoked", ctl_text(ctl, "before"));
}

static enum ctl_exit exec_unrevoke(const struct ctl *ctl)
{
    return emit(ctl, "auth.restored", NULL);
}
