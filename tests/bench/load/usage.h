/* usage.h: what a process has used, read from /proc.
 *
 * CPU is what the scheduler counted (schedstat, ns) over all living threads: exact for programs
 * whose threads stay. A process that ended has used 0.
 *
 * Lifetime  none. Thread    any.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* CPU time of all threads of the process so far. */
uint64_t usage_cpu_ns(pid_t pid);

struct usage_memory {
    uint64_t rss, pss, private_dirty; /* bytes, smaps_rollup */
};
void usage_memory(pid_t pid, struct usage_memory *memory);

struct usage_sockets {
    uint64_t in_use,
        memory; /* TCP sockets; bytes of kernel buffers of all of them, on this machine */
};
void usage_sockets(struct usage_sockets *sockets);

#endif
