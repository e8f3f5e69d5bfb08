/* What a day of the made-up month has of meetings: convened a week before, held, closed, written
 * up. */
#include "workers/ctl/month.h"

#include "schemas/text.h"
#include "workers/code.h"

#include <stdio.h>
#include <string.h>

#define CODE_PERIOD_S 30
#define LAST_DAY_OFF  3

static const struct {
    const char *kind, *title, *place;
} meetings[] = {
    {"THEME_DAY", "主题党日：学习与讨论", "三楼会议室"},
    {"GROUP", "党小组会", "班组活动室"},
    {"COMMITTEE", "支部委员会", "二楼小会议室"},
    {"ASSEMBLY", "支部党员大会", "礼堂"},
};
#define KINDS ((int)(sizeof meetings / sizeof meetings[0]))

struct held {
    char id[32];
    int branch, kind;
    struct ctl_cast_member *secretary;
    const char *path;
    int64_t starts_ms;
    bool came[CAST_BRANCH_SIZE];
};

static void set_branch(struct ctl_month *month, int branch, struct held *held)
{
    held->branch = branch;
    held->secretary = ctl_cast_secretary(month->cast, branch);
    held->path = month->cast->branches[branch].path;
}

/* Each branch meets once a week in the afternoon, on a weekday of its own. */
static bool meeting_of(struct ctl_month *month, int day, int branch, struct held *held)
{
    int week = day / 7;

    if (day % 7 != branch % 5 || week >= KINDS)
        return false;
    *held = (struct held){.kind = (week + branch) % KINDS};
    set_branch(month, branch, held);
    snprintf(held->id, sizeof held->id, "meeting-%d-%d", week, branch + 1);
    held->starts_ms = month->midnight_ms + (day * 24 + 15) * INT64_C(3600000);
    return true;
}

static json_t *named(const struct held *held)
{
    return json_pack("{s:s, s:s}", "orgPath", held->path, "meetingId", held->id);
}

static bool say(struct ctl_month *month, const struct held *held, const struct yz_actor *actor,
                int64_t at_ms, const char *type, json_t *more)
{
    json_t *payload = named(held);

    json_object_update(payload, more);
    json_decref(more);
    return ctl_month_emit(month, actor, at_ms, type, payload);
}

static json_t *roster_of(struct ctl_month *month, const struct held *held)
{
    json_t *roster = json_array();

    for (int place = 0; place < CAST_BRANCH_SIZE; place++)
        json_array_append_new(
            roster, json_string(ctl_cast_member(month->cast, held->branch, place)->actor.member));
    return roster;
}

static bool convene(struct ctl_month *month, int64_t at_ms, const struct held *held)
{
    return say(month, held, &held->secretary->actor, at_ms, "meeting.convened",
               json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind", meetings[held->kind].kind,
                         "title", meetings[held->kind].title, "place", meetings[held->kind].place,
                         "startsAt", ctl_month_rfc3339(held->starts_ms), "endsAt",
                         ctl_month_rfc3339(held->starts_ms + 5400000), "roster",
                         roster_of(month, held)));
}

static bool key_of(struct ctl_month *month, const struct held *held, uint8_t key[WK_CODE_KEY_BYTES])
{
    const char *code = "", *text;
    json_t *reply =
        ctl_past_ask(month->past, &held->secretary->actor, "meeting.code_key", named(held), &code);
    uint8_t decoded[YZ_BASE64_DECODED_MAX(64)];
    size_t len = 0;
    bool good;

    text = json_string_value(json_object_get(reply, "key"));
    good = text && strlen(text) <= 64 && yz_base64_decode(text, strlen(text), decoded, &len) &&
           len == WK_CODE_KEY_BYTES;
    if (good)
        memcpy(key, decoded, WK_CODE_KEY_BYTES);
    json_decref(reply);
    return good;
}

static json_t *code_at(struct ctl_month *month, const struct held *held, const uint8_t *key,
                       int64_t at_ms)
{
    const struct wk_code_meeting meeting = {held->secretary->actor.tenant, held->path, held->id};
    uint8_t nonce[WK_CODE_NONCE_BYTES];
    char text[WK_CODE_LEN + 1];

    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)ctl_dice_roll(&month->dice, 256);
    wk_code_make(key, &meeting, (uint32_t)(at_ms / 1000 / CODE_PERIOD_S), nonce, text);
    return json_string(text);
}

/* One member of the branch: comes, is let off, is seen by others, or stays away. */
static bool come(struct ctl_month *month, struct held *held, const uint8_t *key, int place)
{
    const struct ctl_cast_member *member = ctl_cast_member(month->cast, held->branch, place);
    int64_t at_ms = held->starts_ms + (int64_t)ctl_dice_roll(&month->dice, 900000);
    uint32_t luck = ctl_dice_roll(&month->dice, 100);

    held->came[place] = luck < 90 || place < 2;
    if (luck < 80 || place < 2)
        return say(
            month, held, &member->actor, at_ms, "checkin.recorded",
            json_pack("{s:s, s:o}", "method", "CODE", "code", code_at(month, held, key, at_ms)));
    if (held->came[place])
        return say(
            month, held, &held->secretary->actor, held->starts_ms + 960000, "checkin.recorded",
            json_pack("{s:s, s:s, s:s, s:s}", "method", "MANUAL", "member", member->actor.member,
                      "witness", ctl_cast_member(month->cast, held->branch, 1)->actor.member,
                      "reason", "手机没有电"));
    return true;
}

/* Some ask for leave the day before; the secretary grants it. */
static bool ask_for_leave(struct ctl_month *month, const struct held *held, int place)
{
    const struct ctl_cast_member *member = ctl_cast_member(month->cast, held->branch, place);

    return say(month, held, &member->actor, held->starts_ms - 20000000, "checkin.leave_requested",
               json_pack("{s:s, s:s}", "leaveClass", "DUTY_LEAVE", "reason", "值班")) &&
           say(month, held, &held->secretary->actor, held->starts_ms - 10000000,
               "checkin.leave_decided",
               json_pack("{s:s, s:b}", "member", member->actor.member, "granted", true));
}

static bool vote(struct ctl_month *month, const struct held *held)
{
    int64_t at_ms = held->starts_ms + 3000000;

    if (!say(month, held, &held->secretary->actor, at_ms, "meeting.vote_opened",
             json_pack("{s:s, s:s, s:s}", "voteId", "v1", "kind", "ORDINARY_VOTE", "motion",
                       "通过本支部下一季度学习计划")))
        return false;
    for (int place = 0; place < CAST_BRANCH_SIZE; place++) {
        const struct ctl_cast_member *member = ctl_cast_member(month->cast, held->branch, place);

        /* Whoever is not here is refused, and who is on probation has no vote. */
        if (held->came[place] && !member->probationary &&
            !say(month, held, &member->actor, at_ms + 60000 + place, "meeting.vote_cast",
                 json_pack("{s:s, s:s}", "voteId", "v1", "choice",
                           ctl_dice_chance(&month->dice, 90) ? "VOTE_YES" : "VOTE_ABSTAIN")))
            return false;
    }
    return say(month, held, &held->secretary->actor, at_ms + 300000, "meeting.vote_closed",
               json_pack("{s:s}", "voteId", "v1"));
}

static bool hold(struct ctl_month *month, struct held *held)
{
    const struct yz_actor *secretary = &held->secretary->actor;
    int on_leave = 2 + (int)ctl_dice_roll(&month->dice, CAST_BRANCH_SIZE - 2);
    uint8_t key[WK_CODE_KEY_BYTES];

    if (!ctl_past_settle(month->past) || !key_of(month, held, key) ||
        !ask_for_leave(month, held, on_leave) ||
        !say(month, held, secretary, held->starts_ms - 300000, "meeting.opened", json_object()))
        return false;
    for (int place = 0; place < CAST_BRANCH_SIZE; place++) {
        if (place != on_leave && !come(month, held, key, place))
            return false;
    }
    if (strcmp(meetings[held->kind].kind, "ASSEMBLY") == 0 && !vote(month, held))
        return false;
    return say(month, held, secretary, held->starts_ms + 5400000, "meeting.closed",
               json_object()) &&
           say(month, held, secretary, held->starts_ms + 9000000, "meeting.minutes_filed",
               json_pack("{s:i, s:s}", "revision", 1, "text",
                         "会议学习了本月材料，讨论了下一步工作，到会同志逐一发言。"));
}

/* Four days after the last one, at nineteen o'clock: what each member has before him. */
static bool convene_next(struct ctl_month *month, int day)
{
    struct held held = {.kind = 0};

    for (int branch = 0; branch < CAST_BRANCHES; branch++) {
        set_branch(month, branch, &held);
        snprintf(held.id, sizeof held.id, "meeting-next-%d", branch + 1);
        held.starts_ms = month->midnight_ms + ((day + 4) * 24 + 19) * INT64_C(3600000);
        if (!convene(month, ctl_month_time(month, day, 16, 30), &held))
            return false;
    }
    return true;
}

bool ctl_month_meetings_hold(struct ctl_month *month, int day)
{
    struct held held;

    if (day == month->days - 1 && !convene_next(month, day))
        return false;
    /* One of the last days is convened only. */
    for (int branch = 0; branch < CAST_BRANCHES; branch++) {
        if (meeting_of(month, day, branch, &held) &&
            (!convene(month, ctl_month_time(month, day, 8, 5), &held) ||
             (day < month->days - LAST_DAY_OFF && !hold(month, &held))))
            return false;
    }
    return true;
}
