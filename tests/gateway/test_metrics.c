#include "gateway/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *render(const struct gw_metrics *metrics)
{
    struct yz_buf buf;
    char *text;

    yz_buf_init(&buf, 1 << 20);
    gw_metrics_write(metrics, &buf);
    assert_false(buf.failed);
    text = strndup((const char *)buf.data, buf.len);
    yz_buf_deinit(&buf);
    return text;
}

static void writes_each_with_help_and_type(void **state)
{
    struct gw_metrics metrics = {0};
    char *text;

    (void)state;
    yz_count(&metrics.deliveries, 41);
    yz_count(&metrics.deliveries, 1);
    atomic_store(&metrics.sessions, 7);
    text = render(&metrics);
    assert_non_null(
        strstr(text, "# TYPE yizhan_gateway_sessions gauge\nyizhan_gateway_sessions 7\n"));
    assert_non_null(strstr(text, "# TYPE yizhan_gateway_deliveries_total counter\n"
                                 "yizhan_gateway_deliveries_total 42\n"));
    assert_non_null(strstr(text, "# HELP yizhan_gateway_deliveries_total "));
    free(text);
}

/* Names by the Prometheus rules: counters and only they end in _total, units are whole words and
 * base units, no family stands twice. */
static void names_follow_the_conventions(void **state)
{
    struct gw_metrics metrics = {0};
    char *text = render(&metrics), *save = NULL;
    char seen[128][80];
    size_t count = 0;

    (void)state;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[80], kind[16];
        size_t len;

        if (sscanf(line, "# TYPE %79s %15s", name, kind) != 2)
            continue;
        len = strlen(name);
        assert_true(strncmp(name, "yizhan_", 7) == 0 || strncmp(name, "process_", 8) == 0);
        assert_int_equal(strcmp(kind, "counter") == 0, strcmp(name + len - 6, "_total") == 0);
        assert_null(strstr(name, "micro"));
        assert_null(strstr(name, "milli"));
        for (const char *c = name; *c; c++)
            assert_true(islower(*c) || isdigit(*c) || *c == '_');
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(name, seen[i]);
        assert_true(count < sizeof seen / sizeof seen[0]);
        memcpy(seen[count++], name, len + 1);
    }
    assert_true(count > 30);
    free(text);
}

static void shows_times_in_seconds(void **state)
{
    struct gw_metrics metrics = {0};
    char *text;

    (void)state;
    yz_observe_us(&metrics.puback, 12000345);
    atomic_store(&metrics.clock_ahead_us, -250000);
    text = render(&metrics);
    assert_non_null(strstr(text, "\nyizhan_gateway_puback_seconds_sum 12.000345\n"));
    assert_non_null(strstr(text, "\nyizhan_gateway_clock_ahead_seconds -0.250000\n"));
    free(text);
}

static void tells_refusals_and_troubles_by_code(void **state)
{
    struct gw_metrics metrics = {0};
    char *text;

    (void)state;
    yz_count(&metrics.refused[YZ_BUSY], 3);
    yz_trouble_note(&metrics.troubles, YZ_TROUBLE_bus_disconnected, true);
    text = render(&metrics);
    assert_non_null(strstr(text, "\nyizhan_gateway_refused_total{code=\"busy\"} 3\n"));
    assert_non_null(strstr(text, "\nyizhan_gateway_refused_total{code=\"bad_frame\"} 0\n"));
    assert_non_null(strstr(text, "\nyizhan_trouble{code=\"bus_disconnected\"} 1\n"));
    assert_non_null(strstr(text, "\nyizhan_trouble{code=\"clock_skewed\"} 0\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_with_help_and_type),
        cmocka_unit_test(names_follow_the_conventions),
        cmocka_unit_test(shows_times_in_seconds),
        cmocka_unit_test(tells_refusals_and_troubles_by_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
