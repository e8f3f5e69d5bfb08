/* What the gateway takes from the bus: STREAM.INFO, pages of direct gets, republished pushes,
 * values and revocations, PubAcks and workers' replies, in any order and of any content. Pieces of
 * a byte (what it is), two bytes (its length) and so many bytes; a message is lines "Header: value"
 * and, behind an empty line, its body.
 *
 * The functions of link.h are defined here in its stead: what is asked waits until a piece answers
 * it. */
#include "gateway/burst.h"
#include "gateway/channel.h"
#include "gateway/metrics.h"
#include "gateway/revocation.h"
#include "gateway/signal.h"
#include "gateway/stream.h"
#include "gateway/uplink.h"
#include "tests/fuzz/bus_message.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 64
#define TAPS_COMING  8 /* two of each channel */
#define TAPS_MAX     16
#define TAP_SIGNALS  (TAPS_MAX - 1) /* the thread's */
#define PHONES       4
#define PIECES_MAX   128

struct request {
    uint64_t id; /* 0: free */
    gw_reply_fn *on_reply;
    void *arg;
    char subject[64];
};

struct gw_tap {
    gw_message_fn *on_message; /* NULL: free */
    void *arg;
};

struct phone {
    struct gw_subscriber *sub;
    bool subscribed, paused, closed;
    uint64_t last;
};

struct gw_link {
    struct gw_streams *streams;
};

static const struct yz_actor actor = {"t1", "m1", "g1/c1/b1", "member"};
static const char *const names[PHONES] = {"org.g1/c1/b1", "member.m1", "thread.g1/c1/b1.t1",
                                          "meeting.g1/c1/b1.m1"};

static struct request requests[REQUESTS_MAX];
static struct gw_tap taps[TAPS_MAX];
static struct {
    gw_resync_fn *call;
    void *arg;
} listeners[LINK_LISTENERS_MAX];
static struct phone phones[PHONES];
static uint64_t next_id;
static bool connected;

bool gw_link_connected(const struct gw_link *link)
{
    (void)link;
    return connected;
}

struct gw_streams *gw_link_streams(const struct gw_link *link)
{
    return link->streams;
}

static struct request *reserve(gw_reply_fn *on_reply, void *arg, const char *subject)
{
    for (size_t i = 0; connected && i < REQUESTS_MAX; i++) {
        if (requests[i].id == 0) {
            requests[i] = (struct request){.id = ++next_id, .on_reply = on_reply, .arg = arg};
            snprintf(requests[i].subject, sizeof requests[i].subject, "%s", subject);
            return &requests[i];
        }
    }
    return NULL;
}

enum yz_err gw_link_request(struct gw_link *link, const char *subject, const void *data, size_t len,
                            int64_t timeout_ms, gw_reply_fn *on_reply, void *arg, uint64_t *id)
{
    struct request *r = reserve(on_reply, arg, subject);

    (void)link;
    (void)timeout_ms;
    PROMISE(len == 0 || data);
    if (r && id)
        *id = r->id;
    return r ? YZ_OK : YZ_BUS_UNAVAILABLE;
}

enum yz_err gw_link_expect(struct gw_link *link, int64_t timeout_ms, gw_reply_fn *on_reply,
                           void *arg, char inbox[GW_INBOX_MAX], uint64_t *id)
{
    (void)link;
    (void)timeout_ms;
    snprintf(inbox, GW_INBOX_MAX, "_INBOX.fuzz.1");
    return gw_link_request(link, "", "", 0, timeout_ms, on_reply, arg, id);
}

enum yz_err gw_link_send(struct gw_link *link, natsMsg *msg, uint64_t id)
{
    (void)link;
    (void)id;
    natsMsg_Destroy(msg);
    return YZ_OK;
}

enum yz_err gw_link_publish_spare(struct gw_link *link, natsMsg *msg)
{
    (void)link;
    natsMsg_Destroy(msg);
    return connected ? YZ_OK : YZ_BUS_UNAVAILABLE;
}

void gw_link_cancel(struct gw_link *link, uint64_t id)
{
    (void)link;
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (requests[i].id == id)
            requests[i].id = 0;
    }
}

enum yz_err gw_link_subscribe(struct gw_link *link, const char *subject, gw_message_fn *on_message,
                              void *arg, struct gw_tap **tap)
{
    bool signals = yz_subject_is_signal(subject);

    (void)link;
    PROMISE((signals || strncmp(subject, "live.", 5) == 0) && !strpbrk(subject, " \t\r\n"));
    /* Those that come and go keep their numbers, whatever else there is. */
    for (size_t i = signals                ? TAP_SIGNALS
                    : strstr(subject, "*") ? TAPS_COMING
                                           : 0;
         i < TAPS_MAX; i++) {
        if (taps[i].on_message)
            continue;
        taps[i] = (struct gw_tap){.on_message = on_message, .arg = arg};
        *tap = &taps[i];
        return YZ_OK;
    }
    return YZ_BUS_UNAVAILABLE;
}

void gw_link_unsubscribe(struct gw_link *link, struct gw_tap *tap)
{
    (void)link;
    tap->on_message = NULL;
}

void gw_link_on_resync(struct gw_link *link, gw_resync_fn *on_resync, void *arg)
{
    (void)link;
    for (size_t i = 0; i < LINK_LISTENERS_MAX; i++) {
        if (listeners[i].call)
            continue;
        listeners[i].call = on_resync;
        listeners[i].arg = arg;
        return;
    }
    abort();
}

void gw_link_off_resync(struct gw_link *link, void *arg)
{
    (void)link;
    for (size_t i = 0; i < LINK_LISTENERS_MAX; i++) {
        if (listeners[i].arg == arg)
            listeners[i].call = NULL;
    }
}

static void on_subscribed(void *session, struct gw_subscriber *sub, const char *epoch,
                          uint64_t offset, bool recovered, uint32_t missed)
{
    struct phone *p = session;

    (void)offset;
    (void)missed;
    (void)recovered;
    PROMISE(p->sub == sub && !p->subscribed && strlen(epoch) < GW_EPOCH_MAX);
    p->subscribed = true;
}

static void on_refused(void *session, struct gw_subscriber *sub, enum yz_err err)
{
    struct phone *p = session;

    PROMISE(p->sub == sub && !p->subscribed && yz_err_temporary(err));
    p->sub = NULL;
}

/* Each once, in order: also of a broker gone mad. */
static void on_deliver(void *session, struct gw_message *msg, bool live)
{
    struct phone *p = session;
    uint64_t offset = gw_message_offset(msg);
    size_t len;

    (void)live;
    PROMISE(p->sub && p->subscribed && !p->paused);
    PROMISE(gw_message_frame(msg, GW_PROTOBUF, &len) && len > 0);
    PROMISE(gw_message_frame(msg, GW_JSON, &len) && len > 0);
    PROMISE(offset == 0 || offset > p->last);
    if (offset)
        p->last = offset;
}

/* Taken whole or, every other time, one by one. */
static bool on_burst(void *session, struct gw_burst *burst)
{
    static unsigned times;

    PROMISE(burst->count > 0 && !burst->restricted);
    PROMISE(gw_burst_wire(burst, GW_PROTOBUF) && gw_burst_wire(burst, GW_JSON));
    if (++times % 2)
        return false;
    for (size_t i = 0; i < burst->count; i++)
        on_deliver(session, burst->messages[i], true);
    return true;
}

/* Of a thread's other members only, and nothing that no client could read. */
static bool on_signal(void *session, struct gw_signal *signal)
{
    struct phone *p = session;

    PROMISE(p->sub && p->subscribed && strncmp(signal->channel, "thread.", 7) == 0);
    PROMISE(yz_id_valid(signal->member) && strcmp(signal->member, actor.member) != 0);
    PROMISE(signal->kind == 1);
    PROMISE(gw_signal_wire(signal, GW_PROTOBUF) && gw_signal_wire(signal, GW_JSON));
    return true;
}

static bool has_room(void *session)
{
    struct phone *p = session;

    return !p->paused;
}

static void on_lost(void *session, enum yz_close close)
{
    struct phone *p = session;

    PROMISE(yz_close_reconnects(close));
    p->closed = true;
}

static void on_accepted(void *arg, struct gw_ticket ticket, const char *event_id, enum yz_err err,
                        uint64_t sequence, bool duplicate)
{
    (void)arg;
    (void)ticket;
    (void)duplicate;
    PROMISE(strcmp(event_id, "e1") == 0 && (err || sequence > 0));
}

static void on_answered(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                        const struct yz_violation *v, const void *payload, size_t len)
{
    (void)arg;
    (void)ticket;
    PROMISE(strcmp(type, "notice.list") == 0);
    PROMISE(err ? v && v->err == err : payload || len == 0);
}

struct rig {
    uv_loop_t loop;
    struct yz_conf conf;
    struct gw_metrics metrics;
    struct gw_link link;
    struct gw_channels *channels;
    struct gw_revocations *revocations;
    struct gw_uplink *uplink;
    struct gw_query *query;
};

/* The how-th of those that wait. */
static void reply(uint8_t how, const uint8_t *data, size_t len)
{
    struct request *waiting[REQUESTS_MAX], r;
    size_t count = 0;
    natsMsg *msg;

    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (requests[i].id)
            waiting[count++] = &requests[i];
    }
    if (count == 0)
        return;
    r = *waiting[how % count];
    if (len == 0) {
        waiting[how % count]->id = 0;
        r.on_reply(r.arg, NULL, YZ_TIMED_OUT);
        return;
    }
    msg = bus_message_parse("_INBOX.fuzz.1", data, len);
    /* As in link.c: it is over when the callback says so, and it may have been cancelled inside. */
    if (!r.on_reply(r.arg, msg, YZ_OK))
        gw_link_cancel(NULL, r.id);
    natsMsg_Destroy(msg);
}

/* STREAM.INFO as a broker gives it, for who asks for it. */
static void inform(uint8_t last)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        char text[256];
        struct request r = requests[i];
        natsMsg *msg = NULL;

        if (r.id == 0 || strncmp(r.subject, "$JS.API.STREAM.INFO.", 20) != 0)
            continue;
        snprintf(text, sizeof text,
                 "{\"config\":{\"metadata\":{\"yizhan-epoch\":\"1.%c\"},"
                 "\"max_msgs_per_subject\":%d,\"num_replicas\":%d},"
                 "\"state\":{\"first_seq\":%d,\"last_seq\":%d}}",
                 last & 64 ? 'b' : 'a', last % 4 ? 1000 : 3, last & 32 ? 3 : 1, last % 8,
                 last % 32);
        PROMISE(natsMsg_Create(&msg, "_INBOX.fuzz.1", NULL, text, (int)strlen(text)) == NATS_OK);
        gw_link_cancel(NULL, r.id);
        r.on_reply(r.arg, msg, YZ_OK);
        natsMsg_Destroy(msg);
    }
}

static void live(uint8_t how, const uint8_t *data, size_t len)
{
    struct gw_tap *tap = &taps[how % TAPS_MAX];
    natsMsg *msg;

    if (!tap->on_message)
        return;
    msg = bus_message_parse("live.fuzz", data, len);
    tap->on_message(tap->arg, msg);
    natsMsg_Destroy(msg);
}

static void leave(struct rig *rig, struct phone *p)
{
    if (p->sub)
        gw_channels_leave(rig->channels, p->sub);
    memset(p, 0, sizeof *p);
}

static void join(struct rig *rig, uint8_t how)
{
    struct phone *p = &phones[how % PHONES];
    struct gw_since since = {.given = how & 4, .epoch = how & 8 ? "1.a" : "", .offset = how / 16};

    leave(rig, p);
    if (gw_channels_join(rig->channels, &actor, names[how % PHONES], since, p, 1, &p->sub) != YZ_OK)
        p->sub = NULL;
}

static void send_event(struct rig *rig)
{
    struct yz_envelope env = {.actor = actor, .event_id = "e1", .type = "notice.read"};

    snprintf(env.aggregate, sizeof env.aggregate, "receipts|n1|g1");
    (void)!gw_uplink_emit(rig->uplink, (struct gw_ticket){1, 1}, &env, "notice", "x", 1);
}

/* The bus goes away, and everything that waits fails; or it comes (back), and all is read again. */
static void reconnect(bool there)
{
    connected = there;
    for (size_t i = 0; !connected && i < REQUESTS_MAX; i++) {
        struct request r = requests[i];

        requests[i].id = 0;
        if (r.id)
            r.on_reply(r.arg, NULL, YZ_BUS_UNAVAILABLE);
    }
    for (size_t i = 0; connected && i < LINK_LISTENERS_MAX; i++) {
        if (listeners[i].call)
            listeners[i].call(listeners[i].arg);
    }
}

/* Nobody is let in before all revocations are known. */
static void judge_tokens(struct rig *rig)
{
    struct gw_identity identity = {.actor = actor, .token_id = "j1", .issued_at_ms = 1767225600000};
    enum yz_err err = gw_revocations_judge(rig->revocations, &identity);
    const char *reason;

    gw_revocations_changed(rig->revocations);
    PROMISE(err != YZ_OK || gw_revocations_ready(rig->revocations, &reason));
}

static void act(struct rig *rig, uint8_t what, const uint8_t *data, size_t len)
{
    uint8_t how = len > 0 ? data[0] : 0;
    struct phone *p = &phones[how % PHONES];

    data += len > 0;
    len -= len > 0;
    switch (what % 10) {
    case 0:
    case 1:
        reply(how, data, len);
        break;
    case 2:
    case 3:
        live(how, data, len);
        break;
    case 4:
        inform(how);
        break;
    case 5:
        join(rig, how);
        break;
    case 6:
        p->paused = !p->paused;
        if (!p->paused && p->sub)
            gw_channels_continue(rig->channels, p->sub);
        break;
    case 7:
        reconnect(how % 4 != 0);
        break;
    case 8:
        if (how & 1)
            send_event(rig);
        else
            (void)!gw_query_ask(rig->query, (struct gw_ticket){1, 1}, &actor, "notice.list", "", 0,
                                how);
        break;
    case 9:
        leave(rig, p);
        break;
    }
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    judge_tokens(rig);
    /* A session that lost its channel is closed later in the turn. */
    for (size_t i = 0; i < PHONES; i++) {
        if (phones[i].closed)
            leave(rig, &phones[i]);
    }
}

static void open_rig(struct rig *rig)
{
    static const struct gw_channel_events events = {.subscribed = on_subscribed,
                                                    .refused = on_refused,
                                                    .deliver = on_deliver,
                                                    .has_room = has_room,
                                                    .lost = on_lost,
                                                    .burst = on_burst,
                                                    .signal = on_signal};
    /* A scheme that reader.h leaves alone: all reads go over the link that is played here. */
    char *argv[] = {(char[]){"fuzz"}, (char[]){"--nats-url"}, (char[]){"tls://nowhere"}, NULL};

    memset(requests, 0, sizeof requests);
    memset(taps, 0, sizeof taps);
    memset(listeners, 0, sizeof listeners);
    memset(phones, 0, sizeof phones);
    connected = true;
    PROMISE(yz_conf_parse(&rig->conf, YZ_CONF_GATEWAY, 3, argv, "", NULL));
    PROMISE(gw_streams_new(&rig->link, &rig->loop, &rig->link.streams) == YZ_OK);
    PROMISE(gw_channels_new(&rig->conf, &rig->loop, &rig->link, &rig->metrics, &events,
                            &rig->channels) == YZ_OK);
    PROMISE(gw_revocations_new(&rig->conf, &rig->loop, &rig->link, &rig->metrics,
                               &rig->revocations) == YZ_OK);
    PROMISE(gw_uplink_new(&rig->conf, &rig->link, &rig->metrics, on_accepted, rig, &rig->uplink) ==
            YZ_OK);
    PROMISE(gw_query_new(&rig->conf, &rig->link, &rig->metrics, on_answered, rig, &rig->query) ==
            YZ_OK);
}

static void close_rig(struct rig *rig)
{
    for (size_t i = 0; i < PHONES; i++)
        leave(rig, &phones[i]);
    gw_query_free(rig->query);
    gw_uplink_free(rig->uplink);
    gw_revocations_free(rig->revocations);
    gw_channels_free(rig->channels);
    gw_streams_free(rig->link.streams);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    PROMISE(!uv_loop_alive(&rig->loop));
    /* Who is gone waits for nothing. */
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        PROMISE(requests[i].id == 0);
    for (size_t i = 0; i < TAPS_MAX; i++)
        PROMISE(!taps[i].on_message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool opened;
    static struct rig rig;

    if (!opened) {
        bus_message_open();
        PROMISE(uv_loop_init(&rig.loop) == 0);
        opened = true;
    }
    open_rig(&rig);
    for (int i = 0; size >= 3 && i < PIECES_MAX; i++) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;

        if (len > size - 3)
            len = size - 3;
        act(&rig, data[0], data + 3, len);
        data += 3 + len;
        size -= 3 + len;
    }
    close_rig(&rig);
    return 0;
}
