/* What becomes of a post: edits, hiding, reactions, flags; and how far a member has read. */
#include "workers/document.h"
#include "workers/domains/thread.h"
#include "workers/rules.h"

#include <inttypes.h>
#include <string.h>

/* All these events begin with the post they are about. */
struct post_ref {
    ProtobufCMessage base;
    char *org_path;
    char *thread_id;
    uint64_t sequence;
};

/* What each of them writes anew of the post's state. */
static const char *const edited_fields[] = {"text", "edited_at", "edits", NULL};
static const char *const hidden_fields[] = {"hidden_by", "hidden_reason", "hidden_at", NULL};
static const char *const counted_fields[] = {"reactions", NULL};

static struct wk_thread_post post_of(const struct wk_event *event)
{
    const struct post_ref *ref = (const struct post_ref *)event->payload;

    return (struct wk_thread_post){event->env->actor.tenant, ref->org_path, ref->thread_id,
                                   ref->sequence};
}

static void need_state(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_post_id(id, &post, NULL);
    wk_need_own(needs, WK_POST_STATES, id);
}

static void need_writer(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_member_id(id, &post, event->env->actor.member);
    wk_need_own(needs, WK_THREAD_WRITERS, id);
}

static const bson_t *state_of(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_post_id(id, &post, NULL);
    return wk_get(fold, WK_POST_STATES, id);
}

static void put_state(const struct wk_event *event, struct wk_fold *fold, bson_t *state)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_post_id(id, &post, NULL);
    wk_put(fold, WK_POST_STATES, id, state);
}

/* The post is there and to be seen. */
static enum yz_err judge_state(const bson_t *state, struct yz_violation *v)
{
    if (!state)
        return yz_violate(v, YZ_NOT_FOUND, "sequence", "There is no such post in this thread.");
    if (wk_thread_hidden(state))
        return yz_violate(v, YZ_POST_HIDDEN, "sequence", NULL);
    return YZ_OK;
}

void wk_thread_needs_edited(const struct wk_event *event, struct wk_needs *needs)
{
    need_state(event, needs);
    need_writer(event, needs);
}

enum yz_err wk_thread_judge_edited(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    const struct wk_rules_thread *rules =
        wk_rules_thread_at(wk_fold_context(fold)->rules, event->received_at_ms);
    const bson_t *state = state_of(event, fold);
    struct wk_thread_post post = post_of(event);
    enum yz_err err = judge_state(state, v);

    if (err)
        return err;
    if (strcmp(wk_document_text(state, "author"), event->env->actor.member) != 0)
        return yz_violate(v, YZ_NOT_THE_AUTHOR, "sequence", NULL);
    /* A dead letter that comes back behind a later edit. */
    if (event->env->own && wk_document_time_ms(state, "edited_at") > event->received_at_ms)
        return yz_violate(v, YZ_STALE_REVISION, "sequence", NULL);
    if (wk_document_number(state, "edits") >= rules->edits_max)
        return yz_violate(v, YZ_TOO_MANY, "sequence", "The post cannot be edited any more.");
    return wk_thread_judge_pace(event, fold, &post, WK_ACT_POST, v);
}

static void insert_edit(const struct wk_event *event, struct wk_fold *fold,
                        const struct wk_thread_post *post, const char *text)
{
    bson_t *edit = bson_new();
    char id[WK_ID_MAX], part[24];

    wk_thread_append(edit, post);
    BSON_APPEND_INT64(edit, "edit", (int64_t)event->sequence);
    BSON_APPEND_UTF8(edit, "text", text);
    BSON_APPEND_DATE_TIME(edit, "written_at", event->received_at_ms);
    snprintf(part, sizeof part, "%" PRIu64, event->sequence);
    wk_thread_post_id(id, post, part);
    wk_insert(fold, WK_POST_EDITS, id, edit, YZ_EXISTS, "sequence");
}

void wk_thread_apply_edited(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadEdited *edited = (const Yizhan__V1__ThreadEdited *)event->payload;
    Yizhan__V1__ThreadPostEdited push = YIZHAN__V1__THREAD_POST_EDITED__INIT;
    Google__Protobuf__Timestamp edited_at = wk_timestamp(event->received_at_ms);
    struct wk_thread_post post = post_of(event);
    const bson_t *old = state_of(event, fold);
    bson_t *state = wk_thread_without(old, edited_fields);
    char name[YZ_CHANNEL_MAX];

    BSON_APPEND_UTF8(state, "text", edited->text);
    BSON_APPEND_DATE_TIME(state, "edited_at", event->received_at_ms);
    BSON_APPEND_INT64(state, "edits", old ? wk_document_number(old, "edits") + 1 : 1);
    insert_edit(event, fold, &post, edited->text);
    put_state(event, fold, state);
    wk_thread_note_pace(event, fold, &post, WK_ACT_POST);
    push.org_path = edited->org_path;
    push.thread_id = edited->thread_id;
    push.sequence = edited->sequence;
    push.author = (char *)(uintptr_t)event->env->actor.member;
    push.text = edited->text;
    push.edited_at = &edited_at;
    wk_thread_channel(name, &post);
    wk_push(fold, name, "thread.post_edited", &push.base, NULL);
}

void wk_thread_needs_hidden(const struct wk_event *event, struct wk_needs *needs)
{
    need_state(event, needs);
}

/* That the secretary's scope covers the org was checked by the frame. */
enum yz_err wk_thread_judge_hidden(const struct wk_event *event, struct wk_fold *fold,
                                   struct yz_violation *v)
{
    return judge_state(state_of(event, fold), v);
}

void wk_thread_apply_hidden(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadHidden *hidden = (const Yizhan__V1__ThreadHidden *)event->payload;
    Yizhan__V1__ThreadPostHidden push = YIZHAN__V1__THREAD_POST_HIDDEN__INIT;
    Google__Protobuf__Timestamp hidden_at = wk_timestamp(event->received_at_ms);
    struct wk_thread_post post = post_of(event);
    bson_t *state = wk_thread_without(state_of(event, fold), hidden_fields);
    char name[YZ_CHANNEL_MAX];

    BSON_APPEND_UTF8(state, "hidden_by", event->env->actor.member);
    BSON_APPEND_UTF8(state, "hidden_reason", hidden->reason);
    BSON_APPEND_DATE_TIME(state, "hidden_at", event->received_at_ms);
    put_state(event, fold, state);
    push.org_path = hidden->org_path;
    push.thread_id = hidden->thread_id;
    push.sequence = hidden->sequence;
    push.hidden_by = (char *)(uintptr_t)event->env->actor.member;
    push.reason = hidden->reason;
    push.hidden_at = &hidden_at;
    wk_thread_channel(name, &post);
    wk_push(fold, name, "thread.post_hidden", &push.base, NULL);
}

static void reactions_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    struct wk_thread_post post = post_of(event);

    wk_thread_post_id(out, &post, event->env->actor.member);
}

void wk_thread_needs_reacted(const struct wk_event *event, struct wk_needs *needs)
{
    char id[WK_ID_MAX];

    need_state(event, needs);
    need_writer(event, needs);
    reactions_id(event, id);
    wk_need_own(needs, WK_POST_REACTIONS, id);
}

static const char *kind_of(const struct wk_event *event)
{
    return wk_document_enum_name(&yizhan__v1__reaction_kind__descriptor,
                                 (int)((const Yizhan__V1__ThreadReacted *)event->payload)->kind);
}

static bool has_kind(const bson_t *reactions, const char *kind)
{
    bson_iter_t kinds;

    if (!reactions || !wk_document_array(reactions, "kinds", &kinds))
        return false;
    while (bson_iter_next(&kinds)) {
        if (BSON_ITER_HOLDS_UTF8(&kinds) && strcmp(bson_iter_utf8(&kinds, NULL), kind) == 0)
            return true;
    }
    return false;
}

enum yz_err wk_thread_judge_reacted(const struct wk_event *event, struct wk_fold *fold,
                                    struct yz_violation *v)
{
    const Yizhan__V1__ThreadReacted *reacted = (const Yizhan__V1__ThreadReacted *)event->payload;
    struct wk_thread_post post = post_of(event);
    enum yz_err err = judge_state(state_of(event, fold), v);
    char id[WK_ID_MAX];
    bool there;

    if (err)
        return err;
    reactions_id(event, id);
    there = has_kind(wk_get(fold, WK_POST_REACTIONS, id), kind_of(event));
    if (there && !reacted->taken_back)
        return yz_violate(v, YZ_ALREADY_REACTED, "kind", NULL);
    if (!there && reacted->taken_back)
        return yz_violate(v, YZ_NOT_REACTED, "kind", NULL);
    return wk_thread_judge_pace(event, fold, &post, WK_ACT_MARK, v);
}

/* The member's kinds after this event. */
static bson_t *new_reactions(const struct wk_event *event, const bson_t *old)
{
    const Yizhan__V1__ThreadReacted *reacted = (const Yizhan__V1__ThreadReacted *)event->payload;
    const char *kind = kind_of(event);
    struct wk_thread_post post = post_of(event);
    bson_t *reactions = bson_new(), list;
    bson_iter_t kinds;
    uint32_t count = 0;
    char key[16];

    wk_thread_append(reactions, &post);
    BSON_APPEND_UTF8(reactions, "member", event->env->actor.member);
    BSON_APPEND_ARRAY_BEGIN(reactions, "kinds", &list);
    if (old && wk_document_array(old, "kinds", &kinds)) {
        while (bson_iter_next(&kinds)) {
            const char *other = bson_iter_utf8(&kinds, NULL);

            if (!other || strcmp(other, kind) == 0)
                continue;
            snprintf(key, sizeof key, "%u", count++);
            BSON_APPEND_UTF8(&list, key, other);
        }
    }
    snprintf(key, sizeof key, "%u", count);
    if (!reacted->taken_back)
        BSON_APPEND_UTF8(&list, key, kind);
    bson_append_array_end(reactions, &list);
    return reactions;
}

static int64_t count_of(const bson_t *state, const char *kind)
{
    bson_iter_t found, counts;

    return state && bson_iter_init_find(&found, state, "reactions") &&
                   BSON_ITER_HOLDS_DOCUMENT(&found) && bson_iter_recurse(&found, &counts) &&
                   bson_iter_find(&counts, kind)
               ? bson_iter_as_int64(&counts)
               : 0;
}

/* Reacting is one more and taking back one less, since the other was judged before. The state's
 * guard says which events it counts, so a replay counts none twice. */
static bson_t *new_counts(const struct wk_event *event, const bson_t *old)
{
    const ProtobufCEnumDescriptor *desc = &yizhan__v1__reaction_kind__descriptor;
    const char *kind = kind_of(event);
    bool back = ((const Yizhan__V1__ThreadReacted *)event->payload)->taken_back;
    bson_t *state = wk_thread_without(old, counted_fields), counts;

    BSON_APPEND_DOCUMENT_BEGIN(state, "reactions", &counts);
    for (unsigned i = 0; i < desc->n_values; i++) {
        const char *name = desc->values[i].name;
        int64_t count = count_of(old, name);

        if (strcmp(name, kind) == 0)
            count += back ? -1 : 1;
        if (count > 0)
            BSON_APPEND_INT64(&counts, name, count);
    }
    bson_append_document_end(state, &counts);
    return state;
}

void wk_thread_apply_reacted(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadReacted *reacted = (const Yizhan__V1__ThreadReacted *)event->payload;
    Yizhan__V1__ThreadReaction push = YIZHAN__V1__THREAD_REACTION__INIT;
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX], name[YZ_CHANNEL_MAX];

    reactions_id(event, id);
    wk_put(fold, WK_POST_REACTIONS, id, new_reactions(event, wk_get(fold, WK_POST_REACTIONS, id)));
    put_state(event, fold, new_counts(event, state_of(event, fold)));
    wk_thread_note_pace(event, fold, &post, WK_ACT_MARK);
    push.org_path = reacted->org_path;
    push.thread_id = reacted->thread_id;
    push.sequence = reacted->sequence;
    push.member = (char *)(uintptr_t)event->env->actor.member;
    push.kind = reacted->kind;
    push.taken_back = reacted->taken_back;
    wk_thread_channel(name, &post);
    wk_push(fold, name, "thread.reaction", &push.base, NULL);
}

void wk_thread_needs_flagged(const struct wk_event *event, struct wk_needs *needs)
{
    need_state(event, needs);
    need_writer(event, needs);
}

enum yz_err wk_thread_judge_flagged(const struct wk_event *event, struct wk_fold *fold,
                                    struct yz_violation *v)
{
    struct wk_thread_post post = post_of(event);
    enum yz_err err = judge_state(state_of(event, fold), v);

    return err ? err : wk_thread_judge_pace(event, fold, &post, WK_ACT_MARK, v);
}

static void push_flag(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadFlagged *flagged = (const Yizhan__V1__ThreadFlagged *)event->payload;
    const struct wk_audience secretaries = {.roles = "secretary,admin"};
    Yizhan__V1__ThreadFlag push = YIZHAN__V1__THREAD_FLAG__INIT;
    Google__Protobuf__Timestamp flagged_at = wk_timestamp(event->received_at_ms);
    struct yz_channel channel = {.kind = YZ_CHANNEL_ORG};
    char name[YZ_CHANNEL_MAX];

    snprintf(channel.org_path, sizeof channel.org_path, "%s", flagged->org_path);
    yz_channel_name(&channel, name);
    push.org_path = flagged->org_path;
    push.thread_id = flagged->thread_id;
    push.sequence = flagged->sequence;
    push.member = (char *)(uintptr_t)event->env->actor.member;
    push.reason = flagged->reason;
    push.flagged_at = &flagged_at;
    push.flag = event->sequence;
    wk_push(fold, name, "thread.flag", &push.base, &secretaries);
}

/* (post, member) decides. */
void wk_thread_apply_flagged(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadFlagged *flagged = (const Yizhan__V1__ThreadFlagged *)event->payload;
    struct wk_thread_post post = post_of(event);
    bson_t *flag = bson_new();
    char id[WK_ID_MAX];

    wk_thread_append(flag, &post);
    BSON_APPEND_UTF8(flag, "member", event->env->actor.member);
    BSON_APPEND_UTF8(flag, "reason", flagged->reason);
    BSON_APPEND_DATE_TIME(flag, "flagged_at", event->received_at_ms);
    BSON_APPEND_INT64(flag, "flag", (int64_t)event->sequence);
    wk_thread_post_id(id, &post, event->env->actor.member);
    wk_insert(fold, WK_POST_FLAGS, id, flag, YZ_ALREADY_FLAGGED, "sequence");
    wk_thread_note_pace(event, fold, &post, WK_ACT_MARK);
    push_flag(event, fold);
}

void wk_thread_needs_read(const struct wk_event *event, struct wk_needs *needs)
{
    struct wk_thread_post post = post_of(event);
    char id[WK_ID_MAX];

    wk_thread_id(id, &post);
    wk_need(needs, WK_THREADS, id);
    wk_thread_member_id(id, &post, event->env->actor.member);
    wk_need_own(needs, WK_THREAD_MARKS, id);
}

enum yz_err wk_thread_judge_read(const struct wk_event *event, struct wk_fold *fold,
                                 struct yz_violation *v)
{
    struct wk_thread_post post = post_of(event);
    const bson_t *thread;
    char id[WK_ID_MAX];

    wk_thread_id(id, &post);
    thread = wk_get(fold, WK_THREADS, id);
    if (!thread)
        return yz_violate(v, YZ_NOT_FOUND, "threadId", "There is no such thread.");
    if (post.sequence > (uint64_t)wk_document_number(thread, "last_sequence"))
        return yz_violate(v, YZ_INVALID_VALUE, "sequence", "The thread has no such post yet.");
    return YZ_OK;
}

/* What another phone of the member has read further stays. */
void wk_thread_apply_read(const struct wk_event *event, struct wk_fold *fold)
{
    struct wk_thread_post post = post_of(event);
    const bson_t *old;
    bson_t *mark;
    char id[WK_ID_MAX];

    wk_thread_member_id(id, &post, event->env->actor.member);
    old = wk_get(fold, WK_THREAD_MARKS, id);
    if (old && (uint64_t)wk_document_number(old, "read_up_to") >= post.sequence)
        return;
    mark = bson_new();
    BSON_APPEND_UTF8(mark, "org_path", post.org_path);
    BSON_APPEND_UTF8(mark, "thread_id", post.thread_id);
    BSON_APPEND_UTF8(mark, "member", event->env->actor.member);
    BSON_APPEND_INT64(mark, "read_up_to", (int64_t)post.sequence);
    BSON_APPEND_DATE_TIME(mark, "read_at", event->received_at_ms);
    wk_put(fold, WK_THREAD_MARKS, id, mark);
}
