#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int pipe_ends[2], saved;

static int catch_stderr(void **state)
{
    (void)state;
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    if (saved < 0 || pipe(pipe_ends) != 0 || dup2(pipe_ends[1], STDERR_FILENO) < 0)
        return -1;
    close(pipe_ends[1]);
    return 0;
}

static int free_stderr(void **state)
{
    (void)state;
    close(pipe_ends[0]);
    return 0;
}

/* What was logged; standard error is itself again, so that a failure can be told. */
static const char *logged(void)
{
    static char text[4 * YZ_LOG_LINE_MAX];
    size_t len = 0;
    ssize_t got;

    dup2(saved, STDERR_FILENO);
    close(saved);
    while ((got = read(pipe_ends[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    return text;
}

static void line_is_key_and_value(void **state)
{
    const char *text;

    (void)state;
    yz_log_init("yz-test", YZ_LOG_INFO);
    yz_info("started", "port=%d", 8080);
    text = logged();
    assert_non_null(strstr(text, "time=20"));
    assert_non_null(strstr(text, " level=info program=yz-test pid="));
    assert_non_null(strstr(text, " event=started port=8080\n"));
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

static void level_decides_before_arguments(void **state)
{
    const char *text;

    (void)state;
    yz_log_init("yz-test", YZ_LOG_WARN);
    yz_info("quiet", "n=%d", evaluate());
    yz_debug("quiet", "n=%d", evaluate());
    yz_warn("loud", "n=%d", evaluate());
    yz_error("loud", "n=%d", evaluate());
    text = logged();
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "level=warn"));
    assert_non_null(strstr(text, "level=error"));
    assert_int_equal(evaluated, 2);
}

static void values_cannot_begin_a_line(void **state)
{
    const char *text;

    (void)state;
    yz_log_init("yz-test", YZ_LOG_INFO);
    yz_info("odd", "id=%s", "a\nlevel=error\r\nb");
    text = logged();
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
    assert_null(strchr(text, '\r'));
}

static void long_lines_are_cut(void **state)
{
    char value[2 * YZ_LOG_LINE_MAX];
    const char *text;

    (void)state;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    yz_log_init("yz-test", YZ_LOG_INFO);
    yz_info("long", "value=%s", value);
    text = logged();
    assert_true(strlen(text) <= YZ_LOG_LINE_MAX);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void levels_have_names(void **state)
{
    enum yz_log_level level = YZ_LOG_ERROR;

    (void)state;
    assert_true(yz_log_level_parse("debug", &level));
    assert_int_equal(level, YZ_LOG_DEBUG);
    assert_true(yz_log_level_parse("error", &level));
    assert_int_equal(level, YZ_LOG_ERROR);
    assert_false(yz_log_level_parse("", &level));
    assert_false(yz_log_level_parse("INFO", &level));
    assert_false(yz_log_level_parse("trace", &level));
}

#define caught(function) cmocka_unit_test_setup_teardown(function, catch_stderr, free_stderr)

int main(void)
{
    const struct CMUnitTest tests[] = {
        caught(line_is_key_and_value),       caught(level_decides_before_arguments),
        caught(values_cannot_begin_a_line),  caught(long_lines_are_cut),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
