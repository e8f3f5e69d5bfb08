/* rest.h: who is not read for a moment, since it sent more than it may: the rest waits in its own
 * socket and costs nothing.
 *
 * Lifetime  one gw_rests from start to end; a gw_rest lies in its connection, which takes it out
 *           before it is freed.
 * Thread    loop.
 * Limits    each rests for REST_MS.
 */
#ifndef GW_REST_H
#define GW_REST_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#define REST_MS 50

struct gw_rests;

/* Set to zero to begin with. */
struct gw_rest {
    TAILQ_ENTRY(gw_rest) entry;
    struct gw_rests *rests; /* NULL: it does not rest */
    int64_t until_ms;       /* monotonic */
    void *arg;
};

typedef void gw_rested_fn(void *arg);

/* on_over is called with each gw_rest's arg when its time is over. */
YZ_MUST_USE enum yz_err gw_rests_new(uv_loop_t *loop, gw_rested_fn *on_over,
                                     struct gw_rests **rests);
/* The loop frees its handle in a later turn. */
void gw_rests_free(struct gw_rests *rests);
void gw_rest_begin(struct gw_rests *rests, struct gw_rest *rest, void *arg);
/* Without a call; harmless when it does not rest. */
void gw_rest_cancel(struct gw_rest *rest);

#endif
