#include "gateway/audit.h"

#include "common/clock.h"

#include <stddef.h>
#include <stdlib.h>

#define TICK_MS  100
#define WORK_MAX 8192 /* watches looked at in one tick */

struct gw_audit {
    struct gw_link *link;
    struct gw_lookup *lookups[GW_STREAMS];
    uv_timer_t *timer;
    int64_t interval_ms;
    struct gw_watch_list soon, regular; /* each in the order of their times */
};

static void on_tick(uv_timer_t *timer);

enum yz_err gw_audit_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_link *link,
                         struct gw_audit **audit)
{
    struct gw_audit *a = calloc(1, sizeof *a);
    enum yz_err err = a ? YZ_OK : YZ_INTERNAL;

    for (int i = 0; i < GW_STREAMS && !err; i++)
        err = gw_lookup_new(link, (enum gw_stream_id)i, &a->lookups[i]);
    if (err || !(a->timer = malloc(sizeof *a->timer))) {
        gw_audit_free(a);
        return YZ_INTERNAL;
    }
    a->link = link;
    /* A push lost just behind the last STREAM.INFO is seen by the look after the next one. */
    a->interval_ms = conf->audit_interval_ms * 4 / 5;
    TAILQ_INIT(&a->soon);
    TAILQ_INIT(&a->regular);
    uv_timer_init(loop, a->timer);
    a->timer->data = a;
    uv_timer_start(a->timer, on_tick, TICK_MS, TICK_MS);
    *audit = a;
    return YZ_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void gw_audit_free(struct gw_audit *audit)
{
    if (!audit)
        return;
    if (audit->timer)
        uv_close((uv_handle_t *)audit->timer, on_timer_closed);
    for (int i = 0; i < GW_STREAMS; i++)
        gw_lookup_free(audit->lookups[i]);
    free(audit);
}

static const struct gw_stream *stream_of(const struct gw_watch *watch)
{
    return gw_streams_get(gw_link_streams(watch->audit->link), watch->stream);
}

static void put_by(struct gw_watch *watch)
{
    struct gw_audit *audit = watch->audit;

    watch->list = watch->soon ? &audit->soon : &audit->regular;
    watch->due_mono_ms = yz_clock_mono_ms() + (watch->soon ? WATCH_SOON_MS : audit->interval_ms);
    watch->soon = false;
    TAILQ_INSERT_TAIL(watch->list, watch, entry);
}

static struct gw_watch *watch_of(struct gw_lookup_entry *e)
{
    return (struct gw_watch *)((char *)e - offsetof(struct gw_watch, lookup));
}

static void on_found(struct gw_lookup_entry *e, natsMsg *msg, uint64_t seq)
{
    struct gw_watch *watch = watch_of(e);

    watch->on_found(watch->arg, msg, seq);
}

static void on_looked(struct gw_lookup_entry *e, uint64_t upto, enum yz_err err)
{
    struct gw_watch *watch = watch_of(e);

    /* No answer told how far it looked. What the stream held before we asked is covered, unless a
     * follower answered that was behind. */
    if (!err && upto == 0 && stream_of(watch)->replicas <= 1)
        upto = watch->known_seq;
    if (!err && upto > watch->upto)
        watch->upto = upto;
    watch->soon |= err != YZ_OK;
    put_by(watch);
    watch->on_done(watch->arg, err);
}

static void look(struct gw_watch *watch)
{
    const struct gw_stream *stream = stream_of(watch);

    watch->checked = false;
    watch->known_seq = stream->known ? stream->last_seq : 0;
    watch->lookup.from = watch->upto ? watch->upto + 1 : 0;
    gw_lookup_ask(watch->audit->lookups[watch->stream], &watch->lookup);
}

static void take_off(struct gw_watch *watch)
{
    TAILQ_REMOVE(watch->list, watch, entry);
    watch->list = NULL;
}

static void sweep(struct gw_audit *audit, struct gw_watch_list *list)
{
    int64_t now = yz_clock_mono_ms();
    struct gw_watch *watch;

    for (int i = 0; i < WORK_MAX && (watch = TAILQ_FIRST(list)); i++) {
        const struct gw_stream *stream = stream_of(watch);

        if (watch->due_mono_ms > now)
            break;
        take_off(watch);
        if (gw_link_connected(audit->link) && stream->known && stream->last_seq > watch->upto) {
            look(watch);
        } else {
            /* Where the stream ends is known as it was up to a second ago: what was lost since is
             * seen the next time. */
            watch->soon = list == &audit->soon && !watch->checked;
            watch->checked = watch->soon;
            put_by(watch);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct gw_audit *audit = timer->data;

    sweep(audit, &audit->soon);
    sweep(audit, &audit->regular);
}

void gw_watch_start(struct gw_audit *audit, struct gw_watch *watch)
{
    watch->audit = audit;
    watch->list = NULL;
    watch->upto = 0;
    watch->soon = true;
    watch->lookup = (struct gw_lookup_entry){
        .filter = watch->filter, .on_found = on_found, .on_done = on_looked};
    look(watch);
}

void gw_watch_again(struct gw_watch *watch)
{
    watch->soon = true;
    if (!watch->list)
        return; /* being looked up: soon again */
    take_off(watch);
    look(watch);
}

void gw_watch_soon(struct gw_watch *watch)
{
    watch->soon = true;
    if (!watch->list)
        return; /* being looked up */
    take_off(watch);
    put_by(watch);
}

void gw_watch_stop(struct gw_watch *watch)
{
    if (!watch->audit)
        return;
    if (watch->list)
        take_off(watch);
    else
        gw_lookup_cancel(watch->audit->lookups[watch->stream], &watch->lookup);
    watch->audit = NULL;
}
