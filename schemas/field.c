#include "schemas/field.h"

#include "common/clock.h"

#include <google/protobuf/timestamp.pb-c.h>

static bool seen_bit(const struct yz_seen *seen, size_t at)
{
    return (seen->bits[at / 64] >> (at % 64)) & 1;
}

enum yz_err yz_field_once(struct yz_seen *seen, const ProtobufCMessageDescriptor *desc,
                          const ProtobufCFieldDescriptor *field, const struct yz_path *path,
                          struct yz_violation *v)
{
    size_t at = (size_t)(field - desc->fields);

    if (at >= YZ_FIELDS_MAX)
        return yz_path_violate(path, v, YZ_INTERNAL, NULL);
    if (seen_bit(seen, at))
        return yz_path_violate(path, v, YZ_INVALID_VALUE, "The field stands twice.");
    for (size_t i = 0; yz_field_in_oneof(field) && i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &desc->fields[i];

        if (yz_field_in_oneof(other) && other->quantifier_offset == field->quantifier_offset &&
            seen_bit(seen, i))
            return yz_path_violate(path, v, YZ_INVALID_VALUE,
                                   "Only one field of this group may be set.");
    }
    seen->bits[at / 64] |= (uint64_t)1 << (at % 64);
    return YZ_OK;
}

size_t yz_field_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    }
    return 0;
}

const ProtobufCFieldDescriptor *yz_field_payload(const ProtobufCMessageDescriptor *desc)
{
    const ProtobufCFieldDescriptor *payload, *type;

    payload = protobuf_c_message_descriptor_get_field_by_name(desc, "payload");
    if (!payload || payload->type != PROTOBUF_C_TYPE_BYTES || yz_field_repeated(payload))
        return NULL;
    type = protobuf_c_message_descriptor_get_field_by_name(desc, "type");
    if (!type || type->type != PROTOBUF_C_TYPE_STRING || yz_field_repeated(type))
        return NULL;
    return payload;
}

bool yz_field_is_timestamp(const ProtobufCMessageDescriptor *desc)
{
    return desc == &google__protobuf__timestamp__descriptor;
}

bool yz_field_timestamp_valid(int64_t seconds, int64_t nanos)
{
    char text[YZ_RFC3339_MAX];

    return nanos >= 0 && nanos <= 999999999 && yz_clock_format(seconds, (int32_t)nanos, text);
}
