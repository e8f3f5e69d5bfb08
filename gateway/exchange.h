/* exchange.h: one HTTP request and its answer, without its socket.
 *
 * Lifetime  from gw_exchange_new, when the request's head is there, to gw_exchange_free, when the
 *           answer is written or the connection gone.
 * Thread    loop.
 * Limits    a body of at most body_max bytes is collected; an answer of ANSWER_MAX bytes.
 */
#ifndef GW_EXCHANGE_H
#define GW_EXCHANGE_H

#include "common/err.h"
#include "gateway/auth.h"
#include "schemas/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_HEADERS_MAX 2048

struct gw_address;

enum gw_method { GW_GET, GW_HEAD, GW_POST, GW_OPTIONS, GW_OTHER_METHOD };

/* The head of a request; all texts are borrowed and "" when absent. */
struct gw_request {
    enum gw_method method;
    const char *path; /* percent-decoded, from '/' */
    const char *authorization, *content_type, *if_none_match;
    const char *origin, *host;
    int64_t content_length; /* -1: not given */
    const struct yz_pair *pairs;
    size_t pair_count;
    const struct gw_address *from; /* NULL: not known */
};

struct gw_exchange {
    enum gw_method method;
    uint64_t serial;
    void *peer;
    struct gw_identity identity; /* once authenticated; on a public path a tenant alone */
    const struct gw_address *from;
    char query[YZ_TYPE_MAX]; /* what the body asks; "": it is an event */
    uint64_t min_sequence;
    struct yz_buf body; /* of the request */
    /* the answer */
    int status;          /* 0: none yet */
    enum yz_err refused; /* why, if it is a problem */
    const char *content_type;
    char headers[GW_HEADERS_MAX]; /* further lines, each with its CRLF */
    struct yz_buf answer;         /* its body, if it is ours */
    const uint8_t *borrowed;      /* else the body */
    size_t len;
};

/* NULL: out of memory. */
struct gw_exchange *gw_exchange_new(const struct gw_request *request, size_t body_max, void *peer);
void gw_exchange_free(struct gw_exchange *exchange);

/* Each of these gives the answer; only the first counts. */
/* application/problem+json (RFC 9457). status 0: the error's own. */
void gw_exchange_problem(struct gw_exchange *exchange, const struct yz_violation *v, int status);
void gw_exchange_refuse(struct gw_exchange *exchange, enum yz_err err, const char *field,
                        const char *text);
/* exchange->answer holds the body. */
void gw_exchange_answer(struct gw_exchange *exchange, int status, const char *content_type);
/* bytes must stay for as long as the exchange. */
void gw_exchange_lend(struct gw_exchange *exchange, int status, const char *content_type,
                      const void *bytes, size_t len);
/* 204 for OPTIONS, else 405, with this Allow header. */
void gw_exchange_allow(struct gw_exchange *exchange, const char *methods);
/* Add a header line to the answer; our own texts only, never a client's. What does not fit is left
 * out. */
void gw_exchange_header(struct gw_exchange *exchange, const char *name, const char *value);

/* Append status line and headers. */
void gw_exchange_head(const struct gw_exchange *exchange, struct yz_buf *buf);
/* The body to send: none for HEAD. */
const uint8_t *gw_exchange_body(const struct gw_exchange *exchange, size_t *len);

#endif
