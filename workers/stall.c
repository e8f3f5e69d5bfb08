#include "workers/stall.h"

#include "common/clock.h"
#include "common/log.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ASK_MS     500
#define TRIES_BACK 5 /* each doubles the time until the next */

/* How long the partition's oldest event waits; -1: there is none. */
static enum yz_err ask_age(natsConnection *nc, unsigned partition,
                           const struct wk_stall_events *events, int64_t *age_ms)
{
    char filter[32];
    const char *time = NULL;
    json_t *found = NULL;
    int64_t seconds = 0;
    int32_t nanos = 0;
    int code = 0;
    enum yz_err err;

    *age_ms = -1;
    snprintf(filter, sizeof filter, "evt.%u.>", partition);
    err = wk_stream_ask(
        nc, "STREAM.MSG.GET." YZ_STREAM_EVENTS,
        json_pack("{s:I, s:s}", "seq", (json_int_t)events->first_sequence, "next_by_subj", filter),
        ASK_MS, &found, &code);
    if (err)
        return code == WK_STREAM_NO_MESSAGE ? YZ_OK : err;
    time = json_string_value(json_object_get(json_object_get(found, "message"), "time"));
    if (time && yz_clock_parse(time, strlen(time), &seconds, &nanos))
        *age_ms = (events->now_us - seconds * 1000000 - nanos / 1000) / 1000;
    json_decref(found);
    return YZ_OK;
}

/* true: its consumer had its time, and nothing came of it. */
static bool is_silent(struct wk_stall *stall, const struct yz_conf *conf, struct wk_lease *lease,
                      unsigned partition, int64_t now)
{
    int64_t handed = wk_lease_handed_ms(lease, partition);
    int64_t since = wk_lease_made_ms(lease, partition);

    if (handed > stall->renewed_mono_ms[partition])
        stall->tries[partition] = 0;
    since = handed > since ? handed : since;
    since = stall->calm_since_mono_ms > since ? stall->calm_since_mono_ms : since;
    return now - since >= (conf->events_stale_ms + conf->ack_wait_ms) << stall->tries[partition];
}

static void renew(struct wk_stall *stall, struct wk_lease *lease, struct wk_metrics *metrics,
                  unsigned partition, const struct wk_lease_view *view, int64_t age_ms)
{
    yz_warn("partition_stalled", "partition=%u consumer=%s oldest_ms=%" PRId64 " tries=%u",
            partition, view->consumer, age_ms, stall->tries[partition]);
    yz_count(&metrics->partitions_stalled, 1);
    stall->renewed_mono_ms[partition] = yz_clock_mono_ms();
    if (stall->tries[partition] < TRIES_BACK)
        stall->tries[partition]++;
    wk_lease_renew(lease, partition, view->revision);
}

void wk_stall_look(struct wk_stall *stall, const struct yz_conf *conf, natsConnection *nc,
                   struct wk_lease *lease, struct wk_metrics *metrics,
                   const struct wk_stall_events *events, bool calm)
{
    int64_t now = yz_clock_mono_ms(), age_ms;

    if (!calm)
        stall->calm_since_mono_ms = 0;
    else if (stall->calm_since_mono_ms == 0)
        stall->calm_since_mono_ms = now;
    if (!calm || !events->stale || wk_lease_suspended(lease))
        return;
    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct wk_lease_view view;

        wk_lease_look(lease, p, &view);
        if (view.revision == 0 || view.leaving || !is_silent(stall, conf, lease, p, now))
            continue;
        if (ask_age(nc, p, events, &age_ms) != YZ_OK)
            return; /* the stream itself is in trouble */
        if (age_ms >= conf->events_stale_ms)
            renew(stall, lease, metrics, p, &view, age_ms);
    }
}
