/* What became of events. Events of its own it has none: the frame stores the outcomes. */
#include "workers/document.h"
#include "workers/domain.h"
#include "workers/outcome.h"
#include "workers/store.h"

#include <envelope.pb-c.h>
#include <event.pb-c.h>
#include <stdio.h>
#include <string.h>

static Yizhan__V1__Outcome__Status status_of(enum wk_status status)
{
    switch (status) {
    case WK_APPLIED:
        return YIZHAN__V1__OUTCOME__STATUS__APPLIED;
    case WK_REFUSED:
        return YIZHAN__V1__OUTCOME__STATUS__REFUSED;
    case WK_DEAD_LETTERED:
        return YIZHAN__V1__OUTCOME__STATUS__DEAD_LETTERED;
    }
    return YIZHAN__V1__OUTCOME__STATUS__STATUS_UNSPECIFIED;
}

static bool fill_outcome(const struct wk_query *query, const bson_t *row, const char *event_id,
                         Yizhan__V1__Outcome *outcome)
{
    struct wk_outcome stored;
    bson_t kept;

    if (!wk_outcome_read(row, &stored) || !wk_document_keep(query->arena, row, &kept))
        return false;
    yizhan__v1__outcome__init(outcome);
    outcome->event_id = (char *)(uintptr_t)event_id; /* a discreet one's document has none */
    outcome->type = (char *)(uintptr_t)wk_document_text(&kept, "type");
    outcome->status = status_of(stored.status);
    outcome->code = (char *)(uintptr_t)wk_document_text(&kept, "code");
    outcome->text = (char *)(uintptr_t)wk_document_text(&kept, "text");
    outcome->field = (char *)(uintptr_t)wk_document_text(&kept, "field");
    outcome->sequence = stored.sequence;
    outcome->received_at = wk_timestamp_new(query->arena, stored.received_at_ms);
    return true;
}

/* The outcome document `id`; *found false: there is none. */
static enum yz_err find_outcome(const struct wk_query *query, const char *id, const char *event_id,
                                Yizhan__V1__Outcome *outcome, bool *found)
{
    bson_t row;
    enum yz_err err = wk_store_get(query->store, WK_OUTCOMES, id, &row, found);

    if (!err && *found && !fill_outcome(query, &row, event_id, outcome))
        err = YZ_INTERNAL;
    bson_destroy(&row);
    return err;
}

/* Only one's own: the actor is part of the document's id, and of a discreet one's hash. */
static enum yz_err answer_for(const struct wk_query *query, const char *event_id,
                              ProtobufCMessage **reply, struct yz_violation *v)
{
    Yizhan__V1__EventOutcomeReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    Yizhan__V1__Outcome *outcome = yz_arena_alloc(query->arena, sizeof *outcome);
    char id[WK_ID_MAX];
    bool found = false;
    enum yz_err err = YZ_OK;

    if (!answer || !outcome)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    if (!yz_actor_is_nobody(query->actor)) {
        wk_id(id, query->actor->tenant, query->actor->member, event_id, NULL);
        err = find_outcome(query, id, event_id, outcome, &found);
    }
    if (!err && !found) {
        wk_outcome_discreet_id(query->actor, event_id, id);
        err = find_outcome(query, id, event_id, outcome, &found);
    }
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (!found)
        return yz_violate(v, YZ_NOT_FOUND, "eventId", "No event with this id is settled yet.");
    yizhan__v1__event_outcome_reply__init(answer);
    answer->outcome = outcome;
    *reply = &answer->base;
    return YZ_OK;
}

static enum yz_err answer_outcome(const struct wk_query *query, ProtobufCMessage **reply,
                                  struct yz_violation *v)
{
    return answer_for(query, ((const Yizhan__V1__EventOutcomeRequest *)query->request)->event_id,
                      reply, v);
}

static enum yz_err answer_outcome_of_nonce(const struct wk_query *query, ProtobufCMessage **reply,
                                           struct yz_violation *v)
{
    return answer_for(query,
                      ((const Yizhan__V1__EventOutcomeOfNonceRequest *)query->request)->event_id,
                      reply, v);
}

static const struct wk_event_handler events[] = {{0}};

static const struct wk_query_handler queries[] = {
    {"event.outcome", answer_outcome},
    {"event.outcome_of_nonce", answer_outcome_of_nonce},
    {0},
};

static const struct wk_collection collections[] = {{0}};

const struct wk_domain wk_domain_event = {"event", events, queries, collections};
