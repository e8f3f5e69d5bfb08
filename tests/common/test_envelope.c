#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/envelope.h"
#include "nats_library.h"

#include <string.h>

static const struct yz_envelope sample = {
    .actor = {"t1", "u1", "g1/c1/b1", "member,secretary@g1/c1"},
    .event_id = "e1",
    .type = "notice.read",
    .aggregate = "receipts|n1|g1/c1/b1",
    .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    .occurred_at_ms = 1772352000123,
};

static const char *header(natsMsg *msg, const char *key)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : NULL;
}

static void envelope_is_a_cloud_event(void **state)
{
    struct yz_envelope back;
    struct yz_violation v;
    natsMsg *msg;

    (void)state;
    assert_int_equal(yz_envelope_write(&sample, "notice", "\x0a\x02n1", 4, &msg), YZ_OK);
    assert_string_equal(header(msg, "ce-specversion"), "1.0");
    assert_string_equal(header(msg, "ce-id"), "e1");
    assert_string_equal(header(msg, "ce-type"), "notice.read");
    assert_string_equal(header(msg, "ce-time"), "2026-03-01T08:00:00.123Z");
    assert_string_equal(header(msg, "ce-tenant"), "t1");
    assert_string_equal(header(msg, "content-type"), "application/protobuf");
    assert_non_null(header(msg, "ce-source"));
    assert_non_null(header(msg, "Nats-Msg-Id"));
    assert_int_equal(natsMsg_GetDataLength(msg), 4);
    assert_non_null(strstr(natsMsg_GetSubject(msg), ".t1.notice.g1/c1/b1"));
    assert_int_equal(yz_envelope_read(msg, &back, &v), YZ_OK);
    assert_memory_equal(&back, &sample, sizeof back);
    natsMsg_Destroy(msg);
}

/* What a worker publishes by itself: another subject, and an id that no client can have taken. */
static void own_event_is_told_by_its_subject(void **state)
{
    struct yz_envelope own = sample, back;
    struct yz_violation v;
    natsMsg *msg;

    (void)state;
    own.own = true;
    snprintf(own.event_id, sizeof own.event_id, "$t-5-0");
    assert_int_equal(yz_envelope_write(&own, "notice", "", 0, &msg), YZ_OK);
    assert_true(yz_event_subject_is_own(natsMsg_GetSubject(msg)));
    assert_int_equal(yz_envelope_read(msg, &back, &v), YZ_OK);
    assert_memory_equal(&back, &own, sizeof back);
    natsMsg_Destroy(msg);
    own.own = false;
    assert_int_equal(yz_envelope_write(&own, "notice", "", 0, &msg), YZ_OK);
    assert_int_equal(yz_envelope_read(msg, &back, &v), YZ_INVALID_VALUE);
    assert_string_equal(v.field, "ce-id");
    natsMsg_Destroy(msg);
}

static void phone_before_1970_returns(void **state)
{
    struct yz_envelope early = sample, back;
    struct yz_violation v;
    natsMsg *msg;

    (void)state;
    early.occurred_at_ms = -28799999;
    early.traceparent[0] = '\0';
    memset(early.traceparent, 0, sizeof early.traceparent);
    assert_int_equal(yz_envelope_write(&early, "notice", "", 0, &msg), YZ_OK);
    assert_string_equal(header(msg, "ce-time"), "1969-12-31T16:00:00.001Z");
    assert_null(header(msg, "traceparent"));
    assert_int_equal(yz_envelope_read(msg, &back, &v), YZ_OK);
    assert_memory_equal(&back, &early, sizeof back);
    natsMsg_Destroy(msg);
}

static void bad_header_names_itself(void **state)
{
    static const struct {
        const char *key, *value; /* NULL: absent */
        enum yz_err err;
    } cases[] = {
        {"ce-id", NULL, YZ_MISSING_FIELD},
        {"ce-id", "", YZ_MISSING_FIELD},
        {"ce-id", "a b", YZ_INVALID_VALUE},
        {"ce-type", NULL, YZ_MISSING_FIELD},
        {"ce-subject", NULL, YZ_MISSING_FIELD},
        {"ce-specversion", "0.3", YZ_INVALID_VALUE},
        {"ce-time", "yesterday", YZ_INVALID_VALUE},
        {"ce-time", "2026-03-01T08:00:00.00000000000000000000000000000Z", YZ_TOO_LONG},
        {"ce-tenant", NULL, YZ_MISSING_FIELD},
        {"ce-tenant", "t.1", YZ_INVALID_VALUE},
        {"ce-actor", "u/1", YZ_INVALID_VALUE},
        {"ce-orgpath", "g1//b1", YZ_INVALID_VALUE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct yz_envelope back;
        struct yz_violation v = {0};
        natsMsg *msg;

        assert_int_equal(yz_envelope_write(&sample, "notice", "", 0, &msg), YZ_OK);
        natsMsgHeader_Delete(msg, cases[i].key);
        if (cases[i].value)
            natsMsgHeader_Set(msg, cases[i].key, cases[i].value);
        assert_int_equal(yz_envelope_read(msg, &back, &v), cases[i].err);
        assert_int_equal(v.err, cases[i].err);
        assert_string_equal(v.field, cases[i].key);
        natsMsg_Destroy(msg);
    }
}

static void caller_of_a_query_returns(void **state)
{
    struct yz_actor back = {0};
    struct yz_violation v;
    natsMsg *msg;

    (void)state;
    assert_int_equal(natsMsg_Create(&msg, "qry.t1.notice.list", NULL, NULL, 0), NATS_OK);
    assert_int_equal(yz_actor_read(msg, &back, &v), YZ_MISSING_FIELD);
    assert_string_equal(v.field, "Yz-Tenant");
    assert_int_equal(yz_actor_write(&sample.actor, &msg), YZ_OK);
    assert_int_equal(yz_actor_read(msg, &back, &v), YZ_OK);
    assert_memory_equal(&back, &sample.actor, sizeof back);
    natsMsg_Destroy(msg);
}

static void errors_return(void **state)
{
    struct yz_violation out, back;
    natsMsg *msg;

    (void)state;
    assert_int_equal(natsMsg_Create(&msg, "reply", NULL, NULL, 0), NATS_OK);
    assert_false(yz_violation_read(msg, &back));
    yz_violate(&out, YZ_NOT_FOUND, "noticeId", "There is no such notice.");
    assert_int_equal(yz_violation_write(&out, &msg), YZ_OK);
    assert_true(yz_violation_read(msg, &back));
    assert_int_equal(back.err, YZ_NOT_FOUND);
    assert_string_equal(back.field, "noticeId");
    assert_string_equal(back.text, "There is no such notice.");
    natsMsg_Destroy(msg);
}

static void roles_have_scopes(void **state)
{
    struct yz_actor actor = {"t1", "u1", "g1/c1/b1", "member,secretary@g1/c1,inspector@g2"};

    (void)state;
    assert_true(yz_actor_has_role(&actor, "secretary", "g1/c1"));
    assert_true(yz_actor_has_role(&actor, "secretary", "g1/c1/b7"));
    assert_false(yz_actor_has_role(&actor, "secretary", "g1"));
    assert_false(yz_actor_has_role(&actor, "secretary", "g1/c10"));
    assert_true(yz_actor_has_role(&actor, "inspector", "g2/c1"));
    assert_false(yz_actor_has_role(&actor, "inspector", "g1/c1"));
    assert_false(yz_actor_has_role(&actor, "secret", "g1/c1"));
    assert_false(yz_actor_has_role(&actor, "member", "g1/c1/b1")); /* has no scope */
    assert_true(yz_actor_belongs(&actor, "g1"));
    assert_true(yz_actor_belongs(&actor, "g1/c1/b1"));
    assert_false(yz_actor_belongs(&actor, "g1/c1/b1/x"));
    assert_false(yz_actor_belongs(&actor, "g1/c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_is_a_cloud_event),
        cmocka_unit_test(own_event_is_told_by_its_subject),
        cmocka_unit_test(phone_before_1970_returns),
        cmocka_unit_test(bad_header_names_itself),
        cmocka_unit_test(caller_of_a_query_returns),
        cmocka_unit_test(errors_return),
        cmocka_unit_test(roles_have_scopes),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
