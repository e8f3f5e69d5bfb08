/* drive.h: drives a domain's handlers over documents in memory, with the frame's own fold and no
 * database.
 *
 * Lifetime  between drive_init and drive_deinit; all events of a test are one batch.
 * Thread    the test's.
 */
#ifndef YZ_TEST_DRIVE_H
#define YZ_TEST_DRIVE_H

#include "workers/document.h"
#include "workers/fold.h"
#include "workers/registry.h"
#include "workers/rules.h"
#include "workers/vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DRIVE_SECRET "0123456789abcdef0123456789abcdef"
#define DRIVE_START  INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

struct drive {
    struct yz_conf conf;
    struct wk_rules *rules;
    struct wk_vault *vault;
    struct wk_context context;
    struct wk_fold *fold;
    int64_t now_ms;         /* the broker's time of the next event */
    int64_t occurred_at_ms; /* the phone's, in the next event; 0: none */
    uint64_t sequence;
    const char *roles; /* of the actors, "secretary@g1"; NULL: none */
    struct yz_envelope env;
    struct wk_event event; /* the last one */
    struct yz_violation v; /* its refusal */
};

static inline void drive_init(struct drive *d)
{
    char *argv[] = {"test", NULL};

    memset(d, 0, sizeof *d);
    assert_true(yz_conf_parse(&d->conf, YZ_CONF_WORKER, 1, argv, "", NULL));
    assert_int_equal(wk_rules_load("", &d->rules), YZ_OK);
    assert_int_equal(wk_vault_new((const uint8_t *)DRIVE_SECRET, strlen(DRIVE_SECRET), &d->vault),
                     YZ_OK);
    d->context = (struct wk_context){
        .conf = &d->conf,
        .code_secret = (const uint8_t *)DRIVE_SECRET,
        .code_secret_len = strlen(DRIVE_SECRET),
        .rules = d->rules,
        .vault = d->vault,
    };
    d->fold = wk_fold_new(&d->context);
    wk_fold_reset(d->fold);
    d->now_ms = DRIVE_START;
    d->sequence = 100;
}

static inline void drive_deinit(struct drive *d)
{
    wk_fold_free(d->fold);
    wk_vault_close(d->vault);
    wk_rules_free(d->rules);
}

/* Apply an event that was decided before: alone it is a replay. */
static inline enum yz_err drive_apply(struct drive *d, const struct wk_event *event)
{
    const struct wk_event_handler *handler = wk_registry_event(event->type->name);

    wk_fold_begin(d->fold, event, 0);
    handler->apply(event, d->fold);
    return wk_fold_end(d->fold, &d->v);
}

/* An event to be applied again behind later ones. Its payload is the test's. */
struct drive_past {
    struct wk_event event;
    struct yz_envelope env;
};

/* Keep the last event; `past` stays where it is. */
static inline void drive_keep(const struct drive *d, struct drive_past *past)
{
    past->event = d->event;
    past->env = d->env;
    past->event.env = &past->env;
}

/* One event of `member` in `org_path`: checked by its contract, judged and, when it stands,
 * applied. */
static inline enum yz_err drive(struct drive *d, const char *member, const char *org_path,
                                const char *type, const ProtobufCMessage *payload)
{
    const struct wk_event_handler *handler = wk_registry_event(type);
    enum yz_err err;

    assert_non_null(handler);
    memset(&d->env, 0, sizeof d->env);
    snprintf(d->env.actor.tenant, sizeof d->env.actor.tenant, "t1");
    snprintf(d->env.actor.member, sizeof d->env.actor.member, "%s", member);
    snprintf(d->env.actor.org_path, sizeof d->env.actor.org_path, "%s", org_path);
    snprintf(d->env.actor.roles, sizeof d->env.actor.roles, "%s", d->roles ? d->roles : "");
    snprintf(d->env.event_id, sizeof d->env.event_id, "e%llu", (unsigned long long)d->sequence);
    snprintf(d->env.type, sizeof d->env.type, "%s", type);
    d->env.occurred_at_ms = d->occurred_at_ms;
    d->event.sequence = d->sequence++;
    d->event.received_at_ms = d->now_ms;
    d->event.env = &d->env;
    d->event.type = yz_event_type_find(type, NULL);
    d->event.payload = payload;
    assert_int_equal(d->event.type->check(payload, &d->v), YZ_OK);
    wk_fold_need(d->fold, handler, &d->event);
    wk_fold_begin(d->fold, &d->event, 0);
    memset(&d->v, 0, sizeof d->v);
    err = handler->judge(&d->event, d->fold, &d->v);
    if (err)
        assert_int_equal(err, d->v.err);
    else
        handler->apply(&d->event, d->fold);
    enum yz_err taken = wk_fold_end(d->fold, &d->v);

    return taken ? taken : err;
}

/* What becomes of it when an operator brings it back as a dead letter: its time is that of its
 * first acceptance. It is judged, and not applied. */
static inline enum yz_err drive_bring_back(struct drive *d, struct drive_past *past)
{
    const struct wk_event_handler *handler = wk_registry_event(past->event.type->name);
    struct yz_violation ignored;
    enum yz_err err;

    past->env.own = true;
    past->event.sequence = d->sequence++;
    memset(&d->v, 0, sizeof d->v);
    wk_fold_begin(d->fold, &past->event, 0);
    err = handler->judge(&past->event, d->fold, &d->v);
    assert_int_equal(wk_fold_end(d->fold, &ignored), YZ_OK);
    return err;
}

static inline const bson_t *drive_document(struct drive *d, const char *collection, const char *id)
{
    return wk_get(d->fold, collection, id);
}

static inline size_t drive_row_count(const struct drive *d)
{
    size_t count;

    (void)wk_fold_rows(d->fold, &count);
    return count;
}

/* The row at this place of those that are owed becomes its event, which stands; its payload is gone
 * then. */
static inline void drive_row(struct drive *d, size_t at, const char *member, const char *org_path)
{
    size_t count;
    const struct wk_fold_row *row = wk_fold_rows(d->fold, &count) + at;
    ProtobufCMessage *message;
    char type[YZ_TYPE_MAX];

    assert_true(at < count);
    snprintf(type, sizeof type, "%s", row->type); /* rows that it owes move this one */
    message = protobuf_c_message_unpack(yz_event_type_find(type, NULL)->payload, NULL,
                                        row->payload_len, row->payload);
    assert_non_null(message);
    assert_int_equal(drive(d, member, org_path, type, message), YZ_OK);
    protobuf_c_message_free_unpacked(message, NULL);
}

static inline size_t drive_push_count(const struct drive *d)
{
    size_t count;

    (void)wk_fold_pushes(d->fold, &count);
    return count;
}

/* The last push, with its payload decoded (the caller frees it). */
static inline ProtobufCMessage *drive_last(const struct wk_fold_push *push, const char *channel,
                                           const char *type)
{
    assert_string_equal(push->channel, channel);
    assert_string_equal(push->type, type);
    return protobuf_c_message_unpack(yz_push_type_find(type)->payload, NULL, push->payload_len,
                                     push->payload);
}

static inline ProtobufCMessage *drive_last_push(const struct drive *d, const char *channel,
                                                const char *type)
{
    size_t count;
    const struct wk_fold_push *pushes = wk_fold_pushes(d->fold, &count);

    assert_true(count > 0);
    return drive_last(&pushes[count - 1], channel, type);
}

static inline ProtobufCMessage *drive_last_value(const struct drive *d, const char *channel,
                                                 const char *name, const char *type)
{
    size_t count;
    const struct wk_fold_push *values = wk_fold_values(d->fold, &count);

    assert_true(count > 0);
    assert_string_equal(values[count - 1].name, name);
    return drive_last(&values[count - 1], channel, type);
}

#endif
