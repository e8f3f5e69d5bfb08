#include "workers/ctl/commands.h"

#include "workers/ctl/database.h"
#include "workers/ctl/epoch.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/plan.h"

#include <stdio.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag *const groups[] = {ctl_flags_output, NULL};

const struct ctl_command ctl_epoch_raise_command = {
    .name = "epoch raise",
    .words = "[STREAM]",
    .summary = "after a restore: tell clients that old positions no longer count",
    .help =
        "A stream restored from a backup gives sequences out again that clients and documents have "
        "seen.\n"
        "This gives it (without STREAM: all of them) a new generation. Sessions are closed with a\n"
        "reconnect code within ten seconds, resume, and are told recovered = false.\n"
        "EVENTS also gets a new first sequence, for which it must be empty: stop the gateways and "
        "let the\n"
        "workers settle what the backup held.",
    .examples = "yzctl epoch raise\n"
                "yzctl epoch raise CHANNELS",
    .word_max = 1,
    .groups = groups,
    .exec = exec,
};

static void raise_one(natsConnection *nc, struct wk_store *store, const struct ctl_stream *stream,
                      struct ctl_plan *plan)
{
    char epoch[CTL_EPOCH_MAX] = "", text[CTL_TEXT_MAX] = "";
    bool good = ctl_epoch_raise(nc, store, stream, epoch, text);

    ctl_plan_add(plan, good ? CTL_CHANGE : CTL_REFUSE, "epoch", stream->name, NULL,
                 good ? epoch : text);
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *name = ctl->args.word_count ? ctl->args.words[0] : NULL;
    const struct ctl_stream *only = name ? ctl_stream_find(name) : NULL;
    struct ctl_database db;
    struct ctl_plan plan;
    natsConnection *nc;
    enum ctl_exit code = CTL_FAILED;

    if (name && (!only || !only->has_epoch))
        return ctl_misuse(
            ctl, "%s has no epoch; EVENTS, CHANNELS, THREADS, STATE and DEADLETTERS have", name);
    if (!(nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    if (ctl_database_open(ctl, &db)) {
        ctl_plan_init(&plan, ctl->json);
        for (const struct ctl_stream *s = ctl_streams; s->name; s++) {
            if (s->has_epoch && (!only || only == s))
                raise_one(nc, db.store, s, &plan);
        }
        code = ctl_plan_finish(&plan, false);
        ctl_database_close(&db);
    }
    ctl_nats_close(nc);
    return code;
}
