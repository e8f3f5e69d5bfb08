#include "schemas/contract.h"

#include "schemas/check.h"

#include <stdio.h>
#include <string.h>
#include <study.pb-c.h>

#define VERSION_MAX     10000
#define INTERVALS_MAX   64
#define RATE_MIN        100
#define RATE_MAX        10000
#define QUESTIONS_MAX   20
#define CHOICES_MAX     8
#define PAGE_MAX        100
#define BRANCH_PAGE_MAX 200
#define YEAR_MIN        1970
#define YEAR_MAX        9999
#define SOURCE_MAX      400
#define DAY_MINUTES     1440
#define REASON_MAX      200

static enum yz_err check_lesson(const char *lesson_id, uint32_t version, struct yz_violation *v)
{
    enum yz_err err = yz_check_id(lesson_id, "lessonId", v);

    if (!err && version == 0)
        err = yz_violate(v, YZ_MISSING_FIELD, "version", NULL);
    return err ? err : yz_check_range(version, 1, VERSION_MAX, "version", v);
}

static void aggregate_of_actor(const ProtobufCMessage *message, const struct yz_actor *actor,
                               char out[YZ_AGGREGATE_MAX])
{
    (void)message;
    snprintf(out, YZ_AGGREGATE_MAX, "study|%s", actor->member);
}

static enum yz_err check_started(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyStarted *started = (const Yizhan__V1__StudyStarted *)message;
    enum yz_err err;

    if ((err = yz_check_id(started->session_id, "sessionId", v)) ||
        (err = check_lesson(started->lesson_id, started->version, v)))
        return err;
    return yz_check_id(started->device, "device", v);
}

/* A number of a list, as field "list[3]". */
static enum yz_err refuse_entry(const char *list, size_t index, const char *text,
                                struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];

    snprintf(field, sizeof field, "%.64s[%zu]", list, index);
    return yz_violate(v, YZ_INVALID_VALUE, field, text);
}

static enum yz_err check_step(const char *session_id, uint32_t seq, const char *lesson_id,
                              uint32_t version, struct yz_violation *v)
{
    enum yz_err err = yz_check_id(session_id, "sessionId", v);

    if (!err && seq == 0)
        err = yz_violate(v, YZ_MISSING_FIELD, "seq", NULL);
    return err ? err : check_lesson(lesson_id, version, v);
}

static enum yz_err check_progressed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyProgressed *p = (const Yizhan__V1__StudyProgressed *)message;
    enum yz_err err = check_step(p->session_id, p->seq, p->lesson_id, p->version, v);

    if (err)
        return err;
    if (p->n_intervals == 0 && !p->last)
        return yz_violate(v, YZ_MISSING_FIELD, "intervals", NULL);
    if (p->n_intervals > INTERVALS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "intervals", NULL);
    for (size_t i = 0; i < p->n_intervals; i++) {
        if (p->intervals[i]->from_ms >= p->intervals[i]->to_ms)
            return refuse_entry("intervals", i, "An interval ends behind its beginning.", v);
    }
    return yz_check_range(p->rate_permille, RATE_MIN, RATE_MAX, "ratePermille", v);
}

static enum yz_err check_choices(const Yizhan__V1__StudyQuizAnswered__Answer *answer, size_t index,
                                 struct yz_violation *v)
{
    char field[48];
    uint32_t met = 0;

    snprintf(field, sizeof field, "answers[%zu].choices", index);
    for (size_t i = 0; i < answer->n_choices; i++) {
        uint32_t choice = answer->choices[i];

        if (choice >= CHOICES_MAX || (met >> choice & 1))
            return refuse_entry(field, i, "There is no such choice, or it stands twice.", v);
        met |= 1U << choice;
    }
    return YZ_OK;
}

static enum yz_err check_quiz_answered(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyQuizAnswered *quiz = (const Yizhan__V1__StudyQuizAnswered *)message;
    enum yz_err err = check_step(quiz->session_id, quiz->seq, quiz->lesson_id, quiz->version, v);

    if (err)
        return err;
    if (quiz->n_answers == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "answers", NULL);
    if (quiz->n_answers > QUESTIONS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "answers", NULL);
    for (size_t i = 0; i < quiz->n_answers; i++) {
        if ((err = check_choices(quiz->answers[i], i, v)))
            return err;
    }
    return YZ_OK;
}

static enum yz_err check_completed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyCompleted *completed = (const Yizhan__V1__StudyCompleted *)message;
    enum yz_err err;

    if ((err = yz_check_id(completed->member, "member", v)) ||
        (err = check_lesson(completed->lesson_id, completed->version, v)) ||
        (err = yz_check_org_path(completed->org_path, "orgPath", v)))
        return err;
    if (completed->duration_ms == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "durationMs", NULL);
    return yz_check_time(completed->completed_at, "completedAt", v);
}

static const char *org_of_completed(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__StudyCompleted *)message)->org_path;
}

static void aggregate_of_completed(const ProtobufCMessage *message, const struct yz_actor *actor,
                                   char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "study|%s",
             ((const Yizhan__V1__StudyCompleted *)message)->member);
}

/* It stands in a document's id, between two bars. */
static enum yz_err check_source(const char *source, struct yz_violation *v)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-/";

    if (*source == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "source", NULL);
    if (strlen(source) > SOURCE_MAX)
        return yz_violate(v, YZ_TOO_LONG, "source", NULL);
    if (source[strspn(source, allowed)] != '\0')
        return yz_violate(v, YZ_INVALID_VALUE, "source", "A source is made of A-Z a-z 0-9 _ - /.");
    return YZ_OK;
}

/* Nothing is taken back without saying why, and as of when. */
static enum yz_err check_minutes(const Yizhan__V1__StudyCredited *credited, struct yz_violation *v)
{
    enum yz_err err;

    if (credited->minutes == 0 && credited->revision == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "minutes", NULL);
    if ((err = yz_check_range(credited->minutes, 0, DAY_MINUTES, "minutes", v)))
        return err;
    if (credited->minutes == 0 && *credited->reason == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "reason", NULL);
    /* Whether there is something to read in it was looked at when a person said it. */
    return yz_check_length(credited->reason, REASON_MAX, "reason", v);
}

static enum yz_err check_credited(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyCredited *credited = (const Yizhan__V1__StudyCredited *)message;
    enum yz_err err;

    if ((err = yz_check_id(credited->member, "member", v)) ||
        (err = yz_check_enum(&yizhan__v1__study_source__descriptor, (int)credited->source_kind,
                             "sourceKind", v)) ||
        (err = check_source(credited->source, v)) || (err = check_minutes(credited, v)) ||
        (err = yz_check_org_path(credited->org_path, "orgPath", v)))
        return err;
    return yz_check_time(credited->ended_at, "endedAt", v);
}

static const char *org_of_credited(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__StudyCredited *)message)->org_path;
}

static void aggregate_of_credited(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "study|%s",
             ((const Yizhan__V1__StudyCredited *)message)->member);
}

static enum yz_err check_progress(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyProgressRequest *request =
        (const Yizhan__V1__StudyProgressRequest *)message;
    enum yz_err err = yz_check_id(request->lesson_id, "lessonId", v);

    return err ? err : yz_check_range(request->version, 1, VERSION_MAX, "version", v);
}

static enum yz_err check_hours(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyHoursRequest *request = (const Yizhan__V1__StudyHoursRequest *)message;
    enum yz_err err = yz_check_range(request->year, YEAR_MIN, YEAR_MAX, "year", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static enum yz_err check_branch(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyBranchRequest *request = (const Yizhan__V1__StudyBranchRequest *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(request->org_path, "orgPath", v)) ||
        (err = check_lesson(request->lesson_id, request->version, v)))
        return err;
    if (*request->after && (err = yz_check_id(request->after, "after", v)))
        return err;
    return yz_check_range(request->limit, 1, BRANCH_PAGE_MAX, "limit", v);
}

static const char *org_of_branch(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__StudyBranchRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"study.started", &yizhan__v1__study_started__descriptor, YZ_BY_MEMBER, check_started, NULL,
     aggregate_of_actor},
    {"study.progressed", &yizhan__v1__study_progressed__descriptor, YZ_BY_MEMBER, check_progressed,
     NULL, aggregate_of_actor},
    {"study.quiz_answered", &yizhan__v1__study_quiz_answered__descriptor, YZ_BY_MEMBER,
     check_quiz_answered, NULL, aggregate_of_actor},
    {"study.completed", &yizhan__v1__study_completed__descriptor, YZ_BY_SYSTEM, check_completed,
     org_of_completed, aggregate_of_completed},
    {"study.credited", &yizhan__v1__study_credited__descriptor, YZ_BY_SYSTEM, check_credited,
     org_of_credited, aggregate_of_credited},
    {0},
};

static const struct yz_query_type queries[] = {
    {"study.progress", &yizhan__v1__study_progress_request__descriptor,
     &yizhan__v1__study_progress_reply__descriptor, YZ_BY_MEMBER, check_progress, NULL, YZ_BY_GET},
    {"study.hours", &yizhan__v1__study_hours_request__descriptor,
     &yizhan__v1__study_hours_reply__descriptor, YZ_BY_MEMBER, check_hours, NULL, YZ_BY_GET},
    {"study.branch", &yizhan__v1__study_branch_request__descriptor,
     &yizhan__v1__study_branch_reply__descriptor, YZ_BY_SECRETARY, check_branch, org_of_branch,
     YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"study.session", &yizhan__v1__study_session__descriptor},
    {"study.progress", &yizhan__v1__study_progress__descriptor},
    {"study.credited", &yizhan__v1__study_hours__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_study = {"study", events, queries, pushes};
