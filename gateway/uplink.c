#include "gateway/uplink.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/metrics.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One publish that waits for its PubAck. */
struct emission {
    TAILQ_ENTRY(emission) entry;
    struct gw_uplink *uplink;
    struct gw_ticket ticket;
    uint64_t request;
    int64_t sent_mono_us;
    char event_id[YZ_ID_MAX];
};

TAILQ_HEAD(emission_list, emission);

struct gw_uplink {
    const struct yz_conf *conf;
    struct gw_link *link;
    struct gw_metrics *metrics;
    gw_accepted_fn *on_accepted;
    void *arg;
    struct emission_list pending;
    size_t count;
};

enum yz_err gw_uplink_new(const struct yz_conf *conf, struct gw_link *link,
                          struct gw_metrics *metrics, gw_accepted_fn *on_accepted, void *arg,
                          struct gw_uplink **uplink)
{
    struct gw_uplink *u = calloc(1, sizeof *u);

    if (!u)
        return YZ_INTERNAL;
    *u = (struct gw_uplink){
        .conf = conf, .link = link, .metrics = metrics, .on_accepted = on_accepted, .arg = arg};
    TAILQ_INIT(&u->pending);
    *uplink = u;
    return YZ_OK;
}

static void drop(struct emission *e)
{
    struct gw_uplink *u = e->uplink;

    TAILQ_REMOVE(&u->pending, e, entry);
    u->count--;
    atomic_store_explicit(&u->metrics->uplink_pending, (int64_t)u->count, memory_order_relaxed);
    free(e);
}

void gw_uplink_free(struct gw_uplink *uplink)
{
    struct emission *e;

    if (!uplink)
        return;
    while ((e = TAILQ_FIRST(&uplink->pending))) {
        gw_link_cancel(uplink->link, e->request);
        drop(e);
    }
    free(uplink);
}

/* JetStream's error codes (err_code): the store is full, or a limit of the account is reached. */
static bool means_full(json_int_t code)
{
    switch (code) {
    case 10023: /* insufficient resources */
    case 10028: /* memory resources exceeded */
    case 10047: /* storage resources exceeded */
    case 10077: /* store failed: maximum bytes (or messages) exceeded */
        return true;
    default:
        return false;
    }
}

static enum yz_err read_error(const json_t *error)
{
    json_int_t code = json_integer_value(json_object_get(error, "err_code"));
    const char *text = json_string_value(json_object_get(error, "description"));

    if (means_full(code))
        return YZ_STORAGE_FULL;
    if (code == 10054) /* larger than the stream takes: sending it again cannot help */
        return YZ_FRAME_TOO_LARGE;
    yz_warn_spaced("publish_refused", "err_code=%lld reason=\"%s\"", (long long)code,
                   text ? text : "");
    return YZ_BUS_UNAVAILABLE;
}

enum yz_err gw_uplink_read_ack(const char *text, size_t len, uint64_t *sequence, bool *duplicate)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *stream = "";
    json_int_t seq = 0;
    int again = 0;
    enum yz_err err = YZ_BUS_UNAVAILABLE;

    if (root && json_object_get(root, "error")) {
        err = read_error(json_object_get(root, "error"));
    } else if (root &&
               json_unpack(root, "{s:s, s:I, s?b}", "stream", &stream, "seq", &seq, "duplicate",
                           &again) == 0 &&
               strcmp(stream, YZ_STREAM_EVENTS) == 0 && seq > 0) {
        *sequence = (uint64_t)seq;
        *duplicate = again;
        err = YZ_OK;
    } else {
        yz_error_spaced("puback_strange", "stream=%s len=%zu", stream, len);
    }
    json_decref(root);
    return err;
}

static bool on_ack(void *arg, natsMsg *msg, enum yz_err err)
{
    struct emission *e = arg;
    struct gw_uplink *u = e->uplink;
    struct emission answered;
    uint64_t sequence = 0;
    bool duplicate = false;

    if (!err && natsMsg_IsNoResponders(msg))
        err = YZ_BUS_UNAVAILABLE;
    if (!err)
        err = gw_uplink_read_ack(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg),
                                 &sequence, &duplicate);
    else if (err != YZ_FRAME_TOO_LARGE) /* in time or not: it may not be stored */
        err = YZ_BUS_UNAVAILABLE;
    gw_count(err ? &u->metrics->events_failed : &u->metrics->events_accepted, 1);
    gw_count(&u->metrics->puback_us, (uint64_t)(yz_clock_mono_us() - e->sent_mono_us));
    if (!err || err == YZ_STORAGE_FULL)
        yz_trouble_set(&u->metrics->troubles, YZ_TROUBLE_events_refused, err != YZ_OK, "code=%s",
                       yz_err_code(err));
    answered = *e;
    drop(e);
    u->on_accepted(u->arg, answered.ticket, answered.event_id, err, sequence, duplicate);
    return false;
}

enum yz_err gw_uplink_emit(struct gw_uplink *u, struct gw_ticket ticket,
                           const struct yz_envelope *env, const char *domain, const void *payload,
                           size_t len)
{
    char inbox[GW_INBOX_MAX];
    natsMsg *msg = NULL;
    struct emission *e;
    enum yz_err err;

    if (u->count >= (size_t)u->conf->uplink_window)
        return YZ_BUSY;
    e = calloc(1, sizeof *e);
    if (!e)
        return YZ_INTERNAL;
    e->uplink = u;
    e->sent_mono_us = yz_clock_mono_us();
    e->ticket = ticket;
    snprintf(e->event_id, sizeof e->event_id, "%s", env->event_id);
    err = gw_link_expect(u->link, u->conf->uplink_timeout_ms, on_ack, e, inbox, &e->request);
    if (err) {
        free(e);
        return err;
    }
    err = yz_envelope_request(env, domain, inbox, payload, len, &msg);
    if (err)
        gw_link_cancel(u->link, e->request);
    else
        err = gw_link_send(u->link, msg, e->request);
    if (err) {
        free(e);
        return err;
    }
    TAILQ_INSERT_TAIL(&u->pending, e, entry);
    u->count++;
    atomic_store_explicit(&u->metrics->uplink_pending, (int64_t)u->count, memory_order_relaxed);
    return YZ_OK;
}

size_t gw_uplink_pending(const struct gw_uplink *uplink)
{
    return uplink->count;
}
