/* What a STREAM.INFO says of its sender. */
#include "workers/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HERE   "{\"name\":\"a\",\"current\":true,\"active\":400000000}"
#define SILENT "{\"name\":\"b\",\"current\":false,\"active\":9000000000}"
#define GONE   "{\"name\":\"c\",\"current\":false,\"offline\":true,\"active\":100000000}"

static bool is_led(const char *replicas)
{
    char text[512];
    json_t *info;
    bool led;

    snprintf(text, sizeof text, "{\"cluster\":{\"leader\":\"n0\",\"replicas\":[%s]}}", replicas);
    info = json_loads(text, 0, NULL);
    assert_non_null(info);
    led = wk_stream_is_led(info);
    json_decref(info);
    return led;
}

static void test_most_replicas_were_heard(void **state)
{
    (void)state;
    assert_true(is_led(HERE "," HERE));
    assert_true(is_led(HERE "," SILENT));
    assert_true(is_led(GONE "," HERE));
    assert_true(is_led(HERE "," HERE "," SILENT "," GONE));
}

static void test_cut_off_it_leads_nobody(void **state)
{
    (void)state;
    assert_false(is_led(SILENT "," SILENT));
    assert_false(is_led(SILENT "," GONE));
    assert_false(is_led(GONE "," GONE));
    assert_false(is_led(HERE "," SILENT "," SILENT "," GONE));
}

static void test_a_stream_of_one_needs_nobody(void **state)
{
    json_t *alone = json_object();

    (void)state;
    assert_true(is_led(""));
    assert_true(wk_stream_is_led(alone));
    json_decref(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most_replicas_were_heard),
        cmocka_unit_test(test_cut_off_it_leads_nobody),
        cmocka_unit_test(test_a_stream_of_one_needs_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
