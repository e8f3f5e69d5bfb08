/* For targets whose code logs much of what it is fuzzed with: each line is made, and thrown away.
 * The linker leads yz_log_write here (--wrap). */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

void __wrap_yz_log_write(enum yz_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void __wrap_yz_log_write(enum yz_log_level level, const char *event, const char *fmt, ...)
{
    char line[YZ_LOG_LINE_MAX];
    va_list args;

    (void)level;
    (void)event;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
}
