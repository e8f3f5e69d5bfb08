/* bare_loop: the floor under a fan-out: epoll and send(), and nothing else.
 *
 *     bare_loop PORT CONTROL-PORT
 *
 * Connections on PORT speak the WebSocket handshake; what they send then is answered with a few
 * bytes. What comes over the one connection on CONTROL-PORT (4 bytes of length, host order; the
 * bytes) goes to each of them as one WebSocket message, by one send(). What the kernel does not
 * take is kept and sent when it can be. "ready" on standard output; ends with standard input.
 */
#include "../load/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PHONES_MAX  20000
#define BURST_MAX   (1u << 20)
#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define HEAD_ROOM   10
#define REQUEST_MAX 2048

struct phone {
    struct loop_watch watch;
    char *rest; /* what the kernel did not take */
    size_t rest_len;
    bool open;
};

static struct loop loop;
static struct loop_watch phones_door, control_door, control, standard_input;
static struct phone *phones[PHONES_MAX];
static size_t phone_count;
static uint8_t burst[4 + BURST_MAX];
static size_t burst_len;

static void hang_up(struct phone *phone)
{
    int fd = phone->watch.fd;

    loop_unwatch(&loop, &phone->watch);
    close(fd);
    free(phone->rest);
    phone->rest = NULL;
    phone->open = false;
}

static void send_to(struct phone *phone, const uint8_t *data, size_t len)
{
    ssize_t put = phone->rest_len ? 0 : send(phone->watch.fd, data, len, MSG_NOSIGNAL);

    if (put < 0 && errno != EAGAIN) {
        hang_up(phone);
        return;
    }
    if (put < 0)
        put = 0;
    if ((size_t)put == len)
        return;
    phone->rest = realloc(phone->rest, phone->rest_len + len - (size_t)put);
    if (!phone->rest)
        bench_die("no memory");
    memcpy(phone->rest + phone->rest_len, data + put, len - (size_t)put);
    phone->rest_len += len - (size_t)put;
    loop_rewatch(&loop, &phone->watch, EPOLLIN | EPOLLOUT);
}

static void send_rest(struct phone *phone)
{
    ssize_t put = send(phone->watch.fd, phone->rest, phone->rest_len, MSG_NOSIGNAL);

    if (put <= 0)
        return;
    phone->rest_len -= (size_t)put;
    memmove(phone->rest, phone->rest + put, phone->rest_len);
    if (phone->rest_len == 0) {
        free(phone->rest);
        phone->rest = NULL;
        loop_rewatch(&loop, &phone->watch, EPOLLIN);
    }
}

/* One WebSocket message to all. */
static void fan_out(const uint8_t *data, size_t len)
{
    static uint8_t frame[HEAD_ROOM + BURST_MAX];
    size_t head = 2;

    frame[0] = 0x82;
    if (len < 126) {
        frame[1] = (uint8_t)len;
    } else if (len < 65536) {
        frame[1] = 126;
        frame[head++] = (uint8_t)(len >> 8);
        frame[head++] = (uint8_t)len;
    } else {
        frame[1] = 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            frame[head++] = (uint8_t)((uint64_t)len >> shift);
    }
    memcpy(frame + head, data, len);
    for (size_t i = 0; i < phone_count; i++)
        if (phones[i]->open)
            send_to(phones[i], frame, head + len);
}

static void shake(struct phone *phone, const char *request)
{
    const char *key = strcasestr(request, "Sec-WebSocket-Key: ");
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    char text[128], answer[256];
    int len;

    if (!key || strcspn(key + 19, "\r") != 24) {
        hang_up(phone);
        return;
    }
    snprintf(text, sizeof text, "%.24s%s", key + 19, GUID);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    len =
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 (const char *)accept);
    phone->open = true;
    send_to(phone, (const uint8_t *)answer, (size_t)len);
}

/* A message of as many bytes as a Pong has, whatever came. */
static void answer(struct phone *phone)
{
    static const uint8_t pong[24] = {0x82, sizeof pong - 2};

    send_to(phone, pong, sizeof pong);
}

static void on_phone(struct loop_watch *watch, uint32_t events)
{
    struct phone *phone = (struct phone *)watch;
    char request[REQUEST_MAX];
    ssize_t got;

    if ((events & EPOLLOUT) && phone->rest_len)
        send_rest(phone);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    got = recv(watch->fd, request, sizeof request - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        hang_up(phone);
        return;
    }
    request[got] = '\0';
    if (phone->open)
        answer(phone);
    else /* the load client sends its request in one write */
        shake(phone, request);
}

static void on_new_phone(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    for (;;) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        struct phone *phone;

        if (fd < 0)
            return;
        phone = calloc(1, sizeof *phone);
        if (!phone || phone_count == PHONES_MAX)
            bench_die("more than %d connections", PHONES_MAX);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        phone->watch = (struct loop_watch){.fd = fd, .on_ready = on_phone};
        phones[phone_count++] = phone;
        loop_watch(&loop, &phone->watch, EPOLLIN);
    }
}

static void on_control(struct loop_watch *watch, uint32_t events)
{
    ssize_t got = recv(watch->fd, burst + burst_len, sizeof burst - burst_len, 0);
    uint32_t len;

    (void)events;
    if (got <= 0) {
        int fd = watch->fd;

        loop_unwatch(&loop, watch);
        close(fd);
        return;
    }
    burst_len += (size_t)got;
    while (burst_len >= sizeof len) {
        memcpy(&len, burst, sizeof len);
        if (len > BURST_MAX)
            bench_die("a burst of %u bytes", len);
        if (burst_len < sizeof len + len)
            return;
        fan_out(burst + sizeof len, len);
        burst_len -= sizeof len + len;
        memmove(burst, burst + sizeof len + len, burst_len);
    }
}

static void on_new_control(struct loop_watch *watch, uint32_t events)
{
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (fd < 0)
        return;
    control = (struct loop_watch){.fd = fd, .on_ready = on_control};
    burst_len = 0;
    loop_watch(&loop, &control, EPOLLIN);
}

static void on_standard_input(struct loop_watch *watch, uint32_t events)
{
    char byte;

    (void)events;
    if (read(watch->fd, &byte, 1) <= 0)
        loop_stop(&loop);
}

static void listen_on(struct loop_watch *watch, const char *port,
                      void (*on_ready)(struct loop_watch *, uint32_t))
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    *watch = (struct loop_watch){
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .on_ready = on_ready};
    setsockopt(watch->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(watch->fd, (struct sockaddr *)&at, sizeof at) || listen(watch->fd, 4096))
        bench_die("listen on %s: %s", port, strerror(errno));
    loop_watch(&loop, watch, EPOLLIN);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    if (argc != 3)
        bench_die("usage: bare_loop PORT CONTROL-PORT");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    loop_init(&loop);
    listen_on(&phones_door, argv[1], on_new_phone);
    listen_on(&control_door, argv[2], on_new_control);
    standard_input = (struct loop_watch){.fd = STDIN_FILENO, .on_ready = on_standard_input};
    loop_watch(&loop, &standard_input, EPOLLIN);
    puts("ready");
    fflush(stdout);
    loop_run(&loop);
    return 0;
}
