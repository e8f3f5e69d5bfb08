#include "workers/ctl/help.h"

#include <string.h>

static void print_indented(FILE *out, const char *text)
{
    while (*text) {
        int len = (int)strcspn(text, "\n");

        fprintf(out, "  %.*s\n", len, text);
        text += len + (text[len] == '\n');
    }
}

void ctl_help_overview(FILE *out)
{
    fprintf(out, "yzctl: sets yizhan up, looks into it and mends it.\n\n"
                 "usage: yzctl [settings] <command> [flags] ...\n\n");
    for (const struct ctl_command *const *c = ctl_commands; *c; c++)
        fprintf(out, "  %-13s %s\n", (*c)->name, (*c)->summary);
    fprintf(out, "\n  yzctl help <command>   flags and examples of one command\n"
                 "  yzctl --help           the settings (addresses, folders, sizes)\n\n"
                 "Exit codes: 0 good, 1 failed, 2 wrong usage or configuration.\n");
}

static void print_flag(FILE *out, const struct ctl_flag *flag)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    fprintf(out, "  %-22s %s", left, flag->help);
    if (flag->required)
        fprintf(out, " (required)");
    else if (flag->kind == CTL_NUMBER)
        fprintf(out, " (%lld to %lld, default %lld)", (long long)flag->min, (long long)flag->max,
                (long long)flag->def);
    else if (flag->kind == CTL_LIST)
        fprintf(out, " (may be repeated)");
    fprintf(out, "\n");
}

void ctl_help_command(FILE *out, const struct ctl_command *command)
{
    fprintf(out, "yzctl %s: %s\n\nusage: yzctl [settings] %s%s%s [flags]\n\n%s\n", command->name,
            command->summary, command->name, *command->words ? " " : "", command->words,
            command->help);
    fprintf(out, "\nflags:\n");
    for (const struct ctl_flag *const *group = command->groups; *group; group++) {
        for (const struct ctl_flag *f = *group; f->name; f++)
            print_flag(out, f);
    }
    fprintf(out, "\nexamples:\n");
    print_indented(out, command->examples);
}

/* "dlq" alone names all commands that begin with it. */
static int print_group(const char *word)
{
    int count = 0;
    size_t len = strlen(word);

    for (const struct ctl_command *const *c = ctl_commands; *c; c++) {
        if (strncmp((*c)->name, word, len) == 0 && (*c)->name[len] == ' ') {
            printf("  %-13s %s\n", (*c)->name, (*c)->summary);
            count++;
        }
    }
    return count;
}

enum ctl_exit ctl_help(int argc, const char *const *argv)
{
    const struct ctl_command *command;
    int used;

    if (argc == 0) {
        ctl_help_overview(stdout);
        return CTL_DONE;
    }
    command = ctl_command_find(argc, argv, &used);
    if (command) {
        ctl_help_command(stdout, command);
        return CTL_DONE;
    }
    if (print_group(argv[0]) > 0)
        return CTL_DONE;
    fprintf(stderr, "yzctl: there is no command '%s'; yzctl help lists them\n", argv[0]);
    return CTL_USAGE;
}
