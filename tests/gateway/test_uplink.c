/* Events up and questions to the workers, against a real nats-server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include "gateway/query.h"
#include "gateway/uplink.h"

struct world {
    struct broker broker;
    struct rig rig;
    struct gw_uplink *uplink;
    struct gw_query *query;
    size_t accepted, answered;
    enum yz_err err;
    struct gw_ticket ticket;
    uint64_t sequence;
    bool duplicate;
    char event_id[YZ_ID_MAX], payload[64], text[YZ_TEXT_MAX];
    size_t len;
};

static void on_accepted(void *arg, struct gw_ticket ticket, const char *event_id, enum yz_err err,
                        uint64_t sequence, bool duplicate)
{
    struct world *w = arg;

    w->accepted++;
    w->ticket = ticket;
    w->err = err;
    w->sequence = sequence;
    w->duplicate = duplicate;
    snprintf(w->event_id, sizeof w->event_id, "%s", event_id);
}

static void on_answered(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                        const struct yz_violation *v, const void *payload, size_t len)
{
    struct world *w = arg;

    assert_string_equal(type, "notice.list");
    w->answered++;
    w->ticket = ticket;
    w->err = err;
    w->len = len;
    assert_true(len < sizeof w->payload);
    if (len)
        memcpy(w->payload, payload, len);
    if (err)
        assert_int_equal(v->err, err);
    snprintf(w->text, sizeof w->text, "%s", err ? yz_violation_text(v) : "");
}

static int set_up(void **state)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    broker_streams(&w->broker, "");
    rig_conf(&w->rig, &w->broker);
    w->rig.conf.uplink_timeout_ms = 800;
    w->rig.conf.query_timeout_ms = 300;
    w->rig.conf.uplink_window = 16;
    rig_start(&w->rig);
    assert_int_equal(
        gw_uplink_new(&w->rig.conf, w->rig.link, &w->rig.metrics, on_accepted, w, &w->uplink),
        YZ_OK);
    assert_int_equal(
        gw_query_new(&w->rig.conf, w->rig.link, &w->rig.metrics, on_answered, w, &w->query), YZ_OK);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    gw_uplink_free(w->uplink);
    gw_query_free(w->query);
    rig_stop(&w->rig);
    return world_free(w);
}

static enum yz_err emit_by(struct world *w, const char *member, const char *id, size_t len)
{
    static char payload[100000];
    struct yz_envelope env = {.actor = {"t1", "m1", "g1/c1/b1", "member"},
                              .type = "notice.read",
                              .aggregate = "receipts|n1|g1/c1/b1"};

    snprintf(env.event_id, sizeof env.event_id, "%s", id);
    snprintf(env.actor.member, sizeof env.actor.member, "%s", member);
    return gw_uplink_emit(w->uplink, (struct gw_ticket){42, 7}, &env, "notice", payload, len);
}

static enum yz_err emit_sized(struct world *w, const char *id, size_t len)
{
    return emit_by(w, "m1", id, len);
}

static enum yz_err emit(struct world *w, const char *id)
{
    return emit_sized(w, id, 10);
}

static void accepts_what_the_stream_stored(void **state)
{
    WORLD(state);
    assert_int_equal(emit(w, "e1"), YZ_OK);
    assert_int_equal(w->accepted, 0); /* never inside */
    RIG_AWAIT(&w->rig, w->accepted == 1, 2000);
    assert_int_equal(w->err, YZ_OK);
    assert_int_equal(w->sequence, 1);
    assert_false(w->duplicate);
    assert_int_equal(w->ticket.session, 42);
    assert_int_equal(w->ticket.request, 7);
    assert_string_equal(w->event_id, "e1");
    assert_int_equal(last_sequence(&w->broker, "EVENTS"), 1);

    assert_int_equal(emit(w, "e1"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 2, 2000);
    assert_true(w->duplicate);
    assert_int_equal(w->sequence, 1);
}

static void is_busy_beyond_its_window(void **state)
{
    static const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member"};
    struct yz_violation v = {0};
    char id[16];

    WORLD(state);
    w->rig.conf.uplink_timeout_ms = 20000; /* all 16 are to be accepted, on a slow machine, too */
    for (int i = 0; i < 16; i++) {
        snprintf(id, sizeof id, "m%d", i);
        assert_int_equal(emit_by(w, id, "e1", 10), YZ_OK);
    }
    assert_int_equal(gw_uplink_pending(w->uplink), 16);
    assert_int_equal(emit_by(w, "m17", "e1", 10), YZ_BUSY);
    assert_int_equal(gw_uplink_room(w->uplink, &actor, &v), YZ_BUSY);
    assert_int_equal(v.err, YZ_BUSY);
    assert_true(v.retry_after_ms > 0);
    assert_int_equal(rig_counter(&w->rig.metrics.events_busy), 1);
    RIG_AWAIT(&w->rig, w->accepted == 16, 20000);
    assert_int_equal(gw_uplink_pending(w->uplink), 0);
    assert_int_equal(emit(w, "e17"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 17, 20000);
}

/* The window's other half is for the others. */
static void leaves_room_for_other_members(void **state)
{
    static const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member"};
    struct yz_violation v = {0};
    size_t sent = 0;
    char id[16];

    WORLD(state);
    broker_pause(&w->broker);
    while (gw_uplink_room(w->uplink, &actor, &v) == YZ_OK) {
        snprintf(id, sizeof id, "e%zu", ++sent);
        assert_int_equal(emit(w, id), YZ_OK);
    }
    assert_int_equal(sent, 8);
    assert_int_equal(rig_counter(&w->rig.metrics.events_busy_member), 1);
    assert_int_equal(rig_counter(&w->rig.metrics.events_busy), 0);
    assert_int_equal(emit_by(w, "m2", "e1", 10), YZ_OK);
    broker_resume(&w->broker);
    RIG_AWAIT(&w->rig, w->accepted == 9, 2000);
}

static void tells_when_the_stream_is_full(void **state)
{
    size_t sent = 0;

    WORLD(state);
    do {
        char id[16];

        snprintf(id, sizeof id, "e%zu", ++sent);
        assert_int_equal(emit_sized(w, id, 100000), YZ_OK);
        RIG_AWAIT(&w->rig, w->accepted == sent, 2000);
    } while (!w->err && sent < 20);
    assert_int_equal(w->err, YZ_STORAGE_FULL);
    assert_true(yz_err_temporary(w->err));
    assert_true(sent > 5);
}

static void never_accepts_without_the_stream(void **state)
{
    WORLD(state);
    broker_delete(&w->broker, "EVENTS");
    assert_int_equal(emit(w, "e1"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 1, 2000);
    assert_int_equal(w->err, YZ_BUS_UNAVAILABLE);
    /* Another stream on the subject is not EVENTS. */
    broker_stream(&w->broker, "OTHERS", "evt.>", "1.a", "");
    assert_int_equal(emit(w, "e2"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 2, 2000);
    assert_int_equal(w->err, YZ_BUS_UNAVAILABLE);
}

static void answers_at_once_when_the_bus_goes_away(void **state)
{
    WORLD(state);
    broker_pause(&w->broker);
    assert_int_equal(emit(w, "e1"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 1, 2000); /* silent: its time runs out */
    assert_int_equal(w->err, YZ_BUS_UNAVAILABLE);

    broker_resume(&w->broker);
    rig_run(&w->rig, 100);
    broker_pause(&w->broker);
    assert_int_equal(emit(w, "e2"), YZ_OK);
    kill(w->broker.pid, SIGKILL);
    RIG_AWAIT(&w->rig, w->accepted == 2, 2000);
    assert_int_equal(w->err, YZ_BUS_UNAVAILABLE);
    RIG_AWAIT(&w->rig, !gw_link_connected(w->rig.link), 2000);
    assert_int_equal(emit(w, "e3"), YZ_BUS_UNAVAILABLE);
    broker_kill(&w->broker);
    broker_restart(&w->broker);
    RIG_AWAIT(&w->rig, gw_link_connected(w->rig.link), 5000);
    assert_int_equal(emit(w, "e3"), YZ_OK);
    RIG_AWAIT(&w->rig, w->accepted == 3, 2000);
    assert_int_equal(w->err, YZ_OK);
}

static void reads_acknowledgements(void **state)
{
    static const struct {
        const char *text;
        enum yz_err err;
        uint64_t sequence;
        bool duplicate;
    } cases[] = {
        {"{\"stream\":\"EVENTS\",\"seq\":5}", YZ_OK, 5, false},
        {"{\"stream\":\"EVENTS\", \"seq\":5}", YZ_OK, 5, false},
        {"{\"stream\":\"EVENTS\",\"seq\":123456789012345678}", YZ_OK, 123456789012345678, false},
        {"{\"stream\":\"EVENTS\",\"seq\":9223372036854775807}", YZ_OK, INT64_MAX, false},
        {"{\"stream\":\"EVENTS\",\"seq\":9223372036854775808}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":5,\"duplicate\":true}", YZ_OK, 5, true},
        {"{\"stream\":\"EVENTS\",\"seq\":1099511627776,\"duplicate\":true}", YZ_OK, 1099511627776,
         true},
        {"{\"stream\":\"EVENTS\",\"seq\":05}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":-5}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":5x}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":5", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":5}}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"OTHERS\",\"seq\":5}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\",\"seq\":0}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"stream\":\"EVENTS\"}", YZ_BUS_UNAVAILABLE, 0, false},
        {"", YZ_BUS_UNAVAILABLE, 0, false},
        {"[]", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"error\":{\"code\":503,\"err_code\":10077}}", YZ_STORAGE_FULL, 0, false},
        {"{\"error\":{\"code\":400,\"err_code\":10054}}", YZ_FRAME_TOO_LARGE, 0, false},
        {"{\"error\":{\"code\":500}}", YZ_BUS_UNAVAILABLE, 0, false},
        {"{\"error\":null}", YZ_BUS_UNAVAILABLE, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t sequence = 0;
        bool duplicate = false;

        assert_int_equal(
            gw_uplink_read_ack(cases[i].text, strlen(cases[i].text), &sequence, &duplicate),
            cases[i].err);
        assert_int_equal(sequence, cases[i].sequence);
        assert_int_equal(duplicate, cases[i].duplicate);
    }
}

/* A worker in small: echoes the request, or refuses it. */
static void on_question(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    const char *min = NULL;
    natsMsg *reply = NULL;
    struct yz_actor actor;
    struct yz_violation v;

    (void)sub;
    (void)closure;
    natsMsgHeader_Get(msg, YZ_HEADER_MIN_SEQUENCE, &min);
    natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, natsMsg_GetData(msg),
                   natsMsg_GetDataLength(msg));
    if (yz_actor_read(msg, &actor, &v) || strcmp(actor.member, "m1") != 0)
        yz_violate(&v, YZ_FORBIDDEN, NULL, NULL);
    else if (min && strcmp(min, "99") == 0)
        yz_violate(&v, YZ_NOT_SETTLED, NULL, NULL);
    else
        v.err = YZ_OK;
    if (v.err && yz_violation_write(&v, &reply) != YZ_OK)
        abort();
    if (!min || strcmp(min, "1") != 0) /* else no answer at all */
        natsConnection_PublishMsg(nc, reply);
    natsMsg_Destroy(reply);
    natsMsg_Destroy(msg);
}

static void ask(struct world *w, uint64_t min_sequence, enum yz_err expected)
{
    static const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member"};
    size_t before = w->answered;

    assert_int_equal(gw_query_ask(w->query, (struct gw_ticket){42, 8}, &actor, "notice.list",
                                  "ping", 4, min_sequence),
                     YZ_OK);
    RIG_AWAIT(&w->rig, w->answered == before + 1, 2000);
    assert_int_equal(w->err, expected);
    assert_int_equal(w->ticket.request, 8);
}

static void asks_the_workers(void **state)
{
    natsSubscription *sub = NULL;

    WORLD(state);
    ask(w, 0, YZ_BUSY); /* no worker yet */
    assert_non_null(strstr(w->text, "worker"));
    assert_int_equal(natsConnection_QueueSubscribe(&sub, w->broker.nc, "qry.t1.notice.list",
                                                   YZ_QUERY_GROUP, on_question, NULL),
                     NATS_OK);
    natsConnection_Flush(w->broker.nc);
    ask(w, 0, YZ_OK);
    assert_int_equal(w->len, 4);
    assert_memory_equal(w->payload, "ping", 4);
    ask(w, 99, YZ_NOT_SETTLED);
    ask(w, 1, YZ_TIMED_OUT);
    natsSubscription_Destroy(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(accepts_what_the_stream_stored),     CASE(is_busy_beyond_its_window),
        CASE(leaves_room_for_other_members),      CASE(tells_when_the_stream_is_full),
        CASE(never_accepts_without_the_stream),   CASE(answers_at_once_when_the_bus_goes_away),
        cmocka_unit_test(reads_acknowledgements), CASE(asks_the_workers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
