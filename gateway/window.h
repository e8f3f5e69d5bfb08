/* window.h: how many requests may be under way at once, found from how long their answers take, and
 * who may have how many of them.
 *
 * Lifetime  one for each kind of request, from start to end; a gw_pass lies in its request, from
 *           gw_window_enter to gw_window_leave.
 * Thread    loop.
 * Limits    `limit` requests, moved between min and max; member_max of one member. What is beyond
 *           is refused with YZ_BUSY and told when to come again.
 *
 * The limit is the gradient limit of Netflix's concurrency-limits (Gradient2Limit), with a target
 * that is set in place of its long-term average, which drifts upwards while an overload lasts: once
 * an interval (WINDOW_INTERVAL_MS, or the answers' mean time if that is longer: a change shows no
 * earlier)
 *     limit = limit * clamp(target / mean time, 0.5, 1.2) + sqrt(limit)
 * and it only grows while it is being used. By Little's law it settles at about throughput *
 * target, so that under any load the queue in front of the broker is as long as the target says and
 * no longer: what is accepted keeps its latency, and the rest learns at once that it has to wait.
 *
 * The share of a member is the dynamic threshold of shared-memory switches (Choudhury and Hahne,
 * 1998): a member may have as many under way as places are free. One that takes all it can get ends
 * with half of the window, n of them with n/(n+1) of it together, and there is always room for who
 * comes with one request.
 */
#ifndef GW_WINDOW_H
#define GW_WINDOW_H

#include "common/envelope.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_INTERVAL_MS  100
#define WINDOW_RETRY_MS     250   /* told to come again after this, times the overload */
#define WINDOW_RETRY_MAX_MS 15000 /* before the jitter */

struct gw_window;
struct gw_share;

/* What the end of a request says of the other side's load. */
enum gw_measure {
    GW_UNMEASURED, /* nothing: it was given up, or had to wait for something else */
    GW_MEASURED,   /* the time it took */
    GW_DROPPED,    /* too much: no answer in time, or refused as busy */
};

struct gw_window_bounds {
    size_t min, max;   /* the limit begins at max */
    size_t member_max; /* of one member */
    int64_t target_ms; /* mean time of an answer */
};

/* A request under way. */
struct gw_pass {
    struct gw_share *share; /* its member's */
    int64_t began_us;       /* monotonic */
};

/* NULL: out of memory. */
struct gw_window *gw_window_new(const struct gw_window_bounds *bounds);
/* Nobody may be inside. */
void gw_window_free(struct gw_window *window);

/* Would gw_window_enter let it in now? YZ_OK, or YZ_BUSY (*all: the window is full for everybody,
 * else this member has its share). Counts a refusal, not an entry. */
YZ_MUST_USE enum yz_err gw_window_ask(struct gw_window *window, const struct yz_actor *actor,
                                      int64_t now_us, bool *all);
YZ_MUST_USE enum yz_err gw_window_enter(struct gw_window *window, const struct yz_actor *actor,
                                        int64_t now_us, struct gw_pass *pass);
void gw_window_leave(struct gw_window *window, struct gw_pass *pass, int64_t now_us,
                     enum gw_measure measure);

/* When one that was refused should come again: longer, the more are refused for each that is
 * answered, and different for each. */
uint32_t gw_window_retry_ms(const struct gw_window *window);
size_t gw_window_limit(const struct gw_window *window);
size_t gw_window_count(const struct gw_window *window);

#endif
