#include "schemas/contract.h"

#include "schemas/check.h"

#include <stdio.h>
#include <string.h>
#include <study.pb-c.h>

#define SOURCE_MAX  400
#define DAY_MINUTES 1440

/* It stands in a document's id, between two bars. */
static enum yz_err check_source(const char *source, struct yz_violation *v)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-/";

    if (*source == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "source", NULL);
    if (strlen(source) > SOURCE_MAX)
        return yz_violate(v, YZ_TOO_LONG, "source", NULL);
    if (source[strspn(source, allowed)] != '\0')
        return yz_violate(v, YZ_INVALID_VALUE, "source", "A source is made of A-Z a-z 0-9 _ - /.");
    return YZ_OK;
}

static enum yz_err check_credited(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__StudyCredited *credited = (const Yizhan__V1__StudyCredited *)message;
    enum yz_err err;

    if ((err = yz_check_id(credited->member, "member", v)) ||
        (err = yz_check_enum(&yizhan__v1__study_source__descriptor, (int)credited->source_kind,
                             "sourceKind", v)) ||
        (err = check_source(credited->source, v)))
        return err;
    if (credited->minutes == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "minutes", NULL);
    if ((err = yz_check_range(credited->minutes, 1, DAY_MINUTES, "minutes", v)) ||
        (err = yz_check_org_path(credited->org_path, "orgPath", v)))
        return err;
    return yz_check_time(credited->ended_at, "endedAt", v);
}

static const char *org_of_credited(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__StudyCredited *)message)->org_path;
}

static void aggregate_of_credited(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "study|%s",
             ((const Yizhan__V1__StudyCredited *)message)->member);
}

static const struct yz_event_type events[] = {
    {"study.credited", &yizhan__v1__study_credited__descriptor, YZ_BY_SYSTEM, check_credited,
     org_of_credited, aggregate_of_credited},
    {0},
};

static const struct yz_query_type queries[] = {
    {0},
};

static const struct yz_push_type pushes[] = {
    {"study.credited", &yizhan__v1__study_hours__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_study = {"study", events, queries, pushes};
