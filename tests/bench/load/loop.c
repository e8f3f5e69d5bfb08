#include "loop.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512

void bench_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

uint64_t loop_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void on_wake(struct loop_watch *watch, uint32_t events)
{
    struct loop *loop = (struct loop *)((char *)watch - offsetof(struct loop, wake));
    uint64_t count;

    (void)events;
    if (read(watch->fd, &count, sizeof count) == sizeof count && loop->on_wake)
        loop->on_wake(loop);
}

/* Thousands of connections want as many descriptors as the machine allows. */
static void raise_descriptors(void)
{
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

void loop_init(struct loop *loop)
{
    raise_descriptors();
    memset(loop, 0, sizeof *loop);
    prctl(PR_SET_TIMERSLACK, 1);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->wake.on_ready = on_wake;
    if (loop->epoll < 0 || loop->wake.fd < 0)
        bench_die("no epoll or eventfd: %s", strerror(errno));
    loop_watch(loop, &loop->wake, EPOLLIN);
}

void loop_deinit(struct loop *loop)
{
    close(loop->wake.fd);
    close(loop->epoll);
}

static void control(struct loop *loop, int what, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (epoll_ctl(loop->epoll, what, watch->fd, &event))
        bench_die("epoll_ctl: %s", strerror(errno));
}

void loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    control(loop, EPOLL_CTL_ADD, watch, events);
}

void loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    control(loop, EPOLL_CTL_DEL, watch, 0);
    watch->fd = -1;
}

void loop_timer_off(struct loop *loop, struct loop_timer *timer)
{
    struct loop_timer **at = &loop->timers;

    if (!timer->set)
        return;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    timer->set = false;
}

void loop_timer(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
    struct loop_timer **at = &loop->timers;

    loop_timer_off(loop, timer);
    while (*at && (*at)->at_ns <= at_ns)
        at = &(*at)->next;
    timer->at_ns = at_ns;
    timer->set = true;
    timer->next = *at;
    *at = timer;
}

/* Time until the first timer; false: there is none. */
static bool time_left(const struct loop *loop, struct timespec *left)
{
    uint64_t now, ns;

    if (!loop->timers)
        return false;
    now = loop_now_ns();
    ns = loop->timers->at_ns > now ? loop->timers->at_ns - now : 0;
    left->tv_sec = (time_t)(ns / 1000000000);
    left->tv_nsec = (long)(ns % 1000000000);
    return true;
}

static void run_timers(struct loop *loop)
{
    uint64_t now = loop->timers ? loop_now_ns() : 0;

    while (loop->timers && loop->timers->at_ns <= now && !loop->stopped) {
        struct loop_timer *timer = loop->timers;

        loop_timer_off(loop, timer);
        timer->on_time(timer);
    }
}

static void turn(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    static const struct timespec none = {0};
    struct timespec left;
    const struct timespec *wait = loop->spin ? &none : time_left(loop, &left) ? &left : NULL;
    int count = epoll_pwait2(loop->epoll, events, EVENTS_MAX, wait, NULL);

    if (count < 0 && errno != EINTR)
        bench_die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;

        if (watch->fd >= 0) /* else removed by one before it */
            watch->on_ready(watch, events[i].events);
    }
    run_timers(loop);
    if (count == 0 && loop->spin)
        sched_yield();
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped)
        turn(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    if (write(loop->wake.fd, &one, sizeof one) != sizeof one)
        return; /* the counter is full: it is awake */
}
