/* Rule packs: what is built in, versions and their days, and every way in which a file is refused.
 */
#include "workers/rules.h"
#include "workers/rules_builtin.h"

#include "common/clock.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOGGED_MAX 4096

static char dir[64];
static char logged[LOGGED_MAX];

static int64_t at(const char *text)
{
    int64_t seconds;
    int32_t nanos;

    assert_true(yz_clock_parse(text, strlen(text), &seconds, &nanos));
    return seconds * 1000 + nanos / 1000000;
}

static void path_of(const char *pack, char out[256])
{
    snprintf(out, 256, "%s/%s.json", dir, pack);
}

static void write_pack(const char *pack, const void *text, size_t len)
{
    char path[256];
    FILE *file;

    path_of(pack, path);
    file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* A folder with the packs that are built in. */
static int make_folder(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/yizhan-rules-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    for (const struct wk_rules_file *file = wk_rules_builtin; file->name; file++)
        write_pack(file->name, file->text, file->len);
    return 0;
}

static int remove_folder(void **state)
{
    char path[256];

    (void)state;
    for (const struct wk_rules_file *file = wk_rules_builtin; file->name; file++) {
        path_of(file->name, path);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static json_t *built_in(const char *pack)
{
    const struct wk_rules_file *file = wk_rules_builtin;
    json_t *root;

    while (strcmp(file->name, pack) != 0)
        file++;
    root = json_loadb((const char *)file->text, file->len, 0, NULL);
    assert_non_null(root);
    return root;
}

static void write_json(const char *pack, json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));

    write_pack(pack, text, strlen(text));
    free(text);
    json_decref(root);
}

static json_t *version_of(json_t *root, size_t index)
{
    return json_array_get(json_object_get(root, "versions"), index);
}

/* One more version of the pack, like its first but for its name and day. */
static json_t *add_version(json_t *root, const char *name, const char *day)
{
    json_t *version = json_deep_copy(version_of(root, 0));

    json_object_set_new(version, "version", json_string(name));
    json_object_set_new(version, "effective_from", json_string(day));
    json_array_append_new(json_object_get(root, "versions"), version);
    return version;
}

static void set_rule(json_t *version, const char *rule, json_t *value)
{
    json_object_set_new(json_object_get(version, "rules"), rule, value);
}

/* Load the folder; `logged` is what that said. */
static enum yz_err load(struct wk_rules **rules)
{
    char path[256];
    int saved = dup(STDERR_FILENO), caught;
    enum yz_err err;
    ssize_t len;

    snprintf(path, sizeof path, "/tmp/yizhan-rules-log-%d", (int)getpid());
    caught = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && caught >= 0);
    fflush(stderr);
    assert_true(dup2(caught, STDERR_FILENO) >= 0);
    err = wk_rules_load(dir, rules);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    len = pread(caught, logged, sizeof logged - 1, 0);
    logged[len > 0 ? len : 0] = '\0';
    close(caught);
    unlink(path);
    return err;
}

static void assert_refused(const char *pack, const char *place, const char *reason)
{
    struct wk_rules *rules = NULL;
    char wanted[400];

    snprintf(wanted, sizeof wanted, "event=rules_unusable pack=%s place=\"%s\" reason=\"%s", pack,
             place, reason);
    assert_int_equal(load(&rules), YZ_INVALID_VALUE);
    assert_null(rules);
    if (!strstr(logged, wanted))
        fail_msg("wanted: %s\nlogged: %s", wanted, logged);
}

static void the_built_in_packs_load(void **state)
{
    struct wk_rules *rules;

    (void)state;
    assert_int_equal(wk_rules_load("", &rules), YZ_OK);
    assert_int_equal(wk_rules_meeting_at(rules, 0)->quorum_permille, 500);
    assert_int_equal(wk_rules_study_at(rules, 0)->member_minutes_per_year, 32 * 60);
    assert_int_equal(wk_rules_study_at(rules, 0)->secretary_minutes_per_year, 56 * 60);
    assert_int_equal(wk_rules_complaint_at(rules, 0)->acknowledge_days, 15);
    assert_int_equal(wk_rules_complaint_at(rules, 0)->resolve_days, 60);
    assert_int_equal(wk_rules_calendar_at(rules, 0)->utc_offset_minutes, 480);
    assert_string_equal(wk_rules_meeting_at(rules, INT64_MAX)->version, "2026-1");
    wk_rules_free(rules);
    wk_rules_free(NULL);
}

/* A decision made before the new version's day keeps what it was decided under. */
static void a_version_is_in_force_from_its_local_day(void **state)
{
    json_t *root = built_in("meeting");
    struct wk_rules *rules;

    (void)state;
    set_rule(add_version(root, "2026-2", "2026-07-01"), "quorum_permille", json_integer(600));
    set_rule(add_version(root, "2026-3", "2026-07-02"), "quorum_permille", json_integer(700));
    write_json("meeting", root);
    assert_int_equal(load(&rules), YZ_OK);
    const struct {
        const char *time, *version;
        int64_t permille;
    } cases[] = {
        {"1999-01-01T00:00:00Z", "2026-1", 500},
        {"2026-06-30T23:59:59.999+08:00", "2026-1", 500},
        {"2026-07-01T00:00:00+08:00", "2026-2", 600},
        {"2026-07-01T23:59:59.999+08:00", "2026-2", 600},
        {"2026-07-02T00:00:00+08:00", "2026-3", 700},
        {"2099-01-01T00:00:00Z", "2026-3", 700},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct wk_rules_meeting *at_time = wk_rules_meeting_at(rules, at(cases[i].time));

        assert_string_equal(at_time->version, cases[i].version);
        assert_int_equal(at_time->quorum_permille, cases[i].permille);
        assert_int_equal(wk_rules_meeting_version(rules, cases[i].version)->quorum_permille,
                         cases[i].permille);
    }
    assert_int_equal(wk_rules_meeting_at(rules, at("2026-08-01T00:00:00Z"))->effective_from_ms,
                     at("2026-07-02T00:00:00+08:00"));
    assert_null(wk_rules_meeting_version(rules, "2026-4"));
    assert_null(wk_rules_meeting_version(rules, ""));
    wk_rules_free(rules);
}

static void a_folder_takes_the_place_of_the_built_in_packs(void **state)
{
    json_t *root = built_in("study");
    struct wk_rules *rules;

    (void)state;
    json_object_set_new(version_of(root, 0), "version", json_string("province-1"));
    set_rule(version_of(root, 0), "member_minutes_per_year", json_integer(2400));
    write_json("study", root);
    assert_int_equal(load(&rules), YZ_OK);
    assert_string_equal(logged, "");
    assert_string_equal(wk_rules_study_at(rules, 0)->version, "province-1");
    assert_int_equal(wk_rules_study_at(rules, 0)->member_minutes_per_year, 2400);
    assert_int_equal(wk_rules_study_at(rules, 0)->complete_permille, 950);
    assert_null(wk_rules_study_version(rules, "2026-1"));
    wk_rules_free(rules);
}

static void the_bounds_belong_to_what_is_allowed(void **state)
{
    static const int edges[] = {0, 1000};
    struct wk_rules *rules;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *root = built_in("meeting");

        set_rule(version_of(root, 0), "quorum_permille", json_integer(edges[i]));
        write_json("meeting", root);
        assert_int_equal(load(&rules), YZ_OK);
        assert_int_equal(wk_rules_meeting_at(rules, 0)->quorum_permille, edges[i]);
        wk_rules_free(rules);
    }
}

static void refused_values(void **state)
{
    const struct {
        const char *rule;
        json_t *value; /* NULL: taken out */
        const char *reason;
    } cases[] = {
        {"quorum_permille", json_integer(1001), "out of bounds"},
        {"quorum_permille", json_integer(-1), "out of bounds"},
        {"quorum_permille", json_real(500.5), "not a whole number"},
        {"quorum_permille", json_string("500"), "not a whole number"},
        {"quorum_permille", json_null(), "not a whole number"},
        {"quorum_permille", NULL, "missing"},
        {"quorum", json_integer(500), "there is no such rule"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = built_in("meeting"), *added = add_version(root, "2026-2", "2026-07-01");
        char place[64];

        if (cases[i].value)
            set_rule(added, cases[i].rule, cases[i].value);
        else
            json_object_del(json_object_get(added, "rules"), cases[i].rule);
        write_json("meeting", root);
        snprintf(place, sizeof place, "versions[1].rules.%s", cases[i].rule);
        assert_refused("meeting", place, cases[i].reason);
    }
}

static void refused_versions(void **state)
{
    const struct {
        const char *name, *day, *reason;
    } cases[] = {
        {"2026-1", "2026-07-01", "the version's name stands twice"},
        {"", "2026-07-01", "no version's name"},
        {"a-name-that-is-longer-than-its-field", "2026-07-01", "no version's name"},
        {"2026-2", "2026-01-01", "its day is not after that of the version before"},
        {"2026-2", "2025-12-31", "its day is not after that of the version before"},
        {"2026-2", "2026-02-30", "effective_from is no day"},
        {"2026-2", "2026-7-1", "effective_from is no day"},
        {"2026-2", "2026-07-01T00:00:00Z", "effective_from is no day"},
        {"2026-2", "", "effective_from is no day"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = built_in("study");

        add_version(root, cases[i].name, cases[i].day);
        write_json("study", root);
        assert_refused("study", "versions[1]", cases[i].reason);
    }
}

static void a_version_says_where_it_comes_from(void **state)
{
    json_t *root = built_in("complaint");

    (void)state;
    json_object_del(version_of(root, 0), "provenance");
    write_json("complaint", root);
    assert_refused("complaint", "versions[0]", "no provenance");
    root = built_in("complaint");
    json_object_set_new(version_of(root, 0), "provenance", json_string(""));
    write_json("complaint", root);
    assert_refused("complaint", "versions[0]", "no provenance");
}

static void refused_files(void **state)
{
    static const char not_json[] = "{\"pack\": \"meeting\",\n \"versions\": [\n";
    static const char twice[] = "{\"pack\": \"meeting\", \"pack\": \"meeting\", \"versions\": []}";
    json_t *root = built_in("study");
    char path[256];
    char *large;

    (void)state;
    write_json("meeting", root);
    assert_refused("meeting", "pack", "another pack's name");
    root = built_in("meeting");
    json_array_clear(json_object_get(root, "versions"));
    write_json("meeting", root);
    assert_refused("meeting", "versions", "there are 1 to 32");
    write_pack("meeting", not_json, sizeof not_json - 1);
    assert_refused("meeting", "line 3", "");
    write_pack("meeting", twice, sizeof twice - 1);
    assert_refused("meeting", "line 1", "duplicate object key");
    write_pack("meeting", "[]", 2);
    assert_refused("meeting", "pack", "another pack's name");
    write_pack("meeting", "", 0);
    assert_refused("meeting", "line 1", "");
    path_of("meeting", path);
    large = calloc(1, 300 * 1024);
    assert_non_null(large);
    write_pack("meeting", large, 300 * 1024);
    free(large);
    assert_refused("meeting", path, "cannot be read, or is too large");
    unlink(path);
    assert_refused("meeting", path, "cannot be opened");
}

static void more_versions_than_fit_are_refused(void **state)
{
    json_t *root = built_in("meeting");
    struct wk_rules *rules;
    char name[32], day[16];

    (void)state;
    for (int i = 2; i <= 32; i++) {
        snprintf(name, sizeof name, "v%d", i);
        snprintf(day, sizeof day, "20%02d-01-01", 26 + i);
        add_version(root, name, day);
    }
    write_json("meeting", json_incref(root));
    assert_int_equal(load(&rules), YZ_OK);
    assert_string_equal(wk_rules_meeting_at(rules, INT64_MAX)->version, "v32");
    wk_rules_free(rules);
    add_version(root, "v33", "2099-01-01");
    write_json("meeting", root);
    assert_refused("meeting", "versions", "there are 1 to 32");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(the_built_in_packs_load),
        TEST(a_version_is_in_force_from_its_local_day),
        TEST(a_folder_takes_the_place_of_the_built_in_packs),
        TEST(the_bounds_belong_to_what_is_allowed),
        TEST(refused_values),
        TEST(refused_versions),
        TEST(a_version_says_where_it_comes_from),
        TEST(refused_files),
        TEST(more_versions_than_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
