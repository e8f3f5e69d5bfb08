#include "workers/registry.h"

#include "workers/audit.h"

#include <string.h>

#define FINISHED_KEPT_S 604800

const struct wk_domain *const wk_registry_domains[] = {
#define X(domain) &wk_domain_##domain,
#include "schemas/domains.def"
#undef X
};

const size_t wk_registry_domain_count = sizeof wk_registry_domains / sizeof wk_registry_domains[0];

static const struct wk_index outbox_indexes[] = {
    /* In their order, whoever's they are: what is done or not due costs nothing. */
    {.name = "next_in_order",
     .keys = "{\"state\": 1, \"due_at\": 1, \"cause\": 1, \"ordinal\": 1, \"partition\": 1}"},
    {.name = "done", .keys = "{\"done_at\": 1}", .expire_after_s = FINISHED_KEPT_S},
    {0},
};

static const struct wk_index attempts_indexes[] = {
    {.name = "age", .keys = "{\"at\": 1}", .expire_after_s = FINISHED_KEPT_S},
    {0},
};

const struct wk_collection wk_registry_frame_collections[] = {
    {"outcomes", NULL},    {"outbox", outbox_indexes},      {"attempts", attempts_indexes},
    {"generations", NULL}, {WK_ACCESSES, wk_audit_indexes}, {0},
};

const struct wk_event_handler *wk_registry_event(const char *type)
{
    for (size_t i = 0; i < wk_registry_domain_count; i++) {
        const struct wk_event_handler *handler = wk_registry_domains[i]->events;

        for (; handler && handler->type; handler++) {
            if (strcmp(handler->type, type) == 0)
                return handler;
        }
    }
    return NULL;
}

const struct wk_query_handler *wk_registry_query(const char *type)
{
    for (size_t i = 0; i < wk_registry_domain_count; i++) {
        const struct wk_query_handler *handler = wk_registry_domains[i]->queries;

        for (; handler && handler->type; handler++) {
            if (strcmp(handler->type, type) == 0)
                return handler;
        }
    }
    return NULL;
}
