#include "workers/push.h"

#include "common/bus.h"
#include "common/memory.h"
#include "envelope.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void wk_push_msg_id(const struct wk_fold_push *push, char out[WK_PUSH_ID_MAX])
{
    snprintf(out, WK_PUSH_ID_MAX, "p-%" PRIu64 "-%d", push->sequence, push->ordinal);
}

static natsStatus set_headers(natsMsg **msg, const struct wk_fold_push *push, const char *msg_id)
{
    natsStatus s = push->name ? NATS_OK : yz_bus_header_set(msg, "Nats-Msg-Id", msg_id);

    if (s == NATS_OK && push->roles)
        s = yz_bus_header_set(msg, YZ_HEADER_PUSH_ROLES, push->roles);
    if (s == NATS_OK && push->exclude)
        s = yz_bus_header_set(msg, YZ_HEADER_PUSH_EXCLUDE, push->exclude);
    return s;
}

static natsStatus make(const struct wk_fold_push *push, const char *reply, natsMsg **msg)
{
    Yizhan__V1__Push body = YIZHAN__V1__PUSH__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char subject[YZ_SUBJECT_MAX], msg_id[WK_PUSH_ID_MAX];
    uint8_t *bytes;
    size_t len;
    natsStatus s;

    if (push->name)
        yz_value_subject(push->tenant, push->channel, push->name, subject);
    else
        yz_channel_subject(push->tenant, push->channel, subject);
    wk_push_msg_id(push, msg_id);
    if (push->name)
        msg_id[0] = 'v';
    time.seconds = push->time_ms / 1000;
    time.nanos = (int32_t)(push->time_ms % 1000) * 1000000;
    body.id = push->name ? msg_id : msg_id + 2;
    body.type = (char *)(uintptr_t)push->type;
    body.payload.data = (uint8_t *)(uintptr_t)push->payload;
    body.payload.len = push->payload_len;
    body.time = &time;
    body.version = push->name ? push->sequence : 0;
    len = yizhan__v1__push__get_packed_size(&body);
    bytes = yz_malloc(len + 1);
    yizhan__v1__push__pack(&body, bytes);
    s = natsMsg_Create(msg, subject, reply, (const char *)bytes, (int)len);
    free(bytes);
    if (s == NATS_OK)
        s = set_headers(msg, push, msg_id);
    return s;
}

void wk_push_message(const struct wk_fold_push *push, const char *reply, natsMsg **msg)
{
    int waited_ms = 0;
    natsStatus s;

    while (*msg = NULL,
           (s = make(push, reply, msg)) == NATS_NO_MEMORY && yz_memory_again(&waited_ms))
        natsMsg_Destroy(*msg);
    if (s != NATS_OK)
        abort(); /* a header that cannot be: a bug, and its event is set aside in the end */
}

uint64_t wk_push_version(natsMsg *msg)
{
    size_t len = (size_t)natsMsg_GetDataLength(msg);
    struct yz_arena arena;
    Yizhan__V1__Push *body;
    uint64_t version;

    yz_arena_init(&arena, len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    body = yizhan__v1__push__unpack(&arena.allocator, len, (const uint8_t *)natsMsg_GetData(msg));
    version = body ? body->version : 0;
    yz_arena_deinit(&arena);
    return version;
}
