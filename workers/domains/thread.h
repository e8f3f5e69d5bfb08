/* thread.h: what the files of the domain thread share: posts (thread.c), what becomes of them
 * (thread_mark.c, thread_pace.c), queries
 * (thread_query.c, thread_list.c).
 *
 * The documents. All but thread_marks are written on the aggregate of their thread.
 *   posts           a post as it was written, never changed; _id by author and message id
 *   post_states     what became of it, _id by its sequence: author; text and edited_at of the last
 *                   edit, edits; hidden_by, hidden_reason, hidden_at; reactions {kind: count}
 *   post_edits      insert-only, one for each edit
 *   post_reactions  of one member to one post: kinds
 *   post_flags      insert-only, one for each (post, member)
 *   threads         starter, started_at, last_sequence, last_at, posts
 *   thread_writers  of one member: when it posted in the last hour and marked in the last minute
 *   thread_marks    of one member, on an aggregate of its own: read_up_to
 *
 * Lifetime  constants.
 * Thread    any; pure.
 */
#ifndef WK_THREAD_H
#define WK_THREAD_H

#include "workers/domain.h"

#include <stdio.h>
#include <thread.pb-c.h>

#define WK_POSTS          "posts"
#define WK_POST_STATES    "post_states"
#define WK_POST_EDITS     "post_edits"
#define WK_POST_REACTIONS "post_reactions"
#define WK_POST_FLAGS     "post_flags"
#define WK_THREADS        "threads"
#define WK_THREAD_WRITERS "thread_writers"
#define WK_THREAD_MARKS   "thread_marks"

/* A post; sequence 0: the thread. */
struct wk_thread_post {
    const char *tenant, *org_path, *thread_id;
    uint64_t sequence;
};

extern const struct wk_query_handler wk_thread_queries[];

/* _id of thread, post state (with `part` behind it unless that is NULL) and of what belongs to a
 * member of the thread. */
void wk_thread_id(char out[WK_ID_MAX], const struct wk_thread_post *post);
void wk_thread_post_id(char out[WK_ID_MAX], const struct wk_thread_post *post, const char *part);
void wk_thread_member_id(char out[WK_ID_MAX], const struct wk_thread_post *post,
                         const char *member);
/* org_path, thread_id and, for a post, sequence. */
void wk_thread_append(bson_t *document, const struct wk_thread_post *post);
/* Name of its channel. */
void wk_thread_channel(char out[YZ_CHANNEL_MAX], const struct wk_thread_post *post);
/* Its document as BSON without some fields; an empty one for NULL. excluded ends with NULL. */
bson_t *wk_thread_without(const bson_t *document, const char *const excluded[]);

bool wk_thread_hidden(const bson_t *state);

/* What a member may write in a time. */
enum wk_thread_act {
    WK_ACT_POST, /* and edits: what everybody reads */
    WK_ACT_MARK, /* reactions and flags */
};
/* YZ_OK, or the refusal that says when. The writer's document was named in needs(). */
YZ_MUST_USE enum yz_err wk_thread_judge_pace(const struct wk_event *event, struct wk_fold *fold,
                                             const struct wk_thread_post *post,
                                             enum wk_thread_act act, struct yz_violation *v);
void wk_thread_note_pace(const struct wk_event *event, struct wk_fold *fold,
                         const struct wk_thread_post *post, enum wk_thread_act act);

/* Handlers of thread_mark.c. */
wk_needs_fn wk_thread_needs_edited, wk_thread_needs_hidden, wk_thread_needs_reacted,
    wk_thread_needs_flagged, wk_thread_needs_read;
wk_judge_fn wk_thread_judge_edited, wk_thread_judge_hidden, wk_thread_judge_reacted,
    wk_thread_judge_flagged, wk_thread_judge_read;
wk_apply_fn wk_thread_apply_edited, wk_thread_apply_hidden, wk_thread_apply_reacted,
    wk_thread_apply_flagged, wk_thread_apply_read;
/* Of thread_list.c. */
wk_answer_fn wk_thread_answer_unread, wk_thread_answer_list, wk_thread_answer_flags;

#endif
