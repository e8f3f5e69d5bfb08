#include "gateway/backlog.h"

#include "common/clock.h"

#define PAUSE_PART  2 /* of max */
#define RESUME_PART 4

void gw_backlog_init(struct gw_backlog *backlog, size_t max)
{
    backlog->max = backlog->bound = max;
    backlog->paused = false;
    backlog->moved_ms = yz_clock_mono_ms();
}

void gw_backlog_adding(struct gw_backlog *backlog, size_t bytes)
{
    if (bytes == 0)
        backlog->moved_ms = yz_clock_mono_ms();
}

bool gw_backlog_has_room(struct gw_backlog *backlog, size_t bytes)
{
    if (bytes <= backlog->max / PAUSE_PART)
        return true;
    backlog->paused = true;
    return false;
}

void gw_backlog_allow(struct gw_backlog *backlog, size_t bytes)
{
    size_t needed = bytes + backlog->max - backlog->max / PAUSE_PART;

    if (backlog->bound < needed)
        backlog->bound = needed;
}

bool gw_backlog_exceeded(const struct gw_backlog *backlog, size_t bytes)
{
    return bytes > backlog->bound;
}

bool gw_backlog_taken(struct gw_backlog *backlog, size_t bytes)
{
    backlog->moved_ms = yz_clock_mono_ms();
    if (bytes >= backlog->max / RESUME_PART)
        return false;
    backlog->bound = backlog->max;
    return backlog->paused;
}

void gw_backlog_resumed(struct gw_backlog *backlog)
{
    backlog->paused = false;
}

int64_t gw_backlog_stuck_ms(const struct gw_backlog *backlog, size_t bytes, int64_t limit_ms)
{
    return bytes > 0 ? backlog->moved_ms + limit_ms : INT64_MAX;
}
