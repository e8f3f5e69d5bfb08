/* The inbox: what is addressed to the asking member, and what the member did with it. */
#include "workers/domains/notice.h"

#include "workers/document.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdlib.h>
#include <string.h>

#define LIST_COUNT 20
#define LIST_MAX   100
/* Of one org's notices, so many are looked at for a page, whether they are shown or not. */
#define LOOK_MAX 1000
/* The newest, of which the unread ones are counted. */
#define UNREAD_OF   1000
#define IDS_AT_ONCE 250

/* The newest notices of a chain of orgs, being gathered: newest first. */
struct entry {
    bson_t *row;
    uint64_t sequence;
    bool done[WK_RECEIPTS];
    int64_t confirmed_ms;
};

struct listing {
    const struct wk_query *query;
    struct entry *entries;
    size_t count, limit;
    int64_t now_ms;
    size_t looked;  /* at rows of this org */
    uint64_t floor; /* below it not all orgs were looked at; 0: they were */
    uint64_t after; /* only newer ones */
    bool recalled_too;
    bool brief; /* what receipts are counted by, without texts */
    bool more;  /* there are older ones that were not looked at */
};

static bool is_shown(const struct listing *listing, const bson_t *row)
{
    return !wk_notice_expired(row, listing->now_ms) &&
           (listing->recalled_too ||
            wk_notice_state(row) == YIZHAN__V1__NOTICE_STATE__NOTICE_RELEASED) &&
           wk_notice_addresses(row, listing->query->actor, NULL);
}

static void insert_entry(struct listing *listing, size_t at, const bson_t *row, uint64_t sequence)
{
    struct entry *entries = listing->entries;

    if (listing->count == listing->limit) {
        bson_destroy(entries[--listing->count].row);
        listing->more = true;
    }
    memmove(&entries[at + 1], &entries[at], (listing->count - at) * sizeof *entries);
    entries[at] = (struct entry){.row = bson_copy(row), .sequence = sequence};
    listing->count++;
}

/* Rows of one org come newest first: the first that is too old ends its search. */
static bool on_notice(void *arg, const bson_t *row)
{
    struct listing *listing = arg;
    uint64_t sequence = (uint64_t)wk_document_number(row, "sequence");
    size_t at = listing->count;

    while (at > 0 && listing->entries[at - 1].sequence < sequence)
        at--;
    if (sequence <= listing->after)
        return false;
    if (at == listing->limit) {
        listing->more = true;
        return false;
    }
    if (is_shown(listing, row))
        insert_entry(listing, at, row, sequence);
    if (++listing->looked < LOOK_MAX)
        return true;
    listing->floor = sequence > listing->floor ? sequence : listing->floor;
    listing->more = true;
    return false;
}

static void below(bson_t *filter, uint64_t before)
{
    bson_t range;

    BSON_APPEND_DOCUMENT_BEGIN(filter, "sequence", &range);
    BSON_APPEND_INT64(&range, "$lt",
                      before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
    bson_append_document_end(filter, &range);
}

static void newest_first(bson_t *opts, size_t at_once)
{
    bson_t sort;

    BSON_APPEND_DOCUMENT_BEGIN(opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "sequence", -1);
    bson_append_document_end(opts, &sort);
    BSON_APPEND_INT32(opts, "batchSize", (int32_t)at_once);
}

/* What says whom a notice is for and whether it still stands: a body of 10,000 characters is left
 * where it is. */
static void without_texts(bson_t *opts)
{
    static const char *const fields[] = {"sequence",   "notice_id", "notice_class", "state",
                                         "expires_at", "org_paths", "roles",        "exclude"};
    bson_t projection;

    BSON_APPEND_DOCUMENT_BEGIN(opts, "projection", &projection);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        BSON_APPEND_INT32(&projection, fields[i], 1);
    bson_append_document_end(opts, &projection);
}

/* One search for each org of the chain: equality and a range on one index, which every server walks
 * from the right place; with all orgs in one $in the embedded database would sort the tenant. */
static enum yz_err find_notices(struct listing *listing, const char *org_path, uint64_t before)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", listing->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "inbox", org_path);
    below(&filter, before);
    newest_first(&opts, listing->limit);
    if (listing->brief)
        without_texts(&opts);
    listing->looked = 0;
    err = wk_store_find(listing->query->store, WK_NOTICES, &filter, &opts, on_notice, listing);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

/* The actor's org and those above it, innermost first. */
static enum yz_err find_chain(struct listing *listing, uint64_t before)
{
    char path[YZ_ORG_PATH_MAX], *slash;
    enum yz_err err;

    snprintf(path, sizeof path, "%s", listing->query->actor->org_path);
    for (;;) {
        err = find_notices(listing, path, before);
        slash = strrchr(path, '/');
        if (err || !slash)
            break;
        *slash = '\0';
    }
    while (listing->count > 0 && listing->entries[listing->count - 1].sequence < listing->floor)
        bson_destroy(listing->entries[--listing->count].row);
    return err;
}

/* Receipts of the member's own branch, being matched with the listing. */
struct matching {
    struct listing *listing;
    const char *member;
    const struct wk_branch_member *entry;
    size_t first, last;
};

static bool on_receipts(void *arg, const bson_t *row)
{
    struct matching *matching = arg;
    const char *notice_id = wk_document_text(row, "notice_id");

    for (size_t i = matching->first; i < matching->last; i++) {
        struct entry *e = &matching->listing->entries[i];

        if (strcmp(wk_document_text(e->row, "notice_id"), notice_id) != 0)
            continue;
        for (enum wk_receipt r = 0; r < WK_RECEIPTS; r++)
            e->done[r] = wk_receipts_has(row, r, matching->member, matching->entry);
        e->confirmed_ms = wk_receipts_confirmed_ms(row, matching->member, matching->entry);
        break;
    }
    return true;
}

static enum yz_err match_some(struct matching *matching)
{
    const struct yz_actor *actor = matching->listing->query->actor;
    size_t count = matching->last - matching->first;
    char(*ids)[WK_ID_MAX] = calloc(count + 1, WK_ID_MAX);
    const char **names = calloc(count + 1, sizeof *names);
    enum yz_err err = ids && names ? YZ_OK : YZ_BUSY;

    for (size_t i = 0; !err && i < count; i++) {
        const bson_t *row = matching->listing->entries[matching->first + i].row;

        wk_receipts_id(actor->tenant, wk_document_text(row, "notice_id"), actor->org_path, ids[i]);
        names[i] = ids[i];
    }
    if (!err && count > 0)
        err = wk_store_get_many(matching->listing->query->store, WK_NOTICE_RECEIPTS, names, count,
                                on_receipts, matching);
    free(names);
    free(ids);
    return err;
}

/* What the member did with each notice of the listing. */
static enum yz_err match_receipts(struct listing *listing)
{
    const struct yz_actor *actor = listing->query->actor;
    struct matching matching = {.listing = listing, .member = actor->member};
    struct wk_branch_member entry;
    char id[WK_ID_MAX];
    bson_t branch;
    bool found;
    enum yz_err err;

    wk_branch_id(id, actor->tenant, actor->org_path);
    err = wk_store_get(listing->query->store, WK_BRANCHES, id, &branch, &found);
    if (!err && found && wk_branch_find(&branch, actor->member, &entry))
        matching.entry = &entry;
    while (!err && matching.last < listing->count) {
        matching.first = matching.last;
        matching.last += IDS_AT_ONCE;
        if (matching.last > listing->count)
            matching.last = listing->count;
        err = match_some(&matching);
    }
    bson_destroy(&branch);
    return err;
}

static enum yz_err gather(struct listing *listing, uint64_t before)
{
    enum yz_err err;

    listing->entries = calloc(listing->limit + 1, sizeof *listing->entries);
    if (!listing->entries)
        return YZ_BUSY;
    err = find_chain(listing, before);
    return err ? err : match_receipts(listing);
}

static void drop_listing(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        bson_destroy(listing->entries[i].row);
    free(listing->entries);
}

/* "a,b" as a list in the arena. */
static char **split_list(struct yz_arena *arena, const char *text, size_t *count)
{
    size_t size = strlen(text) + 1, room = 1;
    char *copy = yz_arena_alloc(arena, size), *save, *part;
    char **list;

    for (const char *p = text; *p; p++)
        room += *p == ',';
    list = yz_arena_alloc(arena, room * sizeof *list);
    *count = 0;
    if (!copy || !list)
        return NULL;
    memcpy(copy, text, size);
    for (part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save))
        list[(*count)++] = part;
    return list;
}

static Yizhan__V1__NoticeAudience *read_audience(struct yz_arena *arena, const bson_t *notice)
{
    Yizhan__V1__NoticeAudience *audience = yz_arena_alloc(arena, sizeof *audience);
    bson_iter_t paths;

    if (!audience)
        return NULL;
    yizhan__v1__notice_audience__init(audience);
    audience->org_paths = yz_arena_alloc(arena, WK_NOTICE_PATHS_MAX * sizeof(char *));
    audience->roles = split_list(arena, wk_document_text(notice, "roles"), &audience->n_roles);
    audience->exclude =
        split_list(arena, wk_document_text(notice, "exclude"), &audience->n_exclude);
    if (!audience->org_paths || !audience->roles || !audience->exclude)
        return NULL;
    if (wk_document_array(notice, "org_paths", &paths)) {
        while (bson_iter_next(&paths) && audience->n_org_paths < WK_NOTICE_PATHS_MAX) {
            if (BSON_ITER_HOLDS_UTF8(&paths))
                audience->org_paths[audience->n_org_paths++] =
                    (char *)(uintptr_t)bson_iter_utf8(&paths, NULL);
        }
    }
    return audience;
}

static Yizhan__V1__NoticeRecall *read_recall(struct yz_arena *arena, const bson_t *notice)
{
    Yizhan__V1__NoticeRecall *recall = yz_arena_alloc(arena, sizeof *recall);

    if (!recall)
        return NULL;
    yizhan__v1__notice_recall__init(recall);
    recall->notice_id = (char *)(uintptr_t)wk_document_text(notice, "notice_id");
    recall->reason = (char *)(uintptr_t)wk_document_text(notice, "recall_reason");
    recall->recalled_by = (char *)(uintptr_t)wk_document_text(notice, "recalled_by");
    recall->recalled_at = wk_timestamp_new(arena, wk_document_time_ms(notice, "recalled_at"));
    return recall;
}

/* What was recalled is no longer shown. */
static Yizhan__V1__NoticePosted *read_notice(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__NoticePosted *notice = yz_arena_alloc(arena, sizeof *notice);
    bool recalled = wk_notice_state(row) == YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED;
    bson_t kept;

    if (!notice || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__notice_posted__init(notice);
    notice->notice_id = (char *)(uintptr_t)wk_document_text(&kept, "notice_id");
    notice->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    notice->notice_class = wk_notice_class(&kept);
    notice->title = (char *)(uintptr_t)wk_document_text(&kept, "title");
    if (!recalled)
        notice->body = (char *)(uintptr_t)wk_document_text(&kept, "body");
    notice->expires_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "expires_at"));
    notice->publisher = (char *)(uintptr_t)wk_document_text(&kept, "publisher");
    notice->published_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "publish_at"));
    notice->sequence = (uint64_t)wk_document_number(&kept, "sequence");
    notice->state = wk_notice_state(&kept);
    notice->approver = (char *)(uintptr_t)wk_document_text(&kept, "approver");
    notice->push_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "push_at"));
    notice->audience = read_audience(arena, &kept);
    notice->recall = recalled ? read_recall(arena, &kept) : NULL;
    return notice->audience && (!recalled || notice->recall) ? notice : NULL;
}

/* With the member's own. */
static Yizhan__V1__NoticePosted *read_entry(const struct wk_query *query, const struct entry *e)
{
    Yizhan__V1__NoticePosted *notice = read_notice(query->arena, e->row);
    Yizhan__V1__NoticeMine *mine = yz_arena_alloc(query->arena, sizeof *mine);
    const char *path = wk_notice_covering(e->row, query->actor->org_path);
    size_t size = path ? strlen(path) + 1 : 0;
    char *copy = yz_arena_alloc(query->arena, size + 1);

    if (!notice || !mine || !copy)
        return NULL;
    if (path)
        memcpy(copy, path, size);
    notice->addressed_path = copy;
    /* Who was left out is between the publisher and those who oversee. */
    if (!wk_notice_overseen(e->row, query->actor) &&
        strcmp(notice->publisher, query->actor->member) != 0)
        notice->audience->n_exclude = 0;
    yizhan__v1__notice_mine__init(mine);
    mine->delivered = e->done[WK_DELIVERED];
    mine->read = e->done[WK_READ];
    mine->confirmed = e->done[WK_CONFIRMED];
    mine->confirmed_at = wk_timestamp_new(query->arena, e->confirmed_ms);
    notice->mine = mine;
    return notice;
}

/* The listing's first `wanted` rows, fewer when the page is full before. */
static enum yz_err fill_list(const struct listing *listing, size_t wanted,
                             Yizhan__V1__NoticeListReply *answer)
{
    size_t bytes = 0, i;

    answer->notices =
        yz_arena_alloc(listing->query->arena, wanted * sizeof(Yizhan__V1__NoticePosted *));
    if (!answer->notices)
        return YZ_BUSY;
    for (i = 0; i < wanted && i < listing->count; i++) {
        bytes += wk_document_size(listing->entries[i].row);
        if (i > 0 && bytes > WK_PAGE_MAX_BYTES)
            break;
        answer->notices[i] = read_entry(listing->query, &listing->entries[i]);
        if (!answer->notices[i])
            return YZ_BUSY;
    }
    answer->n_notices = i;
    answer->next_before =
        i > 0 && i < listing->count ? listing->entries[i - 1].sequence : listing->floor;
    return YZ_OK;
}

enum yz_err wk_notice_list(const struct wk_query *query, ProtobufCMessage **reply,
                           struct yz_violation *v)
{
    const Yizhan__V1__NoticeListRequest *request =
        (const Yizhan__V1__NoticeListRequest *)query->request;
    size_t wanted = request->limit ? request->limit : LIST_COUNT;
    Yizhan__V1__NoticeListReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct listing listing = {.query = query, .now_ms = query->now_ms, .recalled_too = true};
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__notice_list_reply__init(answer);
    wanted = wanted > LIST_MAX ? LIST_MAX : wanted;
    /* One more than wanted tells whether there is a next page. */
    listing.limit = wanted + 1;
    err = gather(&listing, request->before);
    if (!err)
        err = fill_list(&listing, wanted, answer);
    drop_listing(&listing);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

enum yz_err wk_notice_unread(const struct wk_query *query, ProtobufCMessage **reply,
                             struct yz_violation *v)
{
    Yizhan__V1__NoticeUnreadReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct listing listing = {
        .query = query,
        .now_ms = query->now_ms,
        .limit = UNREAD_OF,
        .brief = true,
        .after = ((const Yizhan__V1__NoticeUnreadRequest *)query->request)->after,
    };
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__notice_unread_reply__init(answer);
    err = gather(&listing, 0);
    for (size_t i = 0; !err && i < listing.count; i++) {
        const struct entry *e = &listing.entries[i];

        answer->unread += !e->done[WK_READ];
        answer->unconfirmed +=
            !e->done[WK_CONFIRMED] && wk_notice_class(e->row) != YIZHAN__V1__NOTICE_CLASS__INFO;
    }
    answer->more = listing.more;
    drop_listing(&listing);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

/* Who may see one by its id, besides its audience: who published it, and who oversees. */
static bool may_get(const bson_t *notice, const struct yz_actor *actor)
{
    if (strcmp(wk_document_text(notice, "publisher"), actor->member) == 0 ||
        wk_notice_overseen(notice, actor))
        return true;
    return wk_notice_was_released(notice) && wk_notice_addresses(notice, actor, NULL);
}

enum yz_err wk_notice_get(const struct wk_query *query, ProtobufCMessage **reply,
                          struct yz_violation *v)
{
    const Yizhan__V1__NoticeGetRequest *request =
        (const Yizhan__V1__NoticeGetRequest *)query->request;
    Yizhan__V1__NoticeGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct listing listing = {.query = query, .count = 1};
    struct entry entry = {.row = NULL};
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    wk_notice_id(query->actor, request->notice_id, id);
    err = wk_store_get(query->store, WK_NOTICES, id, &row, &found);
    entry.row = &row;
    listing.entries = &entry;
    if (!err && (!found || !may_get(&row, query->actor)))
        err = YZ_NOT_FOUND;
    if (!err)
        err = match_receipts(&listing);
    yizhan__v1__notice_get_reply__init(answer);
    if (!err && !(answer->notice = read_entry(query, &entry)))
        err = YZ_BUSY;
    bson_destroy(&row);
    if (err)
        return yz_violate(v, err, err == YZ_NOT_FOUND ? "noticeId" : NULL,
                          err == YZ_NOT_FOUND ? "There is no such notice." : NULL);
    *reply = &answer->base;
    return YZ_OK;
}

/* Notices that wait for a second person, of a whole tenant: a handful at any time. */
struct waiting {
    const struct wk_query *query;
    const char *org_path;
    Yizhan__V1__NoticePendingReply *answer;
    size_t limit, bytes, looked;
    int64_t now_ms;
    uint64_t last;
    bool full;
};

static bool on_pending(void *arg, const bson_t *row)
{
    struct waiting *waiting = arg;
    Yizhan__V1__NoticePendingReply *answer = waiting->answer;
    const struct entry entry = {.row = (bson_t *)(uintptr_t)row};

    if (answer->n_notices == waiting->limit || waiting->looked++ == LOOK_MAX ||
        (answer->n_notices > 0 && waiting->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        answer->next_before = waiting->last;
        return false;
    }
    waiting->last = (uint64_t)wk_document_number(row, "sequence");
    if (!yz_org_covers(waiting->org_path, wk_document_text(row, "org_path")) ||
        wk_notice_expired(row, waiting->now_ms))
        return true;
    waiting->bytes += wk_document_size(row);
    answer->notices[answer->n_notices] = read_entry(waiting->query, &entry);
    waiting->full = !answer->notices[answer->n_notices++];
    return !waiting->full;
}

enum yz_err wk_notice_pending(const struct wk_query *query, ProtobufCMessage **reply,
                              struct yz_violation *v)
{
    const Yizhan__V1__NoticePendingRequest *request =
        (const Yizhan__V1__NoticePendingRequest *)query->request;
    Yizhan__V1__NoticePendingReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct waiting waiting = {.query = query,
                              .org_path = request->org_path,
                              .answer = answer,
                              .limit = request->limit ? request->limit : LIST_COUNT,
                              .now_ms = query->now_ms};
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    enum yz_err err = YZ_BUSY;

    waiting.limit = waiting.limit > LIST_MAX ? LIST_MAX : waiting.limit;
    if (answer) {
        yizhan__v1__notice_pending_reply__init(answer);
        answer->notices =
            yz_arena_alloc(query->arena, waiting.limit * sizeof(Yizhan__V1__NoticePosted *));
    }
    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "state", "NOTICE_PENDING");
    below(&filter, request->before);
    newest_first(&opts, waiting.limit + 1);
    if (answer && answer->notices)
        err = wk_store_find(query->store, WK_NOTICES, &filter, &opts, on_pending, &waiting);
    bson_destroy(&opts);
    bson_destroy(&filter);
    if (err || waiting.full)
        return yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}
