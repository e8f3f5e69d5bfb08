#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/inbound.h"

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY  64
#define REPLIES   1 /* the tap of replies, which may fill the queue */
#define SIGNALS   3 /* the tap of signals, which have half of it */
#define PRODUCERS 3
#define EACH      20000

struct world {
    uv_loop_t loop;
    uv_async_t async;
    struct gw_metrics metrics;
    struct gw_inbound *inbound;
    int wakes;
    uint64_t taken, last[PRODUCERS + 1];
    bool dropped;
};

static void on_wake(uv_async_t *async)
{
    struct world *w = async->data;
    struct gw_inbound_item items[16];
    bool more;
    size_t count = gw_inbound_take(w->inbound, items, 16, &more);

    w->wakes++;
    assert_true(more || count <= 16);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = strtoull(natsMsg_GetSubject(items[i].msg), NULL, 10);

        assert_true(number > w->last[items[i].tap]); /* in order of each producer */
        w->last[items[i].tap] = number;
        w->taken++;
        natsMsg_Destroy(items[i].msg);
    }
    if (!more)
        w->dropped |= gw_inbound_news(w->inbound).dropped;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_async_init(&w->loop, &w->async, on_wake), 0);
    w->async.data = w;
    assert_int_equal(gw_inbound_new(CAPACITY, &w->async, &w->metrics, &w->inbound), YZ_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    gw_inbound_close(w->inbound);
    gw_inbound_unref(w->inbound);
    uv_close((uv_handle_t *)&w->async, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    return 0;
}

static void push(struct gw_inbound *inbound, uint64_t tap, int number)
{
    char subject[16];
    natsMsg *msg = NULL;

    snprintf(subject, sizeof subject, "%d", number);
    if (natsMsg_Create(&msg, subject, NULL, "body", 4) != NATS_OK)
        abort();
    gw_inbound_push(inbound, tap, msg,
                    tap == REPLIES   ? GW_WORTH_REPLY
                    : tap == SIGNALS ? GW_WORTH_SIGNAL
                                     : GW_WORTH_LIVE);
}

static void drops_and_tells_when_full(void **state)
{
    struct world *w = *state;

    for (int i = 1; i <= CAPACITY; i++)
        push(w->inbound, 2, i);
    assert_int_equal(atomic_load(&w->metrics.inbound_dropped), CAPACITY / 8);
    for (int i = 1; i <= CAPACITY / 8 + 5; i++)
        push(w->inbound, REPLIES, i);
    assert_int_equal(atomic_load(&w->metrics.inbound_dropped), CAPACITY / 8 + 5);
    for (int i = 0; i < 10 && w->taken < CAPACITY; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->taken, CAPACITY);
    assert_int_equal(w->last[2], CAPACITY - CAPACITY / 8);
    assert_int_equal(w->last[REPLIES], CAPACITY / 8);
    assert_true(w->wakes >= CAPACITY / 16);
    assert_true(w->dropped);
}

/* What nobody misses takes no room from what somebody would, and nothing is read again for it. */
static void drops_signals_first(void **state)
{
    struct world *w = *state;

    for (int i = 1; i <= CAPACITY; i++)
        push(w->inbound, SIGNALS, i);
    assert_int_equal(atomic_load(&w->metrics.signals_dropped), CAPACITY / 2);
    for (int i = 1; i <= CAPACITY / 2 - CAPACITY / 8; i++)
        push(w->inbound, 2, i);
    push(w->inbound, SIGNALS, CAPACITY + 1);
    assert_int_equal(atomic_load(&w->metrics.signals_dropped), CAPACITY / 2 + 1);
    for (int i = 0; i < 10 && w->taken < CAPACITY; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->taken, CAPACITY - CAPACITY / 8);
    assert_int_equal(w->last[SIGNALS], CAPACITY / 2);
    assert_int_equal(atomic_load(&w->metrics.inbound_dropped), 0);
    assert_false(w->dropped);
}

static void tells_news_once(void **state)
{
    struct world *w = *state;
    struct gw_inbound_news news;

    gw_inbound_note_connected(w->inbound, 7);
    news = gw_inbound_news(w->inbound);
    assert_true(news.connected && !news.disconnected);
    assert_false(gw_inbound_news(w->inbound).connected);
    gw_inbound_note_connected(w->inbound, 7);
    gw_inbound_note_disconnected(w->inbound);
    news = gw_inbound_news(w->inbound);
    assert_true(!news.connected && news.disconnected);
    gw_inbound_note_disconnected(w->inbound);
    gw_inbound_note_connected(w->inbound, 7);
    news = gw_inbound_news(w->inbound);
    assert_true(news.connected && news.disconnected); /* it was away between */
}

struct producer {
    struct gw_inbound *inbound;
    uint64_t tap;
};

static void *produce(void *arg)
{
    struct producer *p = arg;

    for (int i = 1; i <= EACH; i++)
        push(p->inbound, p->tap, i);
    gw_inbound_unref(p->inbound);
    return NULL;
}

/* Nothing is lost without being counted. */
static void counts_all_from_many_threads(void **state)
{
    struct world *w = *state;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];

    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){gw_inbound_ref(w->inbound), i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    while (w->taken + atomic_load(&w->metrics.inbound_dropped) +
               atomic_load(&w->metrics.signals_dropped) <
           (uint64_t)PRODUCERS * EACH)
        uv_run(&w->loop, UV_RUN_ONCE);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(w->taken > 0);
}

/* A late callback of nats.c meets a closed queue. */
static void survives_late_producers(void **state)
{
    struct world *w = *state;
    struct producer late = {gw_inbound_ref(w->inbound), 1};

    push(w->inbound, 1, 1);
    gw_inbound_close(w->inbound);
    produce(&late);
    assert_int_equal(atomic_load(&w->metrics.inbound_dropped), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(drops_and_tells_when_full),    CASE(drops_signals_first),     CASE(tells_news_once),
        CASE(counts_all_from_many_threads), CASE(survives_late_producers),
    };

    /* nats.c frees a message only once it is open. */
    if (nats_Open(-1) != NATS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
