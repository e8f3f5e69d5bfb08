/* A member's file as a document: made, changed, compared. */
#include "common/log.h"
#include "workers/document.h"
#include "workers/domains/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(name)  YIZHAN__V1__MEMBER_FIELD__FIELD_##name
#define FIRST        FIELD(NAME)
#define LAST         FIELD(ROLES)
#define OFFSET(name) offsetof(Yizhan__V1__MemberFile, name)

enum form { TEXT, KIND, GENDER, FEN, ROLES };

/* How each field stands in the message and in the document. */
static const struct {
    const char *name;
    enum form form;
    bool sealed;
    size_t offset; /* TEXT only */
} fields[LAST + 1] = {
    [FIELD(NAME)] = {"name", TEXT, false, OFFSET(name)},
    [FIELD(KIND)] = {"kind", KIND, false, 0},
    [FIELD(GENDER)] = {"gender", GENDER, false, 0},
    [FIELD(BIRTHDAY)] = {"birthday", TEXT, false, OFFSET(birthday)},
    [FIELD(JOINED_ON)] = {"joined_on", TEXT, false, OFFSET(joined_on)},
    [FIELD(FULL_ON)] = {"full_on", TEXT, false, OFFSET(full_on)},
    [FIELD(EDUCATION)] = {"education", TEXT, false, OFFSET(education)},
    [FIELD(POSITION)] = {"position", TEXT, false, OFFSET(position)},
    [FIELD(ID_NUMBER)] = {"id_number", TEXT, true, OFFSET(id_number)},
    [FIELD(PHONE)] = {"phone", TEXT, true, OFFSET(phone)},
    [FIELD(DUES_BASE)] = {"dues_base", FEN, true, 0},
    [FIELD(ROLES)] = {"roles", ROLES, false, 0},
};

void wk_member_id(char out[WK_ID_MAX], const char *tenant, const char *member)
{
    wk_id(out, tenant, member, NULL);
}

bool wk_member_field_sealed(Yizhan__V1__MemberField field)
{
    return field <= LAST && fields[field].sealed;
}

const char *wk_member_field_name(Yizhan__V1__MemberField field)
{
    return field <= LAST ? fields[field].name : NULL;
}

const char *wk_member_role_name(Yizhan__V1__MemberRole role)
{
    switch (role) {
    case YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY:
        return "secretary";
    case YIZHAN__V1__MEMBER_ROLE__ROLE_INSPECTOR:
        return "inspector";
    case YIZHAN__V1__MEMBER_ROLE__ROLE_ADMIN:
        return "admin";
    default:
        return "";
    }
}

static struct wk_member_term term_of(const Yizhan__V1__MemberRoleTerm *role)
{
    return (struct wk_member_term){role->role, role->scope, wk_timestamp_ms(role->from),
                                   wk_timestamp_ms(role->until)};
}

/* "secretary@g1/c1 1767225600000-": for the history and for comparing. */
static void write_terms(const struct wk_member_term *terms, size_t count,
                        char out[WK_FIELD_TEXT_MAX])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count && len < WK_FIELD_TEXT_MAX; i++) {
        char from[24] = "", until[24] = "";

        if (terms[i].from_ms)
            snprintf(from, sizeof from, "%" PRId64, terms[i].from_ms);
        if (terms[i].until_ms)
            snprintf(until, sizeof until, "%" PRId64, terms[i].until_ms);
        len +=
            (size_t)snprintf(out + len, WK_FIELD_TEXT_MAX - len, "%s%s@%s%s%s%s%s", i ? "," : "",
                             wk_member_role_name(terms[i].role), terms[i].scope,
                             *from || *until ? " " : "", from, *from || *until ? "-" : "", until);
    }
}

void wk_member_value(const Yizhan__V1__MemberFile *file, Yizhan__V1__MemberField field,
                     char out[WK_FIELD_TEXT_MAX])
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = 0;

    out[0] = '\0';
    switch (fields[field].form) {
    case TEXT:
        snprintf(out, WK_FIELD_TEXT_MAX, "%s",
                 *(char *const *)((const char *)file + fields[field].offset));
        break;
    case KIND:
        snprintf(out, WK_FIELD_TEXT_MAX, "%s",
                 wk_document_enum_name(&yizhan__v1__member_kind__descriptor, (int)file->kind));
        break;
    case GENDER:
        if (file->gender)
            snprintf(
                out, WK_FIELD_TEXT_MAX, "%s",
                wk_document_enum_name(&yizhan__v1__member_gender__descriptor, (int)file->gender));
        break;
    case FEN:
        if (file->dues_base_fen)
            snprintf(out, WK_FIELD_TEXT_MAX, "%" PRIu64, file->dues_base_fen);
        break;
    case ROLES:
        for (; count < file->n_roles && count < WK_MEMBER_TERMS_MAX; count++)
            terms[count] = term_of(file->roles[count]);
        write_terms(terms, count, out);
        break;
    }
}

static struct wk_member_term read_term(bson_iter_t *entry)
{
    struct wk_member_term term = {.scope = ""};
    bson_t row;

    if (!wk_document_at(entry, &row))
        return term;
    term.role = (Yizhan__V1__MemberRole)wk_document_enum(&row, "role",
                                                         &yizhan__v1__member_role__descriptor);
    term.scope = wk_document_text(&row, "scope");
    term.from_ms = wk_document_time_ms(&row, "from");
    term.until_ms = wk_document_time_ms(&row, "until");
    return term;
}

size_t wk_member_terms(const bson_t *file, struct wk_member_term terms[WK_MEMBER_TERMS_MAX])
{
    bson_iter_t entries;
    size_t count = 0;

    if (!file || !wk_document_array(file, "roles", &entries))
        return 0;
    while (count < WK_MEMBER_TERMS_MAX && bson_iter_next(&entries))
        terms[count++] = read_term(&entries);
    return count;
}

static bool names(const char *const *scopes, size_t count, const char *scope)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(scopes[i], scope) == 0)
            return true;
    }
    return false;
}

size_t wk_member_scopes(const bson_t *file, const char *scopes[WK_MEMBER_TERMS_MAX])
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t term_count = wk_member_terms(file, terms), count = 0;

    if (term_count > 0 && strcmp(wk_document_text(file, "status"), "MEMBER_ACTIVE") != 0)
        return 0;
    for (size_t i = 0; i < term_count; i++) {
        if (!names(scopes, count, terms[i].scope))
            scopes[count++] = terms[i].scope;
    }
    return count;
}

size_t wk_member_ended(const bson_t *change, const char *scopes[WK_MEMBER_TERMS_MAX])
{
    bson_iter_t entries;
    size_t count = 0;

    if (!change || !wk_document_array(change, "ended", &entries))
        return 0;
    while (count < WK_MEMBER_TERMS_MAX && bson_iter_next(&entries)) {
        if (BSON_ITER_HOLDS_UTF8(&entries))
            scopes[count++] = bson_iter_utf8(&entries, NULL);
    }
    return count;
}

void wk_member_stored_value(const bson_t *document, Yizhan__V1__MemberField field,
                            char out[WK_FIELD_TEXT_MAX])
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];

    out[0] = '\0';
    if (document && fields[field].form == ROLES)
        write_terms(terms, wk_member_terms(document, terms), out);
    else if (document)
        snprintf(out, WK_FIELD_TEXT_MAX, "%s", wk_document_text(document, fields[field].name));
}

enum yz_err wk_member_judge_days(const bson_t *old, const Yizhan__V1__MemberFile *file,
                                 uint32_t set, struct yz_violation *v)
{
    bool joins = set & WK_MEMBER_BIT(FIELD(JOINED_ON));
    bool is_born = set & WK_MEMBER_BIT(FIELD(BIRTHDAY));
    const char *joined, *birthday;

    if (!joins && !is_born)
        return YZ_OK;
    joined = joins ? file->joined_on : wk_document_text(old, "joined_on");
    birthday = is_born ? file->birthday : wk_document_text(old, "birthday");
    if (!*joined || !*birthday || strcmp(joined, birthday) >= 0)
        return YZ_OK;
    return joins ? yz_violate(v, YZ_INVALID_VALUE, "file.joinedOn", "It is before the birthday.")
                 : yz_violate(v, YZ_INVALID_VALUE, "file.birthday",
                              "It is after the day of joining that stands in the file.");
}

static bool holds(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (strcspn(p, ",") == len && strncmp(p, name, len) == 0)
            return true;
    }
    return false;
}

void wk_member_roles_over(const bson_t *file, const char *org_path, int64_t at_ms,
                          char out[WK_ROLES_TEXT_MAX])
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = wk_member_terms(file, terms), len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *name = wk_member_role_name(terms[i].role);

        if (terms[i].from_ms > at_ms || (terms[i].until_ms && terms[i].until_ms <= at_ms) ||
            !*name || !yz_org_covers(terms[i].scope, org_path) || holds(out, name))
            continue;
        len += (size_t)snprintf(out + len, WK_ROLES_TEXT_MAX - len, "%s%s", len ? "," : "", name);
    }
}

/* Its new name, when it lies in what was moved and a path has room for it. */
static void move_scope(const char *scope, const struct wk_member_patch *patch,
                       char out[YZ_ORG_PATH_MAX])
{
    if (patch->scope_from && yz_org_covers(patch->scope_from, scope) &&
        strlen(patch->scope_to) + strlen(scope) - strlen(patch->scope_from) < YZ_ORG_PATH_MAX)
        snprintf(out, YZ_ORG_PATH_MAX, "%s%s", patch->scope_to, scope + strlen(patch->scope_from));
    else
        snprintf(out, YZ_ORG_PATH_MAX, "%s", scope);
}

static void append_terms(bson_t *document, const struct wk_member_term *terms, size_t count,
                         const struct wk_member_patch *patch)
{
    bson_t list, row;

    BSON_APPEND_ARRAY_BEGIN(document, "roles", &list);
    for (size_t i = 0; i < count; i++) {
        char key[24], scope[YZ_ORG_PATH_MAX];

        snprintf(key, sizeof key, "%zu", i);
        move_scope(terms[i].scope, patch, scope);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &row);
        BSON_APPEND_UTF8(
            &row, "role",
            wk_document_enum_name(&yizhan__v1__member_role__descriptor, (int)terms[i].role));
        BSON_APPEND_UTF8(&row, "scope", scope);
        if (terms[i].from_ms)
            BSON_APPEND_DATE_TIME(&row, "from", terms[i].from_ms);
        if (terms[i].until_ms)
            BSON_APPEND_DATE_TIME(&row, "until", terms[i].until_ms);
        bson_append_document_end(&list, &row);
    }
    bson_append_array_end(document, &list);
}

static void append_roles(bson_t *document, const bson_t *old, const struct wk_member_patch *patch)
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = 0;

    if (!(patch->set & WK_MEMBER_BIT(FIELD(ROLES))))
        count = wk_member_terms(old, terms);
    else
        for (; count < patch->file->n_roles && count < WK_MEMBER_TERMS_MAX; count++)
            terms[count] = term_of(patch->file->roles[count]);
    append_terms(document, terms, count, patch);
}

struct sealing {
    const struct wk_context *context;
    const char *tenant, *member;
    const bson_t *key;
};

static void append_sealed(bson_t *document, Yizhan__V1__MemberField field, const bson_t *old,
                          const struct sealing *sealing, const struct wk_member_patch *patch)
{
    const struct wk_vault_place place = {sealing->tenant, sealing->member, fields[field].name};
    char value[WK_FIELD_TEXT_MAX];
    bson_iter_t kept;
    enum yz_err err;

    if (patch->drop_sealed)
        return;
    if (!(patch->set & WK_MEMBER_BIT(field))) {
        if (old && bson_iter_init_find(&kept, old, fields[field].name))
            bson_append_iter(document, NULL, 0, &kept);
        return;
    }
    wk_member_value(patch->file, field, value);
    if (!*value)
        return;
    err = wk_vault_seal(sealing->context->vault, sealing->key, &place, value, document);
    if (err && err != YZ_NOT_FOUND) /* NOT_FOUND: a replay, and the key was deleted since */
        yz_error("field_not_sealed", "field=%s code=%s", fields[field].name, yz_err_code(err));
}

static void append_fields(bson_t *document, const bson_t *old, const struct sealing *sealing,
                          const struct wk_member_patch *patch)
{
    char value[WK_FIELD_TEXT_MAX];

    for (Yizhan__V1__MemberField field = FIRST; field <= LAST; field++) {
        if (fields[field].form == ROLES) {
            append_roles(document, old, patch);
        } else if (fields[field].sealed) {
            append_sealed(document, field, old, sealing, patch);
        } else {
            if (patch->set & WK_MEMBER_BIT(field))
                wk_member_value(patch->file, field, value);
            else
                wk_member_stored_value(old, field, value);
            BSON_APPEND_UTF8(document, fields[field].name, value);
        }
    }
}

static void append_place(bson_t *document, const char *org_path)
{
    char path[YZ_ORG_PATH_MAX], key[24];
    bson_t scopes;
    size_t count = 0;

    BSON_APPEND_UTF8(document, "org_path", org_path);
    BSON_APPEND_ARRAY_BEGIN(document, "scopes", &scopes);
    for (const char *end = org_path; end; count++) {
        end = strchr(end + (count > 0), '/');
        snprintf(path, sizeof path, "%.*s", end ? (int)(end - org_path) : (int)strlen(org_path),
                 org_path);
        snprintf(key, sizeof key, "%zu", count);
        BSON_APPEND_UTF8(&scopes, key, path);
    }
    bson_append_array_end(document, &scopes);
}

/* Ordered by name; of one name, by member. U+0001 stands before whatever a name goes on with. */
static void append_name_key(bson_t *document, const char *member)
{
    char key[WK_FIELD_TEXT_MAX];

    snprintf(key, sizeof key, "%s\x01%s", wk_document_text(document, "name"), member);
    BSON_APPEND_UTF8(document, "name_key", key);
}

static void append_status(bson_t *document, const bson_t *old, const struct wk_member_patch *patch)
{
    int64_t archived_at = old ? wk_document_time_ms(old, "archived_at") : 0;
    const char *reason = old ? wk_document_text(old, "archive_reason") : "";

    if (patch->archive_reason) {
        archived_at = patch->at_ms;
        reason = patch->archive_reason;
    }
    BSON_APPEND_UTF8(document, "status", archived_at ? "MEMBER_ARCHIVED" : "MEMBER_ACTIVE");
    if (archived_at) {
        BSON_APPEND_DATE_TIME(document, "archived_at", archived_at);
        BSON_APPEND_UTF8(document, "archive_reason", reason);
    }
}

bson_t *wk_member_patched(const struct wk_context *context, const struct wk_event *event,
                          const char *member, const bson_t *old, const bson_t *key,
                          const struct wk_member_patch *patch)
{
    const struct sealing sealing = {context, event->env->actor.tenant, member, key};
    int64_t registered_at = old ? wk_document_time_ms(old, "registered_at") : patch->at_ms;
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "member_id", member);
    append_place(document, patch->org_path ? patch->org_path : wk_document_text(old, "org_path"));
    append_status(document, old, patch);
    append_fields(document, old, &sealing, patch);
    append_name_key(document, member);
    BSON_APPEND_INT64(document, "revision", patch->revision);
    BSON_APPEND_DATE_TIME(document, "registered_at", registered_at);
    BSON_APPEND_DATE_TIME(document, "changed_at", patch->at_ms);
    return document;
}

struct history {
    bson_t list;
    size_t count;
};

static void note(struct history *history, Yizhan__V1__MemberField field, const char *before,
                 const char *after)
{
    char key[24];
    bson_t row;

    snprintf(key, sizeof key, "%zu", history->count++);
    BSON_APPEND_DOCUMENT_BEGIN(&history->list, key, &row);
    BSON_APPEND_UTF8(&row, "field",
                     wk_document_enum_name(&yizhan__v1__member_field__descriptor, (int)field));
    if (before) {
        BSON_APPEND_UTF8(&row, "before", before);
        BSON_APPEND_UTF8(&row, "after", after);
    } else {
        BSON_APPEND_BOOL(&row, "encrypted", true);
    }
    bson_append_document_end(&history->list, &row);
}

static void note_text(struct history *history, Yizhan__V1__MemberField field, const bson_t *old,
                      const bson_t *changed, const char *name)
{
    const char *before = old ? wk_document_text(old, name) : "";
    const char *after = wk_document_text(changed, name);

    if (strcmp(before, after) != 0)
        note(history, field, before, after);
}

/* A sealed field is told when it was set, unless it was empty and stays so. */
static void note_field(struct history *history, Yizhan__V1__MemberField field, const bson_t *old,
                       const bson_t *changed, const struct wk_member_patch *patch)
{
    char before[WK_FIELD_TEXT_MAX], after[WK_FIELD_TEXT_MAX];
    bson_iter_t iter;

    if (fields[field].sealed) {
        if ((patch->set & WK_MEMBER_BIT(field)) &&
            (bson_iter_init_find(&iter, changed, fields[field].name) ||
             (old && bson_iter_init_find(&iter, old, fields[field].name))))
            note(history, field, NULL, NULL);
        return;
    }
    wk_member_stored_value(old, field, before);
    wk_member_stored_value(changed, field, after);
    if (strcmp(before, after) != 0)
        note(history, field, before, after);
}

/* The orgs that roles of old alone name. A list of the entry, which is written before the file:
 * that tells only how it is in the end. */
static void append_ended(bson_t *document, const bson_t *old, const bson_t *changed)
{
    const char *before[WK_MEMBER_TERMS_MAX], *after[WK_MEMBER_TERMS_MAX];
    size_t before_count = wk_member_scopes(old, before);
    size_t after_count = wk_member_scopes(changed, after), count = 0;
    char key[24];
    bson_t list;

    BSON_APPEND_ARRAY_BEGIN(document, "ended", &list);
    for (size_t i = 0; i < before_count; i++) {
        if (names(after, after_count, before[i]))
            continue;
        snprintf(key, sizeof key, "%zu", count++);
        BSON_APPEND_UTF8(&list, key, before[i]);
    }
    bson_append_array_end(document, &list);
}

bson_t *wk_member_change(const struct wk_event *event, const char *member, const bson_t *old,
                         const bson_t *changed, const struct wk_member_patch *patch,
                         const char *basis)
{
    bson_t *document = bson_new();
    struct history history = {.count = 0};

    BSON_APPEND_UTF8(document, "member_id", member);
    BSON_APPEND_INT64(document, "revision", patch->revision);
    BSON_APPEND_UTF8(document, "changed_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "changed_at", patch->at_ms);
    BSON_APPEND_UTF8(document, "basis", basis);
    BSON_APPEND_ARRAY_BEGIN(document, "fields", &history.list);
    for (Yizhan__V1__MemberField field = FIRST; field <= LAST; field++)
        note_field(&history, field, old, changed, patch);
    note_text(&history, FIELD(ORG), old, changed, "org_path");
    note_text(&history, FIELD(STATUS), old, changed, "status");
    if (patch->drop_sealed)
        note(&history, FIELD(KEY), NULL, NULL);
    bson_append_array_end(document, &history.list);
    append_ended(document, old, changed);
    return document;
}

void wk_member_owe_placing(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                           const bson_t *file, const char *org_path, bool left, int64_t at_ms)
{
    Yizhan__V1__MemberPlaced placed = YIZHAN__V1__MEMBER_PLACED__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(at_ms);
    char roles[WK_ROLES_TEXT_MAX];

    wk_member_roles_over(file, org_path, at_ms, roles);
    placed.org_path = (char *)(uintptr_t)org_path;
    placed.member_id = (char *)(uintptr_t)wk_document_text(file, "member_id");
    placed.revision = (uint64_t)wk_document_number(file, "revision");
    placed.left = left;
    placed.kind = (Yizhan__V1__MemberKind)wk_document_enum(file, "kind",
                                                           &yizhan__v1__member_kind__descriptor);
    placed.roles = roles;
    placed.at = &at;
    wk_later(fold, ordinal, event->received_at_ms, "member.placed", &placed.base);
}

void wk_member_push_change(const struct wk_event *event, struct wk_fold *fold, const char *member,
                           uint64_t revision, Yizhan__V1__MemberField *changed, size_t count,
                           const char *basis)
{
    Yizhan__V1__MemberFileChanged push = YIZHAN__V1__MEMBER_FILE_CHANGED__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(event->received_at_ms);
    struct yz_channel channel = {.kind = YZ_CHANNEL_MEMBER};
    char name[YZ_CHANNEL_MAX];

    snprintf(channel.id, sizeof channel.id, "%s", member);
    yz_channel_name(&channel, name);
    push.member_id = (char *)(uintptr_t)member;
    push.revision = revision;
    push.changed_by = (char *)(uintptr_t)event->env->actor.member;
    push.fields = changed;
    push.n_fields = count;
    push.basis = (char *)(uintptr_t)basis;
    push.changed_at = &at;
    wk_push(fold, name, "member.file_changed", &push.base, NULL);
}
