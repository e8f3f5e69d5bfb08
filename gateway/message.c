#include "gateway/message.h"

#include "client.pb-c.h"
#include "schemas/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX  (1024 * 1024)
#define ARENA_MAX (8 * BODY_MAX)
#define JSON_MAX  (8 * BODY_MAX)

/* Keys (field number << 3 | wire type) of client.proto and envelope.proto; a test decodes what is
 * built of them. */
#define KEY_FRAME_ITEMS  (1 << 3 | 2)
#define KEY_ITEM_PUSH    (2 << 3 | 2)
#define KEY_PUSH_CHANNEL (6 << 3 | 2)
#define KEY_PUSH_OFFSET  (7 << 3 | 0)
#define KEY_PUSH_NAME    (8 << 3 | 2)

#define VARINT_MAX 10

struct gw_message {
    unsigned refs;
    uint64_t offset;   /* 0: a value */
    int64_t stored_us; /* 0: unknown */
    const char *roles, *exclude;
    const uint8_t *push; /* the whole Push inside frame */
    size_t push_len;
    uint8_t *frame; /* ServerFrame{Item{Push}} */
    size_t frame_len;
    struct yz_buf json; /* empty until asked for */
    char strings[];     /* roles, exclude, frame */
};

static size_t varint_len(uint64_t value)
{
    size_t len = 1;

    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

static uint8_t *put_varint(uint8_t *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

static uint8_t *put_bytes(uint8_t *p, uint8_t key, const void *data, size_t len)
{
    *p++ = key;
    p = put_varint(p, len);
    if (len)
        memcpy(p, data, len);
    return p + len;
}

/* Bytes of a length-delimited field. */
static size_t field_len(size_t len)
{
    return 1 + varint_len(len) + len;
}

/* What the gateway alone knows is appended: protobuf merges concatenated messages. */
static void build_frame(struct gw_message *msg, const char *channel, const char *name,
                        const void *body, size_t len)
{
    size_t channel_len = strlen(channel), name_len = strlen(name);
    uint8_t *p = msg->frame;

    *p++ = KEY_FRAME_ITEMS;
    p = put_varint(p, field_len(msg->push_len));
    *p++ = KEY_ITEM_PUSH;
    p = put_varint(p, msg->push_len);
    msg->push = p;
    if (len)
        memcpy(p, body, len);
    p = put_bytes(p + len, KEY_PUSH_CHANNEL, channel, channel_len);
    if (msg->offset) {
        *p++ = KEY_PUSH_OFFSET;
        p = put_varint(p, msg->offset);
    }
    if (name_len)
        p = put_bytes(p, KEY_PUSH_NAME, name, name_len);
    assert((size_t)(p - msg->frame) == msg->frame_len);
}

enum yz_err gw_message_new(const char *channel, uint64_t offset, const char *name, const void *body,
                           size_t len, const char *roles, const char *exclude,
                           struct gw_message **msg)
{
    size_t roles_size = strlen(roles) + 1, exclude_size = strlen(exclude) + 1;
    size_t push_len, frame_len;
    struct yz_violation v;
    struct gw_message *m;

    if (len > BODY_MAX || yz_pb_check(&yizhan__v1__push__descriptor, body, len, &v))
        return YZ_BAD_FRAME;
    push_len = len + field_len(strlen(channel)) + (offset ? 1 + varint_len(offset) : 0) +
               (*name ? field_len(strlen(name)) : 0);
    frame_len = field_len(field_len(push_len));
    m = malloc(sizeof *m + roles_size + exclude_size + frame_len);
    if (!m)
        return YZ_INTERNAL;
    *m = (struct gw_message){.refs = 1, .offset = offset, .push_len = push_len};
    memcpy(m->strings, roles, roles_size);
    memcpy(m->strings + roles_size, exclude, exclude_size);
    m->roles = m->strings;
    m->exclude = m->strings + roles_size;
    m->frame = (uint8_t *)m->strings + roles_size + exclude_size;
    m->frame_len = frame_len;
    yz_buf_init(&m->json, JSON_MAX);
    build_frame(m, channel, name, body, len);
    *msg = m;
    return YZ_OK;
}

struct gw_message *gw_message_ref(struct gw_message *msg)
{
    msg->refs++;
    return msg;
}

void gw_message_unref(struct gw_message *msg)
{
    if (!msg || --msg->refs > 0)
        return;
    yz_buf_deinit(&msg->json);
    free(msg);
}

uint64_t gw_message_offset(const struct gw_message *msg)
{
    return msg->offset;
}

size_t gw_message_size(const struct gw_message *msg)
{
    return sizeof *msg + msg->frame_len + msg->json.cap;
}

void gw_message_set_stored_us(struct gw_message *msg, int64_t stored_us)
{
    msg->stored_us = stored_us;
}

int64_t gw_message_stored_us(const struct gw_message *msg)
{
    return msg->stored_us;
}

/* The next comma-separated entry of *list, moved behind it; false at the end. */
static bool next_entry(const char **list, const char **entry, size_t *len)
{
    *len = strcspn(*list, ",");
    *entry = *list;
    *list += *len + ((*list)[*len] == ',');
    return *len > 0;
}

static bool listed(const char *list, const char *word)
{
    const char *entry;
    size_t len, word_len = strlen(word);

    while (next_entry(&list, &entry, &len)) {
        if (len == word_len && memcmp(entry, word, len) == 0)
            return true;
    }
    return false;
}

/* A role without a scope ("member") stands in the token by itself; one with a scope must cover the
 * org: the channel's, or with "@own" behind the role the actor's own. */
static bool has_one_of(const struct yz_actor *actor, const char *roles, const char *org_path)
{
    static const char own[] = "@own";
    const char *entry;
    size_t len;

    while (next_entry(&roles, &entry, &len)) {
        char role[YZ_ID_MAX], *at;

        if (len >= sizeof role)
            continue;
        memcpy(role, entry, len);
        role[len] = '\0';
        at = strchr(role, '@');
        if (at && strcmp(at, own) != 0)
            continue;
        if (at)
            *at = '\0';
        if (listed(actor->roles, role) ||
            yz_actor_has_role(actor, role, at ? actor->org_path : org_path))
            return true;
    }
    return false;
}

bool gw_message_restricted(const struct gw_message *msg)
{
    return *msg->roles || *msg->exclude;
}

bool gw_message_visible(const struct gw_message *msg, const struct yz_actor *actor,
                        const char *org_path)
{
    if (*msg->exclude && listed(msg->exclude, actor->member))
        return false;
    return !*msg->roles || has_one_of(actor, msg->roles, *org_path ? org_path : actor->org_path);
}

static void encode_json(struct gw_message *msg)
{
    Yizhan__V1__ServerFrame frame = YIZHAN__V1__SERVER_FRAME__INIT;
    Yizhan__V1__Item item = YIZHAN__V1__ITEM__INIT, *items[] = {&item};
    ProtobufCMessage *push;
    struct yz_violation v;
    struct yz_arena arena;

    yz_arena_init(&arena, ARENA_MAX);
    if (yz_pb_decode(&yizhan__v1__push__descriptor, msg->push, msg->push_len, &arena, &push, &v) ==
        YZ_OK) {
        item.body_case = YIZHAN__V1__ITEM__BODY_PUSH;
        item.push = (Yizhan__V1__Push *)push;
        frame.n_items = 1;
        frame.items = items;
        if (yz_json_encode(&frame.base, yz_payload_resolve, &msg->json) != YZ_OK)
            msg->json.failed = true;
        yz_buf_append(&msg->json, "\n", 1);
    }
    yz_arena_deinit(&arena);
}

const uint8_t *gw_message_frame(struct gw_message *msg, enum gw_encoding encoding, size_t *len)
{
    if (encoding == GW_PROTOBUF) {
        *len = msg->frame_len;
        return msg->frame;
    }
    if (msg->json.len == 0)
        encode_json(msg);
    if (msg->json.failed || msg->json.len == 0) {
        /* A half-written text must not look like a frame; the next call tries again. */
        yz_buf_deinit(&msg->json);
        yz_buf_init(&msg->json, JSON_MAX);
        return NULL;
    }
    *len = msg->json.len;
    return msg->json.data;
}
