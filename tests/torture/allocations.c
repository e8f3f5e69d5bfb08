/* allocations.c: a library to preload that makes one allocation of a running program fail, the one
 * that a test chooses, and counts them.
 *
 * The test and the program share the file that YZ_ALLOCATIONS names (struct plan). Armed with
 * countdown n, the n-th allocation from then on, in the threads of `scope`, returns NULL; all
 * others are served. libwebsockets, libuv and the bus library are failed like our own code; what
 * the program cannot outlive by its libraries' nature is passed over and counted (see is_excluded).
 *
 * Lifetime  the process's.
 * Thread    any; counters are atomic.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum scope { SCOPE_NONE, SCOPE_MAIN_THREAD, SCOPE_OTHER_THREADS, SCOPE_ALL };

/* Little-endian, as the test writes it. */
struct plan {
    _Atomic uint32_t scope;
    _Atomic uint32_t failed;   /* how many were made to fail since the start */
    _Atomic int64_t countdown; /* the allocation that brings it to 0 fails; below: none */
    _Atomic int64_t seen;      /* allocations in scope since the test cleared it */
    _Atomic int64_t excluded;
    char where[200]; /* library and symbol that asked for the last one that failed */
};

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *piece, size_t size);

#define TRACE_MAX 24

static struct plan *plan;
static void *trace[TRACE_MAX]; /* who asked for the last one that failed */
static int trace_depth;
static _Thread_local bool busy; /* dladdr must not be counted */

/* A crash prints where it was and which failed allocation led to it. The process is at its end, and
 * the library that backtrace needs is loaded (see open_plan). */
/* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c) */
static void on_crash(int number)
{
    static const char before[] = "-- the allocation that failed:\n", here[] = "-- the crash:\n";
    void *now[TRACE_MAX];
    int depth = backtrace(now, TRACE_MAX);

    signal(number, SIG_DFL);
    if (write(STDERR_FILENO, before, sizeof before - 1) > 0)
        backtrace_symbols_fd(trace, trace_depth, STDERR_FILENO);
    if (write(STDERR_FILENO, here, sizeof here - 1) > 0)
        backtrace_symbols_fd(now, depth, STDERR_FILENO);
    raise(number);
}
/* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */

__attribute__((constructor)) static void open_plan(void)
{
    const char *path = getenv("YZ_ALLOCATIONS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared;

    if (fd < 0)
        return;
    shared = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED)
        return;
    trace_depth = backtrace(trace, TRACE_MAX); /* its first call loads a library */
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    plan = shared;
}

static bool in_scope(void)
{
    uint32_t scope = atomic_load_explicit(&plan->scope, memory_order_relaxed);
    bool is_main = getpid() == gettid();

    return scope == SCOPE_ALL || (scope == SCOPE_MAIN_THREAD && is_main) ||
           (scope == SCOPE_OTHER_THREADS && !is_main);
}

/* The loader takes memory for a thread's variables at their first use, and has no way to refuse. */
static bool is_excluded(const char *library)
{
    return strstr(library, "/ld-linux") != NULL;
}

static bool fails(const void *caller)
{
    Dl_info from = {0};
    bool out = false;

    if (!plan || busy || !in_scope())
        return false;
    busy = true;
    if (dladdr(caller, &from) == 0 || !from.dli_fname)
        from.dli_fname = "?";
    if (is_excluded(from.dli_fname)) {
        atomic_fetch_add(&plan->excluded, 1);
    } else {
        atomic_fetch_add(&plan->seen, 1);
        out = atomic_fetch_sub(&plan->countdown, 1) == 1;
    }
    if (out) {
        const char *name = strrchr(from.dli_fname, '/');
        size_t len;

        strncpy(plan->where, name ? name + 1 : from.dli_fname, 60);
        len = strlen(plan->where);
        plan->where[len++] = ' ';
        strncpy(plan->where + len, from.dli_sname ? from.dli_sname : "(static)", 100);
        trace_depth = backtrace(trace, TRACE_MAX);
        atomic_fetch_add(&plan->failed, 1);
        errno = ENOMEM;
    }
    busy = false;
    return out;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *piece, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(piece, size);
}
