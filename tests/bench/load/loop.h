/* loop.h: the load generator's event loop: epoll, and timers of nanosecond resolution.
 *
 * Lifetime  loop_init to loop_deinit. Watches and timers are the caller's memory, embedded in what
 * they belong to. A watch may be removed inside any callback, also another's, but its memory must
 * live until loop_run has returned or the loop turn has ended. Thread    one; only loop_wake may be
 * called from others. Limits    timers stand in a sorted list: some dozens of them. What has
 * thousands of times (requests of an open loop) keeps them itself and sets one timer for the next.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

struct loop_watch {
    int fd;                                                      /* -1: not watched */
    void (*on_ready)(struct loop_watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT ... */
};

struct loop_timer {
    uint64_t at_ns;
    void (*on_time)(struct loop_timer *timer); /* once; set again inside for another time */
    void *user;
    bool set;
    struct loop_timer *next;
};

struct loop {
    int epoll;
    struct loop_watch wake;
    struct loop_timer *timers; /* the earliest first */
    bool stopped;
    void (*on_wake)(struct loop *loop); /* NULL: none */
    /* Look again and again instead of sleeping (others on the core come first: sched_yield). A
     * receiver that sleeps makes each send() to it pay for waking it, an interrupt to another core,
     * and whether it sleeps depends on how fast the server is: the server's CPU would be measured
     * with the load's. Costs a whole core. */
    bool spin;
    void *user;
};

/* Raises the process's limit of descriptors, too. Aborts the program with a text when the kernel
 * refuses: nothing can be measured then. */
void loop_init(struct loop *loop);
void loop_deinit(struct loop *loop);
/* events: EPOLLIN | EPOLLOUT; level-triggered. */
void loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Sets watch->fd to -1; closing the descriptor stays with the caller. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);
/* Moves the timer when it was set. */
void loop_timer(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_off(struct loop *loop, struct loop_timer *timer);
/* Until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* on_wake is called on the loop's thread, once for any number of wakes before it. */
void loop_wake(struct loop *loop);

/* CLOCK_MONOTONIC. */
uint64_t loop_now_ns(void);

/* Print why and end the program with code 1: of what a benchmark cannot go on without. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
