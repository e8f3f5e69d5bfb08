/* What follows a branch that is moved: its members, their terms, and the scopes of roles, whoever
 * holds them. */
#include "member_rig.h"

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
    struct drive_past moving;

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
    drive_keep(&d, &moving);
    rows = row_count();
    assert_int_equal(rows - first_row, 6);
    /* Two of the branch have left before the replay. */
    assert_int_equal(place("m0", 2, true), YZ_OK);
    assert_int_equal(place("m3", 2, true), YZ_OK);
    rows = row_count();
    assert_int_equal(drive_apply(&d, &moving.event), YZ_OK);
    for (int ordinal = 0; ordinal < 64; ordinal++) {
        follower_of(first_row, moving.event.sequence, ordinal, member);
        follower_of(rows, moving.event.sequence, ordinal, again);
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

static const char *roles_held(const char *path, const char *member)
{
    return wk_roles_held(role_holders_of(path), member);
}

static enum yz_err change_roles(const char *member, uint64_t revision,
                                Yizhan__V1__MemberRoleTerm **terms, size_t count)
{
    Yizhan__V1__MemberChanged message = YIZHAN__V1__MEMBER_CHANGED__INIT;
    Yizhan__V1__MemberField field = FIELD(ROLES);
    Yizhan__V1__MemberFile file = YIZHAN__V1__MEMBER_FILE__INIT;

    file.roles = terms;
    file.n_roles = count;
    message.org_path = (char *)(uintptr_t) "g1/b2";
    message.member_id = (char *)(uintptr_t)member;
    message.revision = revision;
    message.fields = &field;
    message.n_fields = 1;
    message.file = &file;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "adm", "g1", "member.changed", &message.base);
}

/* What a member is over an org that is not its own stands there, and changes with the file. */
static void test_roles_stand_with_their_holders(void **state)
{
    Yizhan__V1__MemberRoleTerm first = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               second = YIZHAN__V1__MEMBER_ROLE_TERM__INIT,
                               *terms[] = {&first, &second};

    (void)state;
    d.roles = "admin@g1";
    assert_int_equal(register_holder("h1", "g1/b2", "g1/b1"), YZ_OK);
    assert_int_equal(register_holder("h2", "g1/b2", "g1/b1"), YZ_OK);
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "inspector");
    assert_string_equal(roles_held("g1/b1", "h1"), "inspector,secretary");
    assert_string_equal(roles_held("g1/b1", "nobody"), "");
    first.role = YIZHAN__V1__MEMBER_ROLE__ROLE_ADMIN;
    second.role = YIZHAN__V1__MEMBER_ROLE__ROLE_INSPECTOR;
    first.scope = second.scope = (char *)(uintptr_t) "g1/b1";
    assert_int_equal(change_roles("h1", 2, terms, 2), YZ_OK);
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "");
    assert_string_equal(roles_held("g1/b1", "h1"), "admin,inspector");
    assert_string_equal(roles_held("g1/b1", "h2"), "inspector,secretary");
    assert_int_equal(change_roles("h1", 3, &terms[1], 1), YZ_OK);
    run_due_rows();
    assert_string_equal(roles_held("g1/b1", "h1"), "inspector");
    assert_int_equal(change_roles("h1", 4, NULL, 0), YZ_OK);
    run_due_rows();
    assert_int_equal(holders_of("g1/b1"), 1);
    branch_moves("g1/b1", "g1/b9");
    assert_string_equal(roles_held("g1/b9", "h2"), "inspector,secretary");
}

/* A term that has not begun is known, and tells no role; when it ends it is so again. */
static void test_roles_held_begin_and_end(void **state)
{
    Yizhan__V1__MemberRoleTerm term = YIZHAN__V1__MEMBER_ROLE_TERM__INIT, *terms[] = {&term};
    Google__Protobuf__Timestamp from = wk_timestamp(DRIVE_START + 1000),
                                until = wk_timestamp(DRIVE_START + 5000);
    Yizhan__V1__MemberTermPassed passed = YIZHAN__V1__MEMBER_TERM_PASSED__INIT;
    size_t held;

    (void)state;
    d.roles = "admin@g1";
    assert_int_equal(registered("h1", "g1/b2"), YZ_OK);
    term.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    term.scope = (char *)(uintptr_t) "g1";
    term.from = &from;
    term.until = &until;
    assert_int_equal(change_roles("h1", 2, terms, 1), YZ_OK);
    run_due_rows();
    assert_int_equal(holders_of("g1"), 1);
    assert_string_equal(roles_held("g1", "h1"), "");
    d.now_ms = DRIVE_START + 1000;
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "secretary");
    d.now_ms = DRIVE_START + 5000;
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "");
    assert_int_equal(holders_of("g1"), 1);
    /* Of a revision that is past: to no effect, however late it comes. */
    passed.org_path = (char *)(uintptr_t) "g1/b2";
    passed.member_id = (char *)(uintptr_t) "h1";
    passed.revision = 1;
    passed.at = &from;
    assert_int_equal(drive(&d, "adm", "g1", "member.term_passed", &passed.base), YZ_OK);
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "");
    /* A beginning that is told after the end, and once more. */
    passed.revision = 2;
    held = count_rows("member.role_held");
    assert_int_equal(drive(&d, "adm", "g1", "member.term_passed", &passed.base), YZ_OK);
    assert_int_equal(drive_apply(&d, &d.event), YZ_OK);
    assert_int_equal(count_rows("member.role_held"), held + 2);
    run_due_rows();
    assert_string_equal(roles_held("g1", "h1"), "");
}

/* Written before roles stood there: it says nothing, until the file is told again. */
static void test_holders_without_roles(void **state)
{
    Yizhan__V1__MemberRoleHeld held = YIZHAN__V1__MEMBER_ROLE_HELD__INIT;
    bson_t *old = BCON_NEW("org_path", "g1/b1", "holders", "[", "{", "m", "h1", "p", BCON_INT64(0),
                           "v", BCON_INT64(3), "}", "]", "next_place", BCON_INT64(1));
    char id[WK_ID_MAX];

    (void)state;
    wk_branch_id(id, "t1", "g1/b1");
    wk_fold_preset(d.fold, WK_ROLE_HOLDERS, id, old, 1);
    bson_destroy(old);
    assert_string_equal(roles_held("g1/b1", "h1"), "");
    held.org_path = (char *)(uintptr_t) "g1/b1";
    held.member_id = (char *)(uintptr_t) "h1";
    held.roles = (char *)(uintptr_t) "secretary";
    held.revision = 2; /* late */
    assert_int_equal(drive(&d, "adm", "g1", "member.role_held", &held.base), YZ_OK);
    assert_string_equal(roles_held("g1/b1", "h1"), "");
    held.revision = 3;
    assert_int_equal(drive(&d, "adm", "g1", "member.role_held", &held.base), YZ_OK);
    assert_string_equal(roles_held("g1/b1", "h1"), "secretary");
    assert_int_equal(holders_of("g1/b1"), 1);
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
    assert_int_equal(count_rows("member.role_held"), held + 6);
    wk_fold_pushes(d.fold, &again);
    assert_int_equal(again, pushes + 2);
    assert_int_equal(drive(&d, "adm", "g1", "member.followed", &message.base), YZ_OK);
    assert_int_equal(wk_document_number(file_of("h1"), "revision"), 2);
    assert_int_equal(count_rows("member.placed"), placed + 2);
}

static void role_is_told(const char *member, uint64_t revision, bool ended)
{
    Yizhan__V1__MemberRoleHeld held = YIZHAN__V1__MEMBER_ROLE_HELD__INIT;

    held.org_path = (char *)(uintptr_t) "g1/b1";
    held.member_id = (char *)(uintptr_t)member;
    held.revision = revision;
    held.ended = ended;
    held.roles = (char *)(uintptr_t)(ended ? "" : "secretary");
    assert_int_equal(drive(&d, "adm", "g1", "member.role_held", &held.base), YZ_OK);
}

/* What is told late, of an older file, makes nobody a holder again, be it the first that is told;
 * so many who ended are remembered. */
static void test_who_ended_is_no_holder_of_an_older_file(void **state)
{
    bson_iter_t entries;
    size_t ended = 0;
    char member[16];

    (void)state;
    role_is_told("h1", 3, true);
    role_is_told("h1", 2, false);
    assert_int_equal(holders_of("g1/b1"), 0);
    role_is_told("h1", 4, false);
    assert_string_equal(roles_held("g1/b1", "h1"), "secretary");
    role_is_told("h1", 5, true);
    role_is_told("h1", 4, false);
    assert_int_equal(holders_of("g1/b1"), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(member, sizeof member, "e%d", i);
        role_is_told(member, 2, true);
    }
    assert_true(wk_document_array(role_holders_of("g1/b1"), "ended", &entries));
    while (bson_iter_next(&entries))
        ended++;
    assert_int_equal(ended, 64);
    role_is_told("e99", 1, false);
    role_is_told("e36", 1, false);
    assert_int_equal(holders_of("g1/b1"), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_members_follow),
        TEST(test_terms_are_owed_again_after_a_move),
        TEST(test_terms_are_owed_again_without_the_key),
        TEST(test_an_archived_file_owes_no_terms),
        TEST(test_replay_of_a_branchs_move),
        TEST(test_scopes_follow),
        TEST(test_holders_follow),
        TEST(test_late_and_former_holders),
        TEST(test_roles_stand_with_their_holders),
        TEST(test_roles_held_begin_and_end),
        TEST(test_holders_without_roles),
        TEST(test_holder_replayed),
        TEST(test_who_ended_is_no_holder_of_an_older_file),
        TEST(test_holders_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
