/* Discussion threads (讨论): posts in the order of the event stream. */
#include "workers/document.h"
#include "workers/domain.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdlib.h>
#include <string.h>
#include <thread.pb-c.h>

#define POSTS      "posts"
#define PAGE_COUNT 20
#define PAGE_MAX   100

static enum yz_err judge_posted(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

static bson_t *new_post(const struct wk_event *event, const Yizhan__V1__ThreadPosted *posted)
{
    bson_t *post = bson_new();

    BSON_APPEND_UTF8(post, "org_path", posted->org_path);
    BSON_APPEND_UTF8(post, "thread_id", posted->thread_id);
    BSON_APPEND_UTF8(post, "message_id", posted->message_id);
    BSON_APPEND_UTF8(post, "author", event->env->actor.member);
    BSON_APPEND_UTF8(post, "text", posted->text);
    BSON_APPEND_INT64(post, "reply_to", (int64_t)posted->reply_to);
    BSON_APPEND_INT64(post, "sequence", (int64_t)event->sequence);
    BSON_APPEND_DATE_TIME(post, "posted_at", event->received_at_ms);
    return post;
}

static void push_post(const struct wk_event *event, struct wk_fold *fold,
                      const Yizhan__V1__ThreadPosted *posted)
{
    Yizhan__V1__ThreadPost post = YIZHAN__V1__THREAD_POST__INIT;
    Google__Protobuf__Timestamp posted_at = wk_timestamp(event->received_at_ms);
    struct yz_channel channel = {.kind = YZ_CHANNEL_THREAD};
    char name[YZ_CHANNEL_MAX];

    snprintf(channel.org_path, sizeof channel.org_path, "%s", posted->org_path);
    snprintf(channel.id, sizeof channel.id, "%s", posted->thread_id);
    yz_channel_name(&channel, name);
    post.org_path = posted->org_path;
    post.thread_id = posted->thread_id;
    post.message_id = posted->message_id;
    post.author = (char *)(uintptr_t)event->env->actor.member;
    post.text = posted->text;
    post.reply_to = posted->reply_to;
    post.sequence = event->sequence;
    post.posted_at = &posted_at;
    wk_push(fold, name, "thread.post", &post.base, NULL);
}

/* The natural key decides: no document need be loaded to post. */
static void apply_posted(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    char id[WK_ID_MAX];

    wk_id(id, event->env->actor.tenant, posted->org_path, posted->thread_id,
          event->env->actor.member, posted->message_id, NULL);
    wk_insert(fold, POSTS, id, new_post(event, posted), YZ_ALREADY_POSTED);
    push_post(event, fold, posted);
}

/* A page being read: rows in the order of the search, each a view of a copy in the arena. */
struct page {
    const struct wk_query *query;
    Yizhan__V1__ThreadPost **posts;
    size_t count, limit, bytes;
    bool more, full;
};

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
    return post;
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
    err = wk_store_find(page->query->store, POSTS, &filter, &opts, on_post, page);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
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
    err = find_posts(&page, request);
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

static const struct wk_event_handler events[] = {
    {"thread.posted", NULL, judge_posted, apply_posted},
    {0},
};

static const struct wk_query_handler queries[] = {
    {"thread.page", answer_page},
    {0},
};

static const struct wk_index posts_indexes[] = {
    {.name = "by_thread",
     .keys = "{\"tenant\": 1, \"org_path\": 1, \"thread_id\": 1, \"sequence\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {POSTS, posts_indexes},
    {0},
};

const struct wk_domain wk_domain_thread = {"thread", events, queries, collections};
