#include "tests/schemas/sample.h"

#include <meeting.pb-c.h>

static const char convened[] =
    "{\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m42\",\"kind\":\"ASSEMBLY\",\"title\":\"大会\","
    "\"place\":\"一楼\",\"startsAt\":\"2026-03-01T08:00:00Z\",\"endsAt\":\"2026-03-01T10:00:00Z\","
    "\"roster\":[\"u1\",\"u2\",\"u3\"],\"codePeriodS\":30}";

static const struct refusal of_convened[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "g1//b1", YZ_INVALID_VALUE, "orgPath"},
    {"g1/c1/b1", "g1.c1", YZ_INVALID_VALUE, "orgPath"},
    {"m42", "", YZ_MISSING_FIELD, "meetingId"},
    {"m42", "m 42", YZ_INVALID_VALUE, "meetingId"},
    {"m42", A64, YZ_OK, ""},
    {"m42", A64 "a", YZ_INVALID_VALUE, "meetingId"},
    {"\"ASSEMBLY\"", "\"MEETING_KIND_UNSPECIFIED\"", YZ_MISSING_FIELD, "kind"},
    {"\"ASSEMBLY\"", "77", YZ_INVALID_VALUE, "kind"},
    {"\"ASSEMBLY\"", "5", YZ_OK, ""},
    {"大会", "", YZ_MISSING_FIELD, "title"},
    {"大会", Z64, YZ_OK, ""},
    {"大会", Z64 "站", YZ_TOO_LONG, "title"},
    {"一楼", "", YZ_OK, ""},
    {"一楼", Z64 Z64, YZ_OK, ""},
    {"一楼", Z64 Z64 "a", YZ_TOO_LONG, "place"},
    {"\"2026-03-01T08:00:00Z\"", "null", YZ_MISSING_FIELD, "startsAt"},
    {"\"2026-03-01T10:00:00Z\"", "null", YZ_MISSING_FIELD, "endsAt"},
    {"T10:00:00Z", "T08:00:00Z", YZ_INVALID_VALUE, "endsAt"},
    {"T10:00:00Z", "T07:59:59.999Z", YZ_INVALID_VALUE, "endsAt"},
    {"T10:00:00Z", "T08:00:00.000000001Z", YZ_OK, ""},
    {"2026-03-01T10:00:00Z", "2026-03-02T08:00:00Z", YZ_OK, ""},
    {"2026-03-01T10:00:00Z", "2026-03-02T08:00:00.001Z", YZ_INVALID_VALUE, "endsAt"},
    {"2026-03-01T10:00:00Z", "9999-12-31T23:59:59Z", YZ_INVALID_VALUE, "endsAt"},
    {"[\"u1\",\"u2\",\"u3\"]", "[]", YZ_MISSING_FIELD, "roster"},
    {"\"u3\"", "\"\"", YZ_INVALID_VALUE, "roster[2]"},
    {"\"u3\"", "\"u/3\"", YZ_INVALID_VALUE, "roster[2]"},
    {"\"u3\"", "\"u1\"", YZ_INVALID_VALUE, "roster[2]"},
    {"\"u3\"", "\"u2\",\"u1\",\"u2\"", YZ_INVALID_VALUE, "roster[2]"},
    {"30}", "0}", YZ_OK, ""},
    {"30}", "20}", YZ_OK, ""},
    {"30}", "19}", YZ_INVALID_VALUE, "codePeriodS"},
    {"30}", "31}", YZ_INVALID_VALUE, "codePeriodS"},
};

static void convened_is_checked(void **state)
{
    (void)state;
    assert_contract("meeting.convened", convened, of_convened, COUNT(of_convened));
}

static void roster_has_a_maximum(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("meeting.convened", NULL);
    Yizhan__V1__MeetingConvened *meeting = sample_json(type->payload, convened);
    static char ids[5001][16];
    static char *roster[5001];
    struct yz_violation v = {0};

    (void)state;
    for (int i = 0; i < 5001; i++) {
        snprintf(ids[i], sizeof ids[i], "u%d", i);
        roster[i] = ids[i];
    }
    meeting->roster = roster;
    meeting->n_roster = 5000;
    assert_int_equal(type->check(&meeting->base, &v), YZ_OK);
    meeting->n_roster = 5001;
    assert_int_equal(type->check(&meeting->base, &v), YZ_TOO_MANY);
    assert_violation(&v, YZ_TOO_MANY, "roster");
    /* The second of two equal ids is named, however far they are apart. */
    meeting->n_roster = 5000;
    roster[4999] = ids[0];
    assert_int_equal(type->check(&meeting->base, &v), YZ_INVALID_VALUE);
    assert_violation(&v, YZ_INVALID_VALUE, "roster[4999]");
}

static const struct refusal of_reference[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1/b1", "/g1", YZ_INVALID_VALUE, "orgPath"},
    {"m42", "", YZ_MISSING_FIELD, "meetingId"},
    {"m42", "m.42", YZ_INVALID_VALUE, "meetingId"},
};

static void references_are_checked(void **state)
{
    static const char *const events[] = {"meeting.opened", "meeting.closed"};
    static const char *const queries[] = {"meeting.get", "meeting.code_key", "meeting.attendance"};
    static const char good[] = "{\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m42\"}";

    (void)state;
    for (size_t i = 0; i < COUNT(events); i++)
        assert_contract(events[i], good, of_reference, COUNT(of_reference));
    for (size_t i = 0; i < COUNT(queries); i++)
        assert_contract(queries[i], good, of_reference, COUNT(of_reference));
}

/* 28 bytes of base64url: 37 characters and one that carries two bits */
#define CODE37 "AAAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYG"

static const struct refusal of_recorded[] = {
    {"g1/c1/b1", "", YZ_MISSING_FIELD, "orgPath"},
    {"m42", "", YZ_MISSING_FIELD, "meetingId"},
    {"\"CODE\"", "0", YZ_MISSING_FIELD, "method"},
    {"\"CODE\"", "9", YZ_INVALID_VALUE, "method"},
    {"\"CODE\"", "\"OFFLINE\"", YZ_OK, ""},
    {CODE37 "w", "", YZ_MISSING_FIELD, "code"},
    {CODE37 "w", CODE37, YZ_CODE_MALFORMED, "code"},
    {CODE37 "w", CODE37 "ww", YZ_CODE_MALFORMED, "code"},
    {CODE37 "w", CODE37 "w==", YZ_CODE_MALFORMED, "code"},
    {CODE37 "w", CODE37 "Q", YZ_OK, ""},
    {CODE37 "w", CODE37 "R", YZ_CODE_MALFORMED, "code"}, /* bits behind the last byte */
    {"AAAAAQ", "+AAAAQ", YZ_CODE_MALFORMED, "code"},
    {"AAAAAQ", "A AAAQ", YZ_CODE_MALFORMED, "code"},
    {"AAAAAQ", "_-AAAQ", YZ_OK, ""},
};

static void recorded_is_checked(void **state)
{
    (void)state;
    assert_contract("checkin.recorded",
                    "{\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m42\",\"method\":\"CODE\","
                    "\"code\":\"" CODE37 "w\"}",
                    of_recorded, COUNT(of_recorded));
}

#define IT   "\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m42\""
#define Z200 Z64 Z64 Z64 "站站站站站站站站"

/* A payload that keeps its contract, and one that does not. */
static const struct {
    const char *type, *payload;
    enum yz_err err;
    const char *field;
} contracts[] = {
    {"meeting.convened",
     "{" IT ",\"kind\":\"ASSEMBLY\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"rosterOfBranch\":true}",
     YZ_OK, ""},
    {"meeting.convened",
     "{" IT ",\"kind\":\"COMMITTEE\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"rosterOfBranch\":true}",
     YZ_INVALID_VALUE, "rosterOfBranch"},
    {"meeting.convened",
     "{" IT ",\"kind\":\"GROUP\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"rosterOfBranch\":true}",
     YZ_INVALID_VALUE, "rosterOfBranch"},
    {"meeting.convened",
     "{" IT ",\"kind\":\"LESSON\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"rosterOfBranch\":true,\"roster\":[\"u1\"]}",
     YZ_INVALID_VALUE, "roster"},
    {"meeting.convened",
     "{" IT ",\"kind\":\"LESSON\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"rosterOfBranch\":true,\"voters\":[\"u1\"]}",
     YZ_INVALID_VALUE, "voters"},
    {"meeting.convened",
     "{" IT ",\"kind\":\"LIFE_MEETING\",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\",\"roster\":[\"u1\"],\"methods\":[\"GEO\",0]}",
     YZ_MISSING_FIELD, "methods[1]"},
    {"meeting.changed",
     "{" IT ",\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\"}",
     YZ_MISSING_FIELD, "revision"},
    {"meeting.changed",
     "{" IT ",\"revision\":1,\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T10:00:00Z\"}",
     YZ_MISSING_FIELD, "title"},
    {"meeting.changed",
     "{" IT ",\"revision\":1,\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T08:00:00Z\"}",
     YZ_INVALID_VALUE, "endsAt"},
    {"meeting.changed",
     "{" IT ",\"revision\":1,\"title\":\"t\",\"startsAt\":\"2026-03-01T08:00:00Z\","
     "\"endsAt\":\"2026-03-01T09:00:00Z\",\"reason\":\"" Z200 "站\"}",
     YZ_TOO_LONG, "reason"},
    {"meeting.cancelled", "{" IT "}", YZ_MISSING_FIELD, "reason"},
    {"meeting.cancelled", "{" IT ",\"reason\":\"" Z200 "\"}", YZ_OK, ""},
    {"meeting.cancelled", "{" IT ",\"reason\":\"" Z200 "站\"}", YZ_TOO_LONG, "reason"},
    {"checkin.recorded", "{" IT ",\"method\":\"GEO\"}", YZ_OK, ""},
    {"checkin.recorded", "{" IT ",\"method\":\"GEO\",\"inFence\":true}", YZ_OK, ""},
    {"checkin.recorded", "{" IT ",\"method\":\"GEO\",\"code\":\"" CODE37 "w\"}", YZ_INVALID_VALUE,
     "code"},
    {"checkin.recorded", "{" IT ",\"method\":\"CODE\",\"inFence\":true,\"code\":\"" CODE37 "w\"}",
     YZ_INVALID_VALUE, "inFence"},
    {"checkin.recorded", "{" IT ",\"method\":\"ONLINE\"}", YZ_MISSING_FIELD, "code"},
    {"checkin.recorded",
     "{" IT ",\"method\":\"ONLINE\",\"member\":\"u2\",\"code\":\"" CODE37 "w\"}", YZ_INVALID_VALUE,
     "member"},
    {"checkin.recorded", "{" IT ",\"method\":\"GEO\",\"witness\":\"u2\"}", YZ_INVALID_VALUE,
     "witness"},
    {"checkin.recorded", "{" IT ",\"method\":\"GEO\",\"reason\":\"r\"}", YZ_INVALID_VALUE,
     "reason"},
    {"checkin.recorded", "{" IT ",\"method\":\"MANUAL\",\"witness\":\"u2\",\"reason\":\"r\"}",
     YZ_MISSING_FIELD, "member"},
    {"checkin.recorded", "{" IT ",\"method\":\"MANUAL\",\"member\":\"u1\",\"reason\":\"r\"}",
     YZ_MISSING_FIELD, "witness"},
    {"checkin.recorded", "{" IT ",\"method\":\"MANUAL\",\"member\":\"u1\",\"witness\":\"u2\"}",
     YZ_MISSING_FIELD, "reason"},
    {"checkin.recorded",
     "{" IT ",\"method\":\"MANUAL\",\"member\":\"u1\",\"witness\":\"u1\",\"reason\":\"r\"}",
     YZ_INVALID_VALUE, "witness"},
    {"checkin.leave_requested", "{" IT "}", YZ_MISSING_FIELD, "leaveClass"},
    {"checkin.leave_requested", "{" IT ",\"leaveClass\":\"SICK_LEAVE\",\"reason\":\"" Z200 "\"}",
     YZ_OK, ""},
    {"checkin.leave_requested", "{" IT ",\"leaveClass\":\"SICK_LEAVE\",\"reason\":\"" Z200 "站\"}",
     YZ_TOO_LONG, "reason"},
    {"checkin.leave_decided", "{" IT ",\"granted\":true}", YZ_MISSING_FIELD, "member"},
    {"checkin.leave_decided", "{" IT ",\"member\":\"u1\",\"note\":\"" Z200 "站\"}", YZ_TOO_LONG,
     "note"},
    {"checkin.corrected", "{" IT ",\"member\":\"u1\",\"reason\":\"r\"}", YZ_MISSING_FIELD, "state"},
    {"checkin.corrected", "{" IT ",\"member\":\"u1\",\"state\":\"ABSENT\"}", YZ_MISSING_FIELD,
     "reason"},
    {"checkin.corrected", "{" IT ",\"state\":\"ABSENT\",\"reason\":\"r\"}", YZ_MISSING_FIELD,
     "member"},
    {"meeting.vote_opened", "{" IT ",\"kind\":\"ORDINARY_VOTE\",\"motion\":\"m\"}",
     YZ_MISSING_FIELD, "voteId"},
    {"meeting.vote_opened", "{" IT ",\"voteId\":\"v1\",\"motion\":\"m\"}", YZ_MISSING_FIELD,
     "kind"},
    {"meeting.vote_opened", "{" IT ",\"voteId\":\"v1\",\"kind\":\"ORDINARY_VOTE\"}",
     YZ_MISSING_FIELD, "motion"},
    {"meeting.vote_opened",
     "{" IT ",\"voteId\":\"v1\",\"kind\":\"ORDINARY_VOTE\",\"motion\":\"m\","
     "\"written\":[{\"member\":\"u1\",\"choice\":\"VOTE_YES\"}]}",
     YZ_INVALID_VALUE, "written"},
    {"meeting.vote_opened",
     "{" IT ",\"voteId\":\"v1\",\"kind\":\"ADMISSION_VOTE\",\"motion\":\"m\","
     "\"written\":[{\"member\":\"u1\"}]}",
     YZ_MISSING_FIELD, "written[0].choice"},
    {"meeting.vote_opened",
     "{" IT ",\"voteId\":\"v1\",\"kind\":\"ADMISSION_VOTE\",\"motion\":\"m\","
     "\"written\":[{\"member\":\"u1\",\"choice\":\"VOTE_NO\"},"
     "{\"member\":\"u1\",\"choice\":\"VOTE_YES\"}]}",
     YZ_INVALID_VALUE, "written[1]"},
    {"meeting.vote_cast", "{" IT ",\"voteId\":\"v1\"}", YZ_MISSING_FIELD, "choice"},
    {"meeting.vote_cast", "{" IT ",\"choice\":\"VOTE_YES\"}", YZ_MISSING_FIELD, "voteId"},
    {"meeting.vote_closed", "{" IT "}", YZ_MISSING_FIELD, "voteId"},
    {"meeting.minutes_filed", "{" IT ",\"text\":\"t\"}", YZ_MISSING_FIELD, "revision"},
    {"meeting.minutes_filed", "{" IT ",\"revision\":1}", YZ_MISSING_FIELD, "text"},
};

static void the_others_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contracts); i++) {
        const struct yz_event_type *type = yz_event_type_find(contracts[i].type, NULL);
        struct yz_violation v = {0};
        enum yz_err err;

        yz_arena_reset(&sample_arena);
        err = type->check(sample_json(type->payload, contracts[i].payload), &v);
        if (err != contracts[i].err || strcmp(v.field, contracts[i].field) != 0)
            fail_msg("%s: %s at '%s'", contracts[i].payload, yz_err_code(err), v.field);
    }
}

/* Where a member is has no field, in no message of the domain, by no name. */
static void coordinates_are_refused(void **state)
{
    static const char *const names[] = {"latitude", "longitude",   "lat",      "lng",
                                        "location", "coordinates", "accuracy", "geo"};
    const struct yz_event_type *type = yz_event_type_find("checkin.recorded", NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct yz_violation v = {0};
        ProtobufCMessage *message = NULL;
        char json[256];

        snprintf(json, sizeof json, "{" IT ",\"method\":\"GEO\",\"inFence\":true,\"%s\":39.9}",
                 names[i]);
        assert_int_equal(yz_json_decode(type->payload, json, strlen(json), yz_payload_resolve,
                                        &sample_arena, &message, &v),
                         YZ_UNKNOWN_FIELD);
        assert_string_equal(v.field, names[i]);
    }
}

static void minutes_have_a_maximum(void **state)
{
    const struct yz_event_type *type = yz_event_type_find("meeting.minutes_filed", NULL);
    Yizhan__V1__MeetingMinutesFiled *minutes =
        sample_json(type->payload, "{" IT ",\"revision\":1,\"text\":\"t\"}");
    static char text[30004];
    struct yz_violation v = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        memcpy(text + i * 3, "站", 3);
    minutes->text = text;
    assert_int_equal(type->check(&minutes->base, &v), YZ_OK);
    memcpy(text + 30000, "a", 2);
    assert_int_equal(type->check(&minutes->base, &v), YZ_TOO_LONG);
    assert_violation(&v, YZ_TOO_LONG, "text");
}

static const struct {
    const char *type, *request;
    enum yz_err err;
    const char *field;
} asked[] = {
    {"meeting.attendance", "{" IT ",\"limit\":201}", YZ_INVALID_VALUE, "limit"},
    {"meeting.attendance", "{" IT ",\"limit\":200,\"after\":\"u 1\"}", YZ_INVALID_VALUE, "after"},
    {"meeting.list", "{}", YZ_MISSING_FIELD, "orgPath"},
    {"meeting.list", "{\"orgPath\":\"g1\",\"limit\":101}", YZ_INVALID_VALUE, "limit"},
    {"meeting.mine", "{\"limit\":101}", YZ_INVALID_VALUE, "limit"},
    {"meeting.mine", "{\"limit\":100}", YZ_OK, ""},
    {"meeting.gaps", "{\"orgPath\":\"g1/c1\",\"limit\":51}", YZ_INVALID_VALUE, "limit"},
    {"meeting.gaps", "{\"orgPath\":\"g1/c1\",\"after\":\"g1/c1/b1\"}", YZ_OK, ""},
    /* A cursor of another org would read that one's branches. */
    {"meeting.gaps", "{\"orgPath\":\"g1/c1\",\"after\":\"g1/c0/b1\"}", YZ_INVALID_VALUE, "after"},
    {"meeting.gaps", "{\"orgPath\":\"g1/c1\",\"after\":\"a\"}", YZ_INVALID_VALUE, "after"},
    /* Cursors become parts of documents' ids, which have a length. */
    {"meeting.gaps", "{\"orgPath\":\"g1/c1\",\"after\":\"g1/c1/字\"}", YZ_INVALID_VALUE, "after"},
    {"meeting.votes", "{" IT ",\"after\":\"v1\"}", YZ_OK, ""},
    {"meeting.votes", "{" IT ",\"after\":\"字\"}", YZ_INVALID_VALUE, "after"},
    {"meeting.statistics", "{\"orgPath\":\"g1\"}", YZ_MISSING_FIELD, "year"},
    {"meeting.statistics", "{\"orgPath\":\"g1\",\"year\":10000}", YZ_INVALID_VALUE, "year"},
    {"meeting.votes", "{" IT ",\"limit\":101}", YZ_INVALID_VALUE, "limit"},
    {"meeting.minutes", "{\"orgPath\":\"g1\"}", YZ_MISSING_FIELD, "meetingId"},
};

static void requests_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(asked); i++) {
        const struct yz_query_type *type = yz_query_type_find(asked[i].type, NULL);
        struct yz_violation v = {0};
        enum yz_err err;

        yz_arena_reset(&sample_arena);
        err = type->check(sample_json(type->request, asked[i].request), &v);
        if (err != asked[i].err || strcmp(v.field, asked[i].field) != 0)
            fail_msg("%s: %s at '%s'", asked[i].request, yz_err_code(err), v.field);
    }
}

static void aggregates_are_the_meeting(void **state)
{
    static const char *const types[] = {"meeting.opened", "meeting.closed", "checkin.recorded"};
    const struct yz_actor actor = {"t1", "u1", "g9/c9", "member"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        const struct yz_event_type *type = yz_event_type_find(types[i], NULL);
        ProtobufCMessage *message =
            sample_json(type->payload, "{\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m42\"}");

        type->aggregate(message, &actor, aggregate);
        assert_string_equal(aggregate, "meeting|g1/c1/b1|m42");
        assert_string_equal(type->org_path(message), "g1/c1/b1");
    }
}

static void authority_is_as_the_schema_says(void **state)
{
    (void)state;
    assert_int_equal(yz_event_type_find("meeting.convened", NULL)->authority, YZ_BY_SECRETARY);
    assert_int_equal(yz_event_type_find("meeting.opened", NULL)->authority, YZ_BY_SECRETARY);
    assert_int_equal(yz_event_type_find("meeting.closed", NULL)->authority, YZ_BY_SECRETARY);
    assert_int_equal(yz_event_type_find("checkin.recorded", NULL)->authority, YZ_BY_MEMBER);
    assert_int_equal(yz_query_type_find("meeting.get", NULL)->authority, YZ_BY_MEMBER_OF_ORG);
    assert_int_equal(yz_query_type_find("meeting.code_key", NULL)->authority, YZ_BY_SECRETARY);
    assert_int_equal(yz_query_type_find("meeting.attendance", NULL)->authority, YZ_BY_OVERSEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(convened_is_checked),        sample_test(roster_has_a_maximum),
        sample_test(references_are_checked),     sample_test(recorded_is_checked),
        sample_test(aggregates_are_the_meeting), sample_test(authority_is_as_the_schema_says),
        sample_test(the_others_are_checked),     sample_test(coordinates_are_refused),
        sample_test(minutes_have_a_maximum),     sample_test(requests_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
