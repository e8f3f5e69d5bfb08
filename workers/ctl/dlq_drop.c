#include "workers/ctl/commands.h"

#include "common/envelope.h"
#include "common/log.h"
#include "schemas/contract.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/letter.h"

#include <inttypes.h>
#include <stdio.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "reason",
     .kind = CTL_TEXT,
     .value = "TEXT",
     .required = true,
     .help = "why, for the log: no names"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_dlq_drop = {
    .name = "dlq drop",
    .words = "SEQ",
    .summary = "remove a dead letter for good",
    .help =
        "The event stays dead-lettered for its sender. A line with the reason and the ids goes to\n"
        "standard error: keep it. The payload is gone afterwards; dlq show prints it before.",
    .examples = "yzctl dlq drop 17 --reason \"test event of the pilot\"",
    .word_min = 1,
    .word_max = 1,
    .groups = groups,
    .exec = exec,
};

static const char *header(natsMsg *msg, const char *key)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : "";
}

static enum ctl_exit drop(const struct ctl *ctl, natsConnection *nc, natsMsg *letter,
                          uint64_t sequence)
{
    const struct yz_event_type *type = yz_event_type_find(header(letter, "ce-type"), NULL);
    /* Who complained stands in no log. */
    bool told =
        type && type->authority != YZ_BY_ANYONE && type->authority != YZ_BY_MEMBER_DISCREETLY;

    if (!ctl_letter_remove(ctl, nc, sequence))
        return CTL_FAILED;
    yz_log_write(YZ_LOG_WARN, "deadletter_dropped",
                 "sequence=%" PRIu64 " tenant=%s actor=%s event_id=%s type=%s origin=%s "
                 "code=%s reason=\"%s\"",
                 sequence, header(letter, "ce-tenant"), told ? header(letter, "ce-actor") : "",
                 told ? header(letter, "ce-id") : "", header(letter, "ce-type"),
                 header(letter, YZ_HEADER_ORIGIN_SEQUENCE), header(letter, YZ_HEADER_DEAD_REASON),
                 ctl_text(ctl, "reason"));
    if (ctl->json)
        ctl_print_json(json_pack("{s:I}", "dropped", (json_int_t)sequence));
    else
        printf("dropped %" PRIu64 "\n", sequence);
    return CTL_DONE;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    enum ctl_exit code = CTL_FAILED;
    natsMsg *letter;
    natsConnection *nc;
    uint64_t sequence;

    if (!ctl_letter_number(ctl, ctl->args.words[0], &sequence))
        return CTL_USAGE;
    if (!*ctl_text(ctl, "reason"))
        return ctl_misuse(ctl, "--reason must say something");
    if (!(nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    letter = ctl_letter_get(ctl, nc, sequence);
    if (letter)
        code = drop(ctl, nc, letter, sequence);
    natsMsg_Destroy(letter);
    ctl_nats_close(nc);
    return code;
}
