#include "common/envelope.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

#define SOURCE "/yizhan/gateway"

/* The next comma-separated entry of *list, moved behind it; false at the end. */
static bool next_entry(const char **list, const char **entry, size_t *len)
{
    if (**list == '\0')
        return false;
    *entry = *list;
    *len = strcspn(*list, ",");
    *list += *len + ((*list)[*len] == ',');
    return true;
}

bool yz_actor_has_role(const struct yz_actor *actor, const char *role, const char *org_path)
{
    const char *list = actor->roles, *entry;
    size_t len, role_len = strlen(role);

    while (next_entry(&list, &entry, &len)) {
        char scope[YZ_ORG_PATH_MAX];
        const char *at = memchr(entry, '@', len);

        if (!at || (size_t)(at - entry) != role_len || strncmp(entry, role, role_len) != 0)
            continue;
        snprintf(scope, sizeof scope, "%.*s", (int)(len - role_len - 1), at + 1);
        if (yz_org_covers(scope, org_path))
            return true;
    }
    return false;
}

bool yz_actor_belongs(const struct yz_actor *actor, const char *org_path)
{
    return yz_org_covers(org_path, actor->org_path);
}

static natsStatus set_header(natsStatus s, natsMsg **msg, const char *key, const char *value)
{
    return s == NATS_OK && *value ? yz_bus_header_set(msg, key, value) : s;
}

/* A phone whose clock was never set may stand before 1970: the milliseconds count up from the
 * second. */
static void format_ms(int64_t ms, char out[YZ_RFC3339_MAX])
{
    int64_t fraction = (ms % 1000 + 1000) % 1000;

    yz_clock_format((ms - fraction) / 1000, (int32_t)fraction * 1000000, out);
}

enum yz_err yz_envelope_write(const struct yz_envelope *env, const char *domain,
                              const void *payload, size_t len, natsMsg **msg)
{
    return yz_envelope_request(env, domain, NULL, payload, len, msg);
}

static natsStatus set_headers(const struct yz_envelope *env, const char *id, natsMsg **msg)
{
    const struct yz_actor *actor = &env->actor;
    char time[YZ_RFC3339_MAX] = "";
    natsStatus s = set_header(NATS_OK, msg, "Nats-Msg-Id", id);

    if (env->occurred_at_ms)
        format_ms(env->occurred_at_ms, time);
    s = set_header(s, msg, "ce-specversion", "1.0");
    s = set_header(s, msg, "ce-id", env->event_id);
    s = set_header(s, msg, "ce-source", SOURCE);
    s = set_header(s, msg, "ce-type", env->type);
    s = set_header(s, msg, "ce-subject", env->aggregate);
    s = set_header(s, msg, "ce-time", time);
    s = set_header(s, msg, "content-type", "application/protobuf");
    s = set_header(s, msg, "ce-tenant", actor->tenant);
    s = set_header(s, msg, "ce-actor", actor->member);
    s = set_header(s, msg, "ce-orgpath", actor->org_path);
    s = set_header(s, msg, "ce-roles", actor->roles);
    s = set_header(s, msg, "ce-schemaversion", "1");
    s = set_header(s, msg, "traceparent", env->traceparent);
    return s;
}

enum yz_err yz_envelope_request(const struct yz_envelope *env, const char *domain,
                                const char *reply, const void *payload, size_t len, natsMsg **msg)
{
    char plain[YZ_SUBJECT_MAX], own[YZ_SUBJECT_MAX], id[YZ_MSG_ID_MAX];
    const struct yz_actor *actor = &env->actor;
    int waited_ms = 0;
    natsStatus s;

    yz_event_subject(yz_partition(actor->tenant, env->aggregate), actor->tenant, domain,
                     *actor->org_path ? actor->org_path : "_", plain);
    if (env->own)
        yz_event_subject_own(plain, own);
    yz_event_msg_id(actor->tenant, actor->member, env->event_id, env->type, payload, len, id);
    do {
        *msg = NULL;
        s = natsMsg_Create(msg, env->own ? own : plain, reply, payload, (int)len);
        if (s == NATS_OK)
            s = set_headers(env, id, msg);
        if (s == NATS_OK)
            return YZ_OK;
        natsMsg_Destroy(*msg);
    } while (s == NATS_NO_MEMORY && yz_memory_again(&waited_ms));
    *msg = NULL;
    return YZ_INTERNAL;
}

/* Copy a header into out; an absent one is an error unless it is optional (then ""). */
static enum yz_err get_header(natsMsg *msg, const char *key, bool optional, char *out, size_t cap,
                              struct yz_violation *v)
{
    const char *value = NULL;

    out[0] = '\0';
    if (natsMsgHeader_Get(msg, key, &value) != NATS_OK || *value == '\0')
        return optional ? YZ_OK : yz_violate(v, YZ_MISSING_FIELD, key, NULL);
    if (strlen(value) >= cap)
        return yz_violate(v, YZ_TOO_LONG, key, NULL);
    memcpy(out, value, strlen(value) + 1);
    return YZ_OK;
}

static bool has_header(natsMsg *msg, const char *key)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, key, &value) == NATS_OK && *value;
}

/* All three or none of them: an actor that is half there is a mistake, not a secret. */
static bool is_nobody(natsMsg *msg, const char *const keys[4])
{
    return !has_header(msg, keys[1]) && !has_header(msg, keys[2]) && !has_header(msg, keys[3]);
}

static enum yz_err read_actor(natsMsg *msg, struct yz_actor *actor, const char *const keys[4],
                              struct yz_violation *v)
{
    enum yz_err err;

    err = get_header(msg, keys[0], false, actor->tenant, sizeof actor->tenant, v);
    if (err)
        return err;
    if (!yz_id_valid(actor->tenant))
        return yz_violate(v, YZ_INVALID_VALUE, keys[0], NULL);
    if (is_nobody(msg, keys)) {
        actor->member[0] = actor->org_path[0] = actor->roles[0] = '\0';
        return YZ_OK;
    }
    if ((err = get_header(msg, keys[1], false, actor->member, sizeof actor->member, v)) ||
        (err = get_header(msg, keys[2], false, actor->org_path, sizeof actor->org_path, v)) ||
        (err = get_header(msg, keys[3], true, actor->roles, sizeof actor->roles, v)))
        return err;
    if (!yz_id_valid(actor->member))
        return yz_violate(v, YZ_INVALID_VALUE, keys[1], NULL);
    if (!yz_org_path_valid(actor->org_path))
        return yz_violate(v, YZ_INVALID_VALUE, keys[2], NULL);
    return YZ_OK;
}

static const char *const event_actor_keys[4] = {"ce-tenant", "ce-actor", "ce-orgpath", "ce-roles"};
static const char *const query_actor_keys[4] = {"Yz-Tenant", "Yz-Member", "Yz-Org-Path",
                                                "Yz-Roles"};

enum yz_err yz_envelope_read(natsMsg *msg, struct yz_envelope *env, struct yz_violation *v)
{
    char time[YZ_RFC3339_MAX], version[8];
    int64_t seconds;
    int32_t nanos;
    enum yz_err err;

    memset(env, 0, sizeof *env);
    env->own = yz_event_subject_is_own(natsMsg_GetSubject(msg));
    if ((err = get_header(msg, "ce-specversion", false, version, sizeof version, v)) ||
        (err = get_header(msg, "ce-id", false, env->event_id, sizeof env->event_id, v)) ||
        (err = get_header(msg, "ce-type", false, env->type, sizeof env->type, v)) ||
        (err = get_header(msg, "ce-subject", false, env->aggregate, sizeof env->aggregate, v)) ||
        (err = get_header(msg, "ce-time", true, time, sizeof time, v)) ||
        (err =
             get_header(msg, "traceparent", true, env->traceparent, sizeof env->traceparent, v)) ||
        (err = read_actor(msg, &env->actor, event_actor_keys, v)))
        return err;
    if (strcmp(version, "1.0") != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "ce-specversion", "Only CloudEvents 1.0 is read.");
    if (!yz_id_valid(env->event_id + (env->own && env->event_id[0] == '$')))
        return yz_violate(v, YZ_INVALID_VALUE, "ce-id", NULL);
    if (time[0] && !yz_clock_parse(time, strlen(time), &seconds, &nanos))
        return yz_violate(v, YZ_INVALID_VALUE, "ce-time", NULL);
    if (time[0])
        env->occurred_at_ms = seconds * 1000 + nanos / 1000000;
    return YZ_OK;
}

enum yz_err yz_actor_write(const struct yz_actor *actor, natsMsg **msg)
{
    natsStatus s = set_header(NATS_OK, msg, query_actor_keys[0], actor->tenant);

    s = set_header(s, msg, query_actor_keys[1], actor->member);
    s = set_header(s, msg, query_actor_keys[2], actor->org_path);
    s = set_header(s, msg, query_actor_keys[3], actor->roles);
    return s == NATS_OK ? YZ_OK : YZ_INTERNAL;
}

enum yz_err yz_actor_read(natsMsg *msg, struct yz_actor *actor, struct yz_violation *v)
{
    return read_actor(msg, actor, query_actor_keys, v);
}

enum yz_err yz_violation_write(const struct yz_violation *v, natsMsg **msg)
{
    natsStatus s = set_header(NATS_OK, msg, "Yz-Error", yz_err_code(v->err));

    s = set_header(s, msg, "Yz-Error-Text", v->text);
    s = set_header(s, msg, "Yz-Error-Field", v->field);
    return s == NATS_OK ? YZ_OK : YZ_INTERNAL;
}

bool yz_violation_read(natsMsg *msg, struct yz_violation *v)
{
    const char *code = NULL, *text = NULL, *field = NULL;

    if (natsMsgHeader_Get(msg, "Yz-Error", &code) != NATS_OK)
        return false;
    if (natsMsgHeader_Get(msg, "Yz-Error-Text", &text) != NATS_OK)
        text = NULL;
    if (natsMsgHeader_Get(msg, "Yz-Error-Field", &field) != NATS_OK)
        field = NULL;
    yz_violate(v, yz_err_from_code(code), field, text);
    return true;
}
