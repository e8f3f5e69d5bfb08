/* crowd: thousands of subscribers in one process, who publishes to them, and the count of all that
 * arrives.
 *
 *     connect kind=yizhan|nats|bare port=P count=N [encoding=protobuf|json] [members=FILE]
 * [sources=K] [pace=PER_S] publisher kind=jetstream|nats|bare [url=U user=U password_file=F]
 * [port=P] topics file=FILE            a subject a line burst inflight=N seconds=S template=FILE
 * [zipf=S] [seed=N] [pid=PID] ping every=S seconds=S [pid=PID] sockets                     kernel
 * memory of this side's sockets hang_up
 *
 * members: a line each, "token<TAB>channel,channel...<TAB>topic,topic...". Other kinds subscribe to
 * topic 0. burst: `inflight` messages are published, to topics drawn by 1/rank^zipf (else all to
 * topic 0), then all their deliveries are awaited; again until the seconds are over. Every delivery
 * is checked: each subscriber must see the numbers of each of its topics one behind the other.
 * Server CPU is that of pid meanwhile.
 */
#include "control.h"
#include "histogram.h"
#include "marker.h"
#include "natsws.h"
#include "publisher.h"
#include "usage.h"
#include "wire.h"
#include "ws.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX     64
#define OPENING_MAX      256 /* handshakes under way at once */
#define BURST_TIMEOUT_NS ((uint64_t)50 * 1000000000)
#define SECOND_NS        1e9

enum kind { YIZHAN, NATS, BARE };

struct seen {
    uint32_t topic;
    uint64_t next; /* number that must come next */
};

struct phone {
    struct ws ws; /* first: callbacks find the phone by it */
    struct natsws nats;
    char *member; /* its line of the members' file, cut at the tabs */
    const char *token;
    struct wire_channel channels[CHANNELS_MAX];
    struct seen *topics;
    uint32_t channel_count, topic_count;
    bool ready;
};

struct topic {
    char *subject;
    uint64_t published;
    uint32_t subscribers;
    double weight; /* cumulated */
};

static struct {
    struct loop loop;
    enum kind kind;
    enum wire_encoding encoding;
    struct ws_options options;
    struct phone *phones;
    uint32_t count, begun, ready, lost;
    unsigned lost_status;
    double pace;
    uint64_t began_ns;
    struct loop_timer pacer;
    struct histogram arrivals;
    char *members; /* the file's text */
    struct topic *topics;
    uint32_t topic_count;
    struct publisher *publisher;
} crowd;

static struct {
    bool going;
    uint32_t inflight;
    uint64_t until_ns, began_ns, burst_ns, cpu_ns;
    uint64_t expected, delivered, wrong, bursts, published, frames, bytes, payload, total;
    double zipf;
    uint64_t random;
    pid_t pid;
    struct histogram times;
    struct loop_timer late;
} burst;

static struct {
    uint64_t begin_ns, every_ns, until_ns, sent, pongs, cpu_ns;
    struct loop_timer timer;
    pid_t pid;
    bool going;
} pings;

static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;

    *len = 0;
    if (!file)
        bench_die("no file %s", path);
    for (;;) {
        if (size - *len < 65536) {
            size = size * 2 + 65537;
            text = realloc(text, size);
            if (!text)
                bench_die("no memory for %s", path);
        }
        size_t got = fread(text + *len, 1, size - *len - 1, file);

        if (got == 0)
            break;
        *len += got;
    }
    text[*len] = '\0';
    fclose(file);
    return text;
}

static uint64_t frames_so_far(void)
{
    uint64_t frames = 0;

    for (uint32_t i = 0; i < crowd.count; i++)
        frames += crowd.phones[i].ws.frames;
    return frames;
}

static uint64_t bytes_so_far(void)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < crowd.count; i++)
        bytes += crowd.phones[i].ws.bytes;
    return bytes;
}

/* bursts */

static double random_unit(void)
{
    burst.random ^= burst.random << 13;
    burst.random ^= burst.random >> 7;
    burst.random ^= burst.random << 17;
    return (double)(burst.random >> 11) / 9007199254740992.0; /* 2^53 */
}

/* The topic whose cumulated weight is the first above a random point. */
static uint32_t draw_topic(void)
{
    double point = random_unit() * crowd.topics[crowd.topic_count - 1].weight;
    uint32_t low = 0, high = crowd.topic_count - 1;

    if (burst.zipf <= 0)
        return 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (crowd.topics[middle].weight > point)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void next_burst(void)
{
    burst.burst_ns = loop_now_ns();
    burst.expected = burst.delivered = 0;
    for (uint32_t i = 0; i < burst.inflight; i++) {
        uint32_t number = draw_topic();
        struct topic *topic = &crowd.topics[number];
        struct marker marker = {number, topic->published++};

        burst.expected += topic->subscribers;
        publisher_send(crowd.publisher, topic->subject, &marker);
    }
    publisher_flush(crowd.publisher);
    burst.published += burst.inflight;
    loop_timer(&crowd.loop, &burst.late, burst.burst_ns + BURST_TIMEOUT_NS);
}

static void end_bursts(void)
{
    uint64_t now = loop_now_ns(), cpu = burst.pid ? usage_cpu_ns(burst.pid) - burst.cpu_ns : 0,
             failed;

    burst.going = crowd.loop.spin = false;
    loop_timer_off(&crowd.loop, &burst.late);
    failed = publisher_failed(crowd.publisher);
    printf("{\"seconds\":%.6f,\"cpu_ns\":%" PRIu64 ",\"bursts\":%" PRIu64 ",\"published\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"frames\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"payload_bytes\":%" PRIu64
           ",\"lost\":%u,\"burst_ns\":",
           (double)(now - burst.began_ns) / SECOND_NS, cpu, burst.bursts, burst.published, failed,
           burst.total, burst.wrong, frames_so_far() - burst.frames, bytes_so_far() - burst.bytes,
           burst.payload, crowd.lost);
    histogram_print(&burst.times, stdout);
    control_answer("}");
    histogram_deinit(&burst.times);
}

static void on_late(struct loop_timer *timer)
{
    (void)timer;
    burst.going = crowd.loop.spin = false;
    control_error("port %u: %" PRIu64 " of %" PRIu64 " deliveries came, %" PRIu64
                  " wrong, %u connections lost",
                  crowd.options.port, burst.delivered, burst.expected, burst.wrong, crowd.lost);
}

static void delivered(struct phone *phone, const struct marker *marker)
{
    uint32_t i = 0;

    while (i < phone->topic_count && phone->topics[i].topic != marker->topic)
        i++;
    if (i == phone->topic_count || phone->topics[i].next != marker->number)
        burst.wrong++;
    else
        phone->topics[i].next++;
    burst.total++;
    burst.delivered++;
}

static void burst_done(void)
{
    uint64_t now = loop_now_ns();

    burst.bursts++;
    histogram_record(&burst.times, now - burst.burst_ns);
    if (now < burst.until_ns)
        next_burst();
    else
        end_bursts();
}

static void take_text(struct phone *phone, const uint8_t *data, size_t len)
{
    const uint8_t *at = data;
    struct marker marker;

    burst.payload += len;
    while (marker_next(&at, data + len, &marker))
        delivered(phone, &marker);
}

static void begin_bursts(const char *line)
{
    static char *template;
    char path[512];
    double total = 0;
    size_t len;

    memset(&burst, 0, sizeof burst);
    histogram_init(&burst.times);
    burst.inflight = (uint32_t)control_number(line, "inflight", 1);
    burst.zipf = control_number(line, "zipf", 0);
    burst.random = (uint64_t)control_number(line, "seed", 1) * 2654435761u + 1;
    burst.pid = (pid_t)control_number(line, "pid", 0);
    burst.late.on_time = on_late;
    control_text(line, "template", path, sizeof path);
    free(template);
    template = read_file(path, &len);
    publisher_template(crowd.publisher, (const uint8_t *)template, len);
    for (uint32_t i = 0; i < crowd.topic_count; i++) {
        total += pow(i + 1.0, -burst.zipf);
        crowd.topics[i].weight = total;
    }
    burst.frames = frames_so_far();
    burst.bytes = bytes_so_far();
    burst.cpu_ns = burst.pid ? usage_cpu_ns(burst.pid) : 0;
    burst.began_ns = loop_now_ns();
    burst.until_ns = burst.began_ns + (uint64_t)(control_number(line, "seconds", 1) * SECOND_NS);
    burst.going = crowd.loop.spin = true;
    next_burst();
}

/* connections */

static void on_pacer(struct loop_timer *timer);

static void connect_more(void)
{
    uint64_t now = loop_now_ns(), due;

    due = crowd.pace > 0 ? (uint64_t)((double)(now - crowd.began_ns) * crowd.pace / SECOND_NS) + 1
                         : crowd.count;
    while (crowd.begun < crowd.count && crowd.begun < due &&
           crowd.begun - crowd.ready - crowd.lost < OPENING_MAX) {
        ws_connect(&crowd.phones[crowd.begun].ws, &crowd.loop, &crowd.options, crowd.begun);
        crowd.begun++;
    }
    if (crowd.begun < crowd.count)
        loop_timer(&crowd.loop, &crowd.pacer, now + 1000000);
}

static void on_pacer(struct loop_timer *timer)
{
    (void)timer;
    connect_more();
}

static void all_connected(void)
{
    control_answer("{\"connected\":%u,\"lost\":%u,\"status\":%u,\"seconds\":%.6f}", crowd.ready,
                   crowd.lost, crowd.lost_status,
                   (double)(loop_now_ns() - crowd.began_ns) / SECOND_NS);
}

static void became_ready(struct phone *phone)
{
    if (phone->ready)
        return;
    phone->ready = true;
    crowd.ready++;
    for (uint32_t i = 0; i < phone->topic_count; i++) {
        struct topic *topic = &crowd.topics[phone->topics[i].topic];

        phone->topics[i].next = topic->published;
        topic->subscribers++;
    }
    if (crowd.ready + crowd.lost == crowd.count)
        all_connected();
}

static void on_open(struct ws *ws)
{
    struct phone *phone = (struct phone *)ws;
    static char frame[65536];

    if (crowd.kind == BARE) {
        became_ready(phone);
    } else if (crowd.kind == NATS) {
        natsws_subscribe(ws, crowd.topics[0].subject);
    } else {
        size_t len = wire_hello(crowd.encoding, 1, phone->token, phone->channels,
                                phone->channel_count, frame, sizeof frame);

        ws_send(ws, crowd.encoding == WIRE_JSON, frame, len);
    }
}

static void on_item(const struct wire_item *item, void *user)
{
    struct phone *phone = user;

    if (item->kind == WIRE_WELCOME && item->joined == phone->channel_count)
        became_ready(phone);
    else if (item->kind == WIRE_PONG)
        pings.pongs++;
    else if (item->kind != WIRE_PUSH)
        fprintf(stderr, "bench: answered with %d: %.*s\n", (int)item->kind, (int)item->code_len,
                item->code ? item->code : "");
}

static void on_pong(void *user)
{
    became_ready(user);
}

static void on_payload(void *user, const uint8_t *data, size_t len)
{
    take_text(user, data, len);
}

static void on_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    static const struct natsws_events events = {on_pong, on_payload};
    struct phone *phone = (struct phone *)ws;

    (void)text;
    if (crowd.kind == NATS) {
        if (!natsws_take(&phone->nats, ws, data, len, &events, phone))
            bench_die("nats-server: %.*s", (int)(len < 200 ? len : 200), (const char *)data);
    } else if (crowd.kind == YIZHAN && (!phone->ready || pings.going)) {
        if (!wire_each(crowd.encoding, data, len, on_item, phone))
            bench_die("a message that cannot be read, of %zu bytes", len);
    } else if (pings.going) { /* of the bare loop: any answer */
        pings.pongs++;
    } else {
        take_text(phone, data, len);
    }
    if (burst.going && burst.delivered >= burst.expected)
        burst_done();
}

static void on_close(struct ws *ws, unsigned status)
{
    (void)ws;
    if (crowd.lost++ == 0)
        crowd.lost_status = status;
    if (crowd.ready + crowd.lost == crowd.count && crowd.begun == crowd.count)
        all_connected();
}

/* "token<TAB>channel,channel<TAB>topic,topic" */
static void read_member(struct phone *phone, char *line)
{
    char *at = line, *channels, *topics, *one;

    phone->member = line;
    phone->token = strsep(&at, "\t");
    channels = strsep(&at, "\t");
    topics = strsep(&at, "\t");
    while (channels && (one = strsep(&channels, ",")) && *one) {
        if (phone->channel_count == CHANNELS_MAX)
            bench_die("a member has more than %d channels", CHANNELS_MAX);
        phone->channels[phone->channel_count++].channel = one;
    }
    phone->topics = calloc(CHANNELS_MAX, sizeof *phone->topics);
    while (topics && phone->topics && (one = strsep(&topics, ",")) && *one &&
           phone->topic_count < CHANNELS_MAX) {
        uint32_t topic = (uint32_t)strtoul(one, NULL, 10);

        if (topic >= crowd.topic_count)
            bench_die("no topic %u: give topics before connect", topic);
        phone->topics[phone->topic_count++].topic = topic;
    }
}

static void read_members(const char *path)
{
    char *at, *line;
    uint32_t i = 0;
    size_t len;

    free(crowd.members);
    at = crowd.members = read_file(path, &len);
    while (i < crowd.count && (line = strsep(&at, "\n")) && *line)
        read_member(&crowd.phones[i++], line);
    if (i < crowd.count)
        bench_die("%s has %u members, %u are wanted", path, i, crowd.count);
}

static void begin_connecting(const char *line)
{
    char kind[16], encoding[16], path[512];

    crowd.count = (uint32_t)control_number(line, "count", 1);
    crowd.phones = calloc(crowd.count, sizeof *crowd.phones);
    if (!crowd.phones)
        bench_die("no memory for %u connections", crowd.count);
    control_text(line, "kind", kind, sizeof kind);
    crowd.kind = strcmp(kind, "yizhan") == 0 ? YIZHAN : strcmp(kind, "nats") == 0 ? NATS : BARE;
    crowd.options = (struct ws_options){.port = (uint16_t)control_number(line, "port", 0),
                                        .path = "/",
                                        .sources = (unsigned)control_number(line, "sources", 8),
                                        .on_open = on_open,
                                        .on_message = on_message,
                                        .on_close = on_close};
    if (crowd.kind == YIZHAN) {
        if (!control_text(line, "encoding", encoding, sizeof encoding))
            snprintf(encoding, sizeof encoding, "protobuf");
        crowd.encoding = wire_encoding_of(encoding);
        crowd.options.path = "/v1/ws";
        crowd.options.protocol = wire_protocol(crowd.encoding);
        control_text(line, "members", path, sizeof path);
        read_members(path);
    } else {
        if (crowd.topic_count == 0)
            bench_die("give topics before connect");
        for (uint32_t i = 0; i < crowd.count; i++) {
            crowd.phones[i].topics = calloc(1, sizeof *crowd.phones[i].topics);
            crowd.phones[i].topic_count = 1;
        }
    }
    crowd.begun = crowd.ready = crowd.lost = 0;
    crowd.pace = control_number(line, "pace", 0);
    crowd.began_ns = loop_now_ns();
    crowd.pacer.on_time = on_pacer;
    connect_more();
}

static void hang_up(void)
{
    for (uint32_t i = 0; i < crowd.count; i++) {
        struct phone *phone = &crowd.phones[i];

        ws_close(&phone->ws, 1000);
        natsws_deinit(&phone->nats);
        free(phone->topics);
    }
    free(crowd.phones);
    crowd.phones = NULL;
    crowd.count = 0;
    for (uint32_t i = 0; i < crowd.topic_count; i++)
        crowd.topics[i].subscribers = 0;
    control_answer("{}");
}

static void read_topics(const char *line)
{
    static char *text;
    char path[512], *at, *one;
    size_t len;

    control_text(line, "file", path, sizeof path);
    free(text);
    at = text = read_file(path, &len);
    crowd.topic_count = 0;
    while ((one = strsep(&at, "\n")) && *one) {
        crowd.topics = realloc(crowd.topics, (crowd.topic_count + 1) * sizeof *crowd.topics);
        if (!crowd.topics)
            bench_die("no memory for topics");
        crowd.topics[crowd.topic_count++] = (struct topic){.subject = one};
    }
    control_answer("{\"topics\":%u}", crowd.topic_count);
}

static void open_publisher(const char *line)
{
    char kind[16], url[256], user[64], password_file[512];
    struct publisher_options options = {.url = url, .password_file = password_file};

    control_text(line, "kind", kind, sizeof kind);
    control_text(line, "url", url, sizeof url);
    if (control_text(line, "user", user, sizeof user))
        options.user = user;
    control_text(line, "password_file", password_file, sizeof password_file);
    options.port = (uint16_t)control_number(line, "port", 0);
    options.kind = strcmp(kind, "jetstream") == 0 ? PUBLISHER_JETSTREAM
                   : strcmp(kind, "nats") == 0    ? PUBLISHER_NATS
                                                  : PUBLISHER_BARE;
    publisher_close(crowd.publisher);
    crowd.publisher = publisher_open(&options);
    control_answer("{}");
}

/* pings: each connection once in `every`, spread evenly */

static void on_ping_time(struct loop_timer *timer)
{
    uint64_t now = loop_now_ns(), next;
    char frame[64];

    while ((next = pings.begin_ns + pings.sent * pings.every_ns) <= now) {
        struct phone *phone = &crowd.phones[pings.sent % crowd.count];
        size_t len = wire_ping(crowd.encoding, (uint32_t)pings.sent + 2, frame, sizeof frame);

        ws_send(&phone->ws, crowd.encoding == WIRE_JSON, frame, len);
        pings.sent++;
    }
    if (now < pings.until_ns) {
        loop_timer(&crowd.loop, timer, next);
        return;
    }
    if (pings.pongs < pings.sent && now < pings.until_ns + 1000000000) {
        loop_timer(&crowd.loop, timer, now + 10000000);
        pings.every_ns = UINT64_MAX / (pings.sent + 1); /* none more */
        return;
    }
    pings.going = false;
    control_answer("{\"seconds\":%.6f,\"cpu_ns\":%" PRIu64 ",\"sent\":%" PRIu64
                   ",\"pongs\":%" PRIu64 ",\"lost\":%u}",
                   (double)(now - pings.begin_ns) / SECOND_NS,
                   pings.pid ? usage_cpu_ns(pings.pid) - pings.cpu_ns : 0, pings.sent, pings.pongs,
                   crowd.lost);
}

static void begin_pings(const char *line)
{
    double every = control_number(line, "every", 25);

    memset(&pings, 0, sizeof pings);
    pings.pid = (pid_t)control_number(line, "pid", 0);
    pings.timer.on_time = on_ping_time;
    pings.going = true;
    pings.begin_ns = loop_now_ns();
    pings.every_ns = (uint64_t)(every * SECOND_NS / crowd.count);
    pings.until_ns = pings.begin_ns + (uint64_t)(control_number(line, "seconds", 5) * SECOND_NS);
    pings.cpu_ns = pings.pid ? usage_cpu_ns(pings.pid) : 0;
    on_ping_time(&pings.timer);
}

static void answer_sockets(void)
{
    struct usage_sockets sockets;
    uint64_t own = 0;

    for (uint32_t i = 0; i < crowd.count; i++)
        own += ws_kernel_bytes(&crowd.phones[i].ws);
    usage_sockets(&sockets);
    control_answer("{\"own\":%" PRIu64 ",\"machine\":%" PRIu64 ",\"in_use\":%" PRIu64 "}", own,
                   sockets.memory, sockets.in_use);
}

static void on_command(const char *word, const char *line)
{
    if (strcmp(word, "connect") == 0)
        begin_connecting(line);
    else if (strcmp(word, "publisher") == 0)
        open_publisher(line);
    else if (strcmp(word, "topics") == 0)
        read_topics(line);
    else if (strcmp(word, "burst") == 0)
        begin_bursts(line);
    else if (strcmp(word, "ping") == 0)
        begin_pings(line);
    else if (strcmp(word, "sockets") == 0)
        answer_sockets();
    else if (strcmp(word, "hang_up") == 0)
        hang_up();
    else
        control_error("no command %s", word);
}

int main(void)
{
    loop_init(&crowd.loop);
    control_init(&crowd.loop, on_command);
    loop_run(&crowd.loop);
    publisher_close(crowd.publisher);
    return 0;
}
