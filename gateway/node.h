/* node.h: one gateway process: its parts, put together, and its life from start to drain.
 *
 * Lifetime  gw_node_run is the process's life.
 * Thread    the calling thread becomes the loop.
 * States    STARTING --parts made--> RUNNING --SIGTERM or SIGINT--> DRAINING --sessions and pending
 *           acknowledgements gone, or drain_ms over--> ended
 *           SIGHUP reads the keys again. A second SIGTERM, a second later or more, ends the drain
 * at once.
 */
#ifndef GW_NODE_H
#define GW_NODE_H

#include "common/conf.h"

/* client_fd and admin_fd (-1: none) are bound sockets, taken. Returns the exit code: 0 after a
 * drain, 1 when a part fails, 2 when the configuration cannot work. */
int gw_node_run(const struct yz_conf *conf, int client_fd, int admin_fd);

#endif
