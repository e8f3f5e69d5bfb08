#include "schemas/path.h"

#include <stdio.h>
#include <string.h>

void yz_path_camel(const char *name, char *out, size_t cap)
{
    size_t len = 0;
    bool upper = false;

    for (; *name && len + 1 < cap; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        out[len++] = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        upper = false;
    }
    out[len] = '\0';
}

static size_t write_path(const struct yz_path *path, char *out, size_t cap, size_t len)
{
    char name[YZ_FIELD_MAX];
    int more;

    if (path->outer)
        len = write_path(path->outer, out, cap, len);
    if (path->index == YZ_PATH_OUTSIDE)
        snprintf(name, sizeof name, "%s", path->name);
    else
        yz_path_camel(path->name, name, sizeof name);
    for (char *p = name; *p; p++) {
        /* A client's name may go into a header. */
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    }
    if (path->index >= 0)
        more = snprintf(out + len, cap - len, "%s%s[%ld]", len ? "." : "", name, path->index);
    else
        more = snprintf(out + len, cap - len, "%s%s", len ? "." : "", name);
    len += (size_t)more;
    return len < cap ? len : cap - 1;
}

enum yz_err yz_path_violate(const struct yz_path *path, struct yz_violation *v, enum yz_err err,
                            const char *text)
{
    char field[YZ_FIELD_MAX] = "";

    if (path)
        write_path(path, field, sizeof field, 0);
    return yz_violate(v, err, field, text);
}
