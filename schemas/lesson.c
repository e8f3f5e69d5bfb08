#include "schemas/lesson.h"

#include "schemas/buf.h"
#include "schemas/check.h"
#include "schemas/codec.h"
#include "schemas/contract.h"

#include <stdio.h>
#include <string.h>

#define VERSION_MAX     10000
#define TITLE_MAX       64
#define TEXT_MAX        4000
#define MEDIA_BYTES_MAX 209715200
#define MIME_MAX        80
#define DESCRIPTION_MAX 200
#define QUESTION_MAX    500
#define CHOICE_MAX      200
#define REASON_MAX      200
#define FEED_MAX        100
/* What a bundle holds beside content and media list: ids, path, title, times. */
#define SUMMARY_BYTES 4096

const Yizhan__V1__LessonMedia *yz_lesson_block_media(const Yizhan__V1__LessonBlock *block)
{
    switch (block->content_case) {
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_IMAGE:
        return block->image;
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_AUDIO:
        return block->audio;
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_VIDEO:
        return block->video;
    default:
        return NULL;
    }
}

uint64_t yz_lesson_duration_ms(const Yizhan__V1__LessonContent *content)
{
    uint64_t duration_ms = content->reading_ms;

    for (size_t i = 0; i < content->n_blocks; i++) {
        const Yizhan__V1__LessonMedia *media = yz_lesson_block_media(content->blocks[i]);

        duration_ms += media ? media->duration_ms : 0;
    }
    return duration_ms;
}

size_t yz_lesson_media(const Yizhan__V1__LessonContent *content,
                       Yizhan__V1__LessonMedia *media[YZ_LESSON_BLOCKS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < content->n_blocks && count < YZ_LESSON_BLOCKS_MAX; i++) {
        const Yizhan__V1__LessonMedia *of_block = yz_lesson_block_media(content->blocks[i]);
        size_t at = 0;

        while (of_block && at < count && strcmp(media[at]->sha256, of_block->sha256) != 0)
            at++;
        if (of_block && at == count)
            media[count++] = (Yizhan__V1__LessonMedia *)(uintptr_t)of_block;
    }
    return count;
}

/* What is inside of field `outer`, as the field of v says it from there. */
static enum yz_err within(const char *outer, size_t index, struct yz_violation *v)
{
    char whole[2 * YZ_FIELD_MAX];

    snprintf(whole, sizeof whole, "%s[%zu]%s%s", outer, index, *v->field ? "." : "", v->field);
    snprintf(v->field, sizeof v->field, "%.*s", YZ_FIELD_MAX - 1, whole);
    return v->err;
}

static enum yz_err check_number(uint64_t value, uint64_t high, const char *field,
                                struct yz_violation *v)
{
    char told[YZ_TEXT_MAX];

    if (value == 0)
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (value <= high)
        return YZ_OK;
    snprintf(told, sizeof told, "The value must lie from 1 to %llu.", (unsigned long long)high);
    return yz_violate(v, YZ_INVALID_VALUE, field, told);
}

static enum yz_err check_hash(const char *sha256, const char *field, struct yz_violation *v)
{
    if (*sha256 == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)
        return yz_violate(v, YZ_INVALID_VALUE, field, "A hash is 64 digits of 0-9 a-f.");
    return YZ_OK;
}

/* "image/png": the block's kind, and a name as RFC 6838 has them. */
static enum yz_err check_mime(const char *mime, const char *kind, const char *field,
                              struct yz_violation *v)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&-^_.+";
    size_t len = strlen(kind);

    if (*mime == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (strncmp(mime, kind, len) != 0 || mime[len] != '/' || mime[len + 1] == '\0' ||
        mime[len + 1 + strspn(mime + len + 1, allowed)] != '\0' || strlen(mime) > MIME_MAX)
        return yz_violate(v, YZ_INVALID_VALUE, field, "The media type is not one of this block.");
    return YZ_OK;
}

static enum yz_err check_media(const Yizhan__V1__LessonMedia *media, const char *kind,
                               struct yz_violation *v)
{
    bool lasts = strcmp(kind, "image") != 0;
    char sha256[32], bytes[32], mime[32], duration[32], description[32];
    enum yz_err err;

    snprintf(sha256, sizeof sha256, "%s.sha256", kind);
    snprintf(bytes, sizeof bytes, "%s.bytes", kind);
    snprintf(mime, sizeof mime, "%s.mime", kind);
    snprintf(duration, sizeof duration, "%s.durationMs", kind);
    snprintf(description, sizeof description, "%s.description", kind);
    if ((err = check_hash(media->sha256, sha256, v)) ||
        (err = check_number(media->bytes, MEDIA_BYTES_MAX, bytes, v)) ||
        (err = check_mime(media->mime, kind, mime, v)))
        return err;
    if (lasts && (err = check_number(media->duration_ms, YZ_LESSON_DURATION_MAX_MS, duration, v)))
        return err;
    if (!lasts && media->duration_ms != 0)
        return yz_violate(v, YZ_INVALID_VALUE, duration, "A picture has no duration.");
    return yz_check_optional_text(media->description, DESCRIPTION_MAX, description, v);
}

static enum yz_err check_block(const Yizhan__V1__LessonBlock *block, struct yz_violation *v)
{
    switch (block->content_case) {
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_TEXT:
        return yz_check_text(block->text, TEXT_MAX, "text", v);
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_IMAGE:
        return check_media(block->image, "image", v);
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_AUDIO:
        return check_media(block->audio, "audio", v);
    case YIZHAN__V1__LESSON_BLOCK__CONTENT_VIDEO:
        return check_media(block->video, "video", v);
    default:
        return yz_violate(v, YZ_MISSING_FIELD, "", NULL);
    }
}

/* A hash names its bytes: said twice, it says the same. */
static enum yz_err check_same_media(const Yizhan__V1__LessonContent *content,
                                    struct yz_violation *v)
{
    Yizhan__V1__LessonMedia *media[YZ_LESSON_BLOCKS_MAX];
    size_t count = yz_lesson_media(content, media);

    for (size_t i = 0; i < content->n_blocks; i++) {
        const Yizhan__V1__LessonMedia *of_block = yz_lesson_block_media(content->blocks[i]);

        for (size_t at = 0; of_block && at < count; at++) {
            if (strcmp(media[at]->sha256, of_block->sha256) != 0 ||
                (media[at]->bytes == of_block->bytes &&
                 media[at]->duration_ms == of_block->duration_ms &&
                 strcmp(media[at]->mime, of_block->mime) == 0))
                continue;
            yz_violate(v, YZ_INVALID_VALUE, "",
                       "Another block says something else of the media of this hash.");
            return within("content.blocks", i, v);
        }
    }
    return YZ_OK;
}

static enum yz_err check_blocks(const Yizhan__V1__LessonContent *content, struct yz_violation *v)
{
    uint64_t duration_ms = yz_lesson_duration_ms(content);

    if (content->n_blocks == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "content.blocks", NULL);
    if (content->n_blocks > YZ_LESSON_BLOCKS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "content.blocks", NULL);
    for (size_t i = 0; i < content->n_blocks; i++) {
        if (check_block(content->blocks[i], v))
            return within("content.blocks", i, v);
    }
    if (duration_ms == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "content.readingMs",
                          "A lesson without sound or film says how long it takes to read.");
    if (duration_ms > YZ_LESSON_DURATION_MAX_MS)
        return yz_violate(v, YZ_TOO_LONG, "content", "A lesson lasts at most 300,000 ms.");
    return check_same_media(content, v);
}

static enum yz_err check_question(const Yizhan__V1__LessonQuestion *question,
                                  struct yz_violation *v)
{
    enum yz_err err = yz_check_text(question->text, QUESTION_MAX, "text", v);

    if (err)
        return err;
    if (question->n_choices < 2)
        return yz_violate(v, YZ_MISSING_FIELD, "choices", "A question has two choices or more.");
    if (question->n_choices > YZ_LESSON_CHOICES_MAX)
        return yz_violate(v, YZ_TOO_MANY, "choices", NULL);
    for (size_t i = 0; i < question->n_choices; i++) {
        if (yz_check_text(question->choices[i], CHOICE_MAX, "", v))
            return within("choices", i, v);
    }
    return YZ_OK;
}

static enum yz_err check_answer(const Yizhan__V1__LessonAnswer *answer,
                                const Yizhan__V1__LessonQuestion *question, struct yz_violation *v)
{
    uint32_t met = 0;

    if (answer->n_choices == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "choices", NULL);
    for (size_t i = 0; i < answer->n_choices; i++) {
        uint32_t choice = answer->choices[i];

        if (choice >= question->n_choices || (met >> choice & 1)) {
            yz_violate(v, YZ_INVALID_VALUE, "", "There is no such choice, or it stands twice.");
            return within("choices", i, v);
        }
        met |= 1U << choice;
    }
    return YZ_OK;
}

static enum yz_err check_quiz(const Yizhan__V1__LessonScheduled *scheduled, struct yz_violation *v)
{
    const Yizhan__V1__LessonContent *content = scheduled->content;

    if (content->n_questions > YZ_LESSON_QUESTIONS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "content.questions", NULL);
    for (size_t i = 0; i < content->n_questions; i++) {
        if (check_question(content->questions[i], v))
            return within("content.questions", i, v);
    }
    if (scheduled->n_answers < content->n_questions)
        return yz_violate(v, YZ_MISSING_FIELD, "answers", "Each question has its answer.");
    if (scheduled->n_answers > content->n_questions)
        return yz_violate(v, YZ_TOO_MANY, "answers", "There are more answers than questions.");
    for (size_t i = 0; i < scheduled->n_answers; i++) {
        if (check_answer(scheduled->answers[i], content->questions[i], v))
            return within("answers", i, v);
    }
    return YZ_OK;
}

static enum yz_err check_completion(const Yizhan__V1__LessonContent *content,
                                    struct yz_violation *v)
{
    const Yizhan__V1__LessonCompletion *completion = content->completion;
    enum yz_err err;

    if (!completion)
        return YZ_OK;
    if (completion->by != YIZHAN__V1__LESSON_COMPLETED_BY__LESSON_COMPLETED_BY_UNSPECIFIED &&
        (err = yz_check_enum(&yizhan__v1__lesson_completed_by__descriptor, (int)completion->by,
                             "content.completion.by", v)))
        return err;
    if ((completion->by == YIZHAN__V1__LESSON_COMPLETED_BY__QUIZ_SCORE ||
         completion->by == YIZHAN__V1__LESSON_COMPLETED_BY__COVERED_AND_SCORE) &&
        content->n_questions == 0)
        return yz_violate(v, YZ_INVALID_VALUE, "content.completion.by",
                          "A lesson without questions has no score.");
    if ((err = yz_check_range(completion->covered_permille, 1, 1000,
                              "content.completion.coveredPermille", v)))
        return err;
    return yz_check_range(completion->score_permille, 1, 1000, "content.completion.scorePermille",
                          v);
}

/* In the longer of the two encodings, which is JSON. */
static enum yz_err check_bundle_size(const Yizhan__V1__LessonContent *content,
                                     struct yz_violation *v)
{
    Yizhan__V1__LessonMedia *media[YZ_LESSON_BLOCKS_MAX];
    Yizhan__V1__LessonBundleReply bundle = YIZHAN__V1__LESSON_BUNDLE_REPLY__INIT;
    struct yz_buf buf;
    enum yz_err err;

    bundle.content = (Yizhan__V1__LessonContent *)(uintptr_t)content;
    bundle.media = media;
    bundle.n_media = yz_lesson_media(content, media);
    yz_buf_init(&buf, YZ_LESSON_BUNDLE_MAX_BYTES - SUMMARY_BYTES);
    err = yz_json_encode(&bundle.base, NULL, &buf);
    yz_buf_deinit(&buf);
    if (err)
        return yz_violate(v, YZ_TOO_LONG, "content",
                          "The lesson's bundle would be larger than 262,144 bytes.");
    return YZ_OK;
}

static enum yz_err check_named(const char *org_path, const char *lesson_id, uint32_t version,
                               struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_org_path(org_path, "orgPath", v)) ||
        (err = yz_check_id(lesson_id, "lessonId", v)))
        return err;
    return check_number(version, VERSION_MAX, "version", v);
}

static enum yz_err check_scheduled(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonScheduled *lesson = (const Yizhan__V1__LessonScheduled *)message;
    enum yz_err err;

    if ((err = check_named(lesson->org_path, lesson->lesson_id, lesson->version, v)) ||
        (err = yz_check_enum(&yizhan__v1__lesson_kind__descriptor, (int)lesson->kind, "kind", v)) ||
        (err = yz_check_name(lesson->title, TITLE_MAX, "title", v)))
        return err;
    if (!lesson->content)
        return yz_violate(v, YZ_MISSING_FIELD, "content", NULL);
    if ((err = check_blocks(lesson->content, v)) || (err = check_quiz(lesson, v)) ||
        (err = check_completion(lesson->content, v)) ||
        (err = yz_check_optional_time(lesson->release_at, "releaseAt", v)))
        return err;
    return check_bundle_size(lesson->content, v);
}

static enum yz_err check_released(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonReleased *released = (const Yizhan__V1__LessonReleased *)message;

    return check_named(released->org_path, released->lesson_id, released->version, v);
}

static enum yz_err check_withdrawn(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonWithdrawn *withdrawn = (const Yizhan__V1__LessonWithdrawn *)message;
    enum yz_err err = check_named(withdrawn->org_path, withdrawn->lesson_id, withdrawn->version, v);

    return err ? err : yz_check_optional_text(withdrawn->reason, REASON_MAX, "reason", v);
}

/* All events begin with the lesson they are about. */
struct lesson_ref {
    ProtobufCMessage base;
    char *org_path;
    char *lesson_id;
    uint32_t version;
};
#define BEGINS_WITH_LESSON(type)                                                                   \
    _Static_assert(offsetof(type, org_path) == offsetof(struct lesson_ref, org_path) &&            \
                       offsetof(type, lesson_id) == offsetof(struct lesson_ref, lesson_id) &&      \
                       offsetof(type, version) == offsetof(struct lesson_ref, version),            \
                   #type " begins with org_path, lesson_id and version")
BEGINS_WITH_LESSON(Yizhan__V1__LessonScheduled);
BEGINS_WITH_LESSON(Yizhan__V1__LessonReleased);
BEGINS_WITH_LESSON(Yizhan__V1__LessonWithdrawn);

static const char *org_of_lesson(const ProtobufCMessage *message)
{
    return ((const struct lesson_ref *)message)->org_path;
}

static void aggregate_of_lesson(const ProtobufCMessage *message, const struct yz_actor *actor,
                                char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "lesson|%s", ((const struct lesson_ref *)message)->lesson_id);
}

static enum yz_err check_feed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonFeedRequest *request = (const Yizhan__V1__LessonFeedRequest *)message;

    if (request->kind != YIZHAN__V1__LESSON_KIND__LESSON_KIND_UNSPECIFIED) {
        enum yz_err err =
            yz_check_enum(&yizhan__v1__lesson_kind__descriptor, (int)request->kind, "kind", v);

        if (err)
            return err;
    }
    return yz_check_range(request->limit, 1, FEED_MAX, "limit", v);
}

static enum yz_err check_get(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonGetRequest *request = (const Yizhan__V1__LessonGetRequest *)message;
    enum yz_err err = yz_check_id(request->lesson_id, "lessonId", v);

    return err ? err : yz_check_range(request->version, 1, VERSION_MAX, "version", v);
}

static enum yz_err check_bundle(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__LessonBundleRequest *request =
        (const Yizhan__V1__LessonBundleRequest *)message;
    enum yz_err err = yz_check_id(request->lesson_id, "lessonId", v);

    return err ? err : yz_check_range(request->version, 1, VERSION_MAX, "version", v);
}

static const struct yz_event_type events[] = {
    {"lesson.scheduled", &yizhan__v1__lesson_scheduled__descriptor, YZ_BY_SECRETARY,
     check_scheduled, org_of_lesson, aggregate_of_lesson},
    {"lesson.released", &yizhan__v1__lesson_released__descriptor, YZ_BY_SYSTEM, check_released,
     org_of_lesson, aggregate_of_lesson},
    {"lesson.withdrawn", &yizhan__v1__lesson_withdrawn__descriptor, YZ_BY_SECRETARY,
     check_withdrawn, org_of_lesson, aggregate_of_lesson},
    {0},
};

static const struct yz_query_type queries[] = {
    {"lesson.feed", &yizhan__v1__lesson_feed_request__descriptor,
     &yizhan__v1__lesson_feed_reply__descriptor, YZ_BY_MEMBER, check_feed, NULL, YZ_BY_GET},
    {"lesson.get", &yizhan__v1__lesson_get_request__descriptor,
     &yizhan__v1__lesson_get_reply__descriptor, YZ_BY_MEMBER, check_get, NULL, YZ_BY_GET},
    {"lesson.bundle", &yizhan__v1__lesson_bundle_request__descriptor,
     &yizhan__v1__lesson_bundle_reply__descriptor, YZ_BY_MEMBER, check_bundle, NULL, YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"lesson.released", &yizhan__v1__lesson_summary__descriptor},
    {"lesson.withdrawn", &yizhan__v1__lesson_gone__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_lesson = {"lesson", events, queries, pushes};
