#include "workers/ctl/commands.h"

#include "common/subject.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/letter.h"

#include <inttypes.h>
#include <stdio.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "tenant", .kind = CTL_TEXT, .value = "ID", .help = "only of this tenant"},
    {.name = "from",
     .kind = CTL_NUMBER,
     .value = "SEQ",
     .def = 1,
     .min = 1,
     .max = INT64_MAX,
     .help = "from this dead letter on"},
    {.name = "limit",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = CTL_LETTERS_PAGE,
     .min = 1,
     .max = 1000,
     .help = "at most so many"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_dlq_list = {
    .name = "dlq list",
    .words = "",
    .summary = "events that could not be processed, and why",
    .help = "A dead letter is an event that failed alone, several times. It stays until it is "
            "replayed or\n"
            "dropped; the member was told the code unprocessable.",
    .examples = "yzctl dlq list\n"
                "yzctl dlq list --tenant demo --json",
    .groups = groups,
    .exec = exec,
};

static const char *text_of(const json_t *letter, const char *member)
{
    const char *text = json_string_value(json_object_get(letter, member));

    return text ? text : "";
}

static void print_line(const json_t *letter)
{
    printf("%-8s %-19.19sZ %-22s %s/%s  %s%s%s: %s\n", text_of(letter, "sequence"),
           text_of(letter, "storedAt"),
           *text_of(letter, "type") ? text_of(letter, "type") : "(no envelope)",
           text_of(letter, "tenant"), text_of(letter, "actor"), text_of(letter, "reason"),
           *text_of(letter, "field") ? " in " : "", text_of(letter, "field"),
           text_of(letter, "text"));
}

static void print_letters(const struct ctl *ctl, json_t *letters, uint64_t pending)
{
    const json_t *letter;
    size_t i;

    if (ctl->json) {
        ctl_print_json(json_pack("{s:O, s:I}", "letters", letters, "more", (json_int_t)pending));
        return;
    }
    json_array_foreach(letters, i, letter) print_line(letter);
    if (i == 0)
        printf("no dead letters\n");
    if (pending > 0)
        printf("%" PRIu64 " more: --from, --limit\n", pending);
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *tenant = ctl_text(ctl, "tenant");
    char subject[YZ_SUBJECT_MAX];
    uint64_t pending = 0;
    natsConnection *nc;
    json_t *letters;

    if (tenant && !yz_id_valid(tenant))
        return ctl_misuse(ctl, "'%s' is no tenant", tenant);
    if (!(nc = ctl_nats_open(ctl, false)))
        return CTL_FAILED;
    yz_deadletter_subject(tenant ? tenant : "*", ">", subject);
    letters = ctl_letters(ctl, nc, subject, (uint64_t)ctl_number(ctl, "from"),
                          ctl_number(ctl, "limit"), &pending);
    ctl_nats_close(nc);
    if (!letters)
        return CTL_FAILED;
    print_letters(ctl, letters, pending);
    json_decref(letters);
    return CTL_DONE;
}
