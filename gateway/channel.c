#include "gateway/channel.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/feed.h"
#include "gateway/metrics.h"
#include "gateway/value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TICK_MS        100 /* also the wait before a history is read again */
#define CHANNELS_TURN  256 /* channels that get on in one loop turn */
#define SERVE_MAX      64  /* joins of one channel answered in one loop turn */
#define READ_TRIES_MAX 5

enum state { WAITING, READING, ON, LOST };

struct gw_subscriber {
    TAILQ_ENTRY(gw_subscriber) entry;
    struct channel *channel;
    const struct yz_actor *actor;
    void *session;
    uint32_t request;
    enum state state;
    bool since_given;
    char epoch[GW_EPOCH_MAX];
    uint64_t position; /* since's offset, later that of the last push sent */
    bool checked;      /* the stream's end was read after the join */
    unsigned tries;
};

TAILQ_HEAD(subscriber_list, gw_subscriber);

struct channel {
    UT_hash_handle hh; /* by "<tenant>\n<channel>" */
    struct gw_channels *owner;
    char name[YZ_CHANNEL_MAX], org_path[YZ_ORG_PATH_MAX];
    char subject[YZ_SUBJECT_MAX], values_filter[YZ_SUBJECT_MAX];
    struct gw_tap *tap, *values_tap;
    struct gw_feed feed;
    struct gw_watch values_watch;
    struct gw_values values;
    bool loading, feed_loaded, values_loaded;
    struct subscriber_list joining, on; /* WAITING and READING; ON and LOST */
    struct gw_subscriber *cursor;       /* the next of a walk over one of them */
    struct gw_subscriber *serving;      /* NULL once it left inside a call */
    struct gw_read read;
    bool read_ready; /* its result waits to be handed out */
    struct gw_barrier barrier;
    TAILQ_ENTRY(channel) dirty_entry, idle_entry, retry_entry;
    bool dirty, idle, retry; /* in which lists it is */
    int64_t idle_due_mono_ms;
    char key[];
};

TAILQ_HEAD(channel_list, channel);

struct handles {
    uv_idle_t idle;
    uv_timer_t timer;
    int open;
};

struct gw_channels {
    struct gw_link *link;
    struct gw_metrics *metrics;
    struct gw_channel_events events;
    struct gw_audit *audit;
    struct gw_history *history;
    struct gw_feeds *feeds;
    struct handles *handles;
    struct channel *by_key;
    struct channel_list dirty; /* with something to do at the end of this loop turn */
    struct channel_list idle;  /* without subscribers, in the order of their end */
    struct channel_list retry; /* read again at the next tick */
};

static void on_turn(uv_idle_t *idle);

static void touch(struct channel *c)
{
    struct gw_channels *owner = c->owner;

    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&owner->dirty, c, dirty_entry);
    uv_idle_start(&owner->handles->idle, on_turn);
}

static const struct gw_stream *stream_of(const struct channel *c)
{
    return gw_streams_get(gw_link_streams(c->owner->link), c->feed.stream);
}

static void set_idle(struct channel *c)
{
    if (c->idle || !TAILQ_EMPTY(&c->joining) || !TAILQ_EMPTY(&c->on))
        return;
    c->idle = true;
    c->idle_due_mono_ms = yz_clock_mono_ms() + CHANNEL_LINGER_MS;
    TAILQ_INSERT_TAIL(&c->owner->idle, c, idle_entry);
}

static void set_busy(struct channel *c)
{
    if (c->idle)
        TAILQ_REMOVE(&c->owner->idle, c, idle_entry);
    c->idle = false;
}

/* Subscribers */

static void free_subscriber(struct gw_subscriber *sub)
{
    struct channel *c = sub->channel;

    if (c->cursor == sub)
        c->cursor = TAILQ_NEXT(sub, entry);
    if (c->serving == sub)
        c->serving = NULL;
    TAILQ_REMOVE(sub->state >= ON ? &c->on : &c->joining, sub, entry);
    atomic_fetch_sub_explicit(&c->owner->metrics->subscribers, 1, memory_order_relaxed);
    free(sub);
    set_idle(c);
}

static void refuse_all(struct channel *c, enum yz_err err)
{
    struct gw_subscriber *sub;

    while ((sub = TAILQ_FIRST(&c->joining))) {
        c->owner->events.refused(sub->session, sub, err);
        free_subscriber(sub);
    }
}

static void refuse_readers(struct channel *c, enum yz_err err)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != READING)
            continue;
        c->owner->events.refused(sub->session, sub, err);
        free_subscriber(sub);
    }
}

/* Hand a push or value to the one that is being served; false: it left. */
static bool hand(struct channel *c, struct gw_message *msg)
{
    struct gw_subscriber *sub = c->serving;

    if (!sub)
        return false;
    if (gw_message_visible(msg, sub->actor, c->org_path)) {
        gw_count(&c->owner->metrics->deliveries, 1);
        c->owner->events.deliver(sub->session, msg);
    }
    return c->serving != NULL;
}

/* What is kept behind a position: first what was read, then what recent holds beyond it. */
struct missed {
    struct gw_message **messages;
    size_t count;
};

static void free_missed(struct missed *missed)
{
    for (size_t i = 0; i < missed->count; i++)
        gw_message_unref(missed->messages[i]);
    free(missed->messages);
}

/* References are taken: a session that leaves inside a call may end what held them. */
static enum yz_err collect(struct channel *c, uint64_t behind, const struct gw_read *read,
                           struct missed *missed)
{
    size_t max = c->feed.recent.count + (read ? read->count : 0);
    struct gw_recent_item *item;

    *missed = (struct missed){0};
    if (max == 0)
        return YZ_OK;
    missed->messages = malloc(max * sizeof *missed->messages);
    if (!missed->messages)
        return YZ_INTERNAL;
    for (size_t i = 0; read && i < read->count; i++) {
        if (gw_message_offset(read->messages[i]) > behind) {
            missed->messages[missed->count++] = gw_message_ref(read->messages[i]);
            behind = gw_message_offset(read->messages[i]);
        }
    }
    TAILQ_FOREACH(item, &c->feed.recent.items, of_channel)
    {
        if (gw_message_offset(item->msg) > behind)
            missed->messages[missed->count++] = gw_message_ref(item->msg);
    }
    return YZ_OK;
}

static uint32_t count_visible(const struct channel *c, const struct gw_subscriber *sub,
                              const struct missed *missed)
{
    uint32_t count = 0;

    for (size_t i = 0; i < missed->count; i++)
        count += gw_message_visible(missed->messages[i], sub->actor, c->org_path);
    return count;
}

static void hand_values(struct channel *c)
{
    struct gw_message **messages;
    size_t count = 0, total = HASH_COUNT(c->values.by_name);

    if (total == 0 || !(messages = malloc(total * sizeof *messages)))
        return;
    for (struct gw_value *v = c->values.by_name; v; v = v->hh.next)
        messages[count++] = gw_message_ref(v->msg);
    for (size_t i = 0; i < count; i++) {
        (void)hand(c, messages[i]);
        gw_message_unref(messages[i]);
    }
    free(messages);
}

/* Answer a join: reply, what was missed behind its position, values; live pushes follow by
 * themselves. read: the history that was read for it, or NULL. */
static void serve(struct gw_subscriber *sub, const struct gw_read *read, bool recovered)
{
    struct channel *c = sub->channel;
    struct gw_channels *owner = c->owner;
    uint64_t behind = sub->since_given ? sub->position : c->feed.covered, offset;
    struct missed missed = {0};

    if (sub->since_given && collect(c, behind, read, &missed)) {
        owner->events.refused(sub->session, sub, YZ_INTERNAL);
        free_subscriber(sub);
        return;
    }
    sub->position = behind;
    if (missed.count)
        sub->position = gw_message_offset(missed.messages[missed.count - 1]);
    if (sub->position < c->feed.seen)
        sub->position = c->feed.seen;
    offset = sub->position > c->feed.covered ? sub->position : c->feed.covered;
    TAILQ_REMOVE(&c->joining, sub, entry);
    TAILQ_INSERT_TAIL(&c->on, sub, entry);
    sub->state = ON;
    if (sub->since_given)
        gw_count(recovered ? &owner->metrics->resumes_recovered : &owner->metrics->resumes_lost, 1);
    c->serving = sub;
    owner->events.subscribed(sub->session, sub, stream_of(c)->epoch, offset, recovered,
                             count_visible(c, sub, &missed));
    for (size_t i = 0; i < missed.count && c->serving; i++)
        (void)hand(c, missed.messages[i]);
    free_missed(&missed);
    hand_values(c);
    c->serving = NULL;
}

/* Joins */

/* Its position means nothing here: all that is kept follows, and it is told. */
static void begin_anew(struct gw_subscriber *sub)
{
    sub->epoch[0] = '\0';
    sub->position = 0;
}

enum need { NOTHING, INFO, HISTORY };

/* Answer the join when that needs no question. */
static enum need try_serve(struct gw_subscriber *sub)
{
    struct channel *c = sub->channel;
    const struct gw_stream *stream = stream_of(c);
    uint64_t end = stream->last_seq > c->feed.seen ? stream->last_seq : c->feed.seen;

    if (!sub->since_given) {
        serve(sub, NULL, false);
        return NOTHING;
    }
    if (strcmp(sub->epoch, stream->epoch) != 0) {
        begin_anew(sub);
    } else if (sub->position > end) {
        if (!sub->checked)
            return INFO;
        begin_anew(sub);
    }
    if (*sub->epoch && sub->position >= c->feed.recent.floor) {
        serve(sub, NULL, true);
        return NOTHING;
    }
    return HISTORY;
}

static void retry_later(struct channel *c)
{
    if (!c->retry)
        TAILQ_INSERT_TAIL(&c->owner->retry, c, retry_entry);
    c->retry = true;
}

/* The read's messages and recent's leave nothing out between them. */
static bool meets(const struct channel *c, const struct gw_subscriber *sub)
{
    const struct gw_read *read = &c->read;
    uint64_t end = read->count ? gw_message_offset(read->messages[read->count - 1]) : 0;

    return end >= c->feed.recent.floor || sub->position >= c->feed.recent.floor;
}

static void serve_reader(struct gw_subscriber *sub)
{
    struct channel *c = sub->channel;
    bool whole = meets(c, sub);

    /* A follower that was behind answered, or recent was cut meanwhile: read again. */
    if (!whole && sub->tries++ < READ_TRIES_MAX) {
        sub->state = WAITING;
        retry_later(c);
        return;
    }
    serve(sub, &c->read, whole && *sub->epoch && sub->position >= c->read.proven);
}

static void on_read(void *arg, struct gw_read *read, enum yz_err err)
{
    struct channel *c = arg;

    (void)read;
    if (err)
        refuse_readers(c, err);
    else
        c->read_ready = true;
    touch(c);
}

/* Read for all that wait, from the oldest of their positions. */
static void start_read(struct channel *c)
{
    struct gw_subscriber *sub;
    uint64_t from = UINT64_MAX;

    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        if (sub->state == READING && sub->position < from)
            from = sub->position;
    }
    c->read.stream = c->feed.stream;
    c->read.subject = c->subject;
    c->read.channel = c->name;
    c->read.from = from;
    c->read.on_done = on_read;
    c->read.arg = c;
    gw_history_read(c->owner->history, &c->read);
}

static void on_checked(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct channel *c = arg;
    struct gw_subscriber *sub;

    (void)stream;
    if (err) {
        refuse_all(c, err);
        return;
    }
    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        sub->checked = true;
    }
    touch(c);
}

static void check_end(struct channel *c)
{
    if (c->barrier.list)
        return;
    c->barrier.on_info = on_checked;
    c->barrier.arg = c;
    gw_streams_barrier(gw_link_streams(c->owner->link), c->feed.stream, &c->barrier);
}

/* Hand out what was read, to at most *budget subscribers; the rest keep waiting. */
static void serve_readers(struct channel *c, int *budget)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        if (sub->state == READING && --*budget < 0)
            return;
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state == READING)
            serve_reader(sub);
    }
    gw_feed_remember(&c->feed, &c->read);
    gw_read_clear(&c->read);
    c->read_ready = false;
}

/* Answer who needs no question; the others' questions are asked together. */
static void serve_waiting(struct channel *c, int *budget)
{
    bool may_read = !c->read.busy && !c->read_ready && !c->retry, reads = false, checks = false;
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        enum need need;

        if (sub->state == WAITING && --*budget < 0)
            break;
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != WAITING)
            continue;
        need = try_serve(sub); /* NOTHING: it may be gone */
        checks |= need == INFO;
        if (need == HISTORY && may_read) {
            sub->state = READING;
            reads = true;
        }
    }
    if (checks)
        check_end(c);
    if (reads)
        start_read(c);
}

/* Loading */

static void unload(struct channel *c)
{
    struct gw_subscriber *sub;

    gw_feed_close(&c->feed);
    gw_watch_stop(&c->values_watch);
    gw_values_clear(&c->values);
    gw_history_cancel(&c->read);
    gw_read_clear(&c->read);
    gw_barrier_cancel(&c->barrier);
    c->loading = c->feed_loaded = c->values_loaded = c->read_ready = false;
    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        sub->state = WAITING;
    }
}

static void on_part_loaded(struct channel *c, bool *part, enum yz_err err)
{
    if (err) {
        unload(c);
        refuse_all(c, err);
        return;
    }
    *part = true;
    c->loading = !c->feed_loaded || !c->values_loaded;
    if (!c->loading)
        touch(c);
}

static void on_feed_loaded(void *arg, enum yz_err err)
{
    struct channel *c = arg;

    on_part_loaded(c, &c->feed_loaded, err);
}

static void on_values_looked(void *arg, enum yz_err err)
{
    struct channel *c = arg;

    if (!c->values_loaded)
        on_part_loaded(c, &c->values_loaded, err);
}

static void broadcast(struct channel *c, struct gw_message *msg)
{
    uint64_t offset = gw_message_offset(msg);
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->on); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != ON || (offset && offset <= sub->position))
            continue;
        if (offset)
            sub->position = offset;
        c->serving = sub;
        (void)hand(c, msg);
    }
    c->serving = NULL;
}

static void on_push(void *arg, struct gw_message *msg)
{
    broadcast(arg, msg);
}

static void on_value(void *arg, natsMsg *bus, uint64_t seq)
{
    struct channel *c = arg;
    size_t prefix = strlen(c->values_filter) - 1; /* ".>" without the '>' */
    struct gw_message *msg;
    const char *subject;

    if (seq == 0 || natsMsgHeader_Get(bus, "Nats-Subject", &subject) != NATS_OK ||
        strncmp(subject, c->values_filter, prefix) != 0)
        return;
    gw_values_take(&c->values, c->name, subject + prefix, seq, bus, &msg);
    if (!msg)
        return;
    broadcast(c, msg);
    gw_message_unref(msg);
}

static void on_live_value(void *arg, natsMsg *bus)
{
    struct channel *c = arg;

    if (c->loading || c->values_loaded)
        on_value(c, bus, yz_bus_header_u64(bus, "Nats-Sequence", 0));
}

static void on_live_push(void *arg, natsMsg *bus)
{
    struct channel *c = arg;

    gw_feed_take(&c->feed, bus);
}

static void load(struct channel *c)
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

static void advance(struct channel *c)
{
    int budget = SERVE_MAX;

    if (c->loading || TAILQ_EMPTY(&c->joining))
        return;
    if (!c->feed_loaded || !c->values_loaded) {
        load(c);
        return;
    }
    if (c->read_ready)
        serve_readers(c, &budget);
    if (budget >= 0)
        serve_waiting(c, &budget);
    if (budget < 0)
        touch(c);
}

static void on_turn(uv_idle_t *idle)
{
    struct gw_channels *owner = idle->data;
    struct channel *c;

    for (int i = 0; i < CHANNELS_TURN && (c = TAILQ_FIRST(&owner->dirty)); i++) {
        TAILQ_REMOVE(&owner->dirty, c, dirty_entry);
        c->dirty = false;
        advance(c);
    }
    if (TAILQ_EMPTY(&owner->dirty))
        uv_idle_stop(idle);
}

/* The end of a promise */

static void lose(struct channel *c, enum yz_close close)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->on); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != ON)
            continue;
        sub->state = LOST;
        c->owner->events.lost(sub->session, close);
    }
}

static void on_feed_lost(void *arg)
{
    lose(arg, YZ_CLOSE_CHANNEL_LOST);
}

static void on_reset(void *arg, enum gw_stream_id id)
{
    struct gw_channels *owner = arg;
    struct channel *c, *next;

    HASH_ITER(hh, owner->by_key, c, next)
    {
        if (id != GW_STATE && c->feed.stream != id)
            continue;
        unload(c);
        touch(c);
        lose(c, YZ_CLOSE_STREAM_RESET);
    }
}

static void on_resync(void *arg)
{
    struct gw_channels *owner = arg;
    struct channel *c, *next;

    HASH_ITER(hh, owner->by_key, c, next)
    {
        if (!c->feed_loaded || !c->values_loaded)
            continue;
        gw_feed_resync(&c->feed);
        gw_watch_again(&c->values_watch);
    }
}

/* Channels */

static void free_channel(struct channel *c)
{
    struct gw_channels *owner = c->owner;

    unload(c);
    if (c->tap)
        gw_link_unsubscribe(owner->link, c->tap);
    if (c->values_tap)
        gw_link_unsubscribe(owner->link, c->values_tap);
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
    struct channel *c;

    while ((c = TAILQ_FIRST(&owner->retry))) {
        TAILQ_REMOVE(&owner->retry, c, retry_entry);
        c->retry = false;
        touch(c);
    }
    while ((c = TAILQ_FIRST(&owner->idle)) && c->idle_due_mono_ms <= now)
        free_channel(c);
}

static enum yz_err subscribe(struct channel *c)
{
    char live[YZ_SUBJECT_MAX];
    enum yz_err err;

    yz_live_subject(c->subject, live);
    if ((err = gw_link_subscribe(c->owner->link, live, on_live_push, c, &c->tap)))
        return err;
    yz_live_subject(c->values_filter, live);
    return gw_link_subscribe(c->owner->link, live, on_live_value, c, &c->values_tap);
}

static enum yz_err new_channel(struct gw_channels *owner, const char *tenant, const char *name,
                               const char *key, struct channel **channel)
{
    struct yz_channel parsed;
    struct channel *c;
    enum yz_err err;

    if (strlen(name) >= YZ_CHANNEL_MAX || !yz_channel_parse(name, &parsed))
        return YZ_UNKNOWN_CHANNEL;
    if (!(c = calloc(1, sizeof *c + strlen(key) + 1)))
        return YZ_INTERNAL;
    c->owner = owner;
    memcpy(c->key, key, strlen(key) + 1);
    snprintf(c->name, sizeof c->name, "%s", name);
    memcpy(c->org_path, parsed.org_path, sizeof c->org_path);
    yz_channel_subject(tenant, name, c->subject);
    yz_value_subject(tenant, name, ">", c->values_filter);
    c->feed.stream = parsed.kind == YZ_CHANNEL_THREAD ? GW_THREADS : GW_CHANNELS;
    c->feed.subject = c->subject;
    c->feed.channel = c->name;
    c->feed.arg = c;
    TAILQ_INIT(&c->joining);
    TAILQ_INIT(&c->on);
    gw_values_init(&c->values);
    HASH_ADD_STR(owner->by_key, key, c);
    atomic_fetch_add_explicit(&owner->metrics->channels, 1, memory_order_relaxed);
    if ((err = subscribe(c))) {
        free_channel(c);
        return err;
    }
    *channel = c;
    return YZ_OK;
}

static enum yz_err find_channel(struct gw_channels *owner, const char *tenant, const char *name,
                                struct channel **channel)
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
    struct gw_subscriber *s;
    struct channel *c;
    enum yz_err err;

    if (!gw_link_connected(channels->link))
        return YZ_BUS_UNAVAILABLE;
    if ((err = find_channel(channels, actor->tenant, channel, &c)))
        return err;
    if (!(s = calloc(1, sizeof *s))) {
        set_idle(c);
        return YZ_INTERNAL;
    }
    s->channel = c;
    s->actor = actor;
    s->session = session;
    s->request = request;
    s->since_given = since.given;
    if (since.given && strlen(since.epoch) < sizeof s->epoch)
        snprintf(s->epoch, sizeof s->epoch, "%s", since.epoch);
    s->position = since.given ? since.offset : 0;
    TAILQ_INSERT_TAIL(&c->joining, s, entry);
    set_busy(c);
    touch(c);
    atomic_fetch_add_explicit(&channels->metrics->subscribers, 1, memory_order_relaxed);
    *sub = s;
    return YZ_OK;
}

void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    free_subscriber(sub);
}

size_t gw_channels_count(const struct gw_channels *channels)
{
    return HASH_COUNT(channels->by_key);
}

uint32_t gw_subscriber_request(const struct gw_subscriber *sub)
{
    return sub->request;
}

const char *gw_subscriber_channel(const struct gw_subscriber *sub)
{
    return sub->channel->name;
}

static enum yz_err init_handles(struct gw_channels *channels, uv_loop_t *loop)
{
    struct handles *h = calloc(1, sizeof *h);

    if (!h)
        return YZ_INTERNAL;
    uv_idle_init(loop, &h->idle);
    uv_timer_init(loop, &h->timer);
    h->idle.data = h->timer.data = channels;
    h->open = 2;
    uv_timer_start(&h->timer, on_tick, TICK_MS, TICK_MS);
    channels->handles = h;
    return YZ_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct handles *h = handle->data;

    if (--h->open == 0)
        free(h);
}

static void close_handles(struct handles *h)
{
    h->idle.data = h->timer.data = h;
    uv_close((uv_handle_t *)&h->idle, on_handle_closed);
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
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
    if ((err = gw_audit_new(conf, loop, link, &cs->audit)) ||
        (err = gw_history_new(link, metrics, &cs->history)) ||
        (err =
             gw_feeds_new(loop, link, cs->audit, cs->history, metrics, &feed_events, &cs->feeds)) ||
        (err = init_handles(cs, loop))) {
        gw_channels_free(cs);
        return err;
    }
    gw_link_on_resync(link, on_resync, cs);
    gw_streams_on_reset(gw_link_streams(link), on_reset, cs);
    *channels = cs;
    return YZ_OK;
}

static void drop_subscribers(struct subscriber_list *list)
{
    struct gw_subscriber *sub;

    while ((sub = TAILQ_FIRST(list)))
        free_subscriber(sub);
}

void gw_channels_free(struct gw_channels *channels)
{
    struct channel *c, *next;

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
    gw_feeds_free(channels->feeds);
    gw_history_free(channels->history);
    gw_audit_free(channels->audit);
    if (channels->handles)
        close_handles(channels->handles);
    free(channels);
}
