/* The store against a real database. */
#include "workers/store.h"

#include "common/clock.h"
#include "database_rig.h"
#include "workers/registry.h"
#include "workers/store_private.h"

#include <mongoc/mongoc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int start_all(void **state)
{
    (void)state;
    return database_rig_start(5000);
}

static bson_t *document(const char *id, int64_t sequence, const char *text)
{
    bson_t *d = bson_new();

    BSON_APPEND_UTF8(d, "_id", id);
    BSON_APPEND_UTF8(d, "tenant", "t1");
    BSON_APPEND_INT64(d, "evt_seq", sequence);
    BSON_APPEND_UTF8(d, "text", text);
    return d;
}

static struct wk_write insert(const char *id, const bson_t *d)
{
    return (struct wk_write){.kind = WK_INSERT, .id = id, .document = d};
}

static struct wk_write replace(const char *id, const bson_t *d, uint64_t loaded)
{
    return (struct wk_write){
        .kind = WK_REPLACE, .id = id, .document = d, .loaded_sequence = loaded};
}

static void expect_text(const char *collection, const char *id, const char *text)
{
    bson_iter_t iter;
    bson_t row;
    bool found;

    assert_int_equal(wk_store_get(store, collection, id, &row, &found), YZ_OK);
    assert_int_equal(found, text != NULL);
    if (text) {
        assert_true(bson_iter_init_find(&iter, &row, "text"));
        assert_string_equal(bson_iter_utf8(&iter, NULL), text);
    }
    bson_destroy(&row);
}

static void test_get(void **state)
{
    bson_t *a = document("t1|a", 1, "one");
    struct wk_write w = insert("t1|a", a);

    (void)state;
    expect_text("got", "t1|a", NULL);
    assert_int_equal(wk_store_write(store, "got", &w, 1), YZ_OK);
    assert_int_equal(w.result, WK_WRITTEN);
    expect_text("got", "t1|a", "one");
    bson_destroy(a);
}

/* One bulk, mixed: each write gets its own result at its own place. */
static void test_results_of_a_bulk(void **state)
{
    bson_t *a = document("a", 5, "a5"), *b = document("b", 5, "b5"), *a7 = document("a", 7, "a7"),
           *b7 = document("b", 7, "b7"), *c = document("c", 6, "c6"), *a6 = document("a", 6, "a6"),
           *d = document("d", 8, "d8");
    struct wk_write first[] = {insert("a", a), insert("b", b)};
    struct wk_write second[] = {
        replace("a", a7, 5), /* guard matches */
        insert("b", b),      /* there already */
        replace("b", b7, 4), /* guard does not */
        insert("c", c),      /* new */
        replace("d", d, 0),  /* loaded as absent: an insert */
    };
    struct wk_write third[] = {replace("a", a6, 0)}; /* loaded as absent, but it is there */

    (void)state;
    assert_int_equal(wk_store_write(store, "bulk", first, 2), YZ_OK);
    assert_int_equal(wk_store_write(store, "bulk", second, 5), YZ_OK);
    assert_int_equal(second[0].result, WK_WRITTEN);
    assert_int_equal(second[1].result, WK_TAKEN);
    assert_int_equal(second[2].result, WK_TAKEN);
    assert_int_equal(second[3].result, WK_WRITTEN);
    assert_int_equal(second[4].result, WK_WRITTEN);
    assert_int_equal(wk_store_write(store, "bulk", third, 1), YZ_OK);
    assert_int_equal(third[0].result, WK_TAKEN);
    expect_text("bulk", "a", "a7");
    expect_text("bulk", "b", "b5");
    expect_text("bulk", "c", "c6");
    expect_text("bulk", "d", "d8");
    bson_destroy(a);
    bson_destroy(b);
    bson_destroy(c);
    bson_destroy(d);
    bson_destroy(a6);
    bson_destroy(a7);
    bson_destroy(b7);
}

/* In order: nothing behind the first that is not written. */
static void test_in_order(void **state)
{
    bson_t *a = document("o1", 5, "five"), *b = document("o2", 5, "five"),
           *a7 = document("o1", 7, "seven"), *c = document("o3", 6, "six");
    struct wk_write first[] = {insert("o1", a), insert("o2", b)};
    struct wk_write second[] = {
        replace("o1", a7, 5),
        insert("o2", b), /* there already */
        insert("o3", c),
        replace("o2", b, 5),
    };

    (void)state;
    assert_int_equal(wk_store_write_in_order(store, "order", first, 2), YZ_OK);
    assert_int_equal(first[1].result, WK_WRITTEN);
    assert_int_equal(wk_store_write_in_order(store, "order", second, 4), YZ_OK);
    assert_int_equal(second[0].result, WK_WRITTEN);
    assert_int_equal(second[1].result, WK_TAKEN);
    assert_int_equal(second[2].result, WK_LEFT);
    assert_int_equal(second[3].result, WK_LEFT);
    expect_text("order", "o1", "seven");
    expect_text("order", "o3", NULL);
    bson_destroy(a);
    bson_destroy(b);
    bson_destroy(a7);
    bson_destroy(c);
}

/* Replacing a document by itself, as a replay over its own guard would. */
static void test_replace_without_change(void **state)
{
    bson_t *a = document("same", 5, "x");
    struct wk_write w = insert("same", a), again = replace("same", a, 5);

    (void)state;
    assert_int_equal(wk_store_write(store, "bulk", &w, 1), YZ_OK);
    assert_int_equal(wk_store_write(store, "bulk", &again, 1), YZ_OK);
    assert_int_equal(again.result, WK_WRITTEN);
    bson_destroy(a);
}

/* A document the database can never take fails alone. */
static void test_one_bad_write(void **state)
{
    static char huge[17 * 1024 * 1024];
    bson_t *good = document("good", 1, "x"), *bad;
    struct wk_write writes[2];
    enum yz_err err;

    (void)state;
    memset(huge, 'h', sizeof huge - 1);
    bad = document("bad", 1, huge);
    writes[0] = insert("bad", bad);
    writes[1] = insert("good", good);
    err = wk_store_write(store, "bad", writes, 2);
    /* Either that write alone, or nothing is known and it is no passing trouble: never a quiet
     * success. */
    if (err == YZ_OK) {
        assert_int_equal(writes[0].result, WK_FAILED);
        assert_int_equal(writes[0].err, YZ_INTERNAL);
        assert_int_equal(writes[1].result, WK_WRITTEN);
    } else {
        assert_int_equal(err, YZ_INTERNAL);
    }
    bson_destroy(good);
    bson_destroy(bad);
}

static bool count_row(void *arg, const bson_t *row)
{
    (void)row;
    ++*(size_t *)arg;
    return true;
}

static bool stop_at_first(void *arg, const bson_t *row)
{
    (void)row;
    ++*(size_t *)arg;
    return false;
}

#define MANY 256

/* A whole batch, in and out, and what it costs. */
static void test_many(void **state)
{
    char ids[MANY][32];
    const char *wanted[MANY + 1];
    struct wk_write writes[MANY];
    bson_t *documents[MANY], filter = BSON_INITIALIZER;
    size_t rows = 0;
    int64_t begun;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "t1|many|%04d", i);
        documents[i] = document(ids[i], i + 1, "x");
        writes[i] = insert(ids[i], documents[i]);
        wanted[i] = ids[i];
    }
    wanted[MANY] = "t1|many|none";
    begun = yz_clock_mono_us();
    assert_int_equal(wk_store_write(store, "many", writes, MANY), YZ_OK);
    print_message("%d inserts: %lld us\n", MANY, (long long)(yz_clock_mono_us() - begun));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(writes[i].result, WK_WRITTEN);
        writes[i].kind = WK_REPLACE;
        writes[i].loaded_sequence = (uint64_t)i + 1;
    }
    begun = yz_clock_mono_us();
    assert_int_equal(wk_store_write(store, "many", writes, MANY), YZ_OK);
    print_message("%d guarded replaces: %lld us\n", MANY, (long long)(yz_clock_mono_us() - begun));
    begun = yz_clock_mono_us();
    assert_int_equal(wk_store_get_many(store, "many", wanted, MANY + 1, count_row, &rows), YZ_OK);
    print_message("%d read by _id: %lld us\n", MANY, (long long)(yz_clock_mono_us() - begun));
    assert_int_equal(rows, MANY);
    rows = 0;
    assert_int_equal(wk_store_find(store, "many", &filter, NULL, stop_at_first, &rows), YZ_OK);
    assert_int_equal(rows, 1);
    rows = 0;
    assert_int_equal(wk_store_get_many(store, "many", NULL, 0, count_row, &rows), YZ_OK);
    assert_int_equal(rows, 0);
    bson_destroy(&filter);
    for (int i = 0; i < MANY; i++)
        bson_destroy(documents[i]);
}

static void test_update(void **state)
{
    bson_t update = BSON_INITIALIZER, set;
    bson_t *row = document("kept", 1, "before");
    struct wk_write w = insert("kept", row);

    (void)state;
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_UTF8(&set, "text", "after");
    bson_append_document_end(&update, &set);
    assert_int_equal(wk_store_update(store, "updated", "new", &update, false), YZ_OK);
    expect_text("updated", "new", NULL);
    assert_int_equal(wk_store_update(store, "updated", "new", &update, true), YZ_OK);
    expect_text("updated", "new", "after");
    assert_int_equal(wk_store_write(store, "updated", &w, 1), YZ_OK);
    assert_int_equal(wk_store_update(store, "updated", "kept", &update, false), YZ_OK);
    expect_text("updated", "kept", "after");
    bson_destroy(&update);
    bson_destroy(row);
}

/* What can never work is told apart from what passes. */
static void test_a_wrong_query_is_no_passing_trouble(void **state)
{
    bson_t filter = BSON_INITIALIZER, inner;
    size_t rows = 0;

    (void)state;
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "a", &inner);
    BSON_APPEND_INT32(&inner, "$noSuchOperator", 1);
    bson_append_document_end(&filter, &inner);
    assert_int_equal(wk_store_find(store, "bulk", &filter, NULL, count_row, &rows), YZ_INTERNAL);
    bson_destroy(&filter);
}

/* A server that is short of something, or takes no writes for now, sets no event aside; what it
 * finds wrong with a write does. */
static void test_what_a_server_is_short_of_passes(void **state)
{
    static const struct {
        uint32_t code;
        enum yz_err wanted;
    } cases[] = {
        {146, YZ_BUSY},       /* ExceededMemoryLimit */
        {175, YZ_BUSY},       /* QueryPlanKilled */
        {246, YZ_BUSY},       /* SnapshotUnavailable */
        {264, YZ_BUSY},       /* TooManyFilesOpen */
        {365, YZ_BUSY},       /* TemporarilyUnavailable */
        {371, YZ_BUSY},       /* UserWritesBlocked */
        {391, YZ_BUSY},       /* ReauthenticationRequired */
        {402, YZ_BUSY},       /* ResourceExhausted */
        {433, YZ_BUSY},       /* AdmissionQueueOverflow */
        {14031, YZ_BUSY},     /* OutOfDiskSpace */
        {2, YZ_INTERNAL},     /* BadValue */
        {121, YZ_INTERNAL},   /* DocumentValidationFailure */
        {10334, YZ_INTERNAL}, /* BSONObjectTooLarge */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bson_error_t error = {.domain = MONGOC_ERROR_SERVER, .code = cases[i].code};

        if (wk_store_translate("test", "-", &error, NULL) != cases[i].wanted)
            fail_msg("code %u", cases[i].code);
    }
}

struct lines {
    size_t count;
    char last[256];
};

static void on_line(void *arg, const char *line)
{
    struct lines *lines = arg;

    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static size_t apply(bool plan_only, struct lines *lines)
{
    memset(lines, 0, sizeof *lines);
    assert_int_equal(wk_store_apply_indexes(store, plan_only, on_line, lines), YZ_OK);
    return lines->count;
}

/* A plan changes nothing; applying does; applying again finds nothing to do. */
static void test_indexes(void **state)
{
    struct lines lines;
    size_t planned = apply(true, &lines);

    (void)state;
    assert_true(planned > wk_registry_domain_count);
    assert_int_equal(apply(true, &lines), planned);
    assert_int_equal(apply(false, &lines), planned);
    assert_int_equal(apply(false, &lines), 0);
    assert_int_equal(apply(true, &lines), 0);
}

/* Run a command behind the store's back. */
static void command(const char *json)
{
    mongoc_client_t *client = mongoc_client_new(database.url);
    bson_error_t error;
    bson_t *request = bson_new_from_json((const uint8_t *)json, -1, &error);

    assert_non_null(request);
    assert_true(
        mongoc_client_command_simple(client, conf.mongodb_database, request, NULL, NULL, &error));
    bson_destroy(request);
    mongoc_client_destroy(client);
}

/* What differs is told and left alone: an index of a full collection is dropped by a person only.
 */
static void test_differing_indexes(void **state)
{
    struct lines lines;

    (void)state;
    apply(false, &lines);
    command("{\"createIndexes\": \"posts\", \"indexes\": [{\"name\": \"extra\", \"key\": "
            "{\"text\": 1}}]}");
    assert_int_equal(apply(false, &lines), 1);
    assert_non_null(strstr(lines.last, "posts.extra is not declared"));
    command("{\"dropIndexes\": \"posts\", \"index\": \"extra\"}");
    command("{\"dropIndexes\": \"posts\", \"index\": \"by_thread\"}");
    command("{\"createIndexes\": \"posts\", \"indexes\": [{\"name\": \"by_thread\", \"key\": "
            "{\"tenant\": 1, \"org_path\": 1, \"thread_id\": 1, \"sequence\": -1}}]}");
    assert_int_equal(apply(false, &lines), 1);
    assert_non_null(strstr(lines.last, "posts.by_thread differs"));
    command("{\"dropIndexes\": \"posts\", \"index\": \"by_thread\"}");
    assert_int_equal(apply(false, &lines), 1);
    assert_non_null(strstr(lines.last, "create index posts.by_thread"));
    assert_int_equal(apply(false, &lines), 0);
    command("{\"dropIndexes\": \"attempts\", \"index\": \"age\"}");
    command(
        "{\"createIndexes\": \"attempts\", \"indexes\": [{\"name\": \"age\", \"key\": {\"at\": 1}, "
        "\"expireAfterSeconds\": 60}]}");
    assert_int_equal(apply(true, &lines), 1);
    assert_non_null(strstr(lines.last, "attempts.age differs"));
}

/* An outage is a passing trouble that ends by itself; afterwards the same store works on. */
static void test_outage(void **state)
{
    bson_t *a = document("t1|outage", 1, "x");
    struct wk_write w = insert("t1|outage", a);
    bool found;
    bson_t row;

    (void)state;
    service_signal(&database, SIGSTOP);
    assert_int_equal(wk_store_write(store, "outage", &w, 1), YZ_BUSY);
    assert_int_equal(wk_store_get(store, "outage", "t1|outage", &row, &found), YZ_BUSY);
    assert_false(found);
    bson_destroy(&row);
    assert_int_equal(wk_pool_ping(pool), YZ_BUSY);
    service_signal(&database, SIGCONT);
    for (int tries = 0; tries < 10 && wk_pool_ping(pool) != YZ_OK; tries++)
        ;
    /* The first try's result was unknown; what matters is that the document is there once. */
    assert_int_equal(wk_store_write(store, "outage", &w, 1), YZ_OK);
    assert_true(w.result == WK_WRITTEN || w.result == WK_TAKEN);
    expect_text("outage", "t1|outage", "x");
    bson_destroy(a);
}

static void test_settings(void **state)
{
    struct yz_conf wrong = conf;
    struct wk_pool *none = NULL;

    (void)state;
    wrong.mongodb_uri = "http://nowhere";
    assert_int_equal(wk_pool_new(&wrong, &none), YZ_INVALID_VALUE);
    assert_null(none);
}

/* The user's own time-out stands; a database that is not there is passing trouble. */
static void test_nobody_there(void **state)
{
    struct yz_conf away = conf;
    struct wk_pool *lonely = NULL;

    (void)state;
    away.mongodb_uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300";
    assert_int_equal(wk_pool_new(&away, &lonely), YZ_OK);
    assert_int_equal(wk_pool_ping(lonely), YZ_BUSY);
    wk_pool_free(lonely);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_results_of_a_bulk),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_replace_without_change),
        cmocka_unit_test(test_one_bad_write),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_a_wrong_query_is_no_passing_trouble),
        cmocka_unit_test(test_what_a_server_is_short_of_passes),
        cmocka_unit_test(test_indexes),
        cmocka_unit_test(test_differing_indexes),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_outage),
    };

    return cmocka_run_group_tests(tests, start_all, database_rig_stop);
}
