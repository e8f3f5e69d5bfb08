#include "gateway/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

static void allows_a_burst_then_the_rate(void **state)
{
    struct gw_bucket bucket;

    (void)state;
    gw_bucket_init(&bucket, 10, 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(gw_bucket_take(&bucket, 5, 10, 1000), GW_ALLOWED);
    assert_int_equal(gw_bucket_take(&bucket, 5, 10, 1000), GW_REFUSED);
    assert_int_equal(gw_bucket_wait_ms(&bucket, 5), 400); /* its own debt, then one more */
    assert_int_equal(gw_bucket_take(&bucket, 5, 10, 1400), GW_ALLOWED);
    assert_int_equal(gw_bucket_take(&bucket, 5, 10, 1500), GW_REFUSED);
}

static void fills_no_further_than_the_burst(void **state)
{
    struct gw_bucket bucket;

    (void)state;
    gw_bucket_init(&bucket, 3, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gw_bucket_take(&bucket, 100, 3, 1000000), GW_ALLOWED);
    assert_int_equal(gw_bucket_take(&bucket, 100, 3, 1000000), GW_REFUSED);
}

static void cuts_off_a_flood(void **state)
{
    struct gw_bucket bucket;
    int refused = 0;

    (void)state;
    gw_bucket_init(&bucket, 10, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(gw_bucket_take(&bucket, 5, 10, 0), GW_ALLOWED);
    while (gw_bucket_take(&bucket, 5, 10, 0) == GW_REFUSED)
        refused++;
    assert_int_equal(refused, 40);
}

static void draws_all_or_nothing(void **state)
{
    struct gw_bucket bucket;

    (void)state;
    gw_bucket_init(&bucket, 10, 0);
    assert_true(gw_bucket_draw(&bucket, 10, 10, 7, 0));
    assert_false(gw_bucket_draw(&bucket, 10, 10, 4, 0));
    assert_true(gw_bucket_draw(&bucket, 10, 10, 3, 0)); /* what was not taken is still there */
    assert_false(gw_bucket_draw(&bucket, 10, 10, 1, 99));
    assert_true(gw_bucket_draw(&bucket, 10, 10, 1, 100));
    assert_false(gw_bucket_draw(&bucket, 10, 10, 11, 1000000)); /* no more than the burst */
    assert_true(gw_bucket_draw(&bucket, 10, 10, 10, 1000000));
    assert_false(gw_bucket_draw(&bucket, 10, 10, 1, 1000000));
    assert_true(gw_bucket_draw(&bucket, 10, 10, 0, 1000000));
}

static struct gw_address parse(int family, const char *text)
{
    struct sockaddr_storage sa = {0};
    struct gw_address address;

    sa.ss_family = (sa_family_t)family;
    if (family == AF_INET)
        inet_pton(family, text, &((struct sockaddr_in *)(void *)&sa)->sin_addr);
    else
        inet_pton(family, text, &((struct sockaddr_in6 *)(void *)&sa)->sin6_addr);
    gw_address_of((struct sockaddr *)&sa, &address);
    return address;
}

static void keys_addresses_by_household(void **state)
{
    struct gw_address a = parse(AF_INET6, "2001:db8:1:2::1"),
                      b = parse(AF_INET6, "2001:db8:1:2::9");
    struct gw_address c = parse(AF_INET6, "2001:db8:1:3::1"), d = parse(AF_INET, "192.0.2.1");
    struct gw_address e = parse(AF_INET6, "::ffff:192.0.2.1");

    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
    assert_memory_equal(&d, &e, sizeof d);
}

static void counts_connections_of_an_address(void **state)
{
    struct gw_addresses *addresses = gw_addresses_new(
        &(struct gw_address_limits){.connections = 2, .strangers = 2, .per_s = 1, .burst = 100});
    struct gw_address a = parse(AF_INET, "192.0.2.1"), b = parse(AF_INET, "192.0.2.2");

    (void)state;
    assert_true(gw_addresses_enter(addresses, &a, 0));
    assert_true(gw_addresses_enter(addresses, &a, 0));
    assert_false(gw_addresses_enter(addresses, &a, 0));
    assert_true(gw_addresses_enter(addresses, &b, 0));
    gw_addresses_leave(addresses, &a, true);
    assert_true(gw_addresses_enter(addresses, &a, 0));
    gw_addresses_leave(addresses, &a, true);
    gw_addresses_leave(addresses, &a, true);
    gw_addresses_leave(addresses, &b, true);
    assert_true(gw_addresses_enter(addresses, &a, 0));
    gw_addresses_free(addresses);
}

static void counts_strangers_apart(void **state)
{
    struct gw_addresses *addresses = gw_addresses_new(
        &(struct gw_address_limits){.connections = 9, .strangers = 1, .per_s = 1, .burst = 100});
    struct gw_address a = parse(AF_INET, "192.0.2.1");

    (void)state;
    assert_true(gw_addresses_enter(addresses, &a, 0));
    assert_false(gw_addresses_enter(addresses, &a, 0));
    gw_addresses_known(addresses, &a);
    assert_true(gw_addresses_enter(addresses, &a, 0));
    gw_addresses_leave(addresses, &a, true);
    assert_true(gw_addresses_enter(addresses, &a, 0));
    gw_addresses_free(addresses);
}

/* What an address has spent is remembered while it has no connection. */
static void slows_an_address_down(void **state)
{
    struct gw_addresses *addresses = gw_addresses_new(
        &(struct gw_address_limits){.connections = 9, .strangers = 9, .per_s = 10, .burst = 2});
    struct gw_address a = parse(AF_INET, "192.0.2.1"), b = parse(AF_INET, "192.0.2.2");

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(gw_addresses_enter(addresses, &a, 0));
        gw_addresses_leave(addresses, &a, true);
    }
    for (int i = 0; i < 50; i++)
        assert_false(gw_addresses_enter(addresses, &a, 50));
    assert_true(gw_addresses_enter(addresses, &b, 50));
    assert_true(gw_addresses_enter(addresses, &a, 100));
    gw_addresses_leave(addresses, &a, true);
    assert_true(gw_addresses_enter(addresses, &b, 1000));
    gw_addresses_free(addresses);
}

/* One bucket for all of an address, and no new one for who comes again. */
static void limits_what_an_address_sends(void **state)
{
    struct gw_addresses *addresses =
        gw_addresses_new(&(struct gw_address_limits){.connections = 9,
                                                     .strangers = 9,
                                                     .per_s = 1000,
                                                     .burst = 1000,
                                                     .frames_per_s = 100,
                                                     .frames_burst = 5});
    struct gw_address a = parse(AF_INET, "192.0.2.1"), b = parse(AF_INET, "192.0.2.2");

    (void)state;
    assert_true(gw_addresses_enter(addresses, &a, 1000));
    assert_true(gw_addresses_enter(addresses, &b, 1000));
    for (int i = 0; i < 5; i++)
        assert_int_equal(gw_addresses_take(addresses, &a, 1000), 0);
    for (int i = 0; i < 1000; i++) /* what is refused is no debt */
        assert_int_equal(gw_addresses_take(addresses, &a, 1000), 10);
    assert_int_equal(gw_addresses_take(addresses, &b, 1000), 0);
    gw_addresses_leave(addresses, &a, true);
    assert_true(gw_addresses_enter(addresses, &a, 1005));
    assert_true(gw_addresses_take(addresses, &a, 1005) > 0);
    assert_int_equal(gw_addresses_take(addresses, &a, 1010), 0);
    gw_addresses_leave(addresses, &a, true);
    assert_true(gw_addresses_enter(addresses, &b, 9000)); /* a's is full again: it is forgotten */
    assert_true(gw_addresses_enter(addresses, &a, 9000));
    for (int i = 0; i < 5; i++)
        assert_int_equal(gw_addresses_take(addresses, &a, 9000), 0);
    assert_true(gw_addresses_take(addresses, &a, 9000) > 0);
    gw_addresses_free(addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows_a_burst_then_the_rate),
        cmocka_unit_test(fills_no_further_than_the_burst),
        cmocka_unit_test(cuts_off_a_flood),
        cmocka_unit_test(draws_all_or_nothing),
        cmocka_unit_test(keys_addresses_by_household),
        cmocka_unit_test(counts_connections_of_an_address),
        cmocka_unit_test(counts_strangers_apart),
        cmocka_unit_test(slows_an_address_down),
        cmocka_unit_test(limits_what_an_address_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
