/* fold_private.h: what fold.c (documents: loaded, staged, written) and fold_effects.c (pushes,
 * values and rows) share. Nobody else includes it.
 *
 * Lifetime  as in fold.h.
 * Thread    worker.
 */
#ifndef WK_FOLD_PRIVATE_H
#define WK_FOLD_PRIVATE_H

#include "workers/fold.h"

#include "common/memory.h"
#include "schemas/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FOLD_ARENA_MAX ((size_t)256 * 1024 * 1024)

struct entry;

struct wk_needs {
    struct wk_fold *fold;
    /* Not NULL: nothing is to be loaded; asked is whether an event of this aggregate rests on what
     * others wrote in this batch. */
    const char *asking;
    bool mixed;
};

struct fold_list {
    void *items;
    size_t count, cap;
};

struct wk_fold {
    const struct wk_context *context;
    struct entry *entries;
    struct wk_needs needs;
    struct yz_arena arena; /* texts and payloads of pushes and rows */
    struct fold_list pushes, values, rows;
    struct fold_list wanted; /* keys that were in the way: loaded in the next pass */
    struct fold_list staged; /* entries that the event being applied has staged */
    uint64_t holder;         /* of the events that need() is asked about */
    bool settled;            /* what is clean may be kept */
    /* the event being applied */
    const struct wk_event *event;
    size_t index;
    int ordinal;
    enum yz_err taken;
    const char *taken_field;
    size_t pushes_before, values_before, rows_before;
};

static inline void *fold_list_add(struct fold_list *list, size_t size)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->items = yz_realloc(list->items, list->cap * size);
    }
    void *item = (char *)list->items + list->count++ * size;
    memset(item, 0, size);
    return item;
}

#endif
