/* marker.h: the number that every measured message carries, so that each delivery is checked:
 * "#TTTTTT.NNNNNNNNNN#", topic and number within the topic, from 0, in decimal digits, somewhere in
 * the message's text in any encoding.
 *
 * Lifetime  none. Thread    any.
 */
#ifndef BENCH_MARKER_H
#define BENCH_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKER_LEN 19

struct marker {
    uint32_t topic;
    uint64_t number;
};

/* Writes MARKER_LEN bytes. */
void marker_write(uint8_t *out, const struct marker *marker);
/* The first marker at or behind *at; *at is put behind it. false: there is none before `end`. */
bool marker_next(const uint8_t **at, const uint8_t *end, struct marker *marker);

#endif
