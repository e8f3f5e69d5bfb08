/* log.h: one line per happening, key=value, to standard error.
 *
 * Lifetime  yz_log_init once at start; no state to free.
 * Thread    any; a line is written with one write(2), so lines never mix.
 * Limits    a line is cut at YZ_LOG_LINE_MAX bytes.
 *
 * Levels: error (a person acts), warn (degraded), info (life cycle), debug. Nothing above debug per
 * message: count it instead. Never a token, a name or a text of a member: ids only.
 */
#ifndef YZ_LOG_H
#define YZ_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define YZ_LOG_LINE_MAX 2048
#define YZ_LOG_GAP_MS   10000

enum yz_log_level { YZ_LOG_ERROR, YZ_LOG_WARN, YZ_LOG_INFO, YZ_LOG_DEBUG };

/* Lines above `level` are not written. program stands in each line (borrowed for good). */
void yz_log_init(const char *program, enum yz_log_level level);
/* "error", "warn", "info", "debug"; false when it is none of them. */
bool yz_log_level_parse(const char *text, enum yz_log_level *level);
bool yz_log_on(enum yz_log_level level);

/* event: a fixed word of what happened; fmt: further key=value pairs. */
void yz_log_write(enum yz_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The arguments are not evaluated when the level is off. */
#define yz_log(level, event, ...)                                                                  \
    do {                                                                                           \
        if (yz_log_on(level))                                                                      \
            yz_log_write(level, event, __VA_ARGS__);                                               \
    } while (0)
#define yz_error(event, ...) yz_log(YZ_LOG_ERROR, event, __VA_ARGS__)
#define yz_warn(event, ...)  yz_log(YZ_LOG_WARN, event, __VA_ARGS__)
#define yz_info(event, ...)  yz_log(YZ_LOG_INFO, event, __VA_ARGS__)
#define yz_debug(event, ...) yz_log(YZ_LOG_DEBUG, event, __VA_ARGS__)

/* For what an outage repeats for each message, partition or try: from one place in the code at most
 * one line in YZ_LOG_GAP_MS, which says how many were left out before it. fmt is a literal. */
struct yz_log_gap {
    _Atomic int64_t next_mono_ms;
    _Atomic uint64_t left_out;
};
/* false: leave it out, which was counted. */
bool yz_log_due(struct yz_log_gap *gap, uint64_t *left_out);
#define yz_log_spaced(level, event, fmt, ...)                                                      \
    do {                                                                                           \
        static struct yz_log_gap gap_;                                                             \
        uint64_t left_out_;                                                                        \
        if (yz_log_on(level) && yz_log_due(&gap_, &left_out_))                                     \
            yz_log_write(level, event, fmt " left_out=%llu", __VA_ARGS__,                          \
                         (unsigned long long)left_out_);                                           \
    } while (0)
#define yz_error_spaced(event, ...) yz_log_spaced(YZ_LOG_ERROR, event, __VA_ARGS__)
#define yz_warn_spaced(event, ...)  yz_log_spaced(YZ_LOG_WARN, event, __VA_ARGS__)

#endif
