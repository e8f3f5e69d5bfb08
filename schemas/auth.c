/* The domain `auth`: tokens that no longer count. */
#include "schemas/contract.h"

#include "schemas/check.h"

#include <auth.pb-c.h>
#include <stdio.h>

static enum yz_err check_subject(const char *org_path, const char *member_id, const char *token_id,
                                 struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_check_org_path(org_path, "orgPath", v)) ||
        (err = yz_check_id(member_id, "memberId", v)))
        return err;
    return *token_id ? yz_check_id(token_id, "tokenId", v) : YZ_OK;
}

static enum yz_err check_revoked(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__AuthRevoked *revoked = (const Yizhan__V1__AuthRevoked *)message;
    enum yz_err err = check_subject(revoked->org_path, revoked->member_id, revoked->token_id, v);

    return err ? err : yz_check_optional_time(revoked->not_before, "notBefore", v);
}

static const char *org_of_revoked(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__AuthRevoked *)message)->org_path;
}

static void aggregate_of_revoked(const ProtobufCMessage *message, const struct yz_actor *actor,
                                 char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "auth|%s",
             ((const Yizhan__V1__AuthRevoked *)message)->member_id);
}

static enum yz_err check_restored(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__AuthRestored *restored = (const Yizhan__V1__AuthRestored *)message;

    return check_subject(restored->org_path, restored->member_id, restored->token_id, v);
}

static const char *org_of_restored(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__AuthRestored *)message)->org_path;
}

static void aggregate_of_restored(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "auth|%s",
             ((const Yizhan__V1__AuthRestored *)message)->member_id);
}

static enum yz_err check_revocations(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__AuthRevocationsRequest *request =
        (const Yizhan__V1__AuthRevocationsRequest *)message;

    return check_subject(request->org_path, request->member_id, "", v);
}

static const char *org_of_revocations(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__AuthRevocationsRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"auth.revoked", &yizhan__v1__auth_revoked__descriptor, YZ_BY_ADMIN, check_revoked,
     org_of_revoked, aggregate_of_revoked},
    {"auth.restored", &yizhan__v1__auth_restored__descriptor, YZ_BY_ADMIN, check_restored,
     org_of_restored, aggregate_of_restored},
    {0},
};

static const struct yz_query_type queries[] = {
    {"auth.revocations", &yizhan__v1__auth_revocations_request__descriptor,
     &yizhan__v1__auth_revocations_reply__descriptor, YZ_BY_ADMIN, check_revocations,
     org_of_revocations, YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"auth.revocation", &yizhan__v1__auth_revocation__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_auth = {"auth", events, queries, pushes};
