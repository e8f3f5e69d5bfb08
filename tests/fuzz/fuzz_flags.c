/* What an operator or a start script gives: words of a command line, one a line (the first byte
 * says to which program), names of key files, JSON payloads. */
#include "schemas/contract.h"
#include "tests/fuzz/fuzz.h"
#include "workers/ctl/command.h"
#include "workers/ctl/keyfile.h"
#include "workers/ctl/letter.h"
#include "workers/ctl/message.h"

#include <string.h>

#define TEXT_MAX  4096
#define WORDS_MAX 64

static size_t split(char *text, char **words)
{
    size_t count = 0;
    char *line;

    while (count < WORDS_MAX && (line = strsep(&text, "\n")))
        words[count++] = line;
    words[count] = NULL;
    return count;
}

/* Within each setting's own limits, or refused. */
static void parse_settings(enum yz_conf_who who, char **words, size_t count)
{
    struct yz_conf conf;
    int rest = -1;

    for (size_t i = 0; i < count; i++) {
        /* These print and leave the process. */
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "--help-markdown") == 0 ||
            strcmp(words[i], "--version") == 0)
            return;
    }
    if (!yz_conf_parse(&conf, who, (int)count, words, "", &rest))
        return;
    PROMISE(rest >= 0 && rest <= (int)(count ? count : 1));
#define INT(who, field, def, min, max, help) PROMISE(conf.field >= (min) && conf.field <= (max));
#define STR(who, field, def, help)           PROMISE(conf.field);
#define G                                    0
#define W                                    0
#define C                                    0
#include "common/conf.def"
#undef INT
#undef STR
#undef G
#undef W
#undef C
}

/* Each flag's value is one of the words, and a number is within its limits. */
static void read_flags(const struct ctl *given)
{
    for (int i = 0; i < given->args.flag_count; i++) {
        const struct ctl_flag *flag = given->args.flags[i];
        const char *const *values;
        int64_t number;

        PROMISE(!flag->required || ctl_given(given, flag->name));
        if (flag->kind == CTL_NUMBER && ctl_given(given, flag->name)) {
            number = ctl_number(given, flag->name);
            PROMISE(number >= flag->min && number <= flag->max);
        } else if (flag->kind == CTL_TEXT && ctl_given(given, flag->name)) {
            PROMISE(ctl_text(given, flag->name));
        } else if (flag->kind == CTL_LIST) {
            PROMISE(ctl_list(given, flag->name, &values) <= CTL_LIST_MAX);
        }
    }
}

static void parse_command(char **words, size_t count)
{
    struct ctl given = {0};
    int used = 0;

    given.command = ctl_command_find((int)count, (const char *const *)words, &used);
    if (!given.command)
        return;
    PROMISE(used > 0 && used <= (int)count);
    if (!ctl_args_parse(given.command, (int)count - used, (const char **)words + used, &given.args))
        return;
    PROMISE(given.args.word_count >= given.command->word_min &&
            given.args.word_count <= given.command->word_max);
    read_flags(&given);
}

static void parse_names(char **words, size_t count)
{
    static const struct ctl_command command = {.name = "fuzz"};
    const struct ctl ctl = {.command = &command};
    struct ctl_keyname name, again;
    char path[CTL_PATH_MAX];
    uint64_t sequence;

    for (size_t i = 0; i < count; i++) {
        if (ctl_keyfile_parse(words[i], &name)) {
            PROMISE(yz_id_valid(name.kid) && ctl_keyfile_algorithm_valid(name.algorithm));
            PROMISE(ctl_keyfile_path("keys", &name, path) && ctl_keyfile_parse(path, &again));
            PROMISE(strcmp(name.kid, again.kid) == 0 && name.part == again.part);
        }
        if (ctl_letter_number(&ctl, words[i], &sequence))
            PROMISE(sequence > 0);
    }
}

/* As `yzctl publish TYPE JSON`. */
static void parse_payload(char **words, size_t count)
{
    const struct yz_event_type *type = count < 2 ? NULL : yz_event_type_find(words[0], NULL);
    struct ctl_payload payload;
    struct yz_violation v = {0};
    json_t *shown;

    if (!type)
        return;
    ctl_payload_init(&payload);
    if (ctl_payload_read(&payload, type->payload, words[1], &v) == YZ_OK &&
        ctl_payload_encode(&payload, &v) == YZ_OK) {
        shown = ctl_message_json(type->payload, payload.bytes.data, payload.bytes.len);
        PROMISE(json_is_object(shown));
        json_decref(shown);
    }
    ctl_payload_deinit(&payload);
}

static void run(uint8_t what, char **words, size_t count)
{
    switch (what % 6) {
    case 0:
        parse_settings(YZ_CONF_GATEWAY, words, count);
        break;
    case 1:
        parse_settings(YZ_CONF_WORKER, words, count);
        break;
    case 2:
        parse_settings(YZ_CONF_CTL, words, count);
        break;
    case 3:
        parse_command(words, count);
        break;
    case 4:
        parse_names(words, count);
        break;
    case 5:
        parse_payload(words, count);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX], *words[WORDS_MAX + 1];
    FILE *told = stderr;

    if (size < 1 || size > sizeof text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    /* An operator is told what is wrong; a million times is too often. */
    stderr = fopen("/dev/null", "w");
    PROMISE(stderr);
    run(data[0], words, split(text, words));
    fclose(stderr);
    stderr = told;
    return 0;
}
