/* Durable timers: rows of the outbox against a real nats-server and a real database, with a domain
 * of the test's own. The first test prints how late 5,000 rows are that are due at one moment. */
#include "workers/outbox.h"

#include "rig.h"
#include "workers/consumer.h"

#include <mongoc/mongoc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thread.pb-c.h>

#include <cmocka.h>

#define CAUSES    10
#define ROWS_OF   500
#define ROWS      (CAUSES * ROWS_OF)
#define DONE_ROWS 20000
#define BULK      1000
#define CONSUMERS 2
#define LATER_MS  3600000
#define DAY_MS    86400000
#define LONG_TEXT 8000
#define IDS_MAX   256

static struct wk_batch_means means;
static struct wk_consumer *consumers[CONSUMERS];
static struct wk_outbox *outbox;
static struct wk_watch *watch; /* NULL: our own clock is right */

/* So many causes cannot be written into their messages. */
static atomic_int causes_fail;
static atomic_size_t destroyed;

/* Our clock is ahead of the broker's by so much. */
static _Atomic int64_t clock_step_ms;

int64_t __real_yz_clock_wall_ms(void);
int64_t __wrap_yz_clock_wall_ms(void);
natsStatus __real_natsMsgHeader_Set(natsMsg *msg, const char *key, const char *value);
natsStatus __wrap_natsMsgHeader_Set(natsMsg *msg, const char *key, const char *value);
void __real_natsMsg_Destroy(natsMsg *msg);
void __wrap_natsMsg_Destroy(natsMsg *msg);

natsStatus __wrap_natsMsgHeader_Set(natsMsg *msg, const char *key, const char *value)
{
    if (strcmp(key, YZ_HEADER_CAUSE) == 0 && atomic_fetch_sub(&causes_fail, 1) > 0)
        return NATS_ERR;
    return __real_natsMsgHeader_Set(msg, key, value);
}

int64_t __wrap_yz_clock_wall_ms(void)
{
    return __real_yz_clock_wall_ms() + atomic_load(&clock_step_ms);
}

void __wrap_natsMsg_Destroy(natsMsg *msg)
{
    atomic_fetch_add(&destroyed, msg != NULL);
    __real_natsMsg_Destroy(msg);
}

/* "rows <count> <due in ms>" writes rows, which become events with text "row" or, of "refused",
 * with text "no"; "no" is refused. */
static enum yz_err judge(const struct wk_event *event, struct wk_fold *fold, struct yz_violation *v)
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;

    (void)fold;
    return strcmp(p->text, "no") == 0 ? yz_violate(v, YZ_FORBIDDEN, "text", NULL) : YZ_OK;
}

static void write_rows(const struct wk_event *event, struct wk_fold *fold,
                       const Yizhan__V1__ThreadPosted *p, char *text)
{
    int count = 0, in_ms = 0;

    sscanf(p->text, "%*s %d %d", &count, &in_ms);
    for (int i = 0; i < count; i++) {
        Yizhan__V1__ThreadPosted row = *p;
        char thread[32], id[32];

        snprintf(thread, sizeof thread, "t%d", i);
        snprintf(id, sizeof id, "%.16s-%d", p->message_id, i);
        row.thread_id = thread;
        row.message_id = id;
        row.text = text;
        wk_later(fold, i, event->received_at_ms + in_ms, "thread.posted", &row.base);
    }
}

static void apply(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__ThreadPosted *p = (const Yizhan__V1__ThreadPosted *)event->payload;
    Yizhan__V1__ThreadPost pushed = YIZHAN__V1__THREAD_POST__INIT;
    char id[WK_ID_MAX];

    if (strncmp(p->text, "rows", 4) == 0) {
        write_rows(event, fold, p, "row");
    } else if (strncmp(p->text, "refused", 7) == 0) {
        write_rows(event, fold, p, "no");
    } else {
        wk_id(id, "t1", p->message_id, NULL);
        wk_insert(fold, "posts", id,
                  BCON_NEW("text", BCON_UTF8(p->text), "by", BCON_UTF8(event->env->actor.member)),
                  YZ_ALREADY_POSTED, "messageId");
        pushed.sequence = event->sequence;
        wk_push(fold, "org.g1", "thread.post", &pushed.base, NULL);
    }
}

static const struct wk_event_handler *find_handler(const char *type)
{
    static const struct wk_event_handler handler = {"thread.posted", NULL, judge, apply};

    return strcmp(type, handler.type) == 0 ? &handler : NULL;
}

static void emit(const char *name, const char *text)
{
    send_event(post_event(name, name, name, text));
}

static void start_worker(const char *name)
{
    means = new_means(find_handler);
    atomic_store(&stopping, false);
    assert_int_equal(wk_lease_new(&conf, nc, name, &metrics, &means.lease), YZ_OK);
    assert_int_equal(wk_outbox_start(&conf, pool, means.lease, &metrics, watch, &outbox), YZ_OK);
    means.outbox = outbox;
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(wk_consumer_start(&means, i, CONSUMERS, &consumers[i]), YZ_OK);
}

static void stop_worker(void)
{
    wk_lease_stop(means.lease, PATIENCE_MS);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < CONSUMERS; i++)
        wk_consumer_stop(consumers[i]);
    wk_outbox_stop(outbox);
    wk_lease_free(means.lease);
}

static bool on_id(void *arg, const bson_t *row)
{
    char(**next)[WK_ID_MAX] = arg;
    bson_iter_t it;

    assert_true(bson_iter_init_find(&it, row, "_id"));
    snprintf(*(*next)++, WK_ID_MAX, "%s", bson_iter_utf8(&it, NULL));
    return true;
}

/* All rows that wait become due at once; when the last of them was. */
static int64_t make_due(size_t wanted)
{
    struct wk_store *store = wk_store_pop(pool);
    char(*texts)[WK_ID_MAX] = calloc(wanted, WK_ID_MAX), (*next)[WK_ID_MAX] = texts;
    const char **ids = calloc(wanted, sizeof *ids);
    bson_t *filter = BCON_NEW("state", "due"), *update;

    assert_true(texts && ids);
    assert_int_equal(wk_store_find(store, "outbox", filter, NULL, on_id, &next), YZ_OK);
    assert_int_equal(next - texts, wanted);
    for (size_t i = 0; i < wanted; i++)
        ids[i] = texts[i];
    update = BCON_NEW("$set", "{", "due_at", BCON_DATE_TIME(yz_clock_wall_ms()), "}");
    assert_int_equal(wk_store_update_many(store, "outbox", ids, wanted, update), YZ_OK);
    wk_store_push(pool, store);
    bson_destroy(update);
    bson_destroy(filter);
    free(ids);
    free(texts);
    return yz_clock_wall_ms();
}

static void wait_rows(const char *state, size_t wanted)
{
    wait_count("outbox", BCON_NEW("state", BCON_UTF8(state)), wanted);
}

static void wait_outcomes(size_t wanted)
{
    wait_count("outcomes", of_rows(), wanted);
}

static void test_many_rows_due_at_one_moment(void **state)
{
    char name[16], text[32];
    int64_t due_ms, published_ms;

    (void)state;
    start_worker("many");
    for (int i = 0; i < CAUSES; i++) {
        snprintf(name, sizeof name, "many%d", i);
        snprintf(text, sizeof text, "rows %d %d", ROWS_OF, LATER_MS);
        emit(name, text);
    }
    wait_rows("due", ROWS);
    assert_int_equal(count("posts", BCON_NEW("text", "row")), 0);
    due_ms = make_due(ROWS);
    wait_rows("done", ROWS);
    published_ms = yz_clock_wall_ms();
    wait_outcomes(ROWS);
    print_message("%d rows due at one moment: all in EVENTS %lld ms after it, settled %lld ms\n",
                  ROWS, (long long)(published_ms - due_ms),
                  (long long)(yz_clock_wall_ms() - due_ms));
    /* A document comes behind its outcome. */
    wait_count("posts", BCON_NEW("text", "row"), ROWS);
    assert_int_equal(count("outcomes", BCON_NEW("status", "applied")), ROWS + CAUSES);
    stop_worker();
    assert_int_equal(atomic_load(&metrics.pushes), ROWS);
    assert_int_equal(stored("EVENTS", "evt.>"), 0);
    assert_int_equal(atomic_load(&metrics.outbox_published), ROWS);
}

static void test_a_row_due_at_once_wakes_the_scanner(void **state)
{
    int64_t begin_ms;

    (void)state;
    start_worker("at-once");
    begin_ms = yz_clock_wall_ms();
    emit("now", "rows 1 0");
    wait_outcomes(ROWS + 1);
    print_message("a row due at once: settled %lld ms after its cause was sent\n",
                  (long long)(yz_clock_wall_ms() - begin_ms));
    stop_worker();
    assert_int_equal(count("posts", BCON_NEW("_id", "t1|now-0")), 1);
}

/* Neither the worker's leases nor the broker are there when the rows are due. */
static void test_the_broker_is_away_at_the_due_time(void **state)
{
    char text[32];
    int64_t due_ms;

    (void)state;
    start_worker("away");
    snprintf(text, sizeof text, "rows 40 %d", LATER_MS);
    emit("away", text);
    wait_rows("due", 40);
    service_signal(&nats, SIGSTOP);
    due_ms = make_due(40);
    while (yz_clock_wall_ms() < due_ms + 1000)
        nats_Sleep(50);
    assert_int_equal(count("outbox", BCON_NEW("state", "due")), 40);
    service_signal(&nats, SIGCONT);
    wait_outcomes(ROWS + 1 + 40);
    wait_rows("due", 0);
    stop_worker();
    assert_int_equal(count("posts", BCON_NEW("_id", BCON_REGEX("^t1\\|away-", ""))), 40);
    assert_int_equal(stored("EVENTS", "evt.>"), 0);
}

/* What a member caused and did not send is not told to it; operators see it. */
static void test_a_refused_row_is_counted_and_told_to_nobody(void **state)
{
    size_t told = stored("CHANNELS", "chan.t1.member.>");
    uint64_t refused = atomic_load(&metrics.system_refused);

    (void)state;
    start_worker("refused");
    emit("refused", "refused 3 0");
    wait_outcomes(ROWS + 1 + 40 + 3);
    stop_worker();
    assert_int_equal(count("outcomes", BCON_NEW("event_id", BCON_REGEX("^\\$t-", ""), "status",
                                                "refused", "code", "forbidden")),
                     3);
    assert_int_equal(atomic_load(&metrics.system_refused), refused + 3);
    assert_int_equal(stored("CHANNELS", "chan.t1.member.>"), told);
    /* A member's own refused event is told as ever. */
    start_worker("refused-2");
    emit("own", "no");
    wait_count("outcomes", BCON_NEW("event_id", "own"), 1);
    stop_worker();
    assert_int_equal(stored("CHANNELS", "chan.t1.member.u1"), told + 1);
    assert_int_equal(atomic_load(&metrics.system_refused), refused + 3);
}

/* A row is no worse for it, and nothing of the message is left behind. */
static void test_no_room_for_a_header(void **state)
{
    bson_t *row = BCON_NEW("type", "thread.posted", "tenant", "t1", "aggregate", "thread|g1|t",
                           "payload", BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"x", 1));
    natsMsg *msg = NULL;
    size_t before;

    (void)state;
    before = atomic_load(&destroyed);
    atomic_store(&causes_fail, 1);
    assert_int_equal(wk_outbox_message(row, &msg), YZ_INTERNAL);
    assert_null(msg);
    assert_int_equal(atomic_load(&destroyed), before + 1);
    assert_int_equal(wk_outbox_message(row, &msg), YZ_OK);
    natsMsg_Destroy(msg);
    bson_destroy(row);
    start_worker("no-room");
    atomic_store(&causes_fail, 7);
    emit("no-room", "rows 5 0");
    wait_outcomes(ROWS + 1 + 40 + 3 + 5);
    stop_worker();
    assert_true(atomic_load(&causes_fail) <= 0);
    assert_int_equal(count("posts", BCON_NEW("_id", BCON_REGEX("^t1\\|no-room-", ""))), 5);
    assert_int_equal(count("outbox", BCON_NEW("state", "unreadable")), 0);
}

/* What no version of ours wrote is set aside, and those behind it become events. */
static void test_an_unreadable_row_is_set_aside(void **state)
{
    bson_t *strange = BCON_NEW("_id", "t1|strange", "tenant", "t1", "evt_seq", BCON_INT64(1),
                               "state", "due", "partition", BCON_INT32(0), "due_at",
                               BCON_DATE_TIME(1), "type", "thread.unheard_of");
    struct wk_write write = {.kind = WK_INSERT, .id = "t1|strange", .document = strange};
    struct wk_store *store = wk_store_pop(pool);

    (void)state;
    assert_int_equal(wk_store_write(store, "outbox", &write, 1), YZ_OK);
    wk_store_push(pool, store);
    bson_destroy(strange);
    start_worker("strange");
    emit("behind", "rows 2 0");
    wait_outcomes(ROWS + 1 + 40 + 3 + 5 + 2);
    wait_rows("unreadable", 1);
    stop_worker();
}

/* Leases and the scanner, and nobody who takes the events. */
static void start_scanner(const char *name)
{
    means = new_means(find_handler);
    assert_int_equal(wk_lease_new(&conf, nc, name, &metrics, &means.lease), YZ_OK);
    assert_int_equal(wk_outbox_start(&conf, pool, means.lease, &metrics, watch, &outbox), YZ_OK);
}

static void stop_scanner(void)
{
    wk_outbox_stop(outbox);
    wk_lease_stop(means.lease, 0);
    wk_lease_free(means.lease);
}

/* A row of that cause, by which this is posted in the thread; no other test comes to such causes.
 */
struct owed {
    const char *thread, *text;
    int64_t cause;
    int ordinal;
};

static void owe(const struct owed *rows, int count, int64_t due_ms)
{
    struct wk_store *store = wk_store_pop(pool);

    for (int i = 0; i < count; i++) {
        Yizhan__V1__ThreadPosted p = YIZHAN__V1__THREAD_POSTED__INIT;
        static uint8_t payload[LONG_TEXT + 256];
        char id[WK_ID_MAX], aggregate[YZ_AGGREGATE_MAX];
        struct wk_write write = {.kind = WK_INSERT, .id = id};
        bson_t *row;

        p.org_path = "g1";
        p.thread_id = (char *)(uintptr_t)rows[i].thread;
        p.message_id = id;
        p.text = (char *)(uintptr_t)rows[i].text;
        snprintf(id, sizeof id, "t1|%lld-%d", (long long)rows[i].cause, rows[i].ordinal);
        snprintf(aggregate, sizeof aggregate, "thread|g1|%s", rows[i].thread);
        row = BCON_NEW("_id", BCON_UTF8(id), "tenant", "t1", "evt_seq", BCON_INT64(rows[i].cause),
                       "state", "due", "partition", BCON_INT32(7), "due_at", BCON_DATE_TIME(due_ms),
                       "type", "thread.posted", "aggregate", BCON_UTF8(aggregate), "payload",
                       BCON_BIN(BSON_SUBTYPE_BINARY, payload,
                                (uint32_t)yizhan__v1__thread_posted__pack(&p, payload)),
                       "cause", BCON_INT64(rows[i].cause), "ordinal", BCON_INT32(rows[i].ordinal));
        write.document = row;
        assert_int_equal(wk_store_write(store, "outbox", &write, 1), YZ_OK);
        assert_int_equal(write.result, WK_WRITTEN);
        bson_destroy(row);
    }
    wk_store_push(pool, store);
}

static void on_event(void *arg, natsMsg *msg)
{
    const char *id = NULL;
    size_t len = strlen(arg);

    assert_int_equal(natsMsgHeader_Get(msg, "ce-id", &id), NATS_OK);
    snprintf((char *)arg + len, IDS_MAX - len, "%s ", id);
}

/* The ids of the events in EVENTS, in their order. */
static void assert_events(const char *wanted)
{
    char ids[IDS_MAX] = "";

    assert_int_equal(wk_stream_each(&conf, nc, "EVENTS",
                                    json_pack("{s:s, s:i, s:i}", "next_by_subj", "evt.>", "seq", 1,
                                              "batch", 1000),
                                    on_event, ids, NULL),
                     YZ_OK);
    assert_string_equal(ids, wanted);
}

static void ask_of_events(const char *verb, const char *text)
{
    json_t *reply = NULL;
    char api[64];

    snprintf(api, sizeof api, "STREAM.%s.EVENTS", verb);
    assert_int_equal(wk_stream_call(nc, api, json_loads(text, 0, NULL), &reply, NULL), YZ_OK);
    json_decref(reply);
}

static void limit_events(int max_bytes)
{
    char text[256];

    snprintf(text, sizeof text,
             "{\"name\":\"EVENTS\",\"subjects\":[\"evt.>\"],\"storage\":\"memory\","
             "\"num_replicas\":1,\"allow_direct\":true,\"retention\":\"workqueue\","
             "\"discard\":\"new\",\"max_bytes\":%d}",
             max_bytes);
    ask_of_events("UPDATE", text);
}

/* EVENTS has no room for the first of them; the last is another aggregate's, and tells that all
 * were tried. What is held back waits for its turn with the next owner, too. */
static void test_a_refused_row_holds_back_those_behind_it(void **state)
{
    static char text[LONG_TEXT];
    const struct owed rows[] = {
        {"x", text, 9001, 0}, {"x", "short", 9002, 0}, {"y", "short", 9003, 0}};
    size_t done = count("outbox", BCON_NEW("state", "done"));

    (void)state;
    memset(text, 'x', sizeof text - 1);
    limit_events(LONG_TEXT / 2);
    owe(rows, 3, yz_clock_wall_ms());
    start_scanner("full");
    wait_rows("done", done + 1);
    assert_events("$t-9003-0 ");
    stop_scanner();
    start_scanner("full-2");
    limit_events(-1);
    wait_rows("done", done + 3);
    assert_events("$t-9003-0 $t-9001-0 $t-9002-0 ");
    stop_scanner();
    ask_of_events("PURGE", "{}");
}

/* As their causes were, though none of them says so by its place or its id. */
static void test_rows_due_at_the_same_moment_keep_their_order(void **state)
{
    const struct owed rows[] = {
        {"x", "d", 10001, 0}, {"x", "c", 10000, 1}, {"x", "b", 10000, 0}, {"x", "a", 9999, 0}};
    size_t done = count("outbox", BCON_NEW("state", "done"));

    (void)state;
    owe(rows, 4, yz_clock_wall_ms());
    start_scanner("same");
    wait_rows("done", done + 4);
    assert_events("$t-9999-0 $t-10000-0 $t-10000-1 $t-10001-0 ");
    stop_scanner();
    ask_of_events("PURGE", "{}");
}

/* There was no memory for the first one. */
static void test_a_row_put_off_holds_back_those_behind_it(void **state)
{
    const struct owed rows[] = {{"x", "a", 9021, 0}, {"x", "b", 9022, 0}, {"y", "c", 9023, 0}};
    size_t done = count("outbox", BCON_NEW("state", "done"));

    (void)state;
    owe(rows, 3, yz_clock_wall_ms());
    atomic_store(&causes_fail, 1);
    start_scanner("put-off");
    wait_rows("done", done + 3);
    assert_events("$t-9023-0 $t-9021-0 $t-9022-0 ");
    stop_scanner();
    ask_of_events("PURGE", "{}");
}

static bool is_ready(void *arg, const char **reason)
{
    (void)arg;
    *reason = NULL;
    return true;
}

static void scan_with_a_clock_ahead(int64_t step_ms, size_t done)
{
    atomic_store(&clock_step_ms, step_ms);
    assert_int_equal(wk_watch_start(&conf, nc, pool, &metrics, "stepped", is_ready, NULL, &watch),
                     YZ_OK);
    start_scanner("stepped");
    wait_rows("done", done);
    stop_scanner();
    wk_watch_stop(watch);
    watch = NULL;
    atomic_store(&clock_step_ms, 0);
}

/* Not a day early, and not a day late. */
static void test_rows_are_due_by_the_brokers_clock(void **state)
{
    const struct owed later[] = {{"x", "a", 9031, 0}}, now[] = {{"y", "b", 9032, 0}},
                      again[] = {{"y", "c", 9033, 0}};
    size_t done = count("outbox", BCON_NEW("state", "done"));

    (void)state;
    owe(later, 1, yz_clock_wall_ms() + LATER_MS);
    owe(now, 1, yz_clock_wall_ms());
    scan_with_a_clock_ahead(DAY_MS, done + 1);
    owe(again, 1, yz_clock_wall_ms());
    scan_with_a_clock_ahead(-DAY_MS, done + 2);
    assert_events("$t-9032-0 $t-9033-0 ");
    ask_of_events("PURGE", "{}");
}

static bson_t *row_of(int i, const char *state, int64_t due_ms, char id[WK_ID_MAX])
{
    snprintf(id, WK_ID_MAX, "plan|%s-%d", state, i);
    return BCON_NEW("_id", BCON_UTF8(id), "tenant", "plan", "state", BCON_UTF8(state), "evt_seq",
                    BCON_INT64(1), "partition", BCON_INT32(i % (int)YZ_PARTITIONS), "due_at",
                    BCON_DATE_TIME(due_ms), "done_at", BCON_DATE_TIME(due_ms));
}

static void insert_rows(int count, const char *state, int64_t due_ms)
{
    static struct wk_write writes[BULK];
    static char ids[BULK][WK_ID_MAX];
    struct wk_store *store = wk_store_pop(pool);

    for (int first = 0; first < count; first += BULK) {
        int some = count - first < BULK ? count - first : BULK;

        for (int i = 0; i < some; i++)
            writes[i] =
                (struct wk_write){.kind = WK_INSERT,
                                  .id = ids[i],
                                  .document = row_of(first + i, state, due_ms + first + i, ids[i])};
        assert_int_equal(wk_store_write(store, "outbox", writes, (size_t)some), YZ_OK);
        for (int i = 0; i < some; i++) {
            assert_int_equal(writes[i].result, WK_WRITTEN);
            bson_destroy((bson_t *)(uintptr_t)writes[i].document);
        }
    }
    wk_store_push(pool, store);
}

/* The plan as text, and what it looked at. */
static char *explain(const bson_t *filter, const bson_t *opts, int64_t *keys)
{
    mongoc_client_t *client = mongoc_client_new(conf.mongodb_uri);
    bson_t find = BSON_INITIALIZER, command = BSON_INITIALIZER, reply;
    bson_iter_t it, at;
    bson_error_t error;
    char *text;

    BSON_APPEND_UTF8(&find, "find", "outbox");
    BSON_APPEND_DOCUMENT(&find, "filter", filter);
    bson_concat(&find, opts);
    BSON_APPEND_DOCUMENT(&command, "explain", &find);
    BSON_APPEND_UTF8(&command, "verbosity", "executionStats");
    if (!mongoc_client_command_simple(client, conf.mongodb_database, &command, NULL, &reply,
                                      &error))
        fail_msg("%s", error.message);
    assert_true(bson_iter_init(&it, &reply) &&
                bson_iter_find_descendant(&it, "executionStats.totalKeysExamined", &at));
    *keys = bson_iter_as_int64(&at);
    assert_true(bson_iter_init(&it, &reply) &&
                bson_iter_find_descendant(&it, "queryPlanner.winningPlan", &at));
    text = bson_as_canonical_extended_json(&reply, NULL);
    bson_destroy(&reply);
    bson_destroy(&command);
    bson_destroy(&find);
    mongoc_client_destroy(client);
    return text;
}

/* 20,000 rows that are done, among them 64 that are due. */
static void test_a_scan_looks_at_what_is_due_only(void **state)
{
    int64_t now_ms = yz_clock_wall_ms(), keys = 0;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool held[YZ_PARTITIONS] = {false};
    char *plan;

    (void)state;
    for (unsigned p = 0; p < YZ_PARTITIONS; p += 2)
        held[p] = true;
    insert_rows(DONE_ROWS, "done", now_ms - 1000000);
    insert_rows(64, "due", now_ms - 1000);
    assert_true(wk_outbox_ask(held, now_ms, &filter, &opts));
    plan = explain(&filter, &opts, &keys);
    assert_null(strstr(plan, "COLLSCAN"));
    assert_null(strstr(plan, "\"SORT\""));
    assert_non_null(strstr(plan, "IXSCAN"));
    assert_in_range(keys, 32, 64 + 2);
    bson_free(plan);
    bson_destroy(&filter);
    bson_destroy(&opts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_rows_due_at_one_moment),
        cmocka_unit_test(test_a_row_due_at_once_wakes_the_scanner),
        cmocka_unit_test(test_the_broker_is_away_at_the_due_time),
        cmocka_unit_test(test_a_refused_row_is_counted_and_told_to_nobody),
        cmocka_unit_test(test_no_room_for_a_header),
        cmocka_unit_test(test_an_unreadable_row_is_set_aside),
        cmocka_unit_test(test_a_refused_row_holds_back_those_behind_it),
        cmocka_unit_test(test_rows_due_at_the_same_moment_keep_their_order),
        cmocka_unit_test(test_a_row_put_off_holds_back_those_behind_it),
        cmocka_unit_test(test_rows_are_due_by_the_brokers_clock),
        cmocka_unit_test(test_a_scan_looks_at_what_is_due_only),
    };

    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
