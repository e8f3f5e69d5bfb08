/* ingest: members who send events and await each one's Accepted.
 *
 *     connect port=P count=N members=FILE encoding=protobuf|json
 *     run name=TEXT seconds=S warm=S inflight=N     closed loop: so many under way on each
 * connection run name=TEXT seconds=S warm=S rate=R         open loop: R a second in all, at
 * intended times hang_up
 *
 * members: a line each, the token up to the first tab. An event is a thread.posted of about 200
 * bytes with an id of its own, which begins with the run's name. After `warm` seconds what is
 * accepted is counted for `seconds`; then nothing more is sent, and what is under way is awaited.
 * Every event is answered exactly once, else the program ends; what is refused as busy is not sent
 * again, and a closed loop sends another 0.1 s later. An open loop's latency is from the
 * intended time to the Accepted, a closed loop's from the sending, both of the counted time only.
 */
#include "control.h"
#include "histogram.h"
#include "schedule.h"
#include "wire.h"
#include "ws.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS       1e9
#define MEMBERS_MAX     4096
#define THREADS         50 /* aggregates, over which the events are spread */
#define EVENTS_MAX      4000000
#define FIRST_ID        1000000000u /* of a frame: ten digits, or five bytes as a varint */
#define ANSWERS_NS      ((uint64_t)20 * 1000000000)
#define REST_NS         ((uint64_t)100 * 1000000)
#define TEXT_CHARS      140
#define EVENT_ID_DIGITS "0000000000"

enum { UNSENT, SENT, ANSWERED };

struct member {
    struct ws ws; /* first: callbacks find the member by it */
    char *token;
    uint32_t owed;    /* events to send for those that were answered just now */
    uint32_t resting; /* refused as busy: new ones are sent a moment later */
    bool ready;
};

/* A whole frame; what differs between two events is overwritten. */
struct pattern {
    char frame[2048];
    size_t len;
    size_t id_at, event_at, message_at;
};

static struct {
    struct loop loop;
    struct ws_options options;
    enum wire_encoding encoding;
    struct member *members;
    uint32_t count, ready, lost;
    unsigned lost_status;
    bool connecting;
} crowd;

static struct {
    bool going, counting;
    struct pattern patterns[THREADS];
    uint32_t sent, answered, counted, accepted, duplicates, busy, errors;
    char error[64];
    uint64_t counted_from_ns, counted_until_ns, give_up_ns;
    uint64_t *times_ns; /* of each event: intended (open loop) or sent */
    uint8_t *states;
    uint32_t inflight; /* 0: an open loop */
    uint64_t rested_ns;
    struct schedule schedule;
    struct loop_timer timer;
    struct histogram latencies;
} run;

/* events */

static size_t digits_at(const struct pattern *pattern, size_t from, const char *text)
{
    const char *at =
        memmem(pattern->frame + from, pattern->len - from, text, sizeof EVENT_ID_DIGITS - 1);

    if (!at)
        bench_die("no %s in the pattern", text);
    return (size_t)(at - pattern->frame);
}

static size_t field(char *out, unsigned number, const char *text)
{
    size_t len = strlen(text), at = 0;

    out[at++] = (char)(number << 3 | 2);
    if (len > 127)
        out[at++] = (char)(len | 128);
    out[at++] = (char)(len > 127 ? len >> 7 : len);
    memcpy(out + at, text, len);
    return at + len;
}

static void make_pattern(struct pattern *pattern, const char *name, unsigned thread)
{
    char event_id[64], thread_id[8], text[TEXT_CHARS + 1], payload[1024];
    size_t len = 0;

    snprintf(event_id, sizeof event_id, "%s-" EVENT_ID_DIGITS, name);
    snprintf(thread_id, sizeof thread_id, "t%02u", thread);
    memset(text, 'x', TEXT_CHARS);
    text[TEXT_CHARS] = '\0';
    if (crowd.encoding == WIRE_JSON) {
        len = (size_t)snprintf(payload, sizeof payload,
                               "{\"orgPath\":\"g1/c1/b1\",\"threadId\":\"%s\",\"messageId\":\"%s\","
                               "\"text\":\"%s\"}",
                               thread_id, event_id, text);
    } else {
        len += field(payload + len, 1, "g1/c1/b1");
        len += field(payload + len, 2, thread_id);
        len += field(payload + len, 3, event_id);
        len += field(payload + len, 4, text);
    }
    pattern->len = wire_emit(crowd.encoding, FIRST_ID, event_id, "thread.posted", payload, len,
                             pattern->frame, sizeof pattern->frame);
    pattern->id_at = crowd.encoding == WIRE_JSON ? digits_at(pattern, 0, "1000000000") : 1;
    pattern->event_at = digits_at(pattern, pattern->id_at + 5, EVENT_ID_DIGITS);
    pattern->message_at = digits_at(pattern, pattern->event_at + 10, EVENT_ID_DIGITS);
}

static void write_digits(char *out, uint32_t number)
{
    for (int i = 9; i >= 0; i--, number /= 10)
        out[i] = (char)('0' + number % 10);
}

static void write_varint(char *out, uint32_t number)
{
    for (int i = 0; i < 5; i++, number >>= 7)
        out[i] = (char)((number & 127) | (i < 4 ? 128 : 0));
}

static void send_event(struct member *member, uint64_t time_ns)
{
    uint32_t number = run.sent++;
    struct pattern *pattern = &run.patterns[member->ws.index % THREADS];

    if (number == EVENTS_MAX)
        bench_die("more than %d events in one run", EVENTS_MAX);
    run.times_ns[number] = time_ns;
    run.states[number] = SENT;
    if (crowd.encoding == WIRE_JSON)
        write_digits(pattern->frame + pattern->id_at, FIRST_ID + number);
    else
        write_varint(pattern->frame + pattern->id_at, FIRST_ID + number);
    write_digits(pattern->frame + pattern->event_at, number);
    write_digits(pattern->frame + pattern->message_at, number);
    ws_send(&member->ws, crowd.encoding == WIRE_JSON, pattern->frame, pattern->len);
}

/* a run */

static void finish_run(void)
{
    run.going = false;
    loop_timer_off(&crowd.loop, &run.timer);
    printf("{\"sent\":%u,\"accepted\":%u,\"duplicates\":%u,\"busy\":%u,\"errors\":%u,"
           "\"first_error\":\"%s\",\"unanswered\":%u,\"lost\":%u,\"counted\":%u,\"seconds\":%.6f,"
           "\"latency_ns\":",
           run.sent, run.accepted, run.duplicates, run.busy, run.errors, run.error,
           run.sent - run.answered, crowd.lost, run.counted,
           (double)(run.counted_until_ns - run.counted_from_ns) / SECOND_NS);
    histogram_print(&run.latencies, stdout);
    control_answer("}");
}

static bool ended(uint64_t now_ns)
{
    return now_ns >= run.counted_until_ns;
}

static void send_what_is_due(uint64_t now_ns)
{
    uint64_t intended_ns;

    while (!run.inflight && schedule_next_ns(&run.schedule) < run.counted_until_ns &&
           schedule_due(&run.schedule, now_ns, &intended_ns))
        send_event(&crowd.members[run.sent % crowd.count], intended_ns);
}

/* A closed loop's places whose events were refused. */
static void use_rested(uint64_t now_ns)
{
    if (!run.inflight || now_ns - run.rested_ns < REST_NS)
        return;
    run.rested_ns = now_ns;
    for (uint32_t i = 0; i < crowd.count; i++) {
        for (; crowd.members[i].resting > 0; crowd.members[i].resting--)
            send_event(&crowd.members[i], now_ns);
    }
}

static void on_time(struct loop_timer *timer)
{
    uint64_t now_ns = loop_now_ns(), next_ns = run.counted_until_ns;

    send_what_is_due(now_ns);
    if (ended(now_ns)) {
        next_ns = now_ns + 10000000;
        if (run.answered == run.sent || now_ns >= run.give_up_ns) {
            finish_run();
            return;
        }
    } else if (run.inflight) {
        use_rested(now_ns);
        next_ns = now_ns + REST_NS < next_ns ? now_ns + REST_NS : next_ns;
    } else if (schedule_next_ns(&run.schedule) < next_ns) {
        next_ns = schedule_next_ns(&run.schedule);
    }
    loop_timer(&crowd.loop, timer, next_ns);
}

static void take_answer(struct member *member, const struct wire_item *item)
{
    uint32_t number = item->id - FIRST_ID;
    uint64_t now_ns = loop_now_ns();

    if (item->id < FIRST_ID || number >= run.sent || run.states[number] != SENT)
        bench_die("an answer to %u, which was not asked or is answered already", item->id);
    run.states[number] = ANSWERED;
    run.answered++;
    if (item->kind == WIRE_ACCEPTED) {
        run.accepted++;
        run.duplicates += item->duplicate;
        if (now_ns >= run.counted_from_ns && !ended(now_ns))
            run.counted++;
        if (run.times_ns[number] >= run.counted_from_ns &&
            run.times_ns[number] < run.counted_until_ns)
            histogram_record(&run.latencies, now_ns - run.times_ns[number]);
    } else if (item->code_len == 4 && memcmp(item->code, "busy", 4) == 0) {
        run.busy++;
        member->resting++;
        return;
    } else if (run.errors++ == 0) {
        snprintf(run.error, sizeof run.error, "%.*s", (int)item->code_len, item->code);
    }
    member->owed++;
}

static void begin_run(const char *line)
{
    double warm = control_number(line, "warm", 0.3), rate = control_number(line, "rate", 0);
    uint64_t now_ns = loop_now_ns();
    char name[32];

    if (run.going || crowd.ready != crowd.count || !control_text(line, "name", name, sizeof name)) {
        control_error("not connected, busy, or no name");
        return;
    }
    for (unsigned thread = 0; thread < THREADS; thread++)
        make_pattern(&run.patterns[thread], name, thread);
    for (uint32_t i = 0; i < crowd.count; i++)
        crowd.members[i].resting = 0;
    run.rested_ns = now_ns;
    run.sent = run.answered = run.counted = run.accepted = 0;
    run.duplicates = run.busy = run.errors = 0;
    run.error[0] = '\0';
    memset(run.states, UNSENT, EVENTS_MAX);
    histogram_reset(&run.latencies);
    run.counted_from_ns = now_ns + (uint64_t)(warm * SECOND_NS);
    run.counted_until_ns =
        run.counted_from_ns + (uint64_t)(control_number(line, "seconds", 1) * SECOND_NS);
    run.give_up_ns = run.counted_until_ns + ANSWERS_NS;
    run.inflight = rate > 0 ? 0 : (uint32_t)control_number(line, "inflight", 1);
    schedule_begin(&run.schedule, now_ns, rate > 0 ? rate : 1);
    run.timer.on_time = on_time;
    run.going = true;
    for (uint32_t i = 0; i < crowd.count * run.inflight; i++)
        send_event(&crowd.members[i % crowd.count], loop_now_ns());
    on_time(&run.timer);
}

/* connections */

static void told_if_connected(void)
{
    if (!crowd.connecting || crowd.ready + crowd.lost < crowd.count)
        return;
    crowd.connecting = false;
    control_answer("{\"connected\":%u,\"lost\":%u,\"status\":%u}", crowd.ready, crowd.lost,
                   crowd.lost_status);
}

static void on_open(struct ws *ws)
{
    struct member *member = (struct member *)ws;
    char frame[16384];
    size_t len = wire_hello(crowd.encoding, 1, member->token, NULL, 0, frame, sizeof frame);

    ws_send(ws, crowd.encoding == WIRE_JSON, frame, len);
}

static void on_item(const struct wire_item *item, void *user)
{
    struct member *member = user;

    if (item->kind == WIRE_WELCOME) {
        member->ready = true;
        crowd.ready++;
        told_if_connected();
    } else if (item->kind == WIRE_ACCEPTED || (item->kind == WIRE_ERROR && member->ready)) {
        take_answer(member, item);
    } else {
        bench_die("answered with %d: %.*s", (int)item->kind, (int)item->code_len,
                  item->code ? item->code : "");
    }
}

static void on_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    struct member *member = (struct member *)ws;
    uint64_t now_ns;

    (void)text;
    if (!wire_each(crowd.encoding, data, len, on_item, member))
        bench_die("a message that cannot be read, of %zu bytes", len);
    now_ns = loop_now_ns();
    for (; member->owed > 0; member->owed--) {
        if (run.inflight && !ended(now_ns))
            send_event(member, now_ns);
    }
}

static void on_close(struct ws *ws, unsigned status)
{
    (void)ws;
    if (crowd.lost++ == 0)
        crowd.lost_status = status;
    told_if_connected();
}

static void hang_up(void)
{
    for (uint32_t i = 0; i < crowd.count; i++) {
        ws_close(&crowd.members[i].ws, 1000);
        free(crowd.members[i].token);
    }
    free(crowd.members);
    crowd.members = NULL;
    crowd.count = crowd.ready = crowd.lost = crowd.lost_status = 0;
}

static void read_tokens(const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;

    for (uint32_t i = 0; i < crowd.count; i++) {
        if (!file || getline(&line, &size, file) <= 0)
            bench_die("%s has no %u members", path, crowd.count);
        line[strcspn(line, "\t\n")] = '\0';
        crowd.members[i].token = strdup(line);
        if (!crowd.members[i].token)
            bench_die("no memory for a token");
    }
    free(line);
    fclose(file);
}

static void begin_connecting(const char *line)
{
    char path[512], encoding[16];

    hang_up();
    control_text(line, "members", path, sizeof path);
    control_text(line, "encoding", encoding, sizeof encoding);
    crowd.encoding = wire_encoding_of(encoding);
    crowd.count = (uint32_t)control_number(line, "count", 1);
    if (crowd.count == 0 || crowd.count > MEMBERS_MAX)
        bench_die("1 to %d members", MEMBERS_MAX);
    crowd.members = calloc(crowd.count, sizeof *crowd.members);
    if (!crowd.members)
        bench_die("no memory for %u members", crowd.count);
    read_tokens(path);
    crowd.options = (struct ws_options){.port = (uint16_t)control_number(line, "port", 0),
                                        .path = "/v1/ws",
                                        .protocol = wire_protocol(crowd.encoding),
                                        .on_open = on_open,
                                        .on_message = on_message,
                                        .on_close = on_close};
    crowd.connecting = true;
    for (uint32_t i = 0; i < crowd.count; i++)
        ws_connect(&crowd.members[i].ws, &crowd.loop, &crowd.options, i);
}

static void on_command(const char *word, const char *line)
{
    if (strcmp(word, "connect") == 0) {
        begin_connecting(line);
    } else if (strcmp(word, "run") == 0) {
        begin_run(line);
    } else if (strcmp(word, "hang_up") == 0) {
        hang_up();
        control_answer("{}");
    } else {
        control_error("no command %s", word);
    }
}

int main(void)
{
    run.times_ns = calloc(EVENTS_MAX, sizeof *run.times_ns);
    run.states = calloc(EVENTS_MAX, sizeof *run.states);
    if (!run.times_ns || !run.states)
        bench_die("no memory for %d events", EVENTS_MAX);
    histogram_init(&run.latencies);
    loop_init(&crowd.loop);
    control_init(&crowd.loop, on_command);
    loop_run(&crowd.loop);
    hang_up();
    histogram_deinit(&run.latencies);
    free(run.times_ns);
    free(run.states);
    return 0;
}
