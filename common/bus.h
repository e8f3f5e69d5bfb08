/* bus.h: the connection to NATS, made the same way by every program.
 *
 * Lifetime  yz_bus_options gives options that the caller destroys after connecting.
 * Thread    any; nats.c runs callbacks on its own threads.
 *
 * The connection reconnects for ever. Nothing is buffered while it is away: a publish fails at once
 * and is answered or retried by us, in order, since what the library sends after a reconnect would
 * overtake what was lost before it.
 */
#ifndef YZ_BUS_H
#define YZ_BUS_H

#include "common/conf.h"
#include "common/err.h"

#include <nats/nats.h>

#define YZ_PASSWORD_MAX 256
#define YZ_INBOX_MAX    104 /* with the NUL: "_INBOX_", a user's name, ".", 22 characters */

/* What a program that is not ready says once it was denied something. */
#define YZ_BUS_DENIED_TEXT                                                                         \
    "NATS denies this program a permission: is YZ_NATS_USER its own, and is nats-users.conf of "   \
    "this "                                                                                        \
    "release? The log names the subject (nats_denied); restart it then"

/* Servers, credentials, inbox prefix, name, reconnect policy and global message delivery (one
 * delivery thread for all subscriptions). The caller may set callbacks before connecting. *options
 * is the caller's to destroy. */
YZ_MUST_USE enum yz_err yz_bus_options(const struct yz_conf *conf, const char *name,
                                       natsOptions **options);
/* The NATS user's password: the first line of its file, "" without a user. Logs what is wrong with
 * it, never the password. */
YZ_MUST_USE enum yz_err yz_bus_password(const struct yz_conf *conf, char out[YZ_PASSWORD_MAX]);
/* The error handler of those options; one of the caller's own begins with it. What the servers deny
 * (permissions) is an error in the log and true here. */
bool yz_bus_on_error(natsConnection *nc, natsStatus status);
/* Connect, trying again until deadline_ms has passed (0: one try). Logs the reason of each failure.
 */
YZ_MUST_USE enum yz_err yz_bus_connect(natsOptions *options, int64_t deadline_ms,
                                       natsConnection **nc);
/* "<prefix>.<unique>": a reply subject of this process. The prefix holds the user's name, so that
 * the servers can let each program read its own replies and nobody else's. */
YZ_MUST_USE enum yz_err yz_bus_inbox(const struct yz_conf *conf, char out[YZ_INBOX_MAX]);
/* Set a header of *msg. NATS_NO_MEMORY: *msg is NULL then and its memory is given up, since nats.c
 * 3.4 would free the value a second time with the message when its table of headers cannot grow. */
YZ_MUST_USE natsStatus yz_bus_header_set(natsMsg **msg, const char *key, const char *value);
/* Parse the headers of a message that came in; later reads need no memory. false: there was none,
 * *msg is NULL, and the message counts as lost: nats.c 3.4 forgets the headers it did not get to,
 * so that they would seem to be absent, and may not survive its destruction (see
 * yz_bus_header_set). */
YZ_MUST_USE bool yz_bus_headers_ready(natsMsg **msg);
/* Unsubscribe and destroy while the connection lives. nats.c 3.4's reading thread finds a message's
 * subscription and only then takes its lock, so one may be freed only when the broker has answered
 * what was sent behind the unsubscribe. Blocks for that answer; without one in time it is freed
 * behind the next one of that connection. */
void yz_bus_unsubscribe(natsConnection *nc, natsSubscription *sub);
/* Have what was published go out now: nats.c's own thread first waits a millisecond for more. For a
 * thread that is about to wait itself; one that has more to send leaves it to that thread, and so
 * sends much at once. Blocks until the broker has answered, a millisecond at most. */
void yz_bus_hurry(natsConnection *nc);
/* Value of an unsigned header; fallback when it is absent or no number. */
uint64_t yz_bus_header_u64(natsMsg *msg, const char *key, uint64_t fallback);
/* When JetStream stored a message that it republished or that was read directly, by its own clock,
 * in microseconds since the Unix epoch; 0: it does not say. */
int64_t yz_bus_stored_us(natsMsg *msg);
/* The same of the header's text; 0 when it is no time. */
int64_t yz_bus_time_us(const char *text);

#endif
