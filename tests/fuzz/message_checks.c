#include "tests/fuzz/message_checks.h"

#include "schemas/contract.h"
#include "schemas/field.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

#define OUTPUT_MAX (1 << 24)

void message_encode(const ProtobufCMessage *message, struct yz_buf *buf)
{
    yz_buf_init(buf, OUTPUT_MAX);
    PROMISE(yz_pb_encode(message, buf) == YZ_OK);
}

void message_same(const struct yz_buf *a, const struct yz_buf *b)
{
    PROMISE(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0));
}

void message_refusal(enum yz_err err, const struct yz_violation *v)
{
    PROMISE(err == v->err && err != YZ_OK && err < YZ_ERR_COUNT);
    PROMISE(err != YZ_INTERNAL);
    PROMISE(memchr(v->field, '\0', sizeof v->field) && memchr(v->text, '\0', sizeof v->text));
    PROMISE(yz_text_valid(v->field, strlen(v->field)));
    PROMISE(yz_text_valid(v->text, strlen(v->text)));
    /* Both may stand in a header. */
    PROMISE(!strpbrk(v->field, "\r\n") && !strpbrk(v->text, "\r\n"));
}

/* Where a value of the field lies in the message; NULL: it is not set. */
static const void *slot_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;

    if (yz_field_in_oneof(field) &&
        *(const uint32_t *)(base + field->quantifier_offset) != field->id)
        return NULL;
    return base + field->offset;
}

/* Each single value of the field: count of them, and where they begin. */
static size_t values_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        const uint8_t **first)
{
    const uint8_t *base = (const uint8_t *)message;

    if (yz_field_repeated(field)) {
        *first = *(const uint8_t *const *)(base + field->offset);
        return *(const size_t *)(base + field->quantifier_offset);
    }
    *first = slot_of(message, field);
    return *first ? 1 : 0;
}

/* There is one text for all the bit patterns that are no number. */
static bool is_number(ProtobufCType type, const void *value)
{
    if (type == PROTOBUF_C_TYPE_FLOAT)
        return !isnan(*(const float *)value);
    return type != PROTOBUF_C_TYPE_DOUBLE || !isnan(*(const double *)value);
}

static bool payload_is_canonical(const ProtobufCMessage *message, yz_resolve_fn *resolve);

/* All messages inside this one have JSON that gives their bytes back. */
static bool parts_are_canonical(const ProtobufCMessage *message, yz_resolve_fn *resolve)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &desc->fields[i];
        const uint8_t *first;
        size_t count = values_of(message, field, &first);

        for (size_t at = 0; at < count; at++) {
            const void *value = first + at * yz_field_size(field->type);
            const ProtobufCMessage *part = NULL;

            if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                part = *(ProtobufCMessage *const *)value;
            if (!is_number(field->type, value) || (part && !payload_is_canonical(part, resolve)))
                return false;
        }
    }
    return true;
}

/* The payload's own message, encoded canonically, is the payload. */
static bool payload_is_canonical(const ProtobufCMessage *message, yz_resolve_fn *resolve)
{
    const ProtobufCFieldDescriptor *field = resolve ? yz_field_payload(message->descriptor) : NULL;
    const ProtobufCFieldDescriptor *type_field;
    const ProtobufCMessageDescriptor *desc;
    const ProtobufCBinaryData *payload;
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf buf;
    ProtobufCMessage *inner;
    bool canonical = false;

    if (!field)
        return parts_are_canonical(message, resolve);
    type_field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "type");
    payload = (const ProtobufCBinaryData *)slot_of(message, field);
    if (payload->len == 0)
        return true;
    desc = resolve(message->descriptor, *(char *const *)slot_of(message, type_field));
    if (!desc)
        return false;
    yz_arena_init(&arena, payload->len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (yz_pb_decode(desc, payload->data, payload->len, &arena, &inner, &v) == YZ_OK) {
        message_encode(inner, &buf);
        canonical = buf.len == payload->len && memcmp(buf.data, payload->data, buf.len) == 0;
        yz_buf_deinit(&buf);
    }
    yz_arena_deinit(&arena);
    return canonical;
}

static void protobuf_returns(const ProtobufCMessageDescriptor *desc, const struct yz_buf *once)
{
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf twice;
    ProtobufCMessage *again;

    yz_arena_init(&arena, once->len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_pb_decode(desc, once->data, once->len, &arena, &again, &v) == YZ_OK);
    message_encode(again, &twice);
    message_same(once, &twice);
    yz_buf_deinit(&twice);
    yz_arena_deinit(&arena);
}

static void json_of(const ProtobufCMessage *message, yz_resolve_fn *resolve, struct yz_buf *json)
{
    yz_buf_init(json, OUTPUT_MAX);
    PROMISE(yz_json_encode(message, resolve, json) == YZ_OK);
    PROMISE(yz_text_valid(json->data, json->len));
    PROMISE(!memchr(json->data, '\n', json->len));
}

static void json_returns(const ProtobufCMessage *message, yz_resolve_fn *resolve,
                         const struct yz_buf *once)
{
    struct yz_violation v;
    struct yz_arena arena;
    struct yz_buf json, json_again, twice;
    ProtobufCMessage *again;

    json_of(message, resolve, &json);
    yz_arena_init(&arena, json.len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_json_decode(message->descriptor, (const char *)json.data, json.len, resolve, &arena,
                           &again, &v) == YZ_OK);
    message_encode(again, &twice);
    message_same(once, &twice);
    json_of(again, resolve, &json_again);
    message_same(&json, &json_again);
    yz_buf_deinit(&json_again);
    yz_buf_deinit(&twice);
    yz_buf_deinit(&json);
    yz_arena_deinit(&arena);
}

void message_returns(const ProtobufCMessage *message, yz_resolve_fn *resolve)
{
    struct yz_buf once;

    message_encode(message, &once);
    protobuf_returns(message->descriptor, &once);
    if (payload_is_canonical(message, resolve))
        json_returns(message, resolve, &once);
    yz_buf_deinit(&once);
}

static void value_within_limits(const ProtobufCFieldDescriptor *field, const void *value)
{
    const char *text;
    const ProtobufCMessage *message;
    int number;

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        text = *(char *const *)value;
        PROMISE(yz_text_valid(text, strlen(text)) && yz_text_chars(text) <= MESSAGE_CHARS_MAX);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        PROMISE(((const ProtobufCBinaryData *)value)->len <= MESSAGE_CHARS_MAX);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        number = *(const int *)value;
        PROMISE(number == 0 || protobuf_c_enum_descriptor_get_value(field->descriptor, number));
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        message = *(ProtobufCMessage *const *)value;
        if (message)
            message_within_limits(message);
        break;
    default:
        break;
    }
}

void message_within_limits(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &desc->fields[i];
        const uint8_t *first;
        size_t count = values_of(message, field, &first);

        PROMISE(count <= MESSAGE_ENTRIES_MAX);
        for (size_t at = 0; at < count; at++)
            value_within_limits(field, first + at * yz_field_size(field->type));
    }
}
