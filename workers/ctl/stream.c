#include "workers/ctl/stream.h"

#include "common/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS            INT64_C(1000000)
#define NS_PER_S             INT64_C(1000000000)
#define DEADLETTERS_BYTES    (INT64_C(256) * 1024 * 1024)
#define THREAD_MESSAGES_MANY 10 /* a thread is read back further than a channel */

const struct ctl_stream ctl_streams[] = {
    {YZ_STREAM_EVENTS, "evt.>", NULL, false, true, true},
    {YZ_STREAM_CHANNELS, "chan.>", "live.chan.>", false, true, false},
    {YZ_STREAM_THREADS, "thr.>", "live.thr.>", false, true, false},
    {YZ_STREAM_STATE, "state.>", "live.state.>", false, true, false},
    {YZ_STREAM_DEADLETTERS, "dlq.>", NULL, false, true, false},
    {"KV_" YZ_BUCKET_WORKERS, "$KV." YZ_BUCKET_WORKERS ".>", NULL, true, false, false},
    {"KV_" YZ_BUCKET_PARTITIONS, "$KV." YZ_BUCKET_PARTITIONS ".>", NULL, true, false, true},
    {NULL, NULL, NULL, false, false, false},
};

const struct ctl_stream *ctl_stream_find(const char *name)
{
    for (const struct ctl_stream *s = ctl_streams; s->name; s++) {
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

struct limits {
    const char *retention, *discard;
    int64_t max_bytes, max_age_ns, per_subject;
};

static struct limits limits_of(const struct ctl_stream *stream, const struct yz_conf *conf)
{
    struct limits l = {"limits", "old", -1, 0, -1};

    if (strcmp(stream->name, YZ_STREAM_EVENTS) == 0) {
        l.retention = "workqueue";
        l.discard = "new";
        l.max_bytes = conf->events_max_bytes;
    } else if (strcmp(stream->name, YZ_STREAM_DEADLETTERS) == 0) {
        l.discard = "new";
        l.max_bytes = DEADLETTERS_BYTES;
    } else if (stream->is_bucket) {
        l.discard = "new";
        l.per_subject = 1;
        if (strcmp(stream->name, "KV_" YZ_BUCKET_WORKERS) == 0)
            l.max_age_ns = conf->lease_ttl_ms * NS_PER_MS;
    } else if (strcmp(stream->name, YZ_STREAM_STATE) == 0) {
        l.per_subject = 1;
    } else {
        l.per_subject = conf->channel_max_messages;
        l.max_age_ns = conf->channel_max_age_s * NS_PER_S;
        if (strcmp(stream->name, YZ_STREAM_THREADS) == 0)
            l.per_subject *= THREAD_MESSAGES_MANY;
    }
    return l;
}

json_t *ctl_stream_config(const struct ctl_stream *stream, const struct yz_conf *conf)
{
    struct limits l = limits_of(stream, conf);
    int64_t window_ns = conf->duplicate_window_ms * NS_PER_MS;
    json_t *config;

    /* JetStream refuses a window longer than the age. */
    if (l.max_age_ns && window_ns > l.max_age_ns)
        window_ns = l.max_age_ns;
    config = json_pack(
        "{s:s, s:[s], s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:I, s:b, s:I}", "name", stream->name,
        "subjects", stream->subject, "retention", l.retention, "storage", "file", "discard",
        l.discard, "max_bytes", (json_int_t)l.max_bytes, "max_age", (json_int_t)l.max_age_ns,
        "max_msgs_per_subject", (json_int_t)l.per_subject, "max_msg_size", -1, "duplicate_window",
        (json_int_t)window_ns, "allow_direct", 1, "num_replicas", (json_int_t)conf->replicas);
    if (config && stream->live)
        json_object_set_new(config, "republish",
                            json_pack("{s:s, s:s}", "src", stream->subject, "dest", stream->live));
    if (config && stream->is_bucket) {
        /* What NATS clients expect of a key-value bucket. */
        json_object_set_new(config, "allow_rollup_hdrs", json_true());
        json_object_set_new(config, "deny_delete", json_true());
    }
    return config;
}

/* The server leaves out what is false, 0 or empty. */
static bool is_unset(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_integer(value) && json_integer_value(value) == 0);
}

/* Ours is met: equal, and an object's further fields (the server's own defaults) do not count. */
static bool is_met(const json_t *want, const json_t *have)
{
    const char *key;
    json_t *value;

    if (is_unset(want) && is_unset(have))
        return true;
    if (!json_is_object(want))
        return have && json_equal(want, have);
    json_object_foreach((json_t *)want, key, value)
    {
        if (!is_met(value, json_object_get(have, key)))
            return false;
    }
    return true;
}

json_t *ctl_stream_diff(const json_t *declared, const json_t *actual)
{
    json_t *changes = json_array(), *want;
    const char *field;

    json_object_foreach((json_t *)declared, field, want)
    {
        json_t *have = json_object_get(actual, field);

        if (!is_met(want, have))
            json_array_append_new(
                changes, json_pack("{s:s, s:O?, s:O}", "field", field, "from", have, "to", want));
    }
    return changes;
}

/* Why JetStream cannot do this one change to the stream of `info`; NULL when it can. */
static const char *obstacle_of(const char *field, json_int_t to, const json_t *declared,
                               const json_t *info)
{
    const json_t *state = json_object_get(info, "state");

    if (strcmp(field, "retention") == 0 || strcmp(field, "storage") == 0)
        return "JetStream cannot change retention or storage of a stream: it belongs to something "
               "else, or was made by hand. Save what is in it, delete it (nats stream rm) and "
               "apply again";
    if (strcmp(field, "deny_delete") == 0)
        return "JetStream cannot change deny_delete: this bucket was made by hand. Delete it (nats "
               "kv rm) and apply again; workers take their leases anew";
    /* A single server accepts this and keeps one copy all the same. */
    if (strcmp(field, "num_replicas") == 0 && to > 1 &&
        !json_object_get(json_object_get(info, "cluster"), "name"))
        return CTL_NO_CLUSTER_TEXT;
    if (strcmp(field, "max_bytes") == 0 && to > 0 &&
        strcmp(json_string_value(json_object_get(declared, "discard")), "new") == 0 &&
        json_integer_value(json_object_get(state, "bytes")) > to)
        return "the stream holds more bytes than the new max_bytes: it would refuse every event "
               "from now on. Let the workers settle them, or choose a larger size";
    return NULL;
}

const char *ctl_stream_obstacle(const json_t *changes, const json_t *declared, const json_t *info)
{
    const char *obstacle = NULL;
    const json_t *change;
    size_t i;

    json_array_foreach((json_t *)changes, i, change)
    {
        if (!obstacle)
            obstacle =
                obstacle_of(json_string_value(json_object_get(change, "field")),
                            json_integer_value(json_object_get(change, "to")), declared, info);
    }
    return obstacle;
}

int64_t ctl_stream_generation(const json_t *info)
{
    const json_t *state = json_object_get(info, "state");

    /* Of the next sequence: an untouched stream's last one is still the generation's before. */
    return (int64_t)(((uint64_t)json_integer_value(json_object_get(state, "last_seq")) + 1) >>
                     CTL_FIRST_BITS);
}

json_t *ctl_stream_merge(const json_t *declared, const json_t *actual)
{
    json_t *config = json_deep_copy(actual);

    if (config && json_object_update(config, (json_t *)declared) != 0) {
        json_decref(config);
        return NULL;
    }
    return config;
}

void ctl_epoch_format(int64_t generation, int64_t now_ms, char out[CTL_EPOCH_MAX])
{
    char digits[16];
    size_t at = sizeof digits - 1;
    uint64_t rest = (uint64_t)now_ms;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % 36];
        rest /= 36;
    } while (rest && at > 0);
    snprintf(out, CTL_EPOCH_MAX, "%" PRId64 ".%s", generation, digits + at);
}

int64_t ctl_epoch_generation(const char *epoch)
{
    char *end;
    long long generation = strtoll(epoch, &end, 10);

    return *end == '.' && generation > 0 ? generation : 0;
}

static void duration_text(int64_t ns, char *out, size_t cap)
{
    if (ns == 0)
        snprintf(out, cap, "none");
    else if (ns % NS_PER_S == 0)
        snprintf(out, cap, "%" PRId64 " s", ns / NS_PER_S);
    else
        snprintf(out, cap, "%" PRId64 " ms", ns / NS_PER_MS);
}

void ctl_field_text(const char *field, const json_t *value, char *out, size_t cap)
{
    int64_t number = json_integer_value(value);
    char *text;

    if (json_is_string(value)) {
        snprintf(out, cap, "%s", json_string_value(value));
    } else if (!value || json_is_null(value)) {
        snprintf(out, cap, "none");
    } else if (strcmp(field, "max_age") == 0 || strcmp(field, "duplicate_window") == 0) {
        duration_text(number, out, cap);
    } else if (json_is_integer(value) && number == -1) {
        snprintf(out, cap, "unlimited");
    } else if (strcmp(field, "max_bytes") == 0 && number % (1024 * 1024) == 0) {
        snprintf(out, cap, "%" PRId64 " MiB", number / (1024 * 1024));
    } else {
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        snprintf(out, cap, "%s", text ? text : "?");
        free(text);
    }
}
