#include "schemas/contract.h"

#include "schemas/check.h"

#include "common/subject.h"

#include <notice.pb-c.h>
#include <stdio.h>
#include <string.h>

#define TITLE_MAX    64
#define BODY_MAX     10000
#define REASON_MAX   200
#define LIST_MAX     100
#define PATHS_MAX    32
#define EXCLUDE_MAX  16
#define RECEIVED_MAX 50
#define BRANCHES_MAX 200

static enum yz_err refuse_entry(struct yz_violation *v, enum yz_err err, const char *field,
                                size_t index, const char *text)
{
    char name[YZ_FIELD_MAX];

    snprintf(name, sizeof name, "%s[%zu]", field, index);
    return yz_violate(v, err, name, text);
}

/* Paths of which none covers another: each branch is below one of them at most. */
static enum yz_err check_paths(char *const *paths, size_t count, size_t max, const char *field,
                               struct yz_violation *v)
{
    if (count > max)
        return yz_violate(v, YZ_TOO_MANY, field, NULL);
    for (size_t i = 0; i < count; i++) {
        if (!yz_org_path_valid(paths[i]))
            return refuse_entry(v, YZ_INVALID_VALUE, field, i,
                                "An org path is 1 to 12 ids joined by /, at most 256 bytes.");
        for (size_t other = 0; other < i; other++) {
            if (yz_org_covers(paths[other], paths[i]) || yz_org_covers(paths[i], paths[other]))
                return refuse_entry(v, YZ_INVALID_VALUE, field, i,
                                    "Another entry is the same org, above or below it.");
        }
    }
    return YZ_OK;
}

static enum yz_err check_roles(char *const *roles, size_t count, struct yz_violation *v)
{
    static const char *const known[] = {"member", "secretary", "inspector", "admin"};
    const size_t known_count = sizeof known / sizeof known[0];

    if (count > known_count)
        return yz_violate(v, YZ_TOO_MANY, "audience.roles", NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < known_count && strcmp(known[at], roles[i]) != 0)
            at++;
        if (at == known_count)
            return refuse_entry(v, YZ_INVALID_VALUE, "audience.roles", i,
                                "A role is member, secretary, inspector or admin.");
    }
    return YZ_OK;
}

static enum yz_err check_audience(const Yizhan__V1__NoticeAudience *audience,
                                  struct yz_violation *v)
{
    enum yz_err err =
        check_paths(audience->org_paths, audience->n_org_paths, PATHS_MAX, "audience.orgPaths", v);

    if (!err)
        err = check_roles(audience->roles, audience->n_roles, v);
    if (!err && audience->n_exclude > 0)
        err = yz_check_ids(audience->exclude, audience->n_exclude, EXCLUDE_MAX, "audience.exclude",
                           v);
    return err;
}

/* That expires_at lies in the future is judged by the worker, against the broker's clock; so is
 * that each org of the audience lies in the publisher's scope. */
static enum yz_err check_published(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)message;
    enum yz_err err;

    if ((err = yz_check_id(notice->notice_id, "noticeId", v)) ||
        (err = yz_check_org_path(notice->org_path, "orgPath", v)) ||
        (err = yz_check_enum(&yizhan__v1__notice_class__descriptor, (int)notice->notice_class,
                             "noticeClass", v)) ||
        (err = yz_check_name(notice->title, TITLE_MAX, "title", v)) ||
        (err = yz_check_optional_text(notice->body, BODY_MAX, "body", v)) ||
        (err = yz_check_optional_time(notice->expires_at, "expiresAt", v)))
        return err;
    return notice->audience ? check_audience(notice->audience, v) : YZ_OK;
}

static const char *org_of_published(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticePublished *)message)->org_path;
}

static void aggregate_of_published(const ProtobufCMessage *message, const struct yz_actor *actor,
                                   char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "notice|%s",
             ((const Yizhan__V1__NoticePublished *)message)->notice_id);
}

/* An org and a notice: approved, release_due. */
static enum yz_err check_place(const char *org_path, const char *notice_id, struct yz_violation *v)
{
    enum yz_err err = yz_check_org_path(org_path, "orgPath", v);

    return err ? err : yz_check_id(notice_id, "noticeId", v);
}

static enum yz_err check_approved(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeApproved *approved = (const Yizhan__V1__NoticeApproved *)message;

    return check_place(approved->org_path, approved->notice_id, v);
}

static const char *org_of_approved(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeApproved *)message)->org_path;
}

static void aggregate_of_approved(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "notice|%s",
             ((const Yizhan__V1__NoticeApproved *)message)->notice_id);
}

static enum yz_err check_recalled(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeRecalled *recalled = (const Yizhan__V1__NoticeRecalled *)message;
    enum yz_err err = yz_check_id(recalled->notice_id, "noticeId", v);

    return err ? err : yz_check_optional_text(recalled->reason, REASON_MAX, "reason", v);
}

static void aggregate_of_recalled(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "notice|%s",
             ((const Yizhan__V1__NoticeRecalled *)message)->notice_id);
}

static enum yz_err check_release_due(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeReleaseDue *due = (const Yizhan__V1__NoticeReleaseDue *)message;

    return check_place(due->org_path, due->notice_id, v);
}

static const char *org_of_release_due(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeReleaseDue *)message)->org_path;
}

static void aggregate_of_release_due(const ProtobufCMessage *message, const struct yz_actor *actor,
                                     char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "notice|%s",
             ((const Yizhan__V1__NoticeReleaseDue *)message)->notice_id);
}

static enum yz_err check_received(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeReceived *received = (const Yizhan__V1__NoticeReceived *)message;

    return yz_check_ids(received->notice_ids, received->n_notice_ids, RECEIVED_MAX, "noticeIds", v);
}

static enum yz_err check_read(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_id(((const Yizhan__V1__NoticeRead *)message)->notice_id, "noticeId", v);
}

static enum yz_err check_confirmed(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_id(((const Yizhan__V1__NoticeConfirmed *)message)->notice_id, "noticeId", v);
}

/* The receipts of one branch are one aggregate, so that a notice to half a million is no
 * bottleneck, and a phone's report of many notices is one event. */
static void aggregate_of_receipts(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)message;
    snprintf(out, YZ_AGGREGATE_MAX, "receipts|%s", actor->org_path);
}

/* Of a branch that stood twice everybody would be reminded twice. */
static enum yz_err check_branch(const Yizhan__V1__NoticeReminded *reminded, size_t index,
                                struct yz_violation *v)
{
    const char *branch = reminded->branches[index];

    if (!yz_org_path_valid(branch) || !yz_org_covers(reminded->org_path, branch))
        return refuse_entry(v, YZ_INVALID_VALUE, "branches", index,
                            "A branch is orgPath or lies below it.");
    for (size_t i = 0; i < index; i++) {
        if (strcmp(reminded->branches[i], branch) == 0)
            return refuse_entry(v, YZ_INVALID_VALUE, "branches", index, "The entry stands twice.");
    }
    return YZ_OK;
}

static enum yz_err check_reminded(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeReminded *reminded = (const Yizhan__V1__NoticeReminded *)message;
    enum yz_err err = check_place(reminded->org_path, reminded->notice_id, v);

    if (!err && reminded->n_branches > BRANCHES_MAX)
        err = yz_violate(v, YZ_TOO_MANY, "branches", NULL);
    if (!err && reminded->n_branches > 0 && reminded->subtree)
        err = yz_violate(v, YZ_INVALID_VALUE, "subtree", "It is either branches or a subtree.");
    for (size_t i = 0; !err && i < reminded->n_branches; i++)
        err = check_branch(reminded, i, v);
    return err;
}

static const char *org_of_reminded(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeReminded *)message)->org_path;
}

static void aggregate_of_reminded(const ProtobufCMessage *message, const struct yz_actor *actor,
                                  char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "reminders|%s",
             ((const Yizhan__V1__NoticeReminded *)message)->org_path);
}

static enum yz_err check_remind_due(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeRemindDue *due = (const Yizhan__V1__NoticeRemindDue *)message;
    enum yz_err err = check_place(due->org_path, due->notice_id, v);

    return !err && *due->after_member ? yz_check_id(due->after_member, "afterMember", v) : err;
}

static const char *org_of_remind_due(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeRemindDue *)message)->org_path;
}

static void aggregate_of_remind_due(const ProtobufCMessage *message, const struct yz_actor *actor,
                                    char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "reminders|%s",
             ((const Yizhan__V1__NoticeRemindDue *)message)->org_path);
}

static enum yz_err check_list(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_range(((const Yizhan__V1__NoticeListRequest *)message)->limit, 1, LIST_MAX,
                          "limit", v);
}

static enum yz_err check_receipts(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeReceiptsRequest *request =
        (const Yizhan__V1__NoticeReceiptsRequest *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(request->org_path, "orgPath", v)) ||
        (err = yz_check_id(request->notice_id, "noticeId", v)))
        return err;
    return *request->after ? yz_check_org_path(request->after, "after", v) : YZ_OK;
}

static const char *org_of_receipts(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeReceiptsRequest *)message)->org_path;
}

static enum yz_err check_get(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_id(((const Yizhan__V1__NoticeGetRequest *)message)->notice_id, "noticeId", v);
}

static enum yz_err check_pending(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticePendingRequest *request =
        (const Yizhan__V1__NoticePendingRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : yz_check_range(request->limit, 1, LIST_MAX, "limit", v);
}

static const char *org_of_pending(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticePendingRequest *)message)->org_path;
}

static enum yz_err check_unread_members(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticeUnreadMembersRequest *request =
        (const Yizhan__V1__NoticeUnreadMembersRequest *)message;
    enum yz_err err = check_place(request->org_path, request->notice_id, v);

    if (!err && strlen(request->after) >= YZ_ID_MAX)
        err = yz_violate(v, YZ_INVALID_VALUE, "after", NULL);
    return err;
}

static const char *org_of_unread_members(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__NoticeUnreadMembersRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"notice.published", &yizhan__v1__notice_published__descriptor, YZ_BY_SECRETARY,
     check_published, org_of_published, aggregate_of_published},
    {"notice.approved", &yizhan__v1__notice_approved__descriptor, YZ_BY_SECRETARY, check_approved,
     org_of_approved, aggregate_of_approved},
    {"notice.recalled", &yizhan__v1__notice_recalled__descriptor, YZ_BY_MEMBER, check_recalled,
     NULL, aggregate_of_recalled},
    {"notice.release_due", &yizhan__v1__notice_release_due__descriptor, YZ_BY_SYSTEM,
     check_release_due, org_of_release_due, aggregate_of_release_due},
    {"notice.received", &yizhan__v1__notice_received__descriptor, YZ_BY_MEMBER, check_received,
     NULL, aggregate_of_receipts},
    {"notice.read", &yizhan__v1__notice_read__descriptor, YZ_BY_MEMBER, check_read, NULL,
     aggregate_of_receipts},
    {"notice.confirmed", &yizhan__v1__notice_confirmed__descriptor, YZ_BY_MEMBER, check_confirmed,
     NULL, aggregate_of_receipts},
    {"notice.reminded", &yizhan__v1__notice_reminded__descriptor, YZ_BY_SECRETARY, check_reminded,
     org_of_reminded, aggregate_of_reminded},
    {"notice.remind_due", &yizhan__v1__notice_remind_due__descriptor, YZ_BY_SYSTEM,
     check_remind_due, org_of_remind_due, aggregate_of_remind_due},
    {0},
};

static const struct yz_query_type queries[] = {
    {"notice.list", &yizhan__v1__notice_list_request__descriptor,
     &yizhan__v1__notice_list_reply__descriptor, YZ_BY_MEMBER, check_list, NULL, YZ_BY_GET},
    {"notice.unread", &yizhan__v1__notice_unread_request__descriptor,
     &yizhan__v1__notice_unread_reply__descriptor, YZ_BY_MEMBER, NULL, NULL, YZ_BY_GET},
    {"notice.get", &yizhan__v1__notice_get_request__descriptor,
     &yizhan__v1__notice_get_reply__descriptor, YZ_BY_MEMBER, check_get, NULL, YZ_BY_GET},
    {"notice.pending", &yizhan__v1__notice_pending_request__descriptor,
     &yizhan__v1__notice_pending_reply__descriptor, YZ_BY_SECRETARY, check_pending, org_of_pending,
     YZ_BY_GET},
    {"notice.receipts", &yizhan__v1__notice_receipts_request__descriptor,
     &yizhan__v1__notice_receipts_reply__descriptor, YZ_BY_OVERSEER, check_receipts,
     org_of_receipts, YZ_BY_GET},
    {"notice.unread_members", &yizhan__v1__notice_unread_members_request__descriptor,
     &yizhan__v1__notice_unread_members_reply__descriptor, YZ_BY_OVERSEER, check_unread_members,
     org_of_unread_members, YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"notice.posted", &yizhan__v1__notice_posted__descriptor},
    {"notice.pending", &yizhan__v1__notice_posted__descriptor},
    {"notice.recalled", &yizhan__v1__notice_recall__descriptor},
    {"notice.reminder", &yizhan__v1__notice_reminder__descriptor},
    {"notice.reminder_sent", &yizhan__v1__notice_reminder_sent__descriptor},
    {"notice.receipt_count", &yizhan__v1__notice_receipt_count__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_notice = {"notice", events, queries, pushes};
