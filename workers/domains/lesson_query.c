/* The queries of the domain lesson. The answers of a quiz stand apart from the content in a
 * document and in no reply's message, so that none can hold them. */
#include "schemas/lesson.h"
#include "workers/document.h"
#include "workers/domains/lesson.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdlib.h>
#include <string.h>

#define FEED_COUNT 20
#define FEED_MAX   100

/* The newest lessons of a chain of orgs, being gathered: copies of rows, newest first. */
struct feed {
    const struct wk_query *query;
    const Yizhan__V1__LessonFeedRequest *request;
    bson_t *rows[FEED_MAX + 1];
    uint64_t sequences[FEED_MAX + 1];
    size_t count, limit;
};

/* Rows of one org come newest first: the first that is too old ends its search. */
static bool on_lesson(void *arg, const bson_t *row)
{
    struct feed *feed = arg;
    uint64_t sequence = (uint64_t)wk_document_number(row, "sequence");
    size_t at = feed->count;

    while (at > 0 && feed->sequences[at - 1] < sequence)
        at--;
    if (at == feed->limit)
        return false;
    if (feed->count == feed->limit)
        bson_destroy(feed->rows[--feed->count]);
    memmove(&feed->rows[at + 1], &feed->rows[at], (feed->count - at) * sizeof(bson_t *));
    memmove(&feed->sequences[at + 1], &feed->sequences[at], (feed->count - at) * sizeof(uint64_t));
    feed->rows[at] = bson_copy(row);
    feed->sequences[at] = sequence;
    feed->count++;
    return true;
}

/* Equality on all but the last field of by_org or by_kind, a range and the order on that. */
static enum yz_err find_lessons(struct feed *feed, const char *org_path)
{
    const Yizhan__V1__LessonFeedRequest *request = feed->request;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", feed->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", org_path);
    BSON_APPEND_UTF8(&filter, "state", "LESSON_RELEASED");
    if (request->kind != YIZHAN__V1__LESSON_KIND__LESSON_KIND_UNSPECIFIED)
        BSON_APPEND_UTF8(
            &filter, "kind",
            wk_document_enum_name(&yizhan__v1__lesson_kind__descriptor, (int)request->kind));
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "sequence", &range);
    BSON_APPEND_INT64(
        &range, "$lt",
        request->before == 0 || request->before > INT64_MAX ? INT64_MAX : (int64_t)request->before);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "sequence", -1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)feed->limit);
    err = wk_store_find(feed->query->store, WK_LESSONS, &filter, &opts, on_lesson, feed);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

/* The actor's org and those above it, innermost first: one search for each. */
static enum yz_err find_chain(struct feed *feed)
{
    char path[YZ_ORG_PATH_MAX], *slash;
    enum yz_err err;

    snprintf(path, sizeof path, "%s", feed->query->actor->org_path);
    for (;;) {
        err = find_lessons(feed, path);
        slash = strrchr(path, '/');
        if (err || !slash)
            return err;
        *slash = '\0';
    }
}

/* Its texts are borrowed from the row, which the arena holds. NULL: the arena is full. */
static Yizhan__V1__LessonSummary *read_summary(struct yz_arena *arena, const bson_t *kept)
{
    Yizhan__V1__LessonSummary *summary = yz_arena_alloc(arena, sizeof *summary);

    if (!summary)
        return NULL;
    yizhan__v1__lesson_summary__init(summary);
    summary->org_path = (char *)(uintptr_t)wk_document_text(kept, "org_path");
    summary->lesson_id = (char *)(uintptr_t)wk_document_text(kept, "lesson_id");
    summary->version = (uint32_t)wk_document_number(kept, "version");
    summary->kind = (Yizhan__V1__LessonKind)wk_document_enum(kept, "kind",
                                                             &yizhan__v1__lesson_kind__descriptor);
    summary->title = (char *)(uintptr_t)wk_document_text(kept, "title");
    summary->duration_ms = (uint32_t)wk_document_number(kept, "duration_ms");
    summary->question_count = (uint32_t)wk_document_number(kept, "question_count");
    summary->released_at = wk_timestamp_new(arena, wk_document_time_ms(kept, "released_at"));
    summary->sequence = (uint64_t)wk_document_number(kept, "sequence");
    return summary;
}

/* The feed's first `wanted` rows, fewer when the page is full before. */
static enum yz_err fill_feed(struct yz_arena *arena, const struct feed *feed, size_t wanted,
                             Yizhan__V1__LessonFeedReply *answer)
{
    size_t bytes = 0, i;

    answer->lessons = yz_arena_alloc(arena, wanted * sizeof(Yizhan__V1__LessonSummary *));
    if (!answer->lessons)
        return YZ_BUSY;
    for (i = 0; i < wanted && i < feed->count; i++) {
        bson_t kept;

        bytes += wk_document_size(feed->rows[i]);
        if (i > 0 && bytes > WK_PAGE_MAX_BYTES)
            break;
        if (!wk_document_keep(arena, feed->rows[i], &kept))
            return YZ_BUSY;
        answer->lessons[i] = read_summary(arena, &kept);
        if (!answer->lessons[i])
            return YZ_BUSY;
    }
    answer->n_lessons = i;
    answer->next_before = i > 0 && i < feed->count ? feed->sequences[i - 1] : 0;
    return YZ_OK;
}

static enum yz_err answer_feed(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__LessonFeedRequest *request =
        (const Yizhan__V1__LessonFeedRequest *)query->request;
    size_t wanted = request->limit ? request->limit : FEED_COUNT;
    Yizhan__V1__LessonFeedReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct feed feed = {.query = query, .request = request};
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__lesson_feed_reply__init(answer);
    wanted = wanted > FEED_MAX ? FEED_MAX : wanted;
    /* One more than wanted tells whether there is a next page. */
    feed.limit = wanted + 1;
    err = find_chain(&feed);
    if (!err)
        err = fill_feed(query->arena, &feed, wanted, answer);
    for (size_t i = 0; i < feed.count; i++)
        bson_destroy(feed.rows[i]);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

static enum yz_err refuse_missing(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "lessonId", "There is no such lesson.");
}

/* The document, kept in the arena. */
static enum yz_err get_kept(const struct wk_query *query, const char *collection, const char *id,
                            bson_t *kept, struct yz_violation *v)
{
    bson_t row;
    bool found;
    enum yz_err err = wk_store_get(query->store, collection, id, &row, &found);

    if (!err && !found)
        err = refuse_missing(v);
    else if (err || !wk_document_keep(query->arena, &row, kept))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

static bool may_schedule(const struct yz_actor *actor, const char *org_path)
{
    return yz_actor_has_role(actor, "secretary", org_path) ||
           yz_actor_has_role(actor, "admin", org_path);
}

/* Who must not see it learns no more than that it is not there. */
static enum yz_err judge_visible(const struct yz_actor *actor, const bson_t *version,
                                 struct yz_violation *v)
{
    const char *org_path = wk_document_text(version, "org_path");

    if (may_schedule(actor, org_path))
        return YZ_OK;
    if (wk_lesson_state(version) != YIZHAN__V1__LESSON_STATE__LESSON_RELEASED)
        return refuse_missing(v);
    if (!yz_actor_belongs(actor, org_path) && !yz_actor_has_role(actor, "inspector", org_path))
        return refuse_missing(v);
    return YZ_OK;
}

/* A lesson as it is answered. */
struct lesson {
    Yizhan__V1__LessonSummary *summary;
    Yizhan__V1__LessonContent *content;
    Yizhan__V1__LessonState state;
    bson_t version;
};

static enum yz_err decode_content(const struct wk_query *query, struct lesson *lesson,
                                  struct yz_violation *v)
{
    struct yz_violation of_content;
    ProtobufCMessage *content;
    uint32_t len;
    const uint8_t *packed = wk_lesson_content(&lesson->version, &len);

    if (!packed || yz_pb_decode(&yizhan__v1__lesson_content__descriptor, packed, len, query->arena,
                                &content, &of_content))
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    lesson->content = (Yizhan__V1__LessonContent *)content;
    return YZ_OK;
}

/* *version, or when it is 0 the one released last, which *newest is (0: none). */
static enum yz_err find_version(const struct wk_query *query, const char *lesson_id,
                                uint32_t *version, uint32_t *newest, struct yz_violation *v)
{
    char id[WK_ID_MAX];
    enum yz_err err;
    bson_t head;

    wk_lesson_id(id, query->actor->tenant, lesson_id);
    err = get_kept(query, WK_LESSONS, id, &head, v);
    if (err && err != YZ_NOT_FOUND)
        return err;
    *newest = err ? 0 : (uint32_t)wk_document_number(&head, "version");
    *version = *version ? *version : *newest;
    return *version ? YZ_OK : refuse_missing(v);
}

static enum yz_err get_lesson(const struct wk_query *query, const char *lesson_id, uint32_t version,
                              struct lesson *lesson, struct yz_violation *v)
{
    uint32_t newest;
    char id[WK_ID_MAX];
    enum yz_err err = find_version(query, lesson_id, &version, &newest, v);

    if (err)
        return err;
    wk_lesson_version_id(id, query->actor->tenant, lesson_id, version);
    if ((err = get_kept(query, WK_LESSON_VERSIONS, id, &lesson->version, v)) ||
        (err = judge_visible(query->actor, &lesson->version, v)) ||
        (err = decode_content(query, lesson, v)))
        return err;
    lesson->state = wk_lesson_state(&lesson->version);
    if (lesson->state == YIZHAN__V1__LESSON_STATE__LESSON_RELEASED && version < newest)
        lesson->state = YIZHAN__V1__LESSON_STATE__LESSON_SUPERSEDED;
    lesson->summary = read_summary(query->arena, &lesson->version);
    return lesson->summary ? YZ_OK : yz_violate(v, YZ_BUSY, NULL, NULL);
}

static enum yz_err answer_get(const struct wk_query *query, ProtobufCMessage **reply,
                              struct yz_violation *v)
{
    const Yizhan__V1__LessonGetRequest *request =
        (const Yizhan__V1__LessonGetRequest *)query->request;
    Yizhan__V1__LessonGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct lesson lesson = {0};
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = get_lesson(query, request->lesson_id, request->version, &lesson, v);
    if (err)
        return err;
    yizhan__v1__lesson_get_reply__init(answer);
    answer->summary = lesson.summary;
    answer->content = lesson.content;
    answer->state = lesson.state;
    answer->revision = (uint32_t)wk_document_number(&lesson.version, "revision");
    answer->release_at =
        wk_timestamp_new(query->arena, wk_document_time_ms(&lesson.version, "release_at"));
    *reply = &answer->base;
    return YZ_OK;
}

static enum yz_err answer_bundle(const struct wk_query *query, ProtobufCMessage **reply,
                                 struct yz_violation *v)
{
    const Yizhan__V1__LessonBundleRequest *request =
        (const Yizhan__V1__LessonBundleRequest *)query->request;
    Yizhan__V1__LessonBundleReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct lesson lesson = {0};
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = get_lesson(query, request->lesson_id, request->version, &lesson, v);
    if (err)
        return err;
    yizhan__v1__lesson_bundle_reply__init(answer);
    answer->summary = lesson.summary;
    answer->content = lesson.content;
    answer->media =
        yz_arena_alloc(query->arena, YZ_LESSON_BLOCKS_MAX * sizeof(Yizhan__V1__LessonMedia *));
    if (!answer->media)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    answer->n_media = yz_lesson_media(lesson.content, answer->media);
    *reply = &answer->base;
    return YZ_OK;
}

const struct wk_query_handler wk_lesson_queries[] = {
    {"lesson.feed", answer_feed},
    {"lesson.get", answer_get},
    {"lesson.bundle", answer_bundle},
    {0},
};
