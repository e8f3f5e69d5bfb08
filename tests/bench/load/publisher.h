/* publisher.h: who puts the measured messages in: JetStream as a worker does, core NATS, or the
 * bare loop's control line.
 *
 * A message is a template (made by the scenario, with one marker in it) whose marker is overwritten
 * for each.
 *
 * Lifetime  publisher_open to publisher_close.
 * Thread    the loop's; nats.c writes and reads PubAcks on threads of its own.
 * Limits    publisher_send waits when as many PubAcks are missing as nats.c allows (PENDING_MAX).
 */
#ifndef BENCH_PUBLISHER_H
#define BENCH_PUBLISHER_H

#include "marker.h"

#include <stddef.h>
#include <stdint.h>

struct publisher;

enum publisher_kind { PUBLISHER_JETSTREAM, PUBLISHER_NATS, PUBLISHER_BARE };

struct publisher_options {
    enum publisher_kind kind;
    const char *url;           /* nats://127.0.0.1:4222 */
    const char *user;          /* NULL: none */
    const char *password_file; /* its first line */
    uint16_t port;             /* of the bare loop */
};

/* Ends the program with the reason when it cannot connect. */
struct publisher *publisher_open(const struct publisher_options *options);
void publisher_close(struct publisher *publisher);

/* The template: borrowed until the next call. Ends the program when there is no marker in it. */
void publisher_template(struct publisher *publisher, const uint8_t *data, size_t len);
/* Publish it with this marker. The bare loop gets what was sent since the last publisher_flush at
 * once. */
void publisher_send(struct publisher *publisher, const char *subject, const struct marker *marker);
void publisher_flush(struct publisher *publisher);
/* Wait for what PubAcks are missing; how many publishes failed since it was opened. */
uint64_t publisher_failed(struct publisher *publisher);

#endif
