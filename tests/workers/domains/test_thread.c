/* Posts: the natural key decides, the stream's order stands in each. */
#include "drive.h"

#include <stdio.h>
#include <thread.pb-c.h>

#define CHANNEL "thread.g1/c1.t1"

static Yizhan__V1__ThreadPosted post(char *message_id)
{
    Yizhan__V1__ThreadPosted p = YIZHAN__V1__THREAD_POSTED__INIT;

    p.org_path = "g1/c1";
    p.thread_id = "t1";
    p.message_id = message_id;
    p.text = "同意";
    p.reply_to = 7;
    return p;
}

static void test_posted(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1");
    Yizhan__V1__ThreadPost *pushed;
    const bson_t *document;
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "thread.posted", &p.base), YZ_OK);
    document = drive_document(&d, "posts", "t1|g1/c1|t1|u1|x1");
    assert_string_equal(wk_document_text(document, "text"), "同意");
    assert_string_equal(wk_document_text(document, "author"), "u1");
    assert_int_equal(wk_document_number(document, "sequence"), 100);
    assert_int_equal(wk_document_number(document, "reply_to"), 7);
    pushed = (Yizhan__V1__ThreadPost *)drive_last_push(&d, CHANNEL, "thread.post");
    assert_int_equal(pushed->sequence, 100);
    assert_string_equal(pushed->text, "同意");
    assert_int_equal(wk_timestamp_ms(pushed->posted_at), DRIVE_START);
    yizhan__v1__thread_post__free_unpacked(pushed, NULL);
    drive_deinit(&d);
}

static void test_posted_twice(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1"), q = post("x1");
    struct drive d;

    (void)state;
    q.text = "不同意";
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "thread.posted", &p.base), YZ_OK);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "thread.posted", &q.base), YZ_ALREADY_POSTED);
    assert_int_equal(drive_push_count(&d), 1);
    assert_string_equal(wk_document_text(drive_document(&d, "posts", "t1|g1/c1|t1|u1|x1"), "text"),
                        "同意");
    /* Another author's message of that id is another post. */
    assert_int_equal(drive(&d, "u2", "g1/c1/b1", "thread.posted", &q.base), YZ_OK);
    drive_deinit(&d);
}

static void test_order(void **state)
{
    char id[16];
    struct drive d;
    size_t count;
    const struct wk_fold_push *pushes;

    (void)state;
    drive_init(&d);
    for (int i = 0; i < 50; i++) {
        Yizhan__V1__ThreadPosted p = post(id);

        snprintf(id, sizeof id, "x%d", i);
        assert_int_equal(drive(&d, "u1", "g1/c1/b1", "thread.posted", &p.base), YZ_OK);
    }
    pushes = wk_fold_pushes(d.fold, &count);
    assert_int_equal(count, 50);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(pushes[i].sequence, pushes[i - 1].sequence + 1);
    drive_deinit(&d);
}

static void test_replay(void **state)
{
    Yizhan__V1__ThreadPosted p = post("x1");
    struct drive d;

    (void)state;
    drive_init(&d);
    assert_int_equal(drive(&d, "u1", "g1/c1/b1", "thread.posted", &p.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    /* The push goes again: the broker drops it by its message id. */
    assert_int_equal(drive_push_count(&d), 2);
    drive_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posted),
        cmocka_unit_test(test_posted_twice),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
