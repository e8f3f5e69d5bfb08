#include "workers/ctl/letter.h"

#include "common/bus.h"
#include "common/envelope.h"
#include "schemas/contract.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"
#include "workers/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON member of a header that is there. */
static void put_header(json_t *to, const char *member, natsMsg *msg, const char *header)
{
    const char *value = NULL;

    if (natsMsgHeader_Get(msg, header, &value) == NATS_OK)
        json_object_set_new(to, member, json_string(value));
}

static const struct yz_event_type *type_of(natsMsg *letter)
{
    const char *name = NULL;

    return natsMsgHeader_Get(letter, "ce-type", &name) == NATS_OK ? yz_event_type_find(name, NULL)
                                                                  : NULL;
}

static json_t *payload_of(natsMsg *letter)
{
    const struct yz_event_type *type = type_of(letter);

    return ctl_message_json(type ? type->payload : NULL, natsMsg_GetData(letter),
                            (size_t)natsMsg_GetDataLength(letter));
}

/* No document tells who sent it, and no screen does either. */
static bool is_discreet(const struct yz_event_type *type)
{
    return type && (type->authority == YZ_BY_ANYONE || type->authority == YZ_BY_MEMBER_DISCREETLY);
}

json_t *ctl_letter_json(natsMsg *letter)
{
    static const char *const headers[][2] = {
        {"sequence", "Nats-Sequence"},
        {"storedAt", "Nats-Time-Stamp"},
        {"subject", "Nats-Subject"},
        {"reason", YZ_HEADER_DEAD_REASON},
        {"text", YZ_HEADER_DEAD_TEXT},
        {"field", YZ_HEADER_DEAD_FIELD},
        {"attempts", YZ_HEADER_DEAD_ATTEMPTS},
        {"originSubject", YZ_HEADER_ORIGIN_SUBJECT},
        {"originSequence", YZ_HEADER_ORIGIN_SEQUENCE},
        {"originTime", YZ_HEADER_ORIGIN_TIME},
        {"eventId", "ce-id"},
        {"type", "ce-type"},
        {"tenant", "ce-tenant"},
        {"aggregate", "ce-subject"},
    };
    static const char *const of_sender[][2] = {
        {"actor", "ce-actor"},
        {"orgPath", "ce-orgpath"},
        {"roles", "ce-roles"},
        {"occurredAt", "ce-time"},
    };
    size_t told = is_discreet(type_of(letter)) ? 0 : sizeof of_sender / sizeof of_sender[0];
    json_t *value = json_object();

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        put_header(value, headers[i][0], letter, headers[i][1]);
    for (size_t i = 0; i < told; i++)
        put_header(value, of_sender[i][0], letter, of_sender[i][1]);
    json_object_set_new(value, "payload", payload_of(letter));
    return value;
}

static void on_letter(void *arg, natsMsg *msg)
{
    json_array_append_new(arg, ctl_letter_json(msg));
}

static void report(const struct ctl *ctl, enum yz_err err)
{
    if (err == YZ_BUS_UNAVAILABLE)
        ctl_fail(ctl, "bus_unavailable",
                 "the stream DEADLETTERS does not answer: yzctl apply creates it, yzctl doctor "
                 "looks further");
    else
        ctl_fail(ctl, yz_err_code(err), "JetStream refused to read DEADLETTERS");
}

json_t *ctl_letters(const struct ctl *ctl, natsConnection *nc, const char *subject, uint64_t from,
                    int64_t limit, uint64_t *pending)
{
    json_t *letters = json_array();
    json_t *request = json_pack("{s:I, s:I, s:s}", "seq", (json_int_t)(from ? from : 1), "batch",
                                (json_int_t)limit, "next_by_subj", subject);
    enum yz_err err =
        wk_stream_each(ctl->conf, nc, YZ_STREAM_DEADLETTERS, request, on_letter, letters, pending);

    if (err) {
        report(ctl, err);
        json_decref(letters);
        return NULL;
    }
    return letters;
}

natsMsg *ctl_letter_get(const struct ctl *ctl, natsConnection *nc, uint64_t sequence)
{
    char request[48];
    natsMsg *letter = NULL;
    natsStatus s;

    snprintf(request, sizeof request, "{\"seq\":%" PRIu64 "}", sequence);
    s = natsConnection_RequestString(&letter, nc, "$JS.API.DIRECT.GET." YZ_STREAM_DEADLETTERS,
                                     request, CTL_API_TIMEOUT_MS);
    if (s != NATS_OK) {
        report(ctl, YZ_BUS_UNAVAILABLE);
        return NULL;
    }
    if (yz_bus_header_u64(letter, "Nats-Sequence", 0) == sequence)
        return letter;
    natsMsg_Destroy(letter);
    ctl_fail(ctl, "not_found", "there is no dead letter %" PRIu64 "; yzctl dlq list shows them",
             sequence);
    return NULL;
}

static natsStatus copy_headers(natsMsg *from, natsMsg *to)
{
    const char **keys = NULL, *value = NULL;
    natsStatus s = NATS_OK;
    int count = 0;

    if (natsMsgHeader_Keys(from, &keys, &count) != NATS_OK)
        return NATS_OK; /* there are none */
    for (int i = 0; s == NATS_OK && i < count; i++) {
        /* What the broker wrote, and what was only about the letter, stay behind. */
        if (strncmp(keys[i], "Nats-", 5) != 0 && strncmp(keys[i], "Yz-Dead-", 8) != 0 &&
            natsMsgHeader_Get(from, keys[i], &value) == NATS_OK)
            s = natsMsgHeader_Set(to, keys[i], value);
    }
    free((void *)keys);
    return s;
}

natsMsg *ctl_letter_event(natsMsg *letter, uint64_t sequence)
{
    const char *subject = NULL;
    natsMsg *event = NULL;
    char id[YZ_MSG_ID_MAX], own[YZ_SUBJECT_MAX];
    natsStatus s;

    if (natsMsgHeader_Get(letter, YZ_HEADER_ORIGIN_SUBJECT, &subject) != NATS_OK ||
        strncmp(subject, "evt.", 4) != 0)
        return NULL;
    yz_event_subject_own(subject, own);
    /* Not the event's own id: inside the duplicate window the broker would drop it. */
    snprintf(id, sizeof id, "r-%" PRIu64, sequence);
    s = natsMsg_Create(&event, own, NULL, natsMsg_GetData(letter), natsMsg_GetDataLength(letter));
    if (s == NATS_OK)
        s = copy_headers(letter, event);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(event, "Nats-Msg-Id", id);
    if (s != NATS_OK) {
        natsMsg_Destroy(event);
        return NULL;
    }
    return event;
}

bool ctl_letter_remove(const struct ctl *ctl, natsConnection *nc, uint64_t sequence)
{
    json_t *request = json_pack("{s:I}", "seq", (json_int_t)sequence);
    struct ctl_reply reply;
    bool good = ctl_api_call(nc, "STREAM.MSG.DELETE." YZ_STREAM_DEADLETTERS, request, &reply);

    if (!good)
        ctl_fail(ctl, "not_removed", "dead letter %" PRIu64 " could not be removed: %s", sequence,
                 reply.text);
    ctl_reply_deinit(&reply);
    json_decref(request);
    return good;
}

bool ctl_letter_number(const struct ctl *ctl, const char *word, uint64_t *sequence)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(word, &end, 10);
    *sequence = number;
    if (*word >= '0' && *word <= '9' && *end == '\0' && errno == 0 && number > 0)
        return true;
    ctl_misuse(ctl, "'%s' is no sequence; yzctl dlq list shows them", word);
    return false;
}
