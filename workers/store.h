/* store.h: MongoDB: connections, reads, guarded bulk writes; the one place that translates
 * libmongoc's errors.
 *
 * Lifetime  a wk_pool for the process; a wk_store (one client of the pool) for each thread.
 * Thread    wk_pool: any; wk_store: the thread that popped it. All calls block, at most
 * database_timeout_ms. Errors    YZ_BUSY: the database is away or refused for now, try again;
 * YZ_INTERNAL: this call can never work (logged with the server's code).
 */
#ifndef WK_STORE_H
#define WK_STORE_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/domain.h"

#include <bson/bson.h>

struct wk_pool;
struct wk_store;

YZ_MUST_USE enum yz_err wk_pool_new(const struct yz_conf *conf, struct wk_pool **pool);
/* All stores were pushed back; NULL: nothing. */
void wk_pool_free(struct wk_pool *pool);
/* Round trip to the primary. */
YZ_MUST_USE enum yz_err wk_pool_ping(struct wk_pool *pool);
struct wk_store *wk_store_pop(struct wk_pool *pool);
void wk_store_push(struct wk_pool *pool, struct wk_store *store);

/* on_row borrows the document; false from it stops. */
typedef bool wk_row_fn(void *arg, const bson_t *row);
/* filter and opts (sort, limit, projection) as libmongoc takes them; opts may be NULL. Majority
 * reads. */
YZ_MUST_USE enum yz_err wk_store_find(struct wk_store *store, const char *collection,
                                      const bson_t *filter, const bson_t *opts, wk_row_fn *on_row,
                                      void *arg);
/* The document with this _id; *found false when there is none. out is initialised in both cases. */
YZ_MUST_USE enum yz_err wk_store_get(struct wk_store *store, const char *collection, const char *id,
                                     bson_t *out, bool *found);
/* Documents of many ids with one query; absent ones are not reported. */
YZ_MUST_USE enum yz_err wk_store_get_many(struct wk_store *store, const char *collection,
                                          const char *const *ids, size_t count, wk_row_fn *on_row,
                                          void *arg);

/* One write of a bulk. result is filled by wk_store_write. */
enum wk_write_kind {
    WK_INSERT,  /* by _id in document */
    WK_REPLACE, /* filter: _id and the loaded evt_seq; inserts when loaded_sequence is 0 */
};
enum wk_write_result {
    WK_WRITTEN,
    WK_TAKEN,  /* E11000 of an insert, or the guard of a replace did not match */
    WK_FAILED, /* another error, see wk_write.err */
    WK_LEFT,   /* in order only: not tried, one before it was taken or failed */
};
struct wk_write {
    enum wk_write_kind kind;
    const char *id;
    const bson_t *document; /* whole, with _id */
    uint64_t loaded_sequence;
    enum wk_write_result result;
    enum yz_err err;
};
/* Unordered bulk, majority and journaled. YZ_OK when each write has its result; else nothing is
 * known about any of them and the caller tries all again. */
YZ_MUST_USE enum yz_err wk_store_write(struct wk_store *store, const char *collection,
                                       struct wk_write *writes, size_t count);
/* The same in the order of the list, up to the first that is not written: those behind it are left.
 * For what was decided one after another: were that first one decided anew, so must they be. */
YZ_MUST_USE enum yz_err wk_store_write_in_order(struct wk_store *store, const char *collection,
                                                struct wk_write *writes, size_t count);
/* One update by _id with upsert, majority and journaled. */
YZ_MUST_USE enum yz_err wk_store_update(struct wk_store *store, const char *collection,
                                        const char *id, const bson_t *update, bool upsert);

/* One update of all documents with these ids that are there, majority and journaled. */
YZ_MUST_USE enum yz_err wk_store_update_many(struct wk_store *store, const char *collection,
                                             const char *const *ids, size_t count,
                                             const bson_t *update);

/* Create what is missing of collections and indexes; plan_only: say what would be done. on_change
 * is called with a line for each difference. */
typedef void wk_change_fn(void *arg, const char *line);
YZ_MUST_USE enum yz_err wk_store_apply_indexes(struct wk_store *store, bool plan_only,
                                               wk_change_fn *on_change, void *arg);

#endif
