#include "workers/ctl/commands.h"

#include "workers/ctl/jetstream.h"
#include "workers/ctl/letter.h"

#include <stdio.h>
#include <stdlib.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag *const groups[] = {ctl_flags_output, NULL};

const struct ctl_command ctl_dlq_show = {
    .name = "dlq show",
    .words = "SEQ",
    .summary = "one dead letter with its payload",
    .help = "Prints everything about it as JSON; a payload that cannot be decoded as base64.",
    .examples = "yzctl dlq show 17",
    .word_min = 1,
    .word_max = 1,
    .groups = groups,
    .exec = exec,
};

static void print_letter(const struct ctl *ctl, json_t *letter)
{
    char *text;

    if (ctl->json) {
        ctl_print_json(letter);
        return;
    }
    text = json_dumps(letter, JSON_INDENT(2));
    puts(text ? text : "");
    free(text);
    json_decref(letter);
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    natsMsg *letter = NULL;
    natsConnection *nc;
    uint64_t sequence;

    if (!ctl_letter_number(ctl, ctl->args.words[0], &sequence))
        return CTL_USAGE;
    if (!(nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    letter = ctl_letter_get(ctl, nc, sequence);
    ctl_nats_close(nc);
    if (!letter)
        return CTL_FAILED;
    print_letter(ctl, ctl_letter_json(letter));
    natsMsg_Destroy(letter);
    return CTL_DONE;
}
