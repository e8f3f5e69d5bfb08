#include "workers/ctl/month.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define HOUR_MS   INT64_C(3600000)
#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (24 * HOUR_MS)

int64_t ctl_month_time(struct ctl_month *month, int day, int hour, int minute)
{
    return month->midnight_ms + day * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS +
           (int64_t)ctl_dice_roll(&month->dice, 240000);
}

json_t *ctl_month_rfc3339(int64_t at_ms)
{
    char text[YZ_RFC3339_MAX];

    yz_clock_format(at_ms / 1000, (int32_t)(at_ms % 1000) * 1000000, text);
    return json_string(text);
}

bool ctl_month_emit(struct ctl_month *month, const struct yz_actor *actor, int64_t at_ms,
                    const char *type, json_t *payload)
{
    char id[YZ_ID_MAX];

    snprintf(id, sizeof id, "demo-%" PRIu64 "-%u", month->seed, month->events++);
    return ctl_past_emit(month->past, actor, at_ms, id, type, payload);
}

static bool found(struct ctl_month *month, const struct ctl_cast_org *org, const char *kind)
{
    return ctl_month_emit(month, &month->cast->admin, ctl_month_time(month, -1, 8, 0),
                          "org.founded",
                          json_pack("{s:s, s:s, s:s, s:s}", "orgPath", org->path, "name", org->name,
                                    "kind", kind, "basis", "示范数据"));
}

/* An org is founded in one that is there. */
static bool found_all(struct ctl_month *month)
{
    struct ctl_cast *cast = month->cast;
    bool good = found(month, &cast->group, "PARTY_COMMITTEE") && ctl_past_settle(month->past);

    for (int i = 0; good && i < CAST_COMPANIES; i++)
        good = found(month, &cast->companies[i], "GENERAL_BRANCH");
    good = good && ctl_past_settle(month->past);
    for (int i = 0; good && i < CAST_BRANCHES; i++)
        good = found(month, &cast->branches[i], "BRANCH");
    return good && ctl_past_settle(month->past);
}

static json_t *roles_of(const struct ctl_cast_member *member)
{
    if (!yz_actor_has_role(&member->actor, "secretary", member->actor.org_path))
        return json_array();
    return json_pack("[{s:s, s:s}]", "role", "ROLE_SECRETARY", "scope", member->actor.org_path);
}

static json_t *file_of(struct ctl_month *month, const struct ctl_cast_member *member)
{
    static const char *const education[] = {"高中", "大专", "本科", "硕士"};
    static const char *const positions[] = {"技术员", "班组长", "工程师",
                                            "调度员", "司机",   "质检员"};
    const char *id = member->id_number;
    char birthday[11], joined_on[11];
    json_int_t dues_base = 350000 + (json_int_t)ctl_dice_roll(&month->dice, 900) * 1000;

    snprintf(birthday, sizeof birthday, "%.4s-%.2s-%.2s", id + 6, id + 10, id + 12);
    snprintf(joined_on, sizeof joined_on, "%u-0%u-1%u",
             member->probationary ? 2026 : 2005 + ctl_dice_roll(&month->dice, 20),
             1 + ctl_dice_roll(&month->dice, 9), ctl_dice_roll(&month->dice, 9));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "name",
                     member->name, "kind", member->probationary ? "PROBATIONARY" : "FULL", "gender",
                     (id[16] - '0') % 2 ? "MALE" : "FEMALE", "birthday", birthday, "joinedOn",
                     joined_on, "education", education[ctl_dice_roll(&month->dice, 4)], "position",
                     positions[ctl_dice_roll(&month->dice, 6)], "idNumber", id, "phone",
                     member->phone, "duesBaseFen", dues_base, "roles", roles_of(member));
}

static bool register_all(struct ctl_month *month)
{
    for (int i = 0; i < CAST_MEMBERS; i++) {
        const struct ctl_cast_member *member = &month->cast->members[i];

        if (!ctl_month_emit(month, &month->cast->admin, ctl_month_time(month, -1, 9, i / 4),
                            "member.registered",
                            json_pack("{s:s, s:s, s:o, s:s}", "orgPath", member->actor.org_path,
                                      "memberId", member->actor.member, "file",
                                      file_of(month, member), "basis", "示范数据")))
            return false;
    }
    return ctl_past_settle(month->past);
}

/* A branch's roster follows its members' files by the outbox. */
static bool wait_for_rosters(struct ctl_month *month)
{
    const char *code = "";

    for (int branch = 0; branch < CAST_BRANCHES; branch++) {
        json_int_t count = 0;

        for (int tries = 0; count < CAST_BRANCH_SIZE && tries < 600; tries++) {
            json_t *reply = ctl_past_ask(
                month->past, &month->cast->admin, "member.roster",
                json_pack("{s:s, s:i}", "orgPath", month->cast->branches[branch].path, "limit", 1),
                &code);

            count = json_integer_value(json_object_get(reply, "count"));
            json_decref(reply);
            if (count < CAST_BRANCH_SIZE)
                nats_Sleep(50);
        }
        if (count < CAST_BRANCH_SIZE)
            return false;
    }
    return true;
}

/* A phone was lost: what it was given is void. */
static bool revoke(struct ctl_month *month)
{
    const struct yz_actor *member = &ctl_cast_member(month->cast, CAST_BRANCHES - 1, 9)->actor;

    return ctl_month_emit(
        month, &month->cast->admin, ctl_month_time(month, 0, 7, 30), "auth.revoked",
        json_pack("{s:s, s:s}", "orgPath", member->org_path, "memberId", member->member));
}

bool ctl_month_found(struct ctl_month *month)
{
    return found_all(month) && register_all(month) && wait_for_rosters(month) &&
           ctl_month_complaints_begin(month) && revoke(month);
}

bool ctl_month_day(struct ctl_month *month, int day)
{
    return ctl_month_lessons_publish(month, day) && ctl_month_notices_publish(month, day) &&
           ctl_past_settle(month->past) && ctl_month_meetings_hold(month, day) &&
           ctl_month_threads_begin(month, day) && ctl_month_notices_read(month, day) &&
           ctl_month_lessons_study(month, day) && ctl_past_settle(month->past) &&
           ctl_month_threads_go_on(month, day) && ctl_month_complaints_go_on(month, day) &&
           ctl_past_settle(month->past);
}
