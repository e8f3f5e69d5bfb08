/* Study: one session at a time, no more than the time allows, nothing taken back, completed by the
 * server alone. */
#include "drive.h"

#include <lesson.pb-c.h>
#include <study.pb-c.h>

#define BRANCH   "g1/c1/b1"
#define MEMBER   "t1|u1"
#define PROGRESS "t1|u1|l1|1"
#define MINUTE   INT64_C(60000)
#define PAUSE_MS 30000 /* rule quiz_pause_s */
#define LONG_MS  300000

static struct drive d;
static uint32_t rights[2][2] = {{1, 0}, {0, 2}};

static int set_up(void **state)
{
    (void)state;
    drive_init(&d);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_deinit(&d);
    return 0;
}

static void release_version(uint32_t version, uint32_t duration_ms,
                            Yizhan__V1__LessonCompletion *completion)
{
    Yizhan__V1__LessonBlock block = YIZHAN__V1__LESSON_BLOCK__INIT, *blocks[] = {&block};
    char *choices[] = {"甲", "乙", "丙"};
    Yizhan__V1__LessonQuestion question = YIZHAN__V1__LESSON_QUESTION__INIT;
    Yizhan__V1__LessonQuestion *questions[] = {&question, &question};
    Yizhan__V1__LessonAnswer answer[2] = {YIZHAN__V1__LESSON_ANSWER__INIT,
                                          YIZHAN__V1__LESSON_ANSWER__INIT};
    Yizhan__V1__LessonAnswer *answers[] = {&answer[0], &answer[1]};
    Yizhan__V1__LessonContent content = YIZHAN__V1__LESSON_CONTENT__INIT;
    Yizhan__V1__LessonScheduled scheduled = YIZHAN__V1__LESSON_SCHEDULED__INIT;
    Yizhan__V1__LessonReleased released = YIZHAN__V1__LESSON_RELEASED__INIT;

    block.content_case = YIZHAN__V1__LESSON_BLOCK__CONTENT_TEXT;
    block.text = "学";
    question.text = "问";
    question.choices = choices;
    question.n_choices = 3;
    answer[0].choices = rights[0];
    answer[0].n_choices = 1;
    answer[1].choices = rights[1];
    answer[1].n_choices = 2;
    content.blocks = blocks;
    content.n_blocks = 1;
    content.questions = questions;
    content.n_questions = 2;
    content.reading_ms = duration_ms;
    content.completion = completion;
    scheduled.org_path = released.org_path = "g1/c1";
    scheduled.lesson_id = released.lesson_id = "l1";
    scheduled.version = released.version = version;
    scheduled.kind = YIZHAN__V1__LESSON_KIND__MICRO_LECTURE;
    scheduled.title = "微党课";
    scheduled.content = &content;
    scheduled.answers = answers;
    scheduled.n_answers = 2;
    assert_int_equal(drive(&d, "s1", "g1/c1", "lesson.scheduled", &scheduled.base), YZ_OK);
    assert_int_equal(drive(&d, "s1", "g1/c1", "lesson.released", &released.base), YZ_OK);
}

/* The event stays for a replay. */
static enum yz_err start_version(const char *session, uint32_t version, const char *device)
{
    static Yizhan__V1__StudyStarted s;

    yizhan__v1__study_started__init(&s);
    s.session_id = (char *)(uintptr_t)session;
    s.lesson_id = "l1";
    s.version = version;
    s.device = (char *)(uintptr_t)device;
    return drive(&d, "u1", BRANCH, "study.started", &s.base);
}

static enum yz_err start(const char *session, const char *device)
{
    return start_version(session, 1, device);
}

/* A session of the first version: s1, on d1. */
static void begin(uint32_t duration_ms, Yizhan__V1__LessonCompletion *completion)
{
    release_version(1, duration_ms, completion);
    assert_int_equal(start("s1", "d1"), YZ_OK);
}

static Yizhan__V1__StudyProgressed progress_of(const char *session, uint32_t seq)
{
    Yizhan__V1__StudyProgressed p = YIZHAN__V1__STUDY_PROGRESSED__INIT;

    p.session_id = (char *)(uintptr_t)session;
    p.seq = seq;
    p.lesson_id = "l1";
    p.version = 1;
    return p;
}

static enum yz_err watch(const char *session, uint32_t seq, uint32_t from_ms, uint32_t to_ms,
                         uint32_t rate_permille)
{
    Yizhan__V1__StudyProgressed p = progress_of(session, seq);
    Yizhan__V1__StudyInterval interval = YIZHAN__V1__STUDY_INTERVAL__INIT, *list[] = {&interval};

    interval.from_ms = from_ms;
    interval.to_ms = to_ms;
    p.intervals = list;
    p.n_intervals = 1;
    p.rate_permille = rate_permille;
    return drive(&d, "u1", BRANCH, "study.progressed", &p.base);
}

static enum yz_err end(const char *session, uint32_t seq)
{
    Yizhan__V1__StudyProgressed p = progress_of(session, seq);

    p.last = true;
    return drive(&d, "u1", BRANCH, "study.progressed", &p.base);
}

/* right: how many of the two are right. The event stays for a replay. */
static enum yz_err answer_quiz(uint32_t seq, int right)
{
    static Yizhan__V1__StudyQuizAnswered__Answer of[2];
    static Yizhan__V1__StudyQuizAnswered__Answer *list[] = {&of[0], &of[1]};
    static Yizhan__V1__StudyQuizAnswered q;

    yizhan__v1__study_quiz_answered__init(&q);
    yizhan__v1__study_quiz_answered__answer__init(&of[0]);
    yizhan__v1__study_quiz_answered__answer__init(&of[1]);
    of[0].choices = rights[0];
    of[0].n_choices = right > 0 ? 1 : 0;
    /* Half of the right choices is not right. */
    of[1].choices = rights[1];
    of[1].n_choices = right > 1 ? 2 : 1;
    q.session_id = "s1";
    q.seq = seq;
    q.lesson_id = "l1";
    q.version = 1;
    q.answers = list;
    q.n_answers = 2;
    return drive(&d, "u1", BRANCH, "study.quiz_answered", &q.base);
}

static int64_t covered(void)
{
    return wk_document_number(drive_document(&d, "study_progress", PROGRESS), "covered_ms");
}

static bool flag(const char *collection, const char *id, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, drive_document(&d, collection, id), field) &&
           bson_iter_as_bool(&iter);
}

static void assert_refused(enum yz_err got, enum yz_err err, const char *field)
{
    assert_string_equal(yz_err_code(got), yz_err_code(err));
    assert_string_equal(d.v.field, field);
}

/* Rows that became study.completed, the newest last. */
static const struct wk_fold_row *conclusions(size_t *count)
{
    static struct wk_fold_row found[8];
    size_t all;
    const struct wk_fold_row *rows = wk_fold_rows(d.fold, &all);

    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (strcmp(rows[i].type, "study.completed") == 0 && *count < 8)
            found[(*count)++] = rows[i];
    }
    return found;
}

static void assert_conclusions(size_t expected)
{
    size_t count;

    conclusions(&count);
    assert_int_equal(count, expected);
}

/* The row becomes its event. */
static void fire(void)
{
    size_t count;
    const struct wk_fold_row *rows = conclusions(&count);
    Yizhan__V1__StudyCompleted *completed;

    assert_true(count > 0);
    completed = yizhan__v1__study_completed__unpack(NULL, rows[count - 1].payload_len,
                                                    rows[count - 1].payload);
    assert_non_null(completed);
    assert_int_equal(drive(&d, "u1", BRANCH, "study.completed", &completed->base), YZ_OK);
    yizhan__v1__study_completed__free_unpacked(completed, NULL);
}

static void test_started(void **state)
{
    Yizhan__V1__StudySession *pushed;

    (void)state;
    begin(LONG_MS, NULL);
    assert_int_equal(covered(), 0);
    pushed = (Yizhan__V1__StudySession *)drive_last_push(&d, "member.u1", "study.session");
    assert_int_equal(pushed->state, YIZHAN__V1__STUDY_SESSION_STATE__SESSION_STARTED);
    assert_int_equal(pushed->heartbeat_s, 65);
    assert_string_equal(pushed->took_over, "");
    yizhan__v1__study_session__free_unpacked(pushed, NULL);
    assert_refused(start("s1", "d1"), YZ_EXISTS, "sessionId");
}

static void test_what_may_be_studied(void **state)
{
    Yizhan__V1__StudyStarted s = YIZHAN__V1__STUDY_STARTED__INIT;
    Yizhan__V1__LessonWithdrawn w = YIZHAN__V1__LESSON_WITHDRAWN__INIT;

    (void)state;
    release_version(1, LONG_MS, NULL);
    assert_refused(start_version("s1", 2, "d1"), YZ_NOT_FOUND, "lessonId");
    s.session_id = "s2";
    s.lesson_id = "l1";
    s.version = 1;
    s.device = "d1";
    assert_refused(drive(&d, "u2", "g1/c2/b9", "study.started", &s.base), YZ_NOT_FOUND, "lessonId");
    release_version(2, LONG_MS, NULL);
    assert_refused(start("s3", "d1"), YZ_LESSON_SUPERSEDED, "version");
    w.org_path = "g1/c1";
    w.lesson_id = "l1";
    w.version = 2;
    assert_int_equal(drive(&d, "s1", "g1/c1", "lesson.withdrawn", &w.base), YZ_OK);
    assert_refused(start_version("s4", 2, "d1"), YZ_LESSON_WITHDRAWN, "version");
}

/* The classic defect: the client says that it is further back. */
static void test_progress_never_falls(void **state)
{
    Yizhan__V1__StudyProgress *sent;

    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += 4 * MINUTE;
    assert_int_equal(watch("s1", 1, 0, 200000, 0), YZ_OK);
    assert_int_equal(covered(), 200000);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 2, 0, 10000, 0), YZ_OK);
    assert_int_equal(covered(), 200000);
    sent =
        (Yizhan__V1__StudyProgress *)drive_last_value(&d, "member.u1", "study", "study.progress");
    assert_int_equal(sent->covered_ms, 200000);
    yizhan__v1__study_progress__free_unpacked(sent, NULL);
    /* Neither does it in another session. */
    assert_int_equal(end("s1", 3), YZ_OK);
    assert_int_equal(start("s2", "d2"), YZ_OK);
    assert_int_equal(covered(), 200000);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s2", 1, 190000, 210000, 0), YZ_OK);
    assert_int_equal(covered(), 210000);
}

static void test_a_seq_counts_once(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 5, 0, 1000, 0), YZ_OK);
    d.now_ms += MINUTE;
    assert_refused(watch("s1", 5, 0, 2000, 0), YZ_STALE_SEQ, "seq");
    assert_refused(watch("s1", 4, 0, 2000, 0), YZ_STALE_SEQ, "seq");
    assert_int_equal(covered(), 1000);
    assert_refused(answer_quiz(5, 2), YZ_STALE_SEQ, "seq");
}

static void test_the_session_is_named(void **state)
{
    Yizhan__V1__StudyProgressed p = progress_of("s1", 1);

    (void)state;
    release_version(1, LONG_MS, NULL);
    assert_refused(watch("s1", 1, 0, 1, 0), YZ_NOT_FOUND, "sessionId");
    assert_int_equal(start("s1", "d1"), YZ_OK);
    p.lesson_id = "l2";
    p.last = true;
    assert_refused(drive(&d, "u1", BRANCH, "study.progressed", &p.base), YZ_INVALID_VALUE,
                   "lessonId");
    p.lesson_id = "l1";
    p.version = 2;
    assert_refused(drive(&d, "u1", BRANCH, "study.progressed", &p.base), YZ_INVALID_VALUE,
                   "version");
    /* Another member has no such session. */
    p.version = 1;
    assert_refused(drive(&d, "u2", BRANCH, "study.progressed", &p.base), YZ_NOT_FOUND, "sessionId");
    assert_int_equal(end("s1", 1), YZ_OK);
    assert_refused(end("s1", 2), YZ_SESSION_ENDED, "sessionId");
}

static void test_two_phones_at_once(void **state)
{
    Yizhan__V1__StudySession *pushed;

    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += 119999;
    assert_refused(start("s2", "d2"), YZ_SESSION_ACTIVE, "sessionId");
    assert_int_equal(watch("s1", 1, 0, 60000, 0), YZ_OK);
    /* Idle counts from the last progress. */
    d.now_ms += 119999;
    assert_refused(start("s2", "d2"), YZ_SESSION_ACTIVE, "sessionId");
    d.now_ms += 1;
    assert_int_equal(start("s2", "d2"), YZ_OK);
    pushed = (Yizhan__V1__StudySession *)drive_last_push(&d, "member.u1", "study.session");
    assert_string_equal(pushed->took_over, "s1");
    yizhan__v1__study_session__free_unpacked(pushed, NULL);
    d.now_ms += MINUTE;
    assert_refused(watch("s1", 2, 60000, 70000, 0), YZ_SESSION_ENDED, "sessionId");
    assert_int_equal(covered(), 60000);
    assert_int_equal(watch("s2", 1, 60000, 70000, 0), YZ_OK);
    assert_int_equal(covered(), 70000);
}

/* After a crash the phone need not wait for itself; a session that was ended is in nobody's way. */
static void test_the_same_device_goes_on_at_once(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    assert_int_equal(start("s2", "d1"), YZ_OK);
    assert_refused(end("s1", 1), YZ_SESSION_ENDED, "sessionId");
    assert_int_equal(end("s2", 1), YZ_OK);
    assert_int_equal(start("s3", "d3"), YZ_OK);
}

static void test_bounds(void **state)
{
    (void)state;
    begin(100000, NULL);
    d.now_ms += 2 * MINUTE;
    assert_refused(watch("s1", 1, 0, 1000, 2001), YZ_INVALID_VALUE, "ratePermille");
    assert_refused(watch("s1", 1, 0, 100001, 0), YZ_INVALID_VALUE, "intervals[0]");
    assert_int_equal(watch("s1", 1, 0, 100000, 2000), YZ_OK);
}

/* Media time within the broker's time, at the rate of each slice, and five seconds of grace. */
static void test_no_more_than_the_time_allows(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += MINUTE;
    assert_refused(watch("s1", 1, 0, 65001, 0), YZ_TOO_FAST, "intervals");
    assert_refused(watch("s1", 1, 0, 125001, 2000), YZ_TOO_FAST, "intervals");
    assert_refused(watch("s1", 1, 0, 65001, 1000), YZ_TOO_FAST, "intervals");
    assert_int_equal(watch("s1", 1, 0, 65000, 1000), YZ_OK);
    /* The minute that was watched slowly does not become a fast one. */
    d.now_ms += MINUTE;
    assert_refused(watch("s1", 2, 65000, 185001, 2000), YZ_TOO_FAST, "intervals");
    /* What is said again takes no time. */
    assert_int_equal(watch("s1", 2, 0, 185000, 2000), YZ_OK);
    assert_int_equal(covered(), 185000);
}

/* What the phone says of its own clock counts for nothing. */
static void test_the_phones_clock_does_not_count(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += MINUTE;
    d.occurred_at_ms = d.now_ms + 3600 * 1000;
    assert_refused(watch("s1", 1, 0, LONG_MS, 2000), YZ_TOO_FAST, "intervals");
}

static void test_a_heartbeat_a_minute(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += MINUTE - 1;
    assert_refused(watch("s1", 1, 0, 30000, 0), YZ_HEARTBEAT_EARLY, "seq");
    assert_int_equal(covered(), 0);
    d.now_ms += 1;
    assert_int_equal(watch("s1", 2, 0, 60000, 0), YZ_OK);
    d.now_ms += 30000;
    assert_refused(watch("s1", 3, 60000, 90000, 0), YZ_HEARTBEAT_EARLY, "seq");
    /* Nothing of it is lost: it comes with the next, and its time counts. */
    d.now_ms += 30000;
    assert_int_equal(watch("s1", 4, 60000, 120000, 0), YZ_OK);
    assert_int_equal(covered(), 120000);
    /* What ends the session comes when it comes. */
    d.now_ms += 1000;
    assert_int_equal(end("s1", 5), YZ_OK);
    assert_true(flag("study_members", MEMBER, "ended"));
}

/* A short lesson is over before its first minute; what completes it is taken, once. */
static void test_what_completes_is_not_early(void **state)
{
    (void)state;
    begin(20000, NULL);
    d.now_ms += 15000;
    assert_refused(watch("s1", 1, 0, 18999, 0), YZ_HEARTBEAT_EARLY, "seq");
    assert_int_equal(watch("s1", 1, 0, 19000, 0), YZ_OK);
    assert_refused(watch("s1", 2, 0, 20000, 0), YZ_HEARTBEAT_EARLY, "seq");
}

static void test_completed_by_the_covered_share(void **state)
{
    Yizhan__V1__StudyHours *credited;
    Yizhan__V1__StudyProgress *sent;
    const bson_t *entry;

    (void)state;
    begin(100000, NULL);
    d.now_ms += 2 * MINUTE;
    assert_int_equal(watch("s1", 1, 5001, 100000, 0), YZ_OK);
    assert_conclusions(0);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 2, 5000, 5001, 0), YZ_OK);
    assert_conclusions(1);
    /* More is watched; it is concluded once. */
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 3, 0, 5000, 0), YZ_OK);
    assert_conclusions(1);
    assert_false(flag("study_progress", PROGRESS, "completed"));
    fire();
    assert_true(flag("study_progress", PROGRESS, "completed"));
    sent =
        (Yizhan__V1__StudyProgress *)drive_last_value(&d, "member.u1", "study", "study.progress");
    assert_true(sent->completed);
    assert_string_equal(sent->rules_version, "2026-1");
    assert_int_equal(sent->covered_ms, 100000);
    yizhan__v1__study_progress__free_unpacked(sent, NULL);
    entry = drive_document(&d, "study_hours", "t1|u1|STUDIED_LESSON|l1/1");
    assert_int_equal(wk_document_number(entry, "seconds"), 100);
    credited = (Yizhan__V1__StudyHours *)drive_last_push(&d, "member.u1", "study.credited");
    assert_string_equal(credited->source, "l1/1");
    yizhan__v1__study_hours__free_unpacked(credited, NULL);
}

static void test_completed_by_the_quiz(void **state)
{
    Yizhan__V1__LessonCompletion completion = YIZHAN__V1__LESSON_COMPLETION__INIT;

    (void)state;
    completion.by = YIZHAN__V1__LESSON_COMPLETED_BY__QUIZ_SCORE;
    begin(LONG_MS, &completion);
    assert_int_equal(answer_quiz(1, 1), YZ_OK);
    assert_int_equal(
        wk_document_number(drive_document(&d, "study_progress", PROGRESS), "score_permille"), 500);
    assert_conclusions(0);
    /* The best counts. */
    d.now_ms += PAUSE_MS;
    assert_int_equal(answer_quiz(2, 0), YZ_OK);
    assert_int_equal(
        wk_document_number(drive_document(&d, "study_progress", PROGRESS), "score_permille"), 500);
    d.now_ms += PAUSE_MS;
    assert_int_equal(answer_quiz(3, 2), YZ_OK);
    assert_conclusions(1);
}

static void test_completed_by_both(void **state)
{
    Yizhan__V1__LessonCompletion completion = YIZHAN__V1__LESSON_COMPLETION__INIT;

    (void)state;
    completion.by = YIZHAN__V1__LESSON_COMPLETED_BY__COVERED_AND_SCORE;
    completion.covered_permille = 500;
    completion.score_permille = 500;
    begin(100000, &completion);
    assert_int_equal(answer_quiz(1, 1), YZ_OK);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 2, 0, 49999, 0), YZ_OK);
    assert_conclusions(0);
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 3, 0, 50000, 0), YZ_OK);
    assert_conclusions(1);
}

static void test_a_quiz_has_its_answers(void **state)
{
    Yizhan__V1__StudyQuizAnswered q = YIZHAN__V1__STUDY_QUIZ_ANSWERED__INIT;
    Yizhan__V1__StudyQuizAnswered__Answer one = YIZHAN__V1__STUDY_QUIZ_ANSWERED__ANSWER__INIT;
    Yizhan__V1__StudyQuizAnswered__Answer *list[] = {&one};

    (void)state;
    release_version(1, LONG_MS, NULL);
    assert_refused(answer_quiz(1, 2), YZ_NOT_FOUND, "sessionId");
    assert_int_equal(start("s1", "d1"), YZ_OK);
    q.session_id = "s1";
    q.seq = 1;
    q.lesson_id = "l1";
    q.version = 1;
    q.answers = list;
    q.n_answers = 1;
    assert_refused(drive(&d, "u1", BRANCH, "study.quiz_answered", &q.base), YZ_INVALID_VALUE,
                   "answers");
}

static void test_a_quiz_has_its_pace(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    assert_int_equal(answer_quiz(1, 0), YZ_OK);
    d.now_ms += PAUSE_MS - 1;
    assert_refused(answer_quiz(2, 2), YZ_QUIZ_EARLY, "answers");
    /* What was refused is no try, and makes nobody wait longer. */
    d.now_ms += 1;
    assert_int_equal(answer_quiz(2, 2), YZ_OK);
    assert_refused(answer_quiz(3, 2), YZ_QUIZ_EARLY, "answers");
}

/* Five in a local day, of each version, in whatever session; the next day begins at 16:00 UTC. */
static void test_a_quiz_has_so_many_tries_a_day(void **state)
{
    const int64_t midnight = DRIVE_START + 16 * INT64_C(3600000);

    (void)state;
    begin(LONG_MS, NULL);
    for (uint32_t i = 1; i <= 5; i++) {
        d.now_ms += PAUSE_MS;
        assert_int_equal(answer_quiz(i, 0), YZ_OK);
        assert_int_equal(drive_apply(&d, &d.event), YZ_OK); /* counted once */
    }
    d.now_ms += PAUSE_MS;
    assert_refused(answer_quiz(6, 2), YZ_QUIZ_TRIES_USED, "answers");
    /* What is watched meanwhile changes nothing in that. */
    d.now_ms += MINUTE;
    assert_int_equal(watch("s1", 6, 0, 1000, 0), YZ_OK);
    d.now_ms = midnight - 1;
    assert_refused(answer_quiz(7, 2), YZ_QUIZ_TRIES_USED, "answers");
    d.now_ms = midnight;
    assert_int_equal(answer_quiz(7, 0), YZ_OK);
    for (uint32_t i = 8; i <= 11; i++) {
        d.now_ms += PAUSE_MS;
        assert_int_equal(answer_quiz(i, 0), YZ_OK);
    }
    d.now_ms += PAUSE_MS;
    assert_refused(answer_quiz(12, 2), YZ_QUIZ_TRIES_USED, "answers");
}

/* Between two days there is a pause, too. */
static void test_the_pause_goes_over_midnight(void **state)
{
    const int64_t midnight = DRIVE_START + 16 * INT64_C(3600000);

    (void)state;
    release_version(1, LONG_MS, NULL);
    d.now_ms = midnight - 1;
    assert_int_equal(start("s1", "d1"), YZ_OK);
    assert_int_equal(answer_quiz(1, 0), YZ_OK);
    d.now_ms += PAUSE_MS - 1;
    assert_refused(answer_quiz(2, 2), YZ_QUIZ_EARLY, "answers");
    d.now_ms += 1;
    assert_int_equal(answer_quiz(2, 2), YZ_OK);
}

/* A quiz between two beats takes nothing from the time that the second may claim. */
static void test_thinking_keeps_the_time(void **state)
{
    (void)state;
    begin(LONG_MS, NULL);
    d.now_ms += 30000;
    assert_int_equal(answer_quiz(1, 1), YZ_OK);
    d.now_ms += 30000;
    assert_int_equal(watch("s1", 2, 0, 60000, 0), YZ_OK);
}

static void test_too_many_pieces(void **state)
{
    enum yz_err err = YZ_OK;

    (void)state;
    begin(LONG_MS, NULL);
    for (uint32_t i = 0; i < 512 && !err; i++) {
        d.now_ms += MINUTE;
        err = watch("s1", i + 1, 10 * i, 10 * i + 1, 0);
    }
    assert_int_equal(err, YZ_OK);
    d.now_ms += MINUTE;
    assert_refused(watch("s1", 513, 200000, 200001, 0), YZ_TOO_MANY, "intervals");
    /* To watch on heals it. */
    assert_int_equal(watch("s1", 513, 0, 6000, 0), YZ_OK);
}

/* An event again, alone, over what it left: the same row, the same documents. */
static void test_replay(void **state)
{
    Yizhan__V1__StudyProgressed p = progress_of("s1", 1);
    Yizhan__V1__StudyInterval interval = YIZHAN__V1__STUDY_INTERVAL__INIT, *list[] = {&interval};
    struct drive_past event;

    (void)state;
    begin(100000, NULL);
    d.now_ms += 2 * MINUTE;
    interval.to_ms = 100000;
    p.intervals = list;
    p.n_intervals = 1;
    p.last = true;
    assert_int_equal(drive(&d, "u1", BRANCH, "study.progressed", &p.base), YZ_OK);
    drive_keep(&d, &event);
    assert_int_equal(drive_apply(&d, &event.event), YZ_OK);
    assert_conclusions(2);
    assert_int_equal(covered(), 100000);
    /* And once more, over a session that began behind it. */
    assert_int_equal(start("s2", "d2"), YZ_OK);
    assert_int_equal(drive_apply(&d, &event.event), YZ_OK);
    assert_string_equal(wk_document_text(drive_document(&d, "study_members", MEMBER), "session_id"),
                        "s2");
    assert_false(flag("study_members", MEMBER, "ended"));
}

static void test_replay_of_a_start(void **state)
{
    Yizhan__V1__StudySession *pushed;

    (void)state;
    begin(LONG_MS, NULL);
    assert_int_equal(start("s2", "d1"), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    pushed = (Yizhan__V1__StudySession *)drive_last_push(&d, "member.u1", "study.session");
    assert_string_equal(pushed->session_id, "s2");
    assert_string_equal(pushed->took_over, "s1");
    yizhan__v1__study_session__free_unpacked(pushed, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_started),
        TEST(test_what_may_be_studied),
        TEST(test_progress_never_falls),
        TEST(test_a_seq_counts_once),
        TEST(test_the_session_is_named),
        TEST(test_two_phones_at_once),
        TEST(test_the_same_device_goes_on_at_once),
        TEST(test_bounds),
        TEST(test_no_more_than_the_time_allows),
        TEST(test_the_phones_clock_does_not_count),
        TEST(test_a_heartbeat_a_minute),
        TEST(test_what_completes_is_not_early),
        TEST(test_completed_by_the_covered_share),
        TEST(test_completed_by_the_quiz),
        TEST(test_completed_by_both),
        TEST(test_a_quiz_has_its_answers),
        TEST(test_a_quiz_has_its_pace),
        TEST(test_a_quiz_has_so_many_tries_a_day),
        TEST(test_the_pause_goes_over_midnight),
        TEST(test_thinking_keeps_the_time),
        TEST(test_too_many_pieces),
        TEST(test_replay),
        TEST(test_replay_of_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
