#include "tests/schemas/sample.h"

#include "schemas/path.h"
#include "schemas/text.h"

static const struct {
    const char *bytes;
    size_t len;
    bool valid;
} texts[] = {
    {"", 0, true},
    {"abc", 3, true},
    {"a\0b", 3, false},
    {"驿站", 6, true},
    {"\xF0\x9F\x98\x80", 4, true},
    {"\xF4\x8F\xBF\xBF", 4, true},  /* U+10FFFF */
    {"\xF4\x90\x80\x80", 4, false}, /* above it */
    {"\xED\x9F\xBF", 3, true},      /* U+D7FF */
    {"\xED\xA0\x80", 3, false},     /* a surrogate */
    {"\xC0\x80", 2, false},         /* too long a form */
    {"\xC1\xBF", 2, false},
    {"\xE0\x9F\xBF", 3, false},
    {"\xE0\xA0\x80", 3, true},
    {"\xF0\x8F\xBF\xBF", 4, false},
    {"\xF5\x80\x80\x80", 4, false},
    {"\x80", 1, false},
    {"\xE9\xA9", 2, false}, /* cut off */
    {"\xE9\xA9\x41", 3, false},
    {"\xFF", 1, false},
};

static void utf8_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *copy = malloc(texts[i].len ? texts[i].len : 1);

        memcpy(copy, texts[i].bytes, texts[i].len);
        if (yz_text_valid(copy, texts[i].len) != texts[i].valid)
            fail_msg("text %zu", i);
        free(copy);
    }
    assert_int_equal(yz_text_chars("a驿站\xF0\x9F\x98\x80"), 4);
}

/* RFC 4648, section 10 */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void base64_returns(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const char *plain = vectors[i][0], *coded = vectors[i][1];
        char text[32] = "";
        uint8_t bytes[32];
        size_t len;

        yz_base64_encode(plain, strlen(plain), text);
        assert_string_equal(text, coded);
        assert_true(yz_base64_decode(coded, strlen(coded), bytes, &len));
        assert_int_equal(len, strlen(plain));
        assert_memory_equal(bytes, plain, len);
        assert_true(yz_base64_decode(coded, strcspn(coded, "="), bytes, &len));
        assert_int_equal(len, strlen(plain));
    }
}

static void bad_base64_is_refused(void **state)
{
    static const char *const bad[] = {"A",    "AAAAA", "AB==",  "AAB=",     "=",    "====", "A===",
                                      "AA=A", "Zg= ",  "Z\ng=", "Zg==Zg==", "-/AA", "Zg=",  "站"};
    uint8_t bytes[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (yz_base64_decode(bad[i], strlen(bad[i]), bytes, &len))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void paths_are_written_for_people(void **state)
{
    const struct yz_path emit = {NULL, "emit", YZ_PATH_FIELD};
    const struct yz_path roster = {&emit, "the_long_roster", 3};
    const struct yz_path key = {&roster, "a_b\r\n", YZ_PATH_OUTSIDE};
    char long_name[400];
    const struct yz_path cut = {NULL, long_name, YZ_PATH_OUTSIDE};
    struct yz_violation v;

    (void)state;
    assert_int_equal(yz_path_violate(&key, &v, YZ_UNKNOWN_FIELD, NULL), YZ_UNKNOWN_FIELD);
    assert_string_equal(v.field, "emit.theLongRoster[3].a_b??");
    yz_path_violate(NULL, &v, YZ_BAD_FRAME, "text");
    assert_string_equal(v.field, "");
    assert_string_equal(v.text, "text");
    for (int i = 0; i < 133; i++)
        memcpy(long_name + 3 * i, "站", 4);
    yz_path_violate(&cut, &v, YZ_UNKNOWN_FIELD, NULL);
    assert_int_equal(strlen(v.field), 126); /* 42 whole characters of 127 bytes */
    assert_true(yz_text_valid(v.field, strlen(v.field)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(base64_returns),
        cmocka_unit_test(bad_base64_is_refused),
        cmocka_unit_test(paths_are_written_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
