/* Whether an event is settled, asked of a cluster whose leader changes: the test answers in the
 * place of JetStream, as two servers of which one was cut off. */
#include "workers/query.h"

#include "common/bus.h"
#include "common/envelope.h"
#include "services.h"
#include "workers/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TIMEOUT_MS 5000
#define SEQUENCE   1030

/* What the leader says of EVENTS, and what is said of the next event, by whomever. */
struct scene {
    const char *state, *replicas, *deleted, *next;
};

#define TWO_REPLICAS                                                                               \
    ",{\"name\":\"n0\",\"active\":1000},{\"name\":\"n1\",\"offline\":true,\"active\":9000000000}"
#define NONE "{\"error\":{\"code\":404,\"err_code\":10037}}"

static struct service bus;
static struct yz_conf conf;
static struct wk_metrics metrics;
static struct wk_pool *pool;
static struct wk_query_service *service;
static natsConnection *nc;
static natsSubscription *sub;
static const struct scene *scene;

static void on_info(const char *request, char *out, size_t size)
{
    bool details = strstr(request, "deleted_details") != NULL;

    snprintf(out, size, "{\"state\":{%s%s%s%s},\"cluster\":{\"leader\":\"n2\",\"replicas\":[%s]}}",
             scene->state, details ? ",\"deleted\":[" : "", details ? scene->deleted : "",
             details ? "]" : "", *scene->replicas ? scene->replicas + 1 : "");
}

static void on_call(natsConnection *connection, natsSubscription *subscription, natsMsg *msg,
                    void *arg)
{
    char text[512];

    (void)subscription;
    (void)arg;
    if (strstr(natsMsg_GetSubject(msg), "STREAM.INFO."))
        on_info(natsMsg_GetData(msg), text, sizeof text);
    else
        snprintf(text, sizeof text, "%s", scene->next);
    natsConnection_PublishString(connection, natsMsg_GetReply(msg), text);
    natsMsg_Destroy(msg);
}

static int start_all(void **state)
{
    static const struct wk_context context = {.conf = &conf};
    char *argv[] = {"test", NULL};
    natsOptions *options = NULL;
    bool good;

    (void)state;
    if (!service_start_plain_nats(&bus) || !yz_conf_parse(&conf, YZ_CONF_WORKER, 1, argv, "", NULL))
        return -1;
    conf.nats_url = bus.url;
    conf.query_threads = 1;
    conf.query_timeout_ms = 1000;
    good = yz_bus_options(&conf, "test", &options) == YZ_OK &&
           yz_bus_connect(options, TIMEOUT_MS, &nc) == YZ_OK &&
           natsConnection_Subscribe(&sub, nc, "$JS.API.>", on_call, NULL) == NATS_OK &&
           wk_pool_new(&conf, &pool) == YZ_OK &&
           wk_query_start(&context, nc, pool, &metrics, NULL, &service) == YZ_OK;
    natsOptions_Destroy(options);
    return good ? 0 : -1;
}

static int stop_all(void **state)
{
    (void)state;
    if (service)
        wk_query_stop(service);
    if (pool)
        wk_pool_free(pool);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    service_stop(&bus);
    nats_Close();
    return 0;
}

/* A query that waits for SEQUENCE is let through, to be told that there is no such query; no
 * document is looked at. */
static bool is_settled(const struct scene *said)
{
    static const struct yz_actor member = {"t1", "u1", "g1/c1/b1", "member"};
    struct yz_violation v = {0};
    natsMsg *msg = NULL, *reply = NULL;
    char number[24];

    scene = said;
    snprintf(number, sizeof number, "%d", SEQUENCE);
    assert_int_equal(natsMsg_Create(&msg, "qry.t1.no.such", NULL, "", 0), NATS_OK);
    assert_int_equal(yz_actor_write(&member, &msg), YZ_OK);
    assert_int_equal(natsMsgHeader_Set(msg, YZ_HEADER_MIN_SEQUENCE, number), NATS_OK);
    assert_int_equal(natsConnection_RequestMsg(&reply, nc, msg, TIMEOUT_MS), NATS_OK);
    natsMsg_Destroy(msg);
    assert_true(yz_violation_read(reply, &v));
    natsMsg_Destroy(reply);
    assert_true(v.err == YZ_UNKNOWN_TYPE || v.err == YZ_NOT_SETTLED);
    return v.err == YZ_UNKNOWN_TYPE;
}

#define HOLDS "\"first_seq\":1000,\"last_seq\":1030,\"messages\":3,\"num_deleted\":28"
#define NEXT(number)                                                                               \
    "{\"message\":{\"seq\":" number ",\"subject\":\"evt.1.t1.x.g1\",\"data\":\"\"}}"

/* The new leader holds the event. The old one is back, does not know yet that it leads no more, and
 * answers first: not here. */
static void test_no_by_a_server_that_never_had_it(void **state)
{
    static const struct scene said = {HOLDS, TWO_REPLICAS, "1001,1029", NONE};

    (void)state;
    assert_false(is_settled(&said));
}

static void test_the_leader_lists_it_among_what_is_gone(void **state)
{
    static const struct scene said = {HOLDS, TWO_REPLICAS, "1001,1030", NONE};

    (void)state;
    assert_true(is_settled(&said));
}

static void test_a_long_list_is_not_asked_for(void **state)
{
    static const struct scene said = {
        "\"first_seq\":1000,\"last_seq\":1030,\"messages\":3,\"num_deleted\":4097", TWO_REPLICAS,
        "1001,1030", NONE};

    (void)state;
    assert_false(is_settled(&said));
}

static void test_one_behind_it_is_known_to_who_had_it(void **state)
{
    static const struct scene gone = {HOLDS, TWO_REPLICAS, "", NEXT("1031")},
                              here = {HOLDS, TWO_REPLICAS, "", NEXT("1030")};

    (void)state;
    assert_true(is_settled(&gone));
    assert_false(is_settled(&here));
}

static void test_an_empty_stream_knows_what_it_counted(void **state)
{
    static const struct scene settled = {"\"first_seq\":1031,\"last_seq\":1030,\"messages\":0",
                                         TWO_REPLICAS, "", NONE},
                              behind = {"\"first_seq\":1030,\"last_seq\":1029,\"messages\":0",
                                        TWO_REPLICAS, "", NONE};

    (void)state;
    assert_true(is_settled(&settled));
    assert_false(is_settled(&behind));
}

static void test_a_single_server_is_believed(void **state)
{
    static const struct scene said = {HOLDS, "", "", NONE};

    (void)state;
    assert_true(is_settled(&said));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_by_a_server_that_never_had_it),
        cmocka_unit_test(test_the_leader_lists_it_among_what_is_gone),
        cmocka_unit_test(test_a_long_list_is_not_asked_for),
        cmocka_unit_test(test_one_behind_it_is_known_to_who_had_it),
        cmocka_unit_test(test_an_empty_stream_knows_what_it_counted),
        cmocka_unit_test(test_a_single_server_is_believed),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
