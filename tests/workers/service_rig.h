/* service_rig.h: the query service over a real bus and a real database, and a member who asks it.
 *
 * Lifetime  start_all and stop_all are a group's setup and teardown.
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_SERVICE_RIG_H
#define YZ_TEST_WORKERS_SERVICE_RIG_H

#include "common/bus.h"
#include "common/clock.h"
#include "services.h"
#include "workers/domains/drive.h"
#include "workers/query.h"

#include <stdio.h>

#define BRANCH     "g1/c1/b1"
#define TIMEOUT_MS 5000

static struct service bus, database;
static struct yz_conf conf;
static struct wk_metrics metrics;
static struct wk_pool *pool;
static natsConnection *nc;
static jsCtx *js;
static struct wk_query_service *service;
static struct wk_watch *watch; /* NULL: our own clock is right */
static struct yz_arena arena;

static const struct yz_actor member = {"t1", "u1", BRANCH, "member"};
static const struct yz_actor secretary = {"t1", "s1", BRANCH, "member,secretary@g1/c1"};
static const struct yz_actor other_tenant = {"t", "u1", BRANCH, "member"};
static const struct yz_actor stranger = {"t1", "u9", "g2", "member"};

static inline bool connect_bus(void)
{
    natsOptions *options = NULL;
    jsStreamConfig events;
    const char *subjects[] = {"evt.>"};
    bool good = yz_bus_options(&conf, "test", &options) == YZ_OK &&
                yz_bus_connect(options, TIMEOUT_MS, &nc) == YZ_OK &&
                natsConnection_JetStream(&js, nc, NULL) == NATS_OK;

    natsOptions_Destroy(options);
    jsStreamConfig_Init(&events);
    events.Name = YZ_STREAM_EVENTS;
    events.Subjects = subjects;
    events.SubjectsLen = 1;
    events.Retention = js_WorkQueuePolicy;
    return good && js_AddStream(NULL, js, &events, NULL, NULL) == NATS_OK;
}

/* What `conf` says now, over whatever the database holds. */
static inline bool start_service(void)
{
    static const struct wk_context context = {
        .conf = &conf,
        .code_secret = (const uint8_t *)DRIVE_SECRET,
        .code_secret_len = sizeof DRIVE_SECRET - 1,
    };

    return wk_query_start(&context, nc, pool, &metrics, watch, &service) == YZ_OK;
}

static inline int start_all(void **state)
{
    char *argv[] = {"test", NULL};

    (void)state;
    if (!service_start_nats(&bus) || !service_start_database(&database) ||
        !yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL))
        return -1;
    conf.nats_url = bus.url;
    conf.mongodb_uri = database.url;
    conf.mongodb_database = "query_test";
    conf.database_timeout_ms = 3000;
    conf.query_threads = 1;
    conf.query_timeout_ms = 2000;
    yz_arena_init(&arena, (size_t)32 * 1024 * 1024);
    return connect_bus() && wk_pool_new(&conf, &pool) == YZ_OK && wk_pool_ping(pool) == YZ_OK &&
                   start_service()
               ? 0
               : -1;
}

static inline int stop_all(void **state)
{
    (void)state;
    if (service)
        wk_query_stop(service);
    if (pool)
        wk_pool_free(pool);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    yz_arena_deinit(&arena);
    service_stop(&database);
    service_stop(&bus);
    nats_Close();
    return 0;
}

static inline natsMsg *new_request(const struct yz_actor *actor, const char *tenant,
                                   const char *type, const char *reply_to, const void *data,
                                   size_t len)
{
    char subject[YZ_SUBJECT_MAX];
    natsMsg *msg = NULL;

    yz_query_subject(tenant, type, subject);
    assert_int_equal(natsMsg_Create(&msg, subject, reply_to, data, (int)len), NATS_OK);
    if (actor)
        assert_int_equal(yz_actor_write(actor, &msg), YZ_OK);
    return msg;
}

static inline natsMsg *send_request(natsMsg *msg)
{
    natsMsg *reply = NULL;

    assert_int_equal(natsConnection_RequestMsg(&reply, nc, msg, TIMEOUT_MS), NATS_OK);
    natsMsg_Destroy(msg);
    return reply;
}

static inline natsMsg *ask(const struct yz_actor *actor, const char *type,
                           const ProtobufCMessage *request, uint64_t min_sequence)
{
    uint8_t data[2048];
    size_t len = protobuf_c_message_get_packed_size(request);
    natsMsg *msg;
    char number[24];

    assert_true(len <= sizeof data);
    protobuf_c_message_pack(request, data);
    msg = new_request(actor, actor->tenant, type, NULL, data, len);
    snprintf(number, sizeof number, "%llu", (unsigned long long)min_sequence);
    if (min_sequence)
        assert_int_equal(natsMsgHeader_Set(msg, YZ_HEADER_MIN_SEQUENCE, number), NATS_OK);
    return send_request(msg);
}

static inline enum yz_err take_error(natsMsg *reply, struct yz_violation *v)
{
    bool failed = yz_violation_read(reply, v);

    natsMsg_Destroy(reply);
    return failed ? v->err : YZ_OK;
}

/* The error that the query is answered with; YZ_OK: none. */
static inline enum yz_err ask_error(const struct yz_actor *actor, const char *type,
                                    const ProtobufCMessage *request)
{
    struct yz_violation v;

    return take_error(ask(actor, type, request, 0), &v);
}

/* The reply's message, in the test's arena until the next call. */
static inline ProtobufCMessage *ask_for(const struct yz_actor *actor, const char *type,
                                        const ProtobufCMessage *request)
{
    natsMsg *reply = ask(actor, type, request, 0);
    ProtobufCMessage *message = NULL;
    struct yz_violation v;

    if (yz_violation_read(reply, &v))
        print_error("%s: %s %s %s\n", type, yz_err_code(v.err), v.field, v.text);
    yz_arena_reset(&arena);
    assert_false(yz_violation_read(reply, &v));
    assert_int_equal(yz_pb_decode(yz_query_type_find(type, NULL)->reply, natsMsg_GetData(reply),
                                  (size_t)natsMsg_GetDataLength(reply), &arena, &message, &v),
                     YZ_OK);
    natsMsg_Destroy(reply);
    return message;
}

#endif
