#include "workers/ctl/emit.h"

#include "common/clock.h"
#include "schemas/receipt.h"
#include "workers/ctl/actor.h"
#include "workers/ctl/ask.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"

#include <assert.h>
#include <event.pb-c.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ULID_LEN        26
#define STREAM_IS_FULL  10077
#define ACK_TIMEOUT_MS  5000
#define OUTCOME_POLL_MS 100

const struct ctl_flag ctl_emit_flags[] = {
    {.name = "event-id",
     .kind = CTL_TEXT,
     .value = "ID",
     .help = "the event's id (default: a new ULID); the same again is a duplicate"},
    {.name = "wait", .kind = CTL_SWITCH, .help = "wait for the outcome and print it"},
    {.name = "timeout",
     .kind = CTL_NUMBER,
     .value = "MS",
     .def = 10000,
     .min = 1,
     .max = 600000,
     .help = "how long --wait waits"},
    {0},
};

/* Crockford's base 32: 10 characters of milliseconds, 16 random ones. */
static bool new_ulid(char out[ULID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)yz_clock_wall_ms();
    unsigned char random[16];

    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    for (int i = 9; i >= 0; i--, ms >>= 5)
        out[i] = digits[ms & 31];
    for (size_t i = 0; i < sizeof random; i++)
        out[10 + i] = digits[random[i] & 31];
    out[ULID_LEN] = '\0';
    return true;
}

static enum yz_err fill_envelope(const struct ctl *ctl, const struct yz_event_type *type,
                                 const ProtobufCMessage *message, struct yz_envelope *env,
                                 struct yz_violation *v)
{
    const char *id = ctl_text(ctl, "event-id");
    char ulid[ULID_LEN + 1];

    if (!id && !new_ulid(ulid))
        return yz_violate(v, YZ_INTERNAL, NULL, "The system gives no random bytes.");
    if (id && !yz_id_valid(id))
        return yz_violate(v, YZ_INVALID_VALUE, "eventId", NULL);
    snprintf(env->event_id, sizeof env->event_id, "%s", id ? id : ulid);
    snprintf(env->type, sizeof env->type, "%s", type->name);
    type->aggregate(message, &env->actor, env->aggregate);
    env->occurred_at_ms = yz_clock_wall_ms();
    return YZ_OK;
}

static enum yz_err prepare(const struct ctl *ctl, const struct yz_event_type *type,
                           const char *json, struct yz_envelope *env, struct ctl_payload *payload,
                           struct yz_violation *v)
{
    enum yz_err err = ctl_payload_read(payload, type->payload, json, v);

    if (err) {
        ctl_in_payload(v);
        return err;
    }
    if (type->authority == YZ_BY_ANYONE || yz_receipt_field(payload->message))
        return yz_violate(v, YZ_FORBIDDEN, "type",
                          "Only a gateway takes this: it conceals the receipt and the sender.");
    if ((err = ctl_check(type->check, type->authority, type->org_path, &env->actor,
                         payload->message, v)) ||
        (err = fill_envelope(ctl, type, payload->message, env, v)))
        return err;
    return ctl_payload_encode(payload, v);
}

static enum yz_err store(natsConnection *nc, natsMsg *msg, jsPubAck **ack, struct yz_violation *v)
{
    jsErrCode code = 0;
    jsCtx *js = NULL;
    natsStatus s = natsConnection_JetStream(&js, nc, NULL);

    if (s == NATS_OK)
        s = js_PublishMsg(ack, js, msg, NULL, &code);
    jsCtx_Destroy(js);
    if (s == NATS_OK)
        return YZ_OK;
    if ((int)code == STREAM_IS_FULL)
        return yz_violate(v, YZ_STORAGE_FULL, NULL, NULL);
    if (s == NATS_NO_RESPONDERS)
        return yz_violate(v, YZ_BUS_UNAVAILABLE, NULL,
                          "There is no stream EVENTS: yzctl apply creates it.");
    return yz_violate(v, YZ_BUS_UNAVAILABLE, NULL, natsStatus_GetText(s));
}

/* The event's outcome as JSON; NULL: v says why not. */
static json_t *wait_outcome(natsConnection *nc, const struct yz_envelope *env, uint64_t sequence,
                            int64_t timeout_ms, struct yz_violation *v)
{
    Yizhan__V1__EventOutcomeRequest request = YIZHAN__V1__EVENT_OUTCOME_REQUEST__INIT;
    int64_t until = yz_clock_mono_ms() + timeout_ms;
    natsMsg *reply = NULL;
    struct yz_buf bytes;
    json_t *value = NULL, *outcome;
    enum yz_err err;

    request.event_id = (char *)(uintptr_t)env->event_id;
    yz_buf_init(&bytes, CTL_PAYLOAD_MAX);
    if ((err = yz_pb_encode(&request.base, &bytes)))
        yz_violate(v, err, NULL, NULL);
    /* A worker that is being replaced answers nothing for a moment. */
    while (!err &&
           (err = ctl_ask(nc, &env->actor, "event.outcome", bytes.data, bytes.len, sequence,
                          until - yz_clock_mono_ms(), &reply, v)) &&
           (yz_err_temporary(err) || err == YZ_NOT_FOUND) && yz_clock_mono_ms() < until) {
        nats_Sleep(OUTCOME_POLL_MS);
        err = YZ_OK;
    }
    if (reply)
        value = ctl_message_json(&yizhan__v1__event_outcome_reply__descriptor,
                                 natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));
    outcome = json_incref(json_object_get(value, "outcome"));
    json_decref(value);
    natsMsg_Destroy(reply);
    yz_buf_deinit(&bytes);
    return outcome;
}

static const char *text_of(const json_t *outcome, const char *key)
{
    const char *text = json_string_value(json_object_get(outcome, key));

    return text ? text : "";
}

static void print_outcome(const json_t *outcome)
{
    printf("outcome %s", text_of(outcome, "status"));
    if (*text_of(outcome, "code"))
        printf(", %s%s%s: %s", text_of(outcome, "code"), *text_of(outcome, "field") ? " in " : "",
               text_of(outcome, "field"), text_of(outcome, "text"));
    printf("\n");
}

static enum ctl_exit report(const struct ctl *ctl, const struct yz_envelope *env,
                            const jsPubAck *ack, json_t *outcome)
{
    const char *status = text_of(outcome, "status");
    char sequence[24];

    assert(ack);
    snprintf(sequence, sizeof sequence, "%" PRIu64, ack->Sequence);
    if (ctl->json) {
        ctl_print_json(json_pack("{s:s, s:s, s:b, s:O*}", "eventId", env->event_id, "sequence",
                                 sequence, "duplicate", ack->Duplicate, "outcome", outcome));
    } else {
        printf("accepted %s, sequence %s%s\n", env->event_id, sequence,
               ack->Duplicate ? ", a duplicate of an earlier one" : "");
        if (outcome)
            print_outcome(outcome);
    }
    return !outcome || strcmp(status, "APPLIED") == 0 ? CTL_DONE : CTL_FAILED;
}

static enum ctl_exit send(const struct ctl *ctl, const char *domain, const struct yz_envelope *env,
                          const struct ctl_payload *payload)
{
    natsConnection *nc = ctl_nats_open(ctl, false);
    enum ctl_exit code = CTL_FAILED;
    json_t *outcome = NULL;
    struct yz_violation v;
    jsPubAck *ack = NULL;
    natsMsg *msg = NULL;

    if (!nc)
        return CTL_FAILED;
    if (yz_envelope_write(env, domain, payload->bytes.data, payload->bytes.len, &msg)) {
        code = ctl_fail(ctl, "internal", "out of memory");
    } else if (store(nc, msg, &ack, &v)) {
        code = ctl_refused(ctl, &v);
    } else {
        assert(ack);
        if (ctl_given(ctl, "wait"))
            outcome = wait_outcome(nc, env, ack->Sequence, ctl_number(ctl, "timeout"), &v);
        code = report(ctl, env, ack, outcome);
        if (ctl_given(ctl, "wait") && !outcome)
            code = ctl_refused(ctl, &v);
    }
    json_decref(outcome);
    jsPubAck_Destroy(ack);
    natsMsg_Destroy(msg);
    ctl_nats_close(nc);
    return code;
}

enum ctl_exit ctl_emit(const struct ctl *ctl, const char *type, const char *json)
{
    const struct yz_domain_schema *domain = NULL;
    const struct yz_event_type *event = yz_event_type_find(type, &domain);
    struct yz_envelope env = {0};
    struct ctl_payload payload;
    struct yz_violation v;
    enum ctl_exit code;

    if (!ctl_actor_read(ctl, &env.actor))
        return CTL_USAGE;
    if (!event)
        return ctl_misuse(ctl, "there is no event '%s'; PROTOCOL.md lists them", type);
    ctl_payload_init(&payload);
    code = prepare(ctl, event, json, &env, &payload, &v) ? ctl_refused(ctl, &v)
                                                         : send(ctl, domain->name, &env, &payload);
    ctl_payload_deinit(&payload);
    return code;
}
