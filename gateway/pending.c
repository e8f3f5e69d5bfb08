#include "gateway/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A wheel: one list for each tick up to the longest timeout, so that adding and removing cost the
 * same however many requests wait. One more list than ticks, for the one that is being emptied. */
#define WHEEL (PENDING_TIMEOUT_MAX_MS / PENDING_TICK_MS + 2)

#define NO_SLOT UINT32_MAX

struct slot {
    TAILQ_ENTRY(slot) entry; /* in a list of the wheel, while on_reply is set */
    gw_reply_fn *on_reply;   /* NULL: free */
    void *arg;
    uint32_t index, serial;
    uint32_t bucket;
    uint32_t next_free;
};

TAILQ_HEAD(slot_list, slot);

struct gw_pending {
    struct slot **slots; /* addresses stay: the lists hold them */
    uint32_t count, capacity, used;
    uint32_t first_free;
    uint32_t now; /* the wheel's current list */
    struct slot_list wheel[WHEEL];
};

enum yz_err gw_pending_new(struct gw_pending **pending)
{
    struct gw_pending *p = calloc(1, sizeof *p);

    if (!p)
        return YZ_INTERNAL;
    p->first_free = NO_SLOT;
    for (size_t i = 0; i < WHEEL; i++)
        TAILQ_INIT(&p->wheel[i]);
    *pending = p;
    return YZ_OK;
}

void gw_pending_free(struct gw_pending *p)
{
    for (uint32_t i = 0; i < p->used; i++)
        free(p->slots[i]);
    free(p->slots);
    free(p);
}

static struct slot *new_slot(struct gw_pending *p)
{
    struct slot *slot;

    if (p->used == PENDING_MAX)
        return NULL;
    if (p->used == p->capacity) {
        uint32_t capacity = p->capacity ? 2 * p->capacity : 256;
        struct slot **slots = realloc(p->slots, capacity * sizeof(struct slot *));

        if (!slots)
            return NULL;
        p->slots = slots;
        p->capacity = capacity;
    }
    slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->index = p->used;
    p->slots[p->used++] = slot;
    return slot;
}

enum yz_err gw_pending_add(struct gw_pending *p, int64_t timeout_ms, gw_reply_fn *on_reply,
                           void *arg, uint64_t *id)
{
    struct slot *slot;
    uint32_t ticks;

    if (timeout_ms > PENDING_TIMEOUT_MAX_MS)
        timeout_ms = PENDING_TIMEOUT_MAX_MS;
    if (p->first_free != NO_SLOT) {
        slot = p->slots[p->first_free];
        p->first_free = slot->next_free;
    } else if (!(slot = new_slot(p))) {
        return YZ_BUSY;
    }
    /* One tick more: the current one has partly gone. */
    ticks = (uint32_t)(timeout_ms / PENDING_TICK_MS) + 1;
    slot->serial++;
    if (slot->serial == 0)
        slot->serial = 1;
    slot->on_reply = on_reply;
    slot->arg = arg;
    slot->bucket = (p->now + ticks) % WHEEL;
    TAILQ_INSERT_TAIL(&p->wheel[slot->bucket], slot, entry);
    p->count++;
    *id = (uint64_t)slot->serial << 32 | slot->index;
    return YZ_OK;
}

static struct slot *find(const struct gw_pending *p, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (index >= p->used || p->slots[index]->serial != id >> 32 || !p->slots[index]->on_reply)
        return NULL;
    return p->slots[index];
}

static void release(struct gw_pending *p, struct slot *slot)
{
    TAILQ_REMOVE(&p->wheel[slot->bucket], slot, entry);
    slot->on_reply = NULL;
    slot->next_free = p->first_free;
    p->first_free = slot->index;
    p->count--;
}

void gw_pending_cancel(struct gw_pending *p, uint64_t id)
{
    struct slot *slot = find(p, id);

    if (slot)
        release(p, slot);
}

void gw_pending_reply(struct gw_pending *p, uint64_t id, natsMsg *msg)
{
    struct slot *slot = find(p, id);

    if (slot && !slot->on_reply(slot->arg, msg, YZ_OK)) {
        /* The callback may have cancelled it. */
        if ((slot = find(p, id)))
            release(p, slot);
    }
}

/* Release first: the callback may add a request, which may take the same slot under a new serial.
 */
static void fail(struct gw_pending *p, struct slot *slot, enum yz_err err)
{
    gw_reply_fn *on_reply = slot->on_reply;
    void *arg = slot->arg;

    assert(on_reply);
    release(p, slot);
    (void)on_reply(arg, NULL, err);
}

void gw_pending_tick(struct gw_pending *p)
{
    struct slot *slot;

    p->now = (p->now + 1) % WHEEL;
    while ((slot = TAILQ_FIRST(&p->wheel[p->now])))
        fail(p, slot, YZ_TIMED_OUT);
}

void gw_pending_fail_one(struct gw_pending *p, uint64_t id, enum yz_err err)
{
    struct slot *slot = find(p, id);

    if (slot)
        fail(p, slot, err);
}

void gw_pending_fail(struct gw_pending *p, enum yz_err err)
{
    struct slot_list failing = TAILQ_HEAD_INITIALIZER(failing);
    struct slot *slot;

    /* Taken off the wheel first: what a callback adds must live. The lists share the entry, and any
     * head serves release's removal of an inner entry, so the bucket is emptied into one that no
     * request can be added to: the current one (a deadline is at least one tick ahead). */
    for (uint32_t i = 0; i < WHEEL; i++) {
        TAILQ_FOREACH(slot, &p->wheel[i], entry)
        {
            slot->bucket = p->now;
        }
        TAILQ_CONCAT(&failing, &p->wheel[i], entry);
    }
    TAILQ_CONCAT(&p->wheel[p->now], &failing, entry);
    while ((slot = TAILQ_FIRST(&p->wheel[p->now])))
        fail(p, slot, err);
}

size_t gw_pending_count(const struct gw_pending *p)
{
    return p->count;
}
