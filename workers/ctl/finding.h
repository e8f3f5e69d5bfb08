/* finding.h: what doctor finds: good, doubtful or broken, and what to do about it (finding.def).
 *
 * Lifetime  ctl_findings_init .. ctl_findings_finish, which frees.
 * Thread    main.
 */
#ifndef CTL_FINDING_H
#define CTL_FINDING_H

#include "workers/ctl/command.h"

#include <jansson.h>
#include <stdint.h>

enum ctl_level { CTL_FINE, CTL_WARNING, CTL_BROKEN, CTL_LEVELS };

enum ctl_code {
#define FINDING(code, area, advice) CTL_##code,
#include "workers/ctl/finding.def"
#undef FINDING
    CTL_CODES
};

struct ctl_findings {
    json_t *list;
    int counts[CTL_LEVELS];
    bool json;
};

void ctl_findings_init(struct ctl_findings *findings, bool json);
/* Add one, and print it unless JSON is wanted. CTL_FINE: all is well with what the code stands for;
 * neither code nor advice is shown. */
void ctl_found(struct ctl_findings *findings, enum ctl_level level, enum ctl_code code,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same with the time since when it is so, 0: not known. */
void ctl_found_since(struct ctl_findings *findings, enum ctl_level level, enum ctl_code code,
                     int64_t since_ms, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Good, but with a word of advice. */
void ctl_advised(struct ctl_findings *findings, enum ctl_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* false: there is no such code. */
bool ctl_code_find(const char *name, enum ctl_code *code);
/* The summary, or everything as JSON; frees. CTL_FAILED when something is broken. */
enum ctl_exit ctl_findings_finish(struct ctl_findings *findings);

#endif
