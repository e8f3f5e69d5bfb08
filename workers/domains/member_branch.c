/* Rosters of branches (支部名册), and members who follow a branch that was moved. A roster is
 * written on the aggregate of its branch, by events that members' files owe it. */
#include "workers/document.h"
#include "workers/domains/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) YIZHAN__V1__MEMBER_FIELD__FIELD_##name
/* So many members of a moved branch are told by one event; the rest by one that it owes. */
#define FOLLOW_CHUNK 64
enum { ROW_LEFT = 0, ROW_JOINED = 1, ROW_ON = 0, ROW_FIRST = 1 };

static void branch_id(const struct wk_event *event, const char *org_path, char out[WK_ID_MAX])
{
    wk_branch_id(out, event->env->actor.tenant, org_path);
}

static const bson_t *get_branch(const struct wk_event *event, struct wk_fold *fold,
                                const char *org_path)
{
    char id[WK_ID_MAX];

    branch_id(event, org_path, id);
    return wk_get(fold, WK_BRANCHES, id);
}

/* An entry as it is written: what roster.h tells, and the file's revision that it is of. */
struct entry {
    const char *member, *kind, *roles;
    int64_t place, joined_ms, left_ms, revision;
};

static void append_entry(bson_t *list, size_t index, const struct entry *entry)
{
    char key[24];
    bson_t row;

    snprintf(key, sizeof key, "%zu", index);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &row);
    BSON_APPEND_UTF8(&row, "m", entry->member);
    BSON_APPEND_INT64(&row, "p", entry->place);
    BSON_APPEND_UTF8(&row, "k", entry->kind);
    BSON_APPEND_UTF8(&row, "r", entry->roles);
    BSON_APPEND_DATE_TIME(&row, "j", entry->joined_ms);
    if (entry->left_ms)
        BSON_APPEND_DATE_TIME(&row, "l", entry->left_ms);
    BSON_APPEND_INT64(&row, "v", entry->revision);
    bson_append_document_end(list, &row);
}

/* false: the array's element is none. */
static bool read_entry(bson_iter_t *iter, struct entry *entry)
{
    uint32_t len = 0;
    const uint8_t *data = NULL;
    bson_t row;

    if (!BSON_ITER_HOLDS_DOCUMENT(iter))
        return false;
    bson_iter_document(iter, &len, &data);
    if (!data || !bson_init_static(&row, data, len))
        return false;
    *entry = (struct entry){
        .member = wk_document_text(&row, "m"),
        .kind = wk_document_text(&row, "k"),
        .roles = wk_document_text(&row, "r"),
        .place = wk_document_number(&row, "p"),
        .joined_ms = wk_document_time_ms(&row, "j"),
        .left_ms = wk_document_time_ms(&row, "l"),
        .revision = wk_document_number(&row, "v"),
    };
    return true;
}

static struct entry entry_of(const Yizhan__V1__MemberPlaced *placed)
{
    return (struct entry){
        .member = placed->member_id,
        .kind = wk_document_enum_name(&yizhan__v1__member_kind__descriptor, (int)placed->kind),
        .roles = placed->roles,
        .joined_ms = wk_timestamp_ms(placed->at),
        .left_ms = placed->left ? wk_timestamp_ms(placed->at) : 0,
        .revision = (int64_t)placed->revision,
    };
}

/* What stands of the member, changed by the new entry: the place is kept, and the day of joining as
 * long as it has not left. */
static void merge(struct entry *kept, const struct entry *placed)
{
    bool rejoins = kept->left_ms && !placed->left_ms;
    int64_t place = kept->place;
    int64_t joined_ms = rejoins ? placed->joined_ms : kept->joined_ms;

    if (kept->left_ms && placed->left_ms) {
        kept->revision = placed->revision;
        return;
    }
    *kept = *placed;
    kept->place = place;
    kept->joined_ms = joined_ms;
}

static bson_t *begin_branch(const char *org_path, const char *moved_to, bson_t *list)
{
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "org_path", org_path);
    if (*moved_to)
        BSON_APPEND_UTF8(document, "moved_to", moved_to);
    BSON_APPEND_ARRAY_BEGIN(document, "members", list);
    return document;
}

static bson_t *end_branch(bson_t *document, bson_t *list, int64_t next_place)
{
    bson_append_array_end(document, list);
    BSON_APPEND_INT64(document, "next_place", next_place);
    return document;
}

/* The roster with the entry in it; NULL: it knows a later state of that file. */
static bson_t *placed_branch(const bson_t *branch, const Yizhan__V1__MemberPlaced *placed)
{
    int64_t next_place = branch ? wk_document_number(branch, "next_place") : 0;
    const char *moved_to = branch ? wk_document_text(branch, "moved_to") : "";
    struct entry new_entry = entry_of(placed), entry;
    bson_iter_t entries;
    bool there = false, moot = false;
    bson_t list, *document = begin_branch(placed->org_path, moved_to, &list);
    size_t count = 0;

    if (branch && wk_document_array(branch, "members", &entries)) {
        while (bson_iter_next(&entries)) {
            if (!read_entry(&entries, &entry))
                continue;
            if (strcmp(entry.member, placed->member_id) == 0) {
                there = true;
                moot = entry.revision > new_entry.revision;
                merge(&entry, &new_entry);
            }
            append_entry(&list, count++, &entry);
        }
    }
    moot = moot || (!there && placed->left);
    if (!there && !moot) {
        new_entry.place = next_place++;
        append_entry(&list, count, &new_entry);
    }
    document = end_branch(document, &list, next_place);
    if (!moot)
        return document;
    bson_destroy(document);
    return NULL;
}

void wk_member_needs_placed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    branch_id(event, ((const Yizhan__V1__MemberPlaced *)event->payload)->org_path, id);
    wk_need_own(needs, WK_BRANCHES, id);
}

enum yz_err wk_member_judge_placed(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const Yizhan__V1__MemberPlaced *placed = (const Yizhan__V1__MemberPlaced *)event->payload;
    const bson_t *branch = get_branch(event, fold, placed->org_path);
    struct wk_branch_member member;

    if (placed->left || wk_branch_find(branch, placed->member_id, &member) || !branch ||
        wk_document_number(branch, "next_place") < WK_BRANCH_PLACES_MAX)
        return YZ_OK;
    return yz_violate(v, YZ_TOO_MANY, "orgPath", "The branch has had as many members as it can.");
}

static void owe_follow(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                       const char *member, const char *from, const char *to)
{
    Yizhan__V1__MemberFollowed followed = YIZHAN__V1__MEMBER_FOLLOWED__INIT;

    followed.org_path = (char *)(uintptr_t)from;
    followed.member_id = (char *)(uintptr_t)member;
    followed.to = (char *)(uintptr_t)to;
    wk_later(fold, ordinal, event->received_at_ms, "member.followed", &followed.base);
}

/* Whoever comes late to a branch that was moved follows it. */
void wk_member_apply_placed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberPlaced *placed = (const Yizhan__V1__MemberPlaced *)event->payload;
    const bson_t *branch = get_branch(event, fold, placed->org_path);
    const char *moved_to = branch ? wk_document_text(branch, "moved_to") : "";
    char id[WK_ID_MAX];
    bson_t *changed;

    if (*moved_to && !placed->left)
        owe_follow(event, fold, ROW_ON, placed->member_id, placed->org_path, moved_to);
    changed = placed_branch(branch, placed);
    if (!changed)
        return;
    branch_id(event, placed->org_path, id);
    wk_put(fold, WK_BRANCHES, id, changed);
}

void wk_member_needs_branch_moved(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    branch_id(event, ((const Yizhan__V1__MemberBranchMoved *)event->payload)->org_path, id);
    wk_need_own(needs, WK_BRANCHES, id);
}

static bson_t *marked_branch(const bson_t *branch, const Yizhan__V1__MemberBranchMoved *moved)
{
    bson_iter_t entries;
    struct entry entry;
    bson_t list, *document = begin_branch(moved->org_path, moved->to, &list);
    size_t count = 0;

    if (branch && wk_document_array(branch, "members", &entries)) {
        while (bson_iter_next(&entries)) {
            if (read_entry(&entries, &entry))
                append_entry(&list, count++, &entry);
        }
    }
    return end_branch(document, &list, branch ? wk_document_number(branch, "next_place") : 0);
}

/* Some members of the branch, and one event for those behind them. */
static void owe_follows(const struct wk_event *event, struct wk_fold *fold, const bson_t *branch)
{
    const Yizhan__V1__MemberBranchMoved *moved =
        (const Yizhan__V1__MemberBranchMoved *)event->payload;
    Yizhan__V1__MemberBranchMoved rest = *moved;
    struct wk_branch_member member;
    struct wk_branch_walk walk;
    int count = 0;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) {
        if (member.place < moved->from_place || member.left_at_ms)
            continue;
        if (count == FOLLOW_CHUNK) {
            rest.from_place = member.place;
            wk_later(fold, ROW_ON, event->received_at_ms, "member.branch_moved", &rest.base);
            return;
        }
        /* By its place, which stays: a replay may find others gone. */
        owe_follow(event, fold, ROW_FIRST + (int)(member.place - moved->from_place), member.member,
                   moved->org_path, moved->to);
        count++;
    }
}

void wk_member_apply_branch_moved(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberBranchMoved *moved =
        (const Yizhan__V1__MemberBranchMoved *)event->payload;
    const bson_t *branch = get_branch(event, fold, moved->org_path);
    char id[WK_ID_MAX];

    if (*moved->to && branch)
        owe_follows(event, fold, branch);
    if (moved->from_place > 0 || (!branch && !*moved->to))
        return;
    branch_id(event, moved->org_path, id);
    wk_put(fold, WK_BRANCHES, id, marked_branch(branch, moved));
}

void wk_member_needs_followed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant,
                 ((const Yizhan__V1__MemberFollowed *)event->payload)->member_id);
    wk_need_own(needs, WK_MEMBERS, id);
}

static void push_followed(const struct wk_event *event, struct wk_fold *fold, int64_t revision)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    Yizhan__V1__MemberField field = FIELD(ORG);

    wk_member_push_change(event, fold, followed->member_id, (uint64_t)revision, &field, 1,
                          "the branch was moved");
}

/* The file in its branch's new place: a revision of its own. */
static bson_t *follow(const struct wk_event *event, struct wk_fold *fold, const bson_t *file)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    struct wk_member_patch patch = {
        .org_path = followed->to,
        .scope_from = followed->org_path,
        .scope_to = followed->to,
        .revision = wk_document_number(file, "revision") + 1,
        .at_ms = event->received_at_ms,
    };
    char id[WK_ID_MAX], revision[24];
    bson_t *changed =
        wk_member_patched(wk_fold_context(fold), event, followed->member_id, file, NULL, &patch);

    snprintf(revision, sizeof revision, "%" PRId64, patch.revision);
    wk_id(id, event->env->actor.tenant, followed->member_id, revision, NULL);
    wk_insert(
        fold, WK_MEMBER_CHANGES, id,
        wk_member_change(event, followed->member_id, file, changed, &patch, "the branch was moved"),
        YZ_STALE_REVISION);
    return changed;
}

/* What is owed to the rosters comes from where the file is in the end: in a replay it is there
 * already, and to say it again is harmless. */
void wk_member_apply_followed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    const bson_t *file;
    bson_t *changed = NULL;
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, followed->member_id);
    file = wk_get(fold, WK_MEMBERS, id);
    if (!file || strcmp(wk_document_text(file, "status"), "MEMBER_ACTIVE") != 0)
        return;
    if (strcmp(wk_document_text(file, "org_path"), followed->org_path) == 0)
        file = changed = follow(event, fold, file);
    wk_member_owe_placing(event, fold, ROW_LEFT, file, followed->org_path, true,
                          event->received_at_ms);
    if (strcmp(wk_document_text(file, "org_path"), followed->to) == 0) {
        wk_member_owe_placing(event, fold, ROW_JOINED, file, followed->to, false,
                              event->received_at_ms);
        push_followed(event, fold, wk_document_number(file, "revision"));
    }
    wk_member_owe_terms(event, fold, file);
    if (changed)
        wk_put(fold, WK_MEMBERS, id, changed);
}

void wk_member_needs_term_passed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant,
                 ((const Yizhan__V1__MemberTermPassed *)event->payload)->member_id);
    wk_need_own(needs, WK_MEMBERS, id);
}

/* A file that was changed since has owed its roster what holds now. */
void wk_member_apply_term_passed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberTermPassed *passed =
        (const Yizhan__V1__MemberTermPassed *)event->payload;
    const bson_t *file;
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, passed->member_id);
    file = wk_get(fold, WK_MEMBERS, id);
    if (!file || wk_document_number(file, "revision") != (int64_t)passed->revision)
        return;
    wk_member_owe_placing(event, fold, ROW_JOINED, file, wk_document_text(file, "org_path"), false,
                          wk_timestamp_ms(passed->at));
}
