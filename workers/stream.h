/* stream.h: JetStream as the worker needs it: API calls as JSON, guarded publishes, direct reads.
 *
 * Lifetime  no state; a reply is the caller's.
 * Thread    any; every call blocks, at most WK_STREAM_TIMEOUT_MS.
 * Errors    YZ_BUS_UNAVAILABLE: no answer, or nobody there to give one; YZ_INTERNAL: the broker
 *           refused, *code (may be NULL) is its err_code.
 * Limits    replies up to the broker's max_payload.
 */
#ifndef WK_STREAM_H
#define WK_STREAM_H

#include "common/conf.h"
#include "common/err.h"

#include <jansson.h>
#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WK_STREAM_TIMEOUT_MS 3000

/* The broker's error codes that are decided upon. */
enum {
    WK_STREAM_CONSUMER_NOT_FOUND = 10014,
    WK_STREAM_NO_MESSAGE = 10037,
    WK_STREAM_NOT_FOUND = 10059,
    WK_STREAM_WRONG_LAST = 10071,
    WK_STREAM_FULL = 10077,
    WK_STREAM_CONSUMER_NOT_UNIQUE = 10100,
};

/* api: "CONSUMER.INFO.EVENTS.p1-2", behind "$JS.API."; request is taken, may be NULL. */
YZ_MUST_USE enum yz_err wk_stream_call(natsConnection *nc, const char *api, json_t *request,
                                       json_t **reply, int *code);
/* The same with a time-out other than WK_STREAM_TIMEOUT_MS. */
YZ_MUST_USE enum yz_err wk_stream_ask(natsConnection *nc, const char *api, json_t *request,
                                      int64_t timeout_ms, json_t **reply, int *code);

/* Of a STREAM.INFO: its leader has heard of most replicas just now (a stream of one has none). One
 * that is cut off answers for some seconds as if it led, from what it knew then. */
bool wk_stream_is_led(const json_t *info);

/* Publish to a stream. expected: the subject's last sequence must be this, 0: it has none, -1:
 * whatever it is. *sequence (may be NULL) is where it was stored. */
/* The subject's last message as the stream's leader knows it, where a direct get is answered by a
 * replica that may be behind. */
struct wk_stream_end {
    uint64_t sequence; /* 0: there is none */
    int64_t stored_at_ms;
};
YZ_MUST_USE enum yz_err wk_stream_end(natsConnection *nc, const char *stream, const char *subject,
                                      struct wk_stream_end *end);
YZ_MUST_USE enum yz_err wk_stream_put(natsConnection *nc, const char *subject, const char *text,
                                      int64_t expected, uint64_t *sequence, int *code);
/* A PubAck as JSON text: its sequence, or YZ_INTERNAL with the broker's code. */
YZ_MUST_USE enum yz_err wk_stream_ack(const char *text, size_t len, uint64_t *sequence, int *code);

/* Last message of a subject by direct get; *msg NULL: there is none. */
YZ_MUST_USE enum yz_err wk_stream_last(natsConnection *nc, const char *stream, const char *subject,
                                       natsMsg **msg);
/* A direct get that has many replies. request is taken. on_row borrows msg. *pending (may be NULL):
 * how many more there were. */
typedef void wk_stream_row_fn(void *arg, natsMsg *msg);
YZ_MUST_USE enum yz_err wk_stream_each(const struct yz_conf *conf, natsConnection *nc,
                                       const char *stream, json_t *request,
                                       wk_stream_row_fn *on_row, void *arg, uint64_t *pending);

#endif
