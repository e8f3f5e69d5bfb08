#include "workers/ctl/doctor.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/probe.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AREA              "workers"
#define WORKERS_PREFIX    "$KV." YZ_BUCKET_WORKERS "."
#define PARTITIONS_PREFIX "$KV." YZ_BUCKET_PARTITIONS "."
#define AGE_WARN_S        30
#define AGE_FAIL_S        300
#define BODY_MAX          512

static bool is_removed(natsMsg *msg)
{
    const char *operation = NULL;

    return natsMsgHeader_Get(msg, "KV-Operation", &operation) == NATS_OK;
}

/* arg: an object, one member for each key of the bucket. */
static void on_entry(void *arg, natsMsg *msg)
{
    const char *subject = NULL;
    json_t *value;

    if (natsMsgHeader_Get(msg, "Nats-Subject", &subject) != NATS_OK || is_removed(msg))
        return;
    value = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    json_object_set_new(arg, strrchr(subject, '.') + 1, value ? value : json_null());
}

static json_t *read_bucket(struct ctl_doctor *doctor, const char *bucket)
{
    char stream[32], filter[48];
    json_t *entries = json_object();

    snprintf(stream, sizeof stream, "KV_%s", bucket);
    snprintf(filter, sizeof filter, "$KV.%s.>", bucket);
    if (wk_stream_each(doctor->ctl->conf, doctor->nc, stream,
                       json_pack("{s:[s], s:i}", "multi_last", filter, "batch", 1024), on_entry,
                       entries, NULL)) {
        json_decref(entries);
        return NULL;
    }
    return entries;
}

static void examine_partitions(struct ctl_doctor *doctor, const json_t *workers,
                               const json_t *partitions)
{
    char key[16], orphans[160] = "";
    int owned = 0;

    for (int i = 0; i < YZ_PARTITIONS; i++) {
        const json_t *lease;
        const char *state, *holder;
        size_t len = strlen(orphans);

        snprintf(key, sizeof key, "p%d", i);
        lease = json_object_get(partitions, key);
        state = json_string_value(json_object_get(lease, "state"));
        holder = json_string_value(json_object_get(lease, "worker"));
        if (state && holder && strcmp(state, "held") == 0 && json_object_get(workers, holder))
            owned++;
        else if (len < sizeof orphans - 8)
            snprintf(orphans + len, sizeof orphans - len, " %d", i);
    }
    if (owned == YZ_PARTITIONS)
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "all %d partitions are owned", owned);
    else
        ctl_found(
            &doctor->findings, CTL_BROKEN, AREA,
            "a dead worker's are taken after YZ_LEASE_TTL_MS: look again in ten seconds, then "
            "into the workers' logs",
            "%d of %d partitions are owned; not:%s", owned, YZ_PARTITIONS, orphans);
}

static void examine_leases(struct ctl_doctor *doctor)
{
    json_t *workers = read_bucket(doctor, YZ_BUCKET_WORKERS);
    json_t *partitions = read_bucket(doctor, YZ_BUCKET_PARTITIONS);

    if (!workers || !partitions)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA, "yzctl apply creates them",
                  "the buckets WORKERS and PARTITIONS cannot be read");
    else if (json_object_size(workers) == 0)
        ctl_found(&doctor->findings, CTL_BROKEN, AREA,
                  "start yz-worker (scripts/up); when one runs, its log says what it lacks",
                  "no worker is alive: events wait, queries are not answered");
    else
        ctl_found(&doctor->findings, CTL_FINE, AREA, NULL, "%zu alive", json_object_size(workers));
    if (workers && partitions && json_object_size(workers) > 0)
        examine_partitions(doctor, workers, partitions);
    json_decref(partitions);
    json_decref(workers);
}

static void on_oldest(void *arg, natsMsg *msg)
{
    int64_t *stored_ms = arg, seconds;
    const char *time = NULL;
    int32_t nanos;

    if (natsMsgHeader_Get(msg, "Nats-Time-Stamp", &time) == NATS_OK &&
        yz_clock_parse(time, strlen(time), &seconds, &nanos))
        *stored_ms = seconds * 1000 + nanos / 1000000;
}

static int64_t messages_of(natsConnection *nc, const char *stream)
{
    struct ctl_reply info;
    int64_t count = -1;

    if (ctl_stream_info(nc, stream, &info))
        count =
            json_integer_value(json_object_get(json_object_get(info.body, "state"), "messages"));
    ctl_reply_deinit(&info);
    return count;
}

static void examine_lag(struct ctl_doctor *doctor)
{
    int64_t waiting = messages_of(doctor->nc, YZ_STREAM_EVENTS), stored_ms = 0, age_s = 0;
    json_t *request = json_pack("{s:i, s:i, s:s}", "seq", 1, "batch", 1, "next_by_subj", "evt.>");

    if (wk_stream_each(doctor->ctl->conf, doctor->nc, YZ_STREAM_EVENTS, request, on_oldest,
                       &stored_ms, NULL) ||
        waiting < 0)
        return; /* the streams' findings say it */
    if (stored_ms > 0)
        age_s = (yz_clock_wall_ms() - stored_ms) / 1000;
    ctl_found(&doctor->findings,
              age_s >= AGE_FAIL_S   ? CTL_BROKEN
              : age_s >= AGE_WARN_S ? CTL_WARNING
                                    : CTL_FINE,
              AREA,
              age_s >= AGE_WARN_S ? "is the database answering? More worker threads or processes; "
                                    "the workers' logs name what they retry"
                                  : NULL,
              "%" PRId64 " events wait to be settled, the oldest for %" PRId64 " s", waiting,
              age_s);
}

static void examine_deadletters(struct ctl_doctor *doctor)
{
    int64_t count = messages_of(doctor->nc, YZ_STREAM_DEADLETTERS);

    if (count >= 0)
        ctl_found(&doctor->findings, count ? CTL_WARNING : CTL_FINE, AREA,
                  count ? "yzctl dlq list; mend the cause, then yzctl dlq replay or drop" : NULL,
                  "%" PRId64 " dead letters", count);
}

void ctl_doctor_workers(struct ctl_doctor *doctor)
{
    examine_leases(doctor);
    examine_lag(doctor);
    examine_deadletters(doctor);
}

static void examine_page(struct ctl_doctor *doctor, const char *area, const char *url, bool named)
{
    char body[BODY_MAX] = "";
    struct ctl_address address;
    const char *reason = "malformed address";
    int status = 0;

    if (!ctl_address_parse(url, "80", &address) ||
        snprintf(address.path, sizeof address.path, "/readyz") < 0 ||
        !ctl_probe_get(&address, &status, body, sizeof body, &reason)) {
        ctl_found(&doctor->findings, named ? CTL_BROKEN : CTL_WARNING, area,
                  named ? "is it running, with YZ_ADMIN_PORT?"
                        : "if it runs elsewhere, name it: --gateway-admin, --worker-admin",
                  "%s/readyz does not answer: %s", url, reason);
        return;
    }
    body[strcspn(body, "\r\n")] = '\0';
    ctl_found(&doctor->findings, status == 200 ? CTL_FINE : CTL_BROKEN, area,
              status == 200 ? NULL : "what it lacks is in its answer and in its log",
              "%s/readyz: %d %s", url, status, body);
}

/* The named ones, else where scripts/up puts one. */
static void examine_pages(struct ctl_doctor *doctor, const char *area, const char *flag,
                          const char *variable, const char *port)
{
    const char *const *urls, *set = getenv(variable);
    int count = ctl_list(doctor->ctl, flag, &urls);
    char url[64];

    for (int i = 0; i < count; i++)
        examine_page(doctor, area, urls[i], true);
    if (count == 0) {
        snprintf(url, sizeof url, "http://127.0.0.1:%.8s", set && *set ? set : port);
        examine_page(doctor, area, url, set && *set);
    }
}

void ctl_doctor_pages(struct ctl_doctor *doctor)
{
    examine_pages(doctor, "gateway", "gateway-admin", "YZ_GATEWAY_ADMIN_PORT", "9180");
    examine_pages(doctor, "workers", "worker-admin", "YZ_WORKER_ADMIN_PORT", "9190");
}
