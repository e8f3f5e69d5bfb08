#include "common/fault.h"

#ifdef YZ_FAULTS
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POINTS_MAX   16
#define NAME_MAX_LEN 96

struct point {
    char name[NAME_MAX_LEN];
    char argument[NAME_MAX_LEN];
    atomic_int passes;
};

static struct point points[POINTS_MAX];
static int point_count;

/* Before main, so that no thread races the first use. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("YZ_FAULT");

    while (text && *text && point_count < POINTS_MAX) {
        struct point *p = &points[point_count];
        size_t len = strcspn(text, ",");
        const char *colon = memchr(text, ':', len);
        size_t name_len = colon ? (size_t)(colon - text) : len;

        snprintf(p->name, sizeof p->name, "%.*s", (int)name_len, text);
        if (colon)
            snprintf(p->argument, sizeof p->argument, "%.*s", (int)(len - name_len - 1), colon + 1);
        point_count++;
        text += len + (text[len] == ',');
    }
}

void yz_fault_point(const char *name)
{
    for (int i = 0; i < point_count; i++) {
        struct point *p = &points[i];
        int nth = p->argument[0] ? (int)strtol(p->argument, NULL, 10) : 1;

        if (strcmp(p->name, name) == 0 && atomic_fetch_add(&p->passes, 1) + 1 == nth)
            kill(getpid(), SIGKILL);
    }
}

void yz_fault_event(const char *event_id)
{
    for (int i = 0; i < point_count; i++) {
        if (strcmp(points[i].name, "crash_on_event") == 0 &&
            strcmp(points[i].argument, event_id) == 0)
            kill(getpid(), SIGKILL);
    }
}
#else
typedef int yz_fault_disabled; /* ISO C wants a declaration */
#endif
