/* The domain `org`: the tree of orgs. */
#include "schemas/contract.h"

#include "schemas/check.h"

#include <org.pb-c.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_CHARS  64
#define BASIS_MAX_CHARS 200
#define PAGE_MAX        100
/* One for the whole tree: a move decides over two places at once, and no two may cross. */
#define AGGREGATE "orgs"

static enum yz_err check_founded(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgFounded *org = (const Yizhan__V1__OrgFounded *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(org->org_path, "orgPath", v)) ||
        (err = yz_check_name(org->name, NAME_MAX_CHARS, "name", v)) ||
        (err = yz_check_enum(&yizhan__v1__org_kind__descriptor, (int)org->kind, "kind", v)))
        return err;
    return yz_check_text(org->basis, BASIS_MAX_CHARS, "basis", v);
}

static enum yz_err check_renamed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgRenamed *org = (const Yizhan__V1__OrgRenamed *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(org->org_path, "orgPath", v)) ||
        (err = yz_check_name(org->name, NAME_MAX_CHARS, "name", v)))
        return err;
    return yz_check_text(org->basis, BASIS_MAX_CHARS, "basis", v);
}

/* Below itself there is no place for it: the tree would have a cycle. */
static enum yz_err check_places(const char *from, const char *to, struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_org_path(from, "orgPath", v)) || (err = yz_check_org_path(to, "to", v)))
        return err;
    return yz_org_covers(from, to) ? yz_violate(v, YZ_ORG_CYCLE, "to", NULL) : YZ_OK;
}

static enum yz_err check_moved(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgMoved *org = (const Yizhan__V1__OrgMoved *)message;
    enum yz_err err = check_places(org->org_path, org->to, v);

    return err ? err : yz_check_text(org->basis, BASIS_MAX_CHARS, "basis", v);
}

static enum yz_err check_dissolved(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgDissolved *org = (const Yizhan__V1__OrgDissolved *)message;
    enum yz_err err = yz_check_org_path(org->org_path, "orgPath", v);

    return err ? err : yz_check_text(org->basis, BASIS_MAX_CHARS, "basis", v);
}

static enum yz_err check_followed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgFollowed *org = (const Yizhan__V1__OrgFollowed *)message;
    enum yz_err err = check_places(org->org_path, org->to, v);

    if (err)
        return err;
    return *org->after ? yz_check_id(org->after, "after", v) : YZ_OK;
}

static enum yz_err check_tree(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgTreeRequest *request = (const Yizhan__V1__OrgTreeRequest *)message;
    enum yz_err err;

    if ((*request->parent && (err = yz_check_org_path(request->parent, "parent", v))) ||
        (*request->after && (err = yz_check_org_path(request->after, "after", v))))
        return err;
    return yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static enum yz_err check_history(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__OrgHistoryRequest *request = (const Yizhan__V1__OrgHistoryRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static void aggregate_of_tree(const ProtobufCMessage *message, const struct yz_actor *actor,
                              char out[YZ_AGGREGATE_MAX])
{
    (void)message;
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, AGGREGATE);
}

#define ORG_OF(function, Message)                                                                  \
    static const char *function(const ProtobufCMessage *message)                                   \
    {                                                                                              \
        return ((const Message *)message)->org_path;                                               \
    }
ORG_OF(org_of_founded, Yizhan__V1__OrgFounded)
ORG_OF(org_of_renamed, Yizhan__V1__OrgRenamed)
ORG_OF(org_of_moved, Yizhan__V1__OrgMoved)
ORG_OF(org_of_dissolved, Yizhan__V1__OrgDissolved)
ORG_OF(org_of_followed, Yizhan__V1__OrgFollowed)
#undef ORG_OF

static const struct yz_event_type events[] = {
    {"org.founded", &yizhan__v1__org_founded__descriptor, YZ_BY_ADMIN, check_founded,
     org_of_founded, aggregate_of_tree},
    {"org.renamed", &yizhan__v1__org_renamed__descriptor, YZ_BY_ADMIN, check_renamed,
     org_of_renamed, aggregate_of_tree},
    {"org.moved", &yizhan__v1__org_moved__descriptor, YZ_BY_ADMIN, check_moved, org_of_moved,
     aggregate_of_tree},
    {"org.dissolved", &yizhan__v1__org_dissolved__descriptor, YZ_BY_ADMIN, check_dissolved,
     org_of_dissolved, aggregate_of_tree},
    {"org.followed", &yizhan__v1__org_followed__descriptor, YZ_BY_SYSTEM, check_followed,
     org_of_followed, aggregate_of_tree},
    {0},
};

static const struct yz_query_type queries[] = {
    {"org.tree", &yizhan__v1__org_tree_request__descriptor, &yizhan__v1__org_tree_reply__descriptor,
     YZ_BY_MEMBER, check_tree, NULL, YZ_BY_GET},
    {"org.history", &yizhan__v1__org_history_request__descriptor,
     &yizhan__v1__org_history_reply__descriptor, YZ_BY_MEMBER, check_history, NULL, YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"org.changed", &yizhan__v1__org_changed__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_org = {"org", events, queries, pushes};
