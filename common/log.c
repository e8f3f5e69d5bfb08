#include "common/log.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static const char *program_name = "yizhan";
static enum yz_log_level threshold = YZ_LOG_INFO;

void yz_log_init(const char *program, enum yz_log_level level)
{
    program_name = program;
    threshold = level;
}

bool yz_log_level_parse(const char *text, enum yz_log_level *level)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *level = (enum yz_log_level)i;
            return true;
        }
    }
    return false;
}

bool yz_log_on(enum yz_log_level level)
{
    return level <= threshold;
}

bool yz_log_due(struct yz_log_gap *gap, uint64_t *left_out)
{
    int64_t now = yz_clock_mono_ms(), next = atomic_load(&gap->next_mono_ms);

    if (now < next ||
        !atomic_compare_exchange_strong(&gap->next_mono_ms, &next, now + YZ_LOG_GAP_MS)) {
        atomic_fetch_add(&gap->left_out, 1);
        return false;
    }
    *left_out = atomic_exchange(&gap->left_out, 0);
    return true;
}

void yz_log_write(enum yz_log_level level, const char *event, const char *fmt, ...)
{
    char line[YZ_LOG_LINE_MAX], time[YZ_RFC3339_MAX];
    int64_t now = yz_clock_wall_ms();
    size_t len, max = sizeof line - 1;
    va_list args;

    yz_clock_format(now / 1000, (int32_t)(now % 1000) * 1000000, time);
    len = (size_t)snprintf(line, max, "time=%s level=%s program=%s pid=%d event=%s ", time,
                           names[level], program_name, (int)getpid(), event);
    va_start(args, fmt);
    len += (size_t)vsnprintf(line + len, max - len, fmt, args);
    va_end(args);
    if (len > max - 1)
        len = max - 1;
    for (size_t i = 0; i < len; i++) {
        /* A value from outside must not begin a line of its own. */
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    }
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}
