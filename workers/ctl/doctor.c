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
    {.name = "gateways",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = 1,
     .max = 10000,
     .help = "gateway processes that shall be there"},
    {.name = "workers",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = 1,
     .max = 10000,
     .help = "worker processes that shall be there"},
    {.name = "gateway-admin",
     .kind = CTL_LIST,
     .value = "URL",
     .help = "a gateway's admin address, to look at as well"},
    {.name = "worker-admin", .kind = CTL_LIST, .value = "URL", .help = "a worker's"},
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
    .help =
        "Looks at NATS, streams, database, clocks, keys and limits, each as far as it can be seen "
        "from here,\n"
        "and asks every gateway and worker on the bus what it finds wrong itself. Changes "
        "nothing (it writes\n"
        "one document, which expires by itself, to see that the database writes). ok: nothing "
        "to do; warn:\n"
        "look at it; fail: mend it, exit code 1. The [code] of a finding is stable; "
        "k8s/RUNBOOK.md says more.",
    .examples = "yzctl doctor\n"
                "yzctl doctor --gateways 2 --workers 3 --json\n"
                "yzctl doctor --gateway-admin http://gw1:9180 --nats-monitor http://nats1:8222",
    .groups = groups,
    .exec = exec,
};

void ctl_doctor_clock(struct ctl_doctor *doctor, const char *whose, int64_t ahead_ms,
                      int64_t unsure_ms)
{
    int64_t skew = ahead_ms < 0 ? -ahead_ms : ahead_ms, sure = skew - unsure_ms;
    enum ctl_level level = sure >= SKEW_FAIL_MS   ? CTL_BROKEN
                           : sure >= SKEW_WARN_MS ? CTL_WARNING
                                                  : CTL_FINE;

    ctl_found(&doctor->findings, level, CTL_clock_skewed,
              "the clock of %s is %" PRId64 " ms %s this host's", whose, skew,
              ahead_ms < 0 ? "behind" : "ahead of");
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    struct ctl_doctor doctor = {.ctl = ctl};
    bool stores;

    ctl_findings_init(&doctor.findings, ctl->json);
    stores = ctl_doctor_bus(&doctor);
    ctl_doctor_database(&doctor);
    if (stores) {
        ctl_doctor_streams(&doctor);
        ctl_doctor_workers(&doctor);
    }
    if (doctor.nc)
        ctl_doctor_processes(&doctor);
    ctl_doctor_pages(&doctor);
    ctl_doctor_host(&doctor);
    json_decref(doctor.beats);
    ctl_database_close(&doctor.db);
    if (doctor.nc)
        ctl_nats_close(doctor.nc);
    return ctl_findings_finish(&doctor.findings);
}
