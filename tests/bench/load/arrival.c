/* arrival: phones that come back: TCP (TLS), WebSocket handshake, hello with token and positions,
 * and everything that was missed.
 *
 *     publisher url=U user=U password_file=F
 *     fill subjects=FILE count=N template=FILE         N pushes of each subject, one behind the
 * other phones file=FILE epoch=E base=B count=N          who they are, and what each must get
 *     ticket port=P                                    a TLS session that later arrivals resume
 *     arrive port=P first=I phones=N rate=PER_S kind=session|shake|bare [tls=1] [pid=PID] [after=S]
 *     hang_up
 *
 * A line of subjects: "subject". A line of phones: "token<TAB>channel,...<TAB>topic,...", topic
 * being the number of the channel's line in subjects: the phone has seen the first push of each
 * (base + topic * N + 1) and missed the others. arrive is an open loop: times count from the
 * intended beginning. A phone has arrived when its Welcome said recovered for each channel and all
 * that it missed has come, in order, each once, with the marker of its push; kind=shake, or bare
 * (without a subprotocol): when the server answered 101. Server CPU is that of pid, until the last
 * has arrived, and for `after` seconds more (each new channel is read again a second after it was
 * joined).
 */
#include "control.h"
#include "histogram.h"
#include "marker.h"
#include "publisher.h"
#include "schedule.h"
#include "usage.h"
#include "wire.h"
#include "ws.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 8
#define HELLO_MAX    16384
#define SOURCES      64
#define BATCH        32 /* connections begun in one loop turn */
#define PATIENCE_NS  ((uint64_t)40 * 1000000000)

#define TICKET_WAIT_NS   50000000
#define TICKET_TRIES_MAX 200

struct wish {
    const char *channel;
    uint32_t topic;
    uint64_t at; /* offset of the last push that came */
};

struct phone {
    struct ws ws; /* first: callbacks find the phone by it */
    const char *token;
    struct wish wishes[CHANNELS_MAX];
    uint32_t wish_count, missing;
    bool welcome, done;
    uint64_t intended_ns;
};

static struct {
    struct loop loop;
    struct publisher *publisher;
    struct phone *phones;
    uint32_t count;
    char *file, *template;
    size_t template_len;
    char epoch[64];
    uint64_t base;
    uint32_t each; /* pushes of a subject */
    struct ws_options options;
    SSL_CTX *tls;
    SSL_SESSION *ticket;
    struct ws probe;        /* fetches the ticket */
    struct histogram times; /* of a run's arrivals */
} all;

static struct {
    bool going, shake;
    uint32_t first, count, begun, arrived, failed, wrong, lost;
    char why[160];
    struct schedule schedule;
    struct loop_timer begin, late, end;
    uint64_t began_ns, ended_ns, after_ns;
    pid_t pid;
    uint64_t cpu_before, cpu_arrived, resumed;
} run;

static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    long size;
    char *text;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 ||
        fseek(file, 0, SEEK_SET) != 0)
        bench_die("cannot read %s", path);
    text = malloc((size_t)size + 1);
    if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
        bench_die("cannot read %s", path);
    fclose(file);
    text[size] = '\0';
    *len = (size_t)size;
    return text;
}

/* What is there to be missed */

static void on_publisher(const char *line)
{
    char url[256], user[64], password_file[512];

    control_text(line, "url", url, sizeof url);
    control_text(line, "user", user, sizeof user);
    control_text(line, "password_file", password_file, sizeof password_file);
    all.publisher = publisher_open(&(struct publisher_options){
        .kind = PUBLISHER_JETSTREAM, .url = url, .user = user, .password_file = password_file});
    control_answer("{}");
}

static void on_fill(const char *line)
{
    uint32_t count = (uint32_t)control_number(line, "count", 0), topic = 0;
    char path[512], *subject, *rest;
    size_t len;
    char *subjects;

    control_text(line, "template", path, sizeof path);
    free(all.template);
    all.template = read_file(path, &all.template_len);
    publisher_template(all.publisher, (const uint8_t *)all.template, all.template_len);
    control_text(line, "subjects", path, sizeof path);
    subjects = rest = read_file(path, &len);
    while ((subject = strsep(&rest, "\n")) && *subject) {
        for (uint32_t i = 0; i < count; i++)
            publisher_send(all.publisher, subject, &(struct marker){.topic = topic, .number = i});
        topic++;
    }
    free(subjects);
    control_answer("{\"topics\":%" PRIu32 ",\"failed\":%" PRIu64 "}", topic,
                   publisher_failed(all.publisher));
}

/* Phones */

static void read_phone(struct phone *phone, char *line)
{
    char *channels, *topics, *channel, *topic;

    phone->token = strsep(&line, "\t");
    channels = strsep(&line, "\t");
    topics = line;
    while (channels && topics && (channel = strsep(&channels, ",")) &&
           (topic = strsep(&topics, ",")) && phone->wish_count < CHANNELS_MAX)
        phone->wishes[phone->wish_count++] =
            (struct wish){.channel = channel, .topic = (uint32_t)strtoul(topic, NULL, 10)};
    if (phone->wish_count == 0)
        bench_die("a phone without channels");
}

static void on_phones(const char *line)
{
    char path[512], *text, *each;
    uint32_t lines = 0;
    size_t len;

    control_text(line, "file", path, sizeof path);
    control_text(line, "epoch", all.epoch, sizeof all.epoch);
    all.base = (uint64_t)control_number(line, "base", 0);
    all.each = (uint32_t)control_number(line, "count", 0);
    free(all.file);
    free(all.phones);
    text = all.file = read_file(path, &len);
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    all.phones = calloc(lines ? lines : 1, sizeof *all.phones);
    if (!all.phones)
        bench_die("no memory for %u phones", lines);
    for (all.count = 0; (each = strsep(&text, "\n")) && *each; all.count++) {
        all.phones[all.count].ws.watch.fd = -1;
        read_phone(&all.phones[all.count], each);
    }
    control_answer("{\"phones\":%" PRIu32 "}", all.count);
}

/* One arrival */

static void finish_run(void);

static void settle(struct phone *phone)
{
    if (phone->done)
        return;
    phone->done = true;
    if (run.arrived + run.failed == run.count)
        finish_run();
}

static void fail(struct phone *phone, const char *why)
{
    if (phone->done) {
        run.wrong++;
        return;
    }
    if (run.failed++ == 0)
        snprintf(run.why, sizeof run.why, "%s", why);
    settle(phone);
}

static void arrive(struct phone *phone)
{
    uint64_t now = loop_now_ns();

    histogram_record(&all.times, now > phone->intended_ns ? now - phone->intended_ns : 0);
    run.resumed += phone->ws.tls && SSL_session_reused(phone->ws.tls);
    run.arrived++;
    settle(phone);
}

static uint64_t last_of(const struct wish *wish)
{
    return all.base + (uint64_t)(wish->topic + 1) * all.each;
}

/* The channel and the offset stand in the Push, fields 6 and 7. */
static void take_push(struct phone *phone, const struct wire_item *item)
{
    const uint8_t *at = item->body, *end = item->body + item->len;
    struct wire_field push = {0}, field;
    struct wish *wish = NULL;
    struct marker marker = {0};
    bool bad = false;

    if (wire_next(&at, end, &push, &bad) && push.data) {
        for (at = push.data, end = push.data + push.len; wire_next(&at, end, &field, &bad);) {
            for (uint32_t i = 0; field.number == 6 && field.data && i < phone->wish_count; i++) {
                if (strlen(phone->wishes[i].channel) == field.len &&
                    memcmp(phone->wishes[i].channel, field.data, field.len) == 0)
                    wish = &phone->wishes[i];
            }
        }
        at = push.data;
    }
    if (bad || !wish || !marker_next(&at, end, &marker))
        fail(phone, "a push that was not understood");
    else if (!phone->welcome)
        fail(phone, "a push before the Welcome");
    else if (item->sequence != wish->at + 1 || item->sequence > last_of(wish))
        fail(phone, "a push out of order");
    else if (marker.topic != wish->topic ||
             marker.number != item->sequence - all.base - (uint64_t)wish->topic * all.each - 1)
        fail(phone, "another push than was published there");
    else
        wish->at++, phone->missing--;
}

static void on_item(const struct wire_item *item, void *user)
{
    struct phone *phone = user;
    char text[128];

    switch (item->kind) {
    case WIRE_WELCOME:
        phone->welcome = true;
        if (item->joined != phone->wish_count || item->refused != 0 ||
            item->recovered != phone->wish_count || item->missed != phone->missing)
            fail(phone, "a Welcome without recovered, or with another number missed");
        break;
    case WIRE_PUSH:
        take_push(phone, item);
        break;
    default:
        snprintf(text, sizeof text, "error or closing: %.*s", (int)item->code_len,
                 item->code ? item->code : "");
        fail(phone, text);
    }
}

static void on_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    struct phone *phone = (struct phone *)ws;

    (void)text;
    if (!wire_each(WIRE_PROTOBUF, data, len, on_item, phone))
        fail(phone, "a message that could not be read");
    if (!phone->done && phone->welcome && phone->missing == 0)
        arrive(phone);
}

static void on_open(struct ws *ws)
{
    struct phone *phone = (struct phone *)ws;
    struct wire_channel channels[CHANNELS_MAX];
    char hello[HELLO_MAX];
    size_t len;

    if (run.shake) {
        arrive(phone);
        return;
    }
    for (uint32_t i = 0; i < phone->wish_count; i++)
        channels[i] =
            (struct wire_channel){phone->wishes[i].channel, all.epoch, phone->wishes[i].at};
    len = wire_hello(WIRE_PROTOBUF, 1, phone->token, channels, phone->wish_count, hello,
                     sizeof hello);
    ws_send(ws, false, hello, len);
}

static void on_close(struct ws *ws, unsigned status)
{
    char why[64];

    if (run.shake && ((struct phone *)ws)->done)
        return; /* who says no hello is sent away after a while */
    snprintf(why, sizeof why, "closed with %u", status);
    run.lost++;
    fail((struct phone *)ws, why);
}

/* The open loop */

static void answer(void)
{
    run.going = false;
    control_answer("{\"arrived\":%" PRIu32 ",\"failed\":%" PRIu32 ",\"wrong\":%" PRIu32
                   ",\"lost\":%" PRIu32 ",\"why\":\"%s\",\"seconds\":%.4f,\"cpu_ns\":%" PRIu64
                   ",\"cpu_after_ns\":%" PRIu64 ",\"resumed\":%" PRIu64 ",\"p50_ns\":%" PRIu64
                   ",\"p99_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 "}",
                   run.arrived, run.failed, run.wrong, run.lost, run.why,
                   (double)(run.ended_ns - run.began_ns) / 1e9, run.cpu_arrived - run.cpu_before,
                   (run.pid ? usage_cpu_ns(run.pid) : 0) - run.cpu_before, run.resumed,
                   histogram_percentile(&all.times, 50), histogram_percentile(&all.times, 99),
                   histogram_percentile(&all.times, 100));
}

static void on_end(struct loop_timer *timer)
{
    (void)timer;
    answer();
}

static void finish_run(void)
{
    run.ended_ns = loop_now_ns();
    run.cpu_arrived = run.pid ? usage_cpu_ns(run.pid) : 0;
    loop_timer_off(&all.loop, &run.late);
    run.end.on_time = on_end;
    loop_timer(&all.loop, &run.end, run.ended_ns + run.after_ns);
}

static void on_late(struct loop_timer *timer)
{
    (void)timer;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!all.phones[run.first + i].done)
            fail(&all.phones[run.first + i], "has not arrived in time");
    }
}

static void begin_one(struct phone *phone, uint64_t intended_ns)
{
    phone->welcome = phone->done = false;
    phone->missing = 0;
    phone->intended_ns = intended_ns;
    for (uint32_t i = 0; i < phone->wish_count; i++) {
        phone->wishes[i].at = all.base + (uint64_t)phone->wishes[i].topic * all.each + 1;
        phone->missing += all.each - 1;
    }
    ws_connect(&phone->ws, &all.loop, &all.options, (unsigned)(phone - all.phones));
}

static void on_begin(struct loop_timer *timer)
{
    uint64_t intended_ns;

    /* A few at a time, so that those under way are served, too. */
    for (int i = 0; i < BATCH && run.begun < run.count &&
                    schedule_due(&run.schedule, loop_now_ns(), &intended_ns);
         i++)
        begin_one(&all.phones[run.first + run.begun++], intended_ns);
    if (run.begun < run.count)
        loop_timer(&all.loop, timer, schedule_next_ns(&run.schedule));
}

static void on_arrive(const char *line)
{
    char kind[16] = "";

    memset(&run, 0, sizeof run);
    control_text(line, "kind", kind, sizeof kind);
    run.shake = strcmp(kind, "session") != 0;
    all.options.protocol = strcmp(kind, "bare") == 0 ? NULL : wire_protocol(WIRE_PROTOBUF);
    run.first = (uint32_t)control_number(line, "first", 0);
    run.count = (uint32_t)control_number(line, "phones", all.count);
    run.pid = (pid_t)control_number(line, "pid", 0);
    run.after_ns = (uint64_t)(control_number(line, "after", 0) * 1e9);
    if (run.count == 0 || run.first + run.count > all.count) {
        control_error("there are no such phones");
        return;
    }
    all.options.port = (uint16_t)control_number(line, "port", 0);
    all.options.tls = control_number(line, "tls", 0) > 0 ? all.tls : NULL;
    all.options.resumption = all.options.tls ? all.ticket : NULL;
    histogram_reset(&all.times);
    run.going = true;
    run.began_ns = loop_now_ns();
    run.cpu_before = run.pid ? usage_cpu_ns(run.pid) : 0;
    schedule_begin(&run.schedule, run.began_ns, control_number(line, "rate", 1000));
    run.late.on_time = on_late;
    loop_timer(&all.loop, &run.late, run.began_ns + PATIENCE_NS);
    run.begin.on_time = on_begin;
    on_begin(&run.begin);
}

/* A ticket */

static void on_probe_open(struct ws *ws)
{
    ws_ping(ws); /* what comes back brings the ticket along */
}

/* It comes some time behind the handshake. */
static void on_ticket_time(struct loop_timer *timer)
{
    static unsigned tries;

    SSL_SESSION_free(all.ticket);
    all.ticket = ws_tls_session(&all.probe);
    if (all.ticket && !SSL_SESSION_is_resumable(all.ticket)) {
        SSL_SESSION_free(all.ticket);
        all.ticket = NULL;
    }
    if (!all.ticket && tries++ < TICKET_TRIES_MAX) {
        loop_timer(&all.loop, timer, loop_now_ns() + TICKET_WAIT_NS);
        return;
    }
    tries = 0;
    ws_close(&all.probe, 1000);
    if (all.ticket)
        control_answer("{}");
    else
        control_error("no ticket came");
}

static void on_probe_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    (void)ws;
    (void)text;
    (void)data;
    (void)len;
}

static void on_probe_close(struct ws *ws, unsigned status)
{
    (void)ws;
    (void)status;
}

static void on_ticket(const char *line)
{
    static struct ws_options options;
    static struct loop_timer timer;

    if (!all.tls) {
        all.tls = SSL_CTX_new(TLS_client_method());
        if (!all.tls)
            bench_die("no TLS context");
        /* With the client's cache on, a session is given up by the first that resumes it. */
        SSL_CTX_set_session_cache_mode(all.tls, SSL_SESS_CACHE_OFF);
    }
    options = all.options;
    options.protocol = wire_protocol(WIRE_PROTOBUF);
    options.port = (uint16_t)control_number(line, "port", 0);
    options.tls = all.tls;
    options.on_open = on_probe_open;
    options.on_message = on_probe_message;
    options.on_close = on_probe_close;
    all.probe.watch.fd = -1;
    ws_connect(&all.probe, &all.loop, &options, 0);
    timer.on_time = on_ticket_time;
    loop_timer(&all.loop, &timer, loop_now_ns() + TICKET_WAIT_NS);
}

static void on_hang_up(void)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.phones[i].ws.state != WS_CLOSED)
            ws_close(&all.phones[i].ws, 1000);
    }
    control_answer("{}");
}

static void on_command(const char *word, const char *line)
{
    if (run.going)
        control_error("arrivals are under way");
    else if (strcmp(word, "publisher") == 0)
        on_publisher(line);
    else if (strcmp(word, "fill") == 0)
        on_fill(line);
    else if (strcmp(word, "phones") == 0)
        on_phones(line);
    else if (strcmp(word, "ticket") == 0)
        on_ticket(line);
    else if (strcmp(word, "arrive") == 0)
        on_arrive(line);
    else if (strcmp(word, "hang_up") == 0)
        on_hang_up();
    else
        control_error("no such command: %s", word);
}

int main(void)
{
    loop_init(&all.loop);
    histogram_init(&all.times);
    all.options = (struct ws_options){.path = "/v1/ws",
                                      .sources = SOURCES,
                                      .on_open = on_open,
                                      .on_message = on_message,
                                      .on_close = on_close};
    control_init(&all.loop, on_command);
    loop_run(&all.loop);
    if (all.publisher)
        publisher_close(all.publisher);
    loop_deinit(&all.loop);
    return 0;
}
