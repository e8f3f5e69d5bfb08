/* wire.h: the client protocol (schemas/PROTOCOL.md) for load: frames written and read without a
 * codec's cost.
 *
 * Written by hand on purpose: what the gateway's own codec gets wrong must show. Reading finds the
 * items of a server message and the few fields that a measurement needs; payloads stay bytes.
 *
 * Lifetime  none: everything goes into the caller's buffers or points into the message. Thread any.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_encoding { WIRE_PROTOBUF, WIRE_JSON };

/* "protobuf" or "json"; ends the program at another word. */
enum wire_encoding wire_encoding_of(const char *name);
/* The WebSocket subprotocol. */
const char *wire_protocol(enum wire_encoding encoding);

struct wire_channel {
    const char *channel;
    const char *epoch; /* NULL: no since */
    uint64_t offset;
};

/* Each gives the frame's length; the program ends when size is too small. */
size_t wire_hello(enum wire_encoding encoding, uint32_t id, const char *token,
                  const struct wire_channel *channels, size_t count, char *out, size_t size);
/* payload: protobuf bytes, or a JSON object's text. */
size_t wire_emit(enum wire_encoding encoding, uint32_t id, const char *event_id, const char *type,
                 const void *payload, size_t len, char *out, size_t size);
size_t wire_ping(enum wire_encoding encoding, uint32_t id, char *out, size_t size);

enum wire_kind {
    WIRE_ERROR,
    WIRE_WELCOME,
    WIRE_SUBSCRIBED,
    WIRE_UNSUBSCRIBED,
    WIRE_ACCEPTED,
    WIRE_RESULT,
    WIRE_PONG,
    WIRE_PUSH,
    WIRE_CLOSING,
};

struct wire_item {
    enum wire_kind kind;
    uint32_t id;       /* of a reply */
    uint64_t sequence; /* accepted: the event's; push: the offset (0: a value); closing: the close
                          code */
    bool duplicate;    /* accepted */
    const char *code;  /* error, closing; not terminated */
    size_t code_len;
    /* welcome, subscribed: channels joined, refused, recovered; pushes that follow */
    uint32_t joined, refused, recovered, missed;
    const uint8_t *body; /* the whole item's bytes, for who wants more */
    size_t len;
};

/* Calls on_item for each item of a server message. false: it could not be read. */
bool wire_each(enum wire_encoding encoding, const uint8_t *data, size_t len,
               void (*on_item)(const struct wire_item *item, void *user), void *user);

/* Base-128 varint at *at; false when it does not end before `end`. */
bool wire_varint(const uint8_t **at, const uint8_t *end, uint64_t *value);
/* Next field of a protobuf message: number, and its varint or its bytes. false at the end, and
 * (with *bad) when broken. */
struct wire_field {
    unsigned number;
    uint64_t value;
    const uint8_t *data; /* NULL: a varint */
    size_t len;
};
bool wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *field, bool *bad);

#endif
