/* yz-worker: settles events and answers queries. */
#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "workers/admin.h"
#include "workers/code.h"
#include "workers/consumer.h"
#include "workers/outbox.h"
#include "workers/query.h"
#include "workers/registry.h"
#include "workers/rules.h"
#include "workers/vault.h"
#include "workers/watch.h"

#include <bson/bson.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX     64
#define LEAVE_MS        10000
#define CONNECT_EACH_MS 5000
#define WAIT_MS         500

struct worker {
    struct yz_conf conf;
    char id[WK_WORKER_MAX];
    struct wk_metrics metrics;
    uint8_t *secret;
    struct wk_rules *rules;
    struct wk_vault *vault;
    struct wk_context context;
    natsConnection *nc;
    struct wk_pool *pool;
    struct wk_lease *lease;
    struct wk_outbox *outbox;
    struct wk_query_service *queries;
    struct wk_consumer *consumers[THREADS_MAX];
    struct wk_admin *admin;
    struct wk_watch *watch;
    atomic_bool stopping;          /* a thread that waits for the database or the bus gives up */
    _Atomic(const char *) missing; /* what the start waits for */
};

static void on_disconnected(natsConnection *nc, void *arg)
{
    struct worker *w = arg;

    (void)nc;
    atomic_store(&w->metrics.bus_connected, 0);
    if (!atomic_load(&w->stopping))
        yz_trouble_note(&w->metrics.troubles, YZ_TROUBLE_bus_disconnected, true);
}

/* The keeper of the leases sees the count rise. */
static void on_reconnected(natsConnection *nc, void *arg)
{
    struct worker *w = arg;

    (void)nc;
    atomic_store(&w->metrics.bus_connected, 1);
    yz_count(&w->metrics.bus_reconnects, 1);
    yz_trouble_note(&w->metrics.troubles, YZ_TROUBLE_bus_disconnected, false);
}

static void on_bus_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *arg)
{
    struct worker *w = arg;

    (void)sub;
    if (yz_bus_on_error(nc, status))
        yz_trouble_note(&w->metrics.troubles, YZ_TROUBLE_bus_permission, true);
}

static bool is_ready(void *arg, const char **reason)
{
    struct worker *w = arg;

    *reason = atomic_load(&w->missing);
    if (!*reason && yz_trouble_there(&w->metrics.troubles, YZ_TROUBLE_sequence_behind))
        *reason = "EVENTS counts below what it reached; yzctl epoch raise mends it";
    if (*reason == NULL && wk_lease_ready(w->lease, reason))
        return true;
    if (yz_trouble_there(&w->metrics.troubles, YZ_TROUBLE_bus_permission))
        *reason = YZ_BUS_DENIED_TEXT;
    return false;
}

/* Unique for each run: a restarted worker must not take its own old leases for held ones. */
static void make_id(struct worker *w)
{
    char host[48] = "host";
    uint32_t random = 0;

    if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
        random = (uint32_t)yz_clock_mono_us();
    gethostname(host, sizeof host - 1);
    if (*w->conf.worker_id)
        snprintf(w->id, sizeof w->id, "%.64s-%08" PRIx32, w->conf.worker_id, random);
    else
        snprintf(w->id, sizeof w->id, "%s-%d-%08" PRIx32, host, (int)getpid(), random);
    for (char *c = w->id; *c; c++) {
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c))
            *c = '_';
    }
}

static bool should_stop(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static enum yz_err connect_bus(struct worker *w)
{
    natsOptions *options = NULL;
    enum yz_err err = yz_bus_options(&w->conf, w->id, &options);

    if (err)
        return err;
    natsOptions_SetDisconnectedCB(options, on_disconnected, w);
    natsOptions_SetReconnectedCB(options, on_reconnected, w);
    natsOptions_SetErrorHandler(options, on_bus_error, w);
    do
        err = yz_bus_connect(options, CONNECT_EACH_MS, &w->nc);
    while (err && !should_stop());
    natsOptions_Destroy(options);
    if (!err)
        atomic_store(&w->metrics.bus_connected, 1);
    return err;
}

static void say_change(void *arg, const char *line)
{
    (void)arg;
    yz_info("database_changed", "change=\"%s\"", line);
}

static enum yz_err connect_database(struct worker *w)
{
    struct wk_store *store;
    enum yz_err err = wk_pool_new(&w->conf, &w->pool);

    if (err || (err = wk_watch_start(&w->conf, w->nc, w->pool, &w->metrics, w->id, is_ready, w,
                                     &w->watch)))
        return err;
    store = wk_store_pop(w->pool);
    do {
        err = wk_store_apply_indexes(store, false, say_change, NULL);
        if (err)
            nats_Sleep(WAIT_MS);
    } while (err == YZ_BUSY && !should_stop());
    wk_store_push(w->pool, store);
    return err;
}

static enum yz_err start_threads(struct worker *w)
{
    struct wk_batch_means means = {
        .conf = &w->conf,
        .nc = w->nc,
        .pool = w->pool,
        .lease = w->lease,
        .metrics = &w->metrics,
        .watch = w->watch,
        .context = &w->context,
        .find_handler = wk_registry_event,
        .stopping = &w->stopping,
    };
    unsigned count = (unsigned)w->conf.threads;
    enum yz_err err;

    err = wk_outbox_start(&w->conf, w->pool, w->lease, &w->metrics, w->watch, &w->outbox);
    means.outbox = w->outbox;
    for (unsigned i = 0; !err && i < count; i++)
        err = wk_consumer_start(&means, i, count, &w->consumers[i]);
    if (!err)
        err = wk_query_start(&w->context, w->nc, w->pool, &w->metrics, w->watch, &w->queries);
    return err;
}

/* What the handlers are given comes from files, read before the first event. */
static enum yz_err read_files(struct worker *w)
{
    size_t secret_len = 0;
    enum yz_err err = wk_code_secret_read(w->conf.code_secret_file, &w->secret, &secret_len);

    if (err || (err = wk_rules_load(w->conf.rules_dir, &w->rules)) ||
        (err = wk_vault_open(w->conf.member_key_file, &w->vault)))
        return err;
    w->context = (struct wk_context){
        .conf = &w->conf,
        .code_secret = w->secret,
        .code_secret_len = secret_len,
        .rules = w->rules,
        .vault = w->vault,
    };
    return YZ_OK;
}

static enum yz_err start(struct worker *w)
{
    enum yz_err err;

    atomic_store(&w->missing, "not connected to NATS");
    if ((err = wk_admin_start(&w->conf, &w->metrics, is_ready, w, &w->admin)) ||
        (err = read_files(w)) || (err = connect_bus(w)))
        return err;
    atomic_store(&w->missing, "the database does not answer");
    if ((err = connect_database(w)) ||
        (err = wk_lease_new(&w->conf, w->nc, w->id, &w->metrics, &w->lease)))
        return err;
    wk_watch_leases(w->watch, w->lease);
    err = start_threads(w);
    if (!err)
        atomic_store(&w->missing, NULL);
    return err;
}

/* Leases are given up while the consumer threads still run: they finish what they hold. */
static void stop(struct worker *w)
{
    atomic_store(&w->missing, "it is going down");
    wk_query_stop(w->queries);
    if (w->lease)
        wk_lease_stop(w->lease, w->consumers[0] ? LEAVE_MS : 0);
    atomic_store(&w->stopping, true);
    for (unsigned i = 0; i < THREADS_MAX; i++)
        wk_consumer_stop(w->consumers[i]);
    wk_outbox_stop(w->outbox);
    wk_watch_stop(w->watch);
    wk_admin_stop(w->admin);
    natsConnection_Destroy(w->nc);
    wk_lease_free(w->lease);
    wk_pool_free(w->pool);
    wk_vault_close(w->vault);
    wk_rules_free(w->rules);
    free(w->secret);
}

/* Signals wait until this thread asks for them; all threads inherit the mask. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* "ready" is said once, when leases can be taken. */
static void wait_for_signal(struct worker *w, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000000};
    const char *reason;

    while (!is_ready(w, &reason)) {
        if (sigtimedwait(signals, NULL, &pause) > 0)
            return;
    }
    yz_info("ready", "worker=%s threads=%lld admin_port=%lld", w->id, (long long)w->conf.threads,
            (long long)w->conf.admin_port);
    while (sigwaitinfo(signals, NULL) < 0)
        ;
}

/* An accepted event cannot be refused for want of memory: also the libraries wait, see memory.h. */
static void use_memory_that_waits(void)
{
    static const bson_mem_vtable_t documents = {
        .malloc = yz_malloc, .calloc = yz_calloc, .realloc = yz_realloc, .free = free};

    yz_memory_policy(YZ_MEMORY_WAIT);
    bson_mem_set_vtable(&documents);
    json_set_alloc_funcs(yz_malloc, free);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    struct worker *w = &worker;
    enum yz_log_level level;
    sigset_t signals;
    enum yz_err err;

    if (!yz_conf_parse(&w->conf, YZ_CONF_WORKER, argc, argv,
                       "yz-worker: settle events, publish pushes, answer queries.", NULL))
        return 2;
    if (!yz_log_level_parse(w->conf.log_level, &level)) {
        fprintf(stderr, "log_level: it is error, warn, info or debug\n");
        return 2;
    }
    yz_log_init("yz-worker", level);
    use_memory_that_waits();
    block_signals(&signals);
    make_id(w);
    err = start(w);
    if (!err)
        wait_for_signal(w, &signals);
    yz_info("stopping", "worker=%s", w->id);
    stop(w);
    nats_Close();
    if (err && !should_stop()) {
        yz_error("start_failed", "code=%s", yz_err_code(err));
        return err == YZ_INVALID_VALUE ? 2 : 1;
    }
    yz_info("stopped", "worker=%s", w->id);
    return 0;
}
