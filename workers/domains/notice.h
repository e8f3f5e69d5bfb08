/* notice.h: what the files of the domain notice share: whom a notice is for, and the receipts of
 * one branch.
 *
 * Lifetime  texts are borrowed from the documents.
 * Thread    any; pure.
 * Limits    WK_BRANCH_PLACES_MAX places in a set.
 *
 * Documents
 *   notices          _id "<tenant>|<notice>", written on the aggregate "notice|<notice>". `inbox`,
 * the addressed orgs, is there once it is released: the index of the inboxes holds nothing else.
 *   notice_receipts  _id "<tenant>|<notice>|<branch>", written on "receipts|<branch>": `delivered`,
 *                    `read` and `confirmed` are bitmaps over the places of the branch (bit p % 8 of
 *                    byte p / 8), each within the one before, a set that is empty being absent;
 *                    `confirmed_at`, [{p, t}]; `others`, members without a place, [{m, r: read, t:
 *                    confirmed at}].
 *   notice_reminders _id "<tenant>|<branch>", written on "reminders|<branch>": the local `day`, and
 * how many reminders each member of the branch was sent on it: `counts`, two bytes (the low one
 * first) for each place, and `others`, [{m, n}]; `done`, what the events of that day and the one
 * before decided, [{s: sequence, d: day, …}], so that a replay sends the same.
 */
#ifndef WK_NOTICE_H
#define WK_NOTICE_H

#include "workers/domain.h"
#include "workers/roster.h"

#include <notice.pb-c.h>

#define WK_NOTICES          "notices"
#define WK_NOTICE_RECEIPTS  "notice_receipts"
#define WK_NOTICE_REMINDERS "notice_reminders"

#define WK_NOTICE_PATHS_MAX 32

void wk_notice_id(const struct yz_actor *actor, const char *notice_id, char out[WK_ID_MAX]);
Yizhan__V1__NoticeState wk_notice_state(const bson_t *notice);
Yizhan__V1__NoticeClass wk_notice_class(const bson_t *notice);
/* Members were told of it once, whatever became of it: an urgent one that nobody approved never. */
bool wk_notice_was_released(const bson_t *notice);
bool wk_notice_expired(const bson_t *notice, int64_t now_ms);
/* Urgent, and released by a second person: neither quiet hours nor a budget hold it back. */
bool wk_notice_passes(const bson_t *notice);

/* The addressed org that covers org_path; NULL: none does. */
const char *wk_notice_covering(const bson_t *notice, const char *org_path);
/* It addresses an org below org_path. */
bool wk_notice_addresses_below(const bson_t *notice, const char *org_path);
/* The member of this org path is addressed; *path (may be NULL): the org through which. */
bool wk_notice_addresses(const bson_t *notice, const struct yz_actor *actor, const char **path);
/* The same of somebody on the roster of a branch that an addressed org covers. */
bool wk_notice_addresses_listed(const bson_t *notice, const struct wk_branch_member *member);
/* The actor has a role "secretary" or "admin" over all addressed orgs; overseers: over one of
 * them, or "inspector". */
bool wk_notice_in_scope(const bson_t *notice, const struct yz_actor *actor);
bool wk_notice_overseen(const bson_t *notice, const struct yz_actor *actor);

/* receipts */

enum wk_receipt { WK_DELIVERED, WK_READ, WK_CONFIRMED, WK_RECEIPTS };

void wk_receipts_id(const char *tenant, const char *notice_id, const char *branch,
                    char out[WK_ID_MAX]);

struct wk_receipt_counts {
    uint32_t should, done[WK_RECEIPTS];
};
/* How many receipts there are, whoever gave them; should stays 0. receipts may be NULL. */
struct wk_receipt_counts wk_receipts_given(const bson_t *receipts);
/* Of those who belong to the branch now and are addressed, and of whoever has given one without
 * standing on the roster. Exact; branch and receipts may be NULL. */
struct wk_receipt_counts wk_receipts_count(const bson_t *notice, const bson_t *branch,
                                           const bson_t *receipts);
/* The member's own; member on the roster or not (then entry is NULL). */
bool wk_receipts_has(const bson_t *receipts, enum wk_receipt receipt, const char *member,
                     const struct wk_branch_member *entry);
/* When the member confirmed; 0: not. */
int64_t wk_receipts_confirmed_ms(const bson_t *receipts, const char *member,
                                 const struct wk_branch_member *entry);
/* for (wk_receipts_others(receipts, &walk); wk_receipts_next_other(&walk, &other);) */
struct wk_other_receipt {
    const char *member;
    bool read;
    int64_t confirmed_ms; /* 0: not */
};
void wk_receipts_others(const bson_t *receipts, struct wk_branch_walk *walk);
bool wk_receipts_next_other(struct wk_branch_walk *walk, struct wk_other_receipt *out);
/* The document with one more receipt, and those it implies; NULL: it held them already. entry NULL:
 * the member has no place. *given: the counts behind it. */
bson_t *wk_receipts_with(const bson_t *receipts, const char *notice_id, const char *branch,
                         enum wk_receipt receipt, const char *member,
                         const struct wk_branch_member *entry, int64_t at_ms,
                         struct wk_receipt_counts *given);

/* the handlers of the other files, for the tables in notice.c */

wk_needs_fn wk_notice_needs_received, wk_notice_needs_read, wk_notice_needs_confirmed,
    wk_notice_needs_reminded, wk_notice_needs_remind_due;
wk_judge_fn wk_notice_judge_received, wk_notice_judge_read, wk_notice_judge_confirmed,
    wk_notice_judge_reminded, wk_notice_judge_remind_due;
wk_apply_fn wk_notice_apply_received, wk_notice_apply_read, wk_notice_apply_confirmed,
    wk_notice_apply_reminded, wk_notice_apply_remind_due;
wk_answer_fn wk_notice_list, wk_notice_unread, wk_notice_get, wk_notice_pending, wk_notice_report,
    wk_notice_unread_members;

#endif
