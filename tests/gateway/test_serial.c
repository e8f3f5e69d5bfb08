#include "gateway/serial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void finds_what_it_holds_only(void **state)
{
    struct gw_serials *serials = gw_serials_new(2, GW_SERIAL_HTTP);
    int a, b, c;
    uint64_t first = gw_serials_add(serials, &a), second = gw_serials_add(serials, &b), third;

    (void)state;
    assert_true(first & GW_SERIAL_HTTP);
    assert_int_equal(gw_serials_add(serials, &c), 0);
    assert_ptr_equal(gw_serials_find(serials, first), &a);
    assert_ptr_equal(gw_serials_find(serials, second), &b);
    gw_serials_remove(serials, first);
    assert_null(gw_serials_find(serials, first));
    third = gw_serials_add(serials, &c);
    assert_true(third != first && third != second);
    assert_null(gw_serials_find(serials, first));
    assert_ptr_equal(gw_serials_find(serials, third), &c);
    assert_int_equal(gw_serials_count(serials), 2);
    gw_serials_free(serials);
}

static void a_number_never_comes_twice(void **state)
{
    struct gw_serials *serials = gw_serials_new(1, 0);
    uint64_t last = 0;
    int thing;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t serial = gw_serials_add(serials, &thing);

        assert_true(serial > last);
        gw_serials_remove(serials, serial);
        gw_serials_remove(serials, serial);
        last = serial;
    }
    assert_int_equal(gw_serials_count(serials), 0);
    assert_null(gw_serials_find(serials, 0));
    assert_null(gw_serials_find(serials, UINT64_MAX));
    gw_serials_free(serials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_it_holds_only),
        cmocka_unit_test(a_number_never_comes_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
