/* ws.h: a WebSocket client (RFC 6455) for thousands of connections in one process, with TLS where
 * wanted.
 *
 * Lifetime  a ws is the caller's memory (an array of them); ws_connect begins, ws_close or the peer
 * ends, then it may connect again. on_close comes once for each ws_connect that is not ended by
 * ws_close itself. Thread    the loop's. One read buffer is shared by all connections. States
 * CONNECTING --tcp (tls)--> SHAKING --101--> OPEN --close or end--> CLOSED
 *
 * Messages come whole: on_message's data lies in the shared buffer when one read brought it, else
 * it was put together in the connection's own, which is given up again afterwards. It is valid only
 * inside the call. Pings are answered. A frame that breaks the protocol (masked, reserved bits,
 * wrong Sec-WebSocket-Accept) closes with 1002.
 */
#ifndef BENCH_WS_H
#define BENCH_WS_H

#include "loop.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ws;

struct ws_options {
    uint16_t port;        /* on 127.0.0.1 */
    const char *path;     /* "/v1/ws" */
    const char *protocol; /* Sec-WebSocket-Protocol; NULL: none */
    unsigned
        sources;  /* connections come from 127.0.1.1 .. 127.0.1.<sources> in turn; 0: 127.0.0.1 */
    SSL_CTX *tls; /* NULL: none */
    SSL_SESSION *resumption; /* of an earlier connection (ws_tls_session), or NULL */
    int receive_buffer;      /* SO_RCVBUF in bytes; 0: the kernel's choice */
    void (*on_open)(struct ws *ws);
    void (*on_message)(struct ws *ws, bool text, const uint8_t *data, size_t len);
    /* status: the peer's close code, 1006 when there was none, the HTTP status when it answered
     * other than 101, 0 when the TCP connection was refused. */
    void (*on_close)(struct ws *ws, unsigned status);
};

enum ws_state { WS_CLOSED, WS_CONNECTING, WS_SHAKING, WS_OPEN };

struct ws_bytes {
    uint8_t *data;
    size_t len, size;
};

struct ws {
    struct loop_watch watch; /* first: on_ready finds the ws by it */
    struct loop *loop;
    const struct ws_options *options; /* borrowed while connected */
    enum ws_state state;
    unsigned index;
    SSL *tls;
    struct ws_bytes in;    /* read, and not yet a whole frame (or the HTTP head) */
    struct ws_bytes parts; /* of a fragmented message */
    struct ws_bytes out;   /* the kernel did not take it yet */
    bool parts_text, wants_write;
    char accept[29];        /* what Sec-WebSocket-Accept must be */
    uint64_t frames, bytes; /* received data frames (messages of the server); bytes off the wire */
    void *user;
};

/* index chooses the source address. A refusal by the kernel comes as on_close later in the loop. */
void ws_connect(struct ws *ws, struct loop *loop, const struct ws_options *options, unsigned index);
/* One message, masked. What the kernel does not take now is kept without bound: an open loop's own
 * queue is the sender's to watch (ws->out.len). Nothing happens unless OPEN. */
void ws_send(struct ws *ws, bool text, const void *data, size_t len);
void ws_ping(struct ws *ws);
/* Close frame (code 0: none), then the TCP connection at once. No on_close. */
void ws_close(struct ws *ws, unsigned code);
/* A session for the next connection's resumption, the caller's to free; NULL without TLS or ticket.
 */
SSL_SESSION *ws_tls_session(const struct ws *ws);
/* SO_MEMINFO: bytes of kernel memory this end's socket holds. */
size_t ws_kernel_bytes(const struct ws *ws);

#endif
