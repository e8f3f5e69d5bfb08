/* Queries of the domain thread over many of them: lists by cursor, and how much is unread. */
#include "workers/document.h"
#include "workers/domains/thread.h"
#include "workers/store.h"

#include <string.h>

#define LIST_COUNT 20
#define LIST_MAX   100
#define UNREAD_MAX 100

/* Rows of one org, the latest first, being read into messages of the arena. */
struct list {
    const struct wk_query *query;
    const char *order; /* the last field of the index, by which they stand */
    void **items;
    size_t count, limit;
    bool more;
    /* a message of the row; NULL: the arena is full */
    void *(*read)(struct yz_arena *arena, const bson_t *row);
    bool full;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct list *list = arg;
    bson_t kept;
    void *item;

    if (list->count == list->limit) {
        list->more = true;
        return false;
    }
    if (!wk_document_keep(list->query->arena, row, &kept) ||
        !(item = list->read(list->query->arena, &kept))) {
        list->full = true;
        return false;
    }
    list->items[list->count++] = item;
    return true;
}

/* One more than the page holds tells whether more follow. */
static enum yz_err find_rows(struct list *list, const char *collection, const char *org_path,
                             uint64_t before)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", list->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", org_path);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, list->order, &range);
    BSON_APPEND_INT64(&range, "$lt",
                      before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, list->order, -1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", (int64_t)list->limit + 1);
    err = wk_store_find(list->query->store, collection, &filter, &opts, on_row, list);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : list->full ? YZ_BUSY : YZ_OK;
}

static enum yz_err begin(struct list *list, uint32_t limit)
{
    list->limit = limit == 0 ? LIST_COUNT : limit > LIST_MAX ? LIST_MAX : limit;
    list->items = yz_arena_alloc(list->query->arena, list->limit * sizeof(void *));
    return list->items ? YZ_OK : YZ_BUSY;
}

static void *read_summary(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__ThreadSummary *summary = yz_arena_alloc(arena, sizeof *summary);

    if (!summary)
        return NULL;
    yizhan__v1__thread_summary__init(summary);
    summary->thread_id = (char *)(uintptr_t)wk_document_text(row, "thread_id");
    summary->starter = (char *)(uintptr_t)wk_document_text(row, "starter");
    summary->started_at = wk_timestamp_new(arena, wk_document_time_ms(row, "started_at"));
    summary->last_sequence = (uint64_t)wk_document_number(row, "last_sequence");
    summary->last_at = wk_timestamp_new(arena, wk_document_time_ms(row, "last_at"));
    summary->posts = (uint32_t)wk_document_number(row, "posts");
    return summary;
}

enum yz_err wk_thread_answer_list(const struct wk_query *query, ProtobufCMessage **reply,
                                  struct yz_violation *v)
{
    const Yizhan__V1__ThreadListRequest *request =
        (const Yizhan__V1__ThreadListRequest *)query->request;
    struct list list = {.query = query, .order = "last_sequence", .read = read_summary};
    Yizhan__V1__ThreadListReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err = answer ? begin(&list, request->limit) : YZ_BUSY;

    if (!err)
        err = find_rows(&list, WK_THREADS, request->org_path, request->before);
    if (err || !answer)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__thread_list_reply__init(answer);
    answer->threads = (Yizhan__V1__ThreadSummary **)list.items;
    answer->n_threads = list.count;
    if (list.more)
        answer->next_before = answer->threads[list.count - 1]->last_sequence;
    *reply = &answer->base;
    return YZ_OK;
}

static void *read_flag(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__ThreadFlag *flag = yz_arena_alloc(arena, sizeof *flag);

    if (!flag)
        return NULL;
    yizhan__v1__thread_flag__init(flag);
    flag->org_path = (char *)(uintptr_t)wk_document_text(row, "org_path");
    flag->thread_id = (char *)(uintptr_t)wk_document_text(row, "thread_id");
    flag->sequence = (uint64_t)wk_document_number(row, "sequence");
    flag->member = (char *)(uintptr_t)wk_document_text(row, "member");
    flag->reason = (char *)(uintptr_t)wk_document_text(row, "reason");
    flag->flagged_at = wk_timestamp_new(arena, wk_document_time_ms(row, "flagged_at"));
    flag->flag = (uint64_t)wk_document_number(row, "flag");
    return flag;
}

enum yz_err wk_thread_answer_flags(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__ThreadFlagsRequest *request =
        (const Yizhan__V1__ThreadFlagsRequest *)query->request;
    struct list list = {.query = query, .order = "flag", .read = read_flag};
    Yizhan__V1__ThreadFlagsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err = answer ? begin(&list, request->limit) : YZ_BUSY;

    if (!err)
        err = find_rows(&list, WK_POST_FLAGS, request->org_path, request->before);
    if (err || !answer)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__thread_flags_reply__init(answer);
    answer->flags = (Yizhan__V1__ThreadFlag **)list.items;
    answer->n_flags = list.count;
    if (list.more)
        answer->next_before = answer->flags[list.count - 1]->flag;
    *reply = &answer->base;
    return YZ_OK;
}

struct unread {
    const char *member;
    uint32_t rows, unread;
};

static bool on_unread(void *arg, const bson_t *row)
{
    struct unread *unread = arg;

    if (unread->rows++ == UNREAD_MAX)
        return false;
    unread->unread += strcmp(wk_document_text(row, "author"), unread->member) != 0;
    return true;
}

static enum yz_err count_unread(const struct wk_query *query, uint64_t read_up_to,
                                struct unread *unread)
{
    const Yizhan__V1__ThreadUnreadRequest *request =
        (const Yizhan__V1__ThreadUnreadRequest *)query->request;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, part;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", request->org_path);
    BSON_APPEND_UTF8(&filter, "thread_id", request->thread_id);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "sequence", &part);
    BSON_APPEND_INT64(&part, "$gt", (int64_t)read_up_to);
    bson_append_document_end(&filter, &part);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &part);
    BSON_APPEND_INT32(&part, "sequence", 1);
    bson_append_document_end(&opts, &part);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &part);
    BSON_APPEND_INT32(&part, "author", 1);
    bson_append_document_end(&opts, &part);
    BSON_APPEND_INT64(&opts, "limit", UNREAD_MAX + 1);
    err = wk_store_find(query->store, WK_POSTS, &filter, &opts, on_unread, unread);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

enum yz_err wk_thread_answer_unread(const struct wk_query *query, ProtobufCMessage **reply,
                                    struct yz_violation *v)
{
    const Yizhan__V1__ThreadUnreadRequest *request =
        (const Yizhan__V1__ThreadUnreadRequest *)query->request;
    const struct wk_thread_post thread = {query->actor->tenant, request->org_path,
                                          request->thread_id, 0};
    struct unread unread = {.member = query->actor->member};
    Yizhan__V1__ThreadUnreadReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    char id[WK_ID_MAX];
    bson_t mark;
    bool found;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__thread_unread_reply__init(answer);
    wk_thread_member_id(id, &thread, query->actor->member);
    err = wk_store_get(query->store, WK_THREAD_MARKS, id, &mark, &found);
    if (!err)
        answer->read_up_to = (uint64_t)wk_document_number(&mark, "read_up_to");
    bson_destroy(&mark);
    if (!err)
        err = count_unread(query, answer->read_up_to, &unread);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    answer->unread = unread.unread;
    answer->more = unread.rows > UNREAD_MAX;
    *reply = &answer->base;
    return YZ_OK;
}
