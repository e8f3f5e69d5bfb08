#include "gateway/reader.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/log.h"
#include "schemas/buf.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define SERVERS_MAX  16
#define ADDRESS_MAX  256
#define RETRY_MS     1000
#define GREETING_MS  2000 /* from the connect to the first PONG */
#define TICK_MS      100
#define READ_SIZE    65536
#define IN_KEPT_MAX  ((size_t)1024 * 1024) /* what a large message needed beyond is given back */
#define LINE_MAX_LEN 65536                 /* INFO names the servers of a cluster */
#define OUT_MAX      ((size_t)1024 * 1024)
#define FIELDS_MAX   6
#define SCHEME       "nats://"

enum state { APART, RESOLVING, CONNECTING, GREETING, READY };

struct request {
    TAILQ_ENTRY(request) entry;
    uint64_t id;
    int64_t due_mono_ms;
    gw_answer_fn *on_answer;
    void *arg;
};

/* Of its own memory: libuv gives it back after the connection is over. */
struct socket {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct gw_reader *reader; /* NULL: given up */
};

struct server {
    char host[ADDRESS_MAX], port[8];
};

struct gw_reader {
    const struct yz_conf *conf;
    uv_loop_t *loop;
    uv_timer_t tick;
    uv_prepare_t writer; /* what was asked in one turn goes out together */
    uv_getaddrinfo_t resolve;
    unsigned refs; /* handles and the resolving that libuv holds, and the owner */
    bool closed;
    struct server servers[SERVERS_MAX];
    size_t server_count, server_next;
    enum state state;
    int64_t due_mono_ms; /* APART: try again; GREETING: give up */
    struct socket *socket;
    char inbox[YZ_INBOX_MAX + 1]; /* with the '.' */
    size_t inbox_len;
    TAILQ_HEAD(, request) requests; /* in the order of their times */
    size_t request_count;
    uint64_t last_id;
    struct yz_buf out;
    char *in;
    size_t in_len, in_size;
};

static void unref(struct gw_reader *reader)
{
    if (--reader->refs > 0)
        return;
    yz_buf_deinit(&reader->out);
    free(reader->in);
    free(reader);
}

/* Requests */

static struct request *find(const struct gw_reader *reader, uint64_t id)
{
    struct request *request;

    TAILQ_FOREACH(request, &reader->requests, entry)
    {
        if (request->id == id)
            return request;
    }
    return NULL;
}

static void drop(struct gw_reader *reader, struct request *request)
{
    TAILQ_REMOVE(&reader->requests, request, entry);
    reader->request_count--;
    free(request);
}

static void fail_all(struct gw_reader *reader, enum yz_err err)
{
    struct request *request;

    while ((request = TAILQ_FIRST(&reader->requests))) {
        gw_answer_fn *on_answer = request->on_answer;
        void *arg = request->arg;

        drop(reader, request);
        (void)on_answer(arg, NULL, err);
    }
}

/* The connection */

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* The connection is over; its requests fail, and it is made anew a little later. */
static void part(struct gw_reader *reader, enum yz_err err, const char *reason)
{
    struct socket *socket = reader->socket;

    if (reader->state == READY && !reader->closed)
        yz_warn_spaced("reader_disconnected", "reason=\"%s\"", reason);
    reader->socket = NULL;
    if (socket) {
        socket->reader = NULL;
        uv_close((uv_handle_t *)&socket->tcp, on_socket_closed);
    }
    reader->state = APART;
    reader->due_mono_ms = yz_clock_mono_ms() + RETRY_MS;
    reader->in_len = 0;
    reader->out.len = 0;
    reader->out.failed = false;
    fail_all(reader, err);
}

static void write_later(struct gw_reader *reader);

static void append(struct gw_reader *reader, const char *text, size_t len)
{
    yz_buf_append(&reader->out, text, len);
    write_later(reader);
}

struct writing {
    uv_write_t request;
    char data[];
};

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* a broken connection tells the reading side */
    free(request->data);
}

/* What the socket does not take at once. */
static bool write_rest(struct gw_reader *reader, const char *data, size_t len)
{
    struct writing *writing = malloc(sizeof *writing + len);
    uv_buf_t buf;

    if (!writing)
        return false;
    memcpy(writing->data, data, len);
    writing->request.data = writing;
    buf = uv_buf_init(writing->data, (unsigned)len);
    if (uv_write(&writing->request, (uv_stream_t *)&reader->socket->tcp, &buf, 1, on_written) == 0)
        return true;
    free(writing);
    return false;
}

static void on_writer(uv_prepare_t *writer)
{
    struct gw_reader *reader = writer->data;
    uv_buf_t buf;
    int put;

    uv_prepare_stop(writer);
    if (!reader->socket || reader->out.len == 0)
        return;
    buf = uv_buf_init((char *)reader->out.data, (unsigned)reader->out.len);
    put =
        reader->out.failed ? UV_ENOMEM : uv_try_write((uv_stream_t *)&reader->socket->tcp, &buf, 1);
    if (put == UV_EAGAIN)
        put = 0;
    if (put < 0 || ((size_t)put < reader->out.len &&
                    !write_rest(reader, buf.base + put, reader->out.len - (size_t)put)))
        part(reader, YZ_BUS_UNAVAILABLE, "cannot write");
    reader->out.len = 0;
}

static void write_later(struct gw_reader *reader)
{
    if (!uv_is_active((uv_handle_t *)&reader->writer))
        uv_prepare_start(&reader->writer, on_writer);
}

/* What the server says */

/* Who we are, and where replies go to. The PONG says that the server took both. */
static bool greet(struct gw_reader *reader)
{
    char password[YZ_PASSWORD_MAX] = "", line[YZ_INBOX_MAX + 32];
    json_t *hello;
    char *text;
    int len;

    if (yz_bus_password(reader->conf, password) != YZ_OK)
        return false;
    hello = json_pack("{s:b, s:b, s:b, s:b, s:s, s:s, s:i}", "verbose", 0, "pedantic", 0, "headers",
                      1, "no_responders", 1, "lang", "c", "name", "yz-gateway", "protocol", 1);
    if (hello && *reader->conf->nats_user) {
        json_object_set_new(hello, "user", json_string(reader->conf->nats_user));
        json_object_set_new(hello, "pass", json_string(password));
    }
    text = hello ? json_dumps(hello, JSON_COMPACT) : NULL;
    json_decref(hello);
    explicit_bzero(password, sizeof password);
    if (!text)
        return false;
    append(reader, "CONNECT ", 8);
    append(reader, text, strlen(text));
    explicit_bzero(text, strlen(text));
    free(text);
    len = snprintf(line, sizeof line, "\r\nSUB %s* 1\r\nPING\r\n", reader->inbox);
    append(reader, line, (size_t)len);
    return true;
}

static bool on_line_info(struct gw_reader *reader, const char *line)
{
    if (reader->state != GREETING || reader->out.len > 0)
        return true; /* news of a cluster */
    if (strcasestr(line, "\"tls_required\":true"))
        return false;
    return greet(reader);
}

static bool on_line(struct gw_reader *reader, const char *line)
{
    if (strncmp(line, "INFO ", 5) == 0)
        return on_line_info(reader, line);
    if (strcmp(line, "PING") == 0)
        append(reader, "PONG\r\n", 6);
    else if (strcmp(line, "PONG") == 0 && reader->state == GREETING)
        reader->state = READY;
    else if (strncmp(line, "-ERR", 4) == 0)
        yz_warn_spaced("reader_refused", "reason=\"%.100s\"", line + 4);
    return strncmp(line, "-ERR", 4) != 0;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* One header; value ends in NUL. */
static void take_header(struct gw_answer *answer, const char *name, const char *value)
{
    if (strcmp(name, "Nats-Sequence") == 0)
        answer->seq = number(value);
    else if (strcmp(name, "Nats-Last-Sequence") == 0)
        answer->last_seq = number(value);
    else if (strcmp(name, "Nats-Num-Pending") == 0)
        answer->pending = number(value);
    else if (strcmp(name, "Nats-Time-Stamp") == 0)
        answer->stored = value;
    else if (strcmp(name, YZ_HEADER_PUSH_ROLES) == 0)
        answer->roles = value;
    else if (strcmp(name, YZ_HEADER_PUSH_EXCLUDE) == 0)
        answer->exclude = value;
}

/* The end of the line that begins at `at`, where its "\r\n" stands; NULL: it is not whole. */
static char *line_end_of(char *at, const char *end)
{
    char *feed = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

    return feed && feed > at && feed[-1] == '\r' ? feed - 1 : NULL;
}

/* "NATS/1.0 204 EOB\r\nName: value\r\n\r\n", cut into texts where it lies. */
static bool read_headers(struct gw_answer *answer, char *at, char *end)
{
    char *line_end = line_end_of(at, end);

    if (!line_end || strncmp(at, "NATS/1.0", 8) != 0)
        return false;
    *line_end = '\0';
    answer->status = (unsigned)number(at + 8);
    for (at = line_end + 2; at < end; at = line_end + 2) {
        char *colon;

        line_end = line_end_of(at, end);
        if (!line_end)
            return false;
        *line_end = '\0';
        colon = strchr(at, ':');
        if (!colon)
            continue; /* the empty line */
        *colon++ = '\0';
        take_header(answer, at, colon + strspn(colon, " "));
    }
    return true;
}

static void hand_on(struct gw_reader *reader, const char *subject, const struct gw_answer *answer)
{
    struct request *request;
    uint64_t id;

    if (strncmp(subject, reader->inbox, reader->inbox_len) != 0)
        return;
    id = strtoull(subject + reader->inbox_len, NULL, 16);
    request = find(reader, id);
    if (request && !request->on_answer(request->arg, answer, YZ_OK) && (request = find(reader, id)))
        drop(reader, request);
}

/* Words of "HMSG subject sid [reply] header-bytes bytes" or "MSG subject sid [reply] bytes". */
static size_t split(char *line, char *words[FIELDS_MAX])
{
    char *rest = line, *word;
    size_t count = 0;

    while (count < FIELDS_MAX && (word = strsep(&rest, " "))) {
        if (*word)
            words[count++] = word;
    }
    return count;
}

/* What a line announces: 0: no message, else its bytes with the line's end behind them. */
static size_t bytes_behind(const char *line)
{
    const char *last = strrchr(line, ' ');

    if (!last || (strncmp(line, "MSG ", 4) != 0 && strncmp(line, "HMSG ", 5) != 0))
        return 0;
    return (size_t)number(last + 1) + 2;
}

static bool on_message(struct gw_reader *reader, char *line, char *body, size_t len)
{
    struct gw_answer answer = {.roles = "", .exclude = "", .stored = ""};
    char *words[FIELDS_MAX];
    size_t count = split(line, words), head = 0;

    if (count < 4)
        return false;
    if (*words[0] == 'H') {
        head = (size_t)number(words[count - 2]);
        if (head > len || !read_headers(&answer, body, body + head))
            return false;
    }
    answer.data = body + head;
    answer.len = len - head;
    hand_on(reader, words[1], &answer);
    return true;
}

/* The next line or message of what came. false: it is not whole yet; *broken: this is no NATS. */
static bool take_next(struct gw_reader *reader, size_t *at, bool *broken)
{
    char *line = reader->in + *at, *end;
    size_t left = reader->in_len - *at, behind, line_len;

    end = line_end_of(line, line + left);
    if (!end) {
        *broken = left > LINE_MAX_LEN;
        return false;
    }
    line_len = (size_t)(end - line) + 2;
    *end = '\0';
    behind = bytes_behind(line);
    if (behind > READER_MESSAGE_MAX) {
        *broken = true;
        return false;
    }
    if (line_len + behind > left) {
        *end = '\r';
        return false;
    }
    *at += line_len + behind;
    *broken =
        behind ? !on_message(reader, line, line + line_len, behind - 2) : !on_line(reader, line);
    return !*broken;
}

static void take_in(struct gw_reader *reader)
{
    struct socket *socket = reader->socket;
    bool broken = false;
    size_t at = 0;

    /* A callback may end the connection. */
    while (reader->socket == socket && take_next(reader, &at, &broken))
        ;
    if (reader->socket != socket)
        return;
    if (broken) {
        part(reader, YZ_BUS_UNAVAILABLE, "unexpected");
        return;
    }
    memmove(reader->in, reader->in + at, reader->in_len - at);
    reader->in_len -= at;
    if (reader->in_len == 0 && reader->in_size > IN_KEPT_MAX) {
        free(reader->in);
        reader->in = NULL;
        reader->in_size = 0;
    }
}

/* libuv */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gw_reader *reader = ((struct socket *)handle->data)->reader;
    size_t size = reader ? reader->in_size : 0;
    char *grown;

    (void)suggested;
    *buf = uv_buf_init(NULL, 0);
    if (!reader)
        return;
    if (size - reader->in_len < READ_SIZE) {
        size = reader->in_len * 2 + READ_SIZE;
        grown = realloc(reader->in, size);
        if (!grown)
            return; /* comes to on_read as UV_ENOBUFS */
        reader->in = grown;
        reader->in_size = size;
    }
    *buf = uv_buf_init(reader->in + reader->in_len, (unsigned)(size - reader->in_len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct gw_reader *reader = ((struct socket *)stream->data)->reader;

    (void)buf;
    if (!reader || got == 0)
        return;
    if (got < 0) {
        part(reader, YZ_BUS_UNAVAILABLE, uv_strerror((int)got));
        return;
    }
    reader->in_len += (size_t)got;
    take_in(reader);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct socket *socket = connect->data;
    struct gw_reader *reader = socket->reader;

    if (!reader)
        return;
    if (status < 0 || uv_read_start((uv_stream_t *)&socket->tcp, on_alloc, on_read) != 0) {
        part(reader, YZ_BUS_UNAVAILABLE, "cannot connect");
        return;
    }
    uv_tcp_nodelay(&socket->tcp, 1);
    reader->state = GREETING;
}

static void connect_to(struct gw_reader *reader, const struct sockaddr *address)
{
    struct socket *socket = calloc(1, sizeof *socket);

    if (!socket || uv_tcp_init(reader->loop, &socket->tcp) != 0) {
        free(socket);
        part(reader, YZ_BUS_UNAVAILABLE, "no memory");
        return;
    }
    socket->tcp.data = socket->connect.data = socket;
    socket->reader = reader;
    reader->socket = socket;
    reader->state = CONNECTING;
    if (uv_tcp_connect(&socket->connect, &socket->tcp, address, on_connected) != 0)
        part(reader, YZ_BUS_UNAVAILABLE, "cannot connect");
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct gw_reader *reader = resolve->data;

    if (!reader->closed && status == 0 && found)
        connect_to(reader, found->ai_addr);
    else if (!reader->closed)
        part(reader, YZ_BUS_UNAVAILABLE, "unknown host");
    uv_freeaddrinfo(found);
    unref(reader);
}

static void begin(struct gw_reader *reader)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct server *server = &reader->servers[reader->server_next++ % reader->server_count];

    reader->due_mono_ms = yz_clock_mono_ms() + GREETING_MS;
    reader->resolve.data = reader;
    if (uv_getaddrinfo(reader->loop, &reader->resolve, on_resolved, server->host, server->port,
                       &hints) != 0) {
        part(reader, YZ_BUS_UNAVAILABLE, "cannot resolve");
        return;
    }
    reader->refs++;
    reader->state = RESOLVING;
}

static void on_tick(uv_timer_t *tick)
{
    struct gw_reader *reader = tick->data;
    struct request *first = TAILQ_FIRST(&reader->requests);
    int64_t now = yz_clock_mono_ms();

    if (reader->state == APART && reader->server_count > 0 && now >= reader->due_mono_ms)
        begin(reader);
    else if ((reader->state == CONNECTING || reader->state == GREETING) &&
             now >= reader->due_mono_ms)
        part(reader, YZ_BUS_UNAVAILABLE, "no greeting");
    else if (first && now >= first->due_mono_ms)
        part(reader, YZ_TIMED_OUT, "silent");
}

/* Life */

/* "nats://host:port", brackets around an IPv6 address. */
static void add_server(struct gw_reader *reader, const char *url)
{
    struct server *server = &reader->servers[reader->server_count];
    const char *at = url + strlen(SCHEME), *colon;
    size_t len;

    if (reader->server_count == SERVERS_MAX || strncmp(url, SCHEME, strlen(SCHEME)) != 0 ||
        strchr(at, '@'))
        return;
    colon = strrchr(at, ':');
    if (colon && strchr(colon, ']'))
        colon = NULL;
    len = colon ? (size_t)(colon - at) : strcspn(at, "/");
    if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
        at++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof server->host)
        return;
    snprintf(server->host, sizeof server->host, "%.*s", (int)len, at);
    snprintf(server->port, sizeof server->port, "%.5s", colon ? colon + 1 : "4222");
    reader->server_count++;
}

static void read_servers(struct gw_reader *reader)
{
    char *text = strdup(reader->conf->nats_url), *rest = text, *url;

    while (text && (url = strsep(&rest, ", "))) {
        if (*url)
            add_server(reader, url);
    }
    free(text);
}

enum yz_err gw_reader_new(const struct yz_conf *conf, uv_loop_t *loop, struct gw_reader **out)
{
    struct gw_reader *reader = calloc(1, sizeof *reader);
    char inbox[YZ_INBOX_MAX];

    if (!reader)
        return YZ_INTERNAL;
    if (yz_bus_inbox(conf, inbox) != YZ_OK) {
        free(reader);
        return YZ_INTERNAL;
    }
    reader->inbox_len = (size_t)snprintf(reader->inbox, sizeof reader->inbox, "%s.", inbox);
    reader->conf = conf;
    reader->loop = loop;
    reader->refs = 3;
    TAILQ_INIT(&reader->requests);
    yz_buf_init(&reader->out, OUT_MAX);
    read_servers(reader);
    uv_timer_init(loop, &reader->tick);
    uv_prepare_init(loop, &reader->writer);
    reader->tick.data = reader->writer.data = reader;
    uv_timer_start(&reader->tick, on_tick, 0, TICK_MS);
    *out = reader;
    return YZ_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

void gw_reader_free(struct gw_reader *reader)
{
    if (!reader)
        return;
    assert(TAILQ_EMPTY(&reader->requests));
    reader->closed = true;
    if (reader->state == RESOLVING)
        uv_cancel((uv_req_t *)&reader->resolve);
    else
        part(reader, YZ_BUS_UNAVAILABLE, "the end");
    uv_close((uv_handle_t *)&reader->tick, on_handle_closed);
    uv_close((uv_handle_t *)&reader->writer, on_handle_closed);
    unref(reader);
}

bool gw_reader_ready(const struct gw_reader *reader)
{
    return reader->state == READY;
}

enum yz_err gw_reader_ask(struct gw_reader *reader, const char *subject, const char *text,
                          int64_t timeout_ms, gw_answer_fn *on_answer, void *arg, uint64_t *id)
{
    struct request *request;
    char line[YZ_SUBJECT_MAX + YZ_INBOX_MAX + 64];
    int len;

    if (reader->state != READY)
        return YZ_BUS_UNAVAILABLE;
    if (reader->request_count == READER_REQUESTS_MAX)
        return YZ_BUSY;
    if (!(request = malloc(sizeof *request)))
        return YZ_INTERNAL;
    *request = (struct request){.id = ++reader->last_id,
                                .due_mono_ms = yz_clock_mono_ms() + timeout_ms,
                                .on_answer = on_answer,
                                .arg = arg};
    len = snprintf(line, sizeof line, "PUB %s %s%" PRIx64 " %zu\r\n", subject, reader->inbox,
                   request->id, strlen(text));
    append(reader, line, (size_t)len);
    append(reader, text, strlen(text));
    append(reader, "\r\n", 2);
    TAILQ_INSERT_TAIL(&reader->requests, request, entry);
    reader->request_count++;
    *id = request->id;
    return YZ_OK;
}

void gw_reader_cancel(struct gw_reader *reader, uint64_t id)
{
    struct request *request = find(reader, id);

    if (request)
        drop(reader, request);
}
