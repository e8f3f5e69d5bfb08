/* What the rule packs decide about meetings. Shares are whole numbers: no rounding anywhere. */
#include "workers/domains/meeting.h"

#include "workers/calendar.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MIN   1440

/* Opened early it begins with its window, opened late when it was opened; closed late it ends with
 * its window, closed early when it was closed. A minute that has begun counts, but never more than
 * the window's whole ones. */
uint32_t wk_meeting_minutes(const bson_t *meeting)
{
    int64_t starts_ms = wk_document_time_ms(meeting, "starts_at");
    int64_t ends_ms = wk_document_time_ms(meeting, "ends_at");
    int64_t opened_ms = wk_document_time_ms(meeting, "opened_at");
    int64_t closed_ms = wk_document_time_ms(meeting, "closed_at");
    int64_t from_ms = opened_ms > starts_ms ? opened_ms : starts_ms;
    int64_t to_ms = closed_ms < ends_ms ? closed_ms : ends_ms;
    int64_t announced = (ends_ms - starts_ms) / MINUTE_MS;
    int64_t begun = (to_ms - from_ms + MINUTE_MS - 1) / MINUTE_MS;

    if (opened_ms == 0 || to_ms <= from_ms)
        return 0;
    return (uint32_t)(begun < announced ? begun : announced);
}

/* The window is what a secretary wrote; the broker's times of opening and closing bound it. */
int64_t wk_meeting_held_ms(const bson_t *meeting)
{
    int64_t held_ms = wk_document_time_ms(meeting, "ends_at");
    int64_t opened_ms = wk_document_time_ms(meeting, "opened_at");
    int64_t closed_ms = wk_document_time_ms(meeting, "closed_at");

    held_ms = held_ms > closed_ms ? closed_ms : held_ms;
    return held_ms < opened_ms ? opened_ms : held_ms;
}

/* An ordinary vote asks for at least the share, an admission for more than it. */
Yizhan__V1__VoteResult wk_vote_decide(const struct wk_rules_meeting *rules,
                                      Yizhan__V1__VoteKind kind, const struct wk_tally *tally)
{
    int64_t present = tally->present * 1000;
    bool admission = kind == YIZHAN__V1__VOTE_KIND__ADMISSION_VOTE;
    bool quorum = admission ? present > rules->admission_quorum_permille * tally->should
                            : present >= rules->quorum_permille * tally->should;

    if (!quorum || tally->should == 0)
        return YIZHAN__V1__VOTE_RESULT__VOTE_NO_QUORUM;
    return tally->yes * 1000 > rules->pass_permille * tally->should
               ? YIZHAN__V1__VOTE_RESULT__VOTE_PASSED
               : YIZHAN__V1__VOTE_RESULT__VOTE_NOT_PASSED;
}

int64_t wk_meeting_every_months(const struct wk_rules_meeting *rules, Yizhan__V1__MeetingKind kind)
{
    switch (kind) {
    case YIZHAN__V1__MEETING_KIND__ASSEMBLY:
        return rules->assembly_every_months;
    case YIZHAN__V1__MEETING_KIND__COMMITTEE:
        return rules->committee_every_months;
    case YIZHAN__V1__MEETING_KIND__GROUP:
        return rules->group_every_months;
    case YIZHAN__V1__MEETING_KIND__LESSON:
        return rules->lesson_every_months;
    case YIZHAN__V1__MEETING_KIND__THEME_DAY:
        return rules->theme_day_every_months;
    case YIZHAN__V1__MEETING_KIND__LIFE_MEETING:
        return rules->life_every_months;
    default:
        return 0;
    }
}

/* Periods of so many months lie side by side, from January on. A meeting held in one asks for the
 * next one by the end of the following period; before the first, the period in which the rule or
 * the branch began counts as held, unless it began with that period. */
int64_t wk_meeting_overdue_ms(const struct wk_rules_calendar *calendar, int64_t every_months,
                              int64_t last_ms, int64_t began_ms)
{
    int64_t period = wk_calendar_month(calendar, last_ms ? last_ms : began_ms) / every_months;

    if (!last_ms && wk_calendar_month_ms(calendar, period * every_months) == began_ms)
        period--;
    return wk_calendar_month_ms(calendar, (period + 2) * every_months);
}

/* One that would ring in the quiet hours rings a minute before them, else after them, if the
 * meeting has not begun by then. Who convenes later than the reminder has just told everybody. */
int64_t wk_meeting_remind_ms(const struct wk_rules *rules, int64_t now_ms, int64_t starts_at_ms)
{
    const struct wk_rules_calendar *calendar = wk_rules_calendar_at(rules, now_ms);
    int64_t due_ms =
        starts_at_ms - wk_rules_meeting_at(rules, now_ms)->remind_before_minutes * MINUTE_MS;
    int64_t until_ms, quiet_min;

    if (due_ms <= now_ms)
        return 0;
    if (!wk_calendar_quiet(calendar, due_ms, &until_ms))
        return due_ms;
    quiet_min = (calendar->quiet_to_minute - calendar->quiet_from_minute + DAY_MIN) % DAY_MIN;
    due_ms = until_ms - (quiet_min + 1) * MINUTE_MS;
    if (due_ms > now_ms)
        return due_ms;
    return until_ms < starts_at_ms ? until_ms : 0;
}
