/* Troubles begin and end once, whatever is reported; what a process answers is JSON. */
#include "common/log.h"
#include "common/presence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What is logged between begin_capture and end_capture. */
static int kept = -1;
static FILE *captured;

static void begin_capture(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    kept = dup(STDERR_FILENO);
    dup2(fileno(captured), STDERR_FILENO);
}

static void end_capture(char *out, size_t cap)
{
    size_t len;

    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(captured);
    len = fread(out, 1, cap - 1, captured);
    out[len] = '\0';
    fclose(captured);
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, word)); at++)
        count++;
    return count;
}

static void a_trouble_is_logged_when_it_changes(void **state)
{
    struct yz_troubles troubles = {0};
    char text[8192];

    (void)state;
    yz_log_init("test", YZ_LOG_INFO);
    begin_capture();
    yz_trouble_note(&troubles, YZ_TROUBLE_database_unreachable, false);
    for (int i = 0; i < 100; i++)
        yz_trouble_set(&troubles, YZ_TROUBLE_database_unreachable, true, "try=%d", i);
    for (int i = 0; i < 100; i++)
        yz_trouble_note(&troubles, YZ_TROUBLE_database_unreachable, false);
    end_capture(text, sizeof text);
    assert_int_equal(count_of(text, "\n"), 2);
    assert_non_null(strstr(text, "level=error"));
    assert_non_null(strstr(text, "event=trouble code=database_unreachable"));
    assert_non_null(strstr(text, "try=0"));
    assert_non_null(strstr(text, "level=info"));
    assert_non_null(strstr(text, "event=trouble_over code=database_unreachable lasted_ms="));
}

static void a_trouble_that_is_not_seen_again_expires(void **state)
{
    struct yz_troubles troubles = {0};

    (void)state;
    yz_trouble_note(&troubles, YZ_TROUBLE_events_refused, true);
    yz_trouble_expire(&troubles, YZ_TROUBLE_events_refused, 1000000);
    assert_true(yz_trouble_there(&troubles, YZ_TROUBLE_events_refused));
    yz_trouble_expire(&troubles, YZ_TROUBLE_events_refused, 0);
    assert_false(yz_trouble_there(&troubles, YZ_TROUBLE_events_refused));
}

static void everything_wrong_at_once_fits(void **state)
{
    struct yz_troubles troubles = {0};
    struct yz_process process = {.open_fds = INT64_MAX, .max_fds = INT64_MAX};
    struct yz_presence presence = {.kind = "gateway",
                                   .id = "host-1",
                                   .reason = "not connected to NATS",
                                   .load_name = "sessions",
                                   .load = INT64_MAX,
                                   .process = &process,
                                   .troubles = &troubles};
    char text[YZ_PRESENCE_MAX];
    size_t len;

    (void)state;
    yz_log_init("test", YZ_LOG_ERROR);
    for (int i = 0; i < YZ_TROUBLES; i++)
        yz_trouble_note(&troubles, (enum yz_trouble)i, true);
    len = yz_presence_write(&presence, text);
    assert_true(len > 0 && len == strlen(text));
    assert_int_equal(count_of(text, "\"since_ms\":"), YZ_TROUBLES);
    assert_non_null(strstr(text, "\"ready\":false,\"reason\":\"not connected to NATS\""));
    assert_int_equal(yz_troubles_json(&troubles, text, 40), 0);
}

static void a_process_counts_its_descriptors(void **state)
{
    struct yz_process before, after, many = {.open_fds = 96, .max_fds = 100};
    struct rlimit limit;
    int fd;

    (void)state;
    yz_process_read(&before);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    yz_process_read(&after);
    close(fd);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(after.max_fds, limit.rlim_cur);
    assert_true(after.rss_bytes > 100000);
    assert_false(yz_process_short(&after));
    assert_true(yz_process_short(&many));
}

static void log_a_hundred(void)
{
    for (int i = 0; i < 100; i++)
        yz_warn_spaced("thing_failed", "n=%d", i);
}

static void spaced_lines_are_bounded(void **state)
{
    char text[8192];

    (void)state;
    yz_log_init("test", YZ_LOG_INFO);
    begin_capture();
    log_a_hundred();
    end_capture(text, sizeof text);
    assert_int_equal(count_of(text, "event=thing_failed n=0 left_out=0"), 1);
    assert_int_equal(count_of(text, "\n"), 1);
}

static void a_spaced_line_tells_what_was_left_out(void **state)
{
    struct yz_log_gap gap = {0};
    uint64_t left_out = 7;

    (void)state;
    assert_true(yz_log_due(&gap, &left_out));
    assert_int_equal(left_out, 0);
    for (int i = 0; i < 5; i++)
        assert_false(yz_log_due(&gap, &left_out));
    gap.next_mono_ms = 0; /* the gap is over */
    assert_true(yz_log_due(&gap, &left_out));
    assert_int_equal(left_out, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trouble_is_logged_when_it_changes),
        cmocka_unit_test(a_trouble_that_is_not_seen_again_expires),
        cmocka_unit_test(everything_wrong_at_once_fits),
        cmocka_unit_test(a_process_counts_its_descriptors),
        cmocka_unit_test(spaced_lines_are_bounded),
        cmocka_unit_test(a_spaced_line_tells_what_was_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
