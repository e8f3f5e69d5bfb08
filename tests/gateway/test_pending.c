#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/pending.h"

#include <cmocka.h>
#include <string.h>

struct asked {
    struct gw_pending *pending;
    int replies, keep; /* keep: replies after which no more are awaited */
    enum yz_err err;
    bool ask_again;
    uint64_t again;
};

static bool on_reply(void *arg, natsMsg *msg, enum yz_err err)
{
    struct asked *asked = arg;

    assert_true(!msg == (err != YZ_OK));
    if (err) {
        asked->err = err;
        if (asked->ask_again)
            assert_int_equal(gw_pending_add(asked->pending, 1000, on_reply, asked, &asked->again),
                             YZ_OK);
        return false;
    }
    return ++asked->replies < asked->keep;
}

static int set_up(void **state)
{
    struct gw_pending *pending;

    assert_int_equal(gw_pending_new(&pending), YZ_OK);
    *state = pending;
    return 0;
}

static int tear_down(void **state)
{
    gw_pending_free(*state);
    return 0;
}

static natsMsg *some_message(void)
{
    natsMsg *msg = NULL;

    assert_int_equal(natsMsg_Create(&msg, "s", NULL, "", 0), NATS_OK);
    return msg;
}

static void takes_as_many_replies_as_asked_for(void **state)
{
    struct gw_pending *pending = *state;
    struct asked asked = {.keep = 3};
    natsMsg *msg = some_message();
    uint64_t id;

    assert_int_equal(gw_pending_add(pending, 1000, on_reply, &asked, &id), YZ_OK);
    assert_int_not_equal(id, 0);
    for (int i = 0; i < 5; i++)
        gw_pending_reply(pending, id, msg);
    assert_int_equal(asked.replies, 3);
    assert_int_equal(gw_pending_count(pending), 0);
    natsMsg_Destroy(msg);
}

static void ends_when_the_time_is_up(void **state)
{
    static const int64_t timeouts[] = {0, 50, 100, 5000, PENDING_TIMEOUT_MAX_MS, 999999};
    struct gw_pending *pending = *state;
    uint64_t id;

    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        struct asked asked = {0};
        int64_t bounded =
            timeouts[i] < PENDING_TIMEOUT_MAX_MS ? timeouts[i] : PENDING_TIMEOUT_MAX_MS;
        int64_t ticks = 0;

        assert_int_equal(gw_pending_add(pending, timeouts[i], on_reply, &asked, &id), YZ_OK);
        while (!asked.err) {
            gw_pending_tick(pending);
            ticks++;
        }
        assert_int_equal(asked.err, YZ_TIMED_OUT);
        assert_int_equal(ticks, bounded / PENDING_TICK_MS + 1);
    }
}

static void never_mistakes_an_old_reply(void **state)
{
    struct gw_pending *pending = *state;
    struct asked first = {.keep = 1}, second = {.keep = 1};
    natsMsg *msg = some_message();
    uint64_t a, b;

    assert_int_equal(gw_pending_add(pending, 1000, on_reply, &first, &a), YZ_OK);
    gw_pending_cancel(pending, a);
    gw_pending_cancel(pending, a);
    assert_int_equal(gw_pending_add(pending, 1000, on_reply, &second, &b), YZ_OK);
    assert_int_not_equal(a, b);
    gw_pending_reply(pending, a, msg);
    gw_pending_reply(pending, 0, msg);
    gw_pending_reply(pending, UINT64_MAX, msg);
    assert_int_equal(first.replies + second.replies, 0);
    gw_pending_reply(pending, b, msg);
    assert_int_equal(second.replies, 1);
    natsMsg_Destroy(msg);
}

static void fails_all_but_what_is_asked_meanwhile(void **state)
{
    struct gw_pending *pending = *state;
    struct asked asked[300] = {{0}};
    uint64_t id;

    for (int i = 0; i < 300; i++) {
        asked[i].pending = pending;
        asked[i].ask_again = i % 2;
        assert_int_equal(gw_pending_add(pending, i * 100, on_reply, &asked[i], &id), YZ_OK);
    }
    gw_pending_tick(pending);
    gw_pending_fail(pending, YZ_BUS_UNAVAILABLE);
    assert_int_equal(gw_pending_count(pending), 150);
    for (int i = 1; i < 300; i++)
        assert_int_equal(asked[i].err, YZ_BUS_UNAVAILABLE);
    for (int i = 1; i < 300; i += 2)
        gw_pending_cancel(pending, asked[i].again);
    assert_int_equal(gw_pending_count(pending), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(takes_as_many_replies_as_asked_for),
        CASE(ends_when_the_time_is_up),
        CASE(never_mistakes_an_old_reply),
        CASE(fails_all_but_what_is_asked_meanwhile),
    };

    /* nats.c frees a message only once it is open. */
    if (nats_Open(-1) != NATS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
