#include "marker.h"

#include <string.h>

#define TOPIC_DIGITS  6
#define NUMBER_DIGITS 10

static void write_digits(uint8_t *out, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        out[digits] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

static bool read_digits(const uint8_t *at, unsigned digits, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(at[i] - '0');
    }
    return true;
}

void marker_write(uint8_t *out, const struct marker *marker)
{
    out[0] = '#';
    write_digits(out + 1, TOPIC_DIGITS, marker->topic);
    out[1 + TOPIC_DIGITS] = '.';
    write_digits(out + 2 + TOPIC_DIGITS, NUMBER_DIGITS, marker->number);
    out[MARKER_LEN - 1] = '#';
}

static bool read_marker(const uint8_t *at, struct marker *marker)
{
    uint64_t topic;

    if (at[1 + TOPIC_DIGITS] != '.' || at[MARKER_LEN - 1] != '#' ||
        !read_digits(at + 1, TOPIC_DIGITS, &topic) ||
        !read_digits(at + 2 + TOPIC_DIGITS, NUMBER_DIGITS, &marker->number))
        return false;
    marker->topic = (uint32_t)topic;
    return true;
}

bool marker_next(const uint8_t **at, const uint8_t *end, struct marker *marker)
{
    const uint8_t *found = *at;

    while (end - found >= MARKER_LEN &&
           (found = memchr(found, '#', (size_t)(end - found) - MARKER_LEN + 1))) {
        if (read_marker(found, marker)) {
            *at = found + MARKER_LEN;
            return true;
        }
        found++;
    }
    return false;
}
