/* calendar.h: the local calendar of rule pack `calendar`: days, months and years of local time, and
 * the quiet hours. Local time is ahead of UTC by the rule's minutes, with no summer time.
 *
 * Lifetime  none. A calendar is wk_rules_calendar_at(rules, at_ms).
 * Thread    any; pure.
 * Limits    years 1 to 9999.
 */
#ifndef WK_CALENDAR_H
#define WK_CALENDAR_H

#include "workers/rules.h"

#include <stdbool.h>
#include <stdint.h>

/* The local day: days since 1970-01-01. */
int64_t wk_calendar_day(const struct wk_rules_calendar *calendar, int64_t at_ms);
/* The local month: 12 * year + 0 for January; three months earlier is three less. */
int64_t wk_calendar_month(const struct wk_rules_calendar *calendar, int64_t at_ms);
/* The local year, 2026. */
int64_t wk_calendar_year(const struct wk_rules_calendar *calendar, int64_t at_ms);
/* The first millisecond of a local day or month. */
int64_t wk_calendar_day_ms(const struct wk_rules_calendar *calendar, int64_t day);
int64_t wk_calendar_month_ms(const struct wk_rules_calendar *calendar, int64_t month);

/* It is quiet at at_ms; then *until_ms is the first millisecond that no longer is. Quiet hours
 * begin with their first minute and end before their last; equal ones are none. */
bool wk_calendar_quiet(const struct wk_rules_calendar *calendar, int64_t at_ms, int64_t *until_ms);

#endif
