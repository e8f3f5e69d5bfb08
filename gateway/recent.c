#include "gateway/recent.h"

#include <stdlib.h>

void gw_recent_pool_init(struct gw_recent_pool *pool, size_t max_bytes)
{
    TAILQ_INIT(&pool->items);
    pool->bytes = 0;
    pool->max_bytes = max_bytes;
}

void gw_recent_init(struct gw_recent *recent, struct gw_recent_pool *pool)
{
    recent->pool = pool;
    recent->count = 0;
    recent->floor = 0;
    TAILQ_INIT(&recent->items);
}

static void drop(struct gw_recent_item *item)
{
    struct gw_recent *recent = item->recent;

    TAILQ_REMOVE(&recent->items, item, of_channel);
    recent->count--;
    TAILQ_REMOVE(&recent->pool->items, item, of_pool);
    recent->pool->bytes -= item->size;
    gw_message_unref(item->msg);
    free(item);
}

/* A channel's items stand in the pool in their own order, so the pool's oldest is its channel's
 * oldest. */
static void evict(struct gw_recent_item *item)
{
    item->recent->floor = gw_message_offset(item->msg);
    drop(item);
}

void gw_recent_clear(struct gw_recent *recent, uint64_t floor)
{
    struct gw_recent_item *item;

    while ((item = TAILQ_FIRST(&recent->items)))
        drop(item);
    recent->floor = floor;
}

void gw_recent_trim(struct gw_recent *recent, uint64_t first_seq)
{
    struct gw_recent_item *item;

    while ((item = TAILQ_FIRST(&recent->items)) && gw_message_offset(item->msg) < first_seq)
        evict(item);
}

void gw_recent_add(struct gw_recent *recent, struct gw_message *msg)
{
    struct gw_recent_pool *pool = recent->pool;
    struct gw_recent_item *item = malloc(sizeof *item);

    if (!item) {
        gw_recent_clear(recent, gw_message_offset(msg));
        return;
    }
    *item = (struct gw_recent_item){
        .recent = recent, .msg = gw_message_ref(msg), .size = sizeof *item + gw_message_size(msg)};
    TAILQ_INSERT_TAIL(&recent->items, item, of_channel);
    recent->count++;
    TAILQ_INSERT_TAIL(&pool->items, item, of_pool);
    pool->bytes += item->size;
    if (recent->count > RECENT_MAX)
        evict(TAILQ_FIRST(&recent->items));
    while (pool->bytes > pool->max_bytes && (item = TAILQ_FIRST(&pool->items)))
        evict(item);
}
