/* The document of a branch, as other domains read it. */
#include "workers/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bson_t *branch_of(const char *json)
{
    bson_error_t error;
    bson_t *branch = bson_new_from_json((const uint8_t *)json, -1, &error);

    assert_non_null(branch);
    return branch;
}

#define TWO                                                                                        \
    "{\"org_path\": \"g1/b1\", \"next_place\": 2, \"members\": ["                                  \
    "{\"m\": \"m1\", \"p\": 0, \"k\": \"FULL\", \"r\": \"secretary\", \"j\": {\"$date\": 1000}},"  \
    "{\"m\": \"m2\", \"p\": 1, \"k\": \"PROBATIONARY\", \"r\": \"\", \"j\": {\"$date\": 2000}, "   \
    "\"l\": {\"$date\": 3000}}]}"

static void test_walk(void **state)
{
    bson_t *branch = branch_of(TWO);
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    (void)state;
    wk_branch_begin(&walk, branch);
    assert_true(wk_branch_next(&walk, &member));
    assert_string_equal(member.member, "m1");
    assert_int_equal(member.place, 0);
    assert_int_equal(member.kind, WK_MEMBER_FULL);
    assert_string_equal(member.roles, "secretary");
    assert_int_equal(member.joined_at_ms, 1000);
    assert_int_equal(member.left_at_ms, 0);
    assert_true(wk_branch_next(&walk, &member));
    assert_string_equal(member.member, "m2");
    assert_int_equal(member.place, 1);
    assert_int_equal(member.kind, WK_MEMBER_PROBATIONARY);
    assert_int_equal(member.left_at_ms, 3000);
    assert_false(wk_branch_next(&walk, &member));
    bson_destroy(branch);
}

static void test_find(void **state)
{
    bson_t *branch = branch_of(TWO);
    struct wk_branch_member member;

    (void)state;
    assert_true(wk_branch_find(branch, "m2", &member));
    assert_int_equal(member.place, 1);
    assert_false(wk_branch_find(branch, "m", &member));
    assert_false(wk_branch_find(NULL, "m1", &member));
    bson_destroy(branch);
}

static void test_roles_held(void **state)
{
    bson_t *holders =
        branch_of("{\"holders\": [7, {\"m\": \"m1\", \"p\": 0}, {\"m\": \"m2\", \"r\": "
                  "\"secretary,admin\"}, {\"m\": \"m3\", \"r\": 1}]}");

    (void)state;
    assert_string_equal(wk_roles_held(holders, "m2"), "secretary,admin");
    assert_string_equal(wk_roles_held(holders, "m1"), "");
    assert_string_equal(wk_roles_held(holders, "m3"), "");
    assert_string_equal(wk_roles_held(holders, "m"), "");
    assert_string_equal(wk_roles_held(NULL, "m2"), "");
    bson_destroy(holders);
    holders = branch_of("{\"members\": [{\"m\": \"m2\", \"r\": \"admin\"}]}");
    assert_string_equal(wk_roles_held(holders, "m2"), "");
    bson_destroy(holders);
}

/* What is not as it should be reads as nothing, and the walk goes on. */
static void test_not_whole(void **state)
{
    bson_t *branch = branch_of("{\"members\": [7, {\"p\": \"x\", \"k\": 3}, {\"m\": \"m3\", \"k\": "
                               "\"HONORARY\"}]}");
    struct wk_branch_member member;
    struct wk_branch_walk walk;

    (void)state;
    wk_branch_begin(&walk, branch);
    assert_true(wk_branch_next(&walk, &member));
    assert_string_equal(member.member, "");
    assert_string_equal(member.roles, "");
    assert_true(wk_branch_next(&walk, &member));
    assert_string_equal(member.member, "m3");
    assert_int_equal(member.kind, WK_MEMBER_UNKNOWN);
    assert_false(wk_branch_next(&walk, &member));
    bson_destroy(branch);
    branch = branch_of("{\"members\": \"none\"}");
    wk_branch_begin(&walk, branch);
    assert_false(wk_branch_next(&walk, &member));
    bson_destroy(branch);
}

static void test_id(void **state)
{
    char id[WK_ID_MAX];

    (void)state;
    wk_branch_id(id, "t1", "g1/c1/b1");
    assert_string_equal(id, "t1|g1/c1/b1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),       cmocka_unit_test(test_find),
        cmocka_unit_test(test_roles_held), cmocka_unit_test(test_not_whole),
        cmocka_unit_test(test_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
