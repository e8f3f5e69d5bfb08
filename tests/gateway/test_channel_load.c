/* Phones that come, go, stop reading and resume at random while pushes are published at full speed:
 * each must end up with each push of its channel once and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include <pthread.h>

#define PHONES   50
#define CHANNELS 3
#define PUSHES   20000
#define RESTARTS 3

static const char *const names[CHANNELS] = {"meeting.g1/c1/b1.m1", "org.g1", "thread.g1.t1"};
static const char *const subjects[CHANNELS] = {"chan.t1.meeting.g1/c1/b1.m1", "chan.t1.org.g1",
                                               "thr.t1.g1.t1"};

struct world {
    struct broker broker;
    struct rig rig;
    struct phone phones[PHONES], witness[CHANNELS];
    unsigned seed;
    pthread_t publisher;
    atomic_bool published;
    int pause_us; /* between two bursts */
};

static int set_up(void **state)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    w->seed = (unsigned)time(NULL);
    printf("seed %u\n", w->seed);
    broker_streams(&w->broker, "");
    rig_conf(&w->rig, &w->broker);
    rig_start(&w->rig);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    for (int i = 0; i < PHONES; i++)
        phone_deinit(&w->phones[i]);
    for (int i = 0; i < CHANNELS; i++)
        phone_deinit(&w->witness[i]);
    rig_stop(&w->rig);
    return world_free(w);
}

/* Bursts on all channels. While the broker is away what is published is lost: so it is for a
 * worker, which then sends again; here only what the streams hold counts. */
static void *publish_all(void *arg)
{
    struct world *w = arg;
    natsConnection *nc = broker_connect(&w->broker);

    for (int sent = 0; sent < PUSHES; sent += 25) {
        uint8_t body[64];
        Yizhan__V1__Push push = YIZHAN__V1__PUSH__INIT;
        size_t len;

        push.id = (char *)(uintptr_t) "1-0";
        len = yizhan__v1__push__pack(&push, body);
        for (int i = 0; i < 25; i++)
            (void)natsConnection_Publish(nc, subjects[(sent / 25 + i) % CHANNELS], body, (int)len);
        (void)natsConnection_FlushTimeout(nc, 1000);
        if (w->pause_us)
            usleep((useconds_t)w->pause_us);
    }
    natsConnection_Destroy(nc);
    atomic_store(&w->published, true);
    return NULL;
}

static unsigned draw(struct world *w, unsigned below)
{
    return (unsigned)rand_r(&w->seed) % below;
}

/* A phone in any state does one thing: come back, leave, read on, or nothing. */
static void act(struct world *w, struct phone *p)
{
    if (p->lost)
        fail_msg("a channel was lost: %d", (int)p->lost);
    if (!p->sub) {
        /* A phone that knows its place always resumes from there; BUS_UNAVAILABLE: it tries again
         * later. */
        (void)!phone_join(&w->rig, p, *p->epoch ? phone_place(p) : from_start);
    } else if (draw(w, 3) == 0) {
        phone_leave(&w->rig, p);
    } else if (p->paused) {
        phone_make_room(&w->rig, p, draw(w, 2000));
    }
}

/* Only the first time, without an epoch, nothing is promised. */
static void check_resumed(const struct phone *p)
{
    if (p->subscribed && p->resumed)
        assert_true(p->recovered);
}

static void let_them_come_and_go(struct world *w, bool restart)
{
    int64_t next_restart = yz_clock_mono_ms() + 500;
    int restarts = 0;

    assert_int_equal(pthread_create(&w->publisher, NULL, publish_all, w), 0);
    while (!atomic_load(&w->published)) {
        for (int i = 0; i < 3; i++)
            act(w, &w->phones[draw(w, PHONES)]);
        for (int i = 0; i < PHONES; i++)
            check_resumed(&w->phones[i]);
        uv_run(&w->rig.loop, UV_RUN_ONCE);
        if (restart && restarts < RESTARTS && yz_clock_mono_ms() > next_restart) {
            broker_kill(&w->broker);
            rig_run(&w->rig, 50);
            broker_restart(&w->broker);
            restarts++;
            next_restart = yz_clock_mono_ms() + 1500;
        }
    }
    pthread_join(w->publisher, NULL);
}

/* Back online until it is there and stays. */
static void come_to_rest(struct world *w)
{
    for (int i = 0; i < PHONES; i++) {
        struct phone *p = &w->phones[i];
        int64_t until = yz_clock_mono_ms() + 20000;

        p->limited = false;
        phone_make_room(&w->rig, p, 0);
        while ((!p->sub || !p->subscribed) && yz_clock_mono_ms() < until) {
            if (!p->sub)
                (void)!phone_join(&w->rig, p, *p->epoch ? phone_place(p) : from_start);
            uv_run(&w->rig.loop, UV_RUN_ONCE);
        }
        assert_true(p->subscribed);
    }
}

static void compare(struct world *w)
{
    for (int i = 0; i < CHANNELS; i++) {
        phone_init(&w->witness[i], "m0", names[i]);
        assert_int_equal(phone_join(&w->rig, &w->witness[i], from_start), YZ_OK);
        RIG_AWAIT(&w->rig, w->witness[i].subscribed, 20000);
        assert_true(w->witness[i].count > 0);
    }
    for (int i = 0; i < PHONES; i++) {
        struct phone *p = &w->phones[i], *all = &w->witness[i % CHANNELS];

        RIG_AWAIT(&w->rig, p->count >= all->count, 20000);
        assert_int_equal(p->count, all->count);
        assert_memory_equal(p->offsets, all->offsets, all->count * sizeof *all->offsets);
        assert_int_equal(p->lost, YZ_CLOSE_NONE);
    }
    printf("%zu + %zu + %zu pushes; %lu history reads, %lu gaps, %lu repaired, %lu dropped\n",
           w->witness[0].count, w->witness[1].count, w->witness[2].count,
           (unsigned long)rig_counter(&w->rig.metrics.history_reads),
           (unsigned long)rig_counter(&w->rig.metrics.gaps_found),
           (unsigned long)rig_counter(&w->rig.metrics.pushes_repaired),
           (unsigned long)rig_counter(&w->rig.metrics.inbound_dropped));
}

static void play(void **state, int pause_us, bool restart)
{
    WORLD(state);
    w->pause_us = pause_us;
    for (int i = 0; i < PHONES; i++) {
        phone_init(&w->phones[i], "m1", names[i % CHANNELS]);
        w->phones[i].limited = i % 2;
    }
    let_them_come_and_go(w, restart);
    come_to_rest(w);
    compare(w);
}

static void each_push_once_at_full_speed(void **state)
{
    play(state, 0, false);
}

static void each_push_once_at_leisure(void **state)
{
    play(state, 2000, false);
}

static void each_push_once_over_restarts(void **state)
{
    play(state, 5000, true);
}

/* The queue between nats.c and the loop overflows again and again. */
static int set_up_small_queue(void **state)
{
    setenv("YZ_INBOUND_QUEUE_MAX", "1024", 1);
    (void)set_up(state);
    unsetenv("YZ_INBOUND_QUEUE_MAX");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_push_once_at_full_speed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_push_once_at_leisure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_push_once_over_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_push_once_at_full_speed, set_up_small_queue,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
