#include "gateway/rest.h"

#include "common/clock.h"

#include <stdlib.h>

struct gw_rests {
    uv_timer_t timer;
    gw_rested_fn *on_over;
    TAILQ_HEAD(, gw_rest) list; /* in the order of their ends, since all take the same time */
};

static void on_timer(uv_timer_t *timer)
{
    struct gw_rests *rests = timer->data;
    int64_t now_ms = yz_clock_mono_ms();
    struct gw_rest *rest;

    while ((rest = TAILQ_FIRST(&rests->list)) && rest->until_ms <= now_ms) {
        gw_rest_cancel(rest);
        rests->on_over(rest->arg);
    }
    if (rest)
        uv_timer_start(timer, on_timer, (uint64_t)(rest->until_ms - now_ms), 0);
}

enum yz_err gw_rests_new(uv_loop_t *loop, gw_rested_fn *on_over, struct gw_rests **out)
{
    struct gw_rests *rests = calloc(1, sizeof *rests);

    if (!rests)
        return YZ_INTERNAL;
    rests->on_over = on_over;
    TAILQ_INIT(&rests->list);
    uv_timer_init(loop, &rests->timer);
    rests->timer.data = rests;
    *out = rests;
    return YZ_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void gw_rests_free(struct gw_rests *rests)
{
    struct gw_rest *rest;

    if (!rests)
        return;
    while ((rest = TAILQ_FIRST(&rests->list)))
        gw_rest_cancel(rest);
    uv_close((uv_handle_t *)&rests->timer, on_closed);
}

void gw_rest_begin(struct gw_rests *rests, struct gw_rest *rest, void *arg)
{
    if (rest->rests)
        return;
    rest->rests = rests;
    rest->arg = arg;
    rest->until_ms = yz_clock_mono_ms() + REST_MS;
    if (TAILQ_EMPTY(&rests->list))
        uv_timer_start(&rests->timer, on_timer, REST_MS, 0);
    TAILQ_INSERT_TAIL(&rests->list, rest, entry);
}

void gw_rest_cancel(struct gw_rest *rest)
{
    if (rest->rests)
        TAILQ_REMOVE(&rest->rests->list, rest, entry);
    rest->rests = NULL;
}
