/* schedule.h: when an open loop means to send.
 *
 * Request i is meant for begin + i / rate, whatever became of those before it. Who is late sends at
 * once and measures from the intended time: a server that stalls is charged for all that should
 * have been sent meanwhile (coordinated omission, Gil Tene).
 *
 *     while (schedule_due(&schedule, loop_now_ns(), &intended_ns))
 *         send(..., intended_ns);
 *     loop_timer(loop, &timer, schedule_next_ns(&schedule));
 *
 * Lifetime  a value. Thread    one.
 */
#ifndef BENCH_SCHEDULE_H
#define BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    uint64_t begin_ns, sent;
    double rate; /* a second */
};

static inline void schedule_begin(struct schedule *schedule, uint64_t begin_ns, double rate)
{
    *schedule = (struct schedule){.begin_ns = begin_ns, .rate = rate};
}

/* Intended time of the next one. */
static inline uint64_t schedule_next_ns(const struct schedule *schedule)
{
    return schedule->begin_ns + (uint64_t)((double)schedule->sent * 1e9 / schedule->rate);
}

/* One is due: it counts as sent, and its intended time is given. */
static inline bool schedule_due(struct schedule *schedule, uint64_t now_ns, uint64_t *intended_ns)
{
    *intended_ns = schedule_next_ns(schedule);
    if (*intended_ns > now_ns)
        return false;
    schedule->sent++;
    return true;
}

#endif
