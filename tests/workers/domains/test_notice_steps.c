/* A notice's way: its audience, the second person, the recall, the quiet hours. */
#include "drive.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define NOTICE "t1|n1"
#define CHIEF  "member,secretary@g1"

/* What a test says of its notice; what is 0 is the usual. */
struct wish {
    Yizhan__V1__NoticeClass notice_class;
    char **paths, **roles, **exclude;
    size_t path_count, role_count, exclude_count;
    int64_t expires_at_ms;
};

static enum yz_err publish(struct drive *d, const char *publisher, const struct wish *wish)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Yizhan__V1__NoticeAudience audience = YIZHAN__V1__NOTICE_AUDIENCE__INIT;
    Google__Protobuf__Timestamp expires = wk_timestamp(wish->expires_at_ms);

    n.notice_id = "n1";
    n.org_path = "g1";
    n.notice_class = wish->notice_class ? wish->notice_class : YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "通知";
    n.body = "正文";
    n.expires_at = wish->expires_at_ms ? &expires : NULL;
    audience.org_paths = wish->paths;
    audience.n_org_paths = wish->path_count;
    audience.roles = wish->roles;
    audience.n_roles = wish->role_count;
    audience.exclude = wish->exclude;
    audience.n_exclude = wish->exclude_count;
    n.audience = wish->path_count + wish->role_count + wish->exclude_count ? &audience : NULL;
    d->roles = CHIEF;
    return drive(d, publisher, "g1", "notice.published", &n.base);
}

static const struct wish plain = {0}, urgent = {.notice_class = YIZHAN__V1__NOTICE_CLASS__URGENT};

static enum yz_err approve(struct drive *d, const char *member, const char *roles)
{
    Yizhan__V1__NoticeApproved a = YIZHAN__V1__NOTICE_APPROVED__INIT;

    a.org_path = "g1";
    a.notice_id = "n1";
    d->roles = roles;
    return drive(d, member, "g1", "notice.approved", &a.base);
}

static enum yz_err recall(struct drive *d, const char *member, const char *roles)
{
    Yizhan__V1__NoticeRecalled r = YIZHAN__V1__NOTICE_RECALLED__INIT;

    r.notice_id = "n1";
    r.reason = "时间有误";
    d->roles = roles;
    return drive(d, member, "g1", "notice.recalled", &r.base);
}

static enum yz_err read_by(struct drive *d, const char *member, const char *org_path,
                           const char *roles)
{
    Yizhan__V1__NoticeRead r = YIZHAN__V1__NOTICE_READ__INIT;

    r.notice_id = "n1";
    d->roles = roles;
    return drive(d, member, org_path, "notice.read", &r.base);
}

static enum yz_err confirm(struct drive *d, const char *member)
{
    Yizhan__V1__NoticeConfirmed c = YIZHAN__V1__NOTICE_CONFIRMED__INIT;

    c.notice_id = "n1";
    d->roles = "member";
    return drive(d, member, "g1/c1/b1", "notice.confirmed", &c.base);
}

static enum yz_err release(struct drive *d)
{
    Yizhan__V1__NoticeReleaseDue r = YIZHAN__V1__NOTICE_RELEASE_DUE__INIT;

    r.org_path = "g1";
    r.notice_id = "n1";
    return drive(d, "s1", "g1", "notice.release_due", &r.base);
}

static const char *state_of(struct drive *d)
{
    return wk_document_text(drive_document(d, "notices", NOTICE), "state");
}

static const struct wk_fold_push *push_at(struct drive *d, size_t at)
{
    size_t count;
    const struct wk_fold_push *pushes = wk_fold_pushes(d->fold, &count);

    assert_true(at < count);
    return &pushes[at];
}

static void each_org_gets_one_push_for_its_roles(void **state)
{
    char *paths[] = {"g1/c1", "g1/c2/b1"}, *roles[] = {"secretary", "inspector"},
         *exclude[] = {"u8", "u9"};
    const struct wish wish = {.paths = paths,
                              .roles = roles,
                              .exclude = exclude,
                              .path_count = 2,
                              .role_count = 2,
                              .exclude_count = 2};
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &wish), YZ_OK);
    assert_int_equal(drive_push_count(&d), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(push_at(&d, i)->channel, i ? "org.g1/c2/b1" : "org.g1/c1");
        assert_string_equal(push_at(&d, i)->type, "notice.posted");
        assert_string_equal(push_at(&d, i)->roles, "secretary@own,inspector@own");
        assert_string_equal(push_at(&d, i)->exclude, "u8,u9");
    }
    drive_deinit(&d);
}

static void the_audience_lies_in_the_publishers_scope(void **state)
{
    char *paths[] = {"g1/c1", "g2"};
    const struct wish wish = {.paths = paths, .path_count = 2};
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &wish), YZ_FORBIDDEN);
    assert_string_equal(d.v.field, "audience.orgPaths[1]");
    assert_null(drive_document(&d, "notices", NOTICE));
    drive_deinit(&d);
}

static void only_whom_it_addresses_may_read(void **state)
{
    char *paths[] = {"g1/c1", "g1/c2"}, *roles[] = {"secretary"}, *exclude[] = {"u9"};
    const struct wish wish = {.paths = paths,
                              .roles = roles,
                              .exclude = exclude,
                              .path_count = 2,
                              .role_count = 1,
                              .exclude_count = 1};
    static const struct {
        const char *member, *org_path, *roles;
        enum yz_err err;
    } cases[] = {
        {"u1", "g1/c1/b1", "member,secretary@g1/c1/b1", YZ_OK},
        {"u2", "g1/c2", "member,secretary@g1", YZ_OK},
        {"u3", "g1/c1/b1", "member", YZ_NOT_IN_AUDIENCE},
        {"u4", "g1/c1/b1", "member,secretary@g1/c1/b2", YZ_NOT_IN_AUDIENCE},
        {"u5", "g1/c1/b1", "member,inspector@g1", YZ_NOT_IN_AUDIENCE},
        {"u6", "g1/c3/b1", "member,secretary@g1", YZ_NOT_IN_AUDIENCE},
        {"u7", "g1", "member,secretary@g1", YZ_NOT_IN_AUDIENCE},
        {"u9", "g1/c1/b1", "member,secretary@g1/c1/b1", YZ_NOT_IN_AUDIENCE},
        {"u99", "g1/c1/b1", "member,secretary@g1/c1/b1", YZ_OK},
    };
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &wish), YZ_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum yz_err err = read_by(&d, cases[i].member, cases[i].org_path, cases[i].roles);

        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].member, yz_err_code(err));
        if (err)
            assert_string_equal(d.v.field, "noticeId");
    }
    drive_deinit(&d);
}

static void an_urgent_one_waits_for_a_second_person(void **state)
{
    struct drive d;
    bson_iter_t it;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &urgent), YZ_OK);
    assert_string_equal(state_of(&d), "NOTICE_PENDING");
    assert_false(bson_iter_init_find(&it, drive_document(&d, "notices", NOTICE), "inbox"));
    assert_int_equal(drive_push_count(&d), 1);
    assert_string_equal(push_at(&d, 0)->type, "notice.pending");
    assert_string_equal(push_at(&d, 0)->channel, "org.g1");
    assert_string_equal(push_at(&d, 0)->roles, "secretary,admin");
    /* For its audience it is not there yet. */
    assert_int_equal(read_by(&d, "u1", "g1/c1", "member"), YZ_NOT_FOUND);
    assert_int_equal(approve(&d, "s1", CHIEF), YZ_SAME_PERSON);
    assert_string_equal(d.v.field, "noticeId");
    assert_int_equal(approve(&d, "s2", "member,secretary@g1/c1"), YZ_FORBIDDEN);
    assert_string_equal(d.v.field, "noticeId");
    assert_int_equal(drive_push_count(&d), 1);
    d.now_ms += 5000;
    assert_int_equal(approve(&d, "s2", "member,admin@g1"), YZ_OK);
    assert_string_equal(state_of(&d), "NOTICE_RELEASED");
    assert_true(bson_iter_init_find(&it, drive_document(&d, "notices", NOTICE), "inbox"));
    assert_string_equal(wk_document_text(drive_document(&d, "notices", NOTICE), "approver"), "s2");
    assert_int_equal(wk_document_number(drive_document(&d, "notices", NOTICE), "sequence"),
                     d.event.sequence);
    assert_string_equal(push_at(&d, 1)->type, "notice.posted");
    assert_null(push_at(&d, 1)->roles);
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_NOTICE_NOT_PENDING);
    assert_int_equal(read_by(&d, "u1", "g1/c1", "member"), YZ_OK);
    drive_deinit(&d);
}

static void approving_needs_a_notice_that_waits(void **state)
{
    const struct wish brief = {.notice_class = YIZHAN__V1__NOTICE_CLASS__URGENT,
                               .expires_at_ms = DRIVE_START + 1000};
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_NOT_FOUND);
    assert_int_equal(publish(&d, "s1", &brief), YZ_OK);
    d.now_ms += 1000;
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_NOTICE_EXPIRED);
    d.now_ms -= 1;
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_OK);
    assert_string_equal(push_at(&d, 1)->type, "notice.recalled");
    assert_string_equal(push_at(&d, 1)->roles, "secretary,admin");
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_NOTICE_RECALLED);
    drive_deinit(&d);

    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &plain), YZ_OK);
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_NOTICE_NOT_PENDING);
    assert_string_equal(d.v.field, "noticeId");
    drive_deinit(&d);
}

/* Members never heard of it: a recall does not tell them that it was there. */
static void one_that_nobody_approved_stays_unseen_when_recalled(void **state)
{
    Yizhan__V1__NoticeReceived received = YIZHAN__V1__NOTICE_RECEIVED__INIT;
    char *ids[] = {"n1"};
    struct drive d;

    (void)state;
    received.notice_ids = ids;
    received.n_notice_ids = 1;
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &urgent), YZ_OK);
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_OK);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1", "member"), YZ_NOT_FOUND);
    assert_string_equal(d.v.field, "noticeId");
    assert_int_equal(confirm(&d, "u1"), YZ_NOT_FOUND);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "notice.received", &received.base), YZ_NOT_FOUND);
    assert_null(drive_document(&d, "notice_receipts", "t1|n1|g1/c1/b1"));
    drive_deinit(&d);

    /* One that was approved was seen, and may have been read. */
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &urgent), YZ_OK);
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_OK);
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_OK);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1", "member"), YZ_OK);
    drive_deinit(&d);
}

static void recalling(void **state)
{
    const struct wish asks = {.notice_class = YIZHAN__V1__NOTICE_CLASS__CONFIRM};
    Yizhan__V1__NoticeRecall *told;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_NOT_FOUND);
    assert_int_equal(publish(&d, "s1", &asks), YZ_OK);
    assert_int_equal(recall(&d, "u1", "member"), YZ_FORBIDDEN);
    assert_int_equal(recall(&d, "s3", "member,secretary@g1/c1"), YZ_FORBIDDEN);
    assert_int_equal(recall(&d, "s4", "member,inspector@g1"), YZ_FORBIDDEN);
    assert_string_equal(d.v.field, "noticeId");
    assert_string_equal(state_of(&d), "NOTICE_RELEASED");
    /* Its publisher, whatever the roles are by now. */
    assert_int_equal(recall(&d, "s1", "member"), YZ_OK);
    assert_string_equal(state_of(&d), "NOTICE_RECALLED");
    told = (Yizhan__V1__NoticeRecall *)drive_last_push(&d, "org.g1", "notice.recalled");
    assert_string_equal(told->reason, "时间有误");
    assert_string_equal(told->recalled_by, "s1");
    yizhan__v1__notice_recall__free_unpacked(told, NULL);
    assert_int_equal(recall(&d, "s2", CHIEF), YZ_NOTICE_RECALLED);
    /* Who saw it is still told; but there is nothing left to confirm. */
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1", "member"), YZ_OK);
    assert_int_equal(confirm(&d, "u1"), YZ_NOTICE_RECALLED);
    drive_deinit(&d);

    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &plain), YZ_OK);
    assert_int_equal(recall(&d, "s2", CHIEF), YZ_OK);
    drive_deinit(&d);
}

static void confirming(void **state)
{
    const struct wish brief = {.notice_class = YIZHAN__V1__NOTICE_CLASS__CONFIRM,
                               .expires_at_ms = DRIVE_START + 1000};
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(confirm(&d, "u1"), YZ_NOT_FOUND);
    assert_int_equal(publish(&d, "s1", &plain), YZ_OK);
    assert_int_equal(confirm(&d, "u1"), YZ_NOTHING_TO_CONFIRM);
    assert_string_equal(d.v.field, "noticeId");
    assert_null(drive_document(&d, "notice_receipts", "t1|n1|g1/c1/b1"));
    drive_deinit(&d);

    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &brief), YZ_OK);
    d.now_ms += 999;
    assert_int_equal(confirm(&d, "u1"), YZ_OK);
    d.now_ms += 1;
    assert_int_equal(confirm(&d, "u2"), YZ_NOTICE_EXPIRED);
    /* That it was read is a fact, whenever the phone tells it. */
    assert_int_equal(read_by(&d, "u2", "g1/c1/b1", "member"), YZ_OK);
    drive_deinit(&d);
}

/* 23:00 in Peking: quiet until 07:00. */
#define NIGHT (DRIVE_START + INT64_C(15) * 3600000)
#define DAWN  (DRIVE_START + INT64_C(23) * 3600000)

static void in_quiet_hours_the_push_waits(void **state)
{
    const struct wk_fold_row *rows;
    struct drive d;
    bson_iter_t it;
    size_t count;

    (void)state;
    drive_init(&d);
    d.now_ms = NIGHT;
    assert_int_equal(publish(&d, "s1", &plain), YZ_OK);
    assert_int_equal(drive_push_count(&d), 0);
    rows = wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].type, "notice.release_due");
    assert_string_equal(rows[0].aggregate, "notice|n1");
    assert_int_equal(rows[0].due_at_ms, DAWN);
    /* It stands in the inboxes all the same, and may be read. */
    assert_true(bson_iter_init_find(&it, drive_document(&d, "notices", NOTICE), "inbox"));
    assert_string_equal(wk_document_text(drive_document(&d, "notices", NOTICE), "rules"),
                        wk_rules_calendar_at(d.rules, NIGHT)->version);
    assert_int_equal(read_by(&d, "u1", "g1", "member"), YZ_OK);
    d.now_ms = DAWN;
    assert_int_equal(release(&d), YZ_OK);
    assert_int_equal(drive_push_count(&d), 1);
    assert_string_equal(push_at(&d, 0)->type, "notice.posted");
    drive_deinit(&d);
}

static void what_was_recalled_in_the_night_is_not_pushed(void **state)
{
    const struct wish brief = {.expires_at_ms = DAWN};
    struct drive d;

    (void)state;
    drive_init(&d);
    d.now_ms = NIGHT;
    assert_int_equal(publish(&d, "s1", &plain), YZ_OK);
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_OK);
    d.now_ms = DAWN;
    assert_int_equal(release(&d), YZ_OK);
    assert_int_equal(drive_push_count(&d), 1); /* of the recall */
    drive_deinit(&d);

    drive_init(&d);
    d.now_ms = NIGHT;
    assert_int_equal(publish(&d, "s1", &brief), YZ_OK);
    d.now_ms = DAWN;
    assert_int_equal(release(&d), YZ_OK);
    assert_int_equal(drive_push_count(&d), 0);
    drive_deinit(&d);
}

static void an_urgent_one_goes_out_in_the_night(void **state)
{
    struct drive d;
    size_t count;

    (void)state;
    drive_init(&d);
    d.now_ms = NIGHT;
    assert_int_equal(publish(&d, "s1", &urgent), YZ_OK);
    assert_int_equal(approve(&d, "s2", CHIEF), YZ_OK);
    assert_int_equal(drive_push_count(&d), 2);
    (void)wk_fold_rows(d.fold, &count);
    assert_int_equal(count, 0);
    drive_deinit(&d);
}

/* The decision stands and its effects come again, over what later events left. */
static void a_replay_tells_the_same(void **state)
{
    struct drive_past first;
    Yizhan__V1__NoticeApproved a = YIZHAN__V1__NOTICE_APPROVED__INIT;
    struct drive d;

    (void)state;
    a.org_path = "g1";
    a.notice_id = "n1";
    drive_init(&d);
    assert_int_equal(publish(&d, "s1", &urgent), YZ_OK);
    assert_int_equal(drive(&d, "s2", "g1", "notice.approved", &a.base), YZ_OK);
    drive_keep(&d, &first);
    assert_int_equal(recall(&d, "s1", CHIEF), YZ_OK);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_string_equal(state_of(&d), "NOTICE_RECALLED");
    assert_int_equal(drive_push_count(&d), 4);
    assert_string_equal(push_at(&d, 3)->type, "notice.posted");
    assert_int_equal(push_at(&d, 3)->payload_len, push_at(&d, 1)->payload_len);
    assert_memory_equal(push_at(&d, 3)->payload, push_at(&d, 1)->payload,
                        push_at(&d, 1)->payload_len);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_org_gets_one_push_for_its_roles),
        cmocka_unit_test(the_audience_lies_in_the_publishers_scope),
        cmocka_unit_test(only_whom_it_addresses_may_read),
        cmocka_unit_test(an_urgent_one_waits_for_a_second_person),
        cmocka_unit_test(approving_needs_a_notice_that_waits),
        cmocka_unit_test(one_that_nobody_approved_stays_unseen_when_recalled),
        cmocka_unit_test(recalling),
        cmocka_unit_test(confirming),
        cmocka_unit_test(in_quiet_hours_the_push_waits),
        cmocka_unit_test(what_was_recalled_in_the_night_is_not_pushed),
        cmocka_unit_test(an_urgent_one_goes_out_in_the_night),
        cmocka_unit_test(a_replay_tells_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
