/* JSON to a message. jansson parses, but recurses up to 2,048 deep: the brackets are counted first.
 * A payload is decoded last of its object's fields, since its type may stand behind it. */
#include "schemas/codec.h"

#include "common/clock.h"
#include "common/memory.h"
#include "schemas/field.h"
#include "schemas/json.h"
#include "schemas/text.h"

#include <errno.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A NUL is refused where its field is known. */
#define LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

struct reader {
    struct yz_arena *arena;
    yz_resolve_fn *resolve;
    struct yz_violation *v;
};

static enum yz_err read_object(const struct reader *in, const ProtobufCMessageDescriptor *desc,
                               json_t *object, const struct yz_path *path,
                               ProtobufCMessage **message);

static enum yz_err refuse(const struct reader *in, const struct yz_path *path, enum yz_err err,
                          const char *text)
{
    return yz_path_violate(path, in->v, err, text);
}

static enum yz_err full(const struct reader *in)
{
    return yz_violate(in->v, YZ_FRAME_TOO_LARGE, NULL, NULL);
}

/* -?(0|[1-9][0-9]*) and nothing else. */
static bool is_integer_text(const char *text)
{
    size_t digits;

    text += *text == '-';
    digits = strspn(text, "0123456789");
    return digits > 0 && text[digits] == '\0' && (digits == 1 || text[0] != '0');
}

static bool read_signed(const json_t *value, int64_t *number)
{
    char *end;

    if (json_is_integer(value)) {
        *number = json_integer_value(value);
        return true;
    }
    if (json_is_real(value)) {
        double real = json_real_value(value);

        if (real != floor(real) || real < -0x1p63 || real >= 0x1p63)
            return false;
        *number = (int64_t)real;
        return true;
    }
    if (!json_is_string(value) || !is_integer_text(json_string_value(value)))
        return false;
    errno = 0;
    *number = strtoll(json_string_value(value), &end, 10);
    return errno == 0;
}

static bool read_unsigned(const json_t *value, uint64_t *number)
{
    const char *text;
    char *end;

    if (json_is_integer(value)) {
        *number = (uint64_t)json_integer_value(value);
        return json_integer_value(value) >= 0;
    }
    if (json_is_real(value)) {
        double real = json_real_value(value);

        if (real != floor(real) || real < 0 || real >= 0x1p64)
            return false;
        *number = (uint64_t)real;
        return true;
    }
    if (!json_is_string(value))
        return false;
    text = json_string_value(value);
    /* strtoull takes "-1" for its largest number. */
    if (!is_integer_text(text) || text[0] == '-')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0;
}

static bool read_real_text(const char *text, double *number)
{
    char *end;

    if (strcmp(text, "NaN") == 0)
        *number = NAN;
    else if (strcmp(text, "Infinity") == 0)
        *number = INFINITY;
    else if (strcmp(text, "-Infinity") == 0)
        *number = -INFINITY;
    else if (text[strspn(text, "+-0123456789.eE")] != '\0' || *text == '+' || *text == '\0')
        return false;
    else {
        *number = strtod(text, &end);
        return *end == '\0' && isfinite(*number);
    }
    return true;
}

static bool read_real(const json_t *value, double *number)
{
    if (json_is_string(value))
        return read_real_text(json_string_value(value), number);
    *number = json_number_value(value);
    return json_is_number(value);
}

static enum yz_err read_number(const struct reader *in, const ProtobufCFieldDescriptor *field,
                               const json_t *value, const struct yz_path *path, void *slot)
{
    int64_t as_signed = 0;
    uint64_t as_unsigned = 0;
    double real = 0;
    bool good;

    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        good = read_signed(value, &as_signed) && as_signed >= INT32_MIN && as_signed <= INT32_MAX;
        *(int32_t *)slot = (int32_t)as_signed;
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        good = read_unsigned(value, &as_unsigned) && as_unsigned <= UINT32_MAX;
        *(uint32_t *)slot = (uint32_t)as_unsigned;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        good = read_signed(value, &as_signed);
        *(int64_t *)slot = as_signed;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        good = read_unsigned(value, &as_unsigned);
        *(uint64_t *)slot = as_unsigned;
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        good = read_real(value, &real) && (!isfinite(real) || fabs(real) <= 3.4028235677973366e38);
        *(float *)slot = good ? (float)real : 0;
        break;
    default:
        good = read_real(value, &real);
        *(double *)slot = real;
    }
    return good ? YZ_OK : refuse(in, path, YZ_WRONG_TYPE, NULL);
}

static enum yz_err read_enum(const struct reader *in, const ProtobufCFieldDescriptor *field,
                             const json_t *value, const struct yz_path *path, void *slot)
{
    const ProtobufCEnumDescriptor *desc = field->descriptor;
    const ProtobufCEnumValue *known;
    int64_t number;

    if (json_is_string(value)) {
        known = protobuf_c_enum_descriptor_get_value_by_name(desc, json_string_value(value));
        if (!known)
            return refuse(in, path, YZ_INVALID_VALUE, "There is no value of this name.");
        *(int *)slot = known->value;
        return YZ_OK;
    }
    if (!read_signed(value, &number) || number < INT32_MIN || number > INT32_MAX)
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    *(int *)slot = (int)number;
    return YZ_OK;
}

static enum yz_err read_string(const struct reader *in, const json_t *value,
                               const struct yz_path *path, char **slot)
{
    size_t len = json_string_length(value);

    if (!json_is_string(value))
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    *slot = yz_arena_alloc(in->arena, len + 1);
    if (!*slot)
        return full(in);
    memcpy(*slot, json_string_value(value), len);
    return YZ_OK;
}

static enum yz_err read_bytes(const struct reader *in, const json_t *value,
                              const struct yz_path *path, ProtobufCBinaryData *slot)
{
    size_t len = json_string_length(value);

    if (!json_is_string(value))
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    slot->data = yz_arena_alloc(in->arena, YZ_BASE64_DECODED_MAX(len));
    if (!slot->data)
        return full(in);
    if (!yz_base64_decode(json_string_value(value), len, slot->data, &slot->len))
        return refuse(in, path, YZ_INVALID_VALUE, "This is not base64.");
    return YZ_OK;
}

static enum yz_err read_timestamp(const struct reader *in, const json_t *value,
                                  const struct yz_path *path, ProtobufCMessage **message)
{
    Google__Protobuf__Timestamp *time;

    if (!json_is_string(value))
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    time = yz_arena_alloc(in->arena, sizeof *time);
    if (!time)
        return full(in);
    google__protobuf__timestamp__init(time);
    *message = &time->base;
    if (!yz_clock_parse(json_string_value(value), json_string_length(value), &time->seconds,
                        &time->nanos))
        return refuse(in, path, YZ_INVALID_VALUE, "This is not a time as in 2026-03-01T08:00:00Z.");
    return YZ_OK;
}

static enum yz_err read_value(const struct reader *in, const ProtobufCFieldDescriptor *field,
                              json_t *value, const struct yz_path *path, void *slot)
{
    if (json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value))
        return refuse(in, path, YZ_INVALID_UTF8, "There is a NUL in it, or half a character.");
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)slot = json_is_true(value);
        return json_is_boolean(value) ? YZ_OK : refuse(in, path, YZ_WRONG_TYPE, NULL);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(in, field, value, path, slot);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(in, value, path, slot);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(in, value, path, slot);
    case PROTOBUF_C_TYPE_MESSAGE:
        return yz_field_is_timestamp(field->descriptor)
                   ? read_timestamp(in, value, path, slot)
                   : read_object(in, field->descriptor, value, path, slot);
    default:
        return read_number(in, field, value, path, slot);
    }
}

static enum yz_err read_repeated(const struct reader *in, const ProtobufCFieldDescriptor *field,
                                 json_t *list, struct yz_path *path, ProtobufCMessage *message)
{
    size_t count = json_array_size(list), size = yz_field_size(field->type);
    uint8_t *items;

    if (!json_is_array(list))
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    if (count == 0)
        return YZ_OK;
    items = yz_arena_alloc(in->arena, count * size);
    if (!items)
        return full(in);
    for (size_t i = 0; i < count; i++) {
        enum yz_err err;

        path->index = (long)i;
        err = read_value(in, field, json_array_get(list, i), path, items + i * size);
        if (err)
            return err;
    }
    *(size_t *)((uint8_t *)message + field->quantifier_offset) = count;
    *(void **)((uint8_t *)message + field->offset) = items;
    return YZ_OK;
}

/* Note that the field is there: the case of its oneof, or proto3's `optional`. */
static void mark_present(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    void *quantifier = (uint8_t *)message + field->quantifier_offset;

    if (yz_field_in_oneof(field))
        *(uint32_t *)quantifier = field->id;
    else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset > 0)
        *(protobuf_c_boolean *)quantifier = 1;
}

/* The payload's own message, encoded into the bytes field. */
static enum yz_err read_payload(const struct reader *in, const ProtobufCFieldDescriptor *field,
                                json_t *value, const struct yz_path *path,
                                ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *type_field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "type");
    const char *type = *(char **)((uint8_t *)message + type_field->offset);
    ProtobufCBinaryData *slot = (ProtobufCBinaryData *)((uint8_t *)message + field->offset);
    const ProtobufCMessageDescriptor *desc = in->resolve(message->descriptor, type);
    struct yz_path type_path = {path->outer, "type", YZ_PATH_FIELD};
    ProtobufCMessage *payload = NULL;
    enum yz_err err;

    if (!desc)
        return refuse(in, &type_path, *type ? YZ_UNKNOWN_TYPE : YZ_MISSING_FIELD, NULL);
    err = read_object(in, desc, value, path, &payload);
    if (err)
        return err;
    slot->data = yz_arena_alloc(in->arena, protobuf_c_message_get_packed_size(payload));
    if (!slot->data)
        return full(in);
    slot->len = protobuf_c_message_pack(payload, slot->data);
    return YZ_OK;
}

/* key is "orgPath" where name is "org_path". */
static bool is_camel_of(const char *key, const char *name)
{
    for (; *name; name++, key++) {
        bool upper = *name == '_';
        char c = upper ? *++name : *name;

        if (*key != (upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c) || c == '\0')
            return false;
    }
    return *key == '\0';
}

/* The field that a key means, by its JSON name or by its name in the .proto. Messages are small: to
 * walk their fields costs less than to turn the key into a name to search for. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc,
                                                  const char *key)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const char *name = desc->fields[i].name;

        if (*name == *key && (is_camel_of(key, name) || strcmp(key, name) == 0))
            return &desc->fields[i];
    }
    return NULL;
}

static enum yz_err read_field(const struct reader *in, const ProtobufCFieldDescriptor *field,
                              json_t *value, struct yz_path *path, ProtobufCMessage *message)
{
    enum yz_err err;

    if (yz_field_repeated(field))
        return read_repeated(in, field, value, path, message);
    err = read_value(in, field, value, path, (uint8_t *)message + field->offset);
    if (!err)
        mark_present(field, message);
    return err;
}

static enum yz_err read_fields(const struct reader *in, const ProtobufCMessageDescriptor *desc,
                               json_t *object, const struct yz_path *outer,
                               ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *payload = in->resolve ? yz_field_payload(desc) : NULL;
    struct yz_path payload_path = {outer, "payload", YZ_PATH_FIELD};
    json_t *payload_value = NULL, *value;
    struct yz_seen seen = {{0}};
    const char *key;
    enum yz_err err;

    json_object_foreach(object, key, value)
    {
        const ProtobufCFieldDescriptor *field = find_field(desc, key);
        struct yz_path path = {outer, field ? field->name : key,
                               field ? YZ_PATH_FIELD : YZ_PATH_OUTSIDE};

        if (!field)
            return refuse(in, &path, YZ_UNKNOWN_FIELD, NULL);
        if (json_is_null(value))
            continue;
        err = yz_field_once(&seen, desc, field, &path, in->v);
        if (err)
            return err;
        if (field == payload)
            payload_value = value;
        else if ((err = read_field(in, field, value, &path, message)))
            return err;
    }
    return payload_value ? read_payload(in, payload, payload_value, &payload_path, message) : YZ_OK;
}

static enum yz_err read_object(const struct reader *in, const ProtobufCMessageDescriptor *desc,
                               json_t *object, const struct yz_path *path,
                               ProtobufCMessage **message)
{
    if (!json_is_object(object))
        return refuse(in, path, YZ_WRONG_TYPE, NULL);
    *message = yz_arena_alloc(in->arena, desc->sizeof_message);
    if (!*message)
        return full(in);
    protobuf_c_message_init(desc, *message);
    return read_fields(in, desc, object, path, *message);
}

/* No more than YZ_DEPTH_MAX brackets are open at once. Text that is no JSON may pass: the parser
 * refuses it. */
static bool shallow(const char *text, size_t len)
{
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > YZ_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* Length of the escape at text (6 for \\u and its digits), and which UTF-16 unit it is; 0: none. */
static size_t unit_at(const char *text, size_t len, unsigned *unit)
{
    char digits[5] = "";

    if (len < 6 || text[0] != '\\' || text[1] != 'u')
        return 0;
    memcpy(digits, text + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return 0;
    *unit = (unsigned)strtoul(digits, NULL, 16);
    return 6;
}

static bool is_first_half(unsigned unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_second_half(unsigned unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* Who cuts a text of UTF-16 between the two halves of a character, and writes JSON of it, writes an
 * escape of one half. A NUL's, which is as long, takes its place, so that the text can be read and
 * the field be told that holds it. false: there was none. */
static bool blot_halves(char *text, size_t len)
{
    bool found = false;

    for (size_t i = 0; i < len; i++) {
        unsigned unit, next;

        if (text[i] != '\\')
            continue;
        if (!unit_at(text + i, len - i, &unit)) {
            i++; /* what is escaped may be a backslash */
            continue;
        }
        i += 5;
        if (is_first_half(unit) && unit_at(text + i + 1, len - i - 1, &next) &&
            is_second_half(next)) {
            i += 6;
        } else if (is_first_half(unit) || is_second_half(unit)) {
            memset(text + i - 3, '0', 4);
            found = true;
        }
    }
    return found;
}

static json_t *load_blotted(const char *text, size_t len)
{
    char *copy = yz_malloc(len + 1);
    json_t *root = NULL;

    if (copy) {
        memcpy(copy, text, len);
        if (blot_halves(copy, len))
            root = yz_json_load(copy, len, LOAD_FLAGS, NULL);
    }
    free(copy);
    return root;
}

/* Some of it is JSON by the letter, and yet more than a message holds: those who sent it should not
 * look for a comma. */
static const char *what_json(enum json_error_code code)
{
    switch ((int)code) {
    case json_error_duplicate_key:
        return "A key stands twice";
    case json_error_numeric_overflow:
        return "A number is too large";
    case json_error_null_byte_in_key:
        return "A key holds a NUL";
    default:
        return "This is not JSON";
    }
}

/* jansson's own text quotes the input and may cut a character in two: it is not passed on. */
static enum yz_err refuse_json(const json_error_t *error, struct yz_violation *v)
{
    char told[YZ_TEXT_MAX];

    snprintf(told, sizeof told, "%s, near byte %d.", what_json(json_error_code(error)),
             error->position);
    return yz_violate(v, YZ_BAD_JSON, NULL, told);
}

static enum yz_err parse(const char *text, size_t len, json_t **root, struct yz_violation *v)
{
    json_error_t error;

    if (!shallow(text, len))
        return yz_violate(v, YZ_TOO_DEEP, NULL, NULL);
    *root = yz_json_load(text, len, LOAD_FLAGS, &error);
    if (!*root)
        *root = load_blotted(text, len);
    if (*root)
        return YZ_OK;
    /* jansson refuses bad UTF-8, but tells it from bad JSON only where it stands in a string. */
    return yz_text_valid(text, len) ? refuse_json(&error, v)
                                    : yz_violate(v, YZ_INVALID_UTF8, NULL, NULL);
}

enum yz_err yz_json_decode(const ProtobufCMessageDescriptor *desc, const char *text, size_t len,
                           yz_resolve_fn *resolve, struct yz_arena *arena,
                           ProtobufCMessage **message, struct yz_violation *v)
{
    const struct reader in = {arena, resolve, v};
    unsigned refusals = yz_memory_refusals();
    json_t *root = NULL;
    enum yz_err err;

    *message = NULL;
    err = parse(text, len, &root, v);
    if (!err) {
        err = read_object(&in, desc, root, NULL, message);
        json_decref(root);
    }
    /* Without memory nothing can be said about the text: jansson 2.14 reads on over a character
     * that it had no room for. */
    if (yz_memory_refusals() != refusals)
        err = yz_violate(v, YZ_INTERNAL, NULL, NULL);
    if (err)
        *message = NULL;
    return err;
}

uint32_t yz_json_frame_id(const char *text, size_t len)
{
    struct yz_violation ignored;
    json_t *root = NULL;
    uint64_t id = 0;

    if (parse(text, len, &root, &ignored))
        return 0;
    if (!read_unsigned(json_object_get(root, "id"), &id) || id > UINT32_MAX)
        id = 0;
    json_decref(root);
    return (uint32_t)id;
}

/* One pair as a JSON value, in the object under construction. */
static enum yz_err add_pair(const ProtobufCMessageDescriptor *desc, const struct yz_pair *pair,
                            json_t *object, struct yz_violation *v)
{
    const ProtobufCFieldDescriptor *field = find_field(desc, pair->name);
    struct yz_path path = {NULL, field ? field->name : pair->name,
                           field ? YZ_PATH_FIELD : YZ_PATH_OUTSIDE};
    json_t *value, *list;

    if (!field)
        return yz_path_violate(&path, v, YZ_UNKNOWN_FIELD, NULL);
    value = json_string(pair->value);
    if (!value)
        return yz_path_violate(&path, v, YZ_INVALID_UTF8, NULL);
    if (field->type == PROTOBUF_C_TYPE_BOOL &&
        (strcmp(pair->value, "true") == 0 || strcmp(pair->value, "false") == 0)) {
        json_decref(value);
        value = json_boolean(pair->value[0] == 't');
    }
    list = json_object_get(object, field->name);
    if (!yz_field_repeated(field)) {
        if (!list)
            return json_object_set_new(object, field->name, value) ? YZ_INTERNAL : YZ_OK;
        json_decref(value);
        return yz_path_violate(&path, v, YZ_INVALID_VALUE, "The field stands twice.");
    }
    if (!list) {
        list = json_array();
        if (json_object_set_new(object, field->name, list)) {
            json_decref(value);
            return yz_violate(v, YZ_INTERNAL, NULL, NULL);
        }
    }
    return json_array_append_new(list, value) ? yz_violate(v, YZ_INTERNAL, NULL, NULL) : YZ_OK;
}

enum yz_err yz_pairs_decode(const ProtobufCMessageDescriptor *desc, const struct yz_pair *pairs,
                            size_t count, struct yz_arena *arena, ProtobufCMessage **message,
                            struct yz_violation *v)
{
    const struct reader in = {arena, NULL, v};
    unsigned refusals = yz_memory_refusals();
    json_t *object = json_object();
    enum yz_err err = YZ_OK;

    *message = NULL;
    if (!object)
        return yz_violate(v, YZ_INTERNAL, NULL, NULL);
    for (size_t i = 0; !err && i < count; i++)
        err = add_pair(desc, &pairs[i], object, v);
    if (!err)
        err = read_object(&in, desc, object, NULL, message);
    if (yz_memory_refusals() != refusals)
        err = yz_violate(v, YZ_INTERNAL, NULL, NULL);
    if (err)
        *message = NULL;
    json_decref(object);
    return err;
}
