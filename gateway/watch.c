#include "gateway/watch.h"

#include "common/clock.h"
#include "common/presence.h"
#include "common/subject.h"
#include "gateway/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUS_SLOW_US         250000 /* a round trip; an event needs one to be accepted */
#define CLOCK_SKEW_US       1000000
#define SETTLE_MS           3000 /* a question may be under way for so long before it counts as lost */
#define FULL_FORGOTTEN_MS   5000 /* no event was refused for so long: EVENTS takes them again */
#define DENIAL_FORGOTTEN_MS 10000
#define CERTIFICATE_LEFT_S  (14 * 24 * 3600)
#define ID_MAX              96

struct gw_watch {
    const struct yz_conf *conf;
    struct gw_link *link;
    const struct gw_intake *intake;
    struct gw_metrics *metrics;
    uv_timer_t *timer;
    struct gw_tap *tap;
    struct yz_process process;
    int64_t lacking_mono_ms; /* since when connected, but not ready; 0: it is */
    char id[ID_MAX];
};

static void look_at_process(struct gw_watch *watch)
{
    struct gw_metrics *m = watch->metrics;
    struct yz_process *p = &watch->process;

    yz_process_read(p);
    yz_gauge(&m->process_open_fds, p->open_fds);
    yz_gauge(&m->process_max_fds, p->max_fds);
    yz_gauge(&m->process_rss_bytes, p->rss_bytes);
    yz_gauge(&m->memory_max_bytes, p->memory_max_bytes);
    yz_gauge(&m->process_started_s, p->started_s);
    atomic_store_explicit(&m->process_cpu_us, (uint64_t)p->cpu_us, memory_order_relaxed);
    yz_trouble_set(&m->troubles, YZ_TROUBLE_descriptors_short, yz_process_short(p),
                   "open=%lld max=%lld", (long long)p->open_fds, (long long)p->max_fds);
}

static void look_at_pulse(struct gw_watch *watch)
{
    const struct gw_pulse *pulse = gw_streams_pulse(gw_link_streams(watch->link));
    struct yz_troubles *troubles = &watch->metrics->troubles;
    int64_t skew = pulse->clock_ahead_us < 0 ? -pulse->clock_ahead_us : pulse->clock_ahead_us;

    yz_gauge(&watch->metrics->bus_round_trip_us, pulse->round_trip_us);
    yz_gauge(&watch->metrics->clock_ahead_us, pulse->clock_ahead_us);
    gw_lag_set_clock(&watch->metrics->lag, pulse->clock_ahead_us, pulse->round_trip_us / 2);
    yz_trouble_set(troubles, YZ_TROUBLE_bus_slow, pulse->round_trip_us >= BUS_SLOW_US,
                   "round_trip_ms=%lld", (long long)pulse->round_trip_us / 1000);
    yz_trouble_set(troubles, YZ_TROUBLE_clock_skewed,
                   skew - pulse->round_trip_us / 2 >= CLOCK_SKEW_US, "ahead_ms=%lld",
                   (long long)pulse->clock_ahead_us / 1000);
}

static void look_at_bus(struct gw_watch *watch)
{
    struct yz_troubles *troubles = &watch->metrics->troubles;
    bool connected = gw_link_connected(watch->link);
    const char *reason = "";
    bool ready = gw_link_ready(watch->link, &reason);
    int64_t now = yz_clock_mono_ms();

    if (ready || !connected)
        watch->lacking_mono_ms = 0;
    else if (!watch->lacking_mono_ms)
        watch->lacking_mono_ms = now;
    yz_trouble_note(troubles, YZ_TROUBLE_bus_disconnected, !connected);
    yz_trouble_set(troubles, YZ_TROUBLE_jetstream_unavailable,
                   watch->lacking_mono_ms && now - watch->lacking_mono_ms >= SETTLE_MS,
                   "reason=\"%s\"", reason);
    if (ready)
        look_at_pulse(watch);
    yz_trouble_expire(troubles, YZ_TROUBLE_events_refused, FULL_FORGOTTEN_MS);
    yz_trouble_expire(troubles, YZ_TROUBLE_bus_permission, DENIAL_FORGOTTEN_MS);
}

static void look_at_certificate(struct gw_watch *watch)
{
    int64_t end_s = atomic_load_explicit(&watch->metrics->tls_not_after_s, memory_order_relaxed);
    int64_t left_s = end_s - yz_clock_wall_ms() / 1000;

    yz_trouble_set(&watch->metrics->troubles, YZ_TROUBLE_certificate_expiring,
                   end_s > 0 && left_s < CERTIFICATE_LEFT_S, "hours_left=%lld",
                   (long long)left_s / 3600);
}

static void look(struct gw_watch *watch)
{
    look_at_certificate(watch);
    look_at_process(watch);
    look_at_bus(watch);
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_ping(void *arg, natsMsg *msg)
{
    struct gw_watch *watch = arg;
    struct yz_presence presence = {
        .kind = "gateway", .id = watch->id, .load_name = "sessions", .process = &watch->process};
    char text[YZ_PRESENCE_MAX];
    const char *inbox = natsMsg_GetReply(msg);
    natsMsg *answer = NULL;

    look(watch);
    presence.load = atomic_load_explicit(&watch->metrics->sessions, memory_order_relaxed);
    presence.troubles = &watch->metrics->troubles;
    presence.ready = gw_link_ready(watch->link, &presence.reason);
    if (gw_intake_draining(watch->intake)) {
        presence.ready = false;
        presence.reason = "draining";
    }
    if (inbox && yz_presence_write(&presence, text) > 0 &&
        natsMsg_Create(&answer, inbox, NULL, text, (int)strlen(text)) == NATS_OK)
        gw_link_publish(watch->link, answer);
}

static void make_id(struct gw_watch *watch)
{
    char host[65] = "host";

    gethostname(host, sizeof host - 1);
    snprintf(watch->id, sizeof watch->id, "%s-%d", host, (int)getpid());
    for (char *c = watch->id; *c; c++) {
        if (*c == '"' || *c == '\\')
            *c = '_';
    }
}

enum yz_err gw_watch_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_link *link,
                         const struct gw_intake *intake, struct gw_metrics *metrics,
                         struct gw_watch **watch)
{
    struct gw_watch *w = calloc(1, sizeof *w);
    enum yz_err err;

    if (!w || !(w->timer = malloc(sizeof *w->timer))) {
        free(w);
        return YZ_INTERNAL;
    }
    *w = (struct gw_watch){
        .conf = conf, .link = link, .intake = intake, .metrics = metrics, .timer = w->timer};
    make_id(w);
    if ((err = gw_link_subscribe(link, YZ_SUBJECT_PING, on_ping, w, &w->tap))) {
        free(w->timer);
        free(w);
        return err;
    }
    uv_timer_init(loop, w->timer);
    w->timer->data = w;
    uv_timer_start(w->timer, on_timer, (uint64_t)conf->watch_interval_ms,
                   (uint64_t)conf->watch_interval_ms);
    look_at_process(w);
    *watch = w;
    return YZ_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void gw_watch_free(struct gw_watch *watch)
{
    if (!watch)
        return;
    gw_link_unsubscribe(watch->link, watch->tap);
    uv_close((uv_handle_t *)watch->timer, on_timer_closed);
    free(watch);
}
