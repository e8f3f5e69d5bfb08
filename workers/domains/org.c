/* The tree of orgs (组织树): founded, renamed, moved, dissolved. One aggregate writes it all, so a
 * move decides over both its places at once. What lies below a moved org follows by events that
 * each move one org and owe the next ones. */
#include "workers/domains/org.h"
#include "common/memory.h"
#include "workers/document.h"
#include "workers/roster.h"

#include <inttypes.h>
#include <member.pb-c.h>
#include <org.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many children of a moved org are told by one event; the rest by one that it owes. */
#define FOLLOW_CHUNK 64
enum { ROW_MEMBERS = 0, ROW_OPENED = 1, ROW_ON = 2, ROW_FIRST = 3 };

struct child {
    char id[YZ_ID_MAX];
    int64_t height, tail;
    int64_t place; /* among its siblings; never given again */
};

/* An org while an event is folded. */
struct org {
    const char *org_path, *name, *kind, *moved_to;
    char parent[YZ_ORG_PATH_MAX];
    bool live;
    int64_t since_ms, until_ms;
    int64_t moved_by;       /* sequence of the event that moved it away; 0: none */
    struct child *children; /* in the order of their ids; has room for one more */
    size_t count;
    int64_t next_place;
};

void wk_org_id(char out[WK_ID_MAX], const char *tenant, const char *org_path)
{
    wk_id(out, tenant, org_path, NULL);
}

void wk_org_need(const struct wk_event *event, struct wk_needs *needs, const char *org_path)
{
    char id[WK_ID_MAX];

    wk_org_id(id, event->env->actor.tenant, org_path);
    wk_need(needs, WK_ORGS, id);
}

static const bson_t *get(const struct wk_event *event, struct wk_fold *fold, const char *org_path)
{
    char id[WK_ID_MAX];

    wk_org_id(id, event->env->actor.tenant, org_path);
    return wk_get(fold, WK_ORGS, id);
}

static bool is_live(const bson_t *org)
{
    bson_iter_t iter;

    return org && bson_iter_init_find(&iter, org, "live") && bson_iter_as_bool(&iter);
}

bool wk_org_is_live(const struct wk_event *event, struct wk_fold *fold, const char *org_path)
{
    return is_live(get(event, fold, org_path));
}

/* "" at the top. */
static void parent_of(const char *org_path, char out[YZ_ORG_PATH_MAX])
{
    const char *slash = strrchr(org_path, '/');

    snprintf(out, YZ_ORG_PATH_MAX, "%.*s", slash ? (int)(slash - org_path) : 0, org_path);
}

static const char *last_of(const char *org_path)
{
    const char *slash = strrchr(org_path, '/');

    return slash ? slash + 1 : org_path;
}

static int64_t depth_of(const char *org_path)
{
    int64_t depth = 1;

    for (const char *p = org_path; *p; p++)
        depth += *p == '/';
    return depth;
}

/* The org and all above it. */
static void need_chain(const struct wk_event *event, struct wk_needs *needs, const char *org_path)
{
    char path[YZ_ORG_PATH_MAX];

    for (snprintf(path, sizeof path, "%s", org_path); *path;) {
        char id[WK_ID_MAX], *slash = strrchr(path, '/');

        wk_org_id(id, event->env->actor.tenant, path);
        wk_need_own(needs, WK_ORGS, id);
        *(slash ? slash : path) = '\0';
    }
}

int64_t wk_org_child_place(const bson_t *child, size_t index)
{
    bson_iter_t it;

    return bson_iter_init_find(&it, child, "p") ? bson_iter_as_int64(&it) : (int64_t)index;
}

static void read_children(const bson_t *document, struct org *org)
{
    bson_iter_t entries;
    size_t count = 0;
    bson_t row;

    if (wk_document_array(document, "children", &entries)) {
        while (bson_iter_next(&entries))
            count++;
    }
    org->children = yz_calloc(count + 1, sizeof *org->children);
    if (!count || !wk_document_array(document, "children", &entries))
        return;
    while (wk_document_next(&entries, &row)) {
        struct child *child = &org->children[org->count];

        snprintf(child->id, sizeof child->id, "%s", wk_document_text(&row, "c"));
        child->height = wk_document_number(&row, "h");
        child->tail = wk_document_number(&row, "t");
        child->place = wk_org_child_place(&row, org->count);
        if (child->place >= org->next_place)
            org->next_place = child->place + 1;
        org->count++;
    }
}

/* Texts are borrowed from the document until it is put anew. */
static void read_org(const bson_t *document, struct org *org)
{
    *org = (struct org){
        .org_path = wk_document_text(document, "org_path"),
        .name = wk_document_text(document, "name"),
        .kind = wk_document_text(document, "kind"),
        .moved_to = wk_document_text(document, "moved_to"),
        .live = is_live(document),
        .since_ms = wk_document_time_ms(document, "since"),
        .until_ms = wk_document_time_ms(document, "until"),
        .moved_by = wk_document_number(document, "moved_by"),
        .next_place = wk_document_number(document, "next_place"),
    };
    parent_of(org->org_path, org->parent);
    read_children(document, org);
}

static bson_t *write_org(const struct org *org)
{
    bson_t *document = bson_new(), list, row;

    BSON_APPEND_UTF8(document, "org_path", org->org_path);
    BSON_APPEND_UTF8(document, "parent", org->parent);
    BSON_APPEND_UTF8(document, "name", org->name);
    BSON_APPEND_UTF8(document, "kind", org->kind);
    BSON_APPEND_BOOL(document, "live", org->live);
    BSON_APPEND_DATE_TIME(document, "since", org->since_ms);
    if (!org->live)
        BSON_APPEND_DATE_TIME(document, "until", org->until_ms);
    if (*org->moved_to)
        BSON_APPEND_UTF8(document, "moved_to", org->moved_to);
    if (org->moved_by)
        BSON_APPEND_INT64(document, "moved_by", org->moved_by);
    BSON_APPEND_INT64(document, "next_place", org->next_place);
    BSON_APPEND_ARRAY_BEGIN(document, "children", &list);
    for (size_t i = 0; i < org->count; i++) {
        char key[24];

        snprintf(key, sizeof key, "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &row);
        BSON_APPEND_UTF8(&row, "c", org->children[i].id);
        BSON_APPEND_INT64(&row, "h", org->children[i].height);
        BSON_APPEND_INT64(&row, "t", org->children[i].tail);
        BSON_APPEND_INT64(&row, "p", org->children[i].place);
        bson_append_document_end(&list, &row);
    }
    bson_append_array_end(document, &list);
    return document;
}

/* The org is put and freed. */
static void put_org(const struct wk_event *event, struct wk_fold *fold, struct org *org)
{
    bson_t *document = write_org(org);
    char id[WK_ID_MAX];

    wk_org_id(id, event->env->actor.tenant, org->org_path);
    wk_put(fold, WK_ORGS, id, document);
    free(org->children);
}

/* Height of the subtree in orgs, and what its longest path adds to the org's own. */
static struct child measure(const struct org *org)
{
    struct child size = {.height = 1};

    for (size_t i = 0; i < org->count; i++) {
        int64_t tail = 1 + (int64_t)strlen(org->children[i].id) + org->children[i].tail;

        if (org->children[i].height >= size.height)
            size.height = org->children[i].height + 1;
        if (tail > size.tail)
            size.tail = tail;
    }
    return size;
}

/* Its place among the children, or where it belongs; *there says which. */
static size_t find_child(const struct org *org, const char *id, bool *there)
{
    size_t at = 0;

    while (at < org->count && strcmp(org->children[at].id, id) < 0)
        at++;
    *there = at < org->count && strcmp(org->children[at].id, id) == 0;
    return at;
}

static void set_child(struct org *org, const char *id, const struct child *size)
{
    bool there;
    size_t at = find_child(org, id, &there);
    int64_t place = there ? org->children[at].place : org->next_place++;

    if (!there) {
        memmove(&org->children[at + 1], &org->children[at],
                (org->count - at) * sizeof *org->children);
        org->count++;
    }
    org->children[at] = *size;
    org->children[at].place = place;
    snprintf(org->children[at].id, sizeof org->children[at].id, "%.*s",
             (int)sizeof org->children[at].id - 1, id);
}

static void drop_child(struct org *org, const char *id)
{
    bool there;
    size_t at = find_child(org, id, &there);

    if (!there)
        return;
    org->count--;
    memmove(&org->children[at], &org->children[at + 1], (org->count - at) * sizeof *org->children);
}

/* Tell the orgs above org_path, one after the other, how high the subtree at it is now: size NULL:
 * it is gone. One that was moved away keeps the children it had: they are what is to follow it. */
static void tell_above(const struct wk_event *event, struct wk_fold *fold, const char *org_path,
                       const struct child *size)
{
    char path[YZ_ORG_PATH_MAX], parent[YZ_ORG_PATH_MAX];
    struct child next;

    snprintf(path, sizeof path, "%s", org_path);
    for (parent_of(path, parent); *parent; parent_of(path, parent)) {
        const bson_t *document = get(event, fold, parent);
        struct org above;

        if (!is_live(document))
            return;
        read_org(document, &above);
        if (size)
            set_child(&above, last_of(path), size);
        else
            drop_child(&above, last_of(path));
        next = measure(&above);
        size = &next;
        put_org(event, fold, &above);
        snprintf(path, sizeof path, "%s", parent);
    }
}

static void insert_change(const struct wk_event *event, struct wk_fold *fold, const char *org_path,
                          Yizhan__V1__OrgChangeKind kind, const char *name, const char *other_path,
                          const char *basis)
{
    bson_t *document = bson_new();
    char id[WK_ID_MAX], sequence[24];

    snprintf(sequence, sizeof sequence, "%" PRIu64, event->sequence);
    wk_id(id, event->env->actor.tenant, org_path, sequence, NULL);
    BSON_APPEND_UTF8(document, "org_path", org_path);
    BSON_APPEND_INT64(document, "sequence", (int64_t)event->sequence);
    BSON_APPEND_UTF8(document, "change",
                     wk_document_enum_name(&yizhan__v1__org_change_kind__descriptor, (int)kind));
    BSON_APPEND_UTF8(document, "name", name);
    BSON_APPEND_UTF8(document, "other_path", other_path);
    BSON_APPEND_UTF8(document, "changed_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "changed_at", event->received_at_ms);
    BSON_APPEND_UTF8(document, "basis", basis);
    wk_insert(fold, WK_ORG_CHANGES, id, document, YZ_EXISTS, "orgPath");
}

static void push_changed(const struct wk_event *event, struct wk_fold *fold, const char *org_path,
                         Yizhan__V1__OrgChangeKind kind, const char *name, const char *other_path)
{
    static const struct wk_audience keepers = {.roles = "secretary,admin"};
    Yizhan__V1__OrgChanged push = YIZHAN__V1__ORG_CHANGED__INIT;
    Google__Protobuf__Timestamp at = wk_timestamp(event->received_at_ms);
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};
    char channel_name[YZ_CHANNEL_MAX];

    snprintf(channel.org_path, sizeof channel.org_path, "%s", org_path);
    yz_channel_name(&channel, channel_name);
    push.org_path = (char *)(uintptr_t)org_path;
    push.change = kind;
    push.name = (char *)(uintptr_t)name;
    push.other_path = (char *)(uintptr_t)other_path;
    push.changed_by = (char *)(uintptr_t)event->env->actor.member;
    push.changed_at = &at;
    wk_push(fold, channel_name, "org.changed", &push.base, &keepers);
}

/* Members who are still on their way to the org's roster, or on their way out of it. */
static void owe_branch(const struct wk_event *event, struct wk_fold *fold, int ordinal,
                       const char *org_path, const char *to)
{
    Yizhan__V1__MemberBranchMoved moved = YIZHAN__V1__MEMBER_BRANCH_MOVED__INIT;

    moved.org_path = (char *)(uintptr_t)org_path;
    moved.to = (char *)(uintptr_t)to;
    wk_later(fold, ordinal, event->received_at_ms, "member.branch_moved", &moved.base);
}

/* A new org can stand there: nobody has the path, and the org above it is live and has room. */
static enum yz_err judge_place(const struct wk_event *event, struct wk_fold *fold,
                               const char *org_path, const char *field, struct yz_violation *v)
{
    char parent[YZ_ORG_PATH_MAX];
    const bson_t *above;
    struct org org;
    size_t count;

    if (is_live(get(event, fold, org_path)))
        return yz_violate(v, YZ_EXISTS, field, "There is an org at this path already.");
    parent_of(org_path, parent);
    if (!*parent)
        return YZ_OK;
    above = get(event, fold, parent);
    if (!is_live(above))
        return yz_violate(v, YZ_UNKNOWN_ORG, field, "There is no org above it.");
    read_org(above, &org);
    count = org.count;
    free(org.children);
    return count < WK_ORG_CHILDREN_MAX ? YZ_OK : yz_violate(v, YZ_TOO_MANY, field, NULL);
}

/* What was said at a path stays there: of an org that was moved away it is not for others. It may
 * come back itself; `from` is where an org comes from, NULL: it is a new one. */
static enum yz_err judge_heir(const struct wk_event *event, struct wk_fold *fold,
                              const char *org_path, const char *from, const char *field,
                              struct yz_violation *v)
{
    const bson_t *before = get(event, fold, org_path);
    const char *moved_to = before && !is_live(before) ? wk_document_text(before, "moved_to") : "";

    if (!*moved_to || (from && strcmp(moved_to, from) == 0))
        return YZ_OK;
    return yz_violate(v, YZ_EXISTS, field,
                      "An org was moved away from this path, where its notices and threads are; "
                      "take another one.");
}

static void needs_founded(const struct wk_event *event, struct wk_needs *needs)
{
    need_chain(event, needs, ((const Yizhan__V1__OrgFounded *)event->payload)->org_path);
}

static enum yz_err judge_founded(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    const char *org_path = ((const Yizhan__V1__OrgFounded *)event->payload)->org_path;
    enum yz_err err = judge_place(event, fold, org_path, "orgPath", v);

    return err ? err : judge_heir(event, fold, org_path, NULL, "orgPath", v);
}

static int64_t next_place_of(const bson_t *document)
{
    struct org org;

    read_org(document, &org);
    free(org.children);
    return org.next_place;
}

/* Put a live org with nothing below it, where there may have been one before. */
static void put_new(const struct wk_event *event, struct wk_fold *fold, const char *org_path,
                    const char *name, const char *kind)
{
    struct org org = {
        .org_path = org_path,
        .name = name,
        .kind = kind,
        .moved_to = "",
        .live = true,
        .since_ms = event->received_at_ms,
    };
    const struct child alone = {.height = 1};
    const bson_t *before = get(event, fold, org_path);

    parent_of(org_path, org.parent);
    org.next_place = before ? next_place_of(before) : 0;
    if (before)
        owe_branch(event, fold, ROW_OPENED, org_path, "");
    put_org(event, fold, &org);
    tell_above(event, fold, org_path, &alone);
}

static void apply_founded(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__OrgFounded *founded = (const Yizhan__V1__OrgFounded *)event->payload;
    const Yizhan__V1__OrgChangeKind kind = YIZHAN__V1__ORG_CHANGE_KIND__ORG_FOUNDED;

    put_new(event, fold, founded->org_path, founded->name,
            wk_document_enum_name(&yizhan__v1__org_kind__descriptor, (int)founded->kind));
    insert_change(event, fold, founded->org_path, kind, founded->name, "", founded->basis);
    push_changed(event, fold, founded->org_path, kind, founded->name, "");
}

static void needs_renamed(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    wk_org_id(id, event->env->actor.tenant,
              ((const Yizhan__V1__OrgRenamed *)event->payload)->org_path);
    wk_need_own(needs, WK_ORGS, id);
}

static enum yz_err judge_live(const struct wk_event *event, struct wk_fold *fold,
                              const char *org_path, struct yz_violation *v)
{
    return is_live(get(event, fold, org_path))
               ? YZ_OK
               : yz_violate(v, YZ_NOT_FOUND, "orgPath", "There is no such org.");
}

static enum yz_err judge_renamed(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    return judge_live(event, fold, ((const Yizhan__V1__OrgRenamed *)event->payload)->org_path, v);
}

static void apply_renamed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__OrgRenamed *renamed = (const Yizhan__V1__OrgRenamed *)event->payload;
    const Yizhan__V1__OrgChangeKind kind = YIZHAN__V1__ORG_CHANGE_KIND__ORG_RENAMED;
    const bson_t *document = get(event, fold, renamed->org_path);
    struct org org;

    if (document) {
        read_org(document, &org);
        org.name = renamed->name;
        put_org(event, fold, &org);
    }
    insert_change(event, fold, renamed->org_path, kind, renamed->name, "", renamed->basis);
    push_changed(event, fold, renamed->org_path, kind, renamed->name, "");
}

/* A move of one org: from where, to where, and what the events of it name. */
struct move {
    const char *from, *to, *basis, *to_field;
};

/* The whole subtree must fit at its new place. */
static enum yz_err judge_move(const struct wk_event *event, struct wk_fold *fold,
                              const struct move *move, struct yz_violation *v)
{
    enum yz_err err = judge_live(event, fold, move->from, v);
    struct child size;
    struct org org;

    if (err || (err = judge_place(event, fold, move->to, move->to_field, v)))
        return err;
    read_org(get(event, fold, move->from), &org);
    size = measure(&org);
    free(org.children);
    if (depth_of(move->to) + size.height - 1 > YZ_ORG_DEPTH_MAX ||
        (int64_t)strlen(move->to) + size.tail >= YZ_ORG_PATH_MAX)
        return yz_violate(v, YZ_ORG_TOO_DEEP, move->to_field, NULL);
    return YZ_OK;
}

/* Some children of `from`, those behind `after`, and one event for the rest. */
static void owe_children(const struct wk_event *event, struct wk_fold *fold,
                         const struct move *move, const char *after)
{
    const bson_t *document = get(event, fold, move->from);
    int count = 0;
    struct org org;

    if (!document)
        return;
    read_org(document, &org);
    for (size_t i = 0; i < org.count; i++) {
        Yizhan__V1__OrgFollowed followed = YIZHAN__V1__ORG_FOLLOWED__INIT;
        char from[YZ_ORG_PATH_MAX + YZ_ID_MAX], to[YZ_ORG_PATH_MAX + YZ_ID_MAX];

        if (strcmp(org.children[i].id, after) <= 0)
            continue;
        followed.basis = (char *)(uintptr_t)move->basis;
        if (count == FOLLOW_CHUNK) {
            followed.org_path = (char *)(uintptr_t)move->from;
            followed.to = (char *)(uintptr_t)move->to;
            followed.after = org.children[i - 1].id;
            wk_later(fold, ROW_ON, event->received_at_ms, "org.followed", &followed.base);
            break;
        }
        snprintf(from, sizeof from, "%s/%s", move->from, org.children[i].id);
        snprintf(to, sizeof to, "%s/%s", move->to, org.children[i].id);
        followed.org_path = from;
        followed.to = to;
        followed.self = true;
        wk_later(fold, ROW_FIRST + count++, event->received_at_ms, "org.followed", &followed.base);
    }
    free(org.children);
}

/* The old org keeps its children in its document: they are what is still to follow. */
static void put_moved(const struct wk_event *event, struct wk_fold *fold, const struct move *move)
{
    const bson_t *document = get(event, fold, move->from);
    char name[WK_ID_MAX], kind[64];
    struct org org;

    if (!document)
        return;
    read_org(document, &org);
    snprintf(name, sizeof name, "%s", org.name);
    snprintf(kind, sizeof kind, "%s", org.kind);
    org.live = false;
    org.until_ms = event->received_at_ms;
    org.moved_to = move->to;
    org.moved_by = (int64_t)event->sequence;
    put_org(event, fold, &org);
    tell_above(event, fold, move->from, NULL);
    put_new(event, fold, move->to, name, kind);
    insert_change(event, fold, move->from, YIZHAN__V1__ORG_CHANGE_KIND__ORG_MOVED_OUT, name,
                  move->to, move->basis);
    insert_change(event, fold, move->to, YIZHAN__V1__ORG_CHANGE_KIND__ORG_MOVED_IN, name,
                  move->from, move->basis);
}

static void apply_move(const struct wk_event *event, struct wk_fold *fold, const struct move *move)
{
    const bson_t *document = get(event, fold, move->from);
    char name[WK_ID_MAX];

    snprintf(name, sizeof name, "%s", document ? wk_document_text(document, "name") : "");
    owe_branch(event, fold, ROW_MEMBERS, move->from, move->to);
    owe_children(event, fold, move, "");
    put_moved(event, fold, move);
    push_changed(event, fold, move->from, YIZHAN__V1__ORG_CHANGE_KIND__ORG_MOVED_OUT, name,
                 move->to);
    push_changed(event, fold, move->to, YIZHAN__V1__ORG_CHANGE_KIND__ORG_MOVED_IN, name,
                 move->from);
}

static struct move move_of_moved(const struct wk_event *event)
{
    const Yizhan__V1__OrgMoved *moved = (const Yizhan__V1__OrgMoved *)event->payload;

    return (struct move){moved->org_path, moved->to, moved->basis, "to"};
}

static void needs_moved(const struct wk_event *event, struct wk_needs *needs)
{
    const struct move move = move_of_moved(event);

    need_chain(event, needs, move.from);
    need_chain(event, needs, move.to);
}

static enum yz_err judge_moved(const struct wk_event *event, struct wk_fold *fold,
                               struct yz_violation *v)
{
    const struct move move = move_of_moved(event);
    enum yz_err err;

    if (yz_authorize(YZ_BY_ADMIN, &event->env->actor, move.to))
        return yz_violate(v, YZ_FORBIDDEN, "to", NULL);
    err = judge_move(event, fold, &move, v);
    return err ? err : judge_heir(event, fold, move.to, move.from, "to", v);
}

static void apply_moved(const struct wk_event *event, struct wk_fold *fold)
{
    const struct move move = move_of_moved(event);

    apply_move(event, fold, &move);
}

static struct move move_of_followed(const struct wk_event *event)
{
    const Yizhan__V1__OrgFollowed *followed = (const Yizhan__V1__OrgFollowed *)event->payload;

    return (struct move){followed->org_path, followed->to, followed->basis, "to"};
}

static void needs_followed(const struct wk_event *event, struct wk_needs *needs)
{
    const struct move move = move_of_followed(event);

    need_chain(event, needs, move.from);
    need_chain(event, needs, move.to);
}

/* The org above `to`, when it has been moved on in the meantime: where to. "" else. */
static const char *moved_on(const struct wk_event *event, struct wk_fold *fold, const char *to)
{
    char parent[YZ_ORG_PATH_MAX];
    const bson_t *above;

    parent_of(to, parent);
    above = *parent ? get(event, fold, parent) : NULL;
    return above && !is_live(above) ? wk_document_text(above, "moved_to") : "";
}

static enum yz_err judge_followed(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const Yizhan__V1__OrgFollowed *followed = (const Yizhan__V1__OrgFollowed *)event->payload;
    const struct move move = move_of_followed(event);

    if (!followed->self || !is_live(get(event, fold, move.from)) || *moved_on(event, fold, move.to))
        return YZ_OK;
    return judge_move(event, fold, &move, v);
}

/* The org that it was to follow came back before it had left: it stays, and the one above, which
 * was written anew, learns of it. */
static void stay(const struct wk_event *event, struct wk_fold *fold, const char *org_path)
{
    const bson_t *document = get(event, fold, org_path);
    struct child size;
    struct org org;

    if (!is_live(document))
        return;
    read_org(document, &org);
    size = measure(&org);
    free(org.children);
    tell_above(event, fold, org_path, &size);
}

/* It runs after an org that moved on before it arrived. */
static void owe_after(const struct wk_event *event, struct wk_fold *fold, const struct move *move,
                      const char *above)
{
    Yizhan__V1__OrgFollowed followed = YIZHAN__V1__ORG_FOLLOWED__INIT;
    char to[YZ_ORG_PATH_MAX + YZ_ID_MAX];

    snprintf(to, sizeof to, "%s/%s", above, last_of(move->to));
    if (strcmp(to, move->from) == 0) {
        stay(event, fold, move->from);
        return;
    }
    followed.org_path = (char *)(uintptr_t)move->from;
    followed.to = to;
    followed.self = true;
    followed.basis = (char *)(uintptr_t)move->basis;
    wk_later(fold, ROW_ON, event->received_at_ms, "org.followed", &followed.base);
}

/* To be moved now, or, in a replay, moved by this very event. */
static bool is_mine_to_move(const struct wk_event *event, const bson_t *org)
{
    return is_live(org) || (org && wk_document_number(org, "moved_by") == (int64_t)event->sequence);
}

static void apply_followed(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__OrgFollowed *followed = (const Yizhan__V1__OrgFollowed *)event->payload;
    const struct move move = move_of_followed(event);
    const char *on = followed->self ? moved_on(event, fold, move.to) : "";

    if (!followed->self)
        owe_children(event, fold, &move, followed->after);
    else if (*on)
        owe_after(event, fold, &move, on);
    else if (is_mine_to_move(event, get(event, fold, move.from)))
        apply_move(event, fold, &move);
}

static void needs_dissolved(const struct wk_event *event, struct wk_needs *needs)
{
    const char *org_path = ((const Yizhan__V1__OrgDissolved *)event->payload)->org_path;
    char id[WK_ID_MAX];

    need_chain(event, needs, org_path);
    wk_branch_id(id, event->env->actor.tenant, org_path);
    wk_need(needs, WK_BRANCHES, id);
}

static bool has_members(const struct wk_event *event, struct wk_fold *fold, const char *org_path)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;
    char id[WK_ID_MAX];

    wk_branch_id(id, event->env->actor.tenant, org_path);
    for (wk_branch_begin(&walk, wk_get(fold, WK_BRANCHES, id)); wk_branch_next(&walk, &member);) {
        if (!member.left_at_ms)
            return true;
    }
    return false;
}

static enum yz_err judge_dissolved(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const char *org_path = ((const Yizhan__V1__OrgDissolved *)event->payload)->org_path;
    enum yz_err err = judge_live(event, fold, org_path, v);
    struct org org;
    size_t count;

    if (err)
        return err;
    read_org(get(event, fold, org_path), &org);
    count = org.count;
    free(org.children);
    return count > 0 || has_members(event, fold, org_path)
               ? yz_violate(v, YZ_ORG_NOT_EMPTY, "orgPath", NULL)
               : YZ_OK;
}

static void apply_dissolved(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__OrgDissolved *dissolved = (const Yizhan__V1__OrgDissolved *)event->payload;
    const Yizhan__V1__OrgChangeKind kind = YIZHAN__V1__ORG_CHANGE_KIND__ORG_DISSOLVED;
    const bson_t *document = get(event, fold, dissolved->org_path);
    char name[WK_ID_MAX];
    struct org org;

    if (!document)
        return;
    read_org(document, &org);
    snprintf(name, sizeof name, "%s", org.name);
    org.live = false;
    org.until_ms = event->received_at_ms;
    put_org(event, fold, &org);
    tell_above(event, fold, dissolved->org_path, NULL);
    insert_change(event, fold, dissolved->org_path, kind, name, "", dissolved->basis);
    push_changed(event, fold, dissolved->org_path, kind, name, "");
}

static const struct wk_event_handler events[] = {
    {"org.founded", needs_founded, judge_founded, apply_founded},
    {"org.renamed", needs_renamed, judge_renamed, apply_renamed},
    {"org.moved", needs_moved, judge_moved, apply_moved},
    {"org.dissolved", needs_dissolved, judge_dissolved, apply_dissolved},
    {"org.followed", needs_followed, judge_followed, apply_followed},
    {0},
};

static const struct wk_query_handler queries[] = {
    {"org.tree", wk_org_answer_tree},
    {"org.history", wk_org_answer_history},
    {0},
};

static const struct wk_index orgs_indexes[] = {
    {.name = "by_parent", .keys = "{\"tenant\": 1, \"parent\": 1, \"live\": 1, \"org_path\": 1}"},
    {0},
};

static const struct wk_index changes_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"sequence\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_ORGS, orgs_indexes},
    {WK_ORG_CHANGES, changes_indexes},
    {0},
};

const struct wk_domain wk_domain_org = {"org", events, queries, collections};
