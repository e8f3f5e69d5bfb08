#include "publisher.h"

#include "loop.h"

#include <errno.h>
#include <nats/nats.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PENDING_MAX  16384
#define ACKS_MS      10000
#define PASSWORD_MAX 128
#define MSG_ID_MAX   64

struct publisher {
    enum publisher_kind kind;
    natsConnection *nc;
    jsCtx *js;
    atomic_uint_fast64_t failed;
    int bare;
    uint8_t *message; /* copy of the template; its marker is at `marker` */
    size_t len, marker;
    uint8_t *burst; /* of the bare loop: 4 bytes for the length, then the messages */
    size_t burst_len, burst_size;
    uint64_t serial, run;
};

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        bench_die("%s: %s", what, natsStatus_GetText(status));
}

static void on_failed(jsCtx *js, jsPubAckErr *error, void *closure)
{
    struct publisher *publisher = closure;

    (void)js;
    if (atomic_fetch_add(&publisher->failed, 1) == 0)
        fprintf(stderr, "bench: a publish failed: %s\n", error->ErrText);
}

static void read_password(const char *path, char out[PASSWORD_MAX])
{
    FILE *file = fopen(path, "re");

    if (!file || !fgets(out, PASSWORD_MAX, file))
        bench_die("no password in %s", path);
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

static void open_nats(struct publisher *publisher, const struct publisher_options *options)
{
    char password[PASSWORD_MAX], inbox[PASSWORD_MAX];
    natsOptions *nats = NULL;
    jsOptions js;

    must(natsOptions_Create(&nats), "nats options");
    must(natsOptions_SetURL(nats, options->url), "nats url");
    if (options->user) {
        read_password(options->password_file, password);
        must(natsOptions_SetUserInfo(nats, options->user, password), "nats user");
        /* The only inboxes that nats-users.conf lets this user read. */
        snprintf(inbox, sizeof inbox, "_INBOX_%s", options->user);
        must(natsOptions_SetCustomInboxPrefix(nats, inbox), "nats inbox");
    }
    must(natsConnection_Connect(&publisher->nc, nats), "connect to nats-server");
    natsOptions_Destroy(nats);
    if (options->kind != PUBLISHER_JETSTREAM)
        return;
    must(jsOptions_Init(&js), "jetstream options");
    js.PublishAsync.MaxPending = PENDING_MAX;
    js.PublishAsync.ErrHandler = on_failed;
    js.PublishAsync.ErrHandlerClosure = publisher;
    js.PublishAsync.StallWait = ACKS_MS;
    must(natsConnection_JetStream(&publisher->js, publisher->nc, &js), "jetstream");
}

static void open_bare(struct publisher *publisher, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    publisher->bare = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (publisher->bare < 0 || connect(publisher->bare, (struct sockaddr *)&to, sizeof to))
        bench_die("connect to the bare loop: %s", strerror(errno));
    setsockopt(publisher->bare, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

struct publisher *publisher_open(const struct publisher_options *options)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);

    if (!publisher)
        bench_die("no memory for a publisher");
    publisher->kind = options->kind;
    publisher->bare = -1;
    publisher->run = loop_now_ns();
    if (options->kind == PUBLISHER_BARE)
        open_bare(publisher, options->port);
    else
        open_nats(publisher, options);
    return publisher;
}

void publisher_close(struct publisher *publisher)
{
    if (!publisher)
        return;
    jsCtx_Destroy(publisher->js);
    natsConnection_Destroy(publisher->nc);
    if (publisher->bare >= 0)
        close(publisher->bare);
    free(publisher->message);
    free(publisher->burst);
    free(publisher);
}

void publisher_template(struct publisher *publisher, const uint8_t *data, size_t len)
{
    const uint8_t *at = data;
    struct marker marker;

    if (!marker_next(&at, data + len, &marker))
        bench_die("no marker in the template");
    free(publisher->message);
    publisher->message = malloc(len);
    if (!publisher->message)
        bench_die("no memory for a message of %zu bytes", len);
    memcpy(publisher->message, data, len);
    publisher->len = len;
    publisher->marker = (size_t)(at - data) - MARKER_LEN;
}

static void send_jetstream(struct publisher *publisher, const char *subject)
{
    char msg_id[MSG_ID_MAX];
    natsMsg *msg = NULL;

    must(natsMsg_Create(&msg, subject, NULL, (const char *)publisher->message, (int)publisher->len),
         "a message");
    snprintf(msg_id, sizeof msg_id, "p-%llu-%llu", (unsigned long long)publisher->run,
             (unsigned long long)publisher->serial++);
    must(natsMsgHeader_Set(msg, "Nats-Msg-Id", msg_id), "a header");
    must(js_PublishMsgAsync(publisher->js, &msg, NULL), "publish into JetStream");
}

static void add_to_burst(struct publisher *publisher)
{
    if (publisher->burst_len == 0)
        publisher->burst_len = sizeof(uint32_t);
    if (publisher->burst_len + publisher->len > publisher->burst_size) {
        publisher->burst_size = (publisher->burst_len + publisher->len) * 2;
        publisher->burst = realloc(publisher->burst, publisher->burst_size);
        if (!publisher->burst)
            bench_die("no memory for a burst");
    }
    memcpy(publisher->burst + publisher->burst_len, publisher->message, publisher->len);
    publisher->burst_len += publisher->len;
}

void publisher_send(struct publisher *publisher, const char *subject, const struct marker *marker)
{
    marker_write(publisher->message + publisher->marker, marker);
    switch (publisher->kind) {
    case PUBLISHER_JETSTREAM:
        send_jetstream(publisher, subject);
        break;
    case PUBLISHER_NATS:
        must(
            natsConnection_Publish(publisher->nc, subject, publisher->message, (int)publisher->len),
            "publish");
        break;
    case PUBLISHER_BARE:
        add_to_burst(publisher);
        break;
    }
}

void publisher_flush(struct publisher *publisher)
{
    uint32_t len;
    size_t done = 0;

    if (publisher->kind != PUBLISHER_BARE) {
        /* As yz_bus_hurry does: the PING takes all along that nats.c would keep for a millisecond.
         */
        (void)natsConnection_FlushTimeout(publisher->nc, 1);
        return;
    }
    if (publisher->burst_len == 0)
        return;
    len = (uint32_t)(publisher->burst_len - sizeof len);
    memcpy(publisher->burst, &len, sizeof len);
    while (done < publisher->burst_len) {
        ssize_t put = send(publisher->bare, publisher->burst + done, publisher->burst_len - done,
                           MSG_NOSIGNAL);

        if (put <= 0)
            bench_die("the bare loop is gone: %s", strerror(errno));
        done += (size_t)put;
    }
    publisher->burst_len = 0;
}

uint64_t publisher_failed(struct publisher *publisher)
{
    jsPubOptions wait;

    if (publisher->js) {
        jsPubOptions_Init(&wait);
        wait.MaxWait = ACKS_MS;
        if (js_PublishAsyncComplete(publisher->js, &wait) != NATS_OK)
            bench_die("PubAcks are missing after %d ms", ACKS_MS);
    }
    return atomic_load(&publisher->failed);
}
