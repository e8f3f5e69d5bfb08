/* rig.h: a real nats-server and a real database with the streams and indexes of the workers, for
 * the unit tests that drive consumer and outbox.
 *
 * Lifetime  rig_start and rig_stop are a group's setup and teardown.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_RIG_H
#define YZ_TEST_WORKERS_RIG_H

#include "common/bus.h"
#include "common/clock.h"
#include "services.h"
#include "workers/batch.h"
#include "workers/metrics.h"
#include "workers/store.h"
#include "workers/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <thread.pb-c.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

static struct service nats, database;
static struct yz_conf conf;
static struct wk_pool *pool;
static struct wk_metrics metrics;
static atomic_bool stopping;
static natsConnection *nc;

static inline bool make_stream(const char *name, const char *subject, const char *more)
{
    char api[64], text[512];
    json_t *reply = NULL;
    bool good;

    snprintf(api, sizeof api, "STREAM.CREATE.%s", name);
    snprintf(text, sizeof text,
             "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"memory\",\"num_replicas\":1,"
             "\"allow_direct\":true%s}",
             name, subject, more);
    good = wk_stream_call(nc, api, json_loads(text, 0, NULL), &reply, NULL) == YZ_OK;
    json_decref(reply);
    return good;
}

static inline bool make_streams(void)
{
    return make_stream("EVENTS", "evt.>", ",\"retention\":\"workqueue\"") &&
           make_stream("CHANNELS", "chan.>", "") && make_stream("THREADS", "thr.>", "") &&
           make_stream("STATE", "state.>", ",\"max_msgs_per_subject\":1") &&
           make_stream("DEADLETTERS", "dlq.>", "") &&
           make_stream("KV_WORKERS", "$KV.WORKERS.>", ",\"max_msgs_per_subject\":1") &&
           make_stream("KV_PARTITIONS", "$KV.PARTITIONS.>", ",\"max_msgs_per_subject\":1");
}

static inline void on_change(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static inline int rig_start(void **state)
{
    char *argv[] = {"test", NULL};
    natsOptions *options = NULL;
    struct wk_store *store;

    (void)state;
    if (!service_start_nats(&nats) || !service_start_database(&database) ||
        !yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL))
        return -1;
    conf.nats_url = nats.url;
    conf.mongodb_uri = database.url;
    conf.mongodb_database = "unit_test";
    conf.lease_ttl_ms = 1000;
    if (yz_bus_options(&conf, "test", &options) != YZ_OK ||
        yz_bus_connect(options, 5000, &nc) != YZ_OK || !make_streams() ||
        wk_pool_new(&conf, &pool) != YZ_OK)
        return -1;
    natsOptions_Destroy(options);
    store = wk_store_pop(pool);
    if (wk_store_apply_indexes(store, false, on_change, NULL) != YZ_OK)
        return -1;
    wk_store_push(pool, store);
    return 0;
}

static inline int rig_stop(void **state)
{
    (void)state;
    wk_pool_free(pool);
    natsConnection_Destroy(nc);
    nats_Close();
    service_stop(&nats);
    service_stop(&database);
    return 0;
}

static inline bool count_row(void *arg, const bson_t *row)
{
    (void)row;
    ++*(size_t *)arg;
    return true;
}

static inline size_t count(const char *collection, bson_t *filter)
{
    struct wk_store *store = wk_store_pop(pool);
    size_t found = 0;

    assert_int_equal(wk_store_find(store, collection, filter, NULL, count_row, &found), YZ_OK);
    wk_store_push(pool, store);
    bson_destroy(filter);
    return found;
}

/* Until there are so many. The filter is taken. */
static inline void wait_count(const char *collection, bson_t *filter, size_t wanted)
{
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;

    while (count(collection, bson_copy(filter)) != wanted && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    assert_int_equal(count(collection, filter), wanted);
}

/* Outcomes of events that rows of the outbox became. */
static inline bson_t *of_rows(void)
{
    return BCON_NEW("event_id", BCON_REGEX("^\\$t-", ""));
}

/* With no lease yet, and no outbox. */
static inline struct wk_batch_means
new_means(const struct wk_event_handler *(*find_handler)(const char *type))
{
    return (struct wk_batch_means){.conf = &conf,
                                   .nc = nc,
                                   .pool = pool,
                                   .metrics = &metrics,
                                   .find_handler = find_handler,
                                   .stopping = &stopping};
}

/* The event in which u1 posts this. */
static inline natsMsg *post_event(const char *event_id, const char *thread, const char *message_id,
                                  const char *text)
{
    Yizhan__V1__ThreadPosted p = YIZHAN__V1__THREAD_POSTED__INIT;
    struct yz_envelope env = {.type = "thread.posted"};
    uint8_t payload[256];
    natsMsg *msg = NULL;

    p.org_path = "g1";
    p.thread_id = (char *)(uintptr_t)thread;
    p.message_id = (char *)(uintptr_t)message_id;
    p.text = (char *)(uintptr_t)text;
    snprintf(env.event_id, sizeof env.event_id, "%s", event_id);
    snprintf(env.aggregate, sizeof env.aggregate, "thread|g1|%s", thread);
    snprintf(env.actor.tenant, sizeof env.actor.tenant, "t1");
    snprintf(env.actor.member, sizeof env.actor.member, "u1");
    snprintf(env.actor.org_path, sizeof env.actor.org_path, "g1");
    snprintf(env.actor.roles, sizeof env.actor.roles, "member");
    assert_int_equal(yz_envelope_write(&env, "thread", payload,
                                       yizhan__v1__thread_posted__pack(&p, payload), &msg),
                     YZ_OK);
    return msg;
}

/* Until it is stored. The message is taken. */
static inline void send_event(natsMsg *msg)
{
    natsMsg *ack = NULL;

    assert_int_equal(natsConnection_RequestMsg(&ack, nc, msg, 5000), NATS_OK);
    natsMsg_Destroy(ack);
    natsMsg_Destroy(msg);
}

struct seen {
    uint64_t last;
    size_t count;
};

static inline void on_push(void *arg, natsMsg *msg)
{
    struct seen *seen = arg;
    uint64_t sequence = yz_bus_header_u64(msg, "Nats-Sequence", 0);

    assert_true(sequence > seen->last);
    seen->last = sequence;
    seen->count++;
}

static inline size_t stored(const char *stream, const char *subject)
{
    struct seen seen = {0};

    assert_int_equal(wk_stream_each(&conf, nc, stream,
                                    json_pack("{s:s, s:i, s:i}", "next_by_subj", subject, "seq", 1,
                                              "batch", 1000),
                                    on_push, &seen, NULL),
                     YZ_OK);
    return seen.count;
}

#endif
