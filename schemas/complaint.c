/* Complaints (投诉 · 举报 · 监督 · 信访): what one may say, and which complaint it is about. */
#include "schemas/contract.h"

#include "schemas/check.h"
#include "schemas/receipt.h"

#include <complaint.pb-c.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES        32
#define SEAL_BYTES       48 /* what crypto_box_seal adds */
#define SEALED_MAX       8192
#define SEALED_COUNT_MAX 16
#define LEADS_MAX        8
#define EXTEND_DAYS_MAX  365
#define RATING_MAX       5
#define PURPOSE_MAX      200
#define CURSOR_MAX       128
#define ENTRIES_MAX      50
#define PAGE_MAX         100

static enum yz_err check_id(const char *id, struct yz_violation *v)
{
    return yz_check_id(id, "complaintId", v);
}

static enum yz_err check_key(const ProtobufCBinaryData *key, const char *field,
                             struct yz_violation *v)
{
    static const uint8_t zero[KEY_BYTES] = {0};

    if (key->len == 0)
        return yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (key->len != KEY_BYTES || memcmp(key->data, zero, KEY_BYTES) == 0)
        return yz_violate(v, YZ_INVALID_VALUE, field, "A public key is 32 bytes, not all zero.");
    return YZ_OK;
}

static enum yz_err check_sealed(const ProtobufCBinaryData *sealed, bool optional, const char *field,
                                struct yz_violation *v)
{
    if (sealed->len == 0)
        return optional ? YZ_OK : yz_violate(v, YZ_MISSING_FIELD, field, NULL);
    if (sealed->len <= SEAL_BYTES)
        return yz_violate(v, YZ_INVALID_VALUE, field, "This is no sealed box with content.");
    if (sealed->len > SEALED_MAX)
        return yz_violate(v, YZ_TOO_LONG, field, "A sealed box has at most 8,192 bytes.");
    return YZ_OK;
}

static enum yz_err check_box(const Yizhan__V1__ComplaintSealed *const *boxes, size_t at,
                             const char *list, struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];
    enum yz_err err;

    snprintf(field, sizeof field, "%s[%zu].keyId", list, at);
    if ((err = yz_check_id(boxes[at]->key_id, field, v)))
        return err;
    for (size_t i = 0; i < at; i++) {
        if (strcmp(boxes[i]->key_id, boxes[at]->key_id) == 0)
            return yz_violate(v, YZ_INVALID_VALUE, field, "The key stands twice.");
    }
    snprintf(field, sizeof field, "%s[%zu].sealed", list, at);
    return check_sealed(&boxes[at]->sealed, false, field, v);
}

static enum yz_err check_boxes(Yizhan__V1__ComplaintSealed **boxes, size_t count, bool optional,
                               const char *list, struct yz_violation *v)
{
    enum yz_err err;

    if (count == 0)
        return optional ? YZ_OK : yz_violate(v, YZ_MISSING_FIELD, list, NULL);
    if (count > SEALED_COUNT_MAX)
        return yz_violate(v, YZ_TOO_MANY, list, "At most 16 keys.");
    for (size_t i = 0; i < count; i++) {
        err = check_box((const Yizhan__V1__ComplaintSealed *const *)boxes, i, list, v);
        if (err)
            return err;
    }
    return YZ_OK;
}

/* Whom it is about: an org, a member, or both. */
static enum yz_err check_accused(const Yizhan__V1__ComplaintAccused *accused,
                                 struct yz_violation *v)
{
    enum yz_err err;

    if (!accused)
        return YZ_OK;
    if (*accused->org_path == '\0' && *accused->member_id == '\0')
        return yz_violate(v, YZ_MISSING_FIELD, "accused.orgPath", NULL);
    if (*accused->org_path && (err = yz_check_org_path(accused->org_path, "accused.orgPath", v)))
        return err;
    return *accused->member_id ? yz_check_id(accused->member_id, "accused.memberId", v) : YZ_OK;
}

/* One complaint with and without a name is the same message by two names. */
#define SAME_FIELD(field)                                                                          \
    _Static_assert(offsetof(Yizhan__V1__ComplaintFiledNamed, field) ==                             \
                       offsetof(Yizhan__V1__ComplaintFiled, field),                                \
                   "the fields are the same")
SAME_FIELD(receipt);
SAME_FIELD(org_path);
SAME_FIELD(category);
SAME_FIELD(accused);
SAME_FIELD(n_content);
SAME_FIELD(content);
SAME_FIELD(reply_key);
SAME_FIELD(copy);

static enum yz_err check_filed(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintFiled *filed = (const Yizhan__V1__ComplaintFiled *)message;
    enum yz_err err;

    if ((err = yz_check_receipt(filed->receipt, "receipt", v)) ||
        (err = yz_check_org_path(filed->org_path, "orgPath", v)) ||
        (err = yz_check_enum(&yizhan__v1__complaint__category__descriptor, (int)filed->category,
                             "category", v)) ||
        (err = check_accused(filed->accused, v)) ||
        (err = check_boxes(filed->content, filed->n_content, false, "content", v)) ||
        (err = check_key(&filed->reply_key, "replyKey", v)))
        return err;
    return check_sealed(&filed->copy, true, "copy", v);
}

static enum yz_err check_message_added(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMessageAdded *added =
        (const Yizhan__V1__ComplaintMessageAdded *)message;
    enum yz_err err;

    if ((err = yz_check_receipt(added->receipt, "receipt", v)) ||
        (err = check_boxes(added->content, added->n_content, false, "content", v)) ||
        (err = check_sealed(&added->copy, true, "copy", v)))
        return err;
    if (*added->org_path == '\0')
        return added->accused ? yz_violate(v, YZ_MISSING_FIELD, "orgPath", NULL) : YZ_OK;
    err = yz_check_org_path(added->org_path, "orgPath", v);
    return err ? err : check_accused(added->accused, v);
}

static enum yz_err check_rated(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintRated *rated = (const Yizhan__V1__ComplaintRated *)message;
    enum yz_err err = yz_check_receipt(rated->receipt, "receipt", v);

    if (err)
        return err;
    if (rated->rating == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "rating", NULL);
    return yz_check_range(rated->rating, 1, RATING_MAX, "rating", v);
}

static enum yz_err check_leads(const Yizhan__V1__ComplaintHandlerRegistered *handler,
                               struct yz_violation *v)
{
    char field[YZ_FIELD_MAX];
    enum yz_err err;

    if (handler->n_leads > LEADS_MAX)
        return yz_violate(v, YZ_TOO_MANY, "leads", "At most 8 orgs.");
    for (size_t i = 0; i < handler->n_leads; i++) {
        snprintf(field, sizeof field, "leads[%zu]", i);
        if ((err = yz_check_org_path(handler->leads[i], field, v)))
            return err;
    }
    return YZ_OK;
}

static int compare_times(const Google__Protobuf__Timestamp *a, const Google__Protobuf__Timestamp *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    return (a->nanos > b->nanos) - (a->nanos < b->nanos);
}

static enum yz_err check_handler(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintHandlerRegistered *handler =
        (const Yizhan__V1__ComplaintHandlerRegistered *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(handler->org_path, "orgPath", v)) ||
        (err = yz_check_id(handler->member_id, "memberId", v)) ||
        (err = yz_check_org_path(handler->home_path, "homePath", v)) ||
        (err = yz_check_id(handler->key_id, "keyId", v)) ||
        (err = check_key(&handler->public_key, "publicKey", v)) ||
        (err = yz_check_time(handler->from, "from", v)) ||
        (err = yz_check_time(handler->until, "until", v)) || (err = check_leads(handler, v)))
        return err;
    if (compare_times(handler->from, handler->until) >= 0)
        return yz_violate(v, YZ_INVALID_VALUE, "until", "It must be later than from.");
    return YZ_OK;
}

static enum yz_err check_acknowledged(const ProtobufCMessage *message, struct yz_violation *v)
{
    return check_id(((const Yizhan__V1__ComplaintAcknowledged *)message)->complaint_id, v);
}

static enum yz_err check_replied(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintReplied *replied = (const Yizhan__V1__ComplaintReplied *)message;
    enum yz_err err;

    if ((err = check_id(replied->complaint_id, v)) ||
        (err = check_sealed(&replied->sealed, false, "sealed", v)))
        return err;
    return check_boxes(replied->copies, replied->n_copies, true, "copies", v);
}

static enum yz_err check_days(const char *id, uint32_t days, struct yz_violation *v)
{
    enum yz_err err = check_id(id, v);

    if (err)
        return err;
    if (days == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "days", NULL);
    return yz_check_range(days, 1, EXTEND_DAYS_MAX, "days", v);
}

static enum yz_err check_extension_requested(const ProtobufCMessage *message,
                                             struct yz_violation *v)
{
    const Yizhan__V1__ComplaintExtensionRequested *asked =
        (const Yizhan__V1__ComplaintExtensionRequested *)message;

    return check_days(asked->complaint_id, asked->days, v);
}

static enum yz_err check_extended(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintExtended *extended = (const Yizhan__V1__ComplaintExtended *)message;

    return check_days(extended->complaint_id, extended->days, v);
}

static enum yz_err check_resolved(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintResolved *resolved = (const Yizhan__V1__ComplaintResolved *)message;
    enum yz_err err;

    if ((err = check_id(resolved->complaint_id, v)) ||
        (err = yz_check_enum(&yizhan__v1__complaint__result__descriptor, (int)resolved->result,
                             "result", v)) ||
        (err = check_sealed(&resolved->sealed, false, "sealed", v)))
        return err;
    return check_boxes(resolved->copies, resolved->n_copies, true, "copies", v);
}

static enum yz_err check_clock(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintClockRung *rung = (const Yizhan__V1__ComplaintClockRung *)message;
    enum yz_err err;

    if ((err = check_id(rung->complaint_id, v)) ||
        (err = yz_check_enum(&yizhan__v1__complaint__clock__descriptor, (int)rung->clock, "clock",
                             v)))
        return err;
    return yz_check_time(rung->due_at, "dueAt", v);
}

static void name_aggregate(const char *id, char out[YZ_AGGREGATE_MAX])
{
    snprintf(out, YZ_AGGREGATE_MAX, "complaint|%s", id);
}

static void aggregate_of_receipt(const ProtobufCMessage *message, const struct yz_actor *actor,
                                 char out[YZ_AGGREGATE_MAX])
{
    char id[YZ_RECEIPT_CASE_MAX];

    (void)actor;
    yz_receipt_case(*yz_receipt_field(message), id);
    name_aggregate(id, out);
}

/* All events of a handler, and the clock's, begin with the id. */
static void aggregate_of_id(const ProtobufCMessage *message, const struct yz_actor *actor,
                            char out[YZ_AGGREGATE_MAX])
{
    (void)actor;
    name_aggregate(((const Yizhan__V1__ComplaintAcknowledged *)message)->complaint_id, out);
}

#define SAME_PLACE(type)                                                                           \
    _Static_assert(offsetof(Yizhan__V1__Complaint##type, complaint_id) ==                          \
                       offsetof(Yizhan__V1__ComplaintAcknowledged, complaint_id),                  \
                   "the id stands first")
SAME_PLACE(Replied);
SAME_PLACE(ExtensionRequested);
SAME_PLACE(Extended);
SAME_PLACE(Resolved);
SAME_PLACE(ClockRung);

/* One of the tenant: a key id must stand for one key wherever it is registered. */
static void aggregate_of_handler(const ProtobufCMessage *message, const struct yz_actor *actor,
                                 char out[YZ_AGGREGATE_MAX])
{
    (void)message;
    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "complaint_handlers|");
}

static const char *org_of_handler(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__ComplaintHandlerRegistered *)message)->org_path;
}

static enum yz_err check_keys(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintKeysRequest *request =
        (const Yizhan__V1__ComplaintKeysRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : check_accused(request->accused, v);
}

static enum yz_err check_read(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintReadRequest *request =
        (const Yizhan__V1__ComplaintReadRequest *)message;
    enum yz_err err = yz_check_receipt(request->receipt, "receipt", v);

    return err ? err : yz_check_range(request->limit, 1, ENTRIES_MAX, "limit", v);
}

static enum yz_err check_mine(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintMineRequest *request =
        (const Yizhan__V1__ComplaintMineRequest *)message;
    enum yz_err err = yz_check_length(request->cursor, CURSOR_MAX, "cursor", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static enum yz_err check_get(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintGetRequest *request =
        (const Yizhan__V1__ComplaintGetRequest *)message;
    enum yz_err err;

    if ((err = check_id(request->complaint_id, v)) ||
        (err = yz_check_range(request->limit, 1, ENTRIES_MAX, "limit", v)))
        return err;
    return yz_check_optional_text(request->purpose, PURPOSE_MAX, "purpose", v);
}

static enum yz_err check_accesses(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ComplaintAccessesRequest *request =
        (const Yizhan__V1__ComplaintAccessesRequest *)message;
    enum yz_err err;

    if ((err = check_id(request->complaint_id, v)) ||
        (err = yz_check_length(request->cursor, CURSOR_MAX, "cursor", v)))
        return err;
    return yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const struct yz_event_type events[] = {
    {"complaint.handler_registered", &yizhan__v1__complaint_handler_registered__descriptor,
     YZ_BY_ADMIN, check_handler, org_of_handler, aggregate_of_handler},
    {"complaint.filed", &yizhan__v1__complaint_filed__descriptor, YZ_BY_ANYONE, check_filed, NULL,
     aggregate_of_receipt},
    {"complaint.filed_named", &yizhan__v1__complaint_filed_named__descriptor,
     YZ_BY_MEMBER_DISCREETLY, check_filed, NULL, aggregate_of_receipt},
    {"complaint.message_added", &yizhan__v1__complaint_message_added__descriptor, YZ_BY_ANYONE,
     check_message_added, NULL, aggregate_of_receipt},
    {"complaint.rated", &yizhan__v1__complaint_rated__descriptor, YZ_BY_ANYONE, check_rated, NULL,
     aggregate_of_receipt},
    {"complaint.acknowledged", &yizhan__v1__complaint_acknowledged__descriptor, YZ_BY_MEMBER,
     check_acknowledged, NULL, aggregate_of_id},
    {"complaint.replied", &yizhan__v1__complaint_replied__descriptor, YZ_BY_MEMBER, check_replied,
     NULL, aggregate_of_id},
    {"complaint.extension_requested", &yizhan__v1__complaint_extension_requested__descriptor,
     YZ_BY_MEMBER, check_extension_requested, NULL, aggregate_of_id},
    {"complaint.extended", &yizhan__v1__complaint_extended__descriptor, YZ_BY_MEMBER,
     check_extended, NULL, aggregate_of_id},
    {"complaint.resolved", &yizhan__v1__complaint_resolved__descriptor, YZ_BY_MEMBER,
     check_resolved, NULL, aggregate_of_id},
    {"complaint.clock_rung", &yizhan__v1__complaint_clock_rung__descriptor, YZ_BY_SYSTEM,
     check_clock, NULL, aggregate_of_id},
    {0},
};

static const struct yz_query_type queries[] = {
    {"complaint.keys", &yizhan__v1__complaint_keys_request__descriptor,
     &yizhan__v1__complaint_keys_reply__descriptor, YZ_BY_ANYONE, check_keys, NULL, YZ_BY_GET},
    {"complaint.read", &yizhan__v1__complaint_read_request__descriptor,
     &yizhan__v1__complaint_read_reply__descriptor, YZ_BY_ANYONE, check_read, NULL, YZ_BY_POST},
    {"complaint.mine", &yizhan__v1__complaint_mine_request__descriptor,
     &yizhan__v1__complaint_mine_reply__descriptor, YZ_BY_MEMBER, check_mine, NULL, YZ_BY_GET},
    {"complaint.get", &yizhan__v1__complaint_get_request__descriptor,
     &yizhan__v1__complaint_get_reply__descriptor, YZ_BY_MEMBER, check_get, NULL, YZ_BY_GET},
    {"complaint.accesses", &yizhan__v1__complaint_accesses_request__descriptor,
     &yizhan__v1__complaint_accesses_reply__descriptor, YZ_BY_MEMBER, check_accesses, NULL,
     YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"complaint.updated", &yizhan__v1__complaint_updated__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_complaint = {"complaint", events, queries, pushes};
