/* Meetings and checking in: who may, when, with which code. */
#include "workers/domains/meeting.h"

#include "drive.h"
#include "workers/code.h"

#include <stdio.h>

#define PERIOD_MS INT64_C(30000)
#define GRACE_MS  INT64_C(10000)
#define MEETING   "t1|g1/c1/b1|m1"
#define CHANNEL   "meeting.g1/c1/b1.m1"
#define BRANCH    "g1/c1/b1"

static char *roster[] = {"u3", "u1", "u2"};
static Google__Protobuf__Timestamp starts, ends;

static Yizhan__V1__MeetingConvened convened(void)
{
    Yizhan__V1__MeetingConvened m = YIZHAN__V1__MEETING_CONVENED__INIT;

    starts = wk_timestamp(DRIVE_START + 3600000);
    ends = wk_timestamp(DRIVE_START + 7200000);
    m.org_path = BRANCH;
    m.meeting_id = "m1";
    m.kind = YIZHAN__V1__MEETING_KIND__ASSEMBLY;
    m.title = "党员大会";
    m.place = "会议室";
    m.starts_at = &starts;
    m.ends_at = &ends;
    m.roster = roster;
    m.n_roster = 3;
    return m;
}

static enum yz_err convene(struct drive *d)
{
    Yizhan__V1__MeetingConvened m = convened();

    return drive(d, "s1", BRANCH, "meeting.convened", &m.base);
}

static enum yz_err change(struct drive *d, const char *type)
{
    Yizhan__V1__MeetingOpened m = YIZHAN__V1__MEETING_OPENED__INIT;
    Yizhan__V1__MeetingClosed c = YIZHAN__V1__MEETING_CLOSED__INIT;

    m.org_path = c.org_path = BRANCH;
    m.meeting_id = c.meeting_id = "m1";
    return drive(d, "s1", BRANCH, type, strcmp(type, "meeting.opened") == 0 ? &m.base : &c.base);
}

/* The code of the meeting `id` that is on the screen at `at_ms`. */
static void code_at(const char *id, int64_t at_ms, char out[WK_CODE_LEN + 1])
{
    const struct wk_code_meeting place = {"t1", BRANCH, id};
    const uint8_t nonce[WK_CODE_NONCE_BYTES] = {9};
    uint8_t key[WK_CODE_KEY_BYTES];

    wk_code_key((const uint8_t *)DRIVE_SECRET, strlen(DRIVE_SECRET), &place, key);
    wk_code_make(key, &place, (uint32_t)(at_ms / PERIOD_MS), nonce, out);
}

static Yizhan__V1__CheckinRecorded recorded(char *code, Yizhan__V1__CheckinMethod method)
{
    Yizhan__V1__CheckinRecorded c = YIZHAN__V1__CHECKIN_RECORDED__INIT;

    c.org_path = BRANCH;
    c.meeting_id = "m1";
    c.method = method;
    c.code = code;
    return c;
}

static enum yz_err check_in(struct drive *d, const char *member, int64_t shown_ms,
                            Yizhan__V1__CheckinMethod method)
{
    char code[WK_CODE_LEN + 1];
    Yizhan__V1__CheckinRecorded c = recorded(code, method);

    code_at("m1", shown_ms, code);
    return drive(d, member, BRANCH, "checkin.recorded", &c.base);
}

static enum yz_err check_in_now(struct drive *d, const char *member, int64_t shown_ms)
{
    return check_in(d, member, shown_ms, YIZHAN__V1__CHECKIN_METHOD__CODE);
}

static enum yz_err check_in_offline(struct drive *d, const char *member, int64_t shown_ms)
{
    return check_in(d, member, shown_ms, YIZHAN__V1__CHECKIN_METHOD__OFFLINE);
}

static int64_t number(struct drive *d, const char *field)
{
    return wk_document_number(drive_document(d, WK_MEETINGS, MEETING), field);
}

static void expect_attendance(struct drive *d, uint32_t present)
{
    Yizhan__V1__AttendanceCount *count = (Yizhan__V1__AttendanceCount *)drive_last_value(
        d, CHANNEL, "attendance", "meeting.attendance_count");

    assert_int_equal(count->present, present);
    assert_int_equal(count->should_attend, 3);
    yizhan__v1__attendance_count__free_unpacked(count, NULL);
}

static void expect_state(struct drive *d, Yizhan__V1__MeetingState state, uint32_t present)
{
    Yizhan__V1__MeetingStateChanged *changed =
        (Yizhan__V1__MeetingStateChanged *)drive_last_push(d, CHANNEL, "meeting.state_changed");

    assert_int_equal(changed->state, state);
    assert_int_equal(changed->present, present);
    yizhan__v1__meeting_state_changed__free_unpacked(changed, NULL);
}

static void test_convened(void **state)
{
    Yizhan__V1__MeetingAnnounced *announced;
    const bson_t *document;
    bson_iter_t entry;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(convene(&d), YZ_OK);
    document = drive_document(&d, WK_MEETINGS, MEETING);
    assert_string_equal(wk_document_text(document, "state"), "CONVENED");
    assert_string_equal(wk_document_text(document, "kind"), "ASSEMBLY");
    assert_string_equal(wk_document_text(document, "convener"), "s1");
    assert_int_equal(number(&d, "code_period_s"), 30);
    assert_int_equal(number(&d, "should"), 3);
    assert_int_equal(wk_document_time_ms(document, "convened_at"), DRIVE_START);
    assert_true(wk_document_array(drive_document(&d, WK_ROSTERS, MEETING), "members", &entry));
    for (int i = 0; i < 3; i++) {
        assert_true(bson_iter_next(&entry));
        assert_int_equal(bson_iter_utf8(&entry, NULL)[1], '1' + i);
    }
    announced =
        (Yizhan__V1__MeetingAnnounced *)drive_last_push(&d, "org." BRANCH, "meeting.announced");
    assert_string_equal(announced->title, "党员大会");
    assert_int_equal(announced->roster_count, 3);
    yizhan__v1__meeting_announced__free_unpacked(announced, NULL);
    assert_int_equal(convene(&d), YZ_EXISTS);
    assert_string_equal(d.v.field, "meetingId");
    assert_int_equal(drive_push_count(&d), 1);
    drive_deinit(&d);
}

static void test_states(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(change(&d, "meeting.opened"), YZ_NOT_FOUND);
    assert_int_equal(change(&d, "meeting.closed"), YZ_NOT_FOUND);
    assert_int_equal(convene(&d), YZ_OK);
    assert_int_equal(change(&d, "meeting.closed"), YZ_MEETING_NOT_OPEN);
    assert_int_equal(change(&d, "meeting.opened"), YZ_OK);
    expect_state(&d, YIZHAN__V1__MEETING_STATE__OPEN, 0);
    expect_attendance(&d, 0);
    assert_int_equal(change(&d, "meeting.opened"), YZ_MEETING_OPEN_ALREADY);
    assert_int_equal(change(&d, "meeting.closed"), YZ_OK);
    expect_state(&d, YIZHAN__V1__MEETING_STATE__CLOSED, 0);
    assert_int_equal(change(&d, "meeting.opened"), YZ_MEETING_CLOSED);
    assert_int_equal(change(&d, "meeting.closed"), YZ_MEETING_CLOSED);
    assert_string_equal(wk_document_text(drive_document(&d, WK_MEETINGS, MEETING), "title"),
                        "党员大会");
    drive_deinit(&d);
}

/* A meeting that is open at DRIVE_START. */
static void open_meeting(struct drive *d)
{
    drive_init(d);
    assert_int_equal(convene(d), YZ_OK);
    assert_int_equal(change(d, "meeting.opened"), YZ_OK);
}

static void test_checkin(void **state)
{
    Yizhan__V1__CheckinConfirmed *confirmed;
    const bson_t *checkin;
    struct drive d;

    (void)state;
    open_meeting(&d);
    d.now_ms += 5000;
    assert_int_equal(check_in_now(&d, "u2", d.now_ms), YZ_OK);
    checkin = drive_document(&d, WK_CHECKINS, MEETING "|u2");
    assert_string_equal(wk_document_text(checkin, "member"), "u2");
    assert_string_equal(wk_document_text(checkin, "method"), "CODE");
    assert_int_equal(wk_document_time_ms(checkin, "checked_in_at"), d.now_ms);
    assert_int_equal(wk_document_number(checkin, "slot"), d.now_ms / PERIOD_MS);
    confirmed =
        (Yizhan__V1__CheckinConfirmed *)drive_last_push(&d, "member.u2", "checkin.confirmed");
    assert_string_equal(confirmed->meeting_id, "m1");
    yizhan__v1__checkin_confirmed__free_unpacked(confirmed, NULL);
    expect_attendance(&d, 1);
    assert_int_equal(check_in_now(&d, "u3", d.now_ms), YZ_OK);
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_OK);
    expect_attendance(&d, 3);
    assert_int_equal(number(&d, "present_count"), 3);
    drive_deinit(&d);
}

static void test_the_first_checkin_stands(void **state)
{
    size_t pushes;
    struct drive d;

    (void)state;
    open_meeting(&d);
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_OK);
    pushes = drive_push_count(&d);
    d.now_ms += 1000;
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_ALREADY_CHECKED_IN);
    /* Already comes before the code: even a wrong one tells the member where it stands. */
    assert_int_equal(check_in_now(&d, "u1", d.now_ms - 3600000), YZ_ALREADY_CHECKED_IN);
    assert_int_equal(drive_push_count(&d), pushes);
    assert_int_equal(number(&d, "present_count"), 1);
    assert_int_equal(
        wk_document_time_ms(drive_document(&d, WK_CHECKINS, MEETING "|u1"), "checked_in_at"),
        DRIVE_START);
    drive_deinit(&d);
}

static void test_who(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_NOT_FOUND);
    assert_int_equal(convene(&d), YZ_OK);
    assert_int_equal(check_in_now(&d, "u4", d.now_ms), YZ_NOT_ON_ROSTER);
    assert_int_equal(check_in_now(&d, "u", d.now_ms), YZ_NOT_ON_ROSTER);
    assert_int_equal(check_in_now(&d, "u11", d.now_ms), YZ_NOT_ON_ROSTER);
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_MEETING_NOT_OPEN);
    assert_int_equal(change(&d, "meeting.opened"), YZ_OK);
    assert_int_equal(change(&d, "meeting.closed"), YZ_OK);
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_MEETING_CLOSED);
    assert_int_equal(number(&d, "present_count"), 0);
    drive_deinit(&d);
}

static void test_wrong_codes(void **state)
{
    char code[WK_CODE_LEN + 1];
    Yizhan__V1__CheckinRecorded c = recorded(code, YIZHAN__V1__CHECKIN_METHOD__CODE);
    struct drive d;

    (void)state;
    open_meeting(&d);
    code_at("m2", d.now_ms, code);
    assert_int_equal(drive(&d, "u1", BRANCH, "checkin.recorded", &c.base), YZ_CODE_WRONG);
    assert_string_equal(d.v.field, "code");
    code_at("m1", d.now_ms, code);
    code[20] = code[20] == 'A' ? 'B' : 'A';
    assert_int_equal(drive(&d, "u1", BRANCH, "checkin.recorded", &c.base), YZ_CODE_WRONG);
    assert_int_equal(number(&d, "present_count"), 0);
    drive_deinit(&d);
}

/* DRIVE_START is the first millisecond of a slot. */
static void test_edges_of_the_slot(void **state)
{
    const struct {
        int64_t after_ms;
        enum yz_err expected;
    } cases[] = {
        {-GRACE_MS - 1, YZ_CODE_EARLY},
        {-GRACE_MS, YZ_OK},
        {0, YZ_OK},
        {PERIOD_MS, YZ_OK},
        {PERIOD_MS + GRACE_MS, YZ_OK},
        {PERIOD_MS + GRACE_MS + 1, YZ_CODE_EXPIRED},
        {-24 * 3600 * 1000, YZ_CODE_EARLY},
        {24 * 3600 * 1000, YZ_CODE_EXPIRED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drive d;

        open_meeting(&d);
        d.now_ms = DRIVE_START + cases[i].after_ms;
        assert_int_equal(check_in_now(&d, "u1", DRIVE_START), cases[i].expected);
        assert_int_equal(number(&d, "present_count"), cases[i].expected == YZ_OK);
        drive_deinit(&d);
    }
}

/* The meeting is opened at DRIVE_START and closed an hour later. */
static void test_offline_edges(void **state)
{
    const int64_t day_ms = 24 * 3600 * 1000, hour_ms = 3600 * 1000;
    const struct {
        int64_t shown_ms, received_ms;
        enum yz_err expected;
    } cases[] = {
        {0, 0, YZ_OK},
        {0, 2 * hour_ms, YZ_OK}, /* accepted after the closing, for it was shown before */
        {-PERIOD_MS, hour_ms + 1, YZ_OK},
        {-PERIOD_MS - 1, hour_ms + 1, YZ_MEETING_NOT_OPEN},
        {hour_ms, hour_ms + 1, YZ_OK},
        {hour_ms + PERIOD_MS, hour_ms + PERIOD_MS, YZ_MEETING_CLOSED},
        {0, PERIOD_MS + day_ms, YZ_OK},
        {0, PERIOD_MS + day_ms + 1, YZ_CODE_EXPIRED},
        {PERIOD_MS, PERIOD_MS - GRACE_MS, YZ_OK},
        {PERIOD_MS, PERIOD_MS - GRACE_MS - 1, YZ_CODE_EARLY},
        {day_ms, 2 * hour_ms, YZ_CODE_EARLY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drive d;

        open_meeting(&d);
        if (cases[i].received_ms > hour_ms) {
            d.now_ms = DRIVE_START + hour_ms;
            assert_int_equal(change(&d, "meeting.closed"), YZ_OK);
        }
        d.now_ms = DRIVE_START + cases[i].received_ms;
        assert_int_equal(check_in_offline(&d, "u1", DRIVE_START + cases[i].shown_ms),
                         cases[i].expected);
        drive_deinit(&d);
    }
}

static void test_offline_needs_an_opened_meeting(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(convene(&d), YZ_OK);
    assert_int_equal(check_in_offline(&d, "u1", d.now_ms), YZ_MEETING_NOT_OPEN);
    drive_deinit(&d);
}

/* A phone's clock decides nothing, whatever it says; it is kept as evidence. */
static void test_occurred_at_decides_nothing(void **state)
{
    struct drive d;

    (void)state;
    open_meeting(&d);
    d.now_ms += 3600000;
    d.occurred_at_ms = DRIVE_START;
    assert_int_equal(check_in_now(&d, "u1", DRIVE_START), YZ_CODE_EXPIRED);
    d.occurred_at_ms = DRIVE_START - 86400000;
    assert_int_equal(check_in_now(&d, "u1", d.now_ms), YZ_OK);
    assert_int_equal(
        wk_document_time_ms(drive_document(&d, WK_CHECKINS, MEETING "|u1"), "occurred_at"),
        DRIVE_START - 86400000);
    drive_deinit(&d);
}

/* After a crash only apply() runs, over documents of the same batch that are newer. */
static void test_replay_over_newer_documents(void **state)
{
    struct drive_past opened, checked_in, closed;
    Yizhan__V1__MeetingOpened open = YIZHAN__V1__MEETING_OPENED__INIT;
    Yizhan__V1__MeetingClosed close = YIZHAN__V1__MEETING_CLOSED__INIT;
    char code[WK_CODE_LEN + 1];
    Yizhan__V1__CheckinRecorded c = recorded(code, YIZHAN__V1__CHECKIN_METHOD__CODE);
    struct drive d;

    (void)state;
    open.org_path = close.org_path = BRANCH;
    open.meeting_id = close.meeting_id = "m1";
    drive_init(&d);
    assert_int_equal(convene(&d), YZ_OK);
    assert_int_equal(drive(&d, "s1", BRANCH, "meeting.opened", &open.base), YZ_OK);
    drive_keep(&d, &opened);
    code_at("m1", d.now_ms, code);
    assert_int_equal(drive(&d, "u1", BRANCH, "checkin.recorded", &c.base), YZ_OK);
    drive_keep(&d, &checked_in);
    assert_int_equal(drive(&d, "s1", BRANCH, "meeting.closed", &close.base), YZ_OK);
    drive_keep(&d, &closed);
    d.now_ms += 60000;
    assert_int_equal(check_in_offline(&d, "u2", DRIVE_START), YZ_OK);
    assert_int_equal(drive_apply(&d, &opened.event), YZ_OK);
    expect_state(&d, YIZHAN__V1__MEETING_STATE__OPEN, 0);
    assert_int_equal(drive_apply(&d, &checked_in.event), YZ_OK);
    expect_attendance(&d, 2);
    assert_int_equal(drive_apply(&d, &closed.event), YZ_OK);
    /* The push says what it said the first time; the value says what is true now. */
    expect_state(&d, YIZHAN__V1__MEETING_STATE__CLOSED, 1);
    expect_attendance(&d, 2);
    assert_string_equal(wk_document_text(drive_document(&d, WK_MEETINGS, MEETING), "state"),
                        "CLOSED");
    assert_int_equal(number(&d, "present_count"), 2);
    drive_deinit(&d);
}

/* The largest roster: each member has its own bit. */
static void test_large_roster(void **state)
{
    static char names[WK_ROSTER_MAX][8], *members[WK_ROSTER_MAX];
    Yizhan__V1__MeetingConvened m = convened();
    struct drive d;

    (void)state;
    for (int i = 0; i < WK_ROSTER_MAX; i++) {
        snprintf(names[i], sizeof names[i], "u%d", (i * 7) % WK_ROSTER_MAX);
        members[i] = names[i];
    }
    m.roster = members;
    m.n_roster = WK_ROSTER_MAX;
    drive_init(&d);
    assert_int_equal(drive(&d, "s1", BRANCH, "meeting.convened", &m.base), YZ_OK);
    assert_int_equal(change(&d, "meeting.opened"), YZ_OK);
    for (int i = 0; i < 200; i++)
        assert_int_equal(check_in_now(&d, names[i * 25], d.now_ms), YZ_OK);
    assert_int_equal(check_in_now(&d, names[0], d.now_ms), YZ_ALREADY_CHECKED_IN);
    assert_int_equal(number(&d, "present_count"), 200);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convened),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_checkin),
        cmocka_unit_test(test_the_first_checkin_stands),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_wrong_codes),
        cmocka_unit_test(test_edges_of_the_slot),
        cmocka_unit_test(test_offline_edges),
        cmocka_unit_test(test_offline_needs_an_opened_meeting),
        cmocka_unit_test(test_occurred_at_decides_nothing),
        cmocka_unit_test(test_replay_over_newer_documents),
        cmocka_unit_test(test_large_roster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
