/* What the handlers of a complaint do, and its clocks. */
#include "workers/domains/complaint.h"

#include "workers/document.h"
#include "workers/rules.h"

#include <stdio.h>
#include <string.h>

static const char *actor_of(const struct wk_event *event)
{
    return event->env->actor.member;
}

/* To whom it is not given, there is no such complaint. */
static enum yz_err refuse_missing(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "complaintId", "You handle no complaint of this id.");
}

static void terms_id(const struct wk_event *event, char id[WK_ID_MAX])
{
    wk_id(id, event->env->actor.tenant, actor_of(event), NULL);
}

void wk_needs_handling(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_needs_complaint(event, needs);
    terms_id(event, id);
    wk_need(needs, WK_COMPLAINT_TERMS, id);
}

void wk_needs_answering(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_needs_dialogue(event, needs);
    terms_id(event, id);
    wk_need(needs, WK_COMPLAINT_TERMS, id);
}

/* The actor stands in the list, and his appointment has not ended. */
static enum yz_err judge_appointed(const struct wk_event *event, struct wk_fold *fold,
                                   const bson_t *complaint, const char *list,
                                   struct yz_violation *v)
{
    char id[WK_ID_MAX];

    if (!complaint || !wk_complaint_lists(complaint, list, actor_of(event)))
        return refuse_missing(v);
    terms_id(event, id);
    if (!wk_complaint_appointed(wk_get(fold, WK_COMPLAINT_TERMS, id),
                                wk_document_text(complaint, "routed_to"), event->received_at_ms,
                                event->received_at_ms))
        return yz_violate(v, YZ_NOT_APPOINTED, "complaintId", NULL);
    return YZ_OK;
}

/* Open, and the actor's. */
static enum yz_err judge_handler(const struct wk_event *event, struct wk_fold *fold,
                                 const bson_t *complaint, struct yz_violation *v)
{
    enum yz_err err = judge_appointed(event, fold, complaint, "handlers", v);

    if (err)
        return err;
    if (!wk_complaint_open(complaint))
        return yz_violate(v, YZ_COMPLAINT_CLOSED, "complaintId", NULL);
    return YZ_OK;
}

static enum yz_err judge_acknowledged_handler(const struct wk_event *event, struct wk_fold *fold,
                                              const bson_t *complaint, struct yz_violation *v)
{
    enum yz_err err = judge_handler(event, fold, complaint, v);

    if (!err && wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__FILED)
        return yz_violate(v, YZ_NOT_ACKNOWLEDGED, "complaintId", NULL);
    return err;
}

/* Keys of the copies are those that the complaint was sealed to. */
static enum yz_err judge_copies(const bson_t *complaint, Yizhan__V1__ComplaintSealed *const *copies,
                                size_t count, struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];

    for (size_t i = 0; i < count; i++) {
        bson_iter_t keys, key;
        bool known = false;

        if (wk_document_array(complaint, "keys", &keys)) {
            while (!known && bson_iter_next(&keys))
                known = bson_iter_recurse(&keys, &key) && bson_iter_find(&key, "i") &&
                        BSON_ITER_HOLDS_UTF8(&key) &&
                        strcmp(bson_iter_utf8(&key, NULL), copies[i]->key_id) == 0;
        }
        snprintf(field, sizeof field, "copies[%zu].keyId", i);
        if (!known)
            return yz_violate(v, YZ_KEY_NOT_ELIGIBLE, field, NULL);
    }
    return YZ_OK;
}

static void tell(const struct wk_event *event, struct wk_fold *fold, const bson_t *complaint,
                 const char *field, const Yizhan__V1__ComplaintUpdated *updated)
{
    Yizhan__V1__ComplaintUpdated whole = *updated;
    char id[YZ_ID_MAX];

    wk_complaint_ref(event, id);
    whole.complaint_id = id;
    wk_complaint_tell(fold, complaint, field, actor_of(event), &whole);
}

/* complaint.acknowledged */

enum yz_err wk_judge_acknowledged(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const bson_t *complaint = wk_complaint_get(event, fold);
    enum yz_err err = judge_handler(event, fold, complaint, v);

    if (!err && wk_complaint_state(complaint) != YIZHAN__V1__COMPLAINT__STATE__FILED)
        return yz_violate(v, YZ_ALREADY_ACKNOWLEDGED, "complaintId", NULL);
    return err;
}

void wk_apply_acknowledged(const struct wk_event *event, struct wk_fold *fold)
{
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    char id[YZ_ID_MAX];
    bson_t *changed;

    if (!complaint)
        return;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__TAKEN;
    tell(event, fold, complaint, "handlers", &updated);
    wk_complaint_ref(event, id);
    changed = wk_complaint_without(complaint, "state", "acknowledged_at", "acknowledged_by",
                                   "due_key", NULL);
    BSON_APPEND_UTF8(changed, "state", "ACKNOWLEDGED");
    BSON_APPEND_DATE_TIME(changed, "acknowledged_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "acknowledged_by", actor_of(event));
    wk_complaint_append_due(changed, id, wk_document_time_ms(complaint, "resolve_by"));
    wk_complaint_put(event, fold, changed);
}

/* complaint.replied */

static const Yizhan__V1__ComplaintReplied *replied_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintReplied *)event->payload;
}

enum yz_err wk_judge_replied(const struct wk_event *event, struct wk_fold *fold,
                             struct yz_violation *v)
{
    const Yizhan__V1__ComplaintReplied *replied = replied_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    enum yz_err err;

    if ((err = judge_handler(event, fold, complaint, v)) ||
        (err = judge_copies(complaint, replied->copies, replied->n_copies, v)))
        return err;
    return wk_complaint_room(event, fold, "sealed", v);
}

void wk_apply_replied(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintReplied *replied = replied_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    const struct wk_complaint_words words = {.from = "HANDLER",
                                             .box = &replied->sealed,
                                             .boxes = replied->copies,
                                             .count = replied->n_copies};
    bson_t *changed;
    int32_t count;

    if (!complaint)
        return;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__ANSWER;
    tell(event, fold, complaint, "handlers", &updated);
    count = wk_complaint_say(event, fold, &words);
    changed = wk_complaint_without(complaint, "entries", NULL);
    BSON_APPEND_INT32(changed, "entries", count);
    wk_complaint_put(event, fold, changed);
}

/* complaint.extension_requested */

enum yz_err wk_judge_extension_requested(const struct wk_event *event, struct wk_fold *fold,
                                         struct yz_violation *v)
{
    const Yizhan__V1__ComplaintExtensionRequested *asked =
        (const Yizhan__V1__ComplaintExtensionRequested *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    const struct wk_rules_complaint *rules;
    char told[YZ_TEXT_MAX];
    enum yz_err err = judge_acknowledged_handler(event, fold, complaint, v);

    if (err)
        return err;
    if (wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__EXTENDED)
        return yz_violate(v, YZ_ALREADY_EXTENDED, "complaintId", NULL);
    /* Those under which its clocks were set. */
    rules = wk_rules_complaint_version(wk_fold_context(fold)->rules,
                                       wk_document_text(complaint, "rules"));
    if (!rules)
        rules = wk_rules_complaint_at(wk_fold_context(fold)->rules, event->received_at_ms);
    if (asked->days <= rules->extend_days)
        return YZ_OK;
    snprintf(told, sizeof told, "At most %d days may be added.", (int)rules->extend_days);
    return yz_violate(v, YZ_INVALID_VALUE, "days", told);
}

void wk_apply_extension_requested(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintExtensionRequested *asked =
        (const Yizhan__V1__ComplaintExtensionRequested *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    bson_t *changed;

    if (!complaint)
        return;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__EXTENSION_ASKED;
    updated.days = asked->days;
    tell(event, fold, complaint, "approvers", &updated);
    changed = wk_complaint_without(complaint, "extension_days", "extension_by", NULL);
    BSON_APPEND_INT32(changed, "extension_days", (int32_t)asked->days);
    BSON_APPEND_UTF8(changed, "extension_by", actor_of(event));
    wk_complaint_put(event, fold, changed);
}

/* complaint.extended */

enum yz_err wk_judge_extended(const struct wk_event *event, struct wk_fold *fold,
                              struct yz_violation *v)
{
    const Yizhan__V1__ComplaintExtended *extended =
        (const Yizhan__V1__ComplaintExtended *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    enum yz_err err = judge_appointed(event, fold, complaint, "approvers", v);

    if (err)
        return err;
    if (!wk_complaint_open(complaint))
        return yz_violate(v, YZ_COMPLAINT_CLOSED, "complaintId", NULL);
    if (wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__EXTENDED)
        return yz_violate(v, YZ_ALREADY_EXTENDED, "complaintId", NULL);
    if (wk_document_number(complaint, "extension_days") == 0)
        return yz_violate(v, YZ_EXTENSION_NOT_ASKED, "complaintId", NULL);
    if (wk_document_number(complaint, "extension_days") != (int64_t)extended->days)
        return yz_violate(v, YZ_EXTENSION_NOT_ASKED, "days", NULL);
    if (strcmp(wk_document_text(complaint, "extension_by"), actor_of(event)) == 0)
        return yz_violate(v, YZ_SECOND_PERSON, "complaintId", NULL);
    return YZ_OK;
}

/* The new end comes from fields that do not change once it is extended, so that a replay winds the
 * same clock. */
void wk_apply_extended(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintExtended *extended =
        (const Yizhan__V1__ComplaintExtended *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    Google__Protobuf__Timestamp due_at;
    int64_t resolve_ms;
    char id[YZ_ID_MAX];
    bson_t *changed;

    if (!complaint)
        return;
    resolve_ms = wk_document_time_ms(complaint, "resolve_by");
    if (wk_document_number(complaint, "extended_days") == 0)
        resolve_ms += extended->days * WK_DAY_MS;
    due_at = wk_timestamp(resolve_ms);
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__EXTENSION_GRANTED;
    updated.days = extended->days;
    updated.due_at = &due_at;
    tell(event, fold, complaint, "handlers", &updated);
    wk_complaint_wind(event, fold, 0, YIZHAN__V1__COMPLAINT__CLOCK__RESOLVE, resolve_ms);
    wk_complaint_ref(event, id);
    changed = wk_complaint_without(complaint, "state", "resolve_by", "extended_days", "extended_by",
                                   "due_key", NULL);
    BSON_APPEND_UTF8(changed, "state", "EXTENDED");
    BSON_APPEND_DATE_TIME(changed, "resolve_by", resolve_ms);
    BSON_APPEND_INT32(changed, "extended_days", (int32_t)extended->days);
    BSON_APPEND_UTF8(changed, "extended_by", actor_of(event));
    wk_complaint_append_due(changed, id, resolve_ms);
    wk_complaint_put(event, fold, changed);
}

/* complaint.resolved */

static const Yizhan__V1__ComplaintResolved *resolved_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintResolved *)event->payload;
}

enum yz_err wk_judge_resolved(const struct wk_event *event, struct wk_fold *fold,
                              struct yz_violation *v)
{
    const Yizhan__V1__ComplaintResolved *resolved = resolved_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    enum yz_err err = judge_acknowledged_handler(event, fold, complaint, v);

    /* The answer that closes it always has room. */
    return err ? err : judge_copies(complaint, resolved->copies, resolved->n_copies, v);
}

static int64_t purge_at(const struct wk_event *event, struct wk_fold *fold)
{
    const struct wk_rules_complaint *rules =
        wk_rules_complaint_at(wk_fold_context(fold)->rules, event->received_at_ms);

    return event->received_at_ms + rules->retain_days * WK_DAY_MS;
}

void wk_apply_resolved(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintResolved *resolved = resolved_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    const struct wk_complaint_words words = {.from = "HANDLER",
                                             .box = &resolved->sealed,
                                             .boxes = resolved->copies,
                                             .count = resolved->n_copies,
                                             .purge_at_ms = purge_at(event, fold)};
    char id[YZ_ID_MAX];
    bson_t *changed;
    int32_t count;

    if (!complaint)
        return;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__CLOSED;
    tell(event, fold, complaint, "handlers", &updated);
    count = wk_complaint_say(event, fold, &words);
    wk_complaint_ref(event, id);
    changed = wk_complaint_without(complaint, "state", "open", "result", "closed_at", "closed_by",
                                   "purge_at", "entries", "due_key", NULL);
    BSON_APPEND_UTF8(changed, "state", "RESOLVED");
    BSON_APPEND_BOOL(changed, "open", false);
    BSON_APPEND_UTF8(
        changed, "result",
        wk_document_enum_name(&yizhan__v1__complaint__result__descriptor, (int)resolved->result));
    BSON_APPEND_DATE_TIME(changed, "closed_at", event->received_at_ms);
    BSON_APPEND_UTF8(changed, "closed_by", actor_of(event));
    BSON_APPEND_DATE_TIME(changed, "purge_at", words.purge_at_ms);
    BSON_APPEND_INT32(changed, "entries", count);
    wk_complaint_append_due(changed, id, event->received_at_ms);
    wk_complaint_put(event, fold, changed);
}

/* complaint.clock_rung */

enum yz_err wk_judge_clock_rung(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

/* It still runs: what it waits for was not done, and its end was not moved. */
static bool still_runs(const bson_t *complaint, const Yizhan__V1__ComplaintClockRung *rung)
{
    if (!wk_complaint_open(complaint))
        return false;
    if (rung->clock == YIZHAN__V1__COMPLAINT__CLOCK__ACKNOWLEDGE)
        return wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__FILED;
    return wk_document_time_ms(complaint, "resolve_by") == wk_timestamp_ms(rung->due_at);
}

/* One that is moot has no effect. */
void wk_apply_clock_rung(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintClockRung *rung =
        (const Yizhan__V1__ComplaintClockRung *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;

    if (!complaint || !still_runs(complaint, rung))
        return;
    updated.complaint_id = rung->complaint_id;
    updated.kind = rung->overdue ? YIZHAN__V1__COMPLAINT_UPDATED__KIND__OVERDUE
                                 : YIZHAN__V1__COMPLAINT_UPDATED__KIND__DUE_SOON;
    updated.clock = rung->clock;
    updated.due_at = rung->due_at;
    wk_complaint_tell(fold, complaint, "handlers", NULL, &updated);
}
