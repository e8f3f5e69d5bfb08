#include "workers/store.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "workers/driver.h"
#include "workers/store_private.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUPLICATE_KEY 11000
#define POOL_MAX      256
/* A selection and an answer, or an answer and its one retry, stay within the whole time-out. */
#define PART_OF(timeout_ms) ((timeout_ms) / 2)

struct wk_pool {
    mongoc_client_pool_t *clients;
    char database[64];
    int64_t part_ms;
};

/* A time-out that the user's URI sets is his own. */
static bool set_timeout(mongoc_uri_t *uri, const char *option, int64_t ms)
{
    return mongoc_uri_has_option(uri, option) ||
           mongoc_uri_set_option_as_int32(uri, option, (int32_t)ms);
}

/* Majority and journal are what the guarantees rest on: no URI takes them away. */
static bool set_concerns(mongoc_uri_t *uri, int64_t part_ms)
{
    mongoc_write_concern_t *write = mongoc_write_concern_new();
    mongoc_read_concern_t *read = mongoc_read_concern_new();
    mongoc_read_prefs_t *prefs = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    bool good;

    mongoc_write_concern_set_wmajority(write, (int32_t)part_ms);
    mongoc_write_concern_set_journal(write, true);
    good = mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_uri_set_write_concern(uri, write);
    mongoc_uri_set_read_concern(uri, read);
    mongoc_uri_set_read_prefs_t(uri, prefs);
    mongoc_write_concern_destroy(write);
    mongoc_read_concern_destroy(read);
    mongoc_read_prefs_destroy(prefs);
    return good;
}

static bool set_options(mongoc_uri_t *uri, int64_t part_ms)
{
    return set_timeout(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, part_ms) &&
           set_timeout(uri, MONGOC_URI_SOCKETTIMEOUTMS, part_ms) &&
           set_timeout(uri, MONGOC_URI_CONNECTTIMEOUTMS, part_ms) &&
           set_timeout(uri, MONGOC_URI_MAXPOOLSIZE, POOL_MAX) && set_concerns(uri, part_ms);
}

enum yz_err wk_pool_new(const struct yz_conf *conf, struct wk_pool **pool)
{
    int64_t part_ms = PART_OF(conf->database_timeout_ms);
    struct wk_pool *p = NULL;
    mongoc_uri_t *uri;
    bson_error_t error;
    enum yz_err err = YZ_INVALID_VALUE;

    wk_driver_init();
    /* The reason may quote the URI and with it a password. */
    uri = mongoc_uri_new_with_error(conf->mongodb_uri, &error);
    if (!uri || strlen(conf->mongodb_database) >= sizeof p->database) {
        yz_error("mongodb_settings", "reason=\"%s\"",
                 uri ? "mongodb_database is too long" : "mongodb_uri is malformed");
        goto out;
    }
    err = YZ_INTERNAL;
    p = yz_calloc(1, sizeof *p);
    if (!p || !set_options(uri, part_ms) || !(p->clients = mongoc_client_pool_new(uri)))
        goto out;
    mongoc_client_pool_set_error_api(p->clients, MONGOC_ERROR_API_VERSION_2);
    mongoc_client_pool_set_appname(p->clients, "yizhan");
    snprintf(p->database, sizeof p->database, "%s", conf->mongodb_database);
    p->part_ms = part_ms;
    *pool = p;
    p = NULL;
    err = YZ_OK;
out:
    free(p);
    if (uri)
        mongoc_uri_destroy(uri);
    return err;
}

void wk_pool_free(struct wk_pool *pool)
{
    if (!pool)
        return;
    mongoc_client_pool_destroy(pool->clients);
    free(pool);
}

struct wk_store *wk_store_pop(struct wk_pool *pool)
{
    struct wk_store *store = yz_calloc(1, sizeof *store);

    store->client = mongoc_client_pool_pop(pool->clients);
    store->database = pool->database;
    store->part_ms = pool->part_ms;
    return store;
}

void wk_store_push(struct wk_pool *pool, struct wk_store *store)
{
    mongoc_client_pool_push(pool->clients, store->client);
    free(store);
}

/* What passes, or what an operator mends while events wait: never a reason to set an event aside.
 * Names as in MongoDB's error_codes.yml. */
static bool code_passes(uint32_t code)
{
    switch (code) {
    case 1:     /* InternalError: also a storage engine that has stopped */
    case 6:     /* HostUnreachable */
    case 7:     /* HostNotFound */
    case 8:     /* UnknownError */
    case 13:    /* Unauthorized */
    case 18:    /* AuthenticationFailed */
    case 24:    /* LockTimeout */
    case 43:    /* CursorNotFound */
    case 46:    /* LockBusy */
    case 50:    /* MaxTimeMSExpired */
    case 63:    /* StaleShardVersion */
    case 64:    /* WriteConcernFailed */
    case 79:    /* UnknownReplWriteConcern */
    case 89:    /* NetworkTimeout */
    case 91:    /* ShutdownInProgress */
    case 100:   /* UnsatisfiableWriteConcern */
    case 112:   /* WriteConflict */
    case 133:   /* FailedToSatisfyReadPreference */
    case 134:   /* ReadConcernMajorityNotAvailableYet */
    case 146:   /* ExceededMemoryLimit */
    case 150:   /* StaleEpoch */
    case 175:   /* QueryPlanKilled */
    case 189:   /* PrimarySteppedDown */
    case 202:   /* NetworkInterfaceExceededTimeLimit */
    case 237:   /* CursorKilled */
    case 246:   /* SnapshotUnavailable */
    case 261:   /* TooManyLogicalSessions */
    case 262:   /* ExceededTimeLimit */
    case 264:   /* TooManyFilesOpen */
    case 279:   /* ClientDisconnect */
    case 355:   /* InterruptedDueToStorageChange */
    case 363:   /* RetryableTransactionInProgress */
    case 365:   /* TemporarilyUnavailable */
    case 371:   /* UserWritesBlocked */
    case 384:   /* ConnectionError */
    case 391:   /* ReauthenticationRequired */
    case 402:   /* ResourceExhausted */
    case 407:   /* PooledConnectionAcquisitionExceededTimeLimit */
    case 433:   /* AdmissionQueueOverflow */
    case 449:   /* RateLimitExceeded */
    case 450:   /* PooledConnectionAcquisitionRejected */
    case 453:   /* InterruptedDueToReshardingCriticalSection */
    case 462:   /* IngressRequestRateLimitExceeded */
    case 9001:  /* SocketException */
    case 10058: /* LegacyNotPrimary */
    case 10107: /* NotWritablePrimary */
    case 11600: /* InterruptedAtShutdown */
    case 11601: /* Interrupted */
    case 11602: /* InterruptedDueToReplStateChange */
    case 13388: /* StaleConfig */
    case 13435: /* NotPrimaryNoSecondaryOk */
    case 13436: /* NotPrimaryOrSecondary */
    case 14031: /* OutOfDiskSpace */
    case 46841: /* ClientMarkedKilled */
    case 91331: /* RetriableRemoteCommandFailure */
        return true;
    default:
        return false;
    }
}

static bool passes(const bson_error_t *error, const bson_t *reply)
{
    switch (error->domain) {
    case MONGOC_ERROR_STREAM:
    case MONGOC_ERROR_SERVER_SELECTION:
    case MONGOC_ERROR_CLIENT: /* authentication and TLS among them */
    case MONGOC_ERROR_POOL:
    case MONGOC_ERROR_SCRAM:
    case MONGOC_ERROR_SASL:
    case MONGOC_ERROR_WRITE_CONCERN:
    case MONGOC_ERROR_PROTOCOL: /* a reply cut off in the middle */
        return true;
    default:
        return (error->domain == MONGOC_ERROR_SERVER && code_passes(error->code)) ||
               (reply && (mongoc_error_has_label(reply, "RetryableWriteError") ||
                          mongoc_error_has_label(reply, "TransientTransactionError")));
    }
}

/* The message is logged only where the library wrote it: the server's may quote a document. */
static void log_busy(const char *operation, const char *collection, const bson_error_t *error)
{
    yz_warn_spaced("database_busy", "operation=%s collection=%s domain=%u code=%u text=\"%s\"",
                   operation, collection, error->domain, error->code,
                   error->domain == MONGOC_ERROR_SERVER ? "" : error->message);
}

enum yz_err wk_store_translate(const char *operation, const char *collection,
                               const bson_error_t *error, const bson_t *reply)
{
    if (passes(error, reply)) {
        log_busy(operation, collection, error);
        return YZ_BUSY;
    }
    yz_error_spaced("database_refused", "operation=%s collection=%s domain=%u code=%u", operation,
                    collection, error->domain, error->code);
    return YZ_INTERNAL;
}

enum yz_err wk_pool_ping(struct wk_pool *pool)
{
    struct wk_store *store = wk_store_pop(pool);
    bson_t command = BSON_INITIALIZER, reply;
    bson_error_t error;
    enum yz_err err = YZ_OK;

    BSON_APPEND_INT32(&command, "ping", 1);
    if (!mongoc_client_command_simple(store->client, "admin", &command, NULL, &reply, &error))
        err = wk_store_translate("ping", "-", &error, &reply);
    bson_destroy(&reply);
    bson_destroy(&command);
    wk_store_push(pool, store);
    return err;
}

static mongoc_collection_t *open_collection(struct wk_store *store, const char *name)
{
    return mongoc_client_get_collection(store->client, store->database, name);
}

enum yz_err wk_store_find(struct wk_store *store, const char *collection, const bson_t *filter,
                          const bson_t *opts, wk_row_fn *on_row, void *arg)
{
    mongoc_collection_t *rows = open_collection(store, collection);
    bson_t bounded = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *row, *reply;
    bson_error_t error;
    enum yz_err err = YZ_OK;

    if (opts)
        bson_concat(&bounded, opts);
    BSON_APPEND_INT64(&bounded, "maxTimeMS", store->part_ms);
    cursor = mongoc_collection_find_with_opts(rows, filter, &bounded, NULL);
    while (mongoc_cursor_next(cursor, &row)) {
        if (!on_row(arg, row))
            break;
    }
    if (mongoc_cursor_error_document(cursor, &error, &reply))
        err = wk_store_translate("find", collection, &error, reply);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&bounded);
    mongoc_collection_destroy(rows);
    return err;
}

struct one_row {
    bson_t *out;
    bool found;
};

static bool take_row(void *arg, const bson_t *row)
{
    struct one_row *one = arg;

    bson_destroy(one->out);
    bson_copy_to(row, one->out);
    one->found = true;
    return false;
}

enum yz_err wk_store_get(struct wk_store *store, const char *collection, const char *id,
                         bson_t *out, bool *found)
{
    struct one_row one = {.out = out};
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    enum yz_err err;

    bson_init(out);
    BSON_APPEND_UTF8(&filter, "_id", id);
    BSON_APPEND_INT64(&opts, "limit", 1);
    BSON_APPEND_BOOL(&opts, "singleBatch", true);
    err = wk_store_find(store, collection, &filter, &opts, take_row, &one);
    *found = one.found;
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

static void append_ids(bson_t *filter, const char *const *ids, size_t count)
{
    bson_t id, in;

    bson_append_document_begin(filter, "_id", 3, &id);
    bson_append_array_begin(&id, "$in", 3, &in);
    for (size_t i = 0; i < count; i++) {
        char buffer[16];
        const char *key;
        size_t len = bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof buffer);

        bson_append_utf8(&in, key, (int)len, ids[i], -1);
    }
    bson_append_array_end(&id, &in);
    bson_append_document_end(filter, &id);
}

enum yz_err wk_store_get_many(struct wk_store *store, const char *collection,
                              const char *const *ids, size_t count, wk_row_fn *on_row, void *arg)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    enum yz_err err;

    if (count == 0)
        return YZ_OK;
    append_ids(&filter, ids, count);
    /* All in the first reply: the server's own first batch ends at 101. */
    BSON_APPEND_INT32(&opts, "batchSize", (int32_t)count + 1);
    err = wk_store_find(store, collection, &filter, &opts, on_row, arg);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err;
}

/* position[i] is where the i-th operation of the bulk stands in the caller's list. */
struct bulk {
    mongoc_bulk_operation_t *operation;
    struct wk_write *writes;
    size_t *position;
    size_t count;
    bool in_order;
};

static bool is_insert(const struct wk_write *write)
{
    return write->kind == WK_INSERT || write->loaded_sequence == 0;
}

/* A guard that does not match makes the upsert insert the same _id: E11000 tells what a bulk's
 * counts cannot, which replace it was. */
static bool add_replace(mongoc_bulk_operation_t *operation, const struct wk_write *write,
                        bson_error_t *error)
{
    bson_t guard = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool good;

    BSON_APPEND_UTF8(&guard, "_id", write->id);
    BSON_APPEND_INT64(&guard, "evt_seq", (int64_t)write->loaded_sequence);
    BSON_APPEND_BOOL(&opts, "upsert", true);
    good = mongoc_bulk_operation_replace_one_with_opts(operation, &guard, write->document, &opts,
                                                       error);
    bson_destroy(&opts);
    bson_destroy(&guard);
    return good;
}

static void add_write(struct bulk *bulk, size_t i, const char *collection)
{
    struct wk_write *write = &bulk->writes[i];
    bson_error_t error;
    bool good =
        is_insert(write)
            ? mongoc_bulk_operation_insert_with_opts(bulk->operation, write->document, NULL, &error)
            : add_replace(bulk->operation, write, &error);

    if (good) {
        write->result = WK_WRITTEN;
        write->err = YZ_OK;
        bulk->position[bulk->count++] = i;
    } else {
        write->result = WK_FAILED;
        write->err = wk_store_translate("add", collection, &error, NULL);
    }
}

/* One entry of writeErrors. */
static void take_write_error(struct bulk *bulk, const char *collection, const bson_iter_t *entry)
{
    bson_error_t error = {.domain = MONGOC_ERROR_SERVER};
    size_t index = SIZE_MAX;
    struct wk_write *write;
    bson_iter_t field;

    if (!BSON_ITER_HOLDS_DOCUMENT(entry) || !bson_iter_recurse(entry, &field))
        return;
    while (bson_iter_next(&field)) {
        if (strcmp(bson_iter_key(&field), "index") == 0)
            index = (size_t)bson_iter_as_int64(&field);
        else if (strcmp(bson_iter_key(&field), "code") == 0)
            error.code = (uint32_t)bson_iter_as_int64(&field);
    }
    if (index >= bulk->count)
        return;
    for (size_t i = index + 1; bulk->in_order && i < bulk->count; i++)
        bulk->writes[bulk->position[i]].result = WK_LEFT;
    write = &bulk->writes[bulk->position[index]];
    if (error.code == DUPLICATE_KEY) {
        write->result = WK_TAKEN;
        return;
    }
    write->result = WK_FAILED;
    write->err = wk_store_translate("write", collection, &error, NULL);
}

static int64_t reply_count(const bson_t *reply, const char *name)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, reply, name) ? bson_iter_as_int64(&iter) : 0;
}

static size_t array_length(const bson_t *reply, const char *name)
{
    bson_iter_t iter, entry;
    size_t count = 0;

    if (bson_iter_init_find(&iter, reply, name) && BSON_ITER_HOLDS_ARRAY(&iter) &&
        bson_iter_recurse(&iter, &entry)) {
        while (bson_iter_next(&entry))
            count++;
    }
    return count;
}

/* Every operation is told of, as done or as an error (in order: up to the first error), and what
 * was done is safe. */
static bool is_complete(const struct bulk *bulk, const bson_t *reply)
{
    int64_t done = reply_count(reply, "nInserted") + reply_count(reply, "nMatched") +
                   reply_count(reply, "nUpserted");
    size_t errors = array_length(reply, "writeErrors");

    return ((size_t)done + errors == bulk->count ||
            (bulk->in_order && errors == 1 && (size_t)done < bulk->count)) &&
           array_length(reply, "writeConcernErrors") == 0;
}

static enum yz_err execute(struct bulk *bulk, const char *collection)
{
    bson_error_t error = {0};
    bson_iter_t iter, entry;
    enum yz_err err = YZ_OK;
    bson_t reply;

    if (mongoc_bulk_operation_execute(bulk->operation, &reply, &error) &&
        is_complete(bulk, &reply)) {
        bson_destroy(&reply);
        return YZ_OK;
    }
    if (!is_complete(bulk, &reply)) {
        err = wk_store_translate("bulk", collection, &error, &reply);
    } else if (bson_iter_init_find(&iter, &reply, "writeErrors") &&
               bson_iter_recurse(&iter, &entry)) {
        while (bson_iter_next(&entry))
            take_write_error(bulk, collection, &entry);
    }
    bson_destroy(&reply);
    return err;
}

/* All inserts are one command with one commit, however the caller mixed them with replaces. */
static void add_by_kind(struct bulk *bulk, const char *collection, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_insert(&bulk->writes[i]))
            add_write(bulk, i, collection);
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_insert(&bulk->writes[i]))
            add_write(bulk, i, collection);
    }
}

static void add_in_order(struct bulk *bulk, const char *collection, size_t count)
{
    size_t i = 0;

    while (i < count) {
        add_write(bulk, i, collection);
        if (bulk->writes[i++].result == WK_FAILED)
            break;
    }
    for (; i < count; i++)
        bulk->writes[i].result = WK_LEFT;
}

static enum yz_err write_all(struct wk_store *store, const char *collection,
                             struct wk_write *writes, size_t count, bool in_order)
{
    mongoc_collection_t *rows;
    bson_t opts = BSON_INITIALIZER;
    struct bulk bulk = {.writes = writes, .in_order = in_order};
    enum yz_err err = YZ_OK;

    if (count == 0)
        return YZ_OK;
    bulk.position = yz_calloc(count, sizeof *bulk.position);
    if (!bulk.position)
        return YZ_BUSY;
    rows = open_collection(store, collection);
    BSON_APPEND_BOOL(&opts, "ordered", in_order);
    bulk.operation = mongoc_collection_create_bulk_operation_with_opts(rows, &opts);
    if (in_order)
        add_in_order(&bulk, collection, count);
    else
        add_by_kind(&bulk, collection, count);
    if (bulk.count > 0)
        err = execute(&bulk, collection);
    mongoc_bulk_operation_destroy(bulk.operation);
    bson_destroy(&opts);
    mongoc_collection_destroy(rows);
    free(bulk.position);
    return err;
}

enum yz_err wk_store_write(struct wk_store *store, const char *collection, struct wk_write *writes,
                           size_t count)
{
    return write_all(store, collection, writes, count, false);
}

enum yz_err wk_store_write_in_order(struct wk_store *store, const char *collection,
                                    struct wk_write *writes, size_t count)
{
    return write_all(store, collection, writes, count, true);
}

enum yz_err wk_store_update(struct wk_store *store, const char *collection, const char *id,
                            const bson_t *update, bool upsert)
{
    mongoc_collection_t *rows = open_collection(store, collection);
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, reply;
    bson_error_t error;
    enum yz_err err = YZ_OK;

    BSON_APPEND_UTF8(&filter, "_id", id);
    BSON_APPEND_BOOL(&opts, "upsert", upsert);
    if (!mongoc_collection_update_one(rows, &filter, update, &opts, &reply, &error)) {
        /* Two upserts of one _id at once: the other's insert came first, so the next try updates
         * it. */
        err = error.code == DUPLICATE_KEY
                  ? YZ_BUSY
                  : wk_store_translate("update", collection, &error, &reply);
    }
    bson_destroy(&reply);
    bson_destroy(&opts);
    bson_destroy(&filter);
    mongoc_collection_destroy(rows);
    return err;
}

enum yz_err wk_store_update_many(struct wk_store *store, const char *collection,
                                 const char *const *ids, size_t count, const bson_t *update)
{
    mongoc_collection_t *rows = open_collection(store, collection);
    bson_t filter = BSON_INITIALIZER, reply;
    bson_error_t error;
    enum yz_err err = YZ_OK;

    append_ids(&filter, ids, count);
    if (!mongoc_collection_update_many(rows, &filter, update, NULL, &reply, &error))
        err = wk_store_translate("update", collection, &error, &reply);
    bson_destroy(&reply);
    bson_destroy(&filter);
    mongoc_collection_destroy(rows);
    return err;
}
