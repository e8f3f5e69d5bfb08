/* org.h: the tree of orgs, as other domains and the files of `org` see it.
 *
 * An org, collection WK_ORGS, _id "<tenant>|<org path>": org_path, parent ("" at the top), name,
 * kind, live, since, until and moved_to (once it is not live), next_place, children: an array in
 * the order of their ids, {c: id, h: height of the subtree in orgs, t: bytes that its longest path
 * adds, p: its place, a number that is never given again, by which whoever goes down names the
 * child}. All are written by one aggregate, so the tree is always whole. Its history,
 * WK_ORG_CHANGES, is insert-only.
 *
 * Lifetime  none.
 * Thread    worker, query threads; pure.
 * Limits    WK_ORG_CHILDREN_MAX orgs right below one, YZ_ORG_DEPTH_MAX levels.
 */
#ifndef WK_DOMAINS_ORG_H
#define WK_DOMAINS_ORG_H

#include "workers/domain.h"

#define WK_ORGS             "orgs"
#define WK_ORG_CHANGES      "org_changes"
#define WK_ORG_CHILDREN_MAX 1000

void wk_org_id(char out[WK_ID_MAX], const char *tenant, const char *org_path);
/* In needs() and judge() of other domains: whether there is such an org now. */
void wk_org_need(const struct wk_event *event, struct wk_needs *needs, const char *org_path);
bool wk_org_is_live(const struct wk_event *event, struct wk_fold *fold, const char *org_path);

/* The place of an element of children; index: where it stands, for one that was written before
 * there were places. */
int64_t wk_org_child_place(const bson_t *child, size_t index);

wk_answer_fn wk_org_answer_tree, wk_org_answer_history;

#endif
