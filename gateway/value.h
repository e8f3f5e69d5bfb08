/* value.h: the current values of a channel (stream STATE), by name.
 *
 * Lifetime  lies in its channel, from gw_values_init until gw_values_clear.
 * Thread    loop.
 * Limits    VALUES_MAX values; one more is passed on but not kept (who joins later asks the
 * domain's query), and counted.
 */
#ifndef GW_VALUE_H
#define GW_VALUE_H

#include "gateway/message.h"

#include "common/table.h"
#include <nats/nats.h>

#define VALUES_MAX     4096
#define VALUE_NAME_MAX 512

struct gw_value {
    UT_hash_handle hh;
    uint64_t seq; /* in STATE: what is older is stale */
    struct gw_message *msg;
    char name[];
};

struct gw_values {
    struct gw_value *by_name; /* in the order they came first */
};

void gw_values_init(struct gw_values *values);
void gw_values_clear(struct gw_values *values);

/* Take in a value as read or as republished. *msg: the new value with a reference for the caller;
 * NULL when it is stale, malformed or memory runs out. */
void gw_values_take(struct gw_values *values, const char *channel, const char *name, uint64_t seq,
                    natsMsg *bus, struct gw_message **msg);

#endif
