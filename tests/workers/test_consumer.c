/* Leases, publisher, consumer and outbox against a real nats-server and a real database, with a
 * domain of the test's own. */
#include "workers/consumer.h"

#include "rig.h"
#include "workers/deadletter.h"
#include "workers/outbox.h"
#include "workers/outcome.h"
#include "workers/registry.h"
#include "workers/stall.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <thread.pb-c.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTS_SENT 300

static natsMsg *message(const char *subject, const char *text)
{
    natsMsg *msg = NULL;

    assert_int_equal(natsMsg_Create(&msg, subject, NULL, text, (int)strlen(text)), NATS_OK);
    return msg;
}

static unsigned held(struct wk_lease *lease)
{
    unsigned count = 0;

    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct wk_lease_view view;

        wk_lease_look(lease, p, &view);
        count += view.revision != 0 && !view.leaving;
    }
    return count;
}

static void wait_for_all(struct wk_lease *lease)
{
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;

    while (held(lease) < YZ_PARTITIONS && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    assert_int_equal(held(lease), YZ_PARTITIONS);
}

/* What a consumer thread with nothing in its hands does. */
static void drain(struct wk_lease *lease)
{
    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct wk_lease_view view;

        wk_lease_look(lease, p, &view);
        if (view.revision && view.leaving)
            wk_lease_drained(lease, p, view.revision);
    }
}

static void test_leases_are_shared_and_given_up(void **state)
{
    struct wk_lease *a, *b;
    int64_t until;

    (void)state;
    assert_int_equal(wk_lease_new(&conf, nc, "a-1", &metrics, &a), YZ_OK);
    wait_for_all(a);
    assert_int_equal(wk_lease_new(&conf, nc, "b-1", &metrics, &b), YZ_OK);
    until = yz_clock_mono_ms() + PATIENCE_MS;
    while ((held(b) < 8 || held(a) + held(b) < YZ_PARTITIONS) && yz_clock_mono_ms() < until) {
        drain(a);
        nats_Sleep(20);
    }
    assert_int_equal(held(a) + held(b), YZ_PARTITIONS);
    assert_in_range(held(b), 8, 56);
    /* a ends without a word: b takes its partitions once its beat is gone */
    wk_lease_stop(a, 0);
    wk_lease_free(a);
    wait_for_all(b);
    for (unsigned p = 0; p < YZ_PARTITIONS; p++) {
        struct wk_lease_view view;

        wk_lease_look(b, p, &view);
        assert_true(wk_lease_verify(b, p, view.revision));
        assert_false(wk_lease_verify(b, p, view.revision + 1));
    }
    wk_lease_stop(b, 0);
    wk_lease_free(b);
}

static void delete_event(uint64_t sequence)
{
    json_t *reply = NULL;

    assert_int_equal(wk_stream_call(nc, "STREAM.MSG.DELETE.EVENTS",
                                    json_pack("{s:I}", "seq", (json_int_t)sequence), &reply, NULL),
                     YZ_OK);
    json_decref(reply);
}

/* Nobody takes what the consumers hand: a partition with an event stands still, one without has
 * nothing to hand. */
static void test_a_partition_that_stands_still_is_taken_anew(void **state)
{
    static struct wk_metrics counted;
    struct yz_conf impatient = conf;
    struct wk_stall stall = {0};
    struct wk_stall_events events = {.first_sequence = 1, .stale = true};
    struct wk_lease_view before, after;
    struct wk_lease *lease;
    uint64_t sequence;

    (void)state;
    impatient.events_stale_ms = impatient.ack_wait_ms = 0;
    assert_int_equal(wk_lease_new(&impatient, nc, "still", &counted, &lease), YZ_OK);
    wait_for_all(lease);
    assert_int_equal(wk_stream_put(nc, "evt.5.t1.notice.g1", "x", -1, &sequence, NULL), YZ_OK);
    events.now_us = (yz_clock_wall_ms() + 1000) * 1000;
    wk_lease_look(lease, 5, &before);
    wk_stall_look(&stall, &impatient, nc, lease, &counted, &events, false);
    assert_int_equal(atomic_load(&counted.partitions_stalled), 0);
    for (unsigned try = 1; try < 8; try++) {
        wk_stall_look(&stall, &impatient, nc, lease, &counted, &events, true);
        assert_int_equal(atomic_load(&counted.partitions_stalled), try);
        wait_for_all(lease);
        wk_lease_look(lease, 5, &after);
        assert_true(after.revision > before.revision);
        before = after;
        assert_int_equal(stall.tries[5], try < 5 ? try : 5);
        assert_int_equal(stall.tries[6], 0);
    }
    /* What was handed ends the waiting for longer and longer; one with patience waits. */
    nats_Sleep(2);
    wk_lease_handed(lease, 5);
    impatient.events_stale_ms = 3600000;
    wk_stall_look(&stall, &impatient, nc, lease, &counted, &events, true);
    assert_int_equal(stall.tries[5], 0);
    assert_int_equal(atomic_load(&counted.partitions_stalled), 7);
    delete_event(sequence);
    wk_lease_stop(lease, 0);
    wk_lease_free(lease);
}

static int64_t count_attempt(struct wk_store *store, const struct wk_delivery *delivery)
{
    int64_t attempts = 0;

    assert_int_equal(wk_deadletter_count(store, delivery, &attempts), YZ_OK);
    return attempts;
}

/* Never below one: an event that was counted goes alone from then on. */
static void test_an_attempt_that_was_survived_is_counted_back(void **state)
{
    struct wk_store *store = wk_store_pop(pool);
    struct wk_delivery first = {.sequence = 901}, second = {.sequence = 902};

    (void)state;
    first.msg = message("evt.3.t1.notice.g1", "x");
    second.msg = message("evt.3.t1.notice.g1", "x");
    for (int64_t n = 1; n <= 3; n++)
        assert_int_equal(count_attempt(store, &first), n);
    assert_int_equal(wk_deadletter_acquit(store, &first, 3), YZ_OK);
    assert_int_equal(count_attempt(store, &first), 3);
    /* Another owner counted in the meantime: what is known here is old, and nothing is taken back.
     */
    assert_int_equal(wk_deadletter_acquit(store, &first, 2), YZ_OK);
    assert_int_equal(count_attempt(store, &first), 4);
    assert_int_equal(count_attempt(store, &second), 1);
    assert_int_equal(wk_deadletter_acquit(store, &second, 1), YZ_OK);
    assert_int_equal(count_attempt(store, &second), 2);
    natsMsg_Destroy(first.msg);
    natsMsg_Destroy(second.msg);
    wk_store_push(pool, store);
}

/* The test's domain: a post with the text "later" causes the post `message_id`-2 in thread "other".
 */
static void post_id(const struct wk_event *event, char out[WK_ID_MAX])
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;

    wk_id(out, event->env->actor.tenant, p->thread_id, p->message_id, NULL);
}

/* Another partition judges an event of this id, with another payload, while ours is judged. */
static void take_id(const struct wk_event *event)
{
    struct wk_store *store = wk_store_pop(pool);
    struct wk_outcome rival = {.hash = "another", .sequence = 1, .decided_by = 1};
    struct wk_write write = {.kind = WK_INSERT, .id = rival.id};
    bson_t *document;

    wk_outcome_id(event->env, rival.id);
    rival.status = WK_APPLIED;
    write.document = document = wk_outcome_document(&rival, event->env);
    assert_int_equal(wk_store_write(store, WK_OUTCOMES, &write, 1), YZ_OK);
    bson_destroy(document);
    wk_store_push(pool, store);
}

/* One with the text "rests" needs the post m920 of thread "f", which is another aggregate's; one
 * with "follows" its post m930. */
static bool base_was_there, base_was_stored;

static void needs_base(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;

    if (strcmp(p->text, "rests") == 0)
        wk_need(needs, "posts", "t1|f|m920");
    if (strcmp(p->text, "follows") == 0)
        wk_need(needs, "posts", "t1|f|m930");
    if (strcmp(p->text, "counts") == 0)
        wk_need_own(needs, "threads", "t1|h");
}

static void look_at_base(struct wk_fold *fold)
{
    base_was_there = wk_get(fold, "posts", "t1|f|m920") != NULL;
    base_was_stored = count("posts", BCON_NEW("_id", "t1|f|m920")) == 1;
}

static enum yz_err judge(const struct wk_event *event, struct wk_fold *fold, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;

    if (strcmp(p->text, "rests") == 0)
        look_at_base(fold);
    if (strcmp(p->text, "rival") == 0)
        take_id(event);
    if (strcmp(p->text, "ends") == 0)
        atomic_store(&stopping, true);
    return strcmp(p->text, "no") == 0 ? yz_violate(v, YZ_FORBIDDEN, "text", NULL) : YZ_OK;
}

static void apply(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;
    Yizhan__V1__ThreadPost pushed = YIZHAN__V1__THREAD_POST__INIT;
    char id[WK_ID_MAX], channel[YZ_CHANNEL_MAX];

    post_id(event, id);
    wk_insert(fold, "posts", id, BCON_NEW("text", BCON_UTF8(p->text)), YZ_ALREADY_POSTED,
              "messageId");
    if (strcmp(p->text, "counts") == 0)
        wk_put(fold, "threads", "t1|h", BCON_NEW("last", BCON_UTF8(p->message_id)));
    snprintf(channel, sizeof channel, "thread.%s.%s", p->org_path, p->thread_id);
    pushed.sequence = event->sequence;
    wk_push(fold, channel, "thread.post", &pushed.base, NULL);
    wk_value(fold, channel, "last", "thread.post", &pushed.base, NULL);
    if (strcmp(p->text, "later") == 0) {
        Yizhan__V1__ThreadPosted other = *p;

        other.thread_id = "other";
        other.text = "from the outbox";
        wk_later(fold, 0, event->received_at_ms + 1000, "thread.posted", &other.base);
    }
}

static const struct wk_event_handler *find_handler(const char *type)
{
    static const struct wk_event_handler handler = {"thread.posted", needs_base, judge, apply};

    return strcmp(type, handler.type) == 0 ? &handler : NULL;
}

static natsMsg *make_post(unsigned number, unsigned message, const char *thread, const char *text)
{
    char event_id[16], message_id[16];

    snprintf(event_id, sizeof event_id, "e%u", number);
    snprintf(message_id, sizeof message_id, "m%u", message);
    return post_event(event_id, thread, message_id, text);
}

static void emit(unsigned number, const char *thread, const char *text)
{
    send_event(make_post(number, number, thread, text));
}

static void test_events_settle_and_the_outbox_delivers(void **state)
{
    struct wk_batch_means means = new_means(find_handler);
    struct wk_consumer *consumers[2];
    struct wk_outbox *outbox;

    (void)state;
    assert_int_equal(wk_lease_new(&conf, nc, "c-1", &metrics, &means.lease), YZ_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(wk_consumer_start(&means, i, 2, &consumers[i]), YZ_OK);
    assert_int_equal(wk_outbox_start(&conf, pool, means.lease, &metrics, NULL, &outbox), YZ_OK);
    for (unsigned i = 0; i < EVENTS_SENT; i++)
        emit(i, i % 2 ? "a" : "b", i == 7 ? "no" : "yes");
    emit(EVENTS_SENT, "a", "later");
    wait_count("outcomes", BCON_NEW("status", "applied"), EVENTS_SENT + 1);
    assert_int_equal(count("outcomes", BCON_NEW("status", "refused")), 1);
    /* A document comes behind its outcome. */
    wait_count("posts", BCON_NEW("text", "from the outbox"), 1);
    assert_int_equal(count("outcomes", of_rows()), 1);
    wk_lease_stop(means.lease, PATIENCE_MS);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < 2; i++)
        wk_consumer_stop(consumers[i]);
    wk_outbox_stop(outbox);
    wk_lease_free(means.lease);
    assert_int_equal(count("outbox", BCON_NEW("state", "done")), 1);
    assert_int_equal(stored("THREADS", "thr.t1.>"), EVENTS_SENT + 1);
    assert_int_equal(stored("CHANNELS", "chan.t1.member.u1"), 1);
    assert_int_equal(stored("STATE", "state.t1.thread.>"), 3);
    assert_int_equal(stored("EVENTS", "evt.>"), 0);
}

static size_t has_outcome(const char *event_id, const char *status)
{
    return count("outcomes",
                 BCON_NEW("event_id", BCON_UTF8(event_id), "status", BCON_UTF8(status)));
}

/* Another event has the key. */
static size_t was_posted_already(const char *event_id)
{
    return count("outcomes", BCON_NEW("event_id", BCON_UTF8(event_id), "code", "already_posted",
                                      "field", "messageId"));
}

/* Of a batch, one event's id is taken while it is judged: what was decided behind it, as if it had
 * been applied, is decided anew. */
static void test_what_rested_on_a_taken_id_is_decided_anew(void **state)
{
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;
    struct wk_batch_means means = new_means(find_handler);
    struct wk_consumer *consumer;

    (void)state;
    atomic_store(&stopping, false);
    send_event(make_post(900, 900, "c", "rival"));
    send_event(make_post(901, 900, "c", "the same post"));
    send_event(make_post(902, 900, "c", "the same post"));
    assert_int_equal(wk_lease_new(&conf, nc, "d-1", &metrics, &means.lease), YZ_OK);
    assert_int_equal(wk_consumer_start(&means, 0, 1, &consumer), YZ_OK);
    while (stored("EVENTS", "evt.>") > 0 && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    wk_lease_stop(means.lease, PATIENCE_MS);
    atomic_store(&stopping, true);
    wk_consumer_stop(consumer);
    wk_lease_free(means.lease);
    assert_int_equal(stored("EVENTS", "evt.>"), 0);
    assert_int_equal(count("posts", BCON_NEW("text", "rival")), 0);
    assert_int_equal(count("posts", BCON_NEW("text", "the same post")), 1);
    assert_int_equal(has_outcome("e901", "applied"), 1);
    assert_int_equal(was_posted_already("e902"), 1);
}

static void on_settled(void *arg, struct wk_ack *ack)
{
    (void)arg;
    free(ack);
}

static bool is_held(void *arg, unsigned partition, uint64_t revision)
{
    (void)arg;
    (void)partition;
    (void)revision;
    return true;
}

/* The same message with a reply subject, to which its ack goes. */
static natsMsg *with_reply(natsMsg *msg)
{
    const char **keys = NULL, *value = NULL;
    natsMsg *copy = NULL;
    int key_count = 0;

    assert_int_equal(natsMsg_Create(&copy, natsMsg_GetSubject(msg), "late.ack",
                                    natsMsg_GetData(msg), natsMsg_GetDataLength(msg)),
                     NATS_OK);
    assert_int_equal(natsMsgHeader_Keys(msg, &keys, &key_count), NATS_OK);
    for (int i = 0; i < key_count; i++) {
        assert_int_equal(natsMsgHeader_Get(msg, keys[i], &value), NATS_OK);
        assert_int_equal(natsMsgHeader_Set(copy, keys[i], value), NATS_OK);
    }
    free((void *)keys);
    natsMsg_Destroy(msg);
    return copy;
}

/* A post as the consumer hands it on. */
static struct wk_delivery deliver(struct wk_lease *lease, unsigned number, natsMsg *msg,
                                  uint64_t delivered)
{
    struct wk_delivery delivery = {.sequence = number,
                                   .number = 1,
                                   .delivered = delivered,
                                   .stored_at_ms = yz_clock_wall_ms()};
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;
    struct wk_lease_view view = {0};

    delivery.msg = with_reply(msg);
    assert_int_equal(sscanf(natsMsg_GetSubject(delivery.msg), "evt.%u.", &delivery.partition), 1);
    while (!view.revision && yz_clock_mono_ms() < until) {
        wk_lease_look(lease, delivery.partition, &view);
        nats_Sleep(5);
    }
    assert_true(view.revision > 0);
    delivery.revision = view.revision;
    return delivery;
}

struct batch_rig {
    struct wk_batch_means means;
    struct wk_batch *batch;
};

static void rig_batch(struct batch_rig *rig, const char *worker)
{
    rig->means = new_means(find_handler);
    atomic_store(&stopping, false);
    assert_int_equal(wk_lease_new(&conf, nc, worker, &metrics, &rig->means.lease), YZ_OK);
    assert_int_equal(wk_publisher_new(&conf, worker, &metrics, &rig->means.pub), YZ_OK);
    rig->means.values = wk_values_new(&conf, rig->means.pub, &metrics, on_settled, is_held, NULL);
    rig->batch = wk_batch_new(&rig->means);
}

static void unrig_batch(struct batch_rig *rig)
{
    wk_batch_free(rig->batch);
    wk_values_free(rig->means.values);
    wk_publisher_free(rig->means.pub);
    wk_lease_stop(rig->means.lease, 0);
    wk_lease_free(rig->means.lease);
}

/* A batch of one post; `delivered`: how often by now. */
static void run_one(struct batch_rig *rig, unsigned number, const char *thread, const char *text,
                    uint64_t delivered)
{
    natsMsg *msg = make_post(number, number, thread, text);
    struct wk_delivery one = deliver(rig->means.lease, number, msg, delivered);

    wk_batch_run(rig->batch, &one, 1);
}

/* An event whose ack was late comes again, behind one that was stored after it and wants the same
 * key: it keeps the key. */
static void test_what_comes_again_late_keeps_its_key(void **state)
{
    struct wk_delivery again[2];
    struct batch_rig rig;

    (void)state;
    rig_batch(&rig, "e-1");
    run_one(&rig, 910, "d", "first", 1);
    assert_int_equal(has_outcome("e910", "applied"), 1);
    again[0] = deliver(rig.means.lease, 911, make_post(911, 910, "d", "second"), 1);
    again[1] = deliver(rig.means.lease, 910, make_post(910, 910, "d", "first"), 2);
    wk_batch_run(rig.batch, again, 2);
    assert_int_equal(has_outcome("e910", "applied"), 1);
    assert_int_equal(was_posted_already("e911"), 1);
    assert_int_equal(count("posts", BCON_NEW("text", "first")), 1);
    unrig_batch(&rig);
}

/* Who rests on what another aggregate's event wrote in the same batch is decided once that is
 * stored: else, replayed alone after a crash, it would not find it. */
static void test_who_rests_on_others_waits_for_them(void **state)
{
    struct wk_delivery deliveries[3];
    struct batch_rig rig;

    (void)state;
    rig_batch(&rig, "f-1");
    deliveries[0] = deliver(rig.means.lease, 920, make_post(920, 920, "f", "base"), 1);
    deliveries[1] = deliver(rig.means.lease, 921, make_post(921, 921, "g", "rests"), 1);
    deliveries[2] = deliver(rig.means.lease, 922, make_post(922, 922, "f", "another"), 1);
    wk_batch_run(rig.batch, deliveries, 3);
    assert_true(base_was_there);
    assert_true(base_was_stored);
    for (int i = 920; i <= 922; i++) {
        char id[8];

        snprintf(id, sizeof id, "e%d", i);
        assert_int_equal(has_outcome(id, "applied"), 1);
    }
    unrig_batch(&rig);
}

/* The process ends in the middle of a batch: neither its rest, which waited for what came before,
 * nor the next batch is begun. */
static void test_nothing_is_begun_once_the_process_ends(void **state)
{
    struct wk_delivery deliveries[3];
    struct batch_rig rig;

    (void)state;
    rig_batch(&rig, "g-1");
    deliveries[0] = deliver(rig.means.lease, 930, make_post(930, 930, "f", "ends"), 1);
    deliveries[1] = deliver(rig.means.lease, 931, make_post(931, 931, "g", "follows"), 1);
    deliveries[2] = deliver(rig.means.lease, 932, make_post(932, 932, "g", "yes"), 1);
    wk_batch_run(rig.batch, deliveries, 2);
    assert_int_equal(has_outcome("e930", "applied"), 1);
    assert_int_equal(count("outcomes", BCON_NEW("event_id", "e931")), 0);
    wk_batch_run(rig.batch, deliveries + 2, 1);
    assert_int_equal(count("outcomes", BCON_NEW("event_id", "e932")), 0);
    unrig_batch(&rig);
}

/* A younger event of the aggregate took effect first, as when DEADLETTERS was full and the older
 * one came again later: it is set aside, and not told to have been applied. */
static void come_late(unsigned older, uint64_t delivered)
{
    struct batch_rig rig;
    char old_id[8], young[8];
    size_t letters = stored("DEADLETTERS", "dlq.>");

    snprintf(old_id, sizeof old_id, "e%u", older);
    snprintf(young, sizeof young, "m%u", older + 1);
    rig_batch(&rig, old_id);
    run_one(&rig, older + 1, "h", "counts", 1);
    run_one(&rig, older, "h", "counts", delivered);
    assert_int_equal(has_outcome(old_id, "dead_lettered"), 1);
    assert_int_equal(count("threads", BCON_NEW("last", BCON_UTF8(young))), 1);
    assert_int_equal(stored("DEADLETTERS", "dlq.>"), letters + 1);
    unrig_batch(&rig);
}

static void test_what_comes_too_late_is_set_aside(void **state)
{
    (void)state;
    come_late(940, 2);
    come_late(942, 1); /* nothing says that it came before */
}

/* Frozen for longer than the broker remembers what was sent: the pushes are let go with their
 * event, which comes again and has them once. */
static void test_pushes_too_old_come_with_their_event_again(void **state)
{
    int64_t window_ms = conf.duplicate_window_ms;
    size_t before = stored("THREADS", "thr.t1.>");
    struct batch_rig rig;

    (void)state;
    conf.duplicate_window_ms = 0;
    rig_batch(&rig, "k-1");
    run_one(&rig, 950, "k", "yes", 1);
    assert_int_equal(has_outcome("e950", "applied"), 1);
    assert_int_equal(stored("THREADS", "thr.t1.>"), before);
    conf.duplicate_window_ms = window_ms;
    for (int i = 0; i < 2; i++)
        run_one(&rig, 950, "k", "yes", 2);
    assert_int_equal(stored("THREADS", "thr.t1.>"), before + 1);
    unrig_batch(&rig);
}

/* Our clock was set back since, as the broker tells: what comes again may be older than it looks,
 * and its pushes are looked for. */
static void test_a_clock_set_back_makes_nothing_young(void **state)
{
    int64_t ahead_us = atomic_load(&metrics.clock_ahead_us);
    uint64_t found = atomic_load(&metrics.pushes_found);
    struct batch_rig rig;

    (void)state;
    rig_batch(&rig, "l-1");
    run_one(&rig, 960, "l", "yes", 1);
    run_one(&rig, 960, "l", "yes", 2);
    assert_int_equal(atomic_load(&metrics.pushes_found), found);
    atomic_store(&metrics.clock_ahead_us, -conf.duplicate_window_ms * 1000);
    run_one(&rig, 960, "l", "yes", 2);
    assert_int_equal(atomic_load(&metrics.pushes_found), found + 1);
    atomic_store(&metrics.clock_ahead_us, ahead_us);
    unrig_batch(&rig);
}

/* The clock of who leads EVENTS is ahead of the one of who leads THREADS: the pushes seem older
 * than their event. */
static void test_pushes_older_than_their_event_are_found(void **state)
{
    uint64_t found = atomic_load(&metrics.pushes_found);
    struct wk_delivery one;
    struct batch_rig rig;

    (void)state;
    rig_batch(&rig, "n-1");
    run_one(&rig, 970, "n", "yes", 1);
    one = deliver(rig.means.lease, 970, make_post(970, 970, "n", "yes"), 2);
    one.stored_at_ms += 10000;
    wk_batch_run(rig.batch, &one, 1);
    assert_int_equal(atomic_load(&metrics.pushes_found), found + 1);
    unrig_batch(&rig);
}

/* As a client of its own would that minds no rules: headers that no library writes. */
static void publish_by_hand(const char *subject, const char *head, const char *body)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)nats.port)};
    int to = socket(AF_INET, SOCK_STREAM, 0);
    char text[512];
    ssize_t len;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(to, (struct sockaddr *)&at, sizeof at), 0);
    len = snprintf(text, sizeof text,
                   "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB %s %zu %zu\r\n%s%s\r\n"
                   "PING\r\n",
                   subject, strlen(head), strlen(head) + strlen(body), head, body);
    assert_int_equal(send(to, text, (size_t)len, 0), len);
    /* Behind what it says of itself comes the PONG: it has read all. */
    do {
        len = recv(to, text, sizeof text - 1, 0);
        assert_true(len > 0);
        text[len] = '\0';
    } while (!strstr(text, "PONG\r\n"));
    close(to);
}

/* As the stream counts them, which reads none. */
static int64_t events_waiting(void)
{
    json_t *info = NULL;
    int64_t waiting;

    assert_int_equal(wk_stream_call(nc, "STREAM.INFO.EVENTS", NULL, &info, NULL), YZ_OK);
    waiting = json_integer_value(json_object_get(json_object_get(info, "state"), "messages"));
    json_decref(info);
    return waiting;
}

/* It has no header that could be read, and its letter none of them. */
static void test_headers_of_no_form_are_set_aside(void **state)
{
    struct wk_batch_means means = new_means(find_handler);
    size_t letters = stored("DEADLETTERS", "dlq.>");
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;
    struct wk_consumer *consumer;

    (void)state;
    publish_by_hand("evt.3.t1.thread.g1", "garbage\r\n\r\n", "body");
    publish_by_hand("evt.3.t1.thread.g1", "x", "");
    while (events_waiting() < 2 && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    assert_int_equal(events_waiting(), 2);
    atomic_store(&stopping, false);
    assert_int_equal(wk_lease_new(&conf, nc, "m-1", &metrics, &means.lease), YZ_OK);
    assert_int_equal(wk_consumer_start(&means, 0, 1, &consumer), YZ_OK);
    while (events_waiting() > 0 && yz_clock_mono_ms() < until)
        nats_Sleep(20);
    wk_lease_stop(means.lease, PATIENCE_MS);
    atomic_store(&stopping, true);
    wk_consumer_stop(consumer);
    wk_lease_free(means.lease);
    assert_int_equal(events_waiting(), 0);
    assert_int_equal(stored("DEADLETTERS", "dlq.>"), letters + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leases_are_shared_and_given_up),
        cmocka_unit_test(test_a_partition_that_stands_still_is_taken_anew),
        cmocka_unit_test(test_an_attempt_that_was_survived_is_counted_back),
        cmocka_unit_test(test_events_settle_and_the_outbox_delivers),
        cmocka_unit_test(test_what_rested_on_a_taken_id_is_decided_anew),
        cmocka_unit_test(test_what_comes_again_late_keeps_its_key),
        cmocka_unit_test(test_who_rests_on_others_waits_for_them),
        cmocka_unit_test(test_nothing_is_begun_once_the_process_ends),
        cmocka_unit_test(test_what_comes_too_late_is_set_aside),
        cmocka_unit_test(test_pushes_too_old_come_with_their_event_again),
        cmocka_unit_test(test_a_clock_set_back_makes_nothing_young),
        cmocka_unit_test(test_pushes_older_than_their_event_are_found),
        cmocka_unit_test(test_headers_of_no_form_are_set_aside),
    };

    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
