#include "workers/query.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/log.h"
#include "common/memory.h"
#include "schemas/codec.h"
#include "schemas/contract.h"
#include "schemas/receipt.h"
#include "workers/registry.h"
#include "workers/stream.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX_BYTES  ((size_t)16 * 1024 * 1024)
#define LOOK_WAIT_MS     500 /* for the broker's answer whether an event is settled */
#define GAPS_MAX         4096
#define PARK_FIRST_MS    4
#define PARK_LONGEST_MS  64
#define COMPLETE_WAIT_MS 2000
#define SUBJECT_PREFIX   "qry."

/* One request on its way through the queue or the list of the parked. */
struct job {
    struct job *next;
    natsMsg *msg;
    uint64_t connection;   /* on which it came */
    uint64_t min_sequence; /* 0: none, or settled */
    int64_t until_mono_ms; /* then the gateway has answered in our stead */
    int64_t due_mono_ms;   /* parked: when to look again */
    int64_t pause_ms;      /* and how long to wait after that */
};

struct wk_query_service {
    const struct wk_context *context;
    natsConnection *nc;
    struct wk_pool *pool;
    struct wk_metrics *metrics;
    const struct wk_watch *watch;
    natsSubscription *subscription;
    pthread_t *threads;
    size_t thread_count;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under mutex */
    struct job *first, *last; /* in order of arrival */
    struct job *parked;       /* in order of due_mono_ms */
    size_t queued, parked_count;
    bool stopping;
    bool complete; /* no callback runs any more */
};

/* What one thread has for its own. */
struct server {
    struct wk_query_service *service;
    struct wk_store *store;
    struct yz_arena arena;
};

static void send_reply(struct wk_query_service *service, natsMsg *reply)
{
    natsStatus s = natsConnection_PublishMsg(service->nc, reply);

    /* The gateway's time-out answers what could not be sent. */
    if (s != NATS_OK)
        yz_debug("reply_failed", "reason=\"%s\"", natsStatus_GetText(s));
}

static void reply_error(struct wk_query_service *service, natsMsg *request,
                        const struct yz_violation *v)
{
    natsMsg *reply = NULL;

    yz_count(&service->metrics->queries_refused, 1);
    if (natsMsg_Create(&reply, natsMsg_GetReply(request), NULL, NULL, 0) != NATS_OK)
        return;
    if (yz_violation_write(v, &reply) == YZ_OK)
        send_reply(service, reply);
    natsMsg_Destroy(reply);
}

static void reply_code(struct wk_query_service *service, natsMsg *request, enum yz_err err)
{
    struct yz_violation v;

    yz_violate(&v, err, NULL, NULL);
    reply_error(service, request, &v);
}

/* The server's number of the connection that there is now; 0: none. */
static uint64_t connection_of(struct wk_query_service *service)
{
    uint64_t number = 0;

    return natsConnection_GetClientID(service->nc, &number) == NATS_OK ? number : 0;
}

static void drop_job(struct job *job)
{
    natsMsg_Destroy(job->msg);
    free(job);
}

/* The queue. */

static void update_gauges(struct wk_query_service *service)
{
    atomic_store_explicit(&service->metrics->queries_waiting, (int64_t)service->queued,
                          memory_order_relaxed);
    atomic_store_explicit(&service->metrics->queries_parked, (int64_t)service->parked_count,
                          memory_order_relaxed);
}

/* false: the queue is full or the service stops. */
static bool enqueue(struct wk_query_service *service, struct job *job)
{
    bool taken;

    pthread_mutex_lock(&service->mutex);
    taken = !service->stopping && service->queued < WK_QUERY_QUEUE_MAX;
    if (taken) {
        if (service->last)
            service->last->next = job;
        else
            service->first = job;
        service->last = job;
        service->queued++;
        update_gauges(service);
        pthread_cond_signal(&service->changed);
    }
    pthread_mutex_unlock(&service->mutex);
    return taken;
}

/* false: too many are parked. */
static bool park(struct wk_query_service *service, struct job *job)
{
    struct job **at = &service->parked;
    bool taken;

    job->due_mono_ms = yz_clock_mono_ms() + job->pause_ms;
    job->pause_ms = job->pause_ms * 2 > PARK_LONGEST_MS ? PARK_LONGEST_MS : job->pause_ms * 2;
    pthread_mutex_lock(&service->mutex);
    taken = service->parked_count < WK_QUERY_QUEUE_MAX;
    if (taken) {
        while (*at && (*at)->due_mono_ms <= job->due_mono_ms)
            at = &(*at)->next;
        job->next = *at;
        *at = job;
        service->parked_count++;
        update_gauges(service);
        /* A thread may be waiting for a later one. */
        pthread_cond_signal(&service->changed);
    }
    pthread_mutex_unlock(&service->mutex);
    return taken;
}

static struct job *take_parked(struct wk_query_service *service)
{
    struct job *job = service->parked;

    service->parked = job->next;
    service->parked_count--;
    return job;
}

static struct job *take_queued(struct wk_query_service *service)
{
    struct job *job = service->first;

    service->first = job->next;
    if (!service->first)
        service->last = NULL;
    service->queued--;
    return job;
}

static void wait_for_change(struct wk_query_service *service)
{
    if (!service->parked) {
        pthread_cond_wait(&service->changed, &service->mutex);
        return;
    }
    yz_clock_wait(&service->changed, &service->mutex, service->parked->due_mono_ms);
}

/* The next thing to do, waiting for it; NULL when the service has stopped and nothing is left.
 * parked_turn: a due parked one goes before the queue; the turn changes, so that neither starves.
 */
static struct job *next_job(struct wk_query_service *service, bool *parked_turn)
{
    struct job *job = NULL;

    pthread_mutex_lock(&service->mutex);
    for (;;) {
        bool due = service->parked &&
                   (service->stopping || service->parked->due_mono_ms <= yz_clock_mono_ms());

        if (due && (*parked_turn || !service->first))
            job = take_parked(service);
        else if (service->first)
            job = take_queued(service);
        if (job || service->stopping)
            break;
        wait_for_change(service);
    }
    *parked_turn = !*parked_turn;
    update_gauges(service);
    pthread_mutex_unlock(&service->mutex);
    if (job)
        job->next = NULL;
    return job;
}

static bool is_stopping(struct wk_query_service *service)
{
    bool stopping;

    pthread_mutex_lock(&service->mutex);
    stopping = service->stopping;
    pthread_mutex_unlock(&service->mutex);
    return stopping;
}

/* On nats.c's delivery thread: nothing here blocks. */
static void on_request(natsConnection *nc, natsSubscription *subscription, natsMsg *msg,
                       void *closure)
{
    struct wk_query_service *service = closure;
    struct job *job;

    (void)nc;
    (void)subscription;
    /* An answer to any other subject could become a push: a worker may publish those. */
    if (!natsMsg_GetReply(msg) || strncmp(natsMsg_GetReply(msg), "_INBOX", 6) != 0) {
        natsMsg_Destroy(msg);
        return;
    }
    yz_count(&service->metrics->queries, 1);
    if (!yz_bus_headers_ready(&msg))
        return; /* no memory: the gateway's time-out answers */
    job = yz_calloc(1, sizeof *job);
    if (job) {
        job->msg = msg;
        job->connection = connection_of(service);
        job->min_sequence = yz_bus_header_u64(msg, YZ_HEADER_MIN_SEQUENCE, 0);
        job->until_mono_ms = yz_clock_mono_ms() + service->context->conf->query_timeout_ms * 4 / 5;
        job->pause_ms = PARK_FIRST_MS;
        if (enqueue(service, job))
            return;
        free(job);
    }
    yz_count(&service->metrics->queries_busy, 1);
    reply_code(service, msg, YZ_BUSY);
    natsMsg_Destroy(msg);
}

static void on_complete(void *closure)
{
    struct wk_query_service *service = closure;

    pthread_mutex_lock(&service->mutex);
    service->complete = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

/* Answering. */

/* What one server says of EVENTS in one answer. */
struct extent {
    uint64_t first, last, count, gaps;
    bool alone; /* there is no other replica */
};

/* *gap (may be NULL): whether `sequence` is among those between the first and the last that are
 * gone. */
static bool look_at_events(struct wk_query_service *service, uint64_t sequence,
                           struct extent *extent, bool *gap)
{
    json_t *info = NULL, *request = gap ? json_pack("{s:b}", "deleted_details", 1) : NULL;
    const json_t *state, *number;
    size_t i;

    if (wk_stream_ask(service->nc, "STREAM.INFO." YZ_STREAM_EVENTS, request, LOOK_WAIT_MS, &info,
                      NULL))
        return false;
    state = json_object_get(info, "state");
    extent->first = (uint64_t)json_integer_value(json_object_get(state, "first_seq"));
    extent->last = (uint64_t)json_integer_value(json_object_get(state, "last_seq"));
    extent->count = (uint64_t)json_integer_value(json_object_get(state, "messages"));
    extent->gaps = (uint64_t)json_integer_value(json_object_get(state, "num_deleted"));
    extent->alone =
        json_array_size(json_object_get(json_object_get(info, "cluster"), "replicas")) == 0;
    if (gap) {
        *gap = false;
        json_array_foreach(json_object_get(state, "deleted"), i, number)
        {
            *gap = *gap || (uint64_t)json_integer_value(number) == sequence;
        }
    }
    json_decref(info);
    return true;
}

/* Which event is the next in EVENTS, this one or one behind it; *none: none is. */
static bool next_event(struct wk_query_service *service, uint64_t sequence, uint64_t *next,
                       bool *none)
{
    json_t *found = NULL;
    int code = 0;
    enum yz_err err =
        wk_stream_ask(service->nc, "STREAM.MSG.GET." YZ_STREAM_EVENTS,
                      json_pack("{s:I, s:s}", "seq", (json_int_t)sequence, "next_by_subj", "evt.>"),
                      LOOK_WAIT_MS, &found, &code);

    *none = err && code == WK_STREAM_NO_MESSAGE;
    *next = (uint64_t)json_integer_value(json_object_get(json_object_get(found, "message"), "seq"));
    json_decref(found);
    return !err;
}

static bool is_outside(const struct extent *extent, uint64_t sequence)
{
    return sequence <= extent->last && (extent->count == 0 || sequence < extent->first);
}

/* The event was stored and is gone from the work queue. While leaders change two servers answer,
 * each question by whichever is faster, and one that was cut off says "not here" of an event that
 * it has never received; answers of before and after prove nothing about whose that one was. So
 * what counts is one answer that shows by itself that its server knows of the event or of something
 * behind it. No answer counts as not settled. A long list of gaps is not asked for: then it takes
 * one more event for the answer. */
static bool is_settled(struct wk_query_service *service, uint64_t sequence)
{
    struct extent extent;
    uint64_t next;
    bool none, gap;

    if (!look_at_events(service, sequence, &extent, NULL) || sequence > extent.last)
        return false;
    if (is_outside(&extent, sequence))
        return true;
    if (next_event(service, sequence, &next, &none))
        return next > sequence;
    if (!none || extent.alone)
        return none;
    return extent.gaps <= GAPS_MAX && look_at_events(service, sequence, &extent, &gap) &&
           (gap || is_outside(&extent, sequence));
}

static void refuse_busy(struct wk_query_service *service, struct job *job)
{
    yz_count(&service->metrics->queries_busy, 1);
    reply_code(service, job->msg, YZ_BUSY);
    drop_job(job);
}

/* true: the job waits on (it is parked), or was answered. */
static bool wait_for_sequence(struct wk_query_service *service, struct job *job)
{
    if (job->min_sequence == 0 || is_settled(service, job->min_sequence))
        return false;
    if (yz_clock_mono_ms() + job->pause_ms >= job->until_mono_ms || is_stopping(service)) {
        reply_code(service, job->msg, YZ_NOT_SETTLED);
        drop_job(job);
    } else if (!park(service, job)) {
        refuse_busy(service, job);
    }
    return true;
}

/* The query's type stands in the subject, behind the tenant: which must be the caller's. */
static const struct yz_query_type *find_type(natsMsg *msg, const struct yz_actor *actor,
                                             struct yz_violation *v)
{
    const char *subject = natsMsg_GetSubject(msg);
    size_t tenant_len = strlen(actor->tenant);
    const struct yz_query_type *type;

    if (strncmp(subject, SUBJECT_PREFIX, strlen(SUBJECT_PREFIX)) != 0 ||
        strncmp(subject + strlen(SUBJECT_PREFIX), actor->tenant, tenant_len) != 0 ||
        subject[strlen(SUBJECT_PREFIX) + tenant_len] != '.') {
        yz_violate(v, YZ_FORBIDDEN, NULL, NULL);
        return NULL;
    }
    type = yz_query_type_find(subject + strlen(SUBJECT_PREFIX) + tenant_len + 1, NULL);
    if (!type)
        yz_violate(v, YZ_UNKNOWN_TYPE, "type", NULL);
    return type;
}

/* Decode the request and check it again: the worker trusts nobody. */
static enum yz_err read_request(struct server *server, natsMsg *msg, struct yz_actor *actor,
                                const struct yz_query_type **type, ProtobufCMessage **request,
                                struct yz_violation *v)
{
    enum yz_err err;

    if ((err = yz_actor_read(msg, actor, v)))
        return err;
    *type = find_type(msg, actor, v);
    if (!*type)
        return v->err;
    if ((err = yz_pb_decode((*type)->request, natsMsg_GetData(msg),
                            (size_t)natsMsg_GetDataLength(msg), &server->arena, request, v)))
        return err;
    if (yz_receipt_in_clear(*request))
        return yz_violate(v, YZ_INVALID_VALUE, "receipt", "It was not concealed.");
    if ((*type)->check && (err = (*type)->check(*request, v)))
        return err;
    err = yz_authorize((*type)->authority, actor,
                       (*type)->org_path ? (*type)->org_path(*request) : NULL);
    return err ? yz_violate(v, err, NULL, NULL) : YZ_OK;
}

/* Our own clock until the first look. */
static int64_t now_ms(const struct wk_query_service *service)
{
    int64_t bus_ms = wk_watch_bus_ms(service->watch);

    return bus_ms > 0 ? bus_ms : yz_clock_wall_ms();
}

static enum yz_err answer(struct server *server, natsMsg *msg, ProtobufCMessage **reply,
                          struct yz_violation *v)
{
    const struct wk_query_service *service = server->service;
    const struct wk_query_handler *handler;
    const struct yz_query_type *type;
    struct yz_actor actor;
    ProtobufCMessage *request;
    enum yz_err err = read_request(server, msg, &actor, &type, &request, v);

    if (err)
        return err;
    handler = wk_registry_query(type->name);
    if (!handler)
        return yz_violate(v, YZ_UNKNOWN_TYPE, "type", NULL);
    struct wk_query query = {&actor,        request,        service->context,
                             server->store, &server->arena, now_ms(service)};
    return handler->answer(&query, reply, v);
}

static enum yz_err send_answer(struct wk_query_service *service, natsMsg *msg,
                               const ProtobufCMessage *answered)
{
    struct yz_buf buf;
    natsMsg *reply = NULL;
    enum yz_err err;

    yz_buf_init(&buf, (size_t)natsConnection_GetMaxPayload(service->nc));
    err = yz_pb_encode(answered, &buf);
    if (!err && natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, (const char *)buf.data,
                               (int)buf.len) != NATS_OK)
        err = YZ_INTERNAL;
    if (!err)
        send_reply(service, reply);
    natsMsg_Destroy(reply);
    yz_buf_deinit(&buf);
    return err;
}

static void serve_job(struct server *server, struct job *job)
{
    int64_t begun_us = yz_clock_mono_us();
    struct wk_query_service *service = server->service;
    ProtobufCMessage *reply = NULL;
    struct yz_violation v = {0};
    enum yz_err err;

    if (job->connection != connection_of(service)) {
        /* The right to answer ended with the connection on which it was asked. */
        drop_job(job);
        return;
    }
    if (wait_for_sequence(service, job))
        return;
    if (yz_clock_mono_ms() >= job->until_mono_ms) {
        /* Nobody waits for it any more: after a stall the fresh ones come first. */
        refuse_busy(service, job);
        return;
    }
    err = answer(server, job->msg, &reply, &v);
    if (err)
        reply_error(service, job->msg, &v);
    else if ((err = send_answer(service, job->msg, reply)))
        reply_code(service, job->msg, err);
    yz_arena_reset(&server->arena);
    drop_job(job);
    yz_observe_us(&service->metrics->query, yz_clock_mono_us() - begun_us);
}

static bool is_idle(struct wk_query_service *service)
{
    bool idle;

    pthread_mutex_lock(&service->mutex);
    idle = !service->first;
    pthread_mutex_unlock(&service->mutex);
    return idle;
}

static void *serve(void *arg)
{
    struct server server = {.service = arg};
    bool parked_turn = false;
    struct job *job;

    server.store = wk_store_pop(server.service->pool);
    yz_arena_init(&server.arena, ARENA_MAX_BYTES);
    while ((job = next_job(server.service, &parked_turn))) {
        serve_job(&server, job);
        if (is_idle(server.service))
            yz_bus_hurry(server.service->nc);
    }
    yz_arena_deinit(&server.arena);
    wk_store_push(server.service->pool, server.store);
    return NULL;
}

/* Start and stop. */

static void init_locks(struct wk_query_service *service)
{
    pthread_mutex_init(&service->mutex, NULL);
    pthread_cond_init(&service->changed, NULL);
}

static enum yz_err start_threads(struct wk_query_service *service)
{
    size_t count = (size_t)service->context->conf->query_threads;

    service->threads = yz_calloc(count, sizeof *service->threads);
    if (!service->threads)
        return YZ_INTERNAL;
    for (; service->thread_count < count; service->thread_count++) {
        if (pthread_create(&service->threads[service->thread_count], NULL, serve, service) != 0)
            return YZ_INTERNAL;
    }
    return YZ_OK;
}

static enum yz_err subscribe(struct wk_query_service *service)
{
    if (natsConnection_QueueSubscribe(&service->subscription, service->nc, SUBJECT_PREFIX ">",
                                      YZ_QUERY_GROUP, on_request, service) != NATS_OK ||
        natsSubscription_SetOnCompleteCB(service->subscription, on_complete, service) != NATS_OK)
        return YZ_BUS_UNAVAILABLE;
    return YZ_OK;
}

enum yz_err wk_query_start(const struct wk_context *context, natsConnection *nc,
                           struct wk_pool *pool, struct wk_metrics *metrics,
                           const struct wk_watch *watch, struct wk_query_service **service)
{
    struct wk_query_service *s = yz_calloc(1, sizeof *s);
    enum yz_err err;

    if (!s)
        return YZ_INTERNAL;
    s->context = context;
    s->nc = nc;
    s->pool = pool;
    s->metrics = metrics;
    s->watch = watch;
    init_locks(s);
    if ((err = start_threads(s)) || (err = subscribe(s))) {
        wk_query_stop(s);
        return err;
    }
    *service = s;
    return YZ_OK;
}

/* true: no callback of the subscription runs or will run. What had arrived was handed over before.
 */
static bool end_subscription(struct wk_query_service *service)
{
    int64_t until_mono_ms = yz_clock_mono_ms() + COMPLETE_WAIT_MS;
    bool complete;

    if (!service->subscription)
        return true;
    if (natsSubscription_Drain(service->subscription) != NATS_OK)
        natsSubscription_Unsubscribe(service->subscription);
    pthread_mutex_lock(&service->mutex);
    while (!service->complete &&
           yz_clock_wait(&service->changed, &service->mutex, until_mono_ms) == 0)
        ;
    complete = service->complete;
    pthread_mutex_unlock(&service->mutex);
    yz_bus_unsubscribe(service->nc, service->subscription);
    return complete;
}

void wk_query_stop(struct wk_query_service *service)
{
    bool complete;

    if (!service)
        return;
    complete = end_subscription(service);
    pthread_mutex_lock(&service->mutex);
    service->stopping = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
    for (size_t i = 0; i < service->thread_count; i++)
        pthread_join(service->threads[i], NULL);
    free(service->threads);
    if (!complete) {
        /* The bus library still holds it; the process is about to end. */
        yz_warn("queries_not_drained", "waited_ms=%d", COMPLETE_WAIT_MS);
        return;
    }
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->mutex);
    free(service);
}
