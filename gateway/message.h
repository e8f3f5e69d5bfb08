/* message.h: a push on its way to many sessions: encoded once per encoding, counted references.
 *
 * Lifetime  gw_message_new gives one reference; the last gw_message_unref frees.
 * Thread    loop.
 * Limits    the size of a bus message (1 MB).
 */
#ifndef GW_MESSAGE_H
#define GW_MESSAGE_H

#include "common/envelope.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The two WebSocket subprotocols. */
enum gw_encoding { GW_PROTOBUF, GW_JSON, GW_ENCODINGS };

struct gw_message;

/* From a bus message's body (an encoded Push without channel and offset, copied). name: of a value,
 * else "". roles and exclude: the headers' lists, or "". YZ_BAD_FRAME when the body is no Push. */
YZ_MUST_USE enum yz_err gw_message_new(const char *channel, uint64_t offset, const char *name,
                                       const void *body, size_t len, const char *roles,
                                       const char *exclude, struct gw_message **msg);
struct gw_message *gw_message_ref(struct gw_message *msg);
void gw_message_unref(struct gw_message *msg);

uint64_t gw_message_offset(const struct gw_message *msg); /* 0: a value */
/* When the broker stored it, by its clock, in microseconds; 0: nobody said. */
void gw_message_set_stored_us(struct gw_message *msg, int64_t stored_us);
int64_t gw_message_stored_us(const struct gw_message *msg);
/* Bytes it occupies now. */
size_t gw_message_size(const struct gw_message *msg);
/* Not everybody in its channel may see it: gw_message_visible decides. */
bool gw_message_restricted(const struct gw_message *msg);
/* The session's actor may see it (roles over org_path, exclude). org_path is "" for a member's
 * channel. */
bool gw_message_visible(const struct gw_message *msg, const struct yz_actor *actor,
                        const char *org_path);
/* A whole encoded ServerFrame with this one item (JSON: with a newline behind it), made at first
 * use; frames of one encoding may be concatenated. NULL when memory runs out. */
const uint8_t *gw_message_frame(struct gw_message *msg, enum gw_encoding encoding, size_t *len);

#endif
