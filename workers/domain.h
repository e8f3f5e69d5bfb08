/* domain.h: what a domain gives to the frame, and all that its handlers may call. A domain is pure
 * functions over documents; consumer.c and query.c do the rest.
 *
 * Lifetime  a wk_domain is a constant table; event, fold and what wk_get returns live for one
 * batch. Thread    worker (judge, apply), query thread (answer); handlers keep no state and do no
 * I/O. Limits    a document stays below 16 MB (MongoDB's limit); a batch is at most 256 events.
 *
 * One event: needs() names the documents it may look at; the frame loads those of a whole batch at
 * once. judge() decides: YZ_OK (applied) or a refusal with its code and field. apply() has the
 * effects, and runs only for an event that was decided as applied. The two are apart because of
 * replays: after a crash the stored decision stands and only apply() runs again, perhaps over
 * documents that already hold this event's effect or that of later ones of its batch. Therefore
 * apply() never fails, writes what it would write again (a document that is new enough is left
 * alone), and builds its pushes from the event and from fields that do not change.
 */
#ifndef WK_DOMAIN_H
#define WK_DOMAIN_H

#include "common/conf.h"
#include "common/envelope.h"
#include "common/err.h"
#include "schemas/codec.h"
#include "schemas/contract.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

struct wk_needs;
struct wk_fold;
struct wk_store;
struct wk_rules;
struct wk_vault;

/* What every handler is given, the same for all of them from start to end. A unit test may leave
 * out what its handlers do not ask for. */
struct wk_context {
    const struct yz_conf *conf;
    const uint8_t *code_secret; /* from which the keys of check-in codes are derived */
    size_t code_secret_len;
    const struct wk_rules *rules; /* rules.h */
    const struct wk_vault *vault; /* vault.h */
};

struct wk_event {
    uint64_t sequence;      /* in EVENTS; order and guard */
    int64_t received_at_ms; /* the broker's time of first acceptance: decides deadlines */
    const struct yz_envelope *env;
    const struct yz_event_type *type;
    const ProtobufCMessage *payload; /* checked by its contract */
};

/* Longest document id: "<tenant>|<parts joined by |>". */
#define WK_ID_MAX 768
/* Join parts with '|' behind the tenant; parts end with NULL. */
void wk_id(char out[WK_ID_MAX], const char *tenant, ...) __attribute__((sentinel));

/* in needs() */
void wk_need(struct wk_needs *needs, const char *collection, const char *id);
/* The same for a document that only events of this event's aggregate write: as long as their
 * partition stays with its worker, nobody else changes it, and it may be kept between batches. */
void wk_need_own(struct wk_needs *needs, const char *collection, const char *id);

/* in judge() and apply(): the document as the events before this one left it; NULL when there is
 * none. Only what needs() named. Borrowed until the next wk_put of the same document. */
const bson_t *wk_get(struct wk_fold *fold, const char *collection, const char *id);
/* What `make` gives for the document (a pure function of it), made once for as long as the document
 * stays as it is; NULL when there is none. Freed with free(). */
typedef void *wk_derive_fn(const bson_t *document);
const void *wk_get_derived(struct wk_fold *fold, const char *collection, const char *id,
                           wk_derive_fn *make);
const struct wk_context *wk_fold_context(const struct wk_fold *fold);

/* in apply(). Documents are taken. The frame adds _id, tenant and evt_seq; a handler sets none of
 * them. */
/* Create or replace a document that needs() named (compare-and-set on its evt_seq). */
void wk_put(struct wk_fold *fold, const char *collection, const char *id, bson_t *document);
/* Insert a document whose id is its natural key; needs() need not name it. If another event's
 * document has the key, this event's outcome becomes a refusal with `taken` that names `field`, a
 * constant: the field of the payload that the key was made of. */
void wk_insert(struct wk_fold *fold, const char *collection, const char *id, bson_t *document,
               enum yz_err taken, const char *field);

/* Whom a push is for besides the channel's subscribers; NULL: all of them. */
struct wk_audience {
    const char *roles; /* "secretary,admin": only sessions with one of these over the channel's org;
                          "secretary@own": over the session's own org */
    const char *exclude; /* "m1,m2", at most 16 */
};
/* A durable push on `channel` ("org.g1/c1"); type is a push type, payload its message (encoded at
 * once). What is no channel's name gets no push, and is logged: it came from a document that is not
 * whole. */
void wk_push(struct wk_fold *fold, const char *channel, const char *type,
             const ProtobufCMessage *payload, const struct wk_audience *audience);
/* The current value of a counter of the channel; of several in a short time only the last goes out.
 */
void wk_value(struct wk_fold *fold, const char *channel, const char *name, const char *type,
              const ProtobufCMessage *payload, const struct wk_audience *audience);
/* Emit another event later, or on another aggregate: a row of the outbox. Its event id is derived
 * from this event and `ordinal`; actor and org path are this event's. */
void wk_later(struct wk_fold *fold, int ordinal, int64_t due_at_ms, const char *type,
              const ProtobufCMessage *payload);

typedef void wk_needs_fn(const struct wk_event *event, struct wk_needs *needs);
typedef enum yz_err wk_judge_fn(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v);
typedef void wk_apply_fn(const struct wk_event *event, struct wk_fold *fold);

struct wk_event_handler {
    const char *type; /* "checkin.recorded" */
    wk_needs_fn *needs;
    wk_judge_fn *judge;
    wk_apply_fn *apply;
};

/* A query being answered. Authority by org path and role was checked by the frame against the
 * contract. */
struct wk_query {
    const struct yz_actor *actor;
    const ProtobufCMessage *request;
    const struct wk_context *context;
    struct wk_store *store; /* store.h's read functions */
    struct yz_arena *arena; /* the reply and all it points to */
    int64_t now_ms;         /* by the broker's clock, see watch.h */
};
/* Fill v and return its err, or set *reply (in the arena) and return YZ_OK. */
typedef enum yz_err wk_answer_fn(const struct wk_query *query, ProtobufCMessage **reply,
                                 struct yz_violation *v);

struct wk_query_handler {
    const char *type; /* "meeting.attendance" */
    wk_answer_fn *answer;
};

struct wk_index {
    const char *name;
    const char *keys; /* extended JSON, {"tenant": 1, "publish_at": -1} */
    bool unique;
    const char *partial;    /* filter as JSON, or NULL */
    int64_t expire_after_s; /* TTL on the one key, or 0 */
};

struct wk_collection {
    const char *name;
    const struct wk_index *indexes; /* ends with name NULL; may be NULL */
};

/* All three lists end with a NULL name or type. */
struct wk_domain {
    const char *name;
    const struct wk_event_handler *events;
    const struct wk_query_handler *queries;
    const struct wk_collection *collections;
};

#define X(domain) extern const struct wk_domain wk_domain_##domain;
#include "schemas/domains.def"
#undef X

#endif
