#include "gateway/listener.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG       4096
#define PACE_PAUSE_MS 10 /* so that some are accepted together */

struct gw_listener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd, open_handles;
    struct gw_pace pace; /* per_s 0: none */
    struct gw_bucket bucket;
    gw_accept_fn *on_accept;
    void *arg;
};

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    socklen_t len = sizeof bound;

    if (getsockname(fd, &bound.any, &len) != 0)
        return 0;
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

static int bind_one(const struct addrinfo *at, bool shared)
{
    int on = 1, fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, at->ai_addr, at->ai_addrlen) != 0) {
        int reason = errno;

        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

enum yz_err gw_listener_bind(const char *address, uint16_t *port, bool shared, int *fd)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *at = NULL;
    char service[8];
    int failed;

    snprintf(service, sizeof service, "%u", (unsigned)*port);
    failed = getaddrinfo(address, service, &hints, &at);
    *fd = failed ? -1 : bind_one(at, shared);
    if (*fd < 0)
        yz_error("cannot_listen", "address=%s port=%u reason=%s", address, (unsigned)*port,
                 failed ? gai_strerror(failed) : strerror(errno));
    else
        *port = port_of(*fd);
    if (!failed)
        freeaddrinfo(at);
    return *fd < 0 ? YZ_INVALID_VALUE : YZ_OK;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *pause)
{
    struct gw_listener *listener = pause->data;

    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* The connection stays in the kernel's queue, so the socket stays readable: without a pause the
 * loop would spin. */
static void take_pause(struct gw_listener *listener, int reason)
{
    yz_warn_spaced("accept_paused", "reason=%s pause_ms=%d", strerror(reason), LISTENER_PAUSE_MS);
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, LISTENER_PAUSE_MS, 0);
}

static int64_t burst_of(const struct gw_listener *listener)
{
    return listener->pace.per_s / 10 + 1;
}

/* false: later, when the pause is over. */
static bool keeps_pace(struct gw_listener *listener)
{
    struct gw_bucket *bucket = &listener->bucket;

    if (listener->pace.per_s == 0 ||
        gw_bucket_draw(bucket, listener->pace.per_s, burst_of(listener), 1, yz_clock_mono_ms()))
        return true;
    atomic_fetch_add_explicit(listener->pace.pauses, 1, memory_order_relaxed);
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over,
                   gw_bucket_wait_ms(bucket, listener->pace.per_s) + PACE_PAUSE_MS, 0);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct gw_listener *listener = poll->data;
    int on = 1;

    (void)status;
    (void)events;
    for (int i = 0; i < LISTENER_ACCEPTS_MAX && keeps_pace(listener); i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            listener->on_accept(listener->arg, fd, (struct sockaddr *)&peer);
            continue;
        }
        listener->bucket.level_milli += 1000; /* nobody came */
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            take_pause(listener, errno);
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void log_address(const char *event, int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    char host[NI_MAXHOST] = "?";

    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    yz_info(event, "address=%s port=%u", host, (unsigned)port_of(fd));
}

enum yz_err gw_listener_open(uv_loop_t *loop, int fd, const char *event, const struct gw_pace *pace,
                             gw_accept_fn *on_accept, void *arg, struct gw_listener **out)
{
    struct gw_listener *listener = calloc(1, sizeof *listener);

    if (!listener || listen(fd, BACKLOG) != 0 || uv_poll_init(loop, &listener->poll, fd) != 0) {
        yz_error("cannot_listen", "reason=%s", strerror(errno));
        close(fd);
        free(listener);
        return YZ_INTERNAL;
    }
    uv_timer_init(loop, &listener->pause);
    listener->poll.data = listener->pause.data = listener;
    listener->fd = fd;
    listener->open_handles = 2;
    if (pace)
        listener->pace = *pace;
    gw_bucket_init(&listener->bucket, burst_of(listener), yz_clock_mono_ms());
    listener->on_accept = on_accept;
    listener->arg = arg;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    log_address(event, fd);
    *out = listener;
    return YZ_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct gw_listener *listener = handle->data;

    if (--listener->open_handles == 0)
        free(listener);
}

void gw_listener_close(struct gw_listener *listener)
{
    if (!listener)
        return;
    uv_poll_stop(&listener->poll);
    close(listener->fd);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    uv_close((uv_handle_t *)&listener->pause, on_closed);
}
