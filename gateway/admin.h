/* admin.h: what the admin port answers: /healthz, /readyz, /metrics.
 *
 * Lifetime  a plain struct of borrowed parts.
 * Thread    loop.
 * Limits    none: the port is not for clients.
 */
#ifndef GW_ADMIN_H
#define GW_ADMIN_H

#include "gateway/exchange.h"
#include "gateway/intake.h"
#include "gateway/link.h"
#include "gateway/revocation.h"
#include "gateway/session.h"

struct gw_admin {
    const struct gw_link *link;
    const struct gw_intake *intake;
    const struct gw_revocations *revocations;
    const struct gw_sessions *sessions;
    struct gw_metrics *metrics;
};

/* Always answers. */
void gw_admin_answer(const struct gw_admin *admin, const struct gw_request *request,
                     struct gw_exchange *exchange);

#endif
