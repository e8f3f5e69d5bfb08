/* codec.h: bytes from outside to messages and back: protobuf and its proto3 JSON mapping, generic
 * over protobuf-c's descriptors.
 *
 * Lifetime  decoded messages live in the arena they were decoded into, until yz_arena_reset or
 * _deinit; never call protobuf_c_message_free_unpacked on them. Thread    any; an arena belongs to
 * one thread at a time. Limits    input up to the caller's maximum (checked before); arena
 * max_bytes; depth YZ_DEPTH_MAX; a message that does not fit is refused with YZ_FRAME_TOO_LARGE,
 * never cut. Nothing recurses over input before its depth is known.
 *
 * Unknown fields are refused in both encodings: what is accepted is never silently less than what
 * was sent. JSON follows https://protobuf.dev/programming-guides/json/: lowerCamelCase out, both
 * spellings in, int64 as string, enums by name, bytes base64, Timestamp RFC 3339, null = absent.
 * One addition: a bytes field `payload` beside a string field `type` is, in JSON, the object of the
 * message that the type names (as google.protobuf.Any would be); which message that is the caller's
 * resolver says.
 */
#ifndef YZ_CODEC_H
#define YZ_CODEC_H

#include "common/err.h"
#include "schemas/arena.h"
#include "schemas/buf.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages in messages (protobuf), and brackets in brackets (JSON). */
#define YZ_DEPTH_MAX 16

/* Protobuf bytes to a message. Refuses truncated input, wrong wire types, unknown fields (v->field
 * is "emit.#17"), invalid UTF-8 and NUL in strings, integers outside their field's range, a
 * Timestamp outside the years 1 to 9999, a single field or a oneof that stands twice, depth. On an
 * error *message is NULL, in yz_json_decode too. */
YZ_MUST_USE enum yz_err yz_pb_decode(const ProtobufCMessageDescriptor *desc, const void *data,
                                     size_t len, struct yz_arena *arena, ProtobufCMessage **message,
                                     struct yz_violation *v);
/* Whether yz_pb_decode would take the bytes, without decoding them: no memory is used. */
YZ_MUST_USE enum yz_err yz_pb_check(const ProtobufCMessageDescriptor *desc, const void *data,
                                    size_t len, struct yz_violation *v);
/* The frame's id (its field 1) as far as it can be told from bytes that did not decode, for the
 * error's reply; else 0. */
uint32_t yz_pb_frame_id(const void *data, size_t len);
uint32_t yz_json_frame_id(const char *text, size_t len);

/* Append the canonical encoding (protobuf-c's: by field number, defaults left out) to buf. */
YZ_MUST_USE enum yz_err yz_pb_encode(const ProtobufCMessage *message, struct yz_buf *buf);

/* Descriptor of the payload of a message of `container` whose type is `type`; NULL: unknown. E.g.
 * container Emit: event types; Query: requests; QueryResult: replies; Push: pushes.
 * yz_payload_resolve is the system's own. */
typedef const ProtobufCMessageDescriptor *yz_resolve_fn(const ProtobufCMessageDescriptor *container,
                                                        const char *type);
yz_resolve_fn yz_payload_resolve;

/* JSON text to a message; payloads are resolved and stored as their protobuf encoding. Where a
 * payload's type is unknown: YZ_UNKNOWN_TYPE with field "<path>.type"; missing: YZ_MISSING_FIELD.
 * resolve NULL: no payloads here, such a field is plain base64. */
YZ_MUST_USE enum yz_err yz_json_decode(const ProtobufCMessageDescriptor *desc, const char *text,
                                       size_t len, yz_resolve_fn *resolve, struct yz_arena *arena,
                                       ProtobufCMessage **message, struct yz_violation *v);
/* Append the message's JSON to buf, in one line without a newline. A payload that cannot be
 * resolved or decoded is written as its base64 string. Default values are left out, as proto3 JSON
 * allows. On an error (the maximum, or a message that has no JSON: invalid UTF-8, a Timestamp out
 * of range) buf is as long as before. */
YZ_MUST_USE enum yz_err yz_json_encode(const ProtobufCMessage *message, yz_resolve_fn *resolve,
                                       struct yz_buf *buf);

/* Name=value pairs of a URL query (already percent-decoded) to a request message: values as in JSON
 * strings, true and false for bool; a name that stands several times is a repeated field. Fields
 * that are messages (save Timestamp) cannot be given. */
struct yz_pair {
    const char *name, *value;
};
YZ_MUST_USE enum yz_err yz_pairs_decode(const ProtobufCMessageDescriptor *desc,
                                        const struct yz_pair *pairs, size_t count,
                                        struct yz_arena *arena, ProtobufCMessage **message,
                                        struct yz_violation *v);

#endif
