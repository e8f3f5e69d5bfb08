/* message_checks.h: what must hold of every message that a decoder let in, and of every refusal.
 *
 * Lifetime  messages are borrowed.
 * Thread    one.
 * Limits    MESSAGE_CHARS_MAX and MESSAGE_ENTRIES_MAX are the largest text and the longest list
 * that any contract allows.
 */
#ifndef MESSAGE_CHECKS_H
#define MESSAGE_CHECKS_H

#include "schemas/codec.h"

#define MESSAGE_CHARS_MAX   10000
#define MESSAGE_ENTRIES_MAX 5000

/* Its protobuf and its JSON decode into the same message again, and are the same bytes when they
 * are made again. A payload inside that its type cannot resolve to the very same bytes has no such
 * JSON: then only the protobuf is judged. */
void message_returns(const ProtobufCMessage *message, yz_resolve_fn *resolve);
/* Passed by its contract: no text, list or enum in it is beyond what any contract allows. */
void message_within_limits(const ProtobufCMessage *message);
/* What a refusal must look like: a stable error, and a field and a text that can go to a client. */
void message_refusal(enum yz_err err, const struct yz_violation *v);

/* Canonical bytes; the buffer is the caller's. */
void message_encode(const ProtobufCMessage *message, struct yz_buf *buf);
void message_same(const struct yz_buf *a, const struct yz_buf *b);

#endif
