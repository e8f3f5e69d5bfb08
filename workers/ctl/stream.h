/* stream.h: the streams and buckets as they shall be, and how a real one differs. Pure.
 *
 * Lifetime  constant table; JSON values returned are the caller's.
 * Thread    any.
 *
 * Only the fields named here are ours: what else a server or an operator has set (placement,
 * description) stays.
 */
#ifndef CTL_STREAM_H
#define CTL_STREAM_H

#include "common/conf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CTL_EPOCH_KEY  "yizhan-epoch"
#define CTL_EPOCH_MAX  48
#define CTL_FIRST_BITS 40 /* a stream that counts on begins with generation << 40 */

struct ctl_stream {
    const char *name;    /* of the stream: "KV_WORKERS" for the bucket WORKERS */
    const char *subject; /* all it stores */
    const char *live;    /* republished to, or NULL */
    bool is_bucket;
    bool has_epoch; /* clients hold positions in it, or documents its sequences */
    bool counts_on; /* made anew it must not repeat a sequence: documents and consumers know them */
};

/* Ends with name NULL. */
extern const struct ctl_stream ctl_streams[];
const struct ctl_stream *ctl_stream_find(const char *name);

/* The fields that are ours, as JetStream's configuration. NULL: out of memory. */
json_t *ctl_stream_config(const struct ctl_stream *stream, const struct yz_conf *conf);

/* Differences of `actual` (a configuration as the server tells it) from `declared`: an array of
 * {"field","from","to"}, empty when there is none. */
json_t *ctl_stream_diff(const json_t *declared, const json_t *actual);
/* NULL when JetStream can make these changes to the stream of `info` (a STREAM.INFO reply) without
 * losing anything, else what is in the way and what to do. */
const char *ctl_stream_obstacle(const json_t *changes, const json_t *declared, const json_t *info);
#define CTL_NO_CLUSTER_TEXT "this nats-server is not a cluster: YZ_REPLICAS must be 1"
/* Generation in which EVENTS counts now, from its STREAM.INFO. */
int64_t ctl_stream_generation(const json_t *info);
/* actual with declared's fields over it: what an update sends. */
json_t *ctl_stream_merge(const json_t *declared, const json_t *actual);

/* "<generation>.<milliseconds in base 36>" */
void ctl_epoch_format(int64_t generation, int64_t now_ms, char out[CTL_EPOCH_MAX]);
/* Generation of an epoch; 0 when it is none. */
int64_t ctl_epoch_generation(const char *epoch);
/* A field's value for a person: durations and sizes with their unit. */
void ctl_field_text(const char *field, const json_t *value, char *out, size_t cap);

#endif
