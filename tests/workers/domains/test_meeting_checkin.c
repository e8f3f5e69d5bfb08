/* Every way to check in, leave, and corrections: who may what, when, and what stands. */
#include "meeting_told.h"

#define ALL    ",\"methods\":[\"CODE\",\"OFFLINE\",\"GEO\",\"ONLINE\"]"
#define GEO_IN "{" IT ",\"method\":\"GEO\",\"inFence\":true}"

static const char *checkin_field(struct told *t, const char *member, const char *field)
{
    char id[WK_ID_MAX];

    snprintf(id, sizeof id, MEETING "|%s", member);
    return wk_document_text(drive_document(&t->drive, WK_CHECKINS, id), field);
}

static void each_method_records(void **state)
{
    const bson_t *document;
    bson_iter_t field;
    struct told t;

    (void)state;
    told_open(&t, ALL);
    check_in(&t, "u1");
    applied(&t, "u2", "checkin.recorded", with_code("OFFLINE", t.drive.now_ms));
    applied(&t, "u3", "checkin.recorded", GEO_IN);
    applied(&t, "u4", "checkin.recorded", with_code("ONLINE", t.drive.now_ms));
    applied(&t, "s1", "checkin.recorded", MANUAL_OF("u5", "u1"));
    assert_int_equal(number_of(&t, "present_count"), 5);
    assert_string_equal(checkin_field(&t, "u3", "method"), "GEO");
    assert_string_equal(checkin_field(&t, "u4", "method"), "ONLINE");
    assert_string_equal(checkin_field(&t, "u5", "method"), "MANUAL");
    assert_string_equal(checkin_field(&t, "u5", "recorded_by"), "s1");
    assert_string_equal(checkin_field(&t, "u5", "witness"), "u1");
    assert_string_equal(checkin_field(&t, "u5", "reason"), "手机没电");
    document = drive_document(&t.drive, WK_CHECKINS, MEETING "|u3");
    assert_true(bson_iter_init_find(&field, document, "in_fence"));
    assert_true(bson_iter_bool(&field));
    /* Told to the member, whoever recorded it. */
    yizhan__v1__checkin_confirmed__free_unpacked(
        (Yizhan__V1__CheckinConfirmed *)drive_last_push(&t.drive, "member.u5", "checkin.confirmed"),
        NULL);
    told_deinit(&t);
}

static void only_methods_of_the_meeting_are_taken(void **state)
{
    struct told t;

    (void)state;
    told_open(&t, "");
    refused(&t, "u1", "checkin.recorded", GEO_IN, YZ_METHOD_NOT_TAKEN, "method");
    refused(&t, "u1", "checkin.recorded", with_code("ONLINE", t.drive.now_ms), YZ_METHOD_NOT_TAKEN,
            "method");
    told_deinit(&t);
    told_open(&t, ",\"methods\":[\"GEO\"]");
    refused(&t, "u1", "checkin.recorded", with_code("CODE", t.drive.now_ms), YZ_METHOD_NOT_TAKEN,
            "method");
    applied(&t, "u1", "checkin.recorded", GEO_IN);
    applied(&t, "s1", "checkin.recorded", MANUAL_OF("u2", "u1"));
    told_deinit(&t);
}

static void outside_the_fence_nobody_is_present(void **state)
{
    struct told t;

    (void)state;
    told_open(&t, ALL);
    refused(&t, "u1", "checkin.recorded", "{" IT ",\"method\":\"GEO\"}", YZ_OUTSIDE_FENCE,
            "inFence");
    close_down(&t);
    refused(&t, "u1", "checkin.recorded", GEO_IN, YZ_MEETING_CLOSED, "meetingId");
    told_deinit(&t);
}

static void by_hand_needs_a_secretary_and_a_third_person(void **state)
{
    struct told t;

    (void)state;
    told_open(&t, "");
    t.drive.roles = "member";
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "u2"), YZ_FORBIDDEN, "method");
    t.drive.roles = "member,secretary@g1/c1/b2";
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "u2"), YZ_FORBIDDEN, "method");
    t.drive.roles = "member,secretary@g1/c1/b1";
    refused(&t, "u1", "checkin.recorded", MANUAL_OF("u1", "u2"), YZ_INVALID_VALUE, "member");
    refused(&t, "u2", "checkin.recorded", MANUAL_OF("u1", "u2"), YZ_INVALID_VALUE, "witness");
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "s1"), YZ_INVALID_VALUE, "witness");
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "x1"), YZ_NOT_ON_ROSTER, "witness");
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("x1", "u2"), YZ_NOT_ON_ROSTER, "member");
    applied(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "u2"));
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u1", "u2"), YZ_ALREADY_CHECKED_IN, "member");
    close_down(&t);
    refused(&t, "s1", "checkin.recorded", MANUAL_OF("u3", "u2"), YZ_MEETING_CLOSED, "meetingId");
    told_deinit(&t);
}

/* The rule pack's 24 hours run from the end of the slot, by the broker's time, to the millisecond.
 */
static void offline_ends_with_its_day(void **state)
{
    int64_t shown_ms, last_ms;
    struct told t;

    (void)state;
    told_open(&t, "");
    shown_ms = t.drive.now_ms;
    last_ms = shown_ms + 30000 + 24 * HOUR_MS;
    t.drive.now_ms += HOUR_MS;
    close_down(&t);
    t.drive.now_ms = last_ms + 1;
    refused(&t, "u1", "checkin.recorded", with_code("OFFLINE", shown_ms), YZ_CODE_EXPIRED, "code");
    t.drive.now_ms = last_ms;
    applied(&t, "u1", "checkin.recorded", with_code("OFFLINE", shown_ms));
    told_deinit(&t);
}

static void a_cancelled_meeting_takes_nobody(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER);
    applied(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"改期\"}");
    refused(&t, "u1", "checkin.recorded", with_code("CODE", t.drive.now_ms), YZ_MEETING_CANCELLED,
            "meetingId");
    refused(&t, "u1", "checkin.recorded", with_code("OFFLINE", t.drive.now_ms),
            YZ_MEETING_CANCELLED, "meetingId");
    refused(&t, "u1", "checkin.leave_requested", "{" IT ",\"leaveClass\":\"SICK_LEAVE\"}",
            YZ_MEETING_CANCELLED, "meetingId");
    told_deinit(&t);
}

#define ASKED               "{" IT ",\"leaveClass\":\"SICK_LEAVE\",\"reason\":\"就医\"}"
#define DECIDED(m, granted) "{" IT ",\"member\":\"" m "\",\"granted\":" granted ",\"note\":\"好\"}"

static void leave_is_asked_and_decided_once(void **state)
{
    Yizhan__V1__CheckinLeave *leave;
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "u1", "checkin.leave_requested", ASKED, YZ_NOT_FOUND, "meetingId");
    refused(&t, "s1", "checkin.leave_decided", DECIDED("u1", "true"), YZ_NOT_FOUND, "meetingId");
    convene(&t, "," ROSTER);
    refused(&t, "x1", "checkin.leave_requested", ASKED, YZ_NOT_ON_ROSTER, "meetingId");
    refused(&t, "s1", "checkin.leave_decided", DECIDED("u1", "true"), YZ_NOT_FOUND, "member");
    applied(&t, "u1", "checkin.leave_requested", ASKED);
    leave = (Yizhan__V1__CheckinLeave *)drive_last_push(&t.drive, "member.s1", "checkin.leave");
    assert_int_equal(leave->state, YIZHAN__V1__LEAVE_STATE__LEAVE_REQUESTED);
    assert_string_equal(leave->member, "u1");
    assert_string_equal(leave->note, ""); /* the reason is read, not pushed */
    yizhan__v1__checkin_leave__free_unpacked(leave, NULL);
    refused(&t, "u1", "checkin.leave_requested", ASKED, YZ_EXISTS, "meetingId");
    refused(&t, "u1", "checkin.leave_decided", DECIDED("u1", "true"), YZ_INVALID_VALUE, "member");
    assert_false(in_set(&t, "leave", 0));
    applied(&t, "s1", "checkin.leave_decided", DECIDED("u1", "true"));
    assert_true(in_set(&t, "leave", 0));
    leave = (Yizhan__V1__CheckinLeave *)drive_last_push(&t.drive, "member.u1", "checkin.leave");
    assert_int_equal(leave->state, YIZHAN__V1__LEAVE_STATE__LEAVE_GRANTED);
    assert_int_equal(leave->leave_class, YIZHAN__V1__LEAVE_CLASS__SICK_LEAVE);
    yizhan__v1__checkin_leave__free_unpacked(leave, NULL);
    refused(&t, "s1", "checkin.leave_decided", DECIDED("u1", "false"), YZ_LEAVE_DECIDED, "member");
    applied(&t, "u2", "checkin.leave_requested", ASKED);
    applied(&t, "s1", "checkin.leave_decided", DECIDED("u2", "false"));
    assert_false(in_set(&t, "leave", 1));
    told_deinit(&t);
}

static void leave_ends_with_the_closing(void **state)
{
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u1");
    refused(&t, "u1", "checkin.leave_requested", ASKED, YZ_ALREADY_CHECKED_IN, "meetingId");
    applied(&t, "u2", "checkin.leave_requested", ASKED);
    close_down(&t);
    refused(&t, "u3", "checkin.leave_requested", ASKED, YZ_MEETING_CLOSED, "meetingId");
    applied(&t, "s1", "checkin.leave_decided",
            DECIDED("u2", "true")); /* the answer may come later */
    assert_true(in_set(&t, "leave", 1));
    told_deinit(&t);
}

#define CORRECTED(m, state)                                                                        \
    "{" IT ",\"member\":\"" m "\",\"state\":\"" state "\",\"reason\":\"核对签到表\"}"

static void corrections_are_refused(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "s1", "checkin.corrected", CORRECTED("u1", "PRESENT"), YZ_NOT_FOUND, "meetingId");
    convene(&t, "," ROSTER);
    refused(&t, "s1", "checkin.corrected", CORRECTED("u1", "PRESENT"), YZ_MEETING_NOT_OPEN,
            "meetingId");
    open_up(&t);
    refused(&t, "u1", "checkin.corrected", CORRECTED("u1", "PRESENT"), YZ_INVALID_VALUE, "member");
    refused(&t, "s1", "checkin.corrected", CORRECTED("x1", "PRESENT"), YZ_NOT_ON_ROSTER, "member");
    refused(&t, "s1", "checkin.corrected", CORRECTED("u1", "ABSENT"), YZ_INVALID_VALUE, "state");
    told_deinit(&t);
}

static void what_was_recorded_stands_beside_its_corrections(void **state)
{
    Yizhan__V1__CheckinCorrection *told;
    char id[WK_ID_MAX];
    uint64_t first;
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u1");
    first = t.drive.sequence;
    applied(&t, "s1", "checkin.corrected", CORRECTED("u1", "ABSENT"));
    assert_int_equal(number_of(&t, "present_count"), 0);
    assert_true(in_set(&t, "corrected", 0));
    assert_string_equal(checkin_field(&t, "u1", "method"), "CODE");
    told = (Yizhan__V1__CheckinCorrection *)drive_last_push(&t.drive, "member.u1",
                                                            "checkin.correction");
    assert_int_equal(told->state, YIZHAN__V1__ATTENDANCE_STATE__ABSENT);
    assert_string_equal(told->corrected_by, "s1");
    yizhan__v1__checkin_correction__free_unpacked(told, NULL);
    applied(&t, "s2", "checkin.corrected", CORRECTED("u1", "ON_LEAVE"));
    for (int i = 0; i < 2; i++) {
        const bson_t *kept;

        snprintf(id, sizeof id, MEETING "|u1|%020llu", (unsigned long long)first + (unsigned)i);
        kept = drive_document(&t.drive, WK_CORRECTIONS, id);
        assert_string_equal(wk_document_text(kept, "before"), i == 0 ? "PRESENT" : "ABSENT");
        assert_string_equal(wk_document_text(kept, "state"), i == 0 ? "ABSENT" : "ON_LEAVE");
        assert_string_equal(wk_document_text(kept, "corrected_by"), i == 0 ? "s1" : "s2");
    }
    assert_true(in_set(&t, "leave", 0));
    told_deinit(&t);
}

/* A phone that comes later does not overrule what the secretary has corrected. */
static void a_correction_outlives_a_late_checkin(void **state)
{
    int64_t shown_ms;
    struct told t;

    (void)state;
    told_open(&t, "");
    shown_ms = t.drive.now_ms;
    applied(&t, "s1", "checkin.corrected", CORRECTED("u1", "ON_LEAVE"));
    close_down(&t);
    t.drive.now_ms += HOUR_MS;
    applied(&t, "u1", "checkin.recorded", with_code("OFFLINE", shown_ms));
    assert_false(in_set(&t, "present", 0));
    assert_int_equal(number_of(&t, "present_count"), 0);
    assert_string_equal(checkin_field(&t, "u1", "method"), "OFFLINE");
    /* From a second phone: the first check-in stands, though nobody counts it. */
    assert_int_equal(say(&t, "u1", "checkin.recorded", with_code("OFFLINE", shown_ms)),
                     YZ_ALREADY_CHECKED_IN);
    told_deinit(&t);
}

static void a_replay_of_a_correction_changes_nothing(void **state)
{
    size_t rows;
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u1");
    t.drive.now_ms += 4 * HOUR_MS;
    close_down(&t);
    applied(&t, "s1", "checkin.corrected", CORRECTED("u2", "PRESENT"));
    rows = row_count(&t);
    assert_int_equal(drive_apply(&t.drive, &t.drive.event), YZ_OK);
    assert_int_equal(number_of(&t, "present_count"), 2);
    /* The same rows again, under the same ids. */
    assert_int_equal(row_count(&t), rows + 2);
    told_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_method_records),
        cmocka_unit_test(only_methods_of_the_meeting_are_taken),
        cmocka_unit_test(outside_the_fence_nobody_is_present),
        cmocka_unit_test(by_hand_needs_a_secretary_and_a_third_person),
        cmocka_unit_test(offline_ends_with_its_day),
        cmocka_unit_test(a_cancelled_meeting_takes_nobody),
        cmocka_unit_test(leave_is_asked_and_decided_once),
        cmocka_unit_test(leave_ends_with_the_closing),
        cmocka_unit_test(corrections_are_refused),
        cmocka_unit_test(what_was_recorded_stands_beside_its_corrections),
        cmocka_unit_test(a_correction_outlives_a_late_checkin),
        cmocka_unit_test(a_replay_of_a_correction_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
