/* The thread that speaks to NATS, against a real nats-server that is stopped, killed and restarted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include "gateway/sender.h"

#define QUEUE_MAX 1024
#define BIG       60000 /* bytes; QUEUE_MAX of them are more than the kernel's buffers hold */

struct world {
    struct broker broker;
    struct rig rig; /* of which only the loop runs */
    uv_async_t async;
    uv_prepare_t turn;
    struct gw_inbound *inbound;
    struct gw_sender *sender;
    uint64_t connection;
    bool connected;
    size_t connects, received, failed;
    uint64_t last; /* number of the last message that came in */
    enum yz_err err;
};

static void on_message(struct world *w, natsMsg *msg)
{
    uint64_t number = strtoull(natsMsg_GetData(msg), NULL, 10);

    assert_true(number > w->last); /* in order, none twice */
    w->last = number;
    w->received++;
}

static void on_failures(struct world *w)
{
    struct gw_failure failures[64];
    size_t count;

    while ((count = gw_sender_failed(w->sender, failures, 64)) > 0) {
        for (size_t i = 0; i < count; i++) {
            assert_true(failures[i].err != YZ_OK);
            w->err = failures[i].err;
            w->failed++;
        }
    }
}

static void on_wake(uv_async_t *async)
{
    struct world *w = async->data;
    struct gw_inbound_item items[64];
    struct gw_inbound_news news;
    bool more;
    size_t count = gw_inbound_take(w->inbound, items, 64, &more);

    for (size_t i = 0; i < count; i++) {
        on_message(w, items[i].msg);
        natsMsg_Destroy(items[i].msg);
    }
    if (more)
        return;
    news = gw_inbound_news(w->inbound);
    if (news.disconnected)
        w->connected = false;
    if (news.failed)
        on_failures(w);
    if (news.connected) {
        w->connected = true;
        w->connects++;
        w->connection = news.connection;
    }
}

static void on_turn(uv_prepare_t *turn)
{
    gw_sender_flush(((struct world *)turn->data)->sender);
}

static int set_up(void **state)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    rig_conf(&w->rig, &w->broker);
    w->rig.conf.bus_queue_max = QUEUE_MAX;
    rig_loop_start(&w->rig);
    assert_int_equal(uv_async_init(&w->rig.loop, &w->async, on_wake), 0);
    w->async.data = w;
    assert_int_equal(gw_inbound_new(65536, &w->async, &w->rig.metrics, &w->inbound), YZ_OK);
    assert_int_equal(
        gw_sender_new(&w->rig.conf, "_INBOX.test.*", w->inbound, &w->rig.metrics, &w->sender),
        YZ_OK);
    uv_prepare_init(&w->rig.loop, &w->turn);
    w->turn.data = w;
    uv_prepare_start(&w->turn, on_turn);
    RIG_AWAIT(&w->rig, w->connected, 5000);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    gw_sender_free(w->sender);
    gw_inbound_close(w->inbound);
    gw_inbound_unref(w->inbound);
    uv_close((uv_handle_t *)&w->async, NULL);
    uv_close((uv_handle_t *)&w->turn, NULL);
    rig_loop_stop(&w->rig);
    return world_free(w);
}

static enum yz_err publish_number(struct world *w, uint64_t number, size_t size)
{
    char *data = calloc(1, size);
    natsMsg *msg = NULL;

    snprintf(data, size, "%llu", (unsigned long long)number);
    assert_int_equal(natsMsg_Create(&msg, "numbers.here", NULL, data, (int)size), NATS_OK);
    free(data);
    return gw_sender_publish(w->sender, msg, w->connection, number);
}

/* Publish until the queue is full; how many were taken. Does not wait for anything. */
static size_t fill(struct world *w, uint64_t first)
{
    size_t count = 0;

    while (publish_number(w, first + count, BIG) == YZ_OK)
        assert_true(++count < 100 * QUEUE_MAX); /* a stopped broker cannot take them all */
    return count;
}

static void keeps_the_order(void **state)
{
    struct gw_subscription *sub = NULL;

    WORLD(state);
    /* Not flushed between: the subscribe is before the publishes, the unsubscribe behind them. */
    assert_int_equal(gw_sender_subscribe(w->sender, 2, "numbers.*", &sub), YZ_OK);
    for (uint64_t i = 1; i <= 500; i++)
        assert_int_equal(publish_number(w, i, 32), YZ_OK);
    RIG_AWAIT(&w->rig, w->received == 500, 5000);
    gw_sender_unsubscribe(w->sender, sub);
    assert_int_equal(publish_number(w, 501, 32), YZ_OK);
    RIG_AWAIT(&w->rig, atomic_load(&w->rig.metrics.bus_queued) == 0, 5000);
    assert_int_equal(w->received, 500);
    assert_int_equal(w->failed, 0);
}

static void refuses_at_once_when_the_queue_is_full(void **state)
{
    struct gw_subscription *sub = NULL;
    uint64_t refused;
    size_t taken;

    WORLD(state);
    assert_int_equal(gw_sender_subscribe(w->sender, 2, "numbers.*", &sub), YZ_OK);
    RIG_AWAIT(&w->rig, atomic_load(&w->rig.metrics.bus_queued) == 0, 5000);
    broker_pause(&w->broker);
    taken = fill(w, 1);
    refused = rig_counter(&w->rig.metrics.bus_queue_refused);
    assert_int_equal(refused, 1);
    assert_int_equal(publish_number(w, taken + 1, BIG), YZ_BUSY);
    /* What ends a subscription is taken all the same. */
    gw_sender_unsubscribe(w->sender, sub);
    broker_resume(&w->broker);
    RIG_AWAIT(&w->rig, atomic_load(&w->rig.metrics.bus_queued) == 0, 20000);
    assert_int_equal(publish_number(w, taken + 2, 32), YZ_OK);
}

/* Given for a connection that was lost: refused, never sent on the next one. */
static void sends_nothing_of_a_lost_connection(void **state)
{
    struct gw_subscription *sub = NULL;
    size_t taken, before;

    WORLD(state);
    broker_pause(&w->broker);
    taken = fill(w, 1);
    broker_kill(&w->broker); /* ends it, stopped or not: nothing of it was read */
    RIG_AWAIT(&w->rig, !w->connected, 20000);
    broker_restart(&w->broker);
    RIG_AWAIT(&w->rig, w->connected && w->failed > 0, 20000);
    RIG_AWAIT(&w->rig, atomic_load(&w->rig.metrics.bus_queued) == 0, 5000);
    assert_true(w->failed <= taken);
    assert_int_equal(w->err, YZ_BUS_UNAVAILABLE);
    assert_int_equal(gw_sender_subscribe(w->sender, 2, "numbers.*", &sub), YZ_OK);
    before = w->failed;
    w->connection--; /* as if the loop had not heard of the new one yet */
    assert_int_equal(publish_number(w, taken + 1, 32), YZ_OK);
    w->connection++;
    assert_int_equal(publish_number(w, taken + 2, 32), YZ_OK);
    RIG_AWAIT(&w->rig, w->received == 1, 5000);
    assert_int_equal(w->last, taken + 2);
    assert_int_equal(w->failed, before + 1);
    gw_sender_unsubscribe(w->sender, sub);
}

static void tells_what_is_too_large(void **state)
{
    WORLD(state);
    assert_int_equal(publish_number(w, 1, 2 << 20), YZ_OK);
    RIG_AWAIT(&w->rig, w->failed == 1, 5000);
    assert_int_equal(w->err, YZ_FRAME_TOO_LARGE);
}

static void keeps_subscriptions_when_opened_anew(void **state)
{
    struct gw_subscription *sub = NULL;
    size_t connects;

    WORLD(state);
    assert_int_equal(gw_sender_subscribe(w->sender, 2, "numbers.*", &sub), YZ_OK);
    RIG_AWAIT(&w->rig, atomic_load(&w->rig.metrics.bus_queued) == 0, 5000);
    connects = w->connects;
    gw_sender_reopen(w->sender);
    gw_sender_reopen(w->sender); /* once is enough */
    RIG_AWAIT(&w->rig, w->connects > connects && w->connected, 5000);
    assert_int_equal(publish_number(w, 1, 32), YZ_OK);
    RIG_AWAIT(&w->rig, w->received == 1, 5000);
    gw_sender_unsubscribe(w->sender, sub);
}

static void ends_with_a_full_queue(void **state)
{
    struct gw_subscription *sub = NULL;

    WORLD(state);
    assert_int_equal(gw_sender_subscribe(w->sender, 2, "numbers.*", &sub), YZ_OK);
    broker_pause(&w->broker);
    assert_true(fill(w, 1) > 0);
    /* tear_down: nothing is leaked, and it returns */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(keeps_the_order),
        CASE(refuses_at_once_when_the_queue_is_full),
        CASE(sends_nothing_of_a_lost_connection),
        CASE(tells_what_is_too_large),
        CASE(keeps_subscriptions_when_opened_anew),
        CASE(ends_with_a_full_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
