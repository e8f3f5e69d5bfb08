/* session_private.h: what session.c (a session's life, its frames, what waits for it) and hello.c
 * (who it is, and which channels it holds) share. Nobody else includes it.
 *
 * Lifetime  as in session.h.
 * Thread    loop.
 * Limits    as in session.h.
 */
#ifndef GW_SESSION_PRIVATE_H
#define GW_SESSION_PRIVATE_H

#include "gateway/backlog.h"
#include "gateway/greeting.h"
#include "gateway/limits.h"
#include "gateway/outbox.h"
#include "gateway/serial.h"
#include "gateway/session.h"

enum gw_session_state {
    HELLO,   /* nobody yet */
    OPEN,    /* the token's member */
    CLOSING, /* the reason is queued; nothing is read any more */
};

/* A channel the session asked for. */
struct gw_hold {
    struct gw_subscriber *sub;
    bool answered;         /* and the client told */
    bool welcome;          /* its answer stands in the Welcome that is to come */
    int64_t signal_due_ms; /* its next signal may come then, monotonic */
};

struct gw_session {
    /* first what every delivery looks at */
    struct gw_sessions *all;
    void *peer;
    struct gw_outbox outbox;
    enum gw_encoding encoding;
    enum gw_session_state state;
    uint64_t serial;
    enum yz_close close;         /* once CLOSING */
    struct gw_identity identity; /* from OPEN on */
    int64_t opened_ms, heard_ms; /* monotonic */
    struct gw_bucket bucket;
    uint32_t unreadable; /* in a row */
    uint32_t excess;     /* refused frames since it was left alone */
    struct gw_backlog backlog;
    struct gw_greeting *greeting; /* NULL: no hello waits */
    struct gw_hold *holds;
    size_t hold_count, hold_cap;
    int64_t signal_due_ms; /* the latest of all its holds', also of those it left */
};

struct gw_sessions {
    struct gw_session_parts parts;
    struct gw_serials *serials;
    int64_t due_ms;        /* no session is due before it, monotonic */
    struct yz_arena arena; /* of the frame in hand */
    struct yz_buf scratch; /* of the reply in hand */
};

/* session.c */

/* The one place that writes a session's state. */
void gw_session_change_state(struct gw_session *session, enum gw_session_state to);
/* Queue the reply that was encoded in the scratch buffer. */
void gw_session_reply(struct gw_session *session);
void gw_session_refuse(struct gw_session *session, uint32_t id, const struct yz_violation *v);
void gw_session_refuse_with(struct gw_session *session, uint32_t id, enum yz_err err,
                            const char *field, const char *text);
/* A session is due at this monotonic time, or earlier. */
void gw_session_lower_due(struct gw_sessions *all, int64_t due_ms);

/* hello.c */

void gw_hello_open(struct gw_session *session, const struct gw_frame *frame);
/* A token for a session that is open already. */
void gw_hello_renew(struct gw_session *session, const struct gw_frame *frame);
void gw_hello_subscribe(struct gw_session *session, const struct gw_frame *frame);
void gw_hello_unsubscribe(struct gw_session *session, const struct gw_frame *frame);
/* Tell the others that hold the channel. */
void gw_hello_signal(struct gw_session *session, const struct gw_frame *frame);
/* There is room again for what its channels have kept back. */
void gw_hello_continue(struct gw_session *session);
/* Leave every channel, and forget the hello that waits. */
void gw_hello_end(struct gw_session *session);

/* Of gw_channel_events. */
void gw_hello_subscribed(void *arg, struct gw_subscriber *sub, const char *epoch, uint64_t offset,
                         bool recovered, uint32_t missed);
void gw_hello_refused(void *arg, struct gw_subscriber *sub, enum yz_err err);

#endif
