/* serial.h: things found again by a number that is never used twice, so that a late answer of the
 * bus meets either the one that asked or nobody.
 *
 * Lifetime  one table per kind of thing, from start to end; the things belong to the caller.
 * Thread    loop.
 * Limits    max things at once, at most GW_SERIALS_MAX; gw_serials_add says 0 beyond.
 */
#ifndef GW_SERIAL_H
#define GW_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#define GW_SERIALS_MAX (1u << 20)
/* Serials of HTTP requests carry this bit; those of sessions do not. */
#define GW_SERIAL_HTTP (1ull << 63)

struct gw_serials;

/* mark is set in every number. NULL: out of memory. */
struct gw_serials *gw_serials_new(size_t max, uint64_t mark);
void gw_serials_free(struct gw_serials *serials);

uint64_t gw_serials_add(struct gw_serials *serials, void *thing);
/* NULL: it is gone. */
void *gw_serials_find(const struct gw_serials *serials, uint64_t serial);
void gw_serials_remove(struct gw_serials *serials, uint64_t serial);
size_t gw_serials_count(const struct gw_serials *serials);

/* To visit all: places 0 to span - 1, where NULL is an empty one. */
size_t gw_serials_span(const struct gw_serials *serials);
void *gw_serials_at(const struct gw_serials *serials, size_t place);

#endif
