/* replicas.h: a JetStream of three replicas, played beside a nats-server that has none: the test
 * says what the stream CHANNELS holds, and for each direct get how far the replica is that answers
 * it. The other streams are empty.
 *
 * Lifetime  replicas_start before the link, on its loop; replicas_stop before the loop ends.
 * Thread    the test's, inside the loop.
 * Limits    REPLICAS_MESSAGES messages, REPLICAS_TURNS answers that differ from the leader's.
 *           A filter is a subject, or one that ends in ".>".
 */
#ifndef REPLICAS_H
#define REPLICAS_H

#include "rig.h"

#include <inttypes.h>
#include <jansson.h>

#define REPLICAS_MESSAGES 16
#define REPLICAS_TURNS    64
#define REPLICAS_BUFFER   65536

/* One direct get's answer. */
struct replica_turn {
    uint64_t end;     /* all that the replica has; 0: it is as far as the leader */
    size_t page_size; /* messages, then it says that more are pending; 0: all */
    size_t lost;      /* this message of the answer (from 1) is lost on the way; 0: none */
};

struct replicas {
    int fd;
    uv_poll_t poll;
    char in[REPLICAS_BUFFER];
    size_t in_len;

    /* The test's to set. */
    uint64_t first, last;
    struct stored {
        const char *subject;
        uint64_t seq;
    } messages[REPLICAS_MESSAGES]; /* in their order */
    size_t count;
    struct replica_turn turns[REPLICAS_TURNS]; /* afterwards the leader answers */

    bool leader_late; /* its answer waits for replicas_leader_answer */
    char late_reply[128], late_body[128];

    size_t gets;        /* direct gets of CHANNELS that came */
    size_t leader_gets; /* questions to its leader */
};

static inline void replicas_store(struct replicas *r, const char *subject, uint64_t seq)
{
    assert_true(r->count < REPLICAS_MESSAGES);
    r->messages[r->count++] = (struct stored){subject, seq};
    if (r->last < seq)
        r->last = seq;
}

static inline void replicas_write(struct replicas *r, const char *text)
{
    assert_int_equal(write(r->fd, text, strlen(text)), strlen(text));
}

static inline void replicas_reply(struct replicas *r, const char *reply, const char *head,
                                  const char *body)
{
    char text[2048];

    snprintf(text, sizeof text, "HPUB %s %zu %zu\r\n%s%s\r\n", reply, strlen(head),
             strlen(head) + strlen(body), head, body);
    replicas_write(r, text);
}

static inline void replicas_info(struct replicas *r, const char *stream, const char *reply)
{
    bool channels = strcmp(stream, "CHANNELS") == 0;
    char body[512];

    snprintf(body, sizeof body,
             "{\"config\":{\"metadata\":{\"yizhan-epoch\":\"1.a\"},\"num_replicas\":3},"
             "\"state\":{\"first_seq\":%" PRIu64 ",\"last_seq\":%" PRIu64 "}}",
             channels ? r->first : 1, channels ? r->last : 0);
    replicas_reply(r, reply, "NATS/1.0\r\n\r\n", body);
}

/* With what the leader had when it was asked. */
static inline void replicas_leader_answer(struct replicas *r)
{
    replicas_reply(r, r->late_reply, "NATS/1.0\r\n\r\n", r->late_body);
}

static inline void replicas_leader(struct replicas *r, const char *reply, json_t *question)
{
    const char *subject = json_string_value(json_object_get(question, "last_by_subj"));
    char body[128] = "{\"error\":{\"code\":404}}";

    assert_non_null(subject);
    r->leader_gets++;
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->messages[i].subject, subject) == 0)
            snprintf(body, sizeof body, "{\"message\":{\"seq\":%" PRIu64 "}}", r->messages[i].seq);
    }
    snprintf(r->late_reply, sizeof r->late_reply, "%s", reply);
    snprintf(r->late_body, sizeof r->late_body, "%s", body);
    if (!r->leader_late)
        replicas_leader_answer(r);
}

static inline uint64_t replicas_number(json_t *question, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(question, key));
}

static inline bool replicas_fits(const char *filter, const char *subject)
{
    size_t len = strlen(filter);

    if (len > 2 && strcmp(filter + len - 2, ".>") == 0)
        return strncmp(filter, subject, len - 1) == 0;
    return strcmp(filter, subject) == 0;
}

static inline bool replicas_asked_for(json_t *question, const char *subject)
{
    json_t *filters = json_object_get(question, "multi_last");
    const char *next = json_string_value(json_object_get(question, "next_by_subj"));

    for (size_t i = 0; i < json_array_size(filters); i++) {
        if (replicas_fits(json_string_value(json_array_get(filters, i)), subject))
            return true;
    }
    return next && replicas_fits(next, subject);
}

static inline bool replicas_followed(const struct replicas *r, size_t at, uint64_t end)
{
    for (size_t i = at + 1; i < r->count && r->messages[i].seq <= end; i++) {
        if (strcmp(r->messages[i].subject, r->messages[at].subject) == 0)
            return true;
    }
    return false;
}

static inline void replicas_direct(struct replicas *r, const char *reply, json_t *question)
{
    struct replica_turn turn = {0};
    uint64_t from = replicas_number(question, "seq"), upto = replicas_number(question, "up_to_seq");
    bool multi = json_object_get(question, "multi_last") != NULL;
    size_t known = 0, sent = 0, pending = 0;
    uint64_t end, last = 0;
    char head[512];

    if (r->gets < REPLICAS_TURNS)
        turn = r->turns[r->gets];
    r->gets++;
    end = turn.end ? turn.end : r->last;
    if (!upto)
        upto = end;
    for (size_t i = 0; i < r->count; i++) {
        const struct stored *m = &r->messages[i];

        if (m->seq > end || (multi && m->seq > upto) || !replicas_asked_for(question, m->subject) ||
            (multi && replicas_followed(r, i, upto < end ? upto : end)))
            continue;
        known++;
        if (m->seq < from)
            continue;
        if (turn.page_size && sent == turn.page_size) {
            pending++;
            continue;
        }
        if (++sent != turn.lost) {
            snprintf(head, sizeof head,
                     "NATS/1.0\r\nNats-Subject: %s\r\nNats-Sequence: %" PRIu64
                     "\r\nNats-Time-Stamp: 2026-05-01T08:00:00Z\r\nNats-Last-Sequence: %" PRIu64
                     "\r\n\r\n",
                     m->subject, m->seq, last);
            replicas_reply(r, reply, head, "");
        }
        last = m->seq;
    }
    if (multi ? known == 0 : sent == 0)
        snprintf(head, sizeof head, "NATS/1.0 404 No Results\r\n\r\n");
    else if (multi)
        snprintf(head, sizeof head,
                 "NATS/1.0 204 EOB\r\nNats-Num-Pending: %zu\r\nNats-Last-Sequence: %" PRIu64
                 "\r\nNats-UpTo-Sequence: %" PRIu64 "\r\n\r\n",
                 pending, last, upto);
    else
        snprintf(head, sizeof head,
                 "NATS/1.0 204 EOB\r\nNats-Num-Pending: %zu\r\nNats-Last-Sequence: %" PRIu64
                 "\r\n\r\n",
                 pending, last);
    replicas_reply(r, reply, head, "");
}

static inline void replicas_answer(struct replicas *r, const char *subject, const char *reply,
                                   const char *body, size_t len)
{
    json_t *question = json_loadb(body, len, 0, NULL);

    if (strncmp(subject, "$JS.API.STREAM.INFO.", 20) == 0)
        replicas_info(r, subject + 20, reply);
    else if (strcmp(subject, "$JS.API.STREAM.MSG.GET.CHANNELS") == 0)
        replicas_leader(r, reply, question);
    else if (strcmp(subject, "$JS.API.DIRECT.GET.CHANNELS") == 0)
        replicas_direct(r, reply, question);
    else if (strncmp(subject, "$JS.API.DIRECT.GET.", 19) == 0)
        replicas_reply(r, reply, "NATS/1.0 404 No Results\r\n\r\n", "");
    json_decref(question);
}

/* One line of the server, with its body; 0: it is not whole yet. */
static inline size_t replicas_line(struct replicas *r, const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n", 2);
    char subject[128], sid[16], reply[128];
    size_t line = end ? (size_t)(end - at) + 2 : 0, head = 0, all;
    int fields;

    if (line == 0)
        return 0;
    if (strncmp(at, "PING", 4) == 0)
        replicas_write(r, "PONG\r\n");
    if (strncmp(at, "MSG ", 4) == 0)
        fields = sscanf(at, "MSG %127s %15s %127s %zu", subject, sid, reply, &all) - 4;
    else if (strncmp(at, "HMSG ", 5) == 0)
        fields = sscanf(at, "HMSG %127s %15s %127s %zu %zu", subject, sid, reply, &head, &all) - 5;
    else
        return line;
    assert_int_equal(fields, 0); /* whoever asks JetStream waits for its answer */
    if (len < line + all + 2)
        return 0;
    replicas_answer(r, subject, reply, at + line + head, all - head);
    return line + all + 2;
}

static inline void replicas_on_readable(uv_poll_t *poll, int status, int events)
{
    struct replicas *r = poll->data;
    ssize_t got = read(r->fd, r->in + r->in_len, sizeof r->in - r->in_len);
    size_t done = 0, line;

    (void)events;
    assert_int_equal(status, 0);
    assert_true(got > 0);
    r->in_len += (size_t)got;
    while ((line = replicas_line(r, r->in + done, r->in_len - done)) > 0)
        done += line;
    r->in_len -= done;
    memmove(r->in, r->in + done, r->in_len);
}

static inline void replicas_start(struct replicas *r, const struct broker *broker, uv_loop_t *loop)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)broker->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    r->first = 1;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&at, sizeof at), 0);
    replicas_write(r, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB $JS.API.> 1\r\n");
    assert_int_equal(uv_poll_init(loop, &r->poll, r->fd), 0);
    r->poll.data = r;
    uv_poll_start(&r->poll, UV_READABLE, replicas_on_readable);
}

static inline void replicas_on_closed(uv_handle_t *handle)
{
    close(((struct replicas *)handle->data)->fd);
}

static inline void replicas_stop(struct replicas *r)
{
    uv_close((uv_handle_t *)&r->poll, replicas_on_closed);
}

#endif
