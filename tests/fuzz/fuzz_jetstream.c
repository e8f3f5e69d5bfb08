/* What JetStream's API tells the worker and yzctl. The first byte says who asks, and for what; then
 * come the answers, separated by lines "--". The calls of nats.c that ask are defined here in its
 * stead. */
#include "common/subject.h"
#include "tests/fuzz/bus_message.h"
#include "tests/fuzz/fuzz.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/letter.h"
#include "workers/ctl/stream.h"
#include "workers/durable.h"
#include "workers/pull.h"
#include "workers/stream.h"

#include <string.h>

#define TEXT_MAX 16384

static char text[TEXT_MAX];
static char *rest; /* answers not given yet */

static natsStatus next_answer(natsMsg **msg)
{
    char *answer = rest, *end = rest ? strstr(rest, "\n--\n") : NULL;

    if (!answer)
        return NATS_TIMEOUT;
    rest = end ? end + 4 : NULL;
    if (end)
        *end = '\0';
    *msg = bus_message_parse("_INBOX.fuzz", answer, strlen(answer));
    return NATS_OK;
}

natsStatus natsConnection_RequestString(natsMsg **msg, natsConnection *nc, const char *subject,
                                        const char *request, int64_t timeout_ms)
{
    (void)nc;
    (void)timeout_ms;
    PROMISE(subject && request);
    return next_answer(msg);
}

natsStatus natsConnection_RequestMsg(natsMsg **reply, natsConnection *nc, natsMsg *request,
                                     int64_t timeout_ms)
{
    (void)nc;
    (void)request;
    (void)timeout_ms;
    return next_answer(reply);
}

natsStatus natsConnection_SubscribeSync(natsSubscription **sub, natsConnection *nc,
                                        const char *subject)
{
    (void)nc;
    (void)subject;
    *sub = NULL;
    return NATS_OK;
}

natsStatus natsConnection_PublishRequestString(natsConnection *nc, const char *subject,
                                               const char *reply, const char *request)
{
    (void)nc;
    (void)subject;
    (void)reply;
    (void)request;
    return NATS_OK;
}

natsStatus natsSubscription_NextMsg(natsMsg **msg, natsSubscription *sub, int64_t timeout_ms)
{
    (void)sub;
    (void)timeout_ms;
    return next_answer(msg);
}

static const struct ctl_command command = {.name = "fuzz"};
static struct yz_conf defaults;
static const struct yz_conf *conf;
static const struct ctl ctl = {.command = &command, .conf = &defaults};

static void ask_stream(void)
{
    uint64_t sequence = 0;
    int code = 0;
    json_t *reply;
    natsMsg *msg = NULL;

    if (wk_stream_call(NULL, "STREAM.INFO.X", NULL, &reply, &code) == YZ_OK)
        PROMISE(reply);
    json_decref(reply);
    if (wk_stream_put(NULL, "state.x", "1", 4, &sequence, &code) == YZ_OK)
        PROMISE(sequence > 0);
    if (wk_stream_last(NULL, "STATE", "state.x", &msg) != YZ_OK)
        PROMISE(!msg);
    natsMsg_Destroy(msg);
}

static void ask_consumers(void)
{
    uint64_t until = 0;

    if (wk_durable_make(conf, NULL, 3, 7) == YZ_OK &&
        wk_durable_delivered(NULL, 3, &until) == YZ_OK && until > 0)
        PROMISE(until <= INT64_MAX);
}

/* A real configuration against ours: each difference can be shown. */
static void compare(const json_t *info)
{
    const json_t *actual = json_object_get(info, "config"), *change;
    char shown[256];
    size_t i;

    for (const struct ctl_stream *s = ctl_streams; s->name; s++) {
        json_t *declared = ctl_stream_config(s, conf);
        json_t *changes = ctl_stream_diff(declared, actual);

        json_array_foreach(changes, i, change)
        {
            const char *field = json_string_value(json_object_get(change, "field"));

            ctl_field_text(field, json_object_get(change, "from"), shown, sizeof shown);
            ctl_field_text(field, json_object_get(change, "to"), shown, sizeof shown);
        }
        ctl_stream_obstacle(changes, declared, info);
        json_decref(ctl_stream_merge(declared, actual));
        json_decref(changes);
        json_decref(declared);
    }
    ctl_stream_generation(info);
}

static void ask_streams(void)
{
    struct ctl_reply reply;
    const char *epoch;

    if (ctl_stream_info(NULL, "EVENTS", &reply)) {
        compare(reply.body);
        epoch = json_string_value(json_object_get(
            json_object_get(json_object_get(reply.body, "config"), "metadata"), CTL_EPOCH_KEY));
        PROMISE(!epoch || ctl_epoch_generation(epoch) >= 0);
    }
    ctl_reply_deinit(&reply);
    ctl_api_level(NULL, &reply);
    ctl_reply_deinit(&reply);
}

static void ask_letters(void)
{
    uint64_t pending = 0;
    json_t *letters = ctl_letters(&ctl, NULL, "dlq.>", 1, 10, &pending);
    char *shown;

    if (letters) {
        shown = json_dumps(letters, JSON_COMPACT | JSON_ENSURE_ASCII);
        PROMISE(shown);
        free(shown);
        json_decref(letters);
    }
}

/* The subject to which a delivery is acknowledged, from which its place is read. */
static void parse_delivery(void)
{
    struct wk_delivery delivery = {0};

    if (wk_pull_parse(text, &delivery))
        PROMISE(delivery.partition < YZ_PARTITIONS && delivery.sequence > 0 &&
                memchr(delivery.consumer, '\0', sizeof delivery.consumer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[] = {(char[]){"fuzz"}, NULL};
    FILE *shown = stderr;

    if (!conf) {
        bus_message_open();
        PROMISE(yz_conf_parse(&defaults, YZ_CONF_CTL | YZ_CONF_WORKER, 1, argv, "", NULL));
        conf = &defaults;
    }
    if (size < 1 || size > sizeof text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    rest = text;
    switch (data[0] % 5) {
    case 0:
        ask_stream();
        break;
    case 1:
        ask_consumers();
        break;
    case 2:
        ask_streams();
        break;
    case 3:
        /* An operator is told what is wrong; a million times is too often. */
        stderr = fopen("/dev/null", "w");
        ask_letters();
        fclose(stderr);
        stderr = shown;
        break;
    case 4:
        parse_delivery();
        break;
    }
    return 0;
}
