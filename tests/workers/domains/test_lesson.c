/* Lessons: versions and revisions, a release that counts once or not at all, what is withdrawn. */
#include "drive.h"

#include <lesson.pb-c.h>

#define ORG "org.g1/c1"
#define DAY INT64_C(86400000)

static Yizhan__V1__LessonBlock block;
static Yizhan__V1__LessonBlock *blocks[] = {&block};
static char *choices[] = {"甲", "乙", "丙"};
static Yizhan__V1__LessonQuestion question;
static Yizhan__V1__LessonQuestion *questions[] = {&question};
static uint32_t right[] = {0, 2};
static Yizhan__V1__LessonAnswer answer;
static Yizhan__V1__LessonAnswer *answers[] = {&answer};
static Yizhan__V1__LessonContent content;
static Google__Protobuf__Timestamp release_at;

static Yizhan__V1__LessonScheduled lesson(uint32_t version, int64_t release_at_ms)
{
    Yizhan__V1__LessonScheduled l = YIZHAN__V1__LESSON_SCHEDULED__INIT;

    yizhan__v1__lesson_block__init(&block);
    block.content_case = YIZHAN__V1__LESSON_BLOCK__CONTENT_TEXT;
    block.text = "学";
    yizhan__v1__lesson_question__init(&question);
    question.text = "问";
    question.choices = choices;
    question.n_choices = 3;
    yizhan__v1__lesson_answer__init(&answer);
    answer.choices = right;
    answer.n_choices = 2;
    yizhan__v1__lesson_content__init(&content);
    content.blocks = blocks;
    content.n_blocks = 1;
    content.questions = questions;
    content.n_questions = 1;
    content.reading_ms = 90000;
    release_at = wk_timestamp(release_at_ms);
    l.org_path = "g1/c1";
    l.lesson_id = "l1";
    l.version = version;
    l.kind = YIZHAN__V1__LESSON_KIND__MICRO_HISTORY;
    l.title = "微党史";
    l.content = &content;
    l.answers = answers;
    l.n_answers = 1;
    l.release_at = release_at_ms ? &release_at : NULL;
    return l;
}

static enum yz_err schedule(struct drive *d, uint32_t version, uint32_t revision,
                            int64_t release_at_ms)
{
    Yizhan__V1__LessonScheduled l = lesson(version, release_at_ms);

    l.revision = revision;
    return drive(d, "s1", "g1/c1/b1", "lesson.scheduled", &l.base);
}

static enum yz_err release(struct drive *d, uint32_t version, uint32_t revision)
{
    Yizhan__V1__LessonReleased r = YIZHAN__V1__LESSON_RELEASED__INIT;

    r.org_path = "g1/c1";
    r.lesson_id = "l1";
    r.version = version;
    r.revision = revision;
    return drive(d, "s1", "g1/c1/b1", "lesson.released", &r.base);
}

static enum yz_err withdraw(struct drive *d, const char *org_path, uint32_t version)
{
    Yizhan__V1__LessonWithdrawn w = YIZHAN__V1__LESSON_WITHDRAWN__INIT;

    w.org_path = (char *)(uintptr_t)org_path;
    w.lesson_id = "l1";
    w.version = version;
    w.reason = "有误";
    return drive(d, "s1", "g1/c1/b1", "lesson.withdrawn", &w.base);
}

static const char *state_of(struct drive *d, uint32_t version)
{
    char id[64];

    snprintf(id, sizeof id, "t1|l1|%u", version);
    return wk_document_text(drive_document(d, "lesson_versions", id), "state");
}

static void assert_refused(struct drive *d, enum yz_err got, enum yz_err err, const char *field)
{
    assert_string_equal(yz_err_code(got), yz_err_code(err));
    assert_string_equal(d->v.field, field);
}

static size_t row_count(const struct drive *d)
{
    size_t count;

    (void)wk_fold_rows(d->fold, &count);
    return count;
}

static void test_scheduled(void **state)
{
    const struct wk_fold_row *rows;
    Yizhan__V1__LessonReleased *later;
    const bson_t *version;
    bson_iter_t entry;
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, DRIVE_START + DAY), YZ_OK);
    version = drive_document(&d, "lesson_versions", "t1|l1|1");
    assert_string_equal(wk_document_text(version, "state"), "LESSON_SCHEDULED");
    assert_int_equal(wk_document_number(version, "duration_ms"), 90000);
    assert_int_equal(wk_document_number(version, "question_count"), 1);
    assert_true(wk_document_array(version, "answers", &entry) && bson_iter_next(&entry));
    assert_int_equal(bson_iter_as_int64(&entry), 5);
    /* Nobody sees it before its time. */
    assert_int_equal(drive_push_count(&d), 0);
    rows = wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].type, "lesson.released");
    assert_string_equal(rows[0].aggregate, "lesson|l1");
    assert_int_equal(rows[0].due_at_ms, DRIVE_START + DAY);
    later = (Yizhan__V1__LessonReleased *)protobuf_c_message_unpack(
        &yizhan__v1__lesson_released__descriptor, NULL, rows[0].payload_len, rows[0].payload);
    assert_string_equal(later->org_path, "g1/c1");
    assert_int_equal(later->version, 1);
    yizhan__v1__lesson_released__free_unpacked(later, NULL);
    drive_deinit(&d);
}

static void test_no_time_or_a_past_one_is_now(void **state)
{
    static const int64_t times[] = {0, DRIVE_START - DAY};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct drive d;
        size_t count;

        drive_init(&d);
        assert_int_equal(schedule(&d, 1, 0, times[i]), YZ_OK);
        assert_int_equal(wk_fold_rows(d.fold, &count)[0].due_at_ms, DRIVE_START);
        drive_deinit(&d);
    }
}

static void test_too_far_away(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, DRIVE_START + 366 * DAY), YZ_OK);
    assert_refused(&d, schedule(&d, 2, 0, DRIVE_START + 366 * DAY + 1), YZ_INVALID_VALUE,
                   "releaseAt");
    drive_deinit(&d);
}

static void test_released(void **state)
{
    Yizhan__V1__LessonSummary *pushed;
    const bson_t *head;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, DRIVE_START + DAY), YZ_OK);
    d.now_ms += DAY;
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_string_equal(state_of(&d, 1), "LESSON_RELEASED");
    head = drive_document(&d, "lessons", "t1|l1");
    assert_int_equal(wk_document_number(head, "version"), 1);
    assert_int_equal(wk_document_number(head, "sequence"), 101);
    assert_string_equal(wk_document_text(head, "state"), "LESSON_RELEASED");
    pushed = (Yizhan__V1__LessonSummary *)drive_last_push(&d, ORG, "lesson.released");
    assert_string_equal(pushed->title, "微党史");
    assert_int_equal(pushed->kind, YIZHAN__V1__LESSON_KIND__MICRO_HISTORY);
    assert_int_equal(pushed->sequence, 101);
    assert_int_equal(pushed->duration_ms, 90000);
    yizhan__v1__lesson_summary__free_unpacked(pushed, NULL);
    /* A second timer, were there one, finds it released. */
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_int_equal(drive_push_count(&d), 1);
    drive_deinit(&d);
}

static void test_a_higher_revision_moves_the_release(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 3, DRIVE_START + DAY), YZ_OK);
    assert_refused(&d, schedule(&d, 1, 3, DRIVE_START + DAY), YZ_EXISTS, "revision");
    assert_refused(&d, schedule(&d, 1, 2, DRIVE_START + DAY), YZ_EXISTS, "revision");
    assert_int_equal(schedule(&d, 1, 4, DRIVE_START + 2 * DAY), YZ_OK);
    assert_int_equal(row_count(&d), 2);
    /* The old timer fires: applied, without effect. */
    assert_int_equal(release(&d, 1, 3), YZ_OK);
    assert_string_equal(state_of(&d, 1), "LESSON_SCHEDULED");
    assert_int_equal(drive_push_count(&d), 0);
    assert_int_equal(release(&d, 1, 4), YZ_OK);
    assert_string_equal(state_of(&d, 1), "LESSON_RELEASED");
    assert_int_equal(drive_push_count(&d), 1);
    assert_refused(&d, schedule(&d, 1, 5, 0), YZ_LESSON_RELEASED, "version");
    drive_deinit(&d);
}

static void test_withdrawn_before_its_release(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, DRIVE_START + DAY), YZ_OK);
    assert_int_equal(withdraw(&d, "g1/c1", 1), YZ_OK);
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_string_equal(state_of(&d, 1), "LESSON_WITHDRAWN");
    assert_null(drive_document(&d, "lessons", "t1|l1"));
    /* Nobody saw it come, nobody is told that it is gone. */
    assert_int_equal(drive_push_count(&d), 0);
    assert_refused(&d, schedule(&d, 1, 1, 0), YZ_LESSON_WITHDRAWN, "version");
    assert_refused(&d, withdraw(&d, "g1/c1", 1), YZ_LESSON_WITHDRAWN, "version");
    drive_deinit(&d);
}

static void test_withdrawn_after_its_release(void **state)
{
    Yizhan__V1__LessonGone *pushed;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, 0), YZ_OK);
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_int_equal(withdraw(&d, "g1/c1", 1), YZ_OK);
    assert_string_equal(wk_document_text(drive_document(&d, "lessons", "t1|l1"), "state"),
                        "LESSON_WITHDRAWN");
    pushed = (Yizhan__V1__LessonGone *)drive_last_push(&d, ORG, "lesson.withdrawn");
    assert_string_equal(pushed->reason, "有误");
    yizhan__v1__lesson_gone__free_unpacked(pushed, NULL);
    drive_deinit(&d);
}

static void test_withdrawing_what_is_not_there(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_refused(&d, withdraw(&d, "g1/c1", 1), YZ_NOT_FOUND, "lessonId");
    assert_int_equal(schedule(&d, 1, 0, 0), YZ_OK);
    /* Whoever is secretary elsewhere has no such lesson. */
    assert_refused(&d, withdraw(&d, "g1/c2", 1), YZ_NOT_FOUND, "lessonId");
    drive_deinit(&d);
}

static void test_a_new_version_supersedes(void **state)
{
    const bson_t *head;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, 0), YZ_OK);
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_int_equal(schedule(&d, 2, 0, DRIVE_START + DAY), YZ_OK);
    /* Until the second comes, the first stays. */
    head = drive_document(&d, "lessons", "t1|l1");
    assert_int_equal(wk_document_number(head, "version"), 1);
    assert_int_equal(release(&d, 2, 0), YZ_OK);
    head = drive_document(&d, "lessons", "t1|l1");
    assert_int_equal(wk_document_number(head, "version"), 2);
    assert_int_equal(wk_document_number(head, "sequence"), 103);
    /* To withdraw the first takes nothing from the feed. */
    assert_int_equal(withdraw(&d, "g1/c1", 1), YZ_OK);
    head = drive_document(&d, "lessons", "t1|l1");
    assert_string_equal(wk_document_text(head, "state"), "LESSON_RELEASED");
    drive_deinit(&d);
}

static void test_a_new_version_comes_instead_of_one_that_waits(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, DRIVE_START + DAY), YZ_OK);
    assert_int_equal(schedule(&d, 2, 0, DRIVE_START + 2 * DAY), YZ_OK);
    assert_string_equal(state_of(&d, 1), "LESSON_SUPERSEDED");
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    assert_null(drive_document(&d, "lessons", "t1|l1"));
    assert_int_equal(drive_push_count(&d), 0);
    assert_refused(&d, schedule(&d, 1, 9, 0), YZ_LESSON_SUPERSEDED, "version");
    assert_refused(&d, withdraw(&d, "g1/c1", 1), YZ_LESSON_SUPERSEDED, "version");
    assert_int_equal(release(&d, 2, 0), YZ_OK);
    assert_int_equal(drive_push_count(&d), 1);
    drive_deinit(&d);
}

static void test_versions_have_no_gaps_and_one_org(void **state)
{
    Yizhan__V1__LessonScheduled l;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_refused(&d, schedule(&d, 2, 0, 0), YZ_NOT_FOUND, "version");
    assert_int_equal(schedule(&d, 1, 0, 0), YZ_OK);
    assert_refused(&d, schedule(&d, 3, 0, 0), YZ_NOT_FOUND, "version");
    l = lesson(2, 0);
    l.org_path = "g1/c2";
    assert_refused(&d, drive(&d, "s2", "g1/c2/b1", "lesson.scheduled", &l.base), YZ_EXISTS,
                   "lessonId");
    l = lesson(1, 0);
    l.org_path = "g1/c2";
    l.revision = 9;
    assert_refused(&d, drive(&d, "s2", "g1/c2/b1", "lesson.scheduled", &l.base), YZ_EXISTS,
                   "lessonId");
    drive_deinit(&d);
}

/* Each event again, alone, over what it and those behind it left. */
static void test_replay(void **state)
{
    Yizhan__V1__LessonScheduled scheduled = lesson(1, 0);
    Yizhan__V1__LessonSummary *pushed;
    struct drive_past released;
    Yizhan__V1__LessonReleased payload = YIZHAN__V1__LESSON_RELEASED__INIT;
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "lesson.scheduled", &scheduled.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    assert_int_equal(release(&d, 1, 0), YZ_OK);
    drive_keep(&d, &released);
    payload.org_path = "g1/c1";
    payload.lesson_id = "l1";
    payload.version = 1;
    released.event.payload = &payload.base;
    assert_int_equal(withdraw(&d, "g1/c1", 1), YZ_OK);
    count = drive_push_count(&d);
    assert_int_equal(drive_apply(&d, &released.event), YZ_OK);
    assert_int_equal(drive_push_count(&d), count + 1);
    pushed = (Yizhan__V1__LessonSummary *)drive_last_push(&d, ORG, "lesson.released");
    assert_int_equal(pushed->sequence, released.event.sequence);
    yizhan__v1__lesson_summary__free_unpacked(pushed, NULL);
    assert_string_equal(state_of(&d, 1), "LESSON_WITHDRAWN");
    assert_string_equal(wk_document_text(drive_document(&d, "lessons", "t1|l1"), "state"),
                        "LESSON_WITHDRAWN");
    drive_deinit(&d);
}

/* The bytes of the content hold no answer: they stand apart. */
static void test_the_content_holds_no_answers(void **state)
{
    Yizhan__V1__LessonScheduled l = lesson(1, 0);
    uint8_t one[512], other[512];
    size_t len = yizhan__v1__lesson_content__pack(l.content, one);
    struct drive d;
    const bson_t *version;
    bson_iter_t iter;
    const uint8_t *stored;
    uint32_t stored_len;

    (void)state;
    drive_init(&d);
    assert_int_equal(schedule(&d, 1, 0, 0), YZ_OK);
    version = drive_document(&d, "lesson_versions", "t1|l1|1");
    assert_true(bson_iter_init_find(&iter, version, "content"));
    bson_iter_binary(&iter, NULL, &stored_len, &stored);
    right[1] = 1;
    assert_int_equal(yizhan__v1__lesson_content__pack(l.content, other), len);
    right[1] = 2;
    assert_memory_equal(one, other, len);
    assert_int_equal(stored_len, len);
    assert_memory_equal(stored, one, len);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduled),
        cmocka_unit_test(test_no_time_or_a_past_one_is_now),
        cmocka_unit_test(test_too_far_away),
        cmocka_unit_test(test_released),
        cmocka_unit_test(test_a_higher_revision_moves_the_release),
        cmocka_unit_test(test_withdrawn_before_its_release),
        cmocka_unit_test(test_withdrawn_after_its_release),
        cmocka_unit_test(test_withdrawing_what_is_not_there),
        cmocka_unit_test(test_a_new_version_supersedes),
        cmocka_unit_test(test_a_new_version_comes_instead_of_one_that_waits),
        cmocka_unit_test(test_versions_have_no_gaps_and_one_org),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_the_content_holds_no_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
