/* uplink.h: events from sessions to the stream EVENTS: publish, await the PubAck, answer.
 *
 * Lifetime  one per process; a ticket outlives the session that asked (it is a number, not a pointer).
 * Thread    loop.
 * Limits    uplink_window publishes without their PubAck; beyond it YZ_BUSY.
 * Failure   no PubAck in uplink_timeout_ms, or the bus away: YZ_BUS_UNAVAILABLE; the stream full: YZ_STORAGE_FULL. All are
 *           temporary: the client sends the same event again.
 */
#ifndef GW_UPLINK_H
#define GW_UPLINK_H

#include "common/envelope.h"
#include "common/err.h"
#include "gateway/link.h"

/* Who asked: the answer is dropped when that session is gone. */
struct gw_ticket {
    uint64_t session; /* serial of the session or HTTP request, never used twice */
    uint32_t request; /* the client frame's id */
};

struct gw_uplink;

typedef void gw_accepted_fn(void *arg, struct gw_ticket ticket, const char *event_id,
                            enum yz_err err, uint64_t sequence, bool duplicate);

/* on_accepted is called once for each gw_uplink_emit that returned YZ_OK, later. */
YZ_MUST_USE enum yz_err gw_uplink_new(const struct yz_conf *conf, struct gw_link *link,
                                      struct gw_metrics *metrics, gw_accepted_fn *on_accepted,
                                      void *arg, struct gw_uplink **uplink);
void gw_uplink_free(struct gw_uplink *uplink);
/* env and payload are copied. */
YZ_MUST_USE enum yz_err gw_uplink_emit(struct gw_uplink *uplink, struct gw_ticket ticket,
                                       const struct yz_envelope *env, const char *domain,
                                       const void *payload, size_t len);
/* Publishes whose PubAck has not come. */
size_t gw_uplink_pending(const struct gw_uplink *uplink);

/* Questions to the workers: request/reply on qry.>. */
struct gw_query;
/* err YZ_OK: payload is the encoded reply message; else v tells (v->err == err). Borrowed. */
typedef void gw_answered_fn(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                            const struct yz_violation *v, const void *payload, size_t len);
YZ_MUST_USE enum yz_err gw_query_new(const struct yz_conf *conf, struct gw_link *link,
                                     struct gw_metrics *metrics, gw_answered_fn *on_answered,
                                     void *arg, struct gw_query **query);
void gw_query_free(struct gw_query *query);
/* YZ_BUSY when query_window questions wait. */
YZ_MUST_USE enum yz_err gw_query_ask(struct gw_query *query, struct gw_ticket ticket,
                                     const struct yz_actor *actor, const char *type,
                                     const void *payload, size_t len, uint64_t min_sequence);

#endif
