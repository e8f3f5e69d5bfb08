/* Raw bytes to the client port: libwebsockets, the server, sessions and HTTP, over a real socket.
 * The first byte says in how many turns the rest is sent, and how the bus answers. */
#include "gateway/listener.h"
#include "gateway/server.h"
#include "tests/fuzz/edge.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define TEXT_MAX    16384
#define TURNS_QUIET 4 /* nothing came in so many turns of the loop: nothing will */
#define TURNS_MAX   400
#define OUTPUT_MAX  (1 << 20)

static struct edge edge;
static struct gw_server *server;
static uv_loop_t loop;
static uint16_t port;
static uint8_t output[OUTPUT_MAX];
static size_t output_len;

static void start(void)
{
    struct gw_server_parts parts = {.conf = &edge.conf, .loop = &loop, .metrics = &edge.metrics};
    int fd;

    edge_open(&edge, &gw_server_session_output, gw_server_answered);
    PROMISE(uv_loop_init(&loop) == 0);
    parts.sessions = edge.sessions;
    parts.http = edge.http;
    parts.intake = edge.intake;
    PROMISE(gw_server_new(&parts, &server) == YZ_OK);
    PROMISE(gw_listener_bind("127.0.0.1", &port, false, &fd) == YZ_OK);
    PROMISE(gw_server_listen(server, fd, false) == YZ_OK);
}

static int connect_client(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct linger at_once = {.l_onoff = 1};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    PROMISE(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    /* So that thousands of runs leave no port behind. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return fd;
}

/* false: the server has ended the connection. */
static bool read_some(int fd, bool *got)
{
    ssize_t len = recv(fd, output + output_len, sizeof output - output_len, MSG_DONTWAIT);

    if (len > 0) {
        output_len += (size_t)len;
        *got = true;
    }
    if (output_len == sizeof output)
        output_len = 0;
    return len > 0 || (len < 0 && errno == EAGAIN);
}

/* Turn the loop until nothing more comes; the bus answers meanwhile. */
static bool settle(int fd, uint8_t how)
{
    bool open = true;
    int quiet = 0;

    for (int turn = 0; open && quiet < TURNS_QUIET && turn < TURNS_MAX; turn++) {
        bool got = false;

        uv_run(&loop, UV_RUN_NOWAIT);
        edge_accept(&edge, how);
        edge_answer(&edge, how, "", 0);
        edge_channel(&edge, (uint8_t)(how + 8 * turn), "", 0);
        open = read_some(fd, &got);
        quiet = got ? 0 : quiet + 1;
    }
    return open;
}

static void judge_output(void)
{
    if (output_len < 13)
        return;
    PROMISE(memcmp(output, "HTTP/1.", 7) == 0);
    PROMISE(output[9] >= '1' && output[9] <= '5');
}

static bool send_all(int fd, const uint8_t *data, size_t len)
{
    return len == 0 || send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t parts, each;
    bool open = true;
    int fd;

    if (!server)
        start();
    if (size < 1 || size > TEXT_MAX)
        return 0;
    parts = data[0] % 4 + 1u;
    each = (size - 1) / parts + 1;
    output_len = 0;
    fd = connect_client();
    for (size_t at = 1; open && at < size; at += each)
        open = send_all(fd, data + at, size - at < each ? size - at : each) && settle(fd, data[0]);
    judge_output();
    close(fd);
    for (int turn = 0; turn < TURNS_MAX && gw_sessions_count(edge.sessions) > 0; turn++)
        uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    PROMISE(gw_sessions_count(edge.sessions) == 0 && edge_held() == 0);
    edge_forget();
    return 0;
}
