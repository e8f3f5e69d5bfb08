#include "workers/audit.h"

#include "workers/store.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>

const struct wk_index wk_audit_indexes[] = {
    {.name = "by_owner", .keys = "{\"tenant\": 1, \"owner\": 1, \"key\": 1}"},
    {.name = "by_object", .keys = "{\"tenant\": 1, \"object_kind\": 1, \"object\": 1, \"key\": 1}"},
    {0},
};

/* "01767225600000-0123456789abcdef": 14 digits last beyond the year 5000. */
static bool make_key(int64_t now_ms, char out[WK_ACCESS_KEY_BYTES])
{
    uint64_t random;

    if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
        return false;
    snprintf(out, WK_ACCESS_KEY_BYTES, "%014" PRId64 "-%016" PRIx64, now_ms, random);
    return true;
}

static enum yz_err insert(struct wk_store *store, const char *id, const bson_t *document)
{
    struct wk_write write = {.kind = WK_INSERT, .id = id, .document = document};
    enum yz_err err = wk_store_write(store, WK_ACCESSES, &write, 1);

    return err || write.result != WK_WRITTEN ? YZ_BUSY : YZ_OK;
}

enum yz_err wk_audit_access(const struct wk_query *query, const struct wk_access *access)
{
    int64_t now_ms = query->now_ms;
    bson_t document = BSON_INITIALIZER;
    char key[WK_ACCESS_KEY_BYTES], id[WK_ID_MAX];
    enum yz_err err;

    if (!make_key(now_ms, key))
        return YZ_BUSY;
    wk_id(id, query->actor->tenant, key, NULL);
    BSON_APPEND_UTF8(&document, "_id", id);
    BSON_APPEND_UTF8(&document, "tenant", query->actor->tenant);
    BSON_APPEND_UTF8(&document, "key", key);
    BSON_APPEND_DATE_TIME(&document, "at", now_ms);
    BSON_APPEND_UTF8(&document, "actor", query->actor->member);
    BSON_APPEND_UTF8(&document, "object_kind", access->object_kind);
    BSON_APPEND_UTF8(&document, "object", access->object);
    BSON_APPEND_UTF8(&document, "owner", access->owner);
    BSON_APPEND_UTF8(&document, "purpose", access->purpose);
    err = insert(query->store, id, &document);
    bson_destroy(&document);
    return err;
}
