#include "natsws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void natsws_subscribe(struct ws *ws, const char *subject)
{
    char text[1024];
    int len =
        snprintf(text, sizeof text,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\","
                 "\"protocol\":1}\r\nSUB %s 1\r\nPING\r\n",
                 subject);

    ws_send(ws, false, text, (size_t)len);
}

static bool begins(const uint8_t *at, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(at, word, strlen(word)) == 0;
}

/* "MSG subject sid [reply] size": the size. */
static bool payload_size(const uint8_t *line, size_t len, size_t *size)
{
    const uint8_t *blank = memrchr(line, ' ', len);

    *size = 0;
    if (!blank)
        return false;
    for (const uint8_t *digit = blank + 1; digit < line + len; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        *size = *size * 10 + (size_t)(*digit - '0');
    }
    return true;
}

/* Bytes of the first whole unit; 0: not whole; -1: broken. */
static ssize_t take_one(struct ws *ws, const uint8_t *data, size_t len,
                        const struct natsws_events *events, void *user)
{
    const uint8_t *end = memmem(data, len, "\r\n", 2);
    size_t line = end ? (size_t)(end - data) : 0, size;

    if (!end)
        return 0;
    if (begins(data, line, "MSG ")) {
        if (!payload_size(data, line, &size))
            return -1;
        if (len < line + 2 + size + 2)
            return 0;
        events->on_payload(user, end + 2, size);
        return (ssize_t)(line + 2 + size + 2);
    }
    if (begins(data, line, "PING"))
        ws_send(ws, false, "PONG\r\n", 6);
    else if (begins(data, line, "PONG"))
        events->on_pong(user);
    else if (!begins(data, line, "INFO") && !begins(data, line, "+OK"))
        return -1;
    return (ssize_t)line + 2;
}

bool natsws_take(struct natsws *nats, struct ws *ws, const uint8_t *data, size_t len,
                 const struct natsws_events *events, void *user)
{
    struct ws_bytes held = nats->rest;
    ssize_t used = 1;

    nats->rest = (struct ws_bytes){0};
    if (held.len > 0) {
        held.data = realloc(held.data, held.len + len);
        if (!held.data)
            bench_die("no memory for %zu bytes", held.len + len);
        memcpy(held.data + held.len, data, len);
        data = held.data;
        len += held.len;
    }
    while (len > 0 && (used = take_one(ws, data, len, events, user)) > 0) {
        data += used;
        len -= (size_t)used;
    }
    if (len > 0 && used == 0) {
        nats->rest.data = malloc(len);
        if (!nats->rest.data)
            bench_die("no memory for %zu bytes", len);
        memcpy(nats->rest.data, data, len);
        nats->rest.len = nats->rest.size = len;
    }
    free(held.data);
    return used >= 0;
}

void natsws_deinit(struct natsws *nats)
{
    free(nats->rest.data);
    nats->rest = (struct ws_bytes){0};
}
