/* The loop's own connection to NATS, against a real server and against one that is played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

#include "gateway/reader.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUBJECT "chan.t1.org.g1"

struct world {
    struct broker broker;
    struct rig rig;
    struct gw_reader *reader;
};

/* What came for one request. */
struct got {
    uint64_t seqs[64];
    size_t count;
    bool chained; /* each named the one before it */
    unsigned status;
    uint64_t pending;
    enum yz_err err;
    int ends;
};

static bool on_answer(void *arg, const struct gw_answer *answer, enum yz_err err)
{
    struct got *got = arg;

    if (err || answer->status) {
        got->err = err;
        got->status = err ? 0 : answer->status;
        got->pending = err ? 0 : answer->pending;
        got->ends++;
        return false;
    }
    got->chained &= answer->last_seq == (got->count ? got->seqs[got->count - 1] : 0);
    assert_true(*answer->stored != '\0');
    got->seqs[got->count++] = answer->seq;
    return true;
}

static int set_up(void **state)
{
    struct world *w = world_new(state, sizeof *w);

    if (!w)
        return 0;
    broker_streams(&w->broker, "");
    rig_conf(&w->rig, &w->broker);
    rig_start(&w->rig);
    assert_int_equal(gw_reader_new(&w->rig.conf, &w->rig.loop, &w->reader), YZ_OK);
    RIG_AWAIT(&w->rig, gw_reader_ready(w->reader), 5000);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (!w)
        return 0;
    gw_reader_free(w->reader);
    rig_stop(&w->rig);
    return world_free(w);
}

static struct got ask(struct world *w, const char *text)
{
    struct got got = {.chained = true};
    uint64_t id;

    assert_int_equal(
        gw_reader_ask(w->reader, "$JS.API.DIRECT.GET.CHANNELS", text, 3000, on_answer, &got, &id),
        YZ_OK);
    RIG_AWAIT(&w->rig, got.ends > 0, 5000);
    return got;
}

static void reads_a_page_with_its_chain(void **state)
{
    struct got got;

    WORLD(state);
    publish(w->broker.nc, SUBJECT, 30);
    got = ask(w, "{\"seq\":6,\"next_by_subj\":\"" SUBJECT "\",\"batch\":20}");
    assert_int_equal(got.count, 20);
    assert_int_equal(got.seqs[0], 6);
    assert_int_equal(got.seqs[19], 25);
    assert_true(got.chained);
    assert_int_equal(got.status, 204);
    assert_int_equal(got.pending, 5);
}

static void hears_that_there_is_nothing(void **state)
{
    struct got got;

    WORLD(state);
    publish(w->broker.nc, SUBJECT, 1);
    got = ask(w, "{\"seq\":1,\"next_by_subj\":\"chan.t1.org.g9\",\"batch\":20}");
    assert_int_equal(got.count, 0);
    assert_int_equal(got.status, 404);
}

static void tells_many_requests_apart(void **state)
{
    struct got got[READER_REQUESTS_MAX] = {{.chained = false}};
    uint64_t ids[READER_REQUESTS_MAX], more;
    char text[128];

    WORLD(state);
    publish(w->broker.nc, SUBJECT, READER_REQUESTS_MAX);
    for (size_t i = 0; i < READER_REQUESTS_MAX; i++) {
        snprintf(text, sizeof text, "{\"seq\":%zu,\"next_by_subj\":\"" SUBJECT "\",\"batch\":1}",
                 i + 1);
        assert_int_equal(gw_reader_ask(w->reader, "$JS.API.DIRECT.GET.CHANNELS", text, 3000,
                                       on_answer, &got[i], &ids[i]),
                         YZ_OK);
    }
    assert_int_equal(gw_reader_ask(w->reader, "$JS.API.DIRECT.GET.CHANNELS", text, 3000, on_answer,
                                   &got[0], &more),
                     YZ_BUSY);
    gw_reader_cancel(w->reader, ids[3]);
    for (size_t i = 0; i < READER_REQUESTS_MAX; i++) {
        if (i == 3)
            continue;
        RIG_AWAIT(&w->rig, got[i].ends > 0, 5000);
        assert_int_equal(got[i].count, 1);
        assert_int_equal(got[i].seqs[0], i + 1);
    }
    rig_run(&w->rig, 100);
    assert_int_equal(got[3].count + (size_t)got[3].ends, 0);
}

static void reads_what_is_larger_than_its_buffer(void **state)
{
    struct got got;
    char *large = calloc(1, 900000);
    jsCtx *js = NULL;

    WORLD(state);
    assert_int_equal(natsConnection_JetStream(&js, w->broker.nc, NULL), NATS_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(js_Publish(NULL, js, SUBJECT, large, 900000, NULL, NULL), NATS_OK);
    jsCtx_Destroy(js);
    free(large);
    got = ask(w, "{\"seq\":1,\"next_by_subj\":\"" SUBJECT "\",\"batch\":20}");
    assert_int_equal(got.count, 5);
    assert_true(got.chained);
    assert_int_equal(got.status, 204);
}

/* A server that is played: what it writes decides. */

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

struct stage {
    uv_loop_t loop;
    struct yz_conf conf;
    char url[64];
    struct gw_reader *reader;
    int listener, peer;
    char inbox[128];
};

static void turn(struct stage *s, int ms)
{
    for (int i = 0; i < ms; i += 5) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
        usleep(5000);
    }
}

static void say(struct stage *s, const char *text)
{
    assert_int_equal(write(s->peer, text, strlen(text)), strlen(text));
    turn(s, 50);
}

/* Accept the reader and greet it. */
static void greet(struct stage *s)
{
    struct pollfd ready = {.fd = s->listener, .events = POLLIN};
    char heard[1024], *sub;
    ssize_t got;

    for (int i = 0; i < 100 && poll(&ready, 1, 0) == 0; i++)
        turn(s, 50);
    s->peer = accept(s->listener, NULL, NULL);
    assert_true(s->peer >= 0);
    say(s, "INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n");
    got = read(s->peer, heard, sizeof heard - 1);
    assert_true(got > 0);
    heard[got] = '\0';
    assert_int_equal(strncmp(heard, "CONNECT {", 9), 0);
    sub = strstr(heard, "\r\nSUB ");
    assert_non_null(sub);
    assert_int_equal(sscanf(sub + 6, "%127[^*]", s->inbox), 1);
    assert_non_null(strstr(heard, "\r\nPING\r\n"));
    assert_false(gw_reader_ready(s->reader));
    say(s, "PONG\r\n");
    assert_true(gw_reader_ready(s->reader));
}

static void begin(struct stage *s)
{
    uint16_t port;

    memset(s, 0, sizeof *s);
    uv_loop_init(&s->loop);
    s->listener = listen_somewhere(&port);
    snprintf(s->url, sizeof s->url, "nats://127.0.0.1:%u", port);
    s->conf.nats_url = s->url;
    s->conf.nats_user = s->conf.nats_password_file = "";
    assert_int_equal(gw_reader_new(&s->conf, &s->loop, &s->reader), YZ_OK);
    greet(s);
}

static void end(struct stage *s)
{
    gw_reader_free(s->reader);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    close(s->peer);
    close(s->listener);
}

static struct got *ask_stage(struct stage *s, int64_t timeout_ms, uint64_t *id)
{
    struct got *got = calloc(1, sizeof *got);

    got->chained = true;
    assert_int_equal(gw_reader_ask(s->reader, "x", "{}", timeout_ms, on_answer, got, id), YZ_OK);
    turn(s, 20);
    return got;
}

static void takes_a_message_byte_by_byte(void **state)
{
    struct stage s;
    struct got *got;
    char text[512];
    uint64_t id;

    (void)state;
    begin(&s);
    got = ask_stage(&s, 5000, &id);
    snprintf(text, sizeof text,
             "HMSG %s%lx 1 73 78\r\nNATS/1.0\r\nNats-Sequence: 7\r\nNats-Last-Sequence: 0\r\n"
             "Nats-Time-Stamp: x\r\n\r\nhello\r\nPING\r\n",
             s.inbox, (unsigned long)id);
    for (size_t i = 0; text[i]; i++) {
        assert_int_equal(write(s.peer, text + i, 1), 1);
        uv_run(&s.loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    turn(&s, 50);
    assert_int_equal(got->count, 1);
    assert_int_equal(got->seqs[0], 7);
    assert_int_equal(got->ends, 0);
    snprintf(text, sizeof text, "HMSG %s%lx 1 28 28\r\nNATS/1.0 408 Bad Request\r\n\r\n\r\n",
             s.inbox, (unsigned long)id);
    say(&s, text);
    assert_int_equal(got->status, 408);
    free(got);
    end(&s);
}

static void fails_what_was_asked_when_the_server_goes(void **state)
{
    static const char *const lines[] = {
        "-ERR 'Permissions Violation'\r\n", "HMSG a 1 5 99999999999\r\n", "MSG a\r\n\r\n",
        "HMSG _INBOX.x 1 400 4\r\nabcd\r\n", "HMSG a 1 10 10\r\nHTTP/1.0\r\n\r\n"};
    uint64_t id;

    (void)state;
    for (size_t i = 0; i <= sizeof lines / sizeof lines[0]; i++) {
        struct stage s;
        struct got *got;

        begin(&s);
        got = ask_stage(&s, 5000, &id);
        if (i < sizeof lines / sizeof lines[0]) {
            say(&s, lines[i]);
        } else {
            shutdown(s.peer, SHUT_RDWR);
            turn(&s, 50);
        }
        assert_int_equal(got->ends, 1);
        assert_int_equal(got->err, YZ_BUS_UNAVAILABLE);
        assert_false(gw_reader_ready(s.reader));
        assert_int_equal(gw_reader_ask(s.reader, "x", "{}", 100, on_answer, got, &id),
                         YZ_BUS_UNAVAILABLE);
        close(s.peer);
        greet(&s); /* it comes again */
        free(got);
        end(&s);
    }
}

static void gives_up_a_silent_connection(void **state)
{
    struct stage s;
    struct got *got;
    uint64_t id;

    (void)state;
    begin(&s);
    got = ask_stage(&s, 200, &id);
    turn(&s, 500);
    assert_int_equal(got->ends, 1);
    assert_int_equal(got->err, YZ_TIMED_OUT);
    assert_false(gw_reader_ready(s.reader));
    free(got);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(reads_a_page_with_its_chain),
        CASE(hears_that_there_is_nothing),
        CASE(tells_many_requests_apart),
        CASE(reads_what_is_larger_than_its_buffer),
        cmocka_unit_test(takes_a_message_byte_by_byte),
        cmocka_unit_test(fails_what_was_asked_when_the_server_goes),
        cmocka_unit_test(gives_up_a_silent_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
