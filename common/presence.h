/* presence.h: how a process answers `yzctl doctor`: a request to YZ_SUBJECT_PING, which everyone
 * hears, is answered with one JSON object.
 *
 *   {"kind":"gateway","id":"host-4711","version":"…","host":"host","pid":4711,"started_ms":…,"now_ms":…,
 *    "ready":true,"reason":"","load":{"sessions":12},"open_fds":40,"max_fds":19536,"troubles":[…]}
 *
 * Lifetime  none.
 * Thread    any.
 */
#ifndef YZ_PRESENCE_H
#define YZ_PRESENCE_H

#include "common/process.h"
#include "common/trouble.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YZ_PRESENCE_MAX 6144

/* Texts are borrowed and hold neither quotes nor controls: constants and ids. */
struct yz_presence {
    const char *kind, *id;
    bool ready;
    const char *reason;    /* what is missing unless ready; may be NULL */
    const char *load_name; /* "sessions", "partitions" */
    int64_t load;
    const struct yz_process *process;
    const struct yz_troubles *troubles;
};

/* Returns the length; 0: it does not fit, which the tables do not allow. */
size_t yz_presence_write(const struct yz_presence *presence, char out[YZ_PRESENCE_MAX]);

#endif
