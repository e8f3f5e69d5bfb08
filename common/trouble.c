#include "common/trouble.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

#define DETAIL_MAX 256

static const struct {
    const char *code, *text, *level;
    enum yz_log_level log;
} table[YZ_TROUBLES] = {
#define TROUBLE(name, level, text) [YZ_TROUBLE_##name] = {#name, text, #level, YZ_LOG_##level},
#include "common/trouble.def"
#undef TROUBLE
};

const char *yz_trouble_code(enum yz_trouble trouble)
{
    return table[trouble].code;
}

static void say_over(enum yz_trouble trouble, int64_t since_ms)
{
    yz_info("trouble_over", "code=%s lasted_ms=%lld", table[trouble].code,
            (long long)(yz_clock_wall_ms() - since_ms));
}

/* true: it has just begun. */
static bool change(struct yz_troubles *troubles, enum yz_trouble trouble, bool there)
{
    int64_t before = 0;

    if (!there) {
        before = atomic_exchange(&troubles->since_ms[trouble], 0);
        if (before)
            say_over(trouble, before);
        return false;
    }
    atomic_store(&troubles->seen_mono_ms[trouble], yz_clock_mono_ms());
    return atomic_compare_exchange_strong(&troubles->since_ms[trouble], &before,
                                          yz_clock_wall_ms());
}

void yz_trouble_set(struct yz_troubles *troubles, enum yz_trouble trouble, bool there,
                    const char *fmt, ...)
{
    char detail[DETAIL_MAX];
    va_list args;

    if (!change(troubles, trouble, there))
        return;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    yz_log(table[trouble].log, "trouble", "code=%s text=\"%s\" %s", table[trouble].code,
           table[trouble].text, detail);
}

void yz_trouble_note(struct yz_troubles *troubles, enum yz_trouble trouble, bool there)
{
    if (change(troubles, trouble, there))
        yz_log(table[trouble].log, "trouble", "code=%s text=\"%s\"", table[trouble].code,
               table[trouble].text);
}

void yz_trouble_expire(struct yz_troubles *troubles, enum yz_trouble trouble, int64_t age_ms)
{
    if (yz_trouble_there(troubles, trouble) &&
        yz_clock_mono_ms() - atomic_load(&troubles->seen_mono_ms[trouble]) >= age_ms)
        yz_trouble_note(troubles, trouble, false);
}

bool yz_trouble_there(const struct yz_troubles *troubles, enum yz_trouble trouble)
{
    return atomic_load_explicit(&troubles->since_ms[trouble], memory_order_relaxed) != 0;
}

/* The tables' texts need no escape. */
size_t yz_troubles_json(const struct yz_troubles *troubles, char *out, size_t cap)
{
    size_t len = (size_t)snprintf(out, cap, "[");

    for (int i = 0; i < YZ_TROUBLES && len < cap; i++) {
        int64_t since_ms = atomic_load(&troubles->since_ms[i]);

        if (since_ms)
            len += (size_t)snprintf(
                out + len, cap - len,
                "%s{\"code\":\"%s\",\"level\":\"%s\",\"text\":\"%s\",\"since_ms\":%lld}",
                len > 1 ? "," : "", table[i].code, table[i].level, table[i].text,
                (long long)since_ms);
    }
    if (len < cap)
        len += (size_t)snprintf(out + len, cap - len, "]");
    return len < cap ? len : 0;
}
