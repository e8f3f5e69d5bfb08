#include "workers/ctl/commands.h"

#include "common/subject.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 1000

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "all", .kind = CTL_SWITCH, .help = "all there are"},
    {.name = "tenant", .kind = CTL_TEXT, .value = "ID", .help = "with --all: of this tenant"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_dlq_replay = {
    .name = "dlq replay",
    .words = "[SEQ]...",
    .summary = "give dead letters back to the workers",
    .help = "Mend the cause first: one that fails again comes back. The event is judged as of its "
            "first\n"
            "acceptance, and the letter is removed once JetStream has acknowledged the replay.",
    .examples = "yzctl dlq replay 17 18\n"
                "yzctl dlq replay --all --tenant demo",
    .word_max = WORDS_MAX,
    .groups = groups,
    .exec = exec,
};

static bool publish(const struct ctl *ctl, natsConnection *nc, natsMsg *event, uint64_t sequence,
                    uint64_t *stored)
{
    jsCtx *js = NULL;
    jsPubAck *ack = NULL;
    jsErrCode code = 0;
    natsStatus s = natsConnection_JetStream(&js, nc, NULL);

    if (s == NATS_OK)
        s = js_PublishMsg(&ack, js, event, NULL, &code);
    if (s == NATS_OK)
        *stored = ack->Sequence;
    else
        ctl_fail(ctl, "not_stored",
                 "dead letter %" PRIu64
                 " stays: EVENTS did not take it (%s, %d). If it is full, let "
                 "the workers settle what is in it",
                 sequence, natsStatus_GetText(s), (int)code);
    jsPubAck_Destroy(ack);
    jsCtx_Destroy(js);
    return s == NATS_OK;
}

static enum ctl_exit replay(const struct ctl *ctl, natsConnection *nc, uint64_t sequence)
{
    natsMsg *letter = ctl_letter_get(ctl, nc, sequence);
    natsMsg *event = letter ? ctl_letter_event(letter, sequence) : NULL;
    uint64_t stored = 0;
    bool good = false;

    if (letter && !event)
        ctl_fail(ctl, "no_origin",
                 "dead letter %" PRIu64 " does not say which subject it came from: it can only be "
                 "dropped",
                 sequence);
    else if (event)
        good = publish(ctl, nc, event, sequence, &stored) && ctl_letter_remove(ctl, nc, sequence);
    natsMsg_Destroy(event);
    natsMsg_Destroy(letter);
    if (good && ctl->json)
        ctl_print_json(json_pack("{s:I, s:I}", "replayed", (json_int_t)sequence, "sequence",
                                 (json_int_t)stored));
    else if (good)
        printf("replayed %" PRIu64 " as event %" PRIu64 "\n", sequence, stored);
    return good ? CTL_DONE : CTL_FAILED;
}

/* Those that are there now: one that fails again and comes back is not taken a second time. */
static enum ctl_exit replay_all(const struct ctl *ctl, natsConnection *nc)
{
    const char *tenant = ctl_text(ctl, "tenant");
    uint64_t pending = 1, next = 1, last = 0;
    enum ctl_exit code = CTL_DONE;
    char subject[YZ_SUBJECT_MAX];
    struct ctl_reply info;

    yz_deadletter_subject(tenant ? tenant : "*", ">", subject);
    if (ctl_stream_info(nc, YZ_STREAM_DEADLETTERS, &info))
        last = (uint64_t)json_integer_value(
            json_object_get(json_object_get(info.body, "state"), "last_seq"));
    ctl_reply_deinit(&info);
    while (pending > 0 && next <= last) {
        json_t *letters = ctl_letters(ctl, nc, subject, next, CTL_LETTERS_PAGE, &pending), *letter;
        size_t i;

        if (!letters)
            return CTL_FAILED;
        json_array_foreach(letters, i, letter)
        {
            uint64_t sequence =
                strtoull(json_string_value(json_object_get(letter, "sequence")), NULL, 10);

            next = sequence + 1;
            if (sequence <= last && replay(ctl, nc, sequence))
                code = CTL_FAILED;
        }
        json_decref(letters);
    }
    return code;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *tenant = ctl_text(ctl, "tenant");
    bool all = ctl_given(ctl, "all");
    enum ctl_exit code = CTL_DONE;
    natsConnection *nc;
    uint64_t sequence;

    if (all == (ctl->args.word_count > 0))
        return ctl_misuse(ctl, "say which: sequences, or --all");
    if (tenant && (!all || !yz_id_valid(tenant)))
        return ctl_misuse(ctl, "--tenant takes an id and goes with --all");
    for (int i = 0; i < ctl->args.word_count; i++) {
        if (!ctl_letter_number(ctl, ctl->args.words[i], &sequence))
            return CTL_USAGE;
    }
    if (!(nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    if (all)
        code = replay_all(ctl, nc);
    for (int i = 0; i < ctl->args.word_count; i++) {
        if (ctl_letter_number(ctl, ctl->args.words[i], &sequence) && replay(ctl, nc, sequence))
            code = CTL_FAILED;
    }
    ctl_nats_close(nc);
    return code;
}
