/* What a day of the made-up month has of lessons, and who studies them. */
#include "workers/ctl/month.h"

#include <stdio.h>
#include <string.h>

#define FILM_MS     180000
#define READING_MS  30000
#define DURATION_MS (FILM_MS + READING_MS)

static const struct {
    const char *kind, *title, *text;
} lessons[] = {
    {"MICRO_LECTURE", "从一张老照片说起", "厂里的第一条生产线，是怎样在油灯下装起来的。"},
    {"MICRO_HISTORY", "半条被子的故事",
     "1934年，三名女红军借宿村民家中，临走时把仅有的一条被子剪下一半留给了她。"},
    {"MICRO_INSIGHT", "一次志愿服务的感悟", "帮一位老人修好了水龙头，她说的话让我想了很久。"},
    {"MICRO_TIP", "支部工作小提示：怎样开好组织生活会",
     "会前谈心谈话，会上直说问题，会后列出清单。"},
};

static bool is_released(struct ctl_month *month, const char *lesson)
{
    const char *code = "";
    json_t *reply = ctl_past_ask(month->past, &month->cast->members[0].actor, "lesson.get",
                                 json_pack("{s:s}", "lessonId", lesson), &code);
    const char *state = json_string_value(json_object_get(reply, "state"));
    bool released = state && strcmp(state, "LESSON_RELEASED") == 0;

    json_decref(reply);
    return released;
}

static json_t *content_of(size_t index, const char *media_hash)
{
    return json_pack("{s:[{s:s}, {s:{s:s, s:i, s:s, s:i, s:s}}], s:i, s:[{s:s, s:[s, s, s]}]}",
                     "blocks", "text", lessons[index].text, "video", "sha256", media_hash, "bytes",
                     4200000, "mime", "video/mp4", "durationMs", FILM_MS, "description",
                     lessons[index].title, "readingMs", READING_MS, "questions", "text",
                     "这一课讲的是什么？", "choices", "为人民服务", "个人得失", "以上都不是");
}

/* Every working day at eight, scheduled the evening before. */
bool ctl_month_lessons_publish(struct ctl_month *month, int day)
{
    size_t index = (size_t)day % (sizeof lessons / sizeof lessons[0]);
    char id[32], hash[65];

    if (day % 7 >= 5)
        return true;
    snprintf(id, sizeof id, "lesson-%d", day);
    for (int i = 0; i < 64; i++)
        hash[i] = "0123456789abcdef"[ctl_dice_roll(&month->dice, 16)];
    hash[64] = '\0';
    if (!ctl_month_emit(
            month, &month->cast->secretary, ctl_month_time(month, day - 1, 17, 0),
            "lesson.scheduled",
            json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:o, s:[{s:[i]}], s:o}", "orgPath", "group",
                      "lessonId", id, "version", 1, "revision", 1, "kind", lessons[index].kind,
                      "title", lessons[index].title, "content", content_of(index, hash), "answers",
                      "choices", 0, "releaseAt",
                      ctl_month_rfc3339(month->midnight_ms + (day * 24 + 8) * INT64_C(3600000)))) ||
        !ctl_past_settle(month->past))
        return false;
    /* It is released by the durable timer, which is long due. */
    for (int tries = 0; !is_released(month, id); tries++) {
        if (tries == 600)
            return false;
        nats_Sleep(20);
    }
    return true;
}

/* Most watch it all, some stop half way; the quiz is right more often than not. */
static bool study(struct ctl_month *month, int day, const struct ctl_cast_member *member)
{
    const struct yz_actor *actor = &member->actor;
    int64_t at_ms = ctl_month_time(month, day, 9 + (int)ctl_dice_roll(&month->dice, 12), 0);
    uint32_t until_ms = ctl_dice_chance(&month->dice, 75)
                            ? DURATION_MS
                            : 20000 + ctl_dice_roll(&month->dice, DURATION_MS - 40000);
    char session[YZ_ID_MAX + 24], lesson[32];
    uint32_t seq = 1;

    snprintf(lesson, sizeof lesson, "lesson-%d", day);
    snprintf(session, sizeof session, "s-%d-%s", day, actor->member);
    if (!ctl_month_emit(month, actor, at_ms, "study.started",
                        json_pack("{s:s, s:s, s:i, s:s}", "sessionId", session, "lessonId", lesson,
                                  "version", 1, "device", "phone")))
        return false;
    for (uint32_t from_ms = 0; from_ms < until_ms; from_ms += 60000, seq++) {
        uint32_t to_ms = from_ms + 60000 < until_ms ? from_ms + 60000 : until_ms;

        at_ms += 60000; /* progress is sent once a minute */
        if (!ctl_month_emit(month, actor, at_ms, "study.progressed",
                            json_pack("{s:s, s:i, s:s, s:i, s:[{s:i, s:i}], s:b}", "sessionId",
                                      session, "seq", (int)seq, "lessonId", lesson, "version", 1,
                                      "intervals", "fromMs", (int)from_ms, "toMs", (int)to_ms,
                                      "last", to_ms == until_ms && day % 2 == 1)))
            return false;
    }
    return day % 2 == 1 || until_ms < DURATION_MS ||
           ctl_month_emit(month, actor, at_ms + 20000, "study.quiz_answered",
                          json_pack("{s:s, s:i, s:s, s:i, s:[{s:[i]}]}", "sessionId", session,
                                    "seq", (int)seq, "lessonId", lesson, "version", 1, "answers",
                                    "choices", ctl_dice_chance(&month->dice, 80) ? 0 : 1));
}

bool ctl_month_lessons_study(struct ctl_month *month, int day)
{
    if (day % 7 >= 5)
        return true;
    for (int i = 0; i < CAST_MEMBERS; i++) {
        const struct ctl_cast_member *member = &month->cast->members[i];

        if (ctl_dice_chance(&month->dice, member->zeal / 3) && !study(month, day, member))
            return false;
    }
    return true;
}
