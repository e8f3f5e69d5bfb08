/* reader.h: a connection to NATS of the loop's own, for direct gets: one request, many replies.
 *
 * A phone that comes back costs a read of its inbox: some twenty replies. nats.c hands each from
 * its reading thread to its delivering thread and that one to the loop, and parses headers into a
 * table: 4 µs a message and a change of thread, the larger half of an arrival's CPU. Here a reply
 * is read where it lies in the socket's buffer. Everything else stays with link.h, and so do reads
 * while this connection is not there: it is never the only way.
 *
 * Lifetime  one per process, gw_reader_new until gw_reader_free; run the loop once more for its
 *           handles. A request ends with its callback's false, an error, or gw_reader_cancel.
 * Thread    loop; names are resolved in libuv's pool.
 * Limits    READER_REQUESTS_MAX requests, a message of READER_MESSAGE_MAX; who asks bounds what
 *           comes (batch, max_bytes). Only nats:// servers without credentials in the URL.
 * Failure   a connection that ends, breaks the protocol or is silent beyond a request's time is
 *           given up with all its requests (YZ_BUS_UNAVAILABLE, YZ_TIMED_OUT) and made anew, a
 *           second later, to the next server.
 */
#ifndef GW_READER_H
#define GW_READER_H

#include "common/conf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define READER_REQUESTS_MAX 64
#define READER_MESSAGE_MAX  ((size_t)9 * 1024 * 1024)

struct gw_reader;

/* Valid inside the call. */
struct gw_answer {
    unsigned status;             /* 0: a message; 204, 404 ...: what ends the answer */
    uint64_t seq, last_seq;      /* Nats-Sequence, Nats-Last-Sequence; 0: none */
    uint64_t pending;            /* Nats-Num-Pending */
    const char *roles, *exclude; /* a push's audience; "": everybody */
    const char *stored;          /* Nats-Time-Stamp; "": none */
    const void *data;
    size_t len;
};

/* answer NULL: err says why, and it is the last call. Returns true to wait for more. */
typedef bool gw_answer_fn(void *arg, const struct gw_answer *answer, enum yz_err err);

YZ_MUST_USE enum yz_err gw_reader_new(const struct yz_conf *conf, uv_loop_t *loop,
                                      struct gw_reader **reader);
/* No request may be left. */
void gw_reader_free(struct gw_reader *reader);

bool gw_reader_ready(const struct gw_reader *reader);
/* On an error on_answer is not called, and it is never called inside. */
YZ_MUST_USE enum yz_err gw_reader_ask(struct gw_reader *reader, const char *subject,
                                      const char *text, int64_t timeout_ms, gw_answer_fn *on_answer,
                                      void *arg, uint64_t *id);
void gw_reader_cancel(struct gw_reader *reader, uint64_t id);

#endif
