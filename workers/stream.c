#include "workers/stream.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replicas answer their leader every second; a cut off one gives up after ten and more. */
#define HEARD_NS 3000000000

/* The err_code of a reply's error object, 0: no error. */
static int error_code(const json_t *reply)
{
    const json_t *error = json_object_get(reply, "error");

    return error ? (int)json_integer_value(json_object_get(error, "err_code")) : 0;
}

enum yz_err wk_stream_call(natsConnection *nc, const char *api, json_t *request, json_t **reply,
                           int *code)
{
    return wk_stream_ask(nc, api, request, WK_STREAM_TIMEOUT_MS, reply, code);
}

enum yz_err wk_stream_ask(natsConnection *nc, const char *api, json_t *request, int64_t timeout_ms,
                          json_t **reply, int *code)
{
    char subject[YZ_SUBJECT_MAX];
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    natsMsg *msg = NULL;
    natsStatus s;

    json_decref(request);
    *reply = NULL;
    snprintf(subject, sizeof subject, "$JS.API.%s", api);
    s = natsConnection_RequestString(&msg, nc, subject, text ? text : "", timeout_ms);
    free(text);
    if (s != NATS_OK)
        return YZ_BUS_UNAVAILABLE;
    *reply = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    natsMsg_Destroy(msg);
    if (!*reply)
        return YZ_INTERNAL;
    if (code)
        *code = error_code(*reply);
    if (!json_object_get(*reply, "error"))
        return YZ_OK;
    json_decref(*reply);
    *reply = NULL;
    return YZ_INTERNAL;
}

bool wk_stream_is_led(const json_t *info)
{
    const json_t *replicas = json_object_get(json_object_get(info, "cluster"), "replicas");
    const json_t *replica;
    size_t i, heard = 1;

    json_array_foreach(replicas, i, replica)
    {
        heard += !json_is_true(json_object_get(replica, "offline")) &&
                 json_integer_value(json_object_get(replica, "active")) <= HEARD_NS;
    }
    return heard * 2 > json_array_size(replicas) + 1;
}

enum yz_err wk_stream_end(natsConnection *nc, const char *stream, const char *subject,
                          struct wk_stream_end *end)
{
    char api[YZ_SUBJECT_MAX];
    const char *time = NULL;
    json_int_t sequence = 0;
    int64_t seconds = 0;
    int32_t nanos = 0;
    json_t *reply;
    int code = 0;
    bool good;
    enum yz_err err;

    memset(end, 0, sizeof *end);
    snprintf(api, sizeof api, "STREAM.MSG.GET.%s", stream);
    err = wk_stream_call(nc, api, json_pack("{s:s}", "last_by_subj", subject), &reply, &code);
    if (err)
        return code == WK_STREAM_NO_MESSAGE ? YZ_OK : err;
    good = json_unpack(reply, "{s:{s:I, s:s}}", "message", "seq", &sequence, "time", &time) == 0 &&
           yz_clock_parse(time, strlen(time), &seconds, &nanos);
    end->sequence = (uint64_t)sequence;
    end->stored_at_ms = seconds * 1000 + nanos / 1000000;
    json_decref(reply);
    return good ? YZ_OK : YZ_INTERNAL;
}

enum yz_err wk_stream_ack(const char *text, size_t len, uint64_t *sequence, int *code)
{
    json_t *ack = json_loadb(text, len, 0, NULL);
    json_int_t stored = json_integer_value(json_object_get(ack, "seq"));
    bool failed = !ack || json_object_get(ack, "error") || stored <= 0;

    if (code)
        *code = ack ? error_code(ack) : 0;
    if (!failed && sequence)
        *sequence = (uint64_t)stored;
    json_decref(ack);
    return failed ? YZ_INTERNAL : YZ_OK;
}

enum yz_err wk_stream_put(natsConnection *nc, const char *subject, const char *text,
                          int64_t expected, uint64_t *sequence, int *code)
{
    natsMsg *msg = NULL, *reply = NULL;
    char number[24];
    natsStatus s = natsMsg_Create(&msg, subject, NULL, text, (int)strlen(text));
    enum yz_err err;

    snprintf(number, sizeof number, "%lld", (long long)expected);
    if (s == NATS_OK && expected >= 0)
        s = yz_bus_header_set(&msg, "Nats-Expected-Last-Subject-Sequence", number);
    if (s == NATS_OK)
        s = natsConnection_RequestMsg(&reply, nc, msg, WK_STREAM_TIMEOUT_MS);
    natsMsg_Destroy(msg);
    if (s != NATS_OK)
        return YZ_BUS_UNAVAILABLE;
    err =
        wk_stream_ack(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), sequence, code);
    natsMsg_Destroy(reply);
    return err;
}

/* The code of a status message, 0: it is none. */
static int status_of(natsMsg *msg)
{
    return natsMsg_GetDataLength(msg) > 0 ? 0 : (int)yz_bus_header_u64(msg, "Status", 0);
}

enum yz_err wk_stream_last(natsConnection *nc, const char *stream, const char *subject,
                           natsMsg **msg)
{
    char api[YZ_SUBJECT_MAX];
    json_t *request = json_pack("{s:s}", "last_by_subj", subject);
    char *text = json_dumps(request, JSON_COMPACT);
    natsStatus s;
    int status;

    json_decref(request);
    snprintf(api, sizeof api, "$JS.API.DIRECT.GET.%s", stream);
    s = natsConnection_RequestString(msg, nc, api, text, WK_STREAM_TIMEOUT_MS);
    free(text);
    if (s != NATS_OK || !yz_bus_headers_ready(msg)) {
        natsMsg_Destroy(*msg);
        *msg = NULL;
        return YZ_BUS_UNAVAILABLE;
    }
    status = status_of(*msg);
    if (status == 0)
        return YZ_OK;
    natsMsg_Destroy(*msg);
    *msg = NULL;
    return status == 404 ? YZ_OK : YZ_INTERNAL;
}

/* Read replies until the one that ends them: 204 behind a batch, 404 for none at all. */
static enum yz_err read_rows(natsSubscription *sub, wk_stream_row_fn *on_row, void *arg,
                             uint64_t *pending)
{
    for (;;) {
        natsMsg *msg = NULL;
        int status;

        if (natsSubscription_NextMsg(&msg, sub, WK_STREAM_TIMEOUT_MS) != NATS_OK)
            return YZ_BUS_UNAVAILABLE;
        if (!yz_bus_headers_ready(&msg)) {
            natsMsg_Destroy(msg);
            return YZ_BUS_UNAVAILABLE;
        }
        status = status_of(msg);
        if (status == 204 && pending)
            *pending = yz_bus_header_u64(msg, "Nats-Num-Pending", 0);
        if (status == 0)
            on_row(arg, msg);
        natsMsg_Destroy(msg);
        if (status)
            return status == 204 || status == 404 ? YZ_OK : YZ_INTERNAL;
    }
}

enum yz_err wk_stream_each(const struct yz_conf *conf, natsConnection *nc, const char *stream,
                           json_t *request, wk_stream_row_fn *on_row, void *arg, uint64_t *pending)
{
    char api[YZ_SUBJECT_MAX], inbox[YZ_INBOX_MAX];
    char *text = json_dumps(request, JSON_COMPACT);
    natsSubscription *sub = NULL;
    enum yz_err err = YZ_BUS_UNAVAILABLE;

    json_decref(request);
    if (pending)
        *pending = 0;
    snprintf(api, sizeof api, "$JS.API.DIRECT.GET.%s", stream);
    if (yz_bus_inbox(conf, inbox) == YZ_OK &&
        natsConnection_SubscribeSync(&sub, nc, inbox) == NATS_OK &&
        natsConnection_PublishRequestString(nc, api, inbox, text) == NATS_OK)
        err = read_rows(sub, on_row, arg, pending);
    yz_bus_unsubscribe(nc, sub);
    free(text);
    return err;
}
