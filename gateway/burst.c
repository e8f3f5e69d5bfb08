#include "gateway/burst.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_MAX  4 /* of a frame of BURST_BYTES_MAX bytes */
#define FIN       0x80
#define TEXT      0x1
#define BINARY    0x2
#define SHORT_MAX 125
#define LEN_16    126 /* two bytes of length follow */

struct gw_burst *gw_burst_new(void)
{
    struct gw_burst *burst = calloc(1, sizeof *burst);

    for (size_t i = 0; burst && i < GW_ENCODINGS; i++)
        yz_buf_init(&burst->buffers[i], HEAD_MAX + BURST_BYTES_MAX);
    return burst;
}

void gw_burst_empty(struct gw_burst *burst)
{
    for (size_t i = 0; i < burst->count; i++)
        gw_message_unref(burst->messages[i]);
    burst->count = burst->bytes = 0;
    burst->first = burst->last = 0;
    burst->restricted = burst->held = false;
    memset(burst->tried, 0, sizeof burst->tried);
    memset(burst->wires, 0, sizeof burst->wires);
}

void gw_burst_free(struct gw_burst *burst)
{
    if (!burst)
        return;
    gw_burst_empty(burst);
    for (size_t i = 0; i < GW_ENCODINGS; i++)
        yz_buf_deinit(&burst->buffers[i]);
    free(burst);
}

bool gw_burst_add(struct gw_burst *burst, struct gw_message *msg)
{
    uint64_t offset = gw_message_offset(msg);
    size_t len;

    (void)gw_message_frame(msg, GW_PROTOBUF, &len); /* there from the beginning */
    if (burst->count == BURST_MAX || (burst->count > 0 && burst->bytes + len > BURST_BYTES_MAX))
        return false;
    burst->messages[burst->count++] = gw_message_ref(msg);
    burst->bytes += len;
    burst->restricted |= gw_message_restricted(msg);
    if (offset && !burst->first)
        burst->first = offset;
    if (offset)
        burst->last = offset;
    return true;
}

/* The head stands right before the payload, wherever it has to begin for that. */
static void put_head(struct gw_wire *wire, uint8_t *payload, size_t len, enum gw_encoding encoding)
{
    size_t head_len = len > SHORT_MAX ? 4 : 2;
    uint8_t *head = payload - head_len;

    head[0] = (uint8_t)(FIN | (encoding == GW_PROTOBUF ? BINARY : TEXT));
    head[1] = (uint8_t)(len > SHORT_MAX ? LEN_16 : len);
    if (len > SHORT_MAX) {
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
    }
    *wire = (struct gw_wire){.bytes = head, .len = head_len + len, .payload_len = len};
}

void gw_wire_begin(struct yz_buf *buf)
{
    static const uint8_t room[HEAD_MAX];

    buf->len = 0;
    buf->failed = false;
    yz_buf_append(buf, room, sizeof room);
}

void gw_wire_end(struct yz_buf *buf, enum gw_encoding encoding, struct gw_wire *wire)
{
    if (!buf->failed)
        put_head(wire, buf->data + HEAD_MAX, buf->len - HEAD_MAX, encoding);
}

static void make_wire(struct gw_burst *burst, enum gw_encoding encoding)
{
    struct yz_buf *buf = &burst->buffers[encoding];

    gw_wire_begin(buf);
    for (size_t i = 0; i < burst->count && !buf->failed; i++) {
        size_t len;
        const uint8_t *frame = gw_message_frame(burst->messages[i], encoding, &len);

        if (!frame)
            return;
        yz_buf_append(buf, frame, len);
    }
    gw_wire_end(buf, encoding, &burst->wires[encoding]);
}

const struct gw_wire *gw_burst_wire(struct gw_burst *burst, enum gw_encoding encoding)
{
    if (!burst->tried[encoding])
        make_wire(burst, encoding);
    burst->tried[encoding] = true;
    return burst->wires[encoding].bytes ? &burst->wires[encoding] : NULL;
}
