#include "common/memory.h"

#include "common/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 20

static enum yz_memory_policy chosen = YZ_MEMORY_WAIT;

static _Thread_local unsigned refusals;

void yz_memory_policy(enum yz_memory_policy policy)
{
    chosen = policy;
}

unsigned yz_memory_refusals(void)
{
    return refusals;
}

bool yz_memory_again(int *waited_ms)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

    if (chosen == YZ_MEMORY_REFUSE) {
        refusals++;
        return false;
    }
    if (*waited_ms == 0)
        yz_error_spaced("out_of_memory", "action=waiting limit_ms=%d", YZ_MEMORY_WAIT_MS);
    if (*waited_ms >= YZ_MEMORY_WAIT_MS) {
        yz_error("out_of_memory", "action=ending waited_ms=%d", *waited_ms);
        abort();
    }
    nanosleep(&pause, NULL);
    *waited_ms += PAUSE_MS;
    return true;
}

void *yz_malloc(size_t size)
{
    int waited_ms = 0;
    void *piece;

    while (!(piece = malloc(size ? size : 1)) && yz_memory_again(&waited_ms))
        ;
    return piece;
}

void *yz_calloc(size_t count, size_t size)
{
    int waited_ms = 0;
    void *piece;

    while (!(piece = calloc(count ? count : 1, size ? size : 1)) && yz_memory_again(&waited_ms))
        ;
    return piece;
}

void *yz_realloc(void *piece, size_t size)
{
    int waited_ms = 0;
    void *moved;

    while (!(moved = realloc(piece, size ? size : 1)) && yz_memory_again(&waited_ms))
        ;
    return moved;
}

char *yz_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = yz_malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}
