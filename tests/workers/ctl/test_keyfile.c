/* Files of keys: their names, and that none is ever overwritten. */
#include "workers/ctl/keyfile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void reads_names(void **state)
{
    struct ctl_keyname name;

    (void)state;
    assert_true(ctl_keyfile_parse("some/where/demo.HS256.key", &name));
    assert_string_equal(name.kid, "demo");
    assert_string_equal(name.algorithm, "HS256");
    assert_int_equal(name.part, CTL_KEY_SECRET);
    assert_true(ctl_keyfile_parse("k-1.ES256.pem", &name));
    assert_int_equal(name.part, CTL_KEY_PUBLIC);
    assert_true(ctl_keyfile_parse("k-1.ES256.private.pem", &name));
    assert_string_equal(name.kid, "k-1");
    assert_int_equal(name.part, CTL_KEY_PRIVATE);
}

static void passes_over_other_names(void **state)
{
    static const char *const others[] = {"",
                                         "demo",
                                         ".HS256.key",
                                         "demo.HS256.pem",
                                         "demo.key",
                                         "demo.HS512.key",
                                         "a b.HS256.key",
                                         "checkin-code.secret",
                                         "demo.RS256.pem~"};
    struct ctl_keyname name;

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(ctl_keyfile_parse(others[i], &name));
}

static void gives_the_path_back(void **state)
{
    struct ctl_keyname name;
    char path[CTL_PATH_MAX], folder[CTL_PATH_MAX];

    (void)state;
    assert_true(ctl_keyfile_parse("x.RS256.private.pem", &name));
    assert_true(ctl_keyfile_path("keys", &name, path));
    assert_string_equal(path, "keys/x.RS256.private.pem");
    memset(folder, 'd', sizeof folder);
    folder[sizeof folder - 1] = '\0';
    assert_false(ctl_keyfile_path(folder, &name, path));
}

static void writes_once_and_for_the_owner(void **state)
{
    char folder[] = "/tmp/yz_keyfile_XXXXXX", path[64];
    struct stat about;
    uint8_t *data;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.HS256.key", folder);
    assert_null(ctl_keyfile_read(path, &len));
    assert_true(ctl_keyfile_write(path, "one\0two", 7, 0600));
    assert_false(ctl_keyfile_write(path, "other", 5, 0600));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    data = ctl_keyfile_read(path, &len);
    assert_non_null(data);
    assert_int_equal(len, 7);
    assert_memory_equal(data, "one\0two", 7);
    ctl_keyfile_free(data, len);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void makes_text_of_random_bytes(void **state)
{
    char a[65], b[65];

    (void)state;
    assert_true(ctl_keyfile_random(a));
    assert_true(ctl_keyfile_random(b));
    assert_int_equal(strlen(a), 64);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     64);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names),
        cmocka_unit_test(passes_over_other_names),
        cmocka_unit_test(gives_the_path_back),
        cmocka_unit_test(writes_once_and_for_the_owner),
        cmocka_unit_test(makes_text_of_random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
