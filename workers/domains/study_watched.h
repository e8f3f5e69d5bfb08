/* study_watched.h: which parts of a lesson's time line were watched: intervals that neither overlap
 * nor touch, ascending.
 *
 * Lifetime  a plain struct; {0} is nothing.
 * Thread    any; pure.
 * Limits    WK_WATCHED_MAX intervals, which is more than anybody who watches has: what would need
 *           more is not taken.
 */
#ifndef WK_STUDY_WATCHED_H
#define WK_STUDY_WATCHED_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WK_WATCHED_MAX 512

struct wk_watched {
    size_t count;
    struct wk_watched_part {
        uint32_t from_ms, to_ms; /* from included, to not */
    } parts[WK_WATCHED_MAX];
};

/* Add from..to (from < to). false: it would need more than WK_WATCHED_MAX; nothing was changed. */
bool wk_watched_add(struct wk_watched *watched, uint32_t from_ms, uint32_t to_ms);
uint32_t wk_watched_ms(const struct wk_watched *watched);

/* In a document: one array, from and to of each in turn. What is not whole reads as far as it is.
 */
void wk_watched_read(const bson_t *document, const char *field, struct wk_watched *watched);
void wk_watched_append(bson_t *document, const char *field, const struct wk_watched *watched);

#endif
