#include "workers/ctl/doctor.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/subject.h"
#include "workers/ctl/jetstream.h"
#include "workers/durable.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_PREFIX    "$KV." YZ_BUCKET_WORKERS "."
#define PARTITIONS_PREFIX "$KV." YZ_BUCKET_PARTITIONS "."
#define LETTERS_READ      100
#define STALE_FAIL        10 /* times events_stale_ms */

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
    if (json_is_object(value))
        json_object_set_new(value, "revision",
                            json_integer((json_int_t)yz_bus_header_u64(msg, "Nats-Sequence", 0)));
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

struct leases {
    const json_t *workers, *partitions;
    int owned, orphans;
    char list[160];   /* of the orphans */
    int64_t since_ms; /* the oldest lease of a dead worker */
};

static void count_lease(struct leases *leases, int number)
{
    const json_t *lease;
    const char *state, *holder;
    size_t len = strlen(leases->list);
    int64_t since_ms;
    char key[16];

    snprintf(key, sizeof key, "p%d", number);
    lease = json_object_get(leases->partitions, key);
    state = json_string_value(json_object_get(lease, "state"));
    holder = json_string_value(json_object_get(lease, "worker"));
    if (state && holder && strcmp(state, "held") == 0 && json_object_get(leases->workers, holder)) {
        leases->owned++;
        return;
    }
    leases->orphans++;
    since_ms = json_integer_value(json_object_get(lease, "since_ms"));
    if (since_ms && (!leases->since_ms || since_ms < leases->since_ms))
        leases->since_ms = since_ms;
    if (len < sizeof leases->list - 8)
        snprintf(leases->list + len, sizeof leases->list - len, " %d", number);
}

static void examine_partitions(struct ctl_doctor *doctor, const json_t *partitions)
{
    struct leases leases = {.workers = doctor->beats, .partitions = partitions};

    for (int i = 0; i < YZ_PARTITIONS; i++)
        count_lease(&leases, i);
    if (leases.orphans == 0)
        ctl_found(&doctor->findings, CTL_FINE, CTL_partitions_unowned,
                  "all %d partitions are owned", leases.owned);
    else
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_partitions_unowned,
                  "%d of %d partitions are owned; not:%s", leases.owned, YZ_PARTITIONS,
                  leases.list);
}

/* A lease that is held has its consumer "p<n>-<revision>", which only its owner makes. */
static void examine_consumers(struct ctl_doctor *doctor, const json_t *partitions)
{
    json_t *names = json_object(), *name, *lease;
    const char *key, *state;
    struct ctl_reply reply;
    int missing = 0;
    size_t i;

    if (ctl_api_call(doctor->nc, "CONSUMER.NAMES." YZ_STREAM_EVENTS, NULL, &reply)) {
        json_array_foreach(json_object_get(reply.body, "consumers"), i, name)
            json_object_set_new(names, json_string_value(name), json_true());
        json_object_foreach((json_t *)partitions, key, lease)
        {
            char consumer[WK_DURABLE_MAX];

            state = json_string_value(json_object_get(lease, "state"));
            wk_durable_name((unsigned)strtoul(key + 1, NULL, 10),
                            (uint64_t)json_integer_value(json_object_get(lease, "revision")),
                            consumer);
            missing += state && strcmp(state, "held") == 0 && !json_object_get(names, consumer);
        }
        if (missing)
            ctl_found(&doctor->findings, CTL_WARNING, CTL_consumers_missing,
                      "%d of %zu partitions have no consumer: their events wait", missing,
                      json_object_size(partitions));
    }
    ctl_reply_deinit(&reply);
    json_decref(names);
}

static void examine_leases(struct ctl_doctor *doctor)
{
    json_t *partitions = read_bucket(doctor, YZ_BUCKET_PARTITIONS);

    doctor->beats = read_bucket(doctor, YZ_BUCKET_WORKERS);
    if (!doctor->beats || !partitions) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_buckets_unreadable,
                  "the buckets WORKERS and PARTITIONS cannot be read");
    } else {
        examine_partitions(doctor, partitions);
        examine_consumers(doctor, partitions);
    }
    json_decref(partitions);
}

static void on_oldest(void *arg, natsMsg *msg)
{
    int64_t *stored_ms = arg, stored_us = yz_bus_stored_us(msg);

    if (stored_us)
        *stored_ms = stored_us / 1000;
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
    int64_t waiting = messages_of(doctor->nc, YZ_STREAM_EVENTS), stored_ms = 0, age_ms = 0;
    json_t *request = json_pack("{s:i, s:i, s:s}", "seq", 1, "batch", 1, "next_by_subj", "evt.>");

    if (wk_stream_each(doctor->ctl->conf, doctor->nc, YZ_STREAM_EVENTS, request, on_oldest,
                       &stored_ms, NULL) ||
        waiting < 0)
        return; /* the streams' findings say it */
    if (stored_ms > 0)
        age_ms = yz_clock_wall_ms() - stored_ms;
    ctl_found_since(&doctor->findings,
                    age_ms >= doctor->ctl->conf->events_stale_ms * STALE_FAIL ? CTL_BROKEN
                    : age_ms >= doctor->ctl->conf->events_stale_ms            ? CTL_WARNING
                                                                              : CTL_FINE,
                    CTL_events_stale, stored_ms,
                    "%" PRId64 " events wait to be settled, the oldest for %" PRId64 " s", waiting,
                    age_ms / 1000);
}

struct letters {
    json_t *reasons; /* code: how many */
    int64_t oldest_ms;
};

static void on_letter(void *arg, natsMsg *msg)
{
    struct letters *letters = arg;
    const char *reason = "unknown";

    if (letters->oldest_ms == 0)
        on_oldest(&letters->oldest_ms, msg);
    (void)natsMsgHeader_Get(msg, YZ_HEADER_DEAD_REASON, &reason);
    json_object_set_new(
        letters->reasons, reason,
        json_integer(json_integer_value(json_object_get(letters->reasons, reason)) + 1));
}

static void examine_deadletters(struct ctl_doctor *doctor)
{
    int64_t count = messages_of(doctor->nc, YZ_STREAM_DEADLETTERS);
    struct letters letters = {.reasons = json_object()};
    char *reasons;

    if (count > 0 && wk_stream_each(doctor->ctl->conf, doctor->nc, YZ_STREAM_DEADLETTERS,
                                    json_pack("{s:i, s:i, s:s}", "seq", 1, "batch", LETTERS_READ,
                                              "next_by_subj", "dlq.>"),
                                    on_letter, &letters, NULL) != YZ_OK)
        letters.oldest_ms = 0;
    reasons = json_dumps(letters.reasons, JSON_COMPACT);
    if (count >= 0)
        ctl_found_since(&doctor->findings, count ? CTL_WARNING : CTL_FINE, CTL_dead_letters,
                        letters.oldest_ms, "%" PRId64 " dead letters%s%.160s", count,
                        count ? ", the first of them " : "", count && reasons ? reasons : "");
    free(reasons);
    json_decref(letters.reasons);
}

void ctl_doctor_workers(struct ctl_doctor *doctor)
{
    examine_leases(doctor);
    examine_lag(doctor);
    examine_deadletters(doctor);
}
