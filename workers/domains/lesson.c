/* Short lessons (微党课 · 微党史 · 微感悟 · 微提示): what events do to the versions of a lesson.
 * Its queries stand in lesson_query.c.
 *
 * A release is a row of the outbox. There is no taking it back: when it comes due, it counts if the
 * version still waits for this revision's release, and has no effect else. A version knows of the
 * next one (they are counted without gaps), so each decision looks at documents that only move
 * forward: a replay decides alike. */
#include "workers/domains/lesson.h"

#include "common/memory.h"
#include "schemas/lesson.h"
#include "workers/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELEASE_WITHIN_MS (INT64_C(366) * 24 * 3600 * 1000)

/* All events begin with the lesson they are about (schemas/lesson.c asserts it). */
static const Yizhan__V1__LessonReleased *ref_of(const struct wk_event *event)
{
    return (const Yizhan__V1__LessonReleased *)event->payload;
}

void wk_lesson_id(char out[WK_ID_MAX], const char *tenant, const char *lesson_id)
{
    wk_id(out, tenant, lesson_id, NULL);
}

void wk_lesson_version_id(char out[WK_ID_MAX], const char *tenant, const char *lesson_id,
                          uint32_t version)
{
    char number[16];

    snprintf(number, sizeof number, "%u", version);
    wk_id(out, tenant, lesson_id, number, NULL);
}

Yizhan__V1__LessonState wk_lesson_state(const bson_t *version)
{
    return (Yizhan__V1__LessonState)wk_document_enum(version, "state",
                                                     &yizhan__v1__lesson_state__descriptor);
}

const uint8_t *wk_lesson_content(const bson_t *version, uint32_t *len)
{
    return wk_document_bytes(version, "content", len);
}

static const char *state_name(Yizhan__V1__LessonState state)
{
    return wk_document_enum_name(&yizhan__v1__lesson_state__descriptor, (int)state);
}

static void version_id(const struct wk_event *event, uint32_t version, char out[WK_ID_MAX])
{
    wk_lesson_version_id(out, event->env->actor.tenant, ref_of(event)->lesson_id, version);
}

static const bson_t *get_version(const struct wk_event *event, struct wk_fold *fold,
                                 uint32_t version)
{
    char id[WK_ID_MAX];

    version_id(event, version, id);
    return wk_get(fold, WK_LESSON_VERSIONS, id);
}

static bool is_of_org(const struct wk_event *event, const bson_t *version)
{
    return strcmp(wk_document_text(version, "org_path"), ref_of(event)->org_path) == 0;
}

static void org_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX])
{
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};

    snprintf(channel.org_path, sizeof channel.org_path, "%s", ref_of(event)->org_path);
    yz_channel_name(&channel, out);
}

static void needs_scheduled(const struct wk_event *event, struct wk_needs *needs)
{
    uint32_t version = ref_of(event)->version;
    char id[WK_ID_MAX];

    version_id(event, version, id);
    wk_need_own(needs, WK_LESSON_VERSIONS, id);
    if (version > 1) {
        version_id(event, version - 1, id);
        wk_need_own(needs, WK_LESSON_VERSIONS, id);
    }
}

static enum yz_err refuse_elsewhere(struct yz_violation *v)
{
    return yz_violate(v, YZ_EXISTS, "lessonId", "A lesson of another org has this id.");
}

/* What can no longer be scheduled, and why. */
static enum yz_err refuse_state(const bson_t *version, struct yz_violation *v)
{
    switch (wk_lesson_state(version)) {
    case YIZHAN__V1__LESSON_STATE__LESSON_RELEASED:
        return yz_violate(v, YZ_LESSON_RELEASED, "version", NULL);
    case YIZHAN__V1__LESSON_STATE__LESSON_WITHDRAWN:
        return yz_violate(v, YZ_LESSON_WITHDRAWN, "version", NULL);
    case YIZHAN__V1__LESSON_STATE__LESSON_SUPERSEDED:
        return yz_violate(v, YZ_LESSON_SUPERSEDED, "version", NULL);
    default:
        return YZ_OK;
    }
}

static enum yz_err judge_again(const struct wk_event *event, const bson_t *version,
                               struct yz_violation *v)
{
    enum yz_err err;

    if (!is_of_org(event, version))
        return refuse_elsewhere(v);
    err = refuse_state(version, v);
    if (err)
        return err;
    if ((int64_t)ref_of(event)->revision <= wk_document_number(version, "revision"))
        return yz_violate(v, YZ_EXISTS, "revision",
                          "This revision, or a later one, is scheduled already.");
    return YZ_OK;
}

static enum yz_err judge_first(const struct wk_event *event, struct wk_fold *fold,
                               struct yz_violation *v)
{
    uint32_t version = ref_of(event)->version;
    const bson_t *before = version > 1 ? get_version(event, fold, version - 1) : NULL;

    if (version > 1 && !before)
        return yz_violate(v, YZ_NOT_FOUND, "version",
                          "Versions are counted 1, 2, 3: there is none before this one.");
    return before && !is_of_org(event, before) ? refuse_elsewhere(v) : YZ_OK;
}

static enum yz_err judge_scheduled(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const Yizhan__V1__LessonScheduled *lesson = (const Yizhan__V1__LessonScheduled *)event->payload;
    const bson_t *version = get_version(event, fold, lesson->version);
    enum yz_err err = version ? judge_again(event, version, v) : judge_first(event, fold, v);

    if (err)
        return err;
    if (lesson->release_at &&
        wk_timestamp_ms(lesson->release_at) > event->received_at_ms + RELEASE_WITHIN_MS)
        return yz_violate(v, YZ_INVALID_VALUE, "releaseAt", "The release is within 366 days.");
    return YZ_OK;
}

static void append_content(bson_t *version, const Yizhan__V1__LessonContent *content)
{
    size_t len = protobuf_c_message_get_packed_size(&content->base);
    uint8_t *packed = yz_malloc(len + 1);

    protobuf_c_message_pack(&content->base, packed);
    BSON_APPEND_BINARY(version, "content", BSON_SUBTYPE_BINARY, packed, (uint32_t)len);
    free(packed);
}

static void append_answers(bson_t *version, const Yizhan__V1__LessonScheduled *lesson)
{
    bson_t list;

    BSON_APPEND_ARRAY_BEGIN(version, "answers", &list);
    for (size_t i = 0; i < lesson->n_answers; i++) {
        const Yizhan__V1__LessonAnswer *answer = lesson->answers[i];
        char buffer[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        uint32_t right = 0;

        for (size_t c = 0; c < answer->n_choices; c++)
            right |= 1U << answer->choices[c];
        bson_append_int32(&list, key, (int)len, (int32_t)right);
    }
    bson_append_array_end(version, &list);
}

static int64_t release_at_ms(const struct wk_event *event,
                             const Yizhan__V1__LessonScheduled *lesson)
{
    int64_t at_ms = lesson->release_at ? wk_timestamp_ms(lesson->release_at) : 0;

    return at_ms > event->received_at_ms ? at_ms : event->received_at_ms;
}

static bson_t *new_version(const struct wk_event *event, const Yizhan__V1__LessonScheduled *lesson)
{
    bson_t *version = bson_new();

    BSON_APPEND_UTF8(version, "org_path", lesson->org_path);
    BSON_APPEND_UTF8(version, "lesson_id", lesson->lesson_id);
    BSON_APPEND_INT32(version, "version", (int32_t)lesson->version);
    BSON_APPEND_INT64(version, "revision", (int64_t)lesson->revision);
    BSON_APPEND_UTF8(
        version, "kind",
        wk_document_enum_name(&yizhan__v1__lesson_kind__descriptor, (int)lesson->kind));
    BSON_APPEND_UTF8(version, "title", lesson->title);
    append_content(version, lesson->content);
    append_answers(version, lesson);
    BSON_APPEND_INT32(version, "duration_ms", (int32_t)yz_lesson_duration_ms(lesson->content));
    BSON_APPEND_INT32(version, "question_count", (int32_t)lesson->content->n_questions);
    BSON_APPEND_DATE_TIME(version, "release_at", release_at_ms(event, lesson));
    BSON_APPEND_UTF8(version, "scheduled_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(version, "scheduled_at", event->received_at_ms);
    BSON_APPEND_UTF8(version, "state", state_name(YIZHAN__V1__LESSON_STATE__LESSON_SCHEDULED));
    return version;
}

/* A copy without what is about to be written, and without what the frame sets. */
#define COPY_WITHOUT(document, copy, ...)                                                          \
    bson_copy_to_excluding_noinit(document, copy, "_id", "tenant", "evt_seq", "evt_first",         \
                                  __VA_ARGS__, NULL)

static void put_state(const struct wk_event *event, struct wk_fold *fold, const bson_t *version,
                      uint32_t number, Yizhan__V1__LessonState state)
{
    bson_t *changed = bson_new();
    char id[WK_ID_MAX];

    COPY_WITHOUT(version, changed, "state");
    BSON_APPEND_UTF8(changed, "state", state_name(state));
    version_id(event, number, id);
    wk_put(fold, WK_LESSON_VERSIONS, id, changed);
}

/* The version before that still waits will not be released: this one comes in its stead. */
static void supersede_waiting(const struct wk_event *event, struct wk_fold *fold, uint32_t version)
{
    const bson_t *before = version > 1 ? get_version(event, fold, version - 1) : NULL;

    if (before && wk_lesson_state(before) == YIZHAN__V1__LESSON_STATE__LESSON_SCHEDULED)
        put_state(event, fold, before, version - 1, YIZHAN__V1__LESSON_STATE__LESSON_SUPERSEDED);
}

static void apply_scheduled(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__LessonScheduled *lesson = (const Yizhan__V1__LessonScheduled *)event->payload;
    Yizhan__V1__LessonReleased released = YIZHAN__V1__LESSON_RELEASED__INIT;
    char id[WK_ID_MAX];

    version_id(event, lesson->version, id);
    wk_put(fold, WK_LESSON_VERSIONS, id, new_version(event, lesson));
    supersede_waiting(event, fold, lesson->version);
    released.org_path = lesson->org_path;
    released.lesson_id = lesson->lesson_id;
    released.version = lesson->version;
    released.revision = lesson->revision;
    wk_later(fold, 0, release_at_ms(event, lesson), "lesson.released", &released.base);
}

static void needs_lesson(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    version_id(event, ref_of(event)->version, id);
    wk_need_own(needs, WK_LESSON_VERSIONS, id);
    wk_lesson_id(id, event->env->actor.tenant, ref_of(event)->lesson_id);
    wk_need_own(needs, WK_LESSONS, id);
}

/* What is moot when it comes due has no effect; that is no mistake of anybody's. */
static enum yz_err judge_released(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

/* The version waits for this release, or had it from this very event (a replay). */
static bool is_due(const struct wk_event *event, const bson_t *version)
{
    if (wk_document_number(version, "sequence") == (int64_t)event->sequence)
        return true;
    return wk_lesson_state(version) == YIZHAN__V1__LESSON_STATE__LESSON_SCHEDULED &&
           wk_document_number(version, "revision") == (int64_t)ref_of(event)->revision;
}

static bson_t *new_head(const struct wk_event *event, const bson_t *version)
{
    bson_t *head = bson_new();

    BSON_APPEND_UTF8(head, "org_path", wk_document_text(version, "org_path"));
    BSON_APPEND_UTF8(head, "lesson_id", wk_document_text(version, "lesson_id"));
    BSON_APPEND_INT32(head, "version", (int32_t)wk_document_number(version, "version"));
    BSON_APPEND_UTF8(head, "kind", wk_document_text(version, "kind"));
    BSON_APPEND_UTF8(head, "title", wk_document_text(version, "title"));
    BSON_APPEND_INT32(head, "duration_ms", (int32_t)wk_document_number(version, "duration_ms"));
    BSON_APPEND_INT32(head, "question_count",
                      (int32_t)wk_document_number(version, "question_count"));
    BSON_APPEND_DATE_TIME(head, "release_at", wk_document_time_ms(version, "release_at"));
    BSON_APPEND_DATE_TIME(head, "released_at", event->received_at_ms);
    BSON_APPEND_INT64(head, "sequence", (int64_t)event->sequence);
    BSON_APPEND_UTF8(head, "state", state_name(YIZHAN__V1__LESSON_STATE__LESSON_RELEASED));
    return head;
}

static void push_released(const struct wk_event *event, struct wk_fold *fold, const bson_t *version)
{
    Yizhan__V1__LessonSummary summary = YIZHAN__V1__LESSON_SUMMARY__INIT;
    Google__Protobuf__Timestamp released_at = wk_timestamp(event->received_at_ms);
    char channel[YZ_CHANNEL_MAX];

    summary.org_path = ref_of(event)->org_path;
    summary.lesson_id = ref_of(event)->lesson_id;
    summary.version = ref_of(event)->version;
    summary.kind = (Yizhan__V1__LessonKind)wk_document_enum(version, "kind",
                                                            &yizhan__v1__lesson_kind__descriptor);
    summary.title = (char *)(uintptr_t)wk_document_text(version, "title");
    summary.duration_ms = (uint32_t)wk_document_number(version, "duration_ms");
    summary.question_count = (uint32_t)wk_document_number(version, "question_count");
    summary.released_at = &released_at;
    summary.sequence = event->sequence;
    org_channel(event, channel);
    wk_push(fold, channel, "lesson.released", &summary.base, NULL);
}

static void apply_released(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *version = get_version(event, fold, ref_of(event)->version);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!version || !is_due(event, version))
        return;
    push_released(event, fold, version);
    wk_lesson_id(id, event->env->actor.tenant, ref_of(event)->lesson_id);
    wk_put(fold, WK_LESSONS, id, new_head(event, version));
    changed = bson_new();
    COPY_WITHOUT(version, changed, "state", "released_at", "sequence");
    BSON_APPEND_UTF8(changed, "state", state_name(YIZHAN__V1__LESSON_STATE__LESSON_RELEASED));
    BSON_APPEND_DATE_TIME(changed, "released_at", event->received_at_ms);
    BSON_APPEND_INT64(changed, "sequence", (int64_t)event->sequence);
    version_id(event, ref_of(event)->version, id);
    wk_put(fold, WK_LESSON_VERSIONS, id, changed);
}

static enum yz_err judge_withdrawn(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const bson_t *version = get_version(event, fold, ref_of(event)->version);

    if (!version || !is_of_org(event, version))
        return yz_violate(v, YZ_NOT_FOUND, "lessonId", "There is no such lesson.");
    switch (wk_lesson_state(version)) {
    case YIZHAN__V1__LESSON_STATE__LESSON_SCHEDULED:
    case YIZHAN__V1__LESSON_STATE__LESSON_RELEASED:
        return YZ_OK;
    default:
        return refuse_state(version, v);
    }
}

/* Only what was seen is told to be gone. */
static void push_withdrawn(const struct wk_event *event, struct wk_fold *fold,
                           const Yizhan__V1__LessonWithdrawn *withdrawn)
{
    Yizhan__V1__LessonGone gone = YIZHAN__V1__LESSON_GONE__INIT;
    char channel[YZ_CHANNEL_MAX];

    gone.org_path = withdrawn->org_path;
    gone.lesson_id = withdrawn->lesson_id;
    gone.version = withdrawn->version;
    gone.reason = withdrawn->reason;
    org_channel(event, channel);
    wk_push(fold, channel, "lesson.withdrawn", &gone.base, NULL);
}

/* The feed loses the lesson when it shows this version; an earlier one does not come back. */
static void withdraw_head(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];
    const bson_t *head;
    bson_t *changed;

    wk_lesson_id(id, event->env->actor.tenant, ref_of(event)->lesson_id);
    head = wk_get(fold, WK_LESSONS, id);
    if (!head || wk_document_number(head, "version") != (int64_t)ref_of(event)->version)
        return;
    changed = bson_new();
    COPY_WITHOUT(head, changed, "state");
    BSON_APPEND_UTF8(changed, "state", state_name(YIZHAN__V1__LESSON_STATE__LESSON_WITHDRAWN));
    wk_put(fold, WK_LESSONS, id, changed);
}

static void apply_withdrawn(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__LessonWithdrawn *withdrawn =
        (const Yizhan__V1__LessonWithdrawn *)event->payload;
    const bson_t *version = get_version(event, fold, withdrawn->version);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!version)
        return;
    if (wk_document_number(version, "sequence") != 0)
        push_withdrawn(event, fold, withdrawn);
    withdraw_head(event, fold);
    changed = bson_new();
    COPY_WITHOUT(version, changed, "state", "withdrawn_by", "withdrawn_at", "reason");
    BSON_APPEND_UTF8(changed, "state", state_name(YIZHAN__V1__LESSON_STATE__LESSON_WITHDRAWN));
    BSON_APPEND_UTF8(changed, "withdrawn_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(changed, "withdrawn_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "reason", withdrawn->reason);
    version_id(event, withdrawn->version, id);
    wk_put(fold, WK_LESSON_VERSIONS, id, changed);
}

static const struct wk_event_handler events[] = {
    {"lesson.scheduled", needs_scheduled, judge_scheduled, apply_scheduled},
    {"lesson.released", needs_lesson, judge_released, apply_released},
    {"lesson.withdrawn", needs_lesson, judge_withdrawn, apply_withdrawn},
    {0},
};

/* The feed of an org, all kinds or one, by the sequence of the release. */
static const struct wk_index lessons_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"state\": 1, \"sequence\": 1}"},
    {.name = "by_kind",
     .keys = "{\"tenant\": 1, \"org_path\": 1, \"state\": 1, \"kind\": 1, \"sequence\": 1}"},
    {0},
};

/* Versions are found by _id. */
static const struct wk_collection collections[] = {
    {WK_LESSONS, lessons_indexes},
    {WK_LESSON_VERSIONS, NULL},
    {0},
};

const struct wk_domain wk_domain_lesson = {"lesson", events, wk_lesson_queries, collections};
