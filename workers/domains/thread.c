/* Discussion threads (讨论): posts in the order of the event stream. */
#include "workers/domains/thread.h"

#include "workers/document.h"
#include "workers/roster.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void wk_thread_id(char out[WK_ID_MAX], const struct wk_thread_post *post)
{
    wk_id(out, post->tenant, post->org_path, post->thread_id, NULL);
}

void wk_thread_post_id(char out[WK_ID_MAX], const struct wk_thread_post *post, const char *part)
{
    char sequence[24];

    snprintf(sequence, sizeof sequence, "%" PRIu64, post->sequence);
    wk_id(out, post->tenant, post->org_path, post->thread_id, sequence, part, NULL);
}

void wk_thread_member_id(char out[WK_ID_MAX], const struct wk_thread_post *post, const char *member)
{
    wk_id(out, post->tenant, post->org_path, post->thread_id, member, NULL);
}

void wk_thread_append(bson_t *document, const struct wk_thread_post *post)
{
    BSON_APPEND_UTF8(document, "org_path", post->org_path);
    BSON_APPEND_UTF8(document, "thread_id", post->thread_id);
    if (post->sequence)
        BSON_APPEND_INT64(document, "sequence", (int64_t)post->sequence);
}

void wk_thread_channel(char out[YZ_CHANNEL_MAX], const struct wk_thread_post *post)
{
    struct yz_channel channel = {.kind = YZ_CHANNEL_THREAD};

    snprintf(channel.org_path, sizeof channel.org_path, "%s", post->org_path);
    snprintf(channel.id, sizeof channel.id, "%s", post->thread_id);
    yz_channel_name(&channel, out);
}

bson_t *wk_thread_without(const bson_t *document, const char *const excluded[])
{
    bson_t *copy = bson_new();
    bson_iter_t it;

    if (!document || !bson_iter_init(&it, document))
        return copy;
    while (bson_iter_next(&it)) {
        size_t i = 0;

        while (excluded[i] && strcmp(excluded[i], bson_iter_key(&it)) != 0)
            i++;
        if (!excluded[i])
            bson_append_iter(copy, bson_iter_key(&it), -1, &it);
    }
    return copy;
}

bool wk_thread_hidden(const bson_t *state)
{
    return wk_document_text(state, "hidden_by")[0] != '\0';
}

/* The post that the event makes. */
static struct wk_thread_post post_of(const struct wk_event *event)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;

    return (struct wk_thread_post){event->env->actor.tenant, posted->org_path, posted->thread_id,
                                   event->sequence};
}

static void needs_reply(const Yizhan__V1__ThreadPosted *posted, struct wk_thread_post post,
                        struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    if (posted->reply_to == 0)
        return;
    post.sequence = posted->reply_to;
    wk_thread_post_id(id, &post, NULL);
    wk_need_own(needs, WK_POST_STATES, id);
}

/* Whom the author may mention: who is on the roster of the thread's org or of the author's own
 * branch, and who has been in the thread. */
static void needs_mentions(const struct wk_event *event, const struct wk_thread_post *post,
                           struct wk_needs *needs)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    char id[WK_ID_MAX];

    if (posted->n_mentions == 0)
        return;
    wk_branch_id(id, post->tenant, post->org_path);
    wk_need(needs, WK_BRANCHES, id);
    wk_branch_id(id, post->tenant, event->env->actor.org_path);
    wk_need(needs, WK_BRANCHES, id);
    for (size_t i = 0; i < posted->n_mentions; i++) {
        wk_thread_member_id(id, post, posted->mentions[i]);
        wk_need_own(needs, WK_THREAD_WRITERS, id);
        wk_need(needs, WK_THREAD_MARKS, id);
    }
}

static void needs_posted(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_id(id, &post);
    wk_need_own(needs, WK_THREADS, id);
    wk_thread_post_id(id, &post, NULL);
    wk_need_own(needs, WK_POST_STATES, id);
    wk_thread_member_id(id, &post, event->env->actor.member);
    wk_need_own(needs, WK_THREAD_WRITERS, id);
    needs_reply((const Yizhan__V1__ThreadPosted *)event->payload, post, needs);
    needs_mentions(event, &post, needs);
}

static bool belongs(struct wk_fold *fold, const struct wk_thread_post *post, const char *org_path,
                    const char *member)
{
    struct wk_branch_member entry;
    char id[WK_ID_MAX];

    wk_branch_id(id, post->tenant, org_path);
    return wk_branch_find(wk_get(fold, WK_BRANCHES, id), member, &entry) && entry.left_at_ms == 0;
}

static bool was_here(struct wk_fold *fold, const struct wk_thread_post *post, const char *member)
{
    char id[WK_ID_MAX];

    wk_thread_member_id(id, post, member);
    return wk_get(fold, WK_THREAD_WRITERS, id) || wk_get(fold, WK_THREAD_MARKS, id);
}

static enum yz_err judge_mentions(const struct wk_event *event, struct wk_fold *fold,
                                  const struct wk_thread_post *post, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;

    for (size_t i = 0; i < posted->n_mentions; i++) {
        const char *member = posted->mentions[i];
        char field[YZ_FIELD_MAX];

        if (strcmp(member, event->env->actor.member) == 0 ||
            belongs(fold, post, post->org_path, member) ||
            belongs(fold, post, event->env->actor.org_path, member) || was_here(fold, post, member))
            continue;
        snprintf(field, sizeof field, "mentions[%zu]", i);
        return yz_violate(v, YZ_STRANGER_MENTIONED, field, NULL);
    }
    return YZ_OK;
}

static enum yz_err judge_posted(const struct wk_event *event, struct wk_fold *fold,
                                struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    struct wk_thread_post post = post_of(event), replied = post;
    char id[WK_ID_MAX];
    enum yz_err err;

    replied.sequence = posted->reply_to;
    wk_thread_post_id(id, &replied, NULL);
    if (posted->reply_to != 0 && !wk_get(fold, WK_POST_STATES, id))
        return yz_violate(v, YZ_NOT_FOUND, "replyTo", "There is no such post in this thread.");
    if ((err = judge_mentions(event, fold, &post, v)))
        return err;
    return wk_thread_judge_pace(event, fold, &post, WK_ACT_POST, v);
}

static bson_t *new_post(const struct wk_event *event, const Yizhan__V1__ThreadPosted *posted)
{
    bson_t *post = bson_new(), list;

    BSON_APPEND_UTF8(post, "org_path", posted->org_path);
    BSON_APPEND_UTF8(post, "thread_id", posted->thread_id);
    BSON_APPEND_UTF8(post, "message_id", posted->message_id);
    BSON_APPEND_UTF8(post, "author", event->env->actor.member);
    BSON_APPEND_UTF8(post, "text", posted->text);
    BSON_APPEND_INT64(post, "reply_to", (int64_t)posted->reply_to);
    BSON_APPEND_INT64(post, "sequence", (int64_t)event->sequence);
    BSON_APPEND_DATE_TIME(post, "posted_at", event->received_at_ms);
    if (posted->n_mentions == 0)
        return post;
    BSON_APPEND_ARRAY_BEGIN(post, "mentions", &list);
    for (size_t i = 0; i < posted->n_mentions; i++) {
        char key[24];

        snprintf(key, sizeof key, "%zu", i);
        BSON_APPEND_UTF8(&list, key, posted->mentions[i]);
    }
    bson_append_array_end(post, &list);
    return post;
}

static void put_state(const struct wk_event *event, struct wk_fold *fold,
                      const struct wk_thread_post *post)
{
    bson_t *state = bson_new();
    char id[WK_ID_MAX];

    wk_thread_append(state, post);
    BSON_APPEND_UTF8(state, "author", event->env->actor.member);
    wk_thread_post_id(id, post, NULL);
    wk_put(fold, WK_POST_STATES, id, state);
}

/* Each event counts once: the document's guard says which ones it holds. */
static void put_thread(const struct wk_event *event, struct wk_fold *fold,
                       const struct wk_thread_post *post)
{
    bson_t *thread = bson_new();
    const bson_t *old;
    char id[WK_ID_MAX];

    wk_thread_id(id, post);
    old = wk_get(fold, WK_THREADS, id);
    BSON_APPEND_UTF8(thread, "org_path", post->org_path);
    BSON_APPEND_UTF8(thread, "thread_id", post->thread_id);
    BSON_APPEND_UTF8(thread, "starter",
                     old ? wk_document_text(old, "starter") : event->env->actor.member);
    BSON_APPEND_DATE_TIME(thread, "started_at",
                          old ? wk_document_time_ms(old, "started_at") : event->received_at_ms);
    BSON_APPEND_INT64(thread, "last_sequence", (int64_t)event->sequence);
    BSON_APPEND_DATE_TIME(thread, "last_at", event->received_at_ms);
    BSON_APPEND_INT64(thread, "posts", old ? wk_document_number(old, "posts") + 1 : 1);
    wk_put(fold, WK_THREADS, id, thread);
}

static void push_post(const struct wk_event *event, struct wk_fold *fold,
                      const struct wk_thread_post *made)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    Yizhan__V1__ThreadPost post = YIZHAN__V1__THREAD_POST__INIT;
    Google__Protobuf__Timestamp posted_at = wk_timestamp(event->received_at_ms);
    char name[YZ_CHANNEL_MAX];

    post.org_path = posted->org_path;
    post.thread_id = posted->thread_id;
    post.message_id = posted->message_id;
    post.author = (char *)(uintptr_t)event->env->actor.member;
    post.text = posted->text;
    post.reply_to = posted->reply_to;
    post.sequence = event->sequence;
    post.posted_at = &posted_at;
    post.mentions = posted->mentions;
    post.n_mentions = posted->n_mentions;
    wk_thread_channel(name, made);
    wk_push(fold, name, "thread.post", &post.base, NULL);
}

static void push_mentions(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    Yizhan__V1__ThreadMentioned mentioned = YIZHAN__V1__THREAD_MENTIONED__INIT;
    Google__Protobuf__Timestamp posted_at = wk_timestamp(event->received_at_ms);

    mentioned.org_path = posted->org_path;
    mentioned.thread_id = posted->thread_id;
    mentioned.sequence = event->sequence;
    mentioned.author = (char *)(uintptr_t)event->env->actor.member;
    mentioned.text = posted->text;
    mentioned.posted_at = &posted_at;
    for (size_t i = 0; i < posted->n_mentions; i++) {
        char name[YZ_CHANNEL_MAX];

        if (strcmp(posted->mentions[i], mentioned.author) == 0)
            continue;
        snprintf(name, sizeof name, "member.%s", posted->mentions[i]);
        wk_push(fold, name, "thread.mentioned", &mentioned.base, NULL);
    }
}

/* The post itself is inserted by its natural key before anything else is written: if that is taken,
 * nothing has heard of this event. */
static void apply_posted(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadPosted *posted = (const Yizhan__V1__ThreadPosted *)event->payload;
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_id(id, post.tenant, post.org_path, post.thread_id, event->env->actor.member,
          posted->message_id, NULL);
    wk_insert(fold, WK_POSTS, id, new_post(event, posted), YZ_ALREADY_POSTED, "messageId");
    put_state(event, fold, &post);
    put_thread(event, fold, &post);
    wk_thread_note_pace(event, fold, &post, WK_ACT_POST);
    push_post(event, fold, &post);
    push_mentions(event, fold);
}

static const struct wk_event_handler events[] = {
    {"thread.posted", needs_posted, judge_posted, apply_posted},
    {"thread.edited", wk_thread_needs_edited, wk_thread_judge_edited, wk_thread_apply_edited},
    {"thread.hidden", wk_thread_needs_hidden, wk_thread_judge_hidden, wk_thread_apply_hidden},
    {"thread.reacted", wk_thread_needs_reacted, wk_thread_judge_reacted, wk_thread_apply_reacted},
    {"thread.flagged", wk_thread_needs_flagged, wk_thread_judge_flagged, wk_thread_apply_flagged},
    {"thread.read_up_to", wk_thread_needs_read, wk_thread_judge_read, wk_thread_apply_read},
    {0},
};

static const struct wk_index posts_indexes[] = {
    {.name = "by_thread",
     .keys = "{\"tenant\": 1, \"org_path\": 1, \"thread_id\": 1, \"sequence\": 1}"},
    {0},
};

static const struct wk_index edits_indexes[] = {
    {.name = "by_post",
     .keys = "{\"tenant\": 1, \"org_path\": 1, \"thread_id\": 1, \"sequence\": 1, \"edit\": 1}"},
    {0},
};

static const struct wk_index flags_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"flag\": 1}"},
    {0},
};

static const struct wk_index threads_indexes[] = {
    {.name = "by_org", .keys = "{\"tenant\": 1, \"org_path\": 1, \"last_sequence\": 1}"},
    {0},
};

static const struct wk_collection collections[] = {
    {WK_POSTS, posts_indexes}, {WK_POST_STATES, NULL},         {WK_POST_EDITS, edits_indexes},
    {WK_POST_REACTIONS, NULL}, {WK_POST_FLAGS, flags_indexes}, {WK_THREADS, threads_indexes},
    {WK_THREAD_WRITERS, NULL}, {WK_THREAD_MARKS, NULL},        {0},
};

const struct wk_domain wk_domain_thread = {"thread", events, wk_thread_queries, collections};
