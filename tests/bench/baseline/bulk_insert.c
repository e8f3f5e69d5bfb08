/* bulk_insert URI FROM INTO BATCH THREADS EVENTS COLLECTION...
 *
 * How fast the database takes the very documents that workers left: reads EVENTS documents of each
 * COLLECTION of the database FROM into memory, then inserts them into INTO (whose indexes are there
 * already), as unordered bulk inserts of BATCH documents, majority and journaled: for each batch
 * one insert into each collection, by THREADS clients at once. Prints one line of JSON.
 */
#include <mongoc/mongoc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLLECTIONS_MAX 4
#define THREADS_MAX     16

struct load {
    mongoc_client_pool_t *pool;
    const char *from, *into;
    size_t batch, count; /* documents of each collection */
    const char *names[COLLECTIONS_MAX];
    size_t name_count;
    bson_t **documents[COLLECTIONS_MAX];
    atomic_size_t next; /* of the documents that no thread has taken */
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bulk_insert: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void read_documents(struct load *load, size_t c)
{
    mongoc_client_t *client = mongoc_client_pool_pop(load->pool);
    mongoc_collection_t *rows = mongoc_client_get_collection(client, load->from, load->names[c]);
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *row;
    bson_error_t error;
    size_t count = 0;

    load->documents[c] = calloc(load->count, sizeof(bson_t *));
    if (!load->documents[c])
        fail("documents", "no memory");
    BSON_APPEND_INT64(&opts, "limit", (int64_t)load->count);
    cursor = mongoc_collection_find_with_opts(rows, &filter, &opts, NULL);
    while (count < load->count && mongoc_cursor_next(cursor, &row))
        load->documents[c][count++] = bson_copy(row);
    if (mongoc_cursor_error(cursor, &error))
        fail(load->names[c], error.message);
    if (count < load->count)
        fail(load->names[c], "it has fewer documents");
    mongoc_cursor_destroy(cursor);
    bson_destroy(&opts);
    bson_destroy(&filter);
    mongoc_collection_destroy(rows);
    mongoc_client_pool_push(load->pool, client);
}

static void insert(mongoc_collection_t *rows, bson_t **documents, size_t count)
{
    bson_t opts = BSON_INITIALIZER;
    mongoc_bulk_operation_t *bulk;
    bson_error_t error;
    bson_t reply;

    BSON_APPEND_BOOL(&opts, "ordered", false);
    bulk = mongoc_collection_create_bulk_operation_with_opts(rows, &opts);
    for (size_t i = 0; i < count; i++) {
        if (!mongoc_bulk_operation_insert_with_opts(bulk, documents[i], NULL, &error))
            fail("insert", error.message);
    }
    if (!mongoc_bulk_operation_execute(bulk, &reply, &error))
        fail("insert", error.message);
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(bulk);
    bson_destroy(&opts);
}

static void *run(void *arg)
{
    struct load *load = arg;
    mongoc_client_t *client = mongoc_client_pool_pop(load->pool);
    mongoc_collection_t *rows[COLLECTIONS_MAX] = {0};
    size_t at;

    for (size_t c = 0; c < load->name_count; c++)
        rows[c] = mongoc_client_get_collection(client, load->into, load->names[c]);
    while ((at = atomic_fetch_add(&load->next, load->batch)) < load->count) {
        size_t count = load->count - at < load->batch ? load->count - at : load->batch;

        for (size_t c = 0; c < load->name_count; c++)
            insert(rows[c], load->documents[c] + at, count);
    }
    for (size_t c = 0; c < load->name_count; c++)
        mongoc_collection_destroy(rows[c]);
    mongoc_client_pool_push(load->pool, client);
    return NULL;
}

static mongoc_client_pool_t *open_pool(const char *text)
{
    mongoc_write_concern_t *concern = mongoc_write_concern_new();
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    mongoc_client_pool_t *pool;

    if (!uri)
        fail("URI", "it is malformed");
    mongoc_write_concern_set_wmajority(concern, 60000);
    mongoc_write_concern_set_journal(concern, true);
    mongoc_uri_set_write_concern(uri, concern);
    mongoc_write_concern_destroy(concern);
    pool = mongoc_client_pool_new(uri);
    if (!pool)
        fail("URI", "no pool");
    mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
    mongoc_uri_destroy(uri);
    return pool;
}

int main(int argc, char **argv)
{
    struct load load = {0};
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
    int64_t began_us, took_us;

    if (argc < 8 || argc - 7 > COLLECTIONS_MAX)
        fail("usage", "URI FROM INTO BATCH THREADS EVENTS COLLECTION...");
    mongoc_init();
    load.pool = open_pool(argv[1]);
    load.from = argv[2];
    load.into = argv[3];
    load.batch = strtoul(argv[4], NULL, 10);
    thread_count = strtoul(argv[5], NULL, 10);
    load.count = strtoul(argv[6], NULL, 10);
    if (load.batch == 0 || load.count == 0 || thread_count == 0 || thread_count > THREADS_MAX)
        fail("usage", "BATCH, THREADS (at most 16) and EVENTS are positive numbers");
    for (int i = 7; i < argc; i++) {
        load.names[load.name_count] = argv[i];
        read_documents(&load, load.name_count++);
    }
    began_us = now_us();
    for (size_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, run, &load) != 0)
            fail("threads", "none can be made");
    }
    for (size_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    took_us = now_us() - began_us;
    printf("{\"events\": %zu, \"seconds\": %.6f}\n", load.count, (double)took_us / 1e6);
    for (size_t c = 0; c < load.name_count; c++) {
        for (size_t i = 0; i < load.count; i++)
            bson_destroy(load.documents[c][i]);
        free(load.documents[c]);
    }
    mongoc_client_pool_destroy(load.pool);
    mongoc_cleanup();
    return 0;
}
