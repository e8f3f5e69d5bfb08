/* sample.h: what the tests of codec and contracts share.
 *
 * Lifetime  a sample lives in the one arena until sample_done.
 * Thread    one.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/codec.h"
#include "schemas/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((unused)) static struct yz_arena sample_arena;

static inline int sample_begin(void **state)
{
    (void)state;
    yz_arena_init(&sample_arena, (size_t)8 << 20);
    return 0;
}

static inline int sample_done(void **state)
{
    (void)state;
    yz_arena_deinit(&sample_arena);
    return 0;
}

/* A test with the arena. */
#define sample_test(function) cmocka_unit_test_setup_teardown(function, sample_begin, sample_done)

/* The message of this JSON; the test fails when it does not decode. */
static inline void *sample_json(const ProtobufCMessageDescriptor *desc, const char *text)
{
    struct yz_violation v = {0};
    ProtobufCMessage *message = NULL;

    if (yz_json_decode(desc, text, strlen(text), yz_payload_resolve, &sample_arena, &message, &v))
        fail_msg("%s: %s at '%s': %s", text, yz_err_code(v.err), v.field, yz_violation_text(&v));
    return message;
}

/* The message as JSON; free it. */
static inline char *sample_text(const void *message)
{
    struct yz_buf buf;
    char *text;

    yz_buf_init(&buf, (size_t)1 << 20);
    assert_int_equal(yz_json_encode(message, yz_payload_resolve, &buf), YZ_OK);
    text = strndup((const char *)buf.data, buf.len);
    yz_buf_deinit(&buf);
    return text;
}

/* "08 96 01", up to `end` if that is not NULL, to at most max bytes; the count is returned. */
static inline size_t sample_hex(const char *hex, const char *end, uint8_t *out, size_t max)
{
    size_t count = 0;
    char *behind;

    for (;; hex = behind) {
        unsigned long byte = strtoul(hex, &behind, 16);

        if (behind == hex || (end && behind > end))
            return count;
        assert_true(byte <= 0xFF && count < max);
        out[count++] = (uint8_t)byte;
    }
}

static inline void assert_violation(const struct yz_violation *v, enum yz_err err,
                                    const char *field)
{
    assert_string_equal(yz_err_code(v->err), yz_err_code(err));
    assert_string_equal(v->field, field);
    assert_true(yz_violation_text(v)[0] != '\0');
}

/* `text` with its first `part` replaced; free it. */
static inline char *sample_replace(const char *text, const char *part, const char *instead)
{
    const char *at = strstr(text, part);
    size_t size = strlen(text) + strlen(instead) + 1;
    char *out = malloc(size);

    if (!at)
        fail_msg("'%s' is not in '%s'", part, text);
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, instead, at + strlen(part));
    return out;
}

/* A contract's refusals: the good text with `part` replaced must give this error and field; YZ_OK:
 * is still good. */
struct refusal {
    const char *part, *instead;
    enum yz_err err;
    const char *field;
};

static inline void assert_refusals(const ProtobufCMessageDescriptor *desc, yz_check_fn *check,
                                   const char *good, const struct refusal *cases, size_t count)
{
    struct yz_violation v = {0};

    if (check(sample_json(desc, good), &v))
        fail_msg("the good one is refused: %s at %s", yz_err_code(v.err), v.field);
    for (size_t i = 0; i < count; i++) {
        char *text = sample_replace(good, cases[i].part, cases[i].instead);
        enum yz_err err = check(sample_json(desc, text), &v);

        if (err != cases[i].err)
            fail_msg("%s: %s instead of %s", text, yz_err_code(err), yz_err_code(cases[i].err));
        if (err)
            assert_violation(&v, cases[i].err, cases[i].field);
        free(text);
    }
}

/* That of the event or query of this type. */
static inline void assert_contract(const char *type, const char *good, const struct refusal *cases,
                                   size_t count)
{
    const struct yz_event_type *event = yz_event_type_find(type, NULL);
    const struct yz_query_type *query = yz_query_type_find(type, NULL);

    if (event && !query)
        assert_refusals(event->payload, event->check, good, cases, count);
    else if (query && !event)
        assert_refusals(query->request, query->check, good, cases, count);
    else
        fail_msg("%s is no type, or two", type);
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* 8 and 64 characters, of one and of three bytes */
#define A8  "aaaaaaaa"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8
#define Z8  "站站站站站站站站"
#define Z64 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8

#endif
