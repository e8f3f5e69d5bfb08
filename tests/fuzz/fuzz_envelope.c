/* Headers of an event, of a query and of an error, as lines "key: value". */
#include "common/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define TEXT_MAX 4096

static void set_headers(natsMsg *msg, char *text)
{
    char *line, *rest = text;

    while ((line = strsep(&rest, "\n")) != NULL) {
        char *colon = strstr(line, ": ");

        if (!colon || colon == line)
            continue;
        *colon = '\0';
        if (natsMsgHeader_Set(msg, line, colon + 2) != NATS_OK)
            return;
    }
}

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

    PROMISE(yz_id_valid(env->actor.tenant) && yz_id_valid(env->actor.member));
    PROMISE(yz_org_path_valid(env->actor.org_path) && yz_id_valid(env->event_id));
    PROMISE(yz_envelope_write(env, "notice", "x", 1, &msg) == YZ_OK);
    PROMISE(yz_envelope_read(msg, &again, &v) == YZ_OK);
    PROMISE(same(env, &again));
    natsMsg_Destroy(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    struct yz_envelope env;
    struct yz_actor actor;
    struct yz_violation v = {0};
    natsMsg *msg = NULL;
    static bool opened;

    /* natsMsg_Destroy hands the message to a collector that nats_Open makes. */
    if (!opened)
        opened = nats_Open(-1) == NATS_OK;
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    PROMISE(natsMsg_Create(&msg, "evt.1.t.notice.g1", NULL, "", 0) == NATS_OK);
    set_headers(msg, text);
    if (yz_envelope_read(msg, &env, &v) == YZ_OK)
        envelope_returns(&env);
    else
        PROMISE(v.err != YZ_OK && v.field[0]);
    if (yz_actor_read(msg, &actor, &v) == YZ_OK) {
        PROMISE(yz_org_path_valid(actor.org_path));
        yz_actor_has_role(&actor, "secretary", "g1/c1");
    }
    yz_violation_read(msg, &v);
    natsMsg_Destroy(msg);
    return 0;
}
