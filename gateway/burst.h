/* burst.h: the live pushes and values of one channel that came in one turn of the loop. What they
 * are to a client is one WebSocket message, made once for each encoding and shared by all sessions
 * that have nothing else waiting.
 *
 * Lifetime  gw_burst_new until gw_burst_free; it holds a reference to each message. A wire lives
 *           until the burst is emptied.
 * Thread    loop.
 * Limits    BURST_MAX messages of BURST_BYTES_MAX bytes; a wire of BURST_BYTES_MAX bytes (there is
 *           none of a burst that is larger in that encoding).
 */
#ifndef GW_BURST_H
#define GW_BURST_H

#include "gateway/message.h"
#include "schemas/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define BURST_MAX       128
#define BURST_BYTES_MAX 65535
#define GW_CACHE_LINE   64

struct gw_channel;

/* A whole WebSocket message of a server (RFC 6455, section 5.2): one unmasked frame of at most
 * BURST_BYTES_MAX bytes. */
struct gw_wire {
    const uint8_t *bytes; /* NULL: not made, or it cannot be */
    size_t len, payload_len;
};

/* A structure of which at most one cache line is needed, wherever it begins. */
static inline void gw_prefetch(const void *structure)
{
    __builtin_prefetch(structure);
    __builtin_prefetch((const char *)structure + GW_CACHE_LINE - 1);
}

struct gw_burst {
    TAILQ_ENTRY(gw_burst) entry; /* in a list of its channels' */
    struct gw_channel *channel;
    struct gw_message *messages[BURST_MAX];
    size_t count, bytes;  /* bytes: as protobuf */
    uint64_t first, last; /* offsets; 0: only values */
    bool restricted;      /* not everybody may see all of them */
    bool held;            /* gathered over several turns, until due_mono_ms */
    int64_t due_mono_ms;
    bool tried[GW_ENCODINGS];
    struct gw_wire wires[GW_ENCODINGS];
    struct yz_buf buffers[GW_ENCODINGS];
};

/* In two steps, with one or more encoded frames appended between them. buf->failed: it was too
 * much.
 */
void gw_wire_begin(struct yz_buf *buf);
void gw_wire_end(struct yz_buf *buf, enum gw_encoding encoding, struct gw_wire *wire);
static inline const uint8_t *gw_wire_payload(const struct gw_wire *wire)
{
    return wire->bytes + (wire->len - wire->payload_len);
}

/* NULL: out of memory. */
struct gw_burst *gw_burst_new(void);
void gw_burst_free(struct gw_burst *burst);
/* Drop the messages; their buffers stay. */
void gw_burst_empty(struct gw_burst *burst);
/* A reference is taken. false: it is full. */
bool gw_burst_add(struct gw_burst *burst, struct gw_message *msg);
/* All of them in order. NULL: too large for one, or no memory; hand on each message by itself. */
const struct gw_wire *gw_burst_wire(struct gw_burst *burst, enum gw_encoding encoding);

#endif
