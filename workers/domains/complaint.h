/* complaint.h: what the files of the domain complaint share: who handles (complaint_appointment.c),
 * filing (complaint_filing.c), what else a reporter does (complaint_reporter.c), what a handler
 * does and the clocks (complaint_handling.c), queries (complaint_query.c).
 *
 * Documents, each written by its own aggregate alone:
 *   complaint_handlers  _id "<tenant>|<org path>": handlers, an array of {m: member, h: home path,
 *                       i: key id, p: public key, f, u: from and until, a: when that was said,
 *                       n: independent, l: [orgs that it leads]}.
 *   complaint_keys      _id "<tenant>|<key id>": m: member, p: public key, which never change, and
 *                       terms, [{o: org, i: key id, f, u}].
 *   complaint_terms     _id "<tenant>|<member>": terms, as above. The three are of one aggregate of
 *                       the tenant.
 *   complaints          _id "<tenant>|<id>", the id being yz_receipt_case: no receipt, no reporter,
 *                       no accused. handlers and approvers (member ids) and keys [{i, m, p}] never
 *                       lose none. accused and place are hashes with the id: they only tell
 *                       whether an asker is the one, and whether a case is handed on as filed.
 *   complaint_messages  _id as the complaint's: entries [{s: sequence, f: "REPORTER" or "HANDLER",
 *                       a: at, c: box for the reply key, k: [{i: key id, b: box}]}].
 * Both expire by purge_at, which is set when the complaint is closed.
 *
 * Lifetime  constants; texts are borrowed from documents.
 * Thread    any; pure, save the queries.
 * Limits    WK_DIALOGUE_MAX entries.
 */
#ifndef WK_COMPLAINT_H
#define WK_COMPLAINT_H

#include "schemas/receipt.h"
#include "workers/domain.h"
#include "workers/domains/complaint_route.h"

#include <complaint.pb-c.h>

#define WK_COMPLAINTS         "complaints"
#define WK_COMPLAINT_MESSAGES "complaint_messages"
#define WK_COMPLAINT_HANDLERS "complaint_handlers"
#define WK_COMPLAINT_KEYS     "complaint_keys"
#define WK_COMPLAINT_TERMS    "complaint_terms"
#define WK_DIALOGUE_MAX       64
#define WK_DAY_MS             INT64_C(86400000)
#define WK_HOUR_MS            INT64_C(3600000)

typedef Yizhan__V1__Complaint__State wk_complaint_state_t;

/* The complaint that an event is about. */
void wk_complaint_ref(const struct wk_event *event, char id[YZ_ID_MAX]);
void wk_needs_complaint(const struct wk_event *event, struct wk_needs *needs);
void wk_needs_dialogue(const struct wk_event *event, struct wk_needs *needs);
const bson_t *wk_complaint_get(const struct wk_event *event, struct wk_fold *fold);

wk_complaint_state_t wk_complaint_state(const bson_t *complaint);
bool wk_complaint_open(const bson_t *complaint);
/* A member stands in the list `field`. */
bool wk_complaint_lists(const bson_t *complaint, const char *field, const char *member);
/* A new copy without these fields (names behind `first`, NULL at the end) and the frame's own. */
bson_t *wk_complaint_without(const bson_t *complaint, const char *first, ...)
    __attribute__((sentinel));
/* due_key, by which lists are sorted: unique, in the order of time. */
void wk_complaint_append_due(bson_t *complaint, const char *id, int64_t due_ms);
void wk_complaint_put(const struct wk_event *event, struct wk_fold *fold, bson_t *complaint);
void wk_complaint_append_binary(bson_t *to, const char *field, const ProtobufCBinaryData *data);
/* By a document of complaint_keys or complaint_terms, whoever it is of is appointed over the org,
 * at a time that is not earlier than now_ms and not later than latest_ms. NULL: nobody. */
bool wk_complaint_appointed(const bson_t *document, const char *routed_to, int64_t now_ms,
                            int64_t latest_ms);

/* One more entry of the dialogue, unless it holds this event's already; box may be empty. Returns
 * how many there are then. purge_at_ms 0: not yet known. */
struct wk_complaint_words {
    const char *from;
    const ProtobufCBinaryData *box;
    Yizhan__V1__ComplaintSealed *const *boxes;
    size_t count;
    int64_t purge_at_ms;
};
int32_t wk_complaint_say(const struct wk_event *event, struct wk_fold *fold,
                         const struct wk_complaint_words *words);
/* YZ_TOO_MANY when nothing more can be said. */
YZ_MUST_USE enum yz_err wk_complaint_room(const struct wk_event *event, struct wk_fold *fold,
                                          const char *field, struct yz_violation *v);

/* What tells, of a complaint, whether a member is the accused. */
void wk_complaint_accused(const char *tenant, const char *id, const char *member, char out[33]);

/* The same of where it is routed from; needed to hand it on. */
void wk_complaint_place(const char *tenant, const char *id, const struct wk_route_case *what,
                        char out[33]);

/* What is complained of, known to the hour, the documents that its route needs, and the route
 * (freed by the caller). */
void wk_complaint_case(const char *org_path, const Yizhan__V1__ComplaintAccused *accused,
                       int64_t hour_ms, struct wk_route_case *what);
void wk_complaint_need_route(const char *tenant, const struct wk_route_case *what,
                             struct wk_needs *needs);
struct wk_route *wk_complaint_route(const char *tenant, const struct wk_route_case *what,
                                    struct wk_fold *fold);
/* One more entry of the arrays keys and approvers. */
void wk_complaint_append_key(bson_t *list, uint32_t at, const struct wk_handler *handler);
void wk_complaint_append_text(bson_t *list, uint32_t at, const char *text);

/* Push complaint.updated to those in the list `field` but `except` (NULL: to all of them). */
void wk_complaint_tell(struct wk_fold *fold, const bson_t *complaint, const char *field,
                       const char *except, const Yizhan__V1__ComplaintUpdated *updated);
/* Timers of a clock: the ordinals `ordinal` and the next. */
void wk_complaint_wind(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                       Yizhan__V1__Complaint__Clock clock, int64_t due_ms);

wk_needs_fn wk_needs_appointment, wk_needs_filed, wk_needs_message_added, wk_needs_handling,
    wk_needs_answering;
wk_judge_fn wk_judge_appointment, wk_judge_filed, wk_judge_message_added, wk_judge_rated;
wk_apply_fn wk_apply_appointment, wk_apply_filed, wk_apply_message_added, wk_apply_rated;
wk_judge_fn wk_judge_acknowledged, wk_judge_replied, wk_judge_extension_requested,
    wk_judge_extended, wk_judge_resolved, wk_judge_clock_rung;
wk_apply_fn wk_apply_acknowledged, wk_apply_replied, wk_apply_extension_requested,
    wk_apply_extended, wk_apply_resolved, wk_apply_clock_rung;

extern const struct wk_query_handler wk_complaint_queries[];

#endif
