/* A message of any stream: the headers of an event, of a query's caller, of an error, of a push and
 * of a dead letter; its replay. */
#include "common/bus.h"
#include "common/envelope.h"
#include "schemas/contract.h"
#include "tests/fuzz/bus_message.h"
#include "tests/fuzz/fuzz.h"

#include "workers/ctl/letter.h"
#include "workers/deadletter.h"
#include "workers/push.h"

#include <stdlib.h>
#include <string.h>

static bool same(const struct yz_envelope *a, const struct yz_envelope *b)
{
    return strcmp(a->actor.tenant, b->actor.tenant) == 0 &&
           strcmp(a->actor.member, b->actor.member) == 0 &&
           strcmp(a->actor.org_path, b->actor.org_path) == 0 &&
           strcmp(a->actor.roles, b->actor.roles) == 0 && strcmp(a->event_id, b->event_id) == 0 &&
           strcmp(a->type, b->type) == 0 && strcmp(a->aggregate, b->aggregate) == 0 &&
           strcmp(a->traceparent, b->traceparent) == 0 && a->occurred_at_ms == b->occurred_at_ms;
}

static void envelope_returns(const struct yz_envelope *env)
{
    struct yz_envelope again;
    struct yz_violation v;
    natsMsg *msg = NULL;

    /* An event of anyone has neither member nor org. */
    PROMISE(yz_id_valid(env->actor.tenant));
    PROMISE(yz_actor_is_nobody(&env->actor) ||
            (yz_id_valid(env->actor.member) && yz_org_path_valid(env->actor.org_path)));
    PROMISE(yz_id_valid(env->event_id));
    PROMISE(yz_envelope_write(env, "notice", "x", 1, &msg) == YZ_OK);
    PROMISE(yz_envelope_read(msg, &again, &v) == YZ_OK);
    PROMISE(same(env, &again));
    natsMsg_Destroy(msg);
}

/* Whatever an event's headers are, its letter can be written, shown, and replayed as that event. */
static void judge_letter(natsMsg *msg)
{
    struct wk_delivery delivery = {.msg = msg, .sequence = 7, .stored_at_ms = 1767225600000};
    struct yz_violation reason = {.err = YZ_INTERNAL, .field = "payload.x"}, v;
    struct yz_envelope env, again;
    natsMsg *letter = NULL, *event;
    json_t *shown;

    wk_deadletter_message(&delivery, &reason, 3, &letter);
    PROMISE(strncmp(natsMsg_GetSubject(letter), "dlq.", 4) == 0);
    PROMISE(yz_bus_header_u64(letter, YZ_HEADER_ORIGIN_SEQUENCE, 0) > 0);
    shown = ctl_letter_json(letter);
    PROMISE(shown && json_object_get(shown, "payload"));
    json_decref(shown);
    event = ctl_letter_event(letter, 9);
    if (yz_envelope_read(msg, &env, &v) == YZ_OK && event) {
        PROMISE(yz_envelope_read(event, &again, &v) == YZ_OK && same(&env, &again));
        PROMISE(natsMsg_GetDataLength(event) == natsMsg_GetDataLength(msg));
    }
    natsMsg_Destroy(event);
    natsMsg_Destroy(letter);
}

static void judge_actor(natsMsg *msg)
{
    struct yz_violation v = {0};
    struct yz_actor actor, again;
    natsMsg *copy = NULL;

    if (yz_actor_read(msg, &actor, &v) != YZ_OK) {
        PROMISE(v.err != YZ_OK && v.field[0]);
        return;
    }
    /* Who asks without a token has none. */
    PROMISE(yz_actor_is_nobody(&actor) || yz_org_path_valid(actor.org_path));
    PROMISE(natsMsg_Create(&copy, "qry.t1.x", NULL, "", 0) == NATS_OK);
    PROMISE(yz_actor_write(&actor, &copy) == YZ_OK && yz_actor_read(copy, &again, &v) == YZ_OK);
    PROMISE(strcmp(actor.roles, again.roles) == 0 && strcmp(actor.member, again.member) == 0);
    /* A role covers what lies below its scope, never what lies beside it. */
    PROMISE(!yz_actor_has_role(&actor, "secretary", "g1/c1") ||
            yz_actor_has_role(&actor, "secretary", "g1/c1/b1"));
    natsMsg_Destroy(copy);
}

static void judge_error(natsMsg *msg)
{
    struct yz_violation v = {0};

    if (yz_violation_read(msg, &v))
        PROMISE(v.err != YZ_OK && v.err < YZ_ERR_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yz_envelope env;
    struct yz_violation v = {0};
    natsMsg *msg;

    bus_message_open();
    msg = bus_message_parse("evt.1.t.notice.g1", data, size);
    if (yz_envelope_read(msg, &env, &v) == YZ_OK)
        envelope_returns(&env);
    else
        PROMISE(v.err != YZ_OK && v.field[0]);
    judge_actor(msg);
    judge_error(msg);
    judge_letter(msg);
    wk_push_version(msg);
    natsMsg_Destroy(msg);
    return 0;
}
