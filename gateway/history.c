#include "gateway/history.h"

#include "common/bus.h"
#include "common/log.h"
#include "gateway/metrics.h"
#include "gateway/reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_READS 32
#define PAGE_MESSAGES 256
#define PAGE_BYTES                                                                                 \
    (4 * 1024 * 1024) /* more than two of the largest messages: a page always gets on */
#define PAGE_TIMEOUT_MS  3000
#define RESTARTS_MAX     3
#define REPEATS_MAX      10
#define REQUEST_TEXT_MAX (YZ_SUBJECT_MAX + 128)

TAILQ_HEAD(read_list, gw_read);

struct gw_history {
    struct gw_link *link;
    struct gw_reader *reader;
    struct gw_metrics *metrics;
    struct read_list waiting, flying;
    size_t flying_count;
    bool launching;
};

static void launch(struct gw_history *history);
static void read_page(struct gw_read *read);
static void ask(struct gw_read *read, const char *text);

enum yz_err gw_history_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_link *link,
                           struct gw_metrics *metrics, struct gw_history **history)
{
    struct gw_history *h = calloc(1, sizeof *h);

    if (!h)
        return YZ_INTERNAL;
    if (gw_reader_new(conf, loop, &h->reader)) {
        free(h);
        return YZ_INTERNAL;
    }
    h->link = link;
    h->metrics = metrics;
    TAILQ_INIT(&h->waiting);
    TAILQ_INIT(&h->flying);
    *history = h;
    return YZ_OK;
}

void gw_history_free(struct gw_history *history)
{
    if (!history)
        return;
    assert(TAILQ_EMPTY(&history->waiting) && TAILQ_EMPTY(&history->flying));
    gw_reader_free(history->reader);
    free(history);
}

enum yz_err gw_history_message(const char *channel, uint64_t seq, natsMsg *msg,
                               struct gw_message **message)
{
    const char *roles, *exclude;

    if (natsMsgHeader_Get(msg, YZ_HEADER_PUSH_ROLES, &roles) != NATS_OK)
        roles = "";
    if (natsMsgHeader_Get(msg, YZ_HEADER_PUSH_EXCLUDE, &exclude) != NATS_OK)
        exclude = "";
    return gw_message_new(channel, seq, "", natsMsg_GetData(msg),
                          (size_t)natsMsg_GetDataLength(msg), roles, exclude, message);
}

static enum yz_err message_of(const struct gw_read *read, const struct gw_answer *answer,
                              struct gw_message **message)
{
    return gw_message_new(read->channel, answer->seq, "", answer->data, answer->len, answer->roles,
                          answer->exclude, message);
}

static void unlink_read(struct gw_read *read)
{
    struct gw_history *history = read->history;

    if (read->flying) {
        TAILQ_REMOVE(&history->flying, read, entry);
        history->flying_count--;
        if (read->by_reader)
            gw_reader_cancel(history->reader, read->request);
        else
            gw_link_cancel(history->link, read->request);
        gw_barrier_cancel(&read->barrier);
    } else {
        TAILQ_REMOVE(&history->waiting, read, entry);
    }
    read->busy = read->flying = false;
}

static void finish(struct gw_read *read, enum yz_err err)
{
    struct gw_history *history = read->history;

    unlink_read(read);
    read->on_done(read->arg, read, err);
    launch(history);
}

void gw_read_clear(struct gw_read *read)
{
    for (size_t i = 0; i < read->count; i++)
        gw_message_unref(read->messages[i]);
    free(read->messages);
    read->messages = NULL;
    read->count = read->capacity = 0;
}

void gw_history_cancel(struct gw_read *read)
{
    if (!read->busy)
        return;
    unlink_read(read);
    gw_read_clear(read);
    launch(read->history);
}

/* No message at or below from survives (see the header): what was read and what follows are all
 * that the subject held. */
static void on_info(void *arg, const struct gw_stream *stream, enum yz_err err)
{
    struct gw_read *read = arg;
    uint64_t first_read = read->count ? gw_message_offset(read->messages[0]) : UINT64_MAX;
    uint64_t bound = UINT64_MAX;

    if (err) {
        finish(read, err);
        return;
    }
    if (stream->subject_max <= 0 || read->total + read->pending < (uint64_t)stream->subject_max)
        bound = stream->first_seq > read->from + 1 ? stream->first_seq - 1 : read->from;
    if (bound > first_read)
        bound = first_read;
    if (bound > read->proven)
        read->proven = bound;
    finish(read, YZ_OK);
}

static void await_info(struct gw_read *read)
{
    read->barrier.on_info = on_info;
    read->barrier.arg = read;
    gw_streams_barrier(gw_link_streams(read->history->link), read->stream, &read->barrier);
}

static bool on_below(struct gw_read *read, const struct gw_answer *answer)
{
    if (answer->status == 0) {
        read->below = answer->seq;
        return true;
    }
    if (answer->status == 204 && read->below > 0) {
        /* Read once more, from the survivor on: proof and messages must come in one answer. */
        gw_read_clear(read);
        read->cursor = read->below;
        read->last = read->total = 0;
        read->first_page = true;
        read->more = false;
        read->restarts++;
        read_page(read);
    } else if (answer->status == 404) {
        await_info(read);
    } else {
        finish(read, YZ_BUS_UNAVAILABLE);
    }
    return false;
}

/* Ask for the last message at or below from. */
static void find_below(struct gw_read *read)
{
    char text[REQUEST_TEXT_MAX];

    read->below = 0;
    read->asking_below = true;
    snprintf(text, sizeof text, "{\"multi_last\":[\"%s\"],\"up_to_seq\":%" PRIu64 "}",
             read->subject, read->from);
    ask(read, text);
}

static void all_read(struct gw_read *read)
{
    if (read->anchored) {
        if (read->proven < read->from)
            read->proven = read->from;
        finish(read, YZ_OK);
    } else if (read->from > 0 && read->restarts < RESTARTS_MAX) {
        find_below(read);
    } else {
        await_info(read);
    }
}

/* Too long for us: the newer half stays. */
static void halve(struct gw_read *read)
{
    size_t gone = read->count / 2;

    read->proven = gw_message_offset(read->messages[gone - 1]);
    for (size_t i = 0; i < gone; i++)
        gw_message_unref(read->messages[i]);
    memmove(read->messages, read->messages + gone, (read->count - gone) * sizeof *read->messages);
    read->count -= gone;
}

static enum yz_err keep(struct gw_read *read, const struct gw_answer *answer)
{
    struct gw_message *message;
    enum yz_err err;

    if (read->count == READ_MESSAGES_MAX)
        halve(read);
    if (read->count == read->capacity) {
        size_t capacity = read->capacity ? 2 * read->capacity : 64;
        struct gw_message **messages = realloc(read->messages, capacity * sizeof *messages);

        if (!messages)
            return YZ_INTERNAL;
        read->messages = messages;
        read->capacity = capacity;
    }
    err = message_of(read, answer, &message);
    if (err == YZ_BAD_FRAME) {
        /* Not written by a worker of ours. It must not stop what comes behind it. */
        yz_error_spaced("push_malformed", "subject=%s seq=%" PRIu64, read->subject, answer->seq);
        return YZ_OK;
    }
    if (err)
        return err;
    if (read->timed)
        gw_message_set_stored_us(message, yz_bus_time_us(answer->stored));
    read->messages[read->count++] = message;
    return YZ_OK;
}

/* The page's first message is the one known before, or else something between was removed. */
static void check_first(struct gw_read *read, uint64_t seq)
{
    if (seq == read->cursor) {
        read->anchored |= read->first_page;
    } else if (!read->first_page && seq > read->proven) {
        read->proven = seq;
    }
    read->first_page = false;
}

/* Each message of a page names the one before it, and the end the last one: our own queue may have
 * dropped some. */
static enum yz_err on_message(struct gw_read *read, const struct gw_answer *answer)
{
    uint64_t seq = answer->seq;

    if (seq == 0 || answer->last_seq != read->page_last) {
        read->broken = true;
        return YZ_OK;
    }
    if (read->page_last == 0)
        check_first(read, seq);
    read->page_last = seq;
    if (seq <= read->last)
        return YZ_OK; /* the page's first, read before */
    read->last = seq;
    if (seq <= read->from)
        return YZ_OK;
    read->total++;
    return keep(read, answer);
}

/* Go on behind what came whole. */
static void repeat_page(struct gw_read *read)
{
    if (read->last > read->cursor)
        read->cursor = read->last;
    else if (read->repeats++ >= REPEATS_MAX) {
        finish(read, YZ_TIMED_OUT);
        return;
    }
    read_page(read);
}

/* The page came whole, and messages follow. */
static void go_on(struct gw_read *read, uint64_t pending)
{
    if (read->portion && read->count > 0) {
        read->more = true;
        read->pending = pending;
        all_read(read);
    } else {
        read->cursor = read->last;
        read_page(read);
    }
}

static bool on_page(struct gw_read *read, const struct gw_answer *answer)
{
    enum yz_err err;

    if (answer->status == 0) {
        if (read->broken || !(err = on_message(read, answer)))
            return true;
        finish(read, err);
        return false;
    }
    read->broken |= answer->last_seq != read->page_last;
    if (read->broken)
        repeat_page(read);
    else if (answer->status == 204 && answer->pending > 0 && read->last > read->cursor)
        go_on(read, answer->pending);
    else if (answer->status == 204 || answer->status == 404)
        all_read(read);
    else
        finish(read, YZ_BUS_UNAVAILABLE);
    return false;
}

/* Whichever way it came. */
static bool on_answer(struct gw_read *read, const struct gw_answer *answer)
{
    return read->asking_below ? on_below(read, answer) : on_page(read, answer);
}

static const char *text_of(natsMsg *msg, const char *header)
{
    const char *value;

    return natsMsgHeader_Get(msg, header, &value) == NATS_OK ? value : "";
}

static bool on_link_answer(void *arg, natsMsg *msg, enum yz_err err)
{
    struct gw_answer answer = {0};
    struct gw_read *read = arg;

    if (err) {
        finish(read, err);
        return false;
    }
    answer.status = (unsigned)strtoul(text_of(msg, "Status"), NULL, 10);
    answer.seq = yz_bus_header_u64(msg, "Nats-Sequence", 0);
    answer.last_seq = yz_bus_header_u64(msg, "Nats-Last-Sequence", 0);
    answer.pending = yz_bus_header_u64(msg, "Nats-Num-Pending", 0);
    answer.stored = text_of(msg, "Nats-Time-Stamp");
    answer.roles = text_of(msg, YZ_HEADER_PUSH_ROLES);
    answer.exclude = text_of(msg, YZ_HEADER_PUSH_EXCLUDE);
    answer.data = natsMsg_GetData(msg);
    answer.len = (size_t)natsMsg_GetDataLength(msg);
    return on_answer(read, &answer);
}

/* The reader is given up with all its requests; the link may still be there. */
static bool on_reader_answer(void *arg, const struct gw_answer *answer, enum yz_err err)
{
    struct gw_read *read = arg;

    if (!err)
        return on_answer(read, answer);
    if (!gw_link_connected(read->history->link))
        finish(read, err);
    else if (read->asking_below)
        find_below(read);
    else
        repeat_page(read);
    return false;
}

static void ask(struct gw_read *read, const char *text)
{
    struct gw_history *history = read->history;
    enum yz_err err = YZ_BUS_UNAVAILABLE;
    char subject[64];

    snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.%s",
             gw_streams_get(gw_link_streams(history->link), read->stream)->name);
    /* Away from the bus means away: what comes now would be older than the gap. */
    if (gw_link_connected(history->link) && gw_reader_ready(history->reader))
        err = gw_reader_ask(history->reader, subject, text, PAGE_TIMEOUT_MS, on_reader_answer, read,
                            &read->request);
    read->by_reader = err == YZ_OK;
    if (err)
        err = gw_link_request(history->link, subject, text, strlen(text), PAGE_TIMEOUT_MS,
                              on_link_answer, read, &read->request);
    if (err)
        finish(read, err);
}

static void read_page(struct gw_read *read)
{
    char text[REQUEST_TEXT_MAX];

    read->page_last = 0;
    read->broken = read->asking_below = false;
    snprintf(text, sizeof text,
             "{\"seq\":%" PRIu64 ",\"next_by_subj\":\"%s\",\"batch\":%d,\"max_bytes\":%d}",
             read->cursor ? read->cursor : 1, read->subject, PAGE_MESSAGES, PAGE_BYTES);
    ask(read, text);
}

static void launch(struct gw_history *history)
{
    struct gw_read *read;

    if (history->launching)
        return;
    history->launching = true;
    while (history->flying_count < HISTORY_READS && (read = TAILQ_FIRST(&history->waiting))) {
        TAILQ_REMOVE(&history->waiting, read, entry);
        TAILQ_INSERT_TAIL(&history->flying, read, entry);
        history->flying_count++;
        read->flying = true;
        yz_count(&history->metrics->history_reads, 1);
        read_page(read);
    }
    history->launching = false;
}

void gw_history_read(struct gw_history *history, struct gw_read *read)
{
    assert(!read->busy);
    gw_read_clear(read);
    read->history = history;
    read->barrier = (struct gw_barrier){0};
    read->cursor = read->from;
    read->last = read->total = read->pending = read->below = read->proven = read->request = 0;
    read->busy = read->first_page = true;
    read->flying = read->anchored = read->more = read->by_reader = false;
    read->restarts = read->repeats = 0;
    TAILQ_INSERT_TAIL(&history->waiting, read, entry);
    launch(history);
}
