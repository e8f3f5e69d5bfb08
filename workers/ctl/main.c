#include "common/conf.h"
#include "common/log.h"
#include "workers/ctl/command.h"
#include "workers/ctl/help.h"
#include "workers/driver.h"

#include <mongoc/mongoc.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE                                                                                      \
    "yzctl: sets yizhan up, looks into it and mends it.\n\n"                                       \
    "usage: yzctl [settings] <command> [flags] ...\n"                                              \
    "       yzctl help              lists the commands\n"                                          \
    "       yzctl help <command>    flags and examples"

/* "yzctl apply --help" is "yzctl help apply". */
static bool wants_help(int argc, const char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static enum ctl_exit run(const struct yz_conf *conf, int argc, const char **argv)
{
    struct ctl ctl = {.conf = conf};
    enum ctl_exit code;
    int used;

    ctl.command = ctl_command_find(argc, argv, &used);
    if (!ctl.command) {
        /* A group's name ("dlq") shows its commands; what is no command says so. */
        ctl_help(argc, argv);
        return CTL_USAGE;
    }
    if (wants_help(argc - used, argv + used)) {
        ctl_help_command(stdout, ctl.command);
        return CTL_DONE;
    }
    if (!ctl_args_parse(ctl.command, argc - used, argv + used, &ctl.args)) {
        fprintf(stderr, "yzctl help %s shows how it is used\n", ctl.command->name);
        return CTL_USAGE;
    }
    ctl.json = ctl_given(&ctl, "json");
    wk_driver_init();
    code = ctl.command->exec(&ctl);
    nats_Close();
    mongoc_cleanup();
    return code;
}

int main(int argc, char **argv)
{
    struct yz_conf conf;
    enum yz_log_level level;
    const char **words;
    int rest, count;
    enum ctl_exit code;

    if (!yz_conf_parse(&conf, YZ_CONF_CTL, argc, argv, USAGE, &rest))
        return CTL_USAGE;
    if (!yz_log_level_parse(conf.log_level, &level)) {
        fprintf(stderr, "log_level: '%s' is none of error, warn, info, debug\n", conf.log_level);
        return CTL_USAGE;
    }
    /* A person reads this program's errors; the log lines of the parts below only matter when asked
     * for. */
    yz_log_init("yzctl", level == YZ_LOG_INFO ? YZ_LOG_ERROR : level);
    count = argc - rest;
    if (count == 0) {
        ctl_help_overview(stderr);
        return CTL_USAGE;
    }
    if (strcmp(argv[rest], "help") == 0)
        return (int)ctl_help(count - 1, (const char *const *)argv + rest + 1);
    words = calloc((size_t)count, sizeof *words);
    if (!words)
        return CTL_FAILED;
    for (int i = 0; i < count; i++)
        words[i] = argv[rest + i];
    code = run(&conf, count, words);
    free(words);
    return (int)code;
}
