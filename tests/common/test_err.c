#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/err.h"

#include <ctype.h>
#include <string.h>

static void assert_wire_code(const char *code)
{
    assert_true(strlen(code) > 0 && strlen(code) < 40);
    for (const char *p = code; *p; p++)
        assert_true(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_');
}

static void codes_are_stable_words(void **state)
{
    (void)state;
    for (int i = 1; i < YZ_ERR_COUNT; i++) {
        enum yz_err err = (enum yz_err)i;

        assert_wire_code(yz_err_code(err));
        assert_int_equal(yz_err_from_code(yz_err_code(err)), err);
        assert_true(yz_err_http_status(err) >= 400 && yz_err_http_status(err) < 600);
        assert_int_equal(yz_err_text(err)[strlen(yz_err_text(err)) - 1], '.');
        /* A client sends again what is temporary; a gateway in front does so with 429 and 5xx. */
        assert_int_equal(yz_err_temporary(err),
                         yz_err_http_status(err) >= 500 || yz_err_http_status(err) == 429);
    }
    assert_string_equal(yz_err_code(YZ_OK), "ok");
    assert_int_equal(yz_err_from_code("no_such_code"), YZ_INTERNAL);
    assert_int_equal(yz_err_from_code(""), YZ_INTERNAL);
}

static void close_codes_say_whether_to_reconnect(void **state)
{
    (void)state;
#define YZ_CLOSE(name, ws_code, code, text)                                                        \
    assert_int_equal(YZ_CLOSE_##name, ws_code);                                                    \
    assert_true((ws_code) >= 3000 && (ws_code) < 4000);                                            \
    assert_string_equal(yz_close_code(YZ_CLOSE_##name), code);                                     \
    assert_string_equal(yz_close_text(YZ_CLOSE_##name), text);                                     \
    assert_true(strlen(text) <= 123); /* what a close frame holds */                               \
    assert_wire_code(code);
#include "common/err.def"
#undef YZ_CLOSE
    assert_true(yz_close_reconnects(YZ_CLOSE_GOING_AWAY));
    assert_true(yz_close_reconnects((enum yz_close)3499));
    assert_false(yz_close_reconnects(YZ_CLOSE_SESSION_EXPIRED));
    assert_string_equal(yz_close_code((enum yz_close)1), "");
    assert_string_equal(yz_close_text((enum yz_close)1), "");
}

static void violations_carry_field_and_text(void **state)
{
    struct yz_violation v;

    (void)state;
    assert_int_equal(yz_violate(&v, YZ_TOO_LONG, "title", NULL), YZ_TOO_LONG);
    assert_string_equal(v.field, "title");
    assert_string_equal(yz_violation_text(&v), yz_err_text(YZ_TOO_LONG));
    yz_violate(&v, YZ_TOO_LONG, NULL, "Shorter, please.");
    assert_string_equal(v.field, "");
    assert_string_equal(yz_violation_text(&v), "Shorter, please.");
}

/* A violation is cut between characters, whatever their length and wherever the maximum falls. */
static void violations_are_cut_at_characters(void **state)
{
    static const char *const characters[] = {"a", "\xC3\xA9", "\xE7\xAB\x99", "\xF0\x9F\x98\x80"};
    char text[400];
    struct yz_violation v;

    (void)state;
    for (size_t kind = 0; kind < 4; kind++) {
        size_t width = strlen(characters[kind]);

        for (size_t lead = 0; lead < 4; lead++) {
            memset(text, 'x', lead);
            for (size_t at = lead; at + width < sizeof text; at += width)
                memcpy(text + at, characters[kind], width + 1);
            yz_violate(&v, YZ_TOO_LONG, text, text);
            assert_int_equal((strlen(v.field) - lead) % width, 0);
            assert_true(strlen(v.field) > YZ_FIELD_MAX - 1 - width);
            assert_int_equal((strlen(v.text) - lead) % width, 0);
            assert_int_equal(strncmp(v.text, text, strlen(v.text)), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_stable_words),
        cmocka_unit_test(close_codes_say_whether_to_reconnect),
        cmocka_unit_test(violations_carry_field_and_text),
        cmocka_unit_test(violations_are_cut_at_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
