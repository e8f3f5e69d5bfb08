#include "workers/ctl/doctor.h"

#include "common/bus.h"
#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MS  2000 /* an answer that comes later counts as none */
#define QUIET_MS    300  /* everybody expected has answered: others may still */
#define LATE_MS     500
#define FDS_PERCENT 90
#define BODY_MAX    512

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static int64_t count_of(const json_t *answers, const char *kind)
{
    const json_t *answer;
    int64_t count = 0;
    size_t i;

    json_array_foreach((json_t *)answers, i, answer) count +=
        strcmp(text_of(answer, "kind"), kind) == 0;
    return count;
}

static bool has_answered(const json_t *answers, const char *id)
{
    const json_t *answer;
    size_t i;

    json_array_foreach((json_t *)answers, i, answer)
    {
        if (strcmp(text_of(answer, "id"), id) == 0)
            return true;
    }
    return false;
}

static bool all_answered(const struct ctl_doctor *doctor, const json_t *answers)
{
    const json_t *beat;
    const char *id;

    json_object_foreach(doctor->beats, id, beat)
    {
        if (!has_answered(answers, id))
            return false;
    }
    return count_of(answers, "gateway") >= ctl_number(doctor->ctl, "gateways") &&
           count_of(answers, "worker") >= ctl_number(doctor->ctl, "workers");
}

static void take_answer(json_t *answers, natsMsg *msg, int64_t begin_ms)
{
    json_t *answer = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
    int64_t now = yz_clock_wall_ms(), theirs = number_of(answer, "now_ms");

    if (!json_is_object(answer) || !*text_of(answer, "id")) {
        json_decref(answer);
        return;
    }
    json_object_set_new(answer, "after_ms", json_integer(now - begin_ms));
    json_object_set_new(answer, "ahead_ms", json_integer(theirs - (begin_ms + now) / 2));
    json_array_append_new(answers, answer);
}

/* One question that all hear; what comes back until all have answered, or the time is up. */
static json_t *ask_all(struct ctl_doctor *doctor)
{
    int64_t begin_ms = yz_clock_wall_ms(), until = yz_clock_mono_ms() + ANSWERS_MS;
    json_t *answers = json_array();
    natsSubscription *sub = NULL;
    char inbox[YZ_INBOX_MAX];
    int64_t left;

    if (yz_bus_inbox(doctor->ctl->conf, inbox) ||
        natsConnection_SubscribeSync(&sub, doctor->nc, inbox) != NATS_OK ||
        natsConnection_PublishRequest(doctor->nc, YZ_SUBJECT_PING, inbox, "", 0) != NATS_OK)
        goto out;
    while ((left = until - yz_clock_mono_ms()) > 0) {
        bool all = all_answered(doctor, answers);
        natsMsg *msg = NULL;

        if (natsSubscription_NextMsg(&msg, sub, all && left > QUIET_MS ? QUIET_MS : left) !=
            NATS_OK)
            break;
        take_answer(answers, msg, begin_ms);
        natsMsg_Destroy(msg);
    }
out:
    natsSubscription_Destroy(sub);
    return answers;
}

/* What a process finds wrong itself. */
static void examine_troubles(struct ctl_doctor *doctor, const json_t *answer)
{
    const json_t *trouble;
    size_t i;

    json_array_foreach(json_object_get(answer, "troubles"), i, trouble)
    {
        enum ctl_code code;

        /* A newer process may know of more than we do. */
        if (!ctl_code_find(text_of(trouble, "code"), &code))
            code = CTL_not_ready;
        ctl_found_since(&doctor->findings,
                        strcmp(text_of(trouble, "level"), "ERROR") == 0 ? CTL_BROKEN : CTL_WARNING,
                        code, number_of(trouble, "since_ms"), "%s %s: %s", text_of(answer, "kind"),
                        text_of(answer, "id"), text_of(trouble, "text"));
    }
}

static void examine_answer(struct ctl_doctor *doctor, const json_t *answer)
{
    struct ctl_findings *findings = &doctor->findings;
    const char *kind = text_of(answer, "kind"), *id = text_of(answer, "id");
    int64_t open = number_of(answer, "open_fds"), max = number_of(answer, "max_fds");
    int64_t after_ms = number_of(answer, "after_ms");
    const char *load = json_object_iter_key(json_object_iter(json_object_get(answer, "load")));
    bool ready = json_is_true(json_object_get(answer, "ready"));

    ctl_found(findings, ready ? CTL_FINE : CTL_BROKEN, CTL_not_ready,
              "%s %s, version %s, %" PRId64 " %s%s%s", kind, id, text_of(answer, "version"),
              number_of(json_object_get(answer, "load"), load ? load : ""), load ? load : "",
              ready ? "" : ", is not ready: ", ready ? "" : text_of(answer, "reason"));
    if (max > 0 && open >= max / 100 * FDS_PERCENT)
        ctl_found(findings, CTL_WARNING, CTL_descriptors_short,
                  "%s %s has %" PRId64 " of %" PRId64 " file descriptors open", kind, id, open,
                  max);
    if (after_ms >= LATE_MS)
        ctl_found(findings, CTL_WARNING, CTL_answers_late, "%s %s answered after %" PRId64 " ms",
                  kind, id, after_ms);
    ctl_doctor_clock(doctor, id, number_of(answer, "ahead_ms"), after_ms / 2);
    examine_troubles(doctor, answer);
}

static void examine_number(struct ctl_doctor *doctor, const json_t *answers, const char *kind,
                           enum ctl_code code, const char *flag)
{
    int64_t there = count_of(answers, kind), wanted = ctl_number(doctor->ctl, flag);

    ctl_found(&doctor->findings, there < wanted ? CTL_BROKEN : CTL_FINE, code,
              "%" PRId64 " of %" PRId64 " %s answer on the bus", there, wanted, flag);
}

void ctl_doctor_processes(struct ctl_doctor *doctor)
{
    json_t *answers = ask_all(doctor);
    const json_t *answer, *beat;
    const char *id;
    size_t i;

    examine_number(doctor, answers, "gateway", CTL_gateways_missing, "gateways");
    examine_number(doctor, answers, "worker", CTL_workers_missing, "workers");
    json_object_foreach(doctor->beats, id, beat)
    {
        if (!has_answered(answers, id))
            ctl_found(&doctor->findings, CTL_BROKEN, CTL_worker_silent,
                      "worker %s beats, or did so a moment ago, but does not answer", id);
    }
    json_array_foreach(answers, i, answer) examine_answer(doctor, answer);
    json_decref(answers);
}

static void examine_page(struct ctl_doctor *doctor, const char *url)
{
    char body[BODY_MAX] = "";
    struct ctl_address address;
    const char *reason = "malformed address";
    int status = 0;

    if (!ctl_address_parse(url, "80", &address) ||
        snprintf(address.path, sizeof address.path, "/readyz") < 0 ||
        !ctl_probe_get(&address, &status, body, sizeof body, &reason)) {
        ctl_found(&doctor->findings, CTL_BROKEN, CTL_page_unreachable,
                  "%s/readyz does not answer: %s", url, reason);
        return;
    }
    body[strcspn(body, "\r\n")] = '\0';
    ctl_found(&doctor->findings, status == 200 ? CTL_FINE : CTL_BROKEN, CTL_not_ready,
              "%s/readyz: %d %s", url, status, body);
}

/* The named ones, else where scripts/up says it put one. */
static void examine_pages(struct ctl_doctor *doctor, const char *flag, const char *variable)
{
    const char *const *urls, *port = getenv(variable);
    int count = ctl_list(doctor->ctl, flag, &urls);
    char url[64];

    for (int i = 0; i < count; i++)
        examine_page(doctor, urls[i]);
    if (count == 0 && port && *port) {
        snprintf(url, sizeof url, "http://127.0.0.1:%.8s", port);
        examine_page(doctor, url);
    }
}

void ctl_doctor_pages(struct ctl_doctor *doctor)
{
    examine_pages(doctor, "gateway-admin", "YZ_GATEWAY_ADMIN_PORT");
    examine_pages(doctor, "worker-admin", "YZ_WORKER_ADMIN_PORT");
}
