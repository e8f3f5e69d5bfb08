/* Quiz and completion. That a lesson is completed is the server's own conclusion: the event that
 * meets the lesson's rule writes a row of the outbox, which becomes study.completed. */
#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/domains/lesson.h"
#include "workers/domains/study.h"

#include <stdio.h>
#include <string.h>

static bool flag_of(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && bson_iter_as_bool(&iter);
}

bool wk_study_is_complete(const bson_t *progress, const struct wk_study_result *result)
{
    int64_t duration_ms = wk_document_number(progress, "duration_ms");
    bool covered = (int64_t)result->covered_ms * 1000 >=
                   duration_ms * wk_document_number(progress, "complete_permille");
    bool scored =
        result->quiz_answered &&
        (int64_t)result->score_permille >= wk_document_number(progress, "score_needed_permille");

    switch (
        wk_document_enum(progress, "complete_by", &yizhan__v1__lesson_completed_by__descriptor)) {
    case YIZHAN__V1__LESSON_COMPLETED_BY__QUIZ_SCORE:
        return scored;
    case YIZHAN__V1__LESSON_COMPLETED_BY__COVERED_AND_SCORE:
        return covered && scored;
    default:
        return covered;
    }
}

/* An event whose payload says all: the row is the same on a replay. */
static void conclude(const struct wk_event *event, struct wk_fold *fold, const bson_t *progress)
{
    const struct yz_actor *actor = &event->env->actor;
    Yizhan__V1__StudyCompleted completed = YIZHAN__V1__STUDY_COMPLETED__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(event->received_at_ms);

    completed.member = (char *)(uintptr_t)actor->member;
    completed.lesson_id = (char *)(uintptr_t)wk_document_text(progress, "lesson_id");
    completed.version = (uint32_t)wk_document_number(progress, "version");
    completed.org_path = (char *)(uintptr_t)actor->org_path;
    completed.duration_ms = (uint32_t)wk_document_number(progress, "duration_ms");
    completed.completed_at = &at;
    completed.rules_version = (char *)(uintptr_t)wk_document_text(progress, "rules");
    wk_later(fold, 0, event->received_at_ms, "study.completed", &completed.base);
}

void wk_study_fill(const bson_t *progress, Yizhan__V1__StudyProgress *message,
                   Google__Protobuf__Timestamp *completed_at)
{
    message->lesson_id = (char *)(uintptr_t)wk_document_text(progress, "lesson_id");
    message->version = (uint32_t)wk_document_number(progress, "version");
    message->duration_ms = (uint32_t)wk_document_number(progress, "duration_ms");
    message->covered_ms = (uint32_t)wk_document_number(progress, "covered_ms");
    message->quiz_answered = flag_of(progress, "quiz_answered");
    message->score_permille = (uint32_t)wk_document_number(progress, "score_permille");
    message->completed = flag_of(progress, "completed");
    if (!message->completed)
        return;
    *completed_at = wk_timestamp(wk_document_time_ms(progress, "completed_at"));
    message->completed_at = completed_at;
    message->rules_version = (char *)(uintptr_t)wk_document_text(progress, "rules");
}

/* The last one counts: a value, and one for all lessons, so that a channel holds no more. */
static void send_progress(struct wk_fold *fold, const char *member, const bson_t *progress)
{
    Yizhan__V1__StudyProgress message = YIZHAN__V1__STUDY_PROGRESS__INIT;
    Google__Protobuf__Timestamp completed_at;
    char channel[YZ_CHANNEL_MAX];

    wk_study_fill(progress, &message, &completed_at);
    snprintf(channel, sizeof channel, "member.%s", member);
    wk_value(fold, channel, "study", "study.progress", &message.base, NULL);
}

void wk_study_put_progress(const struct wk_event *event, struct wk_fold *fold,
                           const struct wk_study_step *step, const struct wk_watched *watched,
                           const struct wk_study_result *result)
{
    const bson_t *progress = wk_study_progress(event, step, fold);
    uint64_t concluded = (uint64_t)wk_document_number(progress, "concluded");
    struct wk_watched kept;
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    if (concluded == 0 && wk_study_is_complete(progress, result))
        concluded = event->sequence;
    if (concluded == event->sequence)
        conclude(event, fold, progress);
    if (!watched) {
        wk_watched_read(progress, "watched", &kept);
        watched = &kept;
    }
    WK_STUDY_COPY_WITHOUT(progress, changed, "watched", "covered_ms", "quiz_answered",
                          "score_permille", "concluded", "updated_at");
    wk_watched_append(changed, "watched", watched);
    BSON_APPEND_INT32(changed, "covered_ms", (int32_t)result->covered_ms);
    BSON_APPEND_BOOL(changed, "quiz_answered", result->quiz_answered);
    BSON_APPEND_INT32(changed, "score_permille", (int32_t)result->score_permille);
    BSON_APPEND_INT64(changed, "concluded", (int64_t)concluded);
    BSON_APPEND_DATE_TIME(changed, "updated_at", event->received_at_ms);
    send_progress(fold, event->env->actor.member, changed);
    wk_study_progress_id(id, event->env->actor.tenant, event->env->actor.member, step->lesson_id,
                         step->version);
    wk_put(fold, WK_STUDY_PROGRESS, id, changed);
}

/* quiz_answered */

static const Yizhan__V1__StudyQuizAnswered *quiz_of(const struct wk_event *event)
{
    return (const Yizhan__V1__StudyQuizAnswered *)event->payload;
}

static struct wk_study_step quiz_step(const struct wk_event *event)
{
    const Yizhan__V1__StudyQuizAnswered *quiz = quiz_of(event);

    return (struct wk_study_step){quiz->session_id, quiz->seq, quiz->lesson_id, quiz->version};
}

void wk_study_needs_quiz(const struct wk_event *event, struct wk_needs *needs)
{
    const struct wk_study_step step = quiz_step(event);
    char id[WK_ID_MAX];

    wk_study_step_needs(event, &step, needs);
    wk_lesson_version_id(id, event->env->actor.tenant, step.lesson_id, step.version);
    wk_need(needs, WK_LESSON_VERSIONS, id);
}

static const bson_t *get_lesson(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_lesson_version_id(id, event->env->actor.tenant, quiz_of(event)->lesson_id,
                         quiz_of(event)->version);
    return wk_get(fold, WK_LESSON_VERSIONS, id);
}

/* The tries at the quiz, by the sequence of their event: counted, never added up. Those of the days
 * before need not be kept. */

static const struct wk_rules_calendar *calendar_of(const struct wk_event *event,
                                                   struct wk_fold *fold)
{
    return wk_rules_calendar_at(wk_fold_context(fold)->rules, event->received_at_ms);
}

/* The next one but the event's own, which a replay finds there; entry is its. */
static bool next_try(bson_iter_t *tries, const struct wk_event *event, bson_t *entry)
{
    while (wk_document_next(tries, entry)) {
        if (wk_document_number(entry, "q") != (int64_t)event->sequence)
            return true;
    }
    return false;
}

static void append_try(bson_t *list, uint32_t at, int64_t sequence, int64_t time_ms)
{
    char buffer[16];
    const char *key;
    size_t len = bson_uint32_to_string(at, &key, buffer, sizeof buffer);
    bson_t entry;

    bson_append_document_begin(list, key, (int)len, &entry);
    BSON_APPEND_INT64(&entry, "q", sequence);
    BSON_APPEND_DATE_TIME(&entry, "t", time_ms);
    bson_append_document_end(list, &entry);
}

static void put_try(const struct wk_event *event, struct wk_fold *fold,
                    const struct wk_study_step *step)
{
    const struct wk_rules_calendar *calendar = calendar_of(event, fold);
    int64_t today = wk_calendar_day(calendar, event->received_at_ms);
    const bson_t *progress = wk_study_progress(event, step, fold);
    bson_t *changed = bson_new(), list, entry;
    char id[WK_ID_MAX];
    bson_iter_t tries;
    uint32_t count = 0;

    WK_STUDY_COPY_WITHOUT(progress, changed, "quiz_tries");
    BSON_APPEND_ARRAY_BEGIN(changed, "quiz_tries", &list);
    if (wk_document_array(progress, "quiz_tries", &tries)) {
        while (next_try(&tries, event, &entry)) {
            int64_t time_ms = wk_document_time_ms(&entry, "t");

            if (wk_calendar_day(calendar, time_ms) == today)
                append_try(&list, count++, wk_document_number(&entry, "q"), time_ms);
        }
    }
    append_try(&list, count, (int64_t)event->sequence, event->received_at_ms);
    bson_append_array_end(changed, &list);
    wk_study_progress_id(id, event->env->actor.tenant, event->env->actor.member, step->lesson_id,
                         step->version);
    wk_put(fold, WK_STUDY_PROGRESS, id, changed);
}

/* A quiz is no lottery: so many tries a day, and time to think between two. */
static enum yz_err judge_tries(const struct wk_event *event, struct wk_fold *fold,
                               const bson_t *progress, struct yz_violation *v)
{
    const struct wk_rules_study *rules =
        wk_rules_study_at(wk_fold_context(fold)->rules, event->received_at_ms);
    const struct wk_rules_calendar *calendar = calendar_of(event, fold);
    int64_t today = wk_calendar_day(calendar, event->received_at_ms), count = 0, last_ms = 0;
    bson_iter_t tries;
    bson_t entry;

    if (!wk_document_array(progress, "quiz_tries", &tries))
        return YZ_OK;
    while (next_try(&tries, event, &entry)) {
        int64_t time_ms = wk_document_time_ms(&entry, "t");

        count += wk_calendar_day(calendar, time_ms) == today;
        last_ms = time_ms > last_ms ? time_ms : last_ms;
    }
    if (count >= rules->quiz_tries_per_day)
        return yz_violate(v, YZ_QUIZ_TRIES_USED, "answers", NULL);
    if (event->received_at_ms < last_ms + rules->quiz_pause_s * 1000)
        return yz_violate(v, YZ_QUIZ_EARLY, "answers", NULL);
    return YZ_OK;
}

enum yz_err wk_study_judge_quiz(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const struct wk_study_step step = quiz_step(event);
    const bson_t *lesson = get_lesson(event, fold), *progress;

    if (wk_study_step_judge(event, &step, fold, v))
        return v->err;
    progress = wk_study_progress(event, &step, fold);
    if (!lesson || !progress)
        return yz_violate(v, YZ_NOT_FOUND, "lessonId", "There is no such lesson.");
    if (wk_document_number(lesson, "question_count") != (int64_t)quiz_of(event)->n_answers)
        return yz_violate(v, YZ_INVALID_VALUE, "answers",
                          "There is an answer to each question, and none besides.");
    return judge_tries(event, fold, progress, v);
}

/* An answer is right when it names all right choices and no other. */
static uint32_t score_permille(const Yizhan__V1__StudyQuizAnswered *quiz, const bson_t *lesson)
{
    uint32_t count = 0, right = 0;
    bson_iter_t entry;

    if (!wk_document_array(lesson, "answers", &entry))
        return 0;
    while (bson_iter_next(&entry) && count < quiz->n_answers) {
        const Yizhan__V1__StudyQuizAnswered__Answer *answer = quiz->answers[count++];
        uint32_t chosen = 0;

        for (size_t i = 0; i < answer->n_choices; i++)
            chosen |= 1U << answer->choices[i];
        right += chosen == (uint32_t)bson_iter_as_int64(&entry);
    }
    return count ? right * 1000 / count : 0;
}

/* Time to think is no time watched: it neither counts nor is lost for the next progress. */
static void put_session(const struct wk_event *event, struct wk_fold *fold, const bson_t *session)
{
    const struct yz_actor *actor = &event->env->actor;
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    WK_STUDY_COPY_WITHOUT(session, changed, "seq", "active_at");
    BSON_APPEND_INT64(changed, "seq", (int64_t)quiz_of(event)->seq);
    BSON_APPEND_DATE_TIME(changed, "active_at", event->received_at_ms);
    wk_study_member_id(id, actor->tenant, actor->member);
    wk_put(fold, WK_STUDY_MEMBERS, id, changed);
}

void wk_study_apply_quiz(const struct wk_event *event, struct wk_fold *fold)
{
    const struct wk_study_step step = quiz_step(event);
    const bson_t *session = wk_study_session(event, fold), *lesson = get_lesson(event, fold);
    const bson_t *progress = wk_study_progress(event, &step, fold);
    struct wk_study_result result = {.quiz_answered = true};
    uint32_t best;

    if (!session || !lesson || !progress)
        return;
    best = (uint32_t)wk_document_number(progress, "score_permille");
    result.covered_ms = (uint32_t)wk_document_number(progress, "covered_ms");
    result.score_permille = score_permille(quiz_of(event), lesson);
    if (result.score_permille < best)
        result.score_permille = best;
    wk_study_put_progress(event, fold, &step, NULL, &result);
    put_try(event, fold, &step);
    /* On a replay another session may have begun since. */
    if (strcmp(wk_document_text(session, "session_id"), step.session_id) == 0)
        put_session(event, fold, session);
}

/* completed */

/* The credit of a completed lesson; source is where its name is made. */
static struct wk_study_credit credit_of(const struct wk_event *event, char source[YZ_ID_MAX + 16])
{
    const Yizhan__V1__StudyCompleted *completed =
        (const Yizhan__V1__StudyCompleted *)event->payload;

    snprintf(source, YZ_ID_MAX + 16, "%s/%u", completed->lesson_id, completed->version);
    return (struct wk_study_credit){
        .member = completed->member,
        .kind = YIZHAN__V1__STUDY_SOURCE__STUDIED_LESSON,
        .source = source,
        .seconds = (completed->duration_ms + 999) / 1000,
        .org_path = completed->org_path,
        .ended_at_ms = wk_timestamp_ms(completed->completed_at),
        .reason = "",
    };
}

static void progress_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    const Yizhan__V1__StudyCompleted *completed =
        (const Yizhan__V1__StudyCompleted *)event->payload;

    wk_study_progress_id(out, event->env->actor.tenant, completed->member, completed->lesson_id,
                         completed->version);
}

void wk_study_needs_completed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX], source[YZ_ID_MAX + 16];
    struct wk_study_credit credit = credit_of(event, source);

    progress_id(event, id);
    wk_need_own(needs, WK_STUDY_PROGRESS, id);
    wk_study_credit_need(event, &credit, needs);
}

void wk_study_apply_completed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__StudyCompleted *completed =
        (const Yizhan__V1__StudyCompleted *)event->payload;
    char id[WK_ID_MAX], source[YZ_ID_MAX + 16];
    struct wk_study_credit credit = credit_of(event, source);
    const bson_t *progress;
    bson_t *changed;

    progress_id(event, id);
    progress = wk_get(fold, WK_STUDY_PROGRESS, id);
    if (!progress)
        return;
    changed = bson_new();
    WK_STUDY_COPY_WITHOUT(progress, changed, "completed", "completed_at", "org_path");
    BSON_APPEND_UTF8(changed, "org_path", completed->org_path);
    BSON_APPEND_BOOL(changed, "completed", true);
    BSON_APPEND_DATE_TIME(changed, "completed_at", credit.ended_at_ms);
    send_progress(fold, completed->member, changed);
    wk_put(fold, WK_STUDY_PROGRESS, id, changed);
    wk_study_credit(event, fold, &credit);
}
