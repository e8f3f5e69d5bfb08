#include "workers/ctl/past.h"

#include "common/bus.h"
#include "common/clock.h"
#include "schemas/contract.h"
#include "workers/ctl/ask.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"

#include <event.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS        60000
#define ASK_MS           10000
#define POLL_MS          20
#define PAST_REFUSED_MAX 100

/* Emitted, its outcome not asked for yet. */
struct pending {
    struct yz_actor actor;
    char event_id[YZ_ID_MAX];
    const struct yz_event_type *type;
    uint64_t sequence;
};

struct ctl_past {
    const struct ctl *ctl;
    natsConnection *nc;
    jsCtx *js;
    struct pending *pending;
    size_t count, cap;
    struct ctl_past_counts counts;
    json_t *applied, *refused;
    bool failed;
};

struct ctl_past *ctl_past_open(const struct ctl *ctl)
{
    struct ctl_past *past;
    natsConnection *nc = ctl_nats_open(ctl, false);

    if (!nc)
        return NULL;
    past = calloc(1, sizeof *past);
    if (!past || natsConnection_JetStream(&past->js, nc, NULL) != NATS_OK) {
        free(past);
        ctl_nats_close(nc);
        ctl_fail(ctl, "internal", "out of memory");
        return NULL;
    }
    past->ctl = ctl;
    past->nc = nc;
    past->applied = json_object();
    past->refused = json_array();
    return past;
}

void ctl_past_close(struct ctl_past *past)
{
    if (!past)
        return;
    jsCtx_Destroy(past->js);
    ctl_nats_close(past->nc);
    json_decref(past->applied);
    json_decref(past->refused);
    free(past->pending);
    free(past);
}

bool ctl_past_failed(const struct ctl_past *past)
{
    return past->failed;
}

struct ctl_past_counts ctl_past_counts(const struct ctl_past *past)
{
    return past->counts;
}

const json_t *ctl_past_applied(const struct ctl_past *past)
{
    return past->applied;
}

const json_t *ctl_past_refused(const struct ctl_past *past)
{
    return past->refused;
}

static bool fail(struct ctl_past *past, const char *type, const struct yz_violation *v)
{
    past->failed = true;
    ctl_fail(past->ctl, yz_err_code(v->err), "%s %s: %s", type, v->field, yz_violation_text(v));
    return false;
}

static struct pending *add_pending(struct ctl_past *past)
{
    if (past->count == past->cap) {
        size_t cap = past->cap ? past->cap * 2 : 256;
        struct pending *grown = realloc(past->pending, cap * sizeof *grown);

        if (!grown)
            return NULL;
        past->pending = grown;
        past->cap = cap;
    }
    return &past->pending[past->count];
}

/* The payload's checked message and bytes; JSON text is freed here. */
static enum yz_err read_payload(const struct yz_event_type *type, const struct yz_actor *actor,
                                json_t *json, struct ctl_payload *payload, struct yz_violation *v)
{
    char *text = json_dumps(json, JSON_COMPACT);
    enum yz_err err = text ? ctl_payload_read(payload, type->payload, text, v)
                           : yz_violate(v, YZ_INTERNAL, NULL, "out of memory");

    free(text);
    if (err)
        return err;
    err = ctl_check(type->check, type->authority, type->org_path, actor, payload->message, v);
    return err ? err : ctl_payload_encode(payload, v);
}

static enum yz_err publish(struct ctl_past *past, const struct yz_envelope *env, const char *domain,
                           int64_t at_ms, const struct ctl_payload *payload, uint64_t *sequence,
                           struct yz_violation *v)
{
    char time[YZ_RFC3339_MAX];
    jsPubAck *ack = NULL;
    natsMsg *msg = NULL;
    natsStatus s;

    yz_clock_format(at_ms / 1000, (int32_t)(at_ms % 1000) * 1000000, time);
    if (yz_envelope_write(env, domain, payload->bytes.data, payload->bytes.len, &msg) ||
        yz_bus_header_set(&msg, YZ_HEADER_PAST_TIME, time) != NATS_OK) {
        natsMsg_Destroy(msg);
        return yz_violate(v, YZ_INTERNAL, NULL, "out of memory");
    }
    s = js_PublishMsg(&ack, past->js, msg, NULL, NULL);
    natsMsg_Destroy(msg);
    if (s != NATS_OK)
        return yz_violate(v, YZ_BUS_UNAVAILABLE, NULL, natsStatus_GetText(s));
    *sequence = ack->Sequence;
    jsPubAck_Destroy(ack);
    return YZ_OK;
}

bool ctl_past_emit(struct ctl_past *past, const struct yz_actor *actor, int64_t at_ms,
                   const char *event_id, const char *name, json_t *json)
{
    const struct yz_domain_schema *domain = NULL;
    const struct yz_event_type *type = yz_event_type_find(name, &domain);
    struct yz_envelope env = {.actor = *actor, .occurred_at_ms = at_ms, .own = true};
    struct pending *pending = past->failed ? NULL : add_pending(past);
    struct ctl_payload payload;
    struct yz_violation v = {0};
    enum yz_err err;

    if (!pending || !type || !json) {
        json_decref(json);
        return past->failed
                   ? false
                   : (yz_violate(&v, pending && !type ? YZ_UNKNOWN_TYPE : YZ_INTERNAL, NULL, NULL),
                      fail(past, name, &v));
    }
    ctl_payload_init(&payload);
    err = read_payload(type, actor, json, &payload, &v);
    if (!err) {
        snprintf(env.event_id, sizeof env.event_id, "%s", event_id);
        snprintf(env.type, sizeof env.type, "%s", name);
        type->aggregate(payload.message, actor, env.aggregate);
        *pending = (struct pending){.actor = *actor, .type = type};
        snprintf(pending->event_id, sizeof pending->event_id, "%s", event_id);
        err = publish(past, &env, domain->name, at_ms, &payload, &pending->sequence, &v);
    }
    ctl_payload_deinit(&payload);
    json_decref(json);
    if (err)
        return fail(past, name, &v);
    past->count++;
    past->counts.emitted++;
    return true;
}

/* *reply is an answer's JSON. Asked again while it is only not settled yet. */
static enum yz_err ask(struct ctl_past *past, const struct yz_actor *actor, const char *name,
                       const char *text, uint64_t sequence, int64_t within_ms, json_t **reply,
                       struct yz_violation *v)
{
    const struct yz_query_type *type = yz_query_type_find(name, NULL);
    int64_t until_ms = yz_clock_mono_ms() + within_ms;
    struct ctl_payload payload;
    natsMsg *msg = NULL;
    enum yz_err err;

    if (!type)
        return yz_violate(v, YZ_UNKNOWN_TYPE, NULL, NULL);
    ctl_payload_init(&payload);
    err = ctl_payload_read(&payload, type->request, text, v);
    if (!err)
        err = ctl_check(type->check, type->authority, type->org_path, actor, payload.message, v);
    if (!err)
        err = ctl_payload_encode(&payload, v);
    while (!err) {
        err = ctl_ask(past->nc, actor, name, payload.bytes.data, payload.bytes.len, sequence,
                      ASK_MS, &msg, v);
        if (!yz_err_temporary(err) || yz_clock_mono_ms() >= until_ms)
            break;
        nats_Sleep(POLL_MS);
        err = YZ_OK;
    }
    ctl_payload_deinit(&payload);
    if (!err)
        *reply =
            ctl_message_json(type->reply, natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    natsMsg_Destroy(msg);
    return err;
}

json_t *ctl_past_ask(struct ctl_past *past, const struct yz_actor *actor, const char *type,
                     json_t *payload, const char **code)
{
    char *text = json_dumps(payload, JSON_COMPACT);
    struct yz_violation v = {0};
    json_t *reply = NULL;
    enum yz_err err = text ? ask(past, actor, type, text, 0, ASK_MS, &reply, &v) : YZ_INTERNAL;

    free(text);
    json_decref(payload);
    *code = err ? yz_err_code(err) : "";
    return reply;
}

static const char *text_of(const json_t *outcome, const char *key)
{
    const char *text = json_string_value(json_object_get(outcome, key));

    return text ? text : "";
}

static void count_outcome(struct ctl_past *past, const struct pending *pending,
                          const json_t *outcome)
{
    const char *name = pending->type->name;
    json_int_t before = json_integer_value(json_object_get(past->applied, name));

    if (strcmp(text_of(outcome, "status"), "APPLIED") == 0) {
        past->counts.applied++;
        json_object_set_new(past->applied, name, json_integer(before + 1));
        return;
    }
    past->counts.refused++;
    if (json_array_size(past->refused) < PAST_REFUSED_MAX)
        json_array_append_new(past->refused,
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", name, "member",
                                        pending->actor.member, "code", text_of(outcome, "code"),
                                        "field", text_of(outcome, "field"), "text",
                                        text_of(outcome, "text")));
}

bool ctl_past_settle(struct ctl_past *past)
{
    for (size_t i = 0; !past->failed && i < past->count; i++) {
        const struct pending *pending = &past->pending[i];
        const char *query =
            pending->type->authority == YZ_BY_ANYONE ? "event.outcome_of_nonce" : "event.outcome";
        struct yz_violation v = {0};
        json_t *reply = NULL;
        char text[YZ_ID_MAX + 32];

        snprintf(text, sizeof text, "{\"eventId\":\"%s\"}", pending->event_id);
        if (ask(past, &pending->actor, query, text, pending->sequence, SETTLE_MS, &reply, &v))
            return fail(past, pending->type->name, &v);
        count_outcome(past, pending, json_object_get(reply, "outcome"));
        json_decref(reply);
    }
    past->count = 0;
    return !past->failed;
}
