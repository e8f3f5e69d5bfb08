/* frame.h: client frames to plain structs, and plain values to encoded server frames, in both
 * encodings. The only file of the gateway, beside message.c, that knows the generated messages of
 * client.proto.
 *
 * Lifetime  a decoded frame lives in the arena it was decoded into. Encoders append to the caller's
 *           buffer.
 * Thread    loop.
 * Limits    the arena's and the buffer's maxima; a buffer that is full or out of memory has
 *           `failed` set.
 *
 * Every encoder appends one whole ServerFrame with one item (JSON: with a newline behind it), so
 * that frames can be concatenated.
 */
#ifndef GW_FRAME_H
#define GW_FRAME_H

#include "common/err.h"
#include "gateway/channel.h"
#include "gateway/message.h"
#include "schemas/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_frame_kind {
    GW_HELLO,
    GW_SUBSCRIBE,
    GW_UNSUBSCRIBE,
    GW_EMIT,
    GW_QUERY,
    GW_PING,
    GW_SIGNAL,
};

struct gw_wish {
    const char *channel;
    struct gw_since since;
};

struct gw_address;

struct gw_emit {
    const char *event_id;
    const char *type;
    const void *payload; /* protobuf, whatever the encoding of the frame */
    size_t len;
    int64_t occurred_at_ms;        /* 0: not given */
    const struct gw_address *from; /* not of the frame: for limits; NULL: not known */
};

struct gw_ask {
    const char *type;
    const void *payload;
    size_t len;
    uint64_t min_sequence;
    const struct gw_address *from; /* as above */
};

/* kind: a value of SignalKind, known. */
struct gw_sign {
    const char *channel;
    int kind;
};

struct gw_frame {
    uint32_t id;
    enum gw_frame_kind kind;
    const char *token;            /* hello */
    const struct gw_wish *wishes; /* hello: count of them; subscribe and unsubscribe: one */
    size_t count;
    struct gw_emit emit;
    struct gw_ask ask;
    struct gw_sign sign;
};

/* v->field is relative to the frame's body ("payload.title" of an emit). frame->id is set even when
 * the rest cannot be decoded, as far as it can be found; else 0. */
YZ_MUST_USE enum yz_err gw_frame_decode(enum gw_encoding encoding, const void *data, size_t len,
                                        struct yz_arena *arena, struct gw_frame *frame,
                                        struct yz_violation *v);
/* Only the id, for a frame that is refused unread; 0 when there is none. */
uint32_t gw_frame_id(enum gw_encoding encoding, const void *data, size_t len);
/* The JSON body of POST /v1/events: a message Emit. */
YZ_MUST_USE enum yz_err gw_frame_decode_emit(const char *text, size_t len, struct yz_arena *arena,
                                             struct gw_emit *emit, struct yz_violation *v);

/* One subscription's answer: err YZ_OK with epoch to missed, else v. */
struct gw_subscribed {
    const char *channel;
    const char *epoch;
    uint64_t offset;
    bool recovered;
    uint32_t missed;
    struct yz_violation v;
};

struct gw_welcome {
    char session[24];
    const char *member, *tenant;
    int64_t now_ms, expires_at_ms;
    uint32_t ping_interval_ms, max_frame_bytes, reconnect_max_ms;
    const struct gw_subscribed *subscribed;
    size_t count;
};

void gw_frame_error(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                    const struct yz_violation *v, uint32_t retry_after_ms);
void gw_frame_welcome(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                      const struct gw_welcome *welcome);
void gw_frame_subscribed(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                         const struct gw_subscribed *subscribed);
void gw_frame_unsubscribed(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                           const char *channel);
void gw_frame_accepted(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id,
                       const char *event_id, uint64_t sequence, bool duplicate);
void gw_frame_answer(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id, const char *type,
                     const void *payload, size_t len);
void gw_frame_pong(struct yz_buf *buf, enum gw_encoding encoding, uint32_t id, int64_t now_ms);
void gw_frame_signal(struct yz_buf *buf, enum gw_encoding encoding, const char *channel,
                     const char *member, int kind);
void gw_frame_closing(struct yz_buf *buf, enum gw_encoding encoding, enum yz_close close,
                      uint32_t reconnect_max_ms);

#endif
