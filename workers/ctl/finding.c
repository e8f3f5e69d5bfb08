#include "workers/ctl/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

static const char *const words[CTL_LEVELS] = {"ok", "warn", "fail"};

void ctl_findings_init(struct ctl_findings *findings, bool json)
{
    memset(findings, 0, sizeof *findings);
    findings->list = json_array();
    findings->json = json;
}

void ctl_found(struct ctl_findings *findings, enum ctl_level level, const char *area,
               const char *advice, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    findings->counts[level]++;
    json_array_append_new(findings->list, json_pack("{s:s, s:s, s:s, s:s?}", "level", words[level],
                                                    "area", area, "text", text, "advice", advice));
    if (findings->json)
        return;
    printf("%-5s %-9s %s\n", words[level], area, text);
    if (advice)
        printf("                -> %s\n", advice);
    fflush(stdout);
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
