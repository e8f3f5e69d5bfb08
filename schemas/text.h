/* text.h: UTF-8 and base64, as outside bytes carry them.
 *
 * Lifetime  none: results go into the caller's memory.
 * Thread    any.
 * Limits    none of their own.
 */
#ifndef YZ_TEXT_H
#define YZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed UTF-8 (RFC 3629: shortest form, no surrogates, nothing above U+10FFFF) without a NUL,
 * which C strings cannot hold. */
bool yz_text_valid(const void *data, size_t len);
/* Code points of a valid text: what a person counts as characters, save for combined ones. */
size_t yz_text_chars(const char *text);
/* A valid text of which a reader sees nothing: spaces of all widths, the ideographic one (U+3000)
 * too, zero-width characters, marks of direction, fillers, tabs, ends of lines; or "". */
bool yz_text_blank(const char *text);
/* A valid text without control characters (C0, DEL, C1), ends of lines and of paragraphs. */
bool yz_text_one_line(const char *text);

/* Bytes that yz_base64_decode needs at most for len characters, and characters that encoding len
 * bytes gives. */
#define YZ_BASE64_DECODED_MAX(len) ((len) / 4 * 3 + 3)
#define YZ_BASE64_LEN(len)         (((len) + 2) / 3 * 4)

/* Standard alphabet, padded, no NUL behind it: YZ_BASE64_LEN(len) characters into out. */
void yz_base64_encode(const void *data, size_t len, char *out);
/* Standard or URL-safe alphabet (not both in one text), padded or not. false: malformed, which
 * includes bits set behind the last byte, so that each value has one text only. */
bool yz_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);

#endif
