#include "workers/pull.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PULL_BYTES_MAX  (4 * 1024 * 1024)
#define PULL_BATCH_MIN  16
#define TURN_MAX        64
#define PULL_EXPIRES_MS 20000
#define PULL_LOST_MS    (PULL_EXPIRES_MS + 3000)
#define PULL_RETRY_MS   200
#define STATUS_SHUTDOWN 409
#define STATUS_NOBODY   503

struct source {
    uint64_t revision; /* 0: not attached */
    char consumer[WK_DURABLE_MAX];
    uint64_t next_number; /* of the next delivery */
    bool broken;
    unsigned request;      /* number of the open request */
    int64_t batch;         /* asked for by it */
    int64_t left;          /* of it, 0: none is open */
    int64_t again_mono_ms; /* ask at this time */
};

/* What came for a partition and was not taken yet. A status has number 0 and keeps its place: it
 * ends a request only behind the messages that the request brought. */
struct queue {
    struct wk_delivery *items;
    size_t head, count, cap;
};

struct wk_pull {
    const struct yz_conf *conf;
    natsConnection *nc;
    wk_pull_broken_fn *on_broken;
    void *arg;
    char inbox[YZ_INBOX_MAX];
    char wildcard[YZ_INBOX_MAX + 8];
    natsSubscription *sub;
    struct source sources[YZ_PARTITIONS];
    struct queue queues[YZ_PARTITIONS];
    /* partitions whose queue is not empty, in turn */
    unsigned turn[YZ_PARTITIONS];
    size_t turn_count;
    natsMsg **sorted; /* the other one of two lists, see sort_arrivals */
    size_t sorted_cap;

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t cond;
    natsMsg **arrived; /* in their order */
    size_t count, cap;
    bool woken;
    bool unsubscribed; /* no callback comes any more */
};

/* Bounded by what the open requests asked for. */
static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *arg)
{
    struct wk_pull *pull = arg;

    (void)nc;
    (void)sub;
    pthread_mutex_lock(&pull->mutex);
    if (pull->count == pull->cap) {
        pull->cap = pull->cap ? pull->cap * 2 : 1024;
        pull->arrived = yz_realloc(pull->arrived, pull->cap * sizeof(natsMsg *));
    }
    pull->arrived[pull->count++] = msg;
    if (pull->count == 1)
        pthread_cond_signal(&pull->cond);
    pthread_mutex_unlock(&pull->mutex);
}

static bool is_empty(struct wk_pull *pull)
{
    bool empty;

    pthread_mutex_lock(&pull->mutex);
    empty = pull->count == 0;
    pthread_mutex_unlock(&pull->mutex);
    return empty;
}

static void enqueue(struct wk_pull *pull, const struct wk_delivery *delivery)
{
    struct queue *q = &pull->queues[delivery->partition];

    if (q->count == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 16;
        struct wk_delivery *items = yz_malloc(cap * sizeof *items);

        for (size_t i = 0; i < q->count; i++)
            items[i] = q->items[(q->head + i) % q->cap];
        free(q->items);
        q->items = items;
        q->head = 0;
        q->cap = cap;
    }
    if (q->count == 0)
        pull->turn[pull->turn_count++] = delivery->partition;
    q->items[(q->head + q->count++) % q->cap] = *delivery;
}

/* The partition that a status is about; which request, too. */
static bool parse_status(const struct wk_pull *pull, natsMsg *msg, unsigned *partition,
                         unsigned *request)
{
    const char *at = natsMsg_GetSubject(msg) + strlen(pull->inbox);

    return sscanf(at, ".%u.%u", partition, request) == 2 && *partition < YZ_PARTITIONS;
}

/* Wait for an arrival, at most timeout_ms, and put all that arrived into the queues of their
 * partitions. true: wk_pull_wake was called. */
static bool sort_arrivals(struct wk_pull *pull, int64_t timeout_ms)
{
    int64_t until_ms = yz_clock_mono_ms() + timeout_ms;
    natsMsg **arrived;
    size_t count, cap;
    int waited = 0;
    bool woken;

    pthread_mutex_lock(&pull->mutex);
    while (pull->count == 0 && !pull->woken && timeout_ms > 0 && waited == 0)
        waited = yz_clock_wait(&pull->cond, &pull->mutex, until_ms);
    arrived = pull->arrived;
    count = pull->count;
    cap = pull->cap;
    pull->arrived = pull->sorted;
    pull->cap = pull->sorted_cap;
    pull->count = 0;
    woken = pull->woken;
    pull->woken = false;
    pthread_mutex_unlock(&pull->mutex);
    pull->sorted = arrived;
    pull->sorted_cap = cap;
    for (size_t i = 0; i < count; i++) {
        const char *reply = natsMsg_GetReply(arrived[i]);
        struct wk_delivery delivery = {0};
        unsigned request;

        delivery.msg = arrived[i];
        if (reply ? wk_pull_parse(reply, &delivery)
                  : parse_status(pull, arrived[i], &delivery.partition, &request))
            enqueue(pull, &delivery);
        else
            natsMsg_Destroy(arrived[i]);
    }
    return woken;
}

void wk_pull_wake(struct wk_pull *pull)
{
    pthread_mutex_lock(&pull->mutex);
    pull->woken = true;
    pthread_cond_signal(&pull->cond);
    pthread_mutex_unlock(&pull->mutex);
}

/* A partition that fills its requests gets larger ones; a quiet one asks for few, so that a
 * dead worker leaves few events behind that somebody must look at twice. */
static int64_t next_batch(const struct wk_pull *pull, const struct source *s, bool filled)
{
    int64_t batch = filled ? s->batch * 2 : PULL_BATCH_MIN;

    return batch > pull->conf->batch_max ? pull->conf->batch_max : batch;
}

static void request(struct wk_pull *pull, unsigned partition, bool filled)
{
    struct source *s = &pull->sources[partition];
    char subject[YZ_SUBJECT_MAX], reply[192], body[160];

    s->batch = s->batch ? next_batch(pull, s, filled) : PULL_BATCH_MIN;
    s->left = s->batch;
    s->request++;
    s->again_mono_ms = yz_clock_mono_ms() + PULL_LOST_MS;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT." YZ_STREAM_EVENTS ".%s",
             s->consumer);
    snprintf(reply, sizeof reply, "%s.%u.%u", pull->inbox, partition, s->request);
    snprintf(body, sizeof body, "{\"batch\":%lld,\"expires\":%lld,\"max_bytes\":%d}",
             (long long)s->batch, PULL_EXPIRES_MS * 1000000LL, PULL_BYTES_MAX);
    if (natsConnection_PublishRequestString(pull->nc, subject, reply, body) != NATS_OK) {
        s->left = 0;
        s->again_mono_ms = yz_clock_mono_ms() + PULL_RETRY_MS;
    }
}

static void ask_where_due(struct wk_pull *pull)
{
    int64_t now = yz_clock_mono_ms();

    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct source *s = &pull->sources[p];

        if (s->revision && !s->broken && now >= s->again_mono_ms)
            request(pull, p, false);
    }
}

static int64_t until_next_ask(const struct wk_pull *pull, int64_t timeout_ms)
{
    int64_t now = yz_clock_mono_ms();

    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        const struct source *s = &pull->sources[p];

        if (s->revision && !s->broken && s->again_mono_ms - now < timeout_ms)
            timeout_ms = s->again_mono_ms - now;
    }
    return timeout_ms > 0 ? timeout_ms : 0;
}

static void break_off(struct wk_pull *pull, unsigned partition, const char *why)
{
    struct source *s = &pull->sources[partition];

    if (s->broken)
        return;
    s->broken = true;
    yz_warn_spaced("consumer_broken", "partition=%u consumer=%s reason=\"%s\"", partition,
                   s->consumer, why);
    pull->on_broken(pull->arg, partition, s->revision);
}

/* A status ends its request: 404, 408 nothing came; 409 something in the way; 503 nobody there. */
static void on_status(struct wk_pull *pull, natsMsg *msg, int status)
{
    const char *text = NULL;
    unsigned partition, number;
    struct source *s;

    if (!parse_status(pull, msg, &partition, &number))
        return;
    s = &pull->sources[partition];
    if (!s->revision || number != s->request || status < 400)
        return;
    s->left = 0;
    s->again_mono_ms = yz_clock_mono_ms() + (status == STATUS_SHUTDOWN ? PULL_RETRY_MS : 0);
    if (natsMsgHeader_Get(msg, "Description", &text) != NATS_OK)
        text = "";
    if (status == STATUS_NOBODY || (text && strcmp(text, "Consumer Deleted") == 0))
        break_off(pull, partition, status == STATUS_NOBODY ? "nobody answers" : text);
}

static const char *skip_token(const char *p)
{
    p += strcspn(p, ".");
    return p + (*p == '.');
}

static uint64_t next_number(const char **p)
{
    uint64_t number = strtoull(*p, NULL, 10);

    *p = skip_token(*p);
    return number;
}

bool wk_pull_parse(const char *reply, struct wk_delivery *delivery)
{
    const char *p = reply;
    char *end;
    int tokens = 1;

    for (const char *c = reply; *c; c++)
        tokens += *c == '.';
    if (strncmp(p, "$JS.ACK.", 8) != 0 || (tokens != 9 && tokens < 11))
        return false;
    p += 8;
    for (int i = 0; i < (tokens == 9 ? 1 : 3); i++)
        p = skip_token(p);
    snprintf(delivery->consumer, sizeof delivery->consumer, "%.*s", (int)strcspn(p, "."), p);
    p = skip_token(p);
    delivery->delivered = next_number(&p);
    delivery->sequence = next_number(&p);
    delivery->number = next_number(&p);
    delivery->stored_at_ms = (int64_t)(next_number(&p) / 1000000);
    if (delivery->consumer[0] != 'p')
        return false;
    delivery->partition = (unsigned)strtoul(delivery->consumer + 1, &end, 10);
    if (*end != '-' || delivery->partition >= YZ_PARTITIONS)
        return false;
    delivery->revision = strtoull(end + 1, NULL, 10);
    return delivery->sequence > 0 && delivery->number > 0;
}

/* false: not to be taken. */
static bool accept_delivery(struct wk_pull *pull, struct wk_delivery *delivery)
{
    struct source *s;

    s = &pull->sources[delivery->partition];
    if (s->revision != delivery->revision || s->broken)
        return false;
    if (delivery->number != s->next_number) {
        break_off(pull, delivery->partition, "a message was lost on the way");
        return false;
    }
    s->next_number++;
    if (s->left > 0 && --s->left == 0)
        request(pull, delivery->partition, true);
    return true;
}

static bool receive(struct wk_pull *pull, struct wk_delivery *delivery)
{
    bool ready = yz_bus_headers_ready(&delivery->msg);

    if (!ready) {
        if (delivery->number > 0)
            break_off(pull, delivery->partition, "no memory to read a message");
    } else if (delivery->number == 0)
        on_status(pull, delivery->msg, (int)yz_bus_header_u64(delivery->msg, "Status", 0));
    else if (accept_delivery(pull, delivery))
        return true;
    natsMsg_Destroy(delivery->msg);
    delivery->msg = NULL;
    return false;
}

/* A good piece of one partition's queue: its events are about few documents, each of which a batch
 * writes once. Not all of a long one: pushes of one subject follow each other one by one, those of
 * other partitions go at the same time. What is left waits for its next turn. */
static size_t take_turn(struct wk_pull *pull, size_t max, size_t max_bytes, size_t *bytes,
                        struct wk_delivery *out)
{
    unsigned partition = pull->turn[0];
    struct queue *q = &pull->queues[partition];
    size_t count = 0;

    while (q->count > 0 && count < max && *bytes < max_bytes) {
        out[count] = q->items[q->head];
        q->head = (q->head + 1) % q->cap;
        q->count--;
        if (receive(pull, &out[count]))
            *bytes += (size_t)natsMsg_GetDataLength(out[count++].msg);
    }
    memmove(pull->turn, pull->turn + 1, --pull->turn_count * sizeof pull->turn[0]);
    if (q->count > 0)
        pull->turn[pull->turn_count++] = partition;
    return count;
}

size_t wk_pull_take(struct wk_pull *pull, int64_t timeout_ms, size_t max, size_t max_bytes,
                    struct wk_delivery *out)
{
    int64_t until = yz_clock_mono_ms() + timeout_ms;
    size_t count = 0, bytes = 0;

    for (;;) {
        int64_t wait = until - yz_clock_mono_ms();
        bool woken;

        ask_where_due(pull);
        wait = pull->turn_count > 0 || wait <= 0 ? 0 : until_next_ask(pull, wait);
        if (wait > 0 && is_empty(pull))
            yz_bus_hurry(pull->nc); /* requests, and acks of what was taken before */
        woken = sort_arrivals(pull, wait);
        while (pull->turn_count > 0 && count < max && bytes < max_bytes)
            count += take_turn(pull, max - count < TURN_MAX ? max - count : TURN_MAX, max_bytes,
                               &bytes, out + count);
        if (count > 0 || woken || yz_clock_mono_ms() >= until)
            return count;
    }
}

void wk_pull_attach(struct wk_pull *pull, unsigned partition, uint64_t revision,
                    const char *consumer)
{
    struct source *s = &pull->sources[partition];
    unsigned request_before = s->request;

    memset(s, 0, sizeof *s);
    s->request = request_before;
    s->revision = revision;
    s->next_number = 1;
    snprintf(s->consumer, sizeof s->consumer, "%s", consumer);
}

void wk_pull_detach(struct wk_pull *pull, unsigned partition)
{
    pull->sources[partition].revision = 0;
}

static enum yz_err subscribe(struct wk_pull *pull)
{
    enum yz_err err = yz_bus_inbox(pull->conf, pull->inbox);

    if (err)
        return err;
    snprintf(pull->wildcard, sizeof pull->wildcard, "%s.*.*", pull->inbox);
    if (natsConnection_Subscribe(&pull->sub, pull->nc, pull->wildcard, on_message, pull) !=
            NATS_OK ||
        natsSubscription_SetPendingLimits(pull->sub, -1, -1) != NATS_OK)
        return YZ_BUS_UNAVAILABLE;
    return YZ_OK;
}

enum yz_err wk_pull_new(const struct yz_conf *conf, natsConnection *nc,
                        wk_pull_broken_fn *on_broken, void *arg, struct wk_pull **pull)
{
    struct wk_pull *p = yz_calloc(1, sizeof *p);
    enum yz_err err;

    if (!p)
        return YZ_INTERNAL;
    p->conf = conf;
    p->nc = nc;
    p->on_broken = on_broken;
    p->arg = arg;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->cond, NULL);
    err = subscribe(p);
    if (err)
        wk_pull_free(p);
    else
        *pull = p;
    return err;
}

/* The delivery thread may be inside on_message until the subscription has said that it is done. */
static void on_sub_complete(void *arg)
{
    struct wk_pull *pull = arg;

    pthread_mutex_lock(&pull->mutex);
    pull->unsubscribed = true;
    pthread_cond_signal(&pull->cond);
    pthread_mutex_unlock(&pull->mutex);
}

static void unsubscribe(struct wk_pull *pull)
{
    if (!pull->sub)
        return;
    if (natsSubscription_SetOnCompleteCB(pull->sub, on_sub_complete, pull) == NATS_OK &&
        natsSubscription_Unsubscribe(pull->sub) == NATS_OK) {
        pthread_mutex_lock(&pull->mutex);
        while (!pull->unsubscribed)
            pthread_cond_wait(&pull->cond, &pull->mutex);
        pthread_mutex_unlock(&pull->mutex);
    }
    yz_bus_unsubscribe(pull->nc, pull->sub);
}

void wk_pull_free(struct wk_pull *pull)
{
    if (!pull)
        return;
    unsubscribe(pull);
    for (size_t i = 0; i < pull->count; i++)
        natsMsg_Destroy(pull->arrived[i]);
    free(pull->arrived);
    free(pull->sorted);
    for (size_t p = 0; p < YZ_PARTITIONS; p++) {
        struct queue *q = &pull->queues[p];

        for (; q->count > 0; q->count--, q->head = (q->head + 1) % q->cap)
            natsMsg_Destroy(q->items[q->head].msg);
        free(q->items);
    }
    pthread_cond_destroy(&pull->cond);
    pthread_mutex_destroy(&pull->mutex);
    free(pull);
}
