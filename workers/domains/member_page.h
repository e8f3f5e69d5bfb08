/* member_page.h: pages of rows, as the queries of the domain `member` read them.
 *
 * Lifetime  a page lives for one query; what it holds is in the query's arena.
 * Thread    query thread; wk_member_find blocks.
 * Limits    at most WK_MEMBER_PAGE_MAX rows, and WK_PAGE_MAX_BYTES of them.
 */
#ifndef WK_DOMAINS_MEMBER_PAGE_H
#define WK_DOMAINS_MEMBER_PAGE_H

#include "workers/domain.h"

#include <member.pb-c.h>

#define WK_MEMBER_PAGE_MAX 100

struct wk_member_page {
    const struct wk_query *query;
    void *answer; /* the reply, which take() adds to */
    /* false: the arena is full */
    bool (*take)(struct wk_member_page *page, const bson_t *row);
    size_t count, limit, bytes;
    const char *const *fields; /* that are read, ends with NULL; NULL: all */
    const char *cursor;        /* of the last row, as take() left it */
    bool more, full;
};

size_t wk_member_limit(uint32_t asked, size_t usual);
/* Walk an index whose last field is `order`. YZ_BUSY: the arena is full, or the database away. */
YZ_MUST_USE enum yz_err wk_member_find(struct wk_member_page *page, const char *collection,
                                       const bson_t *filter, const char *order, int direction);
/* The roles of a kept document, in the arena. false: it is full. */
bool wk_member_read_roles(struct yz_arena *arena, const bson_t *kept,
                          Yizhan__V1__MemberRoleTerm ***roles, size_t *count);

#endif
