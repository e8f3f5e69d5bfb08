#include "tests/fuzz/edge.h"

#include "common/log.h"
#include "gateway/serial.h"
#include "gateway/signal.h"
#include "schemas/contract.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/gateway/roomy.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOCH "1.mfz0k8w0"

/* channel.h's own states, as far as a session can tell them apart. */
enum place { FREE, WAITING, PAUSED, ON };

struct gw_subscriber {
    enum place place;
    char channel[YZ_CHANNEL_MAX];
    void *session;
    uint32_t request;
    uint64_t offset;
    bool continued;
};

struct emission {
    struct gw_ticket ticket;
    char event_id[YZ_ID_MAX];
};

struct question {
    struct gw_ticket ticket;
    char type[YZ_TYPE_MAX];
};

static struct edge *the;
static struct gw_subscriber subs[EDGE_WAITING_MAX];
static struct emission emissions[EDGE_WAITING_MAX];
static struct question questions[EDGE_WAITING_MAX];
static size_t emission_count, question_count;

enum yz_err gw_channels_join(struct gw_channels *channels, const struct yz_actor *actor,
                             const char *channel, struct gw_since since, void *session,
                             uint32_t request, struct gw_subscriber **sub)
{
    struct yz_channel parsed;

    (void)channels;
    PROMISE(yz_channel_parse(channel, &parsed) && yz_may_subscribe(actor, &parsed));
    for (size_t i = 0; i < EDGE_WAITING_MAX; i++) {
        if (subs[i].place != FREE)
            continue;
        subs[i] = (struct gw_subscriber){
            .place = WAITING, .session = session, .request = request, .offset = since.offset};
        snprintf(subs[i].channel, sizeof subs[i].channel, "%s", channel);
        *sub = &subs[i];
        return YZ_OK;
    }
    return YZ_BUS_UNAVAILABLE;
}

void gw_channels_continue(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    PROMISE(sub->place != FREE);
    sub->continued = true;
}

void gw_channels_leave(struct gw_channels *channels, struct gw_subscriber *sub)
{
    (void)channels;
    PROMISE(sub->place != FREE);
    sub->place = FREE;
}

/* Of a channel that it was told it holds. */
enum yz_err gw_channels_signal(struct gw_channels *channels, struct gw_subscriber *sub, int kind)
{
    static unsigned turn;

    (void)channels;
    PROMISE(sub->place != FREE && sub->place != WAITING && kind == 1);
    PROMISE(strncmp(sub->channel, "thread.", 7) == 0);
    return ++turn % 4 ? YZ_OK : YZ_BUSY;
}

uint32_t gw_subscriber_request(const struct gw_subscriber *sub)
{
    return sub->request;
}

const char *gw_subscriber_channel(const struct gw_subscriber *sub)
{
    return sub->channel;
}

/* What goes to EVENTS has passed its contract, whatever the way it came in. */
static void judge_event(const struct yz_envelope *env, const char *domain, const void *payload,
                        size_t len)
{
    const struct yz_domain_schema *of = NULL;
    const struct yz_event_type *type = yz_event_type_find(env->type, &of);
    char aggregate[YZ_AGGREGATE_MAX];
    ProtobufCMessage *message;
    struct yz_violation v;
    struct yz_arena arena;

    PROMISE(type && strcmp(of->name, domain) == 0);
    PROMISE(yz_id_valid(env->event_id) && yz_id_valid(env->actor.tenant));
    yz_arena_init(&arena, len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_pb_decode(type->payload, payload, len, &arena, &message, &v) == YZ_OK);
    PROMISE(type->check(message, &v) == YZ_OK);
    PROMISE(yz_authorize(type->authority, &env->actor,
                         type->org_path ? type->org_path(message) : NULL) == YZ_OK);
    type->aggregate(message, &env->actor, aggregate);
    PROMISE(strcmp(aggregate, env->aggregate) == 0);
    yz_arena_deinit(&arena);
}

/* roomy.h has the room; full is told by the two that follow. */
static void ignore(void *peer)
{
    (void)peer;
}

/* Every other time something of an earlier message waits. */
static bool write_some(void *peer, const struct gw_wire *wire)
{
    static unsigned times;

    (void)peer;
    PROMISE(wire->len > wire->payload_len && wire->payload_len > 0);
    return ++times % 2;
}

const struct gw_session_output edge_deaf = {
    .wake = ignore, .rest = roomy_rest, .spend = roomy_spend, .write = write_some};

enum yz_err gw_uplink_emit(struct gw_uplink *uplink, struct gw_ticket ticket,
                           const struct yz_envelope *env, const char *domain, const void *payload,
                           size_t len)
{
    struct emission *e = &emissions[emission_count];

    (void)uplink;
    judge_event(env, domain, payload, len);
    if (emission_count == EDGE_WAITING_MAX)
        return YZ_BUSY;
    emission_count++;
    e->ticket = ticket;
    snprintf(e->event_id, sizeof e->event_id, "%s", env->event_id);
    return YZ_OK;
}

enum yz_err gw_query_ask(struct gw_query *query, struct gw_ticket ticket,
                         const struct yz_actor *actor, const char *type, const void *payload,
                         size_t len, uint64_t min_sequence)
{
    const struct yz_query_type *known = yz_query_type_find(type, NULL);
    struct question *q = &questions[question_count];
    ProtobufCMessage *message;
    struct yz_violation v;
    struct yz_arena arena;

    (void)query;
    (void)min_sequence;
    PROMISE(known);
    yz_arena_init(&arena, len * YZ_ARENA_FACTOR + YZ_ARENA_BASE);
    PROMISE(yz_pb_decode(known->request, payload, len, &arena, &message, &v) == YZ_OK);
    PROMISE(!known->check || known->check(message, &v) == YZ_OK);
    PROMISE(yz_authorize(known->authority, actor,
                         known->org_path ? known->org_path(message) : NULL) == YZ_OK);
    yz_arena_deinit(&arena);
    if (question_count == EDGE_WAITING_MAX)
        return YZ_BUSY;
    question_count++;
    q->ticket = ticket;
    snprintf(q->type, sizeof q->type, "%s", type);
    return YZ_OK;
}

void edge_accept(struct edge *edge, uint8_t how)
{
    static const enum yz_err errs[] = {YZ_OK, YZ_OK, YZ_BUS_UNAVAILABLE, YZ_STORAGE_FULL};
    struct emission e = emissions[0];
    enum yz_err err = errs[how % 4];

    if (emission_count == 0)
        return;
    memmove(emissions, emissions + 1, --emission_count * sizeof e);
    if (e.ticket.session & GW_SERIAL_HTTP)
        gw_http_accepted(edge->http, e.ticket, e.event_id, err, how, how & 4);
    else
        gw_sessions_accepted(edge->sessions, e.ticket, e.event_id, err, UINT64_MAX - how, how & 4);
}

void edge_answer(struct edge *edge, uint8_t how, const void *payload, size_t len)
{
    struct question q = questions[0];
    struct yz_violation v = {0};
    enum yz_err err = YZ_OK;

    if (question_count == 0)
        return;
    memmove(questions, questions + 1, --question_count * sizeof q);
    if (how % 4 == 0)
        err = yz_violate(&v, YZ_NOT_FOUND, "noticeId", NULL);
    if (q.ticket.session & GW_SERIAL_HTTP)
        gw_http_answered(edge->http, q.ticket, q.type, err, &v, payload, len);
    else
        gw_sessions_answered(edge->sessions, q.ticket, q.type, err, &v, payload, len);
}

static const struct gw_channel_events *const events = &gw_session_channel_events;

static void answer_join(struct gw_subscriber *sub, uint8_t how)
{
    if (how % 4 == 0) {
        events->refused(sub->session, sub, YZ_BUS_UNAVAILABLE);
        sub->place = FREE;
        return;
    }
    sub->place = PAUSED;
    sub->continued = true;
    events->subscribed(sub->session, sub, EPOCH, sub->offset, how % 4 == 1, how % 4);
}

static bool deliver_whole(struct gw_subscriber *sub, struct gw_message *msg)
{
    struct gw_burst *burst = gw_burst_new();
    bool done;

    PROMISE(burst && gw_burst_add(burst, msg));
    done = events->burst(sub->session, burst);
    gw_burst_free(burst);
    return done;
}

/* A push, or (offset 0) a value, with this body. */
static void deliver(struct gw_subscriber *sub, uint8_t how, const void *body, size_t len)
{
    bool live = sub->place == ON;
    struct gw_message *msg = NULL;

    if (!live && !events->has_room(sub->session)) {
        sub->continued = false;
        return;
    }
    if (gw_message_new(sub->channel, how & 4 ? 0 : ++sub->offset, how & 4 ? "attendance" : "", body,
                       len, how & 8 ? "secretary" : "", "", &msg) != YZ_OK)
        return;
    if (!live || gw_message_restricted(msg) || !deliver_whole(sub, msg))
        events->deliver(sub->session, msg, live);
    gw_message_unref(msg);
    if (sub->place == PAUSED && how & 16)
        sub->place = ON;
}

static void tell(struct gw_subscriber *sub, const void *body, size_t len)
{
    struct gw_signal signal;
    char member[YZ_ID_MAX];

    snprintf(member, sizeof member, "m%zu%02x", len, len ? *(const uint8_t *)body : 0);
    gw_signal_init(&signal, sub->channel, member, 1);
    (void)events->signal(sub->session, &signal);
    gw_signal_deinit(&signal);
}

void edge_channel(struct edge *edge, uint8_t how, const void *body, size_t len)
{
    struct gw_subscriber *sub = &subs[how % 8];

    (void)edge;
    if (sub->place == WAITING)
        answer_join(sub, how / 8);
    else if (sub->place == ON && how / 8 == 31)
        events->lost(sub->session, YZ_CLOSE_CHANNEL_LOST);
    else if (sub->place == ON && how / 8 == 30)
        tell(sub, body, len);
    else if (sub->place == ON || (sub->place == PAUSED && sub->continued))
        deliver(sub, how / 8, body, len);
}

size_t edge_held(void)
{
    size_t held = 0;

    for (size_t i = 0; i < EDGE_WAITING_MAX; i++)
        held += subs[i].place != FREE;
    return held;
}

void edge_forget(void)
{
    emission_count = question_count = 0;
}

/* Standard base64 to the URL's alphabet, without padding; returns the length. */
static size_t encode64(const void *data, size_t len, char *out)
{
    size_t at = 0;

    yz_base64_encode(data, len, out);
    for (; at < YZ_BASE64_LEN(len) && out[at] != '='; at++)
        out[at] = out[at] == '+' ? '-' : out[at] == '/' ? '_' : out[at];
    return at;
}

const char *edge_token(void)
{
    static const char header[] = "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"JWT\"}";
    static const char claims[] =
        "{\"sub\":\"m1\",\"tid\":\"t1\",\"org\":\"b1\",\"path\":\"g1/c1/b1\",\"roles\":[\"member\","
        "\"secretary@g1/c1\"],\"aud\":\"yizhan\",\"exp\":4102444800}";
    static char token[1024];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = sizeof mac;
    size_t len;

    if (*token)
        return token;
    len = encode64(header, sizeof header - 1, token);
    token[len++] = '.';
    len += encode64(claims, sizeof claims - 1, token + len);
    PROMISE(HMAC(EVP_sha256(), EDGE_SECRET, sizeof EDGE_SECRET - 1, (unsigned char *)token, len,
                 mac, &mac_len));
    token[len++] = '.';
    token[len + encode64(mac, mac_len, token + len)] = '\0';
    return token;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    PROMISE(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void remove_file(const char *dir, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    remove(path);
}

/* Keys and static files are read once: their folder can go again. */
static void load(struct edge *edge)
{
    char dir[] = "/tmp/yz-fuzz-XXXXXX", sub[64];

    PROMISE(mkdtemp(dir));
    snprintf(sub, sizeof sub, "%s/sub", dir);
    PROMISE(mkdir(sub, 0700) == 0);
    write_file(dir, "hs.HS256.key", EDGE_SECRET);
    write_file(dir, "index.html", "<p>index</p>");
    write_file(sub, "page.html", "<p>page</p>");
    PROMISE(gw_auth_new(dir, "yizhan", &edge->auth) == YZ_OK);
    remove_file(dir, "hs.HS256.key");
    PROMISE(gw_files_load(dir, &edge->files) == YZ_OK);
    remove_file(sub, "page.html");
    remove_file(dir, "index.html");
    rmdir(sub);
    rmdir(dir);
}

void edge_open(struct edge *edge, const struct gw_session_output *output,
               void (*answered)(void *peer))
{
    char *argv[] = {(char[]){"fuzz"}, NULL};
    struct gw_session_parts sessions = {
        .conf = &edge->conf, .metrics = &edge->metrics, .output = output};
    struct gw_http_parts http = {
        .conf = &edge->conf, .metrics = &edge->metrics, .answered = answered};

    PROMISE(!the);
    the = edge;
    signal(SIGPIPE, SIG_IGN);
    yz_log_init("fuzz", YZ_LOG_ERROR);
    PROMISE(yz_conf_parse(&edge->conf, YZ_CONF_GATEWAY, 1, argv, "", NULL));
    edge->conf.sessions_max = 64;
    edge->conf.session_channels_max = 8;
    edge->conf.session_backlog_max_bytes = 65536;
    load(edge);
    PROMISE(gw_intake_new(&edge->conf, NULL, NULL, &edge->metrics, &edge->intake) == YZ_OK);
    sessions.auth = edge->auth;
    sessions.intake = edge->intake;
    PROMISE(gw_sessions_new(&sessions, &edge->sessions) == YZ_OK);
    http.auth = edge->auth;
    http.files = edge->files;
    http.intake = edge->intake;
    PROMISE(gw_http_new(&http, &edge->http) == YZ_OK);
}
