/* stream.h: what the gateway knows of the streams CHANNELS, THREADS and STATE: epoch, bounds,
 * limits.
 *
 * Lifetime  made and freed by the link. A gw_barrier is the caller's; it is linked in until it was
 *           called or cancelled.
 * Thread    loop.
 * Limits    one STREAM.INFO in flight for each stream, and 10 ms between two; whoever asks
 * meanwhile shares the next one.
 */
#ifndef GW_STREAM_H
#define GW_STREAM_H

#include "gateway/link.h"

#include <sys/queue.h>

#define GW_EPOCH_MAX 64

enum gw_stream_id { GW_CHANNELS, GW_THREADS, GW_STATE, GW_STREAMS };

struct gw_stream {
    const char *name;
    bool known;                   /* the last STREAM.INFO was answered, with an epoch */
    char epoch[GW_EPOCH_MAX];     /* "" before the first answer */
    uint64_t first_seq, last_seq; /* when it was answered */
    int64_t subject_max;          /* messages kept of one subject; <= 0: no limit */
    int replicas;
    unsigned resets; /* so often it turned out to be another one than before, as on_reset says */
};

struct gw_streams;

YZ_MUST_USE enum yz_err gw_streams_new(struct gw_link *link, uv_loop_t *loop,
                                       struct gw_streams **streams);
void gw_streams_free(struct gw_streams *streams);

/* What the last answered question of any stream told of the way to JetStream; zeros before. */
struct gw_pulse {
    int64_t round_trip_us;
    int64_t clock_ahead_us; /* our clock less the broker's, give or take half the round trip */
};
const struct gw_pulse *gw_streams_pulse(const struct gw_streams *streams);

bool gw_streams_ready(const struct gw_streams *streams, const char **reason);
const struct gw_stream *gw_streams_get(const struct gw_streams *streams, enum gw_stream_id id);

/* Wait for a STREAM.INFO that is asked after this call. The callback never comes inside it. */
TAILQ_HEAD(gw_barrier_list, gw_barrier);
struct gw_barrier {
    TAILQ_ENTRY(gw_barrier) entry;
    struct gw_barrier_list *list; /* NULL: it does not wait */
    void (*on_info)(void *arg, const struct gw_stream *stream, enum yz_err err);
    void *arg;
};
void gw_streams_barrier(struct gw_streams *streams, enum gw_stream_id id,
                        struct gw_barrier *barrier);
void gw_barrier_cancel(struct gw_barrier *barrier);

/* Called when a stream turns out to be another one than before: its epoch changed, or its last
 * sequence went back. */
typedef void gw_reset_fn(void *arg, enum gw_stream_id id);
void gw_streams_on_reset(struct gw_streams *streams, gw_reset_fn *on_reset, void *arg);

#endif
