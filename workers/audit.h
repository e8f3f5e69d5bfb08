/* audit.h: who looked at what: one document for each reading of a person's file or of a complaint,
 * written before the answer goes out, so that nobody reads unseen.
 *
 * The document, collection WK_ACCESSES, is insert-only: tenant, at, actor, object_kind, object,
 * owner (whose file it is; "" for none), purpose, and key, which is the end of its _id, too: time
 * and random, so it sorts by time and no two are equal: what a cursor over accesses compares.
 * Indexes {tenant, owner, key}, {tenant, object_kind, object, key}.
 *
 * Lifetime  none. What is passed is borrowed for the call.
 * Thread    query thread; blocks.
 */
#ifndef WK_AUDIT_H
#define WK_AUDIT_H

#include "workers/domain.h"

#define WK_ACCESSES         "accesses"
#define WK_ACCESS_KEY_BYTES 32

extern const struct wk_index wk_audit_indexes[];

struct wk_access {
    const char *object_kind; /* "member", "complaint" */
    const char *object;      /* its id */
    const char *owner;       /* the member whom it is about and who may see this; or "" */
    const char *purpose;     /* what the reader gave as reason; "" */
};
/* YZ_BUSY: nothing was written, and nothing must be answered. */
YZ_MUST_USE enum yz_err wk_audit_access(const struct wk_query *query,
                                        const struct wk_access *access);

#endif
