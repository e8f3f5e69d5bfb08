#include "gateway/files.h"

#include "common/log.h"
#include "common/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX_BYTES ((size_t)64 << 20)
#define PATH_TEXT_MAX   1024

struct gw_files {
    struct gw_file *list; /* sorted by path once loaded */
    size_t count, cap, bytes;
};

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".wasm", "application/wasm"},
};

static const char *type_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(dot, types[i].suffix) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static bool read_all(const char *path, size_t len, uint8_t *data)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t used = 0;
    ssize_t got = 1;

    if (fd < 0)
        return false;
    while (used < len && (got = read(fd, data + used, len - used)) > 0)
        used += (size_t)got;
    close(fd);
    return used == len;
}

static struct gw_file *new_file(struct gw_files *files)
{
    if (files->count == files->cap) {
        size_t cap = files->cap ? files->cap * 2 : 32;
        struct gw_file *list = realloc(files->list, cap * sizeof *list);

        if (!list)
            return NULL;
        files->list = list;
        files->cap = cap;
    }
    return memset(&files->list[files->count], 0, sizeof *files->list);
}

static bool add_file(struct gw_files *files, const char *path, const char *name, size_t len)
{
    struct gw_file *file = new_file(files);
    char hash[33];

    if (!file || files->bytes + len > FILES_MAX_BYTES)
        return false;
    file->path = strdup(name);
    file->data = malloc(len + 1);
    file->len = len;
    if (!file->path || !file->data || !read_all(path, len, file->data)) {
        free(file->path);
        free(file->data);
        return false;
    }
    yz_hash(&(struct yz_part){file->data, len}, 1, hash);
    snprintf(file->etag, sizeof file->etag, "\"%s\"", hash);
    file->content_type = type_of(name);
    files->bytes += len;
    files->count++;
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct gw_file *)a)->path, ((const struct gw_file *)b)->path);
}

static bool walk(struct gw_files *files, FTS *tree, size_t root_len)
{
    FTSENT *entry;

    while ((entry = fts_read(tree))) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
            fts_set(tree, entry, FTS_SKIP);
            continue;
        }
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            return false;
        if (entry->fts_info == FTS_F &&
            !add_file(files, entry->fts_path, entry->fts_path + root_len,
                      (size_t)entry->fts_statp->st_size))
            return false;
    }
    return true;
}

enum yz_err gw_files_load(const char *dir, struct gw_files **out)
{
    struct gw_files *files = calloc(1, sizeof *files);
    char root[PATH_TEXT_MAX];
    char *roots[] = {root, NULL};
    size_t len = strlen(dir);
    FTS *tree;
    bool good;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (!files || len >= sizeof root) {
        free(files);
        return YZ_INTERNAL;
    }
    *out = files;
    if (len == 0)
        return YZ_OK;
    memcpy(root, dir, len);
    root[len] = '\0';
    tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    good = tree && walk(files, tree, len);
    if (tree)
        fts_close(tree);
    if (!good) {
        yz_error("static_dir_unusable", "static_dir=%s max_bytes=%zu reason=%s", root,
                 FILES_MAX_BYTES, strerror(errno));
        gw_files_free(files);
        return YZ_NOT_FOUND;
    }
    if (files->count > 0)
        qsort(files->list, files->count, sizeof *files->list, by_path);
    yz_info("static_files_loaded", "static_dir=%s count=%zu bytes=%zu", root, files->count,
            files->bytes);
    return YZ_OK;
}

void gw_files_free(struct gw_files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++) {
        free(files->list[i].path);
        free(files->list[i].data);
    }
    free(files->list);
    free(files);
}

const struct gw_file *gw_files_find(const struct gw_files *files, const char *path)
{
    char name[PATH_TEXT_MAX];
    struct gw_file wanted = {.path = name};
    size_t len = strlen(path);
    bool folder = len > 0 && path[len - 1] == '/';
    int written = snprintf(name, sizeof name, "%s%s", path, folder ? "index.html" : "");

    if (written < 0 || (size_t)written >= sizeof name || files->count == 0)
        return NULL;
    return bsearch(&wanted, files->list, files->count, sizeof wanted, by_path);
}
