#include "workers/outcome.h"

#include "envelope.pb-c.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    Yizhan__V1__Outcome__Status status;
} statuses[] = {
    [WK_APPLIED] = {"applied", YIZHAN__V1__OUTCOME__STATUS__APPLIED},
    [WK_REFUSED] = {"refused", YIZHAN__V1__OUTCOME__STATUS__REFUSED},
    [WK_DEAD_LETTERED] = {"dead_lettered", YIZHAN__V1__OUTCOME__STATUS__DEAD_LETTERED},
};
#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

bool wk_outcome_discreet(const struct yz_envelope *env)
{
    const struct yz_event_type *type = yz_event_type_find(env->type, NULL);

    /* Also one that came with an actor, where none belongs. */
    return yz_actor_is_nobody(&env->actor) ||
           (type &&
            (type->authority == YZ_BY_ANYONE || type->authority == YZ_BY_MEMBER_DISCREETLY));
}

void wk_outcome_discreet_id(const struct yz_actor *actor, const char *event_id, char out[WK_ID_MAX])
{
    const struct yz_part parts[] = {{"outcome", strlen("outcome")},
                                    {actor->tenant, strlen(actor->tenant)},
                                    {actor->member, strlen(actor->member)},
                                    {event_id, strlen(event_id)}};
    char hex[33];

    yz_hash(parts, sizeof parts / sizeof parts[0], hex);
    wk_id(out, actor->tenant, "$", hex, NULL);
}

void wk_outcome_id(const struct yz_envelope *env, char out[WK_ID_MAX])
{
    if (wk_outcome_discreet(env))
        wk_outcome_discreet_id(&env->actor, env->event_id, out);
    else
        wk_id(out, env->actor.tenant, env->actor.member, env->event_id, NULL);
}

void wk_outcome_hash(const struct yz_envelope *env, const void *payload, size_t len, char out[33])
{
    const struct yz_part parts[] = {
        {env->type, strlen(env->type)}, {payload, len}, {env->event_id, strlen(env->event_id)}};

    /* With the event id, which nobody else knows, nobody can tell whether it was this payload. */
    yz_hash(parts, wk_outcome_discreet(env) ? 3 : 2, out);
}

bson_t *wk_outcome_document(const struct wk_outcome *outcome, const struct yz_envelope *env)
{
    bson_t *document = bson_new();
    bool applied = outcome->status == WK_APPLIED;

    BSON_APPEND_UTF8(document, "_id", outcome->id);
    BSON_APPEND_UTF8(document, "tenant", env->actor.tenant);
    BSON_APPEND_INT64(document, "evt_seq", (int64_t)outcome->decided_by);
    if (!wk_outcome_discreet(env)) {
        BSON_APPEND_UTF8(document, "actor", env->actor.member);
        BSON_APPEND_UTF8(document, "event_id", env->event_id);
    }
    BSON_APPEND_UTF8(document, "type", env->type);
    BSON_APPEND_UTF8(document, "hash", outcome->hash);
    BSON_APPEND_INT64(document, "sequence", (int64_t)outcome->sequence);
    BSON_APPEND_UTF8(document, "status", statuses[outcome->status].name);
    BSON_APPEND_UTF8(document, "code", applied ? "" : yz_err_code(outcome->reason.err));
    BSON_APPEND_UTF8(document, "field", applied ? "" : outcome->reason.field);
    BSON_APPEND_UTF8(document, "text", applied ? "" : yz_violation_text(&outcome->reason));
    BSON_APPEND_DATE_TIME(document, "received_at", outcome->received_at_ms);
    return document;
}

static const char *text_of(const bson_t *document, const char *field)
{
    bson_iter_t it;

    return bson_iter_init_find(&it, document, field) && BSON_ITER_HOLDS_UTF8(&it)
               ? bson_iter_utf8(&it, NULL)
               : "";
}

static int64_t number_of(const bson_t *document, const char *field)
{
    bson_iter_t it;

    if (!bson_iter_init_find(&it, document, field))
        return 0;
    return BSON_ITER_HOLDS_DATE_TIME(&it) ? bson_iter_date_time(&it) : bson_iter_as_int64(&it);
}

bool wk_outcome_read(const bson_t *document, struct wk_outcome *outcome)
{
    const char *status = text_of(document, "status");
    size_t i = 0;

    memset(outcome, 0, sizeof *outcome);
    while (i < STATUS_COUNT && strcmp(statuses[i].name, status) != 0)
        i++;
    if (i == STATUS_COUNT)
        return false;
    outcome->status = (enum wk_status)i;
    snprintf(outcome->id, sizeof outcome->id, "%s", text_of(document, "_id"));
    snprintf(outcome->hash, sizeof outcome->hash, "%s", text_of(document, "hash"));
    outcome->sequence = (uint64_t)number_of(document, "sequence");
    outcome->decided_by = (uint64_t)number_of(document, "evt_seq");
    outcome->received_at_ms = number_of(document, "received_at");
    if (outcome->status != WK_APPLIED)
        yz_violate(&outcome->reason, yz_err_from_code(text_of(document, "code")),
                   text_of(document, "field"), text_of(document, "text"));
    return true;
}

void wk_outcome_push(struct wk_fold *fold, const struct wk_event *event,
                     const struct wk_outcome *outcome)
{
    Yizhan__V1__Outcome message = YIZHAN__V1__OUTCOME__INIT;
    Google__Protobuf__Timestamp received_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char channel[YZ_CHANNEL_MAX], field[YZ_FIELD_MAX], text[YZ_TEXT_MAX];

    snprintf(channel, sizeof channel, "member.%s", event->env->actor.member);
    snprintf(field, sizeof field, "%s", outcome->reason.field);
    snprintf(text, sizeof text, "%s", yz_violation_text(&outcome->reason));
    received_at.seconds = outcome->received_at_ms / 1000;
    received_at.nanos = (int32_t)(outcome->received_at_ms % 1000) * 1000000;
    message.event_id = (char *)(uintptr_t)event->env->event_id;
    message.type = (char *)(uintptr_t)event->env->type;
    message.status = statuses[outcome->status].status;
    message.code = (char *)(uintptr_t)yz_err_code(outcome->reason.err);
    message.text = text;
    message.field = field;
    message.sequence = outcome->sequence;
    message.received_at = &received_at;
    wk_push(fold, channel, "event.outcome", &message.base, NULL);
}
