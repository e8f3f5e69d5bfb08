/* study.h: what the files of the domain study share: events (study.c), the ledger of hours
 * (study_hours.c), queries (study_query.c).
 *
 * Lifetime  constants.
 * Thread    any; pure.
 */
#ifndef WK_STUDY_H
#define WK_STUDY_H

#include "workers/domain.h"

#include <study.pb-c.h>

/* _id "<tenant>|<member>|<source kind>|<source>": a source is credited once. */
#define WK_STUDY_HOURS "study_hours"

/* What is credited, once. */
struct wk_study_credit {
    const char *member;
    Yizhan__V1__StudySource kind;
    const char *source;
    uint32_t seconds;
    const char *org_path;
    int64_t ended_at_ms;
};
void wk_study_credit_need(const struct wk_event *event, const struct wk_study_credit *credit,
                          struct wk_needs *needs);
/* Into the ledger, and told to the member; without effect when another event credited the source
 * before. */
void wk_study_credit(const struct wk_event *event, struct wk_fold *fold,
                     const struct wk_study_credit *credit);

wk_needs_fn wk_study_needs_credited;
wk_judge_fn wk_study_judge_credited;
wk_apply_fn wk_study_apply_credited;

#endif
