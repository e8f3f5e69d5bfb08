#include "schemas/text.h"

#include <string.h>

/* Length of the well-formed sequence at p (RFC 3629, section 4), 0 when there is none. */
static size_t sequence_len(const uint8_t *p, size_t len)
{
    uint8_t low = 0x80, high = 0xBF;
    size_t need;

    if (p[0] < 0x80)
        return p[0] != 0;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        need = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        need = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        need = 4;
    else
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0; /* else longer than needed */
    else if (p[0] == 0xED)
        high = 0x9F; /* else a surrogate */
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F; /* else above U+10FFFF */
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return need;
}

/* Eight bytes of ASCII, none of them 0: the usual case, looked at at once. */
static bool is_plain(const uint8_t *p)
{
    const uint64_t highs = 0x8080808080808080, ones = 0x0101010101010101;
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return ((word | (word - ones)) & highs) == 0;
}

bool yz_text_valid(const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        size_t step = len >= 8 && is_plain(p) ? 8 : sequence_len(p, len);

        if (step == 0)
            return false;
        p += step;
        len -= step;
    }
    return true;
}

size_t yz_text_chars(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

/* The code point at *text, which goes on behind it. */
static uint32_t next_char(const char **text)
{
    const uint8_t *p = (const uint8_t *)*text;
    uint32_t c = p[0] < 0x80   ? p[0]
                 : p[0] < 0xE0 ? p[0] & 0x1F
                 : p[0] < 0xF0 ? p[0] & 0x0F
                               : p[0] & 0x07;

    for (p++; (*p & 0xC0) == 0x80; p++)
        c = c << 6 | (*p & 0x3F);
    *text = (const char *)p;
    return c;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029;
}

/* Of Unicode 15: White_Space, Default_Ignorable_Code_Point (what has no width, marks of direction,
 * fillers, selectors and tags), the controls, and the pattern of Braille without a dot. */
static const struct {
    uint32_t first, last;
} blanks[] = {
    {0x00, 0x20},       {0x7F, 0xA0},       {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},
    {0x115F, 0x1160},   {0x1680, 0x1680},   {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x206F},   {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164},
    {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

static bool is_blank(uint32_t c)
{
    for (size_t i = 0; i < sizeof blanks / sizeof blanks[0] && c >= blanks[i].first; i++) {
        if (c <= blanks[i].last)
            return true;
    }
    return false;
}

bool yz_text_blank(const char *text)
{
    while (*text) {
        if (!is_blank(next_char(&text)))
            return false;
    }
    return true;
}

bool yz_text_one_line(const char *text)
{
    while (*text) {
        if (is_control(next_char(&text)))
            return false;
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void yz_base64_encode(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;

    for (; len >= 3; len -= 3, p += 3) {
        *out++ = alphabet[p[0] >> 2];
        *out++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = alphabet[p[2] & 63];
    }
    if (len == 0)
        return;
    *out++ = alphabet[p[0] >> 2];
    *out++ = alphabet[(p[0] & 3) << 4 | (len > 1 ? p[1] >> 4 : 0)];
    *out++ = len > 1 ? alphabet[(p[1] & 15) << 2] : '=';
    *out = '=';
}

/* Value of a character, -1 when it is none; *kinds collects which alphabets were used (1 standard,
 * 2 URL-safe). */
static int sextet(char c, int *kinds)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    *kinds |= c == '+' || c == '/' ? 1 : 2;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool yz_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
    uint32_t bits = 0;
    unsigned count = 0;
    int kinds = 0;

    if (len > 0 && len % 4 == 0) {
        len -= text[len - 1] == '=';
        len -= len % 4 == 3 && text[len - 1] == '=';
    }
    *out_len = 0;
    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int value = sextet(text[i], &kinds);

        if (value < 0 || kinds == 3)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[(*out_len)++] = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    return bits == 0;
}
