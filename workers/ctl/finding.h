/* finding.h: what doctor finds: good, doubtful or broken, and what to do about it.
 *
 * Lifetime  ctl_findings_init .. ctl_findings_finish, which frees.
 * Thread    main.
 */
#ifndef CTL_FINDING_H
#define CTL_FINDING_H

#include "workers/ctl/command.h"

#include <jansson.h>

enum ctl_level { CTL_FINE, CTL_WARNING, CTL_BROKEN, CTL_LEVELS };

struct ctl_findings {
    json_t *list;
    int counts[CTL_LEVELS];
    bool json;
};

void ctl_findings_init(struct ctl_findings *findings, bool json);
/* Add one, and print it unless JSON is wanted. area: "nats"; advice: what to do, or NULL. */
void ctl_found(struct ctl_findings *findings, enum ctl_level level, const char *area,
               const char *advice, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The summary, or everything as JSON; frees. CTL_FAILED when something is broken. */
enum ctl_exit ctl_findings_finish(struct ctl_findings *findings);

#endif
