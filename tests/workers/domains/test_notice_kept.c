/* What was decided of reminders is kept for replays, and not for longer. */
#include "branch_rig.h"
#include "drive.h"

#include "workers/domains/notice.h"

#include <notice.pb-c.h>

#define BRANCH    "g1/c1/b1"
#define REMINDERS "t1|" BRANCH
#define DAY       INT64_C(86400000)

static void begin(struct drive *d)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    bson_t document = BSON_INITIALIZER;
    struct branch_rig branch;

    drive_init(d);
    branch_begin(&branch, &document, BRANCH);
    branch_enrol(&branch, &(struct branch_entry){.member = "m0"});
    branch_end(&branch);
    wk_fold_preset(d->fold, WK_BRANCHES, "t1|" BRANCH, &document, 1);
    bson_destroy(&document);
    n.notice_id = "n1";
    n.org_path = "g1";
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "通知";
    assert_int_equal(drive(d, "s1", "g1", "notice.published", &n.base), YZ_OK);
}

/* The event stays for a replay. */
static uint64_t remind(struct drive *d)
{
    static Yizhan__V1__NoticeReminded r;

    yizhan__v1__notice_reminded__init(&r);
    r.org_path = BRANCH;
    r.notice_id = "n1";
    assert_int_equal(drive(d, "s1", "g1", "notice.reminded", &r.base), YZ_OK);
    return d->event.sequence;
}

static size_t kept(struct drive *d, uint64_t *newest, uint64_t *oldest)
{
    const bson_t *reminders = drive_document(d, WK_NOTICE_REMINDERS, REMINDERS);
    bson_iter_t entries;
    size_t count = 0;
    bson_t entry;

    *newest = *oldest = 0;
    assert_true(wk_document_array(reminders, "done", &entries));
    while (bson_iter_next(&entries)) {
        assert_true(wk_document_at(&entries, &entry));
        *oldest = (uint64_t)wk_document_number(&entry, "s");
        if (count++ == 0)
            *newest = *oldest;
    }
    return count;
}

static void those_of_two_days_are_kept(void **state)
{
    uint64_t newest, oldest, second;
    struct drive d;

    (void)state;
    begin(&d);
    remind(&d);
    remind(&d);
    d.now_ms += DAY;
    second = remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 3);
    d.now_ms += DAY;
    remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 2);
    assert_int_equal(newest, d.event.sequence);
    assert_int_equal(oldest, second);
    d.now_ms += 9 * DAY;
    remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 1);
    assert_int_equal(newest, d.event.sequence);
    drive_deinit(&d);
}

/* However many there are in a day: more than one batch has events, and no more. */
static void one_day_does_not_grow_without_end(void **state)
{
    uint64_t newest, oldest;
    struct drive d;

    (void)state;
    begin(&d);
    for (int i = 0; i < 310; i++)
        remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 300);
    assert_int_equal(newest, d.event.sequence);
    assert_int_equal(oldest, newest - 299);
    drive_deinit(&d);
}

/* A document of before has decisions that do not say their day. */
static void one_without_a_day_goes_with_the_last(void **state)
{
    bson_t *old = BCON_NEW("day", BCON_INT64(20454), "done", "[", "{", "s", BCON_INT64(7), "m", "[",
                           "m9", "]", "}", "]");
    uint64_t newest, oldest;
    struct drive d;

    (void)state;
    begin(&d);
    wk_fold_preset(d.fold, WK_NOTICE_REMINDERS, REMINDERS, old, 7);
    bson_destroy(old);
    assert_int_equal(d.now_ms / DAY, 20454);
    remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 2);
    assert_int_equal(oldest, 7);
    d.now_ms += DAY;
    remind(&d);
    assert_int_equal(kept(&d, &newest, &oldest), 2);
    assert_int_equal(oldest, newest - 1);
    drive_deinit(&d);
}

/* What is kept is enough: a replay across midnight sends what was sent. */
static void a_replay_of_yesterday_sends_the_same(void **state)
{
    struct drive_past first;
    struct drive d;
    size_t before;

    (void)state;
    begin(&d);
    remind(&d);
    drive_keep(&d, &first);
    d.now_ms += DAY;
    for (int i = 0; i < 4; i++)
        remind(&d); /* the last one is over the day's number */
    before = drive_push_count(&d);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_int_equal(drive_push_count(&d), before + 2); /* the reminder and its answer */
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_two_days_are_kept),
        cmocka_unit_test(one_day_does_not_grow_without_end),
        cmocka_unit_test(one_without_a_day_goes_with_the_last),
        cmocka_unit_test(a_replay_of_yesterday_sends_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
