/* posts: a live thread: its viewers, those who post in it at a rate that is kept, and when each
 * post reached whom.
 *
 *     connect kind=yizhan|bare port=P count=N posters=K [encoding=protobuf] members=FILE
 *             [control=P]                          the bare loop's port for what is to be sent
 *     run rate=R seconds=S template=FILE out=FILE
 *     hang_up
 *
 * members: a line each, "token<TAB>channel", the viewers first, then the posters (no channel).
 * template: an event's payload, or the bare loop's message, with a marker (marker.h) in it; and
 * with the word n0000000000 where each post needs an id of its own.
 *
 * Posts are sent when they are meant to be sent (schedule.h), whatever became of those before; all
 * times count from then. Every viewer must see every post, and those of one poster in order (two
 * posters may overtake each other on their way). out gets a line for each post:
 * its event's sequence, then nanoseconds of CLOCK_REALTIME: meant, sent, accepted, at the first,
 * the middle and the last viewer.
 */
#include "control.h"
#include "histogram.h"
#include "marker.h"
#include "publisher.h"
#include "schedule.h"
#include "wire.h"
#include "ws.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS   1000000000
#define TIMEOUT_NS  ((uint64_t)20 * SECOND_NS)
#define LINGER_NS   ((uint64_t)2 * SECOND_NS)
#define OPENING_MAX 256
#define POSTERS_MAX 8
#define ID_WORD     "n0000000000"
#define FIRST_ID    16 /* of an emit's frame; below: the hello */

struct phone {
    struct ws ws; /* first: callbacks find the phone by it */
    const char *token;
    struct wire_channel channel; /* a viewer's */
    bool ready;
    uint64_t next[POSTERS_MAX]; /* number that a viewer must see next of each poster */
};

/* Times of CLOCK_MONOTONIC, 0: not yet. */
struct post {
    uint64_t meant_ns, sent_ns, accepted_ns, first_ns, middle_ns, last_ns, sequence;
    uint32_t seen;
};

static struct {
    struct loop loop;
    struct ws_options options;
    enum wire_encoding encoding;
    bool bare;
    struct phone *phones;
    uint32_t viewers, posters, count, begun, ready, lost;
    char *members;
    struct publisher *publisher;
    struct loop_timer pacer;
} crowd;

static struct {
    bool going;
    struct schedule schedule;
    struct loop_timer timer;
    struct post *posts;
    uint64_t count, first, accepted, refused, delivered, wrong, until_ns, id;
    struct histogram deliveries;
    uint8_t *template;
    size_t len, marker, id_at; /* id_at 0: none */
    char out[512];
} run;

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = NULL;
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
        bench_die("no file %s", path);
    data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
        bench_die("%s cannot be read", path);
    data[size] = 0;
    *len = (size_t)size;
    fclose(file);
    return data;
}

/* the end of a run */

static int64_t real_less_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec - (int64_t)loop_now_ns();
}

static void print_times(const char *name, size_t offset)
{
    struct histogram h;

    histogram_init(&h);
    for (uint64_t i = 0; i < run.count; i++) {
        uint64_t at;

        memcpy(&at, (const char *)&run.posts[i] + offset, sizeof at);
        if (at)
            histogram_record(&h, at - run.posts[i].meant_ns);
    }
    printf(",\"%s\":", name);
    histogram_print(&h, stdout);
    histogram_deinit(&h);
}

static void write_posts(void)
{
    int64_t shift = real_less_monotonic_ns();
    FILE *out = fopen(run.out, "we");

    if (!out)
        bench_die("%s cannot be written", run.out);
    for (uint64_t i = 0; i < run.count; i++) {
        const struct post *p = &run.posts[i];
        const uint64_t times[] = {p->meant_ns, p->sent_ns,   p->accepted_ns,
                                  p->first_ns, p->middle_ns, p->last_ns};

        fprintf(out, "%" PRIu64, p->sequence);
        for (size_t t = 0; t < sizeof times / sizeof *times; t++)
            fprintf(out, " %" PRId64, times[t] ? (int64_t)times[t] + shift : 0);
        fputc('\n', out);
    }
    fclose(out);
}

static void end_run(void)
{
    run.going = false;
    loop_timer_off(&crowd.loop, &run.timer);
    if (*run.out)
        write_posts();
    printf("{\"posted\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"expected\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"lost\":%u,\"deliveries\":",
           run.count, run.accepted, run.refused, run.count * crowd.viewers, run.delivered,
           run.wrong, crowd.lost);
    histogram_print(&run.deliveries, stdout);
    print_times("to_accepted", offsetof(struct post, accepted_ns));
    print_times("to_first", offsetof(struct post, first_ns));
    print_times("to_middle", offsetof(struct post, middle_ns));
    print_times("to_last", offsetof(struct post, last_ns));
    print_times("to_sent", offsetof(struct post, sent_ns));
    control_answer("}");
    histogram_deinit(&run.deliveries);
    run.first += run.count;
}

static bool is_over(void)
{
    return run.schedule.sent == run.count && run.delivered >= run.count * crowd.viewers &&
           (crowd.bare || run.accepted + run.refused == run.count);
}

/* posting */

static void write_id(uint64_t number)
{
    for (size_t i = 10; run.id_at && i > 0; i--, number /= 10)
        run.template[run.id_at + i] = (uint8_t)('0' + number % 10);
}

static void send_post(uint64_t number)
{
    struct marker marker = {0, run.first + number};
    struct phone *poster;
    char event_id[32];
    static char frame[65536];
    size_t len;

    run.posts[number].sent_ns = loop_now_ns();
    if (crowd.bare) {
        publisher_send(crowd.publisher, "", &marker);
        publisher_flush(crowd.publisher);
        return;
    }
    poster = &crowd.phones[crowd.viewers + number % crowd.posters];
    marker_write(run.template + run.marker, &marker);
    write_id(marker.number);
    snprintf(event_id, sizeof event_id, "e%" PRIu64, marker.number);
    len = wire_emit(crowd.encoding, (uint32_t)(FIRST_ID + number), event_id, "thread.posted",
                    run.template, run.len, frame, sizeof frame);
    ws_send(&poster->ws, crowd.encoding == WIRE_JSON, frame, len);
}

static void on_time(struct loop_timer *timer)
{
    uint64_t now = loop_now_ns(), meant;

    while (run.schedule.sent < run.count && schedule_due(&run.schedule, now, &meant)) {
        uint64_t number = run.schedule.sent - 1;

        run.posts[number].meant_ns = meant;
        send_post(number);
    }
    if (run.schedule.sent < run.count) {
        loop_timer(&crowd.loop, timer, schedule_next_ns(&run.schedule));
    } else if (now < run.until_ns) {
        loop_timer(&crowd.loop, timer, run.until_ns);
    } else {
        run.going = false;
        control_error("%" PRIu64 " of %" PRIu64 " deliveries came, %" PRIu64 " of %" PRIu64
                      " posts were accepted, %" PRIu64 " refused; %" PRIu64
                      " wrong, %u connections lost",
                      run.delivered, run.count * crowd.viewers, run.accepted, run.count,
                      run.refused, run.wrong, crowd.lost);
    }
}

static void begin_run(const char *line)
{
    double rate = control_number(line, "rate", 1);
    const uint8_t *at, *word;
    struct marker marker;
    char path[512];

    free(run.template);
    free(run.posts);
    control_text(line, "template", path, sizeof path);
    control_text(line, "out", run.out, sizeof run.out);
    run.template = read_file(path, &run.len);
    at = run.template;
    if (!marker_next(&at, run.template + run.len, &marker))
        bench_die("no marker in the template");
    run.marker = (size_t)(at - run.template) - MARKER_LEN;
    word = memmem(run.template, run.len, ID_WORD, sizeof ID_WORD - 1);
    run.id_at = word ? (size_t)(word - run.template) : 0;
    if (crowd.bare)
        publisher_template(crowd.publisher, run.template, run.len);
    run.count = (uint64_t)(control_number(line, "seconds", 1) * rate);
    run.posts = calloc(run.count + 1, sizeof *run.posts);
    if (!run.posts || run.count == 0)
        bench_die("no posts");
    run.accepted = run.refused = run.delivered = run.wrong = 0;
    histogram_init(&run.deliveries);
    run.timer.on_time = on_time;
    schedule_begin(&run.schedule, loop_now_ns() + SECOND_NS / 100, rate);
    run.until_ns =
        run.schedule.begin_ns + (uint64_t)((double)run.count * SECOND_NS / rate) + TIMEOUT_NS;
    run.going = true;
    for (uint32_t i = 0; i < crowd.viewers; i++) {
        for (uint32_t poster = 0; poster < crowd.posters; poster++)
            crowd.phones[i].next[poster] = run.first + poster;
    }
    loop_timer(&crowd.loop, &run.timer, schedule_next_ns(&run.schedule));
}

/* what comes */

static void delivered(struct phone *phone, uint64_t number, uint64_t now)
{
    uint64_t *next = &phone->next[(number - run.first) % crowd.posters];
    struct post *post;

    if (number != *next || number >= run.first + run.schedule.sent) {
        run.wrong++;
        return;
    }
    *next += crowd.posters;
    post = &run.posts[number - run.first];
    histogram_record(&run.deliveries, now - post->meant_ns);
    run.delivered++;
    post->seen++;
    if (post->seen == 1)
        post->first_ns = now;
    if (post->seen == (crowd.viewers + 1) / 2)
        post->middle_ns = now;
    if (post->seen == crowd.viewers)
        post->last_ns = now;
}

static void take_posts(struct phone *phone, const uint8_t *data, size_t len)
{
    uint64_t now = loop_now_ns();
    const uint8_t *at = data;
    struct marker marker;

    while (run.going && marker_next(&at, data + len, &marker))
        delivered(phone, marker.number, now);
}

static void became_ready(struct phone *phone)
{
    if (phone->ready)
        return;
    phone->ready = true;
    crowd.ready++;
    if (crowd.ready + crowd.lost == crowd.count)
        control_answer("{\"connected\":%u,\"lost\":%u}", crowd.ready, crowd.lost);
}

static void on_item(const struct wire_item *item, void *user)
{
    struct phone *phone = user;

    if (item->kind == WIRE_WELCOME) {
        became_ready(phone);
    } else if (item->kind == WIRE_ACCEPTED && run.going && item->id >= FIRST_ID &&
               item->id - FIRST_ID < run.count) {
        run.posts[item->id - FIRST_ID].accepted_ns = loop_now_ns();
        run.posts[item->id - FIRST_ID].sequence = item->sequence;
        run.accepted++;
    } else if (item->kind == WIRE_ERROR) {
        fprintf(stderr, "bench: refused: %.*s\n", (int)item->code_len, item->code);
        run.refused++;
    }
}

static void on_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    struct phone *phone = (struct phone *)ws;

    (void)text;
    if (phone->ready && phone->channel.channel) {
        take_posts(phone, data, len);
    } else if (phone->ready && crowd.bare) {
        take_posts(phone, data, len);
    } else if (!wire_each(crowd.encoding, data, len, on_item, phone)) {
        bench_die("a message that cannot be read, of %zu bytes", len);
    }
    if (run.going && is_over())
        end_run();
}

/* connections */

static void on_open(struct ws *ws)
{
    struct phone *phone = (struct phone *)ws;
    static char frame[65536];
    size_t len;

    if (crowd.bare) {
        became_ready(phone);
        return;
    }
    len = wire_hello(crowd.encoding, 1, phone->token, &phone->channel,
                     phone->channel.channel != NULL, frame, sizeof frame);
    ws_send(ws, crowd.encoding == WIRE_JSON, frame, len);
}

static void on_close(struct ws *ws, unsigned status)
{
    (void)ws;
    if (crowd.lost++ == 0)
        fprintf(stderr, "bench: a connection was closed with %u\n", status);
    if (crowd.begun == crowd.count && crowd.ready + crowd.lost == crowd.count)
        control_answer("{\"connected\":%u,\"lost\":%u}", crowd.ready, crowd.lost);
}

static void connect_more(struct loop_timer *timer)
{
    while (crowd.begun < crowd.count && crowd.begun - crowd.ready - crowd.lost < OPENING_MAX) {
        ws_connect(&crowd.phones[crowd.begun].ws, &crowd.loop, &crowd.options, crowd.begun);
        crowd.begun++;
    }
    if (crowd.begun < crowd.count)
        loop_timer(&crowd.loop, timer, loop_now_ns() + SECOND_NS / 1000);
}

static void read_members(const char *path)
{
    size_t len;
    char *at, *line;
    uint32_t i = 0;

    free(crowd.members);
    at = crowd.members = (char *)read_file(path, &len);
    while (i < crowd.count && (line = strsep(&at, "\n")) && *line) {
        crowd.phones[i].token = strsep(&line, "\t");
        if (i < crowd.viewers)
            crowd.phones[i].channel.channel = strsep(&line, "\t");
        i++;
    }
    if (i < crowd.count)
        bench_die("%s has %u members, %u are wanted", path, i, crowd.count);
}

static void begin_connecting(const char *line)
{
    char kind[16], path[512];
    struct publisher_options bare = {.kind = PUBLISHER_BARE};

    control_text(line, "kind", kind, sizeof kind);
    crowd.bare = strcmp(kind, "bare") == 0;
    crowd.viewers = (uint32_t)control_number(line, "count", 1);
    crowd.posters = (uint32_t)control_number(line, "posters", 1);
    if (crowd.posters < 1 || crowd.posters > POSTERS_MAX)
        bench_die("1 to %d posters", POSTERS_MAX);
    /* Into the bare loop they post by its control line. */
    crowd.count = crowd.viewers + (crowd.bare ? 0 : crowd.posters);
    crowd.phones = calloc(crowd.count, sizeof *crowd.phones);
    if (!crowd.phones)
        bench_die("no memory for %u connections", crowd.count);
    crowd.encoding = WIRE_PROTOBUF;
    crowd.options =
        (struct ws_options){.port = (uint16_t)control_number(line, "port", 0),
                            .path = crowd.bare ? "/" : "/v1/ws",
                            .protocol = crowd.bare ? NULL : wire_protocol(WIRE_PROTOBUF),
                            .sources = 8,
                            .on_open = on_open,
                            .on_message = on_message,
                            .on_close = on_close};
    if (crowd.bare) {
        bare.port = (uint16_t)control_number(line, "control", 0);
        crowd.publisher = publisher_open(&bare);
    } else {
        control_text(line, "members", path, sizeof path);
        read_members(path);
    }
    crowd.begun = crowd.ready = crowd.lost = 0;
    crowd.pacer.on_time = connect_more;
    connect_more(&crowd.pacer);
}

static void hang_up(void)
{
    for (uint32_t i = 0; i < crowd.count; i++)
        ws_close(&crowd.phones[i].ws, 1000);
    free(crowd.phones);
    crowd.phones = NULL;
    crowd.count = crowd.viewers = 0;
    control_answer("{}");
}

static void on_command(const char *word, const char *line)
{
    if (strcmp(word, "connect") == 0)
        begin_connecting(line);
    else if (strcmp(word, "run") == 0)
        begin_run(line);
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
