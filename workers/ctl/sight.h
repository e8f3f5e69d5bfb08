/* sight.h: a message of the bus as a person or a program reads it: an event, a push, a value, a
 * dead letter.
 *
 * Lifetime  ctl_sight_read .. ctl_sight_deinit; independent of the message.
 * Thread    any; ctl_sight_print from one thread at a time.
 */
#ifndef CTL_SIGHT_H
#define CTL_SIGHT_H

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/command.h"

#include <jansson.h>
#include <nats/nats.h>

struct ctl_sight {
    const char *kind; /* event, push, value, deadletter, unknown */
    char subject[YZ_SUBJECT_MAX];
    char time[YZ_RFC3339_MAX]; /* when it was stored, or for an event when it was seen */
    uint64_t sequence;         /* in its stream; 0: not known */
    json_t *body;
};

void ctl_sight_read(natsMsg *msg, struct ctl_sight *sight);
void ctl_sight_deinit(struct ctl_sight *sight);
void ctl_sight_print(const struct ctl *ctl, const struct ctl_sight *sight);

#endif
