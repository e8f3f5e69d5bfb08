/* Sets of members over the places of a roster: their edges, and what a stored one may look like. */
#include "workers/domains/meeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FIELD "set"

/* The set of a roster of `count`, as it is read from these bytes; len 0: nothing is stored. */
static struct wk_bits set_of(int64_t count, const uint8_t *bytes, uint32_t len)
{
    bson_t *document = bson_new();
    struct wk_bits bits;

    if (len > 0)
        BSON_APPEND_BINARY(document, FIELD, BSON_SUBTYPE_BINARY, bytes, len);
    wk_bits_read(document, FIELD, count, &bits);
    bson_destroy(document);
    return bits;
}

static void test_in_and_out_again(void **state)
{
    static const int64_t places[] = {0, 7, 8, 15, 16, 19};
    struct wk_bits bits = set_of(20, NULL, 0);

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        wk_bits_set(&bits, places[i], true);
        assert_true(wk_bits_has(&bits, places[i]));
        assert_int_equal(wk_bits_count(&bits), i + 1);
    }
    wk_bits_set(&bits, 8, true); /* once more */
    assert_int_equal(wk_bits_count(&bits), 6);
    wk_bits_set(&bits, 8, false);
    wk_bits_set(&bits, 9, false); /* was not in */
    assert_false(wk_bits_has(&bits, 8));
    assert_true(wk_bits_has(&bits, 7));
    assert_int_equal(wk_bits_count(&bits), 5);
}

/* -1 is the place of who is not on the roster. Under the sanitizers also: no shift by a place that
 * is negative. */
static void test_a_place_beyond_the_roster_is_nobodys(void **state)
{
    static const int64_t beyond[] = {-1, -7, -8, INT64_MIN, 24, 1000, WK_ROSTER_MAX, INT64_MAX};
    struct wk_bits bits = set_of(20, NULL, 0), before;

    (void)state;
    wk_bits_set(&bits, 3, true);
    before = bits;
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        wk_bits_set(&bits, beyond[i], true);
        assert_memory_equal(bits.bytes, before.bytes, sizeof bits.bytes);
        wk_bits_set(&bits, beyond[i], false);
        assert_memory_equal(bits.bytes, before.bytes, sizeof bits.bytes);
        assert_false(wk_bits_has(&bits, beyond[i]));
    }
}

static void test_what_two_sets_share(void **state)
{
    struct wk_bits a = set_of(20, NULL, 0), b = set_of(9, NULL, 0);

    (void)state;
    for (int64_t place = 0; place < 20; place += 2)
        wk_bits_set(&a, place, true);
    for (int64_t place = 0; place < 9; place++)
        wk_bits_set(&b, place, true);
    assert_int_equal(wk_bits_common(&a, &b), 5); /* 0, 2, 4, 6, 8 */
    assert_int_equal(wk_bits_common(&b, &a), 5);
}

static void test_stored_and_read(void **state)
{
    static const uint8_t stored[] = {0x81, 0x02, 0xff};
    struct wk_bits bits = set_of(20, stored, 1); /* shorter: nobody is in the rest */
    bson_t *document = bson_new();

    (void)state;
    assert_int_equal(wk_bits_count(&bits), 2);
    assert_true(wk_bits_has(&bits, 7));
    assert_false(wk_bits_has(&bits, 8));
    bits = set_of(16, stored, 3); /* longer than the roster */
    assert_int_equal(bits.len, 2);
    assert_int_equal(wk_bits_count(&bits), 3);
    assert_true(wk_bits_has(&bits, 9));
    wk_bits_append(document, FIELD, &bits);
    wk_bits_read(document, FIELD, 16, &bits);
    assert_int_equal(wk_bits_count(&bits), 3);
    bson_destroy(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out_again),
        cmocka_unit_test(test_a_place_beyond_the_roster_is_nobodys),
        cmocka_unit_test(test_what_two_sets_share),
        cmocka_unit_test(test_stored_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
