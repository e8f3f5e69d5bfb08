/* Names and titles, of whatever domain. */
#include "tests/schemas/sample.h"

#include "schemas/check.h"
#include "schemas/text.h"

/* Every field of an event that is a name or a title; "@@" is it. */
static const struct {
    const char *type, *field, *good;
} named[] = {
    {"notice.published", "title",
     "{\"noticeId\":\"n1\",\"orgPath\":\"g1\",\"noticeClass\":\"INFO\",\"title\":\"@@\"}"},
    {"lesson.scheduled", "title",
     "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_LECTURE\",\"title\":"
     "\"@@\",\"content\":{\"blocks\":[{\"text\":\"t\"}],\"readingMs\":1000}}"},
    {"meeting.convened", "title",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"kind\":\"GROUP\",\"title\":\"@@\",\"startsAt\":"
     "\"2026-03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\",\"roster\":[\"u1\"]}"},
    {"meeting.convened", "place",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"kind\":\"GROUP\",\"title\":\"t\",\"place\":"
     "\"@@\",\"startsAt\":\"2026-03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\","
     "\"roster\":[\"u1\"]}"},
    {"meeting.changed", "title",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"revision\":2,\"title\":\"@@\",\"startsAt\":"
     "\"2026-03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\"}"},
    {"meeting.changed", "place",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"revision\":2,\"title\":\"t\",\"place\":\"@@\","
     "\"startsAt\":\"2026-03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\"}"},
    {"org.founded", "name",
     "{\"orgPath\":\"g1\",\"name\":\"@@\",\"kind\":\"BRANCH\",\"basis\":\"b\"}"},
    {"org.renamed", "name", "{\"orgPath\":\"g1\",\"name\":\"@@\",\"basis\":\"b\"}"},
    {"member.registered", "file.name",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"file\":{\"name\":\"@@\",\"kind\":\"FULL\"},"
     "\"basis\":\"b\"}"},
    {"member.registered", "file.education",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"file\":{\"name\":\"n\",\"kind\":\"FULL\","
     "\"education\":\"@@\"},\"basis\":\"b\"}"},
    {"member.registered", "file.position",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"file\":{\"name\":\"n\",\"kind\":\"FULL\","
     "\"position\":\"@@\"},\"basis\":\"b\"}"},
    {"member.changed", "file.name",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"revision\":2,\"fields\":[\"FIELD_NAME\"],\"file\":"
     "{\"name\":\"@@\"},\"basis\":\"b\"}"},
};

/* As JSON texts. */
static const char *const refused[] = {
    " ",           "   ",        "\\t",       "　　",        "\\u00a0",
    "\\u200b",     " \\ufeff　", "\\n",       "a\\nb",       "a\\r\\nb",
    "三会\\n一课", "张三\\n",    "\\t张三",   "张\\u0001三", "张\\u001b[31m三",
    "张三\\u007f", "a\\u0085b",  "a\\u2028b", "a\\u2029b",
};
static const char *const taken[] = {
    "张三", "阿卜杜拉·买买提", "第一支部 （机关）", "  张三 ", "J. Smith", "👨‍👩‍👧",
    "é",    "a\\u00a0b",
};

static void expect(size_t at, const char *name, enum yz_err wanted)
{
    const struct yz_event_type *type = yz_event_type_find(named[at].type, NULL);
    char *json = sample_replace(named[at].good, "@@", name);
    struct yz_violation v = {0};
    enum yz_err err = type->check(sample_json(type->payload, json), &v);

    if (err != wanted)
        fail_msg("%s: %s instead of %s", json, yz_err_code(err), yz_err_code(wanted));
    if (err)
        assert_violation(&v, wanted, named[at].field);
    free(json);
}

static void every_name_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(named); i++) {
        for (size_t k = 0; k < COUNT(refused); k++)
            expect(i, refused[k], YZ_INVALID_VALUE);
        for (size_t k = 0; k < COUNT(taken); k++)
            expect(i, taken[k], YZ_OK);
    }
}

static void what_is_missing_or_too_long_is_told_as_such(void **state)
{
    struct yz_violation v = {0};

    (void)state;
    assert_int_equal(yz_check_name("", 4, "title", &v), YZ_MISSING_FIELD);
    assert_int_equal(yz_check_optional_name("", 4, "place", &v), YZ_OK);
    assert_int_equal(yz_check_name("三会一课", 4, "title", &v), YZ_OK);
    assert_int_equal(yz_check_name("\n三会一课", 4, "title", &v), YZ_TOO_LONG);
    assert_string_equal(v.field, "title");
    assert_int_equal(yz_check_name(" ", 4, "title", &v), YZ_INVALID_VALUE);
    assert_string_equal(v.text, "There are only blanks in it.");
    assert_int_equal(yz_check_name("a\nb", 4, "title", &v), YZ_INVALID_VALUE);
    assert_string_equal(v.text, "It is one line, without control characters.");
}

/* What is no name keeps its lines. */
static void texts_keep_their_lines(void **state)
{
    static const char notice[] = "{\"noticeId\":\"n1\",\"orgPath\":\"g1\",\"noticeClass\":\"INFO\","
                                 "\"title\":\"t\",\"body\":\"一\\n\\n\\t二\\r\\n\"}";
    static const char post[] = "{\"orgPath\":\"g1\",\"threadId\":\"t1\",\"messageId\":\"x1\","
                               "\"text\":\"一\\n二\"}";
    static const char minutes[] = "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"revision\":1,"
                                  "\"text\":\"一\\n二\"}";
    static const struct {
        const char *type, *json;
    } texts[] = {
        {"notice.published", notice}, {"thread.posted", post}, {"meeting.minutes_filed", minutes}};
    struct yz_violation v = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct yz_event_type *type = yz_event_type_find(texts[i].type, NULL);

        assert_int_equal(type->check(sample_json(type->payload, texts[i].json), &v), YZ_OK);
    }
}

static void code_points_are_told_apart(void **state)
{
    (void)state;
    assert_true(yz_text_blank("") && yz_text_one_line(""));
    assert_true(yz_text_blank(" \t\n\u00a0\u1680\u2003\u202f\u205f\u3000\u200b\ufeff"));
    assert_true(!yz_text_blank("\u3001") && !yz_text_blank("\u2010") && !yz_text_blank("\u00a1"));
    assert_true(!yz_text_blank("\U00020000"));
    assert_true(yz_text_one_line("\u00a0\u3000\u200b\u202a\U0001F600"));
    assert_false(yz_text_one_line("a\xc2\x80"));
    assert_false(yz_text_one_line("a\xc2\x9f"));
    assert_false(yz_text_one_line("\x7f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(every_name_is_checked),
        cmocka_unit_test(what_is_missing_or_too_long_is_told_as_such),
        sample_test(texts_keep_their_lines),
        cmocka_unit_test(code_points_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
