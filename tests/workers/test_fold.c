/* The fold without a database: staging, keys that are taken, replays, ordinals, rows. */
#include "workers/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thread.pb-c.h>

#include <cmocka.h>

#define ID "t1|x"

static struct yz_envelope env;
static struct wk_fold *fold;
static struct yz_violation violation;

static int set_up(void **state)
{
    (void)state;
    snprintf(env.actor.tenant, sizeof env.actor.tenant, "t1");
    snprintf(env.actor.member, sizeof env.actor.member, "m1");
    fold = wk_fold_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wk_fold_free(fold);
    return 0;
}

static bson_t *number(int n)
{
    return BCON_NEW("n", BCON_INT32(n));
}

static int read_number(void)
{
    const bson_t *document = wk_get(fold, "things", ID);
    bson_iter_t it;

    return document && bson_iter_init_find(&it, document, "n") ? bson_iter_int32(&it) : -1;
}

static void push(const char *channel)
{
    Yizhan__V1__ThreadPost message = YIZHAN__V1__THREAD_POST__INIT;

    wk_push(fold, channel, "thread.post", &message.base, NULL);
}

static void test_a_push_needs_a_channel(void **state)
{
    struct wk_event event = {.sequence = 7, .env = &env};
    size_t count;

    (void)state;
    wk_fold_reset(fold);
    wk_fold_begin(fold, &event, 0);
    push("member.");
    push("member.m1");
    push("chan.>");
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
    assert_int_equal(wk_fold_pushes(fold, &count)->ordinal, 1);
    assert_int_equal(count, 1);
}

static void preset(int n, uint64_t sequence)
{
    bson_t *document = number(n);

    wk_fold_preset(fold, "things", ID, document, sequence);
    bson_destroy(document);
}

/* One event that puts (or inserts) n and pushes once. */
static enum yz_err fold_in(uint64_t sequence, bool insert, int n)
{
    struct wk_event event = {.sequence = sequence, .env = &env};
    enum yz_err err;

    wk_fold_begin(fold, &event, 0);
    push("member.m1");
    if (insert)
        wk_insert(fold, "things", ID, number(n), YZ_EXISTS, "id");
    else
        wk_put(fold, "things", ID, number(n));
    err = wk_fold_end(fold, &violation);
    return err;
}

static size_t push_count(void)
{
    size_t count;

    wk_fold_pushes(fold, &count);
    return count;
}

static void needs_own(const struct wk_event *event, struct wk_needs *needs)
{
    (void)event;
    wk_need_own(needs, "things", ID);
}

static void needs_foreign(const struct wk_event *event, struct wk_needs *needs)
{
    (void)event;
    wk_need(needs, "things", ID);
}

static void next_batch(bool settled, uint64_t holder, wk_needs_fn *needs)
{
    const struct wk_event_handler handler = {.needs = needs};
    struct wk_event event = {.sequence = 50, .env = &env};

    if (settled)
        wk_fold_settled(fold);
    wk_fold_reset(fold);
    wk_fold_holder(fold, holder);
    wk_fold_need(fold, &handler, &event);
}

static void test_own_documents_stay_with_their_holder(void **state)
{
    (void)state;
    next_batch(false, 4, needs_own);
    preset(1, 5);
    next_batch(true, 4, needs_own);
    assert_int_equal(read_number(), 1);
    next_batch(true, 4, needs_own);
    assert_int_equal(read_number(), 1);
    next_batch(true, 6, needs_own);
    assert_int_equal(read_number(), -1);
}

static void test_what_is_not_known_to_be_stored_is_not_kept(void **state)
{
    (void)state;
    next_batch(false, 4, needs_own);
    preset(1, 5);
    next_batch(false, 4, needs_own); /* the batch was let go */
    assert_int_equal(read_number(), -1);
    preset(1, 5);
    assert_int_equal(fold_in(6, false, 2), YZ_OK); /* and was never written */
    next_batch(true, 4, needs_own);
    assert_int_equal(read_number(), -1);
}

static void test_foreign_documents_are_not_kept(void **state)
{
    (void)state;
    next_batch(false, 4, needs_foreign);
    preset(1, 5);
    next_batch(true, 4, needs_foreign);
    assert_int_equal(read_number(), -1);
    next_batch(true, 4, needs_own);
    preset(1, 5);
    next_batch(true, 4, needs_foreign);
    assert_int_equal(read_number(), -1);
    next_batch(true, 0, needs_own);
    preset(1, 5);
    next_batch(true, 0, needs_own); /* nobody's */
    assert_int_equal(read_number(), -1);
}

static void *double_of(const bson_t *document)
{
    int *twice = malloc(sizeof *twice);
    bson_iter_t it;

    assert_non_null(twice);
    assert_true(bson_iter_init_find(&it, document, "n"));
    *twice = 2 * bson_iter_int32(&it);
    return twice;
}

static int read_double(void)
{
    const int *twice = wk_get_derived(fold, "things", ID, double_of);

    return twice ? *twice : -1;
}

static void test_what_is_derived_follows_its_document(void **state)
{
    struct wk_event event = {.sequence = 8, .env = &env};

    (void)state;
    preset(1, 5);
    assert_int_equal(read_double(), 2);
    assert_int_equal(fold_in(6, false, 4), YZ_OK);
    assert_int_equal(read_double(), 8);
    wk_fold_begin(fold, &event, 1);
    wk_put(fold, "things", ID, number(5));
    assert_int_equal(read_double(), 10);
    wk_put(fold, "things", ID, number(6));
    assert_int_equal(read_double(), 12);
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
    assert_int_equal(read_double(), 12);
}

/* What a replay staged is dropped, and what was derived from it goes with it. */
static void test_what_a_replay_derived_is_forgotten(void **state)
{
    struct wk_event event = {.sequence = 6, .env = &env};

    (void)state;
    preset(9, 20);
    assert_int_equal(read_double(), 18);
    wk_fold_begin(fold, &event, 0);
    wk_put(fold, "things", ID, number(2));
    assert_int_equal(read_double(), 4);
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
    assert_int_equal(read_number(), 9);
    assert_int_equal(read_double(), 18);
}

static void test_each_sees_the_one_before(void **state)
{
    (void)state;
    preset(1, 5);
    assert_int_equal(read_number(), 1);
    assert_int_equal(fold_in(6, false, 2), YZ_OK);
    assert_int_equal(read_number(), 2);
    assert_int_equal(fold_in(7, false, 3), YZ_OK);
    assert_int_equal(read_number(), 3);
    assert_int_equal(push_count(), 2);
}

/* The document holds the event already, and later ones: it stays, the push goes out again. */
static void test_a_replay_leaves_a_newer_document_alone(void **state)
{
    (void)state;
    preset(9, 20);
    assert_int_equal(fold_in(6, false, 2), YZ_OK);
    assert_int_equal(fold_in(20, false, 9), YZ_OK);
    assert_int_equal(read_number(), 9);
    assert_int_equal(push_count(), 2);
    assert_int_equal(fold_in(21, false, 10), YZ_OK);
    assert_int_equal(read_number(), 10);
}

static void test_a_taken_key_leaves_nothing_behind(void **state)
{
    struct wk_event event = {.sequence = 8, .env = &env};

    (void)state;
    assert_int_equal(fold_in(7, true, 1), YZ_OK);
    wk_fold_begin(fold, &event, 1);
    push("member.m1");
    wk_insert(fold, "others", "t1|y", number(5), YZ_INTERNAL, "wrong");
    wk_insert(fold, "things", ID, number(2), YZ_ALREADY_POSTED, "messageId");
    assert_int_equal(wk_fold_end(fold, &violation), YZ_ALREADY_POSTED);
    assert_int_equal(violation.err, YZ_ALREADY_POSTED);
    assert_string_equal(violation.field, "messageId");
    assert_int_equal(read_number(), 1);
    assert_int_equal(push_count(), 1);
    /* what it staged elsewhere is free for the next one */
    wk_fold_begin(fold, &event, 2);
    wk_insert(fold, "others", "t1|y", number(6), YZ_EXISTS, "id");
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
}

static void test_a_replayed_insert_is_not_taken(void **state)
{
    (void)state;
    preset(1, 7);
    assert_int_equal(fold_in(7, true, 1), YZ_OK);
    assert_int_equal(push_count(), 1);
    assert_int_equal(fold_in(8, true, 2), YZ_EXISTS);
    assert_int_equal(push_count(), 1);
}

/* Created by 7 and changed by 9: 7's replay is still its creator, 8 still comes too late. */
static void test_the_creator_is_remembered(void **state)
{
    bson_t *document = BCON_NEW("n", BCON_INT32(4), "evt_first", BCON_INT64(7));

    (void)state;
    wk_fold_preset(fold, "things", ID, document, 9);
    bson_destroy(document);
    assert_int_equal(fold_in(7, true, 1), YZ_OK);
    assert_int_equal(fold_in(8, true, 2), YZ_EXISTS);
    assert_int_equal(read_number(), 4);
}

static void test_ordinals_count_all_pushes_of_an_event(void **state)
{
    Yizhan__V1__ThreadPost message = YIZHAN__V1__THREAD_POST__INIT;
    const struct wk_audience audience = {"secretary", "m1,m2"};
    struct wk_event event = {.sequence = 8, .received_at_ms = 77, .env = &env};
    const struct wk_fold_push *pushes, *values;
    size_t count, value_count;

    (void)state;
    wk_fold_begin(fold, &event, 4);
    push("member.m1");
    wk_value(fold, "member.m1", "count", "thread.post", &message.base, NULL);
    wk_push(fold, "org.g1", "thread.post", &message.base, &audience);
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
    pushes = wk_fold_pushes(fold, &count);
    values = wk_fold_values(fold, &value_count);
    assert_int_equal(count, 2);
    assert_int_equal(value_count, 1);
    assert_int_equal(pushes[0].ordinal, 0);
    assert_int_equal(values[0].ordinal, 1);
    assert_int_equal(pushes[1].ordinal, 2);
    assert_int_equal(pushes[1].event, 4);
    assert_int_equal(pushes[1].time_ms, 77);
    assert_string_equal(pushes[1].roles, "secretary");
    assert_string_equal(pushes[1].exclude, "m1,m2");
    assert_string_equal(values[0].name, "count");
    assert_null(pushes[0].name);
}

static void test_later_makes_a_row_for_the_other_aggregate(void **state)
{
    Yizhan__V1__ThreadPosted posted = YIZHAN__V1__THREAD_POSTED__INIT;
    struct wk_event event = {.sequence = 8, .env = &env};
    const struct wk_fold_row *rows;
    size_t count;

    (void)state;
    posted.org_path = "g1";
    posted.thread_id = "t9";
    posted.message_id = "x";
    posted.text = "later";
    wk_fold_begin(fold, &event, 0);
    wk_later(fold, 2, 123456, "thread.posted", &posted.base);
    assert_int_equal(wk_fold_end(fold, &violation), YZ_OK);
    rows = wk_fold_rows(fold, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rows->ordinal, 2);
    assert_int_equal(rows->due_at_ms, 123456);
    assert_string_equal(rows->aggregate, "thread|g1|t9");
    assert_int_equal(rows->payload_len, protobuf_c_message_get_packed_size(&posted.base));
}

static void test_ids(void **state)
{
    char id[WK_ID_MAX];

    (void)state;
    wk_id(id, "t1", "g1/c1", "m1", NULL);
    assert_string_equal(id, "t1|g1/c1|m1");
    wk_id(id, "t1", NULL);
    assert_string_equal(id, "t1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_push_needs_a_channel),
        TEST(test_own_documents_stay_with_their_holder),
        TEST(test_what_is_not_known_to_be_stored_is_not_kept),
        TEST(test_foreign_documents_are_not_kept),
        TEST(test_what_is_derived_follows_its_document),
        TEST(test_what_a_replay_derived_is_forgotten),
        TEST(test_each_sees_the_one_before),
        TEST(test_a_replay_leaves_a_newer_document_alone),
        TEST(test_a_taken_key_leaves_nothing_behind),
        TEST(test_a_replayed_insert_is_not_taken),
        TEST(test_the_creator_is_remembered),
        TEST(test_ordinals_count_all_pushes_of_an_event),
        TEST(test_later_makes_a_row_for_the_other_aggregate),
        TEST(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
