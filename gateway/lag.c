#include "gateway/lag.h"

#include "common/clock.h"

#define PARTS 4

void gw_lag_set_clock(struct gw_lag *lag, int64_t ahead_us, int64_t error_us)
{
    int64_t size = ahead_us < 0 ? -ahead_us : ahead_us;

    lag->ahead_us = size > error_us ? ahead_us : 0;
}

void gw_lag_note(struct gw_lag *lag, int64_t stored_us, uint64_t deliveries)
{
    if (stored_us == 0 || deliveries == 0)
        return;
    if (lag->count < LAG_PUSHES_MAX) {
        lag->pushes[lag->count].stored_us = stored_us;
        lag->pushes[lag->count++].deliveries = deliveries;
    } else {
        lag->pushes[LAG_PUSHES_MAX - 1].deliveries += deliveries;
    }
}

void gw_lag_begin(struct gw_lag *lag)
{
    if (lag->begun_us == 0)
        lag->begun_us = yz_clock_wall_us();
}

void gw_lag_end(struct gw_lag *lag, struct yz_latency *latency)
{
    int64_t begun_us, took_us;

    if (lag->count == 0) {
        lag->begun_us = 0;
        return;
    }
    begun_us = lag->begun_us - lag->ahead_us;
    took_us = yz_clock_wall_us() - lag->begun_us;
    if (took_us < 0)
        took_us = 0; /* the clock was set back */
    for (size_t i = 0; i < lag->count; i++) {
        int64_t first_us = begun_us - lag->pushes[i].stored_us;
        uint64_t left = lag->pushes[i].deliveries;

        for (int part = 1; part <= PARTS && left > 0; part++) {
            uint64_t some = part == PARTS ? left : (left + PARTS - 1) / PARTS;

            yz_observe_us_own(latency, first_us + took_us * part / PARTS, some);
            left -= some;
        }
    }
    lag->count = 0;
    lag->begun_us = 0;
}
