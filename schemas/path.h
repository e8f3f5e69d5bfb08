/* path.h: where in a message a decoder stands, to name the field of an error:
 * "emit.payload.roster[3]".
 *
 * Lifetime  links of a list on the decoder's stack, from the message to the outermost; borrowed
 *           names.
 * Thread    any.
 * Limits    the text is cut at YZ_FIELD_MAX, at the end of a character.
 *
 * Written only when something is wrong: a good message pays for none of it.
 */
#ifndef YZ_PATH_H
#define YZ_PATH_H

#include "common/err.h"

#include <stddef.h>

#define YZ_PATH_FIELD   (-1) /* a field that is not repeated, or all of it */
#define YZ_PATH_OUTSIDE (-2) /* no field of the schema: the name is the client's */

struct yz_path {
    const struct yz_path *outer;
    const char *name; /* as in the .proto, unless it is the client's */
    long index;       /* of a repeated field's element, or one of the above */
};

/* "org_path" as "orgPath". The result is cut at cap. */
void yz_path_camel(const char *name, char *out, size_t cap);
/* yz_violate with the path's text (NULL: the message itself). */
enum yz_err yz_path_violate(const struct yz_path *path, struct yz_violation *v, enum yz_err err,
                            const char *text);

#endif
