#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "natsws.h"
#include "ws.h"

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE 70000

/* A server of our own in a thread: one connection, one script. */
static struct {
    int listening, fd;
    uint16_t port;
    pthread_t thread;
    const char *wrong_accept;
    void (*script)(void);
    uint8_t heard[256];
    size_t heard_len;
} server;

static void say(const void *data, size_t len)
{
    assert_int_equal(send(server.fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Byte by byte, so that reads cut frames anywhere. */
static void say_slowly(const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        say((const char *)data + i, 1);
}

static void hear(size_t len)
{
    while (server.heard_len < len) {
        ssize_t got = recv(server.fd, server.heard + server.heard_len, len - server.heard_len, 0);

        if (got <= 0)
            return;
        server.heard_len += (size_t)got;
    }
}

static void shake(void)
{
    char request[2048] = "", text[128], answer[512];
    unsigned char digest[SHA_DIGEST_LENGTH], accept_text[32];
    const char *key;
    size_t len = 0;

    while (!strstr(request, "\r\n\r\n")) {
        ssize_t got = recv(server.fd, request + len, sizeof request - len - 1, 0);

        if (got <= 0)
            return;
        len += (size_t)got;
        request[len] = '\0';
    }
    key = strstr(request, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    assert_non_null(strstr(request, "Sec-WebSocket-Protocol: p.v1\r\n"));
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(accept_text, digest, sizeof digest);
    snprintf(
        answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept:  %s\r\n"
        "Sec-WebSocket-Protocol: p.v1\r\n\r\n",
        server.wrong_accept ? server.wrong_accept : (const char *)accept_text);
    say_slowly(answer, strlen(answer));
}

static void *serve(void *unused)
{
    (void)unused;
    server.fd = accept(server.listening, NULL, NULL);
    assert_true(server.fd >= 0);
    shake();
    server.script();
    close(server.fd);
    return NULL;
}

static struct {
    struct loop loop;
    struct ws ws;
    char text[64];
    size_t messages, large, payloads;
    unsigned status;
    struct natsws nats;
    bool pong;
} client;

static void on_open(struct ws *ws)
{
    ws_send(ws, true, "hi", 2);
}

static void on_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    (void)ws;
    client.messages++;
    if (text && len < sizeof client.text)
        memcpy(client.text, data, len);
    else if (len == LARGE && data[0] == 'L' && data[LARGE - 1] == 'L')
        client.large++;
}

static void on_close(struct ws *ws, unsigned status)
{
    client.status = status;
    loop_stop(ws->loop);
}

static void run(void (*script)(void), void (*on_open_)(struct ws *),
                void (*on_message_)(struct ws *, bool, const uint8_t *, size_t))
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct ws_options options = {.path = "/v1/ws",
                                 .protocol = "p.v1",
                                 .sources = 3,
                                 .on_open = on_open_,
                                 .on_message = on_message_,
                                 .on_close = on_close};

    memset(&client, 0, sizeof client);
    server.heard_len = 0;
    server.script = script;
    server.listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.listening, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(server.listening, 1), 0);
    getsockname(server.listening, (struct sockaddr *)&at, &size);
    options.port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    loop_init(&client.loop);
    ws_connect(&client.ws, &client.loop, &options, 7);
    loop_run(&client.loop);
    pthread_join(server.thread, NULL);
    close(server.listening);
    loop_deinit(&client.loop);
}

static void speak(void)
{
    static uint8_t large[10 + LARGE];

    hear(2 + 4 + 2); /* "hi", masked */
    say_slowly("\x01\x02he\x89\x01p\x00\x01l\x80\x02lo", 14);
    memset(large, 'L', sizeof large);
    memcpy(large, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
    say(large, sizeof large);
    hear(8 + 2 + 4 + 1);
    say("\x88\x02\x0b\xb8", 4);
}

static void messages_come_whole_and_pings_are_answered(void **state)
{
    const uint8_t *pong = server.heard + 8;

    (void)state;
    run(speak, on_open, on_message);
    assert_int_equal(server.heard[0], 0x81);
    assert_int_equal(server.heard[1], 0x82);
    assert_int_equal(server.heard[6] ^ server.heard[2], 'h');
    assert_int_equal(server.heard[7] ^ server.heard[3], 'i');
    assert_int_equal(pong[0], 0x8A);
    assert_int_equal(pong[1], 0x81);
    assert_int_equal(pong[6] ^ pong[2], 'p');
    assert_string_equal(client.text, "hello");
    assert_int_equal(client.large, 1);
    assert_int_equal(client.messages, 2);
    assert_int_equal(client.ws.frames, 2);
    assert_int_equal(client.status, 3000);
    assert_int_equal(client.ws.state, WS_CLOSED);
}

static void nothing(void)
{
}

static void a_wrong_accept_is_refused(void **state)
{
    (void)state;
    server.wrong_accept = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    run(nothing, on_open, on_message);
    server.wrong_accept = NULL;
    assert_int_equal(client.status, 1002);
}

static void a_connection_that_ends_is_told(void **state)
{
    (void)state;
    run(nothing, on_open, on_message);
    assert_int_equal(client.status, 1006);
}

static void masked(void)
{
    say("\x81\x82\0\0\0\0hi", 8);
}

static void a_masked_frame_of_a_server_is_refused(void **state)
{
    (void)state;
    run(masked, on_open, on_message);
    assert_int_equal(client.status, 1002);
    assert_int_equal(client.messages, 0);
}

/* the NATS protocol in frames that cut it anywhere */

static void nats_pong(void *user)
{
    (void)user;
    client.pong = true;
}

static void nats_payload(void *user, const uint8_t *data, size_t len)
{
    (void)user;
    if (len == 8 && memcmp(data, "ab\r\nMSG ", 8) == 0)
        client.payloads++;
}

static void nats_message(struct ws *ws, bool text, const uint8_t *data, size_t len)
{
    static const struct natsws_events events = {nats_pong, nats_payload};

    (void)text;
    assert_true(natsws_take(&client.nats, ws, data, len, &events, NULL));
}

static void nats_open(struct ws *ws)
{
    (void)ws;
}

static void speak_nats(void)
{
    static const char text[] = "INFO {}\r\nPONG\r\nMSG a.b 1 8\r\nab\r\nMSG \r\nPING\r\n"
                               "MSG a.b 1 reply 8\r\nab\r\nMSG \r\nMSG a.b 1 0\r\n\r\n";
    static const size_t steps[] = {1, 3, 50, 7};
    size_t at = 0, step = 0;

    while (at < sizeof text - 1) {
        size_t len = steps[step++ % 4];
        uint8_t head[2] = {0x82};

        if (len > sizeof text - 1 - at)
            len = sizeof text - 1 - at;
        head[1] = (uint8_t)len;
        say(head, 2);
        say(text + at, len);
        at += len;
    }
    hear(2 + 4 + 6); /* PONG, masked */
}

static void nats_messages_are_put_together(void **state)
{
    (void)state;
    run(speak_nats, nats_open, nats_message);
    assert_true(client.pong);
    assert_int_equal(client.payloads, 2);
    assert_int_equal(server.heard_len, 12);
    natsws_deinit(&client.nats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_whole_and_pings_are_answered),
        cmocka_unit_test(a_wrong_accept_is_refused),
        cmocka_unit_test(a_connection_that_ends_is_told),
        cmocka_unit_test(a_masked_frame_of_a_server_is_refused),
        cmocka_unit_test(nats_messages_are_put_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
