/* settle.h: the steps of a batch: decide against the stored outcomes, write the outcomes, send the
 * pushes, acknowledge. batch.h says in which order.
 *
 * Lifetime  struct wk_batch is batch.c's; what is found here belongs to the pass.
 * Thread    its consumer thread; all but wk_settle_ack block.
 * Errors    YZ_BUSY: for now; YZ_INTERNAL: this batch cannot be done as it is.
 */
#ifndef WK_SETTLE_H
#define WK_SETTLE_H

#include "workers/batch.h"
#include "workers/item.h"

struct wk_record;

struct wk_batch {
    struct wk_batch_means means;
    struct wk_store *store;
    struct wk_fold *fold;
    struct yz_arena arena; /* payloads */
    struct wk_item *items; /* the portion being processed */
    size_t count;
    struct wk_record *records; /* outcomes by id */
    /* Ask for stored outcomes before deciding; else each event is taken for new, and the insert of
     * its outcome tells when it is not. */
    bool ask;
    bool suspects; /* a worker died with some of the deliveries in its hands */
    /* all that wk_batch_run was given */
    struct wk_delivery *deliveries;
    size_t delivery_count;
    int64_t taken_mono_ms;
    int64_t progress_mono_ms; /* of the last +WPI */
    int64_t stage_mono_us;    /* the stage under way began */
    int tries_when_stopping;
    int64_t push_until_mono_ms; /* pushes may be sent before that; 0: none are being sent */
    bool held;                  /* counted in batches_waiting */
};

/* The stage under way went well, and the next one begins. */
void wk_settle_staged(struct wk_batch *batch, enum wk_stage stage);
/* While EVENTS gives sequences out again (watch.h): what had its sequence given out before is
 * poison. It was settled under it already: it stays. */
YZ_MUST_USE enum yz_err wk_settle_refuse_repeated(struct wk_batch *batch);
/* Load documents and, with `ask`, outcomes; then judge and apply in sequence, up to the first event
 * that rests on what one of another aggregate wrote before it: count ends there.
 *
 * One that was not decided before, and behind which another of its aggregate took effect already,
 * comes too late: its documents are another state's. *again: there is one; with `ask` it is poison
 * now, and replayed it gets a place of its own. */
YZ_MUST_USE enum yz_err wk_settle_decide(struct wk_batch *batch, bool *again);
/* Insert or replace the outcomes that were decided. *again: one was there already. */
YZ_MUST_USE enum yz_err wk_settle_write(struct wk_batch *batch, bool *again);
/* Send them while nobody else can have the leases, and the broker still knows what was sent before:
 * for half of its duplicate window since both were known. on_retry lets go what is left then. */
YZ_MUST_USE enum yz_err wk_settle_push(struct wk_batch *batch, wk_publisher_retry_fn *on_retry);
/* Acknowledge, or hand the ack to the values that it waits for. */
void wk_settle_ack(struct wk_batch *batch);
/* Free the records. */
void wk_settle_forget(struct wk_batch *batch);

#endif
