#include "gateway/query.h"

#include "common/bus.h"
#include "common/clock.h"
#include "gateway/metrics.h"
#include "gateway/window.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

struct question {
    TAILQ_ENTRY(question) entry;
    struct gw_query *query;
    struct gw_ticket ticket;
    struct gw_pass pass;
    bool waits; /* for an event to be settled: its time says nothing of the workers' load */
    uint64_t request;
    char type[YZ_TYPE_MAX];
};

TAILQ_HEAD(question_list, question);

struct gw_query {
    const struct yz_conf *conf;
    struct gw_link *link;
    struct gw_metrics *metrics;
    gw_answered_fn *on_answered;
    void *arg;
    struct gw_window *window;
    struct question_list pending;
};

static void note_window(struct gw_query *q)
{
    atomic_store_explicit(&q->metrics->queries_pending, (int64_t)gw_window_count(q->window),
                          memory_order_relaxed);
    atomic_store_explicit(&q->metrics->query_window, (int64_t)gw_window_limit(q->window),
                          memory_order_relaxed);
}

enum yz_err gw_query_new(const struct yz_conf *conf, struct gw_link *link,
                         struct gw_metrics *metrics, gw_answered_fn *on_answered, void *arg,
                         struct gw_query **query)
{
    struct gw_window_bounds bounds = {.min = (size_t)conf->query_window_min,
                                      .max = (size_t)conf->query_window,
                                      .member_max = (size_t)conf->member_queries_max,
                                      .target_ms = conf->query_target_ms};
    struct gw_query *q = calloc(1, sizeof *q);

    if (!q)
        return YZ_INTERNAL;
    *q = (struct gw_query){
        .conf = conf, .link = link, .metrics = metrics, .on_answered = on_answered, .arg = arg};
    TAILQ_INIT(&q->pending);
    q->window = gw_window_new(&bounds);
    if (!q->window) {
        free(q);
        return YZ_INTERNAL;
    }
    note_window(q);
    *query = q;
    return YZ_OK;
}

static void drop(struct question *question, enum gw_measure measure)
{
    struct gw_query *q = question->query;

    TAILQ_REMOVE(&q->pending, question, entry);
    gw_window_leave(q->window, &question->pass, yz_clock_mono_us(), measure);
    note_window(q);
    free(question);
}

void gw_query_free(struct gw_query *query)
{
    struct question *question;

    if (!query)
        return;
    while ((question = TAILQ_FIRST(&query->pending))) {
        gw_link_cancel(query->link, question->request);
        drop(question, GW_UNMEASURED);
    }
    gw_window_free(query->window);
    free(query);
}

static enum yz_err read_reply(natsMsg *msg, enum yz_err err, struct yz_violation *v)
{
    if (err == YZ_BUS_UNAVAILABLE)
        return yz_violate(v, err, NULL, "The message bus is away; ask again.");
    if (err)
        return yz_violate(v, err, NULL, NULL);
    if (natsMsg_IsNoResponders(msg))
        return yz_violate(v, YZ_BUSY, NULL, "No worker answers now; ask again.");
    return yz_violation_read(msg, v) ? v->err : YZ_OK;
}

/* err: what became of the question; replied: a worker said so. */
static enum gw_measure measure(const struct question *question, enum yz_err err, bool replied)
{
    if (err == YZ_TIMED_OUT || (err == YZ_BUSY && replied))
        return question->waits ? GW_UNMEASURED : GW_DROPPED;
    return replied && !question->waits ? GW_MEASURED : GW_UNMEASURED;
}

static bool on_reply(void *arg, natsMsg *msg, enum yz_err err)
{
    struct question *question = arg, answered = *question;
    struct gw_query *q = question->query;
    struct yz_violation v = {0};
    const void *payload = NULL;
    size_t len = 0;
    bool replied;

    replied = !err && !natsMsg_IsNoResponders(msg);
    err = read_reply(msg, err, &v);
    if (!err) {
        payload = natsMsg_GetData(msg);
        len = (size_t)natsMsg_GetDataLength(msg);
    }
    drop(question, measure(question, err, replied));
    q->on_answered(q->arg, answered.ticket, answered.type, err, &v, payload, len);
    return false;
}

static enum yz_err publish(struct gw_query *q, struct question *question,
                           const struct yz_actor *actor, const void *payload, size_t len,
                           uint64_t min_sequence)
{
    char subject[YZ_SUBJECT_MAX], inbox[GW_INBOX_MAX], number[24];
    natsMsg *msg = NULL;
    enum yz_err err = gw_link_expect(q->link, q->conf->query_timeout_ms, on_reply, question, inbox,
                                     &question->request);

    if (err)
        return err;
    yz_query_subject(actor->tenant, question->type, subject);
    snprintf(number, sizeof number, "%" PRIu64, min_sequence);
    if (natsMsg_Create(&msg, subject, inbox, payload, (int)len) != NATS_OK ||
        yz_actor_write(actor, &msg) ||
        (min_sequence && yz_bus_header_set(&msg, YZ_HEADER_MIN_SEQUENCE, number) != NATS_OK)) {
        natsMsg_Destroy(msg);
        gw_link_cancel(q->link, question->request);
        return YZ_INTERNAL;
    }
    return gw_link_send(q->link, msg, question->request);
}

enum yz_err gw_query_room(struct gw_query *q, const struct yz_actor *actor, struct yz_violation *v)
{
    bool all;

    if (gw_window_ask(q->window, actor, yz_clock_mono_us(), &all) == YZ_OK)
        return YZ_OK;
    yz_count(all ? &q->metrics->queries_busy : &q->metrics->queries_busy_member, 1);
    (void)yz_violate(v, YZ_BUSY, NULL, NULL);
    v->retry_after_ms = gw_window_retry_ms(q->window);
    return YZ_BUSY;
}

enum yz_err gw_query_ask(struct gw_query *q, struct gw_ticket ticket, const struct yz_actor *actor,
                         const char *type, const void *payload, size_t len, uint64_t min_sequence)
{
    struct question *question = calloc(1, sizeof *question);
    enum yz_err err = YZ_INTERNAL;

    if (!question)
        return err;
    question->query = q;
    question->ticket = ticket;
    question->waits = min_sequence > 0;
    snprintf(question->type, sizeof question->type, "%s", type);
    err = gw_window_enter(q->window, actor, yz_clock_mono_us(), &question->pass);
    if (err) {
        free(question);
        return err;
    }
    TAILQ_INSERT_TAIL(&q->pending, question, entry);
    err = publish(q, question, actor, payload, len, min_sequence);
    if (err) {
        drop(question, GW_UNMEASURED);
        return err;
    }
    yz_count(&q->metrics->queries, 1);
    note_window(q);
    return YZ_OK;
}
