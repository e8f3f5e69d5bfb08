#include "workers/fold_private.h"

#include "common/clock.h"
#include "common/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FOLD_KEPT_BYTES ((size_t)8 * 1024 * 1024)
#define FOLD_KEPT_MS    2000

/* One document of the batch. */
struct entry {
    char *key; /* "<collection>/<id>" */
    const char *collection;
    const char *id;           /* inside key */
    bson_t *document;         /* as the last event left it; NULL: there is none */
    bson_t *staged;           /* by the event being applied */
    uint64_t loaded_sequence; /* evt_seq as loaded, 0: none was there */
    uint64_t sequence;        /* evt_seq now */
    uint64_t first;           /* sequence of the event that created it */
    bool insert;              /* created in this batch by wk_insert */
    bool staged_insert;
    bool needed; /* named by needs(), so loaded */
    bool dirty;
    bool used;          /* in this batch */
    const char *writer; /* if dirty: aggregate of the last event that wrote it */
    /* of a document that may be kept; 0: it may not */
    uint64_t holder;
    int64_t loaded_mono_ms; /* 0: not yet */
    void *derived;
    wk_derive_fn *derived_by;
    UT_hash_handle hh;
};

void wk_id(char out[WK_ID_MAX], const char *tenant, ...)
{
    size_t len = (size_t)snprintf(out, WK_ID_MAX, "%s", tenant);
    const char *part;
    va_list parts;

    va_start(parts, tenant);
    while ((part = va_arg(parts, const char *)) && len < WK_ID_MAX)
        len += (size_t)snprintf(out + len, WK_ID_MAX - len, "|%s", part);
    va_end(parts);
    assert(len < WK_ID_MAX);
}

struct wk_fold *wk_fold_new(const struct wk_context *context)
{
    struct wk_fold *fold = yz_calloc(1, sizeof *fold);

    fold->context = context;
    fold->needs.fold = fold;
    yz_arena_init(&fold->arena, FOLD_ARENA_MAX);
    return fold;
}

static void drop_derived(struct entry *e)
{
    free(e->derived);
    e->derived = NULL;
    e->derived_by = NULL;
}

static void drop_document(struct entry *e)
{
    if (e->document)
        bson_destroy(e->document);
    e->document = NULL;
    e->sequence = e->loaded_sequence = e->first = 0;
    drop_derived(e);
}

static void drop_entry(struct wk_fold *fold, struct entry *e)
{
    HASH_DEL(fold->entries, e);
    drop_document(e);
    if (e->staged)
        bson_destroy(e->staged);
    free(e->key);
    free(e);
}

static void drop_results(struct wk_fold *fold)
{
    fold->pushes.count = fold->values.count = fold->rows.count = fold->staged.count = 0;
    yz_arena_reset(&fold->arena);
    fold->event = NULL;
}

static void drop_documents(struct wk_fold *fold)
{
    struct entry *e, *next;

    HASH_ITER(hh, fold->entries, e, next)
    {
        drop_entry(fold, e);
    }
    drop_results(fold);
}

/* As if just loaded: only whole documents that are as the database has them, so no absent one,
 * which somebody else may make. */
static bool keep(struct entry *e, int64_t now_ms)
{
    if (!e->holder || !e->document || e->dirty || e->staged ||
        now_ms - e->loaded_mono_ms > FOLD_KEPT_MS)
        return false;
    e->insert = e->needed = false;
    return true;
}

/* Its first four bytes. (bson_t has the length too, but libbson gives out documents that are less
 * aligned than their type says, so that its fields are not to be touched.) */
static size_t size_of(const bson_t *document)
{
    uint32_t size;

    memcpy(&size, bson_get_data(document), sizeof size);
    return BSON_UINT32_FROM_LE(size);
}

static void keep_documents(struct wk_fold *fold)
{
    int64_t now_ms = yz_clock_mono_ms();
    struct entry *e, *next;
    size_t bytes = 0;

    HASH_ITER(hh, fold->entries, e, next)
    {
        if (keep(e, now_ms))
            bytes += size_of(e->document);
        else
            drop_entry(fold, e);
    }
    HASH_ITER(hh, fold->entries, e, next)
    {
        if (bytes > FOLD_KEPT_BYTES && !e->used) {
            bytes -= size_of(e->document);
            drop_entry(fold, e);
            continue;
        }
        e->used = false;
    }
    drop_results(fold);
}

static void drop_wanted(struct wk_fold *fold)
{
    char **keys = fold->wanted.items;

    for (size_t i = 0; i < fold->wanted.count; i++)
        free(keys[i]);
    fold->wanted.count = 0;
}

void wk_fold_reset(struct wk_fold *fold)
{
    if (fold->settled)
        keep_documents(fold);
    else
        drop_documents(fold);
    drop_wanted(fold);
    fold->settled = false;
    fold->holder = 0;
}

void wk_fold_settled(struct wk_fold *fold)
{
    fold->settled = true;
}

void wk_fold_holder(struct wk_fold *fold, uint64_t holder)
{
    fold->holder = holder;
}

void wk_fold_free(struct wk_fold *fold)
{
    if (!fold)
        return;
    fold->settled = false;
    wk_fold_reset(fold);
    yz_arena_deinit(&fold->arena);
    free(fold->pushes.items);
    free(fold->values.items);
    free(fold->rows.items);
    free(fold->wanted.items);
    free(fold->staged.items);
    free(fold);
}

static struct entry *find(struct wk_fold *fold, const char *collection, const char *id)
{
    size_t collection_len = strlen(collection), id_len = strlen(id);
    char key[WK_ID_MAX + 64];
    struct entry *e;

    assert(collection_len + id_len + 1 < sizeof key);
    memcpy(key, collection, collection_len);
    key[collection_len] = '/';
    memcpy(key + collection_len + 1, id, id_len);
    HASH_FIND(hh, fold->entries, key, collection_len + id_len + 1, e);
    return e;
}

static struct entry *obtain(struct wk_fold *fold, const char *collection, const char *id)
{
    struct entry *e = find(fold, collection, id);
    size_t len = strlen(collection) + strlen(id) + 2;

    if (e) {
        e->used = true;
        return e;
    }
    e = yz_calloc(1, sizeof *e);
    e->used = true;
    e->key = yz_malloc(len);
    snprintf(e->key, len, "%s/%s", collection, id);
    e->id = e->key + strlen(collection) + 1;
    e->collection = collection;
    HASH_ADD_KEYPTR(hh, fold->entries, e->key, strlen(e->key), e);
    return e;
}

/* true: it was only asked. */
static bool only_asked(struct wk_needs *needs, const char *collection, const char *id)
{
    const struct entry *e;

    if (!needs->asking)
        return false;
    e = find(needs->fold, collection, id);
    needs->mixed = needs->mixed || (e && e->dirty && strcmp(e->writer, needs->asking) != 0);
    return true;
}

void wk_need(struct wk_needs *needs, const char *collection, const char *id)
{
    struct entry *e;

    if (only_asked(needs, collection, id))
        return;
    e = obtain(needs->fold, collection, id);

    /* Kept, but not as a document of the asker's own. */
    if (!e->needed && !e->insert)
        drop_document(e);
    e->needed = true;
    e->holder = 0;
    e->loaded_mono_ms = 0;
}

void wk_need_own(struct wk_needs *needs, const char *collection, const char *id)
{
    struct entry *e;

    if (only_asked(needs, collection, id))
        return;
    e = obtain(needs->fold, collection, id);
    if (e->needed)
        return;
    if (!e->insert && (!e->holder || e->holder != needs->fold->holder)) {
        drop_document(e);
        e->loaded_mono_ms = 0;
    }
    e->needed = true;
    e->holder = needs->fold->holder;
}

void wk_fold_need(struct wk_fold *fold, const struct wk_event_handler *handler,
                  const struct wk_event *event)
{
    if (handler->needs)
        handler->needs(event, &fold->needs);
}

bool wk_fold_rests_on_others(struct wk_fold *fold, const struct wk_event_handler *handler,
                             const struct wk_event *event)
{
    struct wk_needs needs = {.fold = fold, .asking = event->env->aggregate};

    if (handler->needs)
        handler->needs(event, &needs);
    return needs.mixed;
}

static uint64_t read_u64(const bson_t *document, const char *field)
{
    bson_iter_t it;

    return bson_iter_init_find(&it, document, field) ? (uint64_t)bson_iter_as_int64(&it) : 0;
}

static void set_loaded(struct entry *e, const bson_t *document)
{
    drop_document(e);
    e->document = bson_copy(document);
    e->sequence = e->loaded_sequence = read_u64(document, "evt_seq");
    e->first = read_u64(document, "evt_first");
}

void wk_fold_preset(struct wk_fold *fold, const char *collection, const char *id,
                    const bson_t *document, uint64_t sequence)
{
    struct entry *e = obtain(fold, collection, id);

    e->needed = true;
    set_loaded(e, document);
    e->loaded_mono_ms = yz_clock_mono_ms();
    e->sequence = e->loaded_sequence = sequence;
    if (!e->first)
        e->first = sequence;
}

struct load {
    struct wk_fold *fold;
    const char *collection;
};

static bool on_row(void *arg, const bson_t *row)
{
    struct load *load = arg;
    bson_iter_t it;
    struct entry *e;

    if (!bson_iter_init_find(&it, row, "_id") || !BSON_ITER_HOLDS_UTF8(&it))
        return true;
    e = find(load->fold, load->collection, bson_iter_utf8(&it, NULL));
    if (e)
        set_loaded(e, row);
    return true;
}

/* Entries of one collection that pass `pick`: an array to be freed. */
static struct entry **select_entries(struct wk_fold *fold, const char *collection,
                                     bool (*pick)(const struct entry *), size_t *count)
{
    struct entry **picked = yz_calloc(HASH_COUNT(fold->entries) + 1, sizeof(struct entry *));
    struct entry *e;

    *count = 0;
    for (e = fold->entries; e; e = e->hh.next) {
        if (pick(e) && strcmp(e->collection, collection) == 0)
            picked[(*count)++] = e;
    }
    return picked;
}

#define COLLECTIONS_MAX 64

/* The collections of the entries that pass `pick`, in the order of their first mention. */
static size_t collections_of(struct wk_fold *fold, bool (*pick)(const struct entry *),
                             const char *names[COLLECTIONS_MAX])
{
    size_t count = 0;

    for (struct entry *e = fold->entries; e; e = e->hh.next) {
        bool known = !pick(e);

        for (size_t i = 0; !known && i < count; i++)
            known = strcmp(names[i], e->collection) == 0;
        if (!known) {
            assert(count < COLLECTIONS_MAX);
            names[count++] = e->collection;
        }
    }
    return count;
}

/* Needed, and not kept. */
static bool is_missing(const struct entry *e)
{
    return e->needed && e->loaded_mono_ms == 0;
}

static bool is_insert(const struct entry *e)
{
    return e->dirty && e->insert;
}

static bool is_replace(const struct entry *e)
{
    return e->dirty && !e->insert;
}

static enum yz_err load_collection(struct wk_fold *fold, struct wk_store *store,
                                   const char *collection)
{
    struct load load = {fold, collection};
    size_t count;
    struct entry **picked = select_entries(fold, collection, is_missing, &count);
    const char **ids = yz_calloc(count + 1, sizeof *ids);
    int64_t now_ms = yz_clock_mono_ms();
    enum yz_err err;

    for (size_t i = 0; i < count; i++)
        ids[i] = picked[i]->id;
    err = wk_store_get_many(store, collection, ids, count, on_row, &load);
    for (size_t i = 0; !err && i < count; i++)
        picked[i]->loaded_mono_ms = now_ms;
    free(ids);
    free(picked);
    return err;
}

enum yz_err wk_fold_load(struct wk_fold *fold, struct wk_store *store)
{
    const char *names[COLLECTIONS_MAX];
    size_t count = collections_of(fold, is_missing, names);
    enum yz_err err = YZ_OK;

    for (size_t i = 0; !err && i < count; i++)
        err = load_collection(fold, store, names[i]);
    return err;
}

const bson_t *wk_get(struct wk_fold *fold, const char *collection, const char *id)
{
    struct entry *e = find(fold, collection, id);

    assert(e && (e->needed || e->insert || e->staged));
    if (!e)
        return NULL;
    return e->staged ? e->staged : e->document;
}

const void *wk_get_derived(struct wk_fold *fold, const char *collection, const char *id,
                           wk_derive_fn *make)
{
    const bson_t *document = wk_get(fold, collection, id);
    struct entry *e = find(fold, collection, id);

    if (!document || !e)
        return NULL;
    if (e->derived_by != make || e->staged) {
        drop_derived(e);
        e->derived = make(document);
        e->derived_by = make;
    }
    return e->derived;
}

const struct wk_context *wk_fold_context(const struct wk_fold *fold)
{
    return fold->context;
}

void wk_fold_begin(struct wk_fold *fold, const struct wk_event *event, size_t index)
{
    fold->event = event;
    fold->index = index;
    fold->ordinal = 0;
    fold->taken = YZ_OK;
    fold->pushes_before = fold->pushes.count;
    fold->values_before = fold->values.count;
    fold->rows_before = fold->rows.count;
}

void wk_fold_count_from(struct wk_fold *fold, int ordinal)
{
    fold->ordinal = ordinal;
}

static void stage(struct wk_fold *fold, struct entry *e, bson_t *document, bool insert)
{
    if (e->staged)
        bson_destroy(e->staged);
    else
        *(struct entry **)fold_list_add(&fold->staged, sizeof(struct entry *)) = e;
    e->staged = document;
    e->staged_insert = e->staged_insert || insert;
}

void wk_put(struct wk_fold *fold, const char *collection, const char *id, bson_t *document)
{
    struct entry *e = obtain(fold, collection, id);

    assert(e->needed || e->insert || e->staged);
    stage(fold, e, document, false);
}

void wk_insert(struct wk_fold *fold, const char *collection, const char *id, bson_t *document,
               enum yz_err taken, const char *field)
{
    struct entry *e = obtain(fold, collection, id);

    if (!e->document) {
        stage(fold, e, document, true);
        return;
    }
    bson_destroy(document);
    /* There already: by this very event (a replay), or by another one, whose it stays. */
    if (e->first == fold->event->sequence)
        return;
    fold->taken = taken;
    fold->taken_field = field;
}

bool wk_fold_is_late(const struct wk_fold *fold)
{
    struct entry **staged = fold->staged.items;
    size_t i = 0;

    while (i < fold->staged.count && staged[i]->sequence <= fold->event->sequence)
        i++;
    return i < fold->staged.count;
}

static void commit(struct wk_fold *fold, struct entry *e)
{
    uint64_t sequence = fold->event->sequence;

    if (e->sequence >= sequence) {
        /* A replay over a document that holds this event already. */
        drop_derived(e);
        bson_destroy(e->staged);
    } else {
        if (e->document)
            bson_destroy(e->document);
        else
            e->first = sequence;
        drop_derived(e);
        e->document = e->staged;
        e->sequence = sequence;
        e->insert = e->insert || e->staged_insert;
        e->dirty = true;
        e->writer = fold->event->env->aggregate;
    }
    e->staged = NULL;
    e->staged_insert = false;
}

enum yz_err wk_fold_end(struct wk_fold *fold, struct yz_violation *v)
{
    struct entry **staged = fold->staged.items;

    for (size_t i = 0; i < fold->staged.count; i++) {
        struct entry *e = staged[i];

        if (fold->taken) {
            drop_derived(e);
            bson_destroy(e->staged);
            e->staged = NULL;
            e->staged_insert = false;
        } else {
            commit(fold, e);
        }
    }
    fold->staged.count = 0;
    if (fold->taken) {
        fold->pushes.count = fold->pushes_before;
        fold->values.count = fold->values_before;
        fold->rows.count = fold->rows_before;
        return yz_violate(v, fold->taken, fold->taken_field, NULL);
    }
    return YZ_OK;
}

/* The document as it is stored: the frame's own fields before the handler's. */
static bson_t *whole(const struct entry *e)
{
    bson_t *document = bson_new();
    size_t tenant_len = strcspn(e->id, "|");
    bson_iter_t it;

    BSON_APPEND_UTF8(document, "_id", e->id);
    bson_append_utf8(document, "tenant", -1, e->id, (int)tenant_len);
    BSON_APPEND_INT64(document, "evt_seq", (int64_t)e->sequence);
    BSON_APPEND_INT64(document, "evt_first", (int64_t)e->first);
    if (!bson_iter_init(&it, e->document))
        return document;
    while (bson_iter_next(&it)) {
        const char *key = bson_iter_key(&it);

        if (strcmp(key, "_id") != 0 && strcmp(key, "tenant") != 0 && strcmp(key, "evt_seq") != 0 &&
            strcmp(key, "evt_first") != 0)
            bson_append_iter(document, key, -1, &it);
    }
    return document;
}

static enum yz_err note_results(struct wk_fold *fold, struct entry **picked,
                                const struct wk_write *writes, size_t count, bool *again)
{
    enum yz_err err = YZ_OK;

    for (size_t i = 0; i < count; i++) {
        if (writes[i].result == WK_WRITTEN) {
            picked[i]->dirty = false;
            picked[i]->loaded_sequence = picked[i]->sequence;
        } else if (writes[i].result == WK_TAKEN) {
            *(char **)fold_list_add(&fold->wanted, sizeof(char *)) = yz_strdup(picked[i]->key);
            *again = true;
        } else if (!err || err == YZ_BUSY) {
            err = writes[i].err ? writes[i].err : YZ_INTERNAL;
        }
    }
    return err;
}

static enum yz_err write_collection(struct wk_fold *fold, struct wk_store *store,
                                    const char *collection, bool inserts, bool *again)
{
    size_t count;
    struct entry **picked =
        select_entries(fold, collection, inserts ? is_insert : is_replace, &count);
    struct wk_write *writes = yz_calloc(count + 1, sizeof *writes);
    bson_t **documents = yz_calloc(count + 1, sizeof *documents);
    enum yz_err err;

    for (size_t i = 0; i < count; i++) {
        documents[i] = whole(picked[i]);
        writes[i].kind = inserts ? WK_INSERT : WK_REPLACE;
        writes[i].id = picked[i]->id;
        writes[i].document = documents[i];
        writes[i].loaded_sequence = picked[i]->loaded_sequence;
    }
    err = wk_store_write(store, collection, writes, count);
    if (!err)
        err = note_results(fold, picked, writes, count, again);
    for (size_t i = 0; i < count; i++)
        bson_destroy(documents[i]);
    free(documents);
    free(writes);
    free(picked);
    return err;
}

/* Inserts come first, in all collections: one whose key is taken turns its event into a refusal,
 * and then no other document may have heard of that event. */
enum yz_err wk_fold_write(struct wk_fold *fold, struct wk_store *store, bool *again)
{
    enum yz_err err = YZ_OK;

    *again = false;
    for (int inserts = 1; inserts >= 0 && !*again; inserts--) {
        const char *names[COLLECTIONS_MAX];
        size_t count = collections_of(fold, inserts ? is_insert : is_replace, names);

        for (size_t i = 0; !err && i < count; i++)
            err = write_collection(fold, store, names[i], inserts, again);
        if (err)
            return err;
    }
    return YZ_OK;
}

/* Collection names are constants of the domains: the entry that is dropped had one of them. */
static void want(struct wk_fold *fold, const char *key, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);

        if (strncmp(key, names[i], len) == 0 && key[len] == '/')
            obtain(fold, names[i], key + len + 1)->needed = true;
    }
}

static bool any(const struct entry *e)
{
    return e != NULL;
}

void wk_fold_again(struct wk_fold *fold)
{
    const char *names[COLLECTIONS_MAX];
    size_t count = collections_of(fold, any, names);
    char **keys = fold->wanted.items;

    drop_documents(fold);
    for (size_t i = 0; i < fold->wanted.count; i++)
        want(fold, keys[i], names, count);
}
