/* pull.h: events of the partitions of one consumer thread, in the order of their streams.
 *
 * Pull requests ($JS.API.CONSUMER.MSG.NEXT) of all its partitions answer into one inbox; one
 * request is open for each partition and is asked again when it is used up. The broker numbers
 * what a consumer delivers: a number that is left out is a message lost on the way (the
 * connection broke), and then nothing more of that consumer is taken, since what follows would
 * overtake what was lost. The partition is reported and comes back with a new consumer.
 *
 * Lifetime  one for each consumer thread.
 * Thread    its consumer thread; wk_pull_wake: any. nats.c's delivery thread only appends.
 * Limits    at most batch_max events and PULL_BYTES_MAX bytes requested for each partition.
 */
#ifndef WK_PULL_H
#define WK_PULL_H

#include "common/conf.h"
#include "common/err.h"
#include "common/subject.h"
#include "workers/durable.h"

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wk_pull;

/* What the broker's reply subject says of a delivered message. */
struct wk_delivery {
    natsMsg *msg; /* the receiver's to destroy */
    unsigned partition;
    uint64_t revision;    /* of the lease it was taken under */
    uint64_t sequence;    /* in EVENTS */
    uint64_t number;      /* in this consumer, counts deliveries */
    uint64_t delivered;   /* how often this consumer delivered it, from 1 */
    int64_t stored_at_ms; /* when the broker stored it */
    char consumer[WK_DURABLE_MAX];
};
/* Take "$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<number>.<ns>.<pending>" apart, or its
 * form with domain and account before the stream. partition and revision are the consumer's. */
bool wk_pull_parse(const char *reply, struct wk_delivery *delivery);

/* The partition's consumer is gone, or lost a message. */
typedef void wk_pull_broken_fn(void *arg, unsigned partition, uint64_t revision);
YZ_MUST_USE enum yz_err wk_pull_new(const struct yz_conf *conf, natsConnection *nc,
                                    wk_pull_broken_fn *on_broken, void *arg, struct wk_pull **pull);
void wk_pull_free(struct wk_pull *pull);

/* Read the partition from this consumer, from its first delivery. */
void wk_pull_attach(struct wk_pull *pull, unsigned partition, uint64_t revision,
                    const char *consumer);
/* Take nothing more of it; what is queued is dropped unsettled. */
void wk_pull_detach(struct wk_pull *pull, unsigned partition);

/* Wait for the first event, at most timeout_ms, then take what is there up to `max` events and
 * max_bytes of payload: partition by partition in turn, a piece of each. Returns how many. */
size_t wk_pull_take(struct wk_pull *pull, int64_t timeout_ms, size_t max, size_t max_bytes,
                    struct wk_delivery *out);
void wk_pull_wake(struct wk_pull *pull);

#endif
