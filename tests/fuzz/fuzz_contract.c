/* Payloads of every event and query of domains.def: the first byte picks the type, the second the
 * encoding (even: protobuf). */
#include "schemas/codec.h"
#include "schemas/contract.h"
#include "tests/fuzz/frame_checks.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member,secretary@g1/c1"};

static void judge_event(const struct yz_event_type *type, const ProtobufCMessage *payload)
{
    char aggregate[YZ_AGGREGATE_MAX] = "";
    struct yz_violation v = {0};
    enum yz_err err = type->check(payload, &v);

    if (err) {
        frame_checks_refusal(err, &v);
        return;
    }
    PROMISE(!type->org_path || yz_org_path_valid(type->org_path(payload)));
    type->aggregate(payload, &actor, aggregate);
    PROMISE(strchr(aggregate, '|') && strlen(aggregate) < YZ_AGGREGATE_MAX - 1);
    err = yz_authorize(type->authority, &actor, type->org_path ? type->org_path(payload) : NULL);
    PROMISE(err == YZ_OK || err == YZ_FORBIDDEN);
}

static void judge_query(const struct yz_query_type *type, const ProtobufCMessage *request)
{
    struct yz_violation v = {0};
    enum yz_err err = type->check ? type->check(request, &v) : YZ_OK;

    if (err)
        frame_checks_refusal(err, &v);
    else
        PROMISE(!type->org_path || yz_org_path_valid(type->org_path(request)));
}

/* The type of this number, counted over all domains. */
static void pick(size_t number, const struct yz_event_type **event,
                 const struct yz_query_type **query)
{
    size_t at = 0;

    for (size_t i = 0; i < yz_schema_count; i++) {
        for (const struct yz_event_type *type = yz_schemas[i]->events; type->name; type++) {
            if (at++ == number)
                *event = type;
        }
        for (const struct yz_query_type *type = yz_schemas[i]->queries; type->name; type++) {
            if (at++ == number)
                *query = type;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct yz_event_type *event = NULL;
    const struct yz_query_type *query = NULL;
    const ProtobufCMessageDescriptor *desc;
    struct yz_violation v = {0};
    struct yz_arena arena;
    ProtobufCMessage *message;
    enum yz_err err;

    if (size < 2)
        return 0;
    pick(data[0], &event, &query);
    if (!event && !query)
        return 0;
    desc = event ? event->payload : query->request;
    yz_arena_init(&arena, size * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (data[1] % 2 == 0)
        err = yz_pb_decode(desc, data + 2, size - 2, &arena, &message, &v);
    else
        err = yz_json_decode(desc, (const char *)data + 2, size - 2, NULL, &arena, &message, &v);
    if (err)
        frame_checks_refusal(err, &v);
    else if (event)
        judge_event(event, message);
    else
        judge_query(query, message);
    yz_arena_deinit(&arena);
    return 0;
}
