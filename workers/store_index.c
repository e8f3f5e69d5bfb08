/* Collections and indexes as the registry declares them, against what the database has. */
#include "workers/registry.h"
#include "workers/store_private.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 512

struct plan {
    struct wk_store *store;
    bool plan_only;
    wk_change_fn *on_change;
    void *arg;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct plan *plan, const char *fmt,
                                                       ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    plan->on_change(plan->arg, line);
}

/* A declaration that is not JSON is a mistake in our own table. */
static bson_t *parse_declared(const char *json)
{
    bson_error_t error;
    bson_t *parsed = bson_new_from_json((const uint8_t *)json, -1, &error);

    if (!parsed) {
        yz_error("index_declaration", "json='%s' reason=\"%s\"", json, error.message);
        abort();
    }
    return parsed;
}

/* The collection's indexes as {name: {key, unique, ...}}; an empty document when there is no such
 * collection, since each has at least the one on _id. */
static enum yz_err load_indexes(struct wk_store *store, const char *collection, bson_t *indexes)
{
    mongoc_collection_t *rows =
        mongoc_client_get_collection(store->client, store->database, collection);
    mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(rows, NULL);
    const bson_t *index;
    bson_error_t error;
    bson_iter_t name;
    enum yz_err err = YZ_OK;

    while (mongoc_cursor_next(cursor, &index)) {
        if (bson_iter_init_find(&name, index, "name") && BSON_ITER_HOLDS_UTF8(&name))
            bson_append_document(indexes, bson_iter_utf8(&name, NULL), -1, index);
    }
    if (mongoc_cursor_error(cursor, &error) &&
        error.code != (uint32_t)MONGOC_ERROR_COLLECTION_DOES_NOT_EXIST)
        err = wk_store_translate("listIndexes", collection, &error, NULL);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(rows);
    return err;
}

/* The same fields in the same order with the same directions; a server may store 1 as 1.0. */
static bool same_keys(const bson_iter_t *existing, const bson_t *declared)
{
    bson_iter_t a, b;
    bool more_a, more_b;

    if (!BSON_ITER_HOLDS_DOCUMENT(existing) || !bson_iter_recurse(existing, &a) ||
        !bson_iter_init(&b, declared))
        return false;
    for (;;) {
        more_a = bson_iter_next(&a);
        more_b = bson_iter_next(&b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (strcmp(bson_iter_key(&a), bson_iter_key(&b)) != 0 ||
            bson_iter_as_int64(&a) != bson_iter_as_int64(&b))
            return false;
    }
}

static bool same_filter(const bson_iter_t *existing, const char *declared)
{
    uint32_t len;
    const uint8_t *data;
    bson_t document, *parsed = parse_declared(declared);
    char *a = NULL, *b = bson_as_relaxed_extended_json(parsed, NULL);
    bool same;

    bson_iter_document(existing, &len, &data);
    if (bson_init_static(&document, data, len))
        a = bson_as_relaxed_extended_json(&document, NULL);
    same = a && strcmp(a, b) == 0;
    bson_free(a);
    bson_free(b);
    bson_destroy(parsed);
    return same;
}

/* The existing index is the declared one. */
static bool same_index(const bson_iter_t *existing, const struct wk_index *declared)
{
    bson_t *keys = parse_declared(declared->keys);
    bool good = false, unique = false, partial = false;
    int64_t expire_after_s = 0;
    bson_iter_t field;

    if (!bson_iter_recurse(existing, &field))
        goto out;
    while (bson_iter_next(&field)) {
        const char *name = bson_iter_key(&field);

        if (strcmp(name, "key") == 0 && !same_keys(&field, keys))
            goto out;
        if (strcmp(name, "unique") == 0)
            unique = bson_iter_as_bool(&field);
        if (strcmp(name, "expireAfterSeconds") == 0)
            expire_after_s = bson_iter_as_int64(&field);
        if (strcmp(name, "partialFilterExpression") == 0) {
            partial = true;
            if (!declared->partial || !same_filter(&field, declared->partial))
                goto out;
        }
    }
    good = unique == declared->unique && expire_after_s == declared->expire_after_s &&
           partial == (declared->partial != NULL);
out:
    bson_destroy(keys);
    return good;
}

/* Run a command that is done only when a majority has it. */
static enum yz_err run(struct plan *plan, const char *collection, const char *operation,
                       const bson_t *command)
{
    mongoc_write_concern_t *concern = mongoc_write_concern_new();
    bson_t opts = BSON_INITIALIZER, reply;
    bson_error_t error;
    enum yz_err err = YZ_OK;

    mongoc_write_concern_set_wmajority(concern, (int32_t)plan->store->part_ms);
    mongoc_write_concern_append(concern, &opts);
    if (!mongoc_client_write_command_with_opts(plan->store->client, plan->store->database, command,
                                               &opts, &reply, &error))
        err = wk_store_translate(operation, collection, &error, &reply);
    bson_destroy(&reply);
    bson_destroy(&opts);
    mongoc_write_concern_destroy(concern);
    return err;
}

static enum yz_err create_index(struct plan *plan, const char *collection,
                                const struct wk_index *index)
{
    bson_t command = BSON_INITIALIZER, list, entry, *keys, *partial;
    enum yz_err err;

    keys = parse_declared(index->keys);
    BSON_APPEND_UTF8(&command, "createIndexes", collection);
    bson_append_array_begin(&command, "indexes", 7, &list);
    bson_append_document_begin(&list, "0", 1, &entry);
    BSON_APPEND_UTF8(&entry, "name", index->name);
    BSON_APPEND_DOCUMENT(&entry, "key", keys);
    if (index->unique)
        BSON_APPEND_BOOL(&entry, "unique", true);
    if (index->expire_after_s > 0)
        BSON_APPEND_INT32(&entry, "expireAfterSeconds", (int32_t)index->expire_after_s);
    if (index->partial) {
        partial = parse_declared(index->partial);
        BSON_APPEND_DOCUMENT(&entry, "partialFilterExpression", partial);
        bson_destroy(partial);
    }
    bson_append_document_end(&list, &entry);
    bson_append_array_end(&command, &list);
    err = run(plan, collection, "createIndexes", &command);
    bson_destroy(&command);
    bson_destroy(keys);
    return err;
}

static enum yz_err create_collection(struct plan *plan, const char *collection)
{
    bson_t command = BSON_INITIALIZER;
    enum yz_err err;

    BSON_APPEND_UTF8(&command, "create", collection);
    err = run(plan, collection, "create", &command);
    bson_destroy(&command);
    return err;
}

static const struct wk_index *find_declared(const struct wk_collection *collection,
                                            const char *name)
{
    for (const struct wk_index *index = collection->indexes; index && index->name; index++) {
        if (strcmp(index->name, name) == 0)
            return index;
    }
    return NULL;
}

/* What the database has and the table does not: told, never dropped. */
static void tell_undeclared(struct plan *plan, const struct wk_collection *collection,
                            const bson_t *indexes)
{
    bson_iter_t iter;

    bson_iter_init(&iter, indexes);
    while (bson_iter_next(&iter)) {
        const char *name = bson_iter_key(&iter);

        if (strcmp(name, "_id_") != 0 && !find_declared(collection, name))
            tell(plan, "index %s.%s is not declared: drop it by hand if nobody needs it",
                 collection->name, name);
    }
}

static enum yz_err apply_collection(struct plan *plan, const struct wk_collection *collection)
{
    bson_t indexes = BSON_INITIALIZER;
    bson_iter_t existing;
    enum yz_err err = load_indexes(plan->store, collection->name, &indexes);

    if (!err && bson_empty(&indexes)) {
        tell(plan, "create collection %s", collection->name);
        if (!plan->plan_only)
            err = create_collection(plan, collection->name);
    }
    for (const struct wk_index *index = collection->indexes; !err && index && index->name;
         index++) {
        if (!bson_iter_init_find(&existing, &indexes, index->name)) {
            tell(plan, "create index %s.%s %s", collection->name, index->name, index->keys);
            if (!plan->plan_only)
                err = create_index(plan, collection->name, index);
        } else if (!same_index(&existing, index)) {
            tell(plan, "index %s.%s differs from %s: drop it by hand, then apply again",
                 collection->name, index->name, index->keys);
        }
    }
    if (!err)
        tell_undeclared(plan, collection, &indexes);
    bson_destroy(&indexes);
    return err;
}

static enum yz_err apply_list(struct plan *plan, const struct wk_collection *collection)
{
    enum yz_err err = YZ_OK;

    for (; !err && collection && collection->name; collection++)
        err = apply_collection(plan, collection);
    return err;
}

enum yz_err wk_store_apply_indexes(struct wk_store *store, bool plan_only, wk_change_fn *on_change,
                                   void *arg)
{
    struct plan plan = {store, plan_only, on_change, arg};
    enum yz_err err = apply_list(&plan, wk_registry_frame_collections);

    for (size_t i = 0; !err && i < wk_registry_domain_count; i++)
        err = apply_list(&plan, wk_registry_domains[i]->collections);
    return err;
}
