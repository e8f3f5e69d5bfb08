/* Durable publishes against a real nats-server. */
#include "workers/publisher.h"

#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int start_all(void **state)
{
    if (rig_start(state) != 0)
        return -1;
    return make_stream("SMALL", "small.>", ",\"max_msgs\":3,\"discard\":\"new\"") ? 0 : -1;
}

static natsMsg *message(const char *subject, const char *text, const char *expected)
{
    natsMsg *msg = NULL;

    assert_int_equal(natsMsg_Create(&msg, subject, NULL, text, (int)strlen(text)), NATS_OK);
    if (expected)
        natsMsgHeader_Set(msg, "Nats-Expected-Last-Subject-Sequence", expected);
    return msg;
}

/* Until each is settled, by a publisher of their own. Their messages are taken. */
static void send_letters(struct wk_letter *letters, size_t count)
{
    struct wk_publisher *pub;

    assert_int_equal(wk_publisher_new(&conf, "test pushes", &metrics, &pub), YZ_OK);
    assert_int_equal(wk_publisher_send(pub, letters, count, NULL, NULL), YZ_OK);
    for (size_t i = 0; i < count; i++)
        natsMsg_Destroy(letters[i].msg);
    wk_publisher_free(pub);
}

/* One subject's letters are stored in order whatever else is under way. */
static void test_the_order_of_a_subject_is_kept(void **state)
{
    struct wk_letter letters[200] = {0};

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        char subject[32];

        snprintf(subject, sizeof subject, "thr.order.g1.t%zu", i % 3);
        letters[i].msg = message(subject, "x", NULL);
    }
    send_letters(letters, 200);
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(letters[i].state, WK_LETTER_STORED);
        if (i >= 3)
            assert_true(letters[i].sequence > letters[i - 3].sequence);
    }
}

/* Letters that were found stored stand between others of their subject: those still keep their
 * order. */
static void test_the_order_is_kept_around_dropped_letters(void **state)
{
    struct wk_letter letters[200] = {0};
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        letters[i].msg = message("thr.dropped.g1.t1", "x", NULL);
        letters[i].state = i % 5 >= 3 ? WK_LETTER_DROPPED : WK_LETTER_WAITING;
    }
    send_letters(letters, 200);
    for (size_t i = 0; i < 200; i++) {
        if (i % 5 < 3) {
            assert_int_equal(letters[i].state, WK_LETTER_STORED);
            assert_true(letters[i].sequence > last);
            last = letters[i].sequence;
        }
    }
}

static void test_stale_is_not_refused(void **state)
{
    struct wk_letter letters[6] = {0};

    (void)state;
    letters[0].msg = message("state.t1.a", "1", "0");
    letters[1].msg = message("state.t1.a", "2", "7777");
    for (size_t i = 2; i < 6; i++) {
        letters[i].msg = message("small.x", "1", NULL);
        letters[i].may_refuse = true;
    }
    send_letters(letters, 6);
    assert_int_equal(letters[0].state, WK_LETTER_STORED);
    assert_int_equal(letters[1].state, WK_LETTER_STALE);
    assert_int_equal(letters[4].state, WK_LETTER_STORED);
    assert_int_equal(letters[5].state, WK_LETTER_REFUSED);
}

static bool give_up_third(void *arg, struct wk_letter *letters, size_t count)
{
    (void)letters;
    (void)count;
    return ++*(int *)arg < 3;
}

static void test_nothing_is_sent_from_then_on(void **state)
{
    struct wk_letter letter = {.msg = message("chan.t1.until", "x", NULL)};
    struct wk_publisher *pub;
    int tries = 0;

    (void)state;
    assert_int_equal(wk_publisher_new(&conf, "until", &metrics, &pub), YZ_OK);
    wk_publisher_until(pub, yz_clock_mono_ms());
    assert_int_not_equal(wk_publisher_send(pub, &letter, 1, give_up_third, &tries), YZ_OK);
    assert_int_equal(stored("CHANNELS", "chan.t1.until"), 0);
    wk_publisher_until(pub, yz_clock_mono_ms() + PATIENCE_MS);
    assert_int_equal(wk_publisher_send(pub, &letter, 1, NULL, NULL), YZ_OK);
    assert_int_equal(stored("CHANNELS", "chan.t1.until"), 1);
    natsMsg_Destroy(letter.msg);
    wk_publisher_free(pub);
}

/* What the bus does not take at all is refused, and the others go. */
static void test_what_is_too_large_is_refused(void **state)
{
    int64_t size = natsConnection_GetMaxPayload(nc);
    char *large = calloc(1, (size_t)size + 1);
    struct wk_letter letters[2] = {{.may_refuse = true}, {.may_refuse = true}};
    struct wk_publisher *pub;
    int tries = 0;

    (void)state;
    assert_non_null(large);
    memset(large, 'x', (size_t)size);
    letters[0].msg = message("chan.t1.large", large, "0");
    letters[1].msg = message("chan.t1.large", "x", NULL);
    assert_int_equal(wk_publisher_new(&conf, "large", &metrics, &pub), YZ_OK);
    assert_int_equal(wk_publisher_send(pub, letters, 2, give_up_third, &tries), YZ_OK);
    assert_int_equal(letters[0].state, WK_LETTER_REFUSED);
    assert_int_equal(letters[1].state, WK_LETTER_STORED);
    natsMsg_Destroy(letters[0].msg);
    natsMsg_Destroy(letters[1].msg);
    wk_publisher_free(pub);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_a_subject_is_kept),
        cmocka_unit_test(test_the_order_is_kept_around_dropped_letters),
        cmocka_unit_test(test_stale_is_not_refused),
        cmocka_unit_test(test_nothing_is_sent_from_then_on),
        cmocka_unit_test(test_what_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, start_all, rig_stop);
}
