/* member_rig.h: what the tests of members' files and branches' rosters share: orgs that are there,
 * events of the domain, and its rows run as they fall due.
 *
 * Lifetime  set_up and tear_down are each test's.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_DOMAINS_MEMBER_RIG_H
#define YZ_TEST_WORKERS_DOMAINS_MEMBER_RIG_H

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

static inline void preset_org(const char *path, bool live)
{
    bson_t *org = BCON_NEW("org_path", BCON_UTF8(path), "live", BCON_BOOL(live));
    char id[WK_ID_MAX];

    wk_org_id(id, "t1", path);
    wk_fold_preset(d.fold, WK_ORGS, id, org, 1);
    bson_destroy(org);
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    (void)state;
    drive_deinit(&d);
    return 0;
}

static inline size_t row_count(void)
{
    return drive_row_count(&d);
}

/* What was owed and is due becomes events, each once, and what they owe too. */
static inline void run_due_rows(void)
{
    for (size_t at = 0; at < row_count(); at++) {
        size_t count;
        const struct wk_fold_row *row = &wk_fold_rows(d.fold, &count)[at];

        assert_true(at < ROWS_MAX);
        if (row_done[at] || row->due_at_ms > d.now_ms)
            continue;
        row_done[at] = true;
        assert_int_equal(yz_event_type_find(row->type, NULL)->authority, YZ_BY_SYSTEM);
        drive_row(&d, at, "sec", "g1");
    }
}

static inline Yizhan__V1__MemberFile new_file(const char *name)
{
    Yizhan__V1__MemberFile file = YIZHAN__V1__MEMBER_FILE__INIT;

    file.name = (char *)(uintptr_t)name;
    file.kind = YIZHAN__V1__MEMBER_KIND__FULL;
    file.id_number = (char *)(uintptr_t) "11010119900307803X";
    file.phone = (char *)(uintptr_t) "13800138000";
    file.dues_base_fen = 500000;
    return file;
}

static inline Yizhan__V1__MemberRegistered registration(const char *member, const char *org_path,
                                                        Yizhan__V1__MemberFile *file)
{
    Yizhan__V1__MemberRegistered message = YIZHAN__V1__MEMBER_REGISTERED__INIT;

    message.org_path = (char *)(uintptr_t)org_path;
    message.member_id = (char *)(uintptr_t)member;
    message.file = file;
    message.basis = (char *)(uintptr_t) "basis";
    return message;
}

static inline enum yz_err register_file(const char *member, const char *org_path,
                                        Yizhan__V1__MemberFile *file)
{
    Yizhan__V1__MemberRegistered message = registration(member, org_path, file);

    return drive(&d, "sec", "g1", "member.registered", &message.base);
}

static inline enum yz_err registered(const char *member, const char *org_path)
{
    Yizhan__V1__MemberFile file = new_file("Zhang");

    return register_file(member, org_path, &file);
}

static inline const bson_t *file_of(const char *member)
{
    char id[WK_ID_MAX];

    wk_member_id(id, "t1", member);
    return drive_document(&d, WK_MEMBERS, id);
}

static inline const bson_t *branch_of(const char *path)
{
    char id[WK_ID_MAX];

    wk_branch_id(id, "t1", path);
    return drive_document(&d, WK_BRANCHES, id);
}

static inline struct wk_branch_member place_of(const char *path, const char *member)
{
    struct wk_branch_member found = {0};

    assert_true(wk_branch_find(branch_of(path), member, &found));
    return found;
}

static inline void refused(enum yz_err got, enum yz_err wanted, const char *field)
{
    assert_string_equal(yz_err_code(got), yz_err_code(wanted));
    assert_string_equal(d.v.field, field);
}

/* What each change of m1's file says of itself. */
#define NAME_M1(message, next)                                                                     \
    ((message).org_path = "g1/b1", (message).member_id = "m1", (message).revision = (next),        \
     (message).basis = "basis")

static inline enum yz_err archived(uint64_t revision)
{
    Yizhan__V1__MemberArchived message = YIZHAN__V1__MEMBER_ARCHIVED__INIT;

    NAME_M1(message, revision);
    message.reason = (char *)(uintptr_t) "left";
    return drive(&d, "sec", "g1", "member.archived", &message.base);
}

static inline enum yz_err delete_key(uint64_t revision)
{
    Yizhan__V1__MemberKeyDeleted message = YIZHAN__V1__MEMBER_KEY_DELETED__INIT;

    NAME_M1(message, revision);
    return drive(&d, "sec", "g1", "member.key_deleted", &message.base);
}

/* m1 of g1/b1 will be its secretary from the first second to the fifth. */
static inline void register_with_term(void)
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

static inline void expect_term(const char *org_path)
{
    assert_string_equal(place_of(org_path, "m1").roles, "");
    d.now_ms = DRIVE_START + 1000;
    run_due_rows();
    assert_string_equal(place_of(org_path, "m1").roles, "secretary");
    d.now_ms = DRIVE_START + 5000;
    run_due_rows();
    assert_string_equal(place_of(org_path, "m1").roles, "");
}

static inline enum yz_err place(const char *member, uint64_t revision, bool left)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
