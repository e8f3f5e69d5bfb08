#include "workers/ctl/command.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words of name that argv begins with: all of them, or 0. */
static int match(const char *name, int argc, const char *const *argv)
{
    int used = 0;

    while (*name) {
        size_t len = strcspn(name, " ");

        if (used >= argc || strlen(argv[used]) != len || strncmp(argv[used], name, len) != 0)
            return 0;
        used++;
        name += len + (name[len] == ' ');
    }
    return used;
}

const struct ctl_command *ctl_command_find(int argc, const char *const *argv, int *used)
{
    for (const struct ctl_command *const *c = ctl_commands; *c; c++) {
        *used = match((*c)->name, argc, argv);
        if (*used > 0)
            return *c;
    }
    return NULL;
}

static void collect_flags(const struct ctl_command *command, struct ctl_args *args)
{
    memset(args, 0, sizeof *args);
    for (const struct ctl_flag *const *group = command->groups; group && *group; group++) {
        for (const struct ctl_flag *f = *group; f->name; f++) {
            assert(args->flag_count < CTL_FLAGS_MAX);
            args->flags[args->flag_count++] = f;
        }
    }
}

static int find_flag(const struct ctl_args *args, const char *name, size_t len)
{
    for (int i = 0; i < args->flag_count; i++) {
        if (strlen(args->flags[i]->name) == len && strncmp(args->flags[i]->name, name, len) == 0)
            return i;
    }
    return -1;
}

static bool number_of(const struct ctl_flag *flag, const char *text, int64_t *out)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(text, &end, 10);
    *out = number;
    return *text && *end == '\0' && errno == 0 && number >= flag->min && number <= flag->max;
}

static bool store_value(struct ctl_args *args, int i, const char *value)
{
    const struct ctl_flag *flag = args->flags[i];
    int64_t number;

    if (args->counts[i] >= (flag->kind == CTL_LIST ? CTL_LIST_MAX : 1)) {
        fprintf(stderr, "--%s: given too often\n", flag->name);
        return false;
    }
    if (flag->kind == CTL_NUMBER && !number_of(flag, value, &number)) {
        fprintf(stderr, "--%s: '%s' is not a whole number from %lld to %lld\n", flag->name, value,
                (long long)flag->min, (long long)flag->max);
        return false;
    }
    args->values[i][args->counts[i]++] = value;
    return true;
}

/* One flag at argv[*at]; *at is moved to its last word. */
static bool take_flag(struct ctl_args *args, int argc, const char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    int i = find_flag(args, name, equals ? (size_t)(equals - name) : strlen(name));

    if (i < 0) {
        fprintf(stderr, "%s: there is no such flag here\n", argv[*at]);
        return false;
    }
    if (args->flags[i]->kind == CTL_SWITCH) {
        if (equals) {
            fprintf(stderr, "--%s: takes no value\n", args->flags[i]->name);
            return false;
        }
        args->counts[i] = 1;
        return true;
    }
    if (!equals && *at + 1 >= argc) {
        fprintf(stderr, "--%s: the value is missing\n", args->flags[i]->name);
        return false;
    }
    return store_value(args, i, equals ? equals + 1 : argv[++*at]);
}

static bool check_complete(const struct ctl_command *command, const struct ctl_args *args)
{
    bool good = true;

    for (int i = 0; i < args->flag_count; i++) {
        if (args->flags[i]->required && args->counts[i] == 0) {
            fprintf(stderr, "--%s is required: %s\n", args->flags[i]->name, args->flags[i]->help);
            good = false;
        }
    }
    if (args->word_count < command->word_min) {
        fprintf(stderr, "%s: something is missing, it takes %s\n", command->name, command->words);
        good = false;
    } else if (args->word_count > command->word_max) {
        fprintf(stderr, "%s: '%s' is too much, it takes %s\n", command->name,
                args->words[command->word_max], *command->words ? command->words : "flags only");
        good = false;
    }
    return good;
}

bool ctl_args_parse(const struct ctl_command *command, int argc, const char **argv,
                    struct ctl_args *args)
{
    bool good = true, flags_over = false;
    int words = 0;

    collect_flags(command, args);
    for (int i = 0; i < argc; i++) {
        if (!flags_over && strcmp(argv[i], "--") == 0)
            flags_over = true;
        else if (!flags_over && strncmp(argv[i], "--", 2) == 0)
            good = take_flag(args, argc, argv, &i) && good;
        else
            argv[words++] = argv[i];
    }
    args->words = argv;
    args->word_count = words;
    return check_complete(command, args) && good;
}

static int declared(const struct ctl *ctl, const char *flag)
{
    int i = find_flag(&ctl->args, flag, strlen(flag));

    assert(i >= 0);
    return i;
}

bool ctl_given(const struct ctl *ctl, const char *flag)
{
    return ctl->args.counts[declared(ctl, flag)] > 0;
}

const char *ctl_text(const struct ctl *ctl, const char *flag)
{
    return ctl->args.values[declared(ctl, flag)][0];
}

int64_t ctl_number(const struct ctl *ctl, const char *flag)
{
    int i = declared(ctl, flag);
    int64_t number = ctl->args.flags[i]->def;

    if (ctl->args.counts[i] > 0)
        number_of(ctl->args.flags[i], ctl->args.values[i][0], &number);
    return number;
}

int ctl_list(const struct ctl *ctl, const char *flag, const char *const **values)
{
    int i = declared(ctl, flag);

    *values = ctl->args.values[i];
    return ctl->args.counts[i];
}

__attribute__((format(printf, 3, 0))) static void
print_error(const struct ctl *ctl, const char *code, const char *fmt, va_list list)
{
    char text[1024];
    json_t *error;

    vsnprintf(text, sizeof text, fmt, list);
    error = ctl->json ? json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", text) : NULL;
    if (error) /* not when the text quotes a word that is no UTF-8 */
        ctl_print_json(error);
    else
        fprintf(stderr, "yzctl %s: %s\n", ctl->command->name, text);
}

enum ctl_exit ctl_fail(const struct ctl *ctl, const char *code, const char *fmt, ...)
{
    va_list list;

    va_start(list, fmt);
    print_error(ctl, code, fmt, list);
    va_end(list);
    return CTL_FAILED;
}

enum ctl_exit ctl_misuse(const struct ctl *ctl, const char *fmt, ...)
{
    va_list list;

    va_start(list, fmt);
    print_error(ctl, "usage", fmt, list);
    va_end(list);
    return CTL_USAGE;
}

void ctl_print_json(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (!text)
        abort(); /* out of memory, or a text that is not UTF-8 got this far */
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(value);
}
