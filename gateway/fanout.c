#include "gateway/channel_private.h"

#include "common/clock.h"

/* A delivery begins with four loads, each of which needs the one before it: subscriber, session,
 * connection, socket. With thousands of receivers none of them is in the processor's cache, so each
 * is fetched one delivery before it is needed. */
static void fetch_ahead(const struct gw_channel *c)
{
    const struct gw_subscriber *first = c->cursor, *second, *third;

    if (!first || !(second = TAILQ_NEXT(first, entry)) || !(third = TAILQ_NEXT(second, entry)))
        return;
    gw_prefetch(TAILQ_NEXT(third, entry));
    gw_prefetch(third->session);
    if (c->owner->events.near)
        c->owner->events.near(second->session);
}

/* One by one: what it may see and has not seen. It may leave meanwhile. */
static void hand_each(struct gw_channel *c, struct gw_subscriber *sub, const struct gw_burst *burst,
                      uint64_t *handed)
{
    _Atomic uint64_t *deliveries = &c->owner->metrics->deliveries;

    c->serving = sub;
    for (size_t i = 0; i < burst->count && c->serving && sub->state == ON; i++) {
        uint64_t offset = gw_message_offset(burst->messages[i]);
        uint64_t before = atomic_load_explicit(deliveries, memory_order_relaxed);

        if (offset && offset <= sub->position)
            continue;
        if (offset)
            sub->position = offset;
        gw_join_hand(c, burst->messages[i], true);
        handed[i] += atomic_load_explicit(deliveries, memory_order_relaxed) - before;
    }
    c->serving = NULL;
}

/* All of them at once. false: one by one. */
static bool hand_whole(struct gw_channel *c, struct gw_subscriber *sub, struct gw_burst *burst)
{
    const struct gw_channel_events *events = &c->owner->events;

    if (!events->burst || burst->restricted || (burst->first && burst->first <= sub->position) ||
        !events->burst(sub->session, burst))
        return false;
    if (burst->last)
        sub->position = burst->last;
    return true;
}

/* handed: how often each message was handed to one. */
static void note_deliveries(struct gw_channel *c, const struct gw_burst *burst, uint64_t whole,
                            const uint64_t *handed)
{
    struct gw_metrics *metrics = c->owner->metrics;

    yz_count_own(&metrics->deliveries, whole * burst->count);
    for (size_t i = 0; i < burst->count; i++)
        gw_lag_note(&metrics->lag, gw_message_stored_us(burst->messages[i]), whole + handed[i]);
}

static void walk(struct gw_channel *c, struct gw_burst *burst, bool share)
{
    uint64_t whole = 0, handed[BURST_MAX] = {0};
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->on); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        fetch_ahead(c);
        if (sub->state != ON)
            continue;
        if (share && hand_whole(c, sub, burst))
            whole++;
        else
            hand_each(c, sub, burst, handed);
    }
    note_deliveries(c, burst, whole, handed);
}

/* Out of the list it is in. */
static void take_out(struct gw_burst *burst)
{
    struct gw_channels *owner = burst->channel->owner;

    if (burst->held)
        TAILQ_REMOVE(&owner->held, burst, entry);
    else
        TAILQ_REMOVE(&owner->bursts, burst, entry);
}

static void give_back(struct gw_channels *owner, struct gw_burst *burst)
{
    gw_burst_empty(burst);
    if (owner->spare)
        gw_burst_free(burst);
    else
        owner->spare = burst;
}

static void settle(struct gw_channel *c, bool share)
{
    struct gw_channels *owner = c->owner;
    struct gw_burst *burst = c->burst;

    gw_lag_begin(&owner->metrics->lag);
    c->burst = NULL;
    take_out(burst);
    walk(c, burst, share);
    give_back(owner, burst);
}

static bool is_held(const struct gw_channel *c)
{
    const struct gw_channels *owner = c->owner;

    return owner->batch_ms > 0 && c->feed.stream == GW_THREADS &&
           c->on_count > owner->batch_viewers;
}

static void hold(struct gw_channels *owner, struct gw_burst *burst)
{
    burst->held = true;
    burst->due_mono_ms = yz_clock_mono_ms() + owner->batch_ms;
    TAILQ_INSERT_TAIL(&owner->held, burst, entry);
    gw_channel_turn_later(owner, owner->batch_ms);
}

/* Held ones whose time has come are handed on in this turn. */
static void release(struct gw_channels *owner)
{
    int64_t now_ms = TAILQ_EMPTY(&owner->held) ? 0 : yz_clock_mono_ms();
    struct gw_burst *burst;

    while ((burst = TAILQ_FIRST(&owner->held)) && burst->due_mono_ms <= now_ms) {
        TAILQ_REMOVE(&owner->held, burst, entry);
        burst->held = false;
        TAILQ_INSERT_TAIL(&owner->bursts, burst, entry);
    }
    if (burst)
        gw_channel_turn_later(owner, burst->due_mono_ms - now_ms);
}

static bool begin(struct gw_channel *c)
{
    struct gw_channels *owner = c->owner;

    c->burst = owner->spare ? owner->spare : gw_burst_new();
    owner->spare = NULL;
    if (!c->burst)
        return false;
    c->burst->channel = c;
    if (is_held(c)) {
        hold(owner, c->burst);
        return true;
    }
    if (TAILQ_EMPTY(&owner->bursts))
        gw_gather_begun(owner->gather, uv_hrtime());
    TAILQ_INSERT_TAIL(&owner->bursts, c->burst, entry);
    gw_channel_turn(owner);
    return true;
}

/* Without memory for a burst, each message is one for itself. */
static void hand_now(struct gw_channel *c, struct gw_message *msg)
{
    struct gw_burst one = {.messages = {msg}, .count = 1};

    walk(c, &one, false);
}

void gw_fanout_add(struct gw_channel *c, struct gw_message *msg)
{
    if (c->on_count == 0)
        return;
    if (c->burst && gw_burst_add(c->burst, msg))
        return;
    gw_fanout_settle(c);
    if (!begin(c) || !gw_burst_add(c->burst, msg))
        hand_now(c, msg);
}

void gw_fanout_settle(struct gw_channel *c)
{
    if (c->burst)
        settle(c, true);
}

static struct gw_burst *largest(const struct gw_channels *owner, size_t *messages)
{
    struct gw_burst *burst, *most = TAILQ_FIRST(&owner->bursts);

    *messages = 0;
    TAILQ_FOREACH(burst, &owner->bursts, entry)
    {
        *messages += burst->count;
        if (burst->channel->on_count > most->channel->on_count)
            most = burst;
    }
    return most;
}

bool gw_fanout_waits(struct gw_channels *owner)
{
    size_t messages;
    const struct gw_burst *most;

    release(owner);
    most = largest(owner, &messages);
    return most && gw_gather_waits(owner->gather, most->channel->on_count, messages);
}

/* A session of several channels gets one WebSocket message of a turn: what comes from all of them
 * but the largest waits at the session; only those that got nothing of these get the shared one. */
void gw_fanout_settle_all(struct gw_channels *owner)
{
    size_t messages;
    struct gw_burst *burst, *next, *most;

    release(owner);
    most = largest(owner, &messages);
    if (!most)
        return;
    gw_gather_end(owner->gather, messages);
    for (burst = TAILQ_FIRST(&owner->bursts); burst; burst = next) {
        next = TAILQ_NEXT(burst, entry);
        if (burst != most)
            settle(burst->channel, false);
    }
    settle(most->channel, true);
    gw_gather_written(owner->gather, uv_hrtime());
}

void gw_fanout_drop(struct gw_channel *c)
{
    if (!c->burst)
        return;
    take_out(c->burst);
    give_back(c->owner, c->burst);
    c->burst = NULL;
}
