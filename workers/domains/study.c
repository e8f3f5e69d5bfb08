/* Studying lessons (学习). */
#include "workers/domains/study.h"

static const struct wk_event_handler events[] = {
    {"study.credited", wk_study_needs_credited, wk_study_judge_credited, wk_study_apply_credited},
    {0},
};

static const struct wk_query_handler queries[] = {
    {0},
};

static const struct wk_index hours_indexes[] = {
    {.name = "by_year", .keys = "{\"tenant\": 1, \"member\": 1, \"year\": 1, \"sequence\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_STUDY_HOURS, hours_indexes},
    {0},
};

const struct wk_domain wk_domain_study = {"study", events, queries, collections};
