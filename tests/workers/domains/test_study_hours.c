/* The ledger of hours: a source counts once, in the local year in which it ended. */
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
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
