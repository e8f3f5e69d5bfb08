#include "workers/driver.h"

#include "common/log.h"

#include <dlfcn.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define COUNTERS "/mongoc-"

static bool is_counters(const char *name)
{
    return strncmp(name, COUNTERS, strlen(COUNTERS)) == 0;
}

/* In place of the C library's: a program's own symbols come first, for its libraries, too. Called
 * before main. What others share by name (libfaketime does) is theirs. */
int shm_open(const char *name, int oflag, mode_t mode)
{
    int (*next)(const char *, int, mode_t);

    if (is_counters(name))
        return memfd_create("mongoc", MFD_CLOEXEC);
    *(void **)&next = dlsym(RTLD_NEXT, "shm_open");
    return next(name, oflag, mode);
}

int shm_unlink(const char *name)
{
    int (*next)(const char *);

    if (is_counters(name))
        return 0;
    *(void **)&next = dlsym(RTLD_NEXT, "shm_unlink");
    return next(name);
}

static void on_library_log(mongoc_log_level_t level, const char *domain, const char *message,
                           void *arg)
{
    (void)arg;
    if (level <= MONGOC_LOG_LEVEL_WARNING)
        yz_warn_spaced("mongoc", "domain=%s text=\"%s\"", domain, message);
}

/* The handler comes first: the library warns already while it starts, where it is not built to do
 * that by itself. */
static void init_library(void)
{
    mongoc_log_set_handler(on_library_log, NULL);
    mongoc_init();
}

void wk_driver_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_library);
}
