/* From convening to what follows a closing: rosters of branches, changes, reminders, credits,
 * figures, minutes, gaps. */
#include "branch_rig.h"
#include "meeting_told.h"

#include "workers/calendar.h"

#define REMINDED "meeting.reminder_due"

/* Two full members, a probationary one, an applicant, and one who left at left_ms. */
static void register_branch(struct told *t, int64_t left_ms, uint64_t sequence)
{
    const int64_t joined_ms = DRIVE_START - HOUR_MS;
    const struct branch_entry entries[] = {
        {"f2", 0, "FULL", "", joined_ms, 0},         {"f1", 1, "FULL", "", joined_ms, 0},
        {"p1", 2, "PROBATIONARY", "", joined_ms, 0}, {"a1", 3, "APPLICANT", "", joined_ms, 0},
        {"gone", 4, "FULL", "", joined_ms, left_ms},
    };
    bson_t *document = bson_new();
    struct branch_rig branch;

    branch_begin(&branch, document, BRANCH);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        branch_enrol(&branch, &entries[i]);
    branch_end(&branch);
    wk_fold_preset(t->drive.fold, WK_BRANCHES, "t1|" BRANCH, document, sequence);
    bson_destroy(document);
}

static void expect_roster(struct told *t, const char *members, const char *voters)
{
    const bson_t *roster = drive_document(&t->drive, WK_ROSTERS, MEETING);
    char all[512] = "", voting[512] = "";
    struct wk_bits bits;
    bson_iter_t entry;
    int64_t place = 0;

    wk_bits_read(roster, "voters", WK_ROSTER_MAX, &bits);
    assert_true(wk_document_array(roster, "members", &entry));
    for (; bson_iter_next(&entry); place++) {
        const char *name = bson_iter_utf8(&entry, NULL);
        size_t len = strlen(all), voting_len = strlen(voting);

        snprintf(all + len, sizeof all - len, "%s ", name);
        if (wk_bits_has(&bits, place))
            snprintf(voting + voting_len, sizeof voting - voting_len, "%s ", name);
    }
    assert_string_equal(all, members);
    assert_string_equal(voting, voters);
    assert_int_equal(number_of(t, "should"), place);
    assert_int_equal(number_of(t, "voting"), wk_bits_count(&bits));
}

static void the_roster_of_a_branch_is_a_snapshot(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "s1", "meeting.convened", "{" IT "," WINDOW ",\"rosterOfBranch\":true}",
            YZ_NOT_FOUND, "rosterOfBranch");
    register_branch(&t, DRIVE_START - 1, 5);
    convene(&t, ",\"rosterOfBranch\":true");
    expect_roster(&t, "f1 f2 p1 ", "f1 f2 ");
    open_up(&t);
    register_branch(&t, 0, 6); /* whoever came back is not on it */
    refused(&t, "gone", "checkin.recorded", with_code("CODE", t.drive.now_ms), YZ_NOT_ON_ROSTER,
            "meetingId");
    check_in(&t, "p1");
    applied(&t, "s1", "meeting.vote_opened",
            "{" IT ",\"voteId\":\"v1\",\"kind\":\"ORDINARY_VOTE\",\"motion\":\"m\"}");
    refused(&t, "p1", "meeting.vote_cast", "{" IT ",\"voteId\":\"v1\",\"choice\":\"VOTE_YES\"}",
            YZ_NOT_A_VOTER, "meetingId");
    told_deinit(&t);
}

/* A replay finds the branch changed, and takes the roster that the first run wrote. */
static void a_replay_of_convening_keeps_its_roster(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    register_branch(&t, 0, 5);
    convene(&t, ",\"rosterOfBranch\":true");
    expect_roster(&t, "f1 f2 gone p1 ", "f1 f2 gone ");
    register_branch(&t, DRIVE_START - 1, 6);
    assert_int_equal(drive_apply(&t.drive, &t.drive.event), YZ_OK);
    expect_roster(&t, "f1 f2 gone p1 ", "f1 f2 gone ");
    yizhan__v1__meeting_announced__free_unpacked((Yizhan__V1__MeetingAnnounced *)drive_last_push(
                                                     &t.drive, "org." BRANCH, "meeting.announced"),
                                                 NULL);
    told_deinit(&t);
}

static void who_votes_of_a_given_roster(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER); /* a branch without a register */
    expect_roster(&t, "u1 u2 u3 u4 u5 ", "u1 u2 u3 u4 u5 ");
    told_deinit(&t);
    told_init(&t);
    refused(&t, "s1", "meeting.convened",
            "{" IT "," WINDOW "," ROSTER ",\"voters\":[\"u2\",\"x1\"]}", YZ_NOT_ON_ROSTER,
            "voters[1]");
    register_branch(&t, 0, 5);
    convene(&t, ",\"roster\":[\"f1\",\"p1\",\"a1\",\"guest\"]");
    expect_roster(&t, "a1 f1 guest p1 ", "f1 ");
    told_deinit(&t);
    told_init(&t);
    register_branch(&t, 0, 5);
    convene(&t, ",\"roster\":[\"f1\",\"guest\"],\"voters\":[\"guest\"]");
    expect_roster(&t, "f1 guest ", "guest ");
    told_deinit(&t);
}

/* As a branch without a register: else nobody could vote in what meets there. */
static void a_register_in_which_nobody_stands_is_none(void **state)
{
    static const struct branch_entry gone = {"gone",         0, "FULL", "", DRIVE_START - 9,
                                             DRIVE_START - 8};

    (void)state;
    for (unsigned count = 0; count < 2; count++) {
        bson_t *document = bson_new();
        struct branch_rig branch;
        struct told t;

        told_init(&t);
        branch_begin(&branch, document, BRANCH);
        for (unsigned i = 0; i < count; i++)
            branch_enrol(&branch, &gone);
        branch_end(&branch);
        wk_fold_preset(t.drive.fold, WK_BRANCHES, "t1|" BRANCH, document, 5);
        bson_destroy(document);
        convene(&t, "," ROSTER);
        expect_roster(&t, "u1 u2 u3 u4 u5 ", "u1 u2 u3 u4 u5 ");
        told_deinit(&t);
    }
}

#define MOVED(revision, hour)                                                                      \
    "{" IT ",\"revision\":" revision ",\"title\":\"新\",\"startsAt\":\"2026-01-01T" hour           \
    ":00:00Z\",\"endsAt\":\"2026-01-01T" hour ":30:00Z\",\"reason\":\"改期\"}"

static void changes_carry_their_revision(void **state)
{
    Yizhan__V1__MeetingUpdated *updated;
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "s1", "meeting.changed", MOVED("1", "05"), YZ_NOT_FOUND, "meetingId");
    refused(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"r\"}", YZ_NOT_FOUND, "meetingId");
    convene(&t, "," ROSTER);
    refused(&t, "s1", "meeting.changed", MOVED("2", "05"), YZ_STALE_REVISION, "revision");
    applied(&t, "s1", "meeting.changed", MOVED("1", "05"));
    refused(&t, "s1", "meeting.changed", MOVED("1", "06"), YZ_STALE_REVISION, "revision");
    updated = (Yizhan__V1__MeetingUpdated *)drive_last_push(&t.drive, CHANNEL, "meeting.updated");
    assert_int_equal(updated->revision, 1);
    assert_string_equal(updated->title, "新");
    yizhan__v1__meeting_updated__free_unpacked(updated, NULL);
    assert_int_equal(wk_document_time_ms(meeting_of(&t), "starts_at"), DRIVE_START + 5 * HOUR_MS);
    assert_string_equal(wk_document_text(meeting_of(&t), "listed"), "001767243600000|m1");
    assert_string_equal(wk_document_text(drive_document(&t.drive, WK_ROSTERS, MEETING), "until"),
                        "001767245400000|" BRANCH "|m1");
    open_up(&t);
    refused(&t, "s1", "meeting.changed", MOVED("2", "06"), YZ_MEETING_OPEN_ALREADY, "meetingId");
    refused(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"r\"}", YZ_MEETING_OPEN_ALREADY,
            "meetingId");
    close_down(&t);
    refused(&t, "s1", "meeting.changed", MOVED("2", "06"), YZ_MEETING_CLOSED, "meetingId");
    refused(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"r\"}", YZ_MEETING_CLOSED,
            "meetingId");
    told_deinit(&t);
}

static void a_cancelled_meeting_is_over(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER);
    applied(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"改期\"}");
    yizhan__v1__meeting_state_changed__free_unpacked(
        (Yizhan__V1__MeetingStateChanged *)drive_last_push(&t.drive, "org." BRANCH,
                                                           "meeting.state_changed"),
        NULL);
    refused(&t, "s1", "meeting.opened", "{" IT "}", YZ_MEETING_CANCELLED, "meetingId");
    refused(&t, "s1", "meeting.closed", "{" IT "}", YZ_MEETING_CANCELLED, "meetingId");
    refused(&t, "s1", "meeting.changed", MOVED("1", "05"), YZ_MEETING_CANCELLED, "meetingId");
    refused(&t, "s1", "meeting.minutes_filed", "{" IT ",\"revision\":1,\"text\":\"t\"}",
            YZ_MEETING_CANCELLED, "meetingId");
    told_deinit(&t);
}

/* Fires the row; how many were pushed to. */
static size_t remind(struct told *t, size_t row)
{
    size_t before = drive_push_count(&t->drive);

    t->drive.now_ms += 2 * HOUR_MS;
    assert_int_equal(drive(&t->drive, "s1", BRANCH, REMINDED, row_of(t, row, REMINDED)), YZ_OK);
    return drive_push_count(&t->drive) - before;
}

static void the_roster_is_reminded_once_and_of_the_right_time(void **state)
{
    Yizhan__V1__MeetingReminder *reminder;
    size_t count;
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER);
    assert_int_equal(wk_fold_rows(t.drive.fold, &count)[0].due_at_ms, DRIVE_START + 2 * HOUR_MS);
    applied(&t, "s1", "meeting.changed", MOVED("1", "06"));
    assert_int_equal(row_count(&t), 2);
    assert_int_equal(wk_fold_rows(t.drive.fold, &count)[1].due_at_ms, DRIVE_START + 5 * HOUR_MS);
    assert_int_equal(remind(&t, 0), 0); /* that of the time before */
    assert_int_equal(remind(&t, 1), 5);
    reminder =
        (Yizhan__V1__MeetingReminder *)drive_last_push(&t.drive, "member.u5", "meeting.reminder");
    assert_int_equal(wk_timestamp_ms(reminder->starts_at), DRIVE_START + 6 * HOUR_MS);
    assert_int_equal(reminder->revision, 1);
    yizhan__v1__meeting_reminder__free_unpacked(reminder, NULL);
    open_up(&t);
    assert_int_equal(remind(&t, 1), 0);
    told_deinit(&t);
    told_init(&t);
    convene(&t, "," ROSTER);
    applied(&t, "s1", "meeting.cancelled", "{" IT ",\"reason\":\"改期\"}");
    assert_int_equal(remind(&t, 0), 0);
    told_deinit(&t);
}

/* Local time is UTC+8, quiet from 22:00 to 7:00, and the reminder an hour before. */
static void reminders_keep_the_quiet_hours(void **state)
{
    const int64_t midnight = DRIVE_START + 16 * HOUR_MS; /* the local 2 January begins */
    const int64_t minute = HOUR_MS / 60;
    struct told t;

    (void)state;
    told_init(&t);
#define DUE(now, starts) wk_meeting_remind_ms(t.drive.rules, now, starts)
    assert_int_equal(DUE(DRIVE_START, midnight + 9 * HOUR_MS), midnight + 8 * HOUR_MS);
    assert_int_equal(DUE(DRIVE_START, midnight + 8 * HOUR_MS), midnight + 7 * HOUR_MS);
    assert_int_equal(DUE(DRIVE_START, midnight + 8 * HOUR_MS - 1), midnight - 2 * HOUR_MS - minute);
    /* Convened in the night: when it ends, if that is before the start. */
    assert_int_equal(DUE(midnight, midnight + 8 * HOUR_MS - 1), midnight + 7 * HOUR_MS);
    assert_int_equal(DUE(midnight, midnight + 7 * HOUR_MS), 0);
    /* Less than an hour before: it was announced just now. */
    assert_int_equal(DUE(DRIVE_START, DRIVE_START + HOUR_MS), 0);
    assert_int_equal(DUE(DRIVE_START, DRIVE_START + HOUR_MS + 1), DRIVE_START + 1);
    told_deinit(&t);
}

/* Behind the end of its window. Returns where the rows of the closing begin. */
static size_t close_late(struct told *t)
{
    size_t begin = row_count(t);

    t->drive.now_ms += 6 * HOUR_MS;
    close_down(t);
    return begin;
}

static void hours_follow_the_closing(void **state)
{
    const Yizhan__V1__StudyCredited *credited;
    size_t begin;
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u2");
    check_in(&t, "u4");
    begin = close_late(&t);
    assert_int_equal(credits(&t, begin, NULL), 0);
    fire(&t, begin);
    assert_int_equal(credits(&t, begin, NULL), 2);
    assert_int_equal(credits(&t, begin, "u2"), 1);
    assert_int_equal(credits(&t, begin, "u4"), 1);
    credited = row_of(&t, row_count(&t) - 1, "study.credited");
    assert_int_equal(credited->minutes, 90);
    assert_string_equal(credited->source, BRANCH "/m1");
    assert_string_equal(credited->org_path, BRANCH);
    /* Closed late: it was held until the end of its window. */
    assert_int_equal(wk_timestamp_ms(credited->ended_at), DRIVE_START + 4 * HOUR_MS + HOUR_MS / 2);
    assert_int_equal(yz_event_type_find("study.credited", NULL)->check(&credited->base, &t.drive.v),
                     YZ_OK);
    told_deinit(&t);
}

/* What a secretary has said since stands, though an operator brings back what was said before. */
static void a_correction_that_comes_back_late(void **state)
{
    Yizhan__V1__CheckinCorrected first = YIZHAN__V1__CHECKIN_CORRECTED__INIT;
    struct drive_past past;
    struct told t;

    (void)state;
    told_open(&t, "");
    first.org_path = BRANCH;
    first.meeting_id = "m1";
    first.member = "u4";
    first.state = YIZHAN__V1__ATTENDANCE_STATE__PRESENT;
    first.reason = "r";
    assert_int_equal(drive(&t.drive, "s1", BRANCH, "checkin.corrected", &first.base), YZ_OK);
    drive_keep(&t.drive, &past);
    t.drive.now_ms += 1000;
    applied(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u4\",\"state\":\"ABSENT\",\"reason\":\"r\"}");
    assert_int_equal(drive_bring_back(&t.drive, &past), YZ_STALE_REVISION);
    assert_string_equal(t.drive.v.field, "member");
    past.event.received_at_ms = t.drive.now_ms;
    assert_int_equal(drive_bring_back(&t.drive, &past), YZ_OK);
    told_deinit(&t);
}

static void who_comes_or_is_corrected_later_is_credited_too(void **state)
{
    int64_t shown_ms;
    size_t begin;
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER);
    t.drive.now_ms = DRIVE_START + 3 * HOUR_MS;
    open_up(&t);
    shown_ms = t.drive.now_ms;
    check_in(&t, "u1");
    begin = row_count(&t);
    t.drive.now_ms += HOUR_MS;
    close_down(&t);
    /* Before the parts have gone through the roster: both tell, and the ledger takes one. */
    applied(&t, "u2", "checkin.recorded", with_code("OFFLINE", shown_ms));
    fire(&t, begin);
    applied(&t, "u3", "checkin.recorded", with_code("OFFLINE", shown_ms));
    applied(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u4\",\"state\":\"PRESENT\",\"reason\":\"r\"}");
    applied(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u5\",\"state\":\"ON_LEAVE\",\"reason\":\"r\"}");
    for (int i = 1; i <= 5; i++) {
        char member[8];

        snprintf(member, sizeof member, "u%d", i);
        assert_int_equal(credits(&t, begin, member), i == 5 ? 0 : 1);
    }
    told_deinit(&t);
}

/* What took place of the window 03:00:00 to 04:30:00, and when it was held. Times in seconds from
 * its start. */
static void the_minutes_are_those_that_took_place(void **state)
{
    static const struct {
        int64_t opened_s, closed_s, held_s;
        uint32_t minutes;
    } cases[] = {
        {0, 5400, 5400, 90},     /* as announced */
        {-3600, 9000, 5400, 90}, /* opened early, closed late: the window */
        {1200, 5400, 5400, 70},  /* opened late */
        {1200, 6600, 5400, 70},  /* and no longer for it */
        {0, 3600, 3600, 60},     /* closed early */
        {600, 3000, 3000, 40},   /* both */
        {0, 3601, 3601, 61},     /* a minute that has begun */
        {59, 5400, 5400, 90},    /* the same */
        {60, 5400, 5400, 89},    {5399, 5400, 5400, 1},
        {5400, 9000, 5400, 0},                     /* opened when it was to be over */
        {7200, 9000, 7200, 0},   {-3600, 0, 0, 0}, /* closed before it was to begin */
        {-3600, 1, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t starts_ms = DRIVE_START + 3 * HOUR_MS;
        const Yizhan__V1__MeetingHeld *held;
        struct told t;
        size_t begin;

        told_init(&t);
        convene(&t, "," ROSTER);
        t.drive.now_ms = starts_ms + cases[i].opened_s * 1000;
        open_up(&t);
        check_in(&t, "u2");
        begin = row_count(&t);
        t.drive.now_ms = starts_ms + cases[i].closed_s * 1000;
        close_down(&t);
        held = row_of(&t, row_count(&t) - 1, "meeting.held");
        assert_int_equal(held->minutes, cases[i].minutes);
        assert_int_equal(held->present, 1);
        assert_int_equal(wk_timestamp_ms(held->held_at), starts_ms + cases[i].held_s * 1000);
        fire(&t, begin);
        assert_int_equal(credits(&t, begin, "u2"), cases[i].minutes > 0);
        if (cases[i].minutes > 0) {
            const Yizhan__V1__StudyCredited *credited =
                row_of(&t, row_count(&t) - 1, "study.credited");

            assert_int_equal(credited->minutes, cases[i].minutes);
        }
        /* Nobody has hours of what did not take place: nobody loses any. */
        begin = row_count(&t);
        applied(&t, "s1", "checkin.corrected",
                "{" IT ",\"member\":\"u2\",\"state\":\"ABSENT\",\"reason\":\"r\"}");
        assert_int_equal(hours_told(&t, begin, "u2", true), cases[i].minutes > 0);
        told_deinit(&t);
    }
}

/* Never opened, it cannot be closed, and gives nothing. */
static void what_was_never_opened_gives_no_hours(void **state)
{
    size_t begin;
    struct told t;

    (void)state;
    told_init(&t);
    convene(&t, "," ROSTER);
    begin = row_count(&t);
    t.drive.now_ms += 6 * HOUR_MS;
    refused(&t, "s1", "meeting.closed", "{" IT "}", YZ_MEETING_NOT_OPEN, "meetingId");
    fire(&t, begin);
    assert_int_equal(credits(&t, begin, NULL), 0);
    assert_int_equal(wk_meeting_minutes(meeting_of(&t)), 0);
    told_deinit(&t);
}

/* The study.credited of the row before the last: a correction writes it before the figures. */
static const Yizhan__V1__StudyCredited *corrected(struct told *t, const char *member,
                                                  const char *state)
{
    char json[256];

    snprintf(json, sizeof json, "{" IT ",\"member\":\"%s\",\"state\":\"%s\",\"reason\":\"核对\"}",
             member, state);
    applied(t, "s1", "checkin.corrected", json);
    return row_of(t, row_count(t) - 2, "study.credited");
}

static void a_correction_takes_hours_back_and_gives_them_again(void **state)
{
    static const struct {
        const char *state;
        uint32_t minutes;
    } steps[] = {{"ABSENT", 0}, {"ON_LEAVE", 0}, {"PRESENT", 90}, {"ON_LEAVE", 0}};
    uint64_t last = 0;
    size_t begin;
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u2");
    check_in(&t, "u3");
    /* Before the closing there is nothing to take back. */
    begin = row_count(&t);
    applied(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u3\",\"state\":\"ABSENT\",\"reason\":\"r\"}");
    assert_int_equal(row_count(&t), begin);
    begin = close_late(&t);
    fire(&t, begin);
    assert_int_equal(credits(&t, begin, NULL), 1);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const Yizhan__V1__StudyCredited *said = corrected(&t, "u2", steps[i].state);
        const Yizhan__V1__MeetingHeld *held = row_of(&t, row_count(&t) - 1, "meeting.held");

        assert_string_equal(said->member, "u2");
        assert_string_equal(said->source, BRANCH "/m1");
        assert_int_equal(said->minutes, steps[i].minutes);
        assert_string_equal(said->reason, "核对");
        assert_true(said->revision > last);
        last = said->revision;
        /* The figures follow, too, and by the same revision. */
        assert_int_equal(held->present, steps[i].minutes ? 1 : 0);
        assert_int_equal(held->sequence, said->revision);
        assert_int_equal(yz_event_type_find("study.credited", NULL)->check(&said->base, &t.drive.v),
                         YZ_OK);
    }
    told_deinit(&t);
}

/* Between the closing and its parts: who is corrected away is not credited by them. */
static void who_is_corrected_away_before_the_parts_is_not_credited(void **state)
{
    size_t begin;
    struct told t;

    (void)state;
    told_open(&t, "");
    check_in(&t, "u2");
    begin = close_late(&t);
    assert_int_equal(corrected(&t, "u2", "ABSENT")->minutes, 0);
    fire(&t, begin);
    assert_int_equal(credits(&t, begin, NULL), 0);
    assert_int_equal(hours_told(&t, begin, "u2", true), 1);
    told_deinit(&t);
}

/* 450 members go in three parts, none with more rows than a part has places and one for the rest.
 */
static void a_large_roster_is_gone_through_in_parts(void **state)
{
    enum { MEMBERS = 450 };
    static char json[16384];
    size_t begin, at, most = 0, len, parts = 0;
    struct told t;

    (void)state;
    told_init(&t);
    len = (size_t)snprintf(json, sizeof json, "{" IT "," WINDOW ",\"roster\":[");
    for (int i = 0; i < MEMBERS; i++)
        len += (size_t)snprintf(json + len, sizeof json - len, "%s\"n%04d\"", i ? "," : "", i);
    snprintf(json + len, sizeof json - len, "]}");
    applied(&t, "s1", "meeting.convened", json);
    assert_int_equal(fire(&t, 0), 3); /* the reminder, too */
    assert_int_equal(drive_push_count(&t.drive), 1 + MEMBERS);
    open_up(&t);
    for (int i = 0; i < MEMBERS; i++) {
        char member[8];

        snprintf(member, sizeof member, "n%04d", i);
        check_in(&t, member);
    }
    begin = close_late(&t);
    for (at = begin; at < row_count(&t); at++) {
        size_t count, before = row_count(&t);

        if (strcmp(wk_fold_rows(t.drive.fold, &count)[at].type, "meeting.credits_due") != 0)
            continue;
        assert_int_equal(drive(&t.drive, "s1", BRANCH, "meeting.credits_due",
                               row_of(&t, at, "meeting.credits_due")),
                         YZ_OK);
        parts++;
        most = row_count(&t) - before > most ? row_count(&t) - before : most;
    }
    assert_int_equal(parts, 3);
    assert_int_equal(most, WK_MEETING_CHUNK + 1);
    assert_int_equal(credits(&t, begin, NULL), MEMBERS);
    told_deinit(&t);
}

static const bson_t *year_entry(struct told *t, bson_t *entry)
{
    const bson_t *year = drive_document(&t->drive, WK_MEETING_YEARS, "t1|" BRANCH "|2026");
    const uint8_t *data;
    bson_iter_t entries;
    uint32_t len;

    assert_true(wk_document_array(year, "meetings", &entries));
    assert_true(bson_iter_next(&entries));
    bson_iter_document(&entries, &len, &data);
    assert_true(bson_init_static(entry, data, len));
    assert_false(bson_iter_next(&entries));
    return entry;
}

static void figures_follow_and_older_ones_do_not_come_back(void **state)
{
    ProtobufCMessage *older;
    int64_t shown_ms;
    size_t begin;
    bson_t entry;
    struct told t;

    (void)state;
    told_open(&t, "");
    shown_ms = t.drive.now_ms;
    check_in(&t, "u1");
    begin = close_late(&t);
    older = row_of(&t, begin + 1, "meeting.held");
    begin = fire(&t, begin);
    year_entry(&t, &entry);
    assert_int_equal(wk_document_number(&entry, "p"), 1);
    assert_int_equal(wk_document_number(&entry, "s"), 5);
    assert_int_equal(wk_document_number(&entry, "t"), 90);
    assert_string_equal(wk_document_text(&entry, "k"), "ASSEMBLY");
    applied(&t, "u2", "checkin.recorded", with_code("OFFLINE", shown_ms));
    applied(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u3\",\"state\":\"ON_LEAVE\",\"reason\":\"r\"}");
    fire(&t, begin);
    year_entry(&t, &entry);
    assert_int_equal(wk_document_number(&entry, "p"), 2);
    assert_int_equal(wk_document_number(&entry, "l"), 1);
    /* A row that the bus held back comes last. */
    assert_int_equal(drive(&t.drive, "s1", BRANCH, "meeting.held", older), YZ_OK);
    year_entry(&t, &entry);
    assert_int_equal(wk_document_number(&entry, "p"), 2);
    assert_int_equal(
        wk_document_time_ms(drive_document(&t.drive, WK_MEETING_ORGS, "t1|" BRANCH), "ASSEMBLY"),
        DRIVE_START + 4 * HOUR_MS + HOUR_MS / 2);
    told_deinit(&t);
}

static void minutes_have_versions(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
#define MINUTES(revision, text) "{" IT ",\"revision\":" revision ",\"text\":\"" text "\"}"
    refused(&t, "s1", "meeting.minutes_filed", MINUTES("1", "一"), YZ_NOT_FOUND, "meetingId");
    convene(&t, "," ROSTER);
    refused(&t, "s1", "meeting.minutes_filed", MINUTES("1", "一"), YZ_MEETING_NOT_CLOSED,
            "meetingId");
    open_up(&t);
    refused(&t, "s1", "meeting.minutes_filed", MINUTES("1", "一"), YZ_MEETING_NOT_CLOSED,
            "meetingId");
    close_down(&t);
    refused(&t, "s1", "meeting.minutes_filed", MINUTES("2", "二"), YZ_STALE_REVISION, "revision");
    applied(&t, "s1", "meeting.minutes_filed", MINUTES("1", "一"));
    refused(&t, "s1", "meeting.minutes_filed", MINUTES("1", "二"), YZ_STALE_REVISION, "revision");
    applied(&t, "s2", "meeting.minutes_filed", MINUTES("2", "二"));
    assert_string_equal(
        wk_document_text(drive_document(&t.drive, WK_MINUTES, MEETING "|0000000001"), "text"),
        "一");
    assert_string_equal(
        wk_document_text(drive_document(&t.drive, WK_MINUTES, MEETING "|0000000002"), "filed_by"),
        "s2");
    told_deinit(&t);
}

/* Months of UTC+8; quarters and years begin in January. */
static void what_is_overdue_since_when(void **state)
{
    const struct wk_rules_calendar *calendar;
    int64_t january;
    struct told t;

    (void)state;
    told_init(&t);
    calendar = wk_rules_calendar_at(t.drive.rules, DRIVE_START);
    january = wk_calendar_month(calendar, DRIVE_START);
#define MONTH(n) wk_calendar_month_ms(calendar, january + (n))
    /* Held in January: February's is due by its end, overdue with March. */
    assert_int_equal(wk_meeting_overdue_ms(calendar, 1, MONTH(0), 0), MONTH(2));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 1, MONTH(1) - 1, 0), MONTH(2));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 1, MONTH(1), 0), MONTH(3));
    /* Quarterly: held in the first quarter, overdue with the third. */
    assert_int_equal(wk_meeting_overdue_ms(calendar, 3, MONTH(3) - 1, 0), MONTH(6));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 3, MONTH(3), 0), MONTH(9));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 12, MONTH(5), 0), MONTH(24));
    /* Never: a month that was whole counts, one that had begun does not. */
    assert_int_equal(wk_meeting_overdue_ms(calendar, 1, 0, MONTH(0)), MONTH(1));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 1, 0, MONTH(0) + 1), MONTH(2));
    assert_int_equal(wk_meeting_overdue_ms(calendar, 3, 0, MONTH(1)), MONTH(6));
    told_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_roster_of_a_branch_is_a_snapshot),
        cmocka_unit_test(a_replay_of_convening_keeps_its_roster),
        cmocka_unit_test(who_votes_of_a_given_roster),
        cmocka_unit_test(a_register_in_which_nobody_stands_is_none),
        cmocka_unit_test(a_correction_that_comes_back_late),
        cmocka_unit_test(changes_carry_their_revision),
        cmocka_unit_test(a_cancelled_meeting_is_over),
        cmocka_unit_test(the_roster_is_reminded_once_and_of_the_right_time),
        cmocka_unit_test(reminders_keep_the_quiet_hours),
        cmocka_unit_test(hours_follow_the_closing),
        cmocka_unit_test(who_comes_or_is_corrected_later_is_credited_too),
        cmocka_unit_test(the_minutes_are_those_that_took_place),
        cmocka_unit_test(what_was_never_opened_gives_no_hours),
        cmocka_unit_test(a_correction_takes_hours_back_and_gives_them_again),
        cmocka_unit_test(who_is_corrected_away_before_the_parts_is_not_credited),
        cmocka_unit_test(a_large_roster_is_gone_through_in_parts),
        cmocka_unit_test(figures_follow_and_older_ones_do_not_come_back),
        cmocka_unit_test(minutes_have_versions),
        cmocka_unit_test(what_is_overdue_since_when),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
