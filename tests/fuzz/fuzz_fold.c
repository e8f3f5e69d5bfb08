/* An event over stored documents of any shape. Lines: its type, its payload as JSON, and then
 * documents as extended JSON, which stand where the handler looks, in the order in which it asks.
 */
#include "schemas/contract.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"
#include "workers/document.h"
#include "workers/fold.h"
#include "workers/registry.h"
#include "workers/rules.h"
#include "workers/vault.h"

#include <string.h>

#define TEXT_MAX  8192
#define SECRET    "0123456789abcdef0123456789abcdef"
#define NOW_MS    INT64_C(1767225600000)
#define NEEDS_MAX 16

/* What the handler asked for: the linker leads wk_need here (--wrap). */
static struct {
    char collection[64], id[WK_ID_MAX];
} needs[NEEDS_MAX];
static size_t need_count;

void __real_wk_need(struct wk_needs *to, const char *collection, const char *id);
void __wrap_wk_need(struct wk_needs *to, const char *collection, const char *id);

void __wrap_wk_need(struct wk_needs *to, const char *collection, const char *id)
{
    PROMISE(strlen(collection) < sizeof needs[0].collection && strlen(id) < WK_ID_MAX);
    if (need_count < NEEDS_MAX) {
        strncpy(needs[need_count].collection, collection, sizeof needs[0].collection - 1);
        strncpy(needs[need_count].id, id, sizeof needs[0].id - 1);
        need_count++;
    }
    __real_wk_need(to, collection, id);
}

static void judge_push(const struct wk_fold_push *push)
{
    const struct yz_push_type *type = yz_push_type_find(push->type);
    struct yz_channel channel;
    struct yz_violation v;
    struct yz_arena arena;
    ProtobufCMessage *message;

    PROMISE(type);
    PROMISE(yz_channel_parse(push->channel, &channel) ||
            (push->name && strcmp(push->channel, YZ_VALUES_OF_AUTH) == 0));
    PROMISE(push->payload_len <= WK_PUSH_MAX);
    yz_arena_init(&arena, push->payload_len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_pb_decode(type->payload, push->payload, push->payload_len, &arena, &message, &v) ==
            YZ_OK);
    yz_arena_deinit(&arena);
}

/* What goes out can be read by those to whom it goes. */
static void judge_outcome(const struct wk_fold *fold)
{
    const struct wk_fold_push *pushes;
    const struct wk_fold_row *rows;
    size_t count;

    pushes = wk_fold_pushes(fold, &count);
    for (size_t i = 0; i < count; i++)
        judge_push(&pushes[i]);
    pushes = wk_fold_values(fold, &count);
    for (size_t i = 0; i < count; i++)
        judge_push(&pushes[i]);
    rows = wk_fold_rows(fold, &count);
    for (size_t i = 0; i < count; i++)
        PROMISE(yz_event_type_find(rows[i].type, NULL));
}

static void apply(struct wk_fold *fold, const struct wk_event_handler *handler,
                  const struct wk_event *event)
{
    struct yz_violation v;

    wk_fold_begin(fold, event, 0);
    handler->apply(event, fold);
    (void)!wk_fold_end(fold, &v);
    judge_outcome(fold);
}

static void decide(struct wk_fold *fold, const struct wk_event_handler *handler,
                   const struct wk_event *event)
{
    struct yz_violation v = {0}, taken;
    enum yz_err err;

    wk_fold_begin(fold, event, 0);
    err = handler->judge(event, fold, &v);
    (void)!wk_fold_end(fold, &taken);
    if (err) {
        PROMISE(v.err == err && err < YZ_ERR_COUNT);
        PROMISE(yz_text_valid(v.field, strlen(v.field)) && yz_text_valid(v.text, strlen(v.text)));
        return;
    }
    apply(fold, handler, event);
    /* A replay after a crash. */
    apply(fold, handler, event);
}

static void preset(struct wk_fold *fold, char *lines)
{
    char *line;

    for (size_t i = 0; i < need_count && (line = strsep(&lines, "\n")); i++) {
        bson_t *document = bson_new_from_json((const uint8_t *)line, -1, NULL);

        if (!document)
            continue;
        wk_fold_preset(fold, needs[i].collection, needs[i].id, document, 50);
        bson_destroy(document);
    }
}

static void run(struct wk_fold *fold, const struct wk_event_handler *handler,
                struct wk_event *event, char *documents)
{
    need_count = 0;
    wk_fold_reset(fold);
    wk_fold_need(fold, handler, event);
    preset(fold, documents);
    decide(fold, handler, event);
    wk_fold_reset(fold);
}

static struct wk_fold *fold_of_run(void)
{
    static struct yz_conf conf;
    static struct wk_context context;
    static struct wk_rules *rules;
    static struct wk_vault *vault;
    static struct wk_fold *fold;
    char *argv[] = {(char[]){"fuzz"}, NULL};

    if (!fold) {
        PROMISE(yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL));
        context.conf = &conf;
        context.code_secret = (const uint8_t *)SECRET;
        context.code_secret_len = strlen(SECRET);
        PROMISE(wk_rules_load("", &rules) == YZ_OK);
        context.rules = rules;
        PROMISE(wk_vault_new((const uint8_t *)SECRET, strlen(SECRET), &vault) == YZ_OK);
        context.vault = vault;
        fold = wk_fold_new(&context);
        PROMISE(fold);
    }
    return fold;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yz_envelope env = {.actor = {"t1", "m1", "g1/c1/b1", "member,secretary@g1"},
                              .event_id = "e1"};
    struct wk_event event = {.sequence = 100, .received_at_ms = NOW_MS, .env = &env};
    char text[TEXT_MAX], *rest = text, *payload;
    const struct wk_event_handler *handler;
    ProtobufCMessage *message;
    struct yz_violation v;
    struct yz_arena arena;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    event.type = yz_event_type_find(strsep(&rest, "\n"), NULL);
    handler = event.type ? wk_registry_event(event.type->name) : NULL;
    payload = rest ? strsep(&rest, "\n") : NULL;
    if (!handler || !payload)
        return 0;
    snprintf(env.type, sizeof env.type, "%s", event.type->name);
    yz_arena_init(&arena, size * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    if (yz_json_decode(event.type->payload, payload, strlen(payload), NULL, &arena, &message, &v) ==
            YZ_OK &&
        event.type->check(message, &v) == YZ_OK) {
        event.payload = message;
        event.type->aggregate(message, &env.actor, env.aggregate);
        run(fold_of_run(), handler, &event, rest);
    }
    yz_arena_deinit(&arena);
    return 0;
}
