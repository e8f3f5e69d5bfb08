/* What the streams shall be, and what apply makes of a real one's configuration. */
#include "workers/ctl/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct yz_conf defaults(void)
{
    char *argv[] = {"yzctl"};
    struct yz_conf conf;

    assert_true(yz_conf_parse(&conf, YZ_CONF_CTL, 1, argv, "", NULL));
    return conf;
}

static json_t *declared(const char *name)
{
    struct yz_conf conf = defaults();

    return ctl_stream_config(ctl_stream_find(name), &conf);
}

static int64_t number(const json_t *config, const char *field)
{
    return json_integer_value(json_object_get(config, field));
}

static const char *text(const json_t *config, const char *field)
{
    return json_string_value(json_object_get(config, field));
}

static void declares_a_work_queue_that_refuses_when_full(void **state)
{
    json_t *config = declared("EVENTS");

    (void)state;
    assert_string_equal(text(config, "retention"), "workqueue");
    assert_string_equal(text(config, "discard"), "new");
    assert_int_equal(number(config, "max_bytes"), 1073741824);
    assert_int_equal(number(config, "max_age"), 0);
    assert_int_equal(number(config, "duplicate_window"), 120000000000);
    assert_null(json_object_get(config, "republish"));
    json_decref(config);
}

static void declares_republished_channels(void **state)
{
    json_t *channels = declared("CHANNELS"), *threads = declared("THREADS");

    (void)state;
    assert_string_equal(text(json_object_get(channels, "republish"), "src"), "chan.>");
    assert_string_equal(text(json_object_get(channels, "republish"), "dest"), "live.chan.>");
    assert_string_equal(text(channels, "discard"), "old");
    assert_int_equal(number(threads, "max_msgs_per_subject"),
                     10 * number(channels, "max_msgs_per_subject"));
    json_decref(channels);
    json_decref(threads);
}

static void keeps_the_window_within_the_age(void **state)
{
    json_t *workers = declared("KV_WORKERS"), *partitions = declared("KV_PARTITIONS");

    (void)state;
    assert_int_equal(number(workers, "max_age"), 3000000000);
    assert_int_equal(number(workers, "duplicate_window"), 3000000000);
    assert_int_equal(number(partitions, "max_age"), 0);
    assert_int_equal(number(partitions, "max_msgs_per_subject"), 1);
    json_decref(workers);
    json_decref(partitions);
}

static void finds_nothing_where_only_the_server_added(void **state)
{
    json_t *want = declared("CHANNELS"), *have = json_deep_copy(want), *changes;

    (void)state;
    json_object_set_new(have, "compression", json_string("none"));
    json_object_set_new(have, "metadata", json_pack("{s:s}", CTL_EPOCH_KEY, "1.x"));
    json_object_set_new(json_object_get(have, "republish"), "headers_only", json_false());
    changes = ctl_stream_diff(want, have);
    assert_int_equal(json_array_size(changes), 0);
    json_decref(changes);
    json_decref(have);
    json_decref(want);
}

static void takes_left_out_for_unset(void **state)
{
    json_t *want = declared("EVENTS"), *have = json_deep_copy(want), *changes;

    (void)state;
    json_object_del(have, "max_age"); /* 0 */
    changes = ctl_stream_diff(want, have);
    assert_int_equal(json_array_size(changes), 0);
    json_decref(changes);
    json_object_del(have, "allow_direct"); /* true is wanted */
    changes = ctl_stream_diff(want, have);
    assert_int_equal(json_array_size(changes), 1);
    json_decref(changes);
    json_decref(have);
    json_decref(want);
}

static void tells_each_difference(void **state)
{
    json_t *want = declared("CHANNELS"), *have = json_deep_copy(want), *changes, *merged;

    (void)state;
    json_object_set_new(have, "max_age", json_integer(5));
    json_object_set_new(json_object_get(have, "republish"), "dest", json_string("elsewhere.>"));
    json_object_set_new(have, "description", json_string("mine"));
    changes = ctl_stream_diff(want, have);
    assert_int_equal(json_array_size(changes), 2);
    assert_string_equal(text(json_array_get(changes, 0), "field"), "max_age");
    assert_int_equal(number(json_array_get(changes, 0), "from"), 5);
    assert_null(ctl_stream_obstacle(changes, want, NULL));
    merged = ctl_stream_merge(want, have);
    assert_string_equal(text(merged, "description"), "mine"); /* not ours: stays */
    assert_int_equal(number(merged, "max_age"), number(want, "max_age"));
    json_decref(merged);
    json_decref(changes);
    json_decref(have);
    json_decref(want);
}

/* The obstacle to turning `field` of a stream from something else into what is declared. */
static const char *obstacle(const char *stream, const char *field, json_t *was, const json_t *info)
{
    json_t *want = declared(stream), *have = json_deep_copy(want), *changes;
    const char *reason;

    if (strcmp(field, "num_replicas") == 0)
        json_object_set_new(want, field, json_integer(3));
    json_object_set_new(have, field, was);
    changes = ctl_stream_diff(want, have);
    assert_int_equal(json_array_size(changes), 1);
    reason = ctl_stream_obstacle(changes, want, info);
    json_decref(changes);
    json_decref(have);
    json_decref(want);
    return reason;
}

static void refuses_what_cannot_be_done(void **state)
{
    json_t *full = json_pack("{s:{s:I}}", "state", "bytes", (json_int_t)2000000000);
    json_t *empty = json_pack("{s:{s:i}}", "state", "bytes", 0);
    json_t *cluster = json_pack("{s:{s:s}}", "cluster", "name", "c");

    (void)state;
    assert_non_null(obstacle("EVENTS", "retention", json_string("limits"), empty));
    assert_non_null(obstacle("EVENTS", "storage", json_string("memory"), empty));
    assert_non_null(obstacle("EVENTS", "max_bytes", json_integer(-1), full));
    assert_null(obstacle("EVENTS", "max_bytes", json_integer(-1), empty));
    assert_string_equal(obstacle("STATE", "num_replicas", json_integer(1), empty),
                        CTL_NO_CLUSTER_TEXT);
    assert_null(obstacle("STATE", "num_replicas", json_integer(1), cluster));
    json_decref(full);
    json_decref(empty);
    json_decref(cluster);
}

static void writes_and_reads_epochs(void **state)
{
    char epoch[CTL_EPOCH_MAX];

    (void)state;
    ctl_epoch_format(3, 35, epoch);
    assert_string_equal(epoch, "3.z");
    ctl_epoch_format(8388607, 1700000000000, epoch);
    assert_string_equal(epoch, "8388607.loyw3v28");
    assert_int_equal(ctl_epoch_generation(epoch), 8388607);
    assert_int_equal(ctl_epoch_generation("3.z"), 3);
    assert_int_equal(ctl_epoch_generation(""), 0);
    assert_int_equal(ctl_epoch_generation("x.1"), 0);
    assert_int_equal(ctl_epoch_generation("-1.1"), 0);
    assert_int_equal(ctl_epoch_generation("12"), 0);
}

static void counts_the_generation_of_the_next_sequence(void **state)
{
    const int64_t first = INT64_C(1) << CTL_FIRST_BITS;
    const struct {
        int64_t last, generation;
    } cases[] = {{0, 0}, {first - 1, 1}, {first, 1}, {2 * first - 2, 1}, {5 * first + 9, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *info = json_pack("{s:{s:I}}", "state", "last_seq", (json_int_t)cases[i].last);

        assert_int_equal(ctl_stream_generation(info), cases[i].generation);
        json_decref(info);
    }
}

static void shows_values_with_their_units(void **state)
{
    static const struct {
        const char *field, *json, *shown;
    } cases[] = {
        {"max_age", "0", "none"},
        {"max_age", "60000000000", "60 s"},
        {"duplicate_window", "1500000000", "1500 ms"},
        {"max_bytes", "1073741824", "1024 MiB"},
        {"max_bytes", "1000", "1000"},
        {"max_bytes", "-1", "unlimited"},
        {"discard", "\"new\"", "new"},
        {"subjects", "[\"a.>\"]", "[\"a.>\"]"},
        {"allow_direct", "true", "true"},
        {"metadata", "null", "none"},
    };
    char shown[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

        ctl_field_text(cases[i].field, value, shown, sizeof shown);
        assert_string_equal(shown, cases[i].shown);
        json_decref(value);
    }
    ctl_field_text("republish", NULL, shown, sizeof shown);
    assert_string_equal(shown, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declares_a_work_queue_that_refuses_when_full),
        cmocka_unit_test(declares_republished_channels),
        cmocka_unit_test(keeps_the_window_within_the_age),
        cmocka_unit_test(finds_nothing_where_only_the_server_added),
        cmocka_unit_test(takes_left_out_for_unset),
        cmocka_unit_test(tells_each_difference),
        cmocka_unit_test(refuses_what_cannot_be_done),
        cmocka_unit_test(writes_and_reads_epochs),
        cmocka_unit_test(counts_the_generation_of_the_next_sequence),
        cmocka_unit_test(shows_values_with_their_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
