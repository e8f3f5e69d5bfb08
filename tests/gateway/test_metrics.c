#include "gateway/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
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
    gw_count(&metrics.deliveries, 41);
    gw_count(&metrics.deliveries, 1);
    atomic_store(&metrics.sessions, 7);
    text = render(&metrics);
    assert_non_null(
        strstr(text, "# TYPE yizhan_gateway_sessions gauge\nyizhan_gateway_sessions 7\n"));
    assert_non_null(strstr(text, "# TYPE yizhan_gateway_deliveries_total counter\n"
                                 "yizhan_gateway_deliveries_total 42\n"));
    assert_non_null(strstr(text, "# HELP yizhan_gateway_deliveries_total "));
    free(text);
}

/* Names by the Prometheus rules: counters end in _total, no name stands twice. */
static void names_follow_the_conventions(void **state)
{
    static const char *const counters[] = {
#define COUNTER(field, name, help) name,
#define GAUGE(field, name, help)
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
    };
    static const char *const all[] = {
#define COUNTER(field, name, help) name,
#define GAUGE(field, name, help)   name,
#include "gateway/metrics.def"
#undef COUNTER
#undef GAUGE
    };

    (void)state;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        assert_string_equal(counters[i] + strlen(counters[i]) - 6, "_total");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_memory_equal(all[i], "yizhan_gateway_", 15);
        for (const char *c = all[i]; *c; c++)
            assert_true(islower(*c) || isdigit(*c) || *c == '_');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(all[i], all[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_with_help_and_type),
        cmocka_unit_test(names_follow_the_conventions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
