/* Members as their secretaries find them: by name, by branch. */
#include "workers/document.h"
#include "workers/domains/member.h"
#include "workers/domains/member_page.h"
#include "workers/query.h"
#include "workers/store.h"

#include <stdio.h>
#include <string.h>

#define SEARCH_COUNT 20
#define ROSTER_COUNT 50
/* The last character there is: behind every name that goes on after a prefix. */
#define LAST_CHARACTER "\xF4\x8F\xBF\xBF"

bool wk_member_read_roles(struct yz_arena *arena, const bson_t *kept,
                          Yizhan__V1__MemberRoleTerm ***roles, size_t *count)
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t found = wk_member_terms(kept, terms);
    Yizhan__V1__MemberRoleTerm *each = yz_arena_alloc(arena, (found + 1) * sizeof *each);

    *roles = yz_arena_alloc(arena, (found + 1) * sizeof(Yizhan__V1__MemberRoleTerm *));
    if (!each || !*roles)
        return false;
    for (size_t i = 0; i < found; i++) {
        yizhan__v1__member_role_term__init(&each[i]);
        each[i].role = terms[i].role;
        each[i].scope = (char *)(uintptr_t)terms[i].scope;
        each[i].from = wk_timestamp_new(arena, terms[i].from_ms);
        each[i].until = wk_timestamp_new(arena, terms[i].until_ms);
        (*roles)[i] = &each[i];
    }
    *count = found;
    return true;
}

/* What a list shows; nothing that is encrypted is read for it. */
static const char *const listed[] = {"member_id", "name",     "org_path", "kind", "status",
                                     "roles",     "revision", "name_key", NULL};

static bool take_member(struct wk_member_page *page, const bson_t *row)
{
    Yizhan__V1__MemberSearchReply *answer = page->answer;
    struct yz_arena *arena = page->query->arena;
    Yizhan__V1__MemberEntry *entry = yz_arena_alloc(arena, sizeof *entry);
    bson_t kept;

    if (!entry || !wk_document_keep(arena, row, &kept))
        return false;
    yizhan__v1__member_entry__init(entry);
    entry->member_id = (char *)(uintptr_t)wk_document_text(&kept, "member_id");
    entry->name = (char *)(uintptr_t)wk_document_text(&kept, "name");
    entry->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    entry->kind = (Yizhan__V1__MemberKind)wk_document_enum(&kept, "kind",
                                                           &yizhan__v1__member_kind__descriptor);
    entry->status = (Yizhan__V1__MemberStatus)wk_document_enum(
        &kept, "status", &yizhan__v1__member_status__descriptor);
    entry->revision = (uint64_t)wk_document_number(&kept, "revision");
    page->cursor = wk_document_text(&kept, "name_key");
    answer->members[answer->n_members++] = entry;
    return wk_member_read_roles(arena, &kept, &entry->roles, &entry->n_roles);
}

static void search_filter(const struct wk_query *query, bson_t *filter)
{
    const Yizhan__V1__MemberSearchRequest *request =
        (const Yizhan__V1__MemberSearchRequest *)query->request;
    const char *status = wk_document_enum_name(
        &yizhan__v1__member_status__descriptor,
        request->status ? (int)request->status : YIZHAN__V1__MEMBER_STATUS__MEMBER_ACTIVE);
    char behind[WK_FIELD_TEXT_MAX];
    bson_t range;

    snprintf(behind, sizeof behind, "%s" LAST_CHARACTER, request->name_prefix);
    BSON_APPEND_UTF8(filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(filter, "scopes", request->org_path);
    BSON_APPEND_UTF8(filter, "status", status);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "name_key", &range);
    if (*request->after)
        BSON_APPEND_UTF8(&range, "$gt", request->after);
    else
        BSON_APPEND_UTF8(&range, "$gte", request->name_prefix);
    BSON_APPEND_UTF8(&range, "$lt", behind);
    bson_append_document_end(filter, &range);
}

enum yz_err wk_member_answer_search(const struct wk_query *query, ProtobufCMessage **reply,
                                    struct yz_violation *v)
{
    const Yizhan__V1__MemberSearchRequest *request =
        (const Yizhan__V1__MemberSearchRequest *)query->request;
    Yizhan__V1__MemberSearchReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct wk_member_page page = {.query = query,
                                  .answer = answer,
                                  .take = take_member,
                                  .fields = listed,
                                  .limit = wk_member_limit(request->limit, SEARCH_COUNT)};
    bson_t filter = BSON_INITIALIZER;
    enum yz_err err = YZ_BUSY;

    search_filter(query, &filter);
    if (answer) {
        yizhan__v1__member_search_reply__init(answer);
        answer->members =
            yz_arena_alloc(query->arena, page.limit * sizeof(Yizhan__V1__MemberEntry *));
        err = answer->members ? wk_member_find(&page, WK_MEMBERS, &filter, "name_key", 1) : YZ_BUSY;
    }
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (page.more)
        answer->next_after = (char *)(uintptr_t)page.cursor;
    *reply = &answer->base;
    return YZ_OK;
}

/* The names of a page of a roster are read with one search. */
struct names {
    const struct wk_query *query;
    Yizhan__V1__MemberRosterReply *answer;
    bool full;
};

static bool on_name(void *arg, const bson_t *row)
{
    struct names *names = arg;
    const char *member = wk_document_text(row, "member_id");
    bson_t kept;

    for (size_t i = 0; i < names->answer->n_members; i++) {
        if (strcmp(names->answer->members[i]->member_id, member) != 0)
            continue;
        names->full = !wk_document_keep(names->query->arena, row, &kept);
        if (!names->full)
            names->answer->members[i]->name = (char *)(uintptr_t)wk_document_text(&kept, "name");
    }
    return !names->full;
}

static enum yz_err find_names(const struct wk_query *query, Yizhan__V1__MemberRosterReply *answer)
{
    struct names names = {.query = query, .answer = answer};
    char(*ids)[WK_ID_MAX] = yz_arena_alloc(query->arena, (answer->n_members + 1) * WK_ID_MAX);
    const char **list =
        yz_arena_alloc(query->arena, (answer->n_members + 1) * sizeof(const char *));
    enum yz_err err;

    if (!ids || !list)
        return YZ_BUSY;
    for (size_t i = 0; i < answer->n_members; i++) {
        wk_member_id(ids[i], query->actor->tenant, answer->members[i]->member_id);
        list[i] = ids[i];
    }
    if (answer->n_members == 0)
        return YZ_OK;
    err = wk_store_get_many(query->store, WK_MEMBERS, list, answer->n_members, on_name, &names);
    return err ? err : names.full ? YZ_BUSY : YZ_OK;
}

static Yizhan__V1__MemberRosterReply__Place *new_place(struct yz_arena *arena,
                                                       const struct wk_branch_member *member)
{
    Yizhan__V1__MemberRosterReply__Place *place = yz_arena_alloc(arena, sizeof *place);

    if (!place)
        return NULL;
    yizhan__v1__member_roster_reply__place__init(place);
    place->member_id = (char *)(uintptr_t)member->member;
    place->place = member->place;
    place->kind = (Yizhan__V1__MemberKind)member->kind;
    place->roles = (char *)(uintptr_t)member->roles;
    place->joined_at = wk_timestamp_new(arena, member->joined_at_ms);
    return place;
}

_Static_assert((int)WK_MEMBER_FULL == (int)YIZHAN__V1__MEMBER_KIND__FULL &&
                   (int)WK_MEMBER_PROBATIONARY == (int)YIZHAN__V1__MEMBER_KIND__PROBATIONARY &&
                   (int)WK_MEMBER_APPLICANT == (int)YIZHAN__V1__MEMBER_KIND__APPLICANT,
               "roster.h numbers the kinds as the contract does");

static enum yz_err fill_roster(const struct wk_query *query, const bson_t *kept,
                               Yizhan__V1__MemberRosterReply *answer)
{
    const Yizhan__V1__MemberRosterRequest *request =
        (const Yizhan__V1__MemberRosterRequest *)query->request;
    size_t limit = wk_member_limit(request->limit, ROSTER_COUNT);
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    answer->members =
        yz_arena_alloc(query->arena, limit * sizeof(Yizhan__V1__MemberRosterReply__Place *));
    if (!answer->members)
        return YZ_BUSY;
    for (wk_branch_begin(&walk, kept); wk_branch_next(&walk, &member);) {
        if (member.left_at_ms)
            continue;
        answer->count++;
        if (member.place < request->from_place)
            continue;
        if (answer->n_members == limit) {
            if (!answer->next_from_place)
                answer->next_from_place = member.place;
            continue;
        }
        answer->members[answer->n_members] = new_place(query->arena, &member);
        if (!answer->members[answer->n_members++])
            return YZ_BUSY;
    }
    return find_names(query, answer);
}

enum yz_err wk_member_answer_roster(const struct wk_query *query, ProtobufCMessage **reply,
                                    struct yz_violation *v)
{
    const Yizhan__V1__MemberRosterRequest *request =
        (const Yizhan__V1__MemberRosterRequest *)query->request;
    Yizhan__V1__MemberRosterReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    char id[WK_ID_MAX];
    bson_t branch, kept;
    bool found;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__member_roster_reply__init(answer);
    wk_branch_id(id, query->actor->tenant, request->org_path);
    err = wk_store_get(query->store, WK_BRANCHES, id, &branch, &found);
    if (!err && found)
        err = wk_document_keep(query->arena, &branch, &kept) ? fill_roster(query, &kept, answer)
                                                             : YZ_BUSY;
    bson_destroy(&branch);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}
