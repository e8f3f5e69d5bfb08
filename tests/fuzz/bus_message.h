/* bus_message.h: a message of the bus from a target's input: lines "Header: value" and, behind an
 * empty line, the body.
 *
 * Lifetime  the message is the caller's to destroy.
 * Thread    one.
 * Limits    BUS_MESSAGE_MAX bytes of text; what is more is left out.
 */
#ifndef BUS_MESSAGE_H
#define BUS_MESSAGE_H

#include <nats/nats.h>
#include <stddef.h>

#define BUS_MESSAGE_MAX 8192

/* What natsMsg_Destroy needs; harmless when called again. */
void bus_message_open(void);
natsMsg *bus_message_parse(const char *subject, const void *data, size_t len);

#endif
