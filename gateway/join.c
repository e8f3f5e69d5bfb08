#include "gateway/channel_private.h"

#include <stdlib.h>
#include <string.h>

#define SERVE_MAX      64 /* joins of one channel answered in one loop turn */
#define READ_TRIES_MAX 5

void gw_join_free(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;

    if (c->cursor == sub)
        c->cursor = TAILQ_NEXT(sub, entry);
    if (c->serving == sub)
        c->serving = NULL;
    TAILQ_REMOVE(sub->state >= ON ? &c->on : &c->joining, sub, entry);
    atomic_fetch_sub_explicit(&c->owner->metrics->subscribers, 1, memory_order_relaxed);
    free(sub);
    gw_channel_set_idle(c);
}

void gw_join_refuse_all(struct gw_channel *c, enum yz_err err)
{
    struct gw_subscriber *sub;

    while ((sub = TAILQ_FIRST(&c->joining))) {
        c->owner->events.refused(sub->session, sub, err);
        gw_join_free(sub);
    }
}

static void refuse_readers(struct gw_channel *c, enum yz_err err)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != READING)
            continue;
        c->owner->events.refused(sub->session, sub, err);
        gw_join_free(sub);
    }
}

void gw_join_hand(struct gw_channel *c, struct gw_message *msg)
{
    struct gw_subscriber *sub = c->serving;

    if (!sub || !gw_message_visible(msg, sub->actor, c->org_path))
        return;
    gw_count(&c->owner->metrics->deliveries, 1);
    c->owner->events.deliver(sub->session, msg);
}

/* What is kept behind a position: first what was read, then what recent holds beyond it. */
struct missed {
    struct gw_message **messages;
    size_t count;
};

static void free_missed(struct missed *missed)
{
    for (size_t i = 0; i < missed->count; i++)
        gw_message_unref(missed->messages[i]);
    free(missed->messages);
}

/* References are taken: a session that leaves inside a call may end what held them. */
static enum yz_err collect(struct gw_channel *c, uint64_t behind, const struct gw_read *read,
                           struct missed *missed)
{
    size_t max = c->feed.recent.count + (read ? read->count : 0);
    struct gw_recent_item *item;

    *missed = (struct missed){0};
    if (max == 0)
        return YZ_OK;
    missed->messages = malloc(max * sizeof *missed->messages);
    if (!missed->messages)
        return YZ_INTERNAL;
    for (size_t i = 0; read && i < read->count; i++) {
        if (gw_message_offset(read->messages[i]) > behind) {
            missed->messages[missed->count++] = gw_message_ref(read->messages[i]);
            behind = gw_message_offset(read->messages[i]);
        }
    }
    TAILQ_FOREACH(item, &c->feed.recent.items, of_channel)
    {
        if (gw_message_offset(item->msg) > behind)
            missed->messages[missed->count++] = gw_message_ref(item->msg);
    }
    return YZ_OK;
}

static uint32_t count_visible(const struct gw_channel *c, const struct gw_subscriber *sub,
                              const struct missed *missed)
{
    uint32_t count = 0;

    for (size_t i = 0; i < missed->count; i++)
        count += gw_message_visible(missed->messages[i], sub->actor, c->org_path);
    return count;
}

static void hand_values(struct gw_channel *c)
{
    struct gw_message **messages;
    size_t count = 0, total = HASH_COUNT(c->values.by_name);

    if (total == 0 || !(messages = malloc(total * sizeof *messages)))
        return;
    for (struct gw_value *v = c->values.by_name; v; v = v->hh.next)
        messages[count++] = gw_message_ref(v->msg);
    for (size_t i = 0; i < count; i++) {
        gw_join_hand(c, messages[i]);
        gw_message_unref(messages[i]);
    }
    free(messages);
}

/* Answer a join: reply, what was missed behind its position, values; live pushes follow by
 * themselves. read: the history that was read for it, or NULL. */
static void serve(struct gw_subscriber *sub, const struct gw_read *read, bool recovered)
{
    struct gw_channel *c = sub->channel;
    struct gw_channels *owner = c->owner;
    uint64_t behind = sub->since_given ? sub->position : c->feed.covered, offset;
    struct missed missed = {0};

    if (sub->since_given && collect(c, behind, read, &missed)) {
        owner->events.refused(sub->session, sub, YZ_INTERNAL);
        gw_join_free(sub);
        return;
    }
    sub->position = behind;
    if (missed.count)
        sub->position = gw_message_offset(missed.messages[missed.count - 1]);
    if (sub->position < c->feed.seen)
        sub->position = c->feed.seen;
    offset = sub->position > c->feed.covered ? sub->position : c->feed.covered;
    TAILQ_REMOVE(&c->joining, sub, entry);
    TAILQ_INSERT_TAIL(&c->on, sub, entry);
    sub->state = ON;
    if (sub->since_given)
        gw_count(recovered ? &owner->metrics->resumes_recovered : &owner->metrics->resumes_lost, 1);
    c->serving = sub;
    owner->events.subscribed(sub->session, sub, gw_channel_stream(c)->epoch, offset, recovered,
                             count_visible(c, sub, &missed));
    for (size_t i = 0; i < missed.count && c->serving; i++)
        gw_join_hand(c, missed.messages[i]);
    free_missed(&missed);
    hand_values(c);
    c->serving = NULL;
}

/* Joins */

/* Its position means nothing here: all that is kept follows, and it is told. */
static void begin_anew(struct gw_subscriber *sub)
{
    sub->epoch[0] = '\0';
    sub->position = 0;
}

enum need { NOTHING, INFO, HISTORY };

/* Answer the join when that needs no question. */
static enum need try_serve(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;
    const struct gw_stream *stream = gw_channel_stream(c);
    uint64_t end = stream->last_seq > c->feed.seen ? stream->last_seq : c->feed.seen;

    if (!sub->since_given) {
        serve(sub, NULL, false);
        return NOTHING;
    }
    if (strcmp(sub->epoch, stream->epoch) != 0) {
        begin_anew(sub);
    } else if (sub->position > end) {
        if (!sub->checked)
            return INFO;
        begin_anew(sub);
    }
    if (*sub->epoch && sub->position >= c->feed.recent.floor) {
        serve(sub, NULL, true);
        return NOTHING;
    }
    return HISTORY;
}

/* The read's messages and recent's leave nothing out between them. */
static bool meets(const struct gw_channel *c, const struct gw_subscriber *sub)
{
    const struct gw_read *read = &c->read;
    uint64_t end = read->count ? gw_message_offset(read->messages[read->count - 1]) : 0;

    return end >= c->feed.recent.floor || sub->position >= c->feed.recent.floor;
}

static void serve_reader(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;
    bool whole = meets(c, sub);

    /* A follower that was behind answered, or recent was cut meanwhile: read again. */
    if (!whole && sub->tries++ < READ_TRIES_MAX) {
        sub->state = WAITING;
        gw_channel_retry_later(c);
        return;
    }
    serve(sub, &c->read, whole && *sub->epoch && sub->position >= c->read.proven);
}

static void on_read(void *arg, struct gw_read *read, enum yz_err err)
{
    struct gw_channel *c = arg;

    (void)read;
    if (err)
        refuse_readers(c, err);
    else
        c->read_ready = true;
    gw_channel_touch(c);
}

/* Read for all that wait, from the oldest of their positions. */
static void start_read(struct gw_channel *c)
{
    struct gw_subscriber *sub;
    uint64_t from = UINT64_MAX;

    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        if (sub->state == READING && sub->position < from)
            from = sub->position;
    }
    c->read.stream = c->feed.stream;
    c->read.subject = c->subject;
    c->read.channel = c->name;
    c->read.from = from;
    c->read.on_done = on_read;
    c->read.arg = c;
    gw_history_read(c->owner->history, &c->read);
}

static void on_checked(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct gw_channel *c = arg;
    struct gw_subscriber *sub;

    (void)stream;
    if (err) {
        gw_join_refuse_all(c, err);
        return;
    }
    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        sub->checked = true;
    }
    gw_channel_touch(c);
}

static void check_end(struct gw_channel *c)
{
    if (c->barrier.list)
        return;
    c->barrier.on_info = on_checked;
    c->barrier.arg = c;
    gw_streams_barrier(gw_link_streams(c->owner->link), c->feed.stream, &c->barrier);
}

/* Hand out what was read, to at most *budget subscribers; the rest keep waiting. */
static void serve_readers(struct gw_channel *c, int *budget)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        if (sub->state == READING && --*budget < 0)
            return;
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state == READING)
            serve_reader(sub);
    }
    gw_feed_remember(&c->feed, &c->read);
    gw_read_clear(&c->read);
    c->read_ready = false;
}

/* Answer who needs no question; the others' questions are asked together. */
static void serve_waiting(struct gw_channel *c, int *budget)
{
    bool may_read = !c->read.busy && !c->read_ready && !c->retry, reads = false, checks = false;
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        enum need need;

        if (sub->state == WAITING && --*budget < 0)
            break;
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != WAITING)
            continue;
        need = try_serve(sub); /* NOTHING: it may be gone */
        checks |= need == INFO;
        if (need == HISTORY && may_read) {
            sub->state = READING;
            reads = true;
        }
    }
    if (checks)
        check_end(c);
    if (reads)
        start_read(c);
}

bool gw_join_advance(struct gw_channel *c)
{
    int budget = SERVE_MAX;

    if (c->read_ready)
        serve_readers(c, &budget);
    if (budget >= 0)
        serve_waiting(c, &budget);
    return budget < 0;
}

void gw_join_reset(struct gw_channel *c)
{
    struct gw_subscriber *sub;

    gw_history_cancel(&c->read);
    gw_read_clear(&c->read);
    gw_barrier_cancel(&c->barrier);
    c->read_ready = false;
    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        sub->state = WAITING;
    }
}

uint32_t gw_subscriber_request(const struct gw_subscriber *sub)
{
    return sub->request;
}

const char *gw_subscriber_channel(const struct gw_subscriber *sub)
{
    return sub->channel->name;
}
