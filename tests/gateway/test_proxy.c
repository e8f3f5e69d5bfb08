/* Whom a trusted proxy names, and who is one. */
#include "gateway/proxy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct gw_address address(const char *text)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct gw_address out;

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        gw_address_of((struct sockaddr *)&v4, &out);
        return out;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    gw_address_of((struct sockaddr *)&v6, &out);
    return out;
}

static bool trusts(const struct gw_proxies *proxies, const char *text)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return gw_proxies_trust(proxies, (struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return gw_proxies_trust(proxies, (struct sockaddr *)&v6);
}

static void networks_are_read(void **state)
{
    static const char *const wrong[] = {"x",      "10.0.0.0/33", "10.0.0.0/",  "10.0.0/8",
                                        "::/129", "10.0.0.0/-1", "10.0.0.0/8x"};
    struct gw_proxies *proxies = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(gw_proxies_new(wrong[i], &proxies), YZ_INVALID_VALUE);
    assert_int_equal(gw_proxies_new("10.1.0.0/15, 192.0.2.7,fd00::/8", &proxies), YZ_OK);
    assert_true(trusts(proxies, "10.1.2.3") && trusts(proxies, "10.0.255.1"));
    assert_false(trusts(proxies, "10.2.0.1"));
    assert_true(trusts(proxies, "::ffff:10.1.2.3"));
    assert_true(trusts(proxies, "192.0.2.7") && !trusts(proxies, "192.0.2.6"));
    assert_true(trusts(proxies, "fd12::1") && !trusts(proxies, "fe80::1"));
    gw_proxies_free(proxies);
    assert_int_equal(gw_proxies_new("", &proxies), YZ_OK);
    assert_false(trusts(proxies, "127.0.0.1") || trusts(proxies, "::1"));
    gw_proxies_free(proxies);
}

static void the_last_stranger_counts(void **state)
{
    static const struct {
        const char *header, *client;
    } cases[] = {
        {"198.51.100.4", "198.51.100.4"},
        {"1.1.1.1, 198.51.100.4", "198.51.100.4"},
        {"1.1.1.1, 198.51.100.4, 10.0.0.2,10.0.0.3", "198.51.100.4"},
        {"2001:db8::7", "2001:db8::7"},
        {"198.51.100.4, unknown", NULL},
        {"198.51.100.4, 10.0.0.2, ", NULL},
        {"10.0.0.2", NULL},
        {"", NULL},
    };
    struct gw_proxies *proxies = NULL;

    (void)state;
    assert_int_equal(gw_proxies_new("10.0.0.0/8", &proxies), YZ_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gw_address client = {{0}}, expected;

        assert_int_equal(gw_proxies_client(proxies, cases[i].header, &client),
                         cases[i].client != NULL);
        if (!cases[i].client)
            continue;
        expected = address(cases[i].client);
        assert_memory_equal(&client, &expected, sizeof client);
    }
    gw_proxies_free(proxies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(the_last_stranger_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
