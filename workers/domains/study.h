/* study.h: what the files of the domain study share: sessions and what is watched in them
 * (study.c), quiz and completion (study_complete.c), the ledger of hours (study_hours.c), queries
 * (study_query.c).
 *
 * Lifetime  constants; what is returned is borrowed from the fold's documents.
 * Thread    any; pure.
 *
 * All is written by the events of the aggregate "study|<member>".
 * WK_STUDY_MEMBERS   "<tenant>|<member>": the session begun last: session_id, device, lesson_id,
 * version, duration_ms, started_at, sequence (of its start), took_over, active_at, seq; progress_at
 * and budget_ms: the time it had up to then; claimed: what it says it watched; ended.
 * WK_STUDY_SESSIONS  "<tenant>|<member>|<session>": that it was begun, so that its id is used once.
 * WK_STUDY_PROGRESS  "<tenant>|<member>|<lesson>|<version>": duration_ms and the lesson's rule as
 * they were at its first session; watched, covered_ms, quiz_answered, score; quiz_tries: {q: the
 * event's sequence, t: when} of the local day of the last one; concluded: sequence of the event
 * that met the rule; completed, completed_at, rules, org_path. WK_STUDY_HOURS
 * "<tenant>|<member>|<source kind>|<source>": the ledger, never changed: what a source was credited
 * with at first; with "|<sequence>" behind it what was taken back (seconds < 0) or credited again
 * since, with reason and by whom. All entries of a year add up to its hours. WK_STUDY_SOURCES
 * "<tenant>|<member>|<source kind>|<source>": seconds as they stand by the last revision of the
 * source, once more than one was told. Where there is none the entry says it.
 */
#ifndef WK_STUDY_H
#define WK_STUDY_H

#include "workers/domain.h"
#include "workers/domains/study_watched.h"

#include <study.pb-c.h>

#define WK_STUDY_MEMBERS  "study_members"
#define WK_STUDY_SESSIONS "study_sessions"
#define WK_STUDY_PROGRESS "study_progress"
#define WK_STUDY_HOURS    "study_hours"
#define WK_STUDY_SOURCES  "study_sources"

/* Told to clients beside the rule's heartbeat: a timer of theirs and the way here are not exact. */
#define WK_STUDY_HEARTBEAT_MARGIN_S 5

/* A copy without the fields that are about to be written, and without those that the frame sets. */
#define WK_STUDY_COPY_WITHOUT(document, copy, ...)                                                 \
    bson_copy_to_excluding_noinit(document, copy, "_id", "tenant", "evt_seq", "evt_first",         \
                                  __VA_ARGS__, NULL)

extern const struct wk_query_handler wk_study_queries[];

void wk_study_member_id(char out[WK_ID_MAX], const char *tenant, const char *member);
void wk_study_progress_id(char out[WK_ID_MAX], const char *tenant, const char *member,
                          const char *lesson_id, uint32_t version);

/* An event within a session. Borrowed from its payload. */
struct wk_study_step {
    const char *session_id;
    uint32_t seq;
    const char *lesson_id;
    uint32_t version;
};
void wk_study_step_needs(const struct wk_event *event, const struct wk_study_step *step,
                         struct wk_needs *needs);
/* The session is the member's active one, of this lesson, and has not come so far. */
enum yz_err wk_study_step_judge(const struct wk_event *event, const struct wk_study_step *step,
                                struct wk_fold *fold, struct yz_violation *v);
/* The member's session; its progress in the lesson. */
const bson_t *wk_study_session(const struct wk_event *event, struct wk_fold *fold);
const bson_t *wk_study_progress(const struct wk_event *event, const struct wk_study_step *step,
                                struct wk_fold *fold);

/* The lesson's rule, with what this event adds. */
struct wk_study_result {
    uint32_t covered_ms;
    bool quiz_answered;
    uint32_t score_permille;
};
bool wk_study_is_complete(const bson_t *progress, const struct wk_study_result *result);
/* Put the progress with the result; conclude it if this event is the one that meets the rule; tell
 * the member's devices. watched: NULL: as it is. */
void wk_study_put_progress(const struct wk_event *event, struct wk_fold *fold,
                           const struct wk_study_step *step, const struct wk_watched *watched,
                           const struct wk_study_result *result);
/* From a document, without the intervals; completed_at is used if there is one. */
void wk_study_fill(const bson_t *progress, Yizhan__V1__StudyProgress *message,
                   Google__Protobuf__Timestamp *completed_at);

/* What a source counts for a member, as of a revision of the source. */
struct wk_study_credit {
    const char *member;
    Yizhan__V1__StudySource kind;
    const char *source;
    uint32_t seconds; /* 0: nothing any more */
    const char *org_path;
    int64_t ended_at_ms;
    uint64_t revision;  /* 0: of a source that is credited once, and never again */
    const char *reason; /* of a correction; "": none */
};
void wk_study_credit_need(const struct wk_event *event, const struct wk_study_credit *credit,
                          struct wk_needs *needs);
/* The difference to what stands into the ledger, and told to the member; without effect when a
 * later revision was told before, or the source counts as much already. */
void wk_study_credit(const struct wk_event *event, struct wk_fold *fold,
                     const struct wk_study_credit *credit);

wk_needs_fn wk_study_needs_quiz, wk_study_needs_completed, wk_study_needs_credited;
wk_judge_fn wk_study_judge_quiz, wk_study_judge_always;
wk_apply_fn wk_study_apply_quiz, wk_study_apply_completed, wk_study_apply_credited;

#endif
