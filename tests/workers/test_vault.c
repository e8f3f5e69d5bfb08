/* Encrypted fields: only whole, only in their place, only while their key is there. */
#include "workers/vault.h"

#include "secret_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define VALUE  "110101199003070073"

static const struct wk_vault_place place = {"t1", "m1", "id_number"};
static struct wk_vault *vault;
static bson_t *key;
static bson_t *document;
static char out[WK_VAULT_VALUE_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    document = bson_new();
    if (wk_vault_new((const uint8_t *)SECRET, strlen(SECRET), &vault) != YZ_OK)
        return -1;
    key = wk_vault_new_key(vault, "t1", "m1");
    return wk_vault_seal(vault, key, &place, VALUE, document) == YZ_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    bson_destroy(document);
    bson_destroy(key);
    wk_vault_close(vault);
    return 0;
}

static const uint8_t *bytes_of(const bson_t *from, const char *field, uint32_t *len)
{
    bson_subtype_t subtype;
    const uint8_t *bytes;
    bson_iter_t iter;

    assert_true(bson_iter_init_find(&iter, from, field) && BSON_ITER_HOLDS_BINARY(&iter));
    bson_iter_binary(&iter, &subtype, len, &bytes);
    return bytes;
}

static void test_round_trip(void **state)
{
    uint32_t len;
    const uint8_t *bytes = bytes_of(document, "id_number", &len);

    (void)state;
    assert_null(memmem(bytes, len, VALUE, 4));
    assert_int_equal(wk_vault_open_value(vault, key, &place, document, out), YZ_OK);
    assert_string_equal(out, VALUE);
}

/* No value, no field; and none that is there reads as "". */
static void test_nothing(void **state)
{
    bson_t empty = BSON_INITIALIZER;

    (void)state;
    assert_int_equal(wk_vault_seal(vault, key, &place, "", &empty), YZ_OK);
    assert_true(bson_empty(&empty));
    assert_int_equal(wk_vault_open_value(vault, key, &place, &empty, out), YZ_OK);
    assert_string_equal(out, "");
    bson_destroy(&empty);
}

static void test_longest(void **state)
{
    char longest[WK_VAULT_VALUE_MAX + 1];
    bson_t other = BSON_INITIALIZER;

    (void)state;
    memset(longest, 'x', WK_VAULT_VALUE_MAX);
    longest[WK_VAULT_VALUE_MAX] = '\0';
    assert_int_equal(wk_vault_seal(vault, key, &place, longest, &other), YZ_OK);
    assert_int_equal(wk_vault_open_value(vault, key, &place, &other, out), YZ_OK);
    assert_string_equal(out, longest);
    bson_destroy(&other);
}

/* The same value twice: other bytes; another of another length: as many. */
static void test_tells_nothing(void **state)
{
    bson_t again = BSON_INITIALIZER, shorter = BSON_INITIALIZER;
    uint32_t len, again_len, shorter_len;
    const uint8_t *first = bytes_of(document, "id_number", &len), *second;

    (void)state;
    assert_int_equal(wk_vault_seal(vault, key, &place, VALUE, &again), YZ_OK);
    second = bytes_of(&again, "id_number", &again_len);
    assert_int_equal(len, again_len);
    assert_memory_not_equal(first, second, len);
    assert_int_equal(wk_vault_seal(vault, key, &place, "1", &shorter), YZ_OK);
    (void)bytes_of(&shorter, "id_number", &shorter_len);
    assert_int_equal(len, shorter_len);
    bson_destroy(&again);
    bson_destroy(&shorter);
}

/* To another field, another member, another tenant: with the right key it opens nowhere else. */
static void test_moved_value(void **state)
{
    const struct wk_vault_place elsewhere[] = {
        {"t1", "m1", "phone"}, {"t1", "m2", "id_number"}, {"t2", "m1", "id_number"}};
    uint32_t len;
    const uint8_t *bytes = bytes_of(document, "id_number", &len);
    bson_t moved = BSON_INITIALIZER;

    (void)state;
    BSON_APPEND_BINARY(&moved, "phone", BSON_SUBTYPE_BINARY, bytes, len);
    BSON_APPEND_BINARY(&moved, "id_number", BSON_SUBTYPE_BINARY, bytes, len);
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        assert_int_equal(wk_vault_open_value(vault, key, &elsewhere[i], &moved, out), YZ_INTERNAL);
        assert_string_equal(out, "");
    }
    bson_destroy(&moved);
}

static void test_tampered(void **state)
{
    uint32_t len;
    const uint8_t *bytes = bytes_of(document, "id_number", &len);
    uint8_t changed[512];

    (void)state;
    for (uint32_t i = 0; i < len; i++) {
        bson_t other = BSON_INITIALIZER;

        memcpy(changed, bytes, len);
        changed[i] ^= 1;
        BSON_APPEND_BINARY(&other, "id_number", BSON_SUBTYPE_BINARY, changed, len);
        assert_int_equal(wk_vault_open_value(vault, key, &place, &other, out), YZ_INTERNAL);
        bson_destroy(&other);
    }
    for (uint32_t cut = 0; cut < len; cut++) {
        bson_t other = BSON_INITIALIZER;

        BSON_APPEND_BINARY(&other, "id_number", BSON_SUBTYPE_BINARY, bytes, cut);
        assert_int_equal(wk_vault_open_value(vault, key, &place, &other, out), YZ_INTERNAL);
        bson_destroy(&other);
    }
}

/* Forgotten: the cipher text is still there, in backups too, and nobody reads it. */
static void test_deleted_key(void **state)
{
    bson_t deleted = BSON_INITIALIZER;

    (void)state;
    assert_true(wk_vault_has_key(key));
    BSON_APPEND_DATE_TIME(&deleted, "deleted_at", 1);
    assert_false(wk_vault_has_key(&deleted));
    assert_false(wk_vault_has_key(NULL));
    assert_int_equal(wk_vault_open_value(vault, &deleted, &place, document, out), YZ_NOT_FOUND);
    assert_int_equal(wk_vault_open_value(vault, NULL, &place, document, out), YZ_NOT_FOUND);
    assert_string_equal(out, "");
    assert_int_equal(wk_vault_seal(vault, &deleted, &place, VALUE, document), YZ_NOT_FOUND);
    bson_destroy(&deleted);
}

/* A new key of the same member does not open what the old one sealed. */
static void test_other_keys(void **state)
{
    bson_t *second = wk_vault_new_key(vault, "t1", "m1");
    struct wk_vault *other = NULL;

    (void)state;
    assert_int_equal(wk_vault_open_value(vault, second, &place, document, out), YZ_INTERNAL);
    bson_destroy(second);
    assert_int_equal(wk_vault_new((const uint8_t *)"another master key of 32 bytes!!", 32, &other),
                     YZ_OK);
    assert_int_equal(wk_vault_open_value(other, key, &place, document, out), YZ_INTERNAL);
    wk_vault_close(other);
    /* The key of m1 was wrapped for m1: as m2's document it is nobody's. */
    const struct wk_vault_place of_m2 = {"t1", "m2", "id_number"};
    assert_int_equal(wk_vault_seal(vault, key, &of_m2, VALUE, document), YZ_INTERNAL);
}

static enum yz_err read_master(const char *path)
{
    struct wk_vault *opened = NULL;
    enum yz_err err = wk_vault_open(path, &opened);

    wk_vault_close(opened);
    return err;
}

static void test_master_file(void **state)
{
    (void)state;
    expect_secret_file(read_master, WK_VAULT_SECRET_MIN, WK_VAULT_SECRET_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),    TEST(test_nothing),     TEST(test_longest),
        TEST(test_tells_nothing), TEST(test_moved_value), TEST(test_tampered),
        TEST(test_deleted_key),   TEST(test_other_keys),  TEST(test_master_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
