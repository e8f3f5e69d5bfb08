#include "workers/driver.h"

#include "common/log.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <sys/mman.h>

/* In place of the C library's: a program's own symbols come first, for its libraries, too. Nothing
 * else in our programs shares memory by name. Called before main, so no more than a system call. */
int shm_open(const char *name, int oflag, mode_t mode)
{
    (void)name;
    (void)oflag;
    (void)mode;
    return memfd_create("mongoc", MFD_CLOEXEC);
}

int shm_unlink(const char *name)
{
    (void)name;
    return 0;
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
