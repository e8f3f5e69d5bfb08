/* store_private.h: what the files of the store share; but for their test nobody else includes it.
 *
 * Lifetime  as store.h says.
 * Thread    the store's own.
 */
#ifndef WK_STORE_PRIVATE_H
#define WK_STORE_PRIVATE_H

#include "workers/store.h"

#include <mongoc/mongoc.h>

struct wk_store {
    mongoc_client_t *client;
    const char *database; /* the pool's */
    int64_t part_ms;      /* longest wait of one round trip */
};

/* The library's error as ours: YZ_BUSY or YZ_INTERNAL, logged here. reply may be NULL. */
YZ_MUST_USE enum yz_err wk_store_translate(const char *operation, const char *collection,
                                           const bson_error_t *error, const bson_t *reply);

#endif
