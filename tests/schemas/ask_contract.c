/* ask_contract --types: a line "event <type> <payload>" or "query <type> <request> <reply>"
 * (and "posted" behind one that HTTP takes by POST alone) for each type of a contract, with the
 * names of the messages. ask_contract: lines "<type> <payload or request as JSON>" from standard
 * input; for each a line
 * "<code> <field>" of what its contract says of it ("ok" when it takes it). The API's document is
 * written with it. */
#include "schemas/codec.h"
#include "schemas/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (64 << 20)

static void ask(struct yz_arena *arena, const char *type, const char *text, struct yz_violation *v)
{
    const struct yz_event_type *event = yz_event_type_find(type, NULL);
    const struct yz_query_type *query = event ? NULL : yz_query_type_find(type, NULL);
    const ProtobufCMessageDescriptor *desc = event ? event->payload : query ? query->request : NULL;
    yz_check_fn *check = event ? event->check : query ? query->check : NULL;
    ProtobufCMessage *message = NULL;

    if (!desc)
        (void)yz_violate(v, YZ_UNKNOWN_TYPE, "type", NULL);
    else if (!yz_json_decode(desc, text, strlen(text), NULL, arena, &message, v) && check)
        (void)check(message, v);
}

static void list(const struct yz_domain_schema *domain)
{
    for (const struct yz_event_type *type = domain->events; type->name; type++)
        printf("event %s %s\n", type->name, type->payload->name);
    for (const struct yz_query_type *type = domain->queries; type->name; type++)
        printf("query %s %s %s%s\n", type->name, type->request->name, type->reply->name,
               type->method == YZ_BY_POST ? " posted" : "");
}

int main(int argc, char **argv)
{
    struct yz_arena arena;
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    if (argc > 1 && strcmp(argv[1], "--types") == 0) {
        for (size_t i = 0; i < yz_schema_count; i++)
            list(yz_schemas[i]);
        return 0;
    }
    yz_arena_init(&arena, ARENA_MAX);
    while ((len = getline(&line, &size, stdin)) > 0) {
        struct yz_violation v = {0};
        char *space = strchr(line, ' ');

        if (!space)
            return 2;
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        *space = '\0';
        yz_arena_reset(&arena);
        ask(&arena, line, space + 1, &v);
        printf("%s %s\n", v.err ? yz_err_code(v.err) : "ok", v.field);
        fflush(stdout);
    }
    yz_arena_deinit(&arena);
    free(line);
    return 0;
}
