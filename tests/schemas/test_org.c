#include "tests/schemas/sample.h"

#include <org.pb-c.h>

static const struct refusal of_founded[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g1/c1", "g1//c1", YZ_INVALID_VALUE, "orgPath"},
    {"g1/c1", "a/b/c/d/e/f/g/h/i/j/k/l", YZ_OK, ""},
    {"g1/c1", "a/b/c/d/e/f/g/h/i/j/k/l/m", YZ_INVALID_VALUE, "orgPath"},
    {"第一支部", "", YZ_MISSING_FIELD, "name"},
    {"第一支部", Z64 "站", YZ_TOO_LONG, "name"},
    {"\"BRANCH\"", "\"ORG_KIND_UNSPECIFIED\"", YZ_MISSING_FIELD, "kind"},
    {"批复", "", YZ_MISSING_FIELD, "basis"},
    {"批复", Z64 Z64 Z64 Z8 "站", YZ_TOO_LONG, "basis"},
};

static const struct refusal of_renamed[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"新名", "", YZ_MISSING_FIELD, "name"},
    {"批复", "", YZ_MISSING_FIELD, "basis"},
};

/* To itself or below itself would be a cycle; a name that begins alike is another org. */
static const struct refusal of_moved[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"g2/c1", "", YZ_MISSING_FIELD, "to"},
    {"g2/c1", "g1/c1", YZ_ORG_CYCLE, "to"},
    {"g2/c1", "g1/c1/b1", YZ_ORG_CYCLE, "to"},
    {"g2/c1", "g1/c1/b1/c1", YZ_ORG_CYCLE, "to"},
    {"g2/c1", "g1/c10/c1", YZ_OK, ""},
    {"g2/c1", "g1", YZ_OK, ""},
    {"批复", "", YZ_MISSING_FIELD, "basis"},
};

static const struct refusal of_dissolved[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"批复", "", YZ_MISSING_FIELD, "basis"},
};

static void events_are_checked(void **state)
{
    (void)state;
    assert_contract("org.founded",
                    "{\"orgPath\":\"g1/c1\",\"name\":\"第一支部\",\"kind\":\"BRANCH\",\"basis\":"
                    "\"批复\"}",
                    of_founded, COUNT(of_founded));
    assert_contract("org.renamed", "{\"orgPath\":\"g1/c1\",\"name\":\"新名\",\"basis\":\"批复\"}",
                    of_renamed, COUNT(of_renamed));
    assert_contract("org.moved", "{\"orgPath\":\"g1/c1\",\"to\":\"g2/c1\",\"basis\":\"批复\"}",
                    of_moved, COUNT(of_moved));
    assert_contract("org.dissolved", "{\"orgPath\":\"g1/c1\",\"basis\":\"批复\"}", of_dissolved,
                    COUNT(of_dissolved));
}

static const struct refusal of_tree[] = {
    {"g1", "", YZ_OK, ""},
    {"\"g1\"", "\"g 1\"", YZ_INVALID_VALUE, "parent"},
    {"g1/c1", "g1/", YZ_INVALID_VALUE, "after"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
};

static const struct refusal of_history[] = {
    {"g1/c1", "", YZ_MISSING_FIELD, "orgPath"},
    {"100", "101", YZ_INVALID_VALUE, "limit"},
};

static void queries_are_checked(void **state)
{
    (void)state;
    assert_contract("org.tree", "{\"parent\":\"g1\",\"after\":\"g1/c1\",\"limit\":100}", of_tree,
                    COUNT(of_tree));
    assert_contract("org.history", "{\"orgPath\":\"g1/c1\",\"limit\":100}", of_history,
                    COUNT(of_history));
}

/* A move decides over two places: all of the tree is one aggregate. */
static void one_aggregate(void **state)
{
    const struct yz_actor actor = {"t1", "adm", "g1", "member,admin@g1"};
    char aggregate[YZ_AGGREGATE_MAX];

    (void)state;
    for (const struct yz_event_type *type = yz_schema_org.events; type->name; type++) {
        type->aggregate(sample_json(type->payload, "{\"orgPath\":\"g1/c1\"}"), &actor, aggregate);
        assert_string_equal(aggregate, "orgs");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sample_test(events_are_checked),
        sample_test(queries_are_checked),
        sample_test(one_aggregate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
