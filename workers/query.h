/* query.h: the query service: answers qry.> from the database, as one of the queue group `workers`.
 *
 * Lifetime  one wk_query_service per process, between wk_query_start and wk_query_stop; connection,
 *           pool, context and metrics outlive it.
 * Thread    start and stop: the main thread. Requests arrive on nats.c's delivery thread and are
 *           answered on query_threads threads of the service's own, each with its own store.
 * Limits    WK_QUERY_QUEUE_MAX requests waiting for a thread and as many waiting for their
 *           min_sequence; above that a request is answered busy at once. A request waits for its
 *           min_sequence at most 4/5 of query_timeout_ms, then it is answered not_settled.
 *           What came before the bus was away is not answered any more.
 *           A reply is at most what the broker takes as one message, else frame_too_large.
 *
 * A query with a min_sequence waits until that event is settled, that is: until it was stored
 * and is gone from the work queue EVENTS. It waits in a list, not on a thread: others are answered
 * meanwhile.
 */
#ifndef WK_QUERY_H
#define WK_QUERY_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/metrics.h"
#include "workers/store.h"
#include "workers/watch.h"

#include <nats/nats.h>
#include <stddef.h>
#include <stdint.h>

#define WK_QUERY_QUEUE_MAX 1024
/* A page of a list ends early at this size, so that it fits the frame a mini-program takes. */
#define WK_PAGE_MAX_BYTES 49152

struct wk_query_service;

/* watch: handlers are told its time; NULL: our own. */
YZ_MUST_USE enum yz_err wk_query_start(const struct wk_context *context, natsConnection *nc,
                                       struct wk_pool *pool, struct wk_metrics *metrics,
                                       const struct wk_watch *watch,
                                       struct wk_query_service **service);
/* Take no more requests, answer those that are there, free everything. NULL: nothing. */
void wk_query_stop(struct wk_query_service *service);

#endif
