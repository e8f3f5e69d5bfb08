#include "gateway/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 4
#define KEEP_CAP  64 /* an empty ring larger than this is given back */

/* Either a reference to a push, or a reply's own bytes. */
struct gw_piece {
    struct gw_message *msg;
    uint8_t *bytes;
    size_t len;
};

static bool grow(struct gw_outbox *outbox)
{
    size_t cap = outbox->cap ? outbox->cap * 2 : FIRST_CAP;
    struct gw_piece *pieces;

    assert(outbox->count <= outbox->cap);
    if (outbox->count < outbox->cap)
        return true;
    pieces = malloc(cap * sizeof *pieces);
    if (!pieces)
        return false;
    for (size_t i = 0; i < outbox->count; i++)
        pieces[i] = outbox->pieces[(outbox->first + i) % outbox->cap];
    free(outbox->pieces);
    outbox->pieces = pieces;
    outbox->first = 0;
    outbox->cap = cap;
    return true;
}

static void append(struct gw_outbox *outbox, struct gw_piece piece)
{
    outbox->pieces[(outbox->first + outbox->count) % outbox->cap] = piece;
    outbox->count++;
    outbox->bytes += piece.len;
}

bool gw_outbox_push(struct gw_outbox *outbox, enum gw_encoding encoding, struct gw_message *msg)
{
    size_t len;

    if (!gw_message_frame(msg, encoding, &len) || !grow(outbox))
        return false;
    append(outbox, (struct gw_piece){.msg = gw_message_ref(msg), .len = len});
    return true;
}

bool gw_outbox_reply(struct gw_outbox *outbox, uint8_t *bytes, size_t len)
{
    if (!grow(outbox)) {
        free(bytes);
        return false;
    }
    append(outbox, (struct gw_piece){.bytes = bytes, .len = len});
    return true;
}

size_t gw_outbox_next(const struct gw_outbox *outbox)
{
    return outbox->count ? outbox->pieces[outbox->first].len : 0;
}

static void drop_first(struct gw_outbox *outbox)
{
    struct gw_piece *piece = &outbox->pieces[outbox->first];

    outbox->bytes -= piece->len;
    if (piece->msg)
        gw_message_unref(piece->msg);
    free(piece->bytes);
    outbox->first = (outbox->first + 1) % outbox->cap;
    outbox->count--;
    if (outbox->count == 0 && outbox->cap > KEEP_CAP)
        gw_outbox_deinit(outbox);
}

size_t gw_outbox_take(struct gw_outbox *outbox, enum gw_encoding encoding, uint8_t *to, size_t room)
{
    size_t used = 0;

    while (outbox->count > 0) {
        const struct gw_piece *piece = &outbox->pieces[outbox->first];
        size_t len = piece->len;
        const uint8_t *bytes =
            piece->msg ? gw_message_frame(piece->msg, encoding, &len) : piece->bytes;

        if (used + len > room)
            break;
        memcpy(to + used, bytes, len);
        used += len;
        drop_first(outbox);
    }
    return used;
}

void gw_outbox_clear(struct gw_outbox *outbox)
{
    while (outbox->count > 0)
        drop_first(outbox);
}

void gw_outbox_deinit(struct gw_outbox *outbox)
{
    gw_outbox_clear(outbox);
    free(outbox->pieces);
    memset(outbox, 0, sizeof *outbox);
}
