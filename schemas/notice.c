#include "schemas/contract.h"

#include "schemas/check.h"

#include <notice.pb-c.h>
#include <stdio.h>

#define TITLE_MAX 64
#define BODY_MAX  10000
#define LIST_MAX  100

/* That expires_at lies in the future is judged by the worker, against the broker's clock. */
static enum yz_err check_published(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__NoticePublished *notice = (const Yizhan__V1__NoticePublished *)message;
    enum yz_err err;

    if ((err = yz_check_id(notice->notice_id, "noticeId", v)) ||
        (err = yz_check_org_path(notice->org_path, "orgPath", v)) ||
        (err = yz_check_enum(&yizhan__v1__notice_class__descriptor, (int)notice->notice_class,
                             "noticeClass", v)) ||
        (err = yz_check_text(notice->title, TITLE_MAX, "title", v)) ||
        (err = yz_check_optional_text(notice->body, BODY_MAX, "body", v)))
        return err;
    return yz_check_optional_time(notice->expires_at, "expiresAt", v);
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

static enum yz_err check_read(const ProtobufCMessage *message, struct yz_violation *v)
{
    return yz_check_id(((const Yizhan__V1__NoticeRead *)message)->notice_id, "noticeId", v);
}

/* One branch's receipts of a notice are one document, so that a notice to half a million is no
 * bottleneck. */
static void aggregate_of_read(const ProtobufCMessage *message, const struct yz_actor *actor,
                              char out[YZ_AGGREGATE_MAX])
{
    snprintf(out, YZ_AGGREGATE_MAX, "receipts|%s|%s",
             ((const Yizhan__V1__NoticeRead *)message)->notice_id, actor->org_path);
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

static const struct yz_event_type events[] = {
    {"notice.published", &yizhan__v1__notice_published__descriptor, YZ_BY_SECRETARY,
     check_published, org_of_published, aggregate_of_published},
    {"notice.read", &yizhan__v1__notice_read__descriptor, YZ_BY_MEMBER, check_read, NULL,
     aggregate_of_read},
    {0},
};

static const struct yz_query_type queries[] = {
    {"notice.list", &yizhan__v1__notice_list_request__descriptor,
     &yizhan__v1__notice_list_reply__descriptor, YZ_BY_MEMBER, check_list, NULL},
    {"notice.receipts", &yizhan__v1__notice_receipts_request__descriptor,
     &yizhan__v1__notice_receipts_reply__descriptor, YZ_BY_OVERSEER, check_receipts,
     org_of_receipts},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"notice.posted", &yizhan__v1__notice_posted__descriptor},
    {"notice.receipt_count", &yizhan__v1__notice_receipt_count__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_notice = {"notice", events, queries, pushes};
