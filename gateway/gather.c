#include "gateway/gather.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct gw_gather {
    uv_poll_t poll; /* libuv's own timers count milliseconds */
    int fd;
    void (*on_over)(void *arg);
    void *arg;
    uint64_t written_ns; /* 0: never */
    unsigned tries;      /* waits that may still be in vain */
    bool waiting, over;
    size_t messages; /* when the wait began */
};

static void on_time(uv_poll_t *poll, int status, int events)
{
    struct gw_gather *gather = poll->data;
    uint64_t times;

    (void)status;
    (void)events;
    if (read(gather->fd, &times, sizeof times) != sizeof times || !gather->waiting)
        return; /* it was ended meanwhile */
    gather->over = true;
    gather->on_over(gather->arg);
}

enum yz_err gw_gather_new(uv_loop_t *loop, void (*on_over)(void *arg), void *arg,
                          struct gw_gather **out)
{
    struct gw_gather *gather = calloc(1, sizeof *gather);

    if (!gather)
        return YZ_INTERNAL;
    gather->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (gather->fd < 0 || uv_poll_init(loop, &gather->poll, gather->fd) != 0) {
        if (gather->fd >= 0)
            close(gather->fd);
        free(gather);
        return YZ_INTERNAL;
    }
    gather->poll.data = gather;
    gather->on_over = on_over;
    gather->arg = arg;
    uv_poll_start(&gather->poll, UV_READABLE, on_time);
    *out = gather;
    return YZ_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct gw_gather *gather = handle->data;

    close(gather->fd);
    free(gather);
}

void gw_gather_free(struct gw_gather *gather)
{
    if (!gather)
        return;
    uv_poll_stop(&gather->poll);
    uv_close((uv_handle_t *)&gather->poll, on_closed);
}

void gw_gather_begun(struct gw_gather *gather, uint64_t now_ns)
{
    if (gather->written_ns && now_ns - gather->written_ns < GATHER_BEHIND_NS)
        gather->tries = GATHER_TRIES;
}

void gw_gather_written(struct gw_gather *gather, uint64_t now_ns)
{
    gather->written_ns = now_ns;
}

static bool set_timer(const struct gw_gather *gather, size_t receivers)
{
    uint64_t ns = (uint64_t)receivers * GATHER_NS_EACH;
    struct itimerspec when = {.it_value.tv_nsec = (long)(ns < GATHER_NS_MAX ? ns : GATHER_NS_MAX)};

    return timerfd_settime(gather->fd, 0, &when, NULL) == 0;
}

bool gw_gather_waits(struct gw_gather *gather, size_t receivers, size_t messages)
{
    if (gather->waiting)
        return !gather->over;
    if (gather->tries == 0 || receivers < GATHER_RECEIVERS_MIN || !set_timer(gather, receivers))
        return false;
    gather->waiting = true;
    gather->over = false;
    gather->messages = messages;
    return true;
}

void gw_gather_end(struct gw_gather *gather, size_t messages)
{
    if (!gather->waiting)
        return;
    gather->waiting = gather->over = false;
    if (messages > gather->messages)
        gather->tries = GATHER_TRIES;
    else if (gather->tries > 0)
        gather->tries--;
}
