#include "workers/ctl/commands.h"

#include "workers/ctl/doctor.h"
#include "workers/ctl/jetstream.h"

#include <inttypes.h>
#include <stdlib.h>

/* A check-in code's grace is ten seconds: a clock should use up little of it. */
#define SKEW_WARN_MS 1000
#define SKEW_FAIL_MS 5000

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "gateway-admin",
     .kind = CTL_LIST,
     .value = "URL",
     .help = "a gateway's admin address (default: http://127.0.0.1:9180)"},
    {.name = "worker-admin",
     .kind = CTL_LIST,
     .value = "URL",
     .help = "a worker's (default: http://127.0.0.1:9190)"},
    {.name = "nats-monitor",
     .kind = CTL_TEXT,
     .value = "URL",
     .help = "nats-server's monitoring address, to see sync_interval"},
    {.name = "data",
     .kind = CTL_TEXT,
     .value = "DIR",
     .help = "folder whose disk is examined (default: var, else .)"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_doctor = {
    .name = "doctor",
    .words = "",
    .summary = "examine everything and say what to do",
    .help = "Looks at NATS, streams, database, workers, gateways, clocks, keys and limits, each as "
            "far as it\n"
            "can be seen from here. Changes nothing (it writes one document, which expires by "
            "itself, to\n"
            "see that the database writes). ok: nothing to do; warn: look at it; fail: mend it, "
            "exit code 1.",
    .examples =
        "yzctl doctor\n"
        "yzctl doctor --gateway-admin http://gw1:9180 --gateway-admin http://gw2:9180 --json",
    .groups = groups,
    .exec = exec,
};

void ctl_doctor_clock(struct ctl_doctor *doctor, const char *area, int64_t ahead_ms)
{
    int64_t skew = ahead_ms < 0 ? -ahead_ms : ahead_ms;
    enum ctl_level level = skew >= SKEW_FAIL_MS   ? CTL_BROKEN
                           : skew >= SKEW_WARN_MS ? CTL_WARNING
                                                  : CTL_FINE;

    ctl_found(
        &doctor->findings, level, area,
        level ? "let both hosts follow NTP (timedatectl set-ntp true): times decide deadlines "
                "and check-in codes"
              : NULL,
        "its clock is %" PRId64 " ms %s this host's", skew, ahead_ms < 0 ? "behind" : "ahead of");
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    struct ctl_doctor doctor = {.ctl = ctl};

    ctl_findings_init(&doctor.findings, ctl->json);
    ctl_doctor_bus(&doctor);
    ctl_doctor_database(&doctor);
    if (doctor.nc) {
        ctl_doctor_streams(&doctor);
        ctl_doctor_workers(&doctor);
    }
    ctl_doctor_pages(&doctor);
    ctl_doctor_host(&doctor);
    ctl_database_close(&doctor.db);
    if (doctor.nc)
        ctl_nats_close(doctor.nc);
    return ctl_findings_finish(&doctor.findings);
}
