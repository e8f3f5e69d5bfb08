/* table.h: uthash, the hash table of this code, with our allocation.
 *
 * Lifetime  a table is the pointer to its first item; each item carries a UT_hash_handle hh.
 * Thread    as its owner.
 * Limits    out of memory: nothing is added and YZ_TABLE_ADDED says false (never in a program whose
 *           policy is to wait, see memory.h).
 */
#ifndef YZ_TABLE_H
#define YZ_TABLE_H

#include "common/memory.h"

#define HASH_NONFATAL_OOM   1
#define uthash_malloc(size) yz_malloc(size)
#include <uthash.h>

/* Behind a HASH_ADD: the item is in its table. */
#define YZ_TABLE_ADDED(item) ((item)->hh.tbl != NULL)

#endif
