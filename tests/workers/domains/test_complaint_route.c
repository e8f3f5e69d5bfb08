/* Who may handle a complaint: over random trees, against the rules said once more in another way.
 */
#include "workers/domains/complaint_route.h"

#include "branch_rig.h"
#include "workers/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TREES    3000
#define ORGS     40
#define PEOPLE   30
#define HANDLERS 24
#define NOW      INT64_C(1000000)
#define SPAN     500 /* some are in office in a part of it only */

static uint64_t seed;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

struct person {
    char name[16];
    int home;   /* org */
    bool leads; /* secretary of its home */
    bool left;
    int over; /* org, anywhere: has a role whose scope it is; -1 */
    const char *role;
};

struct registered {
    int scope, person, leads; /* leads: an org, or -1 */
    bool independent;
    int64_t from, until;
    char key_id[16];
};

static struct world {
    int parents[ORGS];
    char paths[ORGS][YZ_ORG_PATH_MAX];
    int org_count;
    struct person people[PEOPLE];
    struct registered handlers[HANDLERS];
} world;

/* b is a or below a, by the tree and not by its names. */
static bool above_or_same(int a, int b)
{
    while (b >= 0 && b != a)
        b = world.parents[b];
    return b == a;
}

static void populate(void)
{
    static const char *const roles[] = {"secretary", "inspector,admin", "inspector", "", NULL};

    for (int i = 0; i < PEOPLE; i++) {
        struct person *p = &world.people[i];

        snprintf(p->name, sizeof p->name, "p%d", i);
        p->home = (int)draw((unsigned)world.org_count);
        p->leads = draw(4) == 0;
        p->left = draw(8) == 0;
        p->over = draw(3) ? -1 : (int)draw((unsigned)world.org_count);
        p->role = roles[draw(5)];
    }
}

static void grow(void)
{
    world.org_count = 2 + (int)draw(ORGS - 2);
    for (int i = 0; i < world.org_count; i++) {
        int depth = 0;

        do {
            world.parents[i] = i == 0 ? -1 : (int)draw((unsigned)i);
            depth = 0;
            for (int up = world.parents[i]; up >= 0; up = world.parents[up])
                depth++;
        } while (depth >= YZ_ORG_DEPTH_MAX);
        /* Names that are beginnings of others: 1, 11, 111. */
        snprintf(world.paths[i], YZ_ORG_PATH_MAX, "%.200s%s%.*s",
                 i ? world.paths[world.parents[i]] : "", i ? "/" : "", 1 + i % 7, "1111111");
        snprintf(world.paths[i] + strlen(world.paths[i]), 16, "_%d", i);
    }
    populate();
    for (int i = 0; i < HANDLERS; i++) {
        struct registered *h = &world.handlers[i];

        *h = (struct registered){.scope = (int)draw((unsigned)world.org_count),
                                 .person = (int)draw(PEOPLE),
                                 .leads = draw(3) ? -1 : (int)draw((unsigned)world.org_count),
                                 .independent = draw(3) == 0,
                                 .from = draw(5) ? 0 : NOW + draw(2),
                                 .until = draw(5) ? NOW + 2 * SPAN : NOW + draw(2)};
        snprintf(h->key_id, sizeof h->key_id, "k%d", i);
    }
}

static void append_handler(bson_t *list, const struct registered *h)
{
    static const uint8_t key[WK_PUBLIC_KEY_BYTES] = {1};
    bson_t entry, leads;

    bson_append_document_begin(list, h->key_id, -1, &entry);
    BSON_APPEND_UTF8(&entry, "m", world.people[h->person].name);
    BSON_APPEND_UTF8(&entry, "h", world.paths[world.people[h->person].home]);
    BSON_APPEND_UTF8(&entry, "i", h->key_id);
    BSON_APPEND_BINARY(&entry, "p", BSON_SUBTYPE_BINARY, key, sizeof key);
    BSON_APPEND_DATE_TIME(&entry, "f", h->from);
    BSON_APPEND_DATE_TIME(&entry, "u", h->until);
    BSON_APPEND_BOOL(&entry, "n", h->independent);
    BSON_APPEND_ARRAY_BEGIN(&entry, "l", &leads);
    if (h->leads >= 0)
        BSON_APPEND_UTF8(&leads, "0", world.paths[h->leads]);
    bson_append_array_end(&entry, &leads);
    bson_append_document_end(list, &entry);
}

static bson_t *handlers_of(int org)
{
    bson_t *document = bson_new(), list;

    BSON_APPEND_ARRAY_BEGIN(document, "handlers", &list);
    for (int i = 0; i < HANDLERS; i++) {
        if (world.handlers[i].scope == org)
            append_handler(&list, &world.handlers[i]);
    }
    bson_append_array_end(document, &list);
    return document;
}

static bson_t *branch_of(int org)
{
    bson_t *document = bson_new();
    struct branch_rig branch;

    branch_begin(&branch, document, NULL);
    for (int i = 0; i < PEOPLE; i++) {
        const struct branch_entry entry = {
            .member = world.people[i].name,
            .place = (int32_t)branch.count,
            .kind = "FULL",
            .roles = world.people[i].leads ? "inspector,secretary" : "inspector",
            .joined_at_ms = 1,
            .left_at_ms = world.people[i].left ? 2 : 0,
        };

        if (world.people[i].home == org)
            branch_enrol(&branch, &entry);
    }
    branch_end(&branch);
    return document;
}

static void append_holder(bson_t *list, int place, const char *member, const char *roles)
{
    char key[16];
    bson_t entry;

    snprintf(key, sizeof key, "%d", place);
    bson_append_document_begin(list, key, -1, &entry);
    BSON_APPEND_UTF8(&entry, "m", member);
    if (roles) /* documents may be older than the field */
        BSON_APPEND_UTF8(&entry, "r", roles);
    BSON_APPEND_INT64(&entry, "p", place);
    bson_append_document_end(list, &entry);
}

static bson_t *holders_of(int org)
{
    bson_t *document = bson_new(), list;
    int place = 0;

    BSON_APPEND_ARRAY_BEGIN(document, "holders", &list);
    for (int i = 0; i < PEOPLE; i++) {
        if (world.people[i].over == org)
            append_holder(&list, place++, world.people[i].name, world.people[i].role);
    }
    bson_append_array_end(document, &list);
    return document;
}

static int org_of(const char *path)
{
    for (int i = 0; i < world.org_count; i++) {
        if (strcmp(world.paths[i], path) == 0)
            return i;
    }
    fail_msg("no org %s", path);
    return -1;
}

/* The highest org that it leads over this one, or this one itself; -1: it leads none. Whoever left
 * a branch has what it has elsewhere. */
static int led(int person, int org)
{
    const struct person *p = &world.people[person];
    bool home = p->leads && !p->left && above_or_same(p->home, org);
    bool over = p->over >= 0 && p->role && (strstr(p->role, "secr") || strstr(p->role, "admin")) &&
                above_or_same(p->over, org);

    if (home && over)
        return above_or_same(p->home, p->over) ? p->home : p->over;
    return home ? p->home : over ? p->over : -1;
}

/* The rules, over the tree itself. member: -1 for none; latest: of a span from NOW on. */
static bool may_handle(const struct registered *h, int place, bool accused, int member,
                       int64_t latest)
{
    if (latest < h->from || NOW >= h->until || !above_or_same(h->scope, place))
        return false;
    if (!accused)
        return true;
    if (member >= 0 && led(member, place) >= 0)
        place = led(member, place);
    return above_or_same(h->scope, place) && h->person != member && led(h->person, place) < 0 &&
           !(h->leads >= 0 && above_or_same(h->leads, place)) &&
           (h->independent ||
            (h->scope != place && !above_or_same(place, world.people[h->person].home)));
}

static int depth_of(int org)
{
    int depth = 0;

    for (; org >= 0; org = world.parents[org])
        depth++;
    return depth;
}

static void compare(const struct wk_route *route, int place, bool accused, int member,
                    int64_t latest)
{
    size_t eligible = 0, told = 0;
    int nearest =
        0; /* the deepest of those who are there all the time: nobody above is shown as such */

    for (int i = 0; i < HANDLERS; i++) {
        const struct registered *h = &world.handlers[i];
        bool may = may_handle(h, place, accused, member, latest);

        if (may && NOW >= h->from && latest < h->until && depth_of(h->scope) > nearest)
            nearest = depth_of(h->scope);
        eligible += may;
    }
    assert_int_equal(route->eligible, eligible);
    for (int i = 0; i < HANDLERS; i++) {
        const struct registered *h = &world.handlers[i];
        const struct wk_handler *found = wk_route_key(route, h->key_id);
        bool may = may_handle(h, place, accused, member, latest);

        if (!above_or_same(h->scope, place)) {
            assert_null(found);
            continue;
        }
        assert_non_null(found);
        assert_int_equal(found->eligible, may);
        assert_int_equal(found->nearest, may && depth_of(h->scope) >= nearest);
        told += found->eligible;
    }
    assert_int_equal(told, eligible);
}

static size_t try_one(int64_t latest)
{
    int place = (int)draw((unsigned)world.org_count);
    int member = draw(2) ? (int)draw(PEOPLE) : -1;
    bool accused = member >= 0 || draw(2);
    struct wk_route_case what = {.place = world.paths[place],
                                 .member = member >= 0 ? world.people[member].name : "",
                                 .accused = accused,
                                 .now_ms = NOW,
                                 .latest_ms = latest};
    static struct wk_route route;
    struct wk_route_orgs orgs;
    bson_t *documents[3 * YZ_ORG_DEPTH_MAX];
    size_t count = 0;

    wk_route_orgs(what.place, &orgs);
    assert_int_equal(orgs.count, depth_of(place));
    for (size_t i = 0; i < orgs.count; i++) {
        int org = org_of(orgs.paths[i]);

        orgs.handlers[i] = documents[count++] = handlers_of(org);
        orgs.branches[i] = documents[count++] = branch_of(org);
        orgs.holders[i] = documents[count++] = holders_of(org);
    }
    wk_route_find(&what, &orgs, &route);
    compare(&route, place, accused, member, what.latest_ms);
    while (count > 0)
        bson_destroy(documents[--count]);
    return route.eligible;
}

static void test_random_trees(void **state)
{
    size_t some = 0, none = 0;

    (void)state;
    for (uint64_t i = 0; i < TREES; i++) {
        seed = 20260101 + i;
        grow();
        for (int k = 0; k < 4; k++) {
            if (try_one(NOW + (k % 2) * SPAN) > 0)
                some++;
            else
                none++;
        }
    }
    /* Neither is rare, else the test says little. */
    assert_true(some > TREES && none > TREES / 4);
}

/* Three handlers over g1/c1/b1: `far` over g1, `near` over g1/c1, and `own` there, a member of
 * g1/c1/b9. */
struct office {
    bson_t *far, *near, *holders;
    struct wk_route_orgs orgs;
    struct wk_route route;
};

static void append_officer(bson_t *list, const char *member, const char *home)
{
    static const uint8_t key[WK_PUBLIC_KEY_BYTES] = {1};
    bson_t entry;

    bson_append_document_begin(list, member, -1, &entry);
    BSON_APPEND_UTF8(&entry, "m", member);
    BSON_APPEND_UTF8(&entry, "h", home);
    BSON_APPEND_UTF8(&entry, "i", member); /* the key's id */
    BSON_APPEND_BINARY(&entry, "p", BSON_SUBTYPE_BINARY, key, sizeof key);
    BSON_APPEND_DATE_TIME(&entry, "f", 0);
    BSON_APPEND_DATE_TIME(&entry, "u", NOW + 1000);
    bson_append_document_end(list, &entry);
}

/* The member has these roles over orgs.paths[at], which is no org of its own. */
static void route_with(struct office *office, const char *accused, size_t at, const char *member,
                       const char *roles)
{
    struct wk_route_case what = {
        .place = "g1/c1/b1", .member = accused, .accused = true, .now_ms = NOW, .latest_ms = NOW};
    bson_t list;

    wk_route_orgs(what.place, &office->orgs);
    office->far = bson_new();
    BSON_APPEND_ARRAY_BEGIN(office->far, "handlers", &list);
    append_officer(&list, "far", "g0");
    bson_append_array_end(office->far, &list);
    office->near = bson_new();
    BSON_APPEND_ARRAY_BEGIN(office->near, "handlers", &list);
    append_officer(&list, "near", "g1/c1/office");
    append_officer(&list, "own", "g1/c1/b9");
    bson_append_array_end(office->near, &list);
    office->holders = bson_new();
    BSON_APPEND_ARRAY_BEGIN(office->holders, "holders", &list);
    append_holder(&list, 0, "other", "admin");
    append_holder(&list, 1, member, roles);
    bson_append_array_end(office->holders, &list);
    office->orgs.handlers[0] = office->far;
    office->orgs.handlers[1] = office->near;
    office->orgs.holders[at] = office->holders;
    wk_route_find(&what, &office->orgs, &office->route);
}

static void close_office(struct office *office)
{
    bson_destroy(office->far);
    bson_destroy(office->near);
    bson_destroy(office->holders);
}

static bool may(const struct office *office, const char *key_id)
{
    return wk_route_key(&office->route, key_id)->eligible;
}

/* The accused of g1/c1/b1 is admin of g1/c1: who works there, or below, is the accused's
 * subordinate. */
static void test_a_role_above_the_home_raises_the_accused(void **state)
{
    static const struct {
        const char *roles;
        bool below;
    } cases[] = {{"admin", false},
                 {"inspector,secretary", false},
                 {"inspector", true},
                 {"", true},
                 {NULL, true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct office office;

        route_with(&office, "m", 1, "m", cases[i].roles);
        assert_int_equal(may(&office, "near"), cases[i].below);
        assert_int_equal(may(&office, "own"), cases[i].below);
        assert_true(may(&office, "far"));
        assert_int_equal(wk_route_key(&office.route, "far")->nearest, !cases[i].below);
        close_office(&office);
    }
}

/* The handler of g1/c1/b9 is secretary of g1/c1, and with that the accused's leader. */
static void test_who_leads_from_elsewhere_is_no_handler(void **state)
{
    static const struct {
        const char *roles;
        bool may;
    } cases[] = {{"secretary", false}, {"admin", false}, {"inspector", true}, {NULL, true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t at = 0; at < 3; at++) {
            static struct office office;

            route_with(&office, "m", at, "own", cases[i].roles);
            assert_int_equal(may(&office, "own"), cases[i].may);
            assert_true(may(&office, "near"));
            assert_true(may(&office, "far"));
            close_office(&office);
        }
    }
}

/* `far` was registered while it belonged to g0, and has moved since. */
static void test_who_came_to_the_accuseds_org_is_no_handler(void **state)
{
    static const struct {
        const char *accused;
        size_t at; /* of whose roster */
        int64_t left_at_ms;
        bool may;
    } cases[] = {{"u9", 2, 0, false}, {"u9", 2, 7, true}, {"u9", 1, 0, true},
                 {"m", 2, 0, false},  {"m", 1, 0, false}, {"m", 0, 0, true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wk_route_case what = {.place = "g1/c1/b1",
                                     .member = cases[i].accused,
                                     .accused = true,
                                     .now_ms = NOW,
                                     .latest_ms = NOW};
        static struct office office;
        struct branch_rig branch;
        bson_t *roster = bson_new();

        branch_begin(&branch, roster, NULL);
        branch_enrol(&branch, &(struct branch_entry){
                                  .member = "far", .place = 0, .left_at_ms = cases[i].left_at_ms});
        branch_end(&branch);
        /* m leads g1/c1, and with it the branch. */
        route_with(&office, cases[i].accused, 1, "m", "admin");
        office.orgs.branches[cases[i].at] = roster;
        wk_route_find(&what, &office.orgs, &office.route);
        assert_int_equal(may(&office, "far"), cases[i].may);
        close_office(&office);
        bson_destroy(roster);
    }
}

static void test_missing_documents_are_nobody(void **state)
{
    struct wk_route_case what = {
        .place = "g1/c1", .member = "", .accused = false, .now_ms = NOW, .latest_ms = NOW};
    static struct wk_route route;
    struct wk_route_orgs orgs;

    (void)state;
    wk_route_orgs("g1/c1", &orgs);
    assert_int_equal(orgs.count, 2);
    assert_string_equal(orgs.paths[0], "g1");
    assert_string_equal(orgs.paths[1], "g1/c1");
    wk_route_find(&what, &orgs, &route);
    assert_int_equal(route.count, 0);
    assert_null(wk_route_key(&route, "k1"));
}

static void test_the_place_is_the_accuseds_own(void **state)
{
    Yizhan__V1__ComplaintAccused accused = YIZHAN__V1__COMPLAINT_ACCUSED__INIT;
    struct wk_route_case what;

    (void)state;
    wk_route_case("g1", NULL, NOW, &what);
    assert_string_equal(what.place, "g1");
    assert_false(what.accused);
    accused.member_id = "u9";
    wk_route_case("g1", &accused, NOW, &what);
    assert_string_equal(what.place, "g1");
    assert_true(what.accused);
    accused.org_path = "g1/c1";
    wk_route_case("g1", &accused, NOW, &what);
    assert_string_equal(what.place, "g1/c1");
    assert_string_equal(what.member, "u9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_a_role_above_the_home_raises_the_accused),
        cmocka_unit_test(test_who_leads_from_elsewhere_is_no_handler),
        cmocka_unit_test(test_who_came_to_the_accuseds_org_is_no_handler),
        cmocka_unit_test(test_missing_documents_are_nobody),
        cmocka_unit_test(test_the_place_is_the_accuseds_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
