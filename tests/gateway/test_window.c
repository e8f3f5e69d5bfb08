/* The window in a small model of what is behind it: a server that takes one request after another,
 * in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/window.h"

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_MS 100
#define MAX       8192
#define MIN       32
#define QUEUE     (MAX + 1)

struct model {
    struct gw_window *window;
    int64_t now_us;
    struct gw_pass queue[QUEUE];
    size_t first, count;
    uint64_t entered, refused, answered, time_us; /* of the answered, in all */
};

static struct yz_actor actor(unsigned member)
{
    struct yz_actor a = {.tenant = "t1"};

    snprintf(a.member, sizeof a.member, "m%u", member);
    return a;
}

static struct model *model_new(size_t member_max)
{
    struct gw_window_bounds bounds = {
        .min = MIN, .max = MAX, .member_max = member_max, .target_ms = TARGET_MS};
    struct model *m = calloc(1, sizeof *m);

    m->now_us = 1000000;
    m->window = gw_window_new(&bounds);
    assert_non_null(m->window);
    return m;
}

static void answer_one(struct model *m, enum gw_measure measure)
{
    struct gw_pass *pass = &m->queue[m->first];

    assert_true(m->count > 0);
    m->time_us += (uint64_t)(m->now_us - pass->began_us);
    gw_window_leave(m->window, pass, m->now_us, measure);
    m->first = (m->first + 1) % QUEUE;
    m->count--;
    m->answered++;
}

static void model_free(struct model *m)
{
    while (m->count > 0)
        answer_one(m, GW_UNMEASURED);
    assert_int_equal(gw_window_count(m->window), 0);
    gw_window_free(m->window);
    free(m);
}

static bool offer(struct model *m, unsigned member)
{
    struct yz_actor a = actor(member);
    struct gw_pass pass;

    if (gw_window_enter(m->window, &a, m->now_us, &pass) != YZ_OK) {
        m->refused++;
        return false;
    }
    m->queue[(m->first + m->count++) % QUEUE] = pass;
    m->entered++;
    return true;
}

/* `offered` requests a second of 1,000 members for a time, against a server of `rate` a second. */
static void run(struct model *m, unsigned offered, unsigned rate, int64_t ms)
{
    int64_t until_us = m->now_us + ms * 1000;
    unsigned due = 0, done = 0; /* thousandths */

    m->entered = m->refused = m->answered = m->time_us = 0;
    for (unsigned n = 0; m->now_us < until_us; m->now_us += 1000) {
        for (due += offered; due >= 1000; due -= 1000)
            (void)offer(m, n++ % 1000);
        for (done += rate; done >= 1000; done -= 1000) {
            if (m->count > 0)
                answer_one(m, GW_MEASURED);
        }
    }
}

static double mean_ms(const struct model *m)
{
    return (double)m->time_us / 1000 / (double)m->answered;
}

/* Whatever is offered, what is let in has the target's time, and the server is never idle. */
static void keeps_the_time_under_overload(void **state)
{
    static const unsigned rates[] = {1000, 5000, 40000};

    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        for (unsigned times = 2; times <= 5; times += 3) {
            struct model *m = model_new(MAX);

            run(m, rates[i] * times, rates[i], 20000); /* until it has settled */
            run(m, rates[i] * times, rates[i], 5000);
            assert_true(mean_ms(m) > TARGET_MS * 0.5 && mean_ms(m) < TARGET_MS * 1.6);
            assert_true((double)m->answered > rates[i] * 5 * 0.98);
            assert_true((double)m->refused > rates[i] * 5 * (times - 1) * 0.9);
            model_free(m);
        }
    }
}

static void refuses_nothing_below_capacity(void **state)
{
    struct model *m = model_new(MAX);

    (void)state;
    run(m, 4500, 5000, 10000);
    assert_int_equal(m->refused, 0);
    run(m, 25000, 5000, 5000); /* an overload passes */
    run(m, 4500, 5000, 3000);
    run(m, 4500, 5000, 5000);
    assert_int_equal(m->refused, 0);
    model_free(m);
}

/* The other side becomes ten times slower, then fast again. */
static void follows_the_other_side(void **state)
{
    struct model *m = model_new(MAX);
    size_t fast, slow;

    (void)state;
    run(m, 20000, 5000, 20000);
    fast = gw_window_limit(m->window);
    run(m, 20000, 500, 20000);
    slow = gw_window_limit(m->window);
    assert_true(slow < fast / 4 && slow >= MIN);
    run(m, 20000, 5000, 20000);
    assert_true(gw_window_limit(m->window) > fast / 2);
    model_free(m);
}

static void shrinks_to_its_least_when_nothing_is_answered_in_time(void **state)
{
    struct model *m = model_new(MAX);

    (void)state;
    for (int i = 0; i < 50; i++) {
        for (unsigned member = 0; member < 100; member++)
            (void)offer(m, member);
        m->now_us += 5000000;
        while (m->count > 0)
            answer_one(m, GW_DROPPED);
    }
    assert_int_equal(gw_window_limit(m->window), MIN);
    model_free(m);
}

/* A quick "busy" of the other side is no reason to ask for more. */
static void a_quick_refusal_counts_as_slow(void **state)
{
    struct model *m = model_new(MAX);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        (void)offer(m, (unsigned)i % 100);
        m->now_us += 1000;
        while (m->count > 0)
            answer_one(m, GW_DROPPED);
    }
    assert_true(gw_window_limit(m->window) < 100);
    model_free(m);
}

static void one_member_leaves_half_to_the_others(void **state)
{
    struct model *m = model_new(MAX);
    struct yz_actor hog = actor(0), other = actor(1);
    bool all = true;

    (void)state;
    while (offer(m, 0))
        ;
    assert_int_equal(m->count, MAX / 2);
    assert_int_equal(gw_window_ask(m->window, &hog, m->now_us, &all), YZ_BUSY);
    assert_false(all);
    assert_int_equal(gw_window_ask(m->window, &other, m->now_us, &all), YZ_OK);
    /* The more take what they can get, the less is left, but there is always something. */
    for (unsigned member = 1; member < 10; member++) {
        while (offer(m, member))
            ;
    }
    assert_true(m->count < MAX);
    assert_true(offer(m, 11));
    model_free(m);
}

static void a_member_has_its_maximum(void **state)
{
    struct model *m = model_new(64);
    struct yz_actor same = actor(0);
    struct gw_pass pass;

    (void)state;
    while (offer(m, 0))
        ;
    assert_int_equal(m->count, 64);
    /* The same name in another tenant is another member. */
    snprintf(same.tenant, sizeof same.tenant, "t2");
    assert_int_equal(gw_window_enter(m->window, &same, m->now_us, &pass), YZ_OK);
    gw_window_leave(m->window, &pass, m->now_us, GW_UNMEASURED);
    answer_one(m, GW_UNMEASURED);
    assert_true(offer(m, 0));
    model_free(m);
}

/* Each answer's place is free for one that was refused before; nobody is shut out for long while
 * one member floods. */
static void a_flooder_starves_nobody(void **state)
{
    struct model *m = model_new(MAX);
    uint64_t wanted = 0, got = 0;

    (void)state;
    run(m, 20000, 5000, 10000);
    for (int ms = 0; ms < 5000; ms++, m->now_us += 1000) {
        for (int i = 0; i < 50; i++)
            (void)offer(m, 7);
        if (ms % 10 == 0) {
            wanted++;
            got += offer(m, 100 + (unsigned)ms % 200);
        }
        for (int i = 0; i < 5 && m->count > 0; i++)
            answer_one(m, GW_MEASURED);
    }
    assert_true(got >= wanted * 99 / 100);
    model_free(m);
}

static uint32_t mean_retry(const struct gw_window *window, uint32_t *least, uint32_t *most)
{
    uint64_t sum = 0;

    *least = UINT32_MAX;
    *most = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t ms = gw_window_retry_ms(window);

        sum += ms;
        *least = ms < *least ? ms : *least;
        *most = ms > *most ? ms : *most;
    }
    return (uint32_t)(sum / 1000);
}

static void asks_to_wait_longer_the_greater_the_overload(void **state)
{
    uint32_t mean, before = 0, least, most;

    (void)state;
    for (unsigned times = 1; times <= 8; times *= 2) {
        struct model *m = model_new(MAX);

        run(m, 5000 * times, 5000, 20000);
        mean = mean_retry(m->window, &least, &most);
        assert_true(mean > before);
        assert_true(least >= WINDOW_RETRY_MS / 2 && least < mean * 3 / 4);
        assert_true(most > mean * 5 / 4 && most <= WINDOW_RETRY_MAX_MS * 3 / 2);
        before = mean;
        model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_time_under_overload),
        cmocka_unit_test(refuses_nothing_below_capacity),
        cmocka_unit_test(follows_the_other_side),
        cmocka_unit_test(shrinks_to_its_least_when_nothing_is_answered_in_time),
        cmocka_unit_test(a_quick_refusal_counts_as_slow),
        cmocka_unit_test(one_member_leaves_half_to_the_others),
        cmocka_unit_test(a_member_has_its_maximum),
        cmocka_unit_test(a_flooder_starves_nobody),
        cmocka_unit_test(asks_to_wait_longer_the_greater_the_overload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
