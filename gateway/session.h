/* session.h: the WebSocket sessions of this process: who they are, what they hold, what waits for
 * them.
 *
 * Knows no socket: frames come in by gw_session_frame, and gw_session_output says when something
 * waits to go out.
 *
 * Lifetime  a session from gw_session_open until gw_session_free, which the connection calls when
 *           its peer is gone, never inside another call of the session. Answers of the bus find it
 *           by its serial, which is never used twice.
 * Thread    loop.
 * Limits    sessions_max; session_channels_max channels each; session_backlog_max_bytes waiting for
 *           one (backlog.h), beyond which, or when it takes nothing for idle_timeout_ms, it is
 *           closed as a slow reader once what was queued before has been written (so a reconnect
 *           always gets further); frames by a token bucket of its own and one of its address:
 *           beyond it they are refused, it is not read for a while, and closed when it goes on;
 *           UNREADABLE_MAX undecodable frames in a row.
 * States    HELLO --token ok--> OPEN;  HELLO, OPEN --any reason to close--> CLOSING --peer gone-->
 *           freed In CLOSING nothing is read and nothing added; the last item queued says why and
 *           whether to come back.
 */
#ifndef GW_SESSION_H
#define GW_SESSION_H

#include "gateway/auth.h"
#include "gateway/burst.h"
#include "gateway/channel.h"
#include "gateway/intake.h"

struct gw_sessions;
struct gw_session;

/* What a session tells its connection. */
struct gw_session_output {
    /* Something waits in gw_session_take, or gw_session_done is no longer YZ_CLOSE_NONE. Cheap,
     * called often; write later in the loop turn, not inside. */
    void (*wake)(void *peer);
    /* It sends more than it may: read nothing from it for a moment, from the end of this turn on.
     */
    void (*rest)(void *peer);
    /* Take one frame of what its address may send. 0, or the milliseconds until there is room. */
    uint32_t (*spend)(void *peer, int64_t now_ms);
    /* Write this whole WebSocket message, before anything that waits. false: not now, nothing was
     * written. The session is not freed inside. NULL: everything waits. */
    bool (*write)(void *peer, const struct gw_wire *wire);
    /* What write did not take because it cannot (TLS) goes out at the end of this turn when it is
     * queued: nothing of an earlier message waits. NULL: never. */
    bool (*clear)(void *peer);
    /* Its address, for limits; borrowed for the call. NULL: it is not known. */
    const struct gw_address *(*address)(void *peer);
};

/* All borrowed for as long as the sessions live. */
struct gw_session_parts {
    const struct yz_conf *conf;
    const struct gw_auth *auth;
    struct gw_intake *intake;
    struct gw_channels *channels;
    struct gw_metrics *metrics;
    const struct gw_session_output *output;
};

/* Give this to gw_channels_new. */
extern const struct gw_channel_events gw_session_channel_events;

YZ_MUST_USE enum yz_err gw_sessions_new(const struct gw_session_parts *parts,
                                        struct gw_sessions **sessions);
/* Frees the sessions that are left, too. */
void gw_sessions_free(struct gw_sessions *sessions);
size_t gw_sessions_count(const struct gw_sessions *sessions);
/* Bytes that wait to be written, and for how many sessions. Looks at each. */
size_t gw_sessions_backlog(const struct gw_sessions *sessions, size_t *waiting);
/* Time-outs: hello, idle, expired tokens. Call it a few times a second; it looks at sessions only
 * when one is due. */
void gw_sessions_tick(struct gw_sessions *sessions);
/* Judge the token of each open session again; close those whose token was revoked. */
void gw_sessions_judge(struct gw_sessions *sessions);
/* Close up to `count` sessions as going away; returns how many are not closing yet. */
size_t gw_sessions_dismiss(struct gw_sessions *sessions, size_t count);

/* Answers of uplink and query: give these, with the sessions as arg, to the one who routes tickets.
 */
gw_accepted_fn gw_sessions_accepted;
gw_answered_fn gw_sessions_answered;

/* YZ_BUSY: sessions_max are open. */
YZ_MUST_USE enum yz_err gw_session_open(struct gw_sessions *sessions, enum gw_encoding encoding,
                                        void *peer, struct gw_session **session);
void gw_session_free(struct gw_session *session);
/* One whole message of the client, at most frame_max_bytes. */
void gw_session_frame(struct gw_session *session, const void *data, size_t len, bool binary);
/* One fragment that does not end its message: it counts as a frame. */
void gw_session_fragment(struct gw_session *session);
void gw_session_close(struct gw_session *session, enum yz_close close);

/* Size of the oldest piece that waits; 0: none. */
size_t gw_session_next(const struct gw_session *session);
/* Move as many whole pieces as fit into `to`, for one WebSocket message; returns the bytes. */
size_t gw_session_take(struct gw_session *session, uint8_t *to, size_t room);
/* YZ_CLOSE_NONE, or: everything was taken, close the connection with this code now. */
enum yz_close gw_session_done(const struct gw_session *session);
/* A token was accepted, and the session is not closing. */
bool gw_session_open_now(const struct gw_session *session);
bool gw_session_closing(const struct gw_session *session);
uint64_t gw_session_serial(const struct gw_session *session);

#endif
