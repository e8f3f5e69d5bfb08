#include "gateway/window.h"

#include "gateway/limits.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define GRADIENT_MIN 0.5
#define GRADIENT_MAX 1.2

/* A node of the search tree, while its member has something under way; the names are the key. */
struct gw_share {
    char tenant[YZ_ID_MAX], member[YZ_ID_MAX];
    size_t count;
};

/* What is counted over one interval. */
struct tally {
    int64_t from_us;
    uint64_t answered, refused;
    uint64_t measured, sum_us;
    size_t peak; /* most under way */
};

struct gw_window {
    struct gw_window_bounds bounds;
    double limit;
    size_t count;
    void *shares;
    struct tally now, last;
    int64_t interval_us;
};

struct gw_window *gw_window_new(const struct gw_window_bounds *bounds)
{
    struct gw_window *window = calloc(1, sizeof *window);

    if (!window)
        return NULL;
    window->bounds = *bounds;
    if (window->bounds.min > bounds->max)
        window->bounds.min = bounds->max;
    window->limit = (double)bounds->max;
    window->interval_us = WINDOW_INTERVAL_MS * 1000;
    return window;
}

void gw_window_free(struct gw_window *window)
{
    if (!window)
        return;
    tdestroy(window->shares, free);
    free(window);
}

static int compare(const void *a, const void *b)
{
    const struct gw_share *left = a, *right = b;
    int order = strcmp(left->member, right->member);

    return order ? order : strcmp(left->tenant, right->tenant);
}

static void name_share(struct gw_share *share, const struct yz_actor *actor)
{
    memcpy(share->tenant, actor->tenant, sizeof share->tenant);
    memcpy(share->member, actor->member, sizeof share->member);
}

static struct gw_share *find_share(struct gw_window *window, const struct yz_actor *actor)
{
    struct gw_share key, **node;

    name_share(&key, actor);
    node = tfind(&key, &window->shares, compare);
    return node ? *node : NULL;
}

/* NULL: out of memory. */
static struct gw_share *make_share(struct gw_window *window, const struct yz_actor *actor)
{
    struct gw_share *share = calloc(1, sizeof *share);

    if (!share)
        return NULL;
    name_share(share, actor);
    if (!tsearch(share, &window->shares, compare)) {
        free(share);
        return NULL;
    }
    return share;
}

static double clamp(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

static void adapt(struct gw_window *window, const struct tally *tally)
{
    double mean_us = (double)tally->sum_us / (double)tally->measured;
    double target_us = (double)window->bounds.target_ms * 1000;
    double gradient = clamp(target_us / mean_us, GRADIENT_MIN, GRADIENT_MAX);
    double limit = window->limit * gradient + sqrt(window->limit);
    bool used = tally->refused > 0 || (double)tally->peak * 2 >= window->limit;

    if (limit < window->limit || used)
        window->limit = clamp(limit, (double)window->bounds.min, (double)window->bounds.max);
    window->interval_us = WINDOW_INTERVAL_MS * 1000;
    if ((int64_t)mean_us > window->interval_us)
        window->interval_us = (int64_t)mean_us;
}

/* The end of an interval, when it is over. */
static void turn(struct gw_window *window, int64_t now_us)
{
    struct tally *now = &window->now;

    if (now_us - now->from_us < window->interval_us)
        return;
    if (now->measured > 0)
        adapt(window, now);
    window->last = *now;
    *now = (struct tally){.from_us = now_us, .peak = window->count};
}

/* May one with so many under way have another? */
static bool admits(const struct gw_window *window, size_t own, bool *all)
{
    size_t limit = (size_t)window->limit;

    *all = window->count >= limit;
    return !*all && own < limit - window->count && own < window->bounds.member_max;
}

enum yz_err gw_window_ask(struct gw_window *window, const struct yz_actor *actor, int64_t now_us,
                          bool *all)
{
    const struct gw_share *share = find_share(window, actor);

    turn(window, now_us);
    if (admits(window, share ? share->count : 0, all))
        return YZ_OK;
    window->now.refused++;
    return YZ_BUSY;
}

enum yz_err gw_window_enter(struct gw_window *window, const struct yz_actor *actor, int64_t now_us,
                            struct gw_pass *pass)
{
    struct gw_share *share = find_share(window, actor);
    bool all;

    turn(window, now_us);
    if (!admits(window, share ? share->count : 0, &all)) {
        window->now.refused++;
        return YZ_BUSY;
    }
    if (!share && !(share = make_share(window, actor)))
        return YZ_INTERNAL;
    share->count++;
    if (++window->count > window->now.peak)
        window->now.peak = window->count;
    pass->share = share;
    pass->began_us = now_us;
    return YZ_OK;
}

/* The time that counts. A drop weighs at least as if it had taken twice the target. */
static uint64_t time_of(const struct gw_window *window, int64_t took_us, enum gw_measure measure)
{
    int64_t drop_us = window->bounds.target_ms * 2000;

    return (uint64_t)(measure == GW_DROPPED && took_us < drop_us ? drop_us : took_us);
}

void gw_window_leave(struct gw_window *window, struct gw_pass *pass, int64_t now_us,
                     enum gw_measure measure)
{
    struct gw_share *share = pass->share;

    window->count--;
    if (--share->count == 0) {
        tdelete(share, &window->shares, compare);
        free(share);
    }
    window->now.answered++;
    if (measure != GW_UNMEASURED) {
        window->now.measured++;
        window->now.sum_us += time_of(window, now_us - pass->began_us, measure);
    }
    turn(window, now_us);
}

uint32_t gw_window_retry_ms(const struct gw_window *window)
{
    uint64_t refused = window->last.refused + window->now.refused;
    uint64_t answered = window->last.answered + window->now.answered;
    uint64_t wait_ms = WINDOW_RETRY_MS + WINDOW_RETRY_MS * refused / (answered ? answered : 1);

    return gw_jitter_ms(wait_ms < WINDOW_RETRY_MAX_MS ? (uint32_t)wait_ms : WINDOW_RETRY_MAX_MS);
}

size_t gw_window_limit(const struct gw_window *window)
{
    return (size_t)window->limit;
}

size_t gw_window_count(const struct gw_window *window)
{
    return window->count;
}
