/* outcome.h: what became of an event: its document in `outcomes`, and the push that tells the
 * actor.
 *
 * The document: _id "<tenant>|<actor>|<event id>", tenant, actor, event_id, type, hash (of type and
 * payload), sequence (of the first acceptance), status, code, field, text, received_at; evt_seq is
 * the sequence of the message that decided: another one only after a dead letter was replayed.
 * A discreet one (nobody's, or of a type YZ_BY_ANYONE or YZ_BY_MEMBER_DISCREETLY) has _id
 * "<tenant>|$|<hash of member and event id>", neither actor nor event_id, and a hash that only who
 * knows the event id can compare; it is not pushed.
 *
 * Lifetime  plain structs.
 * Thread    any.
 * Limits    texts are cut to those of a violation.
 */
#ifndef WK_OUTCOME_H
#define WK_OUTCOME_H

#include "workers/domain.h"

#define WK_OUTCOMES "outcomes"

enum wk_status { WK_APPLIED, WK_REFUSED, WK_DEAD_LETTERED };

struct wk_outcome {
    char id[WK_ID_MAX];
    char hash[33];
    uint64_t sequence;
    uint64_t decided_by;
    int64_t received_at_ms;
    enum wk_status status;
    struct yz_violation reason; /* unless applied */
};

bool wk_outcome_discreet(const struct yz_envelope *env);
void wk_outcome_id(const struct yz_envelope *env, char out[WK_ID_MAX]);
/* _id of a discreet one; the actor may be nobody. */
void wk_outcome_discreet_id(const struct yz_actor *actor, const char *event_id,
                            char out[WK_ID_MAX]);
void wk_outcome_hash(const struct yz_envelope *env, const void *payload, size_t len, char out[33]);
/* A new document; the caller's to destroy. */
bson_t *wk_outcome_document(const struct wk_outcome *outcome, const struct yz_envelope *env);
/* false: the document has no such form. */
bool wk_outcome_read(const bson_t *document, struct wk_outcome *outcome);

/* Push event.outcome into the inbox of the event's actor; between wk_fold_begin and wk_fold_end. */
void wk_outcome_push(struct wk_fold *fold, const struct wk_event *event,
                     const struct wk_outcome *outcome);

#endif
