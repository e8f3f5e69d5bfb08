/* intake.h: what a client sends, whatever the way it came in (WebSocket or HTTP): contract,
 * authority, then the bus.
 *
 * Lifetime  one per process. What it is given is borrowed for the call.
 * Thread    loop.
 * Limits    a payload that does not fit its arena is refused; the bus's windows answer busy.
 *
 * A message YZ_BY_ANYONE goes on without its sender: the actor becomes a tenant alone. What holds a
 * receipt is held back until that is concealed.
 *
 * Refused here means refused for good and nothing was stored: the client learns the field. Fields
 * are relative to the event ("type", "eventId", "payload.title").
 */
#ifndef GW_INTAKE_H
#define GW_INTAKE_H

#include "gateway/anyone.h"
#include "gateway/conceal.h"
#include "gateway/frame.h"
#include "gateway/metrics.h"
#include "gateway/uplink.h"

struct gw_intake;

YZ_MUST_USE enum yz_err gw_intake_new(const struct yz_conf *conf, struct gw_uplink *uplink,
                                      struct gw_query *query, struct gw_metrics *metrics,
                                      struct gw_intake **intake);
/* Who takes messages of anyone and conceals receipts, and who is told when one that was held back
 * cannot go on; all borrowed. Without this such messages are answered busy. */
struct gw_intake_anyone {
    struct gw_anyone *limits;
    struct gw_conceal *conceal;
    gw_accepted_fn *on_accepted;
    gw_answered_fn *on_answered;
    void *arg;
};
void gw_intake_serve_anyone(struct gw_intake *intake, const struct gw_intake_anyone *anyone);
/* Before what serves anyone is freed; what it held back is forgotten then. */
void gw_intake_free(struct gw_intake *intake);
/* From now on events are refused with YZ_DRAINING; what was published is still answered. */
void gw_intake_drain(struct gw_intake *intake);
bool gw_intake_draining(const struct gw_intake *intake);

/* YZ_OK: the answer comes for the ticket, through the uplink's on_accepted. Else v says why. */
YZ_MUST_USE enum yz_err gw_intake_event(struct gw_intake *intake, const struct yz_actor *actor,
                                        struct gw_ticket ticket, const struct gw_emit *emit,
                                        struct yz_violation *v);
/* YZ_OK: the answer comes for the ticket, through the query's on_answered. */
YZ_MUST_USE enum yz_err gw_intake_query(struct gw_intake *intake, const struct yz_actor *actor,
                                        struct gw_ticket ticket, const struct gw_ask *ask,
                                        struct yz_violation *v);
/* The same with the request as name=value pairs, e.g. of a URL. */
YZ_MUST_USE enum yz_err gw_intake_query_pairs(struct gw_intake *intake,
                                              const struct yz_actor *actor, struct gw_ticket ticket,
                                              const char *type, const struct yz_pair *pairs,
                                              size_t count, uint64_t min_sequence,
                                              const struct gw_address *from,
                                              struct yz_violation *v);
/* The same with ask->payload as the request's JSON. */
YZ_MUST_USE enum yz_err gw_intake_query_json(struct gw_intake *intake, const struct yz_actor *actor,
                                             struct gw_ticket ticket, const struct gw_ask *ask,
                                             struct yz_violation *v);
/* A field that a check or a worker named inside the payload, as the client knows it: "title"
 * becomes "payload.title". */
void gw_intake_locate(struct yz_violation *v);
/* Append the reply message of a query of this type as JSON; YZ_INTERNAL when it cannot be read. */
YZ_MUST_USE enum yz_err gw_intake_reply_json(struct gw_intake *intake, const char *type,
                                             const void *payload, size_t len, struct yz_buf *buf);

#endif
