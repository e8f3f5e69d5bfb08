/* Who may handle a complaint: over random trees, against the rules said once more in another way.
 */
#include "workers/domains/complaint_route.h"

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
    for (int i = 0; i < PEOPLE; i++) {
        snprintf(world.people[i].name, sizeof world.people[i].name, "p%d", i);
        world.people[i].home = (int)draw((unsigned)world.org_count);
        world.people[i].leads = draw(4) == 0;
        world.people[i].left = draw(8) == 0;
    }
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
    bson_t *document = bson_new(), list, entry;
    int place = 0;

    BSON_APPEND_ARRAY_BEGIN(document, "members", &list);
    for (int i = 0; i < PEOPLE; i++) {
        char key[16];

        if (world.people[i].home != org)
            continue;
        snprintf(key, sizeof key, "%d", place);
        bson_append_document_begin(&list, key, -1, &entry);
        BSON_APPEND_UTF8(&entry, "m", world.people[i].name);
        BSON_APPEND_INT32(&entry, "p", place++);
        BSON_APPEND_UTF8(&entry, "k", "FULL");
        BSON_APPEND_UTF8(&entry, "r", world.people[i].leads ? "inspector,secretary" : "inspector");
        BSON_APPEND_DATE_TIME(&entry, "j", 1);
        if (world.people[i].left)
            BSON_APPEND_DATE_TIME(&entry, "l", 2);
        bson_append_document_end(&list, &entry);
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

static bool leads(int person, int org)
{
    const struct person *p = &world.people[person];

    return p->leads && !p->left && above_or_same(p->home, org);
}

/* The rules, over the tree itself. member: -1 for none; latest: of a span from NOW on. */
static bool may_handle(const struct registered *h, int place, bool accused, int member,
                       int64_t latest)
{
    if (latest < h->from || NOW >= h->until || !above_or_same(h->scope, place))
        return false;
    if (!accused)
        return true;
    if (member >= 0 && leads(member, place))
        place = world.people[member].home;
    return above_or_same(h->scope, place) && h->person != member && !leads(h->person, place) &&
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
    bson_t *documents[2 * YZ_ORG_DEPTH_MAX];
    size_t count = 0;

    wk_route_orgs(what.place, &orgs);
    assert_int_equal(orgs.count, depth_of(place));
    for (size_t i = 0; i < orgs.count; i++) {
        int org = org_of(orgs.paths[i]);

        orgs.handlers[i] = documents[count++] = handlers_of(org);
        orgs.branches[i] = documents[count++] = branch_of(org);
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
        cmocka_unit_test(test_missing_documents_are_nobody),
        cmocka_unit_test(test_the_place_is_the_accuseds_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
