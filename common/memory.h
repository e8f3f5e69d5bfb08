/* memory.h: allocation, and what a program does when there is no memory.
 *
 * The gateway refuses what asked for it: the functions return NULL, the message or session is
 * refused, everybody else goes on. A worker cannot refuse an accepted event, so it waits and tries
 * again; when that has lasted YZ_MEMORY_WAIT_MS the process ends (abort), and its events come again
 * to one that has memory: guarantee 7 covers it.
 *
 * Lifetime  the policy is set once, before threads are started; without a call it is to wait. What
 * is allocated is freed with free(). Thread    any. Limits    YZ_MEMORY_WAIT_MS of waiting for one
 * allocation.
 */
#ifndef YZ_MEMORY_H
#define YZ_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#define YZ_MEMORY_WAIT_MS 30000

enum yz_memory_policy { YZ_MEMORY_WAIT, YZ_MEMORY_REFUSE };
void yz_memory_policy(enum yz_memory_policy policy);

/* As malloc and so on; NULL only by YZ_MEMORY_REFUSE. size 0 gives a piece that may be freed. */
void *yz_malloc(size_t size) __attribute__((malloc));
void *yz_calloc(size_t count, size_t size) __attribute__((malloc));
void *yz_realloc(void *piece, size_t size);
char *yz_strdup(const char *text) __attribute__((malloc));

/* How often this thread was refused memory so far: whoever got an error compares it with before, to
 * tell what was wrong with its input from want of memory. */
unsigned yz_memory_refusals(void);

/* For calls of a library that failed for want of memory: true after a wait, try again; false: give
 * up (counted as a refusal). *waited_ms is 0 before the first try. */
bool yz_memory_again(int *waited_ms);

#endif
