/* Lists of meetings: an org's, and a member's own. */
#include "workers/domains/meeting.h"

#include "workers/query.h"
#include "workers/store.h"

#include <string.h>

#define LIST_COUNT 20
#define LIST_MAX   100
#define CURSOR_LEN (YZ_ORG_PATH_MAX + 96)
/* A meeting that goes on beyond the end that was announced is looked for so long. */
#define RUNS_ON_MS INT64_C(86400000)

/* A page being read. */
struct page {
    const struct wk_query *query;
    const char *cursor_field;
    Yizhan__V1__MeetingSummary *rows[LIST_MAX];
    const char *ids[LIST_MAX]; /* of meetings, in the order of a list of rosters */
    char *cursor;              /* of the last row of the page */
    size_t count, limit, bytes;
    bool more, full;
};

static Yizhan__V1__MeetingSummary *read_summary(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__MeetingSummary *summary = yz_arena_alloc(arena, sizeof *summary);
    bson_t kept;

    if (!summary || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__meeting_summary__init(summary);
    summary->meeting = wk_meeting_announced_new(arena, &kept);
    summary->state = wk_meeting_state(&kept);
    summary->present = (uint32_t)wk_document_number(&kept, "present_count");
    return summary->meeting ? summary : NULL;
}

/* The page is full before this row. */
static bool is_full(struct page *page, uint32_t size)
{
    if (page->count < page->limit &&
        (page->count == 0 || page->bytes + size <= WK_PAGE_MAX_BYTES)) {
        page->bytes += size;
        return false;
    }
    page->more = true;
    return true;
}

static bool note_cursor(struct page *page, const bson_t *row)
{
    if (!page->cursor)
        page->cursor = yz_arena_alloc(page->query->arena, CURSOR_LEN);
    page->full = !page->cursor;
    if (page->cursor)
        snprintf(page->cursor, CURSOR_LEN, "%s", wk_document_text(row, page->cursor_field));
    return page->cursor != NULL;
}

/* What a page shows of a meeting is a part of its document. */
static uint32_t shown_size(const bson_t *row)
{
    return (uint32_t)(256 + strlen(wk_document_text(row, "title")) +
                      strlen(wk_document_text(row, "place")) +
                      strlen(wk_document_text(row, "org_path")));
}

static bool on_listed(void *arg, const bson_t *row)
{
    struct page *page = arg;

    if (is_full(page, shown_size(row)) || !note_cursor(page, row))
        return false;
    page->rows[page->count] = read_summary(page->query->arena, row);
    page->full = !page->rows[page->count];
    page->count += !page->full;
    return !page->full;
}

/* Equality on all but the last field of the index, a range and the order on that. */
static enum yz_err find_page(struct page *page, const char *collection, bson_t *filter,
                             wk_row_fn *on_row, int order)
{
    bson_t *opts = BCON_NEW("sort", "{", page->cursor_field, BCON_INT32(order), "}", "limit",
                            BCON_INT64((int64_t)page->limit + 1));
    enum yz_err err = wk_store_find(page->query->store, collection, filter, opts, on_row, page);

    bson_destroy(opts);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

enum yz_err wk_meeting_answer_list(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__MeetingListRequest *request =
        (const Yizhan__V1__MeetingListRequest *)query->request;
    Yizhan__V1__MeetingListReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page *page = yz_arena_alloc(query->arena, sizeof *page);
    bson_t filter = BSON_INITIALIZER, range;
    enum yz_err err;

    if (!answer || !page)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    *page = (struct page){.query = query,
                          .cursor_field = "listed",
                          .limit = request->limit ? request->limit : LIST_COUNT};
    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", request->org_path);
    if (*request->before) {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "listed", &range);
        BSON_APPEND_UTF8(&range, "$lt", request->before);
        bson_append_document_end(&filter, &range);
    }
    err = find_page(page, WK_MEETINGS, &filter, on_listed, -1);
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__meeting_list_reply__init(answer);
    answer->meetings = page->rows;
    answer->n_meetings = page->count;
    if (page->more)
        answer->next_before = page->cursor;
    *reply = &answer->base;
    return YZ_OK;
}

/* Of a roster only whose it is: its members, up to thousands, are not asked for. */
static bool on_roster(void *arg, const bson_t *row)
{
    struct page *page = arg;
    const char *id = wk_document_text(row, "_id");
    char *kept;

    if (is_full(page, 1024) || !note_cursor(page, row))
        return false;
    kept = yz_arena_alloc(page->query->arena, strlen(id) + 1);
    page->full = !kept;
    if (!kept)
        return false;
    memcpy(kept, id, strlen(id) + 1);
    page->ids[page->count++] = kept;
    return true;
}

static enum yz_err find_rosters(struct page *page, const char *after)
{
    bson_t filter = BSON_INITIALIZER, range, *opts;
    char first[24];
    enum yz_err err;

    snprintf(first, sizeof first, "%015lld", (long long)(page->query->now_ms - RUNS_ON_MS));
    BSON_APPEND_UTF8(&filter, "tenant", page->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "members", page->query->actor->member);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "until", &range);
    BSON_APPEND_UTF8(&range, "$gt", *after ? after : first);
    bson_append_document_end(&filter, &range);
    opts = BCON_NEW("sort", "{", "until", BCON_INT32(1), "}", "limit",
                    BCON_INT64((int64_t)page->limit + 1), "projection", "{", "_id", BCON_INT32(1),
                    "until", BCON_INT32(1), "}");
    err = wk_store_find(page->query->store, WK_ROSTERS, &filter, opts, on_roster, page);
    bson_destroy(opts);
    bson_destroy(&filter);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

/* Rows come in no order: each goes to the place of its id. */
static bool on_mine(void *arg, const bson_t *row)
{
    struct page *page = arg;
    const char *id = wk_document_text(row, "_id");

    for (size_t i = 0; i < page->count; i++) {
        if (strcmp(page->ids[i], id) != 0)
            continue;
        page->rows[i] = read_summary(page->query->arena, row);
        page->full = page->full || !page->rows[i];
    }
    return true;
}

/* Open, or still to come. Those that are over before their time, or cancelled, are left out. */
static bool is_ahead(const struct wk_query *query, const Yizhan__V1__MeetingSummary *row)
{
    return row->state == YIZHAN__V1__MEETING_STATE__OPEN ||
           (row->state == YIZHAN__V1__MEETING_STATE__CONVENED &&
            wk_timestamp_ms(row->meeting->ends_at) > query->now_ms);
}

static void fill_mine(const struct page *page, Yizhan__V1__MeetingMineReply *answer)
{
    for (size_t i = 0; i < page->count; i++) {
        Yizhan__V1__MeetingSummary *row = page->rows[i];

        if (row && is_ahead(page->query, row))
            answer->meetings[answer->n_meetings++] = row;
    }
    if (page->more)
        answer->next_after = page->cursor;
}

enum yz_err wk_meeting_answer_mine(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__MeetingMineRequest *request =
        (const Yizhan__V1__MeetingMineRequest *)query->request;
    Yizhan__V1__MeetingMineReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page *page = yz_arena_alloc(query->arena, sizeof *page);
    enum yz_err err;

    if (!answer || !page)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    *page = (struct page){.query = query,
                          .cursor_field = "until",
                          .limit = request->limit ? request->limit : LIST_COUNT};
    yizhan__v1__meeting_mine_reply__init(answer);
    answer->meetings = yz_arena_alloc(query->arena, sizeof page->rows);
    if (!answer->meetings)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = find_rosters(page, request->after);
    if (!err && page->count > 0)
        err = wk_store_get_many(query->store, WK_MEETINGS, page->ids, page->count, on_mine, page);
    if (err || page->full)
        return yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    fill_mine(page, answer);
    *reply = &answer->base;
    return YZ_OK;
}
