#include "tests/schemas/sample.h"

#include <study.pb-c.h>

static const char credited[] =
    "{\"member\":\"u1\",\"sourceKind\":\"ATTENDED_MEETING\",\"source\":\"g1/c1/b1/m1\","
    "\"minutes\":90,\"orgPath\":\"g1/c1/b2\",\"endedAt\":\"2026-03-01T10:00:00Z\"}";

#define A400 A64 A64 A64 A64 A64 A64 A8 A8

static const struct refusal of_credited[] = {
    {"u1", "", YZ_MISSING_FIELD, "member"},
    {"u1", "u|1", YZ_INVALID_VALUE, "member"},
    {"ATTENDED_MEETING", "STUDY_SOURCE_UNSPECIFIED", YZ_MISSING_FIELD, "sourceKind"},
    {"\"ATTENDED_MEETING\"", "99", YZ_INVALID_VALUE, "sourceKind"},
    {"g1/c1/b1/m1", "", YZ_MISSING_FIELD, "source"},
    {"g1/c1/b1/m1", "g1|m1", YZ_INVALID_VALUE, "source"},
    {"g1/c1/b1/m1", A400, YZ_OK, ""},
    {"g1/c1/b1/m1", A400 "a", YZ_TOO_LONG, "source"},
    {"90", "0", YZ_MISSING_FIELD, "minutes"},
    {"90", "1440", YZ_OK, ""},
    {"90", "0,\"revision\":\"7\"", YZ_MISSING_FIELD, "reason"},
    {"90", "0,\"revision\":\"7\",\"reason\":\"r\"", YZ_OK, ""},
    {"90", "90,\"revision\":\"7\",\"reason\":\"" A400 "\"", YZ_TOO_LONG, "reason"},
    {"90", "1441", YZ_INVALID_VALUE, "minutes"},
    {"g1/c1/b2", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b2", "g1//b2", YZ_INVALID_VALUE, "orgPath"},
    {",\"endedAt\":\"2026-03-01T10:00:00Z\"", "", YZ_MISSING_FIELD, "endedAt"},
};

static void credited_is_checked(void **state)
{
    (void)state;
    assert_contract("study.credited", credited, of_credited, COUNT(of_credited));
}

static const struct refusal of_started[] = {
    {"\"s1\"", "\"\"", YZ_MISSING_FIELD, "sessionId"},
    {"\"s1\"", "\"s|1\"", YZ_INVALID_VALUE, "sessionId"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"l1\"", "\"l.1\"", YZ_INVALID_VALUE, "lessonId"},
    {"\"version\":2", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"\"version\":2", "\"version\":10001", YZ_INVALID_VALUE, "version"},
    {"\"d1\"", "\"\"", YZ_MISSING_FIELD, "device"},
    {"\"d1\"", "\"d 1\"", YZ_INVALID_VALUE, "device"},
};

static void started_is_checked(void **state)
{
    (void)state;
    assert_contract("study.started",
                    "{\"sessionId\":\"s1\",\"lessonId\":\"l1\",\"version\":2,\"device\":\"d1\"}",
                    of_started, COUNT(of_started));
}

#define STEP "\"sessionId\":\"s1\",\"seq\":3,\"lessonId\":\"l1\",\"version\":2"
#define I8                                                                                         \
    "{\"toMs\":1},{\"toMs\":1},{\"toMs\":1},{\"toMs\":1},{\"toMs\":1},{\"toMs\":1},{\"toMs\":1},{" \
    "\"toMs\":1}"
#define I64 I8 "," I8 "," I8 "," I8 "," I8 "," I8 "," I8 "," I8

static const struct refusal of_progressed[] = {
    {"\"s1\"", "\"\"", YZ_MISSING_FIELD, "sessionId"},
    {"\"seq\":3", "\"seq\":0", YZ_MISSING_FIELD, "seq"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"version\":2", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"[{\"toMs\":60000},{\"fromMs\":70000,\"toMs\":80000}]", "[]", YZ_MISSING_FIELD, "intervals"},
    {"[{\"toMs\":60000},{\"fromMs\":70000,\"toMs\":80000}]", "[],\"last\":true", YZ_OK, ""},
    {"[{\"toMs\":60000},{\"fromMs\":70000,\"toMs\":80000}]", "[" I64 "]", YZ_OK, ""},
    {"[{\"toMs\":60000},{\"fromMs\":70000,\"toMs\":80000}]", "[" I64 ",{\"toMs\":1}]", YZ_TOO_MANY,
     "intervals"},
    {"{\"toMs\":60000}", "{\"toMs\":0}", YZ_INVALID_VALUE, "intervals[0]"},
    {"\"fromMs\":70000", "\"fromMs\":80000", YZ_INVALID_VALUE, "intervals[1]"},
    {"\"fromMs\":70000", "\"fromMs\":90000", YZ_INVALID_VALUE, "intervals[1]"},
    {"2000", "0", YZ_OK, ""},
    {"2000", "99", YZ_INVALID_VALUE, "ratePermille"},
    {"2000", "10001", YZ_INVALID_VALUE, "ratePermille"},
};

static void progressed_is_checked(void **state)
{
    (void)state;
    assert_contract("study.progressed",
                    "{" STEP ",\"intervals\":[{\"toMs\":60000},{\"fromMs\":70000,\"toMs\":80000}],"
                    "\"ratePermille\":2000}",
                    of_progressed, COUNT(of_progressed));
}

#define Q4  "{},{},{},{}"
#define Q20 Q4 "," Q4 "," Q4 "," Q4 "," Q4

static const struct refusal of_quiz[] = {
    {"\"s1\"", "\"\"", YZ_MISSING_FIELD, "sessionId"},
    {"\"seq\":3", "\"seq\":0", YZ_MISSING_FIELD, "seq"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"version\":2", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"[{\"choices\":[0]},{\"choices\":[7,1]}]", "[]", YZ_MISSING_FIELD, "answers"},
    {"[{\"choices\":[0]},{\"choices\":[7,1]}]", "[" Q20 "]", YZ_OK, ""},
    {"[{\"choices\":[0]},{\"choices\":[7,1]}]", "[" Q20 ",{}]", YZ_TOO_MANY, "answers"},
    {"[7,1]", "[8]", YZ_INVALID_VALUE, "answers[1].choices[0]"},
    {"[7,1]", "[7,7]", YZ_INVALID_VALUE, "answers[1].choices[1]"},
    {"[7,1]", "[]", YZ_OK, ""},
};

static void quiz_is_checked(void **state)
{
    (void)state;
    assert_contract("study.quiz_answered",
                    "{" STEP ",\"answers\":[{\"choices\":[0]},{\"choices\":[7,1]}]}", of_quiz,
                    COUNT(of_quiz));
}

static const struct refusal of_completed[] = {
    {"\"u1\"", "\"\"", YZ_MISSING_FIELD, "member"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"version\":2", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"90000", "0", YZ_MISSING_FIELD, "durationMs"},
    {",\"completedAt\":\"2026-03-01T10:00:00Z\"", "", YZ_MISSING_FIELD, "completedAt"},
};

/* No client says that it has completed a lesson. */
static void completed_is_the_systems(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("study.completed", NULL);

    (void)state;
    assert_contract("study.completed",
                    "{\"member\":\"u1\",\"lessonId\":\"l1\",\"version\":2,\"orgPath\":\"g1/c1\","
                    "\"durationMs\":90000,\"completedAt\":\"2026-03-01T10:00:00Z\"}",
                    of_completed, COUNT(of_completed));
    assert_int_equal(type->authority, YZ_BY_SYSTEM);
}

static const struct refusal of_progress[] = {
    {"l1", "", YZ_MISSING_FIELD, "lessonId"},
    {"3", "0", YZ_OK, ""},
    {"3", "10001", YZ_INVALID_VALUE, "version"},
};
static const struct refusal of_hours[] = {
    {"2026", "0", YZ_OK, ""},
    {"2026", "1969", YZ_INVALID_VALUE, "year"},
    {"2026", "10000", YZ_INVALID_VALUE, "year"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
};
static const struct refusal of_branch[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"\"l1\"", "\"\"", YZ_MISSING_FIELD, "lessonId"},
    {"\"version\":1", "\"version\":0", YZ_MISSING_FIELD, "version"},
    {"u7", "", YZ_OK, ""},
    {"u7", "u 7", YZ_INVALID_VALUE, "after"},
    {"200", "201", YZ_INVALID_VALUE, "limit"},
};

static void queries_are_checked(void **state)
{
    const struct yz_query_type *branch = yz_query_type_find("study.branch", NULL);

    (void)state;
    assert_contract("study.progress", "{\"lessonId\":\"l1\",\"version\":3}", of_progress,
                    COUNT(of_progress));
    assert_contract("study.hours", "{\"year\":2026,\"limit\":100}", of_hours, COUNT(of_hours));
    assert_contract("study.branch",
                    "{\"orgPath\":\"g1/c1\",\"lessonId\":\"l1\",\"version\":1,\"after\":\"u7\","
                    "\"limit\":200}",
                    of_branch, COUNT(of_branch));
    assert_int_equal(branch->authority, YZ_BY_SECRETARY);
}

/* What a member studies is one aggregate: two phones of it meet there. */
static void all_of_a_member_is_one_aggregate(void **state)
{
    static const char *const own[] = {"study.started", "study.progressed", "study.quiz_answered"};
    const struct yz_actor actor = {"t1", "u1", "g1/c1/b1", "member"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(own); i++) {
        const struct yz_event_type *type = yz_event_type_find(own[i], NULL);

        type->aggregate(sample_json(type->payload, "{}"), &actor, aggregate);
        assert_string_equal(aggregate, "study|u1");
        assert_int_equal(type->authority, YZ_BY_MEMBER);
    }
}

static void a_credit_belongs_to_its_member(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("study.credited", NULL);
    const struct yz_actor secretary = {"t1", "s1", "g1/c1/b1", "member"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    type->aggregate(sample_json(type->payload, credited), &secretary, aggregate);
    assert_string_equal(aggregate, "study|u1");
    assert_int_equal(type->authority, YZ_BY_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(credited_is_checked),
        sample_test(started_is_checked),
        sample_test(progressed_is_checked),
        sample_test(quiz_is_checked),
        sample_test(completed_is_the_systems),
        sample_test(queries_are_checked),
        sample_test(all_of_a_member_is_one_aggregate),
        sample_test(a_credit_belongs_to_its_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
