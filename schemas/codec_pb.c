/* Protobuf: protobuf-c decodes, but keeps unknown fields, takes any bytes as text, cuts integers to
 * their field and recurses without a bound. So scan() reads the bytes first, strictly and with the
 * depth counted, and what passes is unpacked. */
#include "schemas/codec.h"

#include "common/memory.h"
#include "schemas/field.h"
#include "schemas/text.h"

#include <stdio.h>
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct bytes {
    const uint8_t *at, *end;
};

/* The times of a Timestamp as they are met. */
struct time_parts {
    int64_t seconds, nanos;
};

static bool take_varint(struct bytes *in, unsigned max_bytes, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < max_bytes && in->at < in->end; i++) {
        uint8_t byte = *in->at++;

        if (i == 9 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_tag(struct bytes *in, uint32_t *number, enum wire *wire)
{
    uint64_t tag;

    if (!take_varint(in, 5, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    *number = (uint32_t)(tag >> 3);
    *wire = (enum wire)(tag & 7);
    return true;
}

static bool take_bytes(struct bytes *in, struct bytes *part)
{
    uint64_t len;

    if (!take_varint(in, 5, &len) || len > (uint64_t)(in->end - in->at))
        return false;
    *part = (struct bytes){in->at, in->at + len};
    in->at += len;
    return true;
}

static bool take_fixed(struct bytes *in, size_t len)
{
    if ((size_t)(in->end - in->at) < len)
        return false;
    in->at += len;
    return true;
}

static bool skip_value(struct bytes *in, enum wire wire)
{
    struct bytes part;
    uint64_t number;

    switch (wire) {
    case WIRE_VARINT:
        return take_varint(in, 10, &number);
    case WIRE_64:
        return take_fixed(in, 8);
    case WIRE_BYTES:
        return take_bytes(in, &part);
    case WIRE_32:
        return take_fixed(in, 4);
    }
    return false;
}

static enum wire wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* The varint is a value of the type; protobuf-c would cut it to the type's size. */
static bool in_range(ProtobufCType type, uint64_t value)
{
    int64_t as_signed = (int64_t)value;

    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        return as_signed >= INT32_MIN && as_signed <= INT32_MAX;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return value <= UINT32_MAX;
    case PROTOBUF_C_TYPE_BOOL:
        return value <= 1;
    default:
        return true;
    }
}

static enum yz_err truncated(const struct yz_path *path, struct yz_violation *v)
{
    return yz_path_violate(path, v, YZ_BAD_FRAME, "The protobuf bytes are cut off or malformed.");
}

static enum yz_err scan_number(struct bytes *in, ProtobufCType type, const struct yz_path *path,
                               uint64_t *value, struct yz_violation *v)
{
    *value = 0;
    if (wire_of(type) != WIRE_VARINT)
        return skip_value(in, wire_of(type)) ? YZ_OK : truncated(path, v);
    if (!take_varint(in, 10, value))
        return truncated(path, v);
    return in_range(type, *value) ? YZ_OK
                                  : yz_path_violate(path, v, YZ_WRONG_TYPE,
                                                    "The number is outside the field's range.");
}

static enum yz_err scan(struct bytes in, const ProtobufCMessageDescriptor *desc, int depth,
                        const struct yz_path *outer, struct yz_violation *v);

/* A value with a length: text, bytes, a message, or packed numbers. */
static enum yz_err scan_part(struct bytes part, const ProtobufCFieldDescriptor *field, int depth,
                             const struct yz_path *path, struct yz_violation *v)
{
    enum yz_err err = YZ_OK;
    uint64_t value;

    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return scan(part, field->descriptor, depth + 1, path, v);
    case PROTOBUF_C_TYPE_STRING:
        return yz_text_valid(part.at, (size_t)(part.end - part.at))
                   ? YZ_OK
                   : yz_path_violate(path, v, YZ_INVALID_UTF8, NULL);
    case PROTOBUF_C_TYPE_BYTES:
        return YZ_OK;
    default:
        while (!err && part.at < part.end)
            err = scan_number(&part, field->type, path, &value, v);
        return err;
    }
}

static enum yz_err scan_field(struct bytes *in, enum wire wire,
                              const ProtobufCFieldDescriptor *field, int depth,
                              const struct yz_path *path, struct time_parts *time,
                              struct yz_violation *v)
{
    bool packed = wire == WIRE_BYTES && yz_field_repeated(field);
    struct bytes part;
    uint64_t value;
    enum yz_err err;

    if (wire != wire_of(field->type) && !packed)
        return yz_path_violate(path, v, YZ_WRONG_TYPE, NULL);
    if (wire == WIRE_BYTES)
        return take_bytes(in, &part) ? scan_part(part, field, depth, path, v) : truncated(path, v);
    err = scan_number(in, field->type, path, &value, v);
    *(field->id == 1 ? &time->seconds : &time->nanos) = (int64_t)value;
    return err;
}

static enum yz_err unknown_field(uint32_t number, const struct yz_path *outer,
                                 struct yz_violation *v)
{
    char name[16];
    struct yz_path path = {outer, name, YZ_PATH_OUTSIDE};

    snprintf(name, sizeof name, "#%u", number);
    return yz_path_violate(&path, v, YZ_UNKNOWN_FIELD, NULL);
}

/* Which element of a repeated field comes next; numbers may be packed, and are not told apart. */
static long next_index(uint16_t counts[YZ_FIELDS_MAX], const ProtobufCMessageDescriptor *desc,
                       const ProtobufCFieldDescriptor *field)
{
    size_t at = (size_t)(field - desc->fields);

    if (!yz_field_repeated(field) || wire_of(field->type) != WIRE_BYTES || at >= YZ_FIELDS_MAX)
        return YZ_PATH_FIELD;
    return counts[at] < UINT16_MAX ? counts[at]++ : YZ_PATH_FIELD;
}

static enum yz_err scan(struct bytes in, const ProtobufCMessageDescriptor *desc, int depth,
                        const struct yz_path *outer, struct yz_violation *v)
{
    uint16_t counts[YZ_FIELDS_MAX] = {0};
    struct yz_seen seen = {{0}};
    struct time_parts time = {0, 0};
    enum yz_err err;

    if (depth > YZ_DEPTH_MAX)
        return yz_path_violate(outer, v, YZ_TOO_DEEP, NULL);
    while (in.at < in.end) {
        const ProtobufCFieldDescriptor *field;
        uint32_t number;
        enum wire wire;

        if (!take_tag(&in, &number, &wire))
            return truncated(outer, v);
        field = protobuf_c_message_descriptor_get_field(desc, number);
        if (!field)
            return unknown_field(number, outer, v);
        struct yz_path path = {outer, field->name, next_index(counts, desc, field)};
        if ((!yz_field_repeated(field) && (err = yz_field_once(&seen, desc, field, &path, v))) ||
            (err = scan_field(&in, wire, field, depth, &path, &time, v)))
            return err;
    }
    if (yz_field_is_timestamp(desc) && !yz_field_timestamp_valid(time.seconds, time.nanos))
        return yz_path_violate(outer, v, YZ_INVALID_VALUE,
                               "The time is outside the years 1 to 9999.");
    return YZ_OK;
}

enum yz_err yz_pb_check(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                        struct yz_violation *v)
{
    struct bytes in = {data, len ? (const uint8_t *)data + len : data};

    return scan(in, desc, 1, NULL, v);
}

enum yz_err yz_pb_decode(const ProtobufCMessageDescriptor *desc, const void *data, size_t len,
                         struct yz_arena *arena, ProtobufCMessage **message, struct yz_violation *v)
{
    unsigned refusals = yz_memory_refusals();
    enum yz_err err;

    *message = NULL;
    err = yz_pb_check(desc, data, len, v);
    if (err)
        return err;
    *message = protobuf_c_message_unpack(desc, &arena->allocator, len, data);
    /* The scan let nothing through that cannot be unpacked: what failed is memory. */
    if (*message)
        return YZ_OK;
    return yz_violate(v, yz_memory_refusals() == refusals ? YZ_FRAME_TOO_LARGE : YZ_INTERNAL, NULL,
                      NULL);
}

uint32_t yz_pb_frame_id(const void *data, size_t len)
{
    struct bytes in = {data, len ? (const uint8_t *)data + len : data};
    uint32_t number;
    enum wire wire;

    while (in.at < in.end && take_tag(&in, &number, &wire)) {
        uint64_t value;

        if (number == 1 && wire == WIRE_VARINT)
            return take_varint(&in, 10, &value) && value <= UINT32_MAX ? (uint32_t)value : 0;
        if (!skip_value(&in, wire))
            break;
    }
    return 0;
}

enum yz_err yz_pb_encode(const ProtobufCMessage *message, struct yz_buf *buf)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    unsigned refusals = yz_memory_refusals();
    uint8_t *room = len > 0 ? yz_buf_extend(buf, len) : NULL;

    if (len > 0 && !room)
        return yz_memory_refusals() == refusals ? YZ_FRAME_TOO_LARGE : YZ_INTERNAL;
    if (room)
        protobuf_c_message_pack(message, room);
    return YZ_OK;
}
