/* Names, titles and texts, of whatever domain. */
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

/* Every field of an event that is a text of several lines; "@@" is it. */
static const struct {
    const char *type, *field, *good;
} texts[] = {
    {"notice.published", "body",
     "{\"noticeId\":\"n1\",\"orgPath\":\"g1\",\"noticeClass\":\"INFO\",\"title\":\"t\",\"body\":\"@"
     "@\"}"},
    {"notice.recalled", "reason", "{\"noticeId\":\"n1\",\"reason\":\"@@\"}"},
    {"thread.posted", "text",
     "{\"orgPath\":\"g1\",\"threadId\":\"t1\",\"messageId\":\"x1\",\"text\":\"@@\"}"},
    {"thread.edited", "text",
     "{\"orgPath\":\"g1\",\"threadId\":\"t1\",\"sequence\":\"7\",\"text\":\"@@\"}"},
    {"thread.hidden", "reason",
     "{\"orgPath\":\"g1\",\"threadId\":\"t1\",\"sequence\":\"7\",\"reason\":\"@@\"}"},
    {"thread.flagged", "reason",
     "{\"orgPath\":\"g1\",\"threadId\":\"t1\",\"sequence\":\"7\",\"reason\":\"@@\"}"},
    {"meeting.changed", "reason",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"revision\":2,\"title\":\"t\",\"startsAt\":\"2026-"
     "03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\",\"reason\":\"@@\"}"},
    {"meeting.cancelled", "reason", "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"reason\":\"@@\"}"},
    {"meeting.vote_opened", "motion",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"voteId\":\"v1\",\"kind\":\"ORDINARY_VOTE\","
     "\"motion\":\"@@\"}"},
    {"meeting.minutes_filed", "text",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"revision\":1,\"text\":\"@@\"}"},
    {"checkin.recorded", "reason",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"method\":\"MANUAL\",\"member\":\"u1\",\"witness\":"
     "\"u2\",\"reason\":\"@@\"}"},
    {"checkin.leave_requested", "reason",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"leaveClass\":\"SICK_LEAVE\",\"reason\":\"@@\"}"},
    {"checkin.leave_decided", "note",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"member\":\"u1\",\"note\":\"@@\"}"},
    {"checkin.corrected", "reason",
     "{\"orgPath\":\"g1\",\"meetingId\":\"m1\",\"member\":\"u1\",\"state\":\"ABSENT\",\"reason\":"
     "\"@@\"}"},
    {"org.founded", "basis",
     "{\"orgPath\":\"g1\",\"name\":\"n\",\"kind\":\"BRANCH\",\"basis\":\"@@\"}"},
    {"org.renamed", "basis", "{\"orgPath\":\"g1\",\"name\":\"n\",\"basis\":\"@@\"}"},
    {"org.moved", "basis", "{\"orgPath\":\"g1/a\",\"to\":\"g1/b\",\"basis\":\"@@\"}"},
    {"org.dissolved", "basis", "{\"orgPath\":\"g1\",\"basis\":\"@@\"}"},
    {"member.registered", "basis",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"file\":{\"name\":\"n\",\"kind\":\"FULL\"},"
     "\"basis\":\"@@\"}"},
    {"member.changed", "basis",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"revision\":2,\"newOrgPath\":\"g2\",\"basis\":\"@@"
     "\"}"},
    {"member.archived", "reason",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"revision\":2,\"reason\":\"@@\",\"basis\":\"b\"}"},
    {"member.archived", "basis",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"revision\":2,\"reason\":\"r\",\"basis\":\"@@\"}"},
    {"member.key_deleted", "basis",
     "{\"orgPath\":\"g1\",\"memberId\":\"m1\",\"revision\":2,\"basis\":\"@@\"}"},
    {"lesson.scheduled", "content.blocks[0].text",
     "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_TIP\",\"title\":\"t\","
     "\"content\":{\"blocks\":[{\"text\":\"@@\"}],\"readingMs\":1000}}"},
    {"lesson.scheduled", "content.questions[0].text",
     "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_TIP\",\"title\":\"t\","
     "\"content\":{\"blocks\":[{\"text\":\"t\"}],\"readingMs\":1000,\"questions\":[{\"text\":\"@@"
     "\",\"choices\":[\"a\",\"b\"]}]},\"answers\":[{\"choices\":[0]}]}"},
    {"lesson.scheduled", "content.questions[0].choices[1]",
     "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"kind\":\"MICRO_TIP\",\"title\":\"t\","
     "\"content\":{\"blocks\":[{\"text\":\"t\"}],\"readingMs\":1000,\"questions\":[{\"text\":\"q\","
     "\"choices\":[\"a\",\"@@\"]}]},\"answers\":[{\"choices\":[0]}]}"},
    {"lesson.withdrawn", "reason",
     "{\"orgPath\":\"g1\",\"lessonId\":\"l1\",\"version\":1,\"reason\":\"@@\"}"},
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

static const char *const blank[] = {
    " ",
    "\\n",
    "\\t\\r\\n ",
    "　　",
    "\\u200b\\u200d",
    "\\u202e\\u2066",
    "\\u3164",
    "\\u2800\\ufe0f",
};
static const char *const readable[] = {
    "一\\n\\n\\t二\\r\\n", "。", "\\n\\n0", "❤️", "\\u202eab", "👨‍👩‍👧",
};

static void expect(const char *type_name, const char *field, const char *good, const char *name,
                   enum yz_err wanted)
{
    const struct yz_event_type *type = yz_event_type_find(type_name, NULL);
    char *json = sample_replace(good, "@@", name);
    struct yz_violation v = {0};
    enum yz_err err = type->check(sample_json(type->payload, json), &v);

    if (err != wanted)
        fail_msg("%s: %s instead of %s", json, yz_err_code(err), yz_err_code(wanted));
    if (err)
        assert_violation(&v, wanted, field);
    free(json);
}

static void every_name_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(named); i++) {
        for (size_t k = 0; k < COUNT(refused); k++)
            expect(named[i].type, named[i].field, named[i].good, refused[k], YZ_INVALID_VALUE);
        for (size_t k = 0; k < COUNT(taken); k++)
            expect(named[i].type, named[i].field, named[i].good, taken[k], YZ_OK);
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

/* What is no name keeps its lines, but somebody must see something in it. */
static void every_text_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t k = 0; k < COUNT(blank); k++)
            expect(texts[i].type, texts[i].field, texts[i].good, blank[k], YZ_INVALID_VALUE);
        for (size_t k = 0; k < COUNT(readable); k++)
            expect(texts[i].type, texts[i].field, texts[i].good, readable[k], YZ_OK);
    }
}

static void a_purpose_says_something(void **state)
{
    static const char *const queries[][2] = {
        {"member.get", "{\"memberId\":\"m1\",\"purpose\":\"@@\"}"},
        {"complaint.get", "{\"complaintId\":\"c1\",\"purpose\":\"@@\"}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(queries); i++) {
        const struct yz_query_type *type = yz_query_type_find(queries[i][0], NULL);

        for (size_t k = 0; k < COUNT(blank); k++) {
            char *json = sample_replace(queries[i][1], "@@", blank[k]);
            struct yz_violation v = {0};

            assert_int_equal(type->check(sample_json(type->request, json), &v), YZ_INVALID_VALUE);
            assert_violation(&v, YZ_INVALID_VALUE, "purpose");
            free(json);
        }
    }
}

/* What a person said before there was a look at blanks is credited as it was said. */
static void what_was_said_before_is_credited(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("study.credited", NULL);
    const char *json = "{\"member\":\"m1\",\"sourceKind\":\"ATTENDED_MEETING\",\"source\":\"s\","
                       "\"orgPath\":\"g1\",\"endedAt\":\"2026-03-01T08:00:00Z\",\"revision\":\"7\","
                       "\"reason\":\" \"}";
    struct yz_violation v = {0};

    (void)state;
    assert_int_equal(type->check(sample_json(type->payload, json), &v), YZ_OK);
}

static void code_points_are_told_apart(void **state)
{
    (void)state;
    assert_true(yz_text_blank("") && yz_text_one_line(""));
    assert_true(yz_text_blank(" \t\n\u00a0\u1680\u2003\u202f\u205f\u3000\u200b\ufeff"));
    assert_true(!yz_text_blank("\u3001") && !yz_text_blank("\u2010") && !yz_text_blank("\u00a1"));
    assert_true(!yz_text_blank("\U00020000"));
    assert_true(yz_text_blank("\u061c\u115f\u202a\u2069\u2800\u3164\uffa0\U000e0041"));
    assert_true(!yz_text_blank("\u1161") && !yz_text_blank("\u2801") && !yz_text_blank("\ufffc"));
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
        sample_test(every_text_is_checked),
        sample_test(a_purpose_says_something),
        sample_test(what_was_said_before_is_credited),
        cmocka_unit_test(code_points_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
