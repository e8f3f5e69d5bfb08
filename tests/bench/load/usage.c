#include "usage.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t thread_cpu_ns(pid_t pid, const char *thread)
{
    char path[320];
    uint64_t ns = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, thread);
    file = fopen(path, "re");
    if (!file)
        return 0; /* it ended meanwhile */
    if (fscanf(file, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

uint64_t usage_cpu_ns(pid_t pid)
{
    char path[64];
    uint64_t ns = 0;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads)
        return 0;
    for (const struct dirent *entry; (entry = readdir(threads));) // NOLINT(concurrency-mt-unsafe)
        if (entry->d_name[0] != '.')
            ns += thread_cpu_ns(pid, entry->d_name);
    closedir(threads);
    return ns;
}

void usage_memory(pid_t pid, struct usage_memory *memory)
{
    char path[64], line[256];
    uint64_t kb;
    FILE *file;

    memset(memory, 0, sizeof *memory);
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Rss: %" SCNu64, &kb) == 1)
            memory->rss = kb * 1024;
        else if (sscanf(line, "Pss: %" SCNu64, &kb) == 1)
            memory->pss = kb * 1024;
        else if (sscanf(line, "Private_Dirty: %" SCNu64, &kb) == 1)
            memory->private_dirty = kb * 1024;
    }
    fclose(file);
}

void usage_sockets(struct usage_sockets *sockets)
{
    char line[256];
    uint64_t in_use, pages;
    FILE *file = fopen("/proc/net/sockstat", "re");

    memset(sockets, 0, sizeof *sockets);
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "TCP: inuse %" SCNu64 " orphan %*u tw %*u alloc %*u mem %" SCNu64, &in_use,
                   &pages) == 2) {
            sockets->in_use = in_use;
            sockets->memory = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
    fclose(file);
}
