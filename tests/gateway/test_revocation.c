/* The tokens that no longer count, before a broker that the test plays: the stream STATE as its
 * leader has it, and how much of it the follower has that answers the looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include "auth.pb-c.h"
#include "gateway/revocation.h"

#define REQUESTS_MAX 16
#define VALUES_MAX   4
#define VOIDS_MAX    3

struct request {
    uint64_t id; /* 0: free */
    gw_reply_fn *on_reply;
    void *arg;
    char subject[64], text[512];
};

/* The last message of one member's subject. */
struct value {
    const char *member;
    uint64_t seq;
    size_t voids;
};

struct gw_link {
    struct gw_streams *streams;
    struct request requests[REQUESTS_MAX];
    uint64_t last_id;
    gw_resync_fn *on_resync[LINK_LISTENERS_MAX];
    void *resync_arg[LINK_LISTENERS_MAX];
    gw_message_fn *on_live;
    void *live_arg;

    /* STATE */
    uint64_t last_seq, follower_seq;
    int replicas;
    struct value values[VALUES_MAX];
    size_t count;
    bool leader_mute;
    int looks, leader_asked;
};

struct world {
    struct rig rig; /* its loop and configuration */
    struct gw_link link;
    struct gw_revocations *revocations;
};

bool gw_link_connected(const struct gw_link *link)
{
    (void)link;
    return true;
}

struct gw_streams *gw_link_streams(const struct gw_link *link)
{
    return link->streams;
}

enum yz_err gw_link_request(struct gw_link *link, const char *subject, const void *data, size_t len,
                            int64_t timeout_ms, gw_reply_fn *on_reply, void *arg, uint64_t *id)
{
    struct request *r = link->requests;

    (void)timeout_ms;
    while (r->id)
        r++;
    assert_true(r < link->requests + REQUESTS_MAX && len < sizeof r->text);
    *r = (struct request){.id = ++link->last_id, .on_reply = on_reply, .arg = arg};
    snprintf(r->subject, sizeof r->subject, "%s", subject);
    memcpy(r->text, data, len);
    if (id)
        *id = r->id;
    return YZ_OK;
}

void gw_link_cancel(struct gw_link *link, uint64_t id)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (link->requests[i].id == id)
            link->requests[i].id = 0;
    }
}

enum yz_err gw_link_subscribe(struct gw_link *link, const char *subject, gw_message_fn *on_message,
                              void *arg, struct gw_tap **tap)
{
    assert_string_equal(subject, "live.state.*.auth.revoked.>");
    link->on_live = on_message;
    link->live_arg = arg;
    *tap = (struct gw_tap *)link;
    return YZ_OK;
}

void gw_link_unsubscribe(struct gw_link *link, struct gw_tap *tap)
{
    (void)tap;
    link->on_live = NULL;
}

void gw_link_on_resync(struct gw_link *link, gw_resync_fn *on_resync, void *arg)
{
    size_t i = 0;

    while (link->on_resync[i])
        i++;
    link->on_resync[i] = on_resync;
    link->resync_arg[i] = arg;
}

void gw_link_off_resync(struct gw_link *link, void *arg)
{
    for (size_t i = 0; i < LINK_LISTENERS_MAX; i++) {
        if (link->resync_arg[i] == arg)
            link->on_resync[i] = NULL;
    }
}

static natsMsg *message(const char *subject, const void *data, size_t len)
{
    natsMsg *msg = NULL;

    assert_int_equal(natsMsg_Create(&msg, subject, NULL, data, (int)len), NATS_OK);
    return msg;
}

static void number(natsMsg *msg, const char *header, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lu", (unsigned long)value);
    assert_int_equal(natsMsgHeader_Set(msg, header, text), NATS_OK);
}

/* As the broker stores and republishes it; each void of a token of its own. */
static natsMsg *revocation(const struct value *value)
{
    Yizhan__V1__AuthVoid voids[VOIDS_MAX], *list[VOIDS_MAX];
    Yizhan__V1__AuthRevocation body = YIZHAN__V1__AUTH_REVOCATION__INIT;
    Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
    char ids[VOIDS_MAX][24], subject[64];
    uint8_t payload[512], data[1024];
    natsMsg *msg;

    assert_true(value->voids <= VOIDS_MAX);
    for (size_t i = 0; i < value->voids; i++) {
        snprintf(ids[i], sizeof ids[i], "k%zu", i);
        yizhan__v1__auth_void__init(list[i] = &voids[i]);
        voids[i].org_path = (char *)(uintptr_t) "g1";
        voids[i].token_id = ids[i];
    }
    body.member_id = (char *)(uintptr_t)value->member;
    body.voids = list;
    body.n_voids = value->voids;
    push.type = (char *)(uintptr_t) "auth.revocation";
    push.payload.data = payload;
    push.payload.len = yizhan__v1__auth_revocation__pack(&body, payload);
    snprintf(subject, sizeof subject, "state.t1.auth.revoked.%s", value->member);
    msg = message("live.state", data, yizhan__v1__push__pack(&push, data));
    natsMsgHeader_Set(msg, "Nats-Subject", subject);
    number(msg, "Nats-Sequence", value->seq);
    return msg;
}

static bool give(const struct request *r, natsMsg *msg)
{
    bool more = r->on_reply(r->arg, msg, YZ_OK);

    natsMsg_Destroy(msg);
    return more;
}

static void answer_info(struct gw_link *link, const struct request *r)
{
    char text[256];

    snprintf(text, sizeof text,
             "{\"config\":{\"metadata\":{\"yizhan-epoch\":\"1.a\"},\"num_replicas\":%d},"
             "\"state\":{\"first_seq\":1,\"last_seq\":%lu}}",
             link->replicas, (unsigned long)link->last_seq);
    give(r, message("x", text, strlen(text)));
}

/* By the follower: what it has from the sequence asked for on, and how far it looked; but for that
 * it has nothing there. */
static void answer_look(struct gw_link *link, const struct request *r)
{
    uint64_t from = strtoull(strstr(r->text, "\"seq\":") + 6, NULL, 10), last = 0;
    natsMsg *msg;

    link->looks++;
    for (size_t i = 0; i < link->count; i++) {
        if (link->values[i].seq < from || link->values[i].seq > link->follower_seq)
            continue;
        msg = revocation(&link->values[i]);
        number(msg, "Nats-Last-Sequence", last);
        last = link->values[i].seq;
        assert_true(give(r, msg));
    }
    msg = message("x", "", 0);
    natsMsgHeader_Set(msg, "Status", last ? "204" : "404");
    natsMsgHeader_Set(msg, "Description", last ? "EOB" : "No Results");
    if (last) {
        number(msg, "Nats-Last-Sequence", last);
        number(msg, "Nats-UpTo-Sequence", link->follower_seq);
    }
    give(r, msg);
}

static void answer_leader(struct gw_link *link, const struct request *r)
{
    char text[64] = "{\"error\":{\"code\":404}}";

    link->leader_asked++;
    assert_non_null(strstr(r->text, "\"last_by_subj\":\"state.*.auth.revoked.>\""));
    if (link->leader_mute) {
        (void)r->on_reply(r->arg, NULL, YZ_TIMED_OUT);
        return;
    }
    if (link->count > 0)
        snprintf(text, sizeof text, "{\"message\":{\"seq\":%lu}}",
                 (unsigned long)link->values[link->count - 1].seq);
    give(r, message("x", text, strlen(text)));
}

/* Answer what was asked so far, and let the loop turn. */
static void turn(struct world *w)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request r = w->link.requests[i];

        if (!r.id)
            continue;
        w->link.requests[i].id = 0;
        if (strstr(r.subject, "DIRECT.GET.STATE"))
            answer_look(&w->link, &r);
        else if (strstr(r.subject, "MSG.GET.STATE"))
            answer_leader(&w->link, &r);
        else
            answer_info(&w->link, &r);
    }
    uv_run(&w->rig.loop, UV_RUN_ONCE);
    (void)gw_revocations_changed(w->revocations);
}

#define TURN_UNTIL(w, condition) AWAIT_BY(turn(w), condition, 20000)

static void live(struct world *w, struct value value)
{
    natsMsg *msg = revocation(&value);

    w->link.on_live(w->link.live_arg, msg);
    natsMsg_Destroy(msg);
}

static bool ready(const struct world *w)
{
    const char *reason;

    return gw_revocations_ready(w->revocations, &reason);
}

static enum yz_err judge(const struct world *w, const char *member, const char *token_id)
{
    struct gw_identity identity = {.issued_at_ms = 1};

    snprintf(identity.actor.tenant, sizeof identity.actor.tenant, "t1");
    snprintf(identity.actor.member, sizeof identity.actor.member, "%s", member);
    snprintf(identity.actor.org_path, sizeof identity.actor.org_path, "g1/c1");
    snprintf(identity.token_id, sizeof identity.token_id, "%s", token_id);
    return gw_revocations_judge(w->revocations, &identity);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->rig.conf.revocations_max = 3;
    w->rig.conf.audit_interval_ms = 60000; /* only what is looked at soon is looked at here */
    w->link.replicas = 3;
    rig_loop_start(&w->rig);
    assert_int_equal(gw_streams_new(&w->link, &w->rig.loop, &w->link.streams), YZ_OK);
    assert_int_equal(
        gw_revocations_new(&w->rig.conf, &w->rig.loop, &w->link, &w->rig.metrics, &w->revocations),
        YZ_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    gw_revocations_free(w->revocations);
    gw_streams_free(w->link.streams);
    rig_loop_stop(&w->rig);
    free(w);
    return 0;
}

/* The stream holds so many messages, the last of them revocations; the follower has all. */
static void hold(struct world *w, uint64_t last_seq, size_t count, const struct value *values)
{
    if (count > 0)
        memcpy(w->link.values, values, count * sizeof *values);
    w->link.count = count;
    w->link.last_seq = w->link.follower_seq = last_seq;
}

static void what_finds_no_room_is_void_altogether(void **state)
{
    struct world *w = *state;

    hold(w, 1, 1, (struct value[]){{"m1", 1, 1}});
    TURN_UNTIL(w, ready(w));
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m1", "k1"), YZ_OK);
    live(w, (struct value){"m2", 2, 3}); /* with these it is one more than fits */
    assert_false(ready(w));
    assert_true(gw_revocations_changed(w->revocations));
    assert_int_equal(judge(w, "m2", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m2", "another"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m3", "k0"), YZ_BUSY);
    assert_int_equal(judge(w, "m1", "k1"), YZ_BUSY);
}

/* Linked in place of those of common/memory.c. */
void *__real_yz_malloc(size_t size);
void *__wrap_yz_malloc(size_t size);
unsigned __wrap_yz_memory_refusals(void);

static int
    until_refused; /* so many allocations are left, the last of which fails; 0: all are there */
static unsigned refusals;

void *__wrap_yz_malloc(size_t size)
{
    if (until_refused == 0 || --until_refused > 0)
        return __real_yz_malloc(size);
    refusals++;
    return NULL;
}

unsigned __wrap_yz_memory_refusals(void)
{
    return refusals;
}

/* Whichever allocation fails: nobody is let in by it. */
static void what_finds_no_memory_is_void_all_the_same(void **state)
{
    bool refused = true;

    for (int nth = 1; refused; nth++) {
        struct world *w = *state;

        hold(w, 1, 0, NULL);
        TURN_UNTIL(w, ready(w));
        until_refused = nth;
        live(w, (struct value){"m1", 2, 2});
        refused = until_refused == 0;
        until_refused = 0;
        assert_true(refused || nth > 5);
        assert_true(refused || ready(w));
        assert_int_not_equal(judge(w, "m1", "k1"), YZ_OK);
        tear_down(state);
        set_up(state);
    }
}

/* What was void stays so when what comes on top finds no room. */
static void a_member_whose_new_voids_find_no_room_keeps_none_open(void **state)
{
    struct world *w = *state;

    hold(w, 2, 2, (struct value[]){{"m1", 1, 1}, {"m2", 2, 2}});
    TURN_UNTIL(w, ready(w));
    live(w, (struct value){"m1", 3, 2});
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m1", "k1"), YZ_TOKEN_REVOKED);
    live(w, (struct value){"m1", 4, 1}); /* restored down to what fits */
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m1", "k1"), YZ_BUSY);
    assert_int_equal(w->rig.metrics.revocations, 3);
}

/* It counts the messages that are freed. */
static int open_library(void **state)
{
    (void)state;
    return nats_Open(-1) == NATS_OK ? 0 : -1;
}

static int close_library(void **state)
{
    (void)state;
    nats_Close();
    return 0;
}

/* However often it is asked: nobody is let in by what it does not know yet. */
static void a_follower_that_is_behind_does_not_count(void **state)
{
    struct world *w = *state;
    const char *reason;

    hold(w, 9, 2, (struct value[]){{"m1", 3, 1}, {"m2", 8, 1}});
    w->link.follower_seq = 5;
    TURN_UNTIL(w, w->link.looks >= 4);
    assert_int_equal(judge(w, "m2", "k0"), YZ_BUS_UNAVAILABLE);
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_false(gw_revocations_ready(w->revocations, &reason));
    assert_non_null(strstr(reason, "behind"));
    w->link.follower_seq = 9;
    TURN_UNTIL(w, ready(w));
    assert_int_equal(judge(w, "m2", "k0"), YZ_TOKEN_REVOKED);
}

/* It has not come to the stream's end, but to the last of what is looked for. */
static void what_the_leader_has_not_need_not_be_waited_for(void **state)
{
    struct world *w = *state;

    hold(w, 9, 1, (struct value[]){{"m1", 3, 1}});
    w->link.follower_seq = 5;
    TURN_UNTIL(w, ready(w));
    assert_int_equal(w->link.leader_asked, 1);
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
}

/* A look that met nothing does not tell how far it came: the leader does. */
static void nothing_met_is_nothing_there_when_the_leader_says_so(void **state)
{
    struct world *w = *state;

    hold(w, 9, 0, (struct value[]){{0}});
    TURN_UNTIL(w, ready(w));
    assert_int_equal(w->link.leader_asked, 1);
    assert_int_equal(judge(w, "m1", "k0"), YZ_OK);
}

static void nothing_met_does_not_count_when_the_leader_has_more(void **state)
{
    struct world *w = *state;

    hold(w, 9, 1, (struct value[]){{"m1", 7, 1}});
    w->link.follower_seq = 4;
    TURN_UNTIL(w, w->link.leader_asked >= 3);
    w->link.leader_mute = true;
    TURN_UNTIL(w, w->link.leader_asked >= 5);
    assert_int_equal(judge(w, "m1", "k0"), YZ_BUS_UNAVAILABLE);
    w->link.follower_seq = 8; /* still not the end, but what it looks for is there */
    w->link.leader_mute = false;
    TURN_UNTIL(w, ready(w));
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
}

static void resync(struct world *w)
{
    for (size_t i = 0; i < LINK_LISTENERS_MAX; i++) {
        if (w->link.on_resync[i])
            w->link.on_resync[i](w->link.resync_arg[i]);
    }
}

/* A broker came back without its last messages and gives their sequences again. */
static void a_lost_tail_makes_nothing_stale(void **state)
{
    struct world *w = *state;

    w->link.replicas = 1;
    hold(w, 9, 2, (struct value[]){{"m1", 8, 1}, {"m2", 9, 1}});
    TURN_UNTIL(w, ready(w));
    hold(w, 5, 1, (struct value[]){{"m3", 5, 1}});
    resync(w);
    TURN_UNTIL(w, judge(w, "m3", "k0") == YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(judge(w, "m2", "k0"), YZ_TOKEN_REVOKED);
    live(w, (struct value){"m1", 6, 0});
    assert_int_equal(judge(w, "m1", "k0"), YZ_OK);
    hold(w, 7, 2, (struct value[]){{"m3", 5, 1}, {"m2", 7, 0}}); /* not republished to us */
    resync(w);
    TURN_UNTIL(w, judge(w, "m2", "k0") == YZ_OK);
    assert_true(ready(w));
}

/* What a new leader has not applied yet is not lost: nothing is read anew for it. */
static void a_leader_that_is_behind_is_no_lost_tail(void **state)
{
    struct world *w = *state;

    hold(w, 9, 1, (struct value[]){{"m1", 9, 1}});
    TURN_UNTIL(w, ready(w));
    w->link.last_seq = 5;
    resync(w);
    turn(w);
    live(w, (struct value){"m1", 7, 0}); /* one that was long on its way */
    assert_int_equal(judge(w, "m1", "k0"), YZ_TOKEN_REVOKED);
    assert_int_equal(gw_streams_get(w->link.streams, GW_STATE)->resets, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_void_altogether, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_finds_no_memory_is_void_all_the_same, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_member_whose_new_voids_find_no_room_keeps_none_open,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_follower_that_is_behind_does_not_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_the_leader_has_not_need_not_be_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_met_is_nothing_there_when_the_leader_says_so,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_met_does_not_count_when_the_leader_has_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lost_tail_makes_nothing_stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_leader_that_is_behind_is_no_lost_tail, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
