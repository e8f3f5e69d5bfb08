/* recent.h: a channel's newest pushes kept in memory, so that phones that come back together cost
 * no read each.
 *
 * Lifetime  one pool for all channels; a gw_recent lies in its channel, from gw_recent_init until
 * gw_recent_clear. Thread    loop. Limits    RECENT_MAX messages of a channel, RECENT_POOL_BYTES in
 * all; what is oldest goes first.
 *
 * Each push above `floor` that the channel has seen is there.
 */
#ifndef GW_RECENT_H
#define GW_RECENT_H

#include "gateway/message.h"

#include <sys/queue.h>

#define RECENT_MAX        1024
#define RECENT_POOL_BYTES ((size_t)64 * 1024 * 1024)

struct gw_recent_item {
    TAILQ_ENTRY(gw_recent_item) of_pool, of_channel;
    struct gw_recent *recent;
    struct gw_message *msg;
    size_t size;
};
TAILQ_HEAD(gw_recent_list, gw_recent_item);

struct gw_recent_pool {
    struct gw_recent_list items; /* oldest first, of all channels */
    size_t bytes, max_bytes;
};

struct gw_recent {
    struct gw_recent_pool *pool;
    struct gw_recent_list items;
    size_t count;
    uint64_t floor;
};

void gw_recent_pool_init(struct gw_recent_pool *pool, size_t max_bytes);
void gw_recent_init(struct gw_recent *recent, struct gw_recent_pool *pool);
/* Forget all; nothing at or below floor is known. */
void gw_recent_clear(struct gw_recent *recent, uint64_t floor);
/* What stands below first_seq is gone from the stream, by age or by a purge: nobody gets it from
 * here either. */
void gw_recent_trim(struct gw_recent *recent, uint64_t first_seq);
/* The next push, in order; takes a reference. */
void gw_recent_add(struct gw_recent *recent, struct gw_message *msg);

#endif
