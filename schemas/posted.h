/* posted.h: the queries whose requests hold what tells of a person: part of a name, or a cursor
 * made of one, the receipt of a complaint, the event id that one was filed with. Over HTTP they are
 * asked by POST alone, the request being the body: a URL stands in logs, in histories and in
 * proxies.
 *
 * Lifetime  constant table.
 * Thread    any; pure.
 */
#ifndef YZ_POSTED_H
#define YZ_POSTED_H

#include <stdbool.h>

bool yz_query_posted(const char *type);

#endif
