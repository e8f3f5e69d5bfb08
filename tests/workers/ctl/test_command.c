/* The command line: which command, which flags, and that every command explains itself. */
#include "workers/ctl/command.h"
#include "workers/ctl/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct ctl_flag flags[] = {
    {.name = "plan", .kind = CTL_SWITCH, .help = "h"},
    {.name = "tenant", .kind = CTL_TEXT, .value = "ID", .required = true, .help = "h"},
    {.name = "ttl", .kind = CTL_NUMBER, .value = "S", .def = 7, .min = 1, .max = 60, .help = "h"},
    {.name = "role", .kind = CTL_LIST, .value = "R", .help = "h"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};
static const struct ctl_command command = {
    .name = "try", .words = "A [B]", .word_min = 1, .word_max = 2, .groups = groups};

#define PARSE(ctl, ...)                                                                            \
    ctl_args_parse(&command, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),               \
                   (const char *[]){__VA_ARGS__}, &(ctl)->args)

static void sorts_flags_and_words(void **state)
{
    struct ctl ctl = {.command = &command};
    const char *argv[] = {"a", "--tenant", "t", "--role=x", "b", "--role", "y", "--plan"};
    const char *const *roles;

    (void)state;
    assert_true(ctl_args_parse(&command, 8, argv, &ctl.args));
    assert_int_equal(ctl.args.word_count, 2);
    assert_string_equal(ctl.args.words[0], "a");
    assert_string_equal(ctl.args.words[1], "b");
    assert_string_equal(ctl_text(&ctl, "tenant"), "t");
    assert_true(ctl_given(&ctl, "plan"));
    assert_false(ctl_given(&ctl, "json"));
    assert_int_equal(ctl_number(&ctl, "ttl"), 7);
    assert_int_equal(ctl_list(&ctl, "role", &roles), 2);
    assert_string_equal(roles[1], "y");
}

static void takes_numbers_within_their_range(void **state)
{
    struct ctl ctl = {.command = &command};

    (void)state;
    assert_true(PARSE(&ctl, "a", "--tenant", "t", "--ttl", "60"));
    assert_int_equal(ctl_number(&ctl, "ttl"), 60);
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--ttl", "61"));
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--ttl", "0"));
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--ttl", "5s"));
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--ttl", ""));
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--ttl", "99999999999999999999"));
}

static void refuses_what_is_wrong(void **state)
{
    struct ctl ctl = {.command = &command};

    (void)state;
    assert_false(PARSE(&ctl, "a"));                                       /* required */
    assert_false(PARSE(&ctl, "--tenant", "t"));                           /* no word */
    assert_false(PARSE(&ctl, "a", "b", "c", "--tenant", "t"));            /* too many */
    assert_false(PARSE(&ctl, "a", "--tenant"));                           /* no value */
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--tenant", "u"));     /* twice */
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--tenants", "u"));    /* unknown */
    assert_false(PARSE(&ctl, "a", "--tenant", "t", "--plan=yes"));        /* a switch */
    assert_true(PARSE(&ctl, "a", "--tenant", "t", "--", "--not-a-flag")); /* behind -- */
    assert_string_equal(ctl.args.words[1], "--not-a-flag");
}

static void finds_commands_of_two_words(void **state)
{
    const char *list[] = {"dlq", "list", "x"}, *half[] = {"dlq"}, *none[] = {"dlq", "lis"};
    const char *one[] = {"apply", "--plan"};
    int used = 0;

    (void)state;
    assert_ptr_equal(ctl_command_find(3, list, &used), &ctl_dlq_list);
    assert_int_equal(used, 2);
    assert_null(ctl_command_find(1, half, &used));
    assert_null(ctl_command_find(2, none, &used));
    assert_ptr_equal(ctl_command_find(2, one, &used), &ctl_apply);
    assert_int_equal(used, 1);
    assert_null(ctl_command_find(0, one, &used));
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    for (const struct ctl_command *const *c = ctl_commands; *c; c++) {
        struct ctl ctl = {.command = *c};

        assert_true(strlen((*c)->summary) > 10);
        assert_true(strlen((*c)->help) > 30);
        assert_non_null(strstr((*c)->examples, (*c)->name));
        assert_non_null((*c)->exec);
        assert_true((*c)->word_min <= (*c)->word_max);
        assert_int_equal((*c)->word_max > 0, *(*c)->words != '\0');
        ctl_args_parse(*c, 0, NULL, &ctl.args);
        assert_false(ctl_given(&ctl, "json")); /* declared by all of them */
        for (int i = 0; i < ctl.args.flag_count; i++) {
            assert_non_null(ctl.args.flags[i]->help);
            assert_int_equal(ctl.args.flags[i]->kind == CTL_SWITCH,
                             ctl.args.flags[i]->value == NULL);
            for (int j = 0; j < i; j++)
                assert_string_not_equal(ctl.args.flags[i]->name, ctl.args.flags[j]->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_flags_and_words),
        cmocka_unit_test(takes_numbers_within_their_range),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(finds_commands_of_two_words),
        cmocka_unit_test(every_command_explains_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
