/* roster.h: who belongs to a branch, and who has a role over it: the documents that the domain
 * `member` keeps for each org path, as other domains read them (audiences, rosters, who has not
 * read, who leads).
 *
 * The document, collection WK_BRANCHES, _id "<tenant>|<org path>": org_path, next_place, and
 * members, an array in the order of their places: {m: member id, p: place, k: kind by name, r:
 * roles
 * ("secretary,inspector"), j: joined at, l: left at}. A place is a number that is never given
 * again: a set of members of the branch is a bitmap over places. Who left stays, with l.
 * It is written by the domain member alone, on the aggregate "branch|<org path>"; others name it in
 * needs() with wk_need and take it as it is: it may be a moment old.
 *
 * Who has a role whose scope is this org, wherever it belongs, stands in WK_ROLE_HOLDERS, of the
 * same _id and aggregate: org_path, next_place, and holders: {m: member id, r: its roles over this
 * org by now (documents may be older than this field), p: place among them, v: the file's
 * revision}; and ended: {m, v} of those whose roles over it ended last.
 *
 * Lifetime  what is found is borrowed from the document.
 * Thread    any; pure.
 * Limits    WK_BRANCH_PLACES_MAX members ever, in one branch.
 */
#ifndef WK_ROSTER_H
#define WK_ROSTER_H

#include "workers/domain.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#define WK_BRANCHES          "branches"
#define WK_ROLE_HOLDERS      "role_holders"
#define WK_BRANCH_PLACES_MAX 20000

enum wk_member_kind {
    WK_MEMBER_UNKNOWN,
    WK_MEMBER_FULL,         /* 正式党员: votes and counts for a quorum */
    WK_MEMBER_PROBATIONARY, /* 预备党员 */
    WK_MEMBER_APPLICANT,    /* 入党积极分子, and others who take part without being members */
};

struct wk_branch_member {
    const char *member;
    uint32_t place;
    enum wk_member_kind kind;
    const char *roles; /* over this branch, comma-separated; "" */
    int64_t joined_at_ms;
    int64_t left_at_ms; /* 0: belongs to it */
};

/* _id of the branch's document. */
void wk_branch_id(char out[WK_ID_MAX], const char *tenant, const char *org_path);

/* for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, &member);) in the order of places; who
 * left is told, too. branch may be NULL: nobody. */
struct wk_branch_walk {
    bson_iter_t entries;
    bool there;
};
void wk_branch_begin(struct wk_branch_walk *walk, const bson_t *branch);
bool wk_branch_next(struct wk_branch_walk *walk, struct wk_branch_member *out);
/* false: never belonged to it. */
bool wk_branch_find(const bson_t *branch, const char *member, struct wk_branch_member *out);

/* Roles over the org of one who stands in its document of WK_ROLE_HOLDERS, comma-separated; "":
 * none, or the document (or NULL) does not say. */
const char *wk_roles_held(const bson_t *holders, const char *member);

#endif
