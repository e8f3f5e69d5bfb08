#include "schemas/receipt.h"

#include "common/subject.h"

#include <string.h>

#define DIFFERENT_MIN 5

char **yz_receipt_field(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "receipt");

    if (!field || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    return (char **)(void *)((char *)(uintptr_t)message + field->offset);
}

bool yz_receipt_concealed(const char *text)
{
    size_t mark = strlen(YZ_RECEIPT_MARK);

    return strncmp(text, YZ_RECEIPT_MARK, mark) == 0 &&
           strlen(text) == YZ_RECEIPT_CONCEALED_MAX - 1 &&
           strspn(text + mark, "0123456789abcdef") == (size_t)2 * YZ_RECEIPT_HASH_BYTES;
}

bool yz_receipt_in_clear(const ProtobufCMessage *message)
{
    char **field = yz_receipt_field(message);

    return field && !yz_receipt_concealed(*field);
}

void yz_receipt_case(const char *concealed, char out[YZ_RECEIPT_CASE_MAX])
{
    const struct yz_part parts[] = {{"case", strlen("case")}, {concealed, strlen(concealed)}};

    yz_hash(parts, 2, out);
}

static bool repeats(const char *text, size_t period)
{
    return memcmp(text, text + period, YZ_RECEIPT_DIGITS - period) == 0;
}

/* The same step from each digit to the next, 9 being followed by 0: 1234…, 9876…, 0246… */
static bool in_a_row(const char *text)
{
    int step = (text[1] - text[0] + 10) % 10;

    for (size_t i = 2; i < YZ_RECEIPT_DIGITS; i++) {
        if ((text[i] - text[i - 1] + 10) % 10 != step)
            return false;
    }
    return true;
}

static bool is_weak(const char *text)
{
    unsigned seen = 0;

    for (size_t i = 0; i < YZ_RECEIPT_DIGITS; i++)
        seen |= 1u << (text[i] - '0');
    return __builtin_popcount(seen) < DIFFERENT_MIN || in_a_row(text) || repeats(text, 4) ||
           repeats(text, 5) || repeats(text, 6) || repeats(text, 8);
}

enum yz_err yz_check_receipt(const char *text, const char *field, struct yz_violation *v)
{
    if (*text == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (yz_receipt_concealed(text))
        return YZ_OK;
    if (strlen(text) != YZ_RECEIPT_DIGITS || strspn(text, "0123456789") != YZ_RECEIPT_DIGITS)
        return yz_violate(v, YZ_INVALID_VALUE, field, "A receipt is 16 digits.");
    if (is_weak(text))
        return yz_violate(v, YZ_INVALID_VALUE, field,
                          "The receipt is easy to guess; draw another one at random.");
    return YZ_OK;
}
