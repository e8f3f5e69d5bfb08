/* A message to JSON, written straight into the buffer: a push is written once for all who receive
 * it. */
#include "schemas/codec.h"

#include "common/clock.h"
#include "common/memory.h"
#include "schemas/field.h"
#include "schemas/text.h"

#include <google/protobuf/timestamp.pb-c.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    struct yz_buf *buf;
    yz_resolve_fn *resolve;
};

static enum yz_err write_message(const struct writer *out, const ProtobufCMessage *message);

static void put(const struct writer *out, const char *text)
{
    yz_buf_append(out->buf, text, strlen(text));
}

static enum yz_err write_string(const struct writer *out, const char *text)
{
    const char *from = text, *p;

    if (!yz_text_valid(text, strlen(text)))
        return YZ_INVALID_UTF8;
    put(out, "\"");
    for (p = text; *p; p++) {
        char escape[8];

        if ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
            continue;
        yz_buf_append(out->buf, from, (size_t)(p - from));
        from = p + 1;
        if (*p == '"' || *p == '\\')
            snprintf(escape, sizeof escape, "\\%c", *p);
        else if (*p == '\n')
            snprintf(escape, sizeof escape, "\\n");
        else
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*p);
        put(out, escape);
    }
    yz_buf_append(out->buf, from, (size_t)(p - from));
    put(out, "\"");
    return YZ_OK;
}

static void write_bytes(const struct writer *out, const ProtobufCBinaryData *bytes)
{
    char *room;

    put(out, "\"");
    room = bytes->len ? (char *)yz_buf_extend(out->buf, YZ_BASE64_LEN(bytes->len)) : NULL;
    if (room)
        yz_base64_encode(bytes->data, bytes->len, room);
    put(out, "\"");
}

/* The shortest decimal that reads back as the same number. */
static void write_real(const struct writer *out, double number, bool is_float)
{
    char text[40];

    if (isnan(number) || isinf(number)) {
        put(out, isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (is_float ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number)
            break;
    }
    /* "-0" would be read as an integer, which has no such zero. */
    put(out, number == 0 && signbit(number) ? "-0.0" : text);
}

static void write_enum(const struct writer *out, const ProtobufCEnumDescriptor *desc, int number)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(desc, number);
    char text[16];

    if (!known) {
        snprintf(text, sizeof text, "%d", number);
        put(out, text);
        return;
    }
    put(out, "\"");
    put(out, known->name);
    put(out, "\"");
}

static enum yz_err write_timestamp(const struct writer *out, const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)message;
    char text[YZ_RFC3339_MAX];

    if (!yz_clock_format(time->seconds, time->nanos, text))
        return YZ_INVALID_VALUE;
    put(out, "\"");
    put(out, text);
    put(out, "\"");
    return YZ_OK;
}

static void write_number(const struct writer *out, ProtobufCType type, const void *slot)
{
    char text[32];

    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        snprintf(text, sizeof text, "%" PRId32, *(const int32_t *)slot);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        snprintf(text, sizeof text, "%" PRIu32, *(const uint32_t *)slot);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(text, sizeof text, "\"%" PRId64 "\"", *(const int64_t *)slot);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(text, sizeof text, "\"%" PRIu64 "\"", *(const uint64_t *)slot);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        write_real(out, (double)*(const float *)slot, true);
        return;
    default:
        write_real(out, *(const double *)slot, false);
        return;
    }
    put(out, text);
}

static enum yz_err write_value(const struct writer *out, const ProtobufCFieldDescriptor *field,
                               const void *slot)
{
    const char *text;

    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        put(out, *(const protobuf_c_boolean *)slot ? "true" : "false");
        return YZ_OK;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, field->descriptor, *(const int *)slot);
        return YZ_OK;
    case PROTOBUF_C_TYPE_STRING:
        text = *(const char *const *)slot;
        return write_string(out, text ? text : "");
    case PROTOBUF_C_TYPE_BYTES:
        write_bytes(out, slot);
        return YZ_OK;
    case PROTOBUF_C_TYPE_MESSAGE:
        return yz_field_is_timestamp(field->descriptor)
                   ? write_timestamp(out, *(ProtobufCMessage *const *)slot)
                   : write_message(out, *(ProtobufCMessage *const *)slot);
    default:
        write_number(out, field->type, slot);
        return YZ_OK;
    }
}

static enum yz_err write_repeated(const struct writer *out, const ProtobufCFieldDescriptor *field,
                                  const uint8_t *items, size_t count)
{
    size_t size = yz_field_size(field->type);
    enum yz_err err = YZ_OK;

    put(out, "[");
    for (size_t i = 0; !err && i < count; i++) {
        if (i > 0)
            put(out, ",");
        err = write_value(out, field, items + i * size);
    }
    put(out, "]");
    return err;
}

/* A field of proto3 is written when it is not its default, or when its presence is noted. */
static bool is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const uint8_t zeros[sizeof(ProtobufCBinaryData)];
    const uint8_t *slot = (const uint8_t *)message + field->offset;
    const uint8_t *quantifier = (const uint8_t *)message + field->quantifier_offset;
    const char *text;

    if (yz_field_repeated(field))
        return *(const size_t *)quantifier > 0;
    if (yz_field_in_oneof(field) && *(const uint32_t *)quantifier != field->id)
        return false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage *const *)slot != NULL;
    if (yz_field_in_oneof(field))
        return true;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset > 0)
        return *(const protobuf_c_boolean *)quantifier != 0;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        text = *(const char *const *)slot;
        return text && *text;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)slot)->len > 0;
    return memcmp(slot, zeros, yz_field_size(field->type)) != 0;
}

/* The payload as the object of its message; false, and nothing written, when that cannot be. */
static bool write_payload(const struct writer *out, const ProtobufCMessage *message,
                          const ProtobufCBinaryData *bytes)
{
    const ProtobufCFieldDescriptor *type =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "type");
    const char *name = *(const char *const *)((const uint8_t *)message + type->offset);
    const ProtobufCMessageDescriptor *desc = out->resolve(message->descriptor, name ? name : "");
    size_t start = out->buf->len;
    struct yz_violation ignored;
    struct yz_arena arena;
    ProtobufCMessage *payload = NULL;
    bool good = false;

    if (!desc)
        return false;
    yz_arena_init(&arena, bytes->len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (!yz_pb_decode(desc, bytes->data, bytes->len, &arena, &payload, &ignored))
        good = !write_message(out, payload);
    yz_arena_deinit(&arena);
    if (!good)
        out->buf->len = start;
    return good;
}

static enum yz_err write_field(const struct writer *out, const ProtobufCMessage *message,
                               const ProtobufCFieldDescriptor *field, bool is_payload)
{
    const uint8_t *slot = (const uint8_t *)message + field->offset;
    char name[128];

    yz_path_camel(field->name, name, sizeof name);
    put(out, "\"");
    put(out, name);
    put(out, "\":");
    if (is_payload && write_payload(out, message, (const ProtobufCBinaryData *)slot))
        return YZ_OK;
    if (!yz_field_repeated(field))
        return write_value(out, field, slot);
    return write_repeated(out, field, *(const uint8_t *const *)slot,
                          *(const size_t *)((const uint8_t *)message + field->quantifier_offset));
}

static enum yz_err write_message(const struct writer *out, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;
    const ProtobufCFieldDescriptor *payload = out->resolve ? yz_field_payload(desc) : NULL;
    const char *before = "{";
    enum yz_err err;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &desc->fields[i];

        if (!is_present(message, field))
            continue;
        put(out, before);
        before = ",";
        err = write_field(out, message, field, field == payload);
        if (err)
            return err;
    }
    put(out, *before == '{' ? "{}" : "}");
    return YZ_OK;
}

enum yz_err yz_json_encode(const ProtobufCMessage *message, yz_resolve_fn *resolve,
                           struct yz_buf *buf)
{
    const struct writer out = {buf, resolve};
    unsigned refusals = yz_memory_refusals();
    size_t start = buf->len;
    enum yz_err err = yz_field_is_timestamp(message->descriptor) ? write_timestamp(&out, message)
                                                                 : write_message(&out, message);

    if (!err && buf->failed)
        err = YZ_FRAME_TOO_LARGE;
    if (yz_memory_refusals() != refusals)
        err = YZ_INTERNAL;
    if (err)
        buf->len = start;
    return err;
}
