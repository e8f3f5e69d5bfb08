/* publisher.h: durable publishes in order, with their PubAcks.
 *
 * Two messages of one subject, or of one key where they have one, are never under way together, so
 * that an error of the first cannot let the second overtake it; different ones share a window. One
 * with a key that is refused holds back those behind it of that key. It has a connection of its own
 * that does not reconnect: what a library sends again from its buffer after a reconnect could
 * overtake what was lost. When it breaks, a new one is made and everything unacknowledged is sent
 * again in order; Nats-Msg-Id makes that harmless.
 *
 * Lifetime  one for each consumer thread and one for the outbox.
 * Thread    its owner's; wk_publisher_send blocks.
 * Limits    WINDOW messages under way; PUBACK_TIMEOUT_MS for a PubAck, or half of ack_wait_ms
 *           where that is less, then the connection is made anew.
 */
#ifndef WK_PUBLISHER_H
#define WK_PUBLISHER_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/metrics.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wk_publisher;

enum wk_letter_state {
    WK_LETTER_WAITING,
    WK_LETTER_UNDER_WAY,
    WK_LETTER_STORED,
    WK_LETTER_STALE,   /* the expected last sequence was another one */
    WK_LETTER_REFUSED, /* the stream is full, or the bus takes none so large; only if may_refuse */
    /* Not to be sent (any more): the caller's word, or one before it of its key was not stored. */
    WK_LETTER_DROPPED,
};

#define WK_REPLY_MAX 160
/* The reply subject of letter `index` of the next wk_publisher_send. A letter whose message was
 * made with it needs no copy for its first try. */
void wk_publisher_reply(const struct wk_publisher *pub, size_t index, char out[WK_REPLY_MAX]);

/* One message to store; headers and Nats-Msg-Id are in msg. */
struct wk_letter {
    natsMsg *msg;    /* borrowed; NULL: it has a key, and its state is final from the start */
    const char *key; /* what must stay in order, borrowed; NULL: its subject */
    bool expects;    /* the subject's last sequence must be `expected`, else it is STALE */
    uint64_t expected;
    bool may_refuse;
    size_t tag; /* the caller's */
    enum wk_letter_state state;
    uint64_t sequence; /* where it was stored */
    /* the publisher's own */
    size_t after, before; /* neighbours of the same key or subject, or NONE */
};

YZ_MUST_USE enum yz_err wk_publisher_new(const struct yz_conf *conf, const char *name,
                                         struct wk_metrics *metrics, struct wk_publisher **pub);
void wk_publisher_free(struct wk_publisher *pub);

/* Called before each (further) try: it may drop letters, and keeps the caller's events alive at the
 * broker meanwhile. false: give up, letters not yet final stay as they are. */
typedef bool wk_publisher_retry_fn(void *arg, struct wk_letter *letters, size_t count);
/* From that moment of the monotonic clock on no letter is sent: who was frozen, or cut off for
 * long, could store a second copy behind what others sent since. 0: no such moment. It holds until
 * it is set anew; on_retry says what becomes of the letters. */
void wk_publisher_until(struct wk_publisher *pub, int64_t mono_ms);
/* Until every letter is STORED, STALE, REFUSED or DROPPED: YZ_OK. YZ_BUS_UNAVAILABLE when on_retry
 * said to give up. */
YZ_MUST_USE enum yz_err wk_publisher_send(struct wk_publisher *pub, struct wk_letter *letters,
                                          size_t count, wk_publisher_retry_fn *on_retry, void *arg);
/* The connection in use, for reads; NULL while there is none. */
natsConnection *wk_publisher_connection(struct wk_publisher *pub);

#endif
