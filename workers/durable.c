#include "workers/durable.h"

#include "common/log.h"
#include "common/subject.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ACK_PENDING 4096
#define DELETE_MS                                                                                  \
    1000 /* one whose leader is in trouble does not answer, and is gone all the same */

void wk_durable_name(unsigned partition, uint64_t revision, char out[WK_DURABLE_MAX])
{
    snprintf(out, WK_DURABLE_MAX, "p%u-%" PRIu64, partition, revision);
}

static enum yz_err consumer_ask(natsConnection *nc, const char *verb, const char *name,
                                json_t *request, int64_t timeout_ms, json_t **reply, int *code)
{
    char api[256];

    snprintf(api, sizeof api, "CONSUMER.%s." YZ_STREAM_EVENTS ".%s", verb, name);
    return wk_stream_ask(nc, api, request, timeout_ms, reply, code);
}

static enum yz_err consumer_call(natsConnection *nc, const char *verb, const char *name,
                                 json_t *request, json_t **reply, int *code)
{
    return consumer_ask(nc, verb, name, request, WK_STREAM_TIMEOUT_MS, reply, code);
}

/* Names of the partition's consumers, as a JSON array. */
static enum yz_err list_consumers(natsConnection *nc, unsigned partition, json_t **names)
{
    json_t *reply, *name, *all;
    char prefix[16];
    size_t i;
    enum yz_err err = wk_stream_call(nc, "CONSUMER.NAMES." YZ_STREAM_EVENTS,
                                     json_pack("{s:i}", "offset", 0), &reply, NULL);

    if (err)
        return err;
    snprintf(prefix, sizeof prefix, "p%u-", partition);
    *names = json_array();
    all = json_object_get(reply, "consumers");
    json_array_foreach(all, i, name)
    {
        if (json_is_string(name) && strncmp(json_string_value(name), prefix, strlen(prefix)) == 0)
            json_array_append(*names, name);
    }
    json_decref(reply);
    return YZ_OK;
}

static uint64_t revision_of(const json_t *name)
{
    const char *dash = strrchr(json_string_value(name), '-');

    return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

/* Delete the consumers of older leases. YZ_EXISTS: there is one of a newer lease than ours. */
static enum yz_err delete_older(natsConnection *nc, unsigned partition, uint64_t revision)
{
    json_t *names, *name, *reply;
    size_t i;
    enum yz_err err = list_consumers(nc, partition, &names);

    if (err)
        return err;
    json_array_foreach(names, i, name)
    {
        int code = 0;

        if (revision_of(name) > revision) {
            /* Unless PARTITIONS was made anew, then ours passes it after some tries. */
            yz_warn_spaced("consumer_of_newer_lease", "consumer=%s ours=%" PRIu64,
                           json_string_value(name), revision);
            err = YZ_EXISTS;
            break;
        }
        if (revision_of(name) == revision)
            continue;
        err = consumer_ask(nc, "DELETE", json_string_value(name), NULL, DELETE_MS, &reply, &code);
        if (!err)
            json_decref(reply);
        else if (code == WK_STREAM_CONSUMER_NOT_FOUND)
            err = YZ_OK;
        if (err)
            break;
    }
    json_decref(names);
    return err;
}

static enum yz_err create_consumer(const struct yz_conf *conf, natsConnection *nc,
                                   unsigned partition, uint64_t revision, int *code)
{
    char name[WK_DURABLE_MAX], filter[32];
    json_t *reply = NULL, *request;
    enum yz_err err;

    wk_durable_name(partition, revision, name);
    snprintf(filter, sizeof filter, "evt.%u.>", partition);
    request =
        json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:b}}", "stream_name",
                  YZ_STREAM_EVENTS, "config", "durable_name", name, "name", name, "filter_subject",
                  filter, "deliver_policy", "all", "ack_policy", "explicit", "replay_policy",
                  "instant", "ack_wait", (json_int_t)(conf->ack_wait_ms * 1000000), "max_deliver",
                  -1, "max_ack_pending", MAX_ACK_PENDING, "mem_storage", 1);
    err = consumer_call(nc, "DURABLE.CREATE", name, request, &reply, code);
    json_decref(reply);
    return err;
}

enum yz_err wk_durable_make(const struct yz_conf *conf, natsConnection *nc, unsigned partition,
                            uint64_t revision)
{
    int code = 0;
    enum yz_err err = delete_older(nc, partition, revision);

    if (err)
        return err;
    err = create_consumer(conf, nc, partition, revision, &code);
    if (err == YZ_INTERNAL && code == WK_STREAM_CONSUMER_NOT_UNIQUE)
        return YZ_BUSY; /* another taker came between; the next look tells who won */
    if (err == YZ_INTERNAL)
        yz_warn_spaced("consumer_refused", "partition=%u err_code=%d", partition, code);
    return err;
}

enum yz_err wk_durable_delivered(natsConnection *nc, unsigned partition, uint64_t *until)
{
    json_t *names, *name, *info;
    size_t i;
    enum yz_err err = list_consumers(nc, partition, &names);

    *until = 0;
    if (err)
        return err;
    json_array_foreach(names, i, name)
    {
        int code = 0;
        uint64_t sequence;

        err = consumer_call(nc, "INFO", json_string_value(name), NULL, &info, &code);
        if (err && code == WK_STREAM_CONSUMER_NOT_FOUND) {
            err = YZ_OK;
            continue;
        }
        if (err)
            break;
        sequence = (uint64_t)json_integer_value(
            json_object_get(json_object_get(info, "delivered"), "stream_seq"));
        if (json_integer_value(json_object_get(info, "num_ack_pending")) > 0 && sequence > *until)
            *until = sequence;
        json_decref(info);
    }
    json_decref(names);
    return err;
}
