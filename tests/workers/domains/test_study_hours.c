/* The ledger of hours: a source counts once, in the local year in which it ended, and what it no
 * longer counts is taken back. */
#include "drive.h"

#include <study.pb-c.h>

#define ENTRY "t1|u1|ATTENDED_MEETING|g1/c1/b1/m1"

static Google__Protobuf__Timestamp ended_at;

static Yizhan__V1__StudyCredited credit(int64_t ended_at_ms)
{
    Yizhan__V1__StudyCredited c = YIZHAN__V1__STUDY_CREDITED__INIT;

    ended_at = wk_timestamp(ended_at_ms);
    c.member = "u1";
    c.source_kind = YIZHAN__V1__STUDY_SOURCE__ATTENDED_MEETING;
    c.source = "g1/c1/b1/m1";
    c.minutes = 90;
    c.org_path = "g1/c1/b1";
    c.ended_at = &ended_at;
    return c;
}

static void test_credited(void **state)
{
    Yizhan__V1__StudyCredited c = credit(DRIVE_START);
    Yizhan__V1__StudyHours *pushed;
    const bson_t *entry;
    struct drive d;

    (void)state;
    drive_init(&d);
    /* The actor is who closed the meeting. */
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
    entry = drive_document(&d, "study_hours", ENTRY);
    assert_string_equal(wk_document_text(entry, "member"), "u1");
    assert_int_equal(wk_document_number(entry, "seconds"), 5400);
    assert_int_equal(wk_document_number(entry, "year"), 2026);
    assert_string_equal(wk_document_text(entry, "rules"), "2026-1");
    pushed = (Yizhan__V1__StudyHours *)drive_last_push(&d, "member.u1", "study.credited");
    assert_int_equal(pushed->seconds, 5400);
    assert_int_equal(pushed->year, 2026);
    yizhan__v1__study_hours__free_unpacked(pushed, NULL);
    drive_deinit(&d);
}

/* 2025-12-31T15:59:59Z is the last second of 2025 in Beijing, and the next one is 2026. */
static void test_the_year_is_the_local_one(void **state)
{
    static const struct {
        int64_t ended_at_ms;
        int year;
    } cases[] = {{INT64_C(1767196799999), 2025}, {INT64_C(1767196800000), 2026}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Yizhan__V1__StudyCredited c = credit(cases[i].ended_at_ms);
        struct drive d;

        drive_init(&d);
        assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
        assert_int_equal(wk_document_number(drive_document(&d, "study_hours", ENTRY), "year"),
                         cases[i].year);
        drive_deinit(&d);
    }
}

static void test_a_source_counts_once(void **state)
{
    Yizhan__V1__StudyCredited c = credit(DRIVE_START), more = credit(DRIVE_START);
    struct drive d;

    (void)state;
    more.minutes = 180;
    drive_init(&d);
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
    /* No refusal, which would be pushed to the secretary, and no effect. */
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &more.base), YZ_OK);
    assert_int_equal(wk_document_number(drive_document(&d, "study_hours", ENTRY), "seconds"), 5400);
    assert_int_equal(drive_push_count(&d), 1);
    /* Of another member it is another entry. */
    more.member = "u2";
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &more.base), YZ_OK);
    assert_int_equal(drive_push_count(&d), 2);
    drive_deinit(&d);
}

/* Said by the source as of `revision`; minutes 0: with a reason. */
static Yizhan__V1__StudyCredited said(uint64_t revision, uint32_t minutes)
{
    Yizhan__V1__StudyCredited c = credit(DRIVE_START);

    c.revision = revision;
    c.minutes = minutes;
    c.reason = minutes ? "" : "核对签到表";
    return c;
}

static void tell(struct drive *d, uint64_t revision, uint32_t minutes)
{
    Yizhan__V1__StudyCredited c = said(revision, minutes);

    assert_int_equal(drive(d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
}

/* And the event again over what it left already. */
static void tell_twice(struct drive *d, uint64_t revision, uint32_t minutes)
{
    Yizhan__V1__StudyCredited c = said(revision, minutes);

    assert_int_equal(drive(d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
    assert_int_equal(drive_apply(d, &d->event), YZ_OK);
}

/* What all entries come to, by the pushes that tell of them: each event's once. */
static int64_t total(const struct drive *d)
{
    size_t count;
    const struct wk_fold_push *pushes = wk_fold_pushes(d->fold, &count);
    int64_t seconds = 0;

    for (size_t i = 0; i < count; i++) {
        Yizhan__V1__StudyHours *hours;
        bool again = false;

        for (size_t k = 0; k < i; k++)
            again = again || pushes[k].sequence == pushes[i].sequence;
        if (again)
            continue;
        hours = (Yizhan__V1__StudyHours *)drive_last(&pushes[i], "member.u1", "study.credited");
        seconds += (int64_t)hours->seconds - (int64_t)hours->taken_back_seconds;
        yizhan__v1__study_hours__free_unpacked(hours, NULL);
    }
    return seconds;
}

static void test_what_is_no_longer_counted_is_taken_back(void **state)
{
    Yizhan__V1__StudyHours *pushed;
    const bson_t *entry;
    struct drive d;

    (void)state;
    drive_init(&d);
    tell(&d, 10, 90);
    tell(&d, 20, 0);
    pushed = (Yizhan__V1__StudyHours *)drive_last_push(&d, "member.u1", "study.credited");
    assert_int_equal(pushed->seconds, 0);
    assert_int_equal(pushed->taken_back_seconds, 5400);
    assert_string_equal(pushed->reason, "核对签到表");
    yizhan__v1__study_hours__free_unpacked(pushed, NULL);
    /* Nothing was changed: the first entry stands, and beside it one that takes it back. */
    assert_int_equal(wk_document_number(drive_document(&d, "study_hours", ENTRY), "seconds"), 5400);
    entry = drive_document(&d, "study_hours", ENTRY "|00000000000000000101");
    assert_int_equal(wk_document_number(entry, "seconds"), -5400);
    assert_int_equal(wk_document_number(entry, "year"), 2026);
    assert_string_equal(wk_document_text(entry, "reason"), "核对签到表");
    assert_string_equal(wk_document_text(entry, "by"), "s1");
    assert_string_equal(wk_document_text(entry, "rules"), "2026-1");
    /* Said again it is taken back once; and it may be credited again. */
    tell(&d, 30, 0);
    assert_int_equal(total(&d), 0);
    tell(&d, 40, 90);
    assert_int_equal(total(&d), 5400);
    entry = drive_document(&d, "study_hours", ENTRY "|00000000000000000103");
    assert_int_equal(wk_document_number(entry, "seconds"), 5400);
    tell(&d, 50, 60);
    assert_int_equal(total(&d), 3600);
    drive_deinit(&d);
}

/* The outbox gives no order between the rows of two events. */
static void test_the_last_revision_stands_in_any_order(void **state)
{
    static const uint32_t minutes[] = {90, 0, 90, 0};
    static const size_t orders[][4] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1},
        {1, 0, 2, 3}, {1, 0, 3, 2}, {1, 2, 0, 3}, {1, 2, 3, 0}, {1, 3, 0, 2}, {1, 3, 2, 0},
        {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3}, {2, 1, 3, 0}, {2, 3, 0, 1}, {2, 3, 1, 0},
        {3, 0, 1, 2}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0},
    };

    (void)state;
    for (size_t count = 1; count <= 4; count++) {
        for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
            struct drive d;

            drive_init(&d);
            for (size_t k = 0; k < 4; k++) {
                if (orders[i][k] < count)
                    tell_twice(&d, 10 + orders[i][k], minutes[orders[i][k]]);
            }
            assert_int_equal(total(&d), minutes[count - 1] * 60);
            drive_deinit(&d);
        }
    }
}

/* The first event again, when the documents hold a later one's effect: it says what it said. */
static void test_replay_behind_a_later_one(void **state)
{
    Yizhan__V1__StudyCredited first = said(10, 90), second = said(20, 0), third = said(30, 90);
    Yizhan__V1__StudyCredited *const all[] = {&first, &second, &third};
    struct drive_past past[3];
    struct drive d;

    (void)state;
    drive_init(&d);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &all[i]->base), YZ_OK);
        drive_keep(&d, &past[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        Yizhan__V1__StudyHours *pushed;

        assert_int_equal(drive_apply(&d, &past[i].event), YZ_OK);
        pushed = (Yizhan__V1__StudyHours *)drive_last_push(&d, "member.u1", "study.credited");
        assert_int_equal(pushed->seconds, i == 1 ? 0 : 5400);
        assert_int_equal(pushed->taken_back_seconds, i == 1 ? 5400 : 0);
        yizhan__v1__study_hours__free_unpacked(pushed, NULL);
    }
    assert_int_equal(drive_push_count(&d), 6);
    assert_int_equal(wk_document_number(drive_document(&d, "study_sources", ENTRY), "revision"),
                     30);
    drive_deinit(&d);
}

static void test_replay(void **state)
{
    Yizhan__V1__StudyCredited c = credit(DRIVE_START);
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "s1", "g1/c1/b1", "study.credited", &c.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    /* The push goes again: the broker drops it by its message id. */
    assert_int_equal(drive_push_count(&d), 2);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credited),
        cmocka_unit_test(test_the_year_is_the_local_one),
        cmocka_unit_test(test_a_source_counts_once),
        cmocka_unit_test(test_what_is_no_longer_counted_is_taken_back),
        cmocka_unit_test(test_the_last_revision_stands_in_any_order),
        cmocka_unit_test(test_replay_behind_a_later_one),
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
