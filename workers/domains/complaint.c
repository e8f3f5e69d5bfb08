/* Complaints (投诉 · 举报 · 监督 · 信访): what a reporter does, and who may handle it. What
 * handlers do stands in complaint_handling.c, who they are in complaint_route.c. */
#include "workers/domains/complaint.h"

#include "common/memory.h"
#include "workers/document.h"
#include "workers/domains/complaint_route.h"
#include "workers/roster.h"
#include "workers/rules.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000

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

static void append_binary(bson_t *to, const char *field, const ProtobufCBinaryData *data)
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
        append_binary(&entry, "b", &boxes[i]->sealed);
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
        append_binary(&entry, "c", words->box);
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

/* complaint.handler_registered */

static const Yizhan__V1__ComplaintHandlerRegistered *handler_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintHandlerRegistered *)event->payload;
}

static void handlers_id(const char *tenant, const char *org_path, char out[WK_ID_MAX])
{
    wk_id(out, tenant, org_path, NULL);
}

static void needs_handlers(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    handlers_id(event->env->actor.tenant, handler_of(event)->org_path, id);
    wk_need_own(needs, WK_COMPLAINT_HANDLERS, id);
}

/* The entry with this key. count: of all. */
static bool find_handler(const bson_t *handlers, const char *key_id, bson_t *found, int32_t *count)
{
    bson_iter_t entries;
    bool there = false;

    *count = 0;
    if (!handlers || !wk_document_array(handlers, "handlers", &entries))
        return false;
    for (; bson_iter_next(&entries); (*count)++) {
        const uint8_t *data;
        bson_t entry;
        uint32_t len;

        if (!BSON_ITER_HOLDS_DOCUMENT(&entries))
            continue;
        bson_iter_document(&entries, &len, &data);
        if (bson_init_static(&entry, data, len) &&
            strcmp(wk_document_text(&entry, "i"), key_id) == 0) {
            (void)bson_init_static(found, data, len);
            there = true;
        }
    }
    return there;
}

static bool same_key(const bson_t *entry, const ProtobufCBinaryData *key)
{
    bson_subtype_t subtype;
    const uint8_t *data = NULL;
    uint32_t len = 0;
    bson_iter_t it;

    if (bson_iter_init_find(&it, entry, "p") && BSON_ITER_HOLDS_BINARY(&it))
        bson_iter_binary(&it, &subtype, &len, &data);
    return data && len == key->len && memcmp(data, key->data, len) == 0;
}

/* The actor is an admin of an org above: of a top org, of that org itself. */
static bool is_set_from_above(const struct wk_event *event, const char *org_path)
{
    const char *slash = strrchr(org_path, '/');
    char above[YZ_ORG_PATH_MAX];

    snprintf(above, sizeof above, "%.*s",
             (int)(slash ? (size_t)(slash - org_path) : strlen(org_path)), org_path);
    return yz_actor_has_role(&event->env->actor, "admin", above);
}

static enum yz_err judge_handler(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    char id[WK_ID_MAX];
    bson_t entry;
    int32_t count;

    /* Else who leads an org would name the one to whom complaints about itself go. */
    if (handler->independent && !is_set_from_above(event, handler->org_path))
        return yz_violate(v, YZ_FORBIDDEN, "independent",
                          "An independent handler is registered by an org above.");
    handlers_id(event->env->actor.tenant, handler->org_path, id);
    if (!find_handler(wk_get(fold, WK_COMPLAINT_HANDLERS, id), handler->key_id, &entry, &count))
        return count < WK_HANDLERS_MAX
                   ? YZ_OK
                   : yz_violate(v, YZ_TOO_MANY, "orgPath", "An org has at most 32 handlers' keys.");
    if (strcmp(wk_document_text(&entry, "m"), handler->member_id) != 0 ||
        !same_key(&entry, &handler->public_key))
        return yz_violate(v, YZ_EXISTS, "keyId", "The key id stands for another key.");
    return YZ_OK;
}

static void append_handler(bson_t *list, int32_t at,
                           const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    char buffer[16];
    const char *key;
    bson_t entry, leads;

    bson_uint32_to_string((uint32_t)at, &key, buffer, sizeof buffer);
    bson_append_document_begin(list, key, -1, &entry);
    BSON_APPEND_UTF8(&entry, "m", handler->member_id);
    BSON_APPEND_UTF8(&entry, "h", handler->home_path);
    BSON_APPEND_UTF8(&entry, "i", handler->key_id);
    append_binary(&entry, "p", &handler->public_key);
    BSON_APPEND_DATE_TIME(&entry, "f", wk_timestamp_ms(handler->from));
    BSON_APPEND_DATE_TIME(&entry, "u", wk_timestamp_ms(handler->until));
    BSON_APPEND_BOOL(&entry, "n", handler->independent);
    BSON_APPEND_ARRAY_BEGIN(&entry, "l", &leads);
    for (size_t i = 0; i < handler->n_leads; i++) {
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_utf8(&leads, key, -1, handler->leads[i], -1);
    }
    bson_append_array_end(&entry, &leads);
    bson_append_document_end(list, &entry);
}

static bool has_key(bson_iter_t *entry, const char *key_id)
{
    bson_iter_t it;

    return bson_iter_recurse(entry, &it) && bson_iter_find(&it, "i") && BSON_ITER_HOLDS_UTF8(&it) &&
           strcmp(bson_iter_utf8(&it, NULL), key_id) == 0;
}

static void apply_handler(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    bson_t *copy = bson_new(), list;
    const bson_t *before;
    char id[WK_ID_MAX];
    bson_iter_t entries;
    int32_t count = 0;

    handlers_id(event->env->actor.tenant, handler->org_path, id);
    before = wk_get(fold, WK_COMPLAINT_HANDLERS, id);
    BSON_APPEND_UTF8(copy, "org_path", handler->org_path);
    BSON_APPEND_ARRAY_BEGIN(copy, "handlers", &list);
    if (before && wk_document_array(before, "handlers", &entries)) {
        while (bson_iter_next(&entries)) {
            char buffer[16];
            const char *key;

            if (has_key(&entries, handler->key_id))
                continue;
            bson_uint32_to_string((uint32_t)count++, &key, buffer, sizeof buffer);
            bson_append_iter(&list, key, -1, &entries);
        }
    }
    append_handler(&list, count, handler);
    bson_append_array_end(copy, &list);
    wk_put(fold, WK_COMPLAINT_HANDLERS, id, copy);
}

/* complaint.filed, complaint.filed_named */

static const Yizhan__V1__ComplaintFiled *filed_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintFiled *)event->payload;
}

static void read_case(const struct wk_event *event, struct wk_route_case *what)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);

    wk_route_case(filed->org_path, filed->accused, event->received_at_ms, what);
    what->latest_ms += HOUR_MS - 1;
}

static void needs_filed(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_route_orgs orgs;
    struct wk_route_case what;
    char id[WK_ID_MAX];

    wk_needs_dialogue(event, needs);
    read_case(event, &what);
    wk_route_orgs(what.place, &orgs);
    for (size_t i = 0; i < orgs.count; i++) {
        handlers_id(event->env->actor.tenant, orgs.paths[i], id);
        wk_need(needs, WK_COMPLAINT_HANDLERS, id);
        wk_branch_id(id, event->env->actor.tenant, orgs.paths[i]);
        wk_need(needs, WK_BRANCHES, id);
    }
}

static struct wk_route *find_route(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_route *route = yz_calloc(1, sizeof *route);
    struct wk_route_orgs orgs;
    struct wk_route_case what;
    char id[WK_ID_MAX];

    read_case(event, &what);
    wk_route_orgs(what.place, &orgs);
    for (size_t i = 0; i < orgs.count; i++) {
        handlers_id(event->env->actor.tenant, orgs.paths[i], id);
        orgs.handlers[i] = wk_get(fold, WK_COMPLAINT_HANDLERS, id);
        wk_branch_id(id, event->env->actor.tenant, orgs.paths[i]);
        orgs.branches[i] = wk_get(fold, WK_BRANCHES, id);
    }
    wk_route_find(&what, &orgs, route);
    return route;
}

static enum yz_err judge_keys(const Yizhan__V1__ComplaintFiled *filed, const struct wk_route *route,
                              struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];
    bool nearest = false;

    if (route->eligible == 0)
        return yz_violate(v, YZ_NO_HANDLER, filed->accused ? "accused" : "orgPath", NULL);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        snprintf(field, sizeof field, "content[%zu].keyId", i);
        if (!handler || !handler->eligible)
            return yz_violate(v, YZ_KEY_NOT_ELIGIBLE, field, NULL);
        nearest = nearest || handler->nearest;
    }
    return nearest ? YZ_OK : yz_violate(v, YZ_NEAREST_MISSING, "content", NULL);
}

static enum yz_err judge_filed(const struct wk_event *event, struct wk_fold *fold,
                               struct yz_violation *v)
{
    struct wk_route *route;
    enum yz_err err;

    if (wk_complaint_get(event, fold))
        return yz_violate(v, YZ_RECEIPT_TAKEN, "receipt", NULL);
    route = find_route(event, fold);
    err = judge_keys(filed_of(event), route, v);
    free(route);
    return err;
}

/* Whose keys were used, each once. */
static void append_handlers(bson_t *complaint, const Yizhan__V1__ComplaintFiled *filed,
                            const struct wk_route *route)
{
    const char *members[WK_ROUTE_MAX], *key;
    char buffer[16];
    size_t count = 0;
    bson_t list;

    BSON_APPEND_ARRAY_BEGIN(complaint, "handlers", &list);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);
        bool there = !handler;

        for (size_t k = 0; k < count && !there; k++)
            there = strcmp(members[k], handler->member) == 0;
        if (there)
            continue;
        bson_uint32_to_string((uint32_t)count, &key, buffer, sizeof buffer);
        bson_append_utf8(&list, key, -1, handler->member, -1);
        members[count++] = handler->member;
    }
    bson_append_array_end(complaint, &list);
}

/* All who may handle it may approve. */
static void append_approvers(bson_t *complaint, const struct wk_route *route)
{
    const char *members[WK_ROUTE_MAX], *key;
    char buffer[16];
    size_t count = 0;
    bson_t list;

    BSON_APPEND_ARRAY_BEGIN(complaint, "approvers", &list);
    for (size_t i = 0; i < route->count; i++) {
        const char *member = route->handlers[i].member;
        bool there = !route->handlers[i].eligible;

        for (size_t k = 0; k < count && !there; k++)
            there = strcmp(members[k], member) == 0;
        if (there)
            continue;
        bson_uint32_to_string((uint32_t)count, &key, buffer, sizeof buffer);
        bson_append_utf8(&list, key, -1, member, -1);
        members[count++] = member;
    }
    bson_append_array_end(complaint, &list);
}

static void append_keys(bson_t *complaint, const Yizhan__V1__ComplaintFiled *filed,
                        const struct wk_route *route)
{
    char buffer[16];
    const char *key;
    bson_t list, entry;

    BSON_APPEND_ARRAY_BEGIN(complaint, "keys", &list);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (!handler || !handler->public_key)
            continue;
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_document_begin(&list, key, -1, &entry);
        BSON_APPEND_UTF8(&entry, "i", handler->key_id);
        BSON_APPEND_UTF8(&entry, "m", handler->member);
        BSON_APPEND_UTF8(&entry, "o", handler->scope);
        BSON_APPEND_BINARY(&entry, "p", BSON_SUBTYPE_BINARY, handler->public_key,
                           WK_PUBLIC_KEY_BYTES);
        bson_append_document_end(&list, &entry);
    }
    bson_append_array_end(complaint, &list);
}

/* Who reports under his name is known to the handlers and to nobody else: sealed to the keys that
 * he used. (Boxes differ each time they are made; a replay leaves the stored document alone.) */
static void append_reporter(bson_t *complaint, const struct wk_event *event,
                            const struct wk_route *route)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);
    const struct yz_actor *actor = &event->env->actor;
    char text[YZ_ID_MAX + YZ_ORG_PATH_MAX + 64], buffer[16];
    uint8_t box[sizeof text + crypto_box_SEALBYTES];
    uint32_t box_len;
    int len = snprintf(text, sizeof text, "{\"memberId\":\"%s\",\"orgPath\":\"%s\"}", actor->member,
                       actor->org_path);
    const char *key;
    bson_t list, entry;

    box_len = (uint32_t)len + (uint32_t)crypto_box_SEALBYTES;
    BSON_APPEND_ARRAY_BEGIN(complaint, "reporter", &list);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (!handler || !handler->public_key ||
            crypto_box_seal(box, (const uint8_t *)text, (unsigned long long)len,
                            handler->public_key) != 0)
            continue;
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_document_begin(&list, key, -1, &entry);
        BSON_APPEND_UTF8(&entry, "i", handler->key_id);
        BSON_APPEND_BINARY(&entry, "b", BSON_SUBTYPE_BINARY, box, box_len);
        bson_append_document_end(&list, &entry);
    }
    bson_append_array_end(complaint, &list);
    sodium_memzero(text, sizeof text);
}

void wk_complaint_accused(const char *tenant, const char *id, const char *member, char out[33])
{
    const struct yz_part parts[] = {
        {tenant, strlen(tenant)}, {id, strlen(id)}, {member, strlen(member)}};

    yz_hash(parts, 3, out);
}

static const char *routed_to(const Yizhan__V1__ComplaintFiled *filed, const struct wk_route *route)
{
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (handler && handler->nearest)
            return handler->scope;
    }
    return filed->org_path;
}

static void append_clocks(bson_t *complaint, const struct wk_event *event, const char *id,
                          const struct wk_rules_complaint *rules)
{
    int64_t acknowledge_ms = event->received_at_ms + rules->acknowledge_days * WK_DAY_MS;

    BSON_APPEND_DATE_TIME(complaint, "filed_at", event->received_at_ms);
    BSON_APPEND_DATE_TIME(complaint, "acknowledge_by", acknowledge_ms);
    BSON_APPEND_DATE_TIME(complaint, "resolve_by",
                          event->received_at_ms + rules->resolve_days * WK_DAY_MS);
    BSON_APPEND_UTF8(complaint, "rules", rules->version);
    wk_complaint_append_due(complaint, id, acknowledge_ms);
}

static bson_t *new_complaint(const struct wk_event *event, const char *id,
                             const struct wk_rules_complaint *rules, const struct wk_route *route)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);
    bool named = !yz_actor_is_nobody(&event->env->actor);
    bson_t *complaint = bson_new();
    char hash[33] = "";

    BSON_APPEND_UTF8(complaint, "complaint_id", id);
    BSON_APPEND_UTF8(complaint, "org_path", filed->org_path);
    BSON_APPEND_UTF8(complaint, "routed_to", routed_to(filed, route));
    BSON_APPEND_UTF8(
        complaint, "category",
        wk_document_enum_name(&yizhan__v1__complaint__category__descriptor, (int)filed->category));
    BSON_APPEND_BOOL(complaint, "named", named);
    BSON_APPEND_UTF8(complaint, "state", "FILED");
    BSON_APPEND_BOOL(complaint, "open", true);
    append_handlers(complaint, filed, route);
    append_approvers(complaint, route);
    append_keys(complaint, filed, route);
    append_binary(complaint, "reply_key", &filed->reply_key);
    if (named)
        append_reporter(complaint, event, route);
    if (filed->accused && *filed->accused->member_id)
        wk_complaint_accused(event->env->actor.tenant, id, filed->accused->member_id, hash);
    BSON_APPEND_UTF8(complaint, "accused", hash);
    append_clocks(complaint, event, id, rules);
    BSON_APPEND_INT32(complaint, "entries", 1);
    return complaint;
}

static void apply_filed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);
    const struct wk_rules_complaint *rules =
        wk_rules_complaint_at(wk_fold_context(fold)->rules, event->received_at_ms);
    Yizhan__V1__ComplaintUpdated updated = YIZHAN__V1__COMPLAINT_UPDATED__INIT;
    const struct wk_complaint_words words = {.from = "REPORTER",
                                             .box = &filed->copy,
                                             .boxes = filed->content,
                                             .count = filed->n_content};
    const bson_t *before = wk_complaint_get(event, fold);
    struct wk_route *route = find_route(event, fold);
    char id[YZ_ID_MAX];
    bson_t *complaint;

    wk_complaint_ref(event, id);
    complaint = new_complaint(event, id, rules, route);
    free(route);
    updated.complaint_id = id;
    updated.kind = YIZHAN__V1__COMPLAINT_UPDATED__KIND__NEW;
    /* Who handles it was found once: a replay tells those. */
    wk_complaint_tell(fold, before ? before : complaint, "handlers", NULL, &updated);
    wk_complaint_wind(event, fold, 0, YIZHAN__V1__COMPLAINT__CLOCK__ACKNOWLEDGE,
                      event->received_at_ms + rules->acknowledge_days * WK_DAY_MS);
    wk_complaint_wind(event, fold, 2, YIZHAN__V1__COMPLAINT__CLOCK__RESOLVE,
                      event->received_at_ms + rules->resolve_days * WK_DAY_MS);
    (void)wk_complaint_say(event, fold, &words);
    wk_complaint_put(event, fold, complaint);
}

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

static enum yz_err judge_message_added(const struct wk_event *event, struct wk_fold *fold,
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

static void apply_message_added(const struct wk_event *event, struct wk_fold *fold)
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

static enum yz_err judge_rated(const struct wk_event *event, struct wk_fold *fold,
                               struct yz_violation *v)
{
    const bson_t *complaint = wk_complaint_get(event, fold);

    if (!complaint)
        return refuse_receipt(v);
    if (wk_complaint_state(complaint) == YIZHAN__V1__COMPLAINT__STATE__RATED)
        return yz_violate(v, YZ_ALREADY_RATED, "receipt", NULL);
    return wk_complaint_open(complaint) ? yz_violate(v, YZ_NOT_RESOLVED, "receipt", NULL) : YZ_OK;
}

static void apply_rated(const struct wk_event *event, struct wk_fold *fold)
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

static const struct wk_event_handler events[] = {
    {"complaint.handler_registered", needs_handlers, judge_handler, apply_handler},
    {"complaint.filed", needs_filed, judge_filed, apply_filed},
    {"complaint.filed_named", needs_filed, judge_filed, apply_filed},
    {"complaint.message_added", wk_needs_dialogue, judge_message_added, apply_message_added},
    {"complaint.rated", wk_needs_complaint, judge_rated, apply_rated},
    {"complaint.acknowledged", wk_needs_complaint, wk_judge_acknowledged, wk_apply_acknowledged},
    {"complaint.replied", wk_needs_dialogue, wk_judge_replied, wk_apply_replied},
    {"complaint.extension_requested", wk_needs_complaint, wk_judge_extension_requested,
     wk_apply_extension_requested},
    {"complaint.extended", wk_needs_complaint, wk_judge_extended, wk_apply_extended},
    {"complaint.resolved", wk_needs_dialogue, wk_judge_resolved, wk_apply_resolved},
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
    {WK_COMPLAINTS, complaints_indexes},
    {WK_COMPLAINT_MESSAGES, messages_indexes},
    {WK_COMPLAINT_HANDLERS, NULL},
    {0},
};

const struct wk_domain wk_domain_complaint = {"complaint", events, wk_complaint_queries,
                                              collections};
