/* admin.h: /healthz, /readyz and /metrics of this process on the admin port.
 *
 * Lifetime  from wk_admin_start to wk_admin_stop.
 * Thread    its own, which runs a libwebsockets context; on_ready and the metrics are read from it.
 * Limits    small GET requests only; anything else is 404.
 */
#ifndef WK_ADMIN_H
#define WK_ADMIN_H

#include "common/conf.h"
#include "common/err.h"
#include "workers/metrics.h"

#include <stdbool.h>

struct wk_admin;

/* *reason (constant) says what is missing. Called on the admin thread. */
typedef bool wk_ready_fn(void *arg, const char **reason);

/* admin_port 0: nothing is started and *admin is NULL. */
YZ_MUST_USE enum yz_err wk_admin_start(const struct yz_conf *conf, struct wk_metrics *metrics,
                                       wk_ready_fn *is_ready, void *arg, struct wk_admin **admin);
void wk_admin_stop(struct wk_admin *admin);

#endif
