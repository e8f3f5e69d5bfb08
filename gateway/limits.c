#include "gateway/limits.h"

#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FLOOD_FACTOR   4
#define FORGET_AT_ONCE 8

void gw_bucket_init(struct gw_bucket *bucket, int64_t burst, int64_t now_ms)
{
    bucket->level_milli = burst * 1000;
    bucket->filled_ms = now_ms;
}

static void fill(struct gw_bucket *bucket, int64_t per_s, int64_t burst, int64_t now_ms)
{
    /* Frames a second are thousandths of a frame a millisecond. */
    bucket->level_milli += (now_ms - bucket->filled_ms) * per_s;
    bucket->filled_ms = now_ms;
    if (bucket->level_milli > burst * 1000)
        bucket->level_milli = burst * 1000;
}

enum gw_verdict gw_bucket_take(struct gw_bucket *bucket, int64_t per_s, int64_t burst,
                               int64_t now_ms)
{
    fill(bucket, per_s, burst, now_ms);
    bucket->level_milli -= 1000;
    if (bucket->level_milli >= 0)
        return GW_ALLOWED;
    return bucket->level_milli < -FLOOD_FACTOR * burst * 1000 ? GW_FLOOD : GW_REFUSED;
}

bool gw_bucket_draw(struct gw_bucket *bucket, int64_t per_s, int64_t burst, size_t count,
                    int64_t now_ms)
{
    int64_t milli = (int64_t)count * 1000;

    fill(bucket, per_s, burst, now_ms);
    if (bucket->level_milli < milli)
        return false;
    bucket->level_milli -= milli;
    return true;
}

uint32_t gw_bucket_wait_ms(const struct gw_bucket *bucket, int64_t per_s)
{
    int64_t missing = 1000 - bucket->level_milli;

    return missing <= 0 ? 0 : (uint32_t)((missing + per_s - 1) / per_s);
}

uint32_t gw_jitter_ms(uint32_t ms)
{
    return ms / 2 + arc4random_uniform(ms + 1);
}

void gw_address_of(const struct sockaddr *sa, struct gw_address *address)
{
    memset(address, 0, sizeof *address);
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;

        address->bytes[10] = address->bytes[11] = 0xff;
        memcpy(address->bytes + 12, &v4->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);

        memcpy(address->bytes, &v6->sin6_addr, mapped ? 16 : 8);
    }
}

/* A node of the search tree; the address is the key, so it stands first. */
struct counted {
    struct gw_address address;
    size_t count, strangers;
    struct gw_bucket bucket, frames;
    TAILQ_ENTRY(counted) idle_link; /* while count is 0 */
};

struct gw_addresses {
    struct gw_address_limits limits;
    void *root;
    TAILQ_HEAD(, counted) idle; /* in the order they became so */
    size_t idle_count;
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct gw_address));
}

struct gw_addresses *gw_addresses_new(const struct gw_address_limits *limits)
{
    struct gw_addresses *addresses = calloc(1, sizeof *addresses);

    if (!addresses)
        return NULL;
    addresses->limits = *limits;
    TAILQ_INIT(&addresses->idle);
    return addresses;
}

void gw_addresses_free(struct gw_addresses *addresses)
{
    if (!addresses)
        return;
    tdestroy(addresses->root, free);
    free(addresses);
}

static struct counted *find(struct gw_addresses *addresses, const struct gw_address *address)
{
    struct counted **node = tfind(address, &addresses->root, compare);

    return node ? *node : NULL;
}

static void set_idle(struct gw_addresses *addresses, struct counted *entry, bool idle)
{
    if (idle)
        TAILQ_INSERT_TAIL(&addresses->idle, entry, idle_link);
    else
        TAILQ_REMOVE(&addresses->idle, entry, idle_link);
    addresses->idle_count = idle ? addresses->idle_count + 1 : addresses->idle_count - 1;
}

static bool bucket_full(const struct gw_bucket *bucket, int64_t per_s, int64_t burst,
                        int64_t now_ms)
{
    return bucket->level_milli + (now_ms - bucket->filled_ms) * per_s >= burst * 1000;
}

static bool is_full(const struct gw_addresses *addresses, const struct counted *entry,
                    int64_t now_ms)
{
    const struct gw_address_limits *limits = &addresses->limits;

    return bucket_full(&entry->bucket, limits->per_s, limits->burst, now_ms) &&
           bucket_full(&entry->frames, limits->frames_per_s, limits->frames_burst, now_ms);
}

/* Those whose bucket is full again say nothing; a few at a time, so that no call takes long. */
static void forget_idle(struct gw_addresses *addresses, int64_t now_ms)
{
    for (int i = 0; i < FORGET_AT_ONCE; i++) {
        struct counted *first = TAILQ_FIRST(&addresses->idle);

        if (!first ||
            (!is_full(addresses, first, now_ms) && addresses->idle_count <= ADDRESSES_IDLE_MAX))
            return;
        set_idle(addresses, first, false);
        tdelete(first, &addresses->root, compare);
        free(first);
    }
}

static struct counted *insert(struct gw_addresses *addresses, const struct gw_address *address,
                              int64_t now_ms)
{
    struct counted *entry = calloc(1, sizeof *entry);

    if (!entry)
        return NULL;
    entry->address = *address;
    gw_bucket_init(&entry->bucket, addresses->limits.burst, now_ms);
    gw_bucket_init(&entry->frames, addresses->limits.frames_burst, now_ms);
    if (!tsearch(entry, &addresses->root, compare)) {
        free(entry);
        return NULL;
    }
    set_idle(addresses, entry, true);
    return entry;
}

bool gw_addresses_enter(struct gw_addresses *addresses, const struct gw_address *address,
                        int64_t now_ms)
{
    const struct gw_address_limits *limits = &addresses->limits;
    struct counted *entry;

    forget_idle(addresses, now_ms);
    entry = find(addresses, address);
    if (!entry)
        entry = insert(addresses, address, now_ms);
    if (!entry || entry->count >= limits->connections || entry->strangers >= limits->strangers)
        return false;
    if (!gw_bucket_draw(&entry->bucket, limits->per_s, limits->burst, 1, now_ms))
        return false;
    if (entry->count++ == 0)
        set_idle(addresses, entry, false);
    entry->strangers++;
    return true;
}

void gw_addresses_known(struct gw_addresses *addresses, const struct gw_address *address)
{
    struct counted *entry = find(addresses, address);

    if (entry)
        entry->strangers--;
}

void gw_addresses_leave(struct gw_addresses *addresses, const struct gw_address *address,
                        bool stranger)
{
    struct counted *entry = find(addresses, address);

    if (!entry)
        return;
    if (stranger)
        entry->strangers--;
    if (--entry->count == 0)
        set_idle(addresses, entry, true);
}

uint32_t gw_addresses_take(struct gw_addresses *addresses, const struct gw_address *address,
                           int64_t now_ms)
{
    const struct gw_address_limits *limits = &addresses->limits;
    struct counted *entry = limits->frames_per_s > 0 ? find(addresses, address) : NULL;

    /* Who shares the address with a flooder waits for it, but not for a debt of its. */
    if (!entry ||
        gw_bucket_draw(&entry->frames, limits->frames_per_s, limits->frames_burst, 1, now_ms))
        return 0;
    return gw_bucket_wait_ms(&entry->frames, limits->frames_per_s);
}
