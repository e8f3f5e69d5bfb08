#include "gateway/uplink.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/metrics.h"
#include "gateway/window.h"
#include "schemas/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One publish that waits for its PubAck. */
struct emission {
    TAILQ_ENTRY(emission) entry;
    struct gw_uplink *uplink;
    struct gw_ticket ticket;
    struct gw_pass pass;
    uint64_t request;
    char event_id[YZ_ID_MAX];
};

TAILQ_HEAD(emission_list, emission);

struct gw_uplink {
    const struct yz_conf *conf;
    struct gw_link *link;
    struct gw_metrics *metrics;
    gw_accepted_fn *on_accepted;
    void *arg;
    struct gw_window *window;
    struct emission_list pending;
};

static void note_window(struct gw_uplink *u)
{
    atomic_store_explicit(&u->metrics->uplink_pending, (int64_t)gw_window_count(u->window),
                          memory_order_relaxed);
    atomic_store_explicit(&u->metrics->uplink_window, (int64_t)gw_window_limit(u->window),
                          memory_order_relaxed);
}

enum yz_err gw_uplink_new(const struct yz_conf *conf, struct gw_link *link,
                          struct gw_metrics *metrics, gw_accepted_fn *on_accepted, void *arg,
                          struct gw_uplink **uplink)
{
    struct gw_window_bounds bounds = {.min = (size_t)conf->uplink_window_min,
                                      .max = (size_t)conf->uplink_window,
                                      .member_max = (size_t)conf->member_events_max,
                                      .target_ms = conf->uplink_target_ms};
    struct gw_uplink *u = calloc(1, sizeof *u);

    if (!u)
        return YZ_INTERNAL;
    *u = (struct gw_uplink){
        .conf = conf, .link = link, .metrics = metrics, .on_accepted = on_accepted, .arg = arg};
    TAILQ_INIT(&u->pending);
    u->window = gw_window_new(&bounds);
    if (!u->window) {
        free(u);
        return YZ_INTERNAL;
    }
    note_window(u);
    *uplink = u;
    return YZ_OK;
}

static void drop(struct emission *e, enum gw_measure measure)
{
    struct gw_uplink *u = e->uplink;

    TAILQ_REMOVE(&u->pending, e, entry);
    gw_window_leave(u->window, &e->pass, yz_clock_mono_us(), measure);
    note_window(u);
    free(e);
}

void gw_uplink_free(struct gw_uplink *uplink)
{
    struct emission *e;

    if (!uplink)
        return;
    while ((e = TAILQ_FIRST(&uplink->pending))) {
        gw_link_cancel(uplink->link, e->request);
        drop(e, GW_UNMEASURED);
    }
    gw_window_free(uplink->window);
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

/* The broker's usual words, {"stream":"EVENTS","seq":123}, need no parser. */
static bool read_plain_ack(const char *text, size_t len, uint64_t *sequence)
{
    static const char head[] = "{\"stream\":\"" YZ_STREAM_EVENTS "\",\"seq\":";
    size_t at = sizeof head - 1;
    uint64_t seq = 0;

    /* 18 digits fit; no number begins with 0. */
    if (len < at + 2 || len > at + 19 || memcmp(text, head, at) != 0 || text[len - 1] != '}' ||
        text[at] == '0')
        return false;
    for (; at < len - 1; at++) {
        if (text[at] < '0' || text[at] > '9')
            return false;
        seq = seq * 10 + (uint64_t)(text[at] - '0');
    }
    *sequence = seq;
    return true;
}

static enum yz_err parse_ack(const char *text, size_t len, uint64_t *sequence, bool *duplicate)
{
    json_t *root = yz_json_load(text, len, 0, NULL);
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

enum yz_err gw_uplink_read_ack(const char *text, size_t len, uint64_t *sequence, bool *duplicate)
{
    if (!read_plain_ack(text, len, sequence))
        return parse_ack(text, len, sequence, duplicate);
    *duplicate = false;
    return YZ_OK;
}

static bool on_ack(void *arg, natsMsg *msg, enum yz_err err)
{
    struct emission *e = arg;
    struct gw_uplink *u = e->uplink;
    enum gw_measure measure = !err ? GW_MEASURED : err == YZ_TIMED_OUT ? GW_DROPPED : GW_UNMEASURED;
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
    yz_count(err ? &u->metrics->events_failed : &u->metrics->events_accepted, 1);
    yz_observe_us_own(&u->metrics->puback, yz_clock_mono_us() - e->pass.began_us, 1);
    if (!err || err == YZ_STORAGE_FULL)
        yz_trouble_set(&u->metrics->troubles, YZ_TROUBLE_events_refused, err != YZ_OK, "code=%s",
                       yz_err_code(err));
    answered = *e;
    drop(e, measure);
    u->on_accepted(u->arg, answered.ticket, answered.event_id, err, sequence, duplicate);
    return false;
}

enum yz_err gw_uplink_room(struct gw_uplink *u, const struct yz_actor *actor,
                           struct yz_violation *v)
{
    bool all;

    if (gw_window_ask(u->window, actor, yz_clock_mono_us(), &all) == YZ_OK)
        return YZ_OK;
    yz_count(all ? &u->metrics->events_busy : &u->metrics->events_busy_member, 1);
    (void)yz_violate(v, YZ_BUSY, NULL, NULL);
    v->retry_after_ms = gw_window_retry_ms(u->window);
    return YZ_BUSY;
}

/* Send it; on an error nothing is under way. */
static enum yz_err publish(struct gw_uplink *u, struct emission *e, const struct yz_envelope *env,
                           const char *domain, const void *payload, size_t len)
{
    char inbox[GW_INBOX_MAX];
    natsMsg *msg = NULL;
    enum yz_err err =
        gw_link_expect(u->link, u->conf->uplink_timeout_ms, on_ack, e, inbox, &e->request);

    if (err)
        return err;
    err = yz_envelope_request(env, domain, inbox, payload, len, &msg);
    if (err)
        gw_link_cancel(u->link, e->request);
    else
        err = gw_link_send(u->link, msg, e->request);
    return err;
}

enum yz_err gw_uplink_emit(struct gw_uplink *u, struct gw_ticket ticket,
                           const struct yz_envelope *env, const char *domain, const void *payload,
                           size_t len)
{
    struct emission *e = calloc(1, sizeof *e);
    enum yz_err err = YZ_INTERNAL;

    if (!e)
        return err;
    e->uplink = u;
    e->ticket = ticket;
    snprintf(e->event_id, sizeof e->event_id, "%s", env->event_id);
    err = gw_window_enter(u->window, &env->actor, yz_clock_mono_us(), &e->pass);
    if (err) {
        free(e);
        return err;
    }
    TAILQ_INSERT_TAIL(&u->pending, e, entry);
    err = publish(u, e, env, domain, payload, len);
    if (err)
        drop(e, GW_UNMEASURED);
    else
        note_window(u);
    return err;
}

size_t gw_uplink_pending(const struct gw_uplink *uplink)
{
    return gw_window_count(uplink->window);
}
