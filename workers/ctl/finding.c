#include "workers/ctl/finding.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

static const char *const words[CTL_LEVELS] = {"ok", "warn", "fail"};

static const struct {
    const char *code, *area, *advice;
} table[CTL_CODES] = {
#define FINDING(code, area, advice) [CTL_##code] = {#code, area, advice},
#include "workers/ctl/finding.def"
#undef FINDING
};

void ctl_findings_init(struct ctl_findings *findings, bool json)
{
    memset(findings, 0, sizeof *findings);
    findings->list = json_array();
    findings->json = json;
}

bool ctl_code_find(const char *name, enum ctl_code *code)
{
    for (int i = 0; i < CTL_CODES; i++) {
        if (strcmp(table[i].code, name) == 0) {
            *code = (enum ctl_code)i;
            return true;
        }
    }
    return false;
}

static void add(struct ctl_findings *findings, enum ctl_level level, enum ctl_code code,
                const char *advice, int64_t since_ms, const char *text)
{
    char since[YZ_RFC3339_MAX] = "";

    if (since_ms > 0)
        yz_clock_format(since_ms / 1000, 0, since);
    findings->counts[level]++;
    json_array_append_new(findings->list,
                          json_pack("{s:s, s:s?, s:s, s:s, s:s?, s:s?}", "level", words[level],
                                    "code", level == CTL_FINE ? NULL : table[code].code, "area",
                                    table[code].area, "text", text, "advice", advice, "since",
                                    *since ? since : NULL));
    if (findings->json)
        return;
    printf("%-5s %-9s %s%s%s%s%s%s\n", words[level], table[code].area, text,
           *since ? ", since " : "", since, level == CTL_FINE ? "" : " [",
           level == CTL_FINE ? "" : table[code].code, level == CTL_FINE ? "" : "]");
    if (advice)
        printf("                -> %s\n", advice);
    fflush(stdout);
}

void ctl_found(struct ctl_findings *findings, enum ctl_level level, enum ctl_code code,
               const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    add(findings, level, code, level == CTL_FINE ? NULL : table[code].advice, 0, text);
}

void ctl_found_since(struct ctl_findings *findings, enum ctl_level level, enum ctl_code code,
                     int64_t since_ms, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    add(findings, level, code, level == CTL_FINE ? NULL : table[code].advice,
        level == CTL_FINE ? 0 : since_ms, text);
}

void ctl_advised(struct ctl_findings *findings, enum ctl_code code, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    add(findings, CTL_FINE, code, table[code].advice, 0, text);
}

enum ctl_exit ctl_findings_finish(struct ctl_findings *findings)
{
    const int *n = findings->counts;

    if (findings->json)
        ctl_print_json(json_pack("{s:O, s:i, s:i, s:i}", "findings", findings->list, "ok",
                                 n[CTL_FINE], "warn", n[CTL_WARNING], "fail", n[CTL_BROKEN]));
    else
        printf("%d ok, %d warnings, %d failures\n", n[CTL_FINE], n[CTL_WARNING], n[CTL_BROKEN]);
    json_decref(findings->list);
    return n[CTL_BROKEN] ? CTL_FAILED : CTL_DONE;
}
