#include "gateway/node.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/revocation.h"
#include "gateway/serial.h"
#include "gateway/server.h"
#include "gateway/tls.h"
#include "gateway/watch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define TICK_MS       100
#define DRAIN_WAIT    0.4 /* part of drain_ms for which the first session waits for answers */
#define DRAIN_STEPS   0.6 /* part of drain_ms over which sessions are told to go */
#define CLOSE_LOOP_MS 3000
/* A second signal that comes sooner is the first one again: whoever ends a service may tell each of
 * its processes, and the supervisor passes on what it was told. */
#define SIGNAL_AGAIN_MS 1000

struct node {
    const struct yz_conf *conf;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[3];
    struct gw_metrics metrics;
    struct gw_auth *auth;
    struct gw_tls *tls;
    struct gw_origins *origins;
    struct gw_proxies *proxies;
    struct gw_files *files;
    struct gw_link *link;
    struct gw_revocations *revocations;
    struct gw_channels *channels;
    struct gw_uplink *uplink;
    struct gw_query *query;
    struct gw_intake *intake;
    struct gw_anyone *anyone;
    struct gw_conceal *conceal;
    struct gw_sessions *sessions;
    struct gw_http *http;
    struct gw_server *server;
    struct gw_watch *watch;
    bool draining;
    int64_t drain_from_ms; /* monotonic */
    size_t drain_share;    /* sessions dismissed in a tick */
};

static void on_accepted(void *arg, struct gw_ticket ticket, const char *event_id, enum yz_err err,
                        uint64_t sequence, bool duplicate)
{
    struct node *node = arg;

    if (ticket.session & GW_SERIAL_HTTP)
        gw_http_accepted(node->http, ticket, event_id, err, sequence, duplicate);
    else
        gw_sessions_accepted(node->sessions, ticket, event_id, err, sequence, duplicate);
}

static void on_answered(void *arg, struct gw_ticket ticket, const char *type, enum yz_err err,
                        const struct yz_violation *v, const void *payload, size_t len)
{
    struct node *node = arg;

    if (ticket.session & GW_SERIAL_HTTP)
        gw_http_answered(node->http, ticket, type, err, v, payload, len);
    else
        gw_sessions_answered(node->sessions, ticket, type, err, v, payload, len);
}

static enum yz_err make_bus(struct node *node)
{
    const struct yz_conf *conf = node->conf;
    enum yz_err err = gw_link_new(conf, &node->loop, &node->metrics, &node->link);

    if (err == YZ_OK)
        err = gw_revocations_new(conf, &node->loop, node->link, &node->metrics, &node->revocations);
    if (err == YZ_OK)
        err = gw_channels_new(conf, &node->loop, node->link, &node->metrics,
                              &gw_session_channel_events, &node->channels);
    if (err == YZ_OK)
        err = gw_uplink_new(conf, node->link, &node->metrics, on_accepted, node, &node->uplink);
    if (err == YZ_OK)
        err = gw_query_new(conf, node->link, &node->metrics, on_answered, node, &node->query);
    if (err == YZ_OK)
        err = gw_intake_new(conf, node->uplink, node->query, &node->metrics, &node->intake);
    if (err == YZ_OK)
        err =
            gw_watch_new(conf, &node->loop, node->link, node->intake, &node->metrics, &node->watch);
    return err;
}

/* For those who need not say who they are. */
static enum yz_err make_anyone(struct node *node)
{
    struct gw_intake_anyone anyone = {
        .on_accepted = on_accepted, .on_answered = on_answered, .arg = node};
    enum yz_err err = gw_anyone_new(node->conf, &node->anyone);

    if (err == YZ_OK)
        err = gw_conceal_new(node->conf, &node->loop, &node->conceal);
    anyone.limits = node->anyone;
    anyone.conceal = node->conceal;
    if (err == YZ_OK)
        gw_intake_serve_anyone(node->intake, &anyone);
    return err;
}

static enum yz_err make_edge(struct node *node)
{
    struct gw_session_parts session_parts = {.conf = node->conf,
                                             .auth = node->auth,
                                             .intake = node->intake,
                                             .channels = node->channels,
                                             .metrics = &node->metrics,
                                             .output = &gw_server_session_output};
    struct gw_http_parts http_parts = {.conf = node->conf,
                                       .auth = node->auth,
                                       .files = node->files,
                                       .origins = node->origins,
                                       .intake = node->intake,
                                       .anyone = node->anyone,
                                       .metrics = &node->metrics,
                                       .answered = gw_server_answered};
    struct gw_server_parts server_parts = {.conf = node->conf,
                                           .loop = &node->loop,
                                           .intake = node->intake,
                                           .origins = node->origins,
                                           .proxies = node->proxies,
                                           .tls = node->tls,
                                           .metrics = &node->metrics,
                                           .admin = {.link = node->link,
                                                     .intake = node->intake,
                                                     .revocations = node->revocations,
                                                     .metrics = &node->metrics}};
    enum yz_err err = gw_sessions_new(&session_parts, &node->sessions);

    gw_auth_heed(node->auth, node->revocations);
    if (err == YZ_OK)
        err = gw_http_new(&http_parts, &node->http);
    if (err != YZ_OK)
        return err;
    server_parts.sessions = node->sessions;
    server_parts.admin.sessions = node->sessions;
    server_parts.http = node->http;
    return gw_server_new(&server_parts, &node->server);
}

/* What was taken and is not answered: events without their acknowledgement, and those whose receipt
 * is being concealed, which are not yet sent. */
static size_t unanswered(const struct node *node)
{
    return gw_uplink_pending(node->uplink) + gw_conceal_pending(node->conceal);
}

static void finish_drain(struct node *node)
{
    yz_info("drained", "sessions_left=%zu acks_left=%zu requests_left=%zu ms=%lld",
            gw_sessions_count(node->sessions), unanswered(node), gw_http_exchanges(node->http),
            (long long)(yz_clock_mono_ms() - node->drain_from_ms));
    uv_stop(&node->loop);
}

/* First what was taken is answered (nothing new is taken), then a few sessions a tick go, so that
 * their reconnects are spread over the time there is. What is not concealed when the first of the
 * sessions goes is answered YZ_DRAINING, and was never accepted. */
static void drain_tick(struct node *node)
{
    int64_t past_ms = yz_clock_mono_ms() - node->drain_from_ms;
    bool waits =
        unanswered(node) > 0 && (double)past_ms < DRAIN_WAIT * (double)node->conf->drain_ms;
    size_t left = gw_sessions_dismiss(node->sessions, waits ? 0 : node->drain_share);

    if (!waits)
        gw_conceal_give_up(node->conceal);
    if (past_ms >= node->conf->drain_ms ||
        (left == 0 && gw_sessions_count(node->sessions) == 0 && unanswered(node) == 0 &&
         gw_http_exchanges(node->http) == 0))
        finish_drain(node);
}

static void on_tick(uv_timer_t *tick)
{
    struct node *node = tick->data;

    gw_sessions_tick(node->sessions);
    if (gw_revocations_changed(node->revocations))
        gw_sessions_judge(node->sessions);
    if (node->draining)
        drain_tick(node);
}

static void begin_drain(struct node *node, int signum)
{
    size_t sessions = gw_sessions_count(node->sessions);
    size_t ticks = (size_t)((double)node->conf->drain_ms * DRAIN_STEPS / TICK_MS) + 1;

    if (node->draining) {
        if (yz_clock_mono_ms() - node->drain_from_ms >= SIGNAL_AGAIN_MS)
            finish_drain(node);
        return;
    }
    node->draining = true;
    node->drain_from_ms = yz_clock_mono_ms();
    node->drain_share = sessions / ticks + 1;
    yz_info("draining", "signal=%s sessions=%zu drain_ms=%lld", strsignal(signum), sessions,
            (long long)node->conf->drain_ms);
    gw_intake_drain(node->intake);
    gw_server_stop_listening(node->server);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct node *node = handle->data;

    if (signum != SIGHUP) {
        begin_drain(node, signum);
        return;
    }
    if (gw_auth_reload(node->auth) != YZ_OK)
        yz_warn("keys_kept", "reason=reload_failed");
    if (node->tls)
        gw_tls_reload(node->tls);
}

static void start_handles(struct node *node)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};

    uv_timer_init(&node->loop, &node->tick);
    node->tick.data = node;
    uv_timer_start(&node->tick, on_tick, TICK_MS, TICK_MS);
    for (size_t i = 0; i < sizeof signums / sizeof signums[0]; i++) {
        uv_signal_init(&node->loop, &node->signals[i]);
        node->signals[i].data = node;
        uv_signal_start(&node->signals[i], on_signal, signums[i]);
    }
}

static void stop_handles(struct node *node)
{
    uv_close((uv_handle_t *)&node->tick, NULL);
    for (size_t i = 0; i < sizeof node->signals / sizeof node->signals[0]; i++)
        uv_close((uv_handle_t *)&node->signals[i], NULL);
}

/* Handles are freed by the loop; whoever still holds one open is left behind. */
static void run_out(struct node *node)
{
    int64_t until_ms = yz_clock_mono_ms() + CLOSE_LOOP_MS;

    while (uv_run(&node->loop, UV_RUN_NOWAIT) && yz_clock_mono_ms() < until_ms)
        uv_sleep(1);
    if (uv_loop_close(&node->loop) != 0)
        yz_debug("loop_left_open", "alive=%d", uv_loop_alive(&node->loop));
}

/* In reverse order of making; the connections end first, and with them the sessions. */
static void unmake(struct node *node)
{
    if (node->server)
        gw_server_close(node->server);
    uv_run(&node->loop, UV_RUN_NOWAIT);
    gw_sessions_free(node->sessions);
    gw_http_free(node->http);
    gw_watch_free(node->watch);
    gw_intake_free(node->intake);
    gw_conceal_free(node->conceal);
    gw_anyone_free(node->anyone);
    gw_query_free(node->query);
    gw_uplink_free(node->uplink);
    gw_channels_free(node->channels);
    if (node->auth)
        gw_auth_heed(node->auth, NULL);
    gw_revocations_free(node->revocations);
    gw_link_free(node->link);
    gw_tls_close(node->tls);
    run_out(node);
    if (node->server)
        gw_server_free(node->server);
    gw_tls_free(node->tls);
    gw_origins_free(node->origins);
    gw_proxies_free(node->proxies);
    gw_files_free(node->files);
    gw_auth_free(node->auth);
}

static int start(struct node *node, int client_fd, int admin_fd)
{
    if (gw_auth_new(node->conf->keys_dir, node->conf->token_audience, &node->auth) != YZ_OK ||
        gw_files_load(node->conf->static_dir, &node->files) != YZ_OK ||
        gw_origins_new(node->conf->allowed_origins, &node->origins) != YZ_OK ||
        gw_proxies_new(node->conf->trusted_proxies, &node->proxies) != YZ_OK ||
        gw_tls_new(node->conf, &node->loop, &node->metrics, &node->tls) != YZ_OK)
        return 2;
    if (make_bus(node) != YZ_OK || make_anyone(node) != YZ_OK || make_edge(node) != YZ_OK ||
        gw_server_listen(node->server, client_fd, false) != YZ_OK ||
        (admin_fd >= 0 && gw_server_listen(node->server, admin_fd, true) != YZ_OK)) {
        yz_error("start_failed", "reason=see_above");
        return 1;
    }
    return 0;
}

int gw_node_run(const struct yz_conf *conf, int client_fd, int admin_fd)
{
    struct node *node = calloc(1, sizeof *node);
    int code;

    if (!node)
        return 1;
    node->conf = conf;
    uv_loop_init(&node->loop);
    code = start(node, client_fd, admin_fd);
    if (code == 0) {
        start_handles(node);
        yz_info("started", "sessions_max=%lld keys=%zu", (long long)conf->sessions_max,
                gw_auth_key_count(node->auth));
        uv_run(&node->loop, UV_RUN_DEFAULT);
        stop_handles(node);
    }
    unmake(node);
    free(node);
    return code;
}
