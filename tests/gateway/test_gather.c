#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gather.h"

#include <cmocka.h>

#define MANY 1000

static uv_loop_t loop;
static struct gw_gather *gather;
static int overs;

static void on_over(void *arg)
{
    assert_ptr_equal(arg, &overs);
    overs++;
}

static int open_one(void **state)
{
    (void)state;
    overs = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(gw_gather_new(&loop, on_over, &overs, &gather), YZ_OK);
    return 0;
}

static int close_one(void **state)
{
    (void)state;
    gw_gather_free(gather);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

/* A burst begins right behind the writes of another. */
static void see_one_waiting(void)
{
    gw_gather_written(gather, 1000000);
    gw_gather_begun(gather, 1000000 + GATHER_BEHIND_NS - 1);
}

static void nothing_waits_without_a_reason(void **state)
{
    (void)state;
    gw_gather_begun(gather, 10);
    assert_false(gw_gather_waits(gather, MANY, 1));
    gw_gather_end(gather, 1);
    gw_gather_written(gather, 1000000);
    gw_gather_begun(gather, 1000000 + GATHER_BEHIND_NS);
    assert_false(gw_gather_waits(gather, MANY, 1));
}

static void few_receivers_are_never_waited_for(void **state)
{
    (void)state;
    see_one_waiting();
    assert_false(gw_gather_waits(gather, GATHER_RECEIVERS_MIN - 1, 1));
    assert_true(gw_gather_waits(gather, GATHER_RECEIVERS_MIN, 1));
}

static void a_wait_ends_by_itself(void **state)
{
    (void)state;
    see_one_waiting();
    assert_true(gw_gather_waits(gather, MANY, 1));
    assert_true(gw_gather_waits(gather, MANY, 3)); /* more came; still waiting */
    while (overs == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_false(gw_gather_waits(gather, MANY, 3));
    gw_gather_end(gather, 3);
    assert_true(gw_gather_waits(gather, MANY, 1)); /* the next burst: it was worth it */
}

static void a_wait_that_was_ended_calls_nobody(void **state)
{
    (void)state;
    see_one_waiting();
    assert_true(gw_gather_waits(gather, MANY, 1));
    gw_gather_end(gather, 1);
    uv_run(&loop, UV_RUN_ONCE); /* the timer's time comes */
    assert_int_equal(overs, 0);
}

static void waits_in_vain_end(void **state)
{
    (void)state;
    see_one_waiting();
    for (int i = 0; i < GATHER_TRIES; i++) {
        assert_true(gw_gather_waits(gather, MANY, 1));
        gw_gather_end(gather, 1);
    }
    assert_false(gw_gather_waits(gather, MANY, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)
    const struct CMUnitTest tests[] = {
        TEST(nothing_waits_without_a_reason),
        TEST(few_receivers_are_never_waited_for),
        TEST(a_wait_ends_by_itself),
        TEST(a_wait_that_was_ended_calls_nobody),
        TEST(waits_in_vain_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
