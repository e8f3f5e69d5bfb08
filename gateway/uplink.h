/* uplink.h: events from sessions to the stream EVENTS: publish, await the PubAck, answer.
 *
 * Lifetime  one per process; a ticket outlives the session that asked (it is a number, not a
 * pointer). Thread    loop. Limits    a window (window.h) of at most uplink_window publishes
 * without their PubAck, member_events_max of one member; beyond it YZ_BUSY. Failure   no PubAck in
 * uplink_timeout_ms, or the bus away: YZ_BUS_UNAVAILABLE; the stream full: YZ_STORAGE_FULL. All are
 * temporary: the client sends the same event again. Only an acknowledgement of the stream EVENTS is
 * YZ_OK.
 */
#ifndef GW_UPLINK_H
#define GW_UPLINK_H

#include "common/envelope.h"
#include "common/err.h"
#include "gateway/link.h"
#include "gateway/query.h"

struct gw_uplink;

typedef void gw_accepted_fn(void *arg, struct gw_ticket ticket, const char *event_id,
                            enum yz_err err, uint64_t sequence, bool duplicate);

/* on_accepted is called once for each gw_uplink_emit that returned YZ_OK, later. */
YZ_MUST_USE enum yz_err gw_uplink_new(const struct yz_conf *conf, struct gw_link *link,
                                      struct gw_metrics *metrics, gw_accepted_fn *on_accepted,
                                      void *arg, struct gw_uplink **uplink);
/* What waits gets no answer any more. */
void gw_uplink_free(struct gw_uplink *uplink);
/* Would an event of this actor be taken now? YZ_BUSY: v is filled, with the time to come again.
 * Cheap: before anything is decoded. */
YZ_MUST_USE enum yz_err gw_uplink_room(struct gw_uplink *uplink, const struct yz_actor *actor,
                                       struct yz_violation *v);
/* env and payload are copied. */
YZ_MUST_USE enum yz_err gw_uplink_emit(struct gw_uplink *uplink, struct gw_ticket ticket,
                                       const struct yz_envelope *env, const char *domain,
                                       const void *payload, size_t len);
/* Publishes whose PubAck has not come. */
size_t gw_uplink_pending(const struct gw_uplink *uplink);

/* What a PubAck says. YZ_OK: stored in EVENTS as *sequence. A pure function for the test. */
YZ_MUST_USE enum yz_err gw_uplink_read_ack(const char *text, size_t len, uint64_t *sequence,
                                           bool *duplicate);

#endif
