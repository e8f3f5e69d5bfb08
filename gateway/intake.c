#include "gateway/intake.h"

#include "common/clock.h"
#include "schemas/contract.h"

#include <openssl/rand.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A decoded message takes a few times its encoding (pointers, lengths, terminators), and a bus
 * message may have 1 MB. */
#define ARENA_MAX (16 << 20)

/* Random bytes of a trace: 16 of the trace itself, 8 of its first span. */
#define TRACE_BYTES 24
/* They are fetched for so many traces at once: a call of the generator costs more than its bytes.
 */
#define TRACES 64

/* A message whose receipt is being concealed: an event, or the question of a query. */
struct held {
    LIST_ENTRY(held) entry;
    struct gw_intake *intake; /* NULL: it is gone */
    struct gw_ticket ticket;
    struct yz_actor actor;
    const struct yz_event_type *event;
    const struct yz_domain_schema *domain;
    const struct yz_query_type *query;
    char event_id[YZ_ID_MAX];
    uint64_t min_sequence;
    size_t len;
    uint8_t payload[]; /* with the receipt: wiped when it is freed */
};

struct gw_intake {
    struct gw_intake_anyone anyone;
    LIST_HEAD(, held) held;
    struct gw_uplink *uplink;
    struct gw_query *query;
    struct gw_metrics *metrics;
    struct yz_arena arena; /* of the payload in hand */
    struct yz_buf encoded; /* its canonical encoding */
    unsigned char traces[TRACES][TRACE_BYTES];
    size_t traces_left;
    bool draining;
};

enum yz_err gw_intake_new(const struct yz_conf *conf, struct gw_uplink *uplink,
                          struct gw_query *query, struct gw_metrics *metrics,
                          struct gw_intake **out)
{
    struct gw_intake *intake = calloc(1, sizeof *intake);

    if (!intake)
        return YZ_INTERNAL;
    intake->uplink = uplink;
    intake->query = query;
    intake->metrics = metrics;
    LIST_INIT(&intake->held);
    yz_arena_init(&intake->arena, ARENA_MAX);
    yz_buf_init(&intake->encoded, (size_t)conf->frame_max_bytes * 2);
    *out = intake;
    return YZ_OK;
}

void gw_intake_serve_anyone(struct gw_intake *intake, const struct gw_intake_anyone *anyone)
{
    intake->anyone = *anyone;
}

void gw_intake_free(struct gw_intake *intake)
{
    struct held *held;

    if (!intake)
        return;
    LIST_FOREACH(held, &intake->held, entry)
    held->intake = NULL;
    yz_arena_deinit(&intake->arena);
    yz_buf_deinit(&intake->encoded);
    free(intake);
}

void gw_intake_drain(struct gw_intake *intake)
{
    intake->draining = true;
}

bool gw_intake_draining(const struct gw_intake *intake)
{
    return intake->draining;
}

void gw_intake_locate(struct yz_violation *v)
{
    char path[sizeof "payload." + YZ_FIELD_MAX];
    uint32_t retry_after_ms = v->retry_after_ms;

    if (v->field[0] == '\0')
        return;
    snprintf(path, sizeof path, "payload.%s", v->field);
    /* A path too long for the field is cut, at a whole character: it is for people. */
    (void)yz_violate(v, v->err, path, v->text);
    v->retry_after_ms = retry_after_ms;
}

static enum yz_err in_payload(struct yz_violation *v)
{
    gw_intake_locate(v);
    return v->err;
}

static enum yz_err decode(struct gw_intake *intake, const ProtobufCMessageDescriptor *desc,
                          const void *payload, size_t len, ProtobufCMessage **message,
                          struct yz_violation *v)
{
    yz_arena_reset(&intake->arena);
    if (yz_pb_decode(desc, payload, len, &intake->arena, message, v) != YZ_OK)
        return in_payload(v);
    return YZ_OK;
}

/* The canonical encoding: two spellings of one message become the same bytes, and so the same
 * message id. */
static enum yz_err encode(struct gw_intake *intake, const ProtobufCMessage *message,
                          struct yz_violation *v)
{
    intake->encoded.len = 0;
    intake->encoded.failed = false;
    if (yz_pb_encode(message, &intake->encoded) != YZ_OK || intake->encoded.failed)
        return yz_violate(v, YZ_INTERNAL, NULL, NULL);
    return YZ_OK;
}

static enum yz_err authorize(enum yz_authority authority, const struct yz_actor *actor,
                             yz_org_path_fn *org_path, const ProtobufCMessage *message,
                             struct yz_violation *v)
{
    enum yz_err err = yz_authorize(authority, actor, org_path ? org_path(message) : NULL);

    return err == YZ_OK ? err : yz_violate(v, err, NULL, NULL);
}

/* A new trace for each event: W3C trace context, sampled. */
static void new_trace(struct gw_intake *intake, char out[YZ_TRACE_MAX])
{
    const unsigned char *bytes;

    out[0] = '\0';
    if (intake->traces_left == 0) {
        if (RAND_bytes(&intake->traces[0][0], sizeof intake->traces) != 1)
            return;
        intake->traces_left = TRACES;
    }
    bytes = intake->traces[--intake->traces_left];
    memcpy(out, "00-", 3);
    yz_hex(bytes, 16, out + 3);
    out[35] = '-';
    yz_hex(bytes + 16, 8, out + 36);
    memcpy(out + 52, "-01", 4);
}

/* Its sender is not told on, or at least not by the frame. */
static bool is_discreet(enum yz_authority authority)
{
    return authority == YZ_BY_ANYONE || authority == YZ_BY_MEMBER_DISCREETLY;
}

/* Whoever sends a message of anyone is nobody from here on. */
static const struct yz_actor *sender(enum yz_authority authority, const struct yz_actor *actor,
                                     struct yz_actor *nobody)
{
    if (authority != YZ_BY_ANYONE)
        return actor;
    memset(nobody, 0, sizeof *nobody);
    memcpy(nobody->tenant, actor->tenant, sizeof nobody->tenant);
    return nobody;
}

/* Those who need not say who they are share what there is for them. */
static enum yz_err admit(struct gw_intake *intake, enum yz_authority authority, const char *tenant,
                         const struct gw_address *from, struct yz_violation *v)
{
    uint32_t wait_ms;

    if (!is_discreet(authority))
        return YZ_OK;
    if (!intake->anyone.limits)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    wait_ms = gw_anyone_take(intake->anyone.limits, tenant, from, yz_clock_mono_ms());
    if (wait_ms == 0)
        return YZ_OK;
    (void)yz_violate(v, YZ_RATE_LIMITED, NULL, NULL);
    v->retry_after_ms = wait_ms;
    return YZ_RATE_LIMITED;
}

static void free_held(struct held *held)
{
    sodium_memzero(held, sizeof *held + held->len);
    free(held);
}

static enum yz_err fail_event(struct gw_intake *intake, enum yz_err err)
{
    if (err != YZ_OK)
        yz_count(&intake->metrics->events_failed, 1);
    return err;
}

static void fill_envelope(struct gw_intake *intake, struct yz_envelope *env,
                          const struct yz_actor *actor, const char *event_id,
                          const struct yz_event_type *type, const ProtobufCMessage *message)
{
    memset(env, 0, sizeof *env);
    env->actor = *actor;
    snprintf(env->event_id, sizeof env->event_id, "%s", event_id);
    snprintf(env->type, sizeof env->type, "%s", type->name);
    type->aggregate(message, actor, env->aggregate);
    if (!is_discreet(type->authority))
        new_trace(intake, env->traceparent);
}

/* The concealed receipt in its place, and what was held back on its way. */
static enum yz_err let_go(struct held *held, const char *concealed)
{
    struct gw_intake *intake = held->intake;
    ProtobufCMessage *message = NULL;
    struct yz_violation v = {0};
    struct yz_envelope env;
    enum yz_err err;

    err = decode(intake, held->event ? held->event->payload : held->query->request, held->payload,
                 held->len, &message, &v);
    if (err)
        return err;
    *yz_receipt_field(message) = (char *)(uintptr_t)concealed;
    err = encode(intake, message, &v);
    if (err)
        return err;
    if (!held->event)
        return gw_query_ask(intake->query, held->ticket, &held->actor, held->query->name,
                            intake->encoded.data, intake->encoded.len, held->min_sequence);
    fill_envelope(intake, &env, &held->actor, held->event_id, held->event, message);
    return fail_event(intake, gw_uplink_emit(intake->uplink, held->ticket, &env, held->domain->name,
                                             intake->encoded.data, intake->encoded.len));
}

static void on_concealed(void *arg, enum yz_err err, const char *concealed)
{
    struct held *held = arg;
    struct gw_intake *intake = held->intake;
    struct yz_violation v = {0};

    if (!intake) {
        free_held(held);
        return;
    }
    LIST_REMOVE(held, entry);
    if (!err)
        err = let_go(held, concealed);
    if (err && held->event) {
        intake->anyone.on_accepted(intake->anyone.arg, held->ticket, held->event_id, err, 0, false);
    } else if (err) {
        (void)yz_violate(&v, err, NULL, NULL);
        intake->anyone.on_answered(intake->anyone.arg, held->ticket, held->query->name, err, &v,
                                   NULL, 0);
    }
    free_held(held);
}

/* The message, which was encoded, until its receipt is concealed. `like` says what it is. */
static enum yz_err hold(struct gw_intake *intake, const struct held *like, const char *receipt)
{
    struct held *held;
    enum yz_err err;

    if (yz_receipt_concealed(receipt))
        return YZ_INVALID_VALUE; /* it stands in the database, so it proves nothing */
    if (!intake->anyone.conceal)
        return YZ_BUSY;
    held = calloc(1, sizeof *held + intake->encoded.len);
    if (!held)
        return YZ_INTERNAL;
    *held = *like;
    held->intake = intake;
    held->len = intake->encoded.len;
    memcpy(held->payload, intake->encoded.data, held->len);
    sodium_memzero(intake->encoded.data, intake->encoded.len);
    err = gw_conceal(intake->anyone.conceal, held->actor.tenant, receipt, on_concealed, held);
    if (err)
        free_held(held);
    else
        LIST_INSERT_HEAD(&intake->held, held, entry);
    return err;
}

static enum yz_err refuse_held(enum yz_err err, struct yz_violation *v)
{
    if (err == YZ_OK)
        return err;
    return yz_violate(v, err, err == YZ_INVALID_VALUE ? "payload.receipt" : NULL,
                      err == YZ_INVALID_VALUE ? "A receipt is 16 digits." : NULL);
}

static enum yz_err publish(struct gw_intake *intake, const struct yz_actor *actor,
                           struct gw_ticket ticket, const struct gw_emit *emit,
                           const struct yz_event_type *type, const struct yz_domain_schema *domain,
                           ProtobufCMessage *message)
{
    struct yz_envelope env;

    fill_envelope(intake, &env, actor, emit->event_id, type, message);
    if (!is_discreet(type->authority))
        env.occurred_at_ms = emit->occurred_at_ms;
    return gw_uplink_emit(intake->uplink, ticket, &env, domain->name, intake->encoded.data,
                          intake->encoded.len);
}

static void refuse_type(const struct gw_emit *emit, struct yz_violation *v)
{
    (void)yz_violate(v, emit->type && emit->type[0] ? YZ_UNKNOWN_TYPE : YZ_MISSING_FIELD, "type",
                     NULL);
}

/* Everything that can be wrong with the event itself. */
static enum yz_err check_event(struct gw_intake *intake, const struct yz_actor *actor,
                               const struct gw_emit *emit, const struct yz_event_type *type,
                               ProtobufCMessage **message, struct yz_violation *v)
{
    enum yz_err err;

    if (!emit->event_id || emit->event_id[0] == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "eventId", NULL);
    if (!yz_id_valid(emit->event_id))
        return yz_violate(v, YZ_INVALID_VALUE, "eventId",
                          "An event id is 1 to 64 of the characters A-Z a-z 0-9 _ and -.");
    err = decode(intake, type->payload, emit->payload, emit->len, message, v);
    if (err != YZ_OK)
        return err;
    if (type->check && type->check(*message, v) != YZ_OK)
        return in_payload(v);
    err = authorize(type->authority, actor, type->org_path, *message, v);
    return err == YZ_OK ? encode(intake, *message, v) : err;
}

enum yz_err gw_intake_event(struct gw_intake *intake, const struct yz_actor *actor,
                            struct gw_ticket ticket, const struct gw_emit *emit,
                            struct yz_violation *v)
{
    const struct yz_domain_schema *domain = NULL;
    const struct yz_event_type *type = yz_event_type_find(emit->type ? emit->type : "", &domain);
    struct held like = {.ticket = ticket, .event = type, .domain = domain};
    ProtobufCMessage *message = NULL;
    struct yz_actor nobody;
    char **receipt;
    enum yz_err err;

    if (intake->draining)
        return yz_violate(v, YZ_DRAINING, NULL, NULL);
    if (type)
        actor = sender(type->authority, actor, &nobody);
    /* First of all, so that what is refused under overload costs little. */
    if (gw_uplink_room(intake->uplink, actor, v) != YZ_OK)
        return fail_event(intake, v->err);
    if (!type)
        refuse_type(emit, v);
    if (!type || admit(intake, type->authority, actor->tenant, emit->from, v) != YZ_OK ||
        check_event(intake, actor, emit, type, &message, v) != YZ_OK) {
        yz_count(&intake->metrics->events_refused, 1);
        return v->err;
    }
    receipt = yz_receipt_field(message);
    if (!receipt) {
        err = publish(intake, actor, ticket, emit, type, domain, message);
        return err ? yz_violate(v, fail_event(intake, err), NULL, NULL) : YZ_OK;
    }
    like.actor = *actor;
    snprintf(like.event_id, sizeof like.event_id, "%s", emit->event_id);
    return refuse_held(fail_event(intake, hold(intake, &like, *receipt)), v);
}

/* What comes before a query's request is decoded. */
static enum yz_err begin_query(struct gw_intake *intake, const struct yz_query_type *type,
                               const struct yz_actor *actor, const struct gw_address *from,
                               struct yz_violation *v)
{
    if (!type)
        return yz_violate(v, YZ_UNKNOWN_TYPE, "type", NULL);
    if (gw_query_room(intake->query, actor, v) != YZ_OK)
        return v->err;
    yz_arena_reset(&intake->arena);
    return admit(intake, type->authority, actor->tenant, from, v);
}

static enum yz_err ask(struct gw_intake *intake, const struct yz_actor *actor,
                       struct gw_ticket ticket, const struct yz_query_type *type,
                       const ProtobufCMessage *message, uint64_t min_sequence,
                       struct yz_violation *v)
{
    struct held like = {.ticket = ticket, .query = type, .min_sequence = min_sequence};
    char **receipt = yz_receipt_field(message);
    struct yz_actor nobody;
    enum yz_err err;

    actor = sender(type->authority, actor, &nobody);
    if (type->check && type->check(message, v) != YZ_OK)
        return in_payload(v);
    err = authorize(type->authority, actor, type->org_path, message, v);
    if (err == YZ_OK)
        err = encode(intake, message, v);
    if (err != YZ_OK)
        return err;
    if (receipt) {
        like.actor = *actor;
        return refuse_held(hold(intake, &like, *receipt), v);
    }
    err = gw_query_ask(intake->query, ticket, actor, type->name, intake->encoded.data,
                       intake->encoded.len, min_sequence);
    return err == YZ_OK ? err : yz_violate(v, err, NULL, NULL);
}

enum yz_err gw_intake_query(struct gw_intake *intake, const struct yz_actor *actor,
                            struct gw_ticket ticket, const struct gw_ask *from,
                            struct yz_violation *v)
{
    const struct yz_query_type *type = yz_query_type_find(from->type ? from->type : "", NULL);
    ProtobufCMessage *message = NULL;

    if (begin_query(intake, type, actor, from->from, v) != YZ_OK ||
        decode(intake, type->request, from->payload, from->len, &message, v) != YZ_OK)
        return v->err;
    return ask(intake, actor, ticket, type, message, from->min_sequence, v);
}

enum yz_err gw_intake_query_pairs(struct gw_intake *intake, const struct yz_actor *actor,
                                  struct gw_ticket ticket, const char *name,
                                  const struct yz_pair *pairs, size_t count, uint64_t min_sequence,
                                  const struct gw_address *from, struct yz_violation *v)
{
    const struct yz_query_type *type = yz_query_type_find(name, NULL);
    ProtobufCMessage *message = NULL;

    if (begin_query(intake, type, actor, from, v) != YZ_OK)
        return v->err;
    if (yz_pairs_decode(type->request, pairs, count, &intake->arena, &message, v) != YZ_OK)
        return in_payload(v);
    if (yz_receipt_field(message))
        return yz_violate(v, YZ_METHOD_NOT_ALLOWED, "receipt",
                          "No receipt may stand in a URL: ask by POST.");
    return ask(intake, actor, ticket, type, message, min_sequence, v);
}

enum yz_err gw_intake_query_json(struct gw_intake *intake, const struct yz_actor *actor,
                                 struct gw_ticket ticket, const struct gw_ask *from,
                                 struct yz_violation *v)
{
    const struct yz_query_type *type = yz_query_type_find(from->type, NULL);
    ProtobufCMessage *message = NULL;

    if (begin_query(intake, type, actor, from->from, v) != YZ_OK)
        return v->err;
    if (yz_json_decode(type->request, from->payload, from->len, yz_payload_resolve, &intake->arena,
                       &message, v) != YZ_OK)
        return v->err == YZ_BAD_JSON ? v->err : in_payload(v);
    return ask(intake, actor, ticket, type, message, from->min_sequence, v);
}

enum yz_err gw_intake_reply_json(struct gw_intake *intake, const char *name, const void *payload,
                                 size_t len, struct yz_buf *buf)
{
    const struct yz_query_type *type = yz_query_type_find(name, NULL);
    ProtobufCMessage *message = NULL;
    struct yz_violation v = {0};

    if (!type || decode(intake, type->reply, payload, len, &message, &v) != YZ_OK)
        return YZ_INTERNAL;
    return yz_json_encode(message, yz_payload_resolve, buf);
}
