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

#include <stdbool.h>

#define YZ_LOG_LINE_MAX 2048

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

#endif
