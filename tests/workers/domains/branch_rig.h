/* branch_rig.h: the register of a branch as its document, entry by entry.
 *
 * Lifetime  between branch_begin and branch_end, which leave the document to the caller.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_DOMAINS_BRANCH_RIG_H
#define YZ_TEST_WORKERS_DOMAINS_BRANCH_RIG_H

#include <bson/bson.h>
#include <stdint.h>
#include <stdio.h>

struct branch_rig {
    bson_t *document, members;
    unsigned count;
};

/* What is NULL or 0 the entry does not have; its place it always has. */
struct branch_entry {
    const char *member;
    int32_t place;
    const char *kind, *roles;
    int64_t joined_at_ms, left_at_ms;
};

/* org_path NULL: the document does not say it. */
static inline void branch_begin(struct branch_rig *branch, bson_t *document, const char *org_path)
{
    if (org_path)
        BSON_APPEND_UTF8(document, "org_path", org_path);
    branch->document = document;
    branch->count = 0;
    BSON_APPEND_ARRAY_BEGIN(document, "members", &branch->members);
}

static inline void branch_enrol(struct branch_rig *branch, const struct branch_entry *of)
{
    char key[16];
    bson_t entry;

    snprintf(key, sizeof key, "%u", branch->count++);
    BSON_APPEND_DOCUMENT_BEGIN(&branch->members, key, &entry);
    BSON_APPEND_UTF8(&entry, "m", of->member);
    BSON_APPEND_INT32(&entry, "p", of->place);
    if (of->kind)
        BSON_APPEND_UTF8(&entry, "k", of->kind);
    if (of->roles)
        BSON_APPEND_UTF8(&entry, "r", of->roles);
    if (of->joined_at_ms)
        BSON_APPEND_DATE_TIME(&entry, "j", of->joined_at_ms);
    if (of->left_at_ms)
        BSON_APPEND_DATE_TIME(&entry, "l", of->left_at_ms);
    bson_append_document_end(&branch->members, &entry);
}

static inline void branch_end(struct branch_rig *branch)
{
    bson_append_array_end(branch->document, &branch->members);
}

#endif
