/* Members' files (党员档案): registered, changed, archived, forgotten. One file is one document,
 * written by the events of its member alone; what a branch's roster owes to it goes there by the
 * outbox. */
#include "workers/domains/member.h"
#include "workers/audit.h"
#include "workers/document.h"
#include "workers/domains/org.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name) YIZHAN__V1__MEMBER_FIELD__FIELD_##name
#define ALL_FIELDS  (WK_MEMBER_BIT(FIELD(ROLES) + 1) - WK_MEMBER_BIT(FIELD(NAME)))
/* Ordinals of the rows that an event owes: the branch that is left, the one that is joined, the
 * terms of roles, the orgs that they name and those that they named. */
enum {
    ROW_LEFT = 0,
    ROW_JOINED = 1,
    ROW_TERMS = 2,
    ROW_HELD = ROW_TERMS + 2 * WK_MEMBER_TERMS_MAX,
    ROW_ENDED = ROW_HELD + WK_MEMBER_TERMS_MAX,
};

/* What every change of a file names. */
struct named {
    const char *org_path, *member;
    int64_t revision;
    const char *basis;
};

static void need_file(const struct wk_event *event, struct wk_needs *needs, const char *member)
{
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, member);
    wk_need_own(needs, WK_MEMBERS, id);
    wk_need_own(needs, WK_MEMBER_KEYS, id);
}

static const bson_t *get(const struct wk_event *event, struct wk_fold *fold, const char *collection,
                         const char *member)
{
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, member);
    return wk_get(fold, collection, id);
}

static bool is_archived(const bson_t *file)
{
    return strcmp(wk_document_text(file, "status"), "MEMBER_ARCHIVED") == 0;
}

/* Whoever may change the file of this branch finds it there, at the revision before this one. */
static enum yz_err judge_named(const struct wk_event *event, struct wk_fold *fold,
                               const struct named *named, struct yz_violation *v)
{
    const bson_t *file = get(event, fold, WK_MEMBERS, named->member);

    if (!file || strcmp(wk_document_text(file, "org_path"), named->org_path) != 0)
        return yz_violate(v, YZ_NOT_FOUND, "memberId", "There is no such member in this branch.");
    if (wk_document_number(file, "revision") + 1 != named->revision)
        return yz_violate(v, YZ_STALE_REVISION, "revision", NULL);
    return YZ_OK;
}

static bool same_term(const struct wk_member_term *a, const struct wk_member_term *b)
{
    return a->role == b->role && strcmp(a->scope, b->scope) == 0 && a->from_ms == b->from_ms &&
           a->until_ms == b->until_ms;
}

static bool has_term(const struct wk_member_term *terms, size_t count,
                     const struct wk_member_term *term)
{
    for (size_t i = 0; i < count; i++) {
        if (same_term(&terms[i], term))
            return true;
    }
    return false;
}

static enum yz_err judge_term(const struct wk_event *event, const struct wk_member_term *term,
                              size_t index, struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];

    if (yz_actor_has_role(&event->env->actor, "admin", term->scope))
        return YZ_OK;
    snprintf(field, sizeof field, "file.roles[%zu].scope", index);
    return yz_violate(v, YZ_FORBIDDEN, field,
                      "Only an admin over its scope gives a role or takes it back.");
}

/* Who gives a role could give it to a friend: that takes more than a secretary. */
static enum yz_err judge_roles(const struct wk_event *event, const bson_t *old,
                               const Yizhan__V1__MemberFile *file, struct yz_violation *v)
{
    struct wk_member_term before[WK_MEMBER_TERMS_MAX], after[WK_MEMBER_TERMS_MAX];
    size_t before_count = wk_member_terms(old, before), after_count = 0;
    enum yz_err err = YZ_OK;

    for (; after_count < file->n_roles && after_count < WK_MEMBER_TERMS_MAX; after_count++) {
        const Yizhan__V1__MemberRoleTerm *role = file->roles[after_count];

        after[after_count] = (struct wk_member_term){
            role->role, role->scope, wk_timestamp_ms(role->from), wk_timestamp_ms(role->until)};
    }
    for (size_t i = 0; !err && i < after_count; i++) {
        if (!has_term(before, before_count, &after[i]))
            err = judge_term(event, &after[i], i, v);
    }
    for (size_t i = 0; !err && i < before_count; i++) {
        if (!has_term(after, after_count, &before[i]))
            err = judge_term(event, &before[i], i, v);
    }
    return err;
}

/* apply() cannot fail: whether the key takes values is tried here. */
static enum yz_err judge_sealing(const struct wk_event *event, struct wk_fold *fold,
                                 const char *member, const bson_t *key,
                                 const Yizhan__V1__MemberFile *file, uint32_t set,
                                 struct yz_violation *v)
{
    const struct wk_vault_place place = {event->env->actor.tenant, member, "trial"};
    char value[WK_FIELD_TEXT_MAX];
    bool wanted = false;
    bson_t trial = BSON_INITIALIZER;
    enum yz_err err = YZ_OK;

    for (Yizhan__V1__MemberField field = FIELD(NAME); field <= FIELD(ROLES); field++) {
        if (!(set & WK_MEMBER_BIT(field)) || !wk_member_field_sealed(field))
            continue;
        wk_member_value(file, field, value);
        wanted = wanted || *value;
    }
    if (wanted)
        err = wk_vault_seal(wk_fold_context(fold)->vault, key, &place, "trial", &trial);
    bson_destroy(&trial);
    if (err == YZ_NOT_FOUND)
        return yz_violate(v, YZ_KEY_DELETED, "file", NULL);
    return err ? yz_violate(v, YZ_INTERNAL, NULL, NULL) : YZ_OK;
}

static void change_id(const struct wk_event *event, const char *member, int64_t revision,
                      char out[WK_ID_MAX])
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, revision);
    wk_id(out, event->env->actor.tenant, member, text, NULL);
}

/* A replay finds the entry, and in it what the file was before. */
static void need_change(const struct wk_event *event, struct wk_needs *needs, const char *member,
                        uint64_t revision)
{
    char id[WK_ID_MAX];

    change_id(event, member, (int64_t)revision, id);
    wk_need(needs, WK_MEMBER_CHANGES, id);
}

/* The entry of the history as it stands from now on: in a replay, as it stood. */
static const bson_t *insert_change(const struct wk_event *event, struct wk_fold *fold,
                                   const struct named *named, const bson_t *old,
                                   const bson_t *changed, const struct wk_member_patch *patch)
{
    char id[WK_ID_MAX];

    change_id(event, named->member, named->revision, id);
    wk_insert(fold, WK_MEMBER_CHANGES, id,
              wk_member_change(event, named->member, old, changed, patch, named->basis),
              YZ_STALE_REVISION, "revision");
    return wk_get(fold, WK_MEMBER_CHANGES, id);
}

void wk_member_owe_terms(const struct wk_event *event, struct wk_fold *fold, const bson_t *file)
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = wk_member_terms(file, terms);

    for (size_t i = 0; i < 2 * count; i++) {
        Yizhan__V1__MemberTermPassed passed = YIZHAN__V1__MEMBER_TERM_PASSED__INIT;
        int64_t at_ms = i % 2 ? terms[i / 2].until_ms : terms[i / 2].from_ms;
        Google__Protobuf__Timestamp at = wk_timestamp(at_ms);

        if (at_ms <= event->received_at_ms)
            continue;
        passed.org_path = (char *)(uintptr_t)wk_document_text(file, "org_path");
        passed.member_id = (char *)(uintptr_t)wk_document_text(file, "member_id");
        passed.revision = (uint64_t)wk_document_number(file, "revision");
        passed.at = &at;
        wk_later(fold, ROW_TERMS + (int)i, at_ms, "member.term_passed", &passed.base);
    }
}

static void owe_held(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                     const bson_t *file, const char *scope, int64_t at_ms)
{
    Yizhan__V1__MemberRoleHeld held = YIZHAN__V1__MEMBER_ROLE_HELD__INIT;
    char roles[WK_ROLES_TEXT_MAX];

    wk_member_roles_over(file, scope, at_ms, roles);
    held.org_path = (char *)(uintptr_t)scope;
    held.member_id = (char *)(uintptr_t)wk_document_text(file, "member_id");
    held.revision = (uint64_t)wk_document_number(file, "revision");
    held.roles = roles;
    wk_later(fold, ordinal, event->received_at_ms, "member.role_held", &held.base);
}

/* Of the revision that ended it: in a replay the file may name it anew, at a later one. */
static void owe_ended(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                      const bson_t *change, const char *scope)
{
    Yizhan__V1__MemberRoleHeld held = YIZHAN__V1__MEMBER_ROLE_HELD__INIT;

    held.org_path = (char *)(uintptr_t)scope;
    held.member_id = (char *)(uintptr_t)wk_document_text(change, "member_id");
    held.revision = (uint64_t)wk_document_number(change, "revision");
    held.ended = true;
    wk_later(fold, ordinal, event->received_at_ms, "member.role_held", &held.base);
}

void wk_member_owe_scopes(const struct wk_event *event, struct wk_fold *fold, const bson_t *change,
                          const bson_t *file, int64_t at_ms)
{
    const char *scopes[WK_MEMBER_TERMS_MAX];
    size_t count = wk_member_scopes(file, scopes);

    for (size_t i = 0; i < count; i++)
        owe_held(event, fold, ROW_HELD + (int)i, file, scopes[i], at_ms);
    count = wk_member_ended(change, scopes);
    for (size_t i = 0; i < count; i++)
        owe_ended(event, fold, ROW_ENDED + (int)i, change, scopes[i]);
}

/* Put the file, its history, and tell rosters and the member. */
static void put_file(const struct wk_event *event, struct wk_fold *fold, const struct named *named,
                     struct wk_member_patch *patch)
{
    const bson_t *old = get(event, fold, WK_MEMBERS, named->member);
    const bson_t *key = get(event, fold, WK_MEMBER_KEYS, named->member);
    const bson_t *change;
    char id[WK_ID_MAX];
    bson_t *changed;

    if (!old && !patch->org_path)
        return; /* judged otherwise; a replay finds it */
    patch->revision = named->revision;
    patch->at_ms = event->received_at_ms;
    changed = wk_member_patched(wk_fold_context(fold), event, named->member, old, key, patch);
    change = insert_change(event, fold, named, old, changed, patch);
    if (patch->org_path && named->revision > 1)
        wk_member_owe_placing(event, fold, ROW_LEFT, changed, named->org_path, true,
                              event->received_at_ms);
    wk_member_owe_placing(event, fold, ROW_JOINED, changed,
                          patch->org_path ? patch->org_path : named->org_path,
                          patch->archive_reason != NULL, event->received_at_ms);
    if (!patch->archive_reason)
        wk_member_owe_terms(event, fold, changed);
    wk_member_owe_scopes(event, fold, change, changed, event->received_at_ms);
    wk_member_id(id, event->env->actor.tenant, named->member);
    wk_put(fold, WK_MEMBERS, id, changed);
}

static void push_fields(const struct wk_event *event, struct wk_fold *fold,
                        const struct named *named, uint32_t set)
{
    Yizhan__V1__MemberField fields[FIELD(KEY) + 1];
    size_t count = 0;

    for (Yizhan__V1__MemberField field = FIELD(NAME); field <= FIELD(KEY); field++) {
        if (set & WK_MEMBER_BIT(field))
            fields[count++] = field;
    }
    wk_member_push_change(event, fold, named->member, (uint64_t)named->revision, fields, count,
                          named->basis);
}

static void needs_registered(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__MemberRegistered *registered =
        (const Yizhan__V1__MemberRegistered *)event->payload;

    need_file(event, needs, registered->member_id);
    wk_org_need(event, needs, registered->org_path);
}

static enum yz_err judge_registered(const struct wk_event *event, struct wk_fold *fold,
                                    struct yz_violation *v)
{
    const Yizhan__V1__MemberRegistered *registered =
        (const Yizhan__V1__MemberRegistered *)event->payload;

    if (get(event, fold, WK_MEMBERS, registered->member_id))
        return yz_violate(v, YZ_EXISTS, "memberId", "There is a file of this member already.");
    if (!wk_org_is_live(event, fold, registered->org_path))
        return yz_violate(v, YZ_UNKNOWN_ORG, "orgPath", NULL);
    return judge_roles(event, NULL, registered->file, v);
}

/* The key that is there is kept: in a replay it is the one with which the file was sealed. */
static void apply_registered(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberRegistered *registered =
        (const Yizhan__V1__MemberRegistered *)event->payload;
    const struct named named = {registered->org_path, registered->member_id, 1, registered->basis};
    struct wk_member_patch patch = {
        .file = registered->file, .set = ALL_FIELDS, .org_path = registered->org_path};
    char id[WK_ID_MAX];

    wk_member_id(id, event->env->actor.tenant, registered->member_id);
    if (!wk_get(fold, WK_MEMBER_KEYS, id))
        /* An insert: it is written before the file that is sealed with it. */
        wk_insert(fold, WK_MEMBER_KEYS, id,
                  wk_vault_new_key(wk_fold_context(fold)->vault, event->env->actor.tenant,
                                   registered->member_id),
                  YZ_EXISTS, "memberId");
    put_file(event, fold, &named, &patch);
    push_fields(event, fold, &named, ALL_FIELDS | WK_MEMBER_BIT(FIELD(ORG)));
}

static struct named named_changed(const struct wk_event *event)
{
    const Yizhan__V1__MemberChanged *changed = (const Yizhan__V1__MemberChanged *)event->payload;

    return (struct named){changed->org_path, changed->member_id, (int64_t)changed->revision,
                          changed->basis};
}

static uint32_t set_of(const Yizhan__V1__MemberChanged *changed)
{
    uint32_t set = 0;

    for (size_t i = 0; i < changed->n_fields; i++)
        set |= WK_MEMBER_BIT(changed->fields[i]);
    return set;
}

static void needs_changed(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__MemberChanged *changed = (const Yizhan__V1__MemberChanged *)event->payload;

    need_file(event, needs, changed->member_id);
    need_change(event, needs, changed->member_id, changed->revision);
    if (*changed->new_org_path)
        wk_org_need(event, needs, changed->new_org_path);
}

static enum yz_err judge_new_org(const struct wk_event *event, struct wk_fold *fold,
                                 const char *org_path, struct yz_violation *v)
{
    if (!*org_path)
        return YZ_OK;
    if (yz_authorize(YZ_BY_SECRETARY, &event->env->actor, org_path))
        return yz_violate(v, YZ_FORBIDDEN, "newOrgPath", NULL);
    return wk_org_is_live(event, fold, org_path)
               ? YZ_OK
               : yz_violate(v, YZ_UNKNOWN_ORG, "newOrgPath", NULL);
}

static enum yz_err judge_changed(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__MemberChanged *changed = (const Yizhan__V1__MemberChanged *)event->payload;
    const struct named named = named_changed(event);
    uint32_t set = set_of(changed);
    const bson_t *file;
    enum yz_err err = judge_named(event, fold, &named, v);

    if (err)
        return err;
    file = get(event, fold, WK_MEMBERS, named.member);
    if (is_archived(file))
        return yz_violate(v, YZ_MEMBER_ARCHIVED, "memberId", NULL);
    if ((err = judge_new_org(event, fold, changed->new_org_path, v)) ||
        (err = wk_member_judge_days(file, changed->file, set, v)) ||
        ((set & WK_MEMBER_BIT(FIELD(ROLES))) && (err = judge_roles(event, file, changed->file, v))))
        return err;
    return judge_sealing(event, fold, named.member, get(event, fold, WK_MEMBER_KEYS, named.member),
                         changed->file, set, v);
}

static void apply_changed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberChanged *changed = (const Yizhan__V1__MemberChanged *)event->payload;
    const struct named named = named_changed(event);
    bool moves = *changed->new_org_path;
    struct wk_member_patch patch = {.file = changed->file,
                                    .set = set_of(changed),
                                    .org_path = moves ? changed->new_org_path : NULL};

    put_file(event, fold, &named, &patch);
    push_fields(event, fold, &named, patch.set | (moves ? WK_MEMBER_BIT(FIELD(ORG)) : 0));
}

static struct named named_archived(const struct wk_event *event)
{
    const Yizhan__V1__MemberArchived *archived = (const Yizhan__V1__MemberArchived *)event->payload;

    return (struct named){archived->org_path, archived->member_id, (int64_t)archived->revision,
                          archived->basis};
}

static void needs_archived(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__MemberArchived *archived = (const Yizhan__V1__MemberArchived *)event->payload;

    need_file(event, needs, archived->member_id);
    need_change(event, needs, archived->member_id, archived->revision);
}

static enum yz_err judge_archived(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const struct named named = named_archived(event);
    enum yz_err err = judge_named(event, fold, &named, v);

    if (!err && is_archived(get(event, fold, WK_MEMBERS, named.member)))
        return yz_violate(v, YZ_MEMBER_ARCHIVED, "memberId", NULL);
    return err;
}

static void apply_archived(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MemberArchived *archived = (const Yizhan__V1__MemberArchived *)event->payload;
    const struct named named = named_archived(event);
    struct wk_member_patch patch = {.archive_reason = archived->reason};

    put_file(event, fold, &named, &patch);
    push_fields(event, fold, &named, WK_MEMBER_BIT(FIELD(STATUS)));
}

static struct named named_key_deleted(const struct wk_event *event)
{
    const Yizhan__V1__MemberKeyDeleted *deleted =
        (const Yizhan__V1__MemberKeyDeleted *)event->payload;

    return (struct named){deleted->org_path, deleted->member_id, (int64_t)deleted->revision,
                          deleted->basis};
}

static void needs_key_deleted(const struct wk_event *event, struct wk_needs *needs)
{
    need_file(event, needs, ((const Yizhan__V1__MemberKeyDeleted *)event->payload)->member_id);
}

/* An archived file's key may be deleted, too: that is when it mostly is. */
static enum yz_err judge_key_deleted(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v)
{
    const struct named named = named_key_deleted(event);
    enum yz_err err = judge_named(event, fold, &named, v);

    if (!err && !wk_vault_has_key(get(event, fold, WK_MEMBER_KEYS, named.member)))
        return yz_violate(v, YZ_KEY_DELETED, "memberId", NULL);
    return err;
}

static void apply_key_deleted(const struct wk_event *event, struct wk_fold *fold)
{
    const struct named named = named_key_deleted(event);
    struct wk_member_patch patch = {
        .drop_sealed = true, .revision = named.revision, .at_ms = event->received_at_ms};
    const bson_t *old = get(event, fold, WK_MEMBERS, named.member);
    bson_t *none, *changed;
    char id[WK_ID_MAX];

    if (!old)
        return;
    none = bson_new();
    wk_member_id(id, event->env->actor.tenant, named.member);
    BSON_APPEND_DATE_TIME(none, "deleted_at", event->received_at_ms);
    BSON_APPEND_UTF8(none, "deleted_by", event->env->actor.member);
    changed = wk_member_patched(wk_fold_context(fold), event, named.member, old, NULL, &patch);
    insert_change(event, fold, &named, old, changed, &patch);
    /* It is a new revision: the terms of the one before are moot. */
    if (strcmp(wk_document_text(changed, "status"), "MEMBER_ACTIVE") == 0)
        wk_member_owe_terms(event, fold, changed);
    wk_put(fold, WK_MEMBERS, id, changed);
    wk_put(fold, WK_MEMBER_KEYS, id, none);
    push_fields(event, fold, &named, WK_MEMBER_BIT(FIELD(KEY)));
}

/* The system's own: what does not apply any more has no effect. */
static enum yz_err judge_own(const struct wk_event *event, struct wk_fold *fold,
                             struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

static const struct wk_event_handler events[] = {
    {"member.registered", needs_registered, judge_registered, apply_registered},
    {"member.changed", needs_changed, judge_changed, apply_changed},
    {"member.archived", needs_archived, judge_archived, apply_archived},
    {"member.key_deleted", needs_key_deleted, judge_key_deleted, apply_key_deleted},
    {"member.placed", wk_member_needs_placed, wk_member_judge_placed, wk_member_apply_placed},
    {"member.term_passed", wk_member_needs_term_passed, judge_own, wk_member_apply_term_passed},
    {"member.role_held", wk_member_needs_role_held, wk_member_judge_role_held,
     wk_member_apply_role_held},
    {"member.branch_moved", wk_member_needs_branch_moved, judge_own, wk_member_apply_branch_moved},
    {"member.followed", wk_member_needs_followed, judge_own, wk_member_apply_followed},
    {0},
};

static const struct wk_query_handler queries[] = {
    {"member.search", wk_member_answer_search},     {"member.get", wk_member_answer_get},
    {"member.changes", wk_member_answer_changes},   {"member.roster", wk_member_answer_roster},
    {"member.accesses", wk_member_answer_accesses}, {0},
};

static const struct wk_index members_indexes[] = {
    {.name = "by_name", .keys = "{\"tenant\": 1, \"scopes\": 1, \"status\": 1, \"name_key\": 1}"},
    {0},
};

static const struct wk_index changes_indexes[] = {
    {.name = "by_member", .keys = "{\"tenant\": 1, \"member_id\": 1, \"revision\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_MEMBERS, members_indexes}, {WK_MEMBER_CHANGES, changes_indexes},
    {WK_MEMBER_KEYS, NULL},        {WK_BRANCHES, NULL},
    {WK_ROLE_HOLDERS, NULL},       {0},
};

const struct wk_domain wk_domain_member = {"member", events, queries, collections};
