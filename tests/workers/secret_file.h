/* secret_file.h: which files the reader of a secret takes.
 *
 * Thread    the test's.
 */
#ifndef YZ_TEST_WORKERS_SECRET_FILE_H
#define YZ_TEST_WORKERS_SECRET_FILE_H

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Read the secret and let go of it. */
typedef enum yz_err read_secret_fn(const char *path);

static inline void write_secret(const char *path, size_t len)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        fputc('s', file);
    fclose(file);
}

/* Those that are there and have min to max bytes. */
static inline void expect_secret_file(read_secret_fn *read_secret, size_t min, size_t max)
{
    char path[] = "/tmp/yizhan-secret-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(read_secret(path), YZ_INVALID_VALUE);
    write_secret(path, min - 1);
    assert_int_equal(read_secret(path), YZ_INVALID_VALUE);
    write_secret(path, max + 1);
    assert_int_equal(read_secret(path), YZ_INVALID_VALUE);
    write_secret(path, max);
    assert_int_equal(read_secret(path), YZ_OK);
    write_secret(path, min);
    assert_int_equal(read_secret(path), YZ_OK);
    unlink(path);
    assert_int_equal(read_secret(path), YZ_INVALID_VALUE);
}

#endif
