#include "workers/domains/complaint_route.h"

#include "workers/document.h"
#include "workers/roster.h"

#include <stdio.h>
#include <string.h>

void wk_route_case(const char *org_path, const Yizhan__V1__ComplaintAccused *accused,
                   int64_t now_ms, struct wk_route_case *out)
{
    out->place = accused && *accused->org_path ? accused->org_path : org_path;
    out->member = accused ? accused->member_id : "";
    out->accused = accused != NULL;
    out->now_ms = out->latest_ms = now_ms;
}

void wk_route_orgs(const char *place, struct wk_route_orgs *orgs)
{
    memset(orgs, 0, sizeof *orgs);
    for (const char *end = place; orgs->count < YZ_ORG_DEPTH_MAX; end++) {
        end += strcspn(end, "/");
        snprintf(orgs->paths[orgs->count++], YZ_ORG_PATH_MAX, "%.*s", (int)(end - place), place);
        if (*end == '\0')
            return;
    }
}

/* "secretary,inspector" has `role`. */
static bool lists(const char *roles, const char *role)
{
    size_t len = strlen(role);

    while (*roles) {
        size_t entry = strcspn(roles, ",");

        if (entry == len && strncmp(roles, role, len) == 0)
            return true;
        roles += entry + (roles[entry] == ',');
    }
    return false;
}

static bool lead(const char *roles)
{
    return lists(roles, "secretary") || lists(roles, "admin");
}

/* A branch's roster knows those who belong to it, its document of roles the others as well. */
static bool leads_org(const struct wk_route_orgs *orgs, size_t at, const char *member)
{
    struct wk_branch_member entry;

    return (orgs->branches[at] && wk_branch_find(orgs->branches[at], member, &entry) &&
            entry.left_at_ms == 0 && lead(entry.roles)) ||
           lead(wk_roles_held(orgs->holders[at], member));
}

/* The highest org over the place that the member leads, else the place. */
static const char *raise(const struct wk_route_case *what, const struct wk_route_orgs *orgs)
{
    for (size_t i = 0; *what->member && i < orgs->count; i++) {
        if (leads_org(orgs, i, what->member))
            return orgs->paths[i];
    }
    return what->place;
}

static bool declared_leader(const bson_t *handler, const char *place)
{
    bson_iter_t leads;

    if (!wk_document_array(handler, "l", &leads))
        return false;
    while (bson_iter_next(&leads)) {
        if (BSON_ITER_HOLDS_UTF8(&leads) && yz_org_covers(bson_iter_utf8(&leads, NULL), place))
            return true;
    }
    return false;
}

static bool is_leader(const bson_t *handler, const char *member, const char *place,
                      const struct wk_route_orgs *orgs)
{
    for (size_t i = 0; i < orgs->count && yz_org_covers(orgs->paths[i], place); i++) {
        if (leads_org(orgs, i, member))
            return true;
    }
    return declared_leader(handler, place);
}

static bool is_independent(const bson_t *handler)
{
    bson_iter_t it;

    return bson_iter_init_find(&it, handler, "n") && bson_iter_as_bool(&it);
}

struct search {
    const struct wk_route_case *what;
    const struct wk_route_orgs *orgs;
    const char *place; /* of the accused, raised */
};

static bool is_certain(const struct search *s, const bson_t *document)
{
    return s->what->now_ms >= wk_document_time_ms(document, "f") &&
           s->what->latest_ms < wk_document_time_ms(document, "u");
}

/* A home that was registered stays as it was said, whoever moves: the rosters from the accused's
 * org down to the place tell who belongs to it now. */
static bool belongs_below(const struct search *s, const char *member)
{
    struct wk_branch_member entry;

    for (size_t i = 0; i < s->orgs->count; i++) {
        if (s->orgs->branches[i] && yz_org_covers(s->place, s->orgs->paths[i]) &&
            wk_branch_find(s->orgs->branches[i], member, &entry) && entry.left_at_ms == 0)
            return true;
    }
    return false;
}

static bool is_eligible(const struct search *s, const bson_t *document, const struct wk_handler *h)
{
    if (s->what->latest_ms < wk_document_time_ms(document, "f") ||
        s->what->now_ms >= wk_document_time_ms(document, "u") || !h->public_key)
        return false;
    if (!s->what->accused)
        return true;
    if (!yz_org_covers(h->scope, s->place) || strcmp(h->member, s->what->member) == 0 ||
        is_leader(document, h->member, s->place, s->orgs))
        return false;
    return is_independent(document) ||
           (strcmp(h->scope, s->place) != 0 && !yz_org_covers(s->place, h->home) &&
            !belongs_below(s, h->member));
}

static const uint8_t *key_of(const bson_t *document)
{
    uint32_t len;
    const uint8_t *key = wk_document_bytes(document, "p", &len);

    return len == WK_PUBLIC_KEY_BYTES ? key : NULL;
}

static void add_org(const struct search *s, size_t at, struct wk_route *route)
{
    bson_iter_t entries;
    bson_t document;

    if (!s->orgs->handlers[at] || !wk_document_array(s->orgs->handlers[at], "handlers", &entries))
        return;
    while (route->count < WK_ROUTE_MAX && wk_document_next(&entries, &document)) {
        struct wk_handler *h = &route->handlers[route->count];

        *h = (struct wk_handler){.member = wk_document_text(&document, "m"),
                                 .home = wk_document_text(&document, "h"),
                                 .key_id = wk_document_text(&document, "i"),
                                 .scope = s->orgs->paths[at],
                                 .public_key = key_of(&document)};
        h->eligible = is_eligible(s, &document, h);
        h->certain = is_certain(s, &document);
        route->eligible += h->eligible;
        route->count++;
    }
}

static bool same_handler(const struct wk_handler *a, const struct wk_handler *b)
{
    return strcmp(a->member, b->member) == 0 && a->public_key && b->public_key &&
           memcmp(a->public_key, b->public_key, WK_PUBLIC_KEY_BYTES) == 0;
}

/* A key id that stands for two keys is nobody's: a box with it must not reach the wrong one. (None
 * can be registered; documents may be older than that.) */
static bool is_ambiguous(const struct wk_route *route, const struct wk_handler *h)
{
    for (size_t i = 0; i < route->count; i++) {
        const struct wk_handler *other = &route->handlers[i];

        if (other != h && strcmp(other->key_id, h->key_id) == 0 && !same_handler(other, h))
            return true;
    }
    return false;
}

void wk_route_find(const struct wk_route_case *what, const struct wk_route_orgs *orgs,
                   struct wk_route *route)
{
    struct search s = {what, &route->orgs, what->accused ? raise(what, orgs) : what->place};
    const char *nearest = NULL;

    route->orgs = *orgs; /* scopes are borrowed from it, and it is the caller's */
    route->count = route->eligible = 0;
    for (size_t at = orgs->count; at-- > 0;)
        add_org(&s, at, route);
    for (size_t i = 0; i < route->count; i++) {
        struct wk_handler *h = &route->handlers[i];

        if (h->eligible && is_ambiguous(route, h)) {
            h->eligible = false;
            route->eligible--;
        }
        h->nearest = h->eligible && (!nearest || strcmp(h->scope, nearest) == 0);
        if (h->nearest && h->certain)
            nearest = h->scope;
    }
}

const struct wk_handler *wk_route_key(const struct wk_route *route, const char *key_id)
{
    const struct wk_handler *found = NULL;

    for (size_t i = 0; i < route->count; i++) {
        const struct wk_handler *h = &route->handlers[i];

        if (strcmp(h->key_id, key_id) != 0)
            continue;
        if (h->eligible)
            return h;
        found = found ? found : h;
    }
    return found;
}
