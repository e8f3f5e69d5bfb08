/* What a reporter does by the receipt once a complaint is filed. */
#include "workers/domains/complaint.h"

#include "workers/document.h"

#include <stdio.h>
#include <string.h>

/* complaint.message_added */

static const Yizhan__V1__ComplaintMessageAdded *added_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintMessageAdded *)event->payload;
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

enum yz_err wk_judge_message_added(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMessageAdded *added = added_of(event);
    const bson_t *complaint = wk_complaint_get(event, fold);
    char field[YZ_FIELD_MAX];

    if (!complaint)
        return refuse_receipt(v);
    if (!wk_complaint_open(complaint))
        return yz_violate(v, YZ_COMPLAINT_CLOSED, "receipt", NULL);
    for (size_t i = 0; i < added->n_content; i++) {
        snprintf(field, sizeof field, "content[%zu].keyId", i);
        if (!knows_key(complaint, added->content[i]->key_id))
            return yz_violate(v, YZ_KEY_NOT_ELIGIBLE, field, NULL);
    }
    return wk_complaint_room(event, fold, "content", v);
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
    int32_t count;
    bson_t *changed;

    if (!complaint)
        return;
    wk_complaint_ref(event, id);
    updated.complaint_id = id;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__MESSAGE;
    wk_complaint_tell(fold, complaint, "handlers", NULL, &updated);
    count = wk_complaint_say(event, fold, &words);
    changed = wk_complaint_without(complaint, "entries", NULL);
    BSON_APPEND_INT32(changed, "entries", count);
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
