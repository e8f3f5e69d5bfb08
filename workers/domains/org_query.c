/* What is asked of the tree of orgs. */
#include "workers/document.h"
#include "workers/domains/org.h"
#include "workers/query.h"
#include "workers/store.h"

#include <org.pb-c.h>
#include <stdio.h>

#define TREE_COUNT    50
#define HISTORY_COUNT 20
#define PAGE_MAX      100

/* A page being read; `take` makes an entry of a row and adds it, false: the arena is full. */
struct page {
    const struct wk_query *query;
    void *answer;
    bool (*take)(struct page *page, const bson_t *row);
    size_t count, limit, bytes;
    bool more, full;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct page *page = arg;

    if (page->count == page->limit ||
        (page->count > 0 && page->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        page->more = true;
        return false;
    }
    page->bytes += wk_document_size(row);
    page->full = !page->take(page, row);
    page->count++;
    return !page->full;
}

static enum yz_err find(struct page *page, const char *collection, const bson_t *filter,
                        const char *order, int direction)
{
    bson_t opts = BSON_INITIALIZER, sort;
    enum yz_err err;

    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, order, direction);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)page->limit + 1);
    err = wk_store_find(page->query->store, collection, filter, &opts, on_row, page);
    bson_destroy(&opts);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

static size_t limit_of(uint32_t asked, size_t usual)
{
    return asked == 0 ? usual : asked > PAGE_MAX ? PAGE_MAX : asked;
}

static bool take_org(struct page *page, const bson_t *row)
{
    Yizhan__V1__OrgTreeReply *answer = page->answer;
    struct yz_arena *arena = page->query->arena;
    Yizhan__V1__OrgEntry *entry = yz_arena_alloc(arena, sizeof *entry);
    bson_iter_t children;
    bson_t kept;

    if (!entry || !wk_document_keep(arena, row, &kept))
        return false;
    yizhan__v1__org_entry__init(entry);
    entry->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    entry->name = (char *)(uintptr_t)wk_document_text(&kept, "name");
    entry->kind =
        (Yizhan__V1__OrgKind)wk_document_enum(&kept, "kind", &yizhan__v1__org_kind__descriptor);
    entry->since = wk_timestamp_new(arena, wk_document_time_ms(&kept, "since"));
    if (wk_document_array(&kept, "children", &children)) {
        while (bson_iter_next(&children))
            entry->children++;
    }
    answer->orgs[answer->n_orgs++] = entry;
    return true;
}

static void tree_filter(const struct wk_query *query, bson_t *filter)
{
    const Yizhan__V1__OrgTreeRequest *request = (const Yizhan__V1__OrgTreeRequest *)query->request;
    bson_t range;

    BSON_APPEND_UTF8(filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(filter, "parent", request->parent);
    BSON_APPEND_BOOL(filter, "live", true);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "org_path", &range);
    BSON_APPEND_UTF8(&range, "$gt", request->after);
    bson_append_document_end(filter, &range);
}

enum yz_err wk_org_answer_tree(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__OrgTreeRequest *request = (const Yizhan__V1__OrgTreeRequest *)query->request;
    Yizhan__V1__OrgTreeReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page page = {.query = query,
                        .answer = answer,
                        .take = take_org,
                        .limit = limit_of(request->limit, TREE_COUNT)};
    bson_t filter = BSON_INITIALIZER;
    enum yz_err err = YZ_BUSY;

    tree_filter(query, &filter);
    if (answer) {
        yizhan__v1__org_tree_reply__init(answer);
        answer->orgs = yz_arena_alloc(query->arena, page.limit * sizeof(Yizhan__V1__OrgEntry *));
        err = answer->orgs ? find(&page, WK_ORGS, &filter, "org_path", 1) : YZ_BUSY;
    }
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (page.more)
        answer->next_after = answer->orgs[answer->n_orgs - 1]->org_path;
    *reply = &answer->base;
    return YZ_OK;
}

static bool take_change(struct page *page, const bson_t *row)
{
    Yizhan__V1__OrgHistoryReply *answer = page->answer;
    struct yz_arena *arena = page->query->arena;
    Yizhan__V1__OrgHistoryReply__Change *change = yz_arena_alloc(arena, sizeof *change);
    bson_t kept;

    if (!change || !wk_document_keep(arena, row, &kept))
        return false;
    yizhan__v1__org_history_reply__change__init(change);
    change->change = (Yizhan__V1__OrgChangeKind)wk_document_enum(
        &kept, "change", &yizhan__v1__org_change_kind__descriptor);
    change->name = (char *)(uintptr_t)wk_document_text(&kept, "name");
    change->other_path = (char *)(uintptr_t)wk_document_text(&kept, "other_path");
    change->changed_by = (char *)(uintptr_t)wk_document_text(&kept, "changed_by");
    change->changed_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "changed_at"));
    change->basis = (char *)(uintptr_t)wk_document_text(&kept, "basis");
    change->sequence = (uint64_t)wk_document_number(&kept, "sequence");
    answer->changes[answer->n_changes++] = change;
    return true;
}

static void history_filter(const struct wk_query *query, bson_t *filter)
{
    const Yizhan__V1__OrgHistoryRequest *request =
        (const Yizhan__V1__OrgHistoryRequest *)query->request;
    bool newest = request->before == 0 || request->before > INT64_MAX;
    bson_t range;

    BSON_APPEND_UTF8(filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(filter, "org_path", request->org_path);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "sequence", &range);
    BSON_APPEND_INT64(&range, "$lt", newest ? INT64_MAX : (int64_t)request->before);
    bson_append_document_end(filter, &range);
}

enum yz_err wk_org_answer_history(const struct wk_query *query, ProtobufCMessage **reply,
                                  struct yz_violation *v)
{
    const Yizhan__V1__OrgHistoryRequest *request =
        (const Yizhan__V1__OrgHistoryRequest *)query->request;
    Yizhan__V1__OrgHistoryReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page page = {.query = query,
                        .answer = answer,
                        .take = take_change,
                        .limit = limit_of(request->limit, HISTORY_COUNT)};
    bson_t filter = BSON_INITIALIZER;
    enum yz_err err = YZ_BUSY;

    history_filter(query, &filter);
    if (answer) {
        yizhan__v1__org_history_reply__init(answer);
        answer->changes = yz_arena_alloc(
            query->arena, page.limit * sizeof(Yizhan__V1__OrgHistoryReply__Change *));
        err = answer->changes ? find(&page, WK_ORG_CHANGES, &filter, "sequence", -1) : YZ_BUSY;
    }
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (page.more)
        answer->next_before = answer->changes[answer->n_changes - 1]->sequence;
    *reply = &answer->base;
    return YZ_OK;
}
