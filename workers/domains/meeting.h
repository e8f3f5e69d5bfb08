/* meeting.h: what the files of the domain meeting share. meeting.c: convening to closing;
 * meeting_roster.c: the documents and the sets in them; meeting_checkin.c: checking in, leave,
 * corrections; meeting_vote.c; meeting_after.c: what follows a meeting by itself, minutes;
 * meeting_rules.c: what the rule pack decides; meeting_query.c, meeting_list.c,
 * meeting_figures.c: queries.
 *
 * A member's place on the roster (sorted by id, fixed at convening) is its bit in every set.
 *
 * Lifetime  constants.
 * Thread    any; pure.
 */
#ifndef WK_MEETING_H
#define WK_MEETING_H

#include "workers/document.h"
#include "workers/domain.h"
#include "workers/rules.h"

#include <meeting.pb-c.h>

#define WK_MEETINGS      "meetings"
#define WK_ROSTERS       "meeting_rosters"
#define WK_CHECKINS      "checkins"
#define WK_CORRECTIONS   "checkin_corrections" /* <meeting>|<member>|<sequence>, never changed */
#define WK_LEAVES        "meeting_leaves"      /* <meeting>|<member> */
#define WK_VOTES         "meeting_votes"       /* <meeting>|<vote> */
#define WK_BALLOTS       "meeting_ballots"     /* <meeting>|<vote>|<member>, never changed */
#define WK_MINUTES       "meeting_minutes"     /* <meeting>|<revision>, never changed */
#define WK_MEETING_ORGS  "meeting_orgs"        /* <org>: when each kind was last held */
#define WK_MEETING_YEARS "meeting_years"       /* <org>|<year>: figures of each meeting */

#define WK_ROSTER_MAX 5000
/* Places that one event of the system goes through: bounds its rows and pushes. */
#define WK_MEETING_CHUNK 200

extern const struct wk_query_handler wk_meeting_queries[];

Yizhan__V1__MeetingState wk_meeting_state(const bson_t *meeting);
enum yz_err wk_meeting_missing(struct yz_violation *v);
/* The refusal for a state; YZ_OK when it is `wanted`. */
enum yz_err wk_meeting_expect(const bson_t *meeting, Yizhan__V1__MeetingState wanted,
                              struct yz_violation *v);

/* All events of the domain but meeting.held begin with the meeting they are about, as does this
 * one. */
const Yizhan__V1__MeetingOpened *wk_meeting_ref(const struct wk_event *event);
void wk_meeting_id(const struct wk_event *event, char out[WK_ID_MAX]);
/* The id of one of its parts, "<meeting>|<part>" and "<meeting>|<part>|<more>". */
void wk_meeting_part(const struct wk_event *event, const char *part, char out[WK_ID_MAX]);
void wk_meeting_channel(const struct wk_event *event, char out[YZ_CHANNEL_MAX]);
wk_needs_fn wk_meeting_needs, wk_meeting_needs_roster;
/* The meeting that the event is about; NULL: there is none. */
const bson_t *wk_meeting_get(const struct wk_event *event, struct wk_fold *fold);

/* A copy without the fields that are about to be written, and without those that the frame sets. */
#define WK_COPY_WITHOUT(document, copy, ...)                                                       \
    bson_copy_to_excluding_noinit(document, copy, "_id", "tenant", "evt_seq", "evt_first",         \
                                  __VA_ARGS__, NULL)

/* A set of members of a roster: a bitmap over places, as BSON binary. */
struct wk_bits {
    uint8_t bytes[WK_ROSTER_MAX / 8];
    uint32_t len; /* bytes */
};
/* Absent or shorter: nobody is in the rest. count: members of the roster. */
void wk_bits_read(const bson_t *document, const char *field, int64_t count, struct wk_bits *bits);
bool wk_bits_has(const struct wk_bits *bits, int64_t place);
void wk_bits_set(struct wk_bits *bits, int64_t place, bool in);
int64_t wk_bits_count(const struct wk_bits *bits);
/* How many are in both. */
int64_t wk_bits_common(const struct wk_bits *a, const struct wk_bits *b);
void wk_bits_append(bson_t *document, const char *field, const struct wk_bits *bits);

/* The member's place on the roster of the event's meeting, -1: none. */
int64_t wk_roster_place(const struct wk_event *event, struct wk_fold *fold, const char *member);
/* Those of its roster who vote. */
void wk_roster_voters(const struct wk_event *event, struct wk_fold *fold, struct wk_bits *voters);

/* meeting_roster.c: who is convened, and who of them votes, at the time of meeting.convened. */
struct wk_snapshot {
    size_t count;
    const char *names[WK_ROSTER_MAX]; /* sorted; borrowed from event or documents */
    struct wk_bits voters;
};
/* The caller's to free. NULL, with v filled: the roster or its voters cannot be. A roster that the
 * event has written already is taken from there: the branch may have changed since. */
struct wk_snapshot *wk_snapshot_take(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v);

/* The attendance as one sees it now: the value on the meeting's channel. */
void wk_meeting_send_attendance(const struct wk_event *event, struct wk_fold *fold, int64_t present,
                                int64_t should);

/* meeting_rules.c */
/* Of its window, the minutes for which it was open: what took place; 0: never, or outside of its
 * window. They are its hours and stand in the figures. */
uint32_t wk_meeting_minutes(const bson_t *meeting);
/* When a closed meeting counts as held: at the end of its window, if it was open then. */
int64_t wk_meeting_held_ms(const bson_t *meeting);
struct wk_tally {
    int64_t should; /* voting members of the roster */
    int64_t present;
    int64_t yes;
};
Yizhan__V1__VoteResult wk_vote_decide(const struct wk_rules_meeting *rules,
                                      Yizhan__V1__VoteKind kind, const struct wk_tally *tally);
/* At least one meeting of the kind in so many months; 0: none is asked for. */
int64_t wk_meeting_every_months(const struct wk_rules_meeting *rules, Yizhan__V1__MeetingKind kind);
/* From when on a kind is overdue that was held at last_ms, or (0) never since began_ms. */
int64_t wk_meeting_overdue_ms(const struct wk_rules_calendar *calendar, int64_t every_months,
                              int64_t last_ms, int64_t began_ms);
/* When the reminder is due, outside the quiet hours; 0: none is. */
int64_t wk_meeting_remind_ms(const struct wk_rules *rules, int64_t now_ms, int64_t starts_at_ms);

/* meeting_after.c: who is to have the meeting's hours, or is not any more. */
struct wk_meeting_presence {
    const char *member;
    bool present;
    const char *reason; /* of the correction that says so; "": none */
};
/* In apply() of whatever changes a meeting that is closed: ordinals 0 and 1. presence: NULL: it
 * changes nobody's. */
void wk_meeting_follow(const struct wk_event *event, struct wk_fold *fold, const bson_t *meeting,
                       const struct wk_meeting_presence *presence);
/* The event came after the meeting's closing. */
bool wk_meeting_is_after_close(const struct wk_event *event, const bson_t *meeting);

/* Handlers. */
wk_needs_fn wk_checkin_needs_leave, wk_meeting_needs_vote, wk_meeting_needs_held;
wk_judge_fn wk_checkin_judge_recorded, wk_checkin_judge_leave_requested,
    wk_checkin_judge_leave_decided, wk_checkin_judge_corrected, wk_meeting_judge_vote_opened,
    wk_meeting_judge_vote_cast, wk_meeting_judge_vote_closed, wk_meeting_judge_minutes_filed,
    wk_meeting_judge_due;
wk_apply_fn wk_checkin_apply_recorded, wk_checkin_apply_leave_requested,
    wk_checkin_apply_leave_decided, wk_checkin_apply_corrected, wk_meeting_apply_vote_opened,
    wk_meeting_apply_vote_cast, wk_meeting_apply_vote_closed, wk_meeting_apply_minutes_filed,
    wk_meeting_apply_reminder_due, wk_meeting_apply_credits_due, wk_meeting_apply_held;
wk_answer_fn wk_meeting_answer_list, wk_meeting_answer_mine, wk_meeting_answer_gaps,
    wk_meeting_answer_statistics, wk_meeting_answer_votes, wk_meeting_answer_minutes;

/* meeting_query.c: the meeting's document, kept in the arena. */
YZ_MUST_USE enum yz_err wk_meeting_load(const struct wk_query *query, const char *org_path,
                                        const char *meeting_id, bson_t *meeting,
                                        struct yz_violation *v);
/* "<first>" <= _id < "<last>": documents whose id begins with the meeting's, from behind `after`.
 */
void wk_meeting_range(bson_t *filter, const struct wk_query *query, const char *org_path,
                      const char *meeting_id, const char *after);
Yizhan__V1__MeetingAnnounced *wk_meeting_announced_new(struct yz_arena *arena,
                                                       const bson_t *meeting);

#endif
