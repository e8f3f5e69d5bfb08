#include "workers/ctl/generation.h"

#include "common/clock.h"

#include <stdio.h>

#define COLLECTION "generations"
#define TRIES_MAX  8

/* They belong to no tenant. */
static void id_of(const char *stream, char out[WK_ID_MAX])
{
    wk_id(out, "_", stream, NULL);
}

static enum yz_err read_number(struct wk_store *store, const char *id, const char *name,
                               int64_t *number)
{
    bson_t document;
    bson_iter_t field;
    bool found = false;
    enum yz_err err = wk_store_get(store, COLLECTION, id, &document, &found);

    *number = 0;
    if (!err && found && bson_iter_init_find(&field, &document, name))
        *number = bson_iter_as_int64(&field);
    bson_destroy(&document);
    return err;
}

enum yz_err ctl_generation_get(struct wk_store *store, const char *stream, int64_t *generation)
{
    char id[WK_ID_MAX];

    id_of(stream, id);
    return read_number(store, id, "generation", generation);
}

enum yz_err ctl_generation_reached(struct wk_store *store, const char *stream, int64_t *reached)
{
    char id[WK_ID_MAX], name[64];

    snprintf(name, sizeof name, "%s.reached", stream);
    id_of(name, id);
    return read_number(store, id, "reached", reached);
}

static enum yz_err try_set(struct wk_store *store, const char *stream, int64_t from, int64_t to,
                           enum wk_write_result *result)
{
    char id[WK_ID_MAX];
    struct wk_write write = {.kind = WK_REPLACE, .id = id, .loaded_sequence = (uint64_t)from};
    bson_t document = BSON_INITIALIZER;
    enum yz_err err;

    id_of(stream, id);
    BSON_APPEND_UTF8(&document, "_id", id);
    BSON_APPEND_UTF8(&document, "tenant", "_");
    BSON_APPEND_UTF8(&document, "stream", stream);
    BSON_APPEND_INT64(&document, "generation", to);
    BSON_APPEND_INT64(&document, "evt_seq", to);
    BSON_APPEND_DATE_TIME(&document, "raised_at", yz_clock_wall_ms());
    write.document = &document;
    err = wk_store_write(store, COLLECTION, &write, 1);
    bson_destroy(&document);
    *result = write.result;
    return !err && write.result == WK_FAILED ? write.err : err;
}

enum yz_err ctl_generation_raise(struct wk_store *store, const char *stream, int64_t above,
                                 int64_t *generation)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        enum wk_write_result result = WK_TAKEN;
        int64_t from, to;
        enum yz_err err = ctl_generation_get(store, stream, &from);

        if (err)
            return err;
        to = (from > above ? from : above) + 1;
        if (to > CTL_GENERATION_MAX)
            return YZ_TOO_MANY;
        if ((err = try_set(store, stream, from, to, &result)))
            return err;
        if (result == WK_WRITTEN) {
            *generation = to;
            return YZ_OK;
        }
    }
    return YZ_BUSY; /* somebody else raises it all the time */
}

enum yz_err ctl_generation_return(struct wk_store *store, const char *stream, int64_t generation)
{
    enum wk_write_result result;

    return try_set(store, stream, generation, generation - 1, &result);
}
