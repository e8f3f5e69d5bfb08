/* subject.h: names on the bus: subjects, streams, channels, partitions and message ids.
 *
 * Thread    any.
 * Lifetime  none: all results go into the caller's buffers.
 *
 * A channel is named for clients without its tenant: "org.<org path>", "member.<id>",
 * "meeting.<org path>.<id>", "thread.<org path>.<id>". An org is named by its whole path
 * ("group/company/branch"), so that a token alone decides about it. Ids are [A-Za-z0-9_-]{1,64}; a
 * path is 1 to 12 of them joined by '/', at most 256 bytes.
 */
#ifndef YZ_SUBJECT_H
#define YZ_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YZ_ID_MAX        65  /* with the NUL */
#define YZ_ORG_PATH_MAX  257 /* with the NUL */
#define YZ_ORG_DEPTH_MAX 12
#define YZ_CHANNEL_MAX   400
#define YZ_SUBJECT_MAX   640
#define YZ_AGGREGATE_MAX 512
#define YZ_MSG_ID_MAX    48
#define YZ_PARTITIONS    64

#define YZ_STREAM_EVENTS      "EVENTS"
#define YZ_STREAM_CHANNELS    "CHANNELS"
#define YZ_STREAM_THREADS     "THREADS"
#define YZ_STREAM_STATE       "STATE"
#define YZ_STREAM_DEADLETTERS "DEADLETTERS"
#define YZ_BUCKET_WORKERS     "WORKERS"
#define YZ_BUCKET_PARTITIONS  "PARTITIONS"
#define YZ_QUERY_GROUP        "workers"
/* Core NATS, heard by every process: see presence.h. */
#define YZ_SUBJECT_PING "adm.ping"

/* In place of a channel, for values that are the gateways' own: "state.<tenant>.auth.<name>". No
 * client's channel has this form. */
#define YZ_VALUES_OF_AUTH "auth"

bool yz_id_valid(const char *id);
bool yz_org_path_valid(const char *path);
/* outer is path itself or an org above it: "g1/c1" covers "g1/c1/b1" but not "g1/c10". */
bool yz_org_covers(const char *outer, const char *path);

enum yz_channel_kind { YZ_CHANNEL_ORG, YZ_CHANNEL_MEMBER, YZ_CHANNEL_MEETING, YZ_CHANNEL_THREAD };

struct yz_channel {
    enum yz_channel_kind kind;
    char org_path[YZ_ORG_PATH_MAX]; /* empty for a member's channel */
    char id[YZ_ID_MAX];             /* empty for an org's channel */
};

/* Take a client's channel name apart; false when it has none of the four forms. */
bool yz_channel_parse(const char *name, struct yz_channel *channel);
/* "thread.g1/c1/b1.t42" */
void yz_channel_name(const struct yz_channel *channel, char out[YZ_CHANNEL_MAX]);
/* The stream that keeps the channel's pushes: CHANNELS or THREADS. */
const char *yz_channel_stream(enum yz_channel_kind kind);
/* Subject in that stream: "chan.<tenant>.org.<path>", "thr.<tenant>.<path>.<id>". */
void yz_channel_subject(const char *tenant, const char *channel, char out[YZ_SUBJECT_MAX]);
/* Subject of the channel's value `name` ("attendance", may hold dots):
 * "state.<tenant>.<channel>.<name>". name ">" gives the wildcard for all of them. */
void yz_value_subject(const char *tenant, const char *channel, const char *name,
                      char out[YZ_SUBJECT_MAX]);
/* The republished form of a stream's subject: "live." before it. */
void yz_live_subject(const char *subject, char out[YZ_SUBJECT_MAX]);
/* Where gateways tell each other the signals of the channel with this subject: "sig." before it.
 * Core NATS; no stream keeps it. */
void yz_signal_subject(const char *subject, char out[YZ_SUBJECT_MAX]);
bool yz_subject_is_signal(const char *subject);

/* Partition of an aggregate, 0..63: FNV-1a 64 over "<tenant>\n<aggregate>", its halves folded by
 * XOR, mod 64. */
unsigned yz_partition(const char *tenant, const char *aggregate);
/* "evt.<p>.<tenant>.<domain>.<org path>" */
void yz_event_subject(unsigned partition, const char *tenant, const char *domain,
                      const char *org_path, char out[YZ_SUBJECT_MAX]);
/* An event that a worker or an operator publishes by itself (a row of the outbox, a dead letter's
 * replay) has a subject of its own: "evt.<p>.$own.<tenant>.<domain>.<org path>". The bus lets no
 * gateway publish there, and only there the headers of such events are believed. */
bool yz_event_subject_is_own(const char *subject);
/* An event's subject in that form, which it may have already. */
void yz_event_subject_own(const char *subject, char out[YZ_SUBJECT_MAX]);
/* "<tenant>.<domain>.<org path>" of an event's subject of either form; "" when there is none. */
const char *yz_event_subject_rest(const char *subject);
void yz_query_subject(const char *tenant, const char *type, char out[YZ_SUBJECT_MAX]);
void yz_deadletter_subject(const char *tenant, const char *domain, char out[YZ_SUBJECT_MAX]);

/* 32 hex digits of SHA-256 over the parts, each with its length before it, so that no two lists of
 * parts give the same bytes. A thread's first call allocates (a program that does not wait for
 * memory makes it at its start); later ones do not. */
struct yz_part {
    const void *data;
    size_t len;
};
void yz_hash(const struct yz_part *parts, size_t count, char out[33]);
/* 2 * len lower-case digits; no '\0' behind them. */
void yz_hex(const unsigned char *bytes, size_t len, char *out);
/* Nats-Msg-Id of an event: hash of tenant, actor, event id, type and payload. */
void yz_event_msg_id(const char *tenant, const char *actor, const char *event_id, const char *type,
                     const void *payload, size_t len, char out[YZ_MSG_ID_MAX]);

#endif
