#include "schemas/check.h"

#include "common/subject.h"
#include "schemas/field.h"
#include "schemas/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum yz_err yz_check_id(const char *id, const char *field, struct yz_violation *v)
{
    if (*id == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (!yz_id_valid(id))
        return yz_violate(v, YZ_INVALID_VALUE, field, "An id is 1 to 64 of A-Z a-z 0-9 _ and -.");
    return YZ_OK;
}

enum yz_err yz_check_org_path(const char *path, const char *field, struct yz_violation *v)
{
    if (*path == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (!yz_org_path_valid(path))
        return yz_violate(v, YZ_INVALID_VALUE, field,
                          "An org path is 1 to 12 ids joined by /, at most 256 bytes.");
    return YZ_OK;
}

enum yz_err yz_check_length(const char *text, size_t max, const char *field, struct yz_violation *v)
{
    char told[YZ_TEXT_MAX];
    size_t count = yz_text_chars(text);

    if (count <= max)
        return YZ_OK;
    snprintf(told, sizeof told, "At most %zu characters are allowed, these are %zu.", max, count);
    return yz_violate(v, YZ_TOO_LONG, field, told);
}

enum yz_err yz_check_optional_text(const char *text, size_t max, const char *field,
                                   struct yz_violation *v)
{
    enum yz_err err = yz_check_length(text, max, field, v);

    if (err || *text == '\0' || !yz_text_blank(text))
        return err;
    return yz_violate(v, YZ_INVALID_VALUE, field, "There are only blanks in it.");
}

enum yz_err yz_check_text(const char *text, size_t max, const char *field, struct yz_violation *v)
{
    if (*text == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    return yz_check_optional_text(text, max, field, v);
}

enum yz_err yz_check_optional_name(const char *name, size_t max, const char *field,
                                   struct yz_violation *v)
{
    enum yz_err err = yz_check_optional_text(name, max, field, v);

    if (err || yz_text_one_line(name))
        return err;
    return yz_violate(v, YZ_INVALID_VALUE, field, "It is one line, without control characters.");
}

enum yz_err yz_check_name(const char *name, size_t max, const char *field, struct yz_violation *v)
{
    if (*name == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    return yz_check_optional_name(name, max, field, v);
}

enum yz_err yz_check_enum(const ProtobufCEnumDescriptor *desc, int value, const char *field,
                          struct yz_violation *v)
{
    if (value == 0)
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (!protobuf_c_enum_descriptor_get_value(desc, value))
        return yz_violate(v, YZ_INVALID_VALUE, field, "There is no value of this number.");
    return YZ_OK;
}

enum yz_err yz_check_range(uint32_t value, uint32_t low, uint32_t high, const char *field,
                           struct yz_violation *v)
{
    char told[YZ_TEXT_MAX];

    if (value == 0 || (value >= low && value <= high))
        return YZ_OK;
    snprintf(told, sizeof told, "The value must lie from %u to %u.", low, high);
    return yz_violate(v, YZ_INVALID_VALUE, field, told);
}

enum yz_err yz_check_optional_time(const Google__Protobuf__Timestamp *time, const char *field,
                                   struct yz_violation *v)
{
    if (!time || yz_field_timestamp_valid(time->seconds, time->nanos))
        return YZ_OK;
    return yz_violate(v, YZ_INVALID_VALUE, field, "The time is outside the years 1 to 9999.");
}

enum yz_err yz_check_time(const Google__Protobuf__Timestamp *time, const char *field,
                          struct yz_violation *v)
{
    if (!time)
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    return yz_check_optional_time(time, field, v);
}

static enum yz_err refuse_entry(const char *field, size_t index, const char *text,
                                struct yz_violation *v)
{
    char path[YZ_FIELD_MAX];

    snprintf(path, sizeof path, "%s[%zu]", field, index);
    return yz_violate(v, YZ_INVALID_VALUE, path, text);
}

/* Order by text, then by place in the list. */
static int by_text(const void *a, const void *b)
{
    char *const *left = *(char *const *const *)a, *const *right = *(char *const *const *)b;
    int order = strcmp(*left, *right);

    return order != 0 ? order : (left > right) - (left < right);
}

enum yz_err yz_check_ids(char *const *ids, size_t count, size_t max, const char *field,
                         struct yz_violation *v)
{
    char *const *sorted[YZ_CHECK_IDS_MAX];
    char told[YZ_TEXT_MAX];
    size_t repeated = count;

    if (count == 0)
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    snprintf(told, sizeof told, "At most %zu entries are allowed, these are %zu.", max, count);
    if (count > max || count > YZ_CHECK_IDS_MAX)
        return yz_violate(v, YZ_TOO_MANY, field, told);
    for (size_t i = 0; i < count; i++) {
        if (!yz_id_valid(ids[i]))
            return refuse_entry(field, i, "An id is 1 to 64 of A-Z a-z 0-9 _ and -.", v);
        sorted[i] = &ids[i];
    }
    qsort(sorted, count, sizeof sorted[0], by_text);
    for (size_t i = 1; i < count; i++) {
        size_t at = (size_t)(sorted[i] - ids);

        if (strcmp(*sorted[i - 1], *sorted[i]) == 0 && at < repeated)
            repeated = at;
    }
    return repeated == count ? YZ_OK : refuse_entry(field, repeated, "The entry stands twice.", v);
}
