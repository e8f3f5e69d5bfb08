/* codec.h: bytes from outside to messages and back: protobuf and its proto3 JSON mapping, generic over
 * protobuf-c's descriptors.
 *
 * Lifetime  decoded messages live in the arena they were decoded into, until yz_arena_reset or _deinit; never call
 *           protobuf_c_message_free_unpacked on them.
 * Thread    any; an arena belongs to one thread at a time.
 * Limits    input up to the caller's maximum (checked before); arena max_bytes; depth YZ_DEPTH_MAX; a message that
 *           does not fit is refused with YZ_FRAME_TOO_LARGE, never cut.
 *
 * Unknown fields are refused in both encodings: what is accepted is never silently less than what was sent.
 * JSON follows https://protobuf.dev/programming-guides/json/: lowerCamelCase out, both spellings in, int64 as
 * string, enums by name, bytes base64, Timestamp RFC 3339, null = absent. One addition: a bytes field
 * `payload` beside a string field `type` is, in JSON, the object of the message that the type names (as
 * google.protobuf.Any would be); which message that is the caller's resolver says.
 */
#ifndef YZ_CODEC_H
#define YZ_CODEC_H

#include "common/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YZ_DEPTH_MAX 16

/* Bump allocator for one decoded message: a chunk kept for reuse, more chunks up to max_bytes. */
struct yz_arena {
    ProtobufCAllocator allocator; /* hand this to protobuf-c */
    struct yz_arena_chunk *chunks;
    size_t used_bytes, max_bytes;
};
void yz_arena_init(struct yz_arena *arena, size_t max_bytes);
/* 8-byte aligned, zeroed; NULL when max_bytes is reached or memory runs out. */
void *yz_arena_alloc(struct yz_arena *arena, size_t size);
/* Forget everything allocated; keeps the first chunk. */
void yz_arena_reset(struct yz_arena *arena);
void yz_arena_deinit(struct yz_arena *arena);

/* Growing byte buffer with a maximum. Appending beyond it, or out of memory, sets `failed` and changes nothing
 * more. */
struct yz_buf {
    uint8_t *data;
    size_t len, cap, max;
    bool failed;
};
void yz_buf_init(struct yz_buf *buf, size_t max);
void yz_buf_append(struct yz_buf *buf, const void *data, size_t len);
void yz_buf_deinit(struct yz_buf *buf);

/* Protobuf bytes to a message. Refuses truncated input, wrong wire types, unknown fields (v->field says "#17" or
 * the path), invalid UTF-8 in strings, depth. */
YZ_MUST_USE enum yz_err yz_pb_decode(const ProtobufCMessageDescriptor *desc, const void *data,
                                     size_t len, struct yz_arena *arena, ProtobufCMessage **message,
                                     struct yz_violation *v);
/* Append the canonical encoding (protobuf-c's) to buf. */
YZ_MUST_USE enum yz_err yz_pb_encode(const ProtobufCMessage *message, struct yz_buf *buf);

/* Descriptor of the payload of a message of `container` whose type is `type`; NULL: unknown. E.g. container Emit:
 * event types; Query: requests; QueryResult: replies; Push: pushes. yz_payload_resolve is the system's own. */
typedef const ProtobufCMessageDescriptor *
yz_resolve_fn(const ProtobufCMessageDescriptor *container, const char *type);
yz_resolve_fn yz_payload_resolve;

/* JSON text to a message; payloads are resolved and stored as their protobuf encoding. Where a payload's type is
 * unknown: YZ_UNKNOWN_TYPE with field "<path>.type". */
YZ_MUST_USE enum yz_err yz_json_decode(const ProtobufCMessageDescriptor *desc, const char *text,
                                       size_t len, yz_resolve_fn *resolve, struct yz_arena *arena,
                                       ProtobufCMessage **message, struct yz_violation *v);
/* Append the message's JSON to buf, in one line without a newline. A payload that cannot be resolved or decoded
 * is written as its base64 string. Default values are left out, as proto3 JSON allows. */
YZ_MUST_USE enum yz_err yz_json_encode(const ProtobufCMessage *message, yz_resolve_fn *resolve,
                                       struct yz_buf *buf);

/* Name=value pairs of a URL query (already percent-decoded) to a flat request message. */
struct yz_pair {
    const char *name, *value;
};
YZ_MUST_USE enum yz_err yz_pairs_decode(const ProtobufCMessageDescriptor *desc,
                                        const struct yz_pair *pairs, size_t count,
                                        struct yz_arena *arena, ProtobufCMessage **message,
                                        struct yz_violation *v);

#endif
