#include "gateway/channel_private.h"

#include "common/clock.h"

#include <client.pb-c.h>
#include <string.h>

#define SIGNAL_MAX 256 /* bytes of one on the bus */

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

/* Signals */

/* With so many it says nothing to anybody, and each of them would cost a write for every viewer. */
static bool has_too_many_viewers(const struct gw_channel *c)
{
    return c->on_count > c->owner->batch_viewers;
}

/* The channel is in the subject. */
static enum yz_err publish_signal(struct gw_channel *c, const char *member, int kind)
{
    Yizhan__V1__MemberSignal signal = YIZHAN__V1__MEMBER_SIGNAL__INIT;
    char subject[YZ_SUBJECT_MAX];
    uint8_t body[SIGNAL_MAX];
    natsMsg *msg = NULL;

    signal.member = (char *)(uintptr_t)member;
    signal.kind = (Yizhan__V1__SignalKind)kind;
    yz_signal_subject(c->subject, subject);
    if (natsMsg_Create(&msg, subject, NULL, (const char *)body,
                       (int)yizhan__v1__member_signal__pack(&signal, body)) != NATS_OK)
        return YZ_INTERNAL;
    return gw_link_publish_spare(c->owner->link, msg);
}

/* So many a second, all of them at once if need be. */
static bool draw(struct gw_bucket *bucket, int64_t per_s, size_t count)
{
    return gw_bucket_draw(bucket, per_s, per_s, count, yz_clock_mono_ms());
}

enum yz_err gw_channels_signal(struct gw_channels *channels, struct gw_subscriber *sub, int kind)
{
    struct gw_channel *c = sub->channel;
    enum yz_err err;

    if (has_too_many_viewers(c)) {
        yz_count(&channels->metrics->signals_dropped, 1);
        return YZ_OK;
    }
    if (!draw(&channels->signals, channels->signals_per_s, 1))
        return YZ_BUSY;
    err = publish_signal(c, sub->actor->member, kind);
    if (err == YZ_OK)
        yz_count(&channels->metrics->signals_sent, 1);
    return err;
}

static void hand_round(struct gw_channel *c, struct gw_signal *signal)
{
    const struct gw_channel_events *events = &c->owner->events;
    uint64_t told = 0, left_out = 0;
    struct gw_subscriber *sub;

    TAILQ_FOREACH(sub, &c->on, entry)
    {
        if (strcmp(sub->actor->member, signal->member) == 0)
            continue;
        if (sub->state == ON && events->signal(sub->session, signal))
            told++;
        else
            left_out++;
    }
    yz_count(&c->owner->metrics->signal_deliveries, told);
    yz_count(&c->owner->metrics->signals_left_out, left_out);
}

/* Of a gateway of ours, but perhaps a newer one, which knows more kinds. */
static bool is_known(const Yizhan__V1__MemberSignal *from)
{
    return yz_id_valid(from->member) && protobuf_c_enum_descriptor_get_value(
                                            &yizhan__v1__signal_kind__descriptor, (int)from->kind);
}

static void tell(struct gw_channel *c, const Yizhan__V1__MemberSignal *from)
{
    struct gw_signal signal;

    gw_signal_init(&signal, c->name, from->member, (int)from->kind);
    hand_round(c, &signal);
    gw_signal_deinit(&signal);
}

void gw_fanout_signal(void *channel, natsMsg *bus)
{
    struct gw_channel *c = channel;
    struct gw_channels *owner = c->owner;
    Yizhan__V1__MemberSignal *from = NULL;

    if (c->on_count == 0 || !owner->events.signal)
        return;
    if (!has_too_many_viewers(c) &&
        draw(&owner->signal_deliveries, owner->signal_deliveries_per_s, c->on_count))
        from = yizhan__v1__member_signal__unpack(NULL, (size_t)natsMsg_GetDataLength(bus),
                                                 (const uint8_t *)natsMsg_GetData(bus));
    if (from && is_known(from))
        tell(c, from);
    else
        yz_count(&owner->metrics->signals_dropped, 1);
    if (from)
        yizhan__v1__member_signal__free_unpacked(from, NULL);
}
