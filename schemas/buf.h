/* buf.h: a growing byte buffer with a maximum.
 *
 * Lifetime  yz_buf_init takes no memory; _deinit gives back what the appends took.
 * Thread    any; a buffer belongs to one thread at a time.
 * Limits    max bytes. Appending beyond it, or out of memory, sets `failed` and changes nothing
 *           more: so a row of appends is checked once, behind it.
 */
#ifndef YZ_BUF_H
#define YZ_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct yz_buf {
    uint8_t *data; /* NULL while nothing was appended */
    size_t len, cap, max;
    bool failed;
};

void yz_buf_init(struct yz_buf *buf, size_t max);
void yz_buf_append(struct yz_buf *buf, const void *data, size_t len);
/* Room for len more bytes, counted as appended, for the caller to write; NULL (and failed) when it
 * does not fit. */
uint8_t *yz_buf_extend(struct yz_buf *buf, size_t len);
void yz_buf_deinit(struct yz_buf *buf);

#endif
