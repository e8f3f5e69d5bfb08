/* registry.h: every domain of domains.def and the frame's own collections, found by name.
 *
 * Lifetime  constant tables.
 * Thread    any.
 */
#ifndef WK_REGISTRY_H
#define WK_REGISTRY_H

#include "workers/domain.h"

/* In the order of domains.def. */
extern const struct wk_domain *const wk_registry_domains[];
extern const size_t wk_registry_domain_count;

/* The collections of the frame itself; the list ends with a NULL name:
 *   outcomes     _id "<tenant>|<actor>|<event id>", kept for good: makes an event id unique
 *   outbox       {state: 1, partition: 1, due_at: 1}; TTL of 7 days on done_at, absent while due
 *   attempts     TTL of 7 days on at
 *   generations  _id "_|<stream>", one for each stream, raised by yzctl at creation */
extern const struct wk_collection wk_registry_frame_collections[];

/* NULL when no domain handles it. */
const struct wk_event_handler *wk_registry_event(const char *type);
const struct wk_query_handler *wk_registry_query(const char *type);

#endif
