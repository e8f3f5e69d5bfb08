/* Notices: publishing, reading, counting the readers. */
#include "drive.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define NOTICE   "t1|n1"
#define RECEIPTS "t1|n1|g1/c1/b1"

static enum yz_err publish(struct drive *d, const char *org_path, int64_t expires_at_ms)
{
    Yizhan__V1__NoticePublished n = YIZHAN__V1__NOTICE_PUBLISHED__INIT;
    Google__Protobuf__Timestamp expires = wk_timestamp(expires_at_ms);

    n.notice_id = "n1";
    n.org_path = (char *)(uintptr_t)org_path;
    n.notice_class = YIZHAN__V1__NOTICE_CLASS__INFO;
    n.title = "学习通知";
    n.body = "正文";
    n.expires_at = expires_at_ms ? &expires : NULL;
    return drive(d, "s1", "g1/c1", "notice.published", &n.base);
}

static enum yz_err read_by(struct drive *d, const char *member, const char *org_path)
{
    Yizhan__V1__NoticeRead r = YIZHAN__V1__NOTICE_READ__INIT;

    r.notice_id = "n1";
    return drive(d, member, org_path, "notice.read", &r.base);
}

static void expect_count(struct drive *d, const char *branch, uint32_t read)
{
    Yizhan__V1__NoticeReceiptCount *count;
    char name[128];

    snprintf(name, sizeof name, "receipts.n1.%s", branch);
    count = (Yizhan__V1__NoticeReceiptCount *)drive_last_value(d, "member.s1", name,
                                                               "notice.receipt_count");
    assert_int_equal(count->read, read);
    assert_string_equal(count->org_path, branch);
    yizhan__v1__notice_receipt_count__free_unpacked(count, NULL);
}

static uint32_t readers(struct drive *d, const char *id)
{
    bson_iter_t reader;
    uint32_t count = 0;

    if (wk_document_array(drive_document(d, "notice_receipts", id), "others", &reader)) {
        while (bson_iter_next(&reader))
            count++;
    }
    return count;
}

static void test_published(void **state)
{
    Yizhan__V1__NoticePosted *posted;
    const bson_t *notice;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", DRIVE_START + 1), YZ_OK);
    notice = drive_document(&d, "notices", NOTICE);
    assert_string_equal(wk_document_text(notice, "publisher"), "s1");
    assert_string_equal(wk_document_text(notice, "notice_class"), "INFO");
    assert_int_equal(wk_document_time_ms(notice, "publish_at"), DRIVE_START);
    assert_int_equal(wk_document_time_ms(notice, "expires_at"), DRIVE_START + 1);
    assert_int_equal(wk_document_number(notice, "sequence"), 100);
    posted = (Yizhan__V1__NoticePosted *)drive_last_push(&d, "org.g1/c1", "notice.posted");
    assert_string_equal(posted->body, "正文");
    assert_int_equal(posted->sequence, 100);
    assert_int_equal(wk_timestamp_ms(posted->published_at), DRIVE_START);
    yizhan__v1__notice_posted__free_unpacked(posted, NULL);
    drive_deinit(&d);
}

/* The first notice stands, whoever publishes another one with its id. */
static void test_published_twice(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", 0), YZ_OK);
    assert_int_equal(publish(&d, "g1/c1/b1", 0), YZ_EXISTS);
    assert_string_equal(d.v.field, "noticeId");
    assert_string_equal(wk_document_text(drive_document(&d, "notices", NOTICE), "org_path"),
                        "g1/c1");
    assert_int_equal(drive_push_count(&d), 1);
    drive_deinit(&d);
}

static void test_expiry_lies_in_the_future(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", DRIVE_START), YZ_INVALID_VALUE);
    assert_string_equal(d.v.field, "expiresAt");
    assert_int_equal(publish(&d, "g1/c1", DRIVE_START - 1), YZ_INVALID_VALUE);
    assert_null(drive_document(&d, "notices", NOTICE));
    assert_int_equal(publish(&d, "g1/c1", DRIVE_START + 1), YZ_OK);
    drive_deinit(&d);
}

static void test_read(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", 0), YZ_OK);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1"), YZ_OK);
    expect_count(&d, "g1/c1/b1", 1);
    assert_int_equal(read_by(&d, "u2", "g1/c1/b1"), YZ_OK);
    expect_count(&d, "g1/c1/b1", 2);
    assert_int_equal(readers(&d, RECEIPTS), 2);
    assert_int_equal(read_by(&d, "u3", "g1/c1"), YZ_OK);
    expect_count(&d, "g1/c1", 1);
    assert_int_equal(readers(&d, "t1|n1|g1/c1"), 1);
    drive_deinit(&d);
}

static void test_read_twice(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", 0), YZ_OK);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1"), YZ_OK);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1"), YZ_OK);
    expect_count(&d, "g1/c1/b1", 1);
    assert_int_equal(readers(&d, RECEIPTS), 1);
    drive_deinit(&d);
}

static void test_audience(void **state)
{
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1"), YZ_NOT_FOUND);
    assert_int_equal(publish(&d, "g1/c1", 0), YZ_OK);
    assert_int_equal(read_by(&d, "u4", "g1"), YZ_NOT_IN_AUDIENCE);
    assert_int_equal(read_by(&d, "u4", "g1/c10"), YZ_NOT_IN_AUDIENCE);
    assert_int_equal(read_by(&d, "u4", "g1/c2/b1"), YZ_NOT_IN_AUDIENCE);
    assert_null(drive_document(&d, "notice_receipts", "t1|n1|g1/c10"));
    assert_int_equal(read_by(&d, "u1", "g1/c1/b1"), YZ_OK);
    drive_deinit(&d);
}

static void test_replay(void **state)
{
    struct drive_past first;
    Yizhan__V1__NoticeRead r = YIZHAN__V1__NOTICE_READ__INIT;
    struct drive d;

    (void)state;
    r.notice_id = "n1";
    drive_init(&d);
    assert_int_equal(publish(&d, "g1/c1", 0), YZ_OK);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "notice.read", &r.base), YZ_OK);
    drive_keep(&d, &first);
    assert_int_equal(read_by(&d, "u2", "g1/c1/b1"), YZ_OK);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    expect_count(&d, "g1/c1/b1", 2);
    assert_int_equal(readers(&d, RECEIPTS), 2);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_published_twice),
        cmocka_unit_test(test_expiry_lies_in_the_future),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_twice),
        cmocka_unit_test(test_audience),
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
