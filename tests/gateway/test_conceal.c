/* Receipts are concealed off the loop, the same way each time, few at a time. */
#include "gateway/conceal.h"

#include "common/subject.h"
#include "schemas/receipt_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#define RECEIPT "8305926174402958"

static struct yz_conf conf;
static uv_loop_t loop;

struct got {
    int times;
    enum yz_err err;
    char text[YZ_RECEIPT_CONCEALED_MAX];
};

static void on_done(void *arg, enum yz_err err, const char *concealed)
{
    struct got *got = arg;

    got->times++;
    got->err = err;
    snprintf(got->text, sizeof got->text, "%s", concealed);
}

static int begin(void **state)
{
    (void)state;
    memset(&conf, 0, sizeof conf);
    conf.receipt_secret_file = "";
    return uv_loop_init(&loop);
}

static int end(void **state)
{
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void conceal(const char *tenant, const char *receipt, char out[YZ_RECEIPT_CONCEALED_MAX])
{
    struct gw_conceal *c = NULL;
    struct got got = {0};

    assert_int_equal(gw_conceal_new(&conf, &loop, &c), YZ_OK);
    assert_int_equal(gw_conceal(c, tenant, receipt, on_done, &got), YZ_OK);
    assert_int_equal(got.times, 0); /* never inside: the loop does not wait for it */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(got.times, 1);
    assert_int_equal(got.err, YZ_OK);
    memcpy(out, got.text, sizeof got.text);
    gw_conceal_free(c);
}

/* Computed anew from the words of receipt_hash.h. */
static void test_it_is_argon2id_of_the_receipt(void **state)
{
    static const char personal[] = "yizhan receipt 1";
    uint8_t key[crypto_generichash_KEYBYTES], salt[16], hash[32];
    char out[YZ_RECEIPT_CONCEALED_MAX], hex[65] = "";

    (void)state;
    crypto_generichash(key, sizeof key, NULL, 0, (const uint8_t *)personal, strlen(personal));
    crypto_generichash(salt, sizeof salt, (const uint8_t *)"t1", 2, key, sizeof key);
    assert_int_equal(crypto_pwhash(hash, sizeof hash, RECEIPT, strlen(RECEIPT), salt,
                                   YZ_RECEIPT_OPS, YZ_RECEIPT_MEMORY_BYTES,
                                   crypto_pwhash_ALG_ARGON2ID13),
                     0);
    yz_hex(hash, sizeof hash, hex);
    conceal("t1", RECEIPT, out);
    assert_true(yz_receipt_concealed(out));
    assert_string_equal(out + strlen(YZ_RECEIPT_MARK), hex);
}

static void test_tenant_receipt_and_secret_change_it(void **state)
{
    char path[] = "/tmp/yz-receipt-XXXXXX";
    char a[YZ_RECEIPT_CONCEALED_MAX], b[YZ_RECEIPT_CONCEALED_MAX], c[YZ_RECEIPT_CONCEALED_MAX],
        d[YZ_RECEIPT_CONCEALED_MAX];
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
    close(fd);
    conceal("t1", RECEIPT, a);
    conceal("t2", RECEIPT, b);
    conceal("t1", "8305926174402959", c);
    conf.receipt_secret_file = path;
    conceal("t1", RECEIPT, d);
    unlink(path);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
    assert_string_not_equal(a, d);
}

static void test_a_secret_that_is_no_secret_is_refused(void **state)
{
    char path[] = "/tmp/yz-receipt-XXXXXX";
    struct gw_conceal *c = NULL;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "0123456789abcdef0123456789abcde", 31), 31);
    close(fd);
    conf.receipt_secret_file = path;
    assert_int_equal(gw_conceal_new(&conf, &loop, &c), YZ_INVALID_VALUE);
    unlink(path);
    assert_int_equal(gw_conceal_new(&conf, &loop, &c), YZ_INVALID_VALUE);
    assert_null(c);
}

/* Those beyond the queue are told at once; those in it when it ends, too, each once. */
static void test_it_is_bounded_and_ends_with_what_waits(void **state)
{
    enum { TAKEN = CONCEAL_AT_ONCE + CONCEAL_QUEUE_MAX };
    struct gw_conceal *c = NULL;
    struct got got[TAKEN] = {0}, none = {0};

    (void)state;
    assert_int_equal(gw_conceal_new(&conf, &loop, &c), YZ_OK);
    for (int i = 0; i < TAKEN; i++)
        assert_int_equal(gw_conceal(c, "t1", RECEIPT, on_done, &got[i]), YZ_OK);
    assert_int_equal(gw_conceal(c, "t1", RECEIPT, on_done, &none), YZ_BUSY);
    gw_conceal_free(c);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(none.times, 0);
    for (int i = 0; i < TAKEN; i++) {
        assert_int_equal(got[i].times, 1);
        assert_int_equal(got[i].err, YZ_DRAINING);
        assert_string_equal(got[i].text, "");
    }
}

/* A drain waits for them, or has them answered: then none is sent on, also not by a hash that is
 * ready later. */
static void test_what_is_given_up_is_answered_once(void **state)
{
    enum { TAKEN = CONCEAL_AT_ONCE + 3 };
    struct gw_conceal *c = NULL;
    struct got got[TAKEN] = {0}, late = {0};

    (void)state;
    assert_int_equal(gw_conceal_new(&conf, &loop, &c), YZ_OK);
    assert_int_equal(gw_conceal_pending(c), 0);
    for (int i = 0; i < TAKEN; i++)
        assert_int_equal(gw_conceal(c, "t1", RECEIPT, on_done, &got[i]), YZ_OK);
    assert_int_equal(gw_conceal_pending(c), TAKEN);
    gw_conceal_give_up(c);
    assert_int_equal(gw_conceal_pending(c), 0);
    gw_conceal_give_up(c);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < TAKEN; i++) {
        assert_int_equal(got[i].times, 1);
        assert_int_equal(got[i].err, YZ_DRAINING);
        assert_string_equal(got[i].text, "");
    }
    assert_int_equal(gw_conceal(c, "t1", RECEIPT, on_done, &late), YZ_OK); /* a query may ask on */
    assert_int_equal(gw_conceal_pending(c), 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(gw_conceal_pending(c), 0);
    assert_int_equal(late.err, YZ_OK);
    gw_conceal_free(c);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_argon2id_of_the_receipt),
        TEST(test_tenant_receipt_and_secret_change_it),
        TEST(test_a_secret_that_is_no_secret_is_refused),
        TEST(test_it_is_bounded_and_ends_with_what_waits),
        TEST(test_what_is_given_up_is_answered_once),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
