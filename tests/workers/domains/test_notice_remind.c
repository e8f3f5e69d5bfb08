/* Reminding the unread: whom, when, and how often in a day. */
#include "branch_rig.h"
#include "drive.h"

#include "workers/domains/notice.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define BRANCH "g1/c1/b1"
/* 23:00 in Peking: quiet until 07:00. */
#define NIGHT (DRIVE_START + INT64_C(15) * 3600000)
#define DAWN  (DRIVE_START + INT64_C(23) * 3600000)
#define DAY   INT64_C(86400000)

/* m0 to m<count - 1>, of whom m3 has left, and the others behind them. */
static void enrol(struct drive *d, unsigned count, const char *const *others, unsigned other_count)
{
    bson_t *document = bson_new();
    struct branch_rig branch;
    char name[16];

    branch_begin(&branch, document, BRANCH);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "m%u", i);
        branch_enrol(&branch, &(struct branch_entry){.member = name,
                                                     .place = (int32_t)i,
                                                     .left_at_ms = i == 3 ? DRIVE_START - 1 : 0});
    }
    for (unsigned i = 0; i < other_count; i++)
        branch_enrol(&branch,
                     &(struct branch_entry){.member = others[i], .place = (int32_t)(count + i)});
    branch_end(&branch);
    wk_fold_preset(d->fold, WK_BRANCHES, "t1|" BRANCH, document, 1);
    bson_destroy(document);
}

static void set_roster(struct drive *d, unsigned count)
{
    enrol(d, count, NULL, 0);
}

static void publish(struct drive *d, Yizhan__V1__NoticeClass notice_class, int64_t expires_at_ms)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Google__Protobuf__Timestamp expires = wk_timestamp(expires_at_ms);

    n.notice_id = "n1";
    n.org_path = "g1";
    n.notice_class = notice_class;
    n.title = "通知";
    n.expires_at = expires_at_ms ? &expires : NULL;
    assert_int_equal(drive(d, "s1", "g1", "notice.published", &n.base), YZ_OK);
}

static void approve(struct drive *d)
{
    Yizhan__V1__NoticeApproved a = YIZHAN__V1__NOTICE_APPROVED__INIT;

    a.org_path = "g1";
    a.notice_id = "n1";
    d->roles = "secretary@g1";
    assert_int_equal(drive(d, "s2", "g1", "notice.approved", &a.base), YZ_OK);
    d->roles = NULL;
}

static void begin(struct drive *d, unsigned members)
{
    drive_init(d);
    set_roster(d, members);
    publish(d, YIZHAN__V1__NOTICE_CLASS__INFO, 0);
}

static void give(struct drive *d, const char *type, const char *member)
{
    Yizhan__V1__NoticeRead read = YIZHAN__V1__NOTICE_READ__INIT;
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    char *id = "n1";

    read.notice_id = id;
    received.notice_ids = &id;
    received.n_notice_ids = 1;
    assert_int_equal(drive(d, member, BRANCH, type,
                           strcmp(type, "notice.read") == 0 ? &read.base : &received.base),
                     YZ_OK);
}

/* The event stays for a replay. */
static enum yz_err remind(struct drive *d, char **branches, size_t count)
{
    static Yizhan__V1__NoticeReminded r;

    yizhan__v1__notice_reminded__init(&r);
    r.org_path = count ? "g1/c1" : BRANCH;
    r.notice_id = "n1";
    r.branches = branches;
    r.n_branches = count;
    return drive(d, "s1", "g1", "notice.reminded", &r.base);
}

static enum yz_err remind_due(struct drive *d, uint32_t from)
{
    Yizhan__V1__NoticeRemindDue due = YIZHAN__V1__NOTICE_REMIND_DUE__INIT;

    due.org_path = BRANCH;
    due.notice_id = "n1";
    due.from_place = from;
    return drive(d, "s1", "g1", "notice.remind_due", &due.base);
}

/* The members reminded since push `from`, "m1 m2 "; all pushes but reminders are left out. */
static const char *reminded(struct drive *d, size_t from)
{
    static char names[20000];
    size_t count;
    const struct wk_fold_push *pushes = wk_fold_pushes(d->fold, &count);

    names[0] = '\0';
    for (size_t i = from; i < count; i++) {
        if (strcmp(pushes[i].type, "notice.reminder") == 0)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                     pushes[i].channel + strlen("member."));
    }
    return names;
}

static void expect_sent(struct drive *d, uint32_t count, uint32_t read_already, uint32_t over,
                        int64_t deferred_ms)
{
    Yizhan__V1__NoticeReminderSent *sent =
        (Yizhan__V1__NoticeReminderSent *)drive_last_push(d, "member.s1", "notice.reminder_sent");

    assert_int_equal(sent->reminded, count);
    assert_int_equal(sent->read_already, read_already);
    assert_int_equal(sent->over_budget, over);
    assert_int_equal(wk_timestamp_ms(sent->deferred_until), deferred_ms);
    yizhan__v1__notice_reminder_sent__free_unpacked(sent, NULL);
}

/* m3 has left; u1 and u2 stand on no roster, and have it. */
static void only_the_unread_are_reminded(void **state)
{
    struct drive d;

    (void)state;
    begin(&d, 6);
    give(&d, "notice.read", "m1");
    give(&d, "notice.received", "m2");
    give(&d, "notice.received", "u1");
    give(&d, "notice.read", "u2");
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_string_equal(reminded(&d, 0), "m0 m2 m4 m5 u1 ");
    expect_sent(&d, 5, 2, 0, 0);
    drive_deinit(&d);
}

static void a_member_has_a_budget_for_the_day(void **state)
{
    struct drive d;
    size_t before;

    (void)state;
    begin(&d, 2);
    give(&d, "notice.received", "u1");
    for (int i = 0; i < 3; i++) {
        before = drive_push_count(&d);
        assert_int_equal(remind(&d, NULL, 0), YZ_OK);
        assert_string_equal(reminded(&d, before), "m0 m1 u1 ");
    }
    give(&d, "notice.received", "u2");
    before = drive_push_count(&d);
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_string_equal(reminded(&d, before), "u2 ");
    expect_sent(&d, 1, 0, 3, 0);
    /* The last minute before midnight in Peking would be quiet; the next day is another one. */
    d.now_ms += DAY;
    before = drive_push_count(&d);
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_string_equal(reminded(&d, before), "m0 m1 u1 u2 ");
    drive_deinit(&d);
}

static void in_quiet_hours_nobody_is_reminded(void **state)
{
    const struct wk_fold_row *rows;
    struct drive d;
    size_t count;

    (void)state;
    begin(&d, 2);
    d.now_ms = NIGHT;
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_string_equal(reminded(&d, 0), "");
    expect_sent(&d, 0, 0, 0, DAWN);
    rows = wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].type, "notice.remind_due");
    assert_string_equal(rows[0].aggregate, "reminders|" BRANCH);
    assert_int_equal(rows[0].due_at_ms, DAWN);
    /* m1 reads in the night. */
    give(&d, "notice.read", "m1");
    d.now_ms = DAWN;
    assert_int_equal(remind_due(&d, 0), YZ_OK);
    assert_string_equal(reminded(&d, 0), "m0 ");
    expect_sent(&d, 1, 1, 0, 0);
    drive_deinit(&d);
}

/* What two persons made urgent is not held back, and does not use the budget up. */
static void an_urgent_one_passes(void **state)
{
    struct drive d;
    size_t before;

    (void)state;
    drive_init(&d);
    set_roster(&d, 2);
    publish(&d, YIZHAN__V1__NOTICE_CLASS__URGENT, 0);
    assert_int_equal(remind(&d, NULL, 0), YZ_NOTICE_PENDING);
    assert_string_equal(d.v.field, "noticeId");
    approve(&d);
    d.now_ms = NIGHT;
    for (int i = 0; i < 5; i++) {
        before = drive_push_count(&d);
        assert_int_equal(remind(&d, NULL, 0), YZ_OK);
        assert_string_equal(reminded(&d, before), "m0 m1 ");
        expect_sent(&d, 2, 0, 0, 0);
    }
    drive_deinit(&d);
}

static void several_branches_become_an_event_each(void **state)
{
    char *branches[] = {BRANCH, "g1/c1/b2"};
    const struct wk_fold_row *rows;
    struct drive d;
    size_t count;

    (void)state;
    begin(&d, 2);
    assert_int_equal(remind(&d, branches, 2), YZ_OK);
    assert_string_equal(reminded(&d, 0), "");
    rows = wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].aggregate, "reminders|" BRANCH);
    assert_string_equal(rows[1].aggregate, "reminders|g1/c1/b2");
    assert_int_equal(rows[0].due_at_ms, d.now_ms);
    assert_int_equal(rows[1].ordinal, 1);
    drive_deinit(&d);
}

/* 450 members: 200, 200 and 50. */
static void a_large_branch_is_reminded_in_steps(void **state)
{
    const struct wk_fold_row *rows;
    uint32_t seen = 0, from = 0, steps = 0;
    struct drive d;

    (void)state;
    begin(&d, 451);
    do {
        Yizhan__V1__NoticeReminderSent *sent;
        size_t count;

        assert_int_equal(steps == 0 ? remind(&d, NULL, 0) : remind_due(&d, from), YZ_OK);
        sent = (Yizhan__V1__NoticeReminderSent *)drive_last_push(&d, "member.s1",
                                                                 "notice.reminder_sent");
        seen += sent->reminded;
        rows = wk_fold_rows(d.fold, &count);
        assert_int_equal(sent->more, count == ++steps);
        from = 0;
        if (sent->more) {
            Yizhan__V1__NoticeRemindDue *due = yizhan__v1__notice_remind_due__unpack(
                NULL, rows[count - 1].payload_len, rows[count - 1].payload);

            from = due->from_place;
            yizhan__v1__notice_remind_due__free_unpacked(due, NULL);
        }
        yizhan__v1__notice_reminder_sent__free_unpacked(sent, NULL);
    } while (from && steps < 10);
    assert_int_equal(seen, 450);
    assert_int_equal(steps, 3);
    drive_deinit(&d);
}

/* What the last row says is done now, as the outbox does it. The event is the caller's to free. */
static Yizhan__V1__NoticeRemindDue *go_on(struct drive *d)
{
    size_t count;
    const struct wk_fold_row *rows = wk_fold_rows(d->fold, &count);
    Yizhan__V1__NoticeRemindDue *due = yizhan__v1__notice_remind_due__unpack(
        NULL, rows[count - 1].payload_len, rows[count - 1].payload);

    assert_int_equal(drive(d, "s1", "g1", "notice.remind_due", &due->base), YZ_OK);
    return due;
}

/* "u200 u201 " for 200 to 202. */
static const char *strangers(unsigned from, unsigned end)
{
    static char names[20000];

    names[0] = '\0';
    for (unsigned i = from; i < end; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "u%03u ", i);
    return names;
}

/* Who has no place stands in a list that others leave and join while its parts are reminded. */
static void nobody_is_left_out_of_a_list_that_changes(void **state)
{
    Yizhan__V1__NoticeRemindDue *events[3];
    struct drive_past second;
    char name[16];
    struct drive d;
    size_t before;

    (void)state;
    begin(&d, 6);
    for (unsigned i = 450; i > 0; i--) {
        snprintf(name, sizeof name, "u%03u", i - 1);
        give(&d, "notice.received", name);
    }
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_memory_equal(reminded(&d, 0), "m0 m1 m2 m4 m5 u000 u001 ", 24);
    /* Two of those who were reminded get places, and one comes who stands before the others. */
    enrol(&d, 6, (const char *const[]){"u005", "u190"}, 2);
    give(&d, "notice.received", "u005");
    give(&d, "notice.received", "u190");
    give(&d, "notice.received", "a1");
    before = drive_push_count(&d);
    events[0] = go_on(&d);
    assert_string_equal(reminded(&d, before), strangers(195, 395));
    drive_keep(&d, &second);
    before = drive_push_count(&d);
    events[1] = go_on(&d);
    assert_string_equal(reminded(&d, before), strangers(395, 450));
    expect_sent(&d, 55, 0, 0, 0);
    /* A replay of the part before says the same, and where it goes on. */
    before = drive_push_count(&d);
    assert_int_equal(drive_apply(&d, &second.event), YZ_OK);
    assert_string_equal(reminded(&d, before), strangers(195, 395));
    before = drive_push_count(&d);
    events[2] = go_on(&d);
    assert_string_equal(reminded(&d, before), strangers(395, 450));
    for (int i = 0; i < 3; i++)
        yizhan__v1__notice_remind_due__free_unpacked(events[i], NULL);
    drive_deinit(&d);
}

static void put_org(struct drive *d, const char *path, const char *child)
{
    bson_t *org = bson_new(), children, entry;
    char id[WK_ID_MAX];

    wk_id(id, "t1", path, NULL);
    BSON_APPEND_ARRAY_BEGIN(org, "children", &children);
    BSON_APPEND_DOCUMENT_BEGIN(&children, "0", &entry);
    BSON_APPEND_UTF8(&entry, "c", child);
    bson_append_document_end(&children, &entry);
    BSON_APPEND_DOCUMENT_BEGIN(&children, "1", &entry);
    BSON_APPEND_UTF8(&entry, "c", "x1");
    bson_append_document_end(&children, &entry);
    bson_append_array_end(org, &children);
    wk_fold_preset(d->fold, "orgs", id, org, 1);
    bson_destroy(org);
}

/* From g1 down to what the notice addresses, an event for each org; the answer is a value. */
static void a_subtree_is_walked_along_the_tree(void **state)
{
    char *paths[] = {"g1/c1/b1"};
    Yizhan__V1__NoticeAudience audience = YIZHAN__V1__NOTICE_AUDIENCE__INIT;
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Yizhan__V1__NoticeReminded r = YIZHAN__V1__NOTICE_REMINDED__INIT;
    Yizhan__V1__NoticeRemindDue due = YIZHAN__V1__NOTICE_REMIND_DUE__INIT;
    const char *const walk[] = {"g1", "g1/c1", BRANCH};
    Yizhan__V1__NoticeReminderSent *sent;
    const struct wk_fold_row *rows;
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    set_roster(&d, 2);
    put_org(&d, "g1", "c1");
    put_org(&d, "g1/c1", "b1");
    audience.org_paths = paths;
    audience.n_org_paths = 1;
    n.notice_id = r.notice_id = due.notice_id = "n1";
    n.org_path = r.org_path = "g1";
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "t";
    n.audience = &audience;
    d.roles = "secretary@g1";
    assert_int_equal(drive(&d, "s1", "g1", "notice.published", &n.base), YZ_OK);
    assert_int_equal(drive(&d, "s1", "g1", "notice.reminded", &r.base), YZ_INVALID_VALUE);
    r.subtree = due.subtree = true;
    assert_int_equal(drive(&d, "s1", "g1", "notice.reminded", &r.base), YZ_OK);
    for (size_t i = 0; i < 3; i++) {
        char aggregate[64];

        rows = wk_fold_rows(d.fold, &count);
        assert_int_equal(count, i + 1);
        snprintf(aggregate, sizeof aggregate, "reminders|%s", walk[i]);
        assert_string_equal(rows[i].aggregate, aggregate);
        assert_string_equal(reminded(&d, 0), "");
        due.org_path = (char *)(uintptr_t)walk[i];
        assert_int_equal(drive(&d, "s1", "g1", "notice.remind_due", &due.base), YZ_OK);
    }
    assert_string_equal(reminded(&d, 0), "m0 m1 ");
    assert_int_equal(drive_row_count(&d), 3);
    sent = (Yizhan__V1__NoticeReminderSent *)drive_last_value(
        &d, "member.s1", "reminders.n1." BRANCH, "notice.reminder_sent");
    assert_int_equal(sent->reminded, 2);
    yizhan__v1__notice_reminder_sent__free_unpacked(sent, NULL);
    drive_deinit(&d);
}

static int ordinal_of(struct drive *d, uint64_t sequence, const char *branch)
{
    size_t count;
    const struct wk_fold_row *rows = wk_fold_rows(d->fold, &count);
    char aggregate[64];

    snprintf(aggregate, sizeof aggregate, "reminders|%s", branch);
    for (size_t i = count; i > 0; i--) {
        if (rows[i - 1].sequence == sequence && strcmp(rows[i - 1].aggregate, aggregate) == 0)
            return rows[i - 1].ordinal;
    }
    return -1;
}

static void preset_children(struct drive *d, uint64_t sequence, const char *const *names,
                            const int *places, size_t count)
{
    bson_t org = BSON_INITIALIZER, children, entry;
    char key[24];

    BSON_APPEND_ARRAY_BEGIN(&org, "children", &children);
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&children, key, &entry);
        BSON_APPEND_UTF8(&entry, "c", names[i]);
        BSON_APPEND_INT64(&entry, "p", places[i]);
        bson_append_document_end(&children, &entry);
    }
    bson_append_array_end(&org, &children);
    wk_fold_preset(d->fold, "orgs", "t1|g1", &org, sequence);
    bson_destroy(&org);
}

/* A replay that meets another tree names each branch as before: no two rows have one id. */
static void a_replay_descends_by_place(void **state)
{
    Yizhan__V1__NoticeRemindDue due = YIZHAN__V1__NOTICE_REMIND_DUE__INIT;
    struct drive_past first;
    struct drive d;
    int m, z;

    (void)state;
    drive_init(&d);
    set_roster(&d, 1);
    publish(&d, YIZHAN__V1__NOTICE_CLASS__INFO, 0);
    preset_children(&d, 1, (const char *const[]){"m", "z"}, (const int[]){0, 1}, 2);
    due.org_path = "g1";
    due.notice_id = "n1";
    due.subtree = true;
    assert_int_equal(drive(&d, "s1", "g1", "notice.remind_due", &due.base), YZ_OK);
    drive_keep(&d, &first);
    m = ordinal_of(&d, first.event.sequence, "g1/m");
    z = ordinal_of(&d, first.event.sequence, "g1/z");
    assert_true(m > 0 && z > 0 && m != z);
    preset_children(&d, 2, (const char *const[]){"a", "n", "z"}, (const int[]){2, 3, 1}, 3);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_int_equal(ordinal_of(&d, first.event.sequence, "g1/z"), z);
    assert_true(ordinal_of(&d, first.event.sequence, "g1/a") > z);
    assert_true(ordinal_of(&d, first.event.sequence, "g1/n") > z);
    assert_int_not_equal(ordinal_of(&d, first.event.sequence, "g1/a"),
                         ordinal_of(&d, first.event.sequence, "g1/n"));
    drive_deinit(&d);
}

static void refusals_name_their_field(void **state)
{
    char *foreign[] = {BRANCH, "g1/c1/b2"};
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Yizhan__V1__NoticeReminded r = YIZHAN__V1__NOTICE_REMINDED__INIT;
    Yizhan__V1__NoticeRecalled recalled = YIZHAN__V1__NOTICE_RECALLED__INIT;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(remind(&d, NULL, 0), YZ_NOT_FOUND);
    assert_string_equal(d.v.field, "noticeId");
    n.notice_id = "n1";
    n.org_path = BRANCH;
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "t";
    assert_int_equal(drive(&d, "s1", "g1", "notice.published", &n.base), YZ_OK);
    assert_int_equal(remind(&d, foreign, 2), YZ_INVALID_VALUE);
    assert_string_equal(d.v.field, "branches[1]");
    r.org_path = "g1/c1/b2";
    r.notice_id = "n1";
    assert_int_equal(drive(&d, "s1", "g1", "notice.reminded", &r.base), YZ_INVALID_VALUE);
    assert_string_equal(d.v.field, "orgPath");
    recalled.notice_id = "n1";
    assert_int_equal(drive(&d, "s1", "g1", "notice.recalled", &recalled.base), YZ_OK);
    assert_int_equal(remind(&d, NULL, 0), YZ_NOTICE_RECALLED);
    assert_int_equal(remind_due(&d, 0), YZ_OK); /* moot */
    assert_string_equal(reminded(&d, 0), "");
    drive_deinit(&d);

    drive_init(&d);
    publish(&d, YIZHAN__V1__NOTICE_CLASS__INFO, DRIVE_START + 10);
    d.now_ms += 10;
    assert_int_equal(remind(&d, NULL, 0), YZ_NOTICE_EXPIRED);
    drive_deinit(&d);
}

/* The same members again, whoever has read or used up the day since, and nobody's count rises. */
static void a_replay_reminds_the_same(void **state)
{
    struct drive_past first;
    struct drive d;
    size_t before;

    (void)state;
    begin(&d, 3);
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    drive_keep(&d, &first);
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    give(&d, "notice.read", "m1");
    before = drive_push_count(&d);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_string_equal(reminded(&d, before), "m0 m1 m2 ");
    expect_sent(&d, 3, 0, 0, 0);
    before = drive_push_count(&d);
    assert_int_equal(remind(&d, NULL, 0), YZ_OK);
    assert_string_equal(reminded(&d, before), "m0 m2 "); /* the third time, not the fourth */
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_unread_are_reminded),
        cmocka_unit_test(a_member_has_a_budget_for_the_day),
        cmocka_unit_test(in_quiet_hours_nobody_is_reminded),
        cmocka_unit_test(an_urgent_one_passes),
        cmocka_unit_test(several_branches_become_an_event_each),
        cmocka_unit_test(a_large_branch_is_reminded_in_steps),
        cmocka_unit_test(nobody_is_left_out_of_a_list_that_changes),
        cmocka_unit_test(a_subtree_is_walked_along_the_tree),
        cmocka_unit_test(a_replay_descends_by_place),
        cmocka_unit_test(refusals_name_their_field),
        cmocka_unit_test(a_replay_reminds_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
