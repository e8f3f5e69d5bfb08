#include "gateway/origin.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct gw_origins {
    char *text; /* of the setting, cut into the list */
    const char *list[ORIGINS_MAX];
    size_t count;
    bool any;
};

static const char *const schemes[] = {"https://", "http://"};

/* What stands behind the scheme; NULL: it has none of ours. */
static const char *authority_of(const char *origin)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);

        if (strncasecmp(origin, schemes[i], len) == 0)
            return origin + len;
    }
    return NULL;
}

/* "https://pages.example", "http://127.0.0.1:8080": no path, no user, nothing a header could not
 * hold. */
static bool is_origin(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_:[]";
    const char *authority = authority_of(text);

    return authority && *authority && authority[strspn(authority, allowed)] == '\0';
}

static bool take(struct gw_origins *origins, const char *entry)
{
    if (strcmp(entry, "*") == 0) {
        origins->any = true;
        return true;
    }
    if (!is_origin(entry) || origins->count == ORIGINS_MAX) {
        yz_error("allowed_origins_unusable", "entry=\"%s\" max=%d", entry, ORIGINS_MAX);
        return false;
    }
    origins->list[origins->count++] = entry;
    return true;
}

enum yz_err gw_origins_new(const char *allowed, struct gw_origins **out)
{
    struct gw_origins *origins = calloc(1, sizeof *origins);
    char *rest, *entry;

    if (!origins || !(origins->text = rest = strdup(allowed))) {
        free(origins);
        return YZ_INTERNAL;
    }
    while ((entry = strsep(&rest, ", "))) {
        if (*entry && !take(origins, entry)) {
            gw_origins_free(origins);
            return YZ_INVALID_VALUE;
        }
    }
    *out = origins;
    return YZ_OK;
}

void gw_origins_free(struct gw_origins *origins)
{
    if (!origins)
        return;
    free(origins->text);
    free(origins);
}

bool gw_origins_admit(const struct gw_origins *origins, const char *origin, const char *host,
                      const char **cors)
{
    const char *authority = authority_of(origin), *answer = "";
    bool good = *origin == '\0';

    if (!good && origins->any) {
        good = true;
        answer = "*";
    }
    for (size_t i = 0; !good && i < origins->count; i++) {
        good = strcasecmp(origin, origins->list[i]) == 0;
        answer = good ? origins->list[i] : "";
    }
    if (!good && origins->count == 0)
        good = authority && *host && strcasecmp(authority, host) == 0;
    if (cors)
        *cors = answer;
    return good;
}
