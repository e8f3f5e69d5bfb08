#include "common/process.h"

#include "common/clock.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS "/proc/self/fd"
#define MEMORY_ANY                                                                                 \
    (INT64_C(1) << 60)  /* so large a limit is none: cgroup v1 knows no other word                 \
                         */
#define SHORT_FROM   95 /* percent in use */
#define SHORT_SPARES 8  /* or so few left */

static int64_t started_s;

static void note_start(void)
{
    started_s = yz_clock_wall_ms() / 1000;
}

static int64_t count_fds(void)
{
    struct stat about;
    int64_t count = 0;
    DIR *dir;

    /* Since Linux 6.2 the folder's size is how many it holds. */
    if (stat(FDS, &about) == 0 && about.st_size > 0)
        return about.st_size;
    dir = opendir(FDS);
    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder's own */
}

static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%*s %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* As a container sees it: its own group is the root of what is mounted there. */
static int64_t memory_max_bytes(void)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    long long bytes = 0;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FILE *file = fopen(files[i], "re");

        if (!file)
            continue;
        if (fscanf(file, "%lld", &bytes) != 1) /* "max" */
            bytes = 0;
        fclose(file);
        break;
    }
    return bytes < MEMORY_ANY ? bytes : 0;
}

static int64_t cpu_us(void)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) != 0)
        return 0;
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

void yz_process_read(struct yz_process *process)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct rlimit limit = {0};

    pthread_once(&once, note_start);
    getrlimit(RLIMIT_NOFILE, &limit);
    process->open_fds = count_fds();
    process->max_fds = limit.rlim_cur >= INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
    process->rss_bytes = resident_bytes();
    process->started_s = started_s;
    process->memory_max_bytes = memory_max_bytes();
    process->cpu_us = cpu_us();
}

bool yz_process_short(const struct yz_process *process)
{
    int64_t left = process->max_fds - process->open_fds;

    return process->open_fds > 0 &&
           (left <= SHORT_SPARES || left <= process->max_fds / 100 * (100 - SHORT_FROM));
}
