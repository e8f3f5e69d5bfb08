/* envelope.h: the CloudEvents 1.0 envelope of an event and the caller of a query, as NATS headers.
 *
 * Binary content mode: attributes are the headers ce-specversion, ce-id, ce-source, ce-type,
 * ce-subject (the aggregate), ce-time (the phone's occurred_at, when given) and content-type;
 * extensions are ce-tenant, ce-actor, ce-orgpath, ce-roles and ce-schemaversion; beside them
 * traceparent and Nats-Msg-Id. The body is the domain's protobuf message.
 *
 * Lifetime  yz_envelope holds its own copies.
 * Thread    any.
 */
#ifndef YZ_ENVELOPE_H
#define YZ_ENVELOPE_H

#include "common/err.h"
#include "common/subject.h"

#include <nats/nats.h>

#define YZ_TYPE_MAX  64
#define YZ_ROLES_MAX 512
#define YZ_TRACE_MAX 64

/* A client's roles as text: "member,secretary@g1/c1,inspector@g1". Nobody in particular, whose
 * event must not say who sent it, is a tenant alone. */
struct yz_actor {
    char tenant[YZ_ID_MAX];
    char member[YZ_ID_MAX];
    char org_path[YZ_ORG_PATH_MAX];
    char roles[YZ_ROLES_MAX];
};

static inline bool yz_actor_is_nobody(const struct yz_actor *actor)
{
    return actor->member[0] == '\0';
}
/* The actor has `role` with a scope that covers org_path. */
bool yz_actor_has_role(const struct yz_actor *actor, const char *role, const char *org_path);
/* org_path is the actor's own org or one above it. */
bool yz_actor_belongs(const struct yz_actor *actor, const char *org_path);

struct yz_envelope {
    struct yz_actor actor;
    char event_id[YZ_ID_MAX]; /* an id; with own it may have a '$' before it, which no client's has
                               */
    char type[YZ_TYPE_MAX];
    char aggregate[YZ_AGGREGATE_MAX];
    char traceparent[YZ_TRACE_MAX];
    int64_t occurred_at_ms; /* 0: not given */
    bool own;               /* published by a worker or operator: see yz_event_subject_own */
};

/* A message for the event stream: subject, headers and body (copied). *msg is the caller's to
 * destroy. YZ_INTERNAL when memory runs out. */
YZ_MUST_USE enum yz_err yz_envelope_write(const struct yz_envelope *env, const char *domain,
                                          const void *payload, size_t len, natsMsg **msg);
/* The same with the subject to which the broker sends its PubAck. */
YZ_MUST_USE enum yz_err yz_envelope_request(const struct yz_envelope *env, const char *domain,
                                            const char *reply, const void *payload, size_t len,
                                            natsMsg **msg);
/* Read an event's headers; a header that is missing, malformed or too long names itself in
 * v->field. */
YZ_MUST_USE enum yz_err yz_envelope_read(natsMsg *msg, struct yz_envelope *env,
                                         struct yz_violation *v);

/* Headers of the caller on a query: Yz-Tenant, Yz-Member, Yz-Org-Path, Yz-Roles. *msg may be NULL
 * after a failure (see yz_bus_header_set). */
YZ_MUST_USE enum yz_err yz_actor_write(const struct yz_actor *actor, natsMsg **msg);
YZ_MUST_USE enum yz_err yz_actor_read(natsMsg *msg, struct yz_actor *actor, struct yz_violation *v);

/* An error as headers of a query's reply (Yz-Error, Yz-Error-Text, Yz-Error-Field), and back. */
YZ_MUST_USE enum yz_err yz_violation_write(const struct yz_violation *v, natsMsg **msg);
/* true: the reply is an error, told in v. */
bool yz_violation_read(natsMsg *msg, struct yz_violation *v);

#define YZ_HEADER_MIN_SEQUENCE "Yz-Min-Sequence" /* on a query */
#define YZ_HEADER_PUSH_ROLES                                                                       \
    "Yz-Push-Roles" /* on a push: only sessions with one of these roles over the org */
/* on a push: not these members, at most 16, comma-separated */
#define YZ_HEADER_PUSH_EXCLUDE "Yz-Push-Exclude"
/* on a dead letter, and on its replay into EVENTS */
#define YZ_HEADER_DEAD_REASON     "Yz-Dead-Reason" /* wire code */
#define YZ_HEADER_DEAD_TEXT       "Yz-Dead-Text"
#define YZ_HEADER_DEAD_FIELD      "Yz-Dead-Field"
#define YZ_HEADER_DEAD_ATTEMPTS   "Yz-Dead-Attempts"
#define YZ_HEADER_ORIGIN_SUBJECT  "Yz-Origin-Subject"
#define YZ_HEADER_ORIGIN_SEQUENCE "Yz-Origin-Sequence"
/* RFC 3339, the broker's time of first acceptance */
#define YZ_HEADER_ORIGIN_TIME "Yz-Origin-Time"
/* on an event of an operator, who brings in what happened before: RFC 3339, in place of the
 * broker's time; believed on its own subject only */
#define YZ_HEADER_PAST_TIME "Yz-Past-Time"
/* on an event that a worker made from a row of the outbox; believed on its own subject only, as are
 * the three of a replay */
#define YZ_HEADER_CAUSE "Yz-Cause" /* sequence of the event that wrote the row */

#endif
