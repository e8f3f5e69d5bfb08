#include "schemas/contract.h"

#include "schemas/check.h"

#include <stdio.h>
#include <thread.pb-c.h>

#define TEXT_MAX     1000
#define REASON_MAX   200
#define MENTIONS_MAX 10
#define PAGE_MAX     100

/* Most messages of this domain begin with the thread they are about, and many go on with a post. */
struct thread_ref {
    ProtobufCMessage base;
    char *org_path;
    char *thread_id;
    uint64_t sequence;
};
#define BEGINS_WITH_THREAD(type)                                                                   \
    _Static_assert(offsetof(type, org_path) == offsetof(struct thread_ref, org_path) &&            \
                       offsetof(type, thread_id) == offsetof(struct thread_ref, thread_id),        \
                   #type " begins with org_path and thread_id")
#define BEGINS_WITH_POST(type)                                                                     \
    BEGINS_WITH_THREAD(type);                                                                      \
    _Static_assert(offsetof(type, sequence) == offsetof(struct thread_ref, sequence),              \
                   #type " goes on with sequence")
BEGINS_WITH_THREAD(Yizhan__V1__ThreadPosted);
BEGINS_WITH_THREAD(Yizhan__V1__ThreadPageRequest);
BEGINS_WITH_THREAD(Yizhan__V1__ThreadUnreadRequest);
BEGINS_WITH_POST(Yizhan__V1__ThreadEdited);
BEGINS_WITH_POST(Yizhan__V1__ThreadHidden);
BEGINS_WITH_POST(Yizhan__V1__ThreadReacted);
BEGINS_WITH_POST(Yizhan__V1__ThreadFlagged);
BEGINS_WITH_POST(Yizhan__V1__ThreadReadUpTo);
BEGINS_WITH_POST(Yizhan__V1__ThreadHistoryRequest);

static enum yz_err check_thread(const ProtobufCMessage *message, struct yz_violation *v)
{
    const struct thread_ref *ref = (const struct thread_ref *)message;
    enum yz_err err = yz_check_org_path(ref->org_path, "orgPath", v);

    return err ? err : yz_check_id(ref->thread_id, "threadId", v);
}

static enum yz_err check_post(const ProtobufCMessage *message, struct yz_violation *v)
{
    const struct thread_ref *ref = (const struct thread_ref *)message;
    enum yz_err err = check_thread(message, v);

    if (err)
        return err;
    if (ref->sequence == 0)
        return yz_violate(v, YZ_MISSING_FIELD, "sequence", NULL);
    if (ref->sequence > INT64_MAX)
        return yz_violate(v, YZ_INVALID_VALUE, "sequence", NULL);
    return YZ_OK;
}

static const char *org_of_thread(const ProtobufCMessage *message)
{
    return ((const struct thread_ref *)message)->org_path;
}

static void aggregate_of_thread(const ProtobufCMessage *message, const struct yz_actor *actor,
                                char out[YZ_AGGREGATE_MAX])
{
    const struct thread_ref *ref = (const struct thread_ref *)message;

    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "thread|%s|%s", ref->org_path, ref->thread_id);
}

/* How far one has read is nobody else's business: readers of one thread do not wait for each other.
 */
static void aggregate_of_reader(const ProtobufCMessage *message, const struct yz_actor *actor,
                                char out[YZ_AGGREGATE_MAX])
{
    const struct thread_ref *ref = (const struct thread_ref *)message;

    snprintf(out, YZ_AGGREGATE_MAX, "thread_reader|%s|%s|%s", ref->org_path, ref->thread_id,
             actor->member);
}

static enum yz_err check_posted(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *post = (const Yizhan__V1__ThreadPosted *)message;
    enum yz_err err;

    if ((err = check_thread(message, v)) || (err = yz_check_id(post->message_id, "messageId", v)) ||
        (err = yz_check_text(post->text, TEXT_MAX, "text", v)))
        return err;
    if (post->reply_to > INT64_MAX)
        return yz_violate(v, YZ_INVALID_VALUE, "replyTo", NULL);
    if (post->n_mentions == 0)
        return YZ_OK;
    return yz_check_ids(post->mentions, post->n_mentions, MENTIONS_MAX, "mentions", v);
}

static enum yz_err check_edited(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_post(message, v);

    return err ? err
               : yz_check_text(((const Yizhan__V1__ThreadEdited *)message)->text, TEXT_MAX, "text",
                               v);
}

static enum yz_err check_hidden(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_post(message, v);

    return err ? err
               : yz_check_text(((const Yizhan__V1__ThreadHidden *)message)->reason, REASON_MAX,
                               "reason", v);
}

static enum yz_err check_reacted(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_post(message, v);

    return err ? err
               : yz_check_enum(&yizhan__v1__reaction_kind__descriptor,
                               (int)((const Yizhan__V1__ThreadReacted *)message)->kind, "kind", v);
}

static enum yz_err check_flagged(const ProtobufCMessage *message, struct yz_violation *v)
{
    enum yz_err err = check_post(message, v);

    return err ? err
               : yz_check_text(((const Yizhan__V1__ThreadFlagged *)message)->reason, REASON_MAX,
                               "reason", v);
}

static enum yz_err check_page(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPageRequest *request = (const Yizhan__V1__ThreadPageRequest *)message;
    enum yz_err err = check_thread(message, v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static enum yz_err check_list(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadListRequest *request = (const Yizhan__V1__ThreadListRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const char *org_of_list(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__ThreadListRequest *)message)->org_path;
}

static enum yz_err check_flags(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadFlagsRequest *request = (const Yizhan__V1__ThreadFlagsRequest *)message;
    enum yz_err err = yz_check_org_path(request->org_path, "orgPath", v);

    return err ? err : yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const char *org_of_flags(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__ThreadFlagsRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"thread.posted", &yizhan__v1__thread_posted__descriptor, YZ_BY_MEMBER_OF_ORG, check_posted,
     org_of_thread, aggregate_of_thread},
    {"thread.edited", &yizhan__v1__thread_edited__descriptor, YZ_BY_MEMBER_OF_ORG, check_edited,
     org_of_thread, aggregate_of_thread},
    {"thread.hidden", &yizhan__v1__thread_hidden__descriptor, YZ_BY_SECRETARY, check_hidden,
     org_of_thread, aggregate_of_thread},
    {"thread.reacted", &yizhan__v1__thread_reacted__descriptor, YZ_BY_MEMBER_OF_ORG, check_reacted,
     org_of_thread, aggregate_of_thread},
    {"thread.flagged", &yizhan__v1__thread_flagged__descriptor, YZ_BY_MEMBER_OF_ORG, check_flagged,
     org_of_thread, aggregate_of_thread},
    {"thread.read_up_to", &yizhan__v1__thread_read_up_to__descriptor, YZ_BY_MEMBER_OF_ORG,
     check_post, org_of_thread, aggregate_of_reader},
    {0},
};

static const struct yz_query_type queries[] = {
    {"thread.page", &yizhan__v1__thread_page_request__descriptor,
     &yizhan__v1__thread_page_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_page, org_of_thread,
     YZ_BY_GET},
    {"thread.unread", &yizhan__v1__thread_unread_request__descriptor,
     &yizhan__v1__thread_unread_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_thread, org_of_thread,
     YZ_BY_GET},
    {"thread.list", &yizhan__v1__thread_list_request__descriptor,
     &yizhan__v1__thread_list_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_list, org_of_list,
     YZ_BY_GET},
    {"thread.flags", &yizhan__v1__thread_flags_request__descriptor,
     &yizhan__v1__thread_flags_reply__descriptor, YZ_BY_SECRETARY, check_flags, org_of_flags,
     YZ_BY_GET},
    {"thread.history", &yizhan__v1__thread_history_request__descriptor,
     &yizhan__v1__thread_history_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_post, org_of_thread,
     YZ_BY_GET},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"thread.post", &yizhan__v1__thread_post__descriptor},
    {"thread.post_edited", &yizhan__v1__thread_post_edited__descriptor},
    {"thread.post_hidden", &yizhan__v1__thread_post_hidden__descriptor},
    {"thread.reaction", &yizhan__v1__thread_reaction__descriptor},
    {"thread.mentioned", &yizhan__v1__thread_mentioned__descriptor},
    {"thread.flag", &yizhan__v1__thread_flag__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_thread = {"thread", events, queries, pushes};
