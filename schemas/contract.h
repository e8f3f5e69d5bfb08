/* contract.h: the contract of every event, query and push: its message, its checks, who may send
 * it.
 *
 * Used by the gateway (refuse before accepting) and by the worker (decode, aggregate, trust
 * nobody). One const struct per domain, named by domains.def; a domain's file holds its checks and
 * nothing else.
 *
 * Lifetime  constant tables.
 * Thread    any; checks are pure.
 * Limits    none of their own: a payload is as large as the frame that brought it, see conf.def.
 */
#ifndef YZ_CONTRACT_H
#define YZ_CONTRACT_H

#include "common/envelope.h"
#include "common/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/* Who may send it; org_path is what the message names, else the actor's own. */
enum yz_authority {
    YZ_BY_MEMBER,        /* anybody with a token and the role member */
    YZ_BY_MEMBER_OF_ORG, /* org_path is the actor's org or above it, or a role's scope covers
                            org_path */
    YZ_BY_OVERSEER,      /* role secretary, inspector or admin with a scope that covers org_path */
    YZ_BY_SECRETARY,     /* role secretary or admin with a scope that covers org_path */
    YZ_BY_ADMIN,         /* role admin with a scope that covers org_path */
    YZ_BY_SYSTEM,        /* no client: an event that a row of the outbox becomes */
    YZ_BY_ANYONE, /* everybody, with a token or without one; whoever it is, it is not told on */
    YZ_BY_MEMBER_DISCREETLY, /* as YZ_BY_MEMBER, but no document of the frame says who it was */
};

/* An event of YZ_BY_ANYONE carries no actor from the gateway on, also when a token was sent:
 * neither member nor org path nor roles, no time of the phone's, and `_` for the org in its
 * subject. Its time is told to the hour, and so is that of YZ_BY_MEMBER_DISCREETLY. The outcomes of
 * both are kept under a hash of the event id and are asked for, not pushed. A string field
 * `receipt` of any message is a secret that the gateway replaces before it publishes anything: see
 * receipt.h. */

/* A check fills v and returns its err, or returns YZ_OK. Field names are relative to the payload
 * and in the JSON form ("meetingId", "roster[3]"); the caller puts "payload." before them. */
typedef enum yz_err yz_check_fn(const ProtobufCMessage *message, struct yz_violation *v);
/* The org path the message names (borrowed from it). */
typedef const char *yz_org_path_fn(const ProtobufCMessage *message);
/* Key of the aggregate the event changes: "meeting|g1/c1/b1|m42". Checked messages only. */
typedef void yz_aggregate_fn(const ProtobufCMessage *message, const struct yz_actor *actor,
                             char out[YZ_AGGREGATE_MAX]);

struct yz_event_type {
    const char *name; /* "checkin.recorded" */
    const ProtobufCMessageDescriptor *payload;
    enum yz_authority authority;
    yz_check_fn *check;
    yz_org_path_fn *org_path; /* NULL: the actor's own */
    yz_aggregate_fn *aggregate;
};

/* How a query is asked over HTTP. By POST alone, its request being the body, where that tells of a
 * person: part of a name, a cursor made of one, the receipt of a complaint, the event id that one
 * was filed with. A URL stands in logs, in histories and in proxies. */
enum yz_method { YZ_BY_GET, YZ_BY_POST };

struct yz_query_type {
    const char *name; /* "meeting.attendance" */
    const ProtobufCMessageDescriptor *request, *reply;
    enum yz_authority authority;
    yz_check_fn *check; /* NULL: none */
    yz_org_path_fn *org_path;
    enum yz_method method;
};

/* A push or a value. */
struct yz_push_type {
    const char *name; /* "thread.post" */
    const ProtobufCMessageDescriptor *payload;
};

/* The three lists end with an entry whose name is NULL. */
struct yz_domain_schema {
    const char *name;
    const struct yz_event_type *events;
    const struct yz_query_type *queries;
    const struct yz_push_type *pushes;
};

#define X(domain) extern const struct yz_domain_schema yz_schema_##domain;
#include "schemas/domains.def"
#undef X

/* All domains in the order of domains.def. */
extern const struct yz_domain_schema *const yz_schemas[];
extern const size_t yz_schema_count;

/* NULL when there is none of that name. *domain (may be NULL) is where it was found. */
const struct yz_event_type *yz_event_type_find(const char *name,
                                               const struct yz_domain_schema **domain);
const struct yz_query_type *yz_query_type_find(const char *name,
                                               const struct yz_domain_schema **domain);
const struct yz_push_type *yz_push_type_find(const char *name);

/* YZ_FORBIDDEN unless `actor` may send a message of this authority naming org_path (NULL: the
 * actor's own). */
YZ_MUST_USE enum yz_err yz_authorize(enum yz_authority authority, const struct yz_actor *actor,
                                     const char *org_path);
/* The actor may subscribe to the channel: its own inbox; its org and those above; meetings and
 * threads of those; and what a role's scope covers. */
bool yz_may_subscribe(const struct yz_actor *actor, const struct yz_channel *channel);

#endif
