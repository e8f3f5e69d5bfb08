#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 8

/* Parse the words as a program would; what it prints goes to *said (free it). */
static bool parse(struct yz_conf *conf, enum yz_conf_who who, const char *const *words, int *rest,
                  char **said)
{
    char *argv[WORDS_MAX + 2] = {(char *)"program"};
    size_t size = 0;
    FILE *saved = stderr;
    int argc = 1;
    bool good;

    for (; words && *words && argc <= WORDS_MAX; words++)
        argv[argc++] = (char *)*words;
    stderr = open_memstream(said, &size);
    good = yz_conf_parse(conf, who, argc, argv, "usage", rest);
    fclose(stderr);
    stderr = saved;
    return good;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_parsed(struct yz_conf *conf, enum yz_conf_who who, const char *const *words)
{
    char *said = NULL;

    if (!parse(conf, who, words, NULL, &said))
        fail_msg("refused: %s", said);
    assert_string_equal(said, "");
    free(said);
}

static void assert_refused(enum yz_conf_who who, const char *const *words, const char *reason)
{
    struct yz_conf conf;
    char *said = NULL;

    assert_false(parse(&conf, who, words, NULL, &said));
    if (!strstr(said, reason))
        fail_msg("'%s' is not in: %s", reason, said);
    free(said);
}

static void flag_beats_variable_beats_default(void **state)
{
    struct yz_conf conf;

    (void)state;
    assert_parsed(&conf, YZ_CONF_GATEWAY, NULL);
    assert_int_equal(conf.listen_port, 8080);
    assert_string_equal(conf.log_level, "info");
    setenv("YZ_LISTEN_PORT", "9000", 1);
    setenv("YZ_LOG_LEVEL", "", 1); /* empty counts as not set */
    assert_parsed(&conf, YZ_CONF_GATEWAY, NULL);
    assert_int_equal(conf.listen_port, 9000);
    assert_string_equal(conf.log_level, "info");
    assert_parsed(&conf, YZ_CONF_GATEWAY, WORDS("--listen-port", "9001", "--log-level=debug"));
    assert_int_equal(conf.listen_port, 9001);
    assert_string_equal(conf.log_level, "debug");
    unsetenv("YZ_LISTEN_PORT");
    unsetenv("YZ_LOG_LEVEL");
}

static void ranges_hold(void **state)
{
    struct yz_conf conf;

    (void)state;
    assert_parsed(&conf, YZ_CONF_GATEWAY, WORDS("--listen-port=0"));
    assert_parsed(&conf, YZ_CONF_GATEWAY, WORDS("--listen-port=65535"));
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port=65536"), "0 to 65535");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port=-1"), "'-1'");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port="), "''");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port=80x"), "'80x'");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port=99999999999999999999"), "whole number");
}

static void bad_words_are_told(void **state)
{
    (void)state;
    assert_refused(YZ_CONF_GATEWAY, WORDS("--nope"), "no such flag");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--listen-port"), "value is missing");
    assert_refused(YZ_CONF_GATEWAY, WORDS("stray"), "flags only");
    assert_refused(YZ_CONF_GATEWAY, WORDS("--threads=2"), "no such flag"); /* the worker's */
    assert_refused(YZ_CONF_WORKER, WORDS("--listen-port=1"), "no such flag");
}

/* All errors at once: whoever sets up a machine mends them in one go. */
static void every_error_is_told(void **state)
{
    struct yz_conf conf;
    char *said = NULL;

    (void)state;
    setenv("YZ_SESSIONS_MAX", "many", 1);
    assert_false(parse(&conf, YZ_CONF_GATEWAY, WORDS("--nope", "--listen-port=x"), NULL, &said));
    unsetenv("YZ_SESSIONS_MAX");
    assert_non_null(strstr(said, "YZ_SESSIONS_MAX"));
    assert_non_null(strstr(said, "--nope"));
    assert_non_null(strstr(said, "--listen-port"));
    free(said);
    /* A variable of another program is not looked at. */
    setenv("YZ_THREADS", "none", 1);
    assert_parsed(&conf, YZ_CONF_GATEWAY, NULL);
    unsetenv("YZ_THREADS");
}

static void rest_is_left_to_the_program(void **state)
{
    struct yz_conf conf;
    char *said = NULL;
    int rest;

    (void)state;
    assert_true(
        parse(&conf, YZ_CONF_CTL, WORDS("--log-level=warn", "apply", "--plan"), &rest, &said));
    assert_int_equal(rest, 2);
    free(said);
    assert_true(parse(&conf, YZ_CONF_CTL, WORDS("--", "--x"), &rest, &said));
    assert_int_equal(rest, 2);
    free(said);
    assert_true(parse(&conf, YZ_CONF_CTL, NULL, &rest, &said));
    assert_int_equal(rest, 1);
    free(said);
}

static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print(out);
    fclose(out);
    return text;
}

static void print_help(FILE *out)
{
    yz_conf_help(out, YZ_CONF_WORKER);
}

static void help_names_each_setting_of_the_program(void **state)
{
    char *help = printed(print_help), *table = printed(yz_conf_markdown);

    (void)state;
    assert_non_null(strstr(help, "--threads"));
    assert_non_null(strstr(help, "YZ_THREADS"));
    assert_null(strstr(help, "--listen-port"));
    assert_non_null(strstr(table, "| `YZ_LISTEN_PORT` | gateway |"));
    assert_non_null(strstr(table, "| `YZ_THREADS` | worker |"));
    free(help);
    free(table);
}

/* Each default lies in its own range. */
static void defaults_are_good(void **state)
{
    (void)state;
#define INT(who, field, def, min, max, help)                                                       \
    assert_true((int64_t)(def) >= (int64_t)(min) && (int64_t)(def) <= (int64_t)(max));
#define STR(who, field, def, help) assert_non_null(def);
#include "common/conf.def"
#undef INT
#undef STR
}

static void help_and_version_leave_with_0(void **state)
{
    static const char *const words[] = {"--help", "--version"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status;
        pid_t child;

        fflush(NULL);
        child = fork();
        if (child == 0) {
            char *argv[] = {(char *)"program", (char *)words[i], NULL};
            struct yz_conf conf;

            if (!freopen("/dev/null", "w", stdout) ||
                yz_conf_parse(&conf, YZ_CONF_CTL, 2, argv, "usage", NULL))
                _exit(9);
            _exit(8);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flag_beats_variable_beats_default),
        cmocka_unit_test(ranges_hold),
        cmocka_unit_test(bad_words_are_told),
        cmocka_unit_test(every_error_is_told),
        cmocka_unit_test(rest_is_left_to_the_program),
        cmocka_unit_test(help_names_each_setting_of_the_program),
        cmocka_unit_test(defaults_are_good),
        cmocka_unit_test(help_and_version_leave_with_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
