#include "workers/ctl/doctor.h"

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/epoch.h"
#include "workers/ctl/generation.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/stream.h"

#include <inttypes.h>
#include <string.h>

#define FILL_WARN 80 /* percent */
#define FILL_FAIL 95

static bool is(const char *name, const char *other)
{
    return strcmp(name, other) == 0;
}

static void examine_fill(struct ctl_doctor *doctor, const char *name, const json_t *info)
{
    int64_t max = json_integer_value(json_object_get(json_object_get(info, "config"), "max_bytes"));
    int64_t bytes = json_integer_value(json_object_get(json_object_get(info, "state"), "bytes"));
    int64_t percent = max > 0 ? bytes * 100 / max : 0;
    enum ctl_code code = is(name, YZ_STREAM_EVENTS)        ? CTL_events_full
                         : is(name, YZ_STREAM_DEADLETTERS) ? CTL_deadletters_full
                                                           : CTL_stream_filling;

    if (percent >= FILL_FAIL)
        ctl_found(&doctor->findings, CTL_BROKEN, code, "%s is %" PRId64 " %% full", name, percent);
    else if (percent >= FILL_WARN)
        ctl_found(&doctor->findings, CTL_WARNING, CTL_stream_filling, "%s is %" PRId64 " %% full",
                  name, percent);
}

static void examine_peers(struct ctl_doctor *doctor, const char *name, const json_t *info)
{
    const json_t *cluster = json_object_get(info, "cluster");
    const json_t *replicas = json_object_get(cluster, "replicas"), *replica;
    json_int_t copies =
        json_integer_value(json_object_get(json_object_get(info, "config"), "num_replicas"));
    size_t i;

    if (!json_string_value(json_object_get(cluster, "name")))
        return; /* one server */
    if (!json_string_value(json_object_get(cluster, "leader")))
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_stream_leaderless, "%s has no leader", name);
    if (copies < 3)
        ctl_found(&doctor->findings, CTL_WARNING, CTL_replicas_single,
                  "%s has %d copies on a cluster", name, (int)copies);
    json_array_foreach((json_t *)replicas, i, replica)
    {
        if (json_is_true(json_object_get(replica, "offline")) ||
            json_is_false(json_object_get(replica, "current")))
            ctl_found(&doctor->findings, CTL_WARNING, CTL_replica_behind,
                      "%s: the replica on %s is %s", name,
                      json_string_value(json_object_get(replica, "name")),
                      json_is_true(json_object_get(replica, "offline")) ? "away" : "behind");
    }
}

static void examine_config(struct ctl_doctor *doctor, const struct ctl_stream *stream,
                           const json_t *info)
{
    const json_t *actual = json_object_get(info, "config");
    json_t *declared = ctl_stream_config(stream, doctor->ctl->conf);
    json_t *changes = ctl_stream_diff(declared, actual), *first = json_array_get(changes, 0);
    const char *epoch = ctl_epoch_of(actual);
    char from[80], to[80];

    if (first) {
        const char *field = json_string_value(json_object_get(first, "field"));

        ctl_field_text(field, json_object_get(first, "from"), from, sizeof from);
        ctl_field_text(field, json_object_get(first, "to"), to, sizeof to);
        ctl_found(&doctor->findings, CTL_WARNING, CTL_stream_drift,
                  "%s differs in %zu fields, first %s: %s, declared %s", stream->name,
                  json_array_size(changes), field, from, to);
    }
    if (stream->has_epoch && !epoch)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_epoch_missing,
                  "%s has no epoch: clients cannot resume", stream->name);
    if (!first && (epoch || !stream->has_epoch))
        ctl_found(&doctor->findings, CTL_FINE, CTL_stream_drift, "%s as declared%s%s", stream->name,
                  epoch ? ", epoch " : "", epoch ? epoch : "");
    json_decref(changes);
    json_decref(declared);
}

static void examine_generation(struct ctl_doctor *doctor, const json_t *info)
{
    int64_t used = ctl_stream_generation(info), known = 0;

    if (ctl_generation_get(doctor->db.store, YZ_STREAM_EVENTS, &known))
        return;
    if (used == known && used > 0)
        ctl_found(&doctor->findings, CTL_FINE, CTL_generation_mismatch,
                  "EVENTS counts in generation %" PRId64 ", as the database knows", used);
    else
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_generation_mismatch,
                  "EVENTS counts in generation %" PRId64 ", the database knows %" PRId64
                  ": sequences may repeat",
                  used, known);
}

/* reached was read before EVENTS was asked: workers raise it all the time. */
static void examine_sequence(struct ctl_doctor *doctor, int64_t reached, const json_t *info)
{
    int64_t last = json_integer_value(json_object_get(json_object_get(info, "state"), "last_seq"));

    if (last < reached)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_sequence_behind,
                  "EVENTS ends at %" PRId64 ", but had reached %" PRId64
                  ": its next events would pass for replays",
                  last, reached);
}

static void examine_clock(struct ctl_doctor *doctor, const json_t *info, int64_t begin_ms)
{
    const char *time = json_string_value(json_object_get(info, "ts"));
    int64_t now = yz_clock_wall_ms(), seconds;
    int32_t nanos;

    if (time && yz_clock_parse(time, strlen(time), &seconds, &nanos))
        ctl_doctor_clock(doctor, "NATS", seconds * 1000 + nanos / 1000000 - (begin_ms + now) / 2,
                         (now - begin_ms) / 2);
}

static void examine_missing(struct ctl_doctor *doctor, const char *name,
                            const struct ctl_reply *info)
{
    enum ctl_code code = info->err_code == CTL_API_NO_STREAM ? CTL_stream_missing
                         : info->denied                      ? CTL_bus_permission
                         : info->err_code < 0                ? CTL_stream_leaderless
                                                             : CTL_stream_unreadable;

    ctl_found(&doctor->findings, CTL_BROKEN, code, "%s: %s", name, info->text);
}

static void examine_stream(struct ctl_doctor *doctor, const struct ctl_stream *stream)
{
    bool is_events = is(stream->name, YZ_STREAM_EVENTS);
    int64_t reached = 0, begin_ms;
    struct ctl_reply info;
    bool known = is_events && doctor->db.store &&
                 ctl_generation_reached(doctor->db.store, YZ_STREAM_EVENTS, &reached) == YZ_OK;

    begin_ms = yz_clock_wall_ms();
    if (!ctl_stream_info(doctor->nc, stream->name, &info)) {
        examine_missing(doctor, stream->name, &info);
    } else {
        examine_config(doctor, stream, info.body);
        examine_fill(doctor, stream->name, info.body);
        examine_peers(doctor, stream->name, info.body);
        if (is_events)
            examine_clock(doctor, info.body, begin_ms);
        if (is_events && doctor->db.store)
            examine_generation(doctor, info.body);
        if (known)
            examine_sequence(doctor, reached, info.body);
    }
    ctl_reply_deinit(&info);
}

void ctl_doctor_streams(struct ctl_doctor *doctor)
{
    for (const struct ctl_stream *s = ctl_streams; s->name; s++)
        examine_stream(doctor, s);
}
