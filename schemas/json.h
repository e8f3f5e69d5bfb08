/* json.h: jansson's parser, whole or not at all.
 *
 * jansson 2.14 ignores that a character of a string or number found no memory and reads on: a text
 * comes out with a hole. Here that is a failure.
 *
 * Lifetime  the value is the caller's to release.
 * Thread    any. The program gave jansson yz_malloc (json_set_alloc_funcs), else want of memory is
 *           not noticed.
 */
#ifndef YZ_JSON_H
#define YZ_JSON_H

#include <jansson.h>
#include <stddef.h>

/* As json_loadb; error may be NULL. NULL also when memory was refused (see yz_memory_refusals). */
json_t *yz_json_load(const char *text, size_t len, size_t flags, json_error_t *error);

#endif
