/* PROTOCOL.md is true: each pair of JSON and hex in it is one message, in both directions; every
 * frame and every type has its example; the code's test vector can be computed from what stands
 * there. */
#include "tests/schemas/sample.h"

#include <client.pb-c.h>
#include <envelope.pb-c.h>
#include <openssl/hmac.h>

#define LINE_MAX_BYTES 16384
#define BYTES_MAX      8192

static char *document;

/* An example, as it stands. */
struct pair {
    const ProtobufCMessageDescriptor *desc;
    char json[LINE_MAX_BYTES];
    uint8_t bytes[BYTES_MAX];
    size_t len;
};

static int load_document(void **state)
{
    FILE *file = fopen(PROTOCOL_MD, "rb");
    size_t len;

    (void)state;
    document = calloc(1, 1 << 20);
    if (!file || !document)
        return -1;
    len = fread(document, 1, (1 << 20) - 1, file);
    fclose(file);
    return len > 0 ? 0 : -1;
}

static int free_document(void **state)
{
    (void)state;
    free(document);
    return 0;
}

/* The text of the block behind `fence` ("```json ClientFrame\n") at *at, which moves behind it. */
static bool take_block(const char **at, const char *fence, const char **text, size_t *len)
{
    const char *end;

    if (strncmp(*at, fence, strlen(fence)) != 0)
        return false;
    *text = *at + strlen(fence);
    end = strstr(*text, "\n```\n");
    if (!end)
        return false;
    *len = (size_t)(end - *text);
    *at = end + 5;
    return true;
}

/* The next pair at or behind *at; false at the end. A JSON block of a frame without its hex fails
 * the test. */
static bool next_pair(const char **at, struct pair *pair)
{
    static const struct {
        const char *json, *hex;
        const ProtobufCMessageDescriptor *desc;
    } kinds[] = {
        {"```json ClientFrame\n", "```hex ClientFrame\n", &yizhan__v1__client_frame__descriptor},
        {"```json ServerFrame\n", "```hex ServerFrame\n", &yizhan__v1__server_frame__descriptor},
    };
    const char *json = "", *hex = "";
    size_t json_len = 0, hex_len = 0;

    while ((*at = strstr(*at, "```json ")) != NULL) {
        for (size_t i = 0; i < COUNT(kinds); i++) {
            if (!take_block(at, kinds[i].json, &json, &json_len))
                continue;
            if (!take_block(at, kinds[i].hex, &hex, &hex_len))
                fail_msg("no hex behind %.*s", (int)json_len, json);
            assert_true(json_len < sizeof pair->json);
            snprintf(pair->json, sizeof pair->json, "%.*s", (int)json_len, json);
            pair->len = sample_hex(hex, hex + hex_len, pair->bytes, BYTES_MAX);
            pair->desc = kinds[i].desc;
            return true;
        }
        fail_msg("a JSON block of no known message: %.40s", *at);
    }
    return false;
}

static void pairs_are_one_message(void **state)
{
    const char *at = document;
    struct pair pair;
    int count = 0;

    (void)state;
    while (next_pair(&at, &pair)) {
        struct yz_violation v = {0};
        ProtobufCMessage *message;
        struct yz_buf buf;
        char *text;

        yz_arena_reset(&sample_arena);
        yz_buf_init(&buf, BYTES_MAX);
        assert_int_equal(yz_pb_encode(sample_json(pair.desc, pair.json), &buf), YZ_OK);
        if (buf.len != pair.len || memcmp(buf.data, pair.bytes, pair.len) != 0)
            fail_msg("the hex is not that of %s", pair.json);
        yz_buf_deinit(&buf);
        if (yz_pb_decode(pair.desc, pair.bytes, pair.len, &sample_arena, &message, &v))
            fail_msg("%s: %s at %s", pair.json, yz_err_code(v.err), v.field);
        text = sample_text(message);
        assert_string_equal(text, pair.json);
        free(text);
        count++;
    }
    assert_true(count >= 40);
}

/* Which members of these messages' oneofs the examples show. */
static const ProtobufCMessageDescriptor *const frames[] = {
    &yizhan__v1__client_frame__descriptor,
    &yizhan__v1__item__descriptor,
    &yizhan__v1__reply__descriptor,
    &yizhan__v1__subscribe_result__descriptor,
};
static bool shown[COUNT(frames)][32];

static void note(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *desc = message->descriptor;

    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &desc->fields[i];
        const uint8_t *base = (const uint8_t *)message;
        ProtobufCMessage *const *children = (ProtobufCMessage *const *)(base + field->offset);
        size_t count = 1;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            if (*(const uint32_t *)(base + field->quantifier_offset) != field->id)
                continue;
            for (size_t f = 0; f < COUNT(frames); f++)
                shown[f][i] = shown[f][i] || frames[f] == desc;
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            count = *(const size_t *)(base + field->quantifier_offset);
            children = *(ProtobufCMessage *const *const *)(base + field->offset);
        }
        for (size_t c = 0; c < count && children[c]; c++)
            note(children[c]);
    }
}

static void every_frame_is_shown(void **state)
{
    const char *at = document;
    struct pair pair;

    (void)state;
    while (next_pair(&at, &pair))
        note(sample_json(pair.desc, pair.json));
    for (size_t f = 0; f < COUNT(frames); f++) {
        for (unsigned i = 0; i < frames[f]->n_fields; i++) {
            if ((frames[f]->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && !shown[f][i])
                fail_msg("%s.%s is not shown", frames[f]->short_name, frames[f]->fields[i].name);
        }
    }
}

static void assert_example(const char *container, const char *type)
{
    char begin[160];

    /* In a push an id stands between the name and the type. */
    snprintf(begin, sizeof begin, "\"type\":\"%s\",\"payload\":{", type);
    for (const char *at = document; (at = strstr(at, begin)) != NULL; at++) {
        const char *line = at;

        while (line > document && line[-1] != '\n')
            line--;
        if (memmem(line, (size_t)(at - line), container, strlen(container)))
            return;
    }
    fail_msg("there is no example of %s in %s", type, container);
}

static void every_type_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_event_type *t = yz_schemas[i]->events; t->name; t++) {
            if (t->authority != YZ_BY_SYSTEM) /* which no client emits */
                assert_example("\"emit\":{", t->name);
        }
        for (const struct yz_query_type *t = yz_schemas[i]->queries; t->name; t++) {
            assert_example("\"query\":{", t->name);
            assert_example("\"queryResult\":{", t->name);
        }
        for (const struct yz_push_type *t = yz_schemas[i]->pushes; t->name; t++)
            assert_example("\"push\":{", t->name);
    }
}

static const struct {
    const char *code, *temporary, *text;
    int status;
} errors[] = {
#define YZ_ERR(name, code, temporary, status, text)                                                \
    {code, (temporary) ? "yes" : "no", text, status},
#define YZ_CLOSE(name, ws_code, code, text)
#include "common/err.def"
#undef YZ_ERR
#undef YZ_CLOSE
};

static const struct {
    int ws_code;
    enum yz_close close;
    const char *code, *text;
} closes[] = {
#define YZ_ERR(name, code, temporary, status, text)
#define YZ_CLOSE(name, ws_code, code, text) {ws_code, YZ_CLOSE_##name, code, text},
#include "common/err.def"
#undef YZ_ERR
#undef YZ_CLOSE
};

/* Each error code stands in a table row, with its status; each close code with its number. */
static void every_code_stands_in_a_table(void **state)
{
    char row[512];

    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        snprintf(row, sizeof row, "\n| `%s` | %s | %d | %s |\n", errors[i].code,
                 errors[i].temporary, errors[i].status, errors[i].text);
        if (!strstr(document, row))
            fail_msg("missing: %s", row);
    }
    for (size_t i = 0; i < COUNT(closes); i++) {
        snprintf(row, sizeof row, "\n| %d | `%s` | %s | %s |\n", closes[i].ws_code, closes[i].code,
                 yz_close_reconnects(closes[i].close) ? "yes" : "no", closes[i].text);
        if (!strstr(document, row))
            fail_msg("missing: %s", row);
    }
}

static void to_hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void assert_stands(const char *text)
{
    if (!strstr(document, text))
        fail_msg("'%s' does not stand in the document", text);
}

/* Computed by OpenSSL from the words of "The rotating code". */
static void code_vector_can_be_computed(void **state)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    static const char named[] = "meeting-key-v1\nt1\ng1/c1/b1\nm1";
    static const char prefix[] = "checkin-code-v1\nt1\ng1/c1/b1\nm1\n";
    static const uint8_t head[12] = {0x03, 0x75, 0x02, 0x80, 1, 2, 3, 4, 5, 6, 7, 8};
    const struct yz_event_type *type = yz_event_type_find("checkin.recorded", NULL);
    uint8_t key[32], mac[32], signed_bytes[sizeof prefix - 1 + sizeof head];
    struct yz_violation v;
    char hex[80], json[256];

    (void)state;
    HMAC(EVP_sha256(), secret, sizeof secret - 1, (const uint8_t *)named, sizeof named - 1, key,
         NULL);
    to_hex(key, 32, hex);
    assert_stands(hex);
    memcpy(signed_bytes, prefix, sizeof prefix - 1);
    memcpy(signed_bytes + sizeof prefix - 1, head, sizeof head);
    HMAC(EVP_sha256(), key, 32, signed_bytes, sizeof signed_bytes, mac, NULL);
    to_hex(mac, 16, hex);
    assert_stands(hex);
    assert_stands("`A3UCgAECAwQFBgcIKDsQquYH5PFDqbMx1NkTYQ`");
    snprintf(json, sizeof json,
             "{\"orgPath\":\"g1/c1/b1\",\"meetingId\":\"m1\",\"method\":\"CODE\",\"code\":\"%s\"}",
             "A3UCgAECAwQFBgcIKDsQquYH5PFDqbMx1NkTYQ");
    assert_int_equal(type->check(sample_json(type->payload, json), &v), YZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(pairs_are_one_message),       sample_test(every_frame_is_shown),
        sample_test(every_type_is_shown),         sample_test(every_code_stands_in_a_table),
        sample_test(code_vector_can_be_computed),
    };

    return cmocka_run_group_tests(tests, load_document, free_document);
}
