/* value.h: values on their way out: at most one of each subject in value_interval_ms, the last one
 * always, and the acks of the events that wait for it.
 *
 * A value is stored only behind the very one that this owner knows (its stream sequence is
 * expected), and only if its version is higher; so a late owner cannot turn a counter back.
 *
 * Lifetime  one for each consumer thread.
 * Thread    its consumer thread; wk_values_flush blocks.
 * Limits    one message for each subject; SUBJECTS_KEPT quiet subjects are remembered.
 */
#ifndef WK_VALUE_H
#define WK_VALUE_H

#include "workers/fold.h"
#include "workers/publisher.h"

struct wk_values;

/* An event that is settled once all its values are stored; freed by the callback. */
struct wk_ack {
    unsigned waiting; /* values it waits for */
    unsigned partition;
    uint64_t revision;
    char reply[]; /* subject of its ack */
};
typedef void wk_settled_fn(void *arg, struct wk_ack *ack);
/* The lease is still held: else values and acks of it are dropped. */
typedef bool wk_held_fn(void *arg, unsigned partition, uint64_t revision);

struct wk_values *wk_values_new(const struct yz_conf *conf, struct wk_publisher *pub,
                                struct wk_metrics *metrics, wk_settled_fn *on_settled,
                                wk_held_fn *is_held, void *arg);
/* Acks still waiting are freed: their events come again. */
void wk_values_free(struct wk_values *values);

/* Take the value in, in place of an older one of its subject; ack->waiting is raised. push is
 * borrowed until wk_values_made. */
void wk_values_add(struct wk_values *values, const struct wk_fold_push *push, struct wk_ack *ack);
/* All of a batch were added: make the message of each subject's last one. */
void wk_values_made(struct wk_values *values);
/* Milliseconds until the next value is due; `otherwise` when none is sooner. */
int64_t wk_values_due(const struct wk_values *values, int64_t otherwise);
/* Store what is due; of `partition` (-1: none) whatever waits. */
void wk_values_flush(struct wk_values *values, int partition);

#endif
