#include "workers/ctl/jetstream.h"

#include "common/bus.h"

#include <stdio.h>
#include <string.h>

#define VERB_MAX 160

natsConnection *ctl_nats_try(const struct yz_conf *conf, bool stays, const char **reason)
{
    natsOptions *options = NULL;
    natsConnection *nc = NULL;
    natsStatus s;

    *reason = "the settings of NATS cannot be used";
    if (yz_bus_options(conf, "yzctl", &options))
        return NULL;
    s = natsOptions_SetAllowReconnect(options, stays);
    if (s == NATS_OK)
        s = natsConnection_Connect(&nc, options);
    natsOptions_Destroy(options);
    *reason = s == NATS_CONNECTION_AUTH_FAILED
                  ? "it refuses this user or password: YZ_NATS_USER, YZ_NATS_PASSWORD_FILE"
                  : natsStatus_GetText(s);
    return s == NATS_OK ? nc : NULL;
}

natsConnection *ctl_nats_open(const struct ctl *ctl, bool stays)
{
    const char *reason;
    natsConnection *nc = ctl_nats_try(ctl->conf, stays, &reason);

    if (!nc)
        ctl_fail(ctl, "bus_unavailable",
                 "NATS at %s does not answer (%s): is it running? scripts/up starts it; "
                 "YZ_NATS_URL or --nats-url before the command names another",
                 ctl->conf->nats_url, reason);
    return nc;
}

void ctl_nats_close(natsConnection *nc)
{
    natsConnection_Destroy(nc);
}

/* A denied publish is told to the connection, not to the request, which times out. */
static void no_answer(natsConnection *nc, struct ctl_reply *reply, natsStatus s)
{
    const char *last = NULL;

    reply->err_code = -1;
    (void)natsConnection_GetLastError(nc, &last);
    reply->denied = last && strcasestr(last, "permissions violation") != NULL;
    if (reply->denied) {
        snprintf(reply->text, sizeof reply->text, "%s", last);
        return;
    }
    snprintf(reply->text, sizeof reply->text, "%s",
             s == NATS_NO_RESPONDERS ? "JetStream is not enabled on this server (nats-server -js)"
                                     : natsStatus_GetText(s));
}

static bool take_reply(const char *data, size_t len, struct ctl_reply *reply)
{
    json_error_t error;
    const json_t *problem;

    reply->body = json_loadb(data, len, 0, &error);
    if (!reply->body) {
        reply->err_code = -1;
        snprintf(reply->text, sizeof reply->text, "the answer is no JSON: %s", error.text);
        return false;
    }
    problem = json_object_get(reply->body, "error");
    if (!problem)
        return true;
    reply->err_code = (int)json_integer_value(json_object_get(problem, "err_code"));
    if (reply->err_code == 0)
        reply->err_code = (int)json_integer_value(json_object_get(problem, "code"));
    snprintf(reply->text, sizeof reply->text, "%s",
             json_is_string(json_object_get(problem, "description"))
                 ? json_string_value(json_object_get(problem, "description"))
                 : "no reason given");
    return false;
}

bool ctl_api_call(natsConnection *nc, const char *verb, const json_t *request,
                  struct ctl_reply *reply)
{
    char subject[VERB_MAX];
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    natsMsg *msg = NULL;
    natsStatus s;
    bool good;

    memset(reply, 0, sizeof *reply);
    snprintf(subject, sizeof subject, "$JS.API.%s", verb);
    s = request && !text
            ? NATS_NO_MEMORY
            : natsConnection_RequestString(&msg, nc, subject, text ? text : "", CTL_API_TIMEOUT_MS);
    free(text);
    if (s != NATS_OK) {
        no_answer(nc, reply, s);
        return false;
    }
    good = take_reply(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), reply);
    natsMsg_Destroy(msg);
    return good;
}

void ctl_reply_deinit(struct ctl_reply *reply)
{
    json_decref(reply->body);
    reply->body = NULL;
}

int ctl_api_level(natsConnection *nc, struct ctl_reply *reply)
{
    if (!ctl_api_call(nc, "INFO", NULL, reply))
        return -1;
    return (int)json_integer_value(json_object_get(json_object_get(reply->body, "api"), "level"));
}

bool ctl_stream_info(natsConnection *nc, const char *stream, struct ctl_reply *reply)
{
    char verb[VERB_MAX];

    snprintf(verb, sizeof verb, "STREAM.INFO.%s", stream);
    return ctl_api_call(nc, verb, NULL, reply);
}
