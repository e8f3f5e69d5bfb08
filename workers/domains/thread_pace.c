/* How often one member may write in one thread: judged by the broker's time over what it wrote in
 * the last hour. */
#include "common/clock.h"
#include "workers/document.h"
#include "workers/domains/thread.h"
#include "workers/rules.h"

#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)

static const struct {
    const char *field;
    int64_t kept_ms;
} acts[] = {
    [WK_ACT_POST] = {"posted", HOUR_MS},
    [WK_ACT_MARK] = {"marked", MINUTE_MS},
};

/* At most `most` in `window_ms`. */
struct pace {
    int64_t window_ms, most;
};

static const bson_t *writer_of(const struct wk_event *event, struct wk_fold *fold,
                               const struct wk_thread_post *post)
{
    char id[WK_ID_MAX];

    wk_thread_member_id(id, post, event->env->actor.member);
    return wk_get(fold, WK_THREAD_WRITERS, id);
}

static bool next_time(bson_iter_t *times, int64_t *at_ms)
{
    while (bson_iter_next(times)) {
        if (!BSON_ITER_HOLDS_DATE_TIME(times))
            continue;
        *at_ms = bson_iter_date_time(times);
        return true;
    }
    return false;
}

/* When the window has room again; 0: it has. The times stand in their order. */
static int64_t free_at_ms(const bson_t *writer, enum wk_thread_act act, struct pace pace,
                          int64_t now_ms)
{
    bson_iter_t times, from;
    int64_t at_ms, count = 0;

    if (!writer || !wk_document_array(writer, acts[act].field, &times))
        return 0;
    from = times;
    while (next_time(&times, &at_ms))
        count += at_ms > now_ms - pace.window_ms;
    if (count < pace.most)
        return 0;
    /* The first of the last `most`: once it is out of the window, there is room. */
    for (count -= pace.most; next_time(&from, &at_ms);) {
        if (at_ms > now_ms - pace.window_ms && count-- == 0)
            return at_ms + pace.window_ms;
    }
    return 0;
}

static enum yz_err refuse(int64_t free_ms, struct yz_violation *v)
{
    char when[YZ_RFC3339_MAX] = "", text[YZ_TEXT_MAX];

    (void)yz_clock_format(free_ms / 1000, (int32_t)(free_ms % 1000) * 1000000, when);
    snprintf(text, sizeof text, "You write too often here; again at %s.", when);
    return yz_violate(v, YZ_POSTED_TOO_OFTEN, "threadId", text);
}

enum yz_err wk_thread_judge_pace(const struct wk_event *event, struct wk_fold *fold,
                                 const struct wk_thread_post *post, enum wk_thread_act act,
                                 struct yz_violation *v)
{
    const struct wk_rules_thread *rules =
        wk_rules_thread_at(wk_fold_context(fold)->rules, event->received_at_ms);
    const struct pace posts[] = {{MINUTE_MS, rules->posts_per_minute},
                                 {HOUR_MS, rules->posts_per_hour}};
    const struct pace marks[] = {{MINUTE_MS, rules->marks_per_minute}};
    const struct pace *paces = act == WK_ACT_POST ? posts : marks;
    size_t count = act == WK_ACT_POST ? 2 : 1;
    const bson_t *writer = writer_of(event, fold, post);
    int64_t latest = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t free_ms = free_at_ms(writer, act, paces[i], event->received_at_ms);

        latest = free_ms > latest ? free_ms : latest;
    }
    return latest ? refuse(latest, v) : YZ_OK;
}

/* The times that still count at now_ms, and `added` (0: none). */
static void append_times(bson_t *document, const bson_t *writer, enum wk_thread_act act,
                         int64_t now_ms, int64_t added)
{
    bson_t list;
    bson_iter_t times;
    uint32_t count = 0;
    int64_t at_ms;
    char key[16];

    BSON_APPEND_ARRAY_BEGIN(document, acts[act].field, &list);
    if (writer && wk_document_array(writer, acts[act].field, &times)) {
        while (next_time(&times, &at_ms)) {
            if (at_ms <= now_ms - acts[act].kept_ms)
                continue;
            snprintf(key, sizeof key, "%u", count++);
            BSON_APPEND_DATE_TIME(&list, key, at_ms);
        }
    }
    snprintf(key, sizeof key, "%u", count);
    if (added)
        BSON_APPEND_DATE_TIME(&list, key, added);
    bson_append_array_end(document, &list);
}

void wk_thread_note_pace(const struct wk_event *event, struct wk_fold *fold,
                         const struct wk_thread_post *post, enum wk_thread_act act)
{
    int64_t now_ms = event->received_at_ms;
    const bson_t *old = writer_of(event, fold, post);
    bson_t *writer = bson_new();
    char id[WK_ID_MAX];

    BSON_APPEND_UTF8(writer, "org_path", post->org_path);
    BSON_APPEND_UTF8(writer, "thread_id", post->thread_id);
    BSON_APPEND_UTF8(writer, "member", event->env->actor.member);
    append_times(writer, old, WK_ACT_POST, now_ms, act == WK_ACT_POST ? now_ms : 0);
    append_times(writer, old, WK_ACT_MARK, now_ms, act == WK_ACT_MARK ? now_ms : 0);
    BSON_APPEND_UTF8(
        writer, "rules",
        wk_rules_thread_at(wk_fold_context(fold)->rules, event->received_at_ms)->version);
    wk_thread_member_id(id, post, event->env->actor.member);
    wk_put(fold, WK_THREAD_WRITERS, id, writer);
}
