#include "gateway/anyone.h"

#include "common/table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS        INT64_C(3600000)
#define FORGET_AT_ONCE 8

/* The generic cell rate algorithm (ITU-T I.371): one number, the time at which the next message
 * would come if they came evenly. */
struct cell {
    uint8_t key[crypto_shorthash_BYTES];
    int64_t next_ms; /* monotonic */
    UT_hash_handle hh;
};

struct rate {
    struct cell *cells; /* in the order they came */
    size_t max;
    int64_t interval_ms, burst_ms;
};

struct gw_anyone {
    const struct yz_conf *conf;
    uint8_t salt[crypto_shorthash_KEYBYTES];
    struct rate addresses, tenants;
};

static void set_rate(struct rate *rate, size_t max, int64_t per_hour, int64_t burst)
{
    rate->max = max;
    rate->interval_ms = HOUR_MS / per_hour > 0 ? HOUR_MS / per_hour : 1;
    rate->burst_ms = rate->interval_ms * burst;
}

enum yz_err gw_anyone_new(const struct yz_conf *conf, struct gw_anyone **out)
{
    struct gw_anyone *anyone = calloc(1, sizeof *anyone);

    if (!anyone || sodium_init() < 0) {
        free(anyone);
        return YZ_INTERNAL;
    }
    anyone->conf = conf;
    randombytes_buf(anyone->salt, sizeof anyone->salt);
    set_rate(&anyone->addresses, ANYONE_ADDRESSES_MAX, conf->public_address_per_hour,
             conf->public_address_burst);
    set_rate(&anyone->tenants, ANYONE_TENANTS_MAX, conf->public_tenant_per_hour,
             conf->public_tenant_burst);
    *out = anyone;
    return YZ_OK;
}

static void forget(struct rate *rate, struct cell *cell)
{
    HASH_DEL(rate->cells, cell);
    free(cell);
}

void gw_anyone_free(struct gw_anyone *anyone)
{
    if (!anyone)
        return;
    while (anyone->addresses.cells)
        forget(&anyone->addresses, anyone->addresses.cells);
    while (anyone->tenants.cells)
        forget(&anyone->tenants, anyone->tenants.cells);
    sodium_memzero(anyone->salt, sizeof anyone->salt);
    free(anyone);
}

bool gw_anyone_serves(const struct gw_anyone *anyone, const char *tenant)
{
    const char *list = anyone->conf->public_tenants;
    size_t len = strlen(tenant);

    while (*list) {
        size_t entry = strcspn(list, ", ");

        if (entry == len && strncmp(list, tenant, len) == 0)
            return true;
        list += entry;
        list += strspn(list, ", ");
    }
    return false;
}

/* Those that are rested say nothing; a few at a time, so that no call takes long. */
static void forget_rested(struct rate *rate, int64_t now_ms)
{
    for (int i = 0; i < FORGET_AT_ONCE && rate->cells; i++) {
        if (rate->cells->next_ms > now_ms && HASH_COUNT(rate->cells) < rate->max)
            return;
        forget(rate, rate->cells);
    }
}

/* NULL: no memory. */
static struct cell *find(struct rate *rate, const uint8_t key[crypto_shorthash_BYTES],
                         int64_t now_ms)
{
    struct cell *cell;

    HASH_FIND(hh, rate->cells, key, crypto_shorthash_BYTES, cell);
    if (cell)
        return cell;
    forget_rested(rate, now_ms);
    cell = calloc(1, sizeof *cell);
    if (!cell)
        return NULL;
    memcpy(cell->key, key, sizeof cell->key);
    cell->next_ms = now_ms;
    HASH_ADD(hh, rate->cells, key, sizeof cell->key, cell);
    if (YZ_TABLE_ADDED(cell))
        return cell;
    free(cell);
    return NULL;
}

static uint32_t wait_ms(const struct rate *rate, const struct cell *cell, int64_t now_ms)
{
    int64_t ahead_ms = cell->next_ms + rate->interval_ms - rate->burst_ms - now_ms;

    return ahead_ms > 0 ? (uint32_t)ahead_ms : 0;
}

static void charge(const struct rate *rate, struct cell *cell, int64_t now_ms)
{
    cell->next_ms = (cell->next_ms > now_ms ? cell->next_ms : now_ms) + rate->interval_ms;
}

uint32_t gw_anyone_take(struct gw_anyone *anyone, const char *tenant, const struct gw_address *from,
                        int64_t now_ms)
{
    uint8_t key[crypto_shorthash_BYTES];
    struct cell *of_tenant, *of_address = NULL;
    uint32_t wait;

    if (from) {
        crypto_shorthash(key, from->bytes, sizeof from->bytes, anyone->salt);
        of_address = find(&anyone->addresses, key, now_ms);
        if (!of_address)
            return 1000;
        if ((wait = wait_ms(&anyone->addresses, of_address, now_ms)) > 0)
            return wait;
    }
    crypto_shorthash(key, (const uint8_t *)tenant, strlen(tenant), anyone->salt);
    of_tenant = find(&anyone->tenants, key, now_ms);
    if (!of_tenant)
        return 1000;
    if ((wait = wait_ms(&anyone->tenants, of_tenant, now_ms)) > 0)
        return wait;
    charge(&anyone->tenants, of_tenant, now_ms);
    if (of_address)
        charge(&anyone->addresses, of_address, now_ms);
    return 0;
}
