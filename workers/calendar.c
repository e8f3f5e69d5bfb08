#include "workers/calendar.h"

#include <time.h>

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (1440 * MINUTE_MS)

static int64_t local_ms(const struct wk_rules_calendar *calendar, int64_t at_ms)
{
    return at_ms + calendar->utc_offset_minutes * MINUTE_MS;
}

static int64_t day_of(int64_t ms)
{
    return ms / DAY_MS - (ms % DAY_MS < 0);
}

static void local_date(const struct wk_rules_calendar *calendar, int64_t at_ms, struct tm *date)
{
    time_t midnight = (time_t)(wk_calendar_day(calendar, at_ms) * (DAY_MS / 1000));

    (void)gmtime_r(&midnight, date);
}

int64_t wk_calendar_day(const struct wk_rules_calendar *calendar, int64_t at_ms)
{
    return day_of(local_ms(calendar, at_ms));
}

int64_t wk_calendar_year(const struct wk_rules_calendar *calendar, int64_t at_ms)
{
    return wk_calendar_month(calendar, at_ms) / 12;
}

int64_t wk_calendar_month(const struct wk_rules_calendar *calendar, int64_t at_ms)
{
    struct tm date;

    local_date(calendar, at_ms, &date);
    return (date.tm_year + INT64_C(1900)) * 12 + date.tm_mon;
}

int64_t wk_calendar_day_ms(const struct wk_rules_calendar *calendar, int64_t day)
{
    return day * DAY_MS - calendar->utc_offset_minutes * MINUTE_MS;
}

int64_t wk_calendar_month_ms(const struct wk_rules_calendar *calendar, int64_t month)
{
    struct tm date = {
        .tm_year = (int)(month / 12 - 1900), .tm_mon = (int)(month % 12), .tm_mday = 1};

    return (int64_t)timegm(&date) * 1000 - calendar->utc_offset_minutes * MINUTE_MS;
}

bool wk_calendar_quiet(const struct wk_rules_calendar *calendar, int64_t at_ms, int64_t *until_ms)
{
    int64_t day_ms = wk_calendar_day_ms(calendar, wk_calendar_day(calendar, at_ms));
    int64_t minute = (at_ms - day_ms) / MINUTE_MS;
    int64_t from = calendar->quiet_from_minute, to = calendar->quiet_to_minute;
    bool quiet = from <= to ? from <= minute && minute < to : minute >= from || minute < to;

    if (quiet)
        *until_ms = day_ms + to * MINUTE_MS + (minute < to ? 0 : DAY_MS);
    return quiet;
}
