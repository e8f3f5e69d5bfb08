/* Members' files and the rosters of branches, folded without a database. */
#include "drive.h"

#include "workers/domains/member.h"
#include "workers/domains/org.h"

#include <member.pb-c.h>
#include <stdio.h>

#define FIELD(name)  YIZHAN__V1__MEMBER_FIELD__FIELD_##name
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define ROWS_MAX 4096

static struct drive d;
static bool row_done[ROWS_MAX];

static void preset_org(const char *path, bool live)
{
    bson_t *org = BCON_NEW("org_path", BCON_UTF8(path), "live", BCON_BOOL(live));
    char id[WK_ID_MAX];

    wk_org_id(id, "t1", path);
    wk_fold_preset(d.fold, WK_ORGS, id, org, 1);
    bson_destroy(org);
}

static int set_up(void **state)
{
    (void)state;
    drive_init(&d);
    d.roles = "member,secretary@g1";
    memset(row_done, 0, sizeof row_done);
    preset_org("g1/b1", true);
    preset_org("g1/b2", true);
    preset_org("g1/old", false);
    preset_org("g2/b1", true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_deinit(&d);
    return 0;
}

static size_t row_count(void)
{
    size_t count;

    wk_fold_rows(d.fold, &count);
    return count;
}

/* What was owed and is due becomes events, each once, and what they owe too. */
static void run_due_rows(void)
{
    for (size_t at = 0; at < row_count(); at++) {
        size_t count;
        const struct wk_fold_row *row = &wk_fold_rows(d.fold, &count)[at];
        const struct yz_event_type *type = yz_event_type_find(row->type, NULL);
        ProtobufCMessage *message;
        char name[YZ_TYPE_MAX];

        assert_true(at < ROWS_MAX);
        if (row_done[at] || row->due_at_ms > d.now_ms)
            continue;
        row_done[at] = true;
        assert_int_equal(type->authority, YZ_BY_SYSTEM);
        snprintf(name, sizeof name, "%s", row->type);
        message = protobuf_c_message_unpack(type->payload, NULL, row->payload_len, row->payload);
        assert_non_null(message);
        assert_int_equal(drive(&d, "sec", "g1", name, message), YZ_OK);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static Yizhan__V1__MemberFile new_file(const char *name)
{
    Yizhan__V1__MemberFile file = YIZHAN__V1__MEMBER_FILE__INIT;

    file.name = (char *)(uintptr_t)name;
    file.kind = YIZHAN__V1__MEMBER_KIND__FULL;
    file.id_number = (char *)(uintptr_t) "11010119900307803X";
    file.phone = (char *)(uintptr_t) "13800138000";
    file.dues_base_fen = 500000;
    return file;
}

static enum yz_err register_file(const char *member, const char *org_path,
                                 Yizhan__V1__MemberFile *file)
{
    Yizhan__V1__MemberRegistered message = YIZHAN__V1__MEMBER_REGISTERED__INIT;

    message.org_path = (char *)(uintptr_t)org_path;
    message.member_id = (char *)(uintptr_t)member;
    message.file = file;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "sec", "g1", "member.registered", &message.base);
}

static enum yz_err registered(const char *member, const char *org_path)
{
    Yizhan__V1__MemberFile file = new_file("Zhang");

    return register_file(member, org_path, &file);
}

static Yizhan__V1__MemberChanged new_change(uint64_t revision, Yizhan__V1__MemberFile *file,
                                            Yizhan__V1__MemberField *fields, size_t count)
{
    Yizhan__V1__MemberChanged message = YIZHAN__V1__MEMBER_CHANGED__INIT;

    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "m1";
    message.revision = revision;
    message.file = file;
    message.fields = fields;
    message.n_fields = count;
    message.basis = (char *)(uintptr_t) "basis";
    return message;
}

static enum yz_err rename_to(uint64_t revision, const char *name)
{
    Yizhan__V1__MemberField field = FIELD(NAME);
    Yizhan__V1__MemberFile file = new_file(name);
    Yizhan__V1__MemberChanged message = new_change(revision, &file, &field, 1);

    return drive(&d, "sec", "g1", "member.changed", &message.base);
}

static const bson_t *file_of(const char *member)
{
    char id[WK_ID_MAX];

    wk_member_id(id, "t1", member);
    return drive_document(&d, WK_MEMBERS, id);
}

static const bson_t *branch_of(const char *path)
{
    char id[WK_ID_MAX];

    wk_branch_id(id, "t1", path);
    return drive_document(&d, WK_BRANCHES, id);
}

static struct wk_branch_member place_of(const char *path, const char *member)
{
    struct wk_branch_member found = {0};

    assert_true(wk_branch_find(branch_of(path), member, &found));
    return found;
}

static void opens_to(const char *member, const char *field, const char *wanted)
{
    const struct wk_vault_place place = {"t1", member, field};
    char id[WK_ID_MAX], value[WK_VAULT_VALUE_MAX + 1];

    wk_member_id(id, "t1", member);
    assert_int_equal(wk_vault_open_value(d.vault, drive_document(&d, WK_MEMBER_KEYS, id), &place,
                                         file_of(member), value),
                     YZ_OK);
    assert_string_equal(value, wanted);
}

static void refused(enum yz_err got, enum yz_err wanted, const char *field)
{
    assert_string_equal(yz_err_code(got), yz_err_code(wanted));
    assert_string_equal(d.v.field, field);
}

static void test_registered(void **state)
{
    Yizhan__V1__MemberFileChanged *push;
    const bson_t *file;
    char *text;

    (void)state;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    file = file_of("m1");
    assert_string_equal(wk_document_text(file, "org_path"), "g1/b1");
    assert_string_equal(wk_document_text(file, "status"), "MEMBER_ACTIVE");
    assert_int_equal(wk_document_number(file, "revision"), 1);
    opens_to("m1", "id_number", "11010119900307803X");
    opens_to("m1", "phone", "13800138000");
    opens_to("m1", "dues_base", "500000");
    text = bson_as_canonical_extended_json(file, NULL);
    assert_null(strstr(text, "13800138000"));
    assert_null(strstr(text, "11010119900307803X"));
    bson_free(text);
    push = (Yizhan__V1__MemberFileChanged *)drive_last_push(&d, "member.m1", "member.file_changed");
    assert_string_equal(push->changed_by, "sec");
    assert_int_equal(push->revision, 1);
    assert_int_equal(push->n_fields, 13);
    protobuf_c_message_free_unpacked(&push->base, NULL);
    run_due_rows();
    assert_int_equal(place_of("g1/b1", "m1").place, 0);
    assert_int_equal(place_of("g1/b1", "m1").kind, WK_MEMBER_FULL);
    assert_int_equal(place_of("g1/b1", "m1").joined_at_ms, DRIVE_START);
}

static void test_registered_refused(void **state)
{
    Yizhan__V1__MemberRoleTerm term = YIZHAN__V1__MEMBER_ROLE_TERM__INIT, *terms[] = {&term};
    Yizhan__V1__MemberFile file = new_file("Zhang");

    (void)state;
    refused(registered("m1", "g1/none"), YZ_UNKNOWN_ORG, "orgPath");
    refused(registered("m1", "g1/old"), YZ_UNKNOWN_ORG, "orgPath");
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    refused(registered("m1", "g1/b2"), YZ_EXISTS, "memberId");
    term.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    term.scope = (char *)(uintptr_t) "g1/b1";
    file.roles = terms;
    file.n_roles = 1;
    refused(register_file("m2", "g1/b1", &file), YZ_FORBIDDEN, "file.roles[0].scope");
    d.roles = "member,admin@g1/b1";
    assert_int_equal(register_file("m2", "g1/b1", &file), YZ_OK);
    term.scope = (char *)(uintptr_t) "g1";
    refused(register_file("m3", "g1/b1", &file), YZ_FORBIDDEN, "file.roles[0].scope");
}

/* The second of two secretaries who loaded the same revision loads again. */
static void test_stale_revision(void **state)
{
    (void)state;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    assert_int_equal(rename_to(2, "Li"), YZ_OK);
    refused(rename_to(2, "Wang"), YZ_STALE_REVISION, "revision");
    refused(rename_to(4, "Wang"), YZ_STALE_REVISION, "revision");
    assert_string_equal(wk_document_text(file_of("m1"), "name"), "Li");
    assert_int_equal(rename_to(3, "Wang"), YZ_OK);
    assert_string_equal(wk_document_text(file_of("m1"), "name"), "Wang");
    opens_to("m1", "phone", "13800138000");
}

static const bson_t *change_of(const char *revision)
{
    char id[WK_ID_MAX];

    wk_id(id, "t1", "m1", revision, NULL);
    return drive_document(&d, WK_MEMBER_CHANGES, id);
}

/* Plain fields with both values, those that are encrypted by name alone. */
static void test_history(void **state)
{
    Yizhan__V1__MemberField fields[] = {FIELD(NAME), FIELD(PHONE), FIELD(KIND)};
    Yizhan__V1__MemberFile file = new_file("Li");
    Yizhan__V1__MemberChanged message = new_change(2, &file, fields, COUNT(fields));
    char *text;

    (void)state;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    file.phone = (char *)(uintptr_t) "13900139000";
    assert_int_equal(drive(&d, "other", "g1", "member.changed", &message.base), YZ_OK);
    text = bson_as_relaxed_extended_json(change_of("2"), NULL);
    assert_non_null(strstr(text, "\"changed_by\" : \"other\""));
    assert_non_null(strstr(text, "\"field\" : \"FIELD_NAME\", \"before\" : \"Zhang\", \"after\" : "
                                 "\"Li\""));
    assert_non_null(strstr(text, "\"field\" : \"FIELD_PHONE\", \"encrypted\" : true"));
    assert_null(strstr(text, "13900139000"));
    assert_null(strstr(text, "13800138000"));
    assert_null(strstr(text, "FIELD_KIND")); /* named, but as it was */
    bson_free(text);
    opens_to("m1", "phone", "13900139000");
}

/* One that is named and empty is cleared. */
static void test_cleared(void **state)
{
    Yizhan__V1__MemberField fields[] = {FIELD(PHONE), FIELD(DUES_BASE)};
    Yizhan__V1__MemberFile file = new_file("Li");
    Yizhan__V1__MemberChanged message = new_change(2, &file, fields, COUNT(fields));

    (void)state;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    file.phone = (char *)(uintptr_t) "";
    file.dues_base_fen = 0;
    assert_int_equal(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_OK);
    assert_false(bson_has_field(file_of("m1"), "phone"));
    assert_false(bson_has_field(file_of("m1"), "dues_base"));
    assert_true(bson_has_field(file_of("m1"), "id_number"));
    assert_string_equal(wk_document_text(file_of("m1"), "name"), "Zhang");
}

static void test_moves_branch(void **state)
{
    Yizhan__V1__MemberChanged message = new_change(2, NULL, NULL, 0);

    (void)state;
    assert_int_equal(registered("m0", "g1/b2"), YZ_OK);
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    run_due_rows();
    d.now_ms += 1000;
    message.new_org_path = (char *)(uintptr_t) "g1/b2";
    assert_int_equal(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_OK);
    run_due_rows();
    assert_int_equal(place_of("g1/b1", "m1").left_at_ms, DRIVE_START + 1000);
    assert_int_equal(place_of("g1/b2", "m1").place, 1);
    assert_int_equal(place_of("g1/b2", "m1").joined_at_ms, DRIVE_START + 1000);
    /* And back: the place is its own still. */
    d.now_ms += 1000;
    message.revision = 3;
    message.org_path = (char *)(uintptr_t) "g1/b2";
    message.new_org_path = (char *)(uintptr_t) "g1/b1";
    assert_int_equal(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_OK);
    run_due_rows();
    assert_int_equal(place_of("g1/b1", "m1").place, 0);
    assert_int_equal(place_of("g1/b1", "m1").left_at_ms, 0);
    assert_int_equal(place_of("g1/b2", "m1").left_at_ms, DRIVE_START + 2000);
}

static void test_changed_refused(void **state)
{
    Yizhan__V1__MemberChanged message = new_change(2, NULL, NULL, 0);

    (void)state;
    message.new_org_path = (char *)(uintptr_t) "g1/b2";
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_NOT_FOUND, "memberId");
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    message.org_path = (char *)(uintptr_t) "g1/b9";
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_NOT_FOUND, "memberId");
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.new_org_path = (char *)(uintptr_t) "g2/b1";
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_FORBIDDEN, "newOrgPath");
    message.new_org_path = (char *)(uintptr_t) "g1/none";
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_UNKNOWN_ORG, "newOrgPath");
}

static enum yz_err archived(uint64_t revision)
{
    Yizhan__V1__MemberArchived message = YIZHAN__V1__MEMBER_ARCHIVED__INIT;

    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "m1";
    message.revision = revision;
    message.reason = (char *)(uintptr_t) "left";
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "sec", "g1", "member.archived", &message.base);
}

static void test_archived(void **state)
{
    (void)state;
    refused(archived(2), YZ_NOT_FOUND, "memberId");
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    refused(archived(3), YZ_STALE_REVISION, "revision");
    assert_int_equal(archived(2), YZ_OK);
    run_due_rows();
    assert_string_equal(wk_document_text(file_of("m1"), "status"), "MEMBER_ARCHIVED");
    assert_true(place_of("g1/b1", "m1").left_at_ms != 0);
    refused(archived(3), YZ_MEMBER_ARCHIVED, "memberId");
    refused(rename_to(3, "Li"), YZ_MEMBER_ARCHIVED, "memberId");
    opens_to("m1", "phone", "13800138000");
}

static enum yz_err delete_key(uint64_t revision)
{
    Yizhan__V1__MemberKeyDeleted message = YIZHAN__V1__MEMBER_KEY_DELETED__INIT;

    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "m1";
    message.revision = revision;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "sec", "g1", "member.key_deleted", &message.base);
}

/* Key and cipher texts are gone, and nothing can be encrypted any more. */
static void test_key_deleted(void **state)
{
    Yizhan__V1__MemberField field = FIELD(PHONE);
    Yizhan__V1__MemberFile file = new_file("Li");
    Yizhan__V1__MemberChanged message = new_change(3, &file, &field, 1);
    char id[WK_ID_MAX];

    (void)state;
    refused(delete_key(2), YZ_NOT_FOUND, "memberId");
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    refused(delete_key(3), YZ_STALE_REVISION, "revision");
    assert_int_equal(delete_key(2), YZ_OK);
    wk_member_id(id, "t1", "m1");
    assert_false(wk_vault_has_key(drive_document(&d, WK_MEMBER_KEYS, id)));
    assert_false(bson_has_field(file_of("m1"), "phone"));
    assert_false(bson_has_field(file_of("m1"), "id_number"));
    refused(delete_key(3), YZ_KEY_DELETED, "memberId");
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_KEY_DELETED, "file");
    assert_int_equal(rename_to(3, "Li"), YZ_OK);
    file.phone = (char *)(uintptr_t) "";
    message.revision = 4;
    assert_int_equal(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_OK);
}

/* m1 of g1/b1 will be its secretary from the first second to the fifth. */
static void register_with_term(void)
{
    Yizhan__V1__MemberRoleTerm term = YIZHAN__V1__MEMBER_ROLE_TERM__INIT, *terms[] = {&term};
    Google__Protobuf__Timestamp from = wk_timestamp(DRIVE_START + 1000),
                                until = wk_timestamp(DRIVE_START + 5000);
    Yizhan__V1__MemberFile file = new_file("Zhang");

    d.roles = "member,admin@g1";
    term.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    term.scope = (char *)(uintptr_t) "g1/b1";
    term.from = &from;
    term.until = &until;
    file.roles = terms;
    file.n_roles = 1;
    assert_int_equal(register_file("m1", "g1/b1", &file), YZ_OK);
    run_due_rows();
}

static void expect_term(const char *org_path)
{
    assert_string_equal(place_of(org_path, "m1").roles, "");
    d.now_ms = DRIVE_START + 1000;
    run_due_rows();
    assert_string_equal(place_of(org_path, "m1").roles, "secretary");
    d.now_ms = DRIVE_START + 5000;
    run_due_rows();
    assert_string_equal(place_of(org_path, "m1").roles, "");
}

/* The roster knows who is secretary now, and learns of the end of the term when it comes. */
static void test_roles_and_terms(void **state)
{
    (void)state;
    register_with_term();
    expect_term("g1/b1");
}

/* A secretary who renames leaves the roles as they are, and cannot give or take one. */
static void test_roles_need_an_admin(void **state)
{
    Yizhan__V1__MemberRoleTerm term = YIZHAN__V1__MEMBER_ROLE_TERM__INIT, *terms[] = {&term};
    Yizhan__V1__MemberField field = FIELD(ROLES);
    Yizhan__V1__MemberFile file = new_file("Zhang");
    Yizhan__V1__MemberChanged message = new_change(2, &file, &field, 1);
    struct wk_member_term stored[WK_MEMBER_TERMS_MAX];

    (void)state;
    term.role = YIZHAN__V1__MEMBER_ROLE__ROLE_INSPECTOR;
    term.scope = (char *)(uintptr_t) "g1/b1";
    file.roles = terms;
    file.n_roles = 1;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_FORBIDDEN,
            "file.roles[0].scope");
    d.roles = "admin@g1";
    assert_int_equal(drive(&d, "adm", "g1", "member.changed", &message.base), YZ_OK);
    d.roles = "secretary@g1";
    message.revision = 3;
    assert_int_equal(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_OK); /* the same */
    message.revision = 4;
    file.n_roles = 0;
    refused(drive(&d, "sec", "g1", "member.changed", &message.base), YZ_FORBIDDEN,
            "file.roles[0].scope");
    assert_int_equal(rename_to(4, "Li"), YZ_OK);
    assert_int_equal(wk_member_terms(file_of("m1"), stored), 1);
}

static enum yz_err place(const char *member, uint64_t revision, bool left)
{
    Yizhan__V1__MemberPlaced message = YIZHAN__V1__MEMBER_PLACED__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(d.now_ms);

    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t)member;
    message.revision = revision;
    message.left = left;
    message.kind = YIZHAN__V1__MEMBER_KIND__FULL;
    message.at = &at;
    return drive(&d, "sec", "g1", "member.placed", &message.base);
}

/* Rows may come in another order than they were owed: the later revision stands. */
static void test_late_placing_is_moot(void **state)
{
    (void)state;
    assert_int_equal(place("m1", 3, false), YZ_OK);
    d.now_ms += 1000;
    assert_int_equal(place("m1", 2, true), YZ_OK);
    assert_int_equal(place_of("g1/b1", "m1").left_at_ms, 0);
    assert_int_equal(place("m2", 2, true), YZ_OK); /* never heard of */
    assert_int_equal(wk_document_number(branch_of("g1/b1"), "next_place"), 1);
}

static void test_places_run_out(void **state)
{
    bson_t *full = BCON_NEW("org_path", "g1/b1", "next_place", BCON_INT64(WK_BRANCH_PLACES_MAX),
                            "members", "[", "{", "m", "m1", "p", BCON_INT64(0), "}", "]");
    char id[WK_ID_MAX];

    (void)state;
    wk_branch_id(id, "t1", "g1/b1");
    wk_fold_preset(d.fold, WK_BRANCHES, id, full, 1);
    bson_destroy(full);
    refused(place("m2", 1, false), YZ_TOO_MANY, "orgPath");
    assert_int_equal(place("m1", 1, false), YZ_OK);
}

static void branch_moves(const char *from, const char *to)
{
    Yizhan__V1__MemberBranchMoved message = YIZHAN__V1__MEMBER_BRANCH_MOVED__INIT;

    message.org_path = (char *)(uintptr_t)from;
    message.to = (char *)(uintptr_t)to;
    assert_int_equal(drive(&d, "adm", "g1", "member.branch_moved", &message.base), YZ_OK);
    run_due_rows();
}

/* All members of a branch follow it, however many, and those who come late as well. */
static void test_members_follow(void **state)
{
    char member[16], name[16];
    size_t placing;

    (void)state;
    for (int i = 0; i < 150; i++) {
        Yizhan__V1__MemberFile file;

        snprintf(member, sizeof member, "m%d", i);
        snprintf(name, sizeof name, "N%d", i);
        file = new_file(name);
        assert_int_equal(register_file(member, "g1/b1", &file), YZ_OK);
    }
    assert_int_equal(archived(2), YZ_OK); /* m1 */
    run_due_rows();
    assert_int_equal(registered("late", "g1/b1"), YZ_OK); /* its placing is still under way */
    placing = row_count() - 1;
    row_done[placing] = true;
    branch_moves("g1/b1", "g1/b2");
    row_done[placing] = false;
    for (int i = 0; i < 150; i++) {
        snprintf(member, sizeof member, "m%d", i);
        if (i == 1)
            continue;
        assert_string_equal(wk_document_text(file_of(member), "org_path"), "g1/b2");
        assert_int_equal(wk_document_number(file_of(member), "revision"), 2);
        assert_int_equal(place_of("g1/b2", member).left_at_ms, 0);
        assert_true(place_of("g1/b1", member).left_at_ms != 0);
    }
    assert_string_equal(wk_document_text(file_of("m1"), "org_path"), "g1/b1");
    assert_string_equal(wk_document_text(file_of("late"), "org_path"), "g1/b1");
    assert_int_equal(place("late", 1, false), YZ_OK);
    run_due_rows();
    assert_string_equal(wk_document_text(file_of("late"), "org_path"), "g1/b2");
}

/* What a term owed was of a revision that the move, or the key's end, has made an old one. */
static void test_terms_are_owed_again_after_a_move(void **state)
{
    (void)state;
    register_with_term();
    branch_moves("g1/b1", "g1/b2");
    expect_term("g1/b2");
}

static void test_terms_are_owed_again_without_the_key(void **state)
{
    (void)state;
    register_with_term();
    assert_int_equal(delete_key(2), YZ_OK);
    expect_term("g1/b1");
}

/* No term brings an archived member back on the roster. */
static void test_an_archived_file_owes_no_terms(void **state)
{
    (void)state;
    register_with_term();
    assert_int_equal(archived(2), YZ_OK);
    assert_int_equal(delete_key(3), YZ_OK);
    run_due_rows();
    d.now_ms = DRIVE_START + 1000;
    run_due_rows();
    assert_int_equal(place_of("g1/b1", "m1").left_at_ms, DRIVE_START);
    assert_string_equal(place_of("g1/b1", "m1").roles, "");
}

/* The member whom the row of this event with this ordinal takes along; "" when there is none. */
static void follower_of(size_t from_row, uint64_t sequence, int ordinal, char out[YZ_ID_MAX])
{
    out[0] = '\0';
    for (size_t at = from_row; at < row_count(); at++) {
        size_t count;
        const struct wk_fold_row *row = &wk_fold_rows(d.fold, &count)[at];
        Yizhan__V1__MemberFollowed *followed;

        if (row->sequence != sequence || row->ordinal != ordinal)
            continue;
        assert_string_equal(row->type, "member.followed");
        followed = yizhan__v1__member_followed__unpack(NULL, row->payload_len, row->payload);
        assert_non_null(followed);
        snprintf(out, YZ_ID_MAX, "%s", followed->member_id);
        yizhan__v1__member_followed__free_unpacked(followed, NULL);
        return;
    }
}

/* Rows are known by their event and ordinal: one that is there is not written again. So an ordinal
 * that named another member in a replay, when some have gone already, would leave one behind. */
static void test_replay_of_a_branchs_move(void **state)
{
    Yizhan__V1__MemberBranchMoved message = YIZHAN__V1__MEMBER_BRANCH_MOVED__INIT;
    char member[YZ_ID_MAX], again[YZ_ID_MAX];
    size_t first_row, rows, replayed = 0;
    struct wk_event moving;
    struct yz_envelope env;

    (void)state;
    for (int i = 0; i < 6; i++) {
        snprintf(member, sizeof member, "m%d", i);
        assert_int_equal(registered(member, "g1/b1"), YZ_OK);
    }
    run_due_rows();
    first_row = row_count();
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.to = (char *)(uintptr_t) "g1/b2";
    assert_int_equal(drive(&d, "adm", "g1", "member.branch_moved", &message.base), YZ_OK);
    moving = d.event;
    env = d.env;
    moving.env = &env;
    rows = row_count();
    assert_int_equal(rows - first_row, 6);
    /* Two of the branch have left before the replay. */
    assert_int_equal(place("m0", 2, true), YZ_OK);
    assert_int_equal(place("m3", 2, true), YZ_OK);
    rows = row_count();
    assert_int_equal(drive_apply(&d, &moving), YZ_OK);
    for (int ordinal = 0; ordinal < 64; ordinal++) {
        follower_of(first_row, moving.sequence, ordinal, member);
        follower_of(rows, moving.sequence, ordinal, again);
        if (*again)
            assert_string_equal(again, member);
        replayed += *again != 0;
    }
    assert_int_equal(replayed, 4);
}

/* A role in what was moved goes along; one over all of it stays. */
static void test_scopes_follow(void **state)
{
    Yizhan__V1__MemberRoleTerm inner = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               outer = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               *terms[] = {&inner, &outer};
    Yizhan__V1__MemberFile file = new_file("Zhang");
    struct wk_member_term stored[WK_MEMBER_TERMS_MAX];

    (void)state;
    d.roles = "admin@g1";
    inner.role = outer.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    inner.scope = (char *)(uintptr_t) "g1/b1/x";
    outer.scope = (char *)(uintptr_t) "g1";
    file.roles = terms;
    file.n_roles = 2;
    assert_int_equal(register_file("m1", "g1/b1", &file), YZ_OK);
    run_due_rows();
    branch_moves("g1/b1", "g1/b2");
    assert_int_equal(wk_member_terms(file_of("m1"), stored), 2);
    assert_string_equal(stored[0].scope, "g1/b2/x");
    assert_string_equal(stored[1].scope, "g1");
}

/* Somebody of `branch` has a role over scope, and another that stays out of it all. */
static enum yz_err register_holder(const char *member, const char *branch, const char *scope)
{
    Yizhan__V1__MemberRoleTerm inner = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               outer = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               *terms[] = {&outer, &inner};
    Yizhan__V1__MemberFile file = new_file(member);

    inner.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    outer.role = YIZHAN__V1__MEMBER_ROLE__ROLE_INSPECTOR;
    inner.scope = (char *)(uintptr_t)scope;
    outer.scope = (char *)(uintptr_t) "g1";
    file.roles = terms;
    file.n_roles = 2;
    return register_file(member, branch, &file);
}

static const char *scope_of(const char *member)
{
    struct wk_member_term stored[WK_MEMBER_TERMS_MAX];

    assert_int_equal(wk_member_terms(file_of(member), stored), 2);
    assert_string_equal(stored[0].scope, "g1");
    return stored[1].scope;
}

static const bson_t *role_holders_of(const char *path)
{
    char id[WK_ID_MAX];

    wk_branch_id(id, "t1", path);
    return drive_document(&d, WK_ROLE_HOLDERS, id);
}

static size_t holders_of(const char *path)
{
    const bson_t *holders = role_holders_of(path);
    bson_iter_t entries;
    size_t count = 0;

    if (holders && wk_document_array(holders, "holders", &entries)) {
        while (bson_iter_next(&entries))
            count++;
    }
    return count;
}

/* Whoever has a role over what was moved, wherever the member belongs, and however many they are:
 * the member stays where it is. */
static void test_holders_follow(void **state)
{
    char member[16];

    (void)state;
    d.roles = "admin@g1";
    for (int i = 0; i < 150; i++) {
        snprintf(member, sizeof member, "h%d", i);
        assert_int_equal(register_holder(member, "g1/b2", "g1/b1"), YZ_OK);
    }
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    run_due_rows();
    assert_int_equal(holders_of("g1/b1"), 150);
    branch_moves("g1/b1", "g1/b9");
    for (int i = 0; i < 150; i++) {
        snprintf(member, sizeof member, "h%d", i);
        assert_string_equal(scope_of(member), "g1/b9");
        assert_string_equal(wk_document_text(file_of(member), "org_path"), "g1/b2");
        assert_int_equal(wk_document_number(file_of(member), "revision"), 2);
    }
    assert_string_equal(wk_document_text(file_of("m1"), "org_path"), "g1/b9");
    assert_int_equal(holders_of("g1/b1"), 0);
    assert_int_equal(holders_of("g1/b9"), 150);
    /* once more: who got it by the first move follows the second */
    branch_moves("g1/b9", "g1/b8");
    assert_string_equal(scope_of("h149"), "g1/b8");
}

/* One whose role is told after the move; one who has it no more. */
static void test_late_and_former_holders(void **state)
{
    Yizhan__V1__MemberArchived gone = YIZHAN__V1__MEMBER_ARCHIVED__INIT;

    (void)state;
    d.roles = "admin@g1";
    assert_int_equal(register_holder("h1", "g1/b2", "g1/b1"), YZ_OK);
    assert_int_equal(register_holder("h2", "g1/b2", "g1/b1"), YZ_OK);
    run_due_rows();
    gone.org_path = (char *)(uintptr_t) "g1/b2";
    gone.member_id = (char *)(uintptr_t) "h1";
    gone.revision = 2;
    gone.reason = gone.basis = (char *)(uintptr_t) "basis";
    assert_int_equal(drive(&d, "adm", "g1", "member.archived", &gone.base), YZ_OK);
    run_due_rows();
    assert_int_equal(holders_of("g1/b1"), 1);
    assert_int_equal(wk_document_number(role_holders_of("g1/b1"), "next_place"), 2);
    branch_moves("g1/b1", "g1/b9");
    assert_string_equal(scope_of("h1"), "g1/b1");
    assert_string_equal(scope_of("h2"), "g1/b9");
    assert_int_equal(register_holder("h3", "g1/b2", "g1/b1"), YZ_OK);
    run_due_rows();
    assert_string_equal(scope_of("h3"), "g1/b9");
    assert_int_equal(holders_of("g1/b9"), 2);
}

static size_t count_rows(const char *type)
{
    size_t count, of_type = 0;
    const struct wk_fold_row *rows = wk_fold_rows(d.fold, &count);

    for (size_t i = 0; i < count; i++)
        of_type += strcmp(rows[i].type, type) == 0;
    return of_type;
}

/* The same rows and the same push again, and no second revision; what is moot tells nobody. */
static void test_holder_replayed(void **state)
{
    Yizhan__V1__MemberFollowed message = YIZHAN__V1__MEMBER_FOLLOWED__INIT;
    size_t placed, held, pushes, again;

    (void)state;
    d.roles = "admin@g1";
    assert_int_equal(register_holder("h1", "g1/b2", "g1/b1/x"), YZ_OK);
    placed = count_rows("member.placed");
    held = count_rows("member.role_held");
    wk_fold_pushes(d.fold, &pushes);
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "h1";
    message.to = (char *)(uintptr_t) "g1/b9";
    message.scopes_only = true;
    assert_int_equal(drive(&d, "adm", "g1", "member.followed", &message.base), YZ_OK);
    assert_string_equal(scope_of("h1"), "g1/b9/x");
    assert_int_equal(count_rows("member.placed"), placed + 1);
    assert_int_equal(count_rows("member.role_held"), held + 3); /* g1, g1/b9/x; g1/b1/x ended */
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    assert_int_equal(wk_document_number(file_of("h1"), "revision"), 2);
    assert_int_equal(count_rows("member.placed"), placed + 2);
    assert_int_equal(count_rows("member.role_held"), held + 5);
    wk_fold_pushes(d.fold, &again);
    assert_int_equal(again, pushes + 2);
    assert_int_equal(drive(&d, "adm", "g1", "member.followed", &message.base), YZ_OK);
    assert_int_equal(wk_document_number(file_of("h1"), "revision"), 2);
    assert_int_equal(count_rows("member.placed"), placed + 2);
}

static void test_holders_run_out(void **state)
{
    Yizhan__V1__MemberRoleHeld message = YIZHAN__V1__MEMBER_ROLE_HELD__INIT;
    bson_t full = BSON_INITIALIZER, list, row;
    char id[WK_ID_MAX], key[16];

    (void)state;
    BSON_APPEND_UTF8(&full, "org_path", "g1/b1");
    BSON_APPEND_ARRAY_BEGIN(&full, "holders", &list);
    for (int i = 0; i < WK_BRANCH_PLACES_MAX; i++) {
        snprintf(key, sizeof key, "%d", i);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &row);
        snprintf(key, sizeof key, "h%d", i);
        BSON_APPEND_UTF8(&row, "m", key);
        BSON_APPEND_INT64(&row, "p", i);
        bson_append_document_end(&list, &row);
    }
    bson_append_array_end(&full, &list);
    wk_branch_id(id, "t1", "g1/b1");
    wk_fold_preset(d.fold, WK_ROLE_HOLDERS, id, &full, 1);
    bson_destroy(&full);
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.revision = 1;
    message.member_id = (char *)(uintptr_t) "m1";
    refused(drive(&d, "sec", "g1", "member.role_held", &message.base), YZ_TOO_MANY, "orgPath");
    message.member_id = (char *)(uintptr_t) "h7";
    assert_int_equal(drive(&d, "sec", "g1", "member.role_held", &message.base), YZ_OK);
}

/* The stored decision stands and apply() runs again, also over what later events left. */
static void test_replays(void **state)
{
    Yizhan__V1__MemberFile file = new_file("Zhang");
    Yizhan__V1__MemberRegistered message = YIZHAN__V1__MEMBER_REGISTERED__INIT;
    struct wk_event first;
    struct yz_envelope env;
    size_t rows, again;

    (void)state;
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "m1";
    message.file = &file;
    message.basis = (char *)(uintptr_t) "basis";
    assert_int_equal(drive(&d, "sec", "g1", "member.registered", &message.base), YZ_OK);
    first = d.event;
    env = d.env;
    first.env = &env;
    wk_fold_rows(d.fold, &rows);
    assert_int_equal(drive_apply(&d, &first), YZ_OK);
    wk_fold_rows(d.fold, &again);
    assert_int_equal(again, 2 * rows);
    opens_to("m1", "phone", "13800138000"); /* with the key that was made first */
    assert_int_equal(rename_to(2, "Li"), YZ_OK);
    assert_int_equal(drive_apply(&d, &first), YZ_OK);
    assert_string_equal(wk_document_text(file_of("m1"), "name"), "Li");
    assert_int_equal(delete_key(3), YZ_OK);
    assert_int_equal(drive_apply(&d, &first), YZ_OK);
    assert_false(bson_has_field(file_of("m1"), "phone"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registered),
        TEST(test_registered_refused),
        TEST(test_stale_revision),
        TEST(test_history),
        TEST(test_cleared),
        TEST(test_moves_branch),
        TEST(test_changed_refused),
        TEST(test_archived),
        TEST(test_key_deleted),
        TEST(test_roles_and_terms),
        TEST(test_roles_need_an_admin),
        TEST(test_late_placing_is_moot),
        TEST(test_places_run_out),
        TEST(test_members_follow),
        TEST(test_terms_are_owed_again_after_a_move),
        TEST(test_terms_are_owed_again_without_the_key),
        TEST(test_an_archived_file_owes_no_terms),
        TEST(test_replay_of_a_branchs_move),
        TEST(test_scopes_follow),
        TEST(test_holders_follow),
        TEST(test_late_and_former_holders),
        TEST(test_holder_replayed),
        TEST(test_holders_run_out),
        TEST(test_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
