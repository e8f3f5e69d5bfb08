/* feed.h: the durable pushes of one channel as one unbroken chain: live messages, gaps found and
 * repaired.
 *
 * Lifetime  gw_feeds one per process; a gw_feed lies in its channel, from gw_feed_open until
 * gw_feed_close. Thread    loop. Limits    FEED_PENDING_MAX live messages wait while the stream is
 * read; beyond it they are dropped and read again. States    LOADING --last message known--> LIVE
 * --gap--> REPAIRING --read--> LIVE;  any --gw_feed_open again--> LOADING
 *
 * A republished message names its predecessor on its subject. When that is newer than what was
 * seen, something was lost on the way, and it is read from the stream before the chain goes on. A
 * lost last message is found by the audit.
 */
#ifndef GW_FEED_H
#define GW_FEED_H

#include "gateway/audit.h"
#include "gateway/history.h"
#include "gateway/message.h"
#include "gateway/recent.h"

#define FEED_PENDING_MAX 1024

struct gw_feeds;

enum gw_feed_state { GW_FEED_CLOSED, GW_FEED_LOADING, GW_FEED_LIVE, GW_FEED_REPAIRING };

struct gw_feed_events {
    /* The end of LOADING; on an error the feed is closed. */
    void (*loaded)(void *arg, enum yz_err err);
    /* The next push of the chain; borrowed. */
    void (*push)(void *arg, struct gw_message *msg);
    /* A gap that cannot be repaired. The chain goes on behind it. */
    void (*lost)(void *arg);
};

struct gw_pended {
    struct gw_message *msg;
    uint64_t previous;
};

struct gw_feed {
    /* Set by the caller; borrowed. */
    enum gw_stream_id stream;
    const char *subject, *channel;
    void *arg;

    /* Read only. Everything up to `seen` was pushed (or was there before); nothing else exists up
     * to `covered`. */
    enum gw_feed_state state;
    uint64_t seen, covered;
    struct gw_recent recent;

    /* The feed's own. */
    struct gw_feeds *feeds;
    struct gw_watch watch;
    struct gw_barrier barrier;
    uint64_t request; /* to the stream's leader, while asking */
    bool asking;
    struct gw_read read;
    struct gw_pended *pending;
    size_t pending_count;
    bool overflowed;
    uint64_t found;   /* last message the current look has met */
    uint64_t suspect; /* a message that a look has met and that has not come; 0: none */
    unsigned tries;
    TAILQ_ENTRY(gw_feed) entry; /* in the list of those with something to do later */
    bool later;
    int64_t due_mono_ms;
};

YZ_MUST_USE enum yz_err gw_feeds_new(uv_loop_t *loop, struct gw_link *link, struct gw_audit *audit,
                                     struct gw_history *history, struct gw_metrics *metrics,
                                     const struct gw_feed_events *events, struct gw_feeds **feeds);
/* No feed may be open. */
void gw_feeds_free(struct gw_feeds *feeds);

/* Begin, or begin anew after a reset of the stream. The caller has subscribed to the live subject
 * before. While the bus is away loaded may come inside. */
void gw_feed_open(struct gw_feeds *feeds, struct gw_feed *feed);
void gw_feed_close(struct gw_feed *feed);
/* A republished message; borrowed. */
void gw_feed_take(struct gw_feed *feed, natsMsg *msg);
/* Messages may have been missed: look again now and soon. */
void gw_feed_resync(struct gw_feed *feed);
/* Take a whole read into `recent`, so that it serves who comes next. */
void gw_feed_remember(struct gw_feed *feed, const struct gw_read *read);

#endif
