/* complaint_route.h: who may handle a complaint, and who is the nearest.
 *
 * Of the registered handlers whose scope covers the place complained of, whose time it is. When
 * somebody or an org is accused, then neither the accused, nor their subordinates (whose home org
 * is the accused org or below it, or who stands on the roster of one from there to the place), nor
 * their leadership (secretaries and admins over the accused org, wherever they belong, and who was
 * registered as leading it), and only from above: a handler's scope must stand over the accused
 * org, unless the handler is independent, that is sent from outside. An accused member who leads an
 * org further up is accused there. The nearest are those whose scope is the deepest. Within a span
 * of time, those of each scope from the deepest up to the first in which one was in office all the
 * time: which of them a reporter was shown is not known.
 *
 * Lifetime  texts and keys are borrowed from the documents.
 * Thread    any; pure.
 * Limits    WK_HANDLERS_MAX handlers of one org.
 */
#ifndef WK_COMPLAINT_ROUTE_H
#define WK_COMPLAINT_ROUTE_H

#include "workers/domain.h"

#include <complaint.pb-c.h>

#define WK_HANDLERS_MAX     32
#define WK_ROUTE_MAX        (WK_HANDLERS_MAX * YZ_ORG_DEPTH_MAX)
#define WK_PUBLIC_KEY_BYTES 32

/* What is complained of. */
struct wk_route_case {
    const char *place;  /* the accused's org, else the org that it is about */
    const char *member; /* accused; "" */
    bool accused;       /* anybody, member or org */
    int64_t now_ms;     /* it is not earlier than this, */
    int64_t latest_ms;  /* and not later: a complaint's time is known to the hour only */
};
void wk_route_case(const char *org_path, const Yizhan__V1__ComplaintAccused *accused,
                   int64_t now_ms, struct wk_route_case *out);

/* The orgs from the top down to the place, and of each the handlers' document, the branch's and
 * that of those who have a role over it (roster.h); NULL: none. */
struct wk_route_orgs {
    size_t count;
    char paths[YZ_ORG_DEPTH_MAX][YZ_ORG_PATH_MAX];
    const bson_t *handlers[YZ_ORG_DEPTH_MAX], *branches[YZ_ORG_DEPTH_MAX],
        *holders[YZ_ORG_DEPTH_MAX];
};
/* Fills the paths. */
void wk_route_orgs(const char *place, struct wk_route_orgs *orgs);

/* All but `scope` is borrowed from the handlers' documents, the scope from the route's own orgs. */
struct wk_handler {
    const char *member, *home, *key_id, *scope;
    const uint8_t *public_key;
    bool eligible, nearest;
    bool certain; /* in office from now_ms to latest_ms */
};
struct wk_route {
    struct wk_handler handlers[WK_ROUTE_MAX]; /* the deepest scope first */
    size_t count, eligible;
    struct wk_route_orgs orgs;
};
void wk_route_find(const struct wk_route_case *what, const struct wk_route_orgs *orgs,
                   struct wk_route *route);
/* The eligible handler with this key, else any with it; NULL: none. */
const struct wk_handler *wk_route_key(const struct wk_route *route, const char *key_id);

#endif
