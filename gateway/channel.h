/* channel.h: channels with sessions of this process in them: live pushes, history, gaps, values.
 *
 * Lifetime  a channel exists while it has a subscriber (and CHANNEL_LINGER_MS longer); a
 * gw_subscriber from gw_channels_join until gw_channels_leave, which the session calls (also when
 * it dies, also after on_lost), or until refused. Thread    loop. Limits    history is read in
 * pages; a channel buffers at most FEED_PENDING_MAX live messages while its stream is being read
 * (then it reads again). A session's own backlog is the session's to bound; the missed pushes of a
 * join come all at once and are shared between sessions, so they are no sign of a slow reader.
 * States    of a subscriber: WAITING --channel known--> (READING --history-->) ON;  WAITING,
 * READING --bus away--> refused; ON --promise broken--> LOST
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

struct gw_channels;
struct gw_subscriber;

/* What a channel tells a session; all on the loop. session is the pointer given to
 * gw_channels_join. The session may leave (this channel or others) inside each of them, save
 * refused. */
struct gw_channel_events {
    /* Answer to join: epoch is borrowed. Missed pushes and values follow through deliver, at once.
     */
    void (*subscribed)(void *session, struct gw_subscriber *sub, const char *epoch, uint64_t offset,
                       bool recovered, uint32_t missed);
    /* Join failed (the bus is away, time-out): the subscriber is gone when this returns. Do not
     * join again inside. */
    void (*refused)(void *session, struct gw_subscriber *sub, enum yz_err err);
    /* A push or value; take a reference to keep it. Called only after subscribed. */
    void (*deliver)(void *session, struct gw_message *msg);
    /* The channel's promise cannot be kept; close the session with this code. May be called for
     * many sessions in a row: close later in the loop turn, not inside. */
    void (*lost)(void *session, enum yz_close close);
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
void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub);
/* Channels held by this process. */
size_t gw_channels_count(const struct gw_channels *channels);

uint32_t gw_subscriber_request(const struct gw_subscriber *sub);
const char *gw_subscriber_channel(const struct gw_subscriber *sub);

#endif
