/* What handlers leave besides documents: pushes, values, and rows of the outbox. */
#include "workers/fold_private.h"

#include "common/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Handlers write a few small messages for an event; FOLD_ARENA_MAX of them is a bug in a handler,
 * and its event is set aside in the end. */
static void arena_is_full(void)
{
    abort();
}

static const char *keep_text(struct wk_fold *fold, const char *text)
{
    size_t size;
    char *copy;

    if (!text)
        return NULL;
    size = strlen(text) + 1;
    copy = yz_arena_alloc(&fold->arena, size);
    if (!copy)
        arena_is_full();
    memcpy(copy, text, size);
    return copy;
}

static const uint8_t *keep_message(struct wk_fold *fold, const ProtobufCMessage *message,
                                   size_t *len)
{
    uint8_t *bytes = yz_arena_alloc(&fold->arena, protobuf_c_message_get_packed_size(message) + 1);

    if (!bytes)
        arena_is_full();
    *len = protobuf_c_message_pack(message, bytes);
    assert(*len <= WK_PUSH_MAX);
    return bytes;
}

static void add_push(struct wk_fold *fold, struct fold_list *list, const char *channel,
                     const char *name, const char *type, const ProtobufCMessage *payload,
                     const struct wk_audience *audience)
{
    struct wk_fold_push *push;
    struct yz_channel parsed;
    int ordinal = fold->ordinal++;

    /* Made of a stored document that is not whole. Nobody can be subscribed to it, and the broker
     * would refuse its subject as often as the batch is tried. */
    if (!(name && strcmp(channel, YZ_VALUES_OF_AUTH) == 0) && !yz_channel_parse(channel, &parsed)) {
        yz_error("push_without_channel", "sequence=%" PRIu64 " type=%s channel=\"%s\"",
                 fold->event->sequence, type, channel);
        return;
    }
    push = fold_list_add(list, sizeof *push);
    push->event = fold->index;
    push->sequence = fold->event->sequence;
    push->time_ms = fold->event->received_at_ms;
    push->ordinal = ordinal;
    push->tenant = fold->event->env->actor.tenant;
    push->channel = keep_text(fold, channel);
    push->name = keep_text(fold, name);
    push->type = keep_text(fold, type);
    push->payload = keep_message(fold, payload, &push->payload_len);
    push->roles = audience ? keep_text(fold, audience->roles) : NULL;
    push->exclude = audience ? keep_text(fold, audience->exclude) : NULL;
}

void wk_push(struct wk_fold *fold, const char *channel, const char *type,
             const ProtobufCMessage *payload, const struct wk_audience *audience)
{
    add_push(fold, &fold->pushes, channel, NULL, type, payload, audience);
}

void wk_value(struct wk_fold *fold, const char *channel, const char *name, const char *type,
              const ProtobufCMessage *payload, const struct wk_audience *audience)
{
    add_push(fold, &fold->values, channel, name, type, payload, audience);
}

void wk_later(struct wk_fold *fold, int ordinal, int64_t due_at_ms, const char *type,
              const ProtobufCMessage *payload)
{
    const struct yz_event_type *contract = yz_event_type_find(type, NULL);
    struct wk_fold_row *row = fold_list_add(&fold->rows, sizeof *row);

    assert(contract && payload->descriptor == contract->payload);
    row->event = fold->index;
    row->sequence = fold->event->sequence;
    row->time_ms = fold->event->received_at_ms;
    row->ordinal = ordinal;
    row->due_at_ms = due_at_ms;
    row->cause = fold->event->env;
    snprintf(row->type, sizeof row->type, "%s", type);
    if (contract)
        contract->aggregate(payload, &fold->event->env->actor, row->aggregate);
    row->payload = keep_message(fold, payload, &row->payload_len);
}

const struct wk_fold_push *wk_fold_pushes(const struct wk_fold *fold, size_t *count)
{
    *count = fold->pushes.count;
    return fold->pushes.items;
}

const struct wk_fold_push *wk_fold_values(const struct wk_fold *fold, size_t *count)
{
    *count = fold->values.count;
    return fold->values.items;
}

const struct wk_fold_row *wk_fold_rows(const struct wk_fold *fold, size_t *count)
{
    *count = fold->rows.count;
    return fold->rows.items;
}
