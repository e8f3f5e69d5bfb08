/* trouble.h: what is wrong now with what this process stands on (trouble.def): one log line when it
 * begins, one when it is over, a metric, and a line of its answer to `yzctl doctor`.
 *
 * Lifetime  a zeroed struct for the process's life.
 * Thread    any: all fields are atomic.
 * Limits    a trouble is logged when it changes, however often it is reported; nothing per message.
 */
#ifndef YZ_TROUBLE_H
#define YZ_TROUBLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum yz_trouble {
#define TROUBLE(name, level, text) YZ_TROUBLE_##name,
#include "common/trouble.def"
#undef TROUBLE
    YZ_TROUBLES
};

struct yz_troubles {
    _Atomic int64_t since_ms[YZ_TROUBLES];     /* wall clock; 0: well */
    _Atomic int64_t seen_mono_ms[YZ_TROUBLES]; /* last reported */
};

const char *yz_trouble_code(enum yz_trouble trouble);
/* Report how it stands; fmt: further key=value pairs for the line that says it began. */
void yz_trouble_set(struct yz_troubles *troubles, enum yz_trouble trouble, bool there,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same without further pairs. */
void yz_trouble_note(struct yz_troubles *troubles, enum yz_trouble trouble, bool there);
/* Over, unless it was reported within the last age_ms: for what is seen only when it happens. */
void yz_trouble_expire(struct yz_troubles *troubles, enum yz_trouble trouble, int64_t age_ms);
bool yz_trouble_there(const struct yz_troubles *troubles, enum yz_trouble trouble);

/* JSON: [{"code","level","text","since_ms"}], NUL-terminated. Returns its length, or 0 when cap is
 * too small. */
size_t yz_troubles_json(const struct yz_troubles *troubles, char *out, size_t cap);
#define YZ_TROUBLES_TEXT_MAX 4096 /* enough for it */

#endif
