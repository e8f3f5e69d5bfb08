/* rules.h: rule packs: what regulation sets, as versioned data and never as constants in code.
 *
 * A pack is a JSON file, {"pack", "title", "versions": [{"version", "effective_from": "2026-01-01",
 * "provenance", "rules": {name: number}}]}; rules.def says which rules each must give and within
 * which bounds. A day begins at local midnight, by the offset of the first version of pack
 * `calendar`. A decision uses the version in force when the broker stored its event and writes
 * wk_rules_<pack>.version into its document: a later version never rewrites the past.
 *
 * Lifetime  loaded once at start; the structs live as long as the wk_rules.
 * Thread    any; constant once loaded.
 * Limits    VERSIONS_MAX versions of a pack, files of RULES_FILE_MAX bytes.
 */
#ifndef WK_RULES_H
#define WK_RULES_H

#include "common/err.h"

#include <stdint.h>

#define WK_RULES_VERSION_MAX 32

struct wk_rules;

/* One version of a pack: struct wk_rules_meeting { version, effective_from_ms, quorum_permille, …
 * }.
 */
#define RULE(field, low, high, help) int64_t field;
#define PACK(name, rules)                                                                          \
    struct wk_rules_##name {                                                                       \
        char version[WK_RULES_VERSION_MAX];                                                        \
        int64_t effective_from_ms;                                                                 \
        rules                                                                                      \
    };
#include "workers/rules.def"
#undef PACK

/* Read all packs from a folder; "": those that were built in (schemas/rules). What is missing,
 * unknown, out of bounds or not in the order of its days is logged with its place, and
 * YZ_INVALID_VALUE. */
YZ_MUST_USE enum yz_err wk_rules_load(const char *dir, struct wk_rules **rules);
/* NULL: nothing. */
void wk_rules_free(struct wk_rules *rules);

/* wk_rules_meeting_at(rules, at_ms): the version in force at that time, which is the first one
 * before its day, too. Never NULL. */
#define PACK(name, rules)                                                                          \
    const struct wk_rules_##name *wk_rules_##name##_at(const struct wk_rules *all, int64_t at_ms);
#include "workers/rules.def"
#undef PACK
/* wk_rules_meeting_version(rules, "2026-1"): for what was decided under it. NULL: no such version.
 */
#define PACK(name, rules)                                                                          \
    const struct wk_rules_##name *wk_rules_##name##_version(const struct wk_rules *all,            \
                                                            const char *version);
#include "workers/rules.def"
#undef PACK
#undef RULE

#endif
