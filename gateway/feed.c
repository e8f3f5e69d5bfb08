#include "gateway/feed.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/metrics.h"
#include "schemas/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS   50
#define GRACE_MS  200 /* a message that a look has met may still be on its way */
#define RETRY_MS  200
#define TRIES_MAX 15 /* of one repair, while the bus is there */

#define REQUEST_TEXT_MAX  (YZ_SUBJECT_MAX + 32)
#define LEADER_TIMEOUT_MS 2000

TAILQ_HEAD(feed_list, gw_feed);

struct gw_feeds {
    struct gw_link *link;
    struct gw_audit *audit;
    struct gw_history *history;
    struct gw_metrics *metrics;
    struct gw_feed_events events;
    struct gw_recent_pool pool;
    uv_timer_t *timer;
    struct feed_list later;
};

static void repair(struct gw_feed *feed);
static uint64_t missing(const struct gw_feed *feed);

static void put_off(struct gw_feed *feed, int64_t wait_ms)
{
    feed->due_mono_ms = yz_clock_mono_ms() + wait_ms;
    if (feed->later)
        return;
    feed->later = true;
    TAILQ_INSERT_TAIL(&feed->feeds->later, feed, entry);
}

static void take_off(struct gw_feed *feed)
{
    if (feed->later)
        TAILQ_REMOVE(&feed->feeds->later, feed, entry);
    feed->later = false;
}

static void drop_pending(struct gw_feed *feed)
{
    for (size_t i = 0; i < feed->pending_count; i++)
        gw_message_unref(feed->pending[i].msg);
    free(feed->pending);
    feed->pending = NULL;
    feed->pending_count = 0;
}

/* msg is taken. */
static void pend(struct gw_feed *feed, struct gw_message *msg, uint64_t previous)
{
    if (!feed->pending)
        feed->pending = malloc(FEED_PENDING_MAX * sizeof *feed->pending);
    if (!feed->pending || feed->pending_count == FEED_PENDING_MAX) {
        feed->overflowed = true;
        gw_message_unref(msg);
        drop_pending(feed);
        return;
    }
    feed->pending[feed->pending_count++] = (struct gw_pended){msg, previous};
}

static void push(struct gw_feed *feed, struct gw_message *msg)
{
    feed->seen = gw_message_offset(msg);
    if (feed->covered < feed->seen)
        feed->covered = feed->seen;
    gw_recent_add(&feed->recent, msg);
    feed->feeds->events.push(feed->arg, msg);
}

/* The message continues the chain, or was in it already. Else something is missing before it. */
static bool fits(const struct gw_feed *feed, const struct gw_pended *p)
{
    return p->previous <= feed->seen || gw_message_offset(p->msg) <= feed->seen;
}

static void chain(struct gw_feed *feed, const struct gw_pended *p)
{
    if (gw_message_offset(p->msg) > feed->seen)
        push(feed, p->msg);
}

/* Go on with what waited, as far as it fits. */
static void settle(struct gw_feed *feed)
{
    size_t done = 0;

    while (done < feed->pending_count && fits(feed, &feed->pending[done]))
        chain(feed, &feed->pending[done++]);
    if (done == feed->pending_count) {
        drop_pending(feed);
        if (!feed->overflowed) {
            feed->tries = 0;
            feed->state = GW_FEED_LIVE;
            if (feed->suspect > feed->seen)
                put_off(feed, RETRY_MS); /* a follower that lacked it was read */
            return;
        }
    }
    for (size_t i = 0; i < done && feed->pending; i++)
        gw_message_unref(feed->pending[i].msg);
    if (feed->pending) {
        feed->pending_count -= done;
        memmove(feed->pending, feed->pending + done, feed->pending_count * sizeof *feed->pending);
        yz_count(&feed->feeds->metrics->gaps_found, 1);
    }
    feed->state = GW_FEED_REPAIRING;
    repair(feed);
}

/* The chain's promise is broken: say so, and go on behind the hole. */
static void give_up(struct gw_feed *feed, uint64_t behind)
{
    yz_error_spaced("channel_lost", "channel=%s seen=%" PRIu64 " next=%" PRIu64, feed->channel,
                    feed->seen, behind);
    yz_count(&feed->feeds->metrics->channels_lost, 1);
    if (behind > feed->seen)
        feed->seen = behind;
    if (feed->covered < feed->seen)
        feed->covered = feed->seen;
    gw_recent_clear(&feed->recent, feed->seen);
    if (feed->suspect <= feed->seen) /* else it is due behind the hole: no look meets it again */
        feed->suspect = 0;
    feed->tries = 0;
    feed->feeds->events.lost(feed->arg);
}

static uint64_t missing(const struct gw_feed *feed)
{
    uint64_t previous = feed->pending_count && feed->pending ? feed->pending[0].previous : 0;

    return previous > feed->suspect ? previous : feed->suspect;
}

static void try_later(struct gw_feed *feed)
{
    if (gw_link_connected(feed->feeds->link) && feed->tries++ >= TRIES_MAX)
        give_up(feed, missing(feed));
    put_off(feed, RETRY_MS);
}

/* What was read is the chain's next part. */
static void on_repaired(void *arg, struct gw_read *read, enum yz_err err)
{
    struct gw_feed *feed = arg;
    uint64_t before = feed->seen;

    if (err) {
        try_later(feed);
        return;
    }
    if (read->proven > read->from) {
        give_up(feed, 0);
        /* Who comes back to a place before the hole is not served from behind it. */
        gw_recent_clear(&feed->recent, read->proven);
    }
    for (size_t i = 0; i < read->count; i++) {
        if (gw_message_offset(read->messages[i]) > feed->seen) {
            yz_count(&feed->feeds->metrics->pushes_repaired, 1);
            push(feed, read->messages[i]);
        }
    }
    gw_read_clear(read);
    feed->overflowed = false;
    if (feed->suspect <= feed->seen)
        feed->suspect = 0;
    if (feed->seen == before && missing(feed) > feed->seen)
        try_later(feed); /* a follower that is behind answered */
    else
        settle(feed);
}

/* Read what is missing. When a try is due later already, that one does it. */
static void repair(struct gw_feed *feed)
{
    if (feed->read.busy)
        return;
    take_off(feed);
    feed->read.stream = feed->stream;
    feed->read.subject = feed->subject;
    feed->read.channel = feed->channel;
    feed->read.from = missing(feed) && missing(feed) <= feed->covered ? feed->seen : feed->covered;
    feed->read.timed = true;
    feed->read.on_done = on_repaired;
    feed->read.arg = feed;
    gw_history_read(feed->feeds->history, &feed->read);
}

static void on_gap(struct gw_feed *feed)
{
    yz_count(&feed->feeds->metrics->gaps_found, 1);
    yz_info("gap_found", "channel=%s seen=%" PRIu64, feed->channel, feed->seen);
    feed->tries = 0;
    feed->state = GW_FEED_REPAIRING;
    repair(feed);
}

void gw_feed_take(struct gw_feed *feed, natsMsg *msg)
{
    uint64_t seq = yz_bus_header_u64(msg, "Nats-Sequence", 0);
    struct gw_pended p = {.previous = yz_bus_header_u64(msg, "Nats-Last-Sequence", 0)};
    enum yz_err err;

    if (feed->state == GW_FEED_CLOSED || seq == 0 || seq <= feed->seen)
        return;
    err = gw_history_message(feed->channel, seq, msg, &p.msg);
    if (err == YZ_INTERNAL) { /* no memory now: as if it had been lost on the way */
        if (feed->suspect < seq)
            feed->suspect = seq;
        if (feed->state == GW_FEED_LIVE)
            on_gap(feed);
        return;
    }
    if (err) {
        /* Malformed: what follows shows the gap, and the read steps over it. */
        yz_error_spaced("push_dropped", "channel=%s seq=%" PRIu64 " err=%s", feed->channel, seq,
                        yz_err_code(err));
        return;
    }
    gw_message_set_stored_us(p.msg, yz_bus_stored_us(msg));
    yz_observe_bytes_own(&feed->feeds->metrics->push_size, (uint64_t)natsMsg_GetDataLength(msg));
    if (feed->state == GW_FEED_LIVE && fits(feed, &p)) {
        chain(feed, &p);
        gw_message_unref(p.msg);
        return;
    }
    pend(feed, p.msg, p.previous);
    if (feed->state == GW_FEED_LIVE)
        on_gap(feed);
}

/* Looks: the first one loads, the others audit. */

static void on_found(void *arg, natsMsg *msg, uint64_t seq)
{
    struct gw_feed *feed = arg;

    (void)msg;
    if (seq > feed->found)
        feed->found = seq;
}

/* floor: what an empty channel knows nothing below. Nothing is there any more up to it, however
 * little the look has told: who joins is not given a place that has expired. */
static void load(struct gw_feed *feed, uint64_t floor)
{
    feed->seen = feed->found;
    feed->covered = feed->watch.upto > feed->seen ? feed->watch.upto : feed->seen;
    if (floor > feed->covered)
        feed->covered = floor;
    /* The last message survives, so nothing above it was removed. */
    gw_recent_clear(&feed->recent, feed->seen ? feed->seen : floor);
    feed->found = 0;
    settle(feed);
    feed->feeds->events.loaded(feed->arg, YZ_OK);
}

static void fail_load(struct gw_feed *feed, enum yz_err err)
{
    gw_feed_close(feed);
    feed->feeds->events.loaded(feed->arg, err);
}

static void on_first(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct gw_feed *feed = arg;

    if (err)
        fail_load(feed, err);
    else
        load(feed, stream->first_seq > 0 ? stream->first_seq - 1 : 0);
}

/* A subject that holds no message has lost none by number, and what it lost by age lies below the
 * stream's first, read afterwards: so most phones' quiet inboxes need no history read. */
static void find_first(struct gw_feed *feed)
{
    feed->barrier.on_info = on_first;
    feed->barrier.arg = feed;
    gw_streams_barrier(gw_link_streams(feed->feeds->link), feed->stream, &feed->barrier);
}

static bool on_leader(void *arg, natsMsg *msg, enum yz_err err)
{
    struct gw_feed *feed = arg;
    json_t *root = NULL;
    json_int_t seq = 0, code = 0;

    feed->asking = false;
    if (!err)
        root = yz_json_load(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    if (root && json_unpack(root, "{s:{s:I}}", "message", "seq", &seq) == 0 && seq > 0) {
        if ((uint64_t)seq > feed->found) /* another look may have met a newer one meanwhile */
            feed->found = (uint64_t)seq;
        load(feed, feed->found);
    } else if (root && json_unpack(root, "{s:{s:I}}", "error", "code", &code) == 0 && code == 404) {
        find_first(feed);
    } else {
        fail_load(feed, err ? err : YZ_BUS_UNAVAILABLE);
    }
    json_decref(root);
    return false;
}

/* The look met nothing, but a follower that is behind may have answered it. */
static void ask_leader(struct gw_feed *feed)
{
    const struct gw_stream *stream =
        gw_streams_get(gw_link_streams(feed->feeds->link), feed->stream);
    char subject[64], text[REQUEST_TEXT_MAX];
    enum yz_err err;

    if (stream->replicas <= 1) {
        find_first(feed);
        return;
    }
    snprintf(subject, sizeof subject, "$JS.API.STREAM.MSG.GET.%s", stream->name);
    snprintf(text, sizeof text, "{\"last_by_subj\":\"%s\"}", feed->subject);
    feed->asking = true;
    err = gw_link_request(feed->feeds->link, subject, text, strlen(text), LEADER_TIMEOUT_MS,
                          on_leader, feed, &feed->request);
    if (!err)
        return;
    feed->asking = false;
    fail_load(feed, err);
}

static void audited(struct gw_feed *feed)
{
    if (feed->found > feed->seen) {
        if (feed->suspect < feed->found) /* else a follower that is behind was looked at */
            feed->suspect = feed->found;
        put_off(feed, GRACE_MS);
    } else if (!feed->suspect && feed->state == GW_FEED_LIVE && feed->watch.upto > feed->covered) {
        feed->covered = feed->watch.upto;
    }
}

static void on_looked(void *arg, enum yz_err err)
{
    struct gw_feed *feed = arg;

    if (feed->asking || feed->barrier.list)
        return; /* the first look's consequence is under way */
    if (feed->state == GW_FEED_LOADING && err) {
        fail_load(feed, err);
    } else if (feed->state == GW_FEED_LOADING && feed->found > 0) {
        load(feed, feed->found);
    } else if (feed->state == GW_FEED_LOADING) {
        ask_leader(feed);
    } else {
        if (!err)
            audited(feed);
        feed->found = 0;
    }
}

static void on_info(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct gw_feed *feed = arg;

    (void)stream;
    if (err) {
        fail_load(feed, err);
        return;
    }
    feed->watch.stream = feed->stream;
    feed->watch.filter = feed->subject;
    feed->watch.on_found = on_found;
    feed->watch.on_done = on_looked;
    feed->watch.arg = feed;
    gw_watch_start(feed->feeds->audit, &feed->watch);
}

void gw_feed_open(struct gw_feeds *feeds, struct gw_feed *feed)
{
    gw_feed_close(feed);
    feed->feeds = feeds;
    feed->state = GW_FEED_LOADING;
    feed->seen = feed->covered = feed->found = feed->suspect = 0;
    feed->tries = 0;
    feed->overflowed = false;
    gw_recent_init(&feed->recent, &feeds->pool);
    /* First how far the stream is, then what the subject holds: so an empty channel's position is
     * covered. */
    feed->barrier.on_info = on_info;
    feed->barrier.arg = feed;
    gw_streams_barrier(gw_link_streams(feeds->link), feed->stream, &feed->barrier);
}

void gw_feed_close(struct gw_feed *feed)
{
    if (feed->state == GW_FEED_CLOSED)
        return;
    feed->state = GW_FEED_CLOSED;
    gw_barrier_cancel(&feed->barrier);
    if (feed->asking)
        gw_link_cancel(feed->feeds->link, feed->request);
    feed->asking = false;
    gw_watch_stop(&feed->watch);
    gw_history_cancel(&feed->read);
    take_off(feed);
    drop_pending(feed);
    gw_recent_clear(&feed->recent, 0);
}

void gw_feed_resync(struct gw_feed *feed)
{
    if (feed->state == GW_FEED_LIVE || feed->state == GW_FEED_REPAIRING)
        gw_watch_again(&feed->watch);
}

/* Later */

static void on_due(struct gw_feed *feed)
{
    take_off(feed);
    if (feed->state == GW_FEED_REPAIRING)
        repair(feed);
    else if (feed->state == GW_FEED_LIVE && feed->suspect > feed->seen)
        on_gap(feed);
    else
        feed->suspect = 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct gw_feeds *feeds = timer->data;
    int64_t now = yz_clock_mono_ms();
    struct feed_list due = TAILQ_HEAD_INITIALIZER(due);
    struct gw_feed *feed, *next;

    atomic_store_explicit(&feeds->metrics->recent_bytes, (int64_t)feeds->pool.bytes,
                          memory_order_relaxed);
    for (feed = TAILQ_FIRST(&feeds->later); feed; feed = next) {
        next = TAILQ_NEXT(feed, entry);
        if (feed->due_mono_ms <= now) {
            /* Moved to the front, so that what is put off again meanwhile is not met twice. */
            TAILQ_REMOVE(&feeds->later, feed, entry);
            TAILQ_INSERT_TAIL(&due, feed, entry);
        }
    }
    TAILQ_CONCAT(&due, &feeds->later, entry);
    TAILQ_CONCAT(&feeds->later, &due, entry);
    while ((feed = TAILQ_FIRST(&feeds->later)) && feed->due_mono_ms <= now)
        on_due(feed);
}

enum yz_err gw_feeds_new(uv_loop_t *loop, struct gw_link *link, struct gw_audit *audit,
                         struct gw_history *history, struct gw_metrics *metrics,
                         const struct gw_feed_events *events, struct gw_feeds **feeds)
{
    struct gw_feeds *f = calloc(1, sizeof *f);

    if (!f || !(f->timer = malloc(sizeof *f->timer))) {
        free(f);
        return YZ_INTERNAL;
    }
    f->link = link;
    f->audit = audit;
    f->history = history;
    f->metrics = metrics;
    f->events = *events;
    gw_recent_pool_init(&f->pool, RECENT_POOL_BYTES);
    TAILQ_INIT(&f->later);
    uv_timer_init(loop, f->timer);
    f->timer->data = f;
    uv_timer_start(f->timer, on_tick, TICK_MS, TICK_MS);
    *feeds = f;
    return YZ_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void gw_feeds_free(struct gw_feeds *feeds)
{
    if (!feeds)
        return;
    assert(TAILQ_EMPTY(&feeds->later));
    uv_close((uv_handle_t *)feeds->timer, on_timer_closed);
    free(feeds);
}

/* Messages that recent holds and the read does not are newer. */
void gw_feed_remember(struct gw_feed *feed, const struct gw_read *read)
{
    struct gw_recent *recent = &feed->recent;
    struct gw_message *newer[RECENT_MAX];
    struct gw_recent_item *item;
    uint64_t last = read->count ? gw_message_offset(read->messages[read->count - 1]) : 0;
    size_t count = 0;

    if (read->proven >= recent->floor || last < recent->floor)
        return;
    TAILQ_FOREACH(item, &recent->items, of_channel)
    {
        if (gw_message_offset(item->msg) > last)
            newer[count++] = gw_message_ref(item->msg);
    }
    gw_recent_clear(recent, read->proven);
    for (size_t i = 0; i < read->count; i++) {
        /* What the chain has not reached yet comes by itself. */
        if (gw_message_offset(read->messages[i]) <= feed->seen)
            gw_recent_add(recent, read->messages[i]);
    }
    for (size_t i = 0; i < count; i++) {
        gw_recent_add(recent, newer[i]);
        gw_message_unref(newer[i]);
    }
}
