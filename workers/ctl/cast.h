/* cast.h: the people and branches of a made-up tenant, all from one seed: the same seed, the same
 * tenant.
 *
 * Lifetime  a ctl_cast is plain data.
 * Thread    any; pure.
 * Limits    CAST_BRANCHES branches of CAST_BRANCH_SIZE members in three companies of one group.
 */
#ifndef CTL_CAST_H
#define CTL_CAST_H

#include "common/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAST_COMPANIES   3
#define CAST_BRANCHES    8
#define CAST_BRANCH_SIZE 20
#define CAST_MEMBERS     (CAST_BRANCHES * CAST_BRANCH_SIZE)

struct ctl_dice {
    uint64_t state;
};
/* 0 to sides - 1. SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * 2014). */
uint32_t ctl_dice_roll(struct ctl_dice *dice, uint32_t sides);
bool ctl_dice_chance(struct ctl_dice *dice, uint32_t percent);

struct ctl_cast_org {
    char path[YZ_ORG_PATH_MAX];
    const char *name;
};

struct ctl_cast_member {
    struct yz_actor actor;
    char name[16];      /* 王秀兰 */
    char id_number[19]; /* of nobody: its area code is not given out */
    char phone[12];     /* of nobody: 10000… is no number range */
    int branch;
    bool probationary;
    uint32_t zeal; /* 0 to 100: how likely it is to read, learn, come */
};

struct ctl_cast {
    struct ctl_cast_org group, companies[CAST_COMPANIES], branches[CAST_BRANCHES];
    /* Members of a branch stand together; the first one is its secretary, the second its deputy,
     * who is a secretary, too. */
    struct ctl_cast_member members[CAST_MEMBERS];
    struct yz_actor admin;      /* of the group */
    struct yz_actor secretary;  /* of the group */
    struct yz_actor deputy;     /* of the group, the second person of urgent notices */
    struct yz_actor discipline; /* handles complaints, in the group */
};

void ctl_cast_make(struct ctl_cast *cast, const char *tenant, struct ctl_dice *dice);
struct ctl_cast_member *ctl_cast_secretary(struct ctl_cast *cast, int branch);
struct ctl_cast_member *ctl_cast_member(struct ctl_cast *cast, int branch, int place);

#endif
