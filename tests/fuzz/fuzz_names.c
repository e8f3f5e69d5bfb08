/* Short texts from outside: times, channels, paths, base64, pairs of a URL query. */
#include "common/clock.h"
#include "common/subject.h"
#include "schemas/codec.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <thread.pb-c.h>

#define TEXT_MAX 2048

static void fuzz_time(const char *text, size_t len)
{
    char back[YZ_RFC3339_MAX];
    int64_t seconds, seconds_again;
    int32_t nanos, nanos_again;

    if (!yz_clock_parse(text, len, &seconds, &nanos))
        return;
    PROMISE(yz_clock_format(seconds, nanos, back));
    PROMISE(yz_clock_parse(back, strlen(back), &seconds_again, &nanos_again));
    PROMISE(seconds == seconds_again && nanos == nanos_again);
}

static void fuzz_channel(const char *text)
{
    char name[YZ_CHANNEL_MAX], subject[YZ_SUBJECT_MAX];
    struct yz_channel channel;

    if (!yz_channel_parse(text, &channel))
        return;
    yz_channel_name(&channel, name);
    PROMISE(strcmp(name, text) == 0);
    yz_channel_subject("t1", name, subject);
    PROMISE(!strpbrk(subject, " *>\t\r\n"));
}

static void fuzz_base64(const char *text, size_t len)
{
    uint8_t bytes[YZ_BASE64_DECODED_MAX(TEXT_MAX)], again[YZ_BASE64_DECODED_MAX(TEXT_MAX) + 3];
    char back[YZ_BASE64_LEN(YZ_BASE64_DECODED_MAX(TEXT_MAX))];
    size_t count, count_again;

    if (!yz_base64_decode(text, len, bytes, &count))
        return;
    yz_base64_encode(bytes, count, back);
    PROMISE(yz_base64_decode(back, YZ_BASE64_LEN(count), again, &count_again));
    PROMISE(count == count_again && memcmp(bytes, again, count) == 0);
}

/* "name=value&name=value" */
static void fuzz_pairs(char *text)
{
    struct yz_pair pairs[16];
    struct yz_violation v;
    struct yz_arena arena;
    ProtobufCMessage *message;
    size_t count = 0;
    char *pair;

    while (count < 16 && (pair = strsep(&text, "&")) != NULL) {
        pairs[count].name = strsep(&pair, "=");
        pairs[count].value = pair ? pair : "";
        count++;
    }
    yz_arena_init(&arena, (size_t)1 << 20);
    if (yz_pairs_decode(&yizhan__v1__thread_page_request__descriptor, pairs, count, &arena,
                        &message, &v) != YZ_OK)
        PROMISE(v.err != YZ_OK && v.err != YZ_INTERNAL && !message);
    yz_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    fuzz_time(text, size);
    fuzz_channel(text);
    yz_org_path_valid(text);
    fuzz_base64(text, size);
    fuzz_pairs(text);
    return 0;
}
