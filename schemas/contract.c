#include "schemas/contract.h"

#include "schemas/codec.h"

#include <client.pb-c.h>
#include <envelope.pb-c.h>
#include <string.h>

const struct yz_domain_schema *const yz_schemas[] = {
#define X(domain) &yz_schema_##domain,
#include "schemas/domains.def"
#undef X
};

const size_t yz_schema_count = sizeof yz_schemas / sizeof yz_schemas[0];

const struct yz_event_type *yz_event_type_find(const char *name,
                                               const struct yz_domain_schema **domain)
{
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_event_type *type = yz_schemas[i]->events; type->name; type++) {
            if (strcmp(type->name, name) != 0)
                continue;
            if (domain)
                *domain = yz_schemas[i];
            return type;
        }
    }
    return NULL;
}

const struct yz_query_type *yz_query_type_find(const char *name,
                                               const struct yz_domain_schema **domain)
{
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_query_type *type = yz_schemas[i]->queries; type->name; type++) {
            if (strcmp(type->name, name) != 0)
                continue;
            if (domain)
                *domain = yz_schemas[i];
            return type;
        }
    }
    return NULL;
}

const struct yz_push_type *yz_push_type_find(const char *name)
{
    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_push_type *type = yz_schemas[i]->pushes; type->name; type++) {
            if (strcmp(type->name, name) == 0)
                return type;
        }
    }
    return NULL;
}

const ProtobufCMessageDescriptor *yz_payload_resolve(const ProtobufCMessageDescriptor *container,
                                                     const char *type)
{
    const struct yz_event_type *event;
    const struct yz_query_type *query;
    const struct yz_push_type *push;

    if (container == &yizhan__v1__emit__descriptor) {
        event = yz_event_type_find(type, NULL);
        return event ? event->payload : NULL;
    }
    if (container == &yizhan__v1__push__descriptor) {
        push = yz_push_type_find(type);
        return push ? push->payload : NULL;
    }
    query = yz_query_type_find(type, NULL);
    if (query && container == &yizhan__v1__query__descriptor)
        return query->request;
    if (query && container == &yizhan__v1__query_result__descriptor)
        return query->reply;
    return NULL;
}

/* One of the actor's roles has this name, whatever its scope. */
static bool holds_role(const struct yz_actor *actor, const char *role)
{
    size_t len = strlen(role);

    for (const char *p = actor->roles; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (strcspn(p, "@,") == len && strncmp(p, role, len) == 0)
            return true;
    }
    return false;
}

static bool is_secretary(const struct yz_actor *actor, const char *org_path)
{
    return yz_actor_has_role(actor, "secretary", org_path) ||
           yz_actor_has_role(actor, "admin", org_path);
}

static bool is_overseer(const struct yz_actor *actor, const char *org_path)
{
    return is_secretary(actor, org_path) || yz_actor_has_role(actor, "inspector", org_path);
}

/* More than a guest: `public` alone is nobody's member. */
static bool is_member(const struct yz_actor *actor)
{
    return holds_role(actor, "member") || holds_role(actor, "secretary") ||
           holds_role(actor, "inspector") || holds_role(actor, "admin");
}

static bool may_send(enum yz_authority authority, const struct yz_actor *actor,
                     const char *org_path)
{
    switch (authority) {
    case YZ_BY_ANYONE:
        return true;
    case YZ_BY_MEMBER:
    case YZ_BY_MEMBER_DISCREETLY:
        return is_member(actor);
    case YZ_BY_MEMBER_OF_ORG:
        return (is_member(actor) && yz_actor_belongs(actor, org_path)) ||
               is_overseer(actor, org_path);
    case YZ_BY_OVERSEER:
        return is_overseer(actor, org_path);
    case YZ_BY_SECRETARY:
        return is_secretary(actor, org_path);
    case YZ_BY_ADMIN:
        return yz_actor_has_role(actor, "admin", org_path);
    case YZ_BY_SYSTEM:
        return false;
    }
    return false;
}

enum yz_err yz_authorize(enum yz_authority authority, const struct yz_actor *actor,
                         const char *org_path)
{
    return may_send(authority, actor, org_path ? org_path : actor->org_path) ? YZ_OK : YZ_FORBIDDEN;
}

bool yz_may_subscribe(const struct yz_actor *actor, const struct yz_channel *channel)
{
    if (channel->kind == YZ_CHANNEL_MEMBER)
        return is_member(actor) && strcmp(channel->id, actor->member) == 0;
    return may_send(YZ_BY_MEMBER_OF_ORG, actor, channel->org_path);
}
