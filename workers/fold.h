/* fold.h: a batch of events folded over their documents: what is loaded, decided, and to be
 * written and sent.
 *
 * Lifetime  one fold per consumer thread (or unit test), reused: wk_fold_reset begins the next
 *           batch. What the accessors return lives until then.
 * Thread    worker; nothing here but wk_fold_load and wk_fold_write blocks.
 * Limits    what 256 events need; a push holds at most WK_PUSH_MAX bytes; documents kept between
 *           batches: FOLD_KEPT_BYTES and those of the last batch, each for FOLD_KEPT_MS.
 *
 * Order of calls: wk_fold_reset; wk_fold_need for each event; wk_fold_load (a test:
 * wk_fold_preset); then for each event in sequence wk_fold_begin, the handler's judge, and when
 * that applied its apply, wk_fold_end. What apply() does is staged and takes hold at wk_fold_end,
 * so that an event whose key is taken leaves nothing behind.
 */
#ifndef WK_FOLD_H
#define WK_FOLD_H

#include "workers/domain.h"
#include "workers/store.h"

#include <stddef.h>

#define WK_PUSH_MAX (512 * 1024)

/* context is borrowed. */
struct wk_fold *wk_fold_new(const struct wk_context *context);
void wk_fold_free(struct wk_fold *fold);
void wk_fold_reset(struct wk_fold *fold);

/* The batch is settled: own documents, as they were written, stay for the next batches of the same
 * holder. wk_fold_reset drops all others, and everything when this was not said. */
void wk_fold_settled(struct wk_fold *fold);
/* Whose the events are that wk_fold_need is given from now on: a number of the lease that their
 * partition is held by; 0: nobody's, nothing is kept. What another holder left is loaded anew. */
void wk_fold_holder(struct wk_fold *fold, uint64_t holder);
/* Ask the handler what the event may look at. */
void wk_fold_need(struct wk_fold *fold, const struct wk_event_handler *handler,
                  const struct wk_event *event);
/* The event needs a document that one of another aggregate wrote in this batch: it is not stored
 * yet, and would not be there when this one alone were replayed. */
bool wk_fold_rests_on_others(struct wk_fold *fold, const struct wk_event_handler *handler,
                             const struct wk_event *event);
/* One query for each collection of which something is needed that was not kept. */
YZ_MUST_USE enum yz_err wk_fold_load(struct wk_fold *fold, struct wk_store *store);
/* Instead of loading: the document as the event `sequence` left it (copied). */
void wk_fold_preset(struct wk_fold *fold, const char *collection, const char *id,
                    const bson_t *document, uint64_t sequence);

/* index: the event's place in the batch, stands in its pushes. */
void wk_fold_begin(struct wk_fold *fold, const struct wk_event *event, size_t index);
/* The next push of this event has this ordinal. What is told of an event that may have pushed
 * before must not pass for one of those pushes. */
void wk_fold_count_from(struct wk_fold *fold, int ordinal);
/* What apply() staged is of a document that a younger event wrote: it does not take hold. */
bool wk_fold_is_late(const struct wk_fold *fold);
/* Take over what apply() staged. Not YZ_OK: the key of an insert belongs to another event; nothing
 * was taken over and the event is refused with this error, of which v has the field. */
YZ_MUST_USE enum yz_err wk_fold_end(struct wk_fold *fold, struct yz_violation *v);

/* Write the documents, inserts first. *again: a guard failed or a key was there already: nothing
 * more was written; call wk_fold_again and fold the batch anew. */
YZ_MUST_USE enum yz_err wk_fold_write(struct wk_fold *fold, struct wk_store *store, bool *again);
/* As wk_fold_reset, but the documents that were in the way will be loaded as well. */
void wk_fold_again(struct wk_fold *fold);

/* A push or a value (then name is set). */
struct wk_fold_push {
    size_t event; /* its index in the batch */
    uint64_t sequence;
    int64_t time_ms;
    int ordinal; /* counts all pushes of one event */
    const char *tenant;
    const char *channel;
    const char *name; /* NULL for a push */
    const char *type;
    const uint8_t *payload;
    size_t payload_len;
    const char *roles, *exclude; /* NULL: none */
};
/* A row of the outbox. */
struct wk_fold_row {
    size_t event;
    uint64_t sequence;
    int64_t time_ms;
    int ordinal;
    int64_t due_at_ms;
    const struct yz_envelope *cause;
    char type[YZ_TYPE_MAX];
    char aggregate[YZ_AGGREGATE_MAX];
    const uint8_t *payload;
    size_t payload_len;
};
const struct wk_fold_push *wk_fold_pushes(const struct wk_fold *fold, size_t *count);
const struct wk_fold_push *wk_fold_values(const struct wk_fold *fold, size_t *count);
const struct wk_fold_row *wk_fold_rows(const struct wk_fold *fold, size_t *count);

#endif
