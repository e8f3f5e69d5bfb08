#include "gateway/session_private.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/signal.h"
#include "schemas/contract.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNREADABLE_MAX 32
#define RETRY_AFTER_MS 1000
#define EXCESS_MAX     64
#define ARENA_MAX      (4 << 20)
#define SCRATCH_MAX    (8 << 20)

enum yz_err gw_sessions_new(const struct gw_session_parts *parts, struct gw_sessions **out)
{
    struct gw_sessions *all = calloc(1, sizeof *all);

    if (!all)
        return YZ_INTERNAL;
    all->parts = *parts;
    all->due_ms = INT64_MAX;
    all->serials = gw_serials_new((size_t)parts->conf->sessions_max, 0);
    if (!all->serials) {
        free(all);
        return YZ_INTERNAL;
    }
    yz_arena_init(&all->arena, ARENA_MAX);
    yz_buf_init(&all->scratch, SCRATCH_MAX);
    *out = all;
    return YZ_OK;
}

void gw_sessions_free(struct gw_sessions *all)
{
    if (!all)
        return;
    for (size_t i = 0; i < gw_serials_span(all->serials); i++) {
        struct gw_session *session = gw_serials_at(all->serials, i);

        if (session)
            gw_session_free(session);
    }
    yz_arena_deinit(&all->arena);
    yz_buf_deinit(&all->scratch);
    gw_serials_free(all->serials);
    free(all);
}

size_t gw_sessions_count(const struct gw_sessions *all)
{
    return gw_serials_count(all->serials);
}

size_t gw_sessions_backlog(const struct gw_sessions *all, size_t *waiting)
{
    size_t bytes = 0;

    *waiting = 0;
    for (size_t i = 0; i < gw_serials_span(all->serials); i++) {
        const struct gw_session *session = gw_serials_at(all->serials, i);

        if (!session)
            continue;
        bytes += session->outbox.bytes;
        *waiting += session->outbox.bytes > 0;
    }
    return bytes;
}

void gw_session_change_state(struct gw_session *session, enum gw_session_state to)
{
    assert((session->state == HELLO && to == OPEN) || (session->state != CLOSING && to == CLOSING));
    session->state = to;
}

static void wake(struct gw_session *session)
{
    session->all->parts.output->wake(session->peer);
}

/* Move the scratch buffer, in which a frame was encoded, into the outbox. */
static bool queue_scratch(struct gw_session *session)
{
    struct yz_buf *scratch = &session->all->scratch;
    uint8_t *bytes = scratch->failed ? NULL : malloc(scratch->len);
    size_t len = scratch->len;

    if (bytes)
        memcpy(bytes, scratch->data, len);
    scratch->len = 0;
    scratch->failed = false;
    gw_backlog_adding(&session->backlog, session->outbox.bytes);
    if (!bytes || !gw_outbox_reply(&session->outbox, bytes, len))
        return false;
    wake(session);
    return true;
}

void gw_session_close(struct gw_session *session, enum yz_close close)
{
    const struct gw_session_parts *parts = &session->all->parts;

    if (session->state == CLOSING)
        return;
    gw_session_change_state(session, CLOSING);
    session->close = close;
    if (close == YZ_CLOSE_SLOW_READER)
        yz_count(&parts->metrics->slow_readers, 1);
    yz_debug("session_closing", "session=%" PRIx64 " reason=%s", session->serial,
             yz_close_code(close));
    gw_frame_closing(&session->all->scratch, session->encoding, close,
                     (uint32_t)parts->conf->reconnect_spread_ms);
    if (!queue_scratch(session))
        wake(session); /* out of memory: closed without the reason */
}

static void bound_backlog(struct gw_session *session)
{
    if (gw_backlog_exceeded(&session->backlog, session->outbox.bytes))
        gw_session_close(session, YZ_CLOSE_SLOW_READER);
}

void gw_session_reply(struct gw_session *session)
{
    if (session->state == CLOSING) {
        session->all->scratch.len = 0;
        return;
    }
    if (!queue_scratch(session))
        gw_session_close(session, YZ_CLOSE_GOING_AWAY);
    else
        bound_backlog(session);
}

static void refuse_later(struct gw_session *session, uint32_t id, const struct yz_violation *v,
                         uint32_t retry_after_ms)
{
    yz_count(&session->all->parts.metrics->frames_refused, 1);
    yz_count(&session->all->parts.metrics->refused[v->err], 1);
    gw_frame_error(&session->all->scratch, session->encoding, id, v, retry_after_ms);
    gw_session_reply(session);
}

void gw_session_refuse(struct gw_session *session, uint32_t id, const struct yz_violation *v)
{
    uint32_t retry_ms = v->retry_after_ms ? v->retry_after_ms : gw_jitter_ms(RETRY_AFTER_MS);

    refuse_later(session, id, v, yz_err_temporary(v->err) ? retry_ms : 0);
}

void gw_session_refuse_with(struct gw_session *session, uint32_t id, enum yz_err err,
                            const char *field, const char *text)
{
    struct yz_violation v;

    (void)yz_violate(&v, err, field, text);
    gw_session_refuse(session, id, &v);
}

void gw_session_lower_due(struct gw_sessions *all, int64_t due_ms)
{
    if (due_ms < all->due_ms)
        all->due_ms = due_ms;
}

static void note_count(struct gw_sessions *all)
{
    atomic_store(&all->parts.metrics->sessions, (int64_t)gw_serials_count(all->serials));
}

enum yz_err gw_session_open(struct gw_sessions *all, enum gw_encoding encoding, void *peer,
                            struct gw_session **out)
{
    const struct yz_conf *conf = all->parts.conf;
    struct gw_session *session = calloc(1, sizeof *session);

    if (!session)
        return YZ_BUSY;
    session->serial = gw_serials_add(all->serials, session);
    if (session->serial == 0) {
        free(session);
        return YZ_BUSY;
    }
    session->all = all;
    session->peer = peer;
    session->encoding = encoding;
    session->opened_ms = session->heard_ms = yz_clock_mono_ms();
    gw_backlog_init(&session->backlog, (size_t)conf->session_backlog_max_bytes);
    gw_bucket_init(&session->bucket, conf->session_frames_burst, session->opened_ms);
    gw_session_lower_due(all, session->opened_ms + conf->hello_timeout_ms);
    note_count(all);
    yz_count(&all->parts.metrics->sessions_opened, 1);
    *out = session;
    return YZ_OK;
}

void gw_session_free(struct gw_session *session)
{
    struct gw_sessions *all = session->all;

    gw_hello_end(session);
    gw_outbox_deinit(&session->outbox);
    gw_serials_remove(all->serials, session->serial);
    note_count(all);
    free(session);
}

static int64_t earliest(int64_t a, int64_t b, int64_t c)
{
    int64_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* When the session is to be looked at again; and closed now if that is past. */
static int64_t check_deadline(struct gw_session *session, int64_t now_ms, int64_t wall_ms)
{
    const struct yz_conf *conf = session->all->parts.conf;
    int64_t idle_ms = session->heard_ms + conf->idle_timeout_ms;
    int64_t stuck_ms =
        gw_backlog_stuck_ms(&session->backlog, session->outbox.bytes, conf->idle_timeout_ms);
    int64_t expires_ms = now_ms + session->identity.expires_at_ms - wall_ms;

    switch (session->state) {
    case HELLO:
        if (session->opened_ms + conf->hello_timeout_ms <= now_ms)
            gw_session_close(session, YZ_CLOSE_HELLO_TIMEOUT);
        return session->opened_ms + conf->hello_timeout_ms;
    case OPEN:
        if (expires_ms <= now_ms)
            gw_session_close(session, YZ_CLOSE_SESSION_EXPIRED);
        else if (idle_ms <= now_ms)
            gw_session_close(session, YZ_CLOSE_IDLE);
        else if (stuck_ms <= now_ms)
            gw_session_close(session, YZ_CLOSE_SLOW_READER);
        return earliest(expires_ms, idle_ms, stuck_ms);
    case CLOSING: /* the connection has a time-out of its own */
        break;
    }
    return INT64_MAX;
}

void gw_sessions_tick(struct gw_sessions *all)
{
    int64_t now_ms = yz_clock_mono_ms(), wall_ms = yz_clock_wall_ms(), due_ms = INT64_MAX;

    if (now_ms < all->due_ms)
        return;
    for (size_t i = 0; i < gw_serials_span(all->serials); i++) {
        struct gw_session *session = gw_serials_at(all->serials, i);
        int64_t each_ms = session ? check_deadline(session, now_ms, wall_ms) : INT64_MAX;

        /* One that was closed just now is not looked at again. */
        if (each_ms > now_ms && each_ms < due_ms)
            due_ms = each_ms;
    }
    all->due_ms = due_ms;
}

void gw_sessions_judge(struct gw_sessions *all)
{
    for (size_t i = 0; i < gw_serials_span(all->serials); i++) {
        struct gw_session *session = gw_serials_at(all->serials, i);

        if (!session || session->state != OPEN ||
            gw_auth_judge(all->parts.auth, &session->identity) != YZ_TOKEN_REVOKED)
            continue;
        yz_count(&all->parts.metrics->sessions_revoked, 1);
        gw_session_close(session, YZ_CLOSE_SESSION_REVOKED);
    }
}

size_t gw_sessions_dismiss(struct gw_sessions *all, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < gw_serials_span(all->serials); i++) {
        struct gw_session *session = gw_serials_at(all->serials, i);

        if (!session || session->state == CLOSING)
            continue;
        if (count > 0) {
            gw_session_close(session, YZ_CLOSE_GOING_AWAY);
            count--;
        } else {
            left++;
        }
    }
    return left;
}

uint64_t gw_session_serial(const struct gw_session *session)
{
    return session->serial;
}

size_t gw_session_next(const struct gw_session *session)
{
    return gw_outbox_next(&session->outbox);
}

size_t gw_session_take(struct gw_session *session, uint8_t *to, size_t room)
{
    size_t len = gw_outbox_take(&session->outbox, session->encoding, to, room);

    if (len > 0 && gw_backlog_taken(&session->backlog, session->outbox.bytes) && !session->greeting)
        gw_hello_continue(session);
    return len;
}

enum yz_close gw_session_done(const struct gw_session *session)
{
    return session->state == CLOSING && gw_outbox_next(&session->outbox) == 0 ? session->close
                                                                              : YZ_CLOSE_NONE;
}

bool gw_session_open_now(const struct gw_session *session)
{
    return session->state == OPEN;
}

bool gw_session_closing(const struct gw_session *session)
{
    return session->state == CLOSING;
}

static void on_deliver(void *arg, struct gw_message *msg, bool live)
{
    struct gw_session *session = arg;

    if (session->state == CLOSING)
        return;
    assert(!session->greeting);
    gw_backlog_adding(&session->backlog, session->outbox.bytes);
    if (!gw_outbox_push(&session->outbox, session->encoding, msg)) {
        /* Out of memory. A push cannot be left out: the client resumes from where it is. */
        gw_session_close(session, YZ_CLOSE_CHANNEL_LOST);
        return;
    }
    wake(session);
    if (live)
        bound_backlog(session);
    else
        gw_backlog_allow(&session->backlog, session->outbox.bytes);
}

/* Nothing waits: the message that all receivers share goes straight to the connection. */
static bool on_burst(void *arg, struct gw_burst *burst)
{
    struct gw_session *session = arg;
    const struct gw_session_output *output = session->all->parts.output;
    const struct gw_wire *wire;

    if (session->state != OPEN || session->outbox.count > 0 || !output->write)
        return false;
    assert(!session->greeting);
    wire = gw_burst_wire(burst, session->encoding);
    return wire && output->write(session->peer, wire);
}

/* Written now or never: it must not wait, for what waits counts against a slow reader. */
static bool on_signal(void *arg, struct gw_signal *signal)
{
    struct gw_session *session = arg;
    const struct gw_session_output *output = session->all->parts.output;
    const struct gw_wire *wire;

    if (session->state != OPEN || session->greeting || session->outbox.count > 0 ||
        !(wire = gw_signal_wire(signal, session->encoding)))
        return false;
    if (output->write && output->write(session->peer, wire))
        return true;
    if (!output->clear || !output->clear(session->peer))
        return false;
    yz_buf_append(&session->all->scratch, gw_wire_payload(wire), wire->payload_len);
    return queue_scratch(session);
}

static void on_near(void *arg)
{
    gw_prefetch(((const struct gw_session *)arg)->peer);
}

static bool on_has_room(void *arg)
{
    struct gw_session *session = arg;

    /* At the Welcome all of them go on. */
    return session->state != CLOSING && !session->greeting &&
           gw_backlog_has_room(&session->backlog, session->outbox.bytes);
}

static const struct gw_address *address_of(const struct gw_session *session)
{
    const struct gw_session_output *output = session->all->parts.output;

    return output->address ? output->address(session->peer) : NULL;
}

static void emit(struct gw_session *session, const struct gw_frame *frame)
{
    struct gw_ticket ticket = {.session = session->serial, .request = frame->id};
    struct gw_emit emit = frame->emit;
    struct yz_violation v = {0};

    emit.from = address_of(session);
    if (gw_intake_event(session->all->parts.intake, &session->identity.actor, ticket, &emit, &v) !=
        YZ_OK)
        gw_session_refuse(session, frame->id, &v);
}

static void query(struct gw_session *session, const struct gw_frame *frame)
{
    struct gw_ticket ticket = {.session = session->serial, .request = frame->id};
    struct gw_ask ask = frame->ask;
    struct yz_violation v = {0};

    ask.from = address_of(session);
    if (gw_intake_query(session->all->parts.intake, &session->identity.actor, ticket, &ask, &v) !=
        YZ_OK)
        gw_session_refuse(session, frame->id, &v);
}

static void handle(struct gw_session *session, const struct gw_frame *frame)
{
    if (session->state == HELLO && frame->kind != GW_HELLO && frame->kind != GW_PING) {
        gw_session_refuse_with(session, frame->id, YZ_HELLO_FIRST, NULL, NULL);
        return;
    }
    switch (frame->kind) {
    case GW_HELLO:
        if (session->state == HELLO)
            gw_hello_open(session, frame);
        else
            gw_hello_renew(session, frame);
        break;
    case GW_SUBSCRIBE:
        gw_hello_subscribe(session, frame);
        break;
    case GW_UNSUBSCRIBE:
        gw_hello_unsubscribe(session, frame);
        break;
    case GW_EMIT:
        emit(session, frame);
        break;
    case GW_QUERY:
        query(session, frame);
        break;
    case GW_SIGNAL:
        gw_hello_signal(session, frame);
        break;
    case GW_PING:
        gw_frame_pong(&session->all->scratch, session->encoding, frame->id, yz_clock_wall_ms());
        gw_session_reply(session);
        break;
    }
}

/* After some refusals the connection is left alone for a moment: refusing costs, waiting does not.
 */
static void note_refusal(struct gw_session *session)
{
    yz_count(&session->all->parts.metrics->frames_rate_limited, 1);
    if (++session->excess < EXCESS_MAX)
        return;
    session->excess = 0;
    session->all->parts.output->rest(session->peer);
}

/* 0: the frame may be read. Else the milliseconds until there is room for one; it may be closed. */
static uint32_t over_rate(struct gw_session *session)
{
    const struct gw_session_parts *parts = &session->all->parts;
    const struct yz_conf *conf = parts->conf;

    switch (gw_bucket_take(&session->bucket, conf->session_frames_per_s, conf->session_frames_burst,
                           session->heard_ms)) {
    case GW_ALLOWED:
        return parts->output->spend(session->peer, session->heard_ms);
    case GW_FLOOD:
        gw_session_close(session, YZ_CLOSE_FLOOD);
        break;
    case GW_REFUSED:
        break;
    }
    return gw_bucket_wait_ms(&session->bucket, conf->session_frames_per_s);
}

/* true: the frame may be read. */
static bool within_rate(struct gw_session *session, const void *data, size_t len)
{
    struct yz_violation v;
    uint32_t wait_ms = over_rate(session);

    if (wait_ms == 0)
        return true;
    note_refusal(session);
    if (session->state == CLOSING)
        return false;
    (void)yz_violate(&v, YZ_RATE_LIMITED, NULL, NULL);
    refuse_later(session, gw_frame_id(session->encoding, data, len), &v, gw_jitter_ms(wait_ms + 1));
    return false;
}

void gw_session_fragment(struct gw_session *session)
{
    if (session->state == CLOSING)
        return;
    session->heard_ms = yz_clock_mono_ms();
    if (over_rate(session) > 0)
        note_refusal(session);
}

void gw_session_frame(struct gw_session *session, const void *data, size_t len, bool binary)
{
    struct yz_arena *arena = &session->all->arena;
    struct yz_violation v = {0};
    struct gw_frame frame;
    bool good;

    if (session->state == CLOSING)
        return;
    session->heard_ms = yz_clock_mono_ms();
    yz_count_own(&session->all->parts.metrics->frames_received, 1);
    if (!within_rate(session, data, len))
        return;
    yz_arena_reset(arena);
    memset(&frame, 0, sizeof frame);
    if (binary != (session->encoding == GW_PROTOBUF))
        good = yz_violate(&v, YZ_BAD_FRAME, NULL,
                          binary ? "This subprotocol takes text messages."
                                 : "This subprotocol takes binary messages.") == YZ_OK;
    else
        good = gw_frame_decode(session->encoding, data, len, arena, &frame, &v) == YZ_OK;
    if (good) {
        session->unreadable = 0;
        handle(session, &frame);
        return;
    }
    gw_session_refuse(session, frame.id, &v);
    if (++session->unreadable >= UNREADABLE_MAX)
        gw_session_close(session, YZ_CLOSE_PROTOCOL_ERROR);
}

void gw_sessions_accepted(void *arg, struct gw_ticket ticket, const char *event_id, enum yz_err err,
                          uint64_t sequence, bool duplicate)
{
    struct gw_sessions *all = arg;
    struct gw_session *session = gw_serials_find(all->serials, ticket.session);

    if (!session || session->state == CLOSING)
        return;
    if (err != YZ_OK) {
        gw_session_refuse_with(session, ticket.request, err, NULL, NULL);
        return;
    }
    gw_frame_accepted(&all->scratch, session->encoding, ticket.request, event_id, sequence,
                      duplicate);
    gw_session_reply(session);
}

void gw_sessions_answered(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                          const struct yz_violation *v, const void *payload, size_t len)
{
    struct gw_sessions *all = arg;
    struct gw_session *session = gw_serials_find(all->serials, ticket.session);

    if (!session || session->state == CLOSING)
        return;
    if (err != YZ_OK) {
        struct yz_violation located = *v;

        gw_intake_locate(&located);
        gw_session_refuse(session, ticket.request, &located);
        return;
    }
    gw_frame_answer(&all->scratch, session->encoding, ticket.request, type, payload, len);
    gw_session_reply(session);
}

static void on_lost(void *arg, enum yz_close close)
{
    gw_session_close(arg, close);
}

const struct gw_channel_events gw_session_channel_events = {
    .subscribed = gw_hello_subscribed,
    .refused = gw_hello_refused,
    .deliver = on_deliver,
    .has_room = on_has_room,
    .lost = on_lost,
    .burst = on_burst,
    .signal = on_signal,
    .near = on_near,
};
