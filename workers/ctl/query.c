#include "workers/ctl/commands.h"

#include "workers/ctl/actor.h"
#include "workers/ctl/ask.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "min-sequence",
     .kind = CTL_NUMBER,
     .value = "N",
     .min = 0,
     .max = INT64_MAX,
     .help = "answer once this event is settled"},
    {.name = "timeout",
     .kind = CTL_NUMBER,
     .value = "MS",
     .def = 5000,
     .min = 1,
     .max = 600000,
     .help = "wait for the answer"},
    {0},
};
static const struct ctl_flag *const groups[] = {ctl_actor_flags, flags, ctl_flags_output, NULL};

const struct ctl_command ctl_query = {
    .name = "query",
    .words = "TYPE [JSON]",
    .summary = "ask the workers, as a member would",
    .help = "TYPE is <domain>.<name>, JSON the request's fields ({} when left out). Contract and "
            "authority\n"
            "are checked as the gateway does. Prints the reply message as JSON.",
    .examples =
        "yzctl query notice.list --tenant demo --member m1 --path g1/c1/b1\n"
        "yzctl query meeting.attendance '{\"orgPath\":\"g1/c1\",\"meetingId\":\"m42\"}' \\\n"
        "  --tenant demo --member s1 --path g1/c1 --role secretary@g1/c1",
    .word_min = 1,
    .word_max = 2,
    .groups = groups,
    .exec = exec,
};

static enum yz_err prepare(const struct ctl *ctl, const struct yz_query_type *type,
                           const struct yz_actor *actor, struct ctl_payload *request,
                           struct yz_violation *v)
{
    const char *json = ctl->args.word_count > 1 ? ctl->args.words[1] : "{}";
    enum yz_err err = ctl_payload_read(request, type->request, json, v);

    if (err) {
        ctl_in_payload(v);
        return err;
    }
    if ((err = ctl_check(type->check, type->authority, type->org_path, actor, request->message, v)))
        return err;
    return ctl_payload_encode(request, v);
}

static void print_reply(const struct ctl *ctl, const struct yz_query_type *type, natsMsg *reply)
{
    json_t *value =
        ctl_message_json(type->reply, natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));
    char *text;

    if (ctl->json) {
        ctl_print_json(value);
        return;
    }
    text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    puts(text ? text : "");
    free(text);
    json_decref(value);
}

static enum ctl_exit ask(const struct ctl *ctl, const struct yz_query_type *type,
                         const struct yz_actor *actor, const struct ctl_payload *request)
{
    natsConnection *nc = ctl_nats_open(ctl, false);
    struct yz_violation v;
    natsMsg *reply = NULL;
    enum ctl_exit code = CTL_DONE;

    if (!nc)
        return CTL_FAILED;
    if (ctl_ask(nc, actor, type->name, request->bytes.data, request->bytes.len,
                (uint64_t)ctl_number(ctl, "min-sequence"), ctl_number(ctl, "timeout"), &reply,
                &v)) {
        ctl_in_payload(&v);
        code = ctl_refused(ctl, &v);
    } else {
        print_reply(ctl, type, reply);
    }
    natsMsg_Destroy(reply);
    ctl_nats_close(nc);
    return code;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const struct yz_query_type *type = yz_query_type_find(ctl->args.words[0], NULL);
    struct ctl_payload request;
    struct yz_actor actor;
    struct yz_violation v;
    enum ctl_exit code;

    if (!ctl_actor_read(ctl, &actor))
        return CTL_USAGE;
    if (!type)
        return ctl_misuse(ctl, "there is no query '%s'; PROTOCOL.md lists them",
                          ctl->args.words[0]);
    ctl_payload_init(&request);
    code = prepare(ctl, type, &actor, &request, &v) ? ctl_refused(ctl, &v)
                                                    : ask(ctl, type, &actor, &request);
    ctl_payload_deinit(&request);
    return code;
}
