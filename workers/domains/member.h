/* member.h: what the files of the domain `member` share: its collections, and a file as a document.
 *
 * A file, collection WK_MEMBERS, _id "<tenant>|<member>": member_id, org_path, scopes (org_path and
 * all above it: by them it is found), status, name, name_key (name and member id: what pages are
 * ordered by), kind, gender, birthday, joined_on, full_on, education, position, roles, revision,
 * registered_at, changed_at, archived_at, archive_reason; and sealed by vault.h: id_number, phone,
 * dues_base. Its history, WK_MEMBER_CHANGES, _id "<tenant>|<member>|<revision>", of a move that the
 * file followed "<tenant>|<member>|by-<sequence>", is insert-only: what differs, and in `ended` the
 * orgs that its roles name no more.
 *
 * Who has a role over an org, wherever the member belongs, stands in WK_ROLE_HOLDERS (roster.h),
 * written on the aggregate of the org's roster. By it the scopes of roles follow an org that is
 * moved. It is told by member.role_held, of every role of a file that changes, and again when a
 * term begins or ends.
 *
 * Lifetime  documents that are made are the caller's.
 * Thread    worker, query threads; pure.
 * Limits    those of the contract.
 */
#ifndef WK_DOMAINS_MEMBER_H
#define WK_DOMAINS_MEMBER_H

#include "workers/domain.h"
#include "workers/roster.h"
#include "workers/vault.h"

#include <member.pb-c.h>

#define WK_MEMBERS          "members"
#define WK_MEMBER_CHANGES   "member_changes"
#define WK_ROLES_TEXT_MAX   64
#define WK_MEMBER_TERMS_MAX 16
/* Room for the longest value, which are the roles: an org path and two times each. */
#define WK_FIELD_TEXT_MAX (WK_MEMBER_TERMS_MAX * (YZ_ORG_PATH_MAX + 64))

void wk_member_id(char out[WK_ID_MAX], const char *tenant, const char *member);

/* A field is kept under the member's key. */
bool wk_member_field_sealed(Yizhan__V1__MemberField field);
/* Its name in documents: "id_number". NULL: it is none of a file's own. */
const char *wk_member_field_name(Yizhan__V1__MemberField field);
/* The value of a field of a message as text; roles one after the other. */
void wk_member_value(const Yizhan__V1__MemberFile *file, Yizhan__V1__MemberField field,
                     char out[WK_FIELD_TEXT_MAX]);
/* What a change makes of the days in a file fits together: nobody joins before being born. */
enum yz_err wk_member_judge_days(const bson_t *old, const Yizhan__V1__MemberFile *file,
                                 uint32_t set, struct yz_violation *v);
/* The value of a plain field of a document as text. */
void wk_member_stored_value(const bson_t *document, Yizhan__V1__MemberField field,
                            char out[WK_FIELD_TEXT_MAX]);

/* What an event makes of a file. */
struct wk_member_patch {
    const Yizhan__V1__MemberFile *file; /* may be NULL when nothing is set from it */
    uint32_t set;                       /* bits of enum MemberField: taken from file */
    const char *org_path;               /* NULL: as it was */
    const char *scope_from;             /* roles' scopes below it are moved to scope_to; or NULL */
    const char *scope_to;
    const char *archive_reason; /* NULL: as it was */
    bool drop_sealed;
    int64_t revision;
    int64_t at_ms;
};
#define WK_MEMBER_BIT(field) (UINT32_C(1) << (field))
/* The file after it. old is NULL for a new one. A value that cannot be sealed (judge() saw to it)
 * is left out. */
bson_t *wk_member_patched(const struct wk_context *context, const struct wk_event *event,
                          const char *member, const bson_t *old, const bson_t *key,
                          const struct wk_member_patch *patch);
/* The entry of the history: which fields differ, and how, and which scopes are named no more. */
bson_t *wk_member_change(const struct wk_event *event, const char *member, const bson_t *old,
                         const bson_t *changed, const struct wk_member_patch *patch,
                         const char *basis);

/* Roles of the file over org_path at that time: "secretary,admin", each once. */
void wk_member_roles_over(const bson_t *file, const char *org_path, int64_t at_ms,
                          char out[WK_ROLES_TEXT_MAX]);
/* One role of a document. Texts are borrowed. */
struct wk_member_term {
    Yizhan__V1__MemberRole role;
    const char *scope;
    int64_t from_ms, until_ms; /* 0: none */
};
size_t wk_member_terms(const bson_t *file, struct wk_member_term terms[WK_MEMBER_TERMS_MAX]);
/* The orgs that its roles name, each once; of an archived file (or none) there are none. */
size_t wk_member_scopes(const bson_t *file, const char *scopes[WK_MEMBER_TERMS_MAX]);
/* Those that an entry of the history has ended; one of an earlier version tells of none. change may
 * be NULL. */
size_t wk_member_ended(const bson_t *change, const char *scopes[WK_MEMBER_TERMS_MAX]);
/* "secretary" */
const char *wk_member_role_name(Yizhan__V1__MemberRole role);

/* A role of the file that begins or ends later is told to the branch's roster then, and to the orgs
 * that the roles name. */
void wk_member_owe_terms(const struct wk_event *event, struct wk_fold *fold, const bson_t *file);
/* Owe the orgs that the file's roles name: that it has them, which are live at at_ms, and, of those
 * that change ended (NULL: none), that it has no more. change is the stored entry of the history,
 * not one made anew: in a replay the file before it is gone. */
void wk_member_owe_scopes(const struct wk_event *event, struct wk_fold *fold, const bson_t *change,
                          const bson_t *file, int64_t at_ms);
/* Owe the branch's roster what the file says of it: that it has the member, or, left, has not. */
void wk_member_owe_placing(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                           const bson_t *file, const char *org_path, bool left, int64_t at_ms);
/* Tell the member that the file was changed, by whom and what. */
void wk_member_push_change(const struct wk_event *event, struct wk_fold *fold, const char *member,
                           uint64_t revision, Yizhan__V1__MemberField *fields, size_t count,
                           const char *basis);

/* Handlers of member_branch.c. */
void wk_member_needs_placed(const struct wk_event *event, struct wk_needs *needs);
enum yz_err wk_member_judge_placed(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v);
void wk_member_apply_placed(const struct wk_event *event, struct wk_fold *fold);
void wk_member_needs_role_held(const struct wk_event *event, struct wk_needs *needs);
enum yz_err wk_member_judge_role_held(const struct wk_event *event, struct wk_fold *fold,
                                      struct yz_violation *v);
void wk_member_apply_role_held(const struct wk_event *event, struct wk_fold *fold);
void wk_member_needs_branch_moved(const struct wk_event *event, struct wk_needs *needs);
void wk_member_apply_branch_moved(const struct wk_event *event, struct wk_fold *fold);
void wk_member_needs_followed(const struct wk_event *event, struct wk_needs *needs);
void wk_member_apply_followed(const struct wk_event *event, struct wk_fold *fold);
void wk_member_needs_term_passed(const struct wk_event *event, struct wk_needs *needs);
void wk_member_apply_term_passed(const struct wk_event *event, struct wk_fold *fold);

/* Answers of member_query.c and member_lookup.c. */
wk_answer_fn wk_member_answer_search, wk_member_answer_get, wk_member_answer_changes,
    wk_member_answer_accesses, wk_member_answer_roster;

#endif
