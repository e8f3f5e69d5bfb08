/* A dead letter becomes an event again: what it keeps, and what it must not. */
#include "nats_library.h"
#include "workers/ctl/letter.h"

#include "common/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static natsMsg *new_letter(const char *origin)
{
    natsMsg *letter = NULL;

    assert_int_equal(natsMsg_Create(&letter, "_INBOX.x", NULL, "body", 4), NATS_OK);
    natsMsgHeader_Set(letter, "Nats-Msg-Id", "d-9");
    natsMsgHeader_Set(letter, "Nats-Sequence", "5");
    natsMsgHeader_Set(letter, "Nats-Subject", "dlq.t.notice");
    natsMsgHeader_Set(letter, "ce-id", "e1");
    natsMsgHeader_Set(letter, "ce-type", "notice.read");
    natsMsgHeader_Set(letter, YZ_HEADER_DEAD_REASON, "internal");
    natsMsgHeader_Set(letter, YZ_HEADER_ORIGIN_SEQUENCE, "9");
    natsMsgHeader_Set(letter, YZ_HEADER_ORIGIN_TIME, "2026-03-01T08:00:00Z");
    if (origin)
        natsMsgHeader_Set(letter, YZ_HEADER_ORIGIN_SUBJECT, origin);
    return letter;
}

static void assert_header(natsMsg *msg, const char *key, const char *expected)
{
    const char *value = NULL;

    if (!expected) {
        assert_int_not_equal(natsMsgHeader_Get(msg, key, &value), NATS_OK);
        return;
    }
    assert_int_equal(natsMsgHeader_Get(msg, key, &value), NATS_OK);
    assert_string_equal(value, expected);
}

static void goes_back_to_where_it_came_from(void **state)
{
    natsMsg *letter = new_letter("evt.3.t.notice.g1/c1"), *event = ctl_letter_event(letter, 5);

    (void)state;
    assert_non_null(event);
    assert_string_equal(natsMsg_GetSubject(event), "evt.3.$own.t.notice.g1/c1");
    assert_int_equal(natsMsg_GetDataLength(event), 4);
    assert_memory_equal(natsMsg_GetData(event), "body", 4);
    assert_header(event, "ce-id", "e1");
    assert_header(event, YZ_HEADER_ORIGIN_SEQUENCE, "9");
    assert_header(event, YZ_HEADER_ORIGIN_TIME, "2026-03-01T08:00:00Z");
    assert_header(event, "Nats-Msg-Id", "r-5"); /* its own, else the broker drops it */
    assert_header(event, "Nats-Sequence", NULL);
    assert_header(event, "Nats-Subject", NULL);
    assert_header(event, YZ_HEADER_DEAD_REASON, NULL);
    natsMsg_Destroy(event);
    natsMsg_Destroy(letter);
}

static void goes_nowhere_else(void **state)
{
    natsMsg *lost = new_letter(NULL), *foreign = new_letter("chan.t.org.g1");

    (void)state;
    assert_null(ctl_letter_event(lost, 5));
    assert_null(ctl_letter_event(foreign, 5));
    natsMsg_Destroy(lost);
    natsMsg_Destroy(foreign);
}

static void shows_what_cannot_be_decoded(void **state)
{
    natsMsg *letter = new_letter("evt.3.t.notice.g1");
    json_t *value = ctl_letter_json(letter);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(value, "reason")), "internal");
    assert_string_equal(json_string_value(json_object_get(value, "payload")), "Ym9keQ==");
    assert_null(json_object_get(value, "actor"));
    json_decref(value);
    natsMsg_Destroy(letter);
}

static const char *shown(natsMsg *letter, const char *member, json_t **value)
{
    const char *text;

    *value = ctl_letter_json(letter);
    text = json_string_value(json_object_get(*value, member));
    return text ? text : "";
}

/* Whoever looks over an operator's shoulder does not learn who complained. */
static void does_not_show_who_sent_a_named_complaint(void **state)
{
    static const char *const of_sender[] = {"actor", "orgPath", "roles", "occurredAt"};
    natsMsg *letter = new_letter("evt.3.t.complaint._");
    json_t *value;

    (void)state;
    natsMsgHeader_Set(letter, "ce-actor", "u7");
    natsMsgHeader_Set(letter, "ce-orgpath", "g1/c1/b1");
    natsMsgHeader_Set(letter, "ce-roles", "member");
    natsMsgHeader_Set(letter, "ce-time", "2026-03-01T08:00:00Z");
    assert_string_equal(shown(letter, "actor", &value), "u7");
    json_decref(value);
    natsMsgHeader_Set(letter, "ce-type", "complaint.filed_named");
    for (size_t i = 0; i < sizeof of_sender / sizeof of_sender[0]; i++) {
        assert_string_equal(shown(letter, of_sender[i], &value), "");
        json_decref(value);
    }
    assert_string_equal(shown(letter, "eventId", &value), "e1");
    json_decref(value);
    natsMsg_Destroy(letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_back_to_where_it_came_from),
        cmocka_unit_test(goes_nowhere_else),
        cmocka_unit_test(shows_what_cannot_be_decoded),
        cmocka_unit_test(does_not_show_who_sent_a_named_complaint),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
