/* The domain `event`: what became of events. It has no events of its own. */
#include "schemas/contract.h"

#include "schemas/check.h"

#include <envelope.pb-c.h>
#include <event.pb-c.h>

static enum yz_err check_outcome(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__EventOutcomeRequest *request =
        (const Yizhan__V1__EventOutcomeRequest *)message;

    return yz_check_id(request->event_id, "eventId", v);
}

static enum yz_err check_outcome_of_nonce(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__EventOutcomeOfNonceRequest *request =
        (const Yizhan__V1__EventOutcomeOfNonceRequest *)message;

    return yz_check_id(request->event_id, "eventId", v);
}

static const struct yz_event_type events[] = {{0}};

static const struct yz_query_type queries[] = {
    {"event.outcome", &yizhan__v1__event_outcome_request__descriptor,
     &yizhan__v1__event_outcome_reply__descriptor, YZ_BY_MEMBER, check_outcome, NULL, YZ_BY_GET},
    {"event.outcome_of_nonce", &yizhan__v1__event_outcome_of_nonce_request__descriptor,
     &yizhan__v1__event_outcome_reply__descriptor, YZ_BY_ANYONE, check_outcome_of_nonce, NULL,
     YZ_BY_POST},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"event.outcome", &yizhan__v1__outcome__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_event = {"event", events, queries, pushes};
