#include "workers/domains/study_watched.h"

#include "workers/document.h"

#include <string.h>

bool wk_watched_add(struct wk_watched *watched, uint32_t from_ms, uint32_t to_ms)
{
    struct wk_watched_part *parts = watched->parts;
    size_t first = 0, behind;

    /* Those from `first` up to `behind` overlap or touch it: they become one with it. */
    while (first < watched->count && parts[first].to_ms < from_ms)
        first++;
    behind = first;
    while (behind < watched->count && parts[behind].from_ms <= to_ms)
        behind++;
    if (first == behind && watched->count == WK_WATCHED_MAX)
        return false;
    if (first < behind) {
        from_ms = parts[first].from_ms < from_ms ? parts[first].from_ms : from_ms;
        to_ms = parts[behind - 1].to_ms > to_ms ? parts[behind - 1].to_ms : to_ms;
    }
    memmove(&parts[first + 1], &parts[behind], (watched->count - behind) * sizeof *parts);
    parts[first] = (struct wk_watched_part){from_ms, to_ms};
    watched->count = watched->count + 1 - (behind - first);
    return true;
}

uint32_t wk_watched_ms(const struct wk_watched *watched)
{
    uint32_t ms = 0;

    for (size_t i = 0; i < watched->count; i++)
        ms += watched->parts[i].to_ms - watched->parts[i].from_ms;
    return ms;
}

void wk_watched_read(const bson_t *document, const char *field, struct wk_watched *watched)
{
    bson_iter_t entry;

    watched->count = 0;
    if (!document || !wk_document_array(document, field, &entry))
        return;
    while (watched->count < WK_WATCHED_MAX && bson_iter_next(&entry)) {
        uint32_t from_ms = (uint32_t)bson_iter_as_int64(&entry);

        if (!bson_iter_next(&entry))
            return;
        watched->parts[watched->count++] =
            (struct wk_watched_part){from_ms, (uint32_t)bson_iter_as_int64(&entry)};
    }
}

static void append_ms(bson_t *list, size_t place, uint32_t ms)
{
    char buffer[16];
    const char *key;
    size_t len = bson_uint32_to_string((uint32_t)place, &key, buffer, sizeof buffer);

    bson_append_int32(list, key, (int)len, (int32_t)ms);
}

void wk_watched_append(bson_t *document, const char *field, const struct wk_watched *watched)
{
    bson_t list;

    bson_append_array_begin(document, field, -1, &list);
    for (size_t i = 0; i < watched->count; i++) {
        append_ms(&list, 2 * i, watched->parts[i].from_ms);
        append_ms(&list, 2 * i + 1, watched->parts[i].to_ms);
    }
    bson_append_array_end(document, &list);
}
