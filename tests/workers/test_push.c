/* A push and a value as messages of their streams; the metrics' text. */
#include "nats_library.h"
#include "workers/push.h"

#include "envelope.pb-c.h"
#include "workers/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wk_fold_push made = {
    .sequence = 1099511627777,
    .time_ms = 1767225600123,
    .ordinal = 2,
    .tenant = "t1",
    .channel = "meeting.g1/c1.m1",
    .type = "meeting.state_changed",
    .payload = (const uint8_t *)"xyz",
    .payload_len = 3,
};

static const char *header(natsMsg *msg, const char *key)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : "";
}

static Yizhan__V1__Push *body_of(natsMsg *msg)
{
    return yizhan__v1__push__unpack(NULL, (size_t)natsMsg_GetDataLength(msg),
                                    (const uint8_t *)natsMsg_GetData(msg));
}

static void test_push(void **state)
{
    struct wk_fold_push push = made;
    Yizhan__V1__Push *body;
    natsMsg *msg = NULL;

    (void)state;
    push.roles = "secretary";
    wk_push_message(&push, NULL, &msg);
    assert_string_equal(natsMsg_GetSubject(msg), "chan.t1.meeting.g1/c1.m1");
    assert_string_equal(header(msg, "Nats-Msg-Id"), "p-1099511627777-2");
    assert_string_equal(header(msg, YZ_HEADER_PUSH_ROLES), "secretary");
    assert_string_equal(header(msg, YZ_HEADER_PUSH_EXCLUDE), "");
    body = body_of(msg);
    assert_string_equal(body->id, "1099511627777-2");
    assert_string_equal(body->type, "meeting.state_changed");
    assert_int_equal(body->payload.len, 3);
    assert_int_equal(body->time->seconds, 1767225600);
    assert_int_equal(body->time->nanos, 123000000);
    assert_int_equal(body->version, 0);
    assert_int_equal(wk_push_version(msg), 0);
    yizhan__v1__push__free_unpacked(body, NULL);
    natsMsg_Destroy(msg);
}

static void test_value(void **state)
{
    struct wk_fold_push push = made;
    Yizhan__V1__Push *body;
    natsMsg *msg = NULL;

    (void)state;
    push.name = "attendance";
    wk_push_message(&push, NULL, &msg);
    assert_string_equal(natsMsg_GetSubject(msg), "state.t1.meeting.g1/c1.m1.attendance");
    assert_string_equal(header(msg, "Nats-Msg-Id"), "");
    body = body_of(msg);
    assert_string_equal(body->id, "v-1099511627777-2");
    assert_int_equal(body->version, 1099511627777);
    assert_int_equal(wk_push_version(msg), 1099511627777);
    yizhan__v1__push__free_unpacked(body, NULL);
    natsMsg_Destroy(msg);
}

static void test_metrics(void **state)
{
    struct wk_metrics metrics = {0};
    struct yz_buf buf;

    (void)state;
    yz_count(&metrics.events_applied, 3);
    yz_buf_init(&buf, 65536);
    wk_metrics_write(&metrics, &buf);
    assert_false(buf.failed);
    yz_buf_append(&buf, "", 1);
    assert_non_null(strstr((char *)buf.data, "# TYPE yizhan_worker_events_applied_total counter\n"
                                             "yizhan_worker_events_applied_total 3\n"));
    assert_non_null(strstr((char *)buf.data, "# TYPE yizhan_worker_partitions gauge\n"));
    yz_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_metrics),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
