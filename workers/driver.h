/* driver.h: the MongoDB driver as a library: whom it tells of trouble, and where it keeps its
 * counters.
 *
 * The driver (libmongoc 1.x) starts itself before main and puts counters, which mongoc-stat would
 * read, into the shared memory file /dev/shm/mongoc-<pid>. A process that is killed leaves it
 * behind, and the next one with that pid warns on standard error, before anybody can stop it. So
 * this file answers the driver's shm_open and shm_unlink itself, with memory that has no name and
 * goes with its process.
 *
 * Lifetime  the process; nothing is freed.
 * Thread    any.
 */
#ifndef WK_DRIVER_H
#define WK_DRIVER_H

/* The driver is ready, and its warnings are log lines. May be called again. */
void wk_driver_init(void);

#endif
