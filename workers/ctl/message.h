/* message.h: payloads and errors as text: JSON to a domain's message and its bytes, and back.
 *
 * Lifetime  a ctl_payload from ctl_payload_init to _deinit; what it decodes lives as long.
 * Thread    main.
 * Limits    CTL_PAYLOAD_MAX bytes encoded.
 */
#ifndef CTL_MESSAGE_H
#define CTL_MESSAGE_H

#include "schemas/codec.h"
#include "workers/ctl/command.h"

#include <jansson.h>

#define CTL_PAYLOAD_MAX (1 << 20)

struct ctl_payload {
    struct yz_arena arena;
    ProtobufCMessage *message;
    struct yz_buf bytes;
};

void ctl_payload_init(struct ctl_payload *payload);
void ctl_payload_deinit(struct ctl_payload *payload);
/* JSON to message. */
YZ_MUST_USE enum yz_err ctl_payload_read(struct ctl_payload *payload,
                                         const ProtobufCMessageDescriptor *desc, const char *json,
                                         struct yz_violation *v);
/* The message's canonical bytes into bytes. */
YZ_MUST_USE enum yz_err ctl_payload_encode(struct ctl_payload *payload, struct yz_violation *v);

/* Bytes of a message as a JSON object; its base64 string when it cannot be decoded (desc may be
 * NULL: unknown). NULL: out of memory. */
json_t *ctl_message_json(const ProtobufCMessageDescriptor *desc, const void *data, size_t len);

/* Print why something was refused, with its field; returns CTL_FAILED. */
enum ctl_exit ctl_refused(const struct ctl *ctl, const struct yz_violation *v);

#endif
