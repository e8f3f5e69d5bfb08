/* channel.h: channels with sessions of this process in them: live pushes, history, gaps, values.
 *
 * Lifetime  a channel exists while it has a subscriber (and CHANNEL_LINGER_MS longer); a
 * gw_subscriber from gw_channels_join until gw_channels_leave, which the session calls (also when
 * it dies, also after on_lost), or until refused. Thread    loop. Limits    history is read in
 * pages; a channel buffers at most FEED_PENDING_MAX live messages while its stream is being read
 * (then it reads again). What a session has not got yet costs a position, no messages: they are
 * handed on as far as the session has room, and from `recent` or page by page from the stream when
 * it has room again. A session's own backlog is the session's to bound.
 * States    of a subscriber, not answered yet: WAITING --channel known--> (READING --history-->)
 * answered;  WAITING, READING --bus away--> refused.
 * Answered: ON, or PAUSED when the session has no room --gw_channels_continue--> WAITING,
 * (READING, as often as needed) --> ON;  READING --bus away--> WAITING, and tried again;
 * any --promise broken--> LOST
 *
 * Promise: each subscriber sees every durable push behind its position once, in order of offset,
 * then live ones, or is told recovered = false, or is lost (closed with a reconnect code). How a
 * gap is found and repaired stands in feed.h, how history is proven whole in history.h.
 *
 * recovered is true when all that was missed since the position follows. It is false, and what is
 * kept follows, when something behind the position was removed, when the position is of another
 * epoch or beyond the stream's end (then all that is kept follows), and when its epoch is ""
 * (likewise). It is false, and nothing follows, without a position.
 */
#ifndef GW_CHANNEL_H
#define GW_CHANNEL_H

#include "common/envelope.h"
#include "common/err.h"
#include "gateway/link.h"
#include "gateway/message.h"

#define CHANNEL_LINGER_MS 5000

struct gw_burst;
struct gw_channels;
struct gw_signal;
struct gw_subscriber;

/* What a channel tells a session; all on the loop. session is the pointer given to
 * gw_channels_join. The session may leave (this channel or others) inside each of them, save
 * refused. */
struct gw_channel_events {
    /* Answer to join, once: epoch is borrowed. Missed pushes and values follow through deliver, as
     * there is room for them; then live ones. */
    void (*subscribed)(void *session, struct gw_subscriber *sub, const char *epoch, uint64_t offset,
                       bool recovered, uint32_t missed);
    /* Join failed (the bus is away, time-out): the subscriber is gone when this returns. Do not
     * join again inside. */
    void (*refused)(void *session, struct gw_subscriber *sub, enum yz_err err);
    /* A push or value; take a reference to keep it. Called only after subscribed. live: it comes
     * when it comes; else the session had room when its join's history (a push) or the end of it
     * (values, all of them) was handed on. */
    void (*deliver)(void *session, struct gw_message *msg, bool live);
    /* More of what was missed may come. After false nothing comes to this subscriber until
     * gw_channels_continue; do nothing else inside. */
    bool (*has_room)(void *session);
    /* The channel's promise cannot be kept; close the session with this code. May be called for
     * many sessions in a row: close later in the loop turn, not inside. */
    void (*lost)(void *session, enum yz_close close);
    /* Instead of deliver, when all of these live pushes and values are for everybody. false:
     * nothing was done, they come one by one. Leave nothing inside. NULL: never. */
    bool (*burst)(void *session, struct gw_burst *burst);
    /* Another member's signal. false: the session has no use for it now. Leave nothing inside.
     * NULL: never. */
    bool (*signal)(void *session, struct gw_signal *signal);
    /* A burst follows soon: have in the processor's cache what it takes. NULL: no need. */
    void (*near)(void *session);
};

YZ_MUST_USE enum yz_err gw_channels_new(const struct yz_conf *conf, uv_loop_t *loop,
                                        struct gw_link *link, struct gw_metrics *metrics,
                                        const struct gw_channel_events *events,
                                        struct gw_channels **channels);
/* Subscribers that are left are freed without a call. Run the loop once more for its handles. */
void gw_channels_free(struct gw_channels *channels);

struct gw_since {
    bool given;        /* false: from now on */
    const char *epoch; /* "": from the beginning of what is kept */
    uint64_t offset;
};
/* Authority was checked by the caller. actor is borrowed until leave (for the audience of each
 * push). request comes back by gw_subscriber_request. Answers later through events, never inside
 * this call. */
YZ_MUST_USE enum yz_err gw_channels_join(struct gw_channels *channels, const struct yz_actor *actor,
                                         const char *channel, struct gw_since since, void *session,
                                         uint32_t request, struct gw_subscriber **sub);
/* The session has room again: go on, later in the loop turn. Nothing happens to who did not wait
 * for it. */
void gw_channels_continue(struct gw_channels *channels, struct gw_subscriber *sub);
void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub);
/* Tell the others that hold the channel, on every gateway, a signal (signal.h) of its member's;
 * authority and rate were checked. YZ_BUSY, YZ_BUS_UNAVAILABLE: nobody was told; YZ_OK says
 * nothing. */
YZ_MUST_USE enum yz_err gw_channels_signal(struct gw_channels *channels, struct gw_subscriber *sub,
                                           int kind);
/* Channels held by this process. */
size_t gw_channels_count(const struct gw_channels *channels);

uint32_t gw_subscriber_request(const struct gw_subscriber *sub);
const char *gw_subscriber_channel(const struct gw_subscriber *sub);

#endif
