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
/* So many of those whose roles over an org ended last are remembered with it. */
#define ENDED_KEPT 64
enum {
    ROW_LEFT = 0,
    ROW_JOINED = 1,
    ROW_ON = 0,
    ROW_FIRST = 1,
    ROW_HOLDERS = ROW_FIRST + WK_BRANCH_PLACES_MAX,
};

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
    bson_t row;

    if (!wk_document_at(iter, &row))
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
                       const char *member, const Yizhan__V1__MemberBranchMoved *moved)
{
    Yizhan__V1__MemberFollowed followed = YIZHAN__V1__MEMBER_FOLLOWED__INIT;

    followed.org_path = moved->org_path;
    followed.member_id = (char *)(uintptr_t)member;
    followed.to = moved->to;
    followed.scopes_only = moved->holders;
    wk_later(fold, ordinal, event->received_at_ms, "member.followed", &followed.base);
}

/* Whoever comes late to a branch that was moved follows it. */
static void owe_late_follow(const struct wk_event *event, struct wk_fold *fold,
                            const bson_t *branch, const char *member, bool holder)
{
    Yizhan__V1__MemberBranchMoved moved = YIZHAN__V1__MEMBER_BRANCH_MOVED__INIT;

    if (!branch || !*wk_document_text(branch, "moved_to"))
        return;
    moved.org_path = (char *)(uintptr_t)wk_document_text(branch, "org_path");
    moved.to = (char *)(uintptr_t)wk_document_text(branch, "moved_to");
    moved.holders = holder;
    owe_follow(event, fold, ROW_ON, member, &moved);
}

void wk_member_apply_placed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberPlaced *placed = (const Yizhan__V1__MemberPlaced *)event->payload;
    const bson_t *branch = get_branch(event, fold, placed->org_path);
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!placed->left)
        owe_late_follow(event, fold, branch, placed->member_id, false);
    changed = placed_branch(branch, placed);
    if (!changed)
        return;
    branch_id(event, placed->org_path, id);
    wk_put(fold, WK_BRANCHES, id, changed);
}

/* One who has a role over the org. */
struct holder {
    const char *member, *roles;
    int64_t place, revision;
};

static bool next_holder(bson_iter_t *entries, struct holder *holder)
{
    bson_iter_t fields;

    while (bson_iter_next(entries)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(entries) || !bson_iter_recurse(entries, &fields))
            continue;
        *holder = (struct holder){.member = "", .roles = ""};
        while (bson_iter_next(&fields)) {
            const char *key = bson_iter_key(&fields);

            if (strcmp(key, "m") == 0 && BSON_ITER_HOLDS_UTF8(&fields))
                holder->member = bson_iter_utf8(&fields, NULL);
            else if (strcmp(key, "r") == 0 && BSON_ITER_HOLDS_UTF8(&fields))
                holder->roles = bson_iter_utf8(&fields, NULL);
            else if (strcmp(key, "p") == 0)
                holder->place = bson_iter_as_int64(&fields);
            else if (strcmp(key, "v") == 0)
                holder->revision = bson_iter_as_int64(&fields);
        }
        return true;
    }
    return false;
}

static void append_holder(bson_t *list, size_t index, const struct holder *holder)
{
    char key[24];
    bson_t row;

    snprintf(key, sizeof key, "%zu", index);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &row);
    BSON_APPEND_UTF8(&row, "m", holder->member);
    BSON_APPEND_UTF8(&row, "r", holder->roles);
    BSON_APPEND_INT64(&row, "p", holder->place);
    BSON_APPEND_INT64(&row, "v", holder->revision);
    bson_append_document_end(list, &row);
}

/* The one of this member; *count: how many there are. */
static bool find_holder(const bson_t *holders, const char *member, struct holder *out,
                        size_t *count)
{
    struct holder holder;
    bson_iter_t entries;
    bool found = false;

    *count = 0;
    if (!holders || !wk_document_array(holders, "holders", &entries))
        return false;
    while (next_holder(&entries, &holder)) {
        (*count)++;
        if (strcmp(holder.member, member) != 0)
            continue;
        *out = holder;
        found = true;
    }
    return found;
}

/* The revision that ended the roles of one who is no holder, as far as it is remembered; -1. */
static int64_t ended_at(const bson_t *holders, const char *member)
{
    struct holder holder;
    bson_iter_t entries;
    int64_t revision = -1;

    if (!holders || !wk_document_array(holders, "ended", &entries))
        return -1;
    while (next_holder(&entries, &holder)) {
        if (strcmp(holder.member, member) == 0)
            revision = holder.revision;
    }
    return revision;
}

static void append_ended(bson_t *list, size_t index, const char *member, int64_t revision)
{
    char key[24];
    bson_t row;

    snprintf(key, sizeof key, "%zu", index);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &row);
    BSON_APPEND_UTF8(&row, "m", member);
    BSON_APPEND_INT64(&row, "v", revision);
    bson_append_document_end(list, &row);
}

/* Who was told to have ended last: of an older file, told late, it would be a holder again. */
static void append_all_ended(bson_t *document, const bson_t *holders,
                             const Yizhan__V1__MemberRoleHeld *held)
{
    size_t room = held->ended ? ENDED_KEPT - 1 : ENDED_KEPT, others = 0, skip, count = 0;
    struct holder holder;
    bson_iter_t entries;
    bson_t list;

    if (holders && wk_document_array(holders, "ended", &entries)) {
        while (next_holder(&entries, &holder))
            others += strcmp(holder.member, held->member_id) != 0;
    }
    skip = others > room ? others - room : 0;
    BSON_APPEND_ARRAY_BEGIN(document, "ended", &list);
    if (others > 0 && wk_document_array(holders, "ended", &entries)) {
        while (next_holder(&entries, &holder)) {
            if (strcmp(holder.member, held->member_id) == 0)
                continue;
            if (skip > 0)
                skip--;
            else
                append_ended(&list, count++, holder.member, holder.revision);
        }
    }
    if (held->ended)
        append_ended(&list, count, held->member_id, (int64_t)held->revision);
    bson_append_array_end(document, &list);
}

/* The list with the holder in it, in the order of places, or without; a place is not given again.
 */
static bson_t *with_holder(const bson_t *holders, const Yizhan__V1__MemberRoleHeld *held)
{
    int64_t next_place = holders ? wk_document_number(holders, "next_place") : 0;
    struct holder holder,
        mine = {held->member_id, held->roles, next_place, (int64_t)held->revision};
    bson_t list, *document = bson_new();
    bson_iter_t entries;
    bool there = false;
    size_t count = 0;

    BSON_APPEND_UTF8(document, "org_path", held->org_path);
    BSON_APPEND_ARRAY_BEGIN(document, "holders", &list);
    if (holders && wk_document_array(holders, "holders", &entries)) {
        while (next_holder(&entries, &holder)) {
            bool his = strcmp(holder.member, held->member_id) == 0;

            there = there || his;
            if (his) {
                holder.roles = mine.roles;
                holder.revision = mine.revision;
            }
            if (!his || !held->ended)
                append_holder(&list, count++, &holder);
        }
    }
    if (!there && !held->ended) {
        append_holder(&list, count, &mine);
        next_place++;
    }
    bson_append_array_end(document, &list);
    append_all_ended(document, holders, held);
    BSON_APPEND_INT64(document, "next_place", next_place);
    return document;
}

static const bson_t *get_holders(const struct wk_event *event, struct wk_fold *fold,
                                 const char *org_path)
{
    char id[WK_ID_MAX];

    branch_id(event, org_path, id);
    return wk_get(fold, WK_ROLE_HOLDERS, id);
}

static void need_branch_and_holders(const struct wk_event *event, struct wk_needs *needs,
                                    const char *org_path)
{
    char id[WK_ID_MAX];

    branch_id(event, org_path, id);
    wk_need_own(needs, WK_BRANCHES, id);
    wk_need_own(needs, WK_ROLE_HOLDERS, id);
}

void wk_member_needs_role_held(const struct wk_event *event, struct wk_needs *needs)
{
    need_branch_and_holders(event, needs,
                            ((const Yizhan__V1__MemberRoleHeld *)event->payload)->org_path);
}

enum yz_err wk_member_judge_role_held(const struct wk_event *event, struct wk_fold *fold,
                                      struct yz_violation *v)
{
    const Yizhan__V1__MemberRoleHeld *held = (const Yizhan__V1__MemberRoleHeld *)event->payload;
    struct holder holder;
    size_t count;

    if (held->ended ||
        find_holder(get_holders(event, fold, held->org_path), held->member_id, &holder, &count) ||
        count < WK_BRANCH_PLACES_MAX)
        return YZ_OK;
    return yz_violate(v, YZ_TOO_MANY, "orgPath", "Too many members have a role over it.");
}

void wk_member_apply_role_held(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberRoleHeld *held = (const Yizhan__V1__MemberRoleHeld *)event->payload;
    const bson_t *holders = get_holders(event, fold, held->org_path);
    struct holder holder;
    char id[WK_ID_MAX];
    size_t count;
    bool there = find_holder(holders, held->member_id, &holder, &count);

    if (!held->ended)
        owe_late_follow(event, fold, get_branch(event, fold, held->org_path), held->member_id,
                        true);
    /* As it is, or of a later state of that file. */
    if (there ? holder.revision > (int64_t)held->revision
              : ended_at(holders, held->member_id) >= (int64_t)held->revision)
        return;
    branch_id(event, held->org_path, id);
    wk_put(fold, WK_ROLE_HOLDERS, id, with_holder(holders, held));
}

void wk_member_needs_branch_moved(const struct wk_event *event, struct wk_needs *needs)
{
    need_branch_and_holders(event, needs,
                            ((const Yizhan__V1__MemberBranchMoved *)event->payload)->org_path);
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
                   moved);
        count++;
    }
}

/* Some of those who have a role over the branch and do not belong to it: who does takes the scopes
 * along. */
static void owe_holders(const struct wk_event *event, struct wk_fold *fold, const bson_t *branch)
{
    const Yizhan__V1__MemberBranchMoved *moved =
        (const Yizhan__V1__MemberBranchMoved *)event->payload;
    const bson_t *holders = get_holders(event, fold, moved->org_path);
    Yizhan__V1__MemberBranchMoved rest = *moved;
    struct wk_branch_member member;
    struct holder holder;
    bson_iter_t entries;
    int count = 0;

    if (!holders || !wk_document_array(holders, "holders", &entries))
        return;
    while (next_holder(&entries, &holder)) {
        if (holder.place < moved->from_place)
            continue;
        if (count++ == FOLLOW_CHUNK) {
            rest.from_place = (uint32_t)holder.place;
            wk_later(fold, ROW_ON, event->received_at_ms, "member.branch_moved", &rest.base);
            return;
        }
        if (!wk_branch_find(branch, holder.member, &member) || member.left_at_ms)
            owe_follow(event, fold, ROW_FIRST + (int)(holder.place - moved->from_place),
                       holder.member, moved);
    }
}

/* They are told by events of their own, besides those of the members. */
static void owe_all_holders(const struct wk_event *event, struct wk_fold *fold)
{
    Yizhan__V1__MemberBranchMoved all = *(const Yizhan__V1__MemberBranchMoved *)event->payload;

    if (!get_holders(event, fold, all.org_path))
        return;
    all.holders = true;
    wk_later(fold, ROW_HOLDERS, event->received_at_ms, "member.branch_moved", &all.base);
}

void wk_member_apply_branch_moved(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberBranchMoved *moved =
        (const Yizhan__V1__MemberBranchMoved *)event->payload;
    const bson_t *branch = get_branch(event, fold, moved->org_path);
    char id[WK_ID_MAX];

    if (moved->holders) {
        if (*moved->to)
            owe_holders(event, fold, branch);
        return;
    }
    if (*moved->to && branch)
        owe_follows(event, fold, branch);
    if (moved->from_place > 0 || (!branch && !*moved->to))
        return;
    if (*moved->to)
        owe_all_holders(event, fold);
    branch_id(event, moved->org_path, id);
    wk_put(fold, WK_BRANCHES, id, marked_branch(branch, moved));
}

/* Its entry of the history goes by the event: what revision it makes, only the file tells, and in a
 * replay not even that one. */
static void follow_change_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    char by[32];

    snprintf(by, sizeof by, "by-%" PRIu64, event->sequence);
    wk_id(out, event->env->actor.tenant,
          ((const Yizhan__V1__MemberFollowed *)event->payload)->member_id, by, NULL);
}

void wk_member_needs_followed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant,
                 ((const Yizhan__V1__MemberFollowed *)event->payload)->member_id);
    wk_need_own(needs, WK_MEMBERS, id);
    follow_change_id(event, id);
    wk_need(needs, WK_MEMBER_CHANGES, id);
}

static void push_followed(const struct wk_event *event, struct wk_fold *fold, int64_t revision)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    Yizhan__V1__MemberField field = followed->scopes_only ? FIELD(ROLES) : FIELD(ORG);

    wk_member_push_change(event, fold, followed->member_id, (uint64_t)revision, &field, 1,
                          "the branch was moved");
}

/* The file in its branch's new place, or its roles in the new place of what they are over: a
 * revision of its own. */
static bson_t *follow(const struct wk_event *event, struct wk_fold *fold, const bson_t *file)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    struct wk_member_patch patch = {
        .org_path = followed->scopes_only ? NULL : followed->to,
        .scope_from = followed->org_path,
        .scope_to = followed->to,
        .revision = wk_document_number(file, "revision") + 1,
        .at_ms = event->received_at_ms,
    };
    char id[WK_ID_MAX];
    bson_t *changed =
        wk_member_patched(wk_fold_context(fold), event, followed->member_id, file, NULL, &patch);

    follow_change_id(event, id);
    wk_insert(
        fold, WK_MEMBER_CHANGES, id,
        wk_member_change(event, followed->member_id, file, changed, &patch, "the branch was moved"),
        YZ_STALE_REVISION, "memberId");
    return changed;
}

static bool has_role_in(const bson_t *file, const char *org_path)
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = wk_member_terms(file, terms);

    for (size_t i = 0; i < count; i++) {
        if (yz_org_covers(org_path, terms[i].scope))
            return true;
    }
    return false;
}

static bool is_active(const bson_t *file)
{
    return strcmp(wk_document_text(file, "status"), "MEMBER_ACTIVE") == 0;
}

/* change: that this very event made (a replay), and perhaps not yet the file. */
static bool is_to_follow(const Yizhan__V1__MemberFollowed *followed, const bson_t *file,
                         const bson_t *change)
{
    if (change)
        return wk_document_number(file, "revision") < wk_document_number(change, "revision");
    if (followed->scopes_only)
        return has_role_in(file, followed->org_path);
    return strcmp(wk_document_text(file, "org_path"), followed->org_path) == 0;
}

/* What the rosters are owed comes from where the file is in the end: in a replay that may be the
 * work of events behind this one, and to say it again is harmless. Of a file that they brought back
 * it is not said that it has left. */
static void owe_rosters(const struct wk_event *event, struct wk_fold *fold, const bson_t *file)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    const char *org_path = wk_document_text(file, "org_path");

    if (!followed->scopes_only && strcmp(org_path, followed->org_path) != 0)
        wk_member_owe_placing(event, fold, ROW_LEFT, file, followed->org_path, true,
                              event->received_at_ms);
    if (!is_active(file))
        return;
    /* The branch stays; what roles it has over its own branch may be others now. */
    if (followed->scopes_only || strcmp(org_path, followed->to) == 0)
        wk_member_owe_placing(event, fold, ROW_JOINED, file, org_path, false,
                              event->received_at_ms);
    wk_member_owe_terms(event, fold, file);
}

void wk_member_apply_followed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberFollowed *followed = (const Yizhan__V1__MemberFollowed *)event->payload;
    const bson_t *file, *change;
    char id[WK_ID_MAX], of_change[WK_ID_MAX];
    bson_t *changed = NULL;

    wk_member_id(id, event->env->actor.tenant, followed->member_id);
    follow_change_id(event, of_change);
    file = wk_get(fold, WK_MEMBERS, id);
    change = wk_get(fold, WK_MEMBER_CHANGES, of_change);
    if (!file || (!change && !is_active(file)))
        return;
    if (is_to_follow(followed, file, change)) {
        file = changed = follow(event, fold, file);
        change = wk_get(fold, WK_MEMBER_CHANGES, of_change);
    }
    if (!change && followed->scopes_only)
        return;
    owe_rosters(event, fold, file);
    wk_member_owe_scopes(event, fold, change, file, event->received_at_ms);
    if (change || strcmp(wk_document_text(file, "org_path"), followed->to) == 0)
        push_followed(event, fold, wk_document_number(change ? change : file, "revision"));
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

/* A file that was changed since has owed its roster and the orgs of its roles what holds now. */
void wk_member_apply_term_passed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberTermPassed *passed =
        (const Yizhan__V1__MemberTermPassed *)event->payload;
    int64_t at_ms = wk_timestamp_ms(passed->at);
    const bson_t *file;
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, passed->member_id);
    file = wk_get(fold, WK_MEMBERS, id);
    if (!file || wk_document_number(file, "revision") != (int64_t)passed->revision)
        return;
    wk_member_owe_placing(event, fold, ROW_JOINED, file, wk_document_text(file, "org_path"), false,
                          at_ms);
    /* What is live by now: of two that come late, in whatever order, both say the same. */
    wk_member_owe_scopes(event, fold, NULL, file,
                         at_ms > event->received_at_ms ? at_ms : event->received_at_ms);
}
