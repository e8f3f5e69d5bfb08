/* complaint.filed and complaint.filed_named: who may handle it is found, and the case begins. */
#include "workers/domains/complaint.h"

#include "common/memory.h"
#include "workers/document.h"
#include "workers/domains/complaint_route.h"
#include "workers/roster.h"
#include "workers/rules.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Yizhan__V1__ComplaintFiled *filed_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintFiled *)event->payload;
}

void wk_complaint_case(const char *org_path, const Yizhan__V1__ComplaintAccused *accused,
                       int64_t hour_ms, struct wk_route_case *what)
{
    wk_route_case(org_path, accused, hour_ms, what);
    what->latest_ms += WK_HOUR_MS - 1;
}

void wk_complaint_need_route(const char *tenant, const struct wk_route_case *what,
                             struct wk_needs *needs)
{
    struct wk_route_orgs orgs;
    char id[WK_ID_MAX];

    wk_route_orgs(what->place, &orgs);
    for (size_t i = 0; i < orgs.count; i++) {
        wk_id(id, tenant, orgs.paths[i], NULL);
        wk_need(needs, WK_COMPLAINT_HANDLERS, id);
        wk_branch_id(id, tenant, orgs.paths[i]);
        wk_need(needs, WK_BRANCHES, id);
        wk_need(needs, WK_ROLE_HOLDERS, id);
    }
}

struct wk_route *wk_complaint_route(const char *tenant, const struct wk_route_case *what,
                                    struct wk_fold *fold)
{
    struct wk_route *route = yz_calloc(1, sizeof *route);
    struct wk_route_orgs orgs;
    char id[WK_ID_MAX];

    wk_route_orgs(what->place, &orgs);
    for (size_t i = 0; i < orgs.count; i++) {
        wk_id(id, tenant, orgs.paths[i], NULL);
        orgs.handlers[i] = wk_get(fold, WK_COMPLAINT_HANDLERS, id);
        wk_branch_id(id, tenant, orgs.paths[i]);
        orgs.branches[i] = wk_get(fold, WK_BRANCHES, id);
        orgs.holders[i] = wk_get(fold, WK_ROLE_HOLDERS, id);
    }
    wk_route_find(what, &orgs, route);
    return route;
}

static void read_case(const struct wk_event *event, struct wk_route_case *what)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);

    wk_complaint_case(filed->org_path, filed->accused, event->received_at_ms, what);
}

void wk_needs_filed(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_route_case what;

    wk_needs_dialogue(event, needs);
    read_case(event, &what);
    wk_complaint_need_route(event->env->actor.tenant, &what, needs);
}

static struct wk_route *find_route(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_route_case what;

    read_case(event, &what);
    return wk_complaint_route(event->env->actor.tenant, &what, fold);
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

enum yz_err wk_judge_filed(const struct wk_event *event, struct wk_fold *fold,
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
    const char *members[WK_ROUTE_MAX];
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
        wk_complaint_append_text(&list, (uint32_t)count, handler->member);
        members[count++] = handler->member;
    }
    bson_append_array_end(complaint, &list);
}

/* All who may handle it may approve. */
static void append_approvers(bson_t *complaint, const struct wk_route *route)
{
    const char *members[WK_ROUTE_MAX];
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
        wk_complaint_append_text(&list, (uint32_t)count, member);
        members[count++] = member;
    }
    bson_append_array_end(complaint, &list);
}

void wk_complaint_append_text(bson_t *list, uint32_t at, const char *text)
{
    char buffer[16];
    const char *key;

    bson_uint32_to_string(at, &key, buffer, sizeof buffer);
    bson_append_utf8(list, key, -1, text, -1);
}

void wk_complaint_append_key(bson_t *list, uint32_t at, const struct wk_handler *handler)
{
    char buffer[16];
    const char *key;
    bson_t entry;

    bson_uint32_to_string(at, &key, buffer, sizeof buffer);
    bson_append_document_begin(list, key, -1, &entry);
    BSON_APPEND_UTF8(&entry, "i", handler->key_id);
    BSON_APPEND_UTF8(&entry, "m", handler->member);
    BSON_APPEND_UTF8(&entry, "o", handler->scope);
    BSON_APPEND_BINARY(&entry, "p", BSON_SUBTYPE_BINARY, handler->public_key, WK_PUBLIC_KEY_BYTES);
    bson_append_document_end(list, &entry);
}

static void append_keys(bson_t *complaint, const Yizhan__V1__ComplaintFiled *filed,
                        const struct wk_route *route)
{
    uint32_t count = 0;
    bson_t list;

    BSON_APPEND_ARRAY_BEGIN(complaint, "keys", &list);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (handler && handler->public_key)
            wk_complaint_append_key(&list, count++, handler);
    }
    bson_append_array_end(complaint, &list);
}

/* Who reports under his name is known to the handlers and to nobody else: sealed to the keys that
 * he used, with blanks behind it, so that all boxes are of one length and none tells how long a
 * name and a path are in it. (Boxes differ each time they are made; a replay leaves the stored
 * document alone.) */
static void append_reporter(bson_t *complaint, const struct wk_event *event,
                            const struct wk_route *route)
{
    const Yizhan__V1__ComplaintFiled *filed = filed_of(event);
    const struct yz_actor *actor = &event->env->actor;
    char text[YZ_ID_MAX + YZ_ORG_PATH_MAX + 64], buffer[16];
    uint8_t box[sizeof text + crypto_box_SEALBYTES];
    int len = snprintf(text, sizeof text, "{\"memberId\":\"%s\",\"orgPath\":\"%s\"}", actor->member,
                       actor->org_path);
    const char *key;
    bson_t list, entry;

    memset(text + len, ' ', sizeof text - (size_t)len);
    BSON_APPEND_ARRAY_BEGIN(complaint, "reporter", &list);
    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (!handler || !handler->public_key ||
            crypto_box_seal(box, (const uint8_t *)text, sizeof text, handler->public_key) != 0)
            continue;
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_document_begin(&list, key, -1, &entry);
        BSON_APPEND_UTF8(&entry, "i", handler->key_id);
        BSON_APPEND_BINARY(&entry, "b", BSON_SUBTYPE_BINARY, box, sizeof box);
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

void wk_complaint_place(const char *tenant, const char *id, const struct wk_route_case *what,
                        char out[33])
{
    const char *kind = what->accused ? "accused" : "about";
    const struct yz_part parts[] = {{tenant, strlen(tenant)},
                                    {id, strlen(id)},
                                    {kind, strlen(kind)},
                                    {what->place, strlen(what->place)}};

    yz_hash(parts, 4, out);
}

/* The deepest of the nearest whose keys were used: all who handle it stand over it. */
static const char *routed_to(const Yizhan__V1__ComplaintFiled *filed, const struct wk_route *route)
{
    const char *found = NULL;

    for (size_t i = 0; i < filed->n_content; i++) {
        const struct wk_handler *handler = wk_route_key(route, filed->content[i]->key_id);

        if (handler && handler->nearest && (!found || yz_org_covers(found, handler->scope)))
            found = handler->scope;
    }
    return found ? found : filed->org_path;
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
    struct wk_route_case what;
    char hash[33] = "", place[33];

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
    wk_complaint_append_binary(complaint, "reply_key", &filed->reply_key);
    if (named)
        append_reporter(complaint, event, route);
    if (filed->accused && *filed->accused->member_id)
        wk_complaint_accused(event->env->actor.tenant, id, filed->accused->member_id, hash);
    BSON_APPEND_UTF8(complaint, "accused", hash);
    read_case(event, &what);
    wk_complaint_place(event->env->actor.tenant, id, &what, place);
    BSON_APPEND_UTF8(complaint, "place", place);
    append_clocks(complaint, event, id, rules);
    BSON_APPEND_INT32(complaint, "entries", 1);
    return complaint;
}

void wk_apply_filed(const struct wk_event *event, struct wk_fold *fold)
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
