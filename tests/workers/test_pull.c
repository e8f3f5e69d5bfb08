/* The reply subject of a delivery, in both of its forms. */
#include "workers/pull.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_taken(const char *reply)
{
    struct wk_delivery d = {0};

    assert_true(wk_pull_parse(reply, &d));
    assert_string_equal(d.consumer, "p17-204");
    assert_int_equal(d.partition, 17);
    assert_int_equal(d.revision, 204);
    assert_int_equal(d.delivered, 2);
    assert_int_equal(d.sequence, 1099511627777);
    assert_int_equal(d.number, 31);
    assert_int_equal(d.stored_at_ms, 1767225600123);
}

static void test_both_forms(void **state)
{
    (void)state;
    assert_taken("$JS.ACK.EVENTS.p17-204.2.1099511627777.31.1767225600123456789.5");
    assert_taken("$JS.ACK.hub.aCc0uNt.EVENTS.p17-204.2.1099511627777.31.1767225600123456789.5");
    assert_taken(
        "$JS.ACK.hub.aCc0uNt.EVENTS.p17-204.2.1099511627777.31.1767225600123456789.5.r4nd");
}

static void test_refused(void **state)
{
    const char *const wrong[] = {
        "",
        "$JS.ACK",
        "_INBOX.x.3.1",
        "$JS.ACK.EVENTS.p17-204.2.1099511627777.31",
        "$JS.ACK.EVENTS.other-204.2.1.31.1767225600123456789.5",
        "$JS.ACK.EVENTS.p64-204.2.1.31.1767225600123456789.5",
        "$JS.ACK.EVENTS.p17.2.1.31.1767225600123456789.5",
        "$JS.ACK.EVENTS.p17-204.2.0.31.1767225600123456789.5",
        "$JS.ACK.EVENTS.p17-204.2.1.0.1767225600123456789.5",
    };
    struct wk_delivery d = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(wk_pull_parse(wrong[i], &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
