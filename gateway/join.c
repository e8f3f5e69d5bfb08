#include "gateway/channel_private.h"

#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

#define SERVE_MAX      64 /* joins of one channel answered in one loop turn */
#define READ_TRIES_MAX 5
#define DOUBT_MS       12000 /* a leader that is cut off steps down within 10 s */

static struct gw_subscriber_list *list_of(struct gw_channel *c, enum gw_subscriber_state state)
{
    return state >= ON ? &c->on : &c->joining;
}

static void take_out(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;

    if (c->cursor == sub)
        c->cursor = TAILQ_NEXT(sub, entry);
    TAILQ_REMOVE(list_of(c, sub->state), sub, entry);
    c->on_count -= sub->state >= ON;
}

/* The one place that writes a subscriber's state. */
static void change_state(struct gw_subscriber *sub, enum gw_subscriber_state to)
{
    struct gw_channel *c = sub->channel;

    if (list_of(c, sub->state) != list_of(c, to)) {
        take_out(sub);
        TAILQ_INSERT_TAIL(list_of(c, to), sub, entry);
        c->on_count += to >= ON;
    }
    sub->state = to;
}

void gw_join_free(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;

    take_out(sub);
    if (c->serving == sub)
        c->serving = NULL;
    atomic_fetch_sub_explicit(&c->owner->metrics->subscribers, 1, memory_order_relaxed);
    free(sub);
    gw_channel_set_idle(c);
}

/* A question for it failed. Whoever was answered already keeps asking. */
static void refuse(struct gw_subscriber *sub, enum yz_err err)
{
    if (sub->answered) {
        change_state(sub, WAITING);
        gw_channel_retry_later(sub->channel);
        return;
    }
    sub->channel->owner->events.refused(sub->session, sub, err);
    gw_join_free(sub);
}

static void refuse_from(struct gw_channel *c, enum gw_subscriber_state least, enum yz_err err)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(&c->joining); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state >= least)
            refuse(sub, err);
    }
}

void gw_join_refuse_all(struct gw_channel *c, enum yz_err err)
{
    refuse_from(c, WAITING, err);
}

static void refuse_readers(struct gw_channel *c, enum yz_err err)
{
    refuse_from(c, READING, err);
}

static void lose(struct gw_subscriber *sub, enum yz_close close)
{
    change_state(sub, LOST);
    sub->channel->owner->events.lost(sub->session, close);
}

static void lose_answered(struct gw_channel *c, struct gw_subscriber_list *list,
                          enum yz_close close)
{
    struct gw_subscriber *sub;

    for (c->cursor = TAILQ_FIRST(list); (sub = c->cursor);) {
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->answered && sub->state != LOST)
            lose(sub, close);
    }
}

void gw_join_lose_all(struct gw_channel *c, enum yz_close close)
{
    lose_answered(c, &c->joining, close);
    lose_answered(c, &c->on, close);
}

void gw_join_hand(struct gw_channel *c, struct gw_message *msg, bool live)
{
    struct gw_subscriber *sub = c->serving;

    if (!sub || !gw_message_visible(msg, sub->actor, c->org_path))
        return;
    yz_count_own(&c->owner->metrics->deliveries, 1);
    c->owner->events.deliver(sub->session, msg, live);
}

/* It got on. */
static void end_doubt(struct gw_subscriber *sub)
{
    sub->tries = 0;
    sub->doubt_until_mono_ms = 0;
}

static bool has_room(const struct gw_subscriber *sub)
{
    return sub->channel->owner->events.has_room(sub->session);
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

/* References are taken: a session that leaves inside a call may end what held them. read may be
 * NULL; joined: recent goes on where it ends. */
static enum yz_err collect(struct gw_channel *c, uint64_t behind, const struct gw_read *read,
                           bool joined, struct missed *missed)
{
    size_t max = (joined ? c->feed.recent.count : 0) + (read ? read->count : 0);
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
    if (!joined)
        return YZ_OK;
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

/* false: out of memory. */
static bool hand_values(struct gw_channel *c)
{
    struct gw_message **messages;
    size_t count = 0, total = HASH_COUNT(c->values.by_name);

    if (total == 0)
        return true;
    if (!(messages = malloc(total * sizeof *messages)))
        return false;
    for (struct gw_value *v = c->values.by_name; v; v = v->hh.next)
        messages[count++] = gw_message_ref(v->msg);
    for (size_t i = 0; i < count; i++) {
        gw_join_hand(c, messages[i], false);
        gw_message_unref(messages[i]);
    }
    free(messages);
    return true;
}

/* Hand c->serving its missed pushes while there is room; true: all of them. */
static bool hand_portion(struct gw_channel *c, const struct missed *missed)
{
    for (size_t i = 0; i < missed->count && c->serving; i++) {
        c->serving->next = gw_message_offset(missed->messages[i]);
        if (!has_room(c->serving))
            return false;
        c->serving->position = c->serving->next;
        c->serving->next = 0;
        gw_join_hand(c, missed->messages[i], false);
    }
    return c->serving != NULL;
}

/* For more of the history than it had room for (a Welcome, too, must come first). */
static bool somebody_waits(const struct gw_channel *c)
{
    const struct gw_subscriber *sub;

    TAILQ_FOREACH(sub, &c->on, entry)
    {
        if (sub->state == PAUSED)
            return true;
    }
    return !TAILQ_EMPTY(&c->joining);
}

/* All that the channel has seen is handed on: the values, and live pushes from then on. */
static void come_on(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;

    if (sub->position < c->feed.seen)
        sub->position = c->feed.seen;
    if (!has_room(sub))
        return;
    change_state(sub, ON);
    /* An inbox is one phone's: nobody comes back to what it has got. */
    if (c->inbox && !somebody_waits(c))
        gw_recent_clear(&c->feed.recent, c->feed.seen);
    if (!hand_values(c))
        lose(sub, YZ_CLOSE_CHANNEL_LOST);
}

/* Hand on what was missed as far as there is room. up_to_now: it is all that there is. */
static void hand_on(struct gw_subscriber *sub, const struct missed *missed, bool up_to_now)
{
    struct gw_channel *c = sub->channel;

    change_state(sub, PAUSED);
    c->serving = sub;
    if (hand_portion(c, missed)) {
        if (up_to_now)
            come_on(sub);
        else
            change_state(sub, WAITING); /* for the next portion */
    }
    c->serving = NULL;
}

static void tell(struct gw_subscriber *sub, const struct missed *missed, bool recovered)
{
    struct gw_channel *c = sub->channel;
    struct gw_metrics *metrics = c->owner->metrics;
    uint64_t last = missed->count ? gw_message_offset(missed->messages[missed->count - 1]) : 0;
    uint64_t offset = sub->position > last ? sub->position : last;

    if (offset < c->feed.covered)
        offset = c->feed.covered;
    if (sub->since_given)
        yz_count(recovered ? &metrics->resumes_recovered : &metrics->resumes_lost, 1);
    sub->answered = true;
    end_doubt(sub);
    c->owner->events.subscribed(sub->session, sub, gw_channel_stream(c)->epoch, offset, recovered,
                                count_visible(c, sub, missed));
}

/* Answer a join: reply, what was missed behind its position, values; live pushes follow by
 * themselves. read: the history that was read for it, or NULL. */
static void serve(struct gw_subscriber *sub, const struct gw_read *read, bool recovered)
{
    struct gw_channel *c = sub->channel;
    struct missed missed = {0};

    if (!sub->since_given) {
        sub->position = c->feed.covered;
    } else if (collect(c, sub->position, read, true, &missed)) {
        refuse(sub, YZ_INTERNAL);
        return;
    }
    /* Whatever was there between its position and the first that is kept is none of its concern. */
    if (!recovered && missed.count)
        sub->position = gw_message_offset(missed.messages[0]) - 1;
    change_state(sub, PAUSED);
    c->serving = sub;
    tell(sub, &missed, recovered);
    if (c->serving)
        hand_on(sub, &missed, true);
    free_missed(&missed);
}

/* Go on behind a pause. joined: recent goes on where read, or the position, ends. */
static void serve_more(struct gw_subscriber *sub, const struct gw_read *read, bool joined)
{
    struct gw_channel *c = sub->channel;
    struct missed missed;
    bool whole = !read || sub->position >= read->proven;

    if (collect(c, sub->position, read, joined, &missed)) {
        lose(sub, YZ_CLOSE_CHANNEL_LOST);
        return;
    }
    /* The place itself may be gone, as long as what comes next is there. */
    if (!whole && sub->next >= read->proven)
        whole = missed.count > 0 && gw_message_offset(missed.messages[0]) == sub->next;
    end_doubt(sub);
    if (whole)
        hand_on(sub, &missed, joined);
    else
        lose(sub, YZ_CLOSE_CHANNEL_LOST);
    free_missed(&missed);
}

/* Joins */

void gw_channels_continue(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    if (sub->state != PAUSED)
        return;
    change_state(sub, WAITING);
    gw_channel_touch(sub->channel);
}

/* Its position means nothing here: all that is kept follows, and it is told. */
static void begin_anew(struct gw_subscriber *sub)
{
    sub->epoch[0] = '\0';
    sub->position = 0;
}

/* In a cluster a leader that is cut off, or new, does not know the stream's end for a while, and a
 * replica that is cut off answers without it: that is no reason yet to say that the history is
 * lost. */
static bool in_doubt(struct gw_subscriber *sub, const struct gw_stream *stream)
{
    int64_t now = yz_clock_mono_ms();

    if (!sub->doubt_until_mono_ms)
        sub->doubt_until_mono_ms = now + DOUBT_MS;
    return stream->replicas > 1 && now < sub->doubt_until_mono_ms;
}

enum need { NOTHING, INFO, HISTORY };

/* Go on when recent holds all that is still due. */
static enum need try_serve_more(struct gw_subscriber *sub)
{
    uint64_t floor = sub->channel->feed.recent.floor;

    if (sub->position < floor && sub->next <= floor)
        return HISTORY;
    serve_more(sub, NULL, true);
    return NOTHING;
}

/* Answer the join when that needs no question. */
static enum need try_serve(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;
    const struct gw_stream *stream = gw_channel_stream(c);
    uint64_t end = stream->last_seq > c->feed.seen ? stream->last_seq : c->feed.seen;

    if (sub->answered)
        return try_serve_more(sub);
    if (!sub->since_given) {
        serve(sub, NULL, false);
        return NOTHING;
    }
    if (strcmp(sub->epoch, stream->epoch) != 0) {
        begin_anew(sub);
    } else if (sub->position > end) {
        if (!sub->checked)
            return INFO;
        if (in_doubt(sub, stream)) {
            sub->checked = false;
            gw_channel_retry_later(c);
            return NOTHING;
        }
        begin_anew(sub);
    }
    gw_recent_trim(&c->feed.recent, stream->first_seq);
    if (*sub->epoch && sub->position >= c->feed.recent.floor) {
        yz_count(&c->owner->metrics->resumes_from_memory, 1);
        serve(sub, NULL, true);
        return NOTHING;
    }
    return HISTORY;
}

static uint64_t end_of(const struct gw_read *read)
{
    return read->count ? gw_message_offset(read->messages[read->count - 1]) : 0;
}

/* The read's messages and recent's leave nothing out between them. */
static bool meets(const struct gw_channel *c, const struct gw_subscriber *sub)
{
    return end_of(&c->read) >= c->feed.recent.floor || sub->position >= c->feed.recent.floor;
}

/* A replica that was behind answered, or recent was cut meanwhile. For long only where a push that
 * the channel has seen, and that is kept, was not read. */
static bool may_read_again(struct gw_subscriber *sub)
{
    const struct gw_channel *c = sub->channel;
    const struct gw_stream *stream = gw_channel_stream(c);

    if (sub->tries++ < READ_TRIES_MAX)
        return true;
    return end_of(&c->read) < c->feed.seen && c->feed.seen >= stream->first_seq &&
           in_doubt(sub, stream);
}

static void serve_reader(struct gw_subscriber *sub)
{
    struct gw_channel *c = sub->channel;
    bool joined = meets(c, sub);

    if (!joined && !c->read.more && may_read_again(sub)) {
        change_state(sub, WAITING);
        gw_channel_retry_later(c);
    } else if (!sub->answered) {
        serve(sub, &c->read, joined && *sub->epoch && sub->position >= c->read.proven);
    } else if (joined || c->read.more) {
        serve_more(sub, &c->read, joined);
    } else {
        lose(sub, YZ_CLOSE_CHANNEL_LOST);
    }
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

/* Read for all that wait, from the oldest of their positions: to the end for those that must be
 * told how much it is, else a portion. */
static void start_read(struct gw_channel *c)
{
    struct gw_subscriber *sub;
    uint64_t from = UINT64_MAX;
    bool portion = true;

    TAILQ_FOREACH(sub, &c->joining, entry)
    {
        if (sub->state != READING)
            continue;
        portion &= sub->answered;
        if (sub->position < from)
            from = sub->position;
    }
    c->read.portion = portion;
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
    if (!c->inbox || somebody_waits(c))
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

        if (*budget < 0)
            break;
        c->cursor = TAILQ_NEXT(sub, entry);
        if (sub->state != WAITING)
            continue;
        need = try_serve(sub); /* NOTHING: it may be gone */
        *budget -= need == NOTHING;
        checks |= need == INFO;
        if (need == HISTORY && may_read) {
            change_state(sub, READING);
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
        change_state(sub, WAITING);
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
