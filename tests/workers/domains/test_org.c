/* The tree of orgs, folded without a database. */
#include "drive.h"

#include "workers/domains/org.h"
#include "workers/roster.h"

#include <org.pb-c.h>
#include <stdio.h>

static struct drive d;
static size_t rows_done;

static int set_up(void **state)
{
    (void)state;
    drive_init(&d);
    d.roles = "member,admin@g1";
    rows_done = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_deinit(&d);
    return 0;
}

static enum yz_err founded(const char *path)
{
    Yizhan__V1__OrgFounded message = YIZHAN__V1__ORG_FOUNDED__INIT;

    message.org_path = (char *)(uintptr_t)path;
    message.name = (char *)(uintptr_t) "name";
    message.kind = YIZHAN__V1__ORG_KIND__BRANCH;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "adm", "g1", "org.founded", &message.base);
}

/* One after the other; NULL ends the list. */
static void __attribute__((sentinel)) found(const char *path, ...)
{
    va_list more;

    va_start(more, path);
    for (; path; path = va_arg(more, const char *)) {
        if (founded(path))
            fail_msg("%s: %s at '%s'", path, yz_err_code(d.v.err), d.v.field);
    }
    va_end(more);
}

static enum yz_err moved(const char *from, const char *to)
{
    Yizhan__V1__OrgMoved message = YIZHAN__V1__ORG_MOVED__INIT;

    message.org_path = (char *)(uintptr_t)from;
    message.to = (char *)(uintptr_t)to;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "adm", "g1", "org.moved", &message.base);
}

static enum yz_err dissolved(const char *path)
{
    Yizhan__V1__OrgDissolved message = YIZHAN__V1__ORG_DISSOLVED__INIT;

    message.org_path = (char *)(uintptr_t)path;
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "adm", "g1", "org.dissolved", &message.base);
}

static enum yz_err renamed(const char *path)
{
    Yizhan__V1__OrgRenamed message = YIZHAN__V1__ORG_RENAMED__INIT;

    message.org_path = (char *)(uintptr_t)path;
    message.name = (char *)(uintptr_t) "new name";
    message.basis = (char *)(uintptr_t) "basis";
    return drive(&d, "adm", "g1", "org.renamed", &message.base);
}

/* What is owed, and what that owes in its turn. */
static void run_rows(void)
{
    while (rows_done < drive_row_count(&d))
        drive_row(&d, rows_done++, "adm", "g1");
}

static const bson_t *org_of(const char *path)
{
    char id[WK_ID_MAX];

    wk_org_id(id, "t1", path);
    return drive_document(&d, WK_ORGS, id);
}

static bool is_live(const char *path)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, org_of(path), "live") && bson_iter_as_bool(&iter);
}

static size_t children_of(const char *path)
{
    bson_iter_t entries;
    size_t count = 0;

    assert_true(wk_document_array(org_of(path), "children", &entries));
    while (bson_iter_next(&entries))
        count++;
    return count;
}

/* The place of a child; -1: it is none. */
static int64_t place_of(const char *path, const char *child)
{
    bson_iter_t entries, row, at;

    assert_true(wk_document_array(org_of(path), "children", &entries));
    while (bson_iter_next(&entries)) {
        assert_true(bson_iter_recurse(&entries, &row) && bson_iter_find(&row, "c"));
        if (strcmp(bson_iter_utf8(&row, NULL), child) != 0)
            continue;
        assert_true(bson_iter_recurse(&entries, &at) && bson_iter_find(&at, "p"));
        return bson_iter_as_int64(&at);
    }
    return -1;
}

static void refused(enum yz_err got, enum yz_err wanted, const char *field)
{
    assert_string_equal(yz_err_code(got), yz_err_code(wanted));
    assert_string_equal(d.v.field, field);
}

static void test_founded(void **state)
{
    Yizhan__V1__OrgChanged *push;

    (void)state;
    assert_int_equal(founded("g1"), YZ_OK);
    refused(founded("g1"), YZ_EXISTS, "orgPath");
    refused(founded("g1/c1/b1"), YZ_UNKNOWN_ORG, "orgPath");
    found("g1/c1", "g1/c1/b1", NULL);
    assert_int_equal(children_of("g1"), 1);
    assert_string_equal(wk_document_text(org_of("g1/c1/b1"), "parent"), "g1/c1");
    assert_int_equal(wk_document_time_ms(org_of("g1/c1/b1"), "since"), DRIVE_START);
    push = (Yizhan__V1__OrgChanged *)drive_last_push(&d, "org.g1/c1/b1", "org.changed");
    assert_int_equal(push->change, YIZHAN__V1__ORG_CHANGE_KIND__ORG_FOUNDED);
    assert_string_equal(push->changed_by, "adm");
    protobuf_c_message_free_unpacked(&push->base, NULL);
}

static void test_renamed(void **state)
{
    (void)state;
    refused(renamed("g1"), YZ_NOT_FOUND, "orgPath");
    found("g1", "g1/c1", NULL);
    assert_int_equal(renamed("g1"), YZ_OK);
    assert_string_equal(wk_document_text(org_of("g1"), "name"), "new name");
    assert_int_equal(children_of("g1"), 1);
}

static void test_dissolved(void **state)
{
    bson_t *branch = BCON_NEW("members", "[", "{", "m", "m1", "}", "]");
    char id[WK_ID_MAX];

    (void)state;
    refused(dissolved("g1"), YZ_NOT_FOUND, "orgPath");
    found("g1", "g1/b1", "g1/b2", NULL);
    refused(dissolved("g1"), YZ_ORG_NOT_EMPTY, "orgPath");
    wk_branch_id(id, "t1", "g1/b1");
    wk_fold_preset(d.fold, WK_BRANCHES, id, branch, 1);
    bson_destroy(branch);
    refused(dissolved("g1/b1"), YZ_ORG_NOT_EMPTY, "orgPath");
    assert_int_equal(dissolved("g1/b2"), YZ_OK);
    assert_false(is_live("g1/b2"));
    assert_true(wk_document_time_ms(org_of("g1/b2"), "until") != 0);
    assert_int_equal(children_of("g1"), 1);
    refused(dissolved("g1/b2"), YZ_NOT_FOUND, "orgPath");
    refused(founded("g1/b2/x"), YZ_UNKNOWN_ORG, "orgPath");
    assert_int_equal(founded("g1/b2"), YZ_OK); /* another one, at the same path */
    assert_true(is_live("g1/b2"));
}

static void test_moved(void **state)
{
    (void)state;
    found("g1", "g1/a", "g1/b", "g1/a/x", "g1/a/x/y", NULL);
    d.now_ms += 1000;
    assert_int_equal(moved("g1/a", "g1/b/a"), YZ_OK);
    run_rows();
    assert_false(is_live("g1/a"));
    assert_string_equal(wk_document_text(org_of("g1/a"), "moved_to"), "g1/b/a");
    assert_int_equal(wk_document_time_ms(org_of("g1/a"), "until"), DRIVE_START + 1000);
    assert_true(is_live("g1/b/a"));
    assert_true(is_live("g1/b/a/x"));
    assert_true(is_live("g1/b/a/x/y"));
    assert_false(is_live("g1/a/x"));
    assert_false(is_live("g1/a/x/y"));
    assert_int_equal(children_of("g1"), 1);
    assert_int_equal(children_of("g1/b"), 1);
    assert_int_equal(wk_document_time_ms(org_of("g1/b/a/x"), "since"), DRIVE_START + 1000);
}

/* What it left at its path is nobody else's. */
static void test_a_path_waits_for_its_org(void **state)
{
    (void)state;
    found("g1", "g1/a", "g1/b", "g1/c", NULL);
    assert_int_equal(moved("g1/a", "g1/b/a"), YZ_OK);
    refused(founded("g1/a"), YZ_EXISTS, "orgPath");
    refused(moved("g1/c", "g1/a"), YZ_EXISTS, "to");
    assert_int_equal(moved("g1/b/a", "g1/a"), YZ_OK);
    assert_true(is_live("g1/a"));
}

static void test_moved_refused(void **state)
{
    (void)state;
    refused(moved("g1/a", "g1/b/a"), YZ_NOT_FOUND, "orgPath");
    found("g1", "g1/a", "g1/b", "g1/b/a", NULL);
    refused(moved("g1/a", "g2/a"), YZ_FORBIDDEN, "to");
    refused(moved("g1/a", "g1/b/a"), YZ_EXISTS, "to");
    refused(moved("g1/a", "g1/none/a"), YZ_UNKNOWN_ORG, "to");
    d.roles = "member,admin@g1/a,admin@g1/b";
    assert_int_equal(moved("g1/a", "g1/b/c"), YZ_OK);
}

/* Twelve levels, counted with all that comes along. */
static void test_too_deep(void **state)
{
    char path[YZ_ORG_PATH_MAX] = "g1", chain[YZ_ORG_PATH_MAX] = "g1/z";

    (void)state;
    assert_int_equal(founded(path), YZ_OK);
    for (int depth = 2; depth <= 9; depth++) {
        strncat(path, "/a", sizeof path - strlen(path) - 1);
        assert_int_equal(founded(path), YZ_OK);
    }
    for (int height = 1; height <= 4; height++) {
        assert_int_equal(founded(chain), YZ_OK);
        strncat(chain, "/z", sizeof chain - strlen(chain) - 1);
    }
    strncat(path, "/z", sizeof path - strlen(path) - 1); /* level 10, and 3 more below it */
    refused(moved("g1/z", path), YZ_ORG_TOO_DEEP, "to");
    assert_int_equal(dissolved("g1/z/z/z/z"), YZ_OK);
    assert_int_equal(moved("g1/z", path), YZ_OK);
    run_rows();
    strncat(path, "/z/z", sizeof path - strlen(path) - 1);
    assert_true(is_live(path));
}

static void test_path_too_long(void **state)
{
    char path[YZ_ORG_PATH_MAX] = "g1/", part[YZ_ID_MAX], to[YZ_ORG_PATH_MAX + 16];

    (void)state;
    memset(part, 'p', 60);
    part[60] = '\0';
    found("g1", "g1/s", NULL);
    snprintf(path, sizeof path, "g1/s/%s", part);
    assert_int_equal(founded(path), YZ_OK);
    snprintf(path, sizeof path, "g1/%s", part);
    assert_int_equal(founded(path), YZ_OK);
    for (int i = 0; i < 2; i++) {
        size_t len = strlen(path);

        snprintf(path + len, sizeof path - len, "/%s", part);
        assert_int_equal(founded(path), YZ_OK);
    }
    /* 185 bytes and what is below: 61 more make 248, below a longer one 259. */
    snprintf(to, sizeof to, "%s/ssssssssssss", path);
    refused(moved("g1/s", to), YZ_ORG_TOO_DEEP, "to");
    snprintf(to, sizeof to, "%s/s", path);
    assert_int_equal(moved("g1/s", to), YZ_OK);
}

/* More children than one event tells. */
static void test_many_children(void **state)
{
    char path[YZ_ORG_PATH_MAX];

    (void)state;
    found("g1", "g1/a", NULL);
    for (int i = 0; i < 150; i++) {
        snprintf(path, sizeof path, "g1/a/c%d", i);
        assert_int_equal(founded(path), YZ_OK);
    }
    assert_int_equal(moved("g1/a", "g1/b"), YZ_OK);
    run_rows();
    assert_int_equal(children_of("g1/b"), 150);
    for (int i = 0; i < 150; i++) {
        snprintf(path, sizeof path, "g1/b/c%d", i);
        assert_true(is_live(path));
        snprintf(path, sizeof path, "g1/a/c%d", i);
        assert_false(is_live(path));
    }
}

/* Moved on before what is below has arrived: it runs after. */
static void test_moved_twice(void **state)
{
    (void)state;
    found("g1", "g1/a", "g1/a/x", "g1/a/x/y", NULL);
    assert_int_equal(moved("g1/a", "g1/b"), YZ_OK);
    assert_int_equal(moved("g1/b", "g1/c"), YZ_OK);
    run_rows();
    assert_true(is_live("g1/c/x/y"));
    assert_false(is_live("g1/a/x"));
    assert_null(org_of("g1/b/x") ? (is_live("g1/b/x") ? "" : NULL) : NULL);
}

/* A mistake that is undone at once: what was to follow has not left yet. */
static void test_moved_and_back(void **state)
{
    (void)state;
    found("g1", "g1/a", "g1/a/x", "g1/a/x/y", NULL);
    assert_int_equal(moved("g1/a", "g1/b"), YZ_OK);
    assert_int_equal(moved("g1/b", "g1/a"), YZ_OK);
    run_rows();
    assert_true(is_live("g1/a/x/y"));
    assert_int_equal(children_of("g1/a"), 1);
    refused(dissolved("g1/a"), YZ_ORG_NOT_EMPTY, "orgPath");
    assert_int_equal(moved("g1/a", "g1/c"), YZ_OK);
    run_rows();
    assert_true(is_live("g1/c/x/y"));
}

/* Moved by hand in the meantime: what follows late has no effect. */
static void test_follows_late(void **state)
{
    (void)state;
    found("g1", "g1/a", "g1/a/x", NULL);
    assert_int_equal(moved("g1/a", "g1/b"), YZ_OK);
    assert_int_equal(moved("g1/a/x", "g1/b/x"), YZ_OK);
    assert_int_equal(founded("g1/b/x/y"), YZ_OK);
    run_rows();
    assert_true(is_live("g1/b/x"));
    assert_int_equal(children_of("g1/b/x"), 1);
}

/* Whoever stands where among them, and whoever comes and goes. */
static void test_places_stay(void **state)
{
    (void)state;
    found("g1", "g1/m", "g1/z", "g1/a", NULL);
    assert_int_equal(place_of("g1", "m"), 0);
    assert_int_equal(place_of("g1", "z"), 1);
    assert_int_equal(place_of("g1", "a"), 2);
    assert_int_equal(moved("g1/a", "g1/b"), YZ_OK);
    assert_int_equal(founded("g1/m/x"), YZ_OK); /* m is written anew */
    assert_int_equal(place_of("g1", "a"), -1);
    assert_int_equal(place_of("g1", "m"), 0);
    assert_int_equal(place_of("g1", "b"), 3);
    assert_int_equal(founded("g1/d"), YZ_OK);
    assert_int_equal(place_of("g1", "d"), 4);
    /* an org at a path that had one goes on where that one was */
    assert_int_equal(founded("g1/d/x"), YZ_OK);
    assert_int_equal(dissolved("g1/d/x"), YZ_OK);
    assert_int_equal(dissolved("g1/d"), YZ_OK);
    found("g1/d", "g1/d/y", NULL);
    assert_int_equal(place_of("g1/d", "y"), 1);
}

/* Of one that was written before there were places, a child has that of its rank. */
static void test_places_of_old_orgs(void **state)
{
    bson_t *old = BCON_NEW("org_path", "g1", "parent", "", "name", "N", "kind", "BRANCH", "live",
                           BCON_BOOL(true), "children", "[", "{", "c", "m", "h", BCON_INT64(1), "t",
                           BCON_INT64(0), "}", "{", "c", "z", "h", BCON_INT64(1), "t",
                           BCON_INT64(0), "}", "]");
    char id[WK_ID_MAX];

    (void)state;
    wk_org_id(id, "t1", "g1");
    wk_fold_preset(d.fold, WK_ORGS, id, old, 1);
    bson_destroy(old);
    assert_int_equal(founded("g1/a"), YZ_OK);
    assert_int_equal(place_of("g1", "m"), 0);
    assert_int_equal(place_of("g1", "z"), 1);
    assert_int_equal(place_of("g1", "a"), 2);
}

static void test_replay_of_a_move(void **state)
{
    Yizhan__V1__OrgMoved message = YIZHAN__V1__ORG_MOVED__INIT;
    size_t before;
    struct drive_past first;

    (void)state;
    found("g1", "g1/a", "g1/a/x", NULL);
    message.org_path = (char *)(uintptr_t) "g1/a";
    message.to = (char *)(uintptr_t) "g1/b";
    message.basis = (char *)(uintptr_t) "basis";
    before = drive_row_count(&d);
    assert_int_equal(drive(&d, "adm", "g1", "org.moved", &message.base), YZ_OK);
    drive_keep(&d, &first);
    assert_int_equal(drive_row_count(&d) - before, 2); /* its members, its child */
    assert_int_equal(founded("g1/b/new"), YZ_OK);
    assert_int_equal(drive_apply(&d, &first.event), YZ_OK);
    run_rows();
    assert_true(is_live("g1/b/x"));
    assert_int_equal(children_of("g1/b"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_founded),
        TEST(test_renamed),
        TEST(test_dissolved),
        TEST(test_moved),
        TEST(test_a_path_waits_for_its_org),
        TEST(test_moved_refused),
        TEST(test_too_deep),
        TEST(test_path_too_long),
        TEST(test_places_stay),
        TEST(test_places_of_old_orgs),
        TEST(test_many_children),
        TEST(test_moved_twice),
        TEST(test_moved_and_back),
        TEST(test_follows_late),
        TEST(test_replay_of_a_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
