#include "workers/item.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/fault.h"
#include "workers/deadletter.h"

#include "schemas/receipt.h"

#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000

/* The subject was made from the same aggregate as the headers name: an event on a foreign
 * partition would race its aggregate's owner. */
static enum yz_err check_place(const struct wk_item *item, struct yz_violation *v)
{
    const struct yz_envelope *env = &item->env;
    char aggregate[YZ_AGGREGATE_MAX], place[YZ_ID_MAX + YZ_TYPE_MAX + 2];
    const struct yz_domain_schema *domain = NULL;
    size_t len;

    item->event.type->aggregate(item->event.payload, &env->actor, aggregate);
    if (strcmp(aggregate, env->aggregate) != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "ce-subject", "It is not the payload's aggregate.");
    if (yz_partition(env->actor.tenant, aggregate) != item->delivery.partition)
        return yz_violate(v, YZ_INVALID_VALUE, "subject", "It is another aggregate's partition.");
    yz_event_type_find(env->type, &domain);
    len = (size_t)snprintf(place, sizeof place, "%s.%s.", env->actor.tenant, domain->name);
    if (strncmp(yz_event_subject_rest(natsMsg_GetSubject(item->delivery.msg)), place, len) != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "subject", "It is another tenant's or domain's.");
    return YZ_OK;
}

static enum yz_err check_authority(const struct wk_item *item, struct yz_violation *v)
{
    const struct yz_event_type *type = item->event.type;
    const char *org_path = type->org_path ? type->org_path(item->event.payload) : NULL;
    enum yz_err err;

    if (item->by_row)
        return YZ_OK; /* its cause was authorised */
    if (type->authority == YZ_BY_ANYONE && !yz_actor_is_nobody(&item->env.actor))
        return yz_violate(v, YZ_INVALID_VALUE, "ce-actor", "Events of this type have no actor.");
    err = yz_authorize(type->authority, &item->env.actor, org_path);
    return err ? yz_violate(v, err, "", NULL) : YZ_OK;
}

static enum yz_err read_payload(struct wk_item *item, struct yz_arena *arena,
                                struct yz_violation *v)
{
    natsMsg *msg = item->delivery.msg;
    ProtobufCMessage *payload = NULL;
    enum yz_err err;

    err = yz_pb_decode(item->event.type->payload, natsMsg_GetData(msg),
                       (size_t)natsMsg_GetDataLength(msg), arena, &payload, v);
    if (err)
        return err;
    item->event.payload = payload;
    if (yz_receipt_in_clear(payload))
        return yz_violate(v, YZ_INVALID_VALUE, "receipt", "It was not concealed.");
    return item->event.type->check ? item->event.type->check(payload, v) : YZ_OK;
}

static enum yz_err read_event(struct wk_item *item, struct yz_arena *arena,
                              const struct wk_event_handler *(*find_handler)(const char *type),
                              struct yz_violation *v)
{
    enum yz_err err;

    item->event.type = yz_event_type_find(item->env.type, NULL);
    item->handler = find_handler(item->env.type);
    if (!item->event.type || !item->handler)
        return yz_violate(v, YZ_UNKNOWN_TYPE, "ce-type", NULL);
    if ((err = read_payload(item, arena, v)) || (err = check_place(item, v)) ||
        (err = check_authority(item, v)))
        return err;
    return YZ_OK;
}

/* An operator brings in what happened before this system was there: it has a time, but no place of
 * its own in EVENTS. */
static bool is_of_the_past(natsMsg *msg, int64_t *happened_at_ms)
{
    const char *time = NULL;
    int64_t seconds;
    int32_t nanos;

    if (!yz_event_subject_is_own(natsMsg_GetSubject(msg)) ||
        natsMsgHeader_Get(msg, YZ_HEADER_PAST_TIME, &time) != NATS_OK ||
        !yz_clock_parse(time, strlen(time), &seconds, &nanos))
        return false;
    *happened_at_ms = seconds * 1000 + nanos / 1000000;
    return true;
}

static void read_place(struct wk_item *item)
{
    uint64_t origin;
    int64_t time_ms;
    bool replayed = wk_deadletter_origin(item->delivery.msg, &origin, &time_ms);

    item->event.env = &item->env;
    item->event.sequence = item->delivery.sequence;
    item->event.received_at_ms = replayed || is_of_the_past(item->delivery.msg, &time_ms)
                                     ? time_ms
                                     : item->delivery.stored_at_ms;
    item->outcome.sequence = replayed ? origin : item->delivery.sequence;
    item->outcome.decided_by = item->delivery.sequence;
    item->outcome.received_at_ms = item->event.received_at_ms;
}

/* When it was sent tells on who sent it: from here on it is known to the hour. */
static void blur_time(struct wk_item *item)
{
    const struct yz_event_type *type = yz_event_type_find(item->env.type, NULL);

    if (!type || (type->authority != YZ_BY_ANYONE && type->authority != YZ_BY_MEMBER_DISCREETLY))
        return;
    item->event.received_at_ms -= item->event.received_at_ms % HOUR_MS;
    item->outcome.received_at_ms = item->event.received_at_ms;
}

void wk_item_read(struct wk_item *item, struct yz_arena *arena,
                  const struct wk_event_handler *(*find_handler)(const char *type))
{
    natsMsg *msg = item->delivery.msg;
    struct yz_violation found = {0};
    const char *cause = NULL;

    read_place(item);
    item->readable = yz_envelope_read(msg, &item->env, &found) == YZ_OK;
    item->by_row = item->env.own && natsMsgHeader_Get(msg, YZ_HEADER_CAUSE, &cause) == NATS_OK;
    if (item->readable) {
        wk_outcome_id(&item->env, item->outcome.id);
        wk_outcome_hash(&item->env, natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg),
                        item->outcome.hash);
        blur_time(item);
    }
    if (item->poison.err)
        return; /* it was given up before: not to be decoded again */
    yz_fault_event(item->env.event_id);
    if (!item->readable || read_event(item, arena, find_handler, &found) != YZ_OK)
        item->poison = found;
}

enum wk_fate wk_item_fate(const struct wk_item *item, const struct wk_outcome *other)
{
    bool same;

    if (!other)
        return WK_FATE_NEW;
    if (other->decided_by == item->outcome.decided_by)
        return WK_FATE_REPLAY;
    same = strcmp(other->hash, item->outcome.hash) == 0;
    if (same && other->status == WK_DEAD_LETTERED && other->sequence == item->outcome.sequence)
        return WK_FATE_REDECIDED;
    return same ? WK_FATE_DUPLICATE : WK_FATE_CONFLICT;
}
