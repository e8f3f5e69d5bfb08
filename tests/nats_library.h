/* nats_library.h: group set-up and tear-down of unit tests that make NATS messages without a
 * connection: natsMsg_Create and natsMsg_Destroy stand on the library's globals.
 *
 * Lifetime  from the group's set-up to its tear-down.
 * Thread    the test's.
 */
#ifndef NATS_LIBRARY_H
#define NATS_LIBRARY_H

#include <nats/nats.h>

static inline int open_library(void **state)
{
    (void)state;
    return nats_Open(-1) == NATS_OK ? 0 : -1;
}

static inline int close_library(void **state)
{
    (void)state;
    nats_Close();
    return 0;
}

#endif
