/* Who looked at what, against a real database: written before anything is answered. */
#include "workers/audit.h"

#include "common/clock.h"
#include "database_rig.h"
#include "workers/document.h"
#include "workers/registry.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct yz_actor actor = {"t1", "sec", "g1/c1/b1", "member,secretary@g1/c1/b1"};
static const struct wk_access access_of_m1 = {"member", "m1", "m1", "yearly review"};

static void on_change(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static int start_all(void **state)
{
    (void)state;
    if (database_rig_start(2000) != 0)
        return -1;
    return wk_store_apply_indexes(store, false, on_change, NULL) == YZ_OK ? 0 : -1;
}

struct seen {
    size_t count;
    char key[64];
    bool sorted, whole;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct seen *seen = arg;

    seen->sorted = seen->sorted && strcmp(wk_document_text(row, "key"), seen->key) > 0;
    snprintf(seen->key, sizeof seen->key, "%s", wk_document_text(row, "key"));
    seen->whole = seen->whole && strcmp(wk_document_text(row, "actor"), "sec") == 0 &&
                  strcmp(wk_document_text(row, "object_kind"), "member") == 0 &&
                  strcmp(wk_document_text(row, "object"), "m1") == 0 &&
                  strcmp(wk_document_text(row, "purpose"), "yearly review") == 0 &&
                  wk_document_time_ms(row, "at") > 0;
    seen->count++;
    return true;
}

static struct seen accesses_of(const char *owner)
{
    bson_t *filter = BCON_NEW("tenant", "t1", "owner", BCON_UTF8(owner));
    bson_t *opts = BCON_NEW("sort", "{", "key", BCON_INT32(1), "}");
    struct seen seen = {.sorted = true, .whole = true};

    assert_int_equal(wk_store_find(store, WK_ACCESSES, filter, opts, on_row, &seen), YZ_OK);
    bson_destroy(filter);
    bson_destroy(opts);
    return seen;
}

/* Each reading is one document, also of the same file by the same reader in one millisecond. */
static void test_each_is_written(void **state)
{
    const struct wk_query query = {.actor = &actor, .store = store, .now_ms = yz_clock_wall_ms()};
    struct seen seen;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(wk_audit_access(&query, &access_of_m1), YZ_OK);
    seen = accesses_of("m1");
    assert_int_equal(seen.count, 20);
    assert_true(seen.sorted);
    assert_true(seen.whole);
    assert_int_equal(accesses_of("m2").count, 0);
}

/* The last test: the database is ended. What was not written may not be answered. */
static void test_database_away(void **state)
{
    const struct wk_query query = {.actor = &actor, .store = store, .now_ms = yz_clock_wall_ms()};

    (void)state;
    service_signal(&database, SIGKILL);
    assert_int_equal(wk_audit_access(&query, &access_of_m1), YZ_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_written),
        cmocka_unit_test(test_database_away),
    };

    return cmocka_run_group_tests(tests, start_all, database_rig_stop);
}
