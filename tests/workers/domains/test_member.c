/* Members' files and the rosters of branches, folded without a database. */
#include "member_rig.h"

static Yizhan__V1__MemberChanged new_change(uint64_t revision, Yizhan__V1__MemberFile *file,
                                            Yizhan__V1__MemberField *fields, size_t count)
{
    Yizhan__V1__MemberChanged message = YIZHAN__V1__MEMBER_CHANGED__INIT;

    NAME_M1(message, revision);
    message.file = file;
    message.fields = fields;
    message.n_fields = count;
    return message;
}

static enum yz_err rename_to(uint64_t revision, const char *name)
{
    Yizhan__V1__MemberField field = FIELD(NAME);
    Yizhan__V1__MemberFile file = new_file(name);
    Yizhan__V1__MemberChanged message = new_change(revision, &file, &field, 1);

    return drive(&d, "sec", "g1", "member.changed", &message.base);
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

static enum yz_err set_days(uint64_t revision, Yizhan__V1__MemberField *fields, size_t count,
                            const char *birthday, const char *joined_on)
{
    Yizhan__V1__MemberFile file = YIZHAN__V1__MEMBER_FILE__INIT;
    Yizhan__V1__MemberChanged message = new_change(revision, &file, fields, count);

    file.birthday = (char *)(uintptr_t)birthday;
    file.joined_on = (char *)(uintptr_t)joined_on;
    return drive(&d, "sec", "g1", "member.changed", &message.base);
}

/* The other day may stand in the file; one that is not set counts for nothing. */
static void test_nobody_joins_before_being_born(void **state)
{
    Yizhan__V1__MemberField born = FIELD(BIRTHDAY), joined = FIELD(JOINED_ON),
                            position = FIELD(POSITION), both[] = {born, joined};

    (void)state;
    assert_int_equal(registered("m1", "g1/b1"), YZ_OK);
    assert_int_equal(set_days(2, &born, 1, "1990-03-07", ""), YZ_OK);
    refused(set_days(3, &joined, 1, "", "1990-03-06"), YZ_INVALID_VALUE, "file.joinedOn");
    refused(set_days(3, &joined, 1, "1980-01-01", "1990-03-06"), YZ_INVALID_VALUE, "file.joinedOn");
    assert_int_equal(set_days(3, &joined, 1, "", "1990-03-07"), YZ_OK);
    refused(set_days(4, &born, 1, "1990-03-08", ""), YZ_INVALID_VALUE, "file.birthday");
    refused(set_days(4, both, 2, "2000-01-01", "1999-12-31"), YZ_INVALID_VALUE, "file.joinedOn");
    assert_int_equal(set_days(4, &position, 1, "2000-01-01", "1999-12-31"), YZ_OK);
    assert_int_equal(set_days(5, both, 2, "2000-01-01", "2020-12-31"), YZ_OK);
    assert_int_equal(set_days(6, &born, 1, "", ""), YZ_OK);
    assert_int_equal(set_days(7, &joined, 1, "", "1950-01-01"), YZ_OK);
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

/* The stored decision stands and apply() runs again, also over what later events left. */
static void test_replays(void **state)
{
    Yizhan__V1__MemberFile file = new_file("Zhang");
    Yizhan__V1__MemberRegistered message = registration("m1", "g1/b1", &file);
    struct drive_past first;
    size_t rows;

    (void)state;
    assert_int_equal(drive(&d, "sec", "g1", "member.registered", &message.base), YZ_OK);
    drive_keep(&d, &first);
    rows = row_count();
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_int_equal(row_count(), 2 * rows);
    opens_to("m1", "phone", "13800138000"); /* with the key that was made first */
    assert_int_equal(rename_to(2, "Li"), YZ_OK);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_string_equal(wk_document_text(file_of("m1"), "name"), "Li");
    assert_int_equal(delete_key(3), YZ_OK);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    assert_false(bson_has_field(file_of("m1"), "phone"));
}

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
        TEST(test_nobody_joins_before_being_born),
        TEST(test_archived),
        TEST(test_key_deleted),
        TEST(test_roles_and_terms),
        TEST(test_roles_need_an_admin),
        TEST(test_late_placing_is_moot),
        TEST(test_places_run_out),
        TEST(test_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
