/* query.h: questions to the workers: request/reply on qry.>.
 *
 * Lifetime  one per process; a ticket outlives the session that asked (it is a number, not a
 * pointer). Thread    loop. Limits    a window (window.h) of at most query_window questions without
 * their answer, member_queries_max of one member; beyond it YZ_BUSY. Failure   no answer in
 * query_timeout_ms: YZ_TIMED_OUT; no worker: YZ_BUSY; the bus away: YZ_BUS_UNAVAILABLE. All are
 * temporary.
 */
#ifndef GW_QUERY_H
#define GW_QUERY_H

#include "common/envelope.h"
#include "common/err.h"
#include "gateway/link.h"

/* Who asked: the answer is dropped when that session is gone. */
struct gw_ticket {
    uint64_t session; /* serial of the session or HTTP request, never used twice */
    uint32_t request; /* the client frame's id */
};

struct gw_query;

/* err YZ_OK: payload is the encoded reply message; else v tells (v->err == err). Borrowed. */
typedef void gw_answered_fn(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                            const struct yz_violation *v, const void *payload, size_t len);
/* on_answered is called once for each gw_query_ask that returned YZ_OK, later. */
YZ_MUST_USE enum yz_err gw_query_new(const struct yz_conf *conf, struct gw_link *link,
                                     struct gw_metrics *metrics, gw_answered_fn *on_answered,
                                     void *arg, struct gw_query **query);
/* What waits gets no answer any more. */
void gw_query_free(struct gw_query *query);
/* Would a question of this actor be taken now? As gw_uplink_room. */
YZ_MUST_USE enum yz_err gw_query_room(struct gw_query *query, const struct yz_actor *actor,
                                      struct yz_violation *v);
/* payload is copied. */
YZ_MUST_USE enum yz_err gw_query_ask(struct gw_query *query, struct gw_ticket ticket,
                                     const struct yz_actor *actor, const char *type,
                                     const void *payload, size_t len, uint64_t min_sequence);

#endif
