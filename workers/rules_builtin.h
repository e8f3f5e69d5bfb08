/* rules_builtin.h: the files of schemas/rules as they were when the worker was built; CMake writes
 * their bytes.
 *
 * Lifetime  constant.
 * Thread    any.
 */
#ifndef WK_RULES_BUILTIN_H
#define WK_RULES_BUILTIN_H

#include <stddef.h>

struct wk_rules_file {
    const char *name; /* "meeting"; NULL behind the last */
    const unsigned char *text;
    size_t len;
};
extern const struct wk_rules_file wk_rules_builtin[];

#endif
