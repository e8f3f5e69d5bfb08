/* batch.h: what is done with a batch of events, in the order that lets a crash at any point replay
 * into the same: outcomes, documents, outbox rows, pushes, acks.
 *
 *   read -> decide (replay | duplicate | conflict | refused | applied) -> outcomes -> documents
 *        -> outbox -> pushes -> values -> acks
 *   a guard that fails: load and decide again; the database away: hold the batch and try again,
 *   telling the broker that it is being worked on; a lease lost meanwhile: its events are let go.
 *   What fails for good is done one by one, one at a time in the process, and the one that fails
 *   alone is set aside.
 *
 * Lifetime  one for each consumer thread; deliveries are taken by wk_batch_run.
 * Thread    its consumer thread; blocks.
 * Limits    batch_max events, WK_BATCH_BYTES of payload.
 */
#ifndef WK_BATCH_H
#define WK_BATCH_H

#include "workers/fold.h"
#include "workers/lease.h"
#include "workers/metrics.h"
#include "workers/publisher.h"
#include "workers/pull.h"
#include "workers/store.h"
#include "workers/value.h"
#include "workers/watch.h"

#define WK_BATCH_BYTES ((size_t)2 * 1024 * 1024)

struct wk_outbox;

/* What a batch works with; borrowed for its life. */
struct wk_batch_means {
    const struct yz_conf *conf;
    natsConnection *nc; /* for acks */
    struct wk_pool *pool;
    struct wk_lease *lease;
    struct wk_publisher *pub;
    struct wk_values *values;
    struct wk_metrics *metrics;
    const struct wk_watch *watch; /* events are taken while it trusts EVENTS; NULL: always */
    struct wk_outbox *outbox;     /* woken when a row is due at once; NULL: it looks by itself */
    const struct wk_context *context;
    /* Who handles an event type; a test may have its own. */
    const struct wk_event_handler *(*find_handler)(const char *type);
    /* The process ends: a batch that the database holds up is let go. */
    const atomic_bool *stopping;
};

struct wk_batch;
struct wk_batch *wk_batch_new(const struct wk_batch_means *means);
void wk_batch_free(struct wk_batch *batch);
/* In the order of their sequences, whatever the order they came in; deliveries are sorted so. */
void wk_batch_run(struct wk_batch *batch, struct wk_delivery *deliveries, size_t count);

/* Settle an event: +ACK to its reply subject. */
void wk_batch_ack(const struct wk_batch_means *means, const char *reply);

#endif
