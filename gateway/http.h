/* http.h: what the client port answers over HTTP: POST /v1/events, GET /v1/query/<domain>/<name>,
 * the same two below /v1/public/<tenant>/ for people without a token, static files.
 *
 * Lifetime  one per process; an exchange is between gw_http_begin and gw_http_end.
 * Thread    loop.
 * Limits    HTTP_EXCHANGES_MAX requests at once (busy beyond); bodies of frame_max_bytes.
 */
#ifndef GW_HTTP_H
#define GW_HTTP_H

#include "gateway/auth.h"
#include "gateway/exchange.h"
#include "gateway/files.h"
#include "gateway/intake.h"
#include "gateway/origin.h"

struct gw_http;

struct gw_http_parts {
    const struct yz_conf *conf;
    const struct gw_auth *auth;
    const struct gw_files *files;
    const struct gw_origins *origins; /* NULL: every page may connect */
    struct gw_intake *intake;
    const struct gw_anyone *anyone; /* NULL: no public paths */
    struct gw_metrics *metrics;
    /* exchange->status is set now, later than gw_http_finish; peer as given to gw_http_begin. */
    void (*answered)(void *peer);
};

YZ_MUST_USE enum yz_err gw_http_new(const struct gw_http_parts *parts, struct gw_http **http);
void gw_http_free(struct gw_http *http);

/* The head of a request is there. If exchange->status is still 0 then its body is wanted: give it
 * to gw_http_body, then call gw_http_finish. NULL: out of memory, close the connection. */
struct gw_exchange *gw_http_begin(struct gw_http *http, const struct gw_request *request,
                                  void *peer);
void gw_http_body(struct gw_http *http, struct gw_exchange *exchange, const void *data, size_t len);
void gw_http_finish(struct gw_http *http, struct gw_exchange *exchange);
/* The answer was written, or the connection is gone. */
void gw_http_end(struct gw_http *http, struct gw_exchange *exchange);

/* Requests whose answer is not written yet. */
size_t gw_http_exchanges(const struct gw_http *http);

/* Answers of uplink and query for tickets with GW_SERIAL_HTTP; arg is the gw_http. */
gw_accepted_fn gw_http_accepted;
gw_answered_fn gw_http_answered;

#endif
