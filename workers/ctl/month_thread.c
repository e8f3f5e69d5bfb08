/* What a day of the made-up month has of discussions. */
#include "workers/ctl/month.h"

#include <stdio.h>

static const char *const sayings[] = {
    "老照片里的那盏灯，照亮了我们厂的第一条生产线。",
    "这一课讲得好，结合了我们自己的工作。",
    "我们班组下周也试一试这个办法。",
    "建议下次把退休老同志也请来讲一讲。",
    "周六的志愿服务我报名。",
    "上次提的照明问题已经修好了，谢谢设备部。",
    "学习之后对岗位责任有了新的认识。",
    "请问材料在哪里下载？",
};
#define SAYINGS ((uint32_t)(sizeof sayings / sizeof sayings[0]))

/* A thread a working day, each in a branch of its own. */
static bool thread_of(struct ctl_month *month, int day, int *branch, char id[32])
{
    (void)month;
    if (day % 7 >= 5)
        return false;
    *branch = day % CAST_BRANCHES;
    snprintf(id, 32, "thread-%d", day);
    return true;
}

bool ctl_month_threads_begin(struct ctl_month *month, int day)
{
    int branch, posts;
    char id[32];

    if (!thread_of(month, day, &branch, id))
        return true;
    posts = 4 + (int)ctl_dice_roll(&month->dice, 10);
    for (int i = 0; i < posts; i++) {
        int place = i == 0 ? 0 : (int)ctl_dice_roll(&month->dice, CAST_BRANCH_SIZE);
        const struct ctl_cast_member *author = ctl_cast_member(month->cast, branch, place);
        char message[24];

        snprintf(message, sizeof message, "p%d", i);
        if (!ctl_month_emit(
                month, &author->actor, ctl_month_time(month, day, 18, 6 * i), "thread.posted",
                json_pack("{s:s, s:s, s:s, s:s}", "orgPath", month->cast->branches[branch].path,
                          "threadId", id, "messageId", message, "text",
                          sayings[ctl_dice_roll(&month->dice, SAYINGS)])))
            return false;
    }
    return true;
}

/* Who began it puts it in better words. */
static bool edit(struct ctl_month *month, int day, int branch, const char *id, const char *sequence)
{
    return ctl_month_emit(month, &ctl_cast_secretary(month->cast, branch)->actor,
                          ctl_month_time(month, day, 18, 5), "thread.edited",
                          json_pack("{s:s, s:s, s:s, s:s}", "orgPath",
                                    month->cast->branches[branch].path, "threadId", id, "sequence",
                                    sequence, "text", "请大家结合本岗位谈谈体会，周五前发言。"));
}

/* What needs the posts' sequences. */
static bool react(struct ctl_month *month, int day, int branch, const char *id, size_t index,
                  const char *sequence)
{
    static const char *const kinds[] = {"LIKE", "AGREE", "LEARNED", "THANKS", "ENCOURAGE"};
    const char *path = month->cast->branches[branch].path;

    for (int place = 0; place < CAST_BRANCH_SIZE; place++) {
        const struct yz_actor *actor = &ctl_cast_member(month->cast, branch, place)->actor;

        if (ctl_dice_chance(&month->dice, 12) &&
            !ctl_month_emit(
                month, actor, ctl_month_time(month, day, 20, (int)index), "thread.reacted",
                json_pack("{s:s, s:s, s:s, s:s}", "orgPath", path, "threadId", id, "sequence",
                          sequence, "kind", kinds[ctl_dice_roll(&month->dice, 5)])))
            return false;
    }
    if (index == 0 && !edit(month, day, branch, id, sequence))
        return false;
    if (day == 10 && index == 2)
        return ctl_month_emit(month, &ctl_cast_member(month->cast, branch, 5)->actor,
                              ctl_month_time(month, day, 20, 40), "thread.flagged",
                              json_pack("{s:s, s:s, s:s, s:s}", "orgPath", path, "threadId", id,
                                        "sequence", sequence, "reason", "与讨论无关")) &&
               ctl_month_emit(month, &ctl_cast_secretary(month->cast, branch)->actor,
                              ctl_month_time(month, day, 21, 0), "thread.hidden",
                              json_pack("{s:s, s:s, s:s, s:s}", "orgPath", path, "threadId", id,
                                        "sequence", sequence, "reason", "与讨论无关"));
    return true;
}

static bool read_all(struct ctl_month *month, int day, int branch, const char *id,
                     const char *sequence)
{
    for (int place = 0; place < CAST_BRANCH_SIZE; place++) {
        const struct ctl_cast_member *member = ctl_cast_member(month->cast, branch, place);

        if (ctl_dice_chance(&month->dice, member->zeal) &&
            !ctl_month_emit(
                month, &member->actor, ctl_month_time(month, day, 22, 0), "thread.read_up_to",
                json_pack("{s:s, s:s, s:s}", "orgPath", month->cast->branches[branch].path,
                          "threadId", id, "sequence", sequence)))
            return false;
    }
    return true;
}

bool ctl_month_threads_go_on(struct ctl_month *month, int day)
{
    const char *code = "", *sequence = NULL;
    json_t *page, *post;
    bool good = true;
    int branch;
    size_t i;
    char id[32];

    if (!thread_of(month, day, &branch, id))
        return true;
    page = ctl_past_ask(month->past, &ctl_cast_secretary(month->cast, branch)->actor, "thread.page",
                        json_pack("{s:s, s:s, s:i}", "orgPath", month->cast->branches[branch].path,
                                  "threadId", id, "limit", 100),
                        &code);
    json_array_foreach(json_object_get(page, "posts"), i, post)
    {
        sequence = json_string_value(json_object_get(post, "sequence"));
        good = good && sequence && react(month, day, branch, id, i, sequence);
    }
    good = good && (!sequence || read_all(month, day, branch, id, sequence));
    json_decref(page);
    return good;
}
