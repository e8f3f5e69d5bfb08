/* The rules against the matrix in AUTHORITY.md: every event, query and channel × role × place. The
 * expectation is the document's; nothing of it is computed here. */
#include "common/subject.h"
#include "schemas/contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CELLS_MAX  12
#define CELL_MAX   64
#define ROWS_MAX   256
#define TABLES_MAX 16
#define HOME       "g1/c1/b1"

struct row {
    char cells[CELLS_MAX][CELL_MAX];
    size_t count;
};

/* A table is what stands below a heading; its first row are the columns' names. */
struct table {
    char name[CELL_MAX];
    struct row rows[ROWS_MAX];
    size_t count;
};

static struct table tables[TABLES_MAX];
static size_t table_count;

/* A cell without blanks and code marks around it; "(none)" is the empty text. */
static void take_cell(const char *from, size_t len, char out[CELL_MAX])
{
    while (len > 0 && strchr(" `", *from)) {
        from++;
        len--;
    }
    while (len > 0 && strchr(" `", from[len - 1]))
        len--;
    assert_true(len < CELL_MAX);
    memcpy(out, from, len);
    out[len] = '\0';
    if (strcmp(out, "(none)") == 0)
        out[0] = '\0';
}

static void take_row(struct table *table, const char *line)
{
    struct row *row = &table->rows[table->count];

    if (strncmp(line, "|---", 4) == 0)
        return;
    assert_true(table->count < ROWS_MAX);
    row->count = 0;
    for (const char *p = line + 1; strchr(p, '|'); p = strchr(p, '|') + 1) {
        assert_true(row->count < CELLS_MAX);
        take_cell(p, strcspn(p, "|"), row->cells[row->count++]);
    }
    table->count++;
}

static int read_matrix(void **state)
{
    const char *path = getenv("YZ_AUTHORITY");
    FILE *file = fopen(path ? path : "schemas/AUTHORITY.md", "r");
    char line[1024];

    (void)state;
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "## ", 3) == 0) {
            assert_true(table_count < TABLES_MAX);
            take_cell(line + 3, strcspn(line + 3, "\n"), tables[table_count++].name);
        } else if (*line == '|' && table_count > 0) {
            take_row(&tables[table_count - 1], line);
        }
    }
    fclose(file);
    return 0;
}

static const struct table *find_table(const char *name)
{
    for (size_t i = 0; i < table_count; i++) {
        if (strcasecmp(tables[i].name, name) == 0)
            return &tables[i];
    }
    fail_msg("AUTHORITY.md has no table '%s'", name);
    return NULL;
}

/* Who may send the type; NULL when the document does not know it. */
static const char *audience_of(const char *name, const char *kind)
{
    const struct table *types = find_table("Types");

    for (size_t i = 1; i < types->count; i++) {
        if (strcmp(types->rows[i].cells[0], name) == 0 &&
            strcmp(types->rows[i].cells[1], kind) == 0)
            return types->rows[i].cells[2];
    }
    return NULL;
}

static const char *org_of(const char *place)
{
    const struct table *places = find_table("Places");

    for (size_t i = 1; i < places->count; i++) {
        if (strcmp(places->rows[i].cells[0], place) == 0)
            return places->rows[i].cells[1];
    }
    fail_msg("AUTHORITY.md has no place '%s'", place);
    return NULL;
}

static struct yz_actor actor_with(const char *roles)
{
    struct yz_actor actor = {.tenant = "t1", .member = "m1", .org_path = HOME};
    size_t len = 0;

    for (; *roles; roles++) {
        if (*roles != ' ')
            actor.roles[len++] = *roles;
    }
    return actor;
}

/* What the rules say of one cell. */
typedef bool rule_fn(const void *type, const struct yz_actor *actor, const char *org_path);

static void walk(const char *name, const char *kind, rule_fn *rule, const void *type)
{
    const char *audience = audience_of(name, kind);
    const struct table *table;

    if (!audience)
        fail_msg("AUTHORITY.md does not say who may: %s %s", kind, name);
    table = find_table(audience);
    for (size_t r = 1; r < table->count; r++) {
        struct yz_actor actor = actor_with(table->rows[r].cells[0]);

        assert_int_equal(table->rows[r].count, table->rows[0].count);
        for (size_t c = 1; c < table->rows[r].count; c++) {
            const char *place = table->rows[0].cells[c], *cell = table->rows[r].cells[c];
            bool may = strcmp(cell, "yes") == 0;

            assert_true(may || strcmp(cell, "no") == 0);
            if (rule(type, &actor, org_of(place)) != may)
                fail_msg("%s %s, roles '%s', place %s: the matrix says %s", kind, name, actor.roles,
                         place, cell);
        }
    }
}

static bool event_rule(const void *type, const struct yz_actor *actor, const char *org_path)
{
    const struct yz_event_type *event = type;

    return yz_authorize(event->authority, actor, event->org_path ? org_path : NULL) == YZ_OK;
}

static bool query_rule(const void *type, const struct yz_actor *actor, const char *org_path)
{
    const struct yz_query_type *query = type;

    return yz_authorize(query->authority, actor, query->org_path ? org_path : NULL) == YZ_OK;
}

static bool channel_rule(const void *kind, const struct yz_actor *actor, const char *org_path)
{
    char name[YZ_CHANNEL_MAX];
    struct yz_channel channel;

    snprintf(name, sizeof name, "%s.%s%s", (const char *)kind, org_path,
             strcmp(kind, "org") == 0 ? "" : ".x1");
    assert_true(yz_channel_parse(name, &channel));
    return yz_may_subscribe(actor, &channel);
}

static size_t count_kind(const char *kind)
{
    const struct table *types = find_table("Types");
    size_t count = 0;

    for (size_t i = 1; i < types->count; i++)
        count += strcmp(types->rows[i].cells[1], kind) == 0;
    return count;
}

static void every_event(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t d = 0; d < yz_schema_count; d++) {
        for (const struct yz_event_type *type = yz_schemas[d]->events; type->name; type++) {
            walk(type->name, "event", event_rule, type);
            count++;
        }
    }
    assert_int_equal(count, count_kind("event"));
}

static void every_query(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t d = 0; d < yz_schema_count; d++) {
        for (const struct yz_query_type *type = yz_schemas[d]->queries; type->name; type++) {
            walk(type->name, "query", query_rule, type);
            count++;
        }
    }
    assert_int_equal(count, count_kind("query"));
}

static void every_channel(void **state)
{
    static const char *const kinds[] = {"org", "meeting", "thread"};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        walk(kinds[i], "channel", channel_rule, kinds[i]);
    assert_int_equal(count_kind("channel"), 4);
}

/* No role opens another's inbox, and a guest has none. */
static void inboxes(void **state)
{
    const struct table *table = find_table("member");
    struct yz_channel own, other, alike;

    (void)state;
    assert_string_equal(audience_of("member", "channel"), "the member itself");
    assert_true(yz_channel_parse("member.m1", &own) && yz_channel_parse("member.m2", &other) &&
                yz_channel_parse("member.m10", &alike));
    for (size_t r = 1; r < table->count; r++) {
        struct yz_actor actor = actor_with(table->rows[r].cells[0]);

        assert_int_equal(yz_may_subscribe(&actor, &own),
                         strcmp(table->rows[r].cells[1], "yes") == 0);
        assert_false(yz_may_subscribe(&actor, &other));
        assert_false(yz_may_subscribe(&actor, &alike));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event),
        cmocka_unit_test(every_query),
        cmocka_unit_test(every_channel),
        cmocka_unit_test(inboxes),
    };

    return cmocka_run_group_tests(tests, read_matrix, NULL);
}
