#include "workers/ctl/cast.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const surnames[] = {"王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴",
                                       "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马", "罗"};
static const char *const given_names[] = {
    "秀英", "桂兰", "建国", "丽华", "志强", "海燕", "国庆", "春梅", "卫东", "晓明",
    "淑珍", "文博", "雨桐", "浩然", "子涵", "玉梅", "建军", "俊杰", "婷婷", "永强",
    "红霞", "振华", "晓红", "宏伟", "雪梅", "大伟", "佳怡", "思远", "立新", "凤英"};

static const char *const group_name = "星火集团党委";
static const char *const company_names[CAST_COMPANIES] = {"机电公司党总支", "物流公司党总支",
                                                          "研究院党总支"};
static const struct {
    int company;
    const char *name;
} branch_names[CAST_BRANCHES] = {
    {0, "总装车间党支部"}, {0, "铸造车间党支部"}, {0, "设备部党支部"}, {1, "车队党支部"},
    {1, "仓储党支部"},     {1, "客服党支部"},     {2, "设计所党支部"}, {2, "离退休党支部"},
};

uint32_t ctl_dice_roll(struct ctl_dice *dice, uint32_t sides)
{
    uint64_t z = (dice->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * sides) >> 32);
}

bool ctl_dice_chance(struct ctl_dice *dice, uint32_t percent)
{
    return ctl_dice_roll(dice, 100) < percent;
}

/* Citizen number with the check digit of GB 11643: ISO 7064 MOD 11-2. Area 999999 belongs to
 * nobody. */
static void make_id_number(struct ctl_dice *dice, char out[19])
{
    static const int weights[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    int sum = 0;

    snprintf(out, 19, "999999%04u%02u%02u%03u", 1955U + ctl_dice_roll(dice, 48),
             1U + ctl_dice_roll(dice, 12), 1U + ctl_dice_roll(dice, 28), ctl_dice_roll(dice, 1000));
    for (int i = 0; i < 17; i++)
        sum += (out[i] - '0') * weights[i];
    out[17] = "10X98765432"[sum % 11];
    out[18] = '\0';
}

static void set_actor(struct yz_actor *actor, const char *tenant, const char *member,
                      const char *path, const char *roles)
{
    memset(actor, 0, sizeof *actor);
    snprintf(actor->tenant, sizeof actor->tenant, "%s", tenant);
    snprintf(actor->member, sizeof actor->member, "%s", member);
    snprintf(actor->org_path, sizeof actor->org_path, "%s", path);
    snprintf(actor->roles, sizeof actor->roles, "%s", roles);
}

static void make_orgs(struct ctl_cast *cast)
{
    cast->group.name = group_name;
    snprintf(cast->group.path, sizeof cast->group.path, "group");
    for (int i = 0; i < CAST_COMPANIES; i++) {
        cast->companies[i].name = company_names[i];
        snprintf(cast->companies[i].path, sizeof cast->companies[i].path, "group/company%d", i + 1);
    }
    for (int i = 0; i < CAST_BRANCHES; i++) {
        cast->branches[i].name = branch_names[i].name;
        snprintf(cast->branches[i].path, sizeof cast->branches[i].path, "group/company%d/branch%d",
                 branch_names[i].company + 1, i + 1);
    }
}

static void make_member(struct ctl_cast *cast, const char *tenant, int index, struct ctl_dice *dice)
{
    struct ctl_cast_member *member = &cast->members[index];
    int place = index % CAST_BRANCH_SIZE;
    char id[YZ_ID_MAX], roles[YZ_ROLES_MAX];

    member->branch = index / CAST_BRANCH_SIZE;
    snprintf(id, sizeof id, "m%03d", index + 1);
    snprintf(roles, sizeof roles, place < 2 ? "member,secretary@%s" : "member",
             cast->branches[member->branch].path);
    set_actor(&member->actor, tenant, id, cast->branches[member->branch].path, roles);
    snprintf(member->name, sizeof member->name, "%s%s",
             surnames[ctl_dice_roll(dice, COUNT(surnames))],
             given_names[ctl_dice_roll(dice, COUNT(given_names))]);
    make_id_number(dice, member->id_number);
    snprintf(member->phone, sizeof member->phone, "1000%07u", ctl_dice_roll(dice, 10000000));
    member->probationary = place >= CAST_BRANCH_SIZE - 2;
    member->zeal = place < 2 ? 95 : 30 + ctl_dice_roll(dice, 65);
}

void ctl_cast_make(struct ctl_cast *cast, const char *tenant, struct ctl_dice *dice)
{
    memset(cast, 0, sizeof *cast);
    make_orgs(cast);
    for (int i = 0; i < CAST_MEMBERS; i++)
        make_member(cast, tenant, i, dice);
    set_actor(&cast->admin, tenant, "admin", "group", "member,admin@group");
    set_actor(&cast->secretary, tenant, "secretary", "group", "member,secretary@group");
    set_actor(&cast->deputy, tenant, "deputy", "group", "member,secretary@group");
    set_actor(&cast->discipline, tenant, "discipline", "group", "member,inspector@group");
}

struct ctl_cast_member *ctl_cast_secretary(struct ctl_cast *cast, int branch)
{
    return ctl_cast_member(cast, branch, 0);
}

struct ctl_cast_member *ctl_cast_member(struct ctl_cast *cast, int branch, int place)
{
    return &cast->members[branch * CAST_BRANCH_SIZE + place];
}
