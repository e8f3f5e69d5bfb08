/* history.h: a channel's kept pushes behind a position, read from its stream in pages, with proof
 * that none is missing.
 *
 * Lifetime  a gw_read is the caller's; it is linked in from gw_history_read until on_done or
 * gw_history_cancel. Its messages are the reader's until gw_read_clear. Thread    loop. Limits
 * HISTORY_READS reads at a time, others wait their turn; READ_MESSAGES_MAX newest messages of a
 * read are kept; a portion is one page. Way  the loop's own connection (reader.h); while that is
 * not there, or when it fails a read, the link.
 *
 * Proof. Messages of a subject are removed oldest first (by number or age), so while one message at
 * or below a position survives, none above it was removed. Each page therefore begins with a
 * message that is known already: the one at the position, else the last one below it; if it is
 * still there, the page is whole, on whatever replica it was read. When the subject holds none at
 * or below the position, nothing was removed if it holds fewer messages than its limit (so none
 * went by number) and the stream's first sequence, read afterwards, is not above position + 1 (so
 * none went by age).
 */
#ifndef GW_HISTORY_H
#define GW_HISTORY_H

#include "gateway/link.h"
#include "gateway/message.h"
#include "gateway/stream.h"

#include <sys/queue.h>

#define READ_MESSAGES_MAX 20000

struct gw_history;

struct gw_read {
    /* Set by the caller; borrowed until the end. */
    enum gw_stream_id stream;
    const char *subject, *channel;
    uint64_t from;
    bool portion; /* one page of it is enough */
    bool timed;   /* the messages are to know when they were stored */
    void (*on_done)(void *arg, struct gw_read *read, enum yz_err err);
    void *arg;

    /* The result: messages above from in order, complete for every position from `proven` on
     * (a portion: up to its last message). */
    struct gw_message **messages;
    size_t count;
    uint64_t proven;
    bool more; /* a portion, and messages follow behind it */

    /* The history's own. */
    TAILQ_ENTRY(gw_read) entry;
    struct gw_history *history;
    struct gw_barrier barrier;
    uint64_t request; /* to the reader or the link */
    size_t capacity;
    uint64_t cursor;    /* the page begins at this sequence */
    uint64_t last;      /* last sequence read, 0: none */
    uint64_t total;     /* messages above from that were read */
    uint64_t pending;   /* how many follow behind a portion */
    uint64_t below;     /* the last message at or below from, when it was asked for */
    uint64_t page_last; /* last sequence of this page */
    bool busy, flying, anchored, first_page, broken;
    bool by_reader;    /* the request is the reader's */
    bool asking_below; /* what it asks for */
    unsigned restarts, repeats;
};

YZ_MUST_USE enum yz_err gw_history_new(const struct yz_conf *conf, uv_loop_t *loop,
                                       struct gw_link *link, struct gw_metrics *metrics,
                                       struct gw_history **history);
/* No read may be linked in. Run the loop once more. */
void gw_history_free(struct gw_history *history);

/* on_done comes once; while the bus is away it comes inside. */
void gw_history_read(struct gw_history *history, struct gw_read *read);
void gw_history_cancel(struct gw_read *read);
/* Drop the result. */
void gw_read_clear(struct gw_read *read);

/* A message of CHANNELS or THREADS, as read or as republished. */
YZ_MUST_USE enum yz_err gw_history_message(const char *channel, uint64_t seq, natsMsg *msg,
                                           struct gw_message **message);

#endif
