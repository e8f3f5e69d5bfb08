#include "workers/ctl/plan.h"

#include "workers/ctl/stream.h"

#include <stdio.h>
#include <string.h>

#define VALUE_MAX 160

static const char *const words[CTL_ACTIONS] = {"ok", "create", "change", "refuse"};

void ctl_plan_init(struct ctl_plan *plan, bool json)
{
    memset(plan, 0, sizeof *plan);
    plan->items = json_array();
    plan->json = json;
}

/* What a new stream will be: what is unlimited goes without saying. */
static void print_new(const json_t *changes)
{
    const char *between = "          ";
    const json_t *change;
    size_t i;

    json_array_foreach((json_t *)changes, i, change)
    {
        const char *field = json_string_value(json_object_get(change, "field"));
        const json_t *value = json_object_get(change, "to");
        char to[VALUE_MAX];

        if (strcmp(field, "name") == 0 || json_integer_value(value) == -1)
            continue;
        ctl_field_text(field, value, to, sizeof to);
        printf("%s%s %s", between, field, to);
        between = ", ";
    }
    if (i > 0)
        printf("\n");
}

static void print_changes(const json_t *changes)
{
    const json_t *change;
    size_t i;

    json_array_foreach((json_t *)changes, i, change)
    {
        const char *field = json_string_value(json_object_get(change, "field"));
        char from[VALUE_MAX], to[VALUE_MAX];

        ctl_field_text(field, json_object_get(change, "from"), from, sizeof from);
        ctl_field_text(field, json_object_get(change, "to"), to, sizeof to);
        printf("          %s: %s -> %s\n", field, from, to);
    }
}

static void print_item(enum ctl_action action, const char *kind, const char *name,
                       const json_t *changes, const char *text)
{
    printf("%-7s %s %s\n", words[action], kind, name);
    if (action == CTL_CREATE)
        print_new(changes);
    else
        print_changes(changes);
    if (text)
        printf("          %s\n", text);
}

void ctl_plan_add(struct ctl_plan *plan, enum ctl_action action, const char *kind, const char *name,
                  json_t *changes, const char *text)
{
    plan->counts[action]++;
    if (!plan->json)
        print_item(action, kind, name, changes, text);
    json_array_append_new(plan->items,
                          json_pack("{s:s, s:s, s:s, s:o?, s:s?}", "action", words[action], "kind",
                                    kind, "name", name, "changes", changes, "text", text));
}

enum ctl_exit ctl_plan_finish(struct ctl_plan *plan, bool plan_only)
{
    const int *n = plan->counts;

    if (plan->json) {
        ctl_print_json(json_pack("{s:b, s:O, s:i, s:i, s:i, s:i}", "plan", plan_only, "items",
                                 plan->items, "ok", n[CTL_OK], "create", n[CTL_CREATE], "change",
                                 n[CTL_CHANGE], "refuse", n[CTL_REFUSE]));
    } else {
        printf("%s: %d as declared, %d %s, %d %s, %d refused\n", plan_only ? "plan" : "applied",
               n[CTL_OK], n[CTL_CREATE], plan_only ? "to create" : "created", n[CTL_CHANGE],
               plan_only ? "to change" : "changed", n[CTL_REFUSE]);
        fflush(stdout);
    }
    json_decref(plan->items);
    return n[CTL_REFUSE] ? CTL_FAILED : CTL_DONE;
}
