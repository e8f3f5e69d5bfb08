/* process.h: what this process uses of its host: descriptors, memory and CPU (process.def names
 * them as metrics).
 *
 * Lifetime  none.
 * Thread    any. Cost: three small files of /proc and /sys; before Linux 6.2 also one entry a
 * descriptor.
 */
#ifndef YZ_PROCESS_H
#define YZ_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct yz_process {
    int64_t open_fds, max_fds; /* max_fds INT64_MAX: no limit */
    int64_t rss_bytes;
    int64_t memory_max_bytes; /* of its control group; 0: no limit, or it cannot be read */
    int64_t cpu_us;           /* user and system, since the start */
    int64_t started_s;        /* wall clock */
};

/* What cannot be read is 0. */
void yz_process_read(struct yz_process *process);
/* Hardly a descriptor is left: connections are refused soon, or are already. */
bool yz_process_short(const struct yz_process *process);

#endif
