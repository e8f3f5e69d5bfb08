/* parts: what the path of one post is made of, each alone: a publish into JetStream until its
 * PubAck, and the documents of a post until the database has them on disk.
 *
 *     parts publish URL USER PASSWORD-FILE SUBJECT BYTES RATE SECONDS
 *     parts insert URI DATABASE RATE SECONDS
 *
 * One at a time, meant for begin + i / rate (schedule.h), timed from then. Prints the latencies in
 * nanoseconds as one line of JSON.
 */
#include "../load/histogram.h"
#include "../load/loop.h"
#include "../load/schedule.h"

#include <mongoc/mongoc.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TENANT       "parts"
#define PASSWORD_MAX 128

static struct histogram times;

/* The next intended time, slept for. false: the seconds are over. */
static bool next(struct schedule *schedule, uint64_t count, uint64_t *meant_ns)
{
    uint64_t at = schedule_next_ns(schedule);
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000),
                             .tv_nsec = (long)(at % 1000000000)};

    if (schedule->sent == count)
        return false;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (!schedule_due(schedule, loop_now_ns(), meant_ns))
        ;
    return true;
}

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        bench_die("%s: %s", what, natsStatus_GetText(status));
}

static jsCtx *connect_bus(const char *url, const char *user, const char *password_file,
                          natsConnection **nc)
{
    char password[PASSWORD_MAX], inbox[PASSWORD_MAX];
    FILE *file = fopen(password_file, "re");
    natsOptions *options = NULL;
    jsCtx *js = NULL;

    if (!file || !fgets(password, sizeof password, file))
        bench_die("no password in %s", password_file);
    fclose(file);
    password[strcspn(password, "\n")] = '\0';
    snprintf(inbox, sizeof inbox, "_INBOX_%s", user);
    must(natsOptions_Create(&options), "options");
    must(natsOptions_SetURL(options, url), "url");
    must(natsOptions_SetUserInfo(options, user, password), "user");
    must(natsOptions_SetCustomInboxPrefix(options, inbox), "inbox");
    must(natsConnection_Connect(nc, options), "connect");
    natsOptions_Destroy(options);
    must(natsConnection_JetStream(&js, *nc, NULL), "jetstream");
    return js;
}

static void publish_all(char **argv)
{
    uint64_t count = (uint64_t)(strtod(argv[6], NULL) * strtod(argv[7], NULL)), meant_ns;
    int size = (int)strtol(argv[5], NULL, 10);
    char *body = calloc(1, (size_t)size + 1), id[64];
    natsConnection *nc = NULL;
    jsCtx *js = connect_bus(argv[1], argv[2], argv[3], &nc);
    struct schedule schedule;

    if (!body)
        bench_die("no memory");
    memset(body, 'x', (size_t)size);
    schedule_begin(&schedule, loop_now_ns() + 10000000, strtod(argv[6], NULL));
    while (next(&schedule, count, &meant_ns)) {
        natsMsg *msg = NULL;

        must(natsMsg_Create(&msg, argv[4], NULL, body, size), "a message");
        snprintf(id, sizeof id, "parts-%llu", (unsigned long long)meant_ns);
        must(natsMsgHeader_Set(msg, "Nats-Msg-Id", id), "a header");
        must(js_PublishMsg(NULL, js, msg, NULL, NULL), "publish");
        histogram_record(&times, loop_now_ns() - meant_ns);
        natsMsg_Destroy(msg);
    }
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    free(body);
}

static void insert(mongoc_collection_t *rows, const bson_t *document)
{
    bson_error_t error;

    if (!mongoc_collection_insert_one(rows, document, NULL, NULL, &error))
        bench_die("insert: %s", error.message);
}

/* What a worker writes for a thread.posted (workers/outcome.c, domains/thread.c), into the same
 * collections with their indexes. */
static void fill_outcome(bson_t *row, const char *id, int64_t sequence)
{
    BSON_APPEND_UTF8(row, "_id", id);
    BSON_APPEND_UTF8(row, "tenant", TENANT);
    BSON_APPEND_INT64(row, "evt_seq", sequence);
    BSON_APPEND_UTF8(row, "actor", "m1");
    BSON_APPEND_UTF8(row, "event_id", id);
    BSON_APPEND_UTF8(row, "type", "thread.posted");
    BSON_APPEND_UTF8(row, "hash", "0123456789abcdef0123456789abcdef");
    BSON_APPEND_INT64(row, "sequence", sequence);
    BSON_APPEND_UTF8(row, "status", "applied");
    BSON_APPEND_UTF8(row, "code", "");
    BSON_APPEND_UTF8(row, "field", "");
    BSON_APPEND_UTF8(row, "text", "");
    BSON_APPEND_DATE_TIME(row, "received_at", sequence);
}

static void fill_post(bson_t *row, const char *id, int64_t sequence, const char *text)
{
    BSON_APPEND_UTF8(row, "_id", id);
    BSON_APPEND_UTF8(row, "tenant", TENANT);
    BSON_APPEND_INT64(row, "evt_seq", sequence);
    BSON_APPEND_INT64(row, "evt_first", sequence);
    BSON_APPEND_UTF8(row, "org_path", "g1/c1/b1");
    BSON_APPEND_UTF8(row, "thread_id", "t1");
    BSON_APPEND_UTF8(row, "message_id", id);
    BSON_APPEND_UTF8(row, "author", "m1");
    BSON_APPEND_UTF8(row, "text", text);
    BSON_APPEND_INT64(row, "reply_to", 0);
    BSON_APPEND_INT64(row, "sequence", sequence);
    BSON_APPEND_DATE_TIME(row, "posted_at", sequence);
}

static void insert_one(mongoc_collection_t *outcomes, mongoc_collection_t *posts, uint64_t serial)
{
    bson_t outcome = BSON_INITIALIZER, post = BSON_INITIALIZER;
    char id[96], text[129];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    snprintf(id, sizeof id, TENANT "|g1/c1/b1|t1|m1|%llu", (unsigned long long)serial);
    fill_outcome(&outcome, id, (int64_t)serial);
    fill_post(&post, id, (int64_t)serial, text);
    insert(outcomes, &outcome);
    insert(posts, &post);
    bson_destroy(&outcome);
    bson_destroy(&post);
}

static void insert_all(char **argv)
{
    uint64_t count = (uint64_t)(strtod(argv[3], NULL) * strtod(argv[4], NULL)), meant_ns;
    mongoc_write_concern_t *safe = mongoc_write_concern_new();
    mongoc_collection_t *outcomes, *posts;
    struct schedule schedule;
    mongoc_client_t *client;

    mongoc_init();
    client = mongoc_client_new(argv[1]);
    if (!client)
        bench_die("the database's address cannot be read");
    mongoc_write_concern_set_wmajority(safe, 10000);
    mongoc_write_concern_set_journal(safe, true);
    mongoc_client_set_write_concern(client, safe);
    outcomes = mongoc_client_get_collection(client, argv[2], "outcomes");
    posts = mongoc_client_get_collection(client, argv[2], "posts");
    insert_one(outcomes, posts, loop_now_ns()); /* the connection is made */
    schedule_begin(&schedule, loop_now_ns() + 10000000, strtod(argv[3], NULL));
    while (next(&schedule, count, &meant_ns)) {
        insert_one(outcomes, posts, meant_ns);
        histogram_record(&times, loop_now_ns() - meant_ns);
    }
    mongoc_collection_destroy(posts);
    mongoc_collection_destroy(outcomes);
    mongoc_write_concern_destroy(safe);
    mongoc_client_destroy(client);
    mongoc_cleanup();
}

int main(int argc, char **argv)
{
    histogram_init(&times);
    if (argc == 9 && strcmp(argv[1], "publish") == 0)
        publish_all(argv + 1);
    else if (argc == 6 && strcmp(argv[1], "insert") == 0)
        insert_all(argv + 1);
    else
        bench_die("usage: see parts.c");
    histogram_print(&times, stdout);
    puts("");
    histogram_deinit(&times);
    return 0;
}
