/* push.h: a push or value of the fold as the message that goes into its stream.
 *
 * Lifetime  the message is the caller's to destroy.
 * Thread    any.
 */
#ifndef WK_PUSH_H
#define WK_PUSH_H

#include "workers/fold.h"

#include <nats/nats.h>

#define WK_PUSH_ID_MAX 40

/* "p-<sequence>-<ordinal>": the Nats-Msg-Id of a push; without "p-" its Push.id. */
void wk_push_msg_id(const struct wk_fold_push *push, char out[WK_PUSH_ID_MAX]);
/* Subject, reply subject (NULL: none), headers and body. A value has the version push->sequence and
 * no Nats-Msg-Id: its guard is the subject's last sequence. */
void wk_push_message(const struct wk_fold_push *push, const char *reply, natsMsg **msg);
/* Version of a stored value, 0: it has none. */
uint64_t wk_push_version(natsMsg *msg);

#endif
