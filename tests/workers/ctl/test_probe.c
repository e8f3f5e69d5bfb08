/* Addresses as settings and flags write them. */
#include "workers/ctl/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *url, const char *host, const char *port, const char *path)
{
    struct ctl_address address;

    assert_true(ctl_address_parse(url, "4222", &address));
    assert_string_equal(address.host, host);
    assert_string_equal(address.port, port);
    assert_string_equal(address.path, path);
}

static void takes_urls_apart(void **state)
{
    (void)state;
    check("nats://127.0.0.1:4223", "127.0.0.1", "4223", "/");
    check("nats://one", "one", "4222", "/");
    check("one:1", "one", "1", "/");
    check("nats://one:1,nats://two:2", "one", "1", "/");
    check("http://u:p@host:80/a/b?c=1", "host", "80", "/a/b?c=1");
    check("http://[::1]:9180/x", "::1", "9180", "/x");
    check("[::1]", "::1", "4222", "/");
}

static void refuses_what_is_none(void **state)
{
    static const char *const wrong[] = {
        "", "http://", "http://:80", "host:", "host:port", "[::1:80", "host:80x", "host:123456789"};
    struct ctl_address address;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ctl_address_parse(wrong[i], "4222", &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_urls_apart),
        cmocka_unit_test(refuses_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
