#include "workers/ctl/roll.h"

#include "common/memory.h"
#include "schemas/contract.h"
#include "workers/document.h"
#include "workers/domains/member.h"
#include "workers/domains/org.h"
#include "workers/outcome.h"

#include "common/table.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE      "member.registered"
#define ROLES_MAX 16
#define CHUNK     500
#define UNSET     SIZE_MAX

/* The columns, in English and as a secretary calls them; and the field of the contract. */
enum column {
    MEMBER_ID,
    ORG_PATH,
    NAME,
    KIND,
    GENDER,
    BIRTHDAY,
    JOINED_ON,
    FULL_ON,
    EDUCATION,
    POSITION,
    ID_NUMBER,
    PHONE,
    DUES_BASE,
    ROLES,
    BASIS,
    COLUMNS
};
static const struct {
    const char *name, *chinese, *field;
    bool required;
} columns[COLUMNS] = {
    [MEMBER_ID] = {"member_id", "编号", "memberId", true},
    [ORG_PATH] = {"org_path", "组织", "orgPath", true},
    [NAME] = {"name", "姓名", "file.name", true},
    [KIND] = {"kind", "类别", "file.kind", true},
    [GENDER] = {"gender", "性别", "file.gender", false},
    [BIRTHDAY] = {"birthday", "出生日期", "file.birthday", false},
    [JOINED_ON] = {"joined_on", "入党日期", "file.joinedOn", false},
    [FULL_ON] = {"full_on", "转正日期", "file.fullOn", false},
    [EDUCATION] = {"education", "学历", "file.education", false},
    [POSITION] = {"position", "职务", "file.position", false},
    [ID_NUMBER] = {"id_number", "身份证号", "file.idNumber", false},
    [PHONE] = {"phone", "手机", "file.phone", false},
    [DUES_BASE] = {"dues_base", "党费基数", "file.duesBaseFen", false},
    [ROLES] = {"roles", "角色", "file.roles", false},
    [BASIS] = {"basis", "依据", "basis", false},
};

/* A text that stands in an earlier row, too. */
struct seen {
    const char *text;
    int line;
    UT_hash_handle hh;
};

struct reader {
    struct ctl_roll *roll;
    struct ctl_sheet *sheet;
    const struct yz_actor *actor;
    const char *basis;
    const struct yz_event_type *type;
    size_t at[COLUMNS]; /* in the sheet; UNSET: none */
    struct seen *members, *id_numbers;
    struct seen *orgs; /* line 0: it is live */
};

/* One row as a message. */
struct draft {
    Yizhan__V1__MemberRegistered message;
    Yizhan__V1__MemberFile file;
    Yizhan__V1__MemberRoleTerm terms[ROLES_MAX], *list[ROLES_MAX];
    char roles[2048];
};

static const char *cell(const struct reader *reader, const struct ctl_sheet_row *row,
                        enum column column)
{
    return reader->at[column] == UNSET ? "" : row->cells[reader->at[column]];
}

static const char *name_of(const struct reader *reader, enum column column)
{
    return reader->at[column] == UNSET ? columns[column].name
                                       : reader->sheet->names[reader->at[column]];
}

static void complain(struct reader *reader, const struct ctl_sheet_row *row, enum column column,
                     const char *text)
{
    ctl_sheet_complain(reader->sheet, row->line, name_of(reader, column), "%s", text);
}

static bool find_columns(struct reader *reader)
{
    struct ctl_sheet *sheet = reader->sheet;
    bool known[CTL_SHEET_COLUMNS_MAX] = {false};
    size_t before = sheet->error_count;

    for (enum column c = 0; c < COLUMNS; c++) {
        size_t at = ctl_sheet_column(sheet, columns[c].name);

        if (at == sheet->columns)
            at = ctl_sheet_column(sheet, columns[c].chinese);
        reader->at[c] = at == sheet->columns ? UNSET : at;
        if (at < sheet->columns)
            known[at] = true;
        else if (columns[c].required)
            ctl_sheet_complain(sheet, 1, columns[c].name, "the column is missing");
    }
    for (size_t i = 0; i < sheet->columns; i++) {
        if (!known[i])
            ctl_sheet_complain(sheet, 1, sheet->names[i], "there is no such column");
    }
    return sheet->error_count == before;
}

/* 0: none of them. */
static int choose(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return (int)(i % 3) + 1;
    }
    return 0;
}

static void read_kind(struct reader *reader, const struct ctl_sheet_row *row, struct draft *draft)
{
    static const char *const words[] = {"FULL",     "PROBATIONARY", "APPLICANT",
                                        "正式党员", "预备党员",     "入党积极分子"};
    const char *text = cell(reader, row, KIND);

    draft->file.kind = (Yizhan__V1__MemberKind)choose(text, words, sizeof words / sizeof words[0]);
    if (!draft->file.kind && *text) {
        complain(reader, row, KIND,
                 "it is FULL, PROBATIONARY or APPLICANT (正式党员, 预备党员, "
                 "入党积极分子)");
        draft->file.kind = YIZHAN__V1__MEMBER_KIND__FULL;
    }
}

static void read_gender(struct reader *reader, const struct ctl_sheet_row *row, struct draft *draft)
{
    static const char *const words[] = {"FEMALE", "MALE", "", "女", "男", ""};
    const char *text = cell(reader, row, GENDER);

    if (!*text)
        return;
    draft->file.gender =
        (Yizhan__V1__MemberGender)choose(text, words, sizeof words / sizeof words[0]);
    if (!draft->file.gender)
        complain(reader, row, GENDER, "it is FEMALE or MALE (女, 男)");
}

/* Yuan with at most two decimals, in fen. */
static bool read_yuan(const char *text, uint64_t *fen)
{
    size_t whole = strspn(text, "0123456789");
    const char *rest = text + whole;
    size_t decimals = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;

    if (whole == 0 || whole > 12 || (*rest == '.' && (decimals == 0 || decimals > 2)) ||
        (*rest && rest[1 + decimals]) || (*rest && *rest != '.'))
        return false;
    *fen = strtoull(text, NULL, 10) * 100;
    if (decimals > 0)
        *fen += (uint64_t)(rest[1] - '0') * 10 + (decimals == 2 ? (uint64_t)(rest[2] - '0') : 0);
    return true;
}

static void read_dues(struct reader *reader, const struct ctl_sheet_row *row, struct draft *draft)
{
    const char *text = cell(reader, row, DUES_BASE);

    if (*text && !read_yuan(text, &draft->file.dues_base_fen))
        complain(reader, row, DUES_BASE, "it is an amount in yuan, as 5000 or 5000.50");
}

static bool read_role(const struct reader *reader, char *text, Yizhan__V1__MemberRoleTerm *term)
{
    static const char *const names[] = {"secretary", "inspector", "admin"};
    char *at = strchr(text, '@');

    (void)reader;
    if (!at)
        return false;
    *at = '\0';
    yizhan__v1__member_role_term__init(term);
    term->role = (Yizhan__V1__MemberRole)choose(text, names, 3);
    term->scope = at + 1;
    return term->role != 0 && yz_org_path_valid(term->scope);
}

/* "secretary@g1/c1;inspector@g1" */
static void read_roles(struct reader *reader, const struct ctl_sheet_row *row, struct draft *draft)
{
    char *save = NULL;

    draft->file.roles = draft->list;
    snprintf(draft->roles, sizeof draft->roles, "%s", cell(reader, row, ROLES));
    for (char *text = strtok_r(draft->roles, "; ", &save); text;
         text = strtok_r(NULL, "; ", &save)) {
        Yizhan__V1__MemberRoleTerm *term = &draft->terms[draft->file.n_roles];

        if (draft->file.n_roles == ROLES_MAX || !read_role(reader, text, term)) {
            complain(reader, row, ROLES,
                     "roles are secretary@PATH, inspector@PATH, admin@PATH, at most 16, with ; "
                     "between them");
            draft->file.n_roles = 0;
            return;
        }
        if (!yz_actor_has_role(reader->actor, "admin", term->scope))
            complain(reader, row, ROLES, "only an admin over its scope gives a role");
        draft->list[draft->file.n_roles++] = term;
    }
}

static char *text_in(const struct reader *reader, const struct ctl_sheet_row *row,
                     enum column column)
{
    return (char *)(uintptr_t)cell(reader, row, column);
}

static void read_draft(struct reader *reader, const struct ctl_sheet_row *row, struct draft *draft)
{
    const char *basis = cell(reader, row, BASIS);

    yizhan__v1__member_registered__init(&draft->message);
    yizhan__v1__member_file__init(&draft->file);
    draft->message.file = &draft->file;
    draft->message.member_id = text_in(reader, row, MEMBER_ID);
    draft->message.org_path = text_in(reader, row, ORG_PATH);
    draft->message.basis = (char *)(uintptr_t)(*basis ? basis : reader->basis ? reader->basis : "");
    draft->file.name = text_in(reader, row, NAME);
    draft->file.birthday = text_in(reader, row, BIRTHDAY);
    draft->file.joined_on = text_in(reader, row, JOINED_ON);
    draft->file.full_on = text_in(reader, row, FULL_ON);
    draft->file.education = text_in(reader, row, EDUCATION);
    draft->file.position = text_in(reader, row, POSITION);
    draft->file.id_number = text_in(reader, row, ID_NUMBER);
    draft->file.phone = text_in(reader, row, PHONE);
    read_kind(reader, row, draft);
    read_gender(reader, row, draft);
    read_dues(reader, row, draft);
    read_roles(reader, row, draft);
}

static enum column column_of(const char *field)
{
    for (enum column c = 0; c < COLUMNS; c++) {
        if (strncmp(field, columns[c].field, strlen(columns[c].field)) == 0)
            return c;
    }
    return COLUMNS;
}

/* Something that the contract takes, so that it goes on to the next mistake. */
static void heal(struct draft *draft, enum column column)
{
    static char id[] = "x", none[] = "";
    char **texts[COLUMNS] = {
        [MEMBER_ID] = &draft->message.member_id,
        [ORG_PATH] = &draft->message.org_path,
        [NAME] = &draft->file.name,
        [BASIS] = &draft->message.basis,
        [BIRTHDAY] = &draft->file.birthday,
        [JOINED_ON] = &draft->file.joined_on,
        [FULL_ON] = &draft->file.full_on,
        [EDUCATION] = &draft->file.education,
        [POSITION] = &draft->file.position,
        [ID_NUMBER] = &draft->file.id_number,
        [PHONE] = &draft->file.phone,
    };
    bool needed = columns[column].required || column == BASIS;

    if (texts[column])
        *texts[column] = needed ? id : none;
    else if (column == KIND)
        draft->file.kind = YIZHAN__V1__MEMBER_KIND__FULL;
    else if (column == ROLES)
        draft->file.n_roles = 0;
    else if (column == DUES_BASE)
        draft->file.dues_base_fen = 0;
}

/* All that the contract finds wrong, one after the other. */
static void check(struct reader *reader, const struct ctl_sheet_row *row, const struct draft *found)
{
    struct draft draft = *found;
    struct yz_violation v;

    draft.message.file = &draft.file;
    for (int tries = 0; tries < COLUMNS && reader->type->check(&draft.message.base, &v); tries++) {
        enum column column = column_of(v.field);

        if (column == COLUMNS)
            return;
        complain(reader, row, column, yz_violation_text(&v));
        heal(&draft, column);
    }
}

static void note(struct reader *reader, struct seen **table, const struct ctl_sheet_row *row,
                 enum column column)
{
    const char *text = cell(reader, row, column);
    struct seen *seen;
    char told[64];

    if (!*text)
        return;
    HASH_FIND_STR(*table, text, seen);
    if (seen) {
        snprintf(told, sizeof told, "it stands in line %d already", seen->line);
        complain(reader, row, column, told);
        return;
    }
    seen = yz_calloc(1, sizeof *seen);
    seen->text = text;
    seen->line = row->line;
    HASH_ADD_KEYPTR(hh, *table, seen->text, strlen(seen->text), seen);
}

static void forget(struct seen **table)
{
    struct seen *seen, *next;

    HASH_ITER(hh, *table, seen, next)
    {
        HASH_DEL(*table, seen);
        free(seen);
    }
}

/* "im-" and the hash of tenant and payload, of which what a file keeps encrypted is left out: an
 * event id stays in clear for good, and an id number can be guessed from its hash. */
static void name_event(struct ctl_roll_entry *entry, const struct draft *draft)
{
    Yizhan__V1__MemberRegistered plain = draft->message;
    Yizhan__V1__MemberFile file = *draft->message.file;
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned len = 0;
    size_t at = 3, size;
    uint8_t *bytes;

    plain.file = &file;
    file.id_number = file.phone = (char *)(uintptr_t)protobuf_c_empty_string;
    file.dues_base_fen = 0;
    bytes = yz_malloc(protobuf_c_message_get_packed_size(&plain.base) + 1);
    size = protobuf_c_message_pack(&plain.base, bytes);
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(ctx, entry->env.actor.tenant, strlen(entry->env.actor.tenant) + 1) ||
        !EVP_DigestUpdate(ctx, bytes, size) || !EVP_DigestFinal_ex(ctx, digest, &len))
        abort();
    EVP_MD_CTX_free(ctx);
    free(bytes);
    snprintf(entry->env.event_id, sizeof entry->env.event_id, "im-");
    for (unsigned i = 0; i < 20 && i < len; i++, at += 2)
        snprintf(entry->env.event_id + at, sizeof entry->env.event_id - at, "%02x", digest[i]);
}

static void add_entry(struct reader *reader, const struct ctl_sheet_row *row,
                      const struct draft *draft)
{
    struct ctl_roll_entry *entry = &reader->roll->entries[reader->roll->count++];

    entry->line = row->line;
    entry->env.actor = *reader->actor;
    snprintf(entry->env.type, sizeof entry->env.type, TYPE);
    entry->payload = yz_malloc(protobuf_c_message_get_packed_size(&draft->message.base) + 1);
    entry->len = protobuf_c_message_pack(&draft->message.base, entry->payload);
    reader->type->aggregate(&draft->message.base, reader->actor, entry->env.aggregate);
    name_event(entry, draft);
}

static void read_row(struct reader *reader, const struct ctl_sheet_row *row)
{
    size_t before = reader->sheet->error_count;
    struct draft draft;
    struct seen *org;

    read_draft(reader, row, &draft);
    check(reader, row, &draft);
    note(reader, &reader->members, row, MEMBER_ID);
    note(reader, &reader->id_numbers, row, ID_NUMBER);
    if (yz_org_path_valid(draft.message.org_path)) {
        if (yz_authorize(reader->type->authority, reader->actor, draft.message.org_path))
            complain(reader, row, ORG_PATH, "no role of --role covers this org");
        HASH_FIND_STR(reader->orgs, draft.message.org_path, org);
        if (org && org->line)
            complain(reader, row, ORG_PATH, "there is no such org: org.founded founds it");
    }
    if (reader->sheet->error_count == before)
        add_entry(reader, row, &draft);
}

/* Rows of a collection by their ids, some at a time. */
static enum yz_err ask(struct ctl_database *db, const char *collection, char (*ids)[WK_ID_MAX],
                       size_t count, wk_row_fn *on_row, void *arg)
{
    enum yz_err err = YZ_OK;

    for (size_t from = 0; !err && from < count; from += CHUNK) {
        const char *list[CHUNK];
        size_t some = count - from < CHUNK ? count - from : CHUNK;

        for (size_t i = 0; i < some; i++)
            list[i] = ids[from + i];
        err = wk_store_get_many(db->store, collection, list, some, on_row, arg);
    }
    return err;
}

static bool on_org(void *arg, const bson_t *row)
{
    struct reader *reader = arg;
    const char *path = wk_document_text(row, "org_path");
    bson_iter_t live;
    struct seen *org;

    HASH_FIND_STR(reader->orgs, path, org);
    if (org && bson_iter_init_find(&live, row, "live") && bson_iter_as_bool(&live))
        org->line = 0;
    return true;
}

/* Which of the orgs that the file names are there. */
static enum yz_err find_orgs(struct reader *reader, struct ctl_database *db)
{
    char(*ids)[WK_ID_MAX] = yz_calloc(reader->sheet->count + 1, WK_ID_MAX);
    size_t count = 0;
    enum yz_err err;

    for (size_t i = 0; i < reader->sheet->count; i++) {
        const char *path = cell(reader, &reader->sheet->rows[i], ORG_PATH);
        struct seen *org;

        HASH_FIND_STR(reader->orgs, path, org);
        if (org || !yz_org_path_valid(path))
            continue;
        org = yz_calloc(1, sizeof *org);
        org->text = path;
        org->line = reader->sheet->rows[i].line;
        HASH_ADD_KEYPTR(hh, reader->orgs, org->text, strlen(org->text), org);
        wk_org_id(ids[count++], reader->actor->tenant, path);
    }
    err = ask(db, WK_ORGS, ids, count, on_org, reader);
    free(ids);
    return err;
}

/* By id of its outcome or file, the entry. */
struct lookup {
    struct reader *reader;
    struct entry_of {
        const char *id;
        struct ctl_roll_entry *entry;
        UT_hash_handle hh;
    } * table, *items;
};

static bool on_outcome(void *arg, const bson_t *row)
{
    struct lookup *lookup = arg;
    const char *id = wk_document_text(row, "_id");
    struct entry_of *item;

    HASH_FIND_STR(lookup->table, id, item);
    if (item)
        item->entry->known = true;
    return true;
}

static bool on_file(void *arg, const bson_t *row)
{
    struct lookup *lookup = arg;
    const char *id = wk_document_text(row, "_id");
    struct entry_of *item;

    HASH_FIND_STR(lookup->table, id, item);
    if (item && !item->entry->known)
        ctl_sheet_complain(lookup->reader->sheet, item->entry->line,
                           name_of(lookup->reader, MEMBER_ID),
                           "there is another file of this member already");
    return true;
}

static enum yz_err look_up(struct reader *reader, struct ctl_database *db, const char *collection,
                           wk_row_fn *on_row)
{
    struct ctl_roll *roll = reader->roll;
    char(*ids)[WK_ID_MAX] = yz_calloc(roll->count + 1, WK_ID_MAX);
    struct lookup lookup = {.reader = reader,
                            .items = yz_calloc(roll->count + 1, sizeof *lookup.items)};
    enum yz_err err;

    for (size_t i = 0; i < roll->count; i++) {
        struct ctl_roll_entry *entry = &roll->entries[i];
        struct entry_of *item = &lookup.items[i];

        if (on_row == on_outcome)
            wk_outcome_id(&entry->env, ids[i]);
        else
            wk_member_id(ids[i], reader->actor->tenant, strchr(entry->env.aggregate, '|') + 1);
        item->id = ids[i];
        item->entry = entry;
        HASH_ADD_KEYPTR(hh, lookup.table, item->id, strlen(item->id), item);
    }
    err = ask(db, collection, ids, roll->count, on_row, &lookup);
    HASH_CLEAR(hh, lookup.table);
    free(lookup.items);
    free(ids);
    return err;
}

enum yz_err ctl_roll_read(struct ctl_roll *roll, struct ctl_sheet *sheet,
                          const struct yz_actor *actor, const char *basis, struct ctl_database *db)
{
    struct reader reader = {.roll = roll,
                            .sheet = sheet,
                            .actor = actor,
                            .basis = basis,
                            .type = yz_event_type_find(TYPE, NULL)};
    enum yz_err err = YZ_OK;

    memset(roll, 0, sizeof *roll);
    if (!find_columns(&reader))
        return YZ_OK;
    roll->entries = yz_calloc(sheet->count + 1, sizeof *roll->entries);
    if (db)
        err = find_orgs(&reader, db);
    for (size_t i = 0; !err && i < sheet->count; i++)
        read_row(&reader, &sheet->rows[i]);
    if (!err && db && !(err = look_up(&reader, db, WK_OUTCOMES, on_outcome)))
        err = look_up(&reader, db, WK_MEMBERS, on_file);
    forget(&reader.members);
    forget(&reader.id_numbers);
    forget(&reader.orgs);
    return err;
}

void ctl_roll_deinit(struct ctl_roll *roll)
{
    for (size_t i = 0; i < roll->count; i++)
        free(roll->entries[i].payload);
    free(roll->entries);
    memset(roll, 0, sizeof *roll);
}
