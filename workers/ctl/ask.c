#include "workers/ctl/ask.h"

#include "common/bus.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum yz_err ask_once(natsConnection *nc, natsMsg *question, int64_t timeout_ms,
                            natsMsg **reply, struct yz_violation *v)
{
    natsStatus s = natsConnection_RequestMsg(reply, nc, question, timeout_ms > 0 ? timeout_ms : 1);

    if (s == NATS_NO_RESPONDERS)
        return yz_violate(v, YZ_BUSY, NULL,
                          "No worker answers: is one running? yzctl doctor looks.");
    if (s == NATS_TIMEOUT)
        return yz_violate(v, YZ_TIMED_OUT, NULL, NULL);
    if (s != NATS_OK)
        return yz_violate(v, YZ_BUS_UNAVAILABLE, NULL, natsStatus_GetText(s));
    if (!yz_violation_read(*reply, v))
        return YZ_OK;
    natsMsg_Destroy(*reply);
    *reply = NULL;
    return v->err;
}

static enum yz_err write_question(const struct yz_actor *actor, const char *type,
                                  const void *payload, size_t len, uint64_t min_sequence,
                                  natsMsg **question)
{
    char subject[YZ_SUBJECT_MAX], sequence[24];

    yz_query_subject(actor->tenant, type, subject);
    snprintf(sequence, sizeof sequence, "%" PRIu64, min_sequence);
    if (natsMsg_Create(question, subject, NULL, payload, (int)len) != NATS_OK)
        return YZ_INTERNAL;
    if (yz_actor_write(actor, question) ||
        (min_sequence &&
         yz_bus_header_set(question, YZ_HEADER_MIN_SEQUENCE, sequence) != NATS_OK)) {
        natsMsg_Destroy(*question);
        return YZ_INTERNAL;
    }
    return YZ_OK;
}

enum yz_err ctl_ask(natsConnection *nc, const struct yz_actor *actor, const char *type,
                    const void *payload, size_t len, uint64_t min_sequence, int64_t timeout_ms,
                    natsMsg **reply, struct yz_violation *v)
{
    int64_t until = yz_clock_mono_ms() + timeout_ms;
    natsMsg *question = NULL;
    enum yz_err err;

    *reply = NULL;
    if (write_question(actor, type, payload, len, min_sequence, &question))
        return yz_violate(v, YZ_INTERNAL, NULL, NULL);
    do {
        err = ask_once(nc, question, until - yz_clock_mono_ms(), reply, v);
    } while (err == YZ_NOT_SETTLED && yz_clock_mono_ms() < until);
    natsMsg_Destroy(question);
    return err;
}

void ctl_in_payload(struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];

    if (!v->field[0])
        return;
    snprintf(field, sizeof field, "%s", v->field);
    snprintf(v->field, sizeof v->field, "payload.%.*s", YZ_FIELD_MAX - 9, field);
}

enum yz_err ctl_check(yz_check_fn *check, enum yz_authority authority, yz_org_path_fn *org_path,
                      const struct yz_actor *actor, const ProtobufCMessage *message,
                      struct yz_violation *v)
{
    enum yz_err err;

    if (check && check(message, v)) {
        ctl_in_payload(v);
        return v->err;
    }
    err = yz_authorize(authority, actor, org_path ? org_path(message) : NULL);
    return err ? yz_violate(v, err, NULL, NULL) : YZ_OK;
}
