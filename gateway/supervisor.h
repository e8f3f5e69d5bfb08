/* supervisor.h: several gateway processes on one port: started, watched, started again, ended.
 *
 * Lifetime  gw_supervisor_run is the parent's life; its children end with it.
 * Thread    the parent has one thread and no loop: it waits for signals.
 * Limits    a child that dies within SUPERVISOR_EARLY_MS of its start is started again only after
 *           SUPERVISOR_PAUSE_MS.
 *
 * SIGTERM and SIGINT are passed on, then all children are awaited; SIGHUP is passed on.
 */
#ifndef GW_SUPERVISOR_H
#define GW_SUPERVISOR_H

#include <stddef.h>

#define SUPERVISOR_EARLY_MS 2000
#define SUPERVISOR_PAUSE_MS 1000

/* In the child: live, and return the exit code. number is 0 to count - 1 and kept over restarts. */
typedef int gw_child_fn(void *arg, size_t number);

/* Returns the exit code: the highest of the children's last ones. A child that says 2 (the
 * configuration cannot work) is not started again; it ends them all. */
int gw_supervisor_run(size_t count, gw_child_fn *live, void *arg);

#endif
