/* deadletter.h: events that cannot be processed: how often each was tried, and the letter that sets
 * it aside.
 *
 * Attempts are kept in the collection `attempts`, since a crash forgets everything else; what came
 * through its attempt is counted back:
 * _id "<tenant>|<sequence>", attempts, at; evt_seq repeats attempts as the guard of the write.
 *
 * Lifetime  no state.
 * Thread    worker; attempts block on the database.
 * Limits    WK_ATTEMPTS_MAX tries alone, then the event is set aside.
 */
#ifndef WK_DEADLETTER_H
#define WK_DEADLETTER_H

#include "common/envelope.h"
#include "workers/pull.h"
#include "workers/store.h"

#define WK_ATTEMPTS_MAX 3

/* attempts[i]: how often the delivery was counted. first: those with none are counted now. */
YZ_MUST_USE enum yz_err wk_deadletter_attempts(struct wk_store *store,
                                               const struct wk_delivery *deliveries, size_t count,
                                               bool first, int64_t *attempts);
/* Count one delivery once more. */
YZ_MUST_USE enum yz_err wk_deadletter_count(struct wk_store *store,
                                            const struct wk_delivery *delivery, int64_t *attempts);
/* Take the last count back, down to one: that attempt did not end the process. `attempts` as
 * counted then. */
YZ_MUST_USE enum yz_err wk_deadletter_acquit(struct wk_store *store,
                                             const struct wk_delivery *delivery, int64_t attempts);
/* The message for DEADLETTERS: the original's headers and body, the reason, and where and when it
 * was accepted. The caller's to destroy. */
void wk_deadletter_message(const struct wk_delivery *delivery, const struct yz_violation *reason,
                           int64_t attempts, natsMsg **msg);

/* Sequence and time of the first acceptance of a replayed dead letter; false: it is none, or says
 * so on a subject where it is not believed. */
bool wk_deadletter_origin(natsMsg *msg, uint64_t *sequence, int64_t *accepted_at_ms);

#endif
