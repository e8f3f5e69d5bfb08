#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/recent.h"

#include <cmocka.h>

static void add(struct gw_recent *recent, uint64_t offset)
{
    struct gw_message *msg;

    assert_int_equal(gw_message_new("org.g1", offset, "", "", 0, "", "", &msg), YZ_OK);
    gw_recent_add(recent, msg);
    gw_message_unref(msg);
}

static void add_all(struct gw_recent *recent, uint64_t first, uint64_t last)
{
    for (uint64_t offset = first; offset <= last; offset++)
        add(recent, offset);
}

/* What is above the floor is there, in order, each once. */
static void check(const struct gw_recent *recent, uint64_t floor, size_t count)
{
    struct gw_recent_item *item;
    uint64_t expected = floor + 1;

    assert_int_equal(recent->floor, floor);
    assert_int_equal(recent->count, count);
    TAILQ_FOREACH(item, &recent->items, of_channel)
    {
        assert_int_equal(gw_message_offset(item->msg), expected++);
    }
    assert_int_equal(expected, floor + 1 + count);
}

static void keeps_the_newest_of_a_channel(void **state)
{
    struct gw_recent_pool pool;
    struct gw_recent recent;

    (void)state;
    gw_recent_pool_init(&pool, RECENT_POOL_BYTES);
    gw_recent_init(&recent, &pool);
    gw_recent_clear(&recent, 100);
    add_all(&recent, 101, 100 + RECENT_MAX);
    check(&recent, 100, RECENT_MAX);
    add(&recent, 101 + RECENT_MAX);
    check(&recent, 101, RECENT_MAX);
    gw_recent_clear(&recent, 7);
    check(&recent, 7, 0);
    assert_int_equal(pool.bytes, 0);
}

static void shares_one_bound(void **state)
{
    struct gw_recent_pool pool;
    struct gw_recent a, b;
    size_t each;

    (void)state;
    gw_recent_pool_init(&pool, RECENT_POOL_BYTES);
    gw_recent_init(&a, &pool);
    gw_recent_init(&b, &pool);
    add(&a, 1);
    each = pool.bytes;
    pool.max_bytes = 10 * each;
    add_all(&a, 2, 5);
    add_all(&b, 1, 5);
    check(&a, 0, 5);
    check(&b, 0, 5);
    add_all(&b, 6, 8);
    check(&a, 3, 2);
    check(&b, 0, 8);
    add_all(&b, 9, 30);
    check(&a, 5, 0);
    check(&b, 20, 10);
    gw_recent_clear(&b, 30);
    assert_int_equal(pool.bytes, 0);
}

/* What the stream has not, nobody gets; what follows stays. */
static void lets_go_what_the_stream_let_go(void **state)
{
    struct gw_recent_pool pool;
    struct gw_recent recent;

    (void)state;
    gw_recent_pool_init(&pool, RECENT_POOL_BYTES);
    gw_recent_init(&recent, &pool);
    gw_recent_clear(&recent, 100);
    add_all(&recent, 101, 110);
    gw_recent_trim(&recent, 90);
    gw_recent_trim(&recent, 101);
    check(&recent, 100, 10);
    gw_recent_trim(&recent, 106);
    check(&recent, 105, 5);
    gw_recent_trim(&recent, 500);
    check(&recent, 110, 0);
    assert_int_equal(pool.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_newest_of_a_channel),
        cmocka_unit_test(shares_one_bound),
        cmocka_unit_test(lets_go_what_the_stream_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
