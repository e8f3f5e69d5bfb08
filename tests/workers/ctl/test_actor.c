/* Roles as they are given on the command line and as they stand in a token. */
#include "workers/ctl/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void knows_the_roles(void **state)
{
    static const char *const wrong[] = {
        "",          "secretary",      "secretary@", "boss@g1",  "Member", "secretary@g1/",
        "admin@ g1", "secretary@g1,x", "public@g1",  "member@g1"};

    (void)state;
    assert_true(ctl_actor_role_valid("member"));
    assert_true(ctl_actor_role_valid("public"));
    assert_true(ctl_actor_role_valid("secretary@g1/c1"));
    assert_true(ctl_actor_role_valid("inspector@g1"));
    assert_true(ctl_actor_role_valid("admin@g1/c1/b1"));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ctl_actor_role_valid(wrong[i]));
}

static void puts_member_before_them(void **state)
{
    const char *both[] = {"secretary@g1", "member"}, *guest[] = {"public"};
    char roles[YZ_ROLES_MAX];
    const char *bad = NULL;

    (void)state;
    assert_true(ctl_actor_join(both, 0, roles, &bad));
    assert_string_equal(roles, "member");
    assert_true(ctl_actor_join(both, 2, roles, &bad));
    assert_string_equal(roles, "member,secretary@g1");
    assert_true(ctl_actor_join(guest, 1, roles, &bad));
    assert_string_equal(roles, "public");
}

static void names_the_wrong_one(void **state)
{
    const char *roles[] = {"secretary@g1", "king@g1"}, *bad = NULL;
    const char *many[CTL_LIST_MAX];
    char out[YZ_ROLES_MAX], path[YZ_ORG_PATH_MAX];

    (void)state;
    assert_false(ctl_actor_join(roles, 2, out, &bad));
    assert_string_equal(bad, "king@g1");
    /* Too long together: cut nowhere, refused. */
    memset(path, 'a', sizeof path);
    memcpy(path, "admin@", 6);
    path[60] = '\0';
    for (int i = 0; i < CTL_LIST_MAX; i++)
        many[i] = path;
    assert_false(ctl_actor_join(many, CTL_LIST_MAX, out, &bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_roles),
        cmocka_unit_test(puts_member_before_them),
        cmocka_unit_test(names_the_wrong_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
