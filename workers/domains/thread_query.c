/* The queries of the domain thread: pages of posts, with what became of them. Lists and counts
 * stand in thread_list.c. */
#include "workers/document.h"
#include "workers/domains/thread.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_COUNT 20
#define PAGE_MAX   100

/* A page being read: rows in the order of the search, each a view of a copy in the arena. */
struct page {
    const struct wk_query *query;
    Yizhan__V1__ThreadPost **posts;
    size_t count, limit, bytes;
    bool more, full;
};

/* The texts of a list of a document; false: the arena is full. */
static bool read_texts(struct yz_arena *arena, const bson_t *row, const char *field, char ***texts,
                       size_t *count)
{
    bson_iter_t walk, entries;

    *count = 0;
    if (!wk_document_array(row, field, &walk))
        return true;
    entries = walk;
    while (bson_iter_next(&walk))
        (*count)++;
    *texts = yz_arena_alloc(arena, (*count + 1) * sizeof(char *));
    for (size_t i = 0; *texts && bson_iter_next(&entries); i++)
        (*texts)[i] = (char *)(uintptr_t)bson_iter_utf8(&entries, NULL);
    return *texts != NULL;
}

static Yizhan__V1__ThreadPost *read_post(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__ThreadPost *post = yz_arena_alloc(arena, sizeof *post);
    bson_t kept;

    if (!post || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__thread_post__init(post);
    post->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    post->thread_id = (char *)(uintptr_t)wk_document_text(&kept, "thread_id");
    post->message_id = (char *)(uintptr_t)wk_document_text(&kept, "message_id");
    post->author = (char *)(uintptr_t)wk_document_text(&kept, "author");
    post->text = (char *)(uintptr_t)wk_document_text(&kept, "text");
    post->reply_to = (uint64_t)wk_document_number(&kept, "reply_to");
    post->sequence = (uint64_t)wk_document_number(&kept, "sequence");
    post->posted_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "posted_at"));
    return read_texts(arena, &kept, "mentions", &post->mentions, &post->n_mentions) ? post : NULL;
}

static bool on_post(void *arg, const bson_t *row)
{
    struct page *page = arg;
    Yizhan__V1__ThreadPost *post;

    if (page->count == page->limit ||
        (page->count > 0 && page->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        page->more = true;
        return false;
    }
    post = read_post(page->query->arena, row);
    if (!post) {
        page->full = true;
        return false;
    }
    page->posts[page->count++] = post;
    page->bytes += wk_document_size(row);
    return true;
}

/* Equality on all but the last field of the index, a range and the order on that: any server walks
 * the index from the right place and stops at the limit. */
static enum yz_err find_posts(struct page *page, const Yizhan__V1__ThreadPageRequest *request)
{
    bool after = request->from_case == YIZHAN__V1__THREAD_PAGE_REQUEST__FROM_AFTER;
    /* before 0 is what a client sends that knows no sequence yet: from the newest. */
    bool before =
        request->from_case == YIZHAN__V1__THREAD_PAGE_REQUEST__FROM_BEFORE && request->before > 0;
    uint64_t edge = after ? request->after : request->before;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", page->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", request->org_path);
    BSON_APPEND_UTF8(&filter, "thread_id", request->thread_id);
    if (after || before) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "sequence", &range);
        bson_append_int64(&range, after ? "$gt" : "$lt", 3,
                          edge > INT64_MAX ? INT64_MAX : (int64_t)edge);
        bson_append_document_end(&filter, &range);
    }
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "sequence", after ? 1 : -1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)page->limit + 1);
    err = wk_store_find(page->query->store, WK_POSTS, &filter, &opts, on_post, page);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

/* Documents that belong to the posts of a page. take: false when the arena is full. */
typedef bool take_fn(struct yz_arena *arena, Yizhan__V1__ThreadPost *post, const bson_t *row);
struct lookup {
    struct page *page;
    char **ids; /* of the posts, in their order */
    take_fn *take;
    bool full;
};

static bool on_found(void *arg, const bson_t *row)
{
    struct lookup *lookup = arg;
    const char *id = wk_document_text(row, "_id");
    size_t index = 0;
    bson_t kept;

    while (index < lookup->page->count && strcmp(lookup->ids[index], id) != 0)
        index++;
    if (index == lookup->page->count)
        return true;
    lookup->full = !wk_document_keep(lookup->page->query->arena, row, &kept) ||
                   !lookup->take(lookup->page->query->arena, lookup->page->posts[index], &kept);
    return !lookup->full;
}

static char *post_id(const struct page *page, size_t index, const char *part)
{
    const Yizhan__V1__ThreadPost *post = page->posts[index];
    const struct wk_thread_post named = {page->query->actor->tenant, post->org_path,
                                         post->thread_id, post->sequence};
    char id[WK_ID_MAX], *kept;

    wk_thread_post_id(id, &named, part);
    kept = yz_arena_alloc(page->query->arena, strlen(id) + 1);
    if (kept)
        memcpy(kept, id, strlen(id) + 1);
    return kept;
}

/* One search by _id for all posts of the page; part stands behind a post's own id. */
static enum yz_err look_up(struct page *page, const char *collection, const char *part,
                           take_fn *take)
{
    struct lookup lookup = {.page = page, .take = take};
    enum yz_err err;

    lookup.ids = yz_arena_alloc(page->query->arena, (page->count + 1) * sizeof(char *));
    if (!lookup.ids)
        return YZ_BUSY;
    for (size_t i = 0; i < page->count; i++) {
        if (!(lookup.ids[i] = post_id(page, i, part)))
            return YZ_BUSY;
    }
    err = wk_store_get_many(page->query->store, collection, (const char *const *)lookup.ids,
                            page->count, on_found, &lookup);
    return err ? err : lookup.full ? YZ_BUSY : YZ_OK;
}

static void take_tombstone(struct yz_arena *arena, Yizhan__V1__ThreadPost *post, const bson_t *row)
{
    post->hidden = true;
    post->hidden_by = (char *)(uintptr_t)wk_document_text(row, "hidden_by");
    post->hidden_reason = (char *)(uintptr_t)wk_document_text(row, "hidden_reason");
    post->hidden_at = wk_timestamp_new(arena, wk_document_time_ms(row, "hidden_at"));
    post->text = (char *)(uintptr_t) "";
    post->n_mentions = 0;
}

static bool take_counts(struct yz_arena *arena, Yizhan__V1__ThreadPost *post, const bson_t *row)
{
    const ProtobufCEnumDescriptor *desc = &yizhan__v1__reaction_kind__descriptor;
    Yizhan__V1__ReactionCount *counts;
    bson_iter_t found, walk;

    if (!bson_iter_init_find(&found, row, "reactions") || !BSON_ITER_HOLDS_DOCUMENT(&found) ||
        !bson_iter_recurse(&found, &walk))
        return true;
    counts = yz_arena_alloc(arena, desc->n_values * sizeof *counts);
    post->reactions = yz_arena_alloc(arena, desc->n_values * sizeof(Yizhan__V1__ReactionCount *));
    if (!counts || !post->reactions)
        return false;
    while (bson_iter_next(&walk) && post->n_reactions < desc->n_values) {
        const ProtobufCEnumValue *kind =
            protobuf_c_enum_descriptor_get_value_by_name(desc, bson_iter_key(&walk));
        Yizhan__V1__ReactionCount *count = &counts[post->n_reactions];

        if (!kind)
            continue;
        yizhan__v1__reaction_count__init(count);
        count->kind = (Yizhan__V1__ReactionKind)kind->value;
        count->count = (uint32_t)bson_iter_as_int64(&walk);
        post->reactions[post->n_reactions++] = count;
    }
    return true;
}

static bool take_state(struct yz_arena *arena, Yizhan__V1__ThreadPost *post, const bson_t *row)
{
    post->edits = (uint32_t)wk_document_number(row, "edits");
    post->edited_at = wk_timestamp_new(arena, wk_document_time_ms(row, "edited_at"));
    if (post->edits > 0)
        post->text = (char *)(uintptr_t)wk_document_text(row, "text");
    if (wk_thread_hidden(row))
        take_tombstone(arena, post, row);
    return take_counts(arena, post, row);
}

static bool take_mine(struct yz_arena *arena, Yizhan__V1__ThreadPost *post, const bson_t *row)
{
    const ProtobufCEnumDescriptor *desc = &yizhan__v1__reaction_kind__descriptor;
    bson_iter_t kinds;

    if (!wk_document_array(row, "kinds", &kinds))
        return true;
    post->mine = yz_arena_alloc(arena, desc->n_values * sizeof(Yizhan__V1__ReactionKind));
    while (post->mine && bson_iter_next(&kinds) && post->n_mine < desc->n_values) {
        const char *name = bson_iter_utf8(&kinds, NULL);
        const ProtobufCEnumValue *kind =
            name ? protobuf_c_enum_descriptor_get_value_by_name(desc, name) : NULL;

        if (kind)
            post->mine[post->n_mine++] = (Yizhan__V1__ReactionKind)kind->value;
    }
    return post->mine != NULL;
}

/* An edit may be longer than what it replaced: the page ends where it outgrows a phone's frame. */
static void cut(struct page *page)
{
    size_t bytes = 0;

    for (size_t i = 0; i < page->count; i++) {
        bytes += protobuf_c_message_get_packed_size(&page->posts[i]->base);
        if (i > 0 && bytes > WK_PAGE_MAX_BYTES) {
            page->count = i;
            page->more = true;
        }
    }
}

static enum yz_err fill_page(struct page *page, const Yizhan__V1__ThreadPageRequest *request)
{
    enum yz_err err = find_posts(page, request);

    if (!err)
        err = look_up(page, WK_POST_STATES, NULL, take_state);
    if (!err)
        err = look_up(page, WK_POST_REACTIONS, page->query->actor->member, take_mine);
    if (!err)
        cut(page);
    return err;
}

static void reverse(Yizhan__V1__ThreadPost **posts, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        Yizhan__V1__ThreadPost *other = posts[count - 1 - i];

        posts[count - 1 - i] = posts[i];
        posts[i] = other;
    }
}

static enum yz_err answer_page(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__ThreadPageRequest *request =
        (const Yizhan__V1__ThreadPageRequest *)query->request;
    struct page page = {.query = query, .limit = request->limit ? request->limit : PAGE_COUNT};
    Yizhan__V1__ThreadPageReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err;

    page.limit = page.limit > PAGE_MAX ? PAGE_MAX : page.limit;
    page.posts = yz_arena_alloc(query->arena, page.limit * sizeof(Yizhan__V1__ThreadPost *));
    if (!answer || !page.posts)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = fill_page(&page, request);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (request->from_case != YIZHAN__V1__THREAD_PAGE_REQUEST__FROM_AFTER)
        reverse(page.posts, page.count);
    yizhan__v1__thread_page_reply__init(answer);
    answer->posts = page.posts;
    answer->n_posts = page.count;
    answer->more = page.more;
    *reply = &answer->base;
    return YZ_OK;
}

struct history {
    const struct wk_query *query;
    Yizhan__V1__ThreadHistoryReply *answer;
    size_t room;
    bool full;
};

static void add_version(struct history *history, const bson_t *row, const char *at)
{
    struct yz_arena *arena = history->query->arena;
    Yizhan__V1__ThreadVersion *version = yz_arena_alloc(arena, sizeof *version);
    bson_t kept;

    if (!version || history->answer->n_versions == history->room ||
        !wk_document_keep(arena, row, &kept)) {
        history->full = true;
        return;
    }
    yizhan__v1__thread_version__init(version);
    version->text = (char *)(uintptr_t)wk_document_text(&kept, "text");
    version->written_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, at));
    version->edit = (uint64_t)wk_document_number(&kept, "edit");
    history->answer->versions[history->answer->n_versions++] = version;
}

static bool on_original(void *arg, const bson_t *row)
{
    struct history *history = arg;

    add_version(history, row, "posted_at");
    return false;
}

static bool on_edit(void *arg, const bson_t *row)
{
    struct history *history = arg;

    add_version(history, row, "written_at");
    return !history->full;
}

/* The documents of one post in `collection`, in the order of `order`. */
static enum yz_err find_versions(struct history *history, const char *collection, const char *order,
                                 wk_row_fn *on_row)
{
    const Yizhan__V1__ThreadHistoryRequest *request =
        (const Yizhan__V1__ThreadHistoryRequest *)history->query->request;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, sort;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", history->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", request->org_path);
    BSON_APPEND_UTF8(&filter, "thread_id", request->thread_id);
    BSON_APPEND_INT64(&filter, "sequence", (int64_t)request->sequence);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, order, 1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)history->room);
    err = wk_store_find(history->query->store, collection, &filter, &opts, on_row, history);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : history->full ? YZ_BUSY : YZ_OK;
}

static enum yz_err get_state(const struct wk_query *query, bson_t *state, struct yz_violation *v)
{
    const Yizhan__V1__ThreadHistoryRequest *request =
        (const Yizhan__V1__ThreadHistoryRequest *)query->request;
    const struct wk_thread_post post = {query->actor->tenant, request->org_path, request->thread_id,
                                        request->sequence};
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    wk_thread_post_id(id, &post, NULL);
    err = wk_store_get(query->store, WK_POST_STATES, id, &row, &found);
    if (!err && !found)
        err = yz_violate(v, YZ_NOT_FOUND, "sequence", "There is no such post in this thread.");
    else if (err || !wk_document_keep(query->arena, &row, state))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

/* A hidden post is hidden in all its versions, but not from those who may hide. */
static enum yz_err answer_history(const struct wk_query *query, ProtobufCMessage **reply,
                                  struct yz_violation *v)
{
    const Yizhan__V1__ThreadHistoryRequest *request =
        (const Yizhan__V1__ThreadHistoryRequest *)query->request;
    struct history history = {.query = query};
    bson_t state;
    enum yz_err err = get_state(query, &state, v);

    if (err)
        return err;
    history.room = (size_t)wk_document_number(&state, "edits") + 2; /* one may come meanwhile */
    history.answer = yz_arena_alloc(query->arena, sizeof *history.answer);
    if (!history.answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__thread_history_reply__init(history.answer);
    history.answer->versions =
        yz_arena_alloc(query->arena, history.room * sizeof(Yizhan__V1__ThreadVersion *));
    if (!history.answer->versions)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    history.answer->author = (char *)(uintptr_t)wk_document_text(&state, "author");
    history.answer->hidden = wk_thread_hidden(&state);
    *reply = &history.answer->base;
    if (history.answer->hidden &&
        yz_authorize(YZ_BY_SECRETARY, query->actor, request->org_path) != YZ_OK)
        return YZ_OK;
    err = find_versions(&history, WK_POSTS, "sequence", on_original);
    if (!err)
        err = find_versions(&history, WK_POST_EDITS, "edit", on_edit);
    return err ? yz_violate(v, err, NULL, NULL) : YZ_OK;
}

const struct wk_query_handler wk_thread_queries[] = {
    {"thread.page", answer_page},           {"thread.unread", wk_thread_answer_unread},
    {"thread.list", wk_thread_answer_list}, {"thread.flags", wk_thread_answer_flags},
    {"thread.history", answer_history},     {0},
};
