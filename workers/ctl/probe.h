/* probe.h: one small look at a port: the first line a server says, or one HTTP GET.
 *
 * For doctor only: no TLS, no redirects, no chunked bodies; a health page needs none of them.
 *
 * Lifetime  none.
 * Thread    main; each call blocks, at most a few times CTL_PROBE_TIMEOUT_MS.
 * Limits    what does not fit the caller's buffer is cut.
 */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#define CTL_PROBE_TIMEOUT_MS 2000
#define CTL_HOST_MAX         256
#define CTL_PROBE_DUMB       "it says nothing" /* reason: connected, and nothing came */

struct ctl_address {
    char host[CTL_HOST_MAX];
    char port[8];
    char path[CTL_HOST_MAX]; /* with its first '/' */
};

/* "scheme://user@host:port/path"; all but the host may be missing. false: malformed. */
bool ctl_address_parse(const char *url, const char *default_port, struct ctl_address *address);

/* The first line from a server that speaks first; reason (constant) when false. */
bool ctl_probe_line(const struct ctl_address *address, char *line, size_t cap, const char **reason);
/* Does somebody take a connection? */
bool ctl_probe_port(const struct ctl_address *address, const char **reason);
/* Status and body of a GET. */
bool ctl_probe_get(const struct ctl_address *address, int *status, char *body, size_t cap,
                   const char **reason);

#endif
