/* feed_rig.h: the feed of one channel in the test's process, behind the link of a rig, and what it
 * says, written down.
 *
 * Lifetime  feed_rig_start behind rig_start (or rig_link_start), feed_rig_stop before rig_stop.
 * Thread    the test's.
 * Limits    FEED_RIG_PUSHES pushes.
 */
#ifndef FEED_RIG_H
#define FEED_RIG_H

#include "rig.h"

#include "gateway/feed.h"

#define FEED_RIG_PUSHES 64
#define FEED_CHANNEL    "org.g1"
#define FEED_SUBJECT    "chan.t1." FEED_CHANNEL

struct feed_rig {
    struct rig *rig; /* borrowed */
    struct gw_audit *audit;
    struct gw_history *history;
    struct gw_feeds *feeds;
    struct gw_feed feed;
    bool loaded;
    int lost;
    uint64_t offsets[FEED_RIG_PUSHES];
    size_t count;
};

static inline void feed_rig_on_loaded(void *arg, enum yz_err err)
{
    assert_int_equal(err, YZ_OK);
    ((struct feed_rig *)arg)->loaded = true;
}

static inline void feed_rig_on_push(void *arg, struct gw_message *msg)
{
    struct feed_rig *channel = arg;

    assert_true(channel->count < FEED_RIG_PUSHES);
    channel->offsets[channel->count++] = gw_message_offset(msg);
}

static inline void feed_rig_on_lost(void *arg)
{
    ((struct feed_rig *)arg)->lost++;
}

/* All zero before; its feed is not opened yet. */
static inline void feed_rig_start(struct feed_rig *channel, struct rig *rig)
{
    static const struct gw_feed_events events = {feed_rig_on_loaded, feed_rig_on_push,
                                                 feed_rig_on_lost};

    channel->rig = rig;
    assert_int_equal(gw_audit_new(&rig->conf, &rig->loop, rig->link, &channel->audit), YZ_OK);
    assert_int_equal(
        gw_history_new(&rig->conf, &rig->loop, rig->link, &rig->metrics, &channel->history), YZ_OK);
    assert_int_equal(gw_feeds_new(&rig->loop, rig->link, channel->audit, channel->history,
                                  &rig->metrics, &events, &channel->feeds),
                     YZ_OK);
    channel->feed.stream = GW_CHANNELS;
    channel->feed.subject = FEED_SUBJECT;
    channel->feed.channel = FEED_CHANNEL;
    channel->feed.arg = channel;
}

/* Until it is loaded. */
static inline void feed_rig_open(struct feed_rig *channel)
{
    gw_feed_open(channel->feeds, &channel->feed);
    RIG_AWAIT(channel->rig, channel->loaded, 5000);
}

static inline void feed_rig_stop(struct feed_rig *channel)
{
    gw_feed_close(&channel->feed);
    gw_feeds_free(channel->feeds);
    gw_history_free(channel->history);
    gw_audit_free(channel->audit);
}

#endif
