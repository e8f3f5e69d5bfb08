/* The contract of one domain (YZ_FUZZ_DOMAIN, a name of domains.def): the first byte picks one of
 * its events, queries' requests and replies, and pushes; the second the encoding (even: protobuf).
 */
#include "schemas/contract.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_checks.h"

#include <string.h>

#define PASTE(a, b)  a##b
#define SCHEMA(name) PASTE(yz_schema_, name)

static const struct yz_domain_schema *const domain = &SCHEMA(YZ_FUZZ_DOMAIN);

static const struct yz_actor actors[] = {
    {"t1", "m1", "g1/c1/b1", "member,secretary@g1/c1"},
    {"t1", "m2", "g1", "public"},
    {"t1", "m3", "g1/c1/b1", "inspector@g1,admin@g1/c1/b1"},
};
#define ACTOR_COUNT (sizeof actors / sizeof actors[0])

/* One of the domain's messages, and what its contract says of it. */
struct subject {
    const ProtobufCMessageDescriptor *desc;
    const struct yz_event_type *event;
    const struct yz_query_type *query;
};

/* The message of this number, counted over the domain; false: it has fewer. */
static bool pick(size_t number, struct subject *out)
{
    size_t at = 0;

    memset(out, 0, sizeof *out);
    for (const struct yz_event_type *type = domain->events; type->name; type++) {
        if (at++ == number)
            *out = (struct subject){.desc = type->payload, .event = type};
    }
    for (const struct yz_query_type *type = domain->queries; type->name; type++) {
        if (at++ == number)
            *out = (struct subject){.desc = type->request, .query = type};
        if (at++ == number)
            *out = (struct subject){.desc = type->reply};
    }
    for (const struct yz_push_type *type = domain->pushes; type->name; type++) {
        if (at++ == number)
            *out = (struct subject){.desc = type->payload};
    }
    return out->desc != NULL;
}

static void judge_authority(enum yz_authority authority, const char *org_path)
{
    PROMISE(!org_path || yz_org_path_valid(org_path));
    for (size_t i = 0; i < ACTOR_COUNT; i++) {
        enum yz_err err = yz_authorize(authority, &actors[i], org_path);

        PROMISE(err == YZ_OK || err == YZ_FORBIDDEN);
    }
}

/* The key fits its buffer, can be a header's value, and is the same each time. */
static void judge_aggregate(const struct yz_event_type *type, const ProtobufCMessage *message)
{
    char key[YZ_AGGREGATE_MAX], again[YZ_AGGREGATE_MAX];

    memset(key, '#', sizeof key);
    memset(again, '?', sizeof again);
    type->aggregate(message, &actors[0], key);
    type->aggregate(message, &actors[0], again);
    PROMISE(memchr(key, '\0', sizeof key) && strlen(key) < YZ_AGGREGATE_MAX - 1);
    PROMISE(strcmp(key, again) == 0);
    PROMISE(strchr(key, '|') && yz_text_valid(key, strlen(key)) && !strpbrk(key, "\r\n"));
}

static void judge_event(const struct yz_event_type *type, const ProtobufCMessage *message)
{
    judge_aggregate(type, message);
    judge_authority(type->authority, type->org_path ? type->org_path(message) : NULL);
    PROMISE(strlen(type->name) < YZ_TYPE_MAX);
}

/* A check is total and pure: whatever it says, it says again, and the message is as before. */
static enum yz_err check_twice(yz_check_fn *check, const ProtobufCMessage *message)
{
    struct yz_violation v = {0}, again = {0};
    struct yz_buf before, after;
    enum yz_err err;

    message_encode(message, &before);
    err = check(message, &v);
    PROMISE(check(message, &again) == err);
    message_encode(message, &after);
    message_same(&before, &after);
    yz_buf_deinit(&before);
    yz_buf_deinit(&after);
    if (err) {
        message_refusal(err, &v);
        PROMISE(v.field[0] != '\0');
        PROMISE(strcmp(v.field, again.field) == 0 && strcmp(v.text, again.text) == 0);
    }
    return err;
}

static void judge(const struct subject *subject, const ProtobufCMessage *message)
{
    yz_check_fn *check = subject->event   ? subject->event->check
                         : subject->query ? subject->query->check
                                          : NULL;

    message_returns(message, yz_payload_resolve);
    if (check && check_twice(check, message) != YZ_OK)
        return;
    if (subject->event) {
        message_within_limits(message);
        judge_event(subject->event, message);
    } else if (subject->query) {
        message_within_limits(message);
        judge_authority(subject->query->authority,
                        subject->query->org_path ? subject->query->org_path(message) : NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yz_violation v = {0};
    struct subject subject;
    struct yz_arena arena;
    ProtobufCMessage *message;
    enum yz_err err;

    if (size < 2 || !pick(data[0], &subject))
        return 0;
    yz_arena_init(&arena, size * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (data[1] % 2 == 0)
        err = yz_pb_decode(subject.desc, data + 2, size - 2, &arena, &message, &v);
    else
        err = yz_json_decode(subject.desc, (const char *)data + 2, size - 2, yz_payload_resolve,
                             &arena, &message, &v);
    if (err) {
        PROMISE(!message);
        message_refusal(err, &v);
    } else {
        judge(&subject, message);
    }
    yz_arena_deinit(&arena);
    return 0;
}
