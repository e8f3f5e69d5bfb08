/* Notices (通知): published, approved by a second person when urgent, recalled. */
#include "workers/domains/notice.h"

#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/rules.h"

#include <stdlib.h>
#include <string.h>

#define AUDIENCE_TEXT_MAX 1200 /* 16 ids of 64, with commas */
#define OWN_ORG           "@own"

void wk_notice_id(const struct yz_actor *actor, const char *notice_id, char out[WK_ID_MAX])
{
    wk_id(out, actor->tenant, notice_id, NULL);
}

Yizhan__V1__NoticeState wk_notice_state(const bson_t *notice)
{
    return (Yizhan__V1__NoticeState)wk_document_enum(notice, "state",
                                                     &yizhan__v1__notice_state__descriptor);
}

bool wk_notice_was_released(const bson_t *notice)
{
    bson_iter_t inbox;

    return bson_iter_init_find(&inbox, notice, "inbox");
}

Yizhan__V1__NoticeClass wk_notice_class(const bson_t *notice)
{
    return (Yizhan__V1__NoticeClass)wk_document_enum(notice, "notice_class",
                                                     &yizhan__v1__notice_class__descriptor);
}

bool wk_notice_expired(const bson_t *notice, int64_t now_ms)
{
    int64_t expires_at_ms = wk_document_time_ms(notice, "expires_at");

    return expires_at_ms != 0 && expires_at_ms <= now_ms;
}

bool wk_notice_passes(const bson_t *notice)
{
    return wk_notice_class(notice) == YIZHAN__V1__NOTICE_CLASS__URGENT &&
           *wk_document_text(notice, "approver");
}

static bool next_path(bson_iter_t *paths, const char **path)
{
    while (bson_iter_next(paths)) {
        if (BSON_ITER_HOLDS_UTF8(paths)) {
            *path = bson_iter_utf8(paths, NULL);
            return true;
        }
    }
    return false;
}

const char *wk_notice_covering(const bson_t *notice, const char *org_path)
{
    bson_iter_t paths;
    const char *path;

    if (wk_document_array(notice, "org_paths", &paths)) {
        while (next_path(&paths, &path)) {
            if (yz_org_covers(path, org_path))
                return path;
        }
    }
    return NULL;
}

bool wk_notice_addresses_below(const bson_t *notice, const char *org_path)
{
    bson_iter_t paths;
    const char *path;

    if (wk_document_array(notice, "org_paths", &paths)) {
        while (next_path(&paths, &path)) {
            if (yz_org_covers(org_path, path))
                return true;
        }
    }
    return false;
}

/* One entry of a comma-separated list; NULL: no more. */
static const char *next_entry(const char **list, size_t *len)
{
    const char *entry = *list;

    *len = strcspn(entry, ",");
    *list = entry + *len + (entry[*len] == ',');
    return *len > 0 ? entry : NULL;
}

static bool in_list(const char *list, const char *name, size_t name_len)
{
    const char *entry;
    size_t len;

    while ((entry = next_entry(&list, &len))) {
        if (len == name_len && strncmp(entry, name, len) == 0)
            return true;
    }
    return false;
}

/* A role without a scope stands in the token by itself; one with a scope must cover the own org. */
static bool holds_one(const struct yz_actor *actor, const char *roles)
{
    const char *entry;
    size_t len;

    while ((entry = next_entry(&roles, &len))) {
        char role[YZ_ID_MAX];

        snprintf(role, sizeof role, "%.*s", (int)len, entry);
        if (in_list(actor->roles, role, strlen(role)) ||
            yz_actor_has_role(actor, role, actor->org_path))
            return true;
    }
    return false;
}

bool wk_notice_addresses(const bson_t *notice, const struct yz_actor *actor, const char **path)
{
    const char *through = wk_notice_covering(notice, actor->org_path);
    const char *roles = wk_document_text(notice, "roles");

    if (path)
        *path = through;
    return through &&
           !in_list(wk_document_text(notice, "exclude"), actor->member, strlen(actor->member)) &&
           (!*roles || holds_one(actor, roles));
}

bool wk_notice_addresses_listed(const bson_t *notice, const struct wk_branch_member *member)
{
    const char *roles = wk_document_text(notice, "roles"), *entry;
    size_t len;

    if (in_list(wk_document_text(notice, "exclude"), member->member, strlen(member->member)))
        return false;
    if (!*roles || in_list(roles, "member", strlen("member")))
        return true;
    while ((entry = next_entry(&roles, &len))) {
        if (in_list(member->roles, entry, len))
            return true;
    }
    return false;
}

static bool is_secretary(const struct yz_actor *actor, const char *org_path)
{
    return yz_actor_has_role(actor, "secretary", org_path) ||
           yz_actor_has_role(actor, "admin", org_path);
}

bool wk_notice_in_scope(const bson_t *notice, const struct yz_actor *actor)
{
    bson_iter_t paths;
    const char *path;

    if (!wk_document_array(notice, "org_paths", &paths))
        return false;
    while (next_path(&paths, &path)) {
        if (!is_secretary(actor, path))
            return false;
    }
    return true;
}

bool wk_notice_overseen(const bson_t *notice, const struct yz_actor *actor)
{
    bson_iter_t paths;
    const char *path;

    if (wk_document_array(notice, "org_paths", &paths)) {
        while (next_path(&paths, &path)) {
            if (is_secretary(actor, path) || yz_actor_has_role(actor, "inspector", path))
                return true;
        }
    }
    return false;
}

/* Whom the pushes of a released notice are for: its roles count over a member's own org, so that
 * one notice to the secretaries below an org is one push. */
static void push_to_audience(struct wk_fold *fold, const bson_t *notice, const char *type,
                             const ProtobufCMessage *message)
{
    char roles[AUDIENCE_TEXT_MAX] = "", channel[YZ_CHANNEL_MAX];
    const char *list = wk_document_text(notice, "roles"), *entry, *path;
    const char *exclude = wk_document_text(notice, "exclude");
    struct wk_audience audience = {*list ? roles : NULL, *exclude ? exclude : NULL};
    bson_iter_t paths;
    size_t len;

    while ((entry = next_entry(&list, &len)))
        snprintf(roles + strlen(roles), sizeof roles - strlen(roles), "%s%.*s" OWN_ORG,
                 *roles ? "," : "", (int)len, entry);
    if (!wk_document_array(notice, "org_paths", &paths))
        return;
    while (next_path(&paths, &path)) {
        snprintf(channel, sizeof channel, "org.%s", path);
        wk_push(fold, channel, type, message, &audience);
    }
}

static void push_to_secretaries(struct wk_fold *fold, const bson_t *notice, const char *type,
                                const ProtobufCMessage *message)
{
    const struct wk_audience audience = {.roles = "secretary,admin"};
    char channel[YZ_CHANNEL_MAX];

    snprintf(channel, sizeof channel, "org.%s", wk_document_text(notice, "org_path"));
    wk_push(fold, channel, type, message, &audience);
}

static void push_notice(struct wk_fold *fold, const bson_t *notice, bool released)
{
    Yizhan__V1__NoticePosted posted = YIZHAN__V1__NOTICE_POSTED__INIT;
    Google__Protobuf__Timestamp published_at =
                                    wk_timestamp(wk_document_time_ms(notice, "publish_at")),
                                expires_at =
                                    wk_timestamp(wk_document_time_ms(notice, "expires_at"));

    posted.notice_id = (char *)(uintptr_t)wk_document_text(notice, "notice_id");
    posted.org_path = (char *)(uintptr_t)wk_document_text(notice, "org_path");
    posted.notice_class = wk_notice_class(notice);
    posted.title = (char *)(uintptr_t)wk_document_text(notice, "title");
    posted.body = (char *)(uintptr_t)wk_document_text(notice, "body");
    posted.expires_at = wk_document_time_ms(notice, "expires_at") ? &expires_at : NULL;
    posted.publisher = (char *)(uintptr_t)wk_document_text(notice, "publisher");
    posted.published_at = &published_at;
    posted.sequence = (uint64_t)wk_document_number(notice, "sequence");
    if (released)
        push_to_audience(fold, notice, "notice.posted", &posted.base);
    else
        push_to_secretaries(fold, notice, "notice.pending", &posted.base);
}

static void needs_notice(const struct wk_event *event, struct wk_needs *needs,
                         const char *notice_id)
{
    char id[WK_ID_MAX];

    wk_notice_id(&event->env->actor, notice_id, id);
    wk_need(needs, WK_NOTICES, id);
}

static const bson_t *get_notice(const struct wk_event *event, struct wk_fold *fold,
                                const char *notice_id)
{
    char id[WK_ID_MAX];

    wk_notice_id(&event->env->actor, notice_id, id);
    return wk_get(fold, WK_NOTICES, id);
}

static void put_notice(const struct wk_event *event, struct wk_fold *fold, const char *notice_id,
                       bson_t *notice)
{
    char id[WK_ID_MAX];

    wk_notice_id(&event->env->actor, notice_id, id);
    wk_put(fold, WK_NOTICES, id, notice);
}

static void append_state(bson_t *notice, Yizhan__V1__NoticeState state)
{
    BSON_APPEND_UTF8(notice, "state",
                     wk_document_enum_name(&yizhan__v1__notice_state__descriptor, (int)state));
}

/* published */

static void needs_published(const struct wk_event *event, struct wk_needs *needs)
{
    needs_notice(event, needs, ((const Yizhan__V1__NoticePublished *)event->payload)->notice_id);
}

static enum yz_err judge_audience(const struct wk_event *event,
                                  const Yizhan__V1__NoticeAudience *audience,
                                  struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];

    for (size_t i = 0; audience && i < audience->n_org_paths; i++) {
        if (is_secretary(&event->env->actor, audience->org_paths[i]))
            continue;
        snprintf(field, sizeof field, "audience.orgPaths[%zu]", i);
        return yz_violate(v, YZ_FORBIDDEN, field, NULL);
    }
    return YZ_OK;
}

static enum yz_err judge_published(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)event->payload;

    if (get_notice(event, fold, notice->notice_id))
        return yz_violate(v, YZ_EXISTS, "noticeId", "A notice with this id exists already.");
    if (notice->expires_at && wk_timestamp_ms(notice->expires_at) <= event->received_at_ms)
        return yz_violate(v, YZ_INVALID_VALUE, "expiresAt", "The time must lie in the future.");
    return judge_audience(event, notice->audience, v);
}

static void append_paths(bson_t *document, const char *field, char *const *paths, size_t count)
{
    bson_t list;
    char key[24];

    bson_append_array_begin(document, field, -1, &list);
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%zu", i);
        BSON_APPEND_UTF8(&list, key, paths[i]);
    }
    bson_append_array_end(document, &list);
}

/* "a,b"; nothing when there is none. */
static void append_list(bson_t *document, const char *field, char *const *entries, size_t count)
{
    char text[AUDIENCE_TEXT_MAX] = "";

    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? "," : "",
                 entries[i]);
    if (count > 0)
        bson_append_utf8(document, field, -1, text, -1);
}

static bson_t *new_notice(const struct wk_event *event, const Yizhan__V1__NoticePublished *notice)
{
    const Yizhan__V1__NoticeAudience *audience = notice->audience;
    bool own = !audience || audience->n_org_paths == 0;
    bool urgent = notice->notice_class == YIZHAN__V1__NOTICE_CLASS__URGENT;
    char *const *paths = own ? &notice->org_path : audience->org_paths;
    size_t path_count = own ? 1 : audience->n_org_paths;
    bson_t *document = bson_new();

    BSON_APPEND_UTF8(document, "notice_id", notice->notice_id);
    BSON_APPEND_UTF8(document, "org_path", notice->org_path);
    append_paths(document, "org_paths", paths, path_count);
    if (audience) {
        append_list(document, "roles", audience->roles, audience->n_roles);
        append_list(document, "exclude", audience->exclude, audience->n_exclude);
    }
    BSON_APPEND_UTF8(
        document, "notice_class",
        wk_document_enum_name(&yizhan__v1__notice_class__descriptor, (int)notice->notice_class));
    BSON_APPEND_UTF8(document, "title", notice->title);
    BSON_APPEND_UTF8(document, "body", notice->body);
    BSON_APPEND_UTF8(document, "publisher", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "publish_at", event->received_at_ms);
    if (notice->expires_at)
        BSON_APPEND_DATE_TIME(document, "expires_at", wk_timestamp_ms(notice->expires_at));
    append_state(document, urgent ? YIZHAN__V1__NOTICE_STATE__NOTICE_PENDING
                                  : YIZHAN__V1__NOTICE_STATE__NOTICE_RELEASED);
    if (!urgent)
        append_paths(document, "inbox", paths, path_count);
    BSON_APPEND_INT64(document, "sequence", (int64_t)event->sequence);
    return document;
}

/* It stands in the inboxes at once; in the quiet hours its push waits for their end. */
static void apply_published(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)event->payload;
    const struct wk_rules_calendar *calendar =
        wk_rules_calendar_at(wk_fold_context(fold)->rules, event->received_at_ms);
    Yizhan__V1__NoticeReleaseDue due = YIZHAN__V1__NOTICE_RELEASE_DUE__INIT;
    bool urgent = notice->notice_class == YIZHAN__V1__NOTICE_CLASS__URGENT;
    bson_t *document = new_notice(event, notice);
    int64_t until_ms;

    if (!urgent && wk_calendar_quiet(calendar, event->received_at_ms, &until_ms)) {
        due.org_path = notice->org_path;
        due.notice_id = notice->notice_id;
        wk_later(fold, 0, until_ms, "notice.release_due", &due.base);
        BSON_APPEND_DATE_TIME(document, "push_at", until_ms);
        BSON_APPEND_UTF8(document, "rules", calendar->version);
    } else {
        push_notice(fold, document, !urgent);
    }
    put_notice(event, fold, notice->notice_id, document);
}

static void needs_release_due(const struct wk_event *event, struct wk_needs *needs)
{
    needs_notice(event, needs, ((const Yizhan__V1__NoticeReleaseDue *)event->payload)->notice_id);
}

static enum yz_err judge_release_due(const struct wk_event *event, struct wk_fold *fold,
                                     struct yz_violation *v)
{
    (void)event;
    (void)fold;
    (void)v;
    return YZ_OK;
}

/* Moot when it was recalled or expired in the night. */
static void apply_release_due(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeReleaseDue *due = (const Yizhan__V1__NoticeReleaseDue *)event->payload;
    const bson_t *notice = get_notice(event, fold, due->notice_id);

    if (notice && wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_RELEASED &&
        !wk_notice_expired(notice, event->received_at_ms))
        push_notice(fold, notice, true);
}

/* approved */

static void needs_approved(const struct wk_event *event, struct wk_needs *needs)
{
    needs_notice(event, needs, ((const Yizhan__V1__NoticeApproved *)event->payload)->notice_id);
}

static enum yz_err judge_approved(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const Yizhan__V1__NoticeApproved *approved = (const Yizhan__V1__NoticeApproved *)event->payload;
    const struct yz_actor *actor = &event->env->actor;
    const bson_t *notice = get_notice(event, fold, approved->notice_id);

    if (!notice || strcmp(wk_document_text(notice, "org_path"), approved->org_path) != 0)
        return yz_violate(v, YZ_NOT_FOUND, "noticeId", "This org has no such notice.");
    if (wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED)
        return yz_violate(v, YZ_NOTICE_RECALLED, "noticeId", NULL);
    if (wk_notice_state(notice) != YIZHAN__V1__NOTICE_STATE__NOTICE_PENDING)
        return yz_violate(v, YZ_NOTICE_NOT_PENDING, "noticeId", NULL);
    if (!wk_notice_in_scope(notice, actor))
        return yz_violate(v, YZ_FORBIDDEN, "noticeId",
                          "Your scope does not cover all orgs that it addresses.");
    if (strcmp(wk_document_text(notice, "publisher"), actor->member) == 0)
        return yz_violate(v, YZ_SAME_PERSON, "noticeId", NULL);
    if (wk_notice_expired(notice, event->received_at_ms))
        return yz_violate(v, YZ_NOTICE_EXPIRED, "noticeId", NULL);
    return YZ_OK;
}

static void copy_paths(const bson_t *notice, bson_t *out)
{
    bson_iter_t it;

    if (bson_iter_init_find(&it, notice, "org_paths"))
        bson_append_iter(out, "inbox", -1, &it);
}

/* From now on it stands in the inboxes, and there as the newest. */
static void apply_approved(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeApproved *approved = (const Yizhan__V1__NoticeApproved *)event->payload;
    const bson_t *notice = get_notice(event, fold, approved->notice_id);
    bson_t *released;

    if (!notice)
        return;
    released = bson_new();
    bson_copy_to_excluding_noinit(notice, released, "state", "inbox", "sequence", "approver",
                                  "approved_at", NULL);
    append_state(released, YIZHAN__V1__NOTICE_STATE__NOTICE_RELEASED);
    copy_paths(notice, released);
    BSON_APPEND_UTF8(released, "approver", event->env->actor.member);
    BSON_APPEND_DATE_TIME(released, "approved_at", event->received_at_ms);
    BSON_APPEND_INT64(released, "sequence", (int64_t)event->sequence);
    push_notice(fold, released, true);
    put_notice(event, fold, approved->notice_id, released);
}

/* recalled */

static void needs_recalled(const struct wk_event *event, struct wk_needs *needs)
{
    needs_notice(event, needs, ((const Yizhan__V1__NoticeRecalled *)event->payload)->notice_id);
}

static enum yz_err judge_recalled(const struct wk_event *event, struct wk_fold *fold,
                                  struct yz_violation *v)
{
    const Yizhan__V1__NoticeRecalled *recalled = (const Yizhan__V1__NoticeRecalled *)event->payload;
    const struct yz_actor *actor = &event->env->actor;
    const bson_t *notice = get_notice(event, fold, recalled->notice_id);

    if (!notice)
        return yz_violate(v, YZ_NOT_FOUND, "noticeId", "There is no such notice.");
    if (strcmp(wk_document_text(notice, "publisher"), actor->member) != 0 &&
        !wk_notice_in_scope(notice, actor))
        return yz_violate(v, YZ_FORBIDDEN, "noticeId", NULL);
    if (wk_notice_state(notice) == YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED)
        return yz_violate(v, YZ_NOTICE_RECALLED, "noticeId", NULL);
    return YZ_OK;
}

static void apply_recalled(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__NoticeRecalled *recalled = (const Yizhan__V1__NoticeRecalled *)event->payload;
    Google__Protobuf__Timestamp recalled_at = wk_timestamp(event->received_at_ms);
    Yizhan__V1__NoticeRecall recall = YIZHAN__V1__NOTICE_RECALL__INIT;
    const bson_t *notice = get_notice(event, fold, recalled->notice_id);
    bson_iter_t inbox;
    bson_t *document;

    if (!notice)
        return;
    document = bson_new();
    bson_copy_to_excluding_noinit(notice, document, "state", "recalled_by", "recalled_at",
                                  "recall_reason", NULL);
    append_state(document, YIZHAN__V1__NOTICE_STATE__NOTICE_RECALLED);
    BSON_APPEND_UTF8(document, "recalled_by", event->env->actor.member);
    BSON_APPEND_DATE_TIME(document, "recalled_at", event->received_at_ms);
    BSON_APPEND_UTF8(document, "recall_reason", recalled->reason);
    recall.notice_id = recalled->notice_id;
    recall.reason = recalled->reason;
    recall.recalled_by = (char *)(uintptr_t)event->env->actor.member;
    recall.recalled_at = &recalled_at;
    /* One that was never released is known to secretaries only. */
    if (bson_iter_init_find(&inbox, document, "inbox"))
        push_to_audience(fold, document, "notice.recalled", &recall.base);
    else
        push_to_secretaries(fold, document, "notice.recalled", &recall.base);
    put_notice(event, fold, recalled->notice_id, document);
}

static const struct wk_query_handler queries[] = {
    {"notice.list", wk_notice_list},
    {"notice.unread", wk_notice_unread},
    {"notice.get", wk_notice_get},
    {"notice.pending", wk_notice_pending},
    {"notice.receipts", wk_notice_report},
    {"notice.unread_members", wk_notice_unread_members},
    {0},
};

static const struct wk_index notices_indexes[] = {
    {.name = "by_inbox", .keys = "{\"tenant\": 1, \"inbox\": 1, \"sequence\": -1}"},
    {.name = "by_state", .keys = "{\"tenant\": 1, \"state\": 1, \"sequence\": -1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_NOTICES, notices_indexes},
    {WK_NOTICE_RECEIPTS, NULL},
    {WK_NOTICE_REMINDERS, NULL},
    {0},
};

static const struct wk_event_handler events[] = {
    {"notice.published", needs_published, judge_published, apply_published},
    {"notice.approved", needs_approved, judge_approved, apply_approved},
    {"notice.recalled", needs_recalled, judge_recalled, apply_recalled},
    {"notice.release_due", needs_release_due, judge_release_due, apply_release_due},
    {"notice.received", wk_notice_needs_received, wk_notice_judge_received,
     wk_notice_apply_received},
    {"notice.read", wk_notice_needs_read, wk_notice_judge_read, wk_notice_apply_read},
    {"notice.confirmed", wk_notice_needs_confirmed, wk_notice_judge_confirmed,
     wk_notice_apply_confirmed},
    {"notice.reminded", wk_notice_needs_reminded, wk_notice_judge_reminded,
     wk_notice_apply_reminded},
    {"notice.remind_due", wk_notice_needs_remind_due, wk_notice_judge_remind_due,
     wk_notice_apply_remind_due},
    {0},
};

const struct wk_domain wk_domain_notice = {"notice", events, queries, collections};
