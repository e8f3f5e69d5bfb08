/* Studying lessons (学习): sessions, and what is watched in them.
 *
 * What a phone says it watched is believed only within the time that passed here: a session has a
 * budget of media time that grows with the broker's clock, at the rate that the phone says it
 * played. What it says is merged: it may say the same twice, and nothing it says takes anything
 * back. Progress of a session is stored at most once in the rule's heartbeat: sooner it is refused,
 * and its intervals go with the next, so that nothing is lost by it. What is accepted is written
 * before it is acknowledged, as everything is. Only what ends the session or completes the lesson
 * may come sooner, and each does so once. */
#include "workers/domains/study.h"

#include "workers/document.h"
#include "workers/domains/lesson.h"
#include "workers/rules.h"

#include <stdio.h>
#include <string.h>

#define RATE_NORMAL 1000

void wk_study_member_id(char out[WK_ID_MAX], const char *tenant, const char *member)
{
    wk_id(out, tenant, member, NULL);
}

void wk_study_progress_id(char out[WK_ID_MAX], const char *tenant, const char *member,
                          const char *lesson_id, uint32_t version)
{
    char number[16];

    snprintf(number, sizeof number, "%u", version);
    wk_id(out, tenant, member, lesson_id, number, NULL);
}

static const struct wk_rules_study *rules_of(const struct wk_event *event, struct wk_fold *fold)
{
    return wk_rules_study_at(wk_fold_context(fold)->rules, event->received_at_ms);
}

static bool flag_of(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && bson_iter_as_bool(&iter);
}

static void member_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX])
{
    snprintf(out, YZ_CHANNEL_MAX, "member.%s", event->env->actor.member);
}

static void session_id(const struct wk_event *event, const char *session, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, event->env->actor.member, session, NULL);
}

const bson_t *wk_study_session(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_study_member_id(id, event->env->actor.tenant, event->env->actor.member);
    return wk_get(fold, WK_STUDY_MEMBERS, id);
}

const bson_t *wk_study_progress(const struct wk_event *event, const struct wk_study_step *step,
                                struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_study_progress_id(id, event->env->actor.tenant, event->env->actor.member, step->lesson_id,
                         step->version);
    return wk_get(fold, WK_STUDY_PROGRESS, id);
}

void wk_study_step_needs(const struct wk_event *event, const struct wk_study_step *step,
                         struct wk_needs *needs)
{
    const struct yz_actor *actor = &event->env->actor;
    char id[WK_ID_MAX];

    wk_study_member_id(id, actor->tenant, actor->member);
    wk_need_own(needs, WK_STUDY_MEMBERS, id);
    session_id(event, step->session_id, id);
    wk_need_own(needs, WK_STUDY_SESSIONS, id);
    wk_study_progress_id(id, actor->tenant, actor->member, step->lesson_id, step->version);
    wk_need_own(needs, WK_STUDY_PROGRESS, id);
}

static bool is_session(const bson_t *session, const char *id)
{
    return session && strcmp(wk_document_text(session, "session_id"), id) == 0;
}

enum yz_err wk_study_step_judge(const struct wk_event *event, const struct wk_study_step *step,
                                struct wk_fold *fold, struct yz_violation *v)
{
    const bson_t *session = wk_study_session(event, fold);
    char id[WK_ID_MAX];

    session_id(event, step->session_id, id);
    if (!wk_get(fold, WK_STUDY_SESSIONS, id))
        return yz_violate(v, YZ_NOT_FOUND, "sessionId", "There is no such session.");
    if (!is_session(session, step->session_id) || flag_of(session, "ended"))
        return yz_violate(v, YZ_SESSION_ENDED, "sessionId", NULL);
    if (strcmp(wk_document_text(session, "lesson_id"), step->lesson_id) != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "lessonId", "The session is of another lesson.");
    if (wk_document_number(session, "version") != (int64_t)step->version)
        return yz_violate(v, YZ_INVALID_VALUE, "version", "The session is of another version.");
    if ((int64_t)step->seq <= wk_document_number(session, "seq"))
        return yz_violate(v, YZ_STALE_SEQ, "seq", NULL);
    return YZ_OK;
}

/* The session with what `more` says of this event; its fields but these are as before. */
static bson_t *copy_session(const bson_t *session, const struct wk_event *event, uint32_t seq)
{
    bson_t *changed = bson_new();

    WK_STUDY_COPY_WITHOUT(session, changed, "seq", "active_at", "progress_at", "budget_ms",
                          "claimed", "ended");
    BSON_APPEND_INT64(changed, "seq", (int64_t)seq);
    BSON_APPEND_DATE_TIME(changed, "active_at", event->received_at_ms);
    return changed;
}

/* started */

static const Yizhan__V1__StudyStarted *started_of(const struct wk_event *event)
{
    return (const Yizhan__V1__StudyStarted *)event->payload;
}

static struct wk_study_step first_step(const struct wk_event *event)
{
    const Yizhan__V1__StudyStarted *started = started_of(event);

    return (struct wk_study_step){started->session_id, 0, started->lesson_id, started->version};
}

static void needs_started(const struct wk_event *event, struct wk_needs *needs)
{
    const struct wk_study_step step = first_step(event);
    char id[WK_ID_MAX];

    wk_study_step_needs(event, &step, needs);
    wk_lesson_id(id, event->env->actor.tenant, step.lesson_id);
    wk_need(needs, WK_LESSONS, id);
    wk_lesson_version_id(id, event->env->actor.tenant, step.lesson_id, step.version);
    wk_need(needs, WK_LESSON_VERSIONS, id);
}

static const bson_t *get_lesson(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    wk_lesson_version_id(id, event->env->actor.tenant, started_of(event)->lesson_id,
                         started_of(event)->version);
    return wk_get(fold, WK_LESSON_VERSIONS, id);
}

static enum yz_err judge_lesson(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const bson_t *lesson = get_lesson(event, fold), *head;
    char id[WK_ID_MAX];

    /* What was never released, or to others, is not there. */
    if (!lesson || wk_document_number(lesson, "sequence") == 0 ||
        !yz_actor_belongs(&event->env->actor, wk_document_text(lesson, "org_path")))
        return yz_violate(v, YZ_NOT_FOUND, "lessonId", "There is no such lesson.");
    if (wk_lesson_state(lesson) == YIZHAN__V1__LESSON_STATE__LESSON_WITHDRAWN)
        return yz_violate(v, YZ_LESSON_WITHDRAWN, "version", NULL);
    wk_lesson_id(id, event->env->actor.tenant, started_of(event)->lesson_id);
    head = wk_get(fold, WK_LESSONS, id);
    if (head && wk_document_number(head, "version") > (int64_t)started_of(event)->version)
        return yz_violate(v, YZ_LESSON_SUPERSEDED, "version", NULL);
    return YZ_OK;
}

/* A device takes over from itself at once, as after a crash, from another when that is idle. */
static bool is_busy_elsewhere(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *session = wk_study_session(event, fold);

    return session && !flag_of(session, "ended") &&
           strcmp(wk_document_text(session, "device"), started_of(event)->device) != 0 &&
           event->received_at_ms - wk_document_time_ms(session, "active_at") <
               rules_of(event, fold)->session_idle_s * 1000;
}

static enum yz_err judge_started(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    char id[WK_ID_MAX];

    session_id(event, started_of(event)->session_id, id);
    if (wk_get(fold, WK_STUDY_SESSIONS, id))
        return yz_violate(v, YZ_EXISTS, "sessionId", "A session with this id was begun already.");
    if (judge_lesson(event, fold, v))
        return v->err;
    if (is_busy_elsewhere(event, fold))
        return yz_violate(v, YZ_SESSION_ACTIVE, "sessionId", NULL);
    return YZ_OK;
}

/* On a replay the member's document may tell of this session, or of one begun behind it. */
static const char *taken_over(const struct wk_event *event, const bson_t *session)
{
    uint64_t begun = session ? (uint64_t)wk_document_number(session, "sequence") : 0;

    if (begun == event->sequence)
        return wk_document_text(session, "took_over");
    if (begun == 0 || begun > event->sequence || flag_of(session, "ended"))
        return "";
    return wk_document_text(session, "session_id");
}

static bson_t *new_session(const struct wk_event *event, int64_t duration_ms, const char *took_over,
                           int64_t budget_ms)
{
    const Yizhan__V1__StudyStarted *started = started_of(event);
    const struct wk_watched nothing = {0};
    bson_t *session = bson_new();

    BSON_APPEND_UTF8(session, "member", event->env->actor.member);
    BSON_APPEND_UTF8(session, "session_id", started->session_id);
    BSON_APPEND_UTF8(session, "device", started->device);
    BSON_APPEND_UTF8(session, "lesson_id", started->lesson_id);
    BSON_APPEND_INT32(session, "version", (int32_t)started->version);
    BSON_APPEND_INT32(session, "duration_ms", (int32_t)duration_ms);
    BSON_APPEND_DATE_TIME(session, "started_at", event->received_at_ms);
    BSON_APPEND_INT64(session, "sequence", (int64_t)event->sequence);
    BSON_APPEND_UTF8(session, "took_over", took_over);
    BSON_APPEND_INT64(session, "seq", 0);
    BSON_APPEND_DATE_TIME(session, "active_at", event->received_at_ms);
    BSON_APPEND_DATE_TIME(session, "progress_at", event->received_at_ms);
    BSON_APPEND_INT64(session, "budget_ms", budget_ms);
    wk_watched_append(session, "claimed", &nothing);
    BSON_APPEND_BOOL(session, "ended", false);
    return session;
}

static bson_t *new_begun(const struct wk_event *event)
{
    const Yizhan__V1__StudyStarted *started = started_of(event);
    bson_t *begun = bson_new();

    BSON_APPEND_UTF8(begun, "member", event->env->actor.member);
    BSON_APPEND_UTF8(begun, "session_id", started->session_id);
    BSON_APPEND_UTF8(begun, "device", started->device);
    BSON_APPEND_UTF8(begun, "lesson_id", started->lesson_id);
    BSON_APPEND_INT32(begun, "version", (int32_t)started->version);
    BSON_APPEND_DATE_TIME(begun, "started_at", event->received_at_ms);
    return begun;
}

/* The lesson's rule is taken as it is now: what was begun is finished by it. */
static bson_t *new_progress(const struct wk_event *event, struct wk_fold *fold,
                            const bson_t *lesson)
{
    const struct wk_rules_study *rules = rules_of(event, fold);
    const struct wk_watched nothing = {0};
    Yizhan__V1__LessonCompletedBy by = YIZHAN__V1__LESSON_COMPLETED_BY__COVERED;
    uint32_t len, covered = 0, score = 0;
    const uint8_t *packed = wk_lesson_content(lesson, &len);
    Yizhan__V1__LessonContent *content = yizhan__v1__lesson_content__unpack(NULL, len, packed);
    bson_t *progress = bson_new();

    if (content && content->completion) {
        by = content->completion->by ? content->completion->by : by;
        covered = content->completion->covered_permille;
        score = content->completion->score_permille;
    }
    if (content)
        yizhan__v1__lesson_content__free_unpacked(content, NULL);
    BSON_APPEND_UTF8(progress, "member", event->env->actor.member);
    BSON_APPEND_UTF8(progress, "org_path", event->env->actor.org_path);
    BSON_APPEND_UTF8(progress, "lesson_id", started_of(event)->lesson_id);
    BSON_APPEND_INT32(progress, "version", (int32_t)started_of(event)->version);
    BSON_APPEND_INT32(progress, "duration_ms", (int32_t)wk_document_number(lesson, "duration_ms"));
    BSON_APPEND_UTF8(progress, "complete_by",
                     wk_document_enum_name(&yizhan__v1__lesson_completed_by__descriptor, (int)by));
    BSON_APPEND_INT32(progress, "complete_permille",
                      covered ? (int32_t)covered : (int32_t)rules->complete_permille);
    BSON_APPEND_INT32(progress, "score_needed_permille", score ? (int32_t)score : 1000);
    BSON_APPEND_UTF8(progress, "rules", rules->version);
    BSON_APPEND_DATE_TIME(progress, "started_at", event->received_at_ms);
    wk_watched_append(progress, "watched", &nothing);
    BSON_APPEND_INT32(progress, "covered_ms", 0);
    BSON_APPEND_BOOL(progress, "quiz_answered", false);
    BSON_APPEND_INT32(progress, "score_permille", 0);
    BSON_APPEND_INT64(progress, "concluded", 0);
    BSON_APPEND_BOOL(progress, "completed", false);
    return progress;
}

static void push_session(const struct wk_event *event, struct wk_fold *fold,
                         Yizhan__V1__StudySession message)
{
    Google__Protobuf__Timestamp at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    message.heartbeat_s =
        (uint32_t)rules_of(event, fold)->heartbeat_s + WK_STUDY_HEARTBEAT_MARGIN_S;
    if (message.state == YIZHAN__V1__STUDY_SESSION_STATE__SESSION_STARTED)
        message.started_at = &at;
    member_channel(event, channel);
    wk_push(fold, channel, "study.session", &message.base, NULL);
}

static void push_started(const struct wk_event *event, struct wk_fold *fold, const char *took_over)
{
    const Yizhan__V1__StudyStarted *started = started_of(event);
    Yizhan__V1__StudySession message = YIZHAN__V1__STUDY_SESSION__INIT;

    message.session_id = started->session_id;
    message.lesson_id = started->lesson_id;
    message.version = started->version;
    message.device = started->device;
    message.state = YIZHAN__V1__STUDY_SESSION_STATE__SESSION_STARTED;
    message.took_over = (char *)(uintptr_t)took_over;
    push_session(event, fold, message);
}

/* The time that a session may claim at once: what its member's last one left, and what has passed
 * since; else a row of short sessions would be a lesson in a second. old: the last session, or
 * NULL. */
static int64_t first_budget_ms(const struct wk_event *event, const bson_t *old, int64_t grace_ms)
{
    struct wk_watched claimed;
    int64_t passed_ms, left_ms;

    if (!old)
        return grace_ms;
    wk_watched_read(old, "claimed", &claimed);
    passed_ms = event->received_at_ms - wk_document_time_ms(old, "progress_at");
    left_ms = wk_document_number(old, "budget_ms") + (passed_ms > 0 ? passed_ms : 0) -
              wk_watched_ms(&claimed);
    if (left_ms < 0)
        return 0;
    return left_ms < grace_ms ? left_ms : grace_ms;
}

static void apply_started(const struct wk_event *event, struct wk_fold *fold)
{
    const struct wk_study_step step = first_step(event);
    const struct yz_actor *actor = &event->env->actor;
    const bson_t *lesson = get_lesson(event, fold);
    char id[WK_ID_MAX], took_over[YZ_ID_MAX];
    int64_t budget_ms;

    if (!lesson)
        return;
    budget_ms =
        first_budget_ms(event, wk_study_session(event, fold), rules_of(event, fold)->grace_ms);
    snprintf(took_over, sizeof took_over, "%s", taken_over(event, wk_study_session(event, fold)));
    push_started(event, fold, took_over);
    session_id(event, step.session_id, id);
    wk_put(fold, WK_STUDY_SESSIONS, id, new_begun(event));
    wk_study_member_id(id, actor->tenant, actor->member);
    wk_put(fold, WK_STUDY_MEMBERS, id,
           new_session(event, wk_document_number(lesson, "duration_ms"), took_over, budget_ms));
    if (wk_study_progress(event, &step, fold))
        return;
    wk_study_progress_id(id, actor->tenant, actor->member, step.lesson_id, step.version);
    wk_put(fold, WK_STUDY_PROGRESS, id, new_progress(event, fold, lesson));
}

/* progressed */

static const Yizhan__V1__StudyProgressed *progressed_of(const struct wk_event *event)
{
    return (const Yizhan__V1__StudyProgressed *)event->payload;
}

static struct wk_study_step progressed_step(const struct wk_event *event)
{
    const Yizhan__V1__StudyProgressed *p = progressed_of(event);

    return (struct wk_study_step){p->session_id, p->seq, p->lesson_id, p->version};
}

static void needs_progressed(const struct wk_event *event, struct wk_needs *needs)
{
    const struct wk_study_step step = progressed_step(event);

    wk_study_step_needs(event, &step, needs);
}

static uint32_t rate_of(const struct wk_event *event)
{
    return progressed_of(event)->rate_permille ? progressed_of(event)->rate_permille : RATE_NORMAL;
}

/* The media time that the session may have seen by now. */
static int64_t budget_ms(const struct wk_event *event, const bson_t *session)
{
    int64_t wall_ms = event->received_at_ms - wk_document_time_ms(session, "progress_at");

    return wk_document_number(session, "budget_ms") +
           (wall_ms > 0 ? wall_ms : 0) * (int64_t)rate_of(event) / 1000;
}

/* What the document's field says, and what the event adds; false: more parts than anybody's. */
static bool add_intervals(const struct wk_event *event, const bson_t *document, const char *field,
                          struct wk_watched *watched)
{
    const Yizhan__V1__StudyProgressed *p = progressed_of(event);

    wk_watched_read(document, field, watched);
    for (size_t i = 0; i < p->n_intervals; i++) {
        if (!wk_watched_add(watched, p->intervals[i]->from_ms, p->intervals[i]->to_ms))
            return false;
    }
    return true;
}

static struct wk_study_result result_of(const bson_t *progress, const struct wk_watched *watched)
{
    return (struct wk_study_result){
        .covered_ms = wk_watched_ms(watched),
        .quiz_answered = flag_of(progress, "quiz_answered"),
        .score_permille = (uint32_t)wk_document_number(progress, "score_permille"),
    };
}

static enum yz_err judge_bounds(const struct wk_event *event, const bson_t *session,
                                struct wk_fold *fold, struct yz_violation *v)
{
    const Yizhan__V1__StudyProgressed *p = progressed_of(event);
    char field[YZ_FIELD_MAX];

    if (rate_of(event) > rules_of(event, fold)->rate_max_permille)
        return yz_violate(v, YZ_INVALID_VALUE, "ratePermille", "Nothing is watched so fast.");
    for (size_t i = 0; i < p->n_intervals; i++) {
        if ((int64_t)p->intervals[i]->to_ms <= wk_document_number(session, "duration_ms"))
            continue;
        snprintf(field, sizeof field, "intervals[%zu]", i);
        return yz_violate(v, YZ_INVALID_VALUE, field, "The interval ends behind the lesson.");
    }
    return YZ_OK;
}

/* Sooner than the heartbeat only what ends the session, or the lesson. */
static bool is_early(const struct wk_event *event, const bson_t *session, struct wk_fold *fold,
                     const bson_t *progress, const struct wk_watched *watched)
{
    const struct wk_study_result result = result_of(progress, watched);

    if (progressed_of(event)->last ||
        event->received_at_ms - wk_document_time_ms(session, "progress_at") >=
            rules_of(event, fold)->heartbeat_s * 1000)
        return false;
    return wk_document_number(progress, "concluded") != 0 ||
           !wk_study_is_complete(progress, &result);
}

static enum yz_err judge_progressed(const struct wk_event *event, struct wk_fold *fold,
                                    struct yz_violation *v)
{
    const struct wk_study_step step = progressed_step(event);
    const bson_t *session = wk_study_session(event, fold);
    const bson_t *progress = wk_study_progress(event, &step, fold);
    struct wk_watched claimed, watched;

    if (wk_study_step_judge(event, &step, fold, v) || judge_bounds(event, session, fold, v))
        return v->err;
    if (!progress)
        return yz_violate(v, YZ_NOT_FOUND, "lessonId", "There is no such lesson.");
    if (!add_intervals(event, session, "claimed", &claimed) ||
        !add_intervals(event, progress, "watched", &watched))
        return yz_violate(v, YZ_TOO_MANY, "intervals", "What was watched is in too many pieces.");
    if ((int64_t)wk_watched_ms(&claimed) > budget_ms(event, session))
        return yz_violate(v, YZ_TOO_FAST, "intervals", NULL);
    if (is_early(event, session, fold, progress, &watched))
        return yz_violate(v, YZ_HEARTBEAT_EARLY, "seq", NULL);
    return YZ_OK;
}

static void put_session(const struct wk_event *event, struct wk_fold *fold, const bson_t *session)
{
    const struct yz_actor *actor = &event->env->actor;
    bson_t *changed = copy_session(session, event, progressed_of(event)->seq);
    struct wk_watched claimed;
    char id[WK_ID_MAX];

    (void)add_intervals(event, session, "claimed", &claimed);
    BSON_APPEND_DATE_TIME(changed, "progress_at", event->received_at_ms);
    BSON_APPEND_INT64(changed, "budget_ms", budget_ms(event, session));
    wk_watched_append(changed, "claimed", &claimed);
    BSON_APPEND_BOOL(changed, "ended", progressed_of(event)->last);
    wk_study_member_id(id, actor->tenant, actor->member);
    wk_put(fold, WK_STUDY_MEMBERS, id, changed);
}

static void push_ended(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__StudyProgressed *p = progressed_of(event);
    Yizhan__V1__StudySession message = YIZHAN__V1__STUDY_SESSION__INIT;

    message.session_id = p->session_id;
    message.lesson_id = p->lesson_id;
    message.version = p->version;
    message.state = YIZHAN__V1__STUDY_SESSION_STATE__SESSION_ENDED;
    push_session(event, fold, message);
}

static void apply_progressed(const struct wk_event *event, struct wk_fold *fold)
{
    const struct wk_study_step step = progressed_step(event);
    const bson_t *session = wk_study_session(event, fold);
    const bson_t *progress = wk_study_progress(event, &step, fold);
    struct wk_study_result result;
    struct wk_watched watched;

    if (!session || !progress)
        return;
    if (progressed_of(event)->last)
        push_ended(event, fold);
    (void)add_intervals(event, progress, "watched", &watched);
    result = result_of(progress, &watched);
    wk_study_put_progress(event, fold, &step, &watched, &result);
    /* On a replay another session may have begun since. */
    if (is_session(session, step.session_id))
        put_session(event, fold, session);
}

static const struct wk_event_handler events[] = {
    {"study.started", needs_started, judge_started, apply_started},
    {"study.progressed", needs_progressed, judge_progressed, apply_progressed},
    {"study.quiz_answered", wk_study_needs_quiz, wk_study_judge_quiz, wk_study_apply_quiz},
    {"study.completed", wk_study_needs_completed, wk_study_judge_always, wk_study_apply_completed},
    {"study.credited", wk_study_needs_credited, wk_study_judge_always, wk_study_apply_credited},
    {0},
};

/* Who of a branch has completed a lesson, by member. All else is found by _id, or a range of it. */
static const struct wk_index progress_indexes[] = {
    {.name = "by_branch",
     .keys = "{\"tenant\": 1, \"org_path\": 1, \"lesson_id\": 1, \"version\": 1, \"completed\": 1, "
             "\"member\": 1}"},
    {0},
};

static const struct wk_index hours_indexes[] = {
    {.name = "by_year", .keys = "{\"tenant\": 1, \"member\": 1, \"year\": 1, \"sequence\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_STUDY_MEMBERS, NULL},
    {WK_STUDY_SESSIONS, NULL},
    {WK_STUDY_PROGRESS, progress_indexes},
    {WK_STUDY_HOURS, hours_indexes},
    {WK_STUDY_SOURCES, NULL},
    {0},
};

const struct wk_domain wk_domain_study = {"study", events, wk_study_queries, collections};
