#include "gateway/greeting.h"

#include <stdlib.h>
#include <string.h>

struct gw_greeting *gw_greeting_new(uint32_t id, size_t count)
{
    struct gw_greeting *greeting = calloc(1, sizeof *greeting);

    if (!greeting)
        return NULL;
    greeting->id = id;
    greeting->count = count;
    greeting->results = calloc(count + 1, sizeof *greeting->results);
    greeting->subs = calloc(count + 1, sizeof(struct gw_subscriber *));
    if (!greeting->results || !greeting->subs) {
        gw_greeting_free(greeting);
        return NULL;
    }
    return greeting;
}

void gw_greeting_free(struct gw_greeting *greeting)
{
    if (!greeting)
        return;
    for (size_t i = 0; greeting->results && i < greeting->count; i++) {
        free((void *)(uintptr_t)greeting->results[i].channel);
        free((void *)(uintptr_t)greeting->results[i].epoch);
    }
    free(greeting->results);
    free(greeting->subs);
    free(greeting);
}

bool gw_greeting_name(struct gw_greeting *greeting, size_t i, const char *channel)
{
    greeting->results[i].channel = strdup(channel);
    return greeting->results[i].channel != NULL;
}

void gw_greeting_refuse(struct gw_greeting *greeting, size_t i, const struct yz_violation *v)
{
    greeting->results[i].v = *v;
}

void gw_greeting_wait(struct gw_greeting *greeting, size_t i, struct gw_subscriber *sub)
{
    greeting->subs[i] = sub;
    greeting->waiting++;
}

/* The result that sub's answer is for, which no longer waits; NULL: none. */
static struct gw_subscribed *settle(struct gw_greeting *greeting, const struct gw_subscriber *sub)
{
    for (size_t i = 0; i < greeting->count; i++) {
        if (greeting->subs[i] != sub)
            continue;
        greeting->subs[i] = NULL;
        greeting->waiting--;
        return &greeting->results[i];
    }
    return NULL;
}

bool gw_greeting_subscribed(struct gw_greeting *greeting, const struct gw_subscriber *sub,
                            const char *epoch, uint64_t offset, bool recovered, uint32_t missed)
{
    struct gw_subscribed *result = settle(greeting, sub);

    if (!result)
        return false;
    result->epoch = strdup(epoch);
    result->offset = offset;
    result->recovered = recovered;
    result->missed = missed;
    if (!result->epoch)
        (void)yz_violate(&result->v, YZ_INTERNAL, NULL, NULL);
    return true;
}

bool gw_greeting_refused(struct gw_greeting *greeting, const struct gw_subscriber *sub,
                         enum yz_err err)
{
    struct gw_subscribed *result = settle(greeting, sub);

    if (!result)
        return false;
    (void)yz_violate(&result->v, err, NULL, NULL);
    return true;
}
