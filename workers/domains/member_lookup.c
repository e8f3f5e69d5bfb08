/* A member's own file, who changed it and who looked at it; and another's, which leaves a trace. */
#include "workers/audit.h"
#include "workers/document.h"
#include "workers/domains/member.h"
#include "workers/domains/member_page.h"
#include "workers/query.h"
#include "workers/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) YIZHAN__V1__MEMBER_FIELD__FIELD_##name
#define LIST_COUNT  20

size_t wk_member_limit(uint32_t asked, size_t usual)
{
    return asked == 0 ? usual : asked > WK_MEMBER_PAGE_MAX ? WK_MEMBER_PAGE_MAX : asked;
}

static bool on_row(void *arg, const bson_t *row)
{
    struct wk_member_page *page = arg;

    if (page->count == page->limit ||
        (page->count > 0 && page->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        page->more = true;
        return false;
    }
    page->bytes += wk_document_size(row);
    page->full = !page->take(page, row);
    page->count++;
    return !page->full;
}

enum yz_err wk_member_find(struct wk_member_page *page, const char *collection,
                           const bson_t *filter, const char *order, int direction)
{
    bson_t opts = BSON_INITIALIZER, sort, projection;
    enum yz_err err;

    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, order, direction);
    bson_append_document_end(&opts, &sort);
    if (page->fields) {
        BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
        for (const char *const *field = page->fields; *field; field++)
            BSON_APPEND_INT32(&projection, *field, 1);
        bson_append_document_end(&opts, &projection);
    }
    BSON_APPEND_INT64(&opts, "limit", (int64_t)page->limit + 1);
    err = wk_store_find(page->query->store, collection, filter, &opts, on_row, page);
    bson_destroy(&opts);
    return err ? err : page->full ? YZ_BUSY : YZ_OK;
}

/* A sealed value as text in the arena. A deleted key leaves "". */
static enum yz_err open_text(const struct wk_query *query, const bson_t *file, const bson_t *key,
                             Yizhan__V1__MemberField field, char **out)
{
    const struct wk_vault_place place = {query->actor->tenant, wk_document_text(file, "member_id"),
                                         wk_member_field_name(field)};
    char value[WK_VAULT_VALUE_MAX + 1];
    enum yz_err err = wk_vault_open_value(query->context->vault, key, &place, file, value);

    if (err && err != YZ_NOT_FOUND)
        return err;
    *out = yz_arena_alloc(query->arena, strlen(value) + 1);
    if (!*out)
        return YZ_BUSY;
    memcpy(*out, value, strlen(value) + 1);
    return YZ_OK;
}

static enum yz_err open_sealed(const struct wk_query *query, const bson_t *file, const bson_t *key,
                               Yizhan__V1__MemberFile *out)
{
    char *fen = NULL;
    enum yz_err err;

    if ((err = open_text(query, file, key, FIELD(ID_NUMBER), &out->id_number)) ||
        (err = open_text(query, file, key, FIELD(PHONE), &out->phone)) ||
        (err = open_text(query, file, key, FIELD(DUES_BASE), &fen)))
        return err;
    out->dues_base_fen = strtoull(fen, NULL, 10);
    return YZ_OK;
}

static void fill_plain(const bson_t *kept, Yizhan__V1__MemberFile *file)
{
    file->name = (char *)(uintptr_t)wk_document_text(kept, "name");
    file->kind = (Yizhan__V1__MemberKind)wk_document_enum(kept, "kind",
                                                          &yizhan__v1__member_kind__descriptor);
    file->gender = (Yizhan__V1__MemberGender)wk_document_enum(
        kept, "gender", &yizhan__v1__member_gender__descriptor);
    file->birthday = (char *)(uintptr_t)wk_document_text(kept, "birthday");
    file->joined_on = (char *)(uintptr_t)wk_document_text(kept, "joined_on");
    file->full_on = (char *)(uintptr_t)wk_document_text(kept, "full_on");
    file->education = (char *)(uintptr_t)wk_document_text(kept, "education");
    file->position = (char *)(uintptr_t)wk_document_text(kept, "position");
}

static enum yz_err fill_get(const struct wk_query *query, const bson_t *kept, const bson_t *key,
                            Yizhan__V1__MemberGetReply *answer)
{
    Yizhan__V1__MemberFile *file = yz_arena_alloc(query->arena, sizeof *file);

    if (!file)
        return YZ_BUSY;
    yizhan__v1__member_get_reply__init(answer);
    yizhan__v1__member_file__init(file);
    answer->member_id = (char *)(uintptr_t)wk_document_text(kept, "member_id");
    answer->org_path = (char *)(uintptr_t)wk_document_text(kept, "org_path");
    answer->status = (Yizhan__V1__MemberStatus)wk_document_enum(
        kept, "status", &yizhan__v1__member_status__descriptor);
    answer->revision = (uint64_t)wk_document_number(kept, "revision");
    answer->registered_at =
        wk_timestamp_new(query->arena, wk_document_time_ms(kept, "registered_at"));
    answer->changed_at = wk_timestamp_new(query->arena, wk_document_time_ms(kept, "changed_at"));
    answer->key_deleted = !wk_vault_has_key(key);
    answer->file = file;
    fill_plain(kept, file);
    if (!wk_member_read_roles(query->arena, kept, &file->roles, &file->n_roles))
        return YZ_BUSY;
    return open_sealed(query, kept, key, file);
}

/* Who may not see the file learns nothing, not even whether there is one. The reading of another's
 * is written down first: without that there is no answer. */
static enum yz_err may_read(const struct wk_query *query, const bson_t *file, bool found,
                            struct yz_violation *v)
{
    const Yizhan__V1__MemberGetRequest *request =
        (const Yizhan__V1__MemberGetRequest *)query->request;
    const char *member = *request->member_id ? request->member_id : query->actor->member;
    const struct wk_access access = {"member", member, member, request->purpose};

    if (strcmp(member, query->actor->member) == 0)
        return found ? YZ_OK : yz_violate(v, YZ_NOT_FOUND, "memberId", NULL);
    if (!found || yz_authorize(YZ_BY_SECRETARY, query->actor, wk_document_text(file, "org_path")))
        return yz_violate(v, YZ_NOT_FOUND, "memberId", NULL);
    if (!*request->purpose)
        return yz_violate(v, YZ_MISSING_FIELD, "purpose", NULL);
    return wk_audit_access(query, &access) ? yz_violate(v, YZ_BUSY, NULL, NULL) : YZ_OK;
}

enum yz_err wk_member_answer_get(const struct wk_query *query, ProtobufCMessage **reply,
                                 struct yz_violation *v)
{
    const Yizhan__V1__MemberGetRequest *request =
        (const Yizhan__V1__MemberGetRequest *)query->request;
    const char *member = *request->member_id ? request->member_id : query->actor->member;
    Yizhan__V1__MemberGetReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    bson_t file = BSON_INITIALIZER, key = BSON_INITIALIZER, kept;
    bool found = false, has_key = false;
    char id[WK_ID_MAX];
    enum yz_err err;

    wk_member_id(id, query->actor->tenant, member);
    bson_destroy(&file);
    err = wk_store_get(query->store, WK_MEMBERS, id, &file, &found);
    if (!err) {
        bson_destroy(&key);
        err = wk_store_get(query->store, WK_MEMBER_KEYS, id, &key, &has_key);
    }
    if (err)
        yz_violate(v, err, NULL, NULL);
    else if (!(err = may_read(query, &file, found, v))) {
        err = answer && wk_document_keep(query->arena, &file, &kept)
                  ? fill_get(query, &kept, has_key ? &key : NULL, answer)
                  : YZ_BUSY;
        if (err)
            yz_violate(v, err, NULL, NULL);
    }
    bson_destroy(&key);
    bson_destroy(&file);
    if (err)
        return err;
    *reply = &answer->base;
    return YZ_OK;
}

static Yizhan__V1__MemberChangesReply__Field *new_field(struct yz_arena *arena, bson_iter_t *entry)
{
    Yizhan__V1__MemberChangesReply__Field *field = yz_arena_alloc(arena, sizeof *field);
    bson_iter_t encrypted;
    bson_t row;

    if (!field)
        return NULL;
    yizhan__v1__member_changes_reply__field__init(field);
    if (!wk_document_at(entry, &row))
        return field;
    field->field = (Yizhan__V1__MemberField)wk_document_enum(&row, "field",
                                                             &yizhan__v1__member_field__descriptor);
    field->before = (char *)(uintptr_t)wk_document_text(&row, "before");
    field->after = (char *)(uintptr_t)wk_document_text(&row, "after");
    field->encrypted =
        bson_iter_init_find(&encrypted, &row, "encrypted") && bson_iter_as_bool(&encrypted);
    return field;
}

static bool read_fields(struct yz_arena *arena, const bson_t *kept,
                        Yizhan__V1__MemberChangesReply__Change *change)
{
    bson_iter_t entries;
    size_t count = 0;

    if (!wk_document_array(kept, "fields", &entries))
        return true;
    while (bson_iter_next(&entries))
        count++;
    change->fields =
        yz_arena_alloc(arena, (count + 1) * sizeof(Yizhan__V1__MemberChangesReply__Field *));
    if (!change->fields || !wk_document_array(kept, "fields", &entries))
        return false;
    while (bson_iter_next(&entries)) {
        change->fields[change->n_fields] = new_field(arena, &entries);
        if (!change->fields[change->n_fields++])
            return false;
    }
    return true;
}

static bool take_change(struct wk_member_page *page, const bson_t *row)
{
    Yizhan__V1__MemberChangesReply *answer = page->answer;
    struct yz_arena *arena = page->query->arena;
    Yizhan__V1__MemberChangesReply__Change *change = yz_arena_alloc(arena, sizeof *change);
    bson_t kept;

    if (!change || !wk_document_keep(arena, row, &kept))
        return false;
    yizhan__v1__member_changes_reply__change__init(change);
    change->revision = (uint64_t)wk_document_number(&kept, "revision");
    change->changed_by = (char *)(uintptr_t)wk_document_text(&kept, "changed_by");
    change->changed_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "changed_at"));
    change->basis = (char *)(uintptr_t)wk_document_text(&kept, "basis");
    answer->changes[answer->n_changes++] = change;
    return read_fields(arena, &kept, change);
}

enum yz_err wk_member_answer_changes(const struct wk_query *query, ProtobufCMessage **reply,
                                     struct yz_violation *v)
{
    const Yizhan__V1__MemberChangesRequest *request =
        (const Yizhan__V1__MemberChangesRequest *)query->request;
    bool newest = request->before == 0 || request->before > INT64_MAX;
    Yizhan__V1__MemberChangesReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct wk_member_page page = {.query = query,
                                  .answer = answer,
                                  .take = take_change,
                                  .limit = wk_member_limit(request->limit, LIST_COUNT)};
    bson_t filter = BSON_INITIALIZER, range;
    enum yz_err err = YZ_BUSY;

    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "member_id", query->actor->member);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "revision", &range);
    BSON_APPEND_INT64(&range, "$lt", newest ? INT64_MAX : (int64_t)request->before);
    bson_append_document_end(&filter, &range);
    if (answer) {
        yizhan__v1__member_changes_reply__init(answer);
        answer->changes = yz_arena_alloc(
            query->arena, page.limit * sizeof(Yizhan__V1__MemberChangesReply__Change *));
        err = answer->changes ? wk_member_find(&page, WK_MEMBER_CHANGES, &filter, "revision", -1)
                              : YZ_BUSY;
    }
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (page.more)
        answer->next_before = answer->changes[answer->n_changes - 1]->revision;
    *reply = &answer->base;
    return YZ_OK;
}

static bool take_access(struct wk_member_page *page, const bson_t *row)
{
    Yizhan__V1__MemberAccessesReply *answer = page->answer;
    struct yz_arena *arena = page->query->arena;
    Yizhan__V1__MemberAccessesReply__Access *access = yz_arena_alloc(arena, sizeof *access);
    bson_t kept;

    if (!access || !wk_document_keep(arena, row, &kept))
        return false;
    yizhan__v1__member_accesses_reply__access__init(access);
    access->reader = (char *)(uintptr_t)wk_document_text(&kept, "actor");
    access->at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "at"));
    access->purpose = (char *)(uintptr_t)wk_document_text(&kept, "purpose");
    access->object_kind = (char *)(uintptr_t)wk_document_text(&kept, "object_kind");
    access->object = (char *)(uintptr_t)wk_document_text(&kept, "object");
    page->cursor = wk_document_text(&kept, "key");
    answer->accesses[answer->n_accesses++] = access;
    return true;
}

enum yz_err wk_member_answer_accesses(const struct wk_query *query, ProtobufCMessage **reply,
                                      struct yz_violation *v)
{
    const Yizhan__V1__MemberAccessesRequest *request =
        (const Yizhan__V1__MemberAccessesRequest *)query->request;
    Yizhan__V1__MemberAccessesReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct wk_member_page page = {.query = query,
                                  .answer = answer,
                                  .take = take_access,
                                  .limit = wk_member_limit(request->limit, LIST_COUNT)};
    bson_t filter = BSON_INITIALIZER, range;
    enum yz_err err = YZ_BUSY;

    BSON_APPEND_UTF8(&filter, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "owner", query->actor->member);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "key", &range);
    BSON_APPEND_UTF8(&range, "$lt", *request->before ? request->before : "~");
    bson_append_document_end(&filter, &range);
    if (answer) {
        yizhan__v1__member_accesses_reply__init(answer);
        answer->accesses = yz_arena_alloc(
            query->arena, page.limit * sizeof(Yizhan__V1__MemberAccessesReply__Access *));
        err = answer->accesses ? wk_member_find(&page, WK_ACCESSES, &filter, "key", -1) : YZ_BUSY;
    }
    bson_destroy(&filter);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (page.more)
        answer->next_before = (char *)(uintptr_t)page.cursor;
    *reply = &answer->base;
    return YZ_OK;
}
