/* outbox.h: what must happen later, or in another aggregate: rows written with the documents of
 * the event that causes them, turned into events when they are due.
 *
 * A row: _id "<tenant>|<sequence of the cause>-<ordinal>", state "due" or "done", partition (of the
 * cause: its owner scans it), due_at, done_at, type, aggregate, payload, cause, and the actor of
 * the cause (member, org_path, roles). Its event's id is "$t-<sequence>-<ordinal>", so whoever
 * publishes it twice publishes the same event. Rows are not deleted: a done one expires by its TTL
 * index.
 *
 * Rows of one aggregate become events in the order of (due_at, cause, ordinal): one that EVENTS
 * refuses holds back those behind it, which stay due and are read behind it again, after a restart
 * and by another owner, too.
 *
 * Lifetime  one scanner for the process.
 * Thread    wk_outbox_write: worker; the scanner has a thread of its own.
 * Limits    ROWS_MAX rows at once, scanned again at once while there are more; a due row is
 *           published within two seconds while the bus takes it, one that was due with its cause
 *           at once. When it is due the broker's clock says, as with all deadlines.
 */
#ifndef WK_OUTBOX_H
#define WK_OUTBOX_H

#include "workers/fold.h"
#include "workers/lease.h"
#include "workers/metrics.h"
#include "workers/store.h"
#include "workers/watch.h"

/* Insert the fold's rows; those that are there already (a replay) stay. alive(arg, event): the
 * event at that place of the batch still counts. *due_ms: the latest time of one that was due with
 * its cause, which the broker's clock has reached; 0: none was. */
typedef bool wk_alive_fn(void *arg, size_t event);
YZ_MUST_USE enum yz_err wk_outbox_write(const struct wk_fold *fold, struct wk_store *store,
                                        wk_alive_fn *alive, void *arg, int64_t *due_ms);

/* What a scan asks the database: the rows of these partitions that are due at now_ms, in their
 * order. Appended to both; false: of no partition. */
bool wk_outbox_ask(const bool held[YZ_PARTITIONS], int64_t now_ms, bson_t *filter, bson_t *opts);

/* The event that a row becomes, to be destroyed. YZ_UNKNOWN_TYPE: no version of ours wrote the row;
 * YZ_INTERNAL: not now (out of memory). In both cases *msg is NULL. */
YZ_MUST_USE enum yz_err wk_outbox_message(const bson_t *row, natsMsg **msg);

struct wk_outbox;
/* watch: rows are due by its time; NULL: by our own. */
YZ_MUST_USE enum yz_err wk_outbox_start(const struct yz_conf *conf, struct wk_pool *pool,
                                        struct wk_lease *lease, struct wk_metrics *metrics,
                                        const struct wk_watch *watch, struct wk_outbox **outbox);
/* A row was written that was due at due_ms: look now, not at the next half second. NULL: nothing.
 * Thread: any. */
void wk_outbox_wake(struct wk_outbox *outbox, int64_t due_ms);
void wk_outbox_stop(struct wk_outbox *outbox);

#endif
