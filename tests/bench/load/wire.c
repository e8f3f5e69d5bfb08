#include "wire.h"

#include "loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum wire_encoding wire_encoding_of(const char *name)
{
    if (strcmp(name, "protobuf") == 0)
        return WIRE_PROTOBUF;
    if (strcmp(name, "json") != 0)
        bench_die("no encoding: %s", name);
    return WIRE_JSON;
}

const char *wire_protocol(enum wire_encoding encoding)
{
    return encoding == WIRE_JSON ? "yizhan.v1.json" : "yizhan.v1.protobuf";
}

/* writing */

struct out {
    char *data;
    size_t len, size;
};

static void add(struct out *out, const void *data, size_t len)
{
    if (out->len + len > out->size)
        bench_die("a frame is longer than %zu bytes", out->size);
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static void add_varint(struct out *out, uint64_t value)
{
    do {
        char byte = (char)((value & 127) | (value > 127 ? 128 : 0));

        add(out, &byte, 1);
        value >>= 7;
    } while (value);
}

static void add_number(struct out *out, unsigned field, uint64_t value)
{
    add_varint(out, field << 3);
    add_varint(out, value);
}

static void add_bytes(struct out *out, unsigned field, const void *data, size_t len)
{
    add_varint(out, field << 3 | 2);
    add_varint(out, len);
    add(out, data, len);
}

static void add_text(struct out *out, unsigned field, const char *text)
{
    add_bytes(out, field, text, strlen(text));
}

static void add_channel_protobuf(struct out *out, const struct wire_channel *channel)
{
    char buffer[1024], since[256];
    struct out body = {buffer, 0, sizeof buffer}, position = {since, 0, sizeof since};

    add_text(&body, 1, channel->channel);
    if (channel->epoch) {
        add_text(&position, 1, channel->epoch);
        add_number(&position, 2, channel->offset);
        add_bytes(&body, 2, since, position.len);
    }
    add_bytes(out, 3, buffer, body.len);
}

/* The body as field `number` of a client frame. */
static size_t frame_protobuf(uint32_t id, unsigned number, const char *body, size_t len, char *out,
                             size_t size)
{
    struct out frame = {out, 0, size};

    add_number(&frame, 1, id);
    add_bytes(&frame, number, body, len);
    return frame.len;
}

/* One at a time: the frames of a load program are made by its one thread. */
static char scratch[1 << 20];

static size_t hello_json(uint32_t id, const char *token, const struct wire_channel *channels,
                         size_t count, struct out *out)
{
    char text[2048];

    add(out, text,
        (size_t)snprintf(text, sizeof text,
                         "{\"id\":%u,\"hello\":{\"token\":\"%s\",\"subscribe\":[", id, token));
    for (size_t i = 0; i < count; i++) {
        const struct wire_channel *c = &channels[i];

        add(out, text,
            (size_t)snprintf(text, sizeof text, "%s{\"channel\":\"%s\"", i ? "," : "", c->channel));
        if (c->epoch)
            add(out, text,
                (size_t)snprintf(text, sizeof text,
                                 ",\"since\":{\"epoch\":\"%s\",\"offset\":\"%" PRIu64 "\"}",
                                 c->epoch, c->offset));
        add(out, "}", 1);
    }
    add(out, "]}}", 3);
    return out->len;
}

size_t wire_hello(enum wire_encoding encoding, uint32_t id, const char *token,
                  const struct wire_channel *channels, size_t count, char *out, size_t size)
{
    struct out body = {scratch, 0, sizeof scratch}, text = {out, 0, size};

    if (encoding == WIRE_JSON)
        return hello_json(id, token, channels, count, &text);
    add_text(&body, 1, token);
    for (size_t i = 0; i < count; i++)
        add_channel_protobuf(&body, &channels[i]);
    return frame_protobuf(id, 2, scratch, body.len, out, size);
}

size_t wire_emit(enum wire_encoding encoding, uint32_t id, const char *event_id, const char *type,
                 const void *payload, size_t len, char *out, size_t size)
{
    struct out body = {scratch, 0, sizeof scratch}, text = {out, 0, size};
    char head[256];

    if (encoding == WIRE_JSON) {
        add(&text, head,
            (size_t)snprintf(head, sizeof head,
                             "{\"id\":%u,\"emit\":{\"eventId\":\"%s\",\"type\":\"%s\",\"payload\":",
                             id, event_id, type));
        add(&text, payload, len);
        add(&text, "}}", 2);
        return text.len;
    }
    add_text(&body, 1, event_id);
    add_text(&body, 2, type);
    add_bytes(&body, 3, payload, len);
    return frame_protobuf(id, 5, scratch, body.len, out, size);
}

size_t wire_ping(enum wire_encoding encoding, uint32_t id, char *out, size_t size)
{
    if (encoding == WIRE_PROTOBUF)
        return frame_protobuf(id, 7, "", 0, out, size);
    return (size_t)snprintf(out, size, "{\"id\":%u,\"ping\":{}}", id);
}

/* reading protobuf */

bool wire_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        *value |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return true;
    }
    return false;
}

bool wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *field, bool *bad)
{
    uint64_t key;

    *field = (struct wire_field){0};
    if (*at >= end)
        return false;
    *bad = true;
    if (!wire_varint(at, end, &key) || !wire_varint(at, end, &field->value))
        return false;
    field->number = (unsigned)(key >> 3);
    if ((key & 7) == 2) {
        if (field->value > (uint64_t)(end - *at))
            return false;
        field->data = *at;
        field->len = field->value;
        *at += field->len;
    } else if ((key & 7) != 0) {
        return false; /* the protocol has no fixed numbers */
    }
    *bad = false;
    return true;
}

static void read_subscribed(const struct wire_field *body, struct wire_item *item)
{
    const uint8_t *at = body->data;
    struct wire_field field;
    bool bad = false;

    item->joined++;
    while (wire_next(&at, body->data + body->len, &field, &bad)) {
        if (field.number == 4)
            item->recovered += field.value != 0;
        else if (field.number == 5)
            item->missed += (uint32_t)field.value;
    }
}

static void read_welcome(const struct wire_field *body, struct wire_item *item)
{
    const uint8_t *at = body->data;
    struct wire_field field, part;
    bool bad = false;

    while (wire_next(&at, body->data + body->len, &field, &bad)) {
        const uint8_t *inner = field.data;

        if (field.number != 8 || !field.data)
            continue;
        while (wire_next(&inner, field.data + field.len, &part, &bad)) {
            if (part.number == 2 && part.data)
                read_subscribed(&part, item);
            else if (part.number == 3)
                item->refused++;
        }
    }
}

/* Fields that stand alone: number -> where it goes. */
static void read_numbers(const struct wire_field *body, struct wire_item *item)
{
    const uint8_t *at = body->data;
    struct wire_field field;
    bool bad = false;

    while (wire_next(&at, body->data + body->len, &field, &bad)) {
        if (item->kind == WIRE_ACCEPTED && field.number == 2)
            item->sequence = field.value;
        else if (item->kind == WIRE_ACCEPTED && field.number == 3)
            item->duplicate = field.value != 0;
        else if (item->kind == WIRE_PUSH && field.number == 7)
            item->sequence = field.value;
        else if (item->kind == WIRE_CLOSING && field.number == 1)
            item->sequence = field.value;
        if ((item->kind == WIRE_ERROR && field.number == 1) ||
            (item->kind == WIRE_CLOSING && field.number == 2)) {
            item->code = (const char *)field.data;
            item->code_len = field.len;
        }
    }
}

static const enum wire_kind reply_kinds[] = {
    [2] = WIRE_ERROR,    [3] = WIRE_WELCOME, [4] = WIRE_SUBSCRIBED, [5] = WIRE_UNSUBSCRIBED,
    [6] = WIRE_ACCEPTED, [7] = WIRE_RESULT,  [8] = WIRE_PONG,
};

static bool read_reply(const struct wire_field *reply, struct wire_item *item)
{
    const uint8_t *at = reply->data;
    struct wire_field field;
    bool bad = false, found = false;

    while (wire_next(&at, reply->data + reply->len, &field, &bad)) {
        if (field.number == 1) {
            item->id = (uint32_t)field.value;
        } else if (field.number >= 2 && field.number <= 8 && field.data) {
            found = true;
            item->kind = reply_kinds[field.number];
            if (item->kind == WIRE_WELCOME)
                read_welcome(&field, item);
            else if (item->kind == WIRE_SUBSCRIBED)
                read_subscribed(&field, item);
            else
                read_numbers(&field, item);
        }
    }
    return found && !bad;
}

static bool read_item(const struct wire_field *whole, struct wire_item *item)
{
    const uint8_t *at = whole->data;
    struct wire_field field;
    bool bad = false;

    *item = (struct wire_item){.body = whole->data, .len = whole->len};
    if (!wire_next(&at, whole->data + whole->len, &field, &bad) || !field.data)
        return false;
    if (field.number == 1)
        return read_reply(&field, item);
    item->kind = field.number == 2 ? WIRE_PUSH : WIRE_CLOSING;
    read_numbers(&field, item);
    return field.number == 2 || field.number == 3;
}

static bool each_protobuf(const uint8_t *at, const uint8_t *end,
                          void (*on_item)(const struct wire_item *item, void *user), void *user)
{
    struct wire_field field;
    struct wire_item item;
    bool bad = false;

    while (wire_next(&at, end, &field, &bad)) {
        if (field.number != 1 || !field.data || !read_item(&field, &item))
            return false;
        on_item(&item, user);
    }
    return !bad;
}

/* reading JSON: the marks below cannot stand inside a text, where quotes have a backslash before
 * them */

static const char *find(const char *at, const char *end, const char *mark)
{
    return memmem(at, (size_t)(end - at), mark, strlen(mark));
}

static const char *behind(const char *at, const char *end, const char *mark)
{
    const char *found = find(at, end, mark);

    return found ? found + strlen(mark) : NULL;
}

/* A number behind the mark, with quotes or without; 0 when the mark is not there. */
static uint64_t number(const char *at, const char *end, const char *mark)
{
    const char *found = behind(at, end, mark);
    uint64_t value = 0;

    if (!found)
        return 0;
    if (found < end && *found == '"')
        found++;
    for (; found < end && *found >= '0' && *found <= '9'; found++)
        value = value * 10 + (uint64_t)(*found - '0');
    return value;
}

static uint32_t count(const char *at, const char *end, const char *mark)
{
    uint32_t found = 0;

    while ((at = behind(at, end, mark)))
        found++;
    return found;
}

static void read_code(const char *at, const char *end, struct wire_item *item)
{
    const char *found = behind(at, end, "\"code\":\"");
    const char *quote = found ? memchr(found, '"', (size_t)(end - found)) : NULL;

    if (quote) {
        item->code = found;
        item->code_len = (size_t)(quote - found);
    }
}

static const struct {
    const char *mark;
    enum wire_kind kind;
} json_kinds[] = {
    {"\"error\":{", WIRE_ERROR},
    {"\"welcome\":{", WIRE_WELCOME},
    {"\"subscribed\":{", WIRE_SUBSCRIBED},
    {"\"unsubscribed\":{", WIRE_UNSUBSCRIBED},
    {"\"accepted\":{", WIRE_ACCEPTED},
    {"\"queryResult\":{", WIRE_RESULT},
    {"\"pong\":{", WIRE_PONG},
};

static void read_joined(const char *at, const char *end, struct wire_item *item)
{
    item->joined = item->kind == WIRE_SUBSCRIBED ? 1 : count(at, end, "\"ok\":{");
    item->refused = count(at, end, "\"error\":{");
    item->recovered = count(at, end, "\"recovered\":true");
    while ((at = find(at, end, "\"missed\":"))) {
        item->missed += (uint32_t)number(at, end, "\"missed\":");
        at++;
    }
}

static bool read_reply_json(const char *at, const char *end, struct wire_item *item)
{
    const char *first = NULL;

    item->id = (uint32_t)number(at, end, "\"id\":");
    for (size_t i = 0; i < sizeof json_kinds / sizeof *json_kinds; i++) {
        const char *found = find(at, end, json_kinds[i].mark);

        if (found && (!first || found < first)) {
            first = found;
            item->kind = json_kinds[i].kind;
        }
    }
    if (!first)
        return false;
    if (item->kind == WIRE_WELCOME || item->kind == WIRE_SUBSCRIBED)
        read_joined(first, end, item);
    if (item->kind == WIRE_ERROR)
        read_code(first, end, item);
    item->sequence = number(first, end, "\"sequence\":");
    item->duplicate = item->kind == WIRE_ACCEPTED && find(first, end, "\"duplicate\":true");
    return true;
}

/* The first item's head at or behind `at`: its kind's mark; NULL. */
static const char *next_head(const char *at, const char *end, int *which)
{
    static const char *const heads[] = {"{\"reply\":{", "{\"push\":{", "{\"closing\":{"};

    for (; (at = memchr(at, '{', (size_t)(end - at))); at++)
        for (int i = 0; i < 3; i++)
            if ((size_t)(end - at) >= strlen(heads[i]) &&
                memcmp(at, heads[i], strlen(heads[i])) == 0) {
                *which = i;
                return at;
            }
    return NULL;
}

static bool each_json(const char *at, const char *end,
                      void (*on_item)(const struct wire_item *item, void *user), void *user)
{
    int which = 0, next_which = 0;

    at = next_head(at, end, &which);
    while (at) {
        const char *next = next_head(at + 1, end, &next_which), *stop = next ? next : end;
        struct wire_item item = {.body = (const uint8_t *)at, .len = (size_t)(stop - at)};

        if (which == 0) {
            if (!read_reply_json(at, stop, &item))
                return false;
        } else if (which == 1) {
            item.kind = WIRE_PUSH;
            item.sequence = number(at, stop, "\"offset\":");
        } else {
            item.kind = WIRE_CLOSING;
            item.sequence = number(at, stop, "\"closeCode\":");
            read_code(at, stop, &item);
        }
        on_item(&item, user);
        at = next;
        which = next_which;
    }
    return true;
}

bool wire_each(enum wire_encoding encoding, const uint8_t *data, size_t len,
               void (*on_item)(const struct wire_item *item, void *user), void *user)
{
    if (encoding == WIRE_PROTOBUF)
        return each_protobuf(data, data + len, on_item, user);
    return each_json((const char *)data, (const char *)data + len, on_item, user);
}
