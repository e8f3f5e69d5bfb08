/* no_bus.h: channels, uplink and queries that note what a session asks of them and answer as they
 * are told, for tests of sessions. Included once in a program: it stands in for channel.c, join.c,
 * uplink.c and query.c.
 *
 * Lifetime  none.
 * Thread    the test's.
 */
#ifndef NO_BUS_H
#define NO_BUS_H

#include "gateway/channel.h"
#include "gateway/query.h"
#include "gateway/signal.h"
#include "gateway/uplink.h"

#include <stdio.h>

struct gw_subscriber {
    char channel[YZ_CHANNEL_MAX];
    uint32_t request;
    struct gw_since since;
    bool left;
    int continued;
};

static struct gw_subscriber subs[64];
static size_t sub_count;
static enum yz_err join_result, emit_result, ask_result;
static struct gw_ticket last_ticket;
static struct yz_envelope last_envelope;
static int emits;
static enum yz_err signal_result;
static int signals;
static const struct gw_subscriber *last_signal;

enum yz_err gw_channels_join(struct gw_channels *channels, const struct yz_actor *actor,
                             const char *channel, struct gw_since since, void *session,
                             uint32_t request, struct gw_subscriber **sub)
{
    (void)channels;
    (void)actor;
    (void)session;
    if (join_result != YZ_OK)
        return join_result;
    *sub = &subs[sub_count++];
    snprintf((*sub)->channel, sizeof(*sub)->channel, "%s", channel);
    (*sub)->request = request;
    (*sub)->since = since;
    (*sub)->left = false;
    (*sub)->continued = 0;
    return YZ_OK;
}

void gw_channels_continue(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    assert_false(sub->left);
    sub->continued++;
}

void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    assert_false(sub->left);
    sub->left = true;
}

enum yz_err gw_channels_signal(struct gw_channels *channels, struct gw_subscriber *sub, int kind)
{
    (void)channels;
    assert_false(sub->left);
    assert_int_equal(kind, 1);
    last_signal = sub;
    signals++;
    return signal_result;
}

uint32_t gw_subscriber_request(const struct gw_subscriber *sub)
{
    return sub->request;
}

const char *gw_subscriber_channel(const struct gw_subscriber *sub)
{
    return sub->channel;
}

enum yz_err gw_uplink_emit(struct gw_uplink *uplink, struct gw_ticket ticket,
                           const struct yz_envelope *env, const char *domain, const void *payload,
                           size_t len)
{
    (void)uplink;
    (void)payload;
    assert_true(len > 0);
    assert_string_equal(domain, "thread");
    last_ticket = ticket;
    last_envelope = *env;
    emits++;
    return emit_result;
}

enum yz_err gw_query_ask(struct gw_query *query, struct gw_ticket ticket,
                         const struct yz_actor *actor, const char *type, const void *payload,
                         size_t len, uint64_t min_sequence)
{
    (void)query;
    (void)actor;
    (void)type;
    (void)payload;
    (void)len;
    (void)min_sequence;
    last_ticket = ticket;
    return ask_result;
}

#endif
