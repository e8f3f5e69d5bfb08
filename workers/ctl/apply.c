#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/database.h"
#include "workers/ctl/epoch.h"
#include "workers/ctl/generation.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/plan.h"
#include "workers/ctl/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "plan", .kind = CTL_SWITCH, .help = "say what would be done and change nothing"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_apply = {
    .name = "apply",
    .words = "",
    .summary = "create or change streams, buckets, collections and indexes as declared",
    .help = "Compares what is there with what shall be, prints the differences and makes them. "
            "What is as\n"
            "declared is left alone, so it may be run at every start. It never deletes, and "
            "refuses what\n"
            "would lose something. A stream that is made anew gets a new generation and epoch.\n"
            "Sizes, ages and replicas are settings: see yzctl --help.",
    .examples = "yzctl apply --plan\n"
                "yzctl --replicas 3 apply\n"
                "YZ_CHANNEL_MAX_AGE_S=2592000 yzctl apply",
    .groups = groups,
    .exec = exec,
};

/* All that the steps of one run share. */
struct run {
    const struct ctl *ctl;
    natsConnection *nc;
    struct wk_store *store;
    struct ctl_plan plan;
    bool plan_only;
};

static bool check_server(const struct ctl *ctl, natsConnection *nc)
{
    struct ctl_reply reply;
    int level = ctl_api_level(nc, &reply);

    if (level < 0)
        ctl_fail(ctl, "no_jetstream",
                 "JetStream does not answer at %s: %s. Start nats-server with "
                 "JetStream and a store_dir",
                 ctl->conf->nats_url, reply.text);
    else if (level == 0)
        ctl_fail(
            ctl, "server_too_old",
            "the nats-server at %s is older than 2.11: it lacks what yizhan builds on (first "
            "sequence, batched direct get). scripts/up builds 2.12; Debian's package is too old",
            ctl->conf->nats_url);
    ctl_reply_deinit(&reply);
    return level > 0;
}

static void on_index(void *arg, const char *line)
{
    struct run *run = arg;

    ctl_plan_add(&run->plan, CTL_CREATE, "database", line, NULL, NULL);
}

static void apply_database(struct run *run)
{
    int before = run->plan.counts[CTL_CREATE];
    enum yz_err err = wk_store_apply_indexes(run->store, run->plan_only, on_index, run);

    if (err)
        ctl_plan_add(&run->plan, CTL_REFUSE, "database", run->ctl->conf->mongodb_database, NULL,
                     yz_err_text(err));
    else if (run->plan.counts[CTL_CREATE] == before)
        ctl_plan_add(&run->plan, CTL_OK, "database", run->ctl->conf->mongodb_database, NULL, NULL);
}

static const char *refusal(const struct ctl_reply *reply)
{
    if (reply->err_code == CTL_API_NO_CLUSTER)
        return CTL_NO_CLUSTER_TEXT;
    return reply->text;
}

/* For a stream to be created: its epoch, and its first sequence if it counts on. */
static enum yz_err stamp(struct run *run, const struct ctl_stream *stream, json_t *config,
                         int64_t *generation)
{
    char epoch[CTL_EPOCH_MAX];
    enum yz_err err = ctl_generation_raise(run->store, stream->name, 0, generation);

    if (err)
        return err;
    ctl_epoch_format(*generation, yz_clock_wall_ms(), epoch);
    if (stream->has_epoch)
        ctl_epoch_put(config, epoch);
    if (stream->counts_on)
        json_object_set_new(config, "first_seq",
                            json_integer((json_int_t)*generation << CTL_FIRST_BITS));
    return YZ_OK;
}

/* *taken: somebody else created it at the same time, and nothing was reported. NULL: created. */
static const char *try_create(struct run *run, const struct ctl_stream *stream, json_t *config,
                              struct ctl_reply *reply, int64_t *generation, bool *taken)
{
    bool stamped = stream->has_epoch || stream->counts_on;
    enum yz_err err = stamped ? stamp(run, stream, config, generation) : YZ_OK;
    char verb[96];

    snprintf(verb, sizeof verb, "STREAM.CREATE.%s", stream->name);
    if (err)
        return yz_err_text(err);
    if (ctl_api_call(run->nc, verb, config, reply))
        return NULL;
    *taken = reply->err_code == CTL_API_NAME_IN_USE;
    if (*taken && *generation &&
        (err = ctl_generation_return(run->store, stream->name, *generation)))
        return yz_err_text(err);
    return refusal(reply);
}

/* false: it is there by now. */
static bool create(struct run *run, const struct ctl_stream *stream, json_t *config)
{
    json_t *none = json_object(), *changes = ctl_stream_diff(config, none);
    struct ctl_reply reply = {0};
    const char *reason = NULL;
    char lost[CTL_TEXT_MAX] = "";
    int64_t generation = 0;
    bool taken = false;

    json_decref(none);
    if (!run->plan_only)
        reason = try_create(run, stream, config, &reply, &generation, &taken);
    if (!reason && stream->has_epoch && generation > 1)
        snprintf(lost, sizeof lost,
                 "generation %" PRId64 ": the stream before it is gone, with all that it held",
                 generation);
    if (taken)
        json_decref(changes);
    else
        ctl_plan_add(&run->plan, reason ? CTL_REFUSE : CTL_CREATE, "stream", stream->name, changes,
                     reason  ? reason
                     : *lost ? lost
                             : NULL);
    ctl_reply_deinit(&reply);
    return !taken;
}

/* EVENTS must count above every sequence that the documents know. */
static void mend_sequence(struct run *run, const struct ctl_stream *stream, const json_t *info)
{
    int64_t used = ctl_stream_generation(info);
    char epoch[CTL_EPOCH_MAX], text[CTL_TEXT_MAX] = "";
    int64_t generation;
    enum yz_err err = ctl_generation_get(run->store, stream->name, &generation);

    if (!err && used == generation && used > 0)
        return;
    if (!err && used > generation) {
        /* The database was made anew under a living stream. */
        if (!run->plan_only)
            err = ctl_generation_raise(run->store, stream->name, used - 1, &generation);
        snprintf(text, sizeof text, "the database did not know the stream's generation %" PRId64,
                 used);
        ctl_plan_add(&run->plan, err ? CTL_REFUSE : CTL_CHANGE, "generation", stream->name, NULL,
                     err ? yz_err_text(err) : text);
        return;
    }
    if (err)
        snprintf(text, sizeof text, "%s", yz_err_text(err));
    else if (run->plan_only || ctl_epoch_raise(run->nc, run->store, stream, epoch, text))
        snprintf(text, sizeof text,
                 "its sequences would repeat those of generation %" PRId64
                 " in the documents: it gets a new first sequence",
                 generation);
    else
        err = YZ_INTERNAL;
    ctl_plan_add(&run->plan, err ? CTL_REFUSE : CTL_CHANGE, "generation", stream->name, NULL, text);
}

static void update(struct run *run, const struct ctl_stream *stream, const json_t *declared,
                   const json_t *actual, json_t *changes)
{
    json_t *config = ctl_stream_merge(declared, actual);
    struct ctl_reply reply = {0};
    const char *reason = NULL;
    enum yz_err err = YZ_OK;
    char verb[96];

    /* A stream without an epoch was not created by us: from now on its history counts as new. */
    if (!run->plan_only && stream->has_epoch && !ctl_epoch_of(config)) {
        int64_t generation;
        char epoch[CTL_EPOCH_MAX];

        err = ctl_generation_raise(run->store, stream->name, 0, &generation);
        ctl_epoch_format(generation, yz_clock_wall_ms(), epoch);
        ctl_epoch_put(config, epoch);
    }
    snprintf(verb, sizeof verb, "STREAM.UPDATE.%s", stream->name);
    if (err)
        reason = yz_err_text(err);
    else if (!run->plan_only && !ctl_api_call(run->nc, verb, config, &reply))
        reason = refusal(&reply);
    ctl_plan_add(&run->plan, reason ? CTL_REFUSE : CTL_CHANGE, "stream", stream->name, changes,
                 reason);
    ctl_reply_deinit(&reply);
    json_decref(config);
}

static void change(struct run *run, const struct ctl_stream *stream, const json_t *declared,
                   const json_t *info)
{
    const json_t *actual = json_object_get(info, "config");
    json_t *changes = ctl_stream_diff(declared, actual);
    const char *obstacle = ctl_stream_obstacle(changes, declared, info);

    if (stream->has_epoch && !ctl_epoch_of(actual))
        json_array_append_new(changes, json_pack("{s:s, s:n, s:s}", "field",
                                                 "metadata." CTL_EPOCH_KEY, "from", "to", "new"));
    if (obstacle)
        ctl_plan_add(&run->plan, CTL_REFUSE, "stream", stream->name, changes, obstacle);
    else if (json_array_size(changes) == 0)
        ctl_plan_add(&run->plan, CTL_OK, "stream", stream->name, changes, NULL);
    else
        update(run, stream, declared, actual, changes);
    if (!obstacle && strcmp(stream->name, YZ_STREAM_EVENTS) == 0)
        mend_sequence(run, stream, info);
}

static void apply_stream(struct run *run, const struct ctl_stream *stream)
{
    json_t *declared = ctl_stream_config(stream, run->ctl->conf), *config;
    struct ctl_reply info;
    bool there = ctl_stream_info(run->nc, stream->name, &info);

    if (!there && info.err_code == CTL_API_NO_STREAM) {
        config = json_deep_copy(declared);
        if (create(run, stream, config)) {
            json_decref(config);
            goto out;
        }
        json_decref(config);
        ctl_reply_deinit(&info);
        there = ctl_stream_info(run->nc, stream->name, &info);
    }
    if (there)
        change(run, stream, declared, info.body);
    else
        ctl_plan_add(&run->plan, CTL_REFUSE, "stream", stream->name, NULL, info.text);
out:
    ctl_reply_deinit(&info);
    json_decref(declared);
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    struct run run = {.ctl = ctl, .plan_only = ctl_given(ctl, "plan")};
    struct ctl_database db;
    enum ctl_exit code = CTL_FAILED;

    if (!(run.nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    if (!check_server(ctl, run.nc) || !ctl_database_open(ctl, &db))
        goto out;
    run.store = db.store;
    ctl_plan_init(&run.plan, ctl->json);
    apply_database(&run); /* first: the generations live there */
    for (const struct ctl_stream *s = ctl_streams; s->name; s++)
        apply_stream(&run, s);
    code = ctl_plan_finish(&run.plan, run.plan_only);
    ctl_database_close(&db);
out:
    ctl_nats_close(run.nc);
    return code;
}
