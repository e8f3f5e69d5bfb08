/* Queries that wait, for the sequence of an event or for the database, over a real bus and a real
 * database. */
#include "workers/query.h"

#include "service_rig.h"

#include <notice.pb-c.h>
#include <signal.h>
#include <stdio.h>

static uint64_t store_event(void)
{
    jsPubAck *ack = NULL;
    uint64_t sequence;

    assert_int_equal(js_Publish(&ack, js, "evt.0.t1.notice.g1", "x", 1, NULL, NULL), NATS_OK);
    sequence = ack->Sequence;
    jsPubAck_Destroy(ack);
    return sequence;
}

/* A query that waits for its sequence does not keep the one thread: others are answered, and it is
 * when its event is settled. */
static void test_min_sequence(void **state)
{
    Yizhan__V1__NoticeListRequest list = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    uint64_t sequence = store_event();
    natsSubscription *replies = NULL;
    natsMsg *waiting = new_request(&member, "t1", "notice.list", "_INBOX.replies.waiting", "", 0),
            *reply;
    struct yz_violation v;
    char number[24];

    (void)state;
    snprintf(number, sizeof number, "%llu", (unsigned long long)sequence);
    assert_int_equal(natsMsgHeader_Set(waiting, YZ_HEADER_MIN_SEQUENCE, number), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&replies, nc, "_INBOX.replies.waiting"), NATS_OK);
    assert_int_equal(natsConnection_PublishMsg(nc, waiting), NATS_OK);
    natsMsg_Destroy(waiting);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask_error(&member, "notice.list", &list.base), YZ_OK);
    assert_int_equal(natsSubscription_NextMsg(&reply, replies, 100), NATS_TIMEOUT);
    assert_int_equal(js_DeleteMsg(js, YZ_STREAM_EVENTS, sequence, NULL, NULL), NATS_OK);
    assert_int_equal(natsSubscription_NextMsg(&reply, replies, 1000), NATS_OK);
    assert_int_equal(take_error(reply, &v), YZ_OK);
    natsSubscription_Destroy(replies);
    /* Settled long ago. */
    assert_int_equal(take_error(ask(&member, "notice.list", &list.base, sequence), &v), YZ_OK);
}

/* It is told so, and is not left to the gateway's time-out. */
static void test_never_settled(void **state)
{
    Yizhan__V1__NoticeListRequest list = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    uint64_t sequence = store_event();
    struct yz_violation v;

    (void)state;
    assert_int_equal(take_error(ask(&member, "notice.list", &list.base, sequence), &v),
                     YZ_NOT_SETTLED);
    /* Not in the queue since it was never stored. */
    assert_int_equal(take_error(ask(&member, "notice.list", &list.base, sequence + 1), &v),
                     YZ_NOT_SETTLED);
    assert_int_equal(js_DeleteMsg(js, YZ_STREAM_EVENTS, sequence, NULL, NULL), NATS_OK);
}

/* What nobody waits for any more is not looked for in a database that keeps everyone waiting,
 * whether it came with a sequence (that was settled long ago) or without. */
static void test_nobody_waits_any_more(void **state)
{
    uint64_t sequence = store_event(), busy = atomic_load(&metrics.queries_busy);
    natsSubscription *replies = NULL;
    natsMsg *first = new_request(&member, "t1", "notice.list", "_INBOX.replies.gone", "", 0),
            *others = new_request(&member, "t1", "notice.list", "_INBOX.replies.gone", "", 0),
            *reply;
    struct yz_violation v;
    char number[24];

    (void)state;
    assert_int_equal(js_DeleteMsg(js, YZ_STREAM_EVENTS, sequence, NULL, NULL), NATS_OK);
    snprintf(number, sizeof number, "%llu", (unsigned long long)sequence);
    assert_int_equal(natsMsgHeader_Set(others, YZ_HEADER_MIN_SEQUENCE, number), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&replies, nc, "_INBOX.replies.gone"), NATS_OK);
    service_signal(&database, SIGSTOP);
    assert_int_equal(natsConnection_PublishMsg(nc, first), NATS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(natsConnection_PublishMsg(nc, others), NATS_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(natsSubscription_NextMsg(&reply, replies, 2 * TIMEOUT_MS), NATS_OK);
        assert_int_equal(take_error(reply, &v), YZ_BUSY);
    }
    service_signal(&database, SIGCONT);
    assert_int_equal(atomic_load(&metrics.queries_busy), busy + 3);
    natsMsg_Destroy(first);
    natsMsg_Destroy(others);
    natsSubscription_Destroy(replies);
}

/* Stopping answers what is there, also what waits for its sequence. */
static void test_stop_answers(void **state)
{
    uint64_t sequence = store_event();
    natsSubscription *replies = NULL;
    natsMsg *waiting = new_request(&member, "t1", "notice.list", "_INBOX.replies.stop", "", 0),
            *reply;
    struct yz_violation v;
    char number[24];

    (void)state;
    snprintf(number, sizeof number, "%llu", (unsigned long long)sequence);
    assert_int_equal(natsMsgHeader_Set(waiting, YZ_HEADER_MIN_SEQUENCE, number), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&replies, nc, "_INBOX.replies.stop"), NATS_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(natsConnection_PublishMsg(nc, waiting), NATS_OK);
    natsMsg_Destroy(waiting);
    assert_int_equal(natsConnection_Flush(nc), NATS_OK);
    wk_query_stop(service);
    service = NULL;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(natsSubscription_NextMsg(&reply, replies, 1000), NATS_OK);
        assert_int_equal(take_error(reply, &v), YZ_NOT_SETTLED);
    }
    natsSubscription_Destroy(replies);
    assert_int_equal(js_DeleteMsg(js, YZ_STREAM_EVENTS, sequence, NULL, NULL), NATS_OK);
    assert_true(start_service());
}

#define FLOOD (WK_QUERY_QUEUE_MAX + 100)

/* With the database away the queue fills to its maximum and no further; every request has an
 * answer, and afterwards all is well. */
static void test_full_queue(void **state)
{
    Yizhan__V1__NoticeListRequest list = YIZHAN__V1__NOTICE_LIST_REQUEST__INIT;
    natsSubscription *replies = NULL;
    natsMsg *msg = new_request(&member, "t1", "notice.list", "_INBOX.replies.flood", "", 0), *reply;
    int busy = 0, good = 0;

    (void)state;
    assert_int_equal(natsConnection_SubscribeSync(&replies, nc, "_INBOX.replies.flood"), NATS_OK);
    service_signal(&database, SIGSTOP);
    for (int i = 0; i < FLOOD; i++)
        assert_int_equal(natsConnection_PublishMsg(nc, msg), NATS_OK);
    natsMsg_Destroy(msg);
    for (int i = 0; i < FLOOD - WK_QUERY_QUEUE_MAX - 1; i++) {
        struct yz_violation v;

        assert_int_equal(natsSubscription_NextMsg(&reply, replies, TIMEOUT_MS), NATS_OK);
        assert_int_equal(take_error(reply, &v), YZ_BUSY);
    }
    /* While the others wait, not when their turn came. */
    assert_true(atomic_load(&metrics.queries_waiting) > WK_QUERY_QUEUE_MAX / 2);
    service_signal(&database, SIGCONT);
    for (int i = 0; i < WK_QUERY_QUEUE_MAX + 1; i++) {
        struct yz_violation v;

        assert_int_equal(natsSubscription_NextMsg(&reply, replies, 2 * TIMEOUT_MS), NATS_OK);
        if (take_error(reply, &v) == YZ_OK)
            good++;
        else
            busy++;
    }
    print_message("answered %d, busy %d\n", good, busy);
    assert_int_equal(good + busy, WK_QUERY_QUEUE_MAX + 1);
    natsSubscription_Destroy(replies);
    assert_int_equal(ask_error(&member, "notice.list", &list.base), YZ_OK);
    assert_true(atomic_load(&metrics.queries_busy) >= FLOOD - WK_QUERY_QUEUE_MAX - 1);
    assert_int_equal(atomic_load(&metrics.queries_waiting), 0);
    assert_int_equal(atomic_load(&metrics.queries_parked), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_min_sequence),
        cmocka_unit_test(test_never_settled),
        cmocka_unit_test(test_nobody_waits_any_more),
        cmocka_unit_test(test_stop_answers),
        cmocka_unit_test(test_full_queue),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
