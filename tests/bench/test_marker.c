#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "marker.h"

#include <cmocka.h>
#include <string.h>

static void what_was_written_is_read(void **state)
{
    struct marker in = {123456, 9876543210}, out;
    uint8_t text[MARKER_LEN];
    const uint8_t *at = text;

    (void)state;
    marker_write(text, &in);
    assert_memory_equal(text, "#123456.9876543210#", MARKER_LEN);
    assert_true(marker_next(&at, text + sizeof text, &out));
    assert_int_equal(out.topic, in.topic);
    assert_int_equal(out.number, in.number);
    assert_ptr_equal(at, text + sizeof text);
    assert_false(marker_next(&at, text + sizeof text, &out));
}

/* Marks that are none stand before, between and behind; one that is cut off does not count. */
static void all_are_found_among_other_bytes(void **state)
{
    static const char text[] = "##12#000001.0000000007##x00001.0000000007##000002.000000000a#"
                               "#000003.0000000008#.#000004.0000000009";
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    struct marker marker;

    (void)state;
    assert_true(marker_next(&at, end, &marker));
    assert_int_equal(marker.topic, 1);
    assert_int_equal(marker.number, 7);
    assert_true(marker_next(&at, end, &marker));
    assert_int_equal(marker.topic, 3);
    assert_int_equal(marker.number, 8);
    assert_false(marker_next(&at, end, &marker));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(all_are_found_among_other_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
