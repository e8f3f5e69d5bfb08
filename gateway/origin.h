/* origin.h: which web pages may talk to the gateway: the allow-list for the Origin that a browser
 * sends.
 *
 * Lifetime  one per process, constant.
 * Thread    loop.
 * Limits    ORIGINS_MAX origins.
 *
 * Who sends no Origin is no page of a browser (an app, a mini-program, a script) and passes: a
 * token is what counts, and there is no cookie that a foreign page could use. allowed_origins
 * empty: only pages of the same host; "*": all; else exactly those that it names, to which answers
 * then carry the CORS headers.
 */
#ifndef GW_ORIGIN_H
#define GW_ORIGIN_H

#include "common/err.h"

#include <stdbool.h>

#define ORIGINS_MAX 64

struct gw_origins;

/* YZ_INVALID_VALUE: the setting holds what is no origin, or too many (logged). */
YZ_MUST_USE enum yz_err gw_origins_new(const char *allowed, struct gw_origins **origins);
void gw_origins_free(struct gw_origins *origins);

/* The texts of the request's headers, "" when absent. *cors: the value that allows the page to read
 * the answer (constant), "" when none is needed; may be NULL. */
bool gw_origins_admit(const struct gw_origins *origins, const char *origin, const char *host,
                      const char **cors);

#endif
