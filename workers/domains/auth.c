/* Revoked tokens (登录撤销). All that is void of one member is one document, and one value in STATE
 * from which the gateways read it: state.<tenant>.auth.revoked.<member>. */
#include "workers/document.h"
#include "workers/domain.h"
#include "workers/query.h"
#include "workers/store.h"

#include <auth.pb-c.h>
#include <stdio.h>
#include <string.h>

#define REVOCATIONS "revocations"
#define VOIDS_MAX   64 /* of one member: gateways hold all of them in memory */

struct token_scope {
    const char *org_path, *token_id;
};

/* The voids of one member while an event is being folded. */
struct voids {
    Yizhan__V1__AuthVoid each[VOIDS_MAX + 1];
    Google__Protobuf__Timestamp times[VOIDS_MAX + 1];
    size_t count;
};

static void revocation_id(const struct wk_event *event, const char *member, char out[WK_ID_MAX])
{
    wk_id(out, event->env->actor.tenant, member, NULL);
}

static void read_void(bson_iter_t *entry, Yizhan__V1__AuthVoid *to,
                      Google__Protobuf__Timestamp *time)
{
    const uint8_t *data = NULL;
    uint32_t len = 0;
    bson_t row;

    yizhan__v1__auth_void__init(to);
    bson_iter_document(entry, &len, &data);
    if (!data || !bson_init_static(&row, data, len))
        return;
    to->org_path = (char *)(uintptr_t)wk_document_text(&row, "org_path");
    to->token_id = (char *)(uintptr_t)wk_document_text(&row, "token_id");
    *time = wk_timestamp(wk_document_time_ms(&row, "not_before"));
    to->not_before = time;
}

/* Texts are borrowed from the document; NULL has none. */
static void read_voids(const bson_t *document, struct voids *voids)
{
    bson_iter_t entries;

    voids->count = 0;
    if (!document || !wk_document_array(document, "voids", &entries))
        return;
    while (voids->count < VOIDS_MAX && bson_iter_next(&entries)) {
        read_void(&entries, &voids->each[voids->count], &voids->times[voids->count]);
        voids->count++;
    }
}

/* Its place, or count when it is not among them. */
static size_t find_void(const struct voids *voids, struct token_scope scope)
{
    size_t i = 0;

    while (i < voids->count && (strcmp(voids->each[i].org_path, scope.org_path) != 0 ||
                                strcmp(voids->each[i].token_id, scope.token_id) != 0))
        i++;
    return i;
}

static bson_t *write_voids(const struct voids *voids, const char *member)
{
    bson_t *document = bson_new(), list, row;
    char key[24];

    BSON_APPEND_UTF8(document, "member_id", member);
    BSON_APPEND_ARRAY_BEGIN(document, "voids", &list);
    for (size_t i = 0; i < voids->count; i++) {
        snprintf(key, sizeof key, "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &row);
        BSON_APPEND_UTF8(&row, "org_path", voids->each[i].org_path);
        BSON_APPEND_UTF8(&row, "token_id", voids->each[i].token_id);
        BSON_APPEND_DATE_TIME(&row, "not_before", wk_timestamp_ms(voids->each[i].not_before));
        bson_append_document_end(&list, &row);
    }
    bson_append_array_end(document, &list);
    return document;
}

static void put_voids(const struct wk_event *event, struct wk_fold *fold, struct voids *voids,
                      const char *member)
{
    Yizhan__V1__AuthRevocation value = YIZHAN__V1__AUTH_REVOCATION__INIT;
    Yizhan__V1__AuthVoid *list[VOIDS_MAX + 1];
    char id[WK_ID_MAX], name[YZ_CHANNEL_MAX];
    bson_t *document = write_voids(voids, member);

    for (size_t i = 0; i < voids->count; i++)
        list[i] = &voids->each[i];
    value.member_id = (char *)(uintptr_t)member;
    value.voids = list;
    value.n_voids = voids->count;
    snprintf(name, sizeof name, "revoked.%s", member);
    wk_value(fold, YZ_VALUES_OF_AUTH, name, "auth.revocation", &value.base, NULL);
    revocation_id(event, member, id);
    wk_put(fold, REVOCATIONS, id, document); /* the texts above are of the document before it */
}

static void needs_revoked(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    revocation_id(event, ((const Yizhan__V1__AuthRevoked *)event->payload)->member_id, id);
    wk_need(needs, REVOCATIONS, id);
}

static void get_voids(const struct wk_event *event, struct wk_fold *fold, const char *member,
                      struct voids *voids)
{
    char id[WK_ID_MAX];

    revocation_id(event, member, id);
    read_voids(wk_get(fold, REVOCATIONS, id), voids);
}

static enum yz_err judge_revoked(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const Yizhan__V1__AuthRevoked *revoked = (const Yizhan__V1__AuthRevoked *)event->payload;
    struct token_scope scope = {revoked->org_path, revoked->token_id};
    struct voids voids;

    get_voids(event, fold, revoked->member_id, &voids);
    if (voids.count == VOIDS_MAX && find_void(&voids, scope) == voids.count)
        return yz_violate(v, YZ_TOO_MANY, "tokenId",
                          "Too many single tokens of this member are revoked: revoke them all.");
    return YZ_OK;
}

/* Revoked again, the later time counts. */
static void apply_revoked(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__AuthRevoked *revoked = (const Yizhan__V1__AuthRevoked *)event->payload;
    struct token_scope scope = {revoked->org_path, revoked->token_id};
    int64_t not_before =
        revoked->not_before ? wk_timestamp_ms(revoked->not_before) : event->received_at_ms;
    Yizhan__V1__AuthVoid *entry;
    struct voids voids;
    size_t at;

    get_voids(event, fold, revoked->member_id, &voids);
    at = find_void(&voids, scope);
    entry = &voids.each[at];
    if (at == voids.count) {
        yizhan__v1__auth_void__init(entry);
        entry->org_path = revoked->org_path;
        entry->token_id = revoked->token_id;
        entry->not_before = &voids.times[at];
        voids.times[at] = wk_timestamp(not_before);
        voids.count++;
    } else if (wk_timestamp_ms(entry->not_before) < not_before) {
        voids.times[at] = wk_timestamp(not_before);
    }
    put_voids(event, fold, &voids, revoked->member_id);
}

static void needs_restored(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    revocation_id(event, ((const Yizhan__V1__AuthRestored *)event->payload)->member_id, id);
    wk_need(needs, REVOCATIONS, id);
}

static enum yz_err judge_restored(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const Yizhan__V1__AuthRestored *restored = (const Yizhan__V1__AuthRestored *)event->payload;
    struct token_scope scope = {restored->org_path, restored->token_id};
    struct voids voids;
    size_t at;

    get_voids(event, fold, restored->member_id, &voids);
    at = find_void(&voids, scope);
    if (at == voids.count)
        return yz_violate(v, YZ_NOT_FOUND, "memberId",
                          "This was not revoked with this orgPath and tokenId.");
    /* A dead letter that comes back does not take back what was revoked behind it. */
    if (event->env->own && wk_timestamp_ms(voids.each[at].not_before) > event->received_at_ms)
        return yz_violate(v, YZ_STALE_REVISION, "memberId", NULL);
    return YZ_OK;
}

static void apply_restored(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__AuthRestored *restored = (const Yizhan__V1__AuthRestored *)event->payload;
    struct token_scope scope = {restored->org_path, restored->token_id};
    struct voids voids;
    size_t at;

    get_voids(event, fold, restored->member_id, &voids);
    at = find_void(&voids, scope);
    if (at < voids.count) { /* not in a replay */
        voids.count--;
        for (size_t i = at; i < voids.count; i++) {
            voids.each[i] = voids.each[i + 1];
            voids.times[i] = voids.times[i + 1];
            voids.each[i].not_before = &voids.times[i];
        }
    }
    put_voids(event, fold, &voids, restored->member_id);
}

/* In the arena, since the row ends with this call. */
static enum yz_err fill_reply(const struct wk_query *query, const bson_t *row, const char *org_path,
                              Yizhan__V1__AuthRevocationsReply *answer)
{
    struct voids *voids = yz_arena_alloc(query->arena, sizeof *voids);
    bson_t kept;

    answer->voids = yz_arena_alloc(query->arena, VOIDS_MAX * sizeof(Yizhan__V1__AuthVoid *));
    if (!voids || !answer->voids || !wk_document_keep(query->arena, row, &kept))
        return YZ_BUSY;
    read_voids(&kept, voids);
    for (size_t i = 0; i < voids->count; i++) {
        if (yz_org_covers(org_path, voids->each[i].org_path))
            answer->voids[answer->n_voids++] = &voids->each[i];
    }
    return YZ_OK;
}

static enum yz_err answer_revocations(const struct wk_query *query, ProtobufCMessage **reply,
                                      struct yz_violation *v)
{
    const Yizhan__V1__AuthRevocationsRequest *request =
        (const Yizhan__V1__AuthRevocationsRequest *)query->request;
    Yizhan__V1__AuthRevocationsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__auth_revocations_reply__init(answer);
    wk_id(id, query->actor->tenant, request->member_id, NULL);
    err = wk_store_get(query->store, REVOCATIONS, id, &row, &found);
    if (!err && found)
        err = fill_reply(query, &row, request->org_path, answer);
    bson_destroy(&row);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

static const struct wk_event_handler events[] = {
    {"auth.revoked", needs_revoked, judge_revoked, apply_revoked},
    {"auth.restored", needs_restored, judge_restored, apply_restored},
    {0},
};

static const struct wk_query_handler queries[] = {
    {"auth.revocations", answer_revocations},
    {0},
};

static const struct wk_collection collections[] = {
    {REVOCATIONS, NULL},
    {0},
};

const struct wk_domain wk_domain_auth = {"auth", events, queries, collections};
