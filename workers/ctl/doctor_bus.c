#include "workers/ctl/doctor.h"

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/epoch.h"
#include "workers/ctl/generation.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/probe.h"
#include "workers/ctl/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AREA        "nats"
#define PAYLOAD_MIN (256 * 1024) /* a page of a query, with room */
#define RTT_WARN_US 20000
#define FILL_WARN   80 /* percent */
#define FILL_FAIL   95
#define INFO_MAX    8192

/* What the server says of itself before anybody logs in. */
static void examine_greeting(struct ctl_doctor *doctor)
{
    char line[INFO_MAX] = "";
    struct ctl_address address;
    const char *reason = "", *version;
    json_t *info = NULL;

    if (ctl_address_parse(doctor->ctl->conf->nats_url, "4222", &address) &&
        ctl_probe_line(&address, line, sizeof line, &reason) && strncmp(line, "INFO ", 5) == 0)
        info = json_loads(line + 5, 0, NULL);
    version = json_string_value(json_object_get(info, "version"));
    if (version)
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "nats-server %s at %s:%s", version,
                  address.host, address.port);
    if (info && json_integer_value(json_object_get(info, "max_payload")) < PAYLOAD_MIN)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "set max_payload: 1MB in nats.conf",
                  "max_payload is too small for a query's page");
    json_decref(info);
}

static void examine_round_trip(struct ctl_doctor *doctor)
{
    int64_t begin = yz_clock_mono_us(), us;
    natsStatus s = natsConnection_FlushTimeout(doctor->nc, CTL_API_TIMEOUT_MS);

    us = yz_clock_mono_us() - begin;
    if (s != NATS_OK)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "look into the server's log",
                  "a ping is not answered: %s", natsStatus_GetText(s));
    else
        ctl_found(&doctor->findings, us > RTT_WARN_US ? CTL_WARNING : CTL_FINE, AREA,
                  us > RTT_WARN_US ? "every event needs several: run it nearer" : NULL,
                  "round trip %" PRId64 ".%03" PRId64 " ms", us / 1000, us % 1000);
}

static bool examine_jetstream(struct ctl_doctor *doctor)
{
    struct ctl_reply reply;
    int level = ctl_api_level(doctor->nc, &reply);

    if (level < 0)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "give nats.conf a jetstream { store_dir: ... } and restart it",
                  "JetStream does not answer: %s", reply.text);
    else if (level == 0)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "run nats-server 2.12 (scripts/up builds it)", "the server is older than 2.11");
    else
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "JetStream is enabled, API level %d",
                  level);
    ctl_reply_deinit(&reply);
    return level > 0;
}

/* Only the monitoring page tells it. */
static void examine_sync(struct ctl_doctor *doctor)
{
    static const char advice[] =
        "with one server, set sync_interval: always in jetstream { }: a PubAck is no fsync";
    const char *url = ctl_text(doctor->ctl, "nats-monitor"), *reason = "";
    char body[INFO_MAX] = "";
    struct ctl_address address;
    json_t *page, *config;
    int status = 0;
    bool always;

    if (!url) {
        if (doctor->ctl->conf->replicas == 1)
            ctl_found(&doctor->findings, CTL_FINE, AREA, advice,
                      "sync_interval cannot be seen from here; --nats-monitor URL shows it");
        return;
    }
    if (!ctl_address_parse(url, "8222", &address) ||
        snprintf(address.path, sizeof address.path, "/jsz?config=1") < 0 ||
        !ctl_probe_get(&address, &status, body, sizeof body, &reason) || status != 200) {
        ctl_found(&doctor->findings, CTL_WARNING, AREA, "is http: set in nats.conf?",
                  "%s does not answer (%s, status %d)", url, reason, status);
        return;
    }
    page = json_loads(body, 0, NULL);
    config = json_object_get(page, "config");
    always = json_is_true(json_object_get(config, "sync_always"));
    if (always || doctor->ctl->conf->replicas >= 3)
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "%s",
                  always ? "sync_interval is always" : "replicas carry what is not on disk yet");
    else
        ctl_found(&doctor->findings, CTL_WARNING, AREA, advice,
                  "sync_interval is %" PRId64 " s: a power cut loses acknowledged events",
                  (int64_t)json_integer_value(json_object_get(config, "sync_interval")) /
                      1000000000);
    json_decref(page);
}

void ctl_doctor_bus(struct ctl_doctor *doctor)
{
    const char *reason;

    doctor->nc = ctl_nats_try(doctor->ctl->conf, false, &reason);
    if (!doctor->nc) {
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "is it running? scripts/up starts it; YZ_NATS_URL names another; a user needs "
                  "YZ_NATS_USER and YZ_NATS_PASSWORD_FILE",
                  "%s does not answer: %s", doctor->ctl->conf->nats_url, reason);
        return;
    }
    examine_greeting(doctor);
    examine_round_trip(doctor);
    examine_sync(doctor);
    if (!examine_jetstream(doctor)) {
        ctl_nats_close(doctor->nc);
        doctor->nc = NULL;
    }
}

static void examine_fill(struct ctl_doctor *doctor, const char *name, const json_t *info)
{
    int64_t max = json_integer_value(json_object_get(json_object_get(info, "config"), "max_bytes"));
    int64_t bytes = json_integer_value(json_object_get(json_object_get(info, "state"), "bytes"));
    int64_t percent = max > 0 ? bytes * 100 / max : 0;

    if (percent >= FILL_WARN)
        ctl_found(&doctor->findings, percent >= FILL_FAIL ? CTL_BROKEN : CTL_WARNING, "streams",
                  "a full one refuses: are the workers settling? Else a larger "
                  "YZ_EVENTS_MAX_BYTES, or for DEADLETTERS yzctl dlq",
                  "%s is %" PRId64 " %% full", name, percent);
}

static void examine_peers(struct ctl_doctor *doctor, const char *name, const json_t *info)
{
    const json_t *replicas = json_object_get(json_object_get(info, "cluster"), "replicas"),
                 *replica;
    size_t i;

    json_array_foreach((json_t *)replicas, i, replica)
    {
        if (json_is_true(json_object_get(replica, "offline")) ||
            json_is_false(json_object_get(replica, "current")))
            ctl_found(&doctor->findings, CTL_WARNING, "streams",
                      "look at that server; until it is back, losing another one stops everything",
                      "%s: the replica on %s is behind or away", name,
                      json_string_value(json_object_get(replica, "name")));
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
        ctl_found(&doctor->findings, CTL_WARNING, "streams",
                  "yzctl apply --plan shows all; are the settings here those it was applied with?",
                  "%s differs in %zu fields, first %s: %s, declared %s", stream->name,
                  json_array_size(changes), field, from, to);
    } else if (stream->has_epoch && !epoch) {
        ctl_found(&doctor->findings, CTL_BROKEN, "streams", "yzctl apply gives it one",
                  "%s has no epoch: clients cannot resume", stream->name);
    } else {
        ctl_found(&doctor->findings, CTL_FINE, "streams", NULL, "%s as declared%s%s", stream->name,
                  epoch ? ", epoch " : "", epoch ? epoch : "");
    }
    json_decref(changes);
    json_decref(declared);
}

static void examine_sequence(struct ctl_doctor *doctor, const json_t *info)
{
    int64_t used = ctl_stream_generation(info), known = 0;

    if (!doctor->db.store || ctl_generation_get(doctor->db.store, YZ_STREAM_EVENTS, &known))
        return;
    if (used == known && used > 0)
        ctl_found(&doctor->findings, CTL_FINE, "streams", NULL,
                  "EVENTS counts in generation %" PRId64 ", as the database knows", used);
    else
        ctl_found(&doctor->findings, CTL_BROKEN, "streams",
                  "yzctl apply mends it; when events wait, after the workers have settled them",
                  "EVENTS counts in generation %" PRId64 ", the database knows %" PRId64
                  ": sequences may repeat",
                  used, known);
}

void ctl_doctor_streams(struct ctl_doctor *doctor)
{
    int64_t seconds, begin, now;
    struct ctl_reply info;
    const char *time;
    int32_t nanos;

    for (const struct ctl_stream *s = ctl_streams; s->name; s++) {
        if (!ctl_stream_info(doctor->nc, s->name, &info)) {
            ctl_found(&doctor->findings, CTL_BROKEN, "streams",
                      info.err_code == CTL_API_NO_STREAM ? "yzctl apply creates it"
                                                         : "look into the server's log",
                      "%s: %s", s->name, info.text);
        } else {
            examine_config(doctor, s, info.body);
            examine_fill(doctor, s->name, info.body);
            examine_peers(doctor, s->name, info.body);
            if (strcmp(s->name, YZ_STREAM_EVENTS) == 0)
                examine_sequence(doctor, info.body);
        }
        ctl_reply_deinit(&info);
    }
    begin = yz_clock_wall_ms();
    if (ctl_stream_info(doctor->nc, YZ_STREAM_EVENTS, &info)) {
        now = yz_clock_wall_ms();
        time = json_string_value(json_object_get(info.body, "ts"));
        if (time && yz_clock_parse(time, strlen(time), &seconds, &nanos))
            ctl_doctor_clock(doctor, AREA, seconds * 1000 + nanos / 1000000 - (begin + now) / 2);
    }
    ctl_reply_deinit(&info);
}
