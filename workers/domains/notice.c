/* Notices (通知) and who has read them. The receipts of one branch are one document, written only
 * by the events of that branch, so that a notice to half a million members has no hot spot. */
#include "common/clock.h"
#include "workers/document.h"
#include "workers/domain.h"
#include "workers/query.h"
#include "workers/store.h"

#include <notice.pb-c.h>
#include <stdlib.h>
#include <string.h>

#define NOTICES    "notices"
#define RECEIPTS   "notice_receipts"
#define LIST_COUNT 20
#define LIST_MAX   100

static void notice_id(const struct wk_event *event, const char *id, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, id, NULL);
}

static void receipts_id(const struct wk_event *event, const char *id, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, id, event->env->actor.org_path, NULL);
}

static void needs_published(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    notice_id(event, ((const Yizhan__V1__NoticePublished *)event->payload)->notice_id, id);
    wk_need(needs, NOTICES, id);
}

static enum yz_err judge_published(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)event->payload;
    char id[WK_ID_MAX];

    notice_id(event, notice->notice_id, id);
    if (wk_get(fold, NOTICES, id))
        return yz_violate(v, YZ_EXISTS, "noticeId", "A notice with this id exists already.");
    if (notice->expires_at && wk_timestamp_ms(notice->expires_at) <= event->received_at_ms)
        return yz_violate(v, YZ_INVALID_VALUE, "expiresAt", "The time must lie in the future.");
    return YZ_OK;
}

static bson_t *new_notice(const struct wk_event *event, const Yizhan__V1__NoticePublished *notice)
{
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "notice_id", notice->notice_id);
    BSON_APPEND_UTF8(document, "org_path", notice->org_path);
    BSON_APPEND_UTF8(
        document, "notice_class",
        wk_document_enum_name(&yizhan__v1__notice_class__descriptor, (int)notice->notice_class));
    BSON_APPEND_UTF8(document, "title", notice->title);
    BSON_APPEND_UTF8(document, "body", notice->body);
    BSON_APPEND_UTF8(document, "publisher", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "publish_at", event->received_at_ms);
    if (notice->expires_at)
        BSON_APPEND_DATE_TIME(document, "expires_at", wk_timestamp_ms(notice->expires_at));
    BSON_APPEND_INT64(document, "sequence", (int64_t)event->sequence);
    return document;
}

static void push_posted(const struct wk_event *event, struct wk_fold *fold,
                        const Yizhan__V1__NoticePublished *notice)
{
    Yizhan__V1__NoticePosted posted = YIZHAN__V1__NOTICE_POSTED__INIT;
    Google__Protobuf__Timestamp published_at = wk_timestamp(event->received_at_ms);
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};
    char name[YZ_CHANNEL_MAX];

    snprintf(channel.org_path, sizeof channel.org_path, "%s", notice->org_path);
    yz_channel_name(&channel, name);
    posted.notice_id = notice->notice_id;
    posted.org_path = notice->org_path;
    posted.notice_class = notice->notice_class;
    posted.title = notice->title;
    posted.body = notice->body;
    posted.expires_at = notice->expires_at;
    posted.publisher = (char *)(uintptr_t)event->env->actor.member;
    posted.published_at = &published_at;
    posted.sequence = event->sequence;
    wk_push(fold, name, "notice.posted", &posted.base, NULL);
}

static void apply_published(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)event->payload;
    char id[WK_ID_MAX];

    notice_id(event, notice->notice_id, id);
    wk_put(fold, NOTICES, id, new_notice(event, notice));
    push_posted(event, fold, notice);
}

static void needs_read(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__NoticeRead *read = (const Yizhan__V1__NoticeRead *)event->payload;
    char id[WK_ID_MAX];

    notice_id(event, read->notice_id, id);
    wk_need(needs, NOTICES, id);
    receipts_id(event, read->notice_id, id);
    wk_need_own(needs, RECEIPTS, id);
}

static enum yz_err judge_read(const struct wk_event *event, struct wk_fold *fold,
                              struct yz_violation *v)
{
    const Yizhan__V1__NoticeRead *read = (const Yizhan__V1__NoticeRead *)event->payload;
    const bson_t *notice;
    char id[WK_ID_MAX];

    notice_id(event, read->notice_id, id);
    notice = wk_get(fold, NOTICES, id);
    if (!notice)
        return yz_violate(v, YZ_NOT_FOUND, "noticeId", "There is no such notice.");
    if (!yz_actor_belongs(&event->env->actor, wk_document_text(notice, "org_path")))
        return yz_violate(v, YZ_NOT_IN_AUDIENCE, "noticeId", NULL);
    return YZ_OK;
}

/* The branch's receipts with the member among them; NULL when the member stands there already.
 * *count: readers after this event. */
static bson_t *add_reader(const bson_t *receipts, const char *id, const struct yz_actor *actor,
                          uint32_t *count)
{
    bson_t *document = bson_new(), list;
    bson_iter_t reader;
    bool there = false;
    char key[16];

    BSON_APPEND_UTF8(document, "notice_id", id);
    BSON_APPEND_UTF8(document, "org_path", actor->org_path);
    BSON_APPEND_ARRAY_BEGIN(document, "readers", &list);
    *count = 0;
    if (receipts && wk_document_array(receipts, "readers", &reader)) {
        while (bson_iter_next(&reader)) {
            const char *member = bson_iter_utf8(&reader, NULL);

            there = there || (member && strcmp(member, actor->member) == 0);
            bson_append_iter(&list, NULL, 0, &reader);
            (*count)++;
        }
    }
    if (!there) {
        snprintf(key, sizeof key, "%u", *count);
        BSON_APPEND_UTF8(&list, key, actor->member);
        (*count)++;
    }
    bson_append_array_end(document, &list);
    if (!there)
        return document;
    bson_destroy(document);
    return NULL;
}

/* Reading twice is reading: applied, with nothing new. The publisher's channel holds one count for
 * each branch; the sum over branches is the reader's. */
static void apply_read(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeRead *read = (const Yizhan__V1__NoticeRead *)event->payload;
    const struct yz_actor *actor = &event->env->actor;
    Yizhan__V1__NoticeReceiptCount value = YIZHAN__V1__NOTICE_RECEIPT_COUNT__INIT;
    char id[WK_ID_MAX], channel[YZ_CHANNEL_MAX], name[YZ_CHANNEL_MAX];
    const bson_t *notice;
    bson_t *receipts;

    notice_id(event, read->notice_id, id);
    notice = wk_get(fold, NOTICES, id);
    receipts_id(event, read->notice_id, id);
    receipts = add_reader(wk_get(fold, RECEIPTS, id), read->notice_id, actor, &value.read);
    if (receipts)
        wk_put(fold, RECEIPTS, id, receipts);
    if (!notice)
        return;
    value.notice_id = read->notice_id;
    value.org_path = (char *)(uintptr_t)actor->org_path;
    snprintf(channel, sizeof channel, "member.%s", wk_document_text(notice, "publisher"));
    snprintf(name, sizeof name, "receipts.%s.%s", read->notice_id, actor->org_path);
    wk_value(fold, channel, name, "notice.receipt_count", &value.base, NULL);
}

/* The newest notices of a chain of orgs, being gathered: copies of rows, newest first. */
struct listing {
    bson_t *rows[LIST_MAX + 1];
    uint64_t sequences[LIST_MAX + 1];
    size_t count, limit;
    int64_t now_ms;
};

static bool is_expired(const struct listing *listing, const bson_t *row)
{
    int64_t expires_at = wk_document_time_ms(row, "expires_at");

    return expires_at != 0 && expires_at <= listing->now_ms;
}

/* Rows of one org come newest first: the first that is too old ends its search. */
static bool on_notice(void *arg, const bson_t *row)
{
    struct listing *listing = arg;
    uint64_t sequence = (uint64_t)wk_document_number(row, "sequence");
    size_t at = listing->count;

    if (is_expired(listing, row))
        return true;
    while (at > 0 && listing->sequences[at - 1] < sequence)
        at--;
    if (at == listing->limit)
        return false;
    if (listing->count == listing->limit)
        bson_destroy(listing->rows[--listing->count]);
    memmove(&listing->rows[at + 1], &listing->rows[at], (listing->count - at) * sizeof(bson_t *));
    memmove(&listing->sequences[at + 1], &listing->sequences[at],
            (listing->count - at) * sizeof(uint64_t));
    listing->rows[at] = bson_copy(row);
    listing->sequences[at] = sequence;
    listing->count++;
    return true;
}

/* One search for each org of the chain: equality and a range on one index, which every server walks
 * from the right place; with all orgs in one $in the embedded database would sort the tenant. */
static enum yz_err find_notices(const struct wk_query *query, const char *org_path, uint64_t before,
                                struct listing *listing)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", org_path);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "sequence", &range);
    BSON_APPEND_INT64(&range, "$lt",
                      before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "sequence", -1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT32(&opts, "batchSize", (int32_t)listing->limit);
    err = wk_store_find(query->store, NOTICES, &filter, &opts, on_notice, listing);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

/* The actor's org and those above it, innermost first. */
static enum yz_err find_chain(const struct wk_query *query, uint64_t before,
                              struct listing *listing)
{
    char path[YZ_ORG_PATH_MAX], *slash;
    enum yz_err err;

    snprintf(path, sizeof path, "%s", query->actor->org_path);
    for (;;) {
        err = find_notices(query, path, before, listing);
        slash = strrchr(path, '/');
        if (err || !slash)
            return err;
        *slash = '\0';
    }
}

static Yizhan__V1__NoticePosted *read_notice(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__NoticePosted *notice = yz_arena_alloc(arena, sizeof *notice);
    bson_t kept;

    if (!notice || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__notice_posted__init(notice);
    notice->notice_id = (char *)(uintptr_t)wk_document_text(&kept, "notice_id");
    notice->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    notice->notice_class = (Yizhan__V1__NoticeClass)wk_document_enum(
        &kept, "notice_class", &yizhan__v1__notice_class__descriptor);
    notice->title = (char *)(uintptr_t)wk_document_text(&kept, "title");
    notice->body = (char *)(uintptr_t)wk_document_text(&kept, "body");
    notice->expires_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "expires_at"));
    notice->publisher = (char *)(uintptr_t)wk_document_text(&kept, "publisher");
    notice->published_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "publish_at"));
    notice->sequence = (uint64_t)wk_document_number(&kept, "sequence");
    return notice;
}

/* The listing's first `wanted` rows, fewer when the page is full before. */
static enum yz_err fill_list(struct yz_arena *arena, const struct listing *listing, size_t wanted,
                             Yizhan__V1__NoticeListReply *answer)
{
    size_t bytes = 0, i;

    answer->notices = yz_arena_alloc(arena, wanted * sizeof(Yizhan__V1__NoticePosted *));
    if (!answer->notices)
        return YZ_BUSY;
    for (i = 0; i < wanted && i < listing->count; i++) {
        bytes += wk_document_size(listing->rows[i]);
        if (i > 0 && bytes > WK_PAGE_MAX_BYTES)
            break;
        answer->notices[i] = read_notice(arena, listing->rows[i]);
        if (!answer->notices[i])
            return YZ_BUSY;
    }
    answer->n_notices = i;
    answer->next_before = i > 0 && i < listing->count ? listing->sequences[i - 1] : 0;
    return YZ_OK;
}

static enum yz_err answer_list(const struct wk_query *query, ProtobufCMessage **reply,
                               struct yz_violation *v)
{
    const Yizhan__V1__NoticeListRequest *request =
        (const Yizhan__V1__NoticeListRequest *)query->request;
    size_t wanted = request->limit ? request->limit : LIST_COUNT;
    Yizhan__V1__NoticeListReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct listing listing = {.now_ms = yz_clock_wall_ms()};
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__notice_list_reply__init(answer);
    wanted = wanted > LIST_MAX ? LIST_MAX : wanted;
    /* One more than wanted tells whether there is a next page. */
    listing.limit = wanted + 1;
    err = find_chain(query, request->before, &listing);
    if (!err)
        err = fill_list(query->arena, &listing, wanted, answer);
    for (size_t i = 0; i < listing.count; i++)
        bson_destroy(listing.rows[i]);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

/* A page of branches being read. */
struct receipts_page {
    const struct wk_query *query;
    Yizhan__V1__NoticeReceiptsReply__Branch **branches;
    size_t count, cap, bytes;
    uint32_t read;
    bool more, full;
};

static Yizhan__V1__NoticeReceiptsReply__Branch *read_branch(struct yz_arena *arena,
                                                            const bson_t *row)
{
    Yizhan__V1__NoticeReceiptsReply__Branch *branch = yz_arena_alloc(arena, sizeof *branch);
    bson_iter_t reader;
    size_t count = 0;
    bson_t kept;

    if (!branch || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__notice_receipts_reply__branch__init(branch);
    branch->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    if (!wk_document_array(&kept, "readers", &reader))
        return branch;
    while (bson_iter_next(&reader))
        count++;
    branch->read_by = yz_arena_alloc(arena, (count + 1) * sizeof(char *));
    if (!branch->read_by)
        return NULL;
    wk_document_array(&kept, "readers", &reader);
    while (bson_iter_next(&reader) && branch->n_read_by < count) {
        if (BSON_ITER_HOLDS_UTF8(&reader))
            branch->read_by[branch->n_read_by++] = (char *)(uintptr_t)bson_iter_utf8(&reader, NULL);
    }
    return branch;
}

static bool on_branch(void *arg, const bson_t *row)
{
    struct receipts_page *page = arg;
    Yizhan__V1__NoticeReceiptsReply__Branch *branch;

    if (page->count == page->cap ||
        (page->count > 0 && page->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        page->more = true;
        return false;
    }
    branch = read_branch(page->query->arena, row);
    if (!branch) {
        page->full = true;
        return false;
    }
    page->branches[page->count++] = branch;
    page->read += (uint32_t)branch->n_read_by;
    page->bytes += wk_document_size(row);
    return true;
}

/* The receipts of a notice stand side by side in the index on _id: "<tenant>|<notice>|<branch>". */
static enum yz_err find_branches(struct receipts_page *page,
                                 const Yizhan__V1__NoticeReceiptsRequest *request)
{
    char first[WK_ID_MAX], last[WK_ID_MAX];
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    wk_id(first, page->query->actor->tenant, request->notice_id, request->after, NULL);
    wk_id(last, page->query->actor->tenant, request->notice_id, NULL);
    snprintf(last + strlen(last), sizeof last - strlen(last), "%c", '|' + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "_id", 1);
    bson_append_document_end(&opts, &sort);
    err = wk_store_find(page->query->store, RECEIPTS, &filter, &opts, on_branch, page);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

/* The scope was checked against the org that the request names: it must be the notice's own. */
static enum yz_err check_notice(const struct wk_query *query,
                                const Yizhan__V1__NoticeReceiptsRequest *request,
                                struct yz_violation *v)
{
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    if (*request->after && !yz_org_path_valid(request->after))
        return yz_violate(v, YZ_INVALID_VALUE, "after", NULL);
    wk_id(id, query->actor->tenant, request->notice_id, NULL);
    err = wk_store_get(query->store, NOTICES, id, &row, &found);
    if (err)
        yz_violate(v, err, NULL, NULL);
    else if (!found || strcmp(wk_document_text(&row, "org_path"), request->org_path) != 0)
        err = yz_violate(v, YZ_NOT_FOUND, "noticeId", "This org has no such notice.");
    bson_destroy(&row);
    return err;
}

#define BRANCHES_MAX 1000

static enum yz_err answer_receipts(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__NoticeReceiptsRequest *request =
        (const Yizhan__V1__NoticeReceiptsRequest *)query->request;
    struct receipts_page page = {.query = query, .cap = BRANCHES_MAX};
    Yizhan__V1__NoticeReceiptsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err = check_notice(query, request, v);

    if (err)
        return err;
    page.branches = yz_arena_alloc(query->arena, page.cap * sizeof *page.branches);
    if (!answer || !page.branches)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = find_branches(&page, request);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__notice_receipts_reply__init(answer);
    answer->branches = page.branches;
    answer->n_branches = page.count;
    answer->read = page.read;
    if (page.more)
        answer->next_after = page.branches[page.count - 1]->org_path;
    *reply = &answer->base;
    return YZ_OK;
}

static const struct wk_event_handler events[] = {
    {"notice.published", needs_published, judge_published, apply_published},
    {"notice.read", needs_read, judge_read, apply_read},
    {0},
};

static const struct wk_query_handler queries[] = {
    {"notice.list", answer_list},
    {"notice.receipts", answer_receipts},
    {0},
};

static const struct wk_index notices_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"sequence\": -1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {NOTICES, notices_indexes},
    {RECEIPTS, NULL},
    {0},
};

const struct wk_domain wk_domain_notice = {"notice", events, queries, collections};
