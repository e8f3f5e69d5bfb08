#include "gateway/channel_private.h"

#include "common/bus.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS       100 /* also the wait before a history is read again */
#define CHANNELS_TURN 256 /* channels that get on in one loop turn */

struct gw_channels_handles {
    uv_idle_t idle;
    uv_timer_t timer;
    uv_timer_t batch; /* a held burst is due */
    int open;
};

static void on_turn(uv_idle_t *idle);

void gw_channel_touch(struct gw_channel *c)
{
    struct gw_channels *owner = c->owner;

    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&owner->dirty, c, dirty_entry);
    gw_channel_turn(owner);
}

void gw_channel_turn(struct gw_channels *owner)
{
    uv_idle_start(&owner->handles->idle, on_turn);
}

static void on_batch(uv_timer_t *timer)
{
    gw_channel_turn(timer->data);
}

void gw_channel_turn_later(struct gw_channels *owner, int64_t in_ms)
{
    if (!uv_is_active((const uv_handle_t *)&owner->handles->batch))
        uv_timer_start(&owner->handles->batch, on_batch, in_ms > 0 ? (uint64_t)in_ms : 0, 0);
}

void gw_channel_set_idle(struct gw_channel *c)
{
    if (c->idle || !TAILQ_EMPTY(&c->joining) || !TAILQ_EMPTY(&c->on))
        return;
    c->idle = true;
    c->idle_due_mono_ms = yz_clock_mono_ms() + CHANNEL_LINGER_MS;
    TAILQ_INSERT_TAIL(&c->owner->idle, c, idle_entry);
}

void gw_channel_retry_later(struct gw_channel *c)
{
    if (!c->retry)
        TAILQ_INSERT_TAIL(&c->owner->retry, c, retry_entry);
    c->retry = true;
}

static void set_busy(struct gw_channel *c)
{
    if (c->idle)
        TAILQ_REMOVE(&c->owner->idle, c, idle_entry);
    c->idle = false;
}

/* Loading */

static void unload(struct gw_channel *c)
{
    gw_feed_close(&c->feed);
    gw_watch_stop(&c->values_watch);
    gw_values_clear(&c->values);
    gw_join_reset(c);
    c->loading = c->feed_loaded = c->values_loaded = false;
}

static void on_part_loaded(struct gw_channel *c, bool *part, enum yz_err err)
{
    if (err) {
        unload(c);
        gw_join_refuse_all(c, err);
        return;
    }
    *part = true;
    c->loading = !c->feed_loaded || !c->values_loaded;
    if (!c->loading)
        gw_channel_touch(c);
}

static void on_feed_loaded(void *arg, enum yz_err err)
{
    struct gw_channel *c = arg;

    on_part_loaded(c, &c->feed_loaded, err);
}

static void on_values_looked(void *arg, enum yz_err err)
{
    struct gw_channel *c = arg;

    if (!c->values_loaded)
        on_part_loaded(c, &c->values_loaded, err);
}

static void on_push(void *arg, struct gw_message *msg)
{
    gw_fanout_add(arg, msg);
}

static void on_value(void *arg, natsMsg *bus, uint64_t seq)
{
    struct gw_channel *c = arg;
    size_t prefix = strlen(c->values_filter) - 1; /* ".>" without the '>' */
    struct gw_message *msg;
    const char *subject;

    if (seq == 0 || natsMsgHeader_Get(bus, "Nats-Subject", &subject) != NATS_OK ||
        strncmp(subject, c->values_filter, prefix) != 0)
        return;
    gw_values_take(&c->values, c->name, subject + prefix, seq, bus, &msg);
    if (!msg)
        return;
    if (c->values_loaded)
        gw_message_set_stored_us(msg, yz_bus_stored_us(bus));
    gw_fanout_add(c, msg);
    gw_message_unref(msg);
}

static void on_live_value(void *arg, natsMsg *bus)
{
    struct gw_channel *c = arg;

    if (c->loading || c->values_loaded)
        on_value(c, bus, yz_bus_header_u64(bus, "Nats-Sequence", 0));
}

static void on_live_push(void *arg, natsMsg *bus)
{
    struct gw_channel *c = arg;

    gw_feed_take(&c->feed, bus);
}

static void load(struct gw_channel *c)
{
    c->loading = true;
    c->values_watch.stream = GW_STATE;
    c->values_watch.filter = c->values_filter;
    c->values_watch.on_found = on_value;
    c->values_watch.on_done = on_values_looked;
    c->values_watch.arg = c;
    gw_feed_open(c->owner->feeds, &c->feed);
    if (c->loading) /* else it was refused inside */
        gw_watch_start(c->owner->audit, &c->values_watch);
}

static void advance(struct gw_channel *c)
{
    if (c->loading || TAILQ_EMPTY(&c->joining))
        return;
    if (!c->feed_loaded || !c->values_loaded)
        load(c);
    else if (gw_join_advance(c))
        gw_channel_touch(c);
}

static void on_turn(uv_idle_t *idle)
{
    struct gw_channels *owner = idle->data;
    struct gw_channel *c;

    if (TAILQ_EMPTY(&owner->dirty) && gw_fanout_waits(owner)) {
        uv_idle_stop(idle);
        return;
    }
    /* First, so that who joins now gets nothing twice: it goes on where the channel is. */
    gw_fanout_settle_all(owner);
    for (int i = 0; i < CHANNELS_TURN && (c = TAILQ_FIRST(&owner->dirty)); i++) {
        TAILQ_REMOVE(&owner->dirty, c, dirty_entry);
        c->dirty = false;
        gw_fanout_settle(c); /* what is held, too */
        advance(c);
    }
    if (TAILQ_EMPTY(&owner->dirty))
        uv_idle_stop(idle);
}

/* The end of a promise */

static void on_feed_lost(void *arg)
{
    gw_fanout_settle(arg);
    gw_join_lose_all(arg, YZ_CLOSE_CHANNEL_LOST);
}

static void on_reset(void *arg, enum gw_stream_id id)
{
    struct gw_channels *owner = arg;
    struct gw_channel *c, *next;

    HASH_ITER(hh, owner->by_key, c, next)
    {
        if (id != GW_STATE && c->feed.stream != id)
            continue;
        gw_fanout_settle(c);
        unload(c);
        gw_channel_touch(c);
        gw_join_lose_all(c, YZ_CLOSE_STREAM_RESET);
    }
}

static void on_resync(void *arg)
{
    struct gw_channels *owner = arg;
    struct gw_channel *c, *next;

    HASH_ITER(hh, owner->by_key, c, next)
    {
        if (!c->feed_loaded || !c->values_loaded)
            continue;
        gw_feed_resync(&c->feed);
        gw_watch_again(&c->values_watch);
    }
}

/* Channels */

static void free_channel(struct gw_channel *c)
{
    struct gw_channels *owner = c->owner;

    unload(c);
    gw_fanout_drop(c);
    if (c->tap)
        gw_link_unsubscribe(owner->link, c->tap);
    if (c->values_tap)
        gw_link_unsubscribe(owner->link, c->values_tap);
    if (c->signals_tap)
        gw_link_unsubscribe(owner->link, c->signals_tap);
    if (c->dirty)
        TAILQ_REMOVE(&owner->dirty, c, dirty_entry);
    if (c->retry)
        TAILQ_REMOVE(&owner->retry, c, retry_entry);
    set_busy(c);
    HASH_DEL(owner->by_key, c);
    atomic_fetch_sub_explicit(&owner->metrics->channels, 1, memory_order_relaxed);
    free(c);
}

static void on_tick(uv_timer_t *timer)
{
    struct gw_channels *owner = timer->data;
    int64_t now = yz_clock_mono_ms();
    struct gw_channel *c;

    while ((c = TAILQ_FIRST(&owner->retry))) {
        TAILQ_REMOVE(&owner->retry, c, retry_entry);
        c->retry = false;
        gw_channel_touch(c);
    }
    while ((c = TAILQ_FIRST(&owner->idle)) && c->idle_due_mono_ms <= now)
        free_channel(c);
}

static enum yz_err subscribe(struct gw_channel *c)
{
    char live[YZ_SUBJECT_MAX];
    enum yz_err err;

    yz_live_subject(c->subject, live);
    if ((err = gw_link_subscribe(c->owner->link, live, on_live_push, c, &c->tap)))
        return err;
    yz_live_subject(c->values_filter, live);
    if ((err = gw_link_subscribe(c->owner->link, live, on_live_value, c, &c->values_tap)))
        return err;
    if (c->feed.stream != GW_THREADS)
        return YZ_OK;
    yz_signal_subject(c->subject, live);
    return gw_link_subscribe(c->owner->link, live, gw_fanout_signal, c, &c->signals_tap);
}

/* A process holds an inbox for each session: no more memory than the texts need. */
static struct gw_channel *allocate(const char *tenant, const char *name, const char *key,
                                   const struct yz_channel *parsed)
{
    char subject[YZ_SUBJECT_MAX], values_filter[YZ_SUBJECT_MAX];
    size_t key_size = strlen(key) + 1, path_size = strlen(parsed->org_path) + 1, subject_size;
    struct gw_channel *c;
    char *text;

    yz_channel_subject(tenant, name, subject);
    yz_value_subject(tenant, name, ">", values_filter);
    subject_size = strlen(subject) + 1;
    c = calloc(1, sizeof *c + key_size + path_size + subject_size + strlen(values_filter) + 1);
    if (!c)
        return NULL;
    text = memcpy(c->key, key, key_size);
    c->name = text + key_size - strlen(name) - 1; /* the key ends with it */
    c->org_path = memcpy(text + key_size, parsed->org_path, path_size);
    c->subject = memcpy(text + key_size + path_size, subject, subject_size);
    c->values_filter = memcpy(text + key_size + path_size + subject_size, values_filter,
                              strlen(values_filter) + 1);
    return c;
}

static enum yz_err new_channel(struct gw_channels *owner, const char *tenant, const char *name,
                               const char *key, struct gw_channel **channel)
{
    struct yz_channel parsed;
    struct gw_channel *c;
    enum yz_err err;

    if (strlen(name) >= YZ_CHANNEL_MAX || !yz_channel_parse(name, &parsed))
        return YZ_UNKNOWN_CHANNEL;
    if (!(c = allocate(tenant, name, key, &parsed)))
        return YZ_INTERNAL;
    c->owner = owner;
    c->inbox = parsed.kind == YZ_CHANNEL_MEMBER;
    c->feed.stream = parsed.kind == YZ_CHANNEL_THREAD ? GW_THREADS : GW_CHANNELS;
    c->feed.subject = c->subject;
    c->feed.channel = c->name;
    c->feed.arg = c;
    TAILQ_INIT(&c->joining);
    TAILQ_INIT(&c->on);
    gw_values_init(&c->values);
    HASH_ADD_STR(owner->by_key, key, c);
    if (!YZ_TABLE_ADDED(c)) {
        free(c);
        return YZ_INTERNAL;
    }
    atomic_fetch_add_explicit(&owner->metrics->channels, 1, memory_order_relaxed);
    if ((err = subscribe(c))) {
        free_channel(c);
        return err;
    }
    *channel = c;
    return YZ_OK;
}

static enum yz_err find_channel(struct gw_channels *owner, const char *tenant, const char *name,
                                struct gw_channel **channel)
{
    char key[YZ_ID_MAX + YZ_CHANNEL_MAX + 1];

    snprintf(key, sizeof key, "%s\n%s", tenant, name);
    HASH_FIND_STR(owner->by_key, key, *channel);
    return *channel ? YZ_OK : new_channel(owner, tenant, name, key, channel);
}

enum yz_err gw_channels_join(struct gw_channels *channels, const struct yz_actor *actor,
                             const char *channel, struct gw_since since, void *session,
                             uint32_t request, struct gw_subscriber **sub)
{
    const char *epoch = "";
    struct gw_subscriber *s;
    struct gw_channel *c;
    enum yz_err err;

    if (!gw_link_connected(channels->link))
        return YZ_BUS_UNAVAILABLE;
    if ((err = find_channel(channels, actor->tenant, channel, &c)))
        return err;
    if (since.given && strlen(since.epoch) < GW_EPOCH_MAX)
        epoch = since.epoch;
    if (!(s = calloc(1, sizeof *s + strlen(epoch) + 1))) {
        gw_channel_set_idle(c);
        return YZ_INTERNAL;
    }
    s->channel = c;
    s->actor = actor;
    s->session = session;
    s->request = request;
    s->since_given = since.given;
    memcpy(s->epoch, epoch, strlen(epoch) + 1);
    s->position = since.given ? since.offset : 0;
    TAILQ_INSERT_TAIL(&c->joining, s, entry);
    set_busy(c);
    gw_channel_touch(c);
    atomic_fetch_add_explicit(&channels->metrics->subscribers, 1, memory_order_relaxed);
    *sub = s;
    return YZ_OK;
}

void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    gw_join_free(sub);
}

size_t gw_channels_count(const struct gw_channels *channels)
{
    return HASH_COUNT(channels->by_key);
}

static void on_gathered(void *arg)
{
    gw_channel_turn(arg);
}

static enum yz_err init_handles(struct gw_channels *channels, uv_loop_t *loop)
{
    struct gw_channels_handles *h = calloc(1, sizeof *h);

    if (!h)
        return YZ_INTERNAL;
    uv_idle_init(loop, &h->idle);
    uv_timer_init(loop, &h->timer);
    uv_timer_init(loop, &h->batch);
    h->idle.data = h->timer.data = h->batch.data = channels;
    h->open = 3;
    uv_timer_start(&h->timer, on_tick, TICK_MS, TICK_MS);
    channels->handles = h;
    return YZ_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct gw_channels_handles *h = handle->data;

    if (--h->open == 0)
        free(h);
}

static void close_handles(struct gw_channels_handles *h)
{
    h->idle.data = h->timer.data = h->batch.data = h;
    uv_close((uv_handle_t *)&h->idle, on_handle_closed);
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
    uv_close((uv_handle_t *)&h->batch, on_handle_closed);
}

enum yz_err gw_channels_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_link *link,
                            struct gw_metrics *metrics, const struct gw_channel_events *events,
                            struct gw_channels **channels)
{
    static const struct gw_feed_events feed_events = {
        .loaded = on_feed_loaded, .push = on_push, .lost = on_feed_lost};
    struct gw_channels *cs = calloc(1, sizeof *cs);
    enum yz_err err;

    if (!cs)
        return YZ_INTERNAL;
    cs->link = link;
    cs->metrics = metrics;
    cs->events = *events;
    TAILQ_INIT(&cs->dirty);
    TAILQ_INIT(&cs->idle);
    TAILQ_INIT(&cs->retry);
    TAILQ_INIT(&cs->bursts);
    TAILQ_INIT(&cs->held);
    cs->batch_viewers = (size_t)conf->thread_batch_viewers;
    cs->batch_ms = conf->thread_batch_ms;
    cs->signals_per_s = conf->signals_per_s;
    cs->signal_deliveries_per_s = conf->signal_deliveries_per_s;
    gw_bucket_init(&cs->signals, cs->signals_per_s, yz_clock_mono_ms());
    gw_bucket_init(&cs->signal_deliveries, cs->signal_deliveries_per_s, yz_clock_mono_ms());
    if ((err = gw_audit_new(conf, loop, link, &cs->audit)) ||
        (err = gw_history_new(conf, loop, link, metrics, &cs->history)) ||
        (err =
             gw_feeds_new(loop, link, cs->audit, cs->history, metrics, &feed_events, &cs->feeds)) ||
        (err = gw_gather_new(loop, on_gathered, cs, &cs->gather)) ||
        (err = init_handles(cs, loop))) {
        gw_channels_free(cs);
        return err;
    }
    gw_link_on_resync(link, on_resync, cs);
    gw_streams_on_reset(gw_link_streams(link), on_reset, cs);
    *channels = cs;
    return YZ_OK;
}

static void drop_subscribers(struct gw_subscriber_list *list)
{
    struct gw_subscriber *sub;

    while ((sub = TAILQ_FIRST(list)))
        gw_join_free(sub);
}

void gw_channels_free(struct gw_channels *channels)
{
    struct gw_channel *c, *next;

    if (!channels)
        return;
    gw_link_off_resync(channels->link, channels);
    gw_streams_on_reset(gw_link_streams(channels->link), NULL, NULL);
    HASH_ITER(hh, channels->by_key, c, next)
    {
        drop_subscribers(&c->joining);
        drop_subscribers(&c->on);
        free_channel(c);
    }
    gw_burst_free(channels->spare);
    gw_gather_free(channels->gather);
    gw_feeds_free(channels->feeds);
    gw_history_free(channels->history);
    gw_audit_free(channels->audit);
    if (channels->handles)
        close_handles(channels->handles);
    free(channels);
}
