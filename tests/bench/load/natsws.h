/* natsws.h: a subscriber of nats-server's own WebSocket listener: the NATS protocol in binary
 * frames.
 *
 * Lifetime  a value beside its ws; natsws_deinit frees what is left of a message that came in
 * parts. Thread    the loop's.
 */
#ifndef BENCH_NATSWS_H
#define BENCH_NATSWS_H

#include "ws.h"

struct natsws {
    struct ws_bytes rest; /* of a message that is not whole yet */
};

/* CONNECT, SUB subject 1, PING: the PONG says that the subscription stands. */
void natsws_subscribe(struct ws *ws, const char *subject);
/* Feed a WebSocket message. Each payload goes to on_payload; a PONG to on_pong. Pings are answered.
 * false: the server reported an error or spoke something else. */
struct natsws_events {
    void (*on_pong)(void *user);
    void (*on_payload)(void *user, const uint8_t *data, size_t len);
};
bool natsws_take(struct natsws *nats, struct ws *ws, const uint8_t *data, size_t len,
                 const struct natsws_events *events, void *user);
void natsws_deinit(struct natsws *nats);

#endif
