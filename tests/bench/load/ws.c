#include "ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE     (256 * 1024)
#define HEAD_MAX      8192
#define FRAME_MAX     (64u << 20) /* a larger one is no frame of ours */
#define GUID          "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define OP_CONTINUED  0
#define OP_TEXT       1
#define OP_BINARY     2
#define OP_CLOSE      8
#define OP_PING       9
#define OP_PONG       10
#define CODE_PROTOCOL 1002
#define CODE_ABNORMAL 1006

static uint8_t read_buffer[READ_SIZE];

static void keep(struct ws_bytes *bytes, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (bytes->len + len > bytes->size) {
        bytes->size = (bytes->len + len) * 2;
        bytes->data = realloc(bytes->data, bytes->size);
        if (!bytes->data)
            bench_die("no memory for %zu bytes of a connection", bytes->size);
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static void drop(struct ws_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct ws_bytes){0};
}

static void release(struct ws *ws)
{
    int fd = ws->watch.fd;

    if (fd >= 0) {
        loop_unwatch(ws->loop, &ws->watch);
        /* Else OpenSSL takes the session for broken off, and nobody may resume it any more. */
        if (ws->tls)
            SSL_set_shutdown(ws->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(ws->tls);
        ws->tls = NULL;
        close(fd);
    }
    drop(&ws->in);
    drop(&ws->parts);
    drop(&ws->out);
    ws->state = WS_CLOSED;
}

static void end(struct ws *ws, unsigned status)
{
    release(ws);
    ws->options->on_close(ws, status);
}

/* the stream below, plain or TLS: bytes, 0 at its end, -1 for not now, -2 for broken */

#define NOT_NOW (-1)
#define BROKEN  (-2)

static ssize_t tls_result(const struct ws *ws, int result)
{
    int error;

    if (result > 0)
        return result;
    error = SSL_get_error(ws->tls, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return NOT_NOW;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : BROKEN;
}

static ssize_t stream_read(struct ws *ws, void *data, size_t size)
{
    ssize_t got;

    if (ws->tls)
        return tls_result(ws, SSL_read(ws->tls, data, (int)size));
    got = recv(ws->watch.fd, data, size, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? NOT_NOW : BROKEN;
    return got;
}

static ssize_t stream_write(struct ws *ws, const void *data, size_t len)
{
    ssize_t put;

    if (ws->tls)
        return tls_result(ws, SSL_write(ws->tls, data, (int)len));
    put = send(ws->watch.fd, data, len, MSG_NOSIGNAL);
    if (put < 0)
        return errno == EAGAIN || errno == EINTR ? NOT_NOW : BROKEN;
    return put;
}

static void want(struct ws *ws, bool write)
{
    if (ws->wants_write == write)
        return;
    ws->wants_write = write;
    loop_rewatch(ws->loop, &ws->watch, EPOLLIN | (write ? EPOLLOUT : 0));
}

/* A broken stream shows at the next read. */
static void flush(struct ws *ws)
{
    size_t done = 0;

    while (done < ws->out.len) {
        ssize_t put = stream_write(ws, ws->out.data + done, ws->out.len - done);

        if (put <= 0)
            break;
        done += (size_t)put;
    }
    if (done == ws->out.len) {
        drop(&ws->out);
    } else {
        memmove(ws->out.data, ws->out.data + done, ws->out.len - done);
        ws->out.len -= done;
    }
    want(ws, ws->out.len > 0);
}

static void put(struct ws *ws, const void *data, size_t len)
{
    ssize_t taken = 0;

    if (ws->out.len == 0 && !ws->tls) /* SSL_write wants the same bytes again: always from out */
        taken = stream_write(ws, data, len);
    if (taken < 0)
        taken = 0;
    keep(&ws->out, (const uint8_t *)data + taken, len - (size_t)taken);
    if (ws->out.len > 0)
        flush(ws);
}

/* frames out */

static uint32_t next_mask(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15; /* xorshift: masks need no secrecy here */

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)state;
}

static void send_frame(struct ws *ws, unsigned opcode, const void *data, size_t len)
{
    static uint8_t *frame;
    static size_t size;
    uint32_t mask = next_mask();
    const uint8_t *bytes = data;
    uint8_t key[4];
    size_t at = 2;

    if (size < len + 16) {
        size = len * 2 + 1024;
        frame = realloc(frame, size);
        if (!frame)
            bench_die("no memory for a frame of %zu bytes", len);
    }
    frame[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        frame[1] = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        frame[1] = 0x80 | 126;
        frame[at++] = (uint8_t)(len >> 8);
        frame[at++] = (uint8_t)len;
    } else {
        frame[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            frame[at++] = (uint8_t)(len >> shift);
    }
    memcpy(key, &mask, sizeof key);
    memcpy(frame + at, key, sizeof key);
    at += sizeof key;
    for (size_t i = 0; i < len; i++)
        frame[at + i] = bytes[i] ^ key[i % 4];
    put(ws, frame, at + len);
}

void ws_send(struct ws *ws, bool text, const void *data, size_t len)
{
    if (ws->state == WS_OPEN)
        send_frame(ws, text ? OP_TEXT : OP_BINARY, data, len);
}

void ws_ping(struct ws *ws)
{
    if (ws->state == WS_OPEN)
        send_frame(ws, OP_PING, "", 0);
}

void ws_close(struct ws *ws, unsigned code)
{
    uint8_t body[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (ws->state == WS_CLOSED)
        return;
    if (ws->state == WS_OPEN && code)
        send_frame(ws, OP_CLOSE, body, sizeof body);
    release(ws);
}

/* frames in */

struct frame {
    bool last;
    unsigned opcode;
    const uint8_t *data;
    size_t len;
};

/* Bytes of the frame at data; 0 when it is not whole yet; -1 when it is none. */
static ssize_t parse(const uint8_t *data, size_t len, struct frame *frame)
{
    size_t head = 2;
    uint64_t size;

    if (len < 2)
        return 0;
    if ((data[0] & 0x70) || (data[1] & 0x80))
        return -1;
    size = data[1];
    if (size >= 126) {
        head += size == 126 ? 2 : 8;
        if (len < head)
            return 0;
        size = 0;
        for (size_t i = 2; i < head; i++)
            size = size << 8 | data[i];
    }
    if (size > FRAME_MAX)
        return -1;
    if (len < head + size)
        return 0;
    *frame = (struct frame){
        .last = data[0] & 0x80, .opcode = data[0] & 15, .data = data + head, .len = size};
    return (ssize_t)(head + size);
}

static void take_data(struct ws *ws, const struct frame *frame)
{
    ws->frames += frame->last;
    if (frame->last && frame->opcode != OP_CONTINUED) {
        ws->options->on_message(ws, frame->opcode == OP_TEXT, frame->data, frame->len);
        return;
    }
    if (frame->opcode != OP_CONTINUED)
        ws->parts_text = frame->opcode == OP_TEXT;
    keep(&ws->parts, frame->data, frame->len);
    if (frame->last) {
        struct ws_bytes whole = ws->parts;

        ws->parts = (struct ws_bytes){0}; /* on_message may close */
        ws->options->on_message(ws, ws->parts_text, whole.data, whole.len);
        drop(&whole);
    }
}

static void take(struct ws *ws, const struct frame *frame)
{
    switch (frame->opcode) {
    case OP_CONTINUED:
    case OP_TEXT:
    case OP_BINARY:
        take_data(ws, frame);
        break;
    case OP_CLOSE:
        end(ws, frame->len >= 2 ? (unsigned)(frame->data[0] << 8 | frame->data[1]) : 1005);
        break;
    case OP_PING:
        send_frame(ws, OP_PONG, frame->data, frame->len);
        break;
    case OP_PONG:
        break;
    default:
        ws_close(ws, CODE_PROTOCOL);
        ws->options->on_close(ws, CODE_PROTOCOL);
    }
}

/* Bytes that were whole frames. */
static size_t take_frames(struct ws *ws, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (ws->state == WS_OPEN) {
        struct frame frame;
        ssize_t used = parse(data + at, len - at, &frame);

        if (used == 0)
            break;
        if (used < 0) {
            ws_close(ws, CODE_PROTOCOL);
            ws->options->on_close(ws, CODE_PROTOCOL);
            break;
        }
        at += (size_t)used;
        take(ws, &frame);
    }
    return at;
}

/* the handshake */

static void make_key(struct ws *ws, char key[25])
{
    unsigned char nonce[16], digest[SHA_DIGEST_LENGTH];
    char text[25 + sizeof GUID];

    if (RAND_bytes(nonce, sizeof nonce) != 1)
        bench_die("no random bytes");
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    snprintf(text, sizeof text, "%s%s", key, GUID);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)ws->accept, digest, sizeof digest);
}

static void shake(struct ws *ws)
{
    const struct ws_options *options = ws->options;
    char key[25], request[1024];
    int len;

    make_key(ws, key);
    len = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                   "%s%s%s\r\n",
                   options->path, options->port, key,
                   options->protocol ? "Sec-WebSocket-Protocol: " : "",
                   options->protocol ? options->protocol : "", options->protocol ? "\r\n" : "");
    ws->state = WS_SHAKING;
    put(ws, request, (size_t)len);
}

/* The header's value begins with `wanted`. */
static bool header_is(const char *head, const char *name, const char *wanted)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *value = line + 2 + strlen(name);

        if (strncasecmp(line + 2, name, strlen(name)) != 0 || *value != ':')
            continue;
        value += 1 + strspn(value + 1, " \t");
        return strncmp(value, wanted, strlen(wanted)) == 0;
    }
    return false;
}

/* Bytes of the HTTP head, once it is whole. */
static size_t take_head(struct ws *ws, const uint8_t *data, size_t len)
{
    const uint8_t *found = memmem(data, len, "\r\n\r\n", 4);
    char head[HEAD_MAX];
    unsigned status = 0;
    size_t size;

    if (!found && len < HEAD_MAX)
        return 0;
    size = found ? (size_t)(found - data) + 4 : len;
    if (!found || size >= HEAD_MAX) {
        end(ws, CODE_PROTOCOL);
        return size;
    }
    memcpy(head, data, size);
    head[size] = '\0';
    if (sscanf(head, "HTTP/1.1 %u", &status) != 1 || status != 101) {
        end(ws, status);
    } else if (!header_is(head, "Sec-WebSocket-Accept", ws->accept) ||
               (ws->options->protocol &&
                !header_is(head, "Sec-WebSocket-Protocol", ws->options->protocol))) {
        end(ws, CODE_PROTOCOL);
    } else {
        ws->state = WS_OPEN;
        ws->options->on_open(ws);
    }
    return size;
}

static size_t take_bytes(struct ws *ws, const uint8_t *data, size_t len)
{
    size_t used = 0;

    if (ws->state == WS_SHAKING)
        used = take_head(ws, data, len);
    if (ws->state == WS_OPEN)
        used += take_frames(ws, data + used, len - used);
    return used;
}

/* Not closed by a callback, nor connected anew. */
static bool still_read(const struct ws *ws)
{
    return ws->state == WS_SHAKING || ws->state == WS_OPEN;
}

static void received(struct ws *ws, size_t len)
{
    size_t used;

    ws->bytes += len;
    if (ws->in.len == 0) {
        used = take_bytes(ws, read_buffer, len);
        if (still_read(ws))
            keep(&ws->in, read_buffer + used, len - used);
        return;
    }
    keep(&ws->in, read_buffer, len);
    struct ws_bytes all = ws->in;

    ws->in = (struct ws_bytes){0}; /* a callback may close, or connect again */
    used = take_bytes(ws, all.data, all.len);
    if (still_read(ws) && used < all.len) {
        memmove(all.data, all.data + used, all.len - used);
        all.len -= used;
        ws->in = all;
    } else {
        drop(&all);
    }
}

static void read_all(struct ws *ws)
{
    while (still_read(ws)) {
        ssize_t got = stream_read(ws, read_buffer, sizeof read_buffer);

        if (got == NOT_NOW)
            return;
        if (got <= 0) {
            end(ws, CODE_ABNORMAL);
            return;
        }
        received(ws, (size_t)got);
        if ((size_t)got < sizeof read_buffer && !ws->tls)
            return; /* one system call per readiness; level-triggered */
    }
}

/* connecting */

static void tls_step(struct ws *ws)
{
    int result = SSL_do_handshake(ws->tls);
    ssize_t step = tls_result(ws, result);

    if (result == 1) {
        shake(ws);
    } else if (step == NOT_NOW) {
        want(ws, SSL_want_write(ws->tls));
    } else {
        end(ws, CODE_ABNORMAL);
    }
}

static void connected(struct ws *ws)
{
    int error = 0;
    socklen_t size = sizeof error;

    getsockopt(ws->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        end(ws, 0);
        return;
    }
    want(ws, false);
    if (!ws->options->tls) {
        shake(ws);
        return;
    }
    ws->tls = SSL_new(ws->options->tls);
    if (!ws->tls || SSL_set_fd(ws->tls, ws->watch.fd) != 1)
        bench_die("no TLS connection can be made");
    if (ws->options->resumption)
        SSL_set_session(ws->tls, ws->options->resumption);
    SSL_set_connect_state(ws->tls);
    SSL_set_mode(ws->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    tls_step(ws);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct ws *ws = (struct ws *)watch;

    if (ws->state == WS_CONNECTING) {
        if (ws->tls)
            tls_step(ws);
        else
            connected(ws);
        return;
    }
    if (events & EPOLLOUT)
        flush(ws);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_all(ws);
}

static void choose_source(const struct ws *ws, int fd)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    int on = 1;

    if (ws->options->sources == 0)
        return;
    source.sin_addr.s_addr = htonl(0x7F000101u + ws->index % ws->options->sources);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source))
        bench_die("bind to a loopback address: %s", strerror(errno));
}

void ws_connect(struct ws *ws, struct loop *loop, const struct ws_options *options, unsigned index)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(options->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        bench_die("socket: %s (open files are limited by ulimit -n)", strerror(errno));
    ws->loop = loop;
    ws->options = options;
    ws->index = index;
    ws->state = WS_CONNECTING;
    ws->wants_write = true;
    ws->watch = (struct loop_watch){.fd = fd, .on_ready = on_ready};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options->receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer, sizeof(int));
    choose_source(ws, fd);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        bench_die("connect to port %u: %s", options->port, strerror(errno));
    loop_watch(loop, &ws->watch, EPOLLIN | EPOLLOUT);
}

SSL_SESSION *ws_tls_session(const struct ws *ws)
{
    return ws->tls ? SSL_get1_session(ws->tls) : NULL;
}

size_t ws_kernel_bytes(const struct ws *ws)
{
    uint32_t info[16] = {0};
    socklen_t size = sizeof info;

    if (ws->watch.fd < 0 || getsockopt(ws->watch.fd, SOL_SOCKET, SO_MEMINFO, info, &size))
        return 0;
    return (size_t)info[0] + info[2] + info[4]; /* rmem_alloc, wmem_alloc, fwd_alloc */
}
