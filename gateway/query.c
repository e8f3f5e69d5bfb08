#include "gateway/query.h"

#include "gateway/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

struct question {
    TAILQ_ENTRY(question) entry;
    struct gw_query *query;
    struct gw_ticket ticket;
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
    struct question_list pending;
    size_t count;
};

enum yz_err gw_query_new(const struct yz_conf *conf, struct gw_link *link,
                         struct gw_metrics *metrics, gw_answered_fn *on_answered, void *arg,
                         struct gw_query **query)
{
    struct gw_query *q = calloc(1, sizeof *q);

    if (!q)
        return YZ_INTERNAL;
    *q = (struct gw_query){
        .conf = conf, .link = link, .metrics = metrics, .on_answered = on_answered, .arg = arg};
    TAILQ_INIT(&q->pending);
    *query = q;
    return YZ_OK;
}

static void drop(struct question *question)
{
    struct gw_query *q = question->query;

    TAILQ_REMOVE(&q->pending, question, entry);
    q->count--;
    atomic_store_explicit(&q->metrics->queries_pending, (int64_t)q->count, memory_order_relaxed);
    free(question);
}

void gw_query_free(struct gw_query *query)
{
    struct question *question;

    if (!query)
        return;
    while ((question = TAILQ_FIRST(&query->pending))) {
        gw_link_cancel(query->link, question->request);
        drop(question);
    }
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

static bool on_reply(void *arg, natsMsg *msg, enum yz_err err)
{
    struct question *question = arg, answered = *question;
    struct gw_query *q = question->query;
    struct yz_violation v = {0};
    const void *payload = NULL;
    size_t len = 0;

    err = read_reply(msg, err, &v);
    if (!err) {
        payload = natsMsg_GetData(msg);
        len = (size_t)natsMsg_GetDataLength(msg);
    }
    drop(question);
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
        yz_actor_write(actor, msg) ||
        (min_sequence && natsMsgHeader_Set(msg, YZ_HEADER_MIN_SEQUENCE, number) != NATS_OK)) {
        natsMsg_Destroy(msg);
        gw_link_cancel(q->link, question->request);
        return YZ_INTERNAL;
    }
    return gw_link_send(q->link, msg, question->request);
}

enum yz_err gw_query_ask(struct gw_query *q, struct gw_ticket ticket, const struct yz_actor *actor,
                         const char *type, const void *payload, size_t len, uint64_t min_sequence)
{
    struct question *question;
    enum yz_err err;

    if (q->count >= (size_t)q->conf->query_window)
        return YZ_BUSY;
    question = calloc(1, sizeof *question);
    if (!question)
        return YZ_INTERNAL;
    question->query = q;
    question->ticket = ticket;
    snprintf(question->type, sizeof question->type, "%s", type);
    err = publish(q, question, actor, payload, len, min_sequence);
    if (err) {
        free(question);
        return err;
    }
    TAILQ_INSERT_TAIL(&q->pending, question, entry);
    q->count++;
    gw_count(&q->metrics->queries, 1);
    atomic_store_explicit(&q->metrics->queries_pending, (int64_t)q->count, memory_order_relaxed);
    return YZ_OK;
}
