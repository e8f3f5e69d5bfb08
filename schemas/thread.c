#include "schemas/contract.h"

#include "schemas/check.h"

#include <stdio.h>
#include <thread.pb-c.h>

#define TEXT_MAX 1000
#define PAGE_MAX 100

static enum yz_err check_posted(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *post = (const Yizhan__V1__ThreadPosted *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(post->org_path, "orgPath", v)) ||
        (err = yz_check_id(post->thread_id, "threadId", v)) ||
        (err = yz_check_id(post->message_id, "messageId", v)))
        return err;
    return yz_check_text(post->text, TEXT_MAX, "text", v);
}

static const char *org_of_posted(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__ThreadPosted *)message)->org_path;
}

static void aggregate_of_posted(const ProtobufCMessage *message, const struct yz_actor *actor,
                                char out[YZ_AGGREGATE_MAX])
{
    const Yizhan__V1__ThreadPosted *post = (const Yizhan__V1__ThreadPosted *)message;

    (void)actor;
    snprintf(out, YZ_AGGREGATE_MAX, "thread|%s|%s", post->org_path, post->thread_id);
}

static enum yz_err check_page(const ProtobufCMessage *message, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPageRequest *request = (const Yizhan__V1__ThreadPageRequest *)message;
    enum yz_err err;

    if ((err = yz_check_org_path(request->org_path, "orgPath", v)) ||
        (err = yz_check_id(request->thread_id, "threadId", v)))
        return err;
    return yz_check_range(request->limit, 1, PAGE_MAX, "limit", v);
}

static const char *org_of_page(const ProtobufCMessage *message)
{
    return ((const Yizhan__V1__ThreadPageRequest *)message)->org_path;
}

static const struct yz_event_type events[] = {
    {"thread.posted", &yizhan__v1__thread_posted__descriptor, YZ_BY_MEMBER_OF_ORG, check_posted,
     org_of_posted, aggregate_of_posted},
    {0},
};

static const struct yz_query_type queries[] = {
    {"thread.page", &yizhan__v1__thread_page_request__descriptor,
     &yizhan__v1__thread_page_reply__descriptor, YZ_BY_MEMBER_OF_ORG, check_page, org_of_page},
    {0},
};

static const struct yz_push_type pushes[] = {
    {"thread.post", &yizhan__v1__thread_post__descriptor},
    {0},
};

const struct yz_domain_schema yz_schema_thread = {"thread", events, queries, pushes};
