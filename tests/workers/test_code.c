/* The rotating check-in code. */
#include "workers/code.h"

#include "secret_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const uint8_t secret[32] = "0123456789abcdef0123456789abcdef";
static const uint8_t nonce[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const struct wk_code_meeting here = {"t1", "g1/c1/b1", "m1"};

/* Computed with Python's hmac and base64 modules from the description in PROTOCOL.md. */
static void test_known_answer(void **state)
{
    uint8_t key[WK_CODE_KEY_BYTES];
    char text[WK_CODE_LEN + 1], hex[65];

    (void)state;
    wk_code_key(secret, sizeof secret, &here, key);
    for (int i = 0; i < WK_CODE_KEY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    assert_string_equal(hex, "d11d7ec0567aff55346aa123a4514474"
                             "7362fce37cd0ba33e6e93b9ac9a9c19d");
    wk_code_make(key, &here, 58000000, nonce, text);
    assert_string_equal(text, "A3UCgAECAwQFBgcIKDsQquYH5PFDqbMx1NkTYQ");
}

static void test_round_trip(void **state)
{
    uint8_t key[WK_CODE_KEY_BYTES];
    char text[WK_CODE_LEN + 1];
    struct wk_code code;

    (void)state;
    wk_code_key(secret, sizeof secret, &here, key);
    wk_code_make(key, &here, 0xfedcba98, nonce, text);
    assert_int_equal(strlen(text), WK_CODE_LEN);
    assert_true(wk_code_parse(text, &code));
    assert_int_equal(code.slot, 0xfedcba98);
    assert_memory_equal(code.nonce, nonce, sizeof nonce);
    assert_true(wk_code_verify(key, &here, &code));
}

/* Every single character that is changed makes it malformed or wrong. */
static void test_any_change_is_seen(void **state)
{
    uint8_t key[WK_CODE_KEY_BYTES];
    char text[WK_CODE_LEN + 1];
    struct wk_code code;

    (void)state;
    wk_code_key(secret, sizeof secret, &here, key);
    wk_code_make(key, &here, 58000000, nonce, text);
    for (int i = 0; i < WK_CODE_LEN; i++) {
        char kept = text[i];

        text[i] = kept == 'A' ? 'B' : 'A';
        assert_false(wk_code_parse(text, &code) && wk_code_verify(key, &here, &code));
        text[i] = kept;
    }
}

static void test_other_meeting(void **state)
{
    const struct wk_code_meeting others[] = {
        {"t2", "g1/c1/b1", "m1"}, {"t1", "g1/c1/b2", "m1"}, {"t1", "g1/c1/b1", "m2"}};
    uint8_t key[WK_CODE_KEY_BYTES], other_key[WK_CODE_KEY_BYTES];
    char text[WK_CODE_LEN + 1];
    struct wk_code code;

    (void)state;
    wk_code_key(secret, sizeof secret, &here, key);
    wk_code_make(key, &here, 58000000, nonce, text);
    assert_true(wk_code_parse(text, &code));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        wk_code_key(secret, sizeof secret, &others[i], other_key);
        assert_memory_not_equal(key, other_key, sizeof key);
        assert_false(wk_code_verify(other_key, &others[i], &code));
        /* The MAC names the meeting too: the right key alone does not do. */
        assert_false(wk_code_verify(key, &others[i], &code));
    }
}

static void test_malformed(void **state)
{
    const char *texts[] = {"",
                           "A",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* one short */
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* one long */
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+A",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/A",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA A",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"}; /* a second spelling */
    struct wk_code code;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(wk_code_parse(texts[i], &code));
    assert_true(wk_code_parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &code));
}

static enum yz_err read_secret(const char *path)
{
    struct stat file;
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum yz_err err = wk_code_secret_read(path, &bytes, &len);

    if (!err) {
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(len, file.st_size);
    }
    free(bytes);
    return err;
}

static void test_secret_file(void **state)
{
    (void)state;
    expect_secret_file(read_secret, WK_CODE_SECRET_MIN, WK_CODE_SECRET_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answer),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_change_is_seen), cmocka_unit_test(test_other_meeting),
        cmocka_unit_test(test_malformed),          cmocka_unit_test(test_secret_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
