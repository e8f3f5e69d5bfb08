#include "gateway/session_private.h"

#include "common/clock.h"
#include "gateway/signal.h"
#include "schemas/contract.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gw_hello_continue(struct gw_session *session)
{
    gw_backlog_resumed(&session->backlog);
    for (size_t i = 0; i < session->hold_count; i++)
        gw_channels_continue(session->all->parts.channels, session->holds[i].sub);
}

static void fill_welcome(struct gw_session *session, struct gw_welcome *welcome)
{
    const struct yz_conf *conf = session->all->parts.conf;

    memset(welcome, 0, sizeof *welcome);
    snprintf(welcome->session, sizeof welcome->session, "%" PRIx64, session->serial);
    welcome->member = session->identity.actor.member;
    welcome->tenant = session->identity.actor.tenant;
    welcome->now_ms = yz_clock_wall_ms();
    welcome->expires_at_ms = session->identity.expires_at_ms;
    welcome->ping_interval_ms = (uint32_t)conf->ping_interval_ms;
    welcome->max_frame_bytes = (uint32_t)conf->frame_max_bytes;
    welcome->reconnect_max_ms = (uint32_t)conf->reconnect_spread_ms;
}

/* The Welcome; what was missed follows. */
static void finish_greeting(struct gw_session *session)
{
    struct gw_greeting *greeting = session->greeting;
    struct gw_welcome welcome;

    session->greeting = NULL;
    for (size_t i = 0; i < session->hold_count; i++)
        session->holds[i].answered |= session->holds[i].welcome;
    fill_welcome(session, &welcome);
    welcome.subscribed = greeting->results;
    welcome.count = greeting->count;
    gw_frame_welcome(&session->all->scratch, session->encoding, greeting->id, &welcome);
    gw_session_reply(session);
    gw_greeting_free(greeting);
    gw_hello_continue(session);
}

static struct gw_hold *find_hold(struct gw_session *session, const struct gw_subscriber *sub)
{
    for (size_t i = 0; i < session->hold_count; i++) {
        if (session->holds[i].sub == sub)
            return &session->holds[i];
    }
    return NULL;
}

static struct gw_hold *find_channel(struct gw_session *session, const char *channel)
{
    for (size_t i = 0; i < session->hold_count; i++) {
        if (strcmp(gw_subscriber_channel(session->holds[i].sub), channel) == 0)
            return &session->holds[i];
    }
    return NULL;
}

static void drop_hold(struct gw_session *session, struct gw_hold *hold)
{
    *hold = session->holds[--session->hold_count];
}

static void leave(struct gw_session *session, struct gw_hold *hold)
{
    gw_channels_leave(session->all->parts.channels, hold->sub);
    drop_hold(session, hold);
}

static bool grow_holds(struct gw_session *session)
{
    size_t cap = session->hold_cap ? session->hold_cap * 2 : 4;
    struct gw_hold *holds;

    if (session->hold_count < session->hold_cap)
        return true;
    holds = realloc(session->holds, cap * sizeof *holds);
    if (!holds)
        return false;
    session->holds = holds;
    session->hold_cap = cap;
    return true;
}

/* May the session hold this channel (again)? A channel that it holds is left first: its new
 * position counts. */
static enum yz_err judge_wish(struct gw_session *session, const struct gw_wish *wish,
                              struct yz_violation *v)
{
    struct yz_channel channel;
    struct gw_hold *held;

    if (!yz_channel_parse(wish->channel, &channel))
        return yz_violate(v, YZ_UNKNOWN_CHANNEL, "channel", NULL);
    if (!yz_may_subscribe(&session->identity.actor, &channel))
        return yz_violate(v, YZ_FORBIDDEN, "channel", NULL);
    held = find_channel(session, wish->channel);
    if (held && !held->answered)
        return yz_violate(v, YZ_BUSY, "channel",
                          "The channel's earlier subscribe is not answered yet.");
    if (held)
        leave(session, held);
    if (session->hold_count >= (size_t)session->all->parts.conf->session_channels_max)
        return yz_violate(v, YZ_TOO_MANY_CHANNELS, "channel", NULL);
    return YZ_OK;
}

static enum yz_err join(struct gw_session *session, const struct gw_wish *wish, uint32_t request,
                        struct gw_subscriber **sub, struct yz_violation *v)
{
    enum yz_err err = judge_wish(session, wish, v);

    if (err != YZ_OK)
        return err;
    err = grow_holds(session)
              ? gw_channels_join(session->all->parts.channels, &session->identity.actor,
                                 wish->channel, wish->since, session, request, sub)
              : YZ_INTERNAL;
    if (err != YZ_OK)
        return yz_violate(v, err, NULL, NULL);
    session->holds[session->hold_count++] =
        (struct gw_hold){.sub = *sub, .signal_due_ms = session->signal_due_ms};
    return YZ_OK;
}

static void greet(struct gw_session *session, const struct gw_frame *frame)
{
    struct gw_greeting *greeting = gw_greeting_new(frame->id, frame->count);

    for (size_t i = 0; greeting && i < frame->count; i++) {
        struct yz_violation v = {0};
        struct gw_subscriber *sub = NULL;

        if (!gw_greeting_name(greeting, i, frame->wishes[i].channel)) {
            gw_greeting_free(greeting);
            greeting = NULL;
        } else if (join(session, &frame->wishes[i], frame->id, &sub, &v) == YZ_OK) {
            gw_greeting_wait(greeting, i, sub);
        } else {
            gw_greeting_refuse(greeting, i, &v);
        }
    }
    if (!greeting) {
        gw_session_close(session, YZ_CLOSE_GOING_AWAY); /* out of memory */
        return;
    }
    session->greeting = greeting;
    if (greeting->waiting == 0)
        finish_greeting(session);
}

static enum yz_err verify(struct gw_session *session, const struct gw_frame *frame,
                          struct gw_identity *identity, struct yz_violation *v)
{
    enum yz_err err;

    assert(frame->token); /* the decoder gives "" when there is none */
    err = gw_auth_verify(session->all->parts.auth, frame->token, strlen(frame->token),
                         yz_clock_wall_ms(), identity);
    return err == YZ_OK ? err : yz_violate(v, err, "token", NULL);
}

static void watch_expiry(struct gw_session *session)
{
    gw_session_lower_due(session->all,
                         yz_clock_mono_ms() + session->identity.expires_at_ms - yz_clock_wall_ms());
}

/* A token that could not be judged may be good somewhere else. */
static enum yz_close close_for(enum yz_err err)
{
    if (yz_err_temporary(err))
        return YZ_CLOSE_GOING_AWAY;
    return err == YZ_TOKEN_REVOKED ? YZ_CLOSE_SESSION_REVOKED : YZ_CLOSE_UNAUTHORIZED;
}

void gw_hello_open(struct gw_session *session, const struct gw_frame *frame)
{
    struct yz_violation v = {0};

    if (frame->count > (size_t)session->all->parts.conf->session_channels_max) {
        gw_session_refuse_with(session, frame->id, YZ_TOO_MANY_CHANNELS, "subscribe", NULL);
        return;
    }
    if (verify(session, frame, &session->identity, &v) != YZ_OK) {
        gw_session_refuse(session, frame->id, &v);
        gw_session_close(session, close_for(v.err));
        return;
    }
    gw_session_change_state(session, OPEN);
    watch_expiry(session);
    greet(session, frame);
}

/* Channels that the renewed token no longer covers are left, and named in the Welcome. */
static void leave_forbidden(struct gw_session *session, struct gw_greeting *greeting)
{
    for (size_t i = session->hold_count; i-- > 0;) {
        const char *name = gw_subscriber_channel(session->holds[i].sub);
        struct yz_violation v;
        struct yz_channel channel;

        if (yz_channel_parse(name, &channel) &&
            yz_may_subscribe(&session->identity.actor, &channel))
            continue;
        (void)yz_violate(&v, YZ_FORBIDDEN, "channel", NULL);
        if (gw_greeting_name(greeting, greeting->count, name))
            gw_greeting_refuse(greeting, greeting->count++, &v);
        if (!session->holds[i].answered)
            gw_session_refuse(session, gw_subscriber_request(session->holds[i].sub), &v);
        leave(session, &session->holds[i]);
    }
}

void gw_hello_renew(struct gw_session *session, const struct gw_frame *frame)
{
    struct gw_identity identity;
    struct yz_violation v = {0};

    if (session->greeting) {
        gw_session_refuse_with(session, frame->id, YZ_BUSY, NULL,
                               "The first hello is not answered yet.");
    } else if (frame->count > 0) {
        gw_session_refuse_with(session, frame->id, YZ_INVALID_VALUE, "subscribe",
                               "A hello that renews the token takes no channels; send subscribe.");
    } else if (verify(session, frame, &identity, &v) != YZ_OK) {
        gw_session_refuse(session, frame->id, &v);
    } else if (strcmp(identity.actor.member, session->identity.actor.member) != 0 ||
               strcmp(identity.actor.tenant, session->identity.actor.tenant) != 0) {
        gw_session_refuse_with(session, frame->id, YZ_TOKEN_OTHER_MEMBER, "token", NULL);
    } else {
        struct gw_greeting *greeting = gw_greeting_new(frame->id, session->hold_count);

        if (!greeting) {
            gw_session_refuse_with(session, frame->id, YZ_INTERNAL, NULL, NULL);
            return;
        }
        greeting->count = 0;
        session->identity = identity;
        session->greeting = greeting;
        leave_forbidden(session, greeting);
        watch_expiry(session);
        finish_greeting(session);
    }
}

void gw_hello_subscribe(struct gw_session *session, const struct gw_frame *frame)
{
    struct gw_subscriber *sub = NULL;
    struct yz_violation v = {0};

    if (join(session, &frame->wishes[0], frame->id, &sub, &v) != YZ_OK)
        gw_session_refuse(session, frame->id, &v);
}

void gw_hello_unsubscribe(struct gw_session *session, const struct gw_frame *frame)
{
    const char *channel = frame->wishes[0].channel;
    struct gw_hold *hold = find_channel(session, channel);

    if (!hold || !hold->answered) {
        gw_session_refuse_with(session, frame->id, YZ_NOT_SUBSCRIBED, "channel", NULL);
        return;
    }
    leave(session, hold);
    gw_frame_unsubscribed(&session->all->scratch, session->encoding, frame->id, channel);
    gw_session_reply(session);
}

static enum yz_err judge_signal(const struct gw_session *session, const struct gw_hold *hold,
                                const struct gw_sign *sign, struct yz_violation *v)
{
    const struct yz_actor *actor = &session->identity.actor;
    struct yz_channel channel;

    if (!yz_channel_parse(sign->channel, &channel))
        return yz_violate(v, YZ_UNKNOWN_CHANNEL, "channel", NULL);
    if (channel.kind != YZ_CHANNEL_THREAD)
        return yz_violate(v, YZ_INVALID_VALUE, "channel", "Only threads have this signal.");
    if (!hold || !hold->answered)
        return yz_violate(v, YZ_NOT_SUBSCRIBED, "channel", NULL);
    if (gw_signal_authorize(sign->kind, actor, channel.org_path) != YZ_OK)
        return yz_violate(v, YZ_FORBIDDEN, "channel", NULL);
    if (session->heard_ms >= hold->signal_due_ms)
        return YZ_OK;
    (void)yz_violate(v, YZ_RATE_LIMITED, NULL, NULL);
    v->retry_after_ms = (uint32_t)(hold->signal_due_ms - session->heard_ms);
    return v->err;
}

void gw_hello_signal(struct gw_session *session, const struct gw_frame *frame)
{
    const struct gw_session_parts *parts = &session->all->parts;
    struct gw_hold *hold = find_channel(session, frame->sign.channel);
    struct yz_violation v = {0};
    enum yz_err err = judge_signal(session, hold, &frame->sign, &v);

    if (err == YZ_OK && (err = gw_channels_signal(parts->channels, hold->sub, frame->sign.kind)))
        (void)yz_violate(&v, err, NULL, "The signal was not told to anybody.");
    if (err != YZ_OK) {
        gw_session_refuse(session, frame->id, &v);
        return;
    }
    hold->signal_due_ms = session->signal_due_ms =
        session->heard_ms + parts->conf->signal_interval_ms;
}

void gw_hello_subscribed(void *arg, struct gw_subscriber *sub, const char *epoch, uint64_t offset,
                         bool recovered, uint32_t missed)
{
    struct gw_session *session = arg;
    struct gw_hold *hold = find_hold(session, sub);
    struct gw_subscribed subscribed = {.channel = gw_subscriber_channel(sub),
                                       .epoch = epoch,
                                       .offset = offset,
                                       .recovered = recovered,
                                       .missed = missed};

    if (session->state == CLOSING || !hold)
        return;
    if (session->greeting &&
        gw_greeting_subscribed(session->greeting, sub, epoch, offset, recovered, missed)) {
        hold->welcome = true;
        if (session->greeting->waiting == 0)
            finish_greeting(session);
        return;
    }
    hold->answered = true;
    gw_frame_subscribed(&session->all->scratch, session->encoding, gw_subscriber_request(sub),
                        &subscribed);
    gw_session_reply(session);
}

void gw_hello_refused(void *arg, struct gw_subscriber *sub, enum yz_err err)
{
    struct gw_session *session = arg;
    struct gw_hold *hold = find_hold(session, sub);
    uint32_t request = gw_subscriber_request(sub);

    if (hold)
        drop_hold(session, hold);
    if (session->state == CLOSING)
        return;
    if (session->greeting && gw_greeting_refused(session->greeting, sub, err)) {
        if (session->greeting->waiting == 0)
            finish_greeting(session);
        return;
    }
    gw_session_refuse_with(session, request, err, NULL, NULL);
}

void gw_hello_end(struct gw_session *session)
{
    for (size_t i = 0; i < session->hold_count; i++)
        gw_channels_leave(session->all->parts.channels, session->holds[i].sub);
    free(session->holds);
    gw_greeting_free(session->greeting);
}
