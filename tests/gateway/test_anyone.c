/* Limits of those who need not say who they are. */
#include "gateway/anyone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1000000)

static struct gw_anyone *make(struct yz_conf *conf)
{
    struct gw_anyone *anyone = NULL;

    memset(conf, 0, sizeof *conf);
    conf->public_tenants = "t1, t2,t33";
    conf->public_address_per_hour = 60;
    conf->public_address_burst = 3;
    conf->public_tenant_per_hour = 3600;
    conf->public_tenant_burst = 5;
    assert_int_equal(gw_anyone_new(conf, &anyone), YZ_OK);
    return anyone;
}

static void test_tenants_that_are_listed_are_served(void **state)
{
    struct yz_conf conf;
    struct gw_anyone *anyone = make(&conf);

    (void)state;
    assert_true(gw_anyone_serves(anyone, "t1"));
    assert_true(gw_anyone_serves(anyone, "t2"));
    assert_true(gw_anyone_serves(anyone, "t33"));
    assert_false(gw_anyone_serves(anyone, "t3"));
    assert_false(gw_anyone_serves(anyone, "t"));
    assert_false(gw_anyone_serves(anyone, ""));
    gw_anyone_free(anyone);
}

static void test_an_address_has_its_burst_and_then_its_rate(void **state)
{
    const struct gw_address one = {{1}}, other = {{2}};
    struct yz_conf conf;
    struct gw_anyone *anyone = make(&conf);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(gw_anyone_take(anyone, "t1", &one, NOW), 0);
    assert_int_equal(gw_anyone_take(anyone, "t1", &one, NOW), 60000);
    assert_int_equal(gw_anyone_take(anyone, "t1", &one, NOW + 59999), 1);
    assert_int_equal(gw_anyone_take(anyone, "t1", &other, NOW), 0);
    assert_int_equal(gw_anyone_take(anyone, "t1", &one, NOW + 60000), 0);
    assert_int_equal(gw_anyone_take(anyone, "t1", &one, NOW + 60000), 60000);
    gw_anyone_free(anyone);
}

static void test_a_tenant_has_its_own_however_many_addresses_come(void **state)
{
    struct yz_conf conf;
    struct gw_anyone *anyone = make(&conf);
    struct gw_address from = {{0}};

    (void)state;
    for (uint8_t i = 0; i < 5; i++) {
        from.bytes[0] = i;
        assert_int_equal(gw_anyone_take(anyone, "t1", &from, NOW), 0);
    }
    from.bytes[0] = 9;
    assert_int_equal(gw_anyone_take(anyone, "t1", &from, NOW), 1000);
    assert_int_equal(gw_anyone_take(anyone, "t1", NULL, NOW), 1000);
    assert_int_equal(gw_anyone_take(anyone, "t2", &from, NOW), 0);
    gw_anyone_free(anyone);
}

/* The table never outgrows its bound; the sanitizers see that nothing is lost. */
static void test_more_addresses_than_there_are_places(void **state)
{
    struct yz_conf conf;
    struct gw_anyone *anyone;
    struct gw_address from = {{0}};

    (void)state;
    anyone = make(&conf);
    gw_anyone_free(anyone);
    conf.public_tenant_burst = 1000000;
    assert_int_equal(gw_anyone_new(&conf, &anyone), YZ_OK);
    for (uint32_t i = 0; i < ANYONE_ADDRESSES_MAX + 1000; i++) {
        memcpy(from.bytes, &i, sizeof i);
        assert_int_equal(gw_anyone_take(anyone, "t1", &from, NOW), 0);
    }
    /* The last one is known, the first was forgotten. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(gw_anyone_take(anyone, "t1", &from, NOW), 0);
    assert_int_not_equal(gw_anyone_take(anyone, "t1", &from, NOW), 0);
    memset(&from, 0, sizeof from);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gw_anyone_take(anyone, "t1", &from, NOW), 0);
    gw_anyone_free(anyone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenants_that_are_listed_are_served),
        cmocka_unit_test(test_an_address_has_its_burst_and_then_its_rate),
        cmocka_unit_test(test_a_tenant_has_its_own_however_many_addresses_come),
        cmocka_unit_test(test_more_addresses_than_there_are_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
