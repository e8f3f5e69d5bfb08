#include "workers/ctl/actor.h"

#include <stdio.h>
#include <string.h>

const struct ctl_flag ctl_actor_flags[] = {
    {.name = "tenant",
     .kind = CTL_TEXT,
     .value = "ID",
     .required = true,
     .help = "the organisation's tenant"},
    {.name = "member", .kind = CTL_TEXT, .value = "ID", .required = true, .help = "who acts"},
    {.name = "path",
     .kind = CTL_TEXT,
     .value = "PATH",
     .required = true,
     .help = "the member's org with all above it, g1/c1/b1"},
    {.name = "role",
     .kind = CTL_LIST,
     .value = "ROLE",
     .help = "secretary@PATH, inspector@PATH, admin@PATH; public alone: a guest"},
    {0},
};

bool ctl_actor_role_valid(const char *role)
{
    static const char *const scoped[] = {"secretary@", "inspector@", "admin@"};

    if (strcmp(role, "member") == 0 || strcmp(role, "public") == 0)
        return true;
    for (size_t i = 0; i < sizeof scoped / sizeof scoped[0]; i++) {
        size_t len = strlen(scoped[i]);

        if (strncmp(role, scoped[i], len) == 0)
            return yz_org_path_valid(role + len);
    }
    return false;
}

static bool append(char out[YZ_ROLES_MAX], const char *role)
{
    size_t used = strlen(out);
    int len = snprintf(out + used, YZ_ROLES_MAX - used, "%s%s", used ? "," : "", role);

    return len > 0 && (size_t)len < YZ_ROLES_MAX - used;
}

bool ctl_actor_join(const char *const *roles, int count, char out[YZ_ROLES_MAX], const char **wrong)
{
    bool guest = count == 1 && strcmp(roles[0], "public") == 0;

    out[0] = '\0';
    if (!guest)
        append(out, "member");
    for (int i = 0; i < count; i++) {
        *wrong = roles[i];
        if (!ctl_actor_role_valid(roles[i]))
            return false;
        if (strcmp(roles[i], "member") != 0 && !append(out, roles[i]))
            return false;
    }
    return true;
}

bool ctl_actor_read(const struct ctl *ctl, struct yz_actor *actor)
{
    const char *tenant = ctl_text(ctl, "tenant"), *member = ctl_text(ctl, "member");
    const char *path = ctl_text(ctl, "path"), *wrong = NULL;
    const char *const *roles;
    int count = ctl_list(ctl, "role", &roles);

    memset(actor, 0, sizeof *actor);
    if (!yz_id_valid(tenant) || !yz_id_valid(member)) {
        ctl_misuse(ctl, "'%s' is no id: 1 to 64 of A-Z a-z 0-9 _ -",
                   yz_id_valid(tenant) ? member : tenant);
        return false;
    }
    if (!yz_org_path_valid(path)) {
        ctl_misuse(ctl, "'%s' is no org path: ids joined by /, at most %d", path, YZ_ORG_DEPTH_MAX);
        return false;
    }
    if (!ctl_actor_join(roles, count, actor->roles, &wrong)) {
        ctl_misuse(ctl,
                   "'%s' is no role (secretary@PATH, inspector@PATH, admin@PATH, public), "
                   "or they are too long together",
                   wrong);
        return false;
    }
    snprintf(actor->tenant, sizeof actor->tenant, "%s", tenant);
    snprintf(actor->member, sizeof actor->member, "%s", member);
    snprintf(actor->org_path, sizeof actor->org_path, "%s", path);
    return true;
}
