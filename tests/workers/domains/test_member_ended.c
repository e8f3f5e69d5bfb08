/* A role that is taken, or moved away, is told to its org even when what was to tell it got lost
 * behind the file: the event comes again and finds the file changed, by itself and perhaps by
 * others. */
#include "member_rig.h"

#include <inttypes.h>

#define ROWS_KEPT 16

static Yizhan__V1__MemberRoleTerm inspector, secretary, *both[] = {&inspector, &secretary};

static int prepare(void **state)
{
    Yizhan__V1__MemberRoleTerm none = YIZHAN__V1__MEMBER_ROLE_TERM__INIT;

    set_up(state);
    d.roles = "admin@g1";
    inspector = secretary = none;
    inspector.role = YIZHAN__V1__MEMBER_ROLE__ROLE_INSPECTOR;
    inspector.scope = (char *)(uintptr_t) "g1";
    secretary.role = YIZHAN__V1__MEMBER_ROLE__ROLE_SECRETARY;
    secretary.scope = (char *)(uintptr_t) "g1/b1/x";
    return 0;
}

/* m1 of the branch inspects g1 and is secretary of g1/b1/x; so is m2. The rows up to then. */
static size_t register_secretaries(const char *branch)
{
    Yizhan__V1__MemberFile file = new_file("Zhang");

    file.roles = both;
    file.n_roles = COUNT(both);
    assert_int_equal(register_file("m1", branch, &file), YZ_OK);
    assert_int_equal(register_file("m2", branch, &file), YZ_OK);
    run_due_rows();
    return row_count();
}

static bool holds_role(const char *path, const char *member)
{
    bson_iter_t entries;
    char id[WK_ID_MAX];
    bson_t entry;

    wk_branch_id(id, "t1", path);
    if (!wk_document_array(drive_document(&d, WK_ROLE_HOLDERS, id), "holders", &entries))
        return false;
    while (wk_document_next(&entries, &entry)) {
        if (strcmp(wk_document_text(&entry, "m"), member) == 0)
            return true;
    }
    return false;
}

/* What an event owed, as it would be stored. */
struct owed {
    size_t count;
    struct {
        int ordinal;
        char type[YZ_TYPE_MAX];
        uint8_t payload[256];
        size_t len;
    } rows[ROWS_KEPT];
};

static struct owed owed_by(const struct drive_past *past)
{
    struct owed owed = {0};
    size_t count;
    const struct wk_fold_row *rows = wk_fold_rows(d.fold, &count);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].sequence != past->event.sequence)
            continue;
        assert_true(owed.count < ROWS_KEPT && rows[i].payload_len <= sizeof owed.rows[0].payload);
        owed.rows[owed.count].ordinal = rows[i].ordinal;
        snprintf(owed.rows[owed.count].type, YZ_TYPE_MAX, "%s", rows[i].type);
        memcpy(owed.rows[owed.count].payload, rows[i].payload, rows[i].payload_len);
        owed.rows[owed.count++].len = rows[i].payload_len;
    }
    return owed;
}

/* Another worker has the event again, alone, over the documents as they were written: it loads what
 * the event asks for, and owes what was owed. change: the end of its entry's id; NULL: it goes by
 * the event. */
static void replay_alone(const struct drive_past *past, const char *change)
{
    const char *collections[] = {WK_MEMBERS, WK_MEMBER_CHANGES, WK_ROLE_HOLDERS};
    struct owed owed = owed_by(past), again;
    char ids[COUNT(collections)][WK_ID_MAX];
    bson_t *stored[COUNT(collections)];
    char by_event[32];

    wk_member_id(ids[0], "t1", "m1");
    snprintf(by_event, sizeof by_event, "by-%" PRIu64, past->event.sequence);
    wk_id(ids[1], "t1", "m1", change ? change : by_event, NULL);
    wk_branch_id(ids[2], "t1", "g1/b1/x");
    for (size_t i = 0; i < COUNT(collections); i++)
        stored[i] = bson_copy(drive_document(&d, collections[i], ids[i]));
    wk_fold_reset(d.fold);
    memset(row_done, 0, sizeof row_done);
    wk_fold_need(d.fold, wk_registry_event(past->event.type->name), &past->event);
    for (size_t i = 0; i < 2; i++) /* asked for, and not loaded yet */
        assert_null(drive_document(&d, collections[i], ids[i]));
    for (size_t i = 0; i < COUNT(collections); i++) {
        wk_fold_preset(d.fold, collections[i], ids[i], stored[i], past->event.sequence);
        bson_destroy(stored[i]);
    }
    assert_int_equal(drive_apply(&d, &past->event), YZ_OK);
    again = owed_by(past);
    assert_int_equal(again.count, owed.count);
    for (size_t i = 0; i < owed.count; i++) {
        assert_int_equal(again.rows[i].ordinal, owed.rows[i].ordinal);
        assert_string_equal(again.rows[i].type, owed.rows[i].type);
        assert_int_equal(again.rows[i].len, owed.rows[i].len);
        assert_memory_equal(again.rows[i].payload, owed.rows[i].payload, owed.rows[i].len);
    }
    run_due_rows();
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_true(holds_role("g1/b1/x", "m2"));
}

/* It stands, and can come again. */
static void happen(const char *type, const ProtobufCMessage *message, struct drive_past *past)
{
    assert_int_equal(drive(&d, "adm", "g1", type, message), YZ_OK);
    drive_keep(&d, past);
}

/* m1 of the branch has these roles from that revision on. */
static void change_roles(const char *branch, uint64_t revision, Yizhan__V1__MemberRoleTerm **terms,
                         size_t count, struct drive_past *past)
{
    static Yizhan__V1__MemberChanged messages[4];
    static Yizhan__V1__MemberField field = FIELD(ROLES);
    static Yizhan__V1__MemberFile files[4];
    Yizhan__V1__MemberChanged none = YIZHAN__V1__MEMBER_CHANGED__INIT, *message;
    Yizhan__V1__MemberFile empty = YIZHAN__V1__MEMBER_FILE__INIT, *file;

    assert_true(revision < COUNT(messages)); /* they are looked at in replays as well */
    message = &messages[revision];
    file = &files[revision];
    *message = none;
    *file = empty;
    file->roles = terms;
    file->n_roles = count;
    NAME_M1(*message, revision);
    message->org_path = (char *)(uintptr_t)branch;
    message->fields = &field;
    message->n_fields = 1;
    message->file = file;
    happen("member.changed", &message->base, past);
}

static void archive(const char *branch, uint64_t revision, struct drive_past *past)
{
    static Yizhan__V1__MemberArchived message;
    Yizhan__V1__MemberArchived none = YIZHAN__V1__MEMBER_ARCHIVED__INIT;

    message = none;
    NAME_M1(message, revision);
    message.org_path = (char *)(uintptr_t)branch;
    message.reason = (char *)(uintptr_t) "left";
    happen("member.archived", &message.base, past);
}

/* What m1 belongs to, or has a role over, has moved from g1/b1 to g1/b3. */
static void follow(bool scopes_only, struct drive_past *past)
{
    static Yizhan__V1__MemberFollowed message;
    Yizhan__V1__MemberFollowed none = YIZHAN__V1__MEMBER_FOLLOWED__INIT;

    message = none;
    message.org_path = (char *)(uintptr_t) "g1/b1";
    message.member_id = (char *)(uintptr_t) "m1";
    message.to = (char *)(uintptr_t) "g1/b3";
    message.scopes_only = scopes_only;
    happen("member.followed", &message.base, past);
}

static void test_changed(void **state)
{
    struct drive_past past;

    (void)state;
    register_secretaries("g1/b2");
    assert_true(holds_role("g1/b1/x", "m1"));
    change_roles("g1/b2", 2, both, 1, &past);
    replay_alone(&past, "2");
    assert_true(holds_role("g1", "m1"));
}

static void test_archived(void **state)
{
    struct drive_past past;

    (void)state;
    register_secretaries("g1/b2");
    archive("g1/b2", 2, &past);
    replay_alone(&past, "2");
}

static void test_followed_a_scope(void **state)
{
    struct drive_past past;

    (void)state;
    register_secretaries("g1/b2");
    follow(true, &past);
    replay_alone(&past, NULL);
    assert_true(holds_role("g1/b3/x", "m1"));
}

static void test_followed_the_branch(void **state)
{
    struct drive_past past;

    (void)state;
    register_secretaries("g1/b1");
    follow(false, &past);
    replay_alone(&past, NULL);
    assert_true(holds_role("g1/b3/x", "m1"));
}

/* What the two events of a batch owed, all rows from there on, is not stored: their worker ended,
 * or the database went away. Both come again, `one` first, and find the file as the later one left
 * it. */
static void lose_and_replay(size_t from, const struct drive_past *one,
                            const struct drive_past *other)
{
    for (size_t at = from; at < row_count(); at++)
        row_done[at] = true;
    assert_int_equal(drive_apply(&d, &one->event), YZ_OK);
    assert_int_equal(drive_apply(&d, &other->event), YZ_OK);
    run_due_rows();
}

static void test_changed_twice(void **state)
{
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b2");
    change_roles("g1/b2", 2, both, 1, &first);
    change_roles("g1/b2", 3, NULL, 0, &second);
    lose_and_replay(from, &first, &second);
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_false(holds_role("g1", "m1"));
}

/* Taken, and given again by the event behind it: whoever tells it last, it stays. */
static void test_given_again(void **state)
{
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b2");
    change_roles("g1/b2", 2, both, 1, &first);
    change_roles("g1/b2", 3, both, 2, &second);
    lose_and_replay(from, &second, &first);
    assert_true(holds_role("g1/b1/x", "m1"));
}

/* The scope that was moved is named again: the one that ended is of the revision of the move. */
static void test_followed_and_given_again(void **state)
{
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b2");
    follow(true, &first);
    change_roles("g1/b2", 3, both, 2, &second);
    lose_and_replay(from, &second, &first);
    assert_true(holds_role("g1/b1/x", "m1"));
    assert_int_equal(wk_document_number(file_of("m1"), "revision"), 3);
}

static void test_followed_and_taken(void **state)
{
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b2");
    follow(true, &first);
    change_roles("g1/b2", 3, NULL, 0, &second);
    lose_and_replay(from, &first, &second);
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_false(holds_role("g1", "m1"));
}

/* Gone behind the move: the branch that was left hears of it, the new one of nobody who comes, and
 * the member of the move. */
static void test_followed_and_archived(void **state)
{
    struct drive_past first, second;
    size_t from, pushes, again;
    struct wk_branch_member found;

    (void)state;
    from = register_secretaries("g1/b1");
    pushes = drive_push_count(&d);
    follow(false, &first);
    archive("g1/b3", 3, &second);
    again = drive_push_count(&d);
    assert_int_equal(again, pushes + 2);
    lose_and_replay(from, &first, &second);
    assert_int_equal(drive_push_count(&d), again + 2);
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_false(holds_role("g1", "m1"));
    assert_true(place_of("g1/b1", "m1").left_at_ms != 0);
    assert_false(wk_branch_find(branch_of("g1/b3"), "m1", &found));
    assert_int_equal(wk_document_number(file_of("m1"), "revision"), 3);
}

/* Gone with the branch and come back behind it: it has not left where it is. */
static void test_followed_and_back(void **state)
{
    Yizhan__V1__MemberChanged message = YIZHAN__V1__MEMBER_CHANGED__INIT;
    Yizhan__V1__MemberFile file = YIZHAN__V1__MEMBER_FILE__INIT;
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b1");
    follow(false, &first);
    NAME_M1(message, 3);
    message.org_path = (char *)(uintptr_t) "g1/b3";
    message.new_org_path = (char *)(uintptr_t) "g1/b1";
    message.file = &file;
    happen("member.changed", &message.base, &second);
    lose_and_replay(from, &second, &first);
    assert_int_equal(place_of("g1/b1", "m1").left_at_ms, 0);
    assert_int_equal(wk_document_number(file_of("m1"), "revision"), 3);
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_true(holds_role("g1/b3/x", "m1"));
}

/* Two moves in one batch: each ends what it moved. */
static void test_followed_twice(void **state)
{
    Yizhan__V1__MemberFollowed on = YIZHAN__V1__MEMBER_FOLLOWED__INIT;
    struct drive_past first, second;
    size_t from;

    (void)state;
    from = register_secretaries("g1/b2");
    follow(true, &first);
    on.org_path = (char *)(uintptr_t) "g1/b3";
    on.member_id = (char *)(uintptr_t) "m1";
    on.to = (char *)(uintptr_t) "g1/b4";
    on.scopes_only = true;
    happen("member.followed", &on.base, &second);
    lose_and_replay(from, &first, &second);
    assert_false(holds_role("g1/b1/x", "m1"));
    assert_true(holds_role("g1/b4/x", "m1"));
    assert_true(holds_role("g1/b1/x", "m2"));
}

#define ENDED(name) cmocka_unit_test_setup_teardown(name, prepare, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENDED(test_changed),
        ENDED(test_archived),
        ENDED(test_followed_a_scope),
        ENDED(test_followed_the_branch),
        ENDED(test_changed_twice),
        ENDED(test_given_again),
        ENDED(test_followed_and_given_again),
        ENDED(test_followed_and_taken),
        ENDED(test_followed_and_archived),
        ENDED(test_followed_and_back),
        ENDED(test_followed_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
