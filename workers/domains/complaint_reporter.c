/* What a reporter does by the receipt once a complaint is filed. */
#include "workers/domains/complaint.h"

#include "common/memory.h"
#include "workers/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* complaint.message_added */

static const Yizhan__V1__ComplaintMessageAdded *added_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintMessageAdded *)event->payload;
}

static void key_document(const struct wk_event *event, const char *key_id, char id[WK_ID_MAX])
{
    wk_id(id, event->env->actor.tenant, key_id, NULL);
}

/* It is handed on: sealed to whoever may handle it now. */
static bool hands_on(const Yizhan__V1__ComplaintMessageAdded *added)
{
    return *added->org_path != '\0';
}

static void read_case(const struct wk_event *event, struct wk_route_case *what)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);

    wk_complaint_case(added->org_path, added->accused, event->received_at_ms, what);
}

void wk_needs_message_added(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);
    struct wk_route_case what;
    char id[WK_ID_MAX];

    wk_needs_dialogue(event, needs);
    for (size_t i = 0; i < added->n_content; i++) {
        key_document(event, added->content[i]->key_id, id);
        wk_need(needs, WK_COMPLAINT_KEYS, id);
    }
    if (!hands_on(added))
        return;
    read_case(event, &what);
    wk_complaint_need_route(event->env->actor.tenant, &what, needs);
}

/* A receipt that opens nothing says no more than that. */
static enum yz_err refuse_receipt(struct yz_violation *v)
{
    return yz_violate(v, YZ_NOT_FOUND, "receipt", "No complaint has this receipt.");
}

static bool has_key(bson_iter_t *entry, const char *key_id)
{
    bson_iter_t it;

    return bson_iter_recurse(entry, &it) && bson_iter_find(&it, "i") && BSON_ITER_HOLDS_UTF8(&it) &&
           strcmp(bson_iter_utf8(&it, NULL), key_id) == 0;
}

static bool knows_key(const bson_t *complaint, const char *key_id)
{
    bson_iter_t entries;

    if (!wk_document_array(complaint, "keys", &entries))
        return false;
    while (bson_iter_next(&entries)) {
        if (has_key(&entries, key_id))
            return true;
    }
    return false;
}

/* The complaint is sealed to it, and its owner is still appointed. */
static bool is_in_use(const struct wk_event *event, struct wk_fold *fold, const bson_t *complaint,
                      const char *key_id)
{
    char id[WK_ID_MAX];

    key_document(event, key_id, id);
    return knows_key(complaint, key_id) &&
           wk_complaint_appointed(wk_get(fold, WK_COMPLAINT_KEYS, id),
                                  wk_document_text(complaint, "routed_to"), event->received_at_ms,
                                  event->received_at_ms + WK_HOUR_MS - 1);
}

/* Whom it is about is what it was when it was filed: else it could be handed to the accused. */
static enum yz_err judge_case(const struct wk_event *event, const bson_t *complaint,
                              struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);
    const char *tenant = event->env->actor.tenant,
               *id = wk_document_text(complaint, "complaint_id");
    char place[33], accused[33] = "";
    struct wk_route_case what;

    if (strcmp(added->org_path, wk_document_text(complaint, "org_path")) != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "orgPath", "The complaint is about another org.");
    read_case(event, &what);
    wk_complaint_place(tenant, id, &what, place);
    if (*what.member)
        wk_complaint_accused(tenant, id, what.member, accused);
    if (strcmp(place, wk_document_text(complaint, "place")) != 0 ||
        strcmp(accused, wk_document_text(complaint, "accused")) != 0)
        return yz_violate(v, YZ_INVALID_VALUE, "accused", "The complaint is about somebody else.");
    return YZ_OK;
}

/* Each key is in use, or of one who may handle it now; route NULL: it is not handed on. */
static enum yz_err judge_keys(const struct wk_event *event, struct wk_fold *fold,
                              const bson_t *complaint, const struct wk_route *route,
                              struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);
    char field[YZ_FIELD_MAX];
    bool enough = false;

    for (size_t i = 0; i < added->n_content; i++) {
        const char *key_id = added->content[i]->key_id;
        const struct wk_handler *handler = route ? wk_route_key(route, key_id) : NULL;
        bool used = is_in_use(event, fold, complaint, key_id);

        snprintf(field, sizeof field, "content[%zu].keyId", i);
        if (!used && !(handler && handler->eligible))
            return yz_violate(v, YZ_KEY_NOT_ELIGIBLE, field, NULL);
        enough = enough || used || handler->nearest;
    }
    return enough ? YZ_OK : yz_violate(v, YZ_NEAREST_MISSING, "content", NULL);
}

static struct wk_route *find_route(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_route_case what;

    read_case(event, &what);
    return wk_complaint_route(event->env->actor.tenant, &what, fold);
}

enum yz_err wk_judge_message_added(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const bson_t *complaint = wk_complaint_get(event, fold);
    struct wk_route *route = NULL;
    enum yz_err err = YZ_OK;

    if (!complaint)
        return refuse_receipt(v);
    if (!wk_complaint_open(complaint))
        return yz_violate(v, YZ_COMPLAINT_CLOSED, "receipt", NULL);
    if (hands_on(added_of(event))) {
        if ((err = judge_case(event, complaint, v)))
            return err;
        route = find_route(event, fold);
    }
    err = judge_keys(event, fold, complaint, route, v);
    free(route);
    return err ? err : wk_complaint_room(event, fold, "content", v);
}

/* The array again, as `list`, to be ended; returns its length. */
static uint32_t copy_list(bson_t *changed, const bson_t *complaint, const char *field, bson_t *list)
{
    bson_iter_t entries;
    uint32_t count = 0;

    bson_append_array_begin(changed, field, -1, list);
    if (!wk_document_array(complaint, field, &entries))
        return 0;
    for (; bson_iter_next(&entries); count++)
        bson_append_iter(list, NULL, -1, &entries);
    return count;
}

/* Some of a route's handlers. */
struct chosen {
    const struct wk_handler *handlers[WK_ROUTE_MAX];
    size_t count;
};

/* Whose keys were used and may be. */
static void choose_used(const struct wk_event *event, const struct wk_route *route,
                        struct chosen *out)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);

    out->count = 0;
    for (size_t i = 0; i < added->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, added->content[i]->key_id);

        if (handler && handler->eligible)
            out->handlers[out->count++] = handler;
    }
}

static void choose_eligible(const struct wk_route *route, struct chosen *out)
{
    out->count = 0;
    for (size_t i = 0; i < route->count; i++) {
        if (route->handlers[i].eligible)
            out->handlers[out->count++] = &route->handlers[i];
    }
}

static bool is_before(const struct chosen *chosen, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(chosen->handlers[i]->member, chosen->handlers[at]->member) == 0)
            return true;
    }
    return false;
}

/* Behind those who were there: their places in pushes stay. */
static void append_members(bson_t *changed, const bson_t *complaint, const char *field,
                           const struct chosen *chosen)
{
    bson_t list;
    uint32_t at = copy_list(changed, complaint, field, &list);

    for (size_t i = 0; i < chosen->count; i++) {
        const char *member = chosen->handlers[i]->member;

        if (!is_before(chosen, i) && !wk_complaint_lists(complaint, field, member))
            wk_complaint_append_text(&list, at++, member);
    }
    bson_append_array_end(changed, &list);
}

static void append_keys(bson_t *changed, const bson_t *complaint, const struct chosen *chosen)
{
    bson_t list;
    uint32_t at = copy_list(changed, complaint, "keys", &list);

    for (size_t i = 0; i < chosen->count; i++) {
        if (!knows_key(complaint, chosen->handlers[i]->key_id))
            wk_complaint_append_key(&list, at++, chosen->handlers[i]);
    }
    bson_append_array_end(changed, &list);
}

/* The deepest of the scopes, so that all who handle it stand over it. */
static const char *route_again(const bson_t *complaint, const struct chosen *chosen)
{
    const char *routed_to = wk_document_text(complaint, "routed_to");

    for (size_t i = 0; i < chosen->count; i++) {
        if (yz_org_covers(routed_to, chosen->handlers[i]->scope))
            routed_to = chosen->handlers[i]->scope;
    }
    return routed_to;
}

/* A copy, to those to whom it is handed as well, as at the filing. */
static bson_t *hand_on(const struct wk_event *event, struct wk_fold *fold, const bson_t *complaint)
{
    struct wk_route *route = find_route(event, fold);
    struct chosen *chosen = yz_calloc(1, sizeof *chosen);
    bson_t *changed = wk_complaint_without(complaint, "entries", "handlers", "approvers", "keys",
                                           "routed_to", NULL);

    choose_used(event, route, chosen);
    append_members(changed, complaint, "handlers", chosen);
    append_keys(changed, complaint, chosen);
    BSON_APPEND_UTF8(changed, "routed_to", route_again(complaint, chosen));
    choose_eligible(route, chosen);
    append_members(changed, complaint, "approvers", chosen);
    free(chosen);
    free(route);
    return changed;
}

void wk_apply_message_added(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    const struct wk_complaint_words words = {.from = "REPORTER",
                                             .box = &added->copy,
                                             .boxes = added->content,
                                             .count = added->n_content};
    char id[YZ_ID_MAX];
    bson_t *changed;
    int32_t count;

    if (!complaint)
        return;
    wk_complaint_ref(event, id);
    updated.complaint_id = id;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__MESSAGE;
    count = wk_complaint_say(event, fold, &words);
    changed = hands_on(added) ? hand_on(event, fold, complaint)
                              : wk_complaint_without(complaint, "entries", NULL);
    BSON_APPEND_INT32(changed, "entries", count);
    wk_complaint_tell(fold, changed, "handlers", NULL, &updated);
    wk_complaint_put(event, fold, changed);
}

/* complaint.rated */

enum yz_err wk_judge_rated(const struct wk_event *event, struct wk_fold *fold,
                           struct yz_violation *v)
{
    const bson_t *complaint = wk_complaint_get(event, fold);

    if (!complaint)
        return refuse_receipt(v);
    if (wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__RATED)
        return yz_violate(v, YZ_ALREADY_RATED, "receipt", NULL);
    return wk_complaint_open(complaint) ? yz_violate(v, YZ_NOT_RESOLVED, "receipt", NULL) : YZ_OK;
}

void wk_apply_rated(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintRated *rated = (const Yizhan__V1__ComplaintRated *)event->payload;
    const bson_t *complaint = wk_complaint_get(event, fold);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    char id[YZ_ID_MAX];
    bson_t *changed;

    if (!complaint)
        return;
    wk_complaint_ref(event, id);
    updated.complaint_id = id;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__RATING;
    wk_complaint_tell(fold, complaint, "handlers", NULL, &updated);
    changed = wk_complaint_without(complaint, "state", "rating", NULL);
    BSON_APPEND_UTF8(changed, "state", "RATED");
    BSON_APPEND_INT32(changed, "rating", (int32_t)rated->rating);
    wk_complaint_put(event, fold, changed);
}
