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

static bool fill_outcome(const struct wk_query *query, const bson_t *row,
                         Yizhan__V1__Outcome *outcome)
{
    struct wk_outcome stored;
    bson_t kept;

    if (!wk_outcome_read(row, &stored) || !wk_document_keep(query->arena, row, &kept))
        return false;
    yizhan__v1__outcome__init(outcome);
    outcome->event_id = (char *)(uintptr_t)wk_document_text(&kept, "event_id");
    outcome->type = (char *)(uintptr_t)wk_document_text(&kept, "type");
    outcome->status = status_of(stored.status);
    outcome->code = (char *)(uintptr_t)wk_document_text(&kept, "code");
    outcome->text = (char *)(uintptr_t)wk_document_text(&kept, "text");
    outcome->field = (char *)(uintptr_t)wk_document_text(&kept, "field");
    outcome->sequence = stored.sequence;
    outcome->received_at = wk_timestamp_new(query->arena, stored.received_at_ms);
    return true;
}

/* Only one's own: the actor is part of the document's id. */
static enum yz_err answer_outcome(const struct wk_query *query, ProtobufCMessage **reply,
                                  struct yz_violation *v)
{
    const Yizhan__V1__EventOutcomeRequest *request =
        (const Yizhan__V1__EventOutcomeRequest *)query->request;
    Yizhan__V1__EventOutcomeReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    Yizhan__V1__Outcome *outcome = yz_arena_alloc(query->arena, sizeof *outcome);
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    if (!answer || !outcome)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    wk_id(id, query->actor->tenant, query->actor->member, request->event_id, NULL);
    err = wk_store_get(query->store, WK_OUTCOMES, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "eventId", "No event with this id is settled yet.");
    else if (err || !fill_outcome(query, &row, outcome))
        err = yz_violate(v, err ? err : YZ_INTERNAL, NULL, NULL);
    bson_destroy(&row);
    if (err)
        return err;
    yizhan__v1__event_outcome_reply__init(answer);
    answer->outcome = outcome;
    *reply = &answer->base;
    return YZ_OK;
}

static const struct wk_event_handler events[] = {{0}};

static const struct wk_query_handler queries[] = {
    {"event.outcome", answer_outcome},
    {0},
};

static const struct wk_collection collections[] = {{0}};

const struct wk_domain wk_domain_event = {"event", events, queries, collections};
