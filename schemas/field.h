/* field.h: what both codecs need to know of a field that protobuf-c's descriptors tell only in a
 * roundabout way.
 *
 * Lifetime  none.
 * Thread    any.
 * Limits    YZ_FIELDS_MAX fields in a message.
 */
#ifndef YZ_FIELD_H
#define YZ_FIELD_H

#include "schemas/path.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define YZ_FIELDS_MAX 256

/* Which fields of one message were met. */
struct yz_seen {
    uint64_t bits[YZ_FIELDS_MAX / 64];
};

/* Note a field that cannot be repeated; refused when it, or another member of its oneof, was met
 * before. path names it. */
YZ_MUST_USE enum yz_err yz_field_once(struct yz_seen *seen, const ProtobufCMessageDescriptor *desc,
                                      const ProtobufCFieldDescriptor *field,
                                      const struct yz_path *path, struct yz_violation *v);
/* Bytes of one value of the field in its message's struct. */
size_t yz_field_size(ProtobufCType type);

static inline bool yz_field_repeated(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static inline bool yz_field_in_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* The payload field of desc (bytes `payload` beside a string `type`), NULL when it has none. */
const ProtobufCFieldDescriptor *yz_field_payload(const ProtobufCMessageDescriptor *desc);

bool yz_field_is_timestamp(const ProtobufCMessageDescriptor *desc);
/* The seconds and nanos are those of a time in the years 1 to 9999. */
bool yz_field_timestamp_valid(int64_t seconds, int64_t nanos);

#endif
