/* backlog.h: how much may wait for one client: what it missed stays in the server until there is
 * room, and who takes too little, or nothing, is a slow reader.
 *
 * Lifetime  a plain struct inside its session.
 * Thread    loop.
 * Limits    max bytes wait. What was missed is let in up to a half of them, and again below a
 *           quarter. What it exceeds the half by (its last push, a channel's values) is added to
 *           the max until that is written, so that live pushes have as much room as ever.
 *
 * bytes are those that wait now.
 */
#ifndef GW_BACKLOG_H
#define GW_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_backlog {
    size_t max, bound; /* bound: max, or more */
    bool paused;       /* something missed was told to wait */
    int64_t moved_ms;  /* when something was taken last, or nothing waited; monotonic */
};

void gw_backlog_init(struct gw_backlog *backlog, size_t max);
/* Something is about to be added. */
void gw_backlog_adding(struct gw_backlog *backlog, size_t bytes);
/* May more of what was missed be added? Once false, gw_backlog_taken says when it may. */
bool gw_backlog_has_room(struct gw_backlog *backlog, size_t bytes);
/* What was added was missed, or the values behind it. */
void gw_backlog_allow(struct gw_backlog *backlog, size_t bytes);
bool gw_backlog_exceeded(const struct gw_backlog *backlog, size_t bytes);
/* Something was taken. true: there is room again, and something waits for it. */
bool gw_backlog_taken(struct gw_backlog *backlog, size_t bytes);
/* Those that wait were told to go on. */
void gw_backlog_resumed(struct gw_backlog *backlog);
/* When the client has taken nothing for limit_ms; INT64_MAX: nothing waits. */
int64_t gw_backlog_stuck_ms(const struct gw_backlog *backlog, size_t bytes, int64_t limit_ms);

#endif
