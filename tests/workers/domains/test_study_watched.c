/* Merging of watched intervals against a model of one bit for each millisecond: random ones,
 * overlapping, touching, within one another and out of order. */
#include "workers/domains/study_watched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 2000

struct model {
    bool watched[LONG_MS];
};

static void model_add(struct model *m, uint32_t from_ms, uint32_t to_ms)
{
    for (uint32_t i = from_ms; i < to_ms; i++)
        m->watched[i] = true;
}

static uint32_t model_ms(const struct model *m)
{
    uint32_t ms = 0;

    for (size_t i = 0; i < LONG_MS; i++)
        ms += m->watched[i];
    return ms;
}

/* The same milliseconds, in parts that ascend and neither overlap nor touch. */
static void assert_same(const struct wk_watched *watched, const struct model *m)
{
    struct model shown = {0};

    for (size_t i = 0; i < watched->count; i++) {
        assert_true(watched->parts[i].from_ms < watched->parts[i].to_ms);
        if (i > 0)
            assert_true(watched->parts[i - 1].to_ms < watched->parts[i].from_ms);
        model_add(&shown, watched->parts[i].from_ms, watched->parts[i].to_ms);
    }
    assert_memory_equal(&shown, m, sizeof shown);
    assert_int_equal(wk_watched_ms(watched), model_ms(m));
}

/* xorshift: the same runs everywhere; the seed stands in the failure's trace. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Long ones, short ones, and such as begin or end where another one does. */
static void draw(uint32_t *state, const struct wk_watched *watched, uint32_t *from, uint32_t *to)
{
    uint32_t longest = 1 + next_random(state) % 3 * 150;

    *from = next_random(state) % (LONG_MS - 1);
    if (watched->count > 0) {
        const struct wk_watched_part *part = &watched->parts[next_random(state) % watched->count];

        if (next_random(state) % 3 == 0)
            *from = next_random(state) % 2 ? part->from_ms : part->to_ms;
        if (*from >= LONG_MS)
            *from = LONG_MS - 1;
    }
    *to = *from + 1 + next_random(state) % longest;
    *to = *to > LONG_MS ? LONG_MS : *to;
}

static void test_merging_is_the_bitmaps(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 400; seed++) {
        uint32_t random = seed * 2654435761U, before = 0, from, to;
        struct wk_watched watched = {0};
        struct model m = {0};

        for (int i = 0; i < 120; i++) {
            draw(&random, &watched, &from, &to);
            assert_true(wk_watched_add(&watched, from, to));
            model_add(&m, from, to);
            assert_same(&watched, &m);
            /* It never falls. */
            assert_true(wk_watched_ms(&watched) >= before);
            before = wk_watched_ms(&watched);
        }
    }
}

/* In whatever order they come: the same. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct wk_watched forth = {0}, back = {0};
        uint32_t random = seed * 40503U, from[40], to[40];

        for (size_t i = 0; i < 40; i++) {
            draw(&random, &forth, &from[i], &to[i]);
            assert_true(wk_watched_add(&forth, from[i], to[i]));
        }
        for (size_t i = 40; i-- > 0;)
            assert_true(wk_watched_add(&back, from[i], to[i]));
        assert_int_equal(forth.count, back.count);
        assert_memory_equal(forth.parts, back.parts, forth.count * sizeof forth.parts[0]);
    }
}

static void test_stored_and_read_it_is_the_same(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        struct wk_watched watched = {0}, read;
        uint32_t random = seed * 69069U, from, to;
        bson_t document = BSON_INITIALIZER;

        for (int i = 0; i < 60; i++) {
            draw(&random, &watched, &from, &to);
            assert_true(wk_watched_add(&watched, from, to));
        }
        wk_watched_append(&document, "watched", &watched);
        wk_watched_read(&document, "watched", &read);
        assert_int_equal(read.count, watched.count);
        assert_memory_equal(read.parts, watched.parts, read.count * sizeof read.parts[0]);
        bson_destroy(&document);
    }
}

/* Full: what needs a part more is refused and changes nothing; what joins parts is taken. */
static void test_there_is_a_maximum(void **state)
{
    struct wk_watched watched = {0}, before;

    (void)state;
    for (uint32_t i = 0; i < WK_WATCHED_MAX; i++)
        assert_true(wk_watched_add(&watched, 10 * i, 10 * i + 5));
    before = watched;
    assert_false(wk_watched_add(&watched, 10 * WK_WATCHED_MAX, 10 * WK_WATCHED_MAX + 1));
    assert_false(wk_watched_add(&watched, 6, 7));
    assert_memory_equal(&watched, &before, sizeof before);
    assert_true(wk_watched_add(&watched, 5, 10));
    assert_int_equal(watched.count, WK_WATCHED_MAX - 1);
    assert_true(wk_watched_add(&watched, 0, 10 * WK_WATCHED_MAX));
    assert_int_equal(watched.count, 1);
}

static void test_what_is_no_list_reads_as_nothing(void **state)
{
    struct wk_watched watched;
    bson_t document = BSON_INITIALIZER;

    (void)state;
    wk_watched_read(NULL, "watched", &watched);
    assert_int_equal(watched.count, 0);
    wk_watched_read(&document, "watched", &watched);
    assert_int_equal(watched.count, 0);
    bson_destroy(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merging_is_the_bitmaps),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_stored_and_read_it_is_the_same),
        cmocka_unit_test(test_there_is_a_maximum),
        cmocka_unit_test(test_what_is_no_list_reads_as_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
