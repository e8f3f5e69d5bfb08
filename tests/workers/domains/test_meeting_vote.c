/* Votes: who votes, once; and what the rule pack decides, against arithmetic of its own. */
#include "meeting_told.h"

#define ORDINARY  YIZHAN__V1__VOTE_KIND__ORDINARY_VOTE
#define ADMISSION YIZHAN__V1__VOTE_KIND__ADMISSION_VOTE
#define PASSED    YIZHAN__V1__VOTE_RESULT__VOTE_PASSED
#define REJECTED  YIZHAN__V1__VOTE_RESULT__VOTE_NOT_PASSED
#define NO_QUORUM YIZHAN__V1__VOTE_RESULT__VOTE_NO_QUORUM

#define VOTE(id, kind, more)                                                                       \
    "{" IT ",\"voteId\":\"" id "\",\"kind\":\"" kind "\",\"motion\":\"工作计划\"" more "}"
#define CAST(id, choice) "{" IT ",\"voteId\":\"" id "\",\"choice\":\"" choice "\"}"
#define ENDED(id)        "{" IT ",\"voteId\":\"" id "\"}"
#define WRITTEN(member)  ",\"written\":[{\"member\":\"" member "\",\"choice\":\"VOTE_YES\"}]"

/* u1 to u4 vote, u5 does not; u1, u2 and u5 are there. */
static void begin(struct told *t)
{
    told_open(t, ",\"voters\":[\"u1\",\"u2\",\"u3\",\"u4\"]");
    check_in(t, "u1");
    check_in(t, "u2");
    check_in(t, "u5");
}

static const bson_t *vote_of(struct told *t, const char *vote)
{
    char id[WK_ID_MAX];

    snprintf(id, sizeof id, MEETING "|%s", vote);
    return drive_document(&t->drive, WK_VOTES, id);
}

static void expect_decision(struct told *t, Yizhan__V1__VoteResult result, uint32_t should,
                            uint32_t present, uint32_t yes)
{
    Yizhan__V1__MeetingVote *vote =
        (Yizhan__V1__MeetingVote *)drive_last_push(&t->drive, CHANNEL, "meeting.vote");

    assert_int_equal(vote->result, result);
    assert_int_equal(vote->should_attend, should);
    assert_int_equal(vote->present, present);
    assert_int_equal(vote->yes, yes);
    assert_string_equal(vote->rule_version, "2026-1");
    assert_string_equal(wk_document_text(vote_of(t, vote->vote_id), "rule_version"), "2026-1");
    assert_int_equal(wk_document_number(vote_of(t, vote->vote_id), "yes"), yes);
    yizhan__v1__meeting_vote__free_unpacked(vote, NULL);
}

/* Half of the four are present: a quorum. Both say yes: half of those who should, not more. */
static void exactly_half_is_no_majority(void **state)
{
    struct told t;

    (void)state;
    begin(&t);
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""));
    applied(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    applied(&t, "u2", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    expect_decision(&t, REJECTED, 4, 2, 2);
    check_in(&t, "u3");
    applied(&t, "s1", "meeting.vote_opened", VOTE("v2", "ORDINARY_VOTE", ""));
    applied(&t, "u1", "meeting.vote_cast", CAST("v2", "VOTE_YES"));
    applied(&t, "u2", "meeting.vote_cast", CAST("v2", "VOTE_YES"));
    applied(&t, "u3", "meeting.vote_cast", CAST("v2", "VOTE_YES"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v2"));
    expect_decision(&t, PASSED, 4, 3, 3);
    told_deinit(&t);
}

static void an_admission_needs_more_than_half_present(void **state)
{
    struct told t;

    (void)state;
    begin(&t);
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ADMISSION_VOTE", WRITTEN("u3")));
    applied(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    applied(&t, "u2", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    expect_decision(&t, NO_QUORUM, 4, 2, 3); /* an opinion counts as a vote, not as presence */
    check_in(&t, "u4");
    applied(&t, "s1", "meeting.vote_opened", VOTE("v2", "ADMISSION_VOTE", WRITTEN("u3")));
    applied(&t, "u1", "meeting.vote_cast", CAST("v2", "VOTE_YES"));
    applied(&t, "u2", "meeting.vote_cast", CAST("v2", "VOTE_YES"));
    applied(&t, "u4", "meeting.vote_cast", CAST("v2", "VOTE_NO"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v2"));
    expect_decision(&t, PASSED, 4, 3, 3);
    assert_int_equal(wk_document_number(vote_of(&t, "v2"), "written"), 1);
    told_deinit(&t);
}

static void a_member_votes_once(void **state)
{
    struct told t;

    (void)state;
    begin(&t);
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ADMISSION_VOTE", WRITTEN("u3")));
    applied(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_NO"));
    refused(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_ALREADY_VOTED, "voteId");
    refused(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_NO"), YZ_ALREADY_VOTED, "voteId");
    check_in(&t, "u3"); /* came after all: has voted in writing */
    refused(&t, "u3", "meeting.vote_cast", CAST("v1", "VOTE_NO"), YZ_ALREADY_VOTED, "voteId");
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    assert_int_equal(wk_document_number(vote_of(&t, "v1"), "yes"), 1);
    assert_int_equal(wk_document_number(vote_of(&t, "v1"), "no"), 1);
    assert_string_equal(
        wk_document_text(drive_document(&t.drive, WK_BALLOTS, MEETING "|v1|u1"), "choice"),
        "VOTE_NO");
    told_deinit(&t);
}

static void who_may_not_vote(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_NOT_FOUND, "meetingId");
    told_deinit(&t);
    begin(&t);
    refused(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_NOT_FOUND, "voteId");
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""));
    refused(&t, "s1", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_NOT_ON_ROSTER, "meetingId");
    refused(&t, "u5", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_NOT_A_VOTER, "meetingId");
    refused(&t, "u3", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_NOT_PRESENT, "meetingId");
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    refused(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"), YZ_VOTE_CLOSED, "voteId");
    told_deinit(&t);
}

static void votes_are_opened_one_at_a_time(void **state)
{
    struct told t;

    (void)state;
    told_init(&t);
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""), YZ_NOT_FOUND,
            "meetingId");
    refused(&t, "s1", "meeting.vote_closed", ENDED("v1"), YZ_NOT_FOUND, "meetingId");
    convene(&t, "," ROSTER);
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""), YZ_MEETING_NOT_OPEN,
            "meetingId");
    told_deinit(&t);
    begin(&t);
    refused(&t, "s1", "meeting.vote_closed", ENDED("v1"), YZ_NOT_FOUND, "voteId");
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ADMISSION_VOTE", WRITTEN("x1")),
            YZ_NOT_ON_ROSTER, "written[0]");
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ADMISSION_VOTE", WRITTEN("u5")),
            YZ_NOT_A_VOTER, "written[0]");
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ADMISSION_VOTE", WRITTEN("u1")),
            YZ_INVALID_VALUE, "written[0]");
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""));
    refused(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""), YZ_EXISTS, "voteId");
    refused(&t, "s1", "meeting.vote_opened", VOTE("v2", "ORDINARY_VOTE", ""), YZ_VOTE_OPEN,
            "meetingId");
    refused(&t, "s1", "meeting.closed", "{" IT "}", YZ_VOTE_OPEN, "meetingId");
    refused(&t, "s1", "checkin.corrected",
            "{" IT ",\"member\":\"u1\",\"state\":\"ABSENT\",\"reason\":\"r\"}", YZ_VOTE_OPEN,
            "meetingId");
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    refused(&t, "s1", "meeting.vote_closed", ENDED("v1"), YZ_VOTE_CLOSED, "voteId");
    close_down(&t);
    refused(&t, "s1", "meeting.vote_opened", VOTE("v2", "ORDINARY_VOTE", ""), YZ_MEETING_CLOSED,
            "meetingId");
    told_deinit(&t);
}

/* The event that decided, once more, over documents that hold it: the same push, the same numbers.
 */
static void a_replay_of_the_decision_decides_nothing_anew(void **state)
{
    struct drive_past closing;
    struct told t;

    (void)state;
    begin(&t);
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""));
    applied(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    drive_keep(&t.drive, &closing);
    check_in(&t, "u3");
    check_in(&t, "u4");
    assert_int_equal(drive_apply(&t.drive, &closing.event), YZ_OK);
    expect_decision(&t, REJECTED, 4, 2, 1);
    told_deinit(&t);
}

/* What a crash between two writes leaves: the vote as it was before it was decided, the meeting
 * with whoever checked in after. */
static void a_replay_of_the_decision_counts_nobody_who_came_after(void **state)
{
    struct told t, again;
    struct drive_past closing;
    bson_t *undecided;

    (void)state;
    begin(&t);
    applied(&t, "s1", "meeting.vote_opened", VOTE("v1", "ORDINARY_VOTE", ""));
    applied(&t, "u1", "meeting.vote_cast", CAST("v1", "VOTE_YES"));
    undecided = bson_copy(vote_of(&t, "v1"));
    applied(&t, "s1", "meeting.vote_closed", ENDED("v1"));
    drive_keep(&t.drive, &closing);
    check_in(&t, "u3");
    check_in(&t, "u4");
    told_init(&again);
    wk_fold_preset(again.drive.fold, WK_VOTES, MEETING "|v1", undecided,
                   closing.event.sequence - 1);
    wk_fold_preset(again.drive.fold, WK_MEETINGS, MEETING, meeting_of(&t), t.drive.event.sequence);
    wk_fold_preset(again.drive.fold, WK_ROSTERS, MEETING,
                   drive_document(&t.drive, WK_ROSTERS, MEETING), 100);
    assert_int_equal(drive_apply(&again.drive, &closing.event), YZ_OK);
    expect_decision(&again, REJECTED, 4, 2, 1);
    assert_int_equal(wk_document_number(vote_of(&again, "v1"), "present"), 2);
    bson_destroy(undecided);
    told_deinit(&again);
    told_deinit(&t);
}

static uint64_t random_state = 20260101;

static int64_t drawn(int64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((random_state >> 33) % (uint64_t)below);
}

/* Written anew from the regulation's words, with whole people: the fewest that are at least half,
 * and the fewest that are more than half. */
static Yizhan__V1__VoteResult by_the_words(Yizhan__V1__VoteKind kind, int64_t should,
                                           int64_t present, int64_t yes)
{
    int64_t at_least_half = should / 2 + should % 2, more_than_half = should / 2 + 1;

    if (should == 0 || present < (kind == ADMISSION ? more_than_half : at_least_half))
        return NO_QUORUM;
    return yes >= more_than_half ? PASSED : REJECTED;
}

static void decisions_are_those_of_the_words(void **state)
{
    const struct wk_rules_meeting *rules;
    int seen[4] = {0};
    struct told t;

    (void)state;
    told_init(&t);
    rules = wk_rules_meeting_at(t.drive.rules, DRIVE_START);
    for (int i = 0; i < 200000; i++) {
        int64_t should = i < 100000 ? drawn(60) : drawn(WK_ROSTER_MAX + 1);
        int64_t present = drawn(should + 1), yes = drawn(should + 1);
        Yizhan__V1__VoteKind kind = drawn(2) ? ORDINARY : ADMISSION;
        struct wk_tally tally = {should, present, yes};
        Yizhan__V1__VoteResult got = wk_vote_decide(rules, kind, &tally);

        if (got != by_the_words(kind, should, present, yes))
            fail_msg("kind %d, should %d, present %d, yes %d: %d", (int)kind, (int)should,
                     (int)present, (int)yes, (int)got);
        seen[got]++;
    }
    assert_true(seen[PASSED] > 1000 && seen[REJECTED] > 1000 && seen[NO_QUORUM] > 1000);
    told_deinit(&t);
}

static void the_edges_of_half(void **state)
{
    static const struct {
        Yizhan__V1__VoteKind kind;
        struct wk_tally tally;
        Yizhan__V1__VoteResult result;
    } cases[] = {
        {ORDINARY, {20, 10, 10}, REJECTED},  {ORDINARY, {20, 11, 11}, PASSED},
        {ORDINARY, {20, 9, 9}, NO_QUORUM},   {ORDINARY, {21, 10, 10}, NO_QUORUM},
        {ORDINARY, {21, 11, 11}, PASSED},    {ADMISSION, {20, 10, 11}, NO_QUORUM},
        {ADMISSION, {20, 11, 10}, REJECTED}, {ADMISSION, {20, 11, 11}, PASSED},
        {ORDINARY, {0, 0, 0}, NO_QUORUM},    {ORDINARY, {1, 1, 1}, PASSED},
    };
    struct told t;

    (void)state;
    told_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(wk_vote_decide(wk_rules_meeting_at(t.drive.rules, DRIVE_START),
                                        cases[i].kind, &cases[i].tally),
                         cases[i].result);
    told_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_half_is_no_majority),
        cmocka_unit_test(an_admission_needs_more_than_half_present),
        cmocka_unit_test(a_member_votes_once),
        cmocka_unit_test(who_may_not_vote),
        cmocka_unit_test(votes_are_opened_one_at_a_time),
        cmocka_unit_test(a_replay_of_the_decision_decides_nothing_anew),
        cmocka_unit_test(a_replay_of_the_decision_counts_nobody_who_came_after),
        cmocka_unit_test(decisions_are_those_of_the_words),
        cmocka_unit_test(the_edges_of_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
