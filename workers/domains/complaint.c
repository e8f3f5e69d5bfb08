/* Complaints (投诉 · 举报 · 监督 · 信访): what several events do, and the domain's table. Who may
 * handle them is set in complaint_appointment.c and found in complaint_route.c; filing stands in
 * complaint_filing.c, what else a reporter does in complaint_reporter.c, what handlers do and the
 * clocks in complaint_handling.c. */
#include "workers/domains/complaint.h"

#include "workers/document.h"
#include "workers/rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What several events of the domain do. */

void wk_complaint_ref(const struct wk_event *event, char id[YZ_ID_MAX])
{
    char aggregate[YZ_AGGREGATE_MAX];

    event->type->aggregate(event->payload, &event->env->actor, aggregate);
    snprintf(id, YZ_ID_MAX, "%.*s", YZ_ID_MAX - 1, aggregate + strlen("complaint|"));
}

static void document_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    char id[YZ_ID_MAX];

    wk_complaint_ref(event, id);
    wk_id(out, event->env->actor.tenant, id, NULL);
}

void wk_needs_complaint(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    document_id(event, id);
    wk_need_own(needs, WK_COMPLAINTS, id);
}

void wk_needs_dialogue(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    document_id(event, id);
    wk_need_own(needs, WK_COMPLAINTS, id);
    wk_need_own(needs, WK_COMPLAINT_MESSAGES, id);
}

const bson_t *wk_complaint_get(const struct wk_event *event, struct wk_fold *fold)
{
    char id[WK_ID_MAX];

    document_id(event, id);
    return wk_get(fold, WK_COMPLAINTS, id);
}

wk_complaint_state_t wk_complaint_state(const bson_t *complaint)
{
    return (wk_complaint_state_t)wk_document_enum(complaint, "state",
                                                  &yizhan__v1__complaint__state__descriptor);
}

bool wk_complaint_open(const bson_t *complaint)
{
    wk_complaint_state_t state = wk_complaint_state(complaint);

    return state != YIZHAN__V1__COMPLAINT__STATE__RESOLVED &&
           state != YIZHAN__V1__COMPLAINT__STATE__RATED;
}

bool wk_complaint_lists(const bson_t *complaint, const char *field, const char *member)
{
    bson_iter_t entries;

    if (!wk_document_array(complaint, field, &entries))
        return false;
    while (bson_iter_next(&entries)) {
        if (BSON_ITER_HOLDS_UTF8(&entries) && strcmp(bson_iter_utf8(&entries, NULL), member) == 0)
            return true;
    }
    return false;
}

bson_t *wk_complaint_without(const bson_t *complaint, const char *first, ...)
{
    static const char *const frame[] = {"_id", "tenant", "evt_seq", "evt_first"};
    bson_t *copy = bson_new();
    bson_iter_t it;

    for (bool more = bson_iter_init(&it, complaint) && bson_iter_next(&it); more;
         more = bson_iter_next(&it)) {
        const char *key = bson_iter_key(&it);
        bool left = false;
        va_list names;

        for (size_t i = 0; i < sizeof frame / sizeof frame[0]; i++)
            left = left || strcmp(frame[i], key) == 0;
        va_start(names, first);
        for (const char *name = first; name; name = va_arg(names, const char *))
            left = left || strcmp(name, key) == 0;
        va_end(names);
        if (!left)
            bson_append_iter(copy, NULL, -1, &it);
    }
    return copy;
}

void wk_complaint_append_due(bson_t *complaint, const char *id, int64_t due_ms)
{
    char key[YZ_ID_MAX + 32];

    snprintf(key, sizeof key, "%015" PRId64 "-%s", due_ms, id);
    BSON_APPEND_UTF8(complaint, "due_key", key);
}

void wk_complaint_put(const struct wk_event *event, struct wk_fold *fold, bson_t *complaint)
{
    char id[WK_ID_MAX];

    document_id(event, id);
    wk_put(fold, WK_COMPLAINTS, id, complaint);
}

void wk_complaint_append_binary(bson_t *to, const char *field, const ProtobufCBinaryData *data)
{
    bson_append_binary(to, field, -1, BSON_SUBTYPE_BINARY, data->data, (uint32_t)data->len);
}

static void append_boxes(bson_t *to, const char *field, Yizhan__V1__ComplaintSealed *const *boxes,
                         size_t count)
{
    bson_t list, entry;
    char buffer[16];
    const char *key;

    bson_append_array_begin(to, field, -1, &list);
    for (size_t i = 0; i < count; i++) {
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_document_begin(&list, key, -1, &entry);
        BSON_APPEND_UTF8(&entry, "i", boxes[i]->key_id);
        wk_complaint_append_binary(&entry, "b", &boxes[i]->sealed);
        bson_append_document_end(&list, &entry);
    }
    bson_append_array_end(to, &list);
}

/* How many entries there are; *again: one of them is this event's. */
static int32_t count_entries(const bson_t *messages, uint64_t sequence, bool *again)
{
    bson_iter_t entries, entry;
    int32_t count = 0;

    *again = false;
    if (!messages || !wk_document_array(messages, "entries", &entries))
        return 0;
    for (; bson_iter_next(&entries); count++) {
        if (bson_iter_recurse(&entries, &entry) && bson_iter_find(&entry, "s") &&
            bson_iter_as_int64(&entry) == (int64_t)sequence)
            *again = true;
    }
    return count;
}

static void append_entry(bson_t *list, int32_t at, const struct wk_event *event,
                         const struct wk_complaint_words *words)
{
    char buffer[16];
    const char *key;
    bson_t entry;

    bson_uint32_to_string((uint32_t)at, &key, buffer, sizeof buffer);
    bson_append_document_begin(list, key, -1, &entry);
    BSON_APPEND_INT64(&entry, "s", (int64_t)event->sequence);
    BSON_APPEND_UTF8(&entry, "f", words->from);
    BSON_APPEND_DATE_TIME(&entry, "a", event->received_at_ms);
    if (words->box && words->box->len > 0)
        wk_complaint_append_binary(&entry, "c", words->box);
    append_boxes(&entry, "k", words->boxes, words->count);
    bson_append_document_end(list, &entry);
}

int32_t wk_complaint_say(const struct wk_event *event, struct wk_fold *fold,
                         const struct wk_complaint_words *words)
{
    char id[WK_ID_MAX];
    const bson_t *messages;
    bson_t *copy, list;
    bson_iter_t it;
    int32_t count;
    bool again;

    document_id(event, id);
    messages = wk_get(fold, WK_COMPLAINT_MESSAGES, id);
    count = count_entries(messages, event->sequence, &again);
    if (again)
        return count;
    copy = messages ? wk_complaint_without(messages, "entries", NULL) : bson_new();
    if (words->purge_at_ms)
        BSON_APPEND_DATE_TIME(copy, "purge_at", words->purge_at_ms);
    BSON_APPEND_ARRAY_BEGIN(copy, "entries", &list);
    if (messages && wk_document_array(messages, "entries", &it)) {
        while (bson_iter_next(&it))
            bson_append_iter(&list, NULL, -1, &it);
    }
    append_entry(&list, count, event, words);
    bson_append_array_end(copy, &list);
    wk_put(fold, WK_COMPLAINT_MESSAGES, id, copy);
    return count + 1;
}

enum yz_err wk_complaint_room(const struct wk_event *event, struct wk_fold *fold, const char *field,
                              struct yz_violation *v)
{
    char id[WK_ID_MAX];
    bool again;

    document_id(event, id);
    if (count_entries(wk_get(fold, WK_COMPLAINT_MESSAGES, id), event->sequence, &again) <
        WK_DIALOGUE_MAX)
        return YZ_OK;
    return yz_violate(v, YZ_TOO_MANY, field, "The dialogue has its 64 entries.");
}

void wk_complaint_tell(struct wk_fold *fold, const bson_t *complaint, const char *field,
                       const char *except, const Yizhan__V1__ComplaintUpdated *updated)
{
    bson_iter_t entries;

    if (!wk_document_array(complaint, field, &entries))
        return;
    while (bson_iter_next(&entries)) {
        const char *member = BSON_ITER_HOLDS_UTF8(&entries) ? bson_iter_utf8(&entries, NULL) : "";
        struct yz_channel channel = {.kind = YZ_CHANNEL_MEMBER};
        char name[YZ_CHANNEL_MAX];

        if (*member == '\0' || (except && strcmp(member, except) == 0))
            continue;
        snprintf(channel.id, sizeof channel.id, "%s", member);
        yz_channel_name(&channel, name);
        wk_push(fold, name, "complaint.updated", &updated->base, NULL);
    }
}

void wk_complaint_wind(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                       Yizhan__V1__Complaint__Clock clock, int64_t due_ms)
{
    const struct wk_rules_complaint *rules =
        wk_rules_complaint_at(wk_fold_context(fold)->rules, event->received_at_ms);
    Yizhan__V1__ComplaintClockRung rung = YIZHAN__V1__COMPLAINT_CLOCK_RUNG__INIT;
    Google__Protobuf__Timestamp due_at = wk_timestamp(due_ms);
    char id[YZ_ID_MAX];

    wk_complaint_ref(event, id);
    rung.complaint_id = id;
    rung.clock = clock;
    rung.due_at = &due_at;
    if (rules->remind_before_days > 0)
        wk_later(fold, ordinal, due_ms - rules->remind_before_days * WK_DAY_MS,
                 "complaint.clock_rung", &rung.base);
    rung.overdue = true;
    wk_later(fold, ordinal + 1, due_ms, "complaint.clock_rung", &rung.base);
}

static const struct wk_event_handler events[] = {
    {"complaint.handler_registered", wk_needs_appointment, wk_judge_appointment,
     wk_apply_appointment},
    {"complaint.filed", wk_needs_filed, wk_judge_filed, wk_apply_filed},
    {"complaint.filed_named", wk_needs_filed, wk_judge_filed, wk_apply_filed},
    {"complaint.message_added", wk_needs_message_added, wk_judge_message_added,
     wk_apply_message_added},
    {"complaint.rated", wk_needs_complaint, wk_judge_rated, wk_apply_rated},
    {"complaint.acknowledged", wk_needs_handling, wk_judge_acknowledged, wk_apply_acknowledged},
    {"complaint.replied", wk_needs_answering, wk_judge_replied, wk_apply_replied},
    {"complaint.extension_requested", wk_needs_handling, wk_judge_extension_requested,
     wk_apply_extension_requested},
    {"complaint.extended", wk_needs_handling, wk_judge_extended, wk_apply_extended},
    {"complaint.resolved", wk_needs_answering, wk_judge_resolved, wk_apply_resolved},
    {"complaint.clock_rung", wk_needs_complaint, wk_judge_clock_rung, wk_apply_clock_rung},
    {0},
};

/* Kept for as long as the rules say from the closing on; open ones have no purge_at. */
static const struct wk_index complaints_indexes[] = {
    {.name = "by_handler", .keys = "{\"tenant\": 1, \"handlers\": 1, \"open\": 1, \"due_key\": 1}"},
    {.name = "purge", .keys = "{\"purge_at\": 1}", .expire_after_s = 1},
    {0},
};

static const struct wk_index messages_indexes[] = {
    {.name = "purge", .keys = "{\"purge_at\": 1}", .expire_after_s = 1},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_COMPLAINTS, complaints_indexes}, {WK_COMPLAINT_MESSAGES, messages_indexes},
    {WK_COMPLAINT_HANDLERS, NULL},       {WK_COMPLAINT_KEYS, NULL},
    {WK_COMPLAINT_TERMS, NULL},          {0},
};

const struct wk_domain wk_domain_complaint = {"complaint", events, wk_complaint_queries,
                                              collections};
