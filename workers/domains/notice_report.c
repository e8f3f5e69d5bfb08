/* What became of a notice: receipts branch by branch, and who of a branch has not read. Both look
 * at the register of members, so that a branch that is silent is told as well. */
#include "workers/domains/notice.h"

#include "workers/document.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdlib.h>
#include <string.h>

#define BRANCHES_MAX 1000 /* of a page */
#define ROWS_AT_ONCE 250
#define MEMBERS_MAX  500 /* of a page */
/* So many orgs are looked at for a page, whether they are told or not: of few roles most are not.
 */
#define LOOK_MAX 2000

/* The notice, kept in the arena; only one that has to do with the org the scope was checked for. */
static enum yz_err get_notice(const struct wk_query *query, const char *notice_id,
                              const char *org_path, bool below_too, bson_t *notice,
                              struct yz_violation *v)
{
    bool found, meets = false;
    char id[WK_ID_MAX];
    bson_iter_t paths;
    bson_t row;
    enum yz_err err;

    wk_notice_id(query->actor, notice_id, id);
    err = wk_store_get(query->store, WK_NOTICES, id, &row, &found);
    if (!err && found) {
        meets = wk_notice_covering(&row, org_path);
        if (below_too && wk_document_array(&row, "org_paths", &paths)) {
            while (!meets && bson_iter_next(&paths))
                meets = yz_org_covers(org_path, bson_iter_utf8(&paths, NULL));
        }
    }
    if (!err && !meets)
        err = yz_violate(v, YZ_NOT_FOUND, "noticeId", "This org has no such notice.");
    else if (err || !wk_document_keep(query->arena, &row, notice))
        err = yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    bson_destroy(&row);
    return err;
}

/* Documents of one collection whose ids are `prefix` and an org path, for the orgs from a root
 * down: the root's, then those below in the order of their paths. */
struct strip {
    bson_t *rows[ROWS_AT_ONCE];
    size_t count, at;
    bool more;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct strip *strip = arg;

    if (strip->count == ROWS_AT_ONCE) {
        strip->more = true;
        return false;
    }
    strip->rows[strip->count++] = bson_copy(row);
    return true;
}

static void drop_strip(struct strip *strip)
{
    while (strip->count > 0)
        bson_destroy(strip->rows[--strip->count]);
    strip->at = 0;
    strip->more = false;
}

static enum yz_err find_below(const struct wk_query *query, const char *collection,
                              const char *first, const char *last, struct strip *strip)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, sort;
    enum yz_err err;

    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "_id", 1);
    bson_append_document_end(&opts, &sort);
    BSON_APPEND_INT64(&opts, "limit", ROWS_AT_ONCE + 1);
    err = wk_store_find(query->store, collection, &filter, &opts, on_row, strip);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

/* after: the last org that was told, "": from the root. */
static enum yz_err fetch(const struct wk_query *query, const char *collection, const char *prefix,
                         const char *root, const char *after, struct strip *strip)
{
    bool deeper = *after && strcmp(after, root) != 0;
    char first[WK_ID_MAX], last[WK_ID_MAX];
    enum yz_err err = YZ_OK;
    bool found;
    bson_t row;

    drop_strip(strip);
    snprintf(first, sizeof first, "%s%s", prefix, root);
    if (!*after) {
        err = wk_store_get(query->store, collection, first, &row, &found);
        if (!err && found)
            on_row(strip, &row);
        bson_destroy(&row);
    }
    snprintf(first, sizeof first, "%s%s%s", prefix, deeper ? after : root, deeper ? "" : "/");
    snprintf(last, sizeof last, "%s%s%c", prefix, root, '/' + 1);
    return err ? err : find_below(query, collection, first, last, strip);
}

/* A page of branches being made. */
struct page {
    const struct wk_query *query;
    const bson_t *notice;
    Yizhan__V1__NoticeReceiptsReply *answer;
    bool with_names, full;
    size_t bytes, looked;
    struct strip branches, receipts;
};

static char *keep_text(struct yz_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = yz_arena_alloc(arena, size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

static bool has_read(const bson_t *receipts, const struct wk_branch_member *member)
{
    return wk_receipts_has(receipts, WK_READ, member->member, member);
}

/* Who has read, of those whom `read` counts. */
static enum yz_err read_names(const struct page *page, const bson_t *branch, const bson_t *receipts,
                              Yizhan__V1__NoticeReceiptsReply__Branch *out)
{
    struct yz_arena *arena = page->query->arena;
    struct wk_branch_member member;
    struct wk_other_receipt other;
    struct wk_branch_walk walk;

    out->read_by = yz_arena_alloc(arena, (out->read + 1) * sizeof(char *));
    if (!out->read_by)
        return YZ_BUSY;
    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (out->n_read_by < out->read && !member.left_at_ms && has_read(receipts, &member) &&
            wk_notice_addresses_listed(page->notice, &member) &&
            !(out->read_by[out->n_read_by++] = keep_text(arena, member.member)))
            return YZ_BUSY;
    }
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) {
        if (out->n_read_by < out->read && other.read &&
            !wk_branch_find(branch, other.member, &member) &&
            !(out->read_by[out->n_read_by++] = keep_text(arena, other.member)))
            return YZ_BUSY;
    }
    return YZ_OK;
}

static size_t size_of(const Yizhan__V1__NoticeReceiptsReply__Branch *branch)
{
    size_t bytes = strlen(branch->org_path) + 40;

    for (size_t i = 0; i < branch->n_read_by; i++)
        bytes += strlen(branch->read_by[i]) + 4;
    return bytes;
}

/* branch or receipts may be NULL, not both. */
static enum yz_err add_branch(struct page *page, const char *org_path, const bson_t *branch,
                              const bson_t *receipts)
{
    struct wk_receipt_counts counts = wk_receipts_count(page->notice, branch, receipts);
    Yizhan__V1__NoticeReceiptsReply *answer = page->answer;
    Yizhan__V1__NoticeReceiptsReply__Branch *out;
    size_t bytes;

    if (counts.should == 0)
        return YZ_OK;
    out = yz_arena_alloc(page->query->arena, sizeof *out);
    if (!out)
        return YZ_BUSY;
    yizhan__v1__notice_receipts_reply__branch__init(out);
    out->org_path = keep_text(page->query->arena, org_path);
    out->should = counts.should;
    if (wk_notice_state(page->notice) != YIZHAN__V1__NOTICE_STATE__NOTICE_PENDING)
        out->stored = counts.should;
    out->delivered = counts.done[WK_DELIVERED];
    out->read = counts.done[WK_READ];
    out->confirmed = counts.done[WK_CONFIRMED];
    if (!out->org_path || (page->with_names && read_names(page, branch, receipts, out)))
        return YZ_BUSY;
    bytes = size_of(out);
    page->full = answer->n_branches == BRANCHES_MAX ||
                 (answer->n_branches > 0 && page->bytes + bytes > WK_PAGE_MAX_BYTES);
    if (page->full) {
        answer->next_after = answer->branches[answer->n_branches - 1]->org_path;
        return YZ_OK;
    }
    page->bytes += bytes;
    answer->branches[answer->n_branches++] = out;
    answer->should += out->should;
    answer->stored += out->stored;
    answer->delivered += out->delivered;
    answer->read += out->read;
    answer->confirmed += out->confirmed;
    return YZ_OK;
}

/* The next page goes on behind this org, which was looked at. */
static enum yz_err stop_behind(struct page *page, const char *org_path)
{
    page->full = true;
    page->answer->next_after = keep_text(page->query->arena, org_path);
    return page->answer->next_after ? YZ_OK : YZ_BUSY;
}

static const bson_t *head(const struct strip *strip, const char **path)
{
    const bson_t *row = strip->at < strip->count ? strip->rows[strip->at] : NULL;

    *path = row ? wk_document_text(row, "org_path") : NULL;
    return row;
}

/* The two strips side by side, up to where one of them has to be fetched anew. last: the org that
 * was told last. */
static enum yz_err merge(struct page *page, char last[YZ_ORG_PATH_MAX])
{
    for (;;) {
        const char *branch_path, *receipts_path;
        const bson_t *branch = head(&page->branches, &branch_path);
        const bson_t *receipts = head(&page->receipts, &receipts_path);
        int order = !branch ? 1 : !receipts ? -1 : strcmp(branch_path, receipts_path);
        enum yz_err err;

        if ((!branch && (!receipts || page->branches.more)) || (!receipts && page->receipts.more))
            return YZ_OK;
        snprintf(last, YZ_ORG_PATH_MAX, "%s", order <= 0 ? branch_path : receipts_path);
        err = add_branch(page, last, order <= 0 ? branch : NULL, order >= 0 ? receipts : NULL);
        if (err || page->full)
            return err;
        page->branches.at += order <= 0;
        page->receipts.at += order >= 0;
        if (++page->looked == LOOK_MAX)
            return stop_behind(page, last);
    }
}

static enum yz_err tell_root(struct page *page, const char *notice_id, const char *root,
                             const char *after)
{
    const char *tenant = page->query->actor->tenant;
    char of_branches[WK_ID_MAX], of_receipts[WK_ID_MAX], last[YZ_ORG_PATH_MAX];
    enum yz_err err;

    wk_id(of_branches, tenant, "", NULL);
    wk_id(of_receipts, tenant, notice_id, "", NULL);
    snprintf(last, sizeof last, "%s", after);
    do {
        err = fetch(page->query, WK_BRANCHES, of_branches, root, last, &page->branches);
        if (!err)
            err = fetch(page->query, WK_NOTICE_RECEIPTS, of_receipts, root, last, &page->receipts);
        if (!err)
            err = merge(page, last);
    } while (!err && !page->full && (page->branches.more || page->receipts.more));
    return err;
}

/* The orgs from which down the notice is to be told: where its audience and the request meet. */
static const char *meeting_point(const char *addressed, const char *asked)
{
    if (yz_org_covers(asked, addressed))
        return addressed;
    return yz_org_covers(addressed, asked) ? asked : NULL;
}

static enum yz_err tell_all(struct page *page, const Yizhan__V1__NoticeReceiptsRequest *request)
{
    bool begun = !*request->after;
    bson_iter_t paths;
    enum yz_err err = YZ_OK;

    if (!wk_document_array(page->notice, "org_paths", &paths))
        return YZ_OK;
    while (!err && !page->full && bson_iter_next(&paths)) {
        const char *root = meeting_point(bson_iter_utf8(&paths, NULL), request->org_path);
        bool here = root && !begun && yz_org_covers(root, request->after);

        if (!root || (!begun && !here))
            continue;
        err = tell_root(page, request->notice_id, root, here ? request->after : "");
        begun = true;
    }
    return err;
}

enum yz_err wk_notice_report(const struct wk_query *query, ProtobufCMessage **reply,
                             struct yz_violation *v)
{
    const Yizhan__V1__NoticeReceiptsRequest *request =
        (const Yizhan__V1__NoticeReceiptsRequest *)query->request;
    Yizhan__V1__NoticeReceiptsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct page *page;
    bson_t notice;
    enum yz_err err;

    if (*request->after && !yz_org_path_valid(request->after))
        return yz_violate(v, YZ_INVALID_VALUE, "after", NULL);
    err = get_notice(query, request->notice_id, request->org_path, true, &notice, v);
    if (err)
        return err;
    page = calloc(1, sizeof *page);
    if (answer) {
        yizhan__v1__notice_receipts_reply__init(answer);
        answer->branches = yz_arena_alloc(query->arena, BRANCHES_MAX * sizeof(void *));
    }
    if (page && answer && answer->branches) {
        page->query = query;
        page->notice = &notice;
        page->answer = answer;
        page->with_names = !request->without_names;
        err = tell_all(page, request);
        drop_strip(&page->branches);
        drop_strip(&page->receipts);
    } else {
        err = YZ_BUSY;
    }
    free(page);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

/* who has not read */

/* A document of one branch, kept in the arena; *found false: there is none. */
static enum yz_err get_kept(const struct wk_query *query, const char *collection, const char *id,
                            bson_t *kept, bool *found)
{
    bson_t row;
    enum yz_err err = wk_store_get(query->store, collection, id, &row, found);

    if (!err && *found && !wk_document_keep(query->arena, &row, kept))
        err = YZ_BUSY;
    bson_destroy(&row);
    return err;
}

struct unread_member {
    const char *member;
    bool delivered;
};

/* Behind `after`, in no order yet. */
struct unread {
    const char *after; /* a member; "": from the first */
    struct unread_member *members;
    size_t count;
};

static void add_unread(struct unread *unread, const char *member, bool delivered)
{
    if (strcmp(member, unread->after) > 0)
        unread->members[unread->count++] = (struct unread_member){member, delivered};
}

static size_t count_of(const bson_t *branch, const bson_t *receipts)
{
    struct wk_branch_member member;
    struct wk_other_receipt other;
    struct wk_branch_walk walk;
    size_t count = 0;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);)
        count++;
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);)
        count++;
    return count;
}

static void find_unread(struct unread *unread, const bson_t *notice, const bson_t *branch,
                        const bson_t *receipts)
{
    struct wk_branch_member member;
    struct wk_other_receipt other;
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (!member.left_at_ms && !has_read(receipts, &member) &&
            wk_notice_addresses_listed(notice, &member))
            add_unread(unread, member.member,
                       wk_receipts_has(receipts, WK_DELIVERED, member.member, &member));
    }
    for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) {
        if (!other.read && !wk_branch_find(branch, other.member, &member))
            add_unread(unread, other.member, true);
    }
}

static int by_member(const void *a, const void *b)
{
    return strcmp(((const struct unread_member *)a)->member,
                  ((const struct unread_member *)b)->member);
}

/* The cursor is "m" and the member told last: who joins, leaves, reads or gets a place between two
 * pages moves none of the others. */
static bool is_cursor(const char *after)
{
    return !*after || (*after == 'm' && yz_id_valid(after + 1));
}

static enum yz_err tell_unread(struct yz_arena *arena, const struct unread *unread,
                               Yizhan__V1__NoticeUnreadMembersReply *answer)
{
    size_t count = unread->count < MEMBERS_MAX ? unread->count : MEMBERS_MAX;

    answer->members = yz_arena_alloc(arena, MEMBERS_MAX * sizeof(void *));
    if (!answer->members)
        return YZ_BUSY;
    for (size_t i = 0; i < count; i++) {
        Yizhan__V1__NoticeUnreadMembersReply__Member *member =
            yz_arena_alloc(arena, sizeof *member);

        if (!member)
            return YZ_BUSY;
        yizhan__v1__notice_unread_members_reply__member__init(member);
        member->member = (char *)(uintptr_t)unread->members[i].member;
        member->delivered = unread->members[i].delivered;
        answer->members[answer->n_members++] = member;
    }
    if (count == unread->count)
        return YZ_OK;
    answer->next_after = yz_arena_alloc(arena, YZ_ID_MAX + 1);
    if (!answer->next_after)
        return YZ_BUSY;
    snprintf(answer->next_after, YZ_ID_MAX + 1, "m%s", unread->members[count - 1].member);
    return YZ_OK;
}

enum yz_err wk_notice_unread_members(const struct wk_query *query, ProtobufCMessage **reply,
                                     struct yz_violation *v)
{
    const Yizhan__V1__NoticeUnreadMembersRequest *request =
        (const Yizhan__V1__NoticeUnreadMembersRequest *)query->request;
    Yizhan__V1__NoticeUnreadMembersReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct unread unread = {.after = *request->after ? request->after + 1 : ""};
    bson_t notice, branch_row, receipts_row;
    const bson_t *branch, *receipts;
    bool has_branch = false, has_receipts = false;
    struct wk_receipt_counts counts;
    char id[WK_ID_MAX];
    enum yz_err err;

    if (!is_cursor(request->after))
        return yz_violate(v, YZ_INVALID_VALUE, "after", NULL);
    err = get_notice(query, request->notice_id, request->org_path, false, &notice, v);
    if (err)
        return err;
    wk_branch_id(id, query->actor->tenant, request->org_path);
    err = get_kept(query, WK_BRANCHES, id, &branch_row, &has_branch);
    wk_receipts_id(query->actor->tenant, request->notice_id, request->org_path, id);
    if (!err)
        err = get_kept(query, WK_NOTICE_RECEIPTS, id, &receipts_row, &has_receipts);
    if (err || !answer)
        return yz_violate(v, err ? err : YZ_BUSY, NULL, NULL);
    branch = has_branch ? &branch_row : NULL;
    receipts = has_receipts ? &receipts_row : NULL;
    unread.members = calloc(count_of(branch, receipts) + 1, sizeof *unread.members);
    if (!unread.members)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__notice_unread_members_reply__init(answer);
    counts = wk_receipts_count(&notice, branch, receipts);
    answer->should = counts.should;
    answer->read = counts.done[WK_READ];
    find_unread(&unread, &notice, branch, receipts);
    qsort(unread.members, unread.count, sizeof *unread.members, by_member);
    err = tell_unread(query->arena, &unread, answer);
    free(unread.members);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}
