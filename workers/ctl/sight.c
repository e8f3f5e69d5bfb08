#include "workers/ctl/sight.h"

#include "schemas/contract.h"
#include "workers/ctl/letter.h"
#include "workers/ctl/message.h"

#include <envelope.pb-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The envelope's headers and the payload; what lies in EVENTS or DEADLETTERS. */
static json_t *read_event(natsMsg *msg)
{
    return ctl_letter_json(msg);
}

static json_t *read_push(natsMsg *msg)
{
    return ctl_message_json(&yizhan__v1__push__descriptor, natsMsg_GetData(msg),
                            (size_t)natsMsg_GetDataLength(msg));
}

static void read_time(natsMsg *msg, struct ctl_sight *sight)
{
    jsMsgMetaData *meta = NULL;
    int64_t ms = yz_clock_wall_ms();

    if (natsMsg_GetMetaData(&meta, msg) == NATS_OK) {
        ms = meta->Timestamp / 1000000;
        sight->sequence = meta->Sequence.Stream;
    }
    jsMsgMetaData_Destroy(meta);
    yz_clock_format(ms / 1000, (int32_t)(ms % 1000) * 1000000, sight->time);
}

void ctl_sight_read(natsMsg *msg, struct ctl_sight *sight)
{
    const char *subject = natsMsg_GetSubject(msg);

    memset(sight, 0, sizeof *sight);
    snprintf(sight->subject, sizeof sight->subject, "%s", subject);
    read_time(msg, sight);
    if (strncmp(subject, "evt.", 4) == 0) {
        sight->kind = "event";
        sight->body = read_event(msg);
    } else if (strncmp(subject, "dlq.", 4) == 0) {
        sight->kind = "deadletter";
        sight->body = read_event(msg);
    } else {
        sight->kind = strncmp(subject, "state.", 6) == 0 ? "value" : "push";
        sight->body = read_push(msg);
    }
}

void ctl_sight_deinit(struct ctl_sight *sight)
{
    json_decref(sight->body);
    sight->body = NULL;
}

static const char *text_of(const json_t *body, const char *member)
{
    const char *text = json_string_value(json_object_get(body, member));

    return text ? text : "";
}

void ctl_sight_print(const struct ctl *ctl, const struct ctl_sight *sight)
{
    char *payload;

    if (ctl->json) {
        ctl_print_json(json_pack("{s:s, s:s, s:s, s:I, s:O}", "kind", sight->kind, "subject",
                                 sight->subject, "time", sight->time, "sequence",
                                 (json_int_t)sight->sequence, "body", sight->body));
        return;
    }
    payload = json_dumps(json_object_get(sight->body, "payload"), JSON_COMPACT | JSON_ENCODE_ANY);
    printf("%s %-10s %s", sight->time, sight->kind, sight->subject);
    if (sight->sequence)
        printf(" #%" PRIu64, sight->sequence);
    printf("\n    %s %s%s%s%s\n", text_of(sight->body, "type"), text_of(sight->body, "actor"),
           *text_of(sight->body, "actor") ? " " : "",
           *text_of(sight->body, "reason") ? text_of(sight->body, "reason") : "",
           *text_of(sight->body, "reason") ? ":" : "");
    printf("    %s\n", payload ? payload : "");
    fflush(stdout);
    free(payload);
}
