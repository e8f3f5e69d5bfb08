/* outbox.h: what waits to be written to one client, in order: replies (own bytes) and pushes
 * (references).
 *
 * Lifetime  a plain struct inside its session; gw_outbox_deinit drops what is left.
 * Thread    loop.
 * Limits    none of its own: bytes() is what the session compares with session_backlog_max_bytes
 *           after each addition.
 */
#ifndef GW_OUTBOX_H
#define GW_OUTBOX_H

#include "gateway/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_piece;

/* A ring of pieces. */
struct gw_outbox {
    struct gw_piece *pieces;
    size_t first, count, cap;
    size_t bytes;
};

/* Take a reference to msg; false when memory ran out (nothing was added). */
bool gw_outbox_push(struct gw_outbox *outbox, enum gw_encoding encoding, struct gw_message *msg);
/* bytes (malloc'ed) is taken in all cases. */
bool gw_outbox_reply(struct gw_outbox *outbox, uint8_t *bytes, size_t len);
/* Bytes of the oldest piece, 0 when there is none. */
size_t gw_outbox_next(const struct gw_outbox *outbox);
/* Move the oldest pieces into `to` (room bytes), as many whole ones as fit; returns the bytes
 * moved. */
size_t gw_outbox_take(struct gw_outbox *outbox, enum gw_encoding encoding, uint8_t *to,
                      size_t room);
void gw_outbox_clear(struct gw_outbox *outbox);
void gw_outbox_deinit(struct gw_outbox *outbox);

#endif
