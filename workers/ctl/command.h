/* command.h: what a command of yzctl is, its flags, and how it prints.
 *
 * Lifetime  a ctl_command is a constant table; a ctl_args lives for the one command that runs.
 * Thread    main.
 * Errors    a command prints its error itself, with the reason and the next step, and returns the
 * exit code: CTL_DONE, CTL_FAILED (it was tried) or CTL_USAGE (it was asked wrongly; nothing was
 * done).
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include "common/conf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum ctl_exit { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

enum ctl_kind {
    CTL_SWITCH, /* --plan */
    CTL_TEXT,   /* --tenant T */
    CTL_NUMBER, /* --ttl N, within min and max */
    CTL_LIST,   /* --role R, may be given several times */
};

struct ctl_flag {
    const char *name; /* "tenant": the flag is --tenant */
    enum ctl_kind kind;
    const char *value; /* what stands for the value in help: "ID" */
    const char *help;
    bool required;
    int64_t def, min, max; /* numbers only */
};

#define CTL_LIST_MAX  32
#define CTL_FLAGS_MAX 24

/* The flags and words behind the command's name. */
struct ctl_args {
    const struct ctl_flag *flags[CTL_FLAGS_MAX];
    const char *values[CTL_FLAGS_MAX][CTL_LIST_MAX];
    int counts[CTL_FLAGS_MAX];
    int flag_count;
    const char *const *words; /* what is no flag */
    int word_count;
};

struct ctl {
    const struct yz_conf *conf;
    const struct ctl_command *command;
    struct ctl_args args;
    bool json;
};

struct ctl_command {
    const char *name;    /* "dlq list" */
    const char *words;   /* "TYPE JSON", for the usage line; "" when it takes none */
    const char *summary; /* one line */
    const char *help;    /* what it does, what it needs; paragraphs of text */
    const char *examples;
    int word_min, word_max;
    const struct ctl_flag *const
        *groups; /* lists of flags, ends with NULL; each list ends with name NULL */
    enum ctl_exit (*exec)(const struct ctl *ctl);
};

/* Ends with a NULL entry. */
extern const struct ctl_command *const ctl_commands[];

/* The command whose one or two words begin argv; *used is how many. NULL: there is none. */
const struct ctl_command *ctl_command_find(int argc, const char *const *argv, int *used);

/* Sort argv (behind the command's name) into flags and words; argv is reordered, words point into
 * it. Each mistake is printed to standard error; false when there was one. */
bool ctl_args_parse(const struct ctl_command *command, int argc, const char **argv,
                    struct ctl_args *args);
/* Of a declared flag. Not given: false, NULL, the default, 0. */
bool ctl_given(const struct ctl *ctl, const char *flag);
const char *ctl_text(const struct ctl *ctl, const char *flag);
int64_t ctl_number(const struct ctl *ctl, const char *flag);
int ctl_list(const struct ctl *ctl, const char *flag, const char *const **values);

/* "yzctl apply: <text>" to standard error, or {"error":{"code","text"}} with --json; returns
 * CTL_FAILED. code is a stable word. */
enum ctl_exit ctl_fail(const struct ctl *ctl, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what was asked wrongly: returns CTL_USAGE. */
enum ctl_exit ctl_misuse(const struct ctl *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* One line of JSON to standard output; takes value. */
void ctl_print_json(json_t *value);

#endif
