#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/sight.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES_MAX 5

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "events", .kind = CTL_SWITCH, .help = "what members sent, while it is published"},
    {.name = "channels", .kind = CTL_SWITCH, .help = "pushes to orgs, members and meetings"},
    {.name = "threads", .kind = CTL_SWITCH, .help = "posts"},
    {.name = "state", .kind = CTL_SWITCH, .help = "values"},
    {.name = "deadletters", .kind = CTL_SWITCH, .help = "what could not be processed"},
    {.name = "since",
     .kind = CTL_NUMBER,
     .value = "S",
     .def = 0,
     .min = 0,
     .max = 31536000,
     .help = "begin so many seconds ago; not for events"},
    {.name = "count",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = 0,
     .min = 0,
     .max = INT64_MAX,
     .help = "end after so many; 0: at Ctrl-C"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_tail = {
    .name = "tail",
    .words = "[SUBJECT-FILTER]",
    .summary = "what happens now: events, pushes and dead letters, decoded",
    .help = "Without a flag: all five. The filter is a subject with NATS wildcards, as stored:\n"
            "evt.<p>.<tenant>.<domain>.<org path>, chan.<tenant>.org.<path>, "
            "thr.<tenant>.<path>.<id>,\n"
            "state.<tenant>.<channel>.<name>, dlq.<tenant>.<domain>.\n"
            "EVENTS is a work queue: its past cannot be read beside the workers. Events are "
            "therefore seen as\n"
            "they are published, a moment before they are stored, refused (storage full) or "
            "recognised as\n"
            "duplicates. Texts of members are shown: mind who looks on.",
    .examples = "yzctl tail\n"
                "yzctl tail --channels --since 3600\n"
                "yzctl tail 'chan.demo.meeting.>' --json\n"
                "yzctl tail --events --count 1",
    .word_max = 1,
    .groups = groups,
    .exec = exec,
};

struct source {
    const char *flag, *stream, *prefix; /* prefix: first token of its subjects */
};

static const struct source sources[SOURCES_MAX] = {
    {"events", YZ_STREAM_EVENTS, "evt"},           {"channels", YZ_STREAM_CHANNELS, "chan"},
    {"threads", YZ_STREAM_THREADS, "thr"},         {"state", YZ_STREAM_STATE, "state"},
    {"deadletters", YZ_STREAM_DEADLETTERS, "dlq"},
};

/* The delivery thread prints; the main thread only waits for the end. */
static sem_t over;
static atomic_int_fast64_t left;

static void on_signal(int number)
{
    (void)number;
    sem_post(&over);
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *arg)
{
    const struct ctl *ctl = arg;
    struct ctl_sight sight;

    (void)nc;
    (void)sub;
    if (atomic_load(&left) != 0) {
        ctl_sight_read(msg, &sight);
        ctl_sight_print(ctl, &sight);
        ctl_sight_deinit(&sight);
        if (atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1)
            sem_post(&over);
    }
    natsMsg_Destroy(msg);
}

/* From the stream, by an ordered consumer that the server forgets with us. */
static natsStatus follow_stream(const struct ctl *ctl, jsCtx *js, const struct source *source,
                                const char *subject, natsSubscription **sub)
{
    int64_t since_s = ctl_number(ctl, "since");
    jsSubOptions options;
    jsErrCode code = 0;

    jsSubOptions_Init(&options);
    options.Ordered = true;
    options.Stream = source->stream;
    options.Config.DeliverPolicy = since_s ? js_DeliverByStartTime : js_DeliverNew;
    if (since_s)
        options.Config.OptStartTime = (yz_clock_wall_ms() - since_s * 1000) * 1000000;
    return js_Subscribe(sub, js, subject, on_message, (void *)(uintptr_t)ctl, NULL, &options,
                        &code);
}

static bool matches(const struct source *source, const char *filter)
{
    size_t len = strlen(source->prefix);

    return strncmp(filter, source->prefix, len) == 0 && (filter[len] == '.' || filter[len] == '\0');
}

static bool wanted(const struct ctl *ctl, const struct source *source)
{
    bool any = false;

    if (ctl->args.word_count > 0)
        return matches(source, ctl->args.words[0]);
    for (size_t i = 0; i < SOURCES_MAX; i++)
        any = any || ctl_given(ctl, sources[i].flag);
    return !any || ctl_given(ctl, source->flag);
}

static bool follow(const struct ctl *ctl, natsConnection *nc, jsCtx *js,
                   const struct source *source, natsSubscription **sub)
{
    char all[16];
    const char *subject = ctl->args.word_count ? ctl->args.words[0] : all;
    natsStatus s;

    snprintf(all, sizeof all, "%s.>", source->prefix);
    if (strcmp(source->stream, YZ_STREAM_EVENTS) == 0) {
        if (ctl_number(ctl, "since") > 0)
            fprintf(stderr, "yzctl tail: events begin now: a work queue's past cannot be read\n");
        s = natsConnection_Subscribe(sub, nc, subject, on_message, (void *)(uintptr_t)ctl);
    } else {
        s = follow_stream(ctl, js, source, subject, sub);
    }
    if (s != NATS_OK)
        ctl_fail(ctl, "no_stream", "%s cannot be followed on '%s' (%s): yzctl apply creates it",
                 source->stream, subject, natsStatus_GetText(s));
    return s == NATS_OK;
}

static void wait_for_end(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (sem_wait(&over) != 0 && errno == EINTR)
        ;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    natsSubscription *subs[SOURCES_MAX] = {NULL};
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    bool good = true;
    int count = 0;

    for (size_t i = 0; i < SOURCES_MAX; i++)
        count += wanted(ctl, &sources[i]);
    if (count == 0)
        return ctl_misuse(ctl, "'%s' begins with none of evt, chan, thr, state, dlq",
                          ctl->args.words[0]);
    sem_init(&over, 0, 0);
    atomic_store(&left, ctl_number(ctl, "count") > 0 ? ctl_number(ctl, "count") : -1);
    if (!(nc = ctl_nats_open(ctl, true)))
        return CTL_FAILED;
    good = natsConnection_JetStream(&js, nc, NULL) == NATS_OK;
    for (size_t i = 0; good && i < SOURCES_MAX; i++)
        good = !wanted(ctl, &sources[i]) || follow(ctl, nc, js, &sources[i], &subs[i]);
    if (good)
        wait_for_end();
    atomic_store(&left, 0);
    for (size_t i = 0; i < SOURCES_MAX; i++)
        natsSubscription_Destroy(subs[i]);
    jsCtx_Destroy(js);
    ctl_nats_close(nc);
    return good ? CTL_DONE : CTL_FAILED;
}
