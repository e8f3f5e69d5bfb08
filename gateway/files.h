/* files.h: the static files of static_dir, read into memory once, so that serving one neither
 * blocks the loop nor resolves a path from outside.
 *
 * Lifetime  loaded at start; a gw_file stays as long as the gw_files.
 * Thread    loop; loading blocks, so only before the loop runs.
 * Limits    FILES_MAX_BYTES in all; regular files only, no links, no names that begin with a dot.
 */
#ifndef GW_FILES_H
#define GW_FILES_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct gw_file {
    char *path; /* "/index.html" */
    const char *content_type;
    char etag[36]; /* with its quotes */
    uint8_t *data;
    size_t len;
};

struct gw_files;

/* dir "": no files. YZ_NOT_FOUND: the folder cannot be read, or holds too much (logged). */
YZ_MUST_USE enum yz_err gw_files_load(const char *dir, struct gw_files **files);
void gw_files_free(struct gw_files *files);
/* "/" and "/folder/" find their index.html; NULL: none. */
const struct gw_file *gw_files_find(const struct gw_files *files, const char *path);

#endif
