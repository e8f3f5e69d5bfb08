/* Who handles complaints about which orgs, from when until when, by which key. */
#include "workers/domains/complaint.h"

#include "workers/document.h"
#include "workers/domains/complaint_route.h"

#include <stdio.h>
#include <string.h>

#define TERMS_MAX 64 /* of one member */

static const Yizhan__V1__ComplaintHandlerRegistered *handler_of(const struct wk_event *event)
{
    return (const Yizhan__V1__ComplaintHandlerRegistered *)event->payload;
}

/* Of the org, the key and the member. */
struct ids {
    char handlers[WK_ID_MAX], key[WK_ID_MAX], member[WK_ID_MAX];
};

static void name_documents(const struct wk_event *event, struct ids *ids)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    const char *tenant = event->env->actor.tenant;

    wk_id(ids->handlers, tenant, handler->org_path, NULL);
    wk_id(ids->key, tenant, handler->key_id, NULL);
    wk_id(ids->member, tenant, handler->member_id, NULL);
}

void wk_needs_appointment(const struct wk_event *event, struct wk_needs *needs)
{
    struct ids ids;

    name_documents(event, &ids);
    wk_need_own(needs, WK_COMPLAINT_HANDLERS, ids.handlers);
    wk_need_own(needs, WK_COMPLAINT_KEYS, ids.key);
    wk_need_own(needs, WK_COMPLAINT_TERMS, ids.member);
}

static bool same_key(const bson_t *document, const ProtobufCBinaryData *key)
{
    uint32_t len;
    const uint8_t *data = wk_document_bytes(document, "p", &len);

    return data && len == key->len && memcmp(data, key->data, len) == 0;
}

/* The document, of a key or an org's entry, is of this member and this key. */
static bool stands_for(const bson_t *document,
                       const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    return strcmp(wk_document_text(document, "m"), handler->member_id) == 0 &&
           same_key(document, &handler->public_key);
}

/* How many entries the list has; *others: one with this key id stands for something else; *there:
 * one has it. */
static int32_t count_handlers(const bson_t *handlers,
                              const Yizhan__V1__ComplaintHandlerRegistered *handler, bool *there,
                              bool *others)
{
    bson_iter_t entries;
    int32_t count = 0;
    bson_t entry;

    *there = *others = false;
    if (!handlers || !wk_document_array(handlers, "handlers", &entries))
        return 0;
    for (; wk_document_next(&entries, &entry); count++) {
        if (strcmp(wk_document_text(&entry, "i"), handler->key_id) != 0)
            continue;
        *there = true;
        *others = *others || !stands_for(&entry, handler);
    }
    return count;
}

/* The term of this org with this key. */
static bool is_term(const bson_t *term, const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    return strcmp(wk_document_text(term, "o"), handler->org_path) == 0 &&
           strcmp(wk_document_text(term, "i"), handler->key_id) == 0;
}

/* Terms beside this one. */
static size_t count_terms(const bson_t *document,
                          const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    bson_iter_t entries;
    size_t count = 0;
    bson_t term;

    if (!document || !wk_document_array(document, "terms", &entries))
        return 0;
    while (wk_document_next(&entries, &term))
        count += !is_term(&term, handler);
    return count;
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

/* The org has an entry with this key id that is independent: its end, too, would else be set by
 * whom it was set over. */
static bool was_independent(const bson_t *handlers,
                            const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    bson_iter_t entries, it;
    bson_t entry;

    if (!handlers || !wk_document_array(handlers, "handlers", &entries))
        return false;
    while (wk_document_next(&entries, &entry)) {
        if (strcmp(wk_document_text(&entry, "i"), handler->key_id) == 0 &&
            bson_iter_init_find(&it, &entry, "n") && bson_iter_as_bool(&it))
            return true;
    }
    return false;
}

/* A dead letter that comes back behind what was said since: else whoever was withdrawn in between
 * would be appointed again. */
static bool is_stale(const struct wk_event *event, const bson_t *handlers)
{
    const char *key_id = handler_of(event)->key_id;
    bson_iter_t entries;
    bson_t entry;

    if (!event->env->own || !handlers || !wk_document_array(handlers, "handlers", &entries))
        return false;
    while (wk_document_next(&entries, &entry)) {
        if (strcmp(wk_document_text(&entry, "i"), key_id) == 0 &&
            wk_document_time_ms(&entry, "a") > event->received_at_ms)
            return true;
    }
    return false;
}

/* A key id stands for one member's one key in the whole tenant, for ever: what is sealed to it is
 * for nobody else, at whatever org it is registered. */
enum yz_err wk_judge_appointment(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    const bson_t *handlers, *key;
    bool there, others;
    struct ids ids;
    int32_t count;

    name_documents(event, &ids);
    handlers = wk_get(fold, WK_COMPLAINT_HANDLERS, ids.handlers);
    /* Else who leads an org would name the one to whom complaints about itself go, or end him. */
    if ((handler->independent || was_independent(handlers, handler)) &&
        !is_set_from_above(event, handler->org_path))
        return yz_violate(v, YZ_FORBIDDEN, "independent",
                          "An independent handler is registered by an org above.");
    key = wk_get(fold, WK_COMPLAINT_KEYS, ids.key);
    count = count_handlers(handlers, handler, &there, &others);
    if (others || (key && !stands_for(key, handler)))
        return yz_violate(v, YZ_EXISTS, "keyId", "The key id stands for another key.");
    if (is_stale(event, handlers))
        return yz_violate(v, YZ_STALE_REVISION, "keyId", NULL);
    if (!there && count >= WK_HANDLERS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "orgPath", "An org has at most 32 handlers' keys.");
    if (count_terms(wk_get(fold, WK_COMPLAINT_TERMS, ids.member), handler) >= TERMS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "memberId", "A member has at most 64 terms.");
    return YZ_OK;
}

static void append_handler(bson_t *list, int32_t at, const struct wk_event *event)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    char buffer[16];
    const char *key;
    bson_t entry, leads;

    bson_uint32_to_string((uint32_t)at, &key, buffer, sizeof buffer);
    bson_append_document_begin(list, key, -1, &entry);
    BSON_APPEND_UTF8(&entry, "m", handler->member_id);
    BSON_APPEND_UTF8(&entry, "h", handler->home_path);
    BSON_APPEND_UTF8(&entry, "i", handler->key_id);
    wk_complaint_append_binary(&entry, "p", &handler->public_key);
    BSON_APPEND_DATE_TIME(&entry, "f", wk_timestamp_ms(handler->from));
    BSON_APPEND_DATE_TIME(&entry, "u", wk_timestamp_ms(handler->until));
    BSON_APPEND_DATE_TIME(&entry, "a", event->received_at_ms);
    BSON_APPEND_BOOL(&entry, "n", handler->independent);
    BSON_APPEND_ARRAY_BEGIN(&entry, "l", &leads);
    for (size_t i = 0; i < handler->n_leads; i++) {
        bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);
        bson_append_utf8(&leads, key, -1, handler->leads[i], -1);
    }
    bson_append_array_end(&entry, &leads);
    bson_append_document_end(list, &entry);
}

static void append_term(bson_t *list, int32_t at,
                        const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    char buffer[16];
    const char *key;
    bson_t term;

    bson_uint32_to_string((uint32_t)at, &key, buffer, sizeof buffer);
    bson_append_document_begin(list, key, -1, &term);
    BSON_APPEND_UTF8(&term, "o", handler->org_path);
    BSON_APPEND_UTF8(&term, "i", handler->key_id);
    BSON_APPEND_DATE_TIME(&term, "f", wk_timestamp_ms(handler->from));
    BSON_APPEND_DATE_TIME(&term, "u", wk_timestamp_ms(handler->until));
    bson_append_document_end(list, &term);
}

/* The entries but the one that is written anew; returns how many. */
static int32_t append_others(bson_t *list, const bson_t *before, const char *field,
                             const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    bson_iter_t entries;
    int32_t count = 0;
    bson_t entry;

    if (!before || !wk_document_array(before, field, &entries))
        return 0;
    while (wk_document_next(&entries, &entry)) {
        char buffer[16];
        const char *key;
        bool same = strcmp(field, "terms") == 0
                        ? is_term(&entry, handler)
                        : strcmp(wk_document_text(&entry, "i"), handler->key_id) == 0;

        if (same)
            continue;
        bson_uint32_to_string((uint32_t)count++, &key, buffer, sizeof buffer);
        bson_append_document(list, key, -1, &entry);
    }
    return count;
}

/* `document` gets the terms, which were, and this one. */
static void put_terms(struct wk_fold *fold, const char *collection, const char *id,
                      bson_t *document, const Yizhan__V1__ComplaintHandlerRegistered *handler)
{
    bson_t list;
    int32_t count;

    BSON_APPEND_ARRAY_BEGIN(document, "terms", &list);
    count = append_others(&list, wk_get(fold, collection, id), "terms", handler);
    append_term(&list, count, handler);
    bson_append_array_end(document, &list);
    wk_put(fold, collection, id, document);
}

void wk_apply_appointment(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler = handler_of(event);
    bson_t *org = bson_new(), *key = bson_new(), list;
    struct ids ids;
    int32_t count;

    name_documents(event, &ids);
    BSON_APPEND_UTF8(org, "org_path", handler->org_path);
    BSON_APPEND_ARRAY_BEGIN(org, "handlers", &list);
    count = append_others(&list, wk_get(fold, WK_COMPLAINT_HANDLERS, ids.handlers), "handlers",
                          handler);
    append_handler(&list, count, event);
    bson_append_array_end(org, &list);
    wk_put(fold, WK_COMPLAINT_HANDLERS, ids.handlers, org);
    BSON_APPEND_UTF8(key, "m", handler->member_id);
    wk_complaint_append_binary(key, "p", &handler->public_key);
    put_terms(fold, WK_COMPLAINT_KEYS, ids.key, key, handler);
    put_terms(fold, WK_COMPLAINT_TERMS, ids.member, bson_new(), handler);
}

bool wk_complaint_appointed(const bson_t *document, const char *routed_to, int64_t now_ms,
                            int64_t latest_ms)
{
    bson_iter_t entries;
    bson_t term;

    if (!document || !wk_document_array(document, "terms", &entries))
        return false;
    while (wk_document_next(&entries, &term)) {
        if (wk_document_time_ms(&term, "f") <= latest_ms &&
            now_ms < wk_document_time_ms(&term, "u") &&
            yz_org_covers(wk_document_text(&term, "o"), routed_to))
            return true;
    }
    return false;
}
