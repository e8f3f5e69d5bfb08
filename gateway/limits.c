#include "gateway/limits.h"

#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define FLOOD_FACTOR 4

void gw_bucket_init(struct gw_bucket *bucket, int64_t burst, int64_t now_ms)
{
    bucket->level_milli = burst * 1000;
    bucket->filled_ms = now_ms;
}

enum gw_verdict gw_bucket_take(struct gw_bucket *bucket, int64_t per_s, int64_t burst,
                               int64_t now_ms)
{
    /* Frames a second are thousandths of a frame a millisecond. */
    int64_t gained = (now_ms - bucket->filled_ms) * per_s;

    bucket->filled_ms = now_ms;
    bucket->level_milli += gained;
    if (bucket->level_milli > burst * 1000)
        bucket->level_milli = burst * 1000;
    bucket->level_milli -= 1000;
    if (bucket->level_milli >= 0)
        return GW_ALLOWED;
    return bucket->level_milli < -FLOOD_FACTOR * burst * 1000 ? GW_FLOOD : GW_REFUSED;
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
    size_t count;
};

struct gw_addresses {
    void *root;
    size_t max_each;
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct gw_address));
}

struct gw_addresses *gw_addresses_new(size_t max_each)
{
    struct gw_addresses *addresses = calloc(1, sizeof *addresses);

    if (addresses)
        addresses->max_each = max_each;
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

static struct counted *insert(struct gw_addresses *addresses, const struct gw_address *address)
{
    struct counted *entry = calloc(1, sizeof *entry);

    if (!entry)
        return NULL;
    entry->address = *address;
    if (!tsearch(entry, &addresses->root, compare)) {
        free(entry);
        return NULL;
    }
    return entry;
}

bool gw_addresses_enter(struct gw_addresses *addresses, const struct gw_address *address)
{
    struct counted *entry = find(addresses, address);

    if (!entry)
        entry = insert(addresses, address);
    if (!entry || entry->count >= addresses->max_each)
        return false;
    entry->count++;
    return true;
}

void gw_addresses_leave(struct gw_addresses *addresses, const struct gw_address *address)
{
    struct counted *entry = find(addresses, address);

    if (!entry || --entry->count > 0)
        return;
    tdelete(address, &addresses->root, compare);
    free(entry);
}
