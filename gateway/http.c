#include "gateway/http.h"

#include "common/clock.h"
#include "gateway/openapi.h"
#include "gateway/serial.h"
#include "schemas/contract.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HTTP_EXCHANGES_MAX 16384
#define ARENA_MAX          (4 << 20)
#define API_PREFIX         "/v1/"
#define EVENTS_PATH        "/v1/events"
#define QUERY_PATH         "/v1/query/"
#define PUBLIC_PATH        "/v1/public/"
#define SOCKET_PATH        "/v1/ws"
#define DOCUMENT_PATH      "/v1/openapi.json"
#define JSON_TYPE          "application/json"

struct gw_http {
    struct gw_http_parts parts;
    struct gw_serials *serials;
    struct yz_arena arena; /* of the request in hand */
};

enum yz_err gw_http_new(const struct gw_http_parts *parts, struct gw_http **out)
{
    struct gw_http *http = calloc(1, sizeof *http);

    if (!http)
        return YZ_INTERNAL;
    http->parts = *parts;
    http->serials = gw_serials_new(HTTP_EXCHANGES_MAX, GW_SERIAL_HTTP);
    if (!http->serials) {
        free(http);
        return YZ_INTERNAL;
    }
    yz_arena_init(&http->arena, ARENA_MAX);
    *out = http;
    return YZ_OK;
}

void gw_http_free(struct gw_http *http)
{
    if (!http)
        return;
    gw_serials_free(http->serials);
    yz_arena_deinit(&http->arena);
    free(http);
}

/* false: the exchange has its refusal. */
static bool authenticate(struct gw_http *http, struct gw_exchange *exchange, const char *header)
{
    static const char scheme[] = "Bearer ";
    size_t len = sizeof scheme - 1;
    const char *token = strncasecmp(header, scheme, len) == 0 ? header + len : "";
    enum yz_err err;

    err = gw_auth_verify(http->parts.auth, token, strlen(token), yz_clock_wall_ms(),
                         &exchange->identity);
    if (err != YZ_OK)
        gw_exchange_refuse(exchange, err, "Authorization", NULL);
    return err == YZ_OK;
}

/* "application/json", perhaps with parameters. */
static bool is_json(const char *content_type)
{
    size_t len = sizeof JSON_TYPE - 1;

    return strncasecmp(content_type, JSON_TYPE, len) == 0 &&
           strchr("; \t", content_type[len]) != NULL;
}

static void refuse_status(struct gw_exchange *exchange, int status, enum yz_err err,
                          const char *field, const char *text)
{
    struct yz_violation v;

    (void)yz_violate(&v, err, field, text);
    gw_exchange_problem(exchange, &v, status);
}

/* A POST with JSON of a size that is taken; else false, and the exchange has its refusal. */
static bool takes_body(struct gw_http *http, struct gw_exchange *exchange,
                       const struct gw_request *request)
{
    if (request->method != GW_POST)
        gw_exchange_allow(exchange, "POST, OPTIONS");
    else if (!is_json(request->content_type))
        refuse_status(exchange, 415, YZ_WRONG_TYPE, "Content-Type",
                      "The body must be " JSON_TYPE ".");
    else if (request->content_length < 0)
        refuse_status(exchange, 411, YZ_MISSING_FIELD, "Content-Length", NULL);
    else if (request->content_length > http->parts.conf->frame_max_bytes)
        gw_exchange_refuse(exchange, YZ_FRAME_TOO_LARGE, NULL, NULL);
    return exchange->status == 0;
}

static void begin_event(struct gw_http *http, struct gw_exchange *exchange,
                        const struct gw_request *request)
{
    if (takes_body(http, exchange, request))
        (void)authenticate(http, exchange, request->authorization);
}

/* "meeting/get" to "meeting.get"; false when the path has another form. */
static bool query_type(const char *domain, char type[YZ_TYPE_MAX])
{
    const char *slash = strchr(domain, '/');
    int len;

    if (!slash || slash == domain || slash[1] == '\0' || strchr(slash + 1, '/'))
        return false;
    len = snprintf(type, YZ_TYPE_MAX, "%.*s.%s", (int)(slash - domain), domain, slash + 1);
    return len > 0 && len < YZ_TYPE_MAX;
}

static bool is_posted(const struct yz_query_type *query)
{
    return query && query->method == YZ_BY_POST;
}

/* A number of digits alone that fits into 64 bits. */
static bool read_sequence(const char *text, uint64_t *sequence)
{
    unsigned long long number;
    char *end = NULL;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno == ERANGE)
        return false;
    *sequence = number;
    return true;
}

/* Takes min_sequence out of the pairs, since it is no field of the request. */
static enum yz_err split_pairs(const struct gw_request *request, struct yz_arena *arena,
                               struct yz_pair **pairs, size_t *count, uint64_t *min_sequence,
                               struct yz_violation *v)
{
    bool there = false;

    *pairs = yz_arena_alloc(arena, (request->pair_count + 1) * sizeof **pairs);
    *count = 0;
    *min_sequence = 0;
    if (!*pairs)
        return yz_violate(v, YZ_INTERNAL, NULL, NULL);
    for (size_t i = 0; i < request->pair_count; i++) {
        const struct yz_pair *pair = &request->pairs[i];

        if (strcmp(pair->name, "min_sequence") != 0 && strcmp(pair->name, "minSequence") != 0) {
            (*pairs)[(*count)++] = *pair;
            continue;
        }
        if (there)
            return yz_violate(v, YZ_INVALID_VALUE, "minSequence", "The field stands twice.");
        if (!read_sequence(pair->value, min_sequence))
            return yz_violate(v, YZ_WRONG_TYPE, "minSequence", NULL);
        there = true;
    }
    return YZ_OK;
}

static void ask_pairs(struct gw_http *http, struct gw_exchange *exchange,
                      const struct gw_request *request, const char *type)
{
    struct gw_ticket ticket = {.session = exchange->serial};
    struct yz_violation v = {0};
    struct yz_pair *pairs;
    uint64_t min_sequence;
    size_t count;

    yz_arena_reset(&http->arena);
    if (split_pairs(request, &http->arena, &pairs, &count, &min_sequence, &v) != YZ_OK)
        gw_exchange_problem(exchange, &v, 0);
    else if (gw_intake_query_pairs(http->parts.intake, &exchange->identity.actor, ticket, type,
                                   pairs, count, min_sequence, request->from, &v) != YZ_OK)
        gw_exchange_problem(exchange, &v, v.err == YZ_UNKNOWN_TYPE ? 404 : 0);
}

/* The question comes as JSON, so that nothing of it stands in a URL. query NULL: there is none. */
static void begin_posted_query(struct gw_http *http, struct gw_exchange *exchange,
                               const struct gw_request *request, const struct yz_query_type *query)
{
    struct yz_violation v = {0};
    struct yz_pair *pairs;
    size_t count;

    yz_arena_reset(&http->arena);
    if (!takes_body(http, exchange, request))
        return;
    if (!query)
        refuse_status(exchange, 404, YZ_UNKNOWN_TYPE, "type", NULL);
    else if (split_pairs(request, &http->arena, &pairs, &count, &exchange->min_sequence, &v) !=
             YZ_OK)
        gw_exchange_problem(exchange, &v, 0);
    else if (count > 0)
        gw_exchange_refuse(exchange, YZ_UNKNOWN_FIELD, pairs[0].name, "The body asks.");
    if (query)
        snprintf(exchange->query, sizeof exchange->query, "%s", query->name);
}

static void begin_query(struct gw_http *http, struct gw_exchange *exchange,
                        const struct gw_request *request)
{
    char type[YZ_TYPE_MAX] = "";
    bool known = query_type(request->path + sizeof QUERY_PATH - 1, type);
    const struct yz_query_type *query = known ? yz_query_type_find(type, NULL) : NULL;
    bool by_post = is_posted(query);

    if (by_post ? request->method != GW_POST
                : request->method != GW_GET && request->method != GW_HEAD)
        gw_exchange_allow(exchange, by_post ? "POST, OPTIONS" : "GET, HEAD, OPTIONS");
    else if (!known)
        gw_exchange_refuse(exchange, YZ_UNKNOWN_PATH, NULL, NULL);
    else if (!authenticate(http, exchange, request->authorization))
        return;
    else if (by_post)
        begin_posted_query(http, exchange, request, query);
    else
        ask_pairs(http, exchange, request, type);
}

/* "/v1/public/<tenant>/events" and "/v1/public/<tenant>/query/<domain>/<name>": whoever asks here
 * is nobody, whatever token was sent. */
static void begin_public(struct gw_http *http, struct gw_exchange *exchange,
                         const struct gw_request *request)
{
    const char *tenant = request->path + sizeof PUBLIC_PATH - 1, *rest = strchr(tenant, '/');
    char *to = exchange->identity.actor.tenant, type[YZ_TYPE_MAX];
    static const char queries[] = "/query/";
    const struct yz_query_type *query;

    if (rest && rest - tenant < YZ_ID_MAX)
        snprintf(to, YZ_ID_MAX, "%.*s", (int)(rest - tenant), tenant);
    if (!rest || !yz_id_valid(to) || !http->parts.anyone ||
        !gw_anyone_serves(http->parts.anyone, to))
        gw_exchange_refuse(exchange, YZ_UNKNOWN_PATH, NULL, NULL);
    else if (strcmp(rest, "/events") == 0)
        (void)takes_body(http, exchange, request);
    else if (strncmp(rest, queries, sizeof queries - 1) != 0 ||
             !query_type(rest + sizeof queries - 1, type))
        gw_exchange_refuse(exchange, YZ_UNKNOWN_PATH, NULL, NULL);
    else if (is_posted(query = yz_query_type_find(type, NULL)) && request->method != GW_POST)
        gw_exchange_allow(exchange, "POST, OPTIONS");
    else if (request->method == GW_GET || request->method == GW_HEAD)
        ask_pairs(http, exchange, request, type);
    else if (request->method == GW_POST)
        begin_posted_query(http, exchange, request, query);
    else
        gw_exchange_allow(exchange, "GET, HEAD, POST, OPTIONS");
}

/* What changes with a deployment only: a browser asks whether it is still the same. */
static void lend_fixed(struct gw_exchange *exchange, const struct gw_request *request,
                       const char *etag, const char *content_type, const void *data, size_t len)
{
    if (request->method != GW_GET && request->method != GW_HEAD) {
        gw_exchange_allow(exchange, "GET, HEAD, OPTIONS");
        return;
    }
    gw_exchange_header(exchange, "ETag", etag);
    gw_exchange_header(exchange, "Cache-Control", "no-cache");
    if (strcmp(request->if_none_match, etag) == 0)
        gw_exchange_lend(exchange, 304, NULL, NULL, 0);
    else
        gw_exchange_lend(exchange, 200, content_type, data, len);
}

static void begin_file(struct gw_http *http, struct gw_exchange *exchange,
                       const struct gw_request *request)
{
    const struct gw_file *file = gw_files_find(http->parts.files, request->path);

    if (file)
        lend_fixed(exchange, request, file->etag, file->content_type, file->data, file->len);
    else
        gw_exchange_refuse(exchange, YZ_UNKNOWN_PATH, NULL, NULL);
}

/* What every answer says to a browser; pages are told more. */
static void add_security(struct gw_http *http, struct gw_exchange *exchange)
{
    gw_exchange_header(exchange, "Referrer-Policy", "no-referrer");
    if (http->parts.conf->tls_cert_file[0])
        gw_exchange_header(exchange, "Strict-Transport-Security", "max-age=31536000");
}

static void add_page_security(struct gw_http *http, struct gw_exchange *exchange)
{
    if (http->parts.conf->content_security_policy[0])
        gw_exchange_header(exchange, "Content-Security-Policy",
                           http->parts.conf->content_security_policy);
    gw_exchange_header(exchange, "X-Frame-Options", "DENY");
    gw_exchange_header(exchange, "Permissions-Policy",
                       "camera=(self), geolocation=(), microphone=(), payment=(), usb=()");
    gw_exchange_header(exchange, "Cross-Origin-Opener-Policy", "same-origin");
}

static void add_api_security(struct gw_exchange *exchange, bool fixed)
{
    if (!fixed)
        gw_exchange_header(exchange, "Cache-Control", "no-store");
    gw_exchange_header(exchange, "Content-Security-Policy",
                       "default-src 'none'; frame-ancestors 'none'");
}

/* false: the exchange has its refusal. A preflight asks before the request itself. */
static bool admit_origin(struct gw_http *http, struct gw_exchange *exchange,
                         const struct gw_request *request)
{
    const char *cors = "";

    if (!http->parts.origins || !request->origin)
        return true;
    gw_exchange_header(exchange, "Vary", "Origin");
    if (!gw_origins_admit(http->parts.origins, request->origin, request->host, &cors)) {
        gw_exchange_refuse(exchange, YZ_ORIGIN_NOT_ALLOWED, "Origin", NULL);
        return false;
    }
    if (*cors) {
        gw_exchange_header(exchange, "Access-Control-Allow-Origin", cors);
        gw_exchange_header(exchange, "Access-Control-Expose-Headers", "Retry-After");
    }
    if (*cors && exchange->method == GW_OPTIONS) {
        gw_exchange_header(exchange, "Access-Control-Allow-Methods", "GET, HEAD, POST");
        gw_exchange_header(exchange, "Access-Control-Allow-Headers", "Authorization, Content-Type");
        gw_exchange_header(exchange, "Access-Control-Max-Age", "600");
    }
    return true;
}

static void route(struct gw_http *http, struct gw_exchange *exchange,
                  const struct gw_request *request)
{
    bool document = strcmp(request->path, DOCUMENT_PATH) == 0;

    if (strncmp(request->path, API_PREFIX, sizeof API_PREFIX - 1) != 0 &&
        gw_files_find(http->parts.files, request->path))
        add_page_security(http, exchange);
    else
        add_api_security(exchange, document);
    if (strcmp(request->path, EVENTS_PATH) == 0)
        begin_event(http, exchange, request);
    else if (strncmp(request->path, QUERY_PATH, sizeof QUERY_PATH - 1) == 0)
        begin_query(http, exchange, request);
    else if (strncmp(request->path, PUBLIC_PATH, sizeof PUBLIC_PATH - 1) == 0)
        begin_public(http, exchange, request);
    else if (strcmp(request->path, SOCKET_PATH) == 0)
        refuse_status(exchange, 426, YZ_BAD_FRAME, "Upgrade",
                      "This path is for WebSocket connections.");
    else if (document)
        lend_fixed(exchange, request, gw_openapi.etag, JSON_TYPE, gw_openapi.text, gw_openapi.len);
    else
        begin_file(http, exchange, request);
}

struct gw_exchange *gw_http_begin(struct gw_http *http, const struct gw_request *request,
                                  void *peer)
{
    size_t body_max = (size_t)http->parts.conf->frame_max_bytes;
    struct gw_exchange *exchange = gw_exchange_new(request, body_max, peer);

    if (!exchange)
        return NULL;
    yz_count(&http->parts.metrics->http_requests, 1);
    exchange->serial = gw_serials_add(http->serials, exchange);
    add_security(http, exchange);
    if (exchange->serial == 0)
        gw_exchange_refuse(exchange, YZ_BUSY, NULL, NULL);
    else if (admit_origin(http, exchange, request))
        route(http, exchange, request);
    return exchange;
}

void gw_http_body(struct gw_http *http, struct gw_exchange *exchange, const void *data, size_t len)
{
    (void)http;
    yz_buf_append(&exchange->body, data, len);
}

static void finish_event(struct gw_http *http, struct gw_exchange *exchange)
{
    struct gw_ticket ticket = {.session = exchange->serial};
    struct yz_violation v = {0};
    struct gw_emit emit;

    yz_arena_reset(&http->arena);
    if (gw_frame_decode_emit((const char *)exchange->body.data, exchange->body.len, &http->arena,
                             &emit, &v) != YZ_OK) {
        gw_exchange_problem(exchange, &v, 0);
        return;
    }
    emit.from = exchange->from;
    if (gw_intake_event(http->parts.intake, &exchange->identity.actor, ticket, &emit, &v) != YZ_OK)
        gw_exchange_problem(exchange, &v, 0);
}

static void finish_query(struct gw_http *http, struct gw_exchange *exchange)
{
    const struct gw_ask ask = {.type = exchange->query,
                               .payload = exchange->body.data,
                               .len = exchange->body.len,
                               .min_sequence = exchange->min_sequence,
                               .from = exchange->from};
    struct gw_ticket ticket = {.session = exchange->serial};
    struct yz_violation v = {0};

    if (gw_intake_query_json(http->parts.intake, &exchange->identity.actor, ticket, &ask, &v) !=
        YZ_OK)
        gw_exchange_problem(exchange, &v, 0);
}

void gw_http_finish(struct gw_http *http, struct gw_exchange *exchange)
{
    if (exchange->body.failed) /* it is as long as it was said to be, so it was memory */
        gw_exchange_refuse(exchange, YZ_INTERNAL, NULL, NULL);
    else if (exchange->query[0])
        finish_query(http, exchange);
    else
        finish_event(http, exchange);
}

void gw_http_end(struct gw_http *http, struct gw_exchange *exchange)
{
    if (exchange->serial != 0)
        gw_serials_remove(http->serials, exchange->serial);
    if (exchange->refused)
        yz_count(&http->parts.metrics->refused[exchange->refused], 1);
    gw_exchange_free(exchange);
}

size_t gw_http_exchanges(const struct gw_http *http)
{
    return gw_serials_count(http->serials);
}

void gw_http_accepted(void *arg, struct gw_ticket ticket, const char *event_id, enum yz_err err,
                      uint64_t sequence, bool duplicate)
{
    struct gw_http *http = arg;
    struct gw_exchange *exchange = gw_serials_find(http->serials, ticket.session);
    char text[160];
    int len;

    if (!exchange)
        return;
    if (err != YZ_OK) {
        gw_exchange_refuse(exchange, err, NULL, NULL);
    } else {
        /* The id has only characters that need no escape. */
        len = snprintf(text, sizeof text,
                       "{\"eventId\":\"%s\",\"sequence\":\"%" PRIu64 "\",\"duplicate\":%s}",
                       event_id, sequence, duplicate ? "true" : "false");
        yz_buf_append(&exchange->answer, text, (size_t)len);
        gw_exchange_answer(exchange, 202, JSON_TYPE);
    }
    http->parts.answered(exchange->peer);
}

void gw_http_answered(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                      const struct yz_violation *v, const void *payload, size_t len)
{
    struct gw_http *http = arg;
    struct gw_exchange *exchange = gw_serials_find(http->serials, ticket.session);

    if (!exchange)
        return;
    if (err != YZ_OK) {
        struct yz_violation located = *v;

        gw_intake_locate(&located);
        gw_exchange_problem(exchange, &located, 0);
    } else if (gw_intake_reply_json(http->parts.intake, type, payload, len, &exchange->answer) !=
               YZ_OK) {
        gw_exchange_refuse(exchange, YZ_INTERNAL, NULL, NULL);
    } else {
        gw_exchange_answer(exchange, 200, JSON_TYPE);
    }
    http->parts.answered(exchange->peer);
}
