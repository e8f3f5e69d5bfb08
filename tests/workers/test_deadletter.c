/* A dead letter carries the whole event, its reason, and where it was accepted first. */
#include "nats_library.h"
#include "workers/deadletter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct yz_violation reason = {.err = YZ_BAD_FRAME, .field = "payload.text"};

static struct wk_delivery delivery(const char *subject)
{
    struct wk_delivery d = {.sequence = 42, .stored_at_ms = 1767225600123, .delivered = 1};

    assert_int_equal(natsMsg_Create(&d.msg, subject, NULL, "body", 4), NATS_OK);
    natsMsgHeader_Set(d.msg, "ce-id", "e1");
    natsMsgHeader_Set(d.msg, "Nats-Msg-Id", "e-1");
    return d;
}

static const char *header(natsMsg *msg, const char *key)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : "";
}

static void test_letter(void **state)
{
    struct wk_delivery d = delivery("evt.3.t1.thread.g1/c1");
    natsMsg *msg = NULL;

    (void)state;
    wk_deadletter_message(&d, &reason, 4, &msg);
    assert_string_equal(natsMsg_GetSubject(msg), "dlq.t1.thread");
    assert_memory_equal(natsMsg_GetData(msg), "body", 4);
    assert_string_equal(header(msg, "ce-id"), "e1");
    assert_string_equal(header(msg, "Nats-Msg-Id"), "d-42");
    assert_string_equal(header(msg, YZ_HEADER_DEAD_REASON), "bad_frame");
    assert_string_equal(header(msg, YZ_HEADER_DEAD_FIELD), "payload.text");
    assert_string_equal(header(msg, YZ_HEADER_DEAD_TEXT), yz_err_text(YZ_BAD_FRAME));
    assert_string_equal(header(msg, YZ_HEADER_DEAD_ATTEMPTS), "4");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_SUBJECT), "evt.3.t1.thread.g1/c1");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_SEQUENCE), "42");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_TIME), "2026-01-01T00:00:00.123Z");
    natsMsg_Destroy(msg);
    natsMsg_Destroy(d.msg);
}

static void add_claims(natsMsg *msg)
{
    natsMsgHeader_Set(msg, YZ_HEADER_CAUSE, "6");
    natsMsgHeader_Set(msg, YZ_HEADER_ORIGIN_SEQUENCE, "7");
    natsMsgHeader_Set(msg, YZ_HEADER_ORIGIN_TIME, "2025-12-31T23:59:59Z");
}

static void test_a_replay_that_fails_again_keeps_its_origin(void **state)
{
    struct wk_delivery d = delivery("evt.3.$own.t1.thread.g1/c1");
    uint64_t sequence;
    int64_t accepted_at_ms;
    natsMsg *msg = NULL;

    (void)state;
    assert_false(wk_deadletter_origin(d.msg, &sequence, &accepted_at_ms));
    add_claims(d.msg);
    assert_true(wk_deadletter_origin(d.msg, &sequence, &accepted_at_ms));
    assert_int_equal(sequence, 7);
    assert_int_equal(accepted_at_ms, 1767225599000);
    wk_deadletter_message(&d, &reason, 4, &msg);
    assert_string_equal(natsMsg_GetSubject(msg), "dlq.t1.thread");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_SEQUENCE), "7");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_TIME), "2025-12-31T23:59:59Z");
    assert_string_equal(header(msg, YZ_HEADER_CAUSE), "6");
    natsMsg_Destroy(msg);
    natsMsg_Destroy(d.msg);
}

/* From a gateway's subject such headers are nobody's word; its letter must not launder them. */
static void test_claims_of_a_gateway_are_not_believed(void **state)
{
    struct wk_delivery d = delivery("evt.3.t1.thread.g1/c1");
    uint64_t sequence;
    int64_t accepted_at_ms;
    natsMsg *msg = NULL;

    (void)state;
    add_claims(d.msg);
    assert_false(wk_deadletter_origin(d.msg, &sequence, &accepted_at_ms));
    wk_deadletter_message(&d, &reason, 4, &msg);
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_SEQUENCE), "42");
    assert_string_equal(header(msg, YZ_HEADER_ORIGIN_TIME), "2026-01-01T00:00:00.123Z");
    assert_string_equal(header(msg, YZ_HEADER_CAUSE), "");
    natsMsg_Destroy(msg);
    natsMsg_Destroy(d.msg);
}

/* A subject that nobody of ours wrote: the letter must still have a valid one. */
static void test_a_strange_subject(void **state)
{
    struct wk_delivery d = delivery("evt.3");
    natsMsg *msg = NULL;

    (void)state;
    wk_deadletter_message(&d, &reason, 1, &msg);
    assert_string_equal(natsMsg_GetSubject(msg), "dlq._._");
    natsMsg_Destroy(msg);
    natsMsg_Destroy(d.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letter),
        cmocka_unit_test(test_a_replay_that_fails_again_keeps_its_origin),
        cmocka_unit_test(test_claims_of_a_gateway_are_not_believed),
        cmocka_unit_test(test_a_strange_subject),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
