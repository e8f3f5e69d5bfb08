/* The made-up tenant: the same seed gives the same people, and what they bear is well formed and
 * nobody's. */
#include "workers/ctl/cast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ctl_cast one, two;

static void make(struct ctl_cast *cast, uint64_t seed)
{
    struct ctl_dice dice = {seed};

    ctl_cast_make(cast, "t1", &dice);
}

static void test_a_seed_is_a_tenant(void **state)
{
    (void)state;
    make(&one, 7);
    make(&two, 7);
    assert_memory_equal(one.members, two.members, sizeof one.members);
    make(&two, 8);
    assert_memory_not_equal(one.members, two.members, sizeof one.members);
}

static void test_everybody_is_somebody(void **state)
{
    (void)state;
    make(&one, 1);
    for (int i = 0; i < CAST_MEMBERS; i++) {
        const struct ctl_cast_member *member = &one.members[i];

        assert_true(yz_id_valid(member->actor.member));
        assert_true(yz_org_path_valid(member->actor.org_path));
        assert_string_equal(member->actor.org_path, one.branches[member->branch].path);
        assert_int_equal(strlen(member->id_number), 18);
        assert_memory_equal(member->id_number, "999999", 6);
        assert_memory_equal(member->phone, "1000", 4);
        assert_true(yz_actor_has_role(&member->actor, "secretary", member->actor.org_path) ==
                    (i % CAST_BRANCH_SIZE < 2));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(one.members[k].actor.member, member->actor.member);
    }
}

static void test_dice_stay_below_their_sides(void **state)
{
    struct ctl_dice dice = {3};
    uint32_t seen = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint32_t rolled = ctl_dice_roll(&dice, 6);

        assert_in_range(rolled, 0, 5);
        seen |= 1U << rolled;
    }
    assert_int_equal(seen, 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_is_a_tenant),
        cmocka_unit_test(test_everybody_is_somebody),
        cmocka_unit_test(test_dice_stay_below_their_sides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
