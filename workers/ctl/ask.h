/* ask.h: a question to the workers.
 *
 * Lifetime  a reply is the caller's to destroy.
 * Thread    main.
 * Limits    timeout_ms over all; a question that is only not settled yet is asked again within it.
 */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "common/envelope.h"
#include "schemas/contract.h"

#include <nats/nats.h>

/* payload: the encoded request. YZ_OK: *reply holds the encoded reply message; else v says why. */
YZ_MUST_USE enum yz_err ctl_ask(natsConnection *nc, const struct yz_actor *actor, const char *type,
                                const void *payload, size_t len, uint64_t min_sequence,
                                int64_t timeout_ms, natsMsg **reply, struct yz_violation *v);

/* As the gateway does: contract check, then authority. Fields get "payload." before them. */
YZ_MUST_USE enum yz_err ctl_check(yz_check_fn *check, enum yz_authority authority,
                                  yz_org_path_fn *org_path, const struct yz_actor *actor,
                                  const ProtobufCMessage *message, struct yz_violation *v);
/* Put "payload." before v's field. */
void ctl_in_payload(struct yz_violation *v);

#endif
