/* What a day of the made-up month has of notices. */
#include "workers/ctl/month.h"

#include <stdio.h>

static const struct {
    const char *title, *body;
} texts[] = {
    {"关于召开主题党日活动的通知", "本月主题党日定于下午三点，请提前阅读学习材料，准时参加。"},
    {"关于做好安全生产检查的通知",
     "各支部党员带头检查本班组的安全隐患，周五前把情况告诉支部书记。"},
    {"学习材料发布", "本周学习材料已经发布，请大家抽时间学习，有心得欢迎在讨论里说。"},
    {"关于慰问困难职工的通知", "请各支部了解本单位困难职工的情况，名单报组织委员。"},
    {"志愿服务报名", "周六上午社区义务维修，愿意参加的同志请在讨论里报名。"},
};
static const char *const notice_class[] = {"INFO", "CONFIRM", "URGENT"};

/* The day's notice, if there is one: of the group on Mondays, of one branch on other days. */
struct notice {
    char id[32];
    const struct yz_actor *publisher;
    int branch; /* -1: all of them */
    int kind;
};

static bool notice_of(struct ctl_month *month, int day, struct notice *notice)
{
    if (day % 7 == 6)
        return false;
    *notice = (struct notice){.branch = day % 7 == 0 ? -1 : day % CAST_BRANCHES};
    snprintf(notice->id, sizeof notice->id, "notice-%d", day);
    notice->publisher = notice->branch < 0
                            ? &month->cast->secretary
                            : &ctl_cast_secretary(month->cast, notice->branch)->actor;
    notice->kind = day % 14 == 7 ? 2 : day % 3 == 0 ? 1 : 0;
    return true;
}

static bool approve(struct ctl_month *month, int day, const struct notice *notice)
{
    return ctl_month_emit(
        month, &month->cast->deputy, ctl_month_time(month, day, 8, 40), "notice.approved",
        json_pack("{s:s, s:s}", "orgPath", notice->publisher->org_path, "noticeId", notice->id));
}

/* The last one still waits for the second person. */
static bool publish_pending(struct ctl_month *month, int day)
{
    const struct yz_actor *secretary = &month->cast->secretary;

    return day != month->days - 1 ||
           ctl_month_emit(month, secretary, ctl_month_time(month, day, 17, 30), "notice.published",
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "noticeId", "notice-pending",
                                    "orgPath", secretary->org_path, "noticeClass", notice_class[2],
                                    "title", "关于防汛值班的紧急通知", "body",
                                    "请各支部今晚安排党员值班，保持电话畅通。"));
}

bool ctl_month_notices_publish(struct ctl_month *month, int day)
{
    size_t text = (size_t)day % (sizeof texts / sizeof texts[0]);
    struct notice notice;

    if (!publish_pending(month, day))
        return false;
    if (!notice_of(month, day, &notice))
        return true;
    if (!ctl_month_emit(
            month, notice.publisher, ctl_month_time(month, day, 8, 30), "notice.published",
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "noticeId", notice.id, "orgPath",
                      notice.publisher->org_path, "noticeClass", notice_class[notice.kind], "title",
                      texts[text].title, "body", texts[text].body)))
        return false;
    return notice.kind < 2 || approve(month, day, &notice);
}

/* A phone reports what it has; later its member reads, and confirms where that is asked for. */
static bool read_notice(struct ctl_month *month, int day, const struct notice *notice,
                        const struct ctl_cast_member *member)
{
    const struct yz_actor *actor = &member->actor;
    int hour = 9 + (int)ctl_dice_roll(&month->dice, 11);

    if (!ctl_dice_chance(&month->dice, 92))
        return true;
    if (!ctl_month_emit(month, actor, ctl_month_time(month, day, 8, 50), "notice.received",
                        json_pack("{s:[s]}", "noticeIds", notice->id)))
        return false;
    if (!ctl_dice_chance(&month->dice, member->zeal))
        return true;
    if (!ctl_month_emit(month, actor, ctl_month_time(month, day, hour, 0), "notice.read",
                        json_pack("{s:s}", "noticeId", notice->id)))
        return false;
    return notice->kind == 0 || !ctl_dice_chance(&month->dice, 85) ||
           ctl_month_emit(month, actor, ctl_month_time(month, day, hour, 10), "notice.confirmed",
                          json_pack("{s:s}", "noticeId", notice->id));
}

static bool recall(struct ctl_month *month, int day, const struct notice *notice)
{
    return ctl_month_emit(
        month, notice->publisher, ctl_month_time(month, day, 21, 0), "notice.recalled",
        json_pack("{s:s, s:s}", "noticeId", notice->id, "reason", "活动改期，另行通知。"));
}

bool ctl_month_notices_read(struct ctl_month *month, int day)
{
    struct notice notice;

    if (!notice_of(month, day, &notice))
        return true;
    for (int i = 0; i < CAST_MEMBERS; i++) {
        const struct ctl_cast_member *member = &month->cast->members[i];

        if ((notice.branch < 0 || member->branch == notice.branch) &&
            !read_notice(month, day, &notice, member))
            return false;
    }
    return day != 12 || recall(month, day, &notice);
}
