#include "workers/lease.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/subject.h"
#include "workers/durable.h"
#include "workers/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX       256
#define POLL_MS           50
#define BEAT_MAX_MS       1000
#define WORKERS_STREAM    "KV_" YZ_BUCKET_WORKERS
#define PARTITIONS_STREAM "KV_" YZ_BUCKET_PARTITIONS
#define WORKERS_PREFIX    "$KV." YZ_BUCKET_WORKERS "."
#define PARTITIONS_PREFIX "$KV." YZ_BUCKET_PARTITIONS "."

enum state { FREE, HELD, LEAVING };

struct partition {
    enum state state;
    uint64_t revision; /* of our lease */
    uint64_t suspect_until;
    bool ready; /* its consumer is there */
    bool renew; /* asked for: new revision, new consumer */
    bool drained;
    /* as last read from the bucket */
    uint64_t listed_revision; /* in the last reading of them all, 0: it was not there */
    uint64_t stored_revision; /* 0: nothing there */
    uint64_t stored_suspect;
    bool stored_held;
    char holder[WK_WORKER_MAX];
};

struct peer {
    char id[WK_WORKER_MAX];
    int64_t seen_mono_ms;
};

struct wk_lease {
    const struct yz_conf *conf;
    natsConnection *nc;
    struct wk_metrics *metrics;
    char worker[WK_WORKER_MAX];
    pthread_t keeper;
    natsSubscription *sub; /* everything written to the two buckets */
    atomic_bool stopping;
    atomic_bool ended;
    atomic_bool wake;
    _Atomic uint64_t version;
    _Atomic(const char *) missing; /* NULL: ready */
    _Atomic int64_t handed_mono_ms[YZ_PARTITIONS], made_mono_ms[YZ_PARTITIONS];

    pthread_mutex_t mutex; /* over what follows; never held during I/O */
    struct partition partitions[YZ_PARTITIONS];
    bool suspended;       /* no beat for too long */
    int64_t beat_mono_ms; /* last one stored */

    /* the keeper's own */
    struct peer peers[WORKERS_MAX];
    size_t peer_count;
    int64_t watching_since_mono_ms;
    int64_t beat_due_mono_ms;
    int64_t started_ms;
    int64_t stop_until_mono_ms;
    uint64_t reconnects_seen;
    bool beat_failed; /* the last one */
};

static void changed(struct wk_lease *lease)
{
    atomic_fetch_add(&lease->version, 1);
}

/* beat: one was stored just now. A request for one may be under way for longer than the others
 * wait for it, so that not only the keeper has to look. Whether it suspends. */
static bool judge_beat(struct wk_lease *lease, bool beat)
{
    bool suspended, differs;

    pthread_mutex_lock(&lease->mutex);
    if (beat)
        lease->beat_mono_ms = yz_clock_mono_ms();
    suspended = yz_clock_mono_ms() - lease->beat_mono_ms >= lease->conf->lease_ttl_ms;
    differs = lease->suspended != suspended;
    lease->suspended = suspended;
    pthread_mutex_unlock(&lease->mutex);
    /* With each beat again: two threads that saw it differ may have told it in the other order. */
    if (differs || beat)
        yz_trouble_note(&lease->metrics->troubles, YZ_TROUBLE_leases_suspended, suspended);
    return suspended;
}

uint64_t wk_lease_version(const struct wk_lease *lease)
{
    return atomic_load(&lease->version);
}

bool wk_lease_suspended(struct wk_lease *lease)
{
    return judge_beat(lease, false);
}

void wk_lease_look(struct wk_lease *lease, unsigned partition, struct wk_lease_view *view)
{
    struct partition *p = &lease->partitions[partition];

    memset(view, 0, sizeof *view);
    pthread_mutex_lock(&lease->mutex);
    if (p->state != FREE && p->ready && !p->renew) {
        view->revision = p->revision;
        view->leaving = p->state == LEAVING;
        view->suspect_until = p->suspect_until;
        wk_durable_name(partition, p->revision, view->consumer);
    }
    pthread_mutex_unlock(&lease->mutex);
}

void wk_lease_handed(struct wk_lease *lease, unsigned partition)
{
    atomic_store_explicit(&lease->handed_mono_ms[partition], yz_clock_mono_ms(),
                          memory_order_relaxed);
}

int64_t wk_lease_handed_ms(const struct wk_lease *lease, unsigned partition)
{
    return atomic_load_explicit(&lease->handed_mono_ms[partition], memory_order_relaxed);
}

int64_t wk_lease_made_ms(const struct wk_lease *lease, unsigned partition)
{
    return atomic_load_explicit(&lease->made_mono_ms[partition], memory_order_relaxed);
}

bool wk_lease_holds(struct wk_lease *lease, unsigned partition, uint64_t revision)
{
    struct partition *p = &lease->partitions[partition];
    bool holds;

    pthread_mutex_lock(&lease->mutex);
    holds = p->state != FREE && p->revision == revision && !p->renew;
    pthread_mutex_unlock(&lease->mutex);
    return holds;
}

static void ask(struct wk_lease *lease, unsigned partition, uint64_t revision, bool renew)
{
    struct partition *p = &lease->partitions[partition];

    pthread_mutex_lock(&lease->mutex);
    if (p->state != FREE && p->revision == revision) {
        p->renew = p->renew || renew;
        p->drained = p->drained || !renew;
    }
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
    atomic_store(&lease->wake, true);
}

void wk_lease_renew(struct wk_lease *lease, unsigned partition, uint64_t revision)
{
    ask(lease, partition, revision, true);
}

void wk_lease_drained(struct wk_lease *lease, unsigned partition, uint64_t revision)
{
    ask(lease, partition, revision, false);
}

bool wk_lease_ready(struct wk_lease *lease, const char **reason)
{
    *reason = atomic_load(&lease->missing);
    return *reason == NULL;
}

static void partition_key(unsigned partition, char out[YZ_SUBJECT_MAX])
{
    snprintf(out, YZ_SUBJECT_MAX, PARTITIONS_PREFIX "p%u", partition);
}

bool wk_lease_verify(struct wk_lease *lease, unsigned partition, uint64_t revision)
{
    char key[YZ_SUBJECT_MAX];
    struct wk_stream_end end;

    partition_key(partition, key);
    return wk_lease_holds(lease, partition, revision) &&
           wk_stream_end(lease->nc, PARTITIONS_STREAM, key, &end) == YZ_OK &&
           end.sequence == revision;
}

static void peer_seen(struct wk_lease *lease, const char *id)
{
    struct peer *oldest = &lease->peers[0];

    for (size_t i = 0; i < lease->peer_count; i++) {
        struct peer *peer = &lease->peers[i];

        if (strcmp(peer->id, id) == 0) {
            peer->seen_mono_ms = yz_clock_mono_ms();
            return;
        }
        if (peer->seen_mono_ms < oldest->seen_mono_ms)
            oldest = peer;
    }
    if (lease->peer_count < WORKERS_MAX)
        oldest = &lease->peers[lease->peer_count++];
    snprintf(oldest->id, sizeof oldest->id, "%s", id);
    oldest->seen_mono_ms = yz_clock_mono_ms();
}

static void peer_left(struct wk_lease *lease, const char *id)
{
    for (size_t i = 0; i < lease->peer_count; i++) {
        if (strcmp(lease->peers[i].id, id) == 0) {
            lease->peers[i] = lease->peers[--lease->peer_count];
            return;
        }
    }
}

static bool peer_alive(const struct wk_lease *lease, const char *id)
{
    int64_t since = yz_clock_mono_ms() - lease->conf->lease_ttl_ms;

    for (size_t i = 0; i < lease->peer_count; i++) {
        if (strcmp(lease->peers[i].id, id) == 0)
            return lease->peers[i].seen_mono_ms >= since;
    }
    return false;
}

/* Rendezvous hashing: every worker reckons the same owner from the same live set, and a worker
 * that comes or goes moves only the partitions that are its own. */
static uint64_t weight(const char *worker, unsigned partition)
{
    uint64_t hash = 0xcbf29ce484222325ULL ^ ((uint64_t)partition + 1) * 0x9e3779b97f4a7c15ULL;

    for (; *worker; worker++)
        hash = (hash ^ (unsigned char)*worker) * 0x100000001b3ULL;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ (hash >> 33);
}

static const char *desired_owner(const struct wk_lease *lease, unsigned partition)
{
    int64_t since = yz_clock_mono_ms() - lease->conf->lease_ttl_ms;
    const char *best = NULL;
    uint64_t best_weight = 0;

    for (size_t i = 0; i < lease->peer_count; i++) {
        const struct peer *peer = &lease->peers[i];
        uint64_t w = weight(peer->id, partition);

        if (peer->seen_mono_ms >= since && (!best || w > best_weight)) {
            best = peer->id;
            best_weight = w;
        }
    }
    return best;
}

static void on_partition(void *arg, natsMsg *msg)
{
    struct wk_lease *lease = arg;
    const char *subject = NULL;
    unsigned number;
    struct partition *p;
    json_t *value;

    if (natsMsgHeader_Get(msg, "Nats-Subject", &subject) != NATS_OK ||
        sscanf(subject, PARTITIONS_PREFIX "p%u", &number) != 1 || number >= YZ_PARTITIONS)
        return;
    p = &lease->partitions[number];
    p->listed_revision = yz_bus_header_u64(msg, "Nats-Sequence", 0);
    /* A replica that is behind must not make us forget what we wrote ourselves. */
    if (p->listed_revision <= p->stored_revision)
        return;
    value = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    const char *state = json_string_value(json_object_get(value, "state"));
    const char *holder = json_string_value(json_object_get(value, "worker"));
    p->stored_revision = p->listed_revision;
    p->stored_held = state && strcmp(state, "held") == 0;
    p->stored_suspect = (uint64_t)json_integer_value(json_object_get(value, "suspect_until"));
    snprintf(p->holder, sizeof p->holder, "%s", holder ? holder : "");
    json_decref(value);
}

static void on_worker(void *arg, natsMsg *msg)
{
    const char *subject = NULL, *operation = NULL;

    if (natsMsgHeader_Get(msg, "Nats-Subject", &subject) != NATS_OK ||
        natsMsgHeader_Get(msg, "KV-Operation", &operation) == NATS_OK)
        return;
    peer_seen(arg, subject + strlen(WORKERS_PREFIX));
}

static json_t *all_of(const char *prefix)
{
    char filter[64];

    snprintf(filter, sizeof filter, "%s>", prefix);
    return json_pack("{s:[s], s:i}", "multi_last", filter, "batch", 1024);
}

static enum yz_err read_partitions(struct wk_lease *lease)
{
    for (unsigned p = 0; p < YZ_PARTITIONS; p++)
        lease->partitions[p].listed_revision = 0;
    return wk_stream_each(lease->conf, lease->nc, PARTITIONS_STREAM, all_of(PARTITIONS_PREFIX),
                          on_partition, lease, NULL);
}

/* A live message of one of the buckets. true: a partition was given up, look at once. */
static bool on_bucket_message(struct wk_lease *lease, natsMsg *msg)
{
    const char *subject = natsMsg_GetSubject(msg), *operation = NULL;
    size_t prefix = strlen(WORKERS_PREFIX);

    if (strncmp(subject, WORKERS_PREFIX, prefix) == 0) {
        if (natsMsgHeader_Get(msg, "KV-Operation", &operation) == NATS_OK)
            peer_left(lease, subject + prefix);
        else
            peer_seen(lease, subject + prefix);
        return operation != NULL;
    }
    return strncmp(subject, PARTITIONS_PREFIX, strlen(PARTITIONS_PREFIX)) == 0 &&
           natsMsg_GetDataLength(msg) > 0 && strstr(natsMsg_GetData(msg), "\"free\"") != NULL;
}

static int64_t beat_interval_ms(const struct wk_lease *lease)
{
    int64_t third = lease->conf->lease_ttl_ms / 3;

    return third < BEAT_MAX_MS ? third : BEAT_MAX_MS;
}

static void say_missing(struct wk_lease *lease, const char *missing)
{
    const char *before = atomic_exchange(&lease->missing, missing);

    if (missing && missing != before)
        yz_warn("waiting", "reason=\"%s\"", missing);
}

static int64_t count_held(const struct wk_lease *lease)
{
    int64_t held = 0;

    for (unsigned p = 0; p < YZ_PARTITIONS; p++)
        held += lease->partitions[p].state != FREE;
    return held;
}

static enum yz_err beat(struct wk_lease *lease)
{
    char key[YZ_SUBJECT_MAX], value[512];
    int64_t now = yz_clock_mono_ms();
    enum yz_err err;

    if (now < lease->beat_due_mono_ms)
        return YZ_OK;
    atomic_store(&lease->metrics->partitions, count_held(lease));
    snprintf(key, sizeof key, WORKERS_PREFIX "%s", lease->worker);
    snprintf(value, sizeof value,
             "{\"worker\":\"%s\",\"started_ms\":%lld,\"partitions\":%lld,\"version\":\"%s\"}",
             lease->worker, (long long)lease->started_ms, (long long)count_held(lease), YZ_VERSION);
    err = wk_stream_put(lease->nc, key, value, -1, NULL, NULL);
    if (!err) {
        bool late = yz_clock_mono_ms() - lease->beat_mono_ms >= lease->conf->lease_ttl_ms;

        (void)judge_beat(lease, true);
        lease->beat_due_mono_ms = now + beat_interval_ms(lease);
        /* Who could not beat, or slept, could not hear either: the others' beats are waited for
         * again. */
        if (lease->beat_failed || late)
            lease->watching_since_mono_ms = lease->beat_mono_ms;
        lease->beat_failed = false;
        peer_seen(lease, lease->worker);
        return YZ_OK;
    }
    lease->beat_failed = true;
    lease->beat_due_mono_ms = now + POLL_MS;
    (void)judge_beat(lease, false);
    say_missing(lease, natsConnection_Status(lease->nc) == NATS_CONN_STATUS_CONNECTED
                           ? "the bucket WORKERS does not take a beat; yzctl apply makes it"
                           : "not connected to NATS");
    return err;
}

/* The bucket refused our guess of what it holds, or lists less than we know. Mostly somebody was
 * faster, or a replica is behind, and the next look shows it. But a bucket that was made anew or
 * restored has nothing, or something older than what we know and would hold to for ever: the
 * leader's word decides. */
static void doubt(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];
    char key[YZ_SUBJECT_MAX];
    struct wk_stream_end end;

    partition_key(partition, key);
    if (wk_stream_end(lease->nc, PARTITIONS_STREAM, key, &end) != YZ_OK ||
        end.sequence >= p->stored_revision)
        return;
    yz_warn_spaced("lease_forgotten",
                   "partition=%u known=%" PRIu64 " stored=%" PRIu64
                   " reason=\"the bucket PARTITIONS is not the one that was there\"",
                   partition, p->stored_revision, end.sequence);
    p->stored_revision = p->stored_suspect = 0;
    p->stored_held = false;
    p->holder[0] = '\0';
}

static enum yz_err put_lease(struct wk_lease *lease, unsigned partition, bool held,
                             uint64_t suspect_until, uint64_t *revision)
{
    char key[YZ_SUBJECT_MAX], value[512];
    struct partition *p = &lease->partitions[partition];
    enum yz_err err;
    int code = 0;

    partition_key(partition, key);
    snprintf(value, sizeof value,
             "{\"worker\":\"%s\",\"state\":\"%s\",\"since_ms\":%lld,\"suspect_until\":%" PRIu64 "}",
             lease->worker, held ? "held" : "free", (long long)yz_clock_wall_ms(), suspect_until);
    err = wk_stream_put(lease->nc, key, value, (int64_t)p->stored_revision, revision, &code);
    if (err && code == WK_STREAM_WRONG_LAST)
        doubt(lease, partition);
    return err;
}

static void let_go(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];

    pthread_mutex_lock(&lease->mutex);
    p->state = FREE;
    p->ready = p->renew = p->drained = false;
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
}

static void lose(struct wk_lease *lease, unsigned partition)
{
    yz_debug("lease_lost", "partition=%u holder=%s", partition,
             lease->partitions[partition].holder);
    yz_count(&lease->metrics->leases_lost, 1);
    let_go(lease, partition);
}

/* Compare-and-set the lease to us, then make its consumer. Nobody else's `stored_revision` can
 * match any more once this succeeded. */
static void take(struct wk_lease *lease, unsigned partition, uint64_t suspect_until)
{
    struct partition *p = &lease->partitions[partition];
    uint64_t revision = 0;

    if (put_lease(lease, partition, true, suspect_until, &revision) != YZ_OK)
        return;
    pthread_mutex_lock(&lease->mutex);
    if (p->state == FREE)
        p->state = HELD;
    p->revision = p->stored_revision = revision;
    p->suspect_until = p->stored_suspect = suspect_until;
    p->stored_held = true;
    p->ready = p->renew = false;
    snprintf(p->holder, sizeof p->holder, "%s", lease->worker);
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
}

static void finish_consumer(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];
    enum yz_err err = wk_durable_make(lease->conf, lease->nc, partition, p->revision);

    if (err == YZ_EXISTS)
        lose(lease, partition);
    if (err)
        return;
    atomic_store_explicit(&lease->made_mono_ms[partition], yz_clock_mono_ms(),
                          memory_order_relaxed);
    pthread_mutex_lock(&lease->mutex);
    p->ready = true;
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
}

static void take_free(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];
    uint64_t suspect_until = 0;

    if (p->stored_held) {
        if (wk_durable_delivered(lease->nc, partition, &suspect_until) != YZ_OK)
            return;
        if (suspect_until < p->stored_suspect)
            suspect_until = p->stored_suspect;
    }
    take(lease, partition, suspect_until);
    if (p->state == FREE)
        return;
    yz_count(&lease->metrics->leases_taken, 1);
    finish_consumer(lease, partition);
    yz_debug("lease_taken", "partition=%u revision=%" PRIu64 " suspect_until=%" PRIu64, partition,
             p->revision, suspect_until);
}

static void give_up(struct wk_lease *lease, unsigned partition)
{
    uint64_t revision;

    if (put_lease(lease, partition, false, 0, &revision) != YZ_OK)
        return;
    lease->partitions[partition].stored_revision = revision;
    lease->partitions[partition].stored_held = false;
    yz_debug("lease_given_up", "partition=%u revision=%" PRIu64, partition, revision);
    let_go(lease, partition);
}

static void start_leaving(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];

    pthread_mutex_lock(&lease->mutex);
    p->state = LEAVING;
    /* Without a consumer nothing was ever taken from it. */
    p->drained = !p->ready;
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
}

static void keep(struct wk_lease *lease, unsigned partition, bool desired)
{
    struct partition *p = &lease->partitions[partition];
    bool renew, drained;

    if (p->stored_revision != p->revision) {
        lose(lease, partition);
        return;
    }
    if (p->state == HELD && !desired)
        start_leaving(lease, partition);
    pthread_mutex_lock(&lease->mutex);
    renew = p->renew;
    drained = p->drained;
    pthread_mutex_unlock(&lease->mutex);
    if (p->state == LEAVING && (drained || renew)) {
        /* What a lost connection left undelivered is the next owner's. */
        give_up(lease, partition);
        return;
    }
    if (renew) {
        take(lease, partition, p->suspect_until);
        yz_count(&lease->metrics->leases_renewed, 1);
    }
    if (!p->ready)
        finish_consumer(lease, partition);
}

static void look_after(struct wk_lease *lease, unsigned partition)
{
    struct partition *p = &lease->partitions[partition];
    const char *owner = desired_owner(lease, partition);
    bool desired = !atomic_load(&lease->stopping) && owner && strcmp(owner, lease->worker) == 0;
    bool ours;
    bool watched =
        yz_clock_mono_ms() - lease->watching_since_mono_ms >= 2 * lease->conf->lease_ttl_ms;

    if (p->state != FREE) {
        keep(lease, partition, desired);
        return;
    }
    /* A lease in our name that we do not hold: its consumer could not be made. */
    ours = strcmp(p->holder, lease->worker) == 0;
    if (desired && (!p->stored_held || ours || (watched && !peer_alive(lease, p->holder))))
        take_free(lease, partition);
}

/* All that came while the keeper was busy: a beat that waits here must not count as missing. */
static void catch_up(struct wk_lease *lease)
{
    natsMsg *msg = NULL;

    while (natsSubscription_NextMsg(&msg, lease->sub, 0) == NATS_OK) {
        on_bucket_message(lease, msg);
        natsMsg_Destroy(msg);
        msg = NULL;
    }
}

static void look_around(struct wk_lease *lease)
{
    uint64_t lost = atomic_load(&lease->metrics->leases_lost);
    int64_t held = count_held(lease);
    bool lacking = false;

    /* A partition that nobody ever held is not in the bucket. */
    if (read_partitions(lease) != YZ_OK) {
        say_missing(lease, natsConnection_Status(lease->nc) == NATS_CONN_STATUS_CONNECTED
                               ? "the bucket PARTITIONS cannot be read; yzctl apply makes it"
                               : "not connected to NATS");
        return;
    }
    /* Making 64 consumers takes longer than a beat may be late, ours or another's. */
    for (unsigned p = 0; p < YZ_PARTITIONS && beat(lease) == YZ_OK; p++) {
        catch_up(lease);
        if (lease->partitions[p].listed_revision < lease->partitions[p].stored_revision)
            doubt(lease, p);
        look_after(lease, p);
        lacking = lacking || (lease->partitions[p].state == HELD && !lease->partitions[p].ready);
    }
    lost = atomic_load(&lease->metrics->leases_lost) - lost;
    if (lost > 0)
        yz_warn("leases_lost", "count=%llu", (unsigned long long)lost);
    if (count_held(lease) != held)
        yz_info("leases", "held=%lld before=%lld", (long long)count_held(lease), (long long)held);
    say_missing(lease, lacking ? "the consumers of EVENTS cannot be made; yzctl apply makes the "
                                 "stream"
                               : NULL);
}

static bool was_away(const struct wk_lease *lease)
{
    return atomic_load(&lease->metrics->bus_reconnects) != lease->reconnects_seen;
}

/* What was under way when the connection broke is lost and nobody will say so: consumers are made
 * anew. Others may need longer to come back than we did: their beats are waited for. */
static void come_back(struct wk_lease *lease)
{
    lease->reconnects_seen = atomic_load(&lease->metrics->bus_reconnects);
    lease->watching_since_mono_ms = yz_clock_mono_ms();
    pthread_mutex_lock(&lease->mutex);
    for (unsigned p = 0; p < YZ_PARTITIONS; p++)
        lease->partitions[p].renew = lease->partitions[p].state != FREE;
    pthread_mutex_unlock(&lease->mutex);
    changed(lease);
}

/* Listen to the buckets until the next beat is due or something wants a look. */
static void listen(struct wk_lease *lease)
{
    bool look = false;

    while (!look && !was_away(lease) && yz_clock_mono_ms() < lease->beat_due_mono_ms &&
           !atomic_exchange(&lease->wake, false)) {
        natsMsg *msg = NULL;

        if (natsSubscription_NextMsg(&msg, lease->sub, POLL_MS) == NATS_OK)
            look = on_bucket_message(lease, msg);
        natsMsg_Destroy(msg);
    }
}

static void say_goodbye(struct wk_lease *lease)
{
    char key[YZ_SUBJECT_MAX];
    natsMsg *msg = NULL, *reply = NULL;

    snprintf(key, sizeof key, WORKERS_PREFIX "%s", lease->worker);
    if (natsMsg_Create(&msg, key, NULL, NULL, 0) == NATS_OK &&
        yz_bus_header_set(&msg, "KV-Operation", "DEL") == NATS_OK)
        natsConnection_RequestMsg(&reply, lease->nc, msg, WK_STREAM_TIMEOUT_MS);
    natsMsg_Destroy(msg);
    natsMsg_Destroy(reply);
}

static bool still_running(struct wk_lease *lease)
{
    if (!atomic_load(&lease->stopping))
        return true;
    /* Suspended: nobody can be told; the others take over after the TTL. */
    return count_held(lease) > 0 && !wk_lease_suspended(lease) &&
           yz_clock_mono_ms() < lease->stop_until_mono_ms;
}

static void *run(void *arg)
{
    struct wk_lease *lease = arg;

    /* Who beats now is in the bucket: no need to wait for the next beats to share with them. */
    if (wk_stream_each(lease->conf, lease->nc, WORKERS_STREAM, all_of(WORKERS_PREFIX), on_worker,
                       lease, NULL))
        lease->peer_count = 0;
    lease->watching_since_mono_ms = yz_clock_mono_ms();
    while (still_running(lease)) {
        if (was_away(lease))
            come_back(lease);
        catch_up(lease);
        if (beat(lease) == YZ_OK)
            look_around(lease);
        listen(lease);
    }
    if (!wk_lease_suspended(lease))
        say_goodbye(lease);
    atomic_store(&lease->ended, true);
    return NULL;
}

enum yz_err wk_lease_new(const struct yz_conf *conf, natsConnection *nc, const char *worker,
                         struct wk_metrics *metrics, struct wk_lease **lease)
{
    struct wk_lease *l = yz_calloc(1, sizeof *l);

    if (!l)
        return YZ_INTERNAL;
    l->conf = conf;
    l->nc = nc;
    l->metrics = metrics;
    l->started_ms = yz_clock_wall_ms();
    l->beat_mono_ms = yz_clock_mono_ms();
    snprintf(l->worker, sizeof l->worker, "%s", worker);
    atomic_store(&l->missing, "the first beat is not stored yet");
    pthread_mutex_init(&l->mutex, NULL);
    if (natsConnection_SubscribeSync(&l->sub, nc, "$KV.>") != NATS_OK ||
        pthread_create(&l->keeper, NULL, run, l) != 0) {
        natsSubscription_Destroy(l->sub);
        pthread_mutex_destroy(&l->mutex);
        free(l);
        return YZ_INTERNAL;
    }
    *lease = l;
    return YZ_OK;
}

void wk_lease_stop(struct wk_lease *lease, int64_t deadline_ms)
{
    lease->stop_until_mono_ms = yz_clock_mono_ms() + deadline_ms;
    atomic_store(&lease->stopping, true);
    atomic_store(&lease->wake, true);
    pthread_join(lease->keeper, NULL);
}

void wk_lease_free(struct wk_lease *lease)
{
    if (!lease)
        return;
    natsSubscription_Destroy(lease->sub);
    pthread_mutex_destroy(&lease->mutex);
    free(lease);
}
