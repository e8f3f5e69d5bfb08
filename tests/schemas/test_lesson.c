#include "tests/schemas/sample.h"

#include "schemas/lesson.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char scheduled[] =
    "{\"orgPath\":\"g1/c1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_LECTURE\","
    "\"title\":\"微党课\",\"content\":{\"blocks\":[{\"text\":\"学\"},"
    "{\"image\":{\"sha256\":\"" HASH_A "\",\"bytes\":\"9000\",\"mime\":\"image/png\"}},"
    "{\"video\":{\"sha256\":\"" HASH_B "\",\"bytes\":\"700000\",\"mime\":\"video/mp4\","
    "\"durationMs\":240000,\"description\":\"片\"}}],\"readingMs\":60000,"
    "\"questions\":[{\"text\":\"问\",\"choices\":[\"甲\",\"乙\"]}],"
    "\"completion\":{\"by\":\"COVERED_AND_SCORE\",\"coveredPermille\":900,\"scorePermille\":600}},"
    "\"answers\":[{\"choices\":[1]}],\"releaseAt\":\"2026-03-01T00:00:00Z\"}";

#define Z4096 Z512 Z512 Z512 Z512 Z512 Z512 Z512 Z512
#define Z512  Z64 Z64 Z64 Z64 Z64 Z64 Z64 Z64

static const struct refusal of_scheduled[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1", "g1//c1", YZ_INVALID_VALUE, "orgPath"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"l1\"", "\"l|1\"", YZ_INVALID_VALUE, "lessonId"},
    {"\"version\":1", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"\"version\":1", "\"version\":10000", YZ_OK, ""},
    {"\"version\":1", "\"version\":10001", YZ_INVALID_VALUE, "version"},
    {"\"kind\":\"MICRO_LECTURE\",", "", YZ_MISSING_FIELD, "kind"},
    {"\"MICRO_LECTURE\"", "77", YZ_INVALID_VALUE, "kind"},
    {"微党课", "", YZ_MISSING_FIELD, "title"},
    {"微党课", Z64, YZ_OK, ""},
    {"微党课", Z64 "a", YZ_TOO_LONG, "title"},
    {"{\"text\":\"学\"}", "{}", YZ_MISSING_FIELD, "content.blocks[0]"},
    {"{\"text\":\"学\"}", "{\"text\":\"\"}", YZ_MISSING_FIELD, "content.blocks[0].text"},
    {"\"学\"", "\"" Z4096 "\"", YZ_TOO_LONG, "content.blocks[0].text"},
    {HASH_A, "", YZ_MISSING_FIELD, "content.blocks[1].image.sha256"},
    {HASH_A, HASH_A "a", YZ_INVALID_VALUE, "content.blocks[1].image.sha256"},
    {"\"aaa", "\"Aaa", YZ_INVALID_VALUE, "content.blocks[1].image.sha256"},
    {"\"9000\"", "\"0\"", YZ_MISSING_FIELD, "content.blocks[1].image.bytes"},
    {"\"9000\"", "\"209715201\"", YZ_INVALID_VALUE, "content.blocks[1].image.bytes"},
    {"image/png", "", YZ_MISSING_FIELD, "content.blocks[1].image.mime"},
    {"image/png", "video/mp4", YZ_INVALID_VALUE, "content.blocks[1].image.mime"},
    {"image/png", "image/", YZ_INVALID_VALUE, "content.blocks[1].image.mime"},
    {"image/png", "image/p ng", YZ_INVALID_VALUE, "content.blocks[1].image.mime"},
    {"\"image/png\"", "\"image/png\",\"durationMs\":5", YZ_INVALID_VALUE,
     "content.blocks[1].image.durationMs"},
    {"\"durationMs\":240000", "\"durationMs\":0", YZ_MISSING_FIELD,
     "content.blocks[2].video.durationMs"},
    {"\"durationMs\":240000", "\"durationMs\":300001", YZ_INVALID_VALUE,
     "content.blocks[2].video.durationMs"},
    {"\"durationMs\":240000", "\"durationMs\":240001", YZ_TOO_LONG, "content"},
    {"\"readingMs\":60000", "\"readingMs\":60001", YZ_TOO_LONG, "content"},
    {"\"readingMs\":60000", "\"readingMs\":0", YZ_OK, ""},
    {"片", Z64 Z64 Z64 Z8, YZ_OK, ""},
    {"片", Z64 Z64 Z64 Z8 "a", YZ_TOO_LONG, "content.blocks[2].video.description"},
    {HASH_B, HASH_A, YZ_INVALID_VALUE, "content.blocks[2]"},
    {"问", "", YZ_MISSING_FIELD, "content.questions[0].text"},
    {"问", Z512, YZ_TOO_LONG, "content.questions[0].text"},
    {"[\"甲\",\"乙\"]", "[\"甲\"]", YZ_MISSING_FIELD, "content.questions[0].choices"},
    {"[\"甲\",\"乙\"]", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", YZ_TOO_MANY,
     "content.questions[0].choices"},
    {"\"乙\"", "\"\"", YZ_MISSING_FIELD, "content.questions[0].choices[1]"},
    {"\"乙\"", "\"" Z64 Z64 Z64 Z8 "a\"", YZ_TOO_LONG, "content.questions[0].choices[1]"},
    {"\"answers\":[{\"choices\":[1]}]", "\"answers\":[]", YZ_MISSING_FIELD, "answers"},
    {"[{\"choices\":[1]}]", "[{\"choices\":[1]},{\"choices\":[0]}]", YZ_TOO_MANY, "answers"},
    {"[{\"choices\":[1]}]", "[{\"choices\":[]}]", YZ_MISSING_FIELD, "answers[0].choices"},
    {"[{\"choices\":[1]}]", "[{\"choices\":[2]}]", YZ_INVALID_VALUE, "answers[0].choices[0]"},
    {"[{\"choices\":[1]}]", "[{\"choices\":[1,0]}]", YZ_OK, ""},
    {"[{\"choices\":[1]}]", "[{\"choices\":[1,1]}]", YZ_INVALID_VALUE, "answers[0].choices[1]"},
    {"\"COVERED_AND_SCORE\"", "9", YZ_INVALID_VALUE, "content.completion.by"},
    {"\"COVERED_AND_SCORE\"", "\"COVERED\"", YZ_OK, ""},
    {"\"coveredPermille\":900", "\"coveredPermille\":1001", YZ_INVALID_VALUE,
     "content.completion.coveredPermille"},
    {"\"scorePermille\":600", "\"scorePermille\":1001", YZ_INVALID_VALUE,
     "content.completion.scorePermille"},
    {"2026-03-01T00:00:00Z", "0001-01-01T00:00:00Z", YZ_OK, ""},
    {",\"releaseAt\":\"2026-03-01T00:00:00Z\"", "", YZ_OK, ""},
};

static void scheduled_is_checked(void **state)
{
    (void)state;
    assert_contract("lesson.scheduled", scheduled, of_scheduled, COUNT(of_scheduled));
}

/* A lesson of these blocks, and no quiz. */
static enum yz_err check_content(const char *content, struct yz_violation *v)
{
    static char json[4 << 20];
    const struct yz_event_type *type = yz_event_type_find("lesson.scheduled", NULL);

    memset(v, 0, sizeof *v);
    snprintf(json, sizeof json,
             "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_TIP\","
             "\"title\":\"t\"%s}",
             content);
    return type->check(sample_json(type->payload, json), v);
}

static void content_is_not_empty(void **state)
{
    struct yz_violation v;

    (void)state;
    check_content("", &v);
    assert_violation(&v, YZ_MISSING_FIELD, "content");
    check_content(",\"content\":{\"readingMs\":1}", &v);
    assert_violation(&v, YZ_MISSING_FIELD, "content.blocks");
    check_content(",\"content\":{\"blocks\":[{\"text\":\"t\"}]}", &v);
    assert_violation(&v, YZ_MISSING_FIELD, "content.readingMs");
    check_content(",\"content\":{\"blocks\":[{\"text\":\"t\"}],\"readingMs\":1,"
                  "\"completion\":{\"by\":\"QUIZ_SCORE\"}}",
                  &v);
    assert_violation(&v, YZ_INVALID_VALUE, "content.completion.by");
}

/* `count` texts of `each` characters, the first of which can be seen. */
static enum yz_err check_texts(size_t count, size_t each, char c, struct yz_violation *v)
{
    static char content[2 << 20];
    size_t len = (size_t)snprintf(content, sizeof content, ",\"content\":{\"blocks\":[");

    for (size_t i = 0; i < count; i++) {
        len +=
            (size_t)snprintf(content + len, sizeof content - len, "%s{\"text\":\"a", i ? "," : "");
        for (size_t k = 1; k < each; k++)
            len += (size_t)snprintf(content + len, sizeof content - len, c < ' ' ? "\\u%04x" : "%c",
                                    c);
        len += (size_t)snprintf(content + len, sizeof content - len, "\"}");
    }
    snprintf(content + len, sizeof content - len, "],\"readingMs\":1}");
    return check_content(content, v);
}

static void blocks_are_counted(void **state)
{
    struct yz_violation v;

    (void)state;
    assert_int_equal(check_texts(64, 1, 'a', &v), YZ_OK);
    check_texts(65, 1, 'a', &v);
    assert_violation(&v, YZ_TOO_MANY, "content.blocks");
}

/* 64 texts of 4,000 fit as letters, and not as characters that JSON writes with six. */
static void bundle_has_a_maximum(void **state)
{
    struct yz_violation v;

    (void)state;
    assert_int_equal(check_texts(64, 4000, 'a', &v), YZ_OK);
    assert_int_equal(check_texts(10, 4000, '\1', &v), YZ_OK);
    check_texts(11, 4000, '\1', &v);
    assert_violation(&v, YZ_TOO_LONG, "content");
}

static void media_are_listed_once(void **state)
{
    Yizhan__V1__LessonContent *content = sample_json(
        &yizhan__v1__lesson_content__descriptor,
        "{\"blocks\":[{\"image\":{\"sha256\":\"a\"}},{\"text\":\"t\"},"
        "{\"audio\":{\"sha256\":\"b\",\"durationMs\":7}},{\"image\":{\"sha256\":\"a\"}},"
        "{\"audio\":{\"sha256\":\"b\",\"durationMs\":7}}],\"readingMs\":5}");
    Yizhan__V1__LessonMedia *media[YZ_LESSON_BLOCKS_MAX];

    (void)state;
    assert_int_equal(yz_lesson_media(content, media), 2);
    assert_string_equal(media[0]->sha256, "a");
    assert_string_equal(media[1]->sha256, "b");
    /* Heard twice, it lasts twice. */
    assert_int_equal(yz_lesson_duration_ms(content), 19);
}

static const struct refusal of_withdrawn[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"version\":1", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"误", Z64 Z64 Z64 Z8 "a", YZ_TOO_LONG, "reason"},
    {"误", "", YZ_OK, ""},
};

static void withdrawn_is_checked(void **state)
{
    (void)state;
    assert_contract("lesson.withdrawn",
                    "{\"orgPath\":\"g1/c1\",\"lessonId\":\"l1\",\"version\":1,\"reason\":\"误\"}",
                    of_withdrawn, COUNT(of_withdrawn));
}

static void released_is_the_systems(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("lesson.released", NULL);
    static const struct refusal cases[] = {
        {"g1", "", YZ_MISSING_FIELD, "orgPath"},
        {"l1", "", YZ_MISSING_FIELD, "lessonId"},
        {"2", "0", YZ_MISSING_FIELD, "version"},
    };

    (void)state;
    assert_contract("lesson.released", "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":2}",
                    cases, COUNT(cases));
    assert_int_equal(type->authority, YZ_BY_SYSTEM);
}

static const struct refusal of_feed[] = {
    {"100", "101", YZ_INVALID_VALUE, "limit"},
    {"100", "0", YZ_OK, ""},
    {"\"MICRO_TIP\"", "0", YZ_OK, ""},
    {"\"MICRO_TIP\"", "9", YZ_INVALID_VALUE, "kind"},
};
static const struct refusal of_get[] = {
    {"l1", "", YZ_MISSING_FIELD, "lessonId"},
    {"l1", "l.1", YZ_INVALID_VALUE, "lessonId"},
    {"3", "0", YZ_OK, ""},
    {"3", "10001", YZ_INVALID_VALUE, "version"},
};

static void queries_are_checked(void **state)
{
    static const char *const names[] = {"lesson.get", "lesson.bundle"};

    (void)state;
    assert_contract("lesson.feed", "{\"kind\":\"MICRO_TIP\",\"limit\":100}", of_feed,
                    COUNT(of_feed));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_contract(names[i], "{\"lessonId\":\"l1\",\"version\":3}", of_get, COUNT(of_get));
}

/* All versions of a lesson are one aggregate: one supersedes another. */
static void aggregate_is_the_lesson(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("lesson.scheduled", NULL);
    const struct yz_actor actor = {"t1", "s1", "g1/c1/b1", "member"};
    ProtobufCMessage *message = sample_json(type->payload, scheduled);
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    type->aggregate(message, &actor, aggregate);
    assert_string_equal(aggregate, "lesson|l1");
    assert_string_equal(type->org_path(message), "g1/c1");
    assert_int_equal(type->authority, YZ_BY_SECRETARY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(scheduled_is_checked),    sample_test(content_is_not_empty),
        sample_test(blocks_are_counted),      sample_test(bundle_has_a_maximum),
        sample_test(media_are_listed_once),   sample_test(withdrawn_is_checked),
        sample_test(released_is_the_systems), sample_test(queries_are_checked),
        sample_test(aggregate_is_the_lesson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
