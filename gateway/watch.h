/* watch.h: looks every watch_interval_ms at what this gateway stands on, keeps its troubles and the
 * gauges of the process, and answers `yzctl doctor` (presence.h).
 *
 * Lifetime  made after the link, freed before it.
 * Thread    loop. Cost: two small files of /proc a look.
 * Failure   while the bus is away nobody is answered; log and metrics tell it.
 */
#ifndef GW_WATCH_H
#define GW_WATCH_H

#include "gateway/intake.h"
#include "gateway/link.h"
#include "gateway/metrics.h"

struct gw_watch;

/* All are borrowed for the watch's life. */
YZ_MUST_USE enum yz_err gw_watch_new(const struct yz_conf *conf, uv_loop_t *loop,
                                     struct gw_link *link, const struct gw_intake *intake,
                                     struct gw_metrics *metrics, struct gw_watch **watch);
/* NULL: nothing. Run the loop once more for its handle. */
void gw_watch_free(struct gw_watch *watch);

#endif
