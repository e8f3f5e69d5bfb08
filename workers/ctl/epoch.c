#include "workers/ctl/epoch.h"

#include "common/clock.h"
#include "common/subject.h"
#include "workers/ctl/generation.h"

#include <stdio.h>
#include <string.h>

const char *ctl_epoch_of(const json_t *config)
{
    return json_string_value(json_object_get(json_object_get(config, "metadata"), CTL_EPOCH_KEY));
}

void ctl_epoch_put(json_t *config, const char *epoch)
{
    json_t *metadata = json_object_get(config, "metadata");

    if (!metadata) {
        metadata = json_object();
        json_object_set_new(config, "metadata", metadata);
    }
    json_object_set_new(metadata, CTL_EPOCH_KEY, json_string(epoch));
}

static json_int_t state_of(const json_t *info, const char *field)
{
    return json_integer_value(json_object_get(json_object_get(info, "state"), field));
}

static bool update(natsConnection *nc, const char *stream, const json_t *config,
                   struct ctl_reply *reply, char text[CTL_TEXT_MAX])
{
    char verb[96];

    snprintf(verb, sizeof verb, "STREAM.UPDATE.%s", stream);
    if (ctl_api_call(nc, verb, config, reply))
        return true;
    snprintf(text, CTL_TEXT_MAX, "JetStream refused the change: %s", reply->text);
    return false;
}

/* With room for one byte the stream answers every event as a full one does, and keeps what it has.
 */
static bool set_room(natsConnection *nc, json_t *config, json_int_t max_bytes, bool *empty,
                     char text[CTL_TEXT_MAX])
{
    struct ctl_reply reply;
    bool good;

    json_object_set_new(config, "max_bytes", json_integer(max_bytes));
    good = update(nc, YZ_STREAM_EVENTS, config, &reply, text);
    *empty = good && state_of(reply.body, "messages") == 0;
    ctl_reply_deinit(&reply);
    return good;
}

static bool move_first(natsConnection *nc, int64_t generation, char text[CTL_TEXT_MAX])
{
    json_int_t first = (json_int_t)generation << CTL_FIRST_BITS;
    json_t *request = json_pack("{s:I}", "seq", first);
    struct ctl_reply reply;
    bool good = ctl_api_call(nc, "STREAM.PURGE." YZ_STREAM_EVENTS, request, &reply);

    json_decref(request);
    if (!good)
        snprintf(text, CTL_TEXT_MAX, "JetStream refused to move the first sequence: %s",
                 reply.text);
    ctl_reply_deinit(&reply);
    if (!good)
        return false;
    good = ctl_stream_info(nc, YZ_STREAM_EVENTS, &reply) &&
           state_of(reply.body, "last_seq") >= first - 1;
    if (!good)
        snprintf(text, CTL_TEXT_MAX, "the first sequence of EVENTS did not move; try again");
    ctl_reply_deinit(&reply);
    return good;
}

static bool next_epoch(struct wk_store *store, const char *stream, const json_t *info,
                       int64_t *generation, char epoch[CTL_EPOCH_MAX], char text[CTL_TEXT_MAX])
{
    const char *old = ctl_epoch_of(json_object_get(info, "config"));
    int64_t above = old ? ctl_epoch_generation(old) : 0, used = 0;
    enum yz_err err;

    if (strcmp(stream, YZ_STREAM_EVENTS) == 0)
        used = ctl_stream_generation(info);
    err = ctl_generation_raise(store, stream, above > used ? above : used, generation);
    if (err) {
        snprintf(text, CTL_TEXT_MAX, "the generation could not be raised in the database: %s",
                 yz_err_text(err));
        return false;
    }
    ctl_epoch_format(*generation, yz_clock_wall_ms(), epoch);
    return true;
}

static bool raise_events(natsConnection *nc, struct wk_store *store, const json_t *info,
                         json_t *config, char epoch[CTL_EPOCH_MAX], char text[CTL_TEXT_MAX])
{
    json_int_t room = json_integer_value(json_object_get(config, "max_bytes"));
    bool empty = state_of(info, "messages") == 0, good, opened;
    char reopening[CTL_TEXT_MAX];
    int64_t generation;

    snprintf(text, CTL_TEXT_MAX,
             "EVENTS holds unsettled events. Stop the gateways, let the workers settle them, and "
             "raise it again");
    if (!empty)
        return false;
    good = set_room(nc, config, 1, &empty, text) && empty &&
           next_epoch(store, YZ_STREAM_EVENTS, info, &generation, epoch, text) &&
           move_first(nc, generation, text);
    if (good)
        ctl_epoch_put(config, epoch);
    opened = set_room(nc, config, room, &empty, reopening);
    if (!opened)
        snprintf(text, CTL_TEXT_MAX, "EVENTS takes no event now (%.200s): run yzctl apply",
                 reopening);
    return good && opened;
}

bool ctl_epoch_raise(natsConnection *nc, struct wk_store *store, const struct ctl_stream *stream,
                     char epoch[CTL_EPOCH_MAX], char text[CTL_TEXT_MAX])
{
    struct ctl_reply info, reply;
    int64_t generation;
    json_t *config = NULL;
    bool good = false;

    if (!ctl_stream_info(nc, stream->name, &info)) {
        snprintf(text, CTL_TEXT_MAX, "stream %s: %s; yzctl apply creates it", stream->name,
                 info.text);
        goto out;
    }
    config = json_deep_copy(json_object_get(info.body, "config"));
    if (strcmp(stream->name, YZ_STREAM_EVENTS) == 0) {
        good = raise_events(nc, store, info.body, config, epoch, text);
    } else if (next_epoch(store, stream->name, info.body, &generation, epoch, text)) {
        ctl_epoch_put(config, epoch);
        good = update(nc, stream->name, config, &reply, text);
        ctl_reply_deinit(&reply);
    }
out:
    json_decref(config);
    ctl_reply_deinit(&info);
    return good;
}
