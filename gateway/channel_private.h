/* channel_private.h: what channel.c (channels: their life, their feed and values), join.c (their
 * subscribers: how a join is answered) and fanout.c (live pushes) share. Nobody else includes it.
 *
 * Lifetime  as in channel.h.
 * Thread    loop.
 */
#ifndef GW_CHANNEL_PRIVATE_H
#define GW_CHANNEL_PRIVATE_H

#include "gateway/burst.h"
#include "gateway/channel.h"
#include "gateway/feed.h"
#include "gateway/gather.h"
#include "gateway/limits.h"
#include "gateway/metrics.h"
#include "gateway/signal.h"
#include "gateway/value.h"

#include "common/table.h"

/* See channel.h. From ON on they are in the channel's list `on`. */
enum gw_subscriber_state { WAITING, READING, ON, PAUSED, LOST };

struct gw_subscriber {
    /* first what every delivery looks at */
    TAILQ_ENTRY(gw_subscriber) entry;
    void *session;
    uint64_t position; /* since's offset, later that of the last push sent */
    enum gw_subscriber_state state;
    uint32_t request;
    struct gw_channel *channel;
    const struct yz_actor *actor;
    bool since_given;
    bool answered;
    uint64_t next; /* what must come next of the history, 0: not known, or nothing */
    bool checked;  /* the stream's end was read after the join */
    /* until then a stream that ends too early may be that of a replica that is cut off; 0: not met
     */
    int64_t doubt_until_mono_ms;
    unsigned tries;
    char epoch[]; /* of the position; "": none */
};

TAILQ_HEAD(gw_subscriber_list, gw_subscriber);

struct gw_channel {
    UT_hash_handle hh; /* by "<tenant>\n<channel>" */
    struct gw_channels *owner;
    const char *name, *org_path, *subject, *values_filter; /* behind key, in the same memory */
    struct gw_tap *tap, *values_tap;
    struct gw_tap *signals_tap; /* of a thread; else NULL */
    struct gw_feed feed;
    struct gw_watch values_watch;
    struct gw_values values;
    bool inbox; /* member.<id> */
    bool loading, feed_loaded, values_loaded;
    struct gw_subscriber_list joining, on; /* WAITING and READING; the others */
    size_t on_count;
    struct gw_burst *burst;        /* live pushes of this turn; NULL: none */
    struct gw_subscriber *cursor;  /* the next of a walk over one of them */
    struct gw_subscriber *serving; /* NULL once it left inside a call */
    struct gw_read read;
    bool read_ready; /* its result waits to be handed out */
    struct gw_barrier barrier;
    TAILQ_ENTRY(gw_channel) dirty_entry, idle_entry, retry_entry;
    bool dirty, idle, retry; /* in which lists it is */
    int64_t idle_due_mono_ms;
    char key[];
};

TAILQ_HEAD(gw_channel_list, gw_channel);

struct gw_channels_handles;

struct gw_channels {
    struct gw_link *link;
    struct gw_metrics *metrics;
    struct gw_channel_events events;
    struct gw_audit *audit;
    struct gw_history *history;
    struct gw_feeds *feeds;
    struct gw_channels_handles *handles;
    struct gw_channel *by_key;
    struct gw_channel_list dirty;  /* with something to do at the end of this loop turn */
    struct gw_channel_list idle;   /* without subscribers, in the order of their end */
    struct gw_channel_list retry;  /* read again at the next tick */
    TAILQ_HEAD(, gw_burst) bursts; /* to be handed on at the end of this loop turn */
    TAILQ_HEAD(, gw_burst) held;   /* of threads with many viewers, in the order of their ends */
    size_t batch_viewers;          /* a thread with more subscribers is handed on in batches */
    int64_t batch_ms;              /* for so long; 0: never */
    struct gw_burst *spare;        /* empty; or NULL */
    struct gw_gather *gather;
    int64_t signals_per_s, signal_deliveries_per_s;
    struct gw_bucket signals, signal_deliveries;
};

static inline const struct gw_stream *gw_channel_stream(const struct gw_channel *c)
{
    return gw_streams_get(gw_link_streams(c->owner->link), c->feed.stream);
}

/* channel.c */

/* It has something to do at the end of this loop turn. */
void gw_channel_touch(struct gw_channel *c);
/* A burst is to be handed on at the end of this loop turn. */
void gw_channel_turn(struct gw_channels *owner);
/* The same in so many milliseconds, unless an earlier time was said. */
void gw_channel_turn_later(struct gw_channels *owner, int64_t in_ms);
/* It may have lost its last subscriber. */
void gw_channel_set_idle(struct gw_channel *c);
/* Read its history again at the next tick. */
void gw_channel_retry_later(struct gw_channel *c);

/* join.c */

/* Answer joins, of a channel that is loaded, and go on with those that were paused, as far as one
 * loop turn goes; true: some are left that can get on. */
bool gw_join_advance(struct gw_channel *c);
/* Forget what was asked for the joins; they wait for the channel again. */
void gw_join_reset(struct gw_channel *c);
void gw_join_refuse_all(struct gw_channel *c, enum yz_err err);
/* Hand a push or value to c->serving, if that one may see it. */
void gw_join_hand(struct gw_channel *c, struct gw_message *msg, bool live);
/* The promise to each that was answered is broken. */
void gw_join_lose_all(struct gw_channel *c, enum yz_close close);
void gw_join_free(struct gw_subscriber *sub);

/* fanout.c: a live push, to all subscribers. */

/* Hand it to those that are on, at the end of this loop turn, together with what else comes until
 * then. In a thread with more than batch_viewers of them that is gathered for batch_ms: a message
 * costs one write for each. Settle a channel before anybody joins it. */
void gw_fanout_add(struct gw_channel *c, struct gw_message *msg);
/* Hand on at once what waits for that. */
void gw_fanout_settle(struct gw_channel *c);
void gw_fanout_settle_all(struct gw_channels *owner);
/* More of the same is about to come: settle later, gw_channel_turn is called. */
bool gw_fanout_waits(struct gw_channels *owner);
/* Forget it. */
void gw_fanout_drop(struct gw_channel *c);
/* A signal came from the bus: hand it on at once, or drop it. */
void gw_fanout_signal(void *channel, natsMsg *bus);

#endif
