/* past.h: publishes events as if they had happened at a time gone by: what an operator brings in
 * from before this system was there, and what `yzctl demo` makes up. Contract and authority are
 * checked as the gateway does; the worker judges them by the time they bear.
 *
 * Lifetime  from ctl_past_open to ctl_past_close.
 * Thread    main.
 * Limits    a wait ends after SETTLE_MS; PAST_REFUSED_MAX refusals are kept for the report.
 * Errors    what goes wrong is printed once; the calls after that do nothing and return false.
 */
#ifndef CTL_PAST_H
#define CTL_PAST_H

#include "common/envelope.h"
#include "workers/ctl/command.h"

#include <jansson.h>
#include <nats/nats.h>

struct ctl_past;

/* NULL: no bus; printed. */
struct ctl_past *ctl_past_open(const struct ctl *ctl);
void ctl_past_close(struct ctl_past *past);
bool ctl_past_failed(const struct ctl_past *past);

/* One event of `actor` at that time; of anyone's events nobody but the tenant, and receipts are
 * concealed already. payload is taken. The same event id again is a duplicate. */
bool ctl_past_emit(struct ctl_past *past, const struct yz_actor *actor, int64_t at_ms,
                   const char *event_id, const char *type, json_t *payload);
/* Until all that was emitted is settled; then asks for the outcome of each and counts it. */
bool ctl_past_settle(struct ctl_past *past);
/* A query's answer as JSON (the caller's); NULL: refused, and *code is the error's. payload is
 * taken. */
json_t *ctl_past_ask(struct ctl_past *past, const struct yz_actor *actor, const char *type,
                     json_t *payload, const char **code);

struct ctl_past_counts {
    unsigned emitted, applied, refused;
};
struct ctl_past_counts ctl_past_counts(const struct ctl_past *past);
/* {"meeting.convened": 12, …} of what was applied, and a list of {type, member, code, field, text}
 * of what was refused (borrowed). */
const json_t *ctl_past_applied(const struct ctl_past *past);
const json_t *ctl_past_refused(const struct ctl_past *past);

#endif
