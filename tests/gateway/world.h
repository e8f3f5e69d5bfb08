/* world.h: what a test against a real nats-server has: a struct world of its own, whose first
 * member is the broker, or nothing where there is no nats-server: then the test is skipped.
 *
 * Lifetime  world_new in a test's setup, world_free in its teardown.
 * Thread    the test's.
 */
#ifndef WORLD_H
#define WORLD_H

#include "broker.h"

#include <cmocka.h>

/* `size` bytes, all zero but for the broker, which `start` starts; NULL without a nats-server. */
static inline void *world_with(void **state, size_t size, void (*start)(struct broker *))
{
    struct broker *broker;
    char path[512];

    *state = NULL;
    if (!broker_find(path)) {
        printf("no nats-server: set YZ_NATS_SERVER or put it on PATH\n");
        return NULL;
    }
    broker = calloc(1, size);
    assert_non_null(broker);
    start(broker);
    *state = broker;
    return broker;
}

static inline void *world_new(void **state, size_t size)
{
    return world_with(state, size, broker_start);
}

/* At the end of a teardown, whose result it is. */
static inline int world_free(void *world)
{
    broker_stop(world);
    free(world);
    return 0;
}

/* At the beginning of a test: its world is `w`. */
#define WORLD(state)                                                                               \
    struct world *w = *(state);                                                                    \
    if (!w)                                                                                        \
    skip()

#endif
