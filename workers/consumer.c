#include "workers/consumer.h"

#include "common/log.h"
#include "common/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 100

struct wk_consumer {
    struct wk_batch_means means;
    unsigned index, count;
    struct wk_pull *pull;
    struct wk_batch *batch;
    struct wk_delivery *deliveries;
    uint64_t attached[YZ_PARTITIONS]; /* revision that is being read, 0: none */
    uint64_t lease_version;
    pthread_t thread;
    atomic_bool ended;
};

static void on_broken(void *arg, unsigned partition, uint64_t revision)
{
    struct wk_consumer *consumer = arg;

    wk_lease_renew(consumer->means.lease, partition, revision);
}

static void on_settled(void *arg, struct wk_ack *ack)
{
    struct wk_consumer *consumer = arg;

    wk_batch_ack(&consumer->means, ack->reply);
    free(ack);
}

static bool is_held(void *arg, unsigned partition, uint64_t revision)
{
    struct wk_consumer *consumer = arg;

    /* At the end of the process a bus that is away must not hold it. */
    return !atomic_load(consumer->means.stopping) &&
           wk_lease_holds(consumer->means.lease, partition, revision);
}

/* What was taken is settled but for its values: send them, whatever their interval says. */
static void leave(struct wk_consumer *consumer, unsigned partition, uint64_t revision)
{
    wk_pull_detach(consumer->pull, partition);
    consumer->attached[partition] = 0;
    wk_values_flush(consumer->means.values, (int)partition);
    wk_lease_drained(consumer->means.lease, partition, revision);
}

static void look_at(struct wk_consumer *consumer, unsigned partition)
{
    uint64_t attached = consumer->attached[partition];
    struct wk_lease_view view;

    wk_lease_look(consumer->means.lease, partition, &view);
    if (attached && attached != view.revision) {
        wk_pull_detach(consumer->pull, partition);
        consumer->attached[partition] = 0;
    }
    if (view.revision && view.leaving) {
        leave(consumer, partition, view.revision);
    } else if (view.revision && view.revision != attached) {
        wk_pull_attach(consumer->pull, partition, view.revision, view.consumer);
        consumer->attached[partition] = view.revision;
    }
}

static void look_at_leases(struct wk_consumer *consumer)
{
    uint64_t version = wk_lease_version(consumer->means.lease);

    if (version == consumer->lease_version)
        return;
    consumer->lease_version = version;
    for (unsigned p = consumer->index; p < YZ_PARTITIONS; p += consumer->count)
        look_at(consumer, p);
}

static void note_handed(struct wk_consumer *consumer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned partition = consumer->deliveries[i].partition;

        if (i == 0 || partition != consumer->deliveries[i - 1].partition)
            wk_lease_handed(consumer->means.lease, partition);
    }
}

static void *run(void *arg)
{
    struct wk_consumer *consumer = arg;
    size_t max = (size_t)consumer->means.conf->batch_max;

    while (!atomic_load(&consumer->ended)) {
        size_t count;

        look_at_leases(consumer);
        if (wk_lease_suspended(consumer->means.lease) ||
            (consumer->means.watch && !wk_watch_trusts(consumer->means.watch))) {
            nats_Sleep(wk_values_due(consumer->means.values, LOOK_MS));
            wk_values_flush(consumer->means.values, -1);
            continue;
        }
        count = wk_pull_take(consumer->pull, wk_values_due(consumer->means.values, LOOK_MS), max,
                             WK_BATCH_BYTES, consumer->deliveries);
        note_handed(consumer, count);
        if (count > 0)
            wk_batch_run(consumer->batch, consumer->deliveries, count);
        wk_values_flush(consumer->means.values, -1);
    }
    return NULL;
}

static void free_consumer(struct wk_consumer *consumer)
{
    wk_pull_free(consumer->pull);
    wk_batch_free(consumer->batch);
    wk_values_free(consumer->means.values);
    wk_publisher_free(consumer->means.pub);
    free(consumer->deliveries);
    free(consumer);
}

static enum yz_err init(struct wk_consumer *consumer)
{
    struct wk_batch_means *means = &consumer->means;
    char name[64];
    enum yz_err err;

    snprintf(name, sizeof name, "yz-worker pushes %u", consumer->index);
    if ((err = wk_publisher_new(means->conf, name, means->metrics, &means->pub)) ||
        (err = wk_pull_new(means->conf, means->nc, on_broken, consumer, &consumer->pull)))
        return err;
    means->values =
        wk_values_new(means->conf, means->pub, means->metrics, on_settled, is_held, consumer);
    consumer->batch = wk_batch_new(means);
    consumer->deliveries = yz_calloc((size_t)means->conf->batch_max, sizeof *consumer->deliveries);
    if (!consumer->deliveries || pthread_create(&consumer->thread, NULL, run, consumer) != 0)
        return YZ_INTERNAL;
    return YZ_OK;
}

enum yz_err wk_consumer_start(const struct wk_batch_means *means, unsigned index, unsigned count,
                              struct wk_consumer **consumer)
{
    struct wk_consumer *c = yz_calloc(1, sizeof *c);
    enum yz_err err;

    if (!c)
        return YZ_INTERNAL;
    c->means = *means;
    c->index = index;
    c->count = count;
    err = init(c);
    if (err)
        free_consumer(c);
    else
        *consumer = c;
    return err;
}

void wk_consumer_stop(struct wk_consumer *consumer)
{
    if (!consumer)
        return;
    atomic_store(&consumer->ended, true);
    wk_pull_wake(consumer->pull);
    pthread_join(consumer->thread, NULL);
    free_consumer(consumer);
}
