/* An outcome as document and as push; what becomes of an event whose id has one already. */
#include "workers/outcome.h"

#include "envelope.pb-c.h"
#include "workers/fold.h"
#include "workers/item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct yz_envelope envelope(void)
{
    struct yz_envelope env = {.event_id = "e1", .type = "thread.posted"};

    snprintf(env.actor.tenant, sizeof env.actor.tenant, "t1");
    snprintf(env.actor.member, sizeof env.actor.member, "m1");
    return env;
}

static struct wk_outcome refused(const struct yz_envelope *env)
{
    struct wk_outcome outcome = {
        .sequence = 7, .decided_by = 9, .received_at_ms = 1767225600123, .status = WK_REFUSED};

    wk_outcome_id(env, outcome.id);
    wk_outcome_hash(env, "abc", 3, outcome.hash);
    yz_violate(&outcome.reason, YZ_CODE_EXPIRED, "code", NULL);
    return outcome;
}

static void test_document_there_and_back(void **state)
{
    struct yz_envelope env = envelope();
    struct wk_outcome outcome = refused(&env), read;
    bson_t *document = wk_outcome_document(&outcome, &env);

    (void)state;
    assert_true(wk_outcome_read(document, &read));
    assert_string_equal(read.id, "t1|m1|e1");
    assert_string_equal(read.hash, outcome.hash);
    assert_int_equal(read.sequence, 7);
    assert_int_equal(read.decided_by, 9);
    assert_int_equal(read.received_at_ms, 1767225600123);
    assert_int_equal(read.status, WK_REFUSED);
    assert_int_equal(read.reason.err, YZ_CODE_EXPIRED);
    assert_string_equal(read.reason.field, "code");
    assert_string_equal(read.reason.text, yz_err_text(YZ_CODE_EXPIRED));
    bson_destroy(document);
}

static void test_a_document_of_another_form_is_none(void **state)
{
    bson_t *document = BCON_NEW("_id", "t1|m1|e1", "status", "perhaps");
    struct wk_outcome read;

    (void)state;
    assert_false(wk_outcome_read(document, &read));
    bson_destroy(document);
}

static void test_type_and_payload_make_the_hash(void **state)
{
    struct yz_envelope env = envelope();
    char a[33], b[33], c[33];

    (void)state;
    snprintf(env.type, sizeof env.type, "thread.posted");
    wk_outcome_hash(&env, "abc", 3, a);
    wk_outcome_hash(&env, "abd", 3, b);
    snprintf(env.type, sizeof env.type, "thread.poste");
    wk_outcome_hash(&env, "dabc", 4, c);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
}

/* Also when a fault let an actor through where none belongs. */
static void test_of_what_anyone_may_send_no_actor_is_stored(void **state)
{
    static const char *const types[] = {"complaint.filed", "complaint.message_added",
                                        "complaint.rated", "complaint.filed_named"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct yz_envelope env = envelope();
        struct wk_outcome outcome;
        bson_t *document;
        char *text;

        snprintf(env.type, sizeof env.type, "%s", types[i]);
        snprintf(env.actor.member, sizeof env.actor.member, "WHO");
        snprintf(env.event_id, sizeof env.event_id, "NONCE");
        outcome = refused(&env);
        document = wk_outcome_document(&outcome, &env);
        text = bson_as_canonical_extended_json(document, NULL);
        assert_true(wk_outcome_discreet(&env));
        assert_true(strncmp(outcome.id, "t1|$|", 5) == 0);
        assert_null(strstr(text, "WHO"));
        assert_null(strstr(text, "NONCE"));
        bson_free(text);
        bson_destroy(document);
    }
}

static void test_the_actor_is_told(void **state)
{
    struct yz_envelope env = envelope();
    struct wk_outcome outcome = refused(&env);
    struct wk_event event = {.sequence = 9, .received_at_ms = 5, .env = &env};
    struct wk_fold *fold = wk_fold_new(NULL);
    const struct wk_fold_push *push;
    struct yz_violation v;
    Yizhan__V1__Outcome *message;
    size_t count;

    (void)state;
    wk_fold_begin(fold, &event, 3);
    wk_outcome_push(fold, &event, &outcome);
    assert_int_equal(wk_fold_end(fold, &v), YZ_OK);
    push = wk_fold_pushes(fold, &count);
    assert_int_equal(count, 1);
    assert_int_equal(push->event, 3);
    assert_string_equal(push->channel, "member.m1");
    assert_string_equal(push->type, "event.outcome");
    message = yizhan__v1__outcome__unpack(NULL, push->payload_len, push->payload);
    assert_non_null(message);
    assert_string_equal(message->event_id, "e1");
    assert_string_equal(message->code, "code_expired");
    assert_string_equal(message->field, "code");
    assert_int_equal(message->sequence, 7);
    assert_int_equal(message->status, YIZHAN__V1__OUTCOME__STATUS__REFUSED);
    assert_int_equal(message->received_at->seconds, 1767225600);
    yizhan__v1__outcome__free_unpacked(message, NULL);
    wk_fold_free(fold);
}

static void test_fates(void **state)
{
    struct wk_item item = {.outcome = {.sequence = 7, .decided_by = 7, .hash = "aa"}};
    struct wk_outcome other = item.outcome;

    (void)state;
    assert_int_equal(wk_item_fate(&item, NULL), WK_FATE_NEW);
    assert_int_equal(wk_item_fate(&item, &other), WK_FATE_REPLAY);
    other.sequence = other.decided_by = 5;
    assert_int_equal(wk_item_fate(&item, &other), WK_FATE_DUPLICATE);
    other.hash[0] = 'b';
    assert_int_equal(wk_item_fate(&item, &other), WK_FATE_CONFLICT);
}

/* Only an operator's replay, which names the first acceptance, is decided anew; the client's own
 * retry of a dead letter is a duplicate like others. */
static void test_fate_of_a_dead_letter(void **state)
{
    struct wk_item replay = {.outcome = {.sequence = 5, .decided_by = 9, .hash = "aa"}};
    struct wk_item retry = {.outcome = {.sequence = 9, .decided_by = 9, .hash = "aa"}};
    struct wk_outcome dead = {
        .sequence = 5, .decided_by = 5, .hash = "aa", .status = WK_DEAD_LETTERED};

    (void)state;
    assert_int_equal(wk_item_fate(&replay, &dead), WK_FATE_REDECIDED);
    assert_int_equal(wk_item_fate(&retry, &dead), WK_FATE_DUPLICATE);
    dead.status = WK_APPLIED;
    assert_int_equal(wk_item_fate(&replay, &dead), WK_FATE_DUPLICATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_there_and_back),
        cmocka_unit_test(test_a_document_of_another_form_is_none),
        cmocka_unit_test(test_type_and_payload_make_the_hash),
        cmocka_unit_test(test_of_what_anyone_may_send_no_actor_is_stored),
        cmocka_unit_test(test_the_actor_is_told),
        cmocka_unit_test(test_fates),
        cmocka_unit_test(test_fate_of_a_dead_letter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
