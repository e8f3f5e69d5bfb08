#include "workers/document.h"

#include <string.h>

const char *wk_document_text(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_UTF8(&iter)
               ? bson_iter_utf8(&iter, NULL)
               : "";
}

int64_t wk_document_number(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_NUMBER(&iter)
               ? bson_iter_as_int64(&iter)
               : 0;
}

int64_t wk_document_time_ms(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_DATE_TIME(&iter)
               ? bson_iter_date_time(&iter)
               : 0;
}

const uint8_t *wk_document_bytes(const bson_t *document, const char *field, uint32_t *len)
{
    const uint8_t *bytes = NULL;
    bson_iter_t iter;

    *len = 0;
    if (bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_BINARY(&iter))
        bson_iter_binary(&iter, NULL, len, &bytes);
    return bytes;
}

bool wk_document_array(const bson_t *document, const char *field, bson_iter_t *entries)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field) && BSON_ITER_HOLDS_ARRAY(&iter) &&
           bson_iter_recurse(&iter, entries);
}

bool wk_document_at(const bson_iter_t *at, bson_t *view)
{
    const uint8_t *data = NULL;
    uint32_t len = 0;

    if (!BSON_ITER_HOLDS_DOCUMENT(at))
        return false;
    bson_iter_document(at, &len, &data);
    return data && bson_init_static(view, data, len);
}

bool wk_document_next(bson_iter_t *entries, bson_t *view)
{
    while (bson_iter_next(entries)) {
        if (wk_document_at(entries, view))
            return true;
    }
    return false;
}

uint32_t wk_document_size(const bson_t *row)
{
    uint32_t len;

    memcpy(&len, bson_get_data(row), sizeof len);
    return BSON_UINT32_FROM_LE(len);
}

bool wk_document_keep(struct yz_arena *arena, const bson_t *row, bson_t *kept)
{
    uint32_t size = wk_document_size(row);
    uint8_t *bytes = yz_arena_alloc(arena, size);

    if (!bytes)
        return false;
    memcpy(bytes, bson_get_data(row), size);
    return bson_init_static(kept, bytes, size);
}

const char *wk_document_enum_name(const ProtobufCEnumDescriptor *desc, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(desc, value);

    return found ? found->name : "";
}

int wk_document_enum(const bson_t *document, const char *field, const ProtobufCEnumDescriptor *desc)
{
    const ProtobufCEnumValue *found =
        protobuf_c_enum_descriptor_get_value_by_name(desc, wk_document_text(document, field));

    return found ? found->value : 0;
}

int64_t wk_timestamp_ms(const Google__Protobuf__Timestamp *time)
{
    return time ? time->seconds * 1000 + time->nanos / 1000000 : 0;
}

Google__Protobuf__Timestamp wk_timestamp(int64_t ms)
{
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    int64_t rest = ((ms % 1000) + 1000) % 1000;

    time.seconds = (ms - rest) / 1000;
    time.nanos = (int32_t)rest * 1000000;
    return time;
}

Google__Protobuf__Timestamp *wk_timestamp_new(struct yz_arena *arena, int64_t ms)
{
    Google__Protobuf__Timestamp *time = ms ? yz_arena_alloc(arena, sizeof *time) : NULL;

    if (time)
        *time = wk_timestamp(ms);
    return time;
}
