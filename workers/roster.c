#include "workers/roster.h"

#include "workers/document.h"

#include <string.h>

void wk_branch_id(char out[WK_ID_MAX], const char *tenant, const char *org_path)
{
    wk_id(out, tenant, org_path, NULL);
}

static enum wk_member_kind kind_of(const char *name)
{
    if (strcmp(name, "FULL") == 0)
        return WK_MEMBER_FULL;
    if (strcmp(name, "PROBATIONARY") == 0)
        return WK_MEMBER_PROBATIONARY;
    return strcmp(name, "APPLICANT") == 0 ? WK_MEMBER_APPLICANT : WK_MEMBER_UNKNOWN;
}

static const char *text_at(const bson_iter_t *iter)
{
    return BSON_ITER_HOLDS_UTF8(iter) ? bson_iter_utf8(iter, NULL) : "";
}

static int64_t time_at(const bson_iter_t *iter)
{
    return BSON_ITER_HOLDS_DATE_TIME(iter) ? bson_iter_date_time(iter) : 0;
}

/* One pass over the entry: a branch is walked for each event of its members. */
static void read_entry(bson_iter_t *fields, struct wk_branch_member *out)
{
    *out = (struct wk_branch_member){.member = "", .roles = ""};
    while (bson_iter_next(fields)) {
        const char *key = bson_iter_key(fields);

        if (strcmp(key, "m") == 0)
            out->member = text_at(fields);
        else if (strcmp(key, "p") == 0)
            out->place = (uint32_t)bson_iter_as_int64(fields);
        else if (strcmp(key, "k") == 0)
            out->kind = kind_of(text_at(fields));
        else if (strcmp(key, "r") == 0)
            out->roles = text_at(fields);
        else if (strcmp(key, "j") == 0)
            out->joined_at_ms = time_at(fields);
        else if (strcmp(key, "l") == 0)
            out->left_at_ms = time_at(fields);
    }
}

void wk_branch_begin(struct wk_branch_walk *walk, const bson_t *branch)
{
    walk->there = branch && wk_document_array(branch, "members", &walk->entries);
}

bool wk_branch_next(struct wk_branch_walk *walk, struct wk_branch_member *out)
{
    bson_iter_t fields;

    while (walk->there && bson_iter_next(&walk->entries)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&walk->entries) ||
            !bson_iter_recurse(&walk->entries, &fields))
            continue;
        read_entry(&fields, out);
        return true;
    }
    return false;
}

bool wk_branch_find(const bson_t *branch, const char *member, struct wk_branch_member *out)
{
    struct wk_branch_walk walk;

    for (wk_branch_begin(&walk, branch); wk_branch_next(&walk, out);) {
        if (strcmp(out->member, member) == 0)
            return true;
    }
    return false;
}

const char *wk_roles_held(const bson_t *holders, const char *member)
{
    struct wk_branch_member holder;
    struct wk_branch_walk walk;

    /* Its fields m, r and p are those of a branch's entry. */
    walk.there = holders && wk_document_array(holders, "holders", &walk.entries);
    while (wk_branch_next(&walk, &holder)) {
        if (strcmp(holder.member, member) == 0)
            return holder.roles;
    }
    return "";
}
