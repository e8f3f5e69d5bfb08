/* jetstream.h: the connection of one command, and JetStream's JSON API, which knows fields that
 * nats.c 3.4.1 does not (metadata, first sequence, API level).
 *
 * Lifetime  ctl_nats_open gives a connection that ctl_nats_close ends; a ctl_reply's body is the
 *           caller's until ctl_reply_deinit.
 * Thread    main.
 * Limits    a request waits CTL_API_TIMEOUT_MS.
 */
#ifndef CTL_JETSTREAM_H
#define CTL_JETSTREAM_H

#include "workers/ctl/command.h"

#include <jansson.h>
#include <nats/nats.h>
#include <stdbool.h>

#define CTL_API_TIMEOUT_MS 5000

/* Errors of JetStream that we branch on (its err_code). */
#define CTL_API_NO_STREAM    10059
#define CTL_API_NO_CONSUMER  10014
#define CTL_API_NO_MESSAGE   10037
#define CTL_API_NO_JETSTREAM 10039
#define CTL_API_NO_CLUSTER   10074
#define CTL_API_NAME_IN_USE  10058

/* NULL: could not connect; it was printed, with what to do. stays: reconnect for ever (tail). */
natsConnection *ctl_nats_open(const struct ctl *ctl, bool stays);
/* The same without printing; *reason is constant. */
natsConnection *ctl_nats_try(const struct yz_conf *conf, bool stays, const char **reason);
void ctl_nats_close(natsConnection *nc);

struct ctl_reply {
    json_t *body;   /* NULL: no answer */
    int err_code;   /* JetStream's, 0: none; -1: no answer */
    char text[256]; /* reason when err_code is not 0 */
    bool denied;    /* no answer, since the server forbids our user the question */
};
/* Ask $JS.API.<verb>; request (may be NULL) is borrowed. true: a reply without an error. */
bool ctl_api_call(natsConnection *nc, const char *verb, const json_t *request,
                  struct ctl_reply *reply);
void ctl_reply_deinit(struct ctl_reply *reply);

/* API level of the server: 0 for one before 2.11; -1: no JetStream, *reason says why (kept in
 * reply's text). */
int ctl_api_level(natsConnection *nc, struct ctl_reply *reply);
/* STREAM.INFO */
bool ctl_stream_info(natsConnection *nc, const char *stream, struct ctl_reply *reply);

#endif
