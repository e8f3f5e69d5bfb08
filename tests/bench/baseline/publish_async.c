/* publish_async: events into JetStream by nats.c's asynchronous publish, and nothing else.
 *
 *     publish_async URL USER PASSWORD-FILE NAME SECONDS WARM INFLIGHT PAYLOAD-BYTES
 *
 * What the gateway's way into EVENTS is held against: js_PublishMsgAsync, at most INFLIGHT without
 * their PubAck (it waits then), the acknowledgements counted in the ack handler. The messages have
 * the headers of common/envelope.c, as long as those of load/ingest.c's events, and as many
 * subjects. After WARM seconds what is acknowledged is counted for SECONDS; then what is under way
 * is awaited. Prints JSON; exit code 1 when a publish failed.
 */
#include "../load/loop.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS    50
#define MEMBERS       200
#define PAYLOAD_MAX   4096
#define STALL_WAIT_MS 30000
#define PASSWORD_MAX  256

static _Atomic uint64_t acked, failed;

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        bench_die("%s: %s", what, natsStatus_GetText(status));
}

static void on_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *error, void *closure)
{
    (void)js;
    (void)closure;
    if (ack)
        atomic_fetch_add_explicit(&acked, 1, memory_order_relaxed);
    else if (atomic_fetch_add(&failed, 1) == 0)
        fprintf(stderr, "bench: a publish failed: %s\n", error ? error->ErrText : "?");
    natsMsg_Destroy(msg);
}

static natsConnection *open_nats(char *argv[])
{
    char password[PASSWORD_MAX], inbox[PASSWORD_MAX];
    FILE *file = fopen(argv[3], "re");
    natsConnection *nc = NULL;
    natsOptions *options = NULL;

    if (!file || !fgets(password, sizeof password, file))
        bench_die("no password in %s", argv[3]);
    fclose(file);
    password[strcspn(password, "\n")] = '\0';
    must(natsOptions_Create(&options), "nats options");
    must(natsOptions_SetURL(options, argv[1]), "nats url");
    must(natsOptions_SetUserInfo(options, argv[2], password), "nats user");
    /* The only inboxes that nats-users.conf lets this user read. */
    snprintf(inbox, sizeof inbox, "_INBOX_%s", argv[2]);
    must(natsOptions_SetCustomInboxPrefix(options, inbox), "nats inbox");
    must(natsConnection_Connect(&nc, options), "connect to nats-server");
    natsOptions_Destroy(options);
    return nc;
}

static natsMsg *make_event(const char *name, uint64_t number, const char *payload, int len)
{
    char subject[64], event_id[64], message_id[64], actor[16], aggregate[32], trace[64];
    const char *headers[][2] = {{"Nats-Msg-Id", message_id},
                                {"ce-specversion", "1.0"},
                                {"ce-id", event_id},
                                {"ce-source", "/yizhan/gateway"},
                                {"ce-type", "thread.posted"},
                                {"ce-subject", aggregate},
                                {"content-type", "application/protobuf"},
                                {"ce-tenant", "bench"},
                                {"ce-actor", actor},
                                {"ce-orgpath", "g1/c1/b1"},
                                {"ce-roles", "member"},
                                {"ce-schemaversion", "1"},
                                {"traceparent", trace}};
    natsMsg *msg = NULL;

    snprintf(subject, sizeof subject, "evt.%" PRIu64 ".bench.thread.g1/c1/b1", number % PARTITIONS);
    snprintf(event_id, sizeof event_id, "%s-%010" PRIu64, name, number);
    snprintf(message_id, sizeof message_id, "e-%s-%0*" PRIu64, name, 31 - (int)strlen(name),
             number);
    snprintf(actor, sizeof actor, "m%" PRIu64, number % MEMBERS);
    snprintf(aggregate, sizeof aggregate, "thread|g1/c1/b1|t%02" PRIu64, number % PARTITIONS);
    snprintf(trace, sizeof trace, "00-%032" PRIx64 "-%016" PRIx64 "-01", number, number);
    must(natsMsg_Create(&msg, subject, NULL, payload, len), "a message");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        must(natsMsgHeader_Set(msg, headers[i][0], headers[i][1]), "a header");
    return msg;
}

int main(int argc, char *argv[])
{
    char payload[PAYLOAD_MAX];
    uint64_t sent = 0, before = 0, from_ns, until_ns, now_ns;
    natsConnection *nc;
    jsCtx *js = NULL;
    jsOptions options;
    int len;

    if (argc != 9)
        bench_die("publish_async URL USER PASSWORD-FILE NAME SECONDS WARM INFLIGHT PAYLOAD-BYTES");
    len = (int)strtol(argv[8], NULL, 10);
    if (len < 0 || len > PAYLOAD_MAX)
        bench_die("a payload has 0 to %d bytes", PAYLOAD_MAX);
    memset(payload, 'x', sizeof payload);
    nc = open_nats(argv);
    must(jsOptions_Init(&options), "jetstream options");
    options.PublishAsync.MaxPending = strtol(argv[7], NULL, 10);
    options.PublishAsync.AckHandler = on_ack;
    options.PublishAsync.StallWait = STALL_WAIT_MS;
    must(natsConnection_JetStream(&js, nc, &options), "jetstream");
    now_ns = loop_now_ns();
    from_ns = now_ns + (uint64_t)(strtod(argv[6], NULL) * 1e9);
    until_ns = from_ns + (uint64_t)(strtod(argv[5], NULL) * 1e9);
    for (; now_ns < until_ns; now_ns = loop_now_ns(), sent++) {
        natsMsg *msg = make_event(argv[4], sent, payload, len);

        if (before == 0 && now_ns >= from_ns) {
            before = atomic_load(&acked) + 1; /* 0: not yet */
            from_ns = now_ns;
        }
        must(js_PublishMsgAsync(js, &msg, NULL), "publish");
    }
    uint64_t counted = atomic_load(&acked) + 1 - before;

    must(js_PublishAsyncComplete(js, NULL), "the last acknowledgements");
    printf("{\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"counted\":%" PRIu64
           ",\"seconds\":%.6f}\n",
           sent, atomic_load(&acked), atomic_load(&failed), counted,
           (double)(now_ns - from_ns) / 1e9);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    return atomic_load(&acked) == sent ? 0 : 1;
}
