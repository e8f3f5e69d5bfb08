#include "workers/ctl/doctor.h"

#include "common/clock.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAYLOAD_MIN (256 * 1024) /* a page of a query, with room */
#define RTT_WARN_US 100000
#define INFO_MAX    8192

/* What the server says of itself before anybody logs in. */
static json_t *read_greeting(struct ctl_doctor *doctor, struct ctl_address *address,
                             const char **reason)
{
    char line[INFO_MAX] = "";

    if (ctl_address_parse(doctor->ctl->conf->nats_url, "4222", address) &&
        ctl_probe_line(address, line, sizeof line, reason) && strncmp(line, "INFO ", 5) == 0)
        return json_loads(line + 5, 0, NULL);
    return NULL;
}

static void examine_greeting(struct ctl_doctor *doctor)
{
    struct ctl_address address;
    const char *reason = "", *version;
    json_t *info = read_greeting(doctor, &address, &reason);

    version = json_string_value(json_object_get(info, "version"));
    if (version)
        ctl_found(&doctor->findings, CTL_FINE, CTL_nats_unreachable, "nats-server %s at %s:%s",
                  version, address.host, address.port);
    if (info && json_integer_value(json_object_get(info, "max_payload")) < PAYLOAD_MIN)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_payload,
                  "max_payload is too small for a query's page");
    json_decref(info);
}

/* It does not let us in: is it down, dumb, or are we not welcome? */
static void examine_refusal(struct ctl_doctor *doctor, const char *why)
{
    struct ctl_address address = {0};
    const char *reason = "the address is malformed";
    json_t *info = read_greeting(doctor, &address, &reason);
    const char *url = doctor->ctl->conf->nats_url;

    if (info)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_refused, "%s lets nobody in: %s", url,
                  why);
    else if (strcmp(reason, CTL_PROBE_DUMB) == 0)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_silent,
                  "%s takes a connection but says nothing", url);
    else
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_unreachable, "%s does not answer: %s",
                  url, reason);
    json_decref(info);
}

static void examine_round_trip(struct ctl_doctor *doctor)
{
    int64_t begin = yz_clock_mono_us(), us;
    natsStatus s = natsConnection_FlushTimeout(doctor->nc, CTL_API_TIMEOUT_MS);

    us = yz_clock_mono_us() - begin;
    if (s != NATS_OK)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_silent, "a ping is not answered: %s",
                  natsStatus_GetText(s));
    else
        ctl_found(&doctor->findings, us > RTT_WARN_US ? CTL_WARNING : CTL_FINE, CTL_bus_slow,
                  "round trip %" PRId64 ".%03" PRId64 " ms", us / 1000, us % 1000);
}

static bool examine_jetstream(struct ctl_doctor *doctor)
{
    struct ctl_reply reply;
    int level = ctl_api_level(doctor->nc, &reply);

    if (level < 0)
        ctl_found(&doctor->findings, CTL_BROKEN,
                  reply.denied ? CTL_bus_permission : CTL_jetstream_unavailable,
                  "JetStream does not answer: %s", reply.text);
    else if (level == 0)
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_nats_old, "the server is older than 2.11");
    else
        ctl_found(&doctor->findings, CTL_FINE, CTL_jetstream_unavailable,
                  "JetStream is enabled, API level %d", level);
    ctl_reply_deinit(&reply);
    return level > 0;
}

/* Only the monitoring page tells it. */
static void examine_sync(struct ctl_doctor *doctor)
{
    const char *url = ctl_text(doctor->ctl, "nats-monitor"), *reason = "";
    char body[INFO_MAX] = "";
    struct ctl_address address;
    json_t *page, *config;
    int status = 0;
    bool always;

    if (!url) {
        if (doctor->ctl->conf->replicas == 1)
            ctl_advised(&doctor->findings, CTL_sync_unseen,
                        "sync_interval cannot be seen from here; --nats-monitor URL shows it");
        return;
    }
    if (!ctl_address_parse(url, "8222", &address) ||
        snprintf(address.path, sizeof address.path, "/jsz?config=1") < 0 ||
        !ctl_probe_get(&address, &status, body, sizeof body, &reason) || status != 200) {
        ctl_found(&doctor->findings, CTL_WARNING, CTL_monitor_unreachable,
                  "%s does not answer (%s, status %d)", url, reason, status);
        return;
    }
    page = json_loads(body, 0, NULL);
    config = json_object_get(page, "config");
    always = json_is_true(json_object_get(config, "sync_always"));
    if (always || doctor->ctl->conf->replicas >= 3)
        ctl_found(&doctor->findings, CTL_FINE, CTL_sync_unsafe, "%s",
                  always ? "sync_interval is always" : "replicas carry what is not on disk yet");
    else
        ctl_found(&doctor->findings, CTL_WARNING, CTL_sync_unsafe,
                  "sync_interval is %" PRId64 " s: a power cut loses acknowledged events",
                  (int64_t)json_integer_value(json_object_get(config, "sync_interval")) /
                      1000000000);
    json_decref(page);
}

bool ctl_doctor_bus(struct ctl_doctor *doctor)
{
    const char *reason;

    doctor->nc = ctl_nats_try(doctor->ctl->conf, false, &reason);
    if (!doctor->nc) {
        examine_refusal(doctor, reason);
        return false;
    }
    examine_greeting(doctor);
    examine_round_trip(doctor);
    examine_sync(doctor);
    return examine_jetstream(doctor);
}
