/* A table of texts from a file: its form, and all that is wrong with it. */
#include "workers/ctl/sheet.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct ctl_sheet sheet;
static char path[64];

static bool read_bytes(const char *suffix, const char *bytes, size_t len, const char *encoding)
{
    int fd;

    snprintf(path, sizeof path, "/tmp/yizhan-sheet-XXXXXX%s", suffix);
    fd = mkstemps(path, (int)strlen(suffix));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
    bool good = ctl_sheet_read(&sheet, path, encoding);

    unlink(path);
    return good;
}

static bool read_text(const char *text)
{
    return read_bytes(".csv", text, strlen(text), NULL);
}

static int done(void **state)
{
    (void)state;
    ctl_sheet_deinit(&sheet);
    return 0;
}

static void assert_error(size_t index, int line, const char *column, const char *part)
{
    assert_true(index < sheet.error_count);
    assert_int_equal(sheet.errors[index].line, line);
    assert_string_equal(sheet.errors[index].column, column);
    if (!strstr(sheet.errors[index].text, part))
        fail_msg("%s", sheet.errors[index].text);
}

static void test_plain(void **state)
{
    (void)state;
    assert_true(read_text("a,b\r\n1,2\r\n\r\n3,\n"));
    assert_int_equal(sheet.columns, 2);
    assert_int_equal(sheet.count, 2);
    assert_string_equal(sheet.rows[0].cells[1], "2");
    assert_int_equal(sheet.rows[1].line, 4);
    assert_string_equal(sheet.rows[1].cells[0], "3");
    assert_string_equal(sheet.rows[1].cells[1], "");
    assert_int_equal(sheet.error_count, 0);
}

static void test_quotes(void **state)
{
    (void)state;
    assert_true(read_text("a,b\n\"x, \"\"y\"\"\nz\",\"\"\n1,2"));
    assert_string_equal(sheet.rows[0].cells[0], "x, \"y\"\nz");
    assert_string_equal(sheet.rows[0].cells[1], "");
    assert_int_equal(sheet.rows[1].line, 4);
    assert_string_equal(sheet.rows[1].cells[1], "2");
}

static void test_open_quote(void **state)
{
    (void)state;
    assert_false(read_text("a,b\n1,\"2\n3,4\n"));
    assert_error(0, 4, "", "not closed");
    ctl_sheet_deinit(&sheet);
    assert_false(read_text("a,b\n1,\"2\"\""));
    assert_error(0, 2, "", "not closed");
    ctl_sheet_deinit(&sheet);
    assert_false(read_text("a,b\n\"1\"x,2\n"));
    assert_error(0, 2, "", "behind a closing quote");
}

static void test_mark(void **state)
{
    (void)state;
    assert_true(read_text("\xEF\xBB\xBF"
                          "a,b\n1,2\n"));
    assert_string_equal(sheet.names[0], "a");
}

static void test_cells(void **state)
{
    (void)state;
    assert_true(read_text("a,b\n1\n1,2,3\n1,2\n"));
    assert_int_equal(sheet.error_count, 2);
    assert_error(0, 2, "", "1 cells");
    assert_error(1, 3, "", "3 cells");
    ctl_sheet_deinit(&sheet);
    assert_false(read_text("a,b,a\n1,2,3\n"));
    assert_error(0, 1, "a", "twice");
    ctl_sheet_deinit(&sheet);
    assert_false(read_text(""));
    assert_error(0, 1, "", "empty");
}

static void test_formulas(void **state)
{
    (void)state;
    assert_true(read_text("a,b\n=1+1,x\n@SUM(A1),-cmd\n+8613800138000,-3.5\n\"\t=1\",+1+1\n"));
    assert_int_equal(sheet.error_count, 5);
    assert_error(0, 2, "a", "begins with =");
    assert_error(1, 3, "a", "begins with @");
    assert_error(2, 3, "b", "begins with -");
    assert_error(3, 5, "a", "begins with a tab");
    assert_error(4, 5, "b", "begins with +");
}

/* "a,b\n张三,1\n" in GB18030. */
#define GB "a,b\n\xD5\xC5\xC8\xFD,1\n"

static void test_encodings(void **state)
{
    (void)state;
    assert_false(read_text(GB));
    assert_error(0, 2, "", "GB18030");
    ctl_sheet_deinit(&sheet);
    assert_true(read_bytes(".csv", GB, strlen(GB), "gb18030"));
    assert_string_equal(sheet.rows[0].cells[0], "张三");
    ctl_sheet_deinit(&sheet);
    assert_false(read_text("a,b\n1,2\n\xFF\xFF\xFF,1\n"));
    assert_error(0, 3, "", "not UTF-8");
    ctl_sheet_deinit(&sheet);
    assert_false(read_bytes(".csv",
                            "\xFF\xFE"
                            "a\0,\0b\0",
                            8, NULL));
    assert_error(0, 1, "", "UTF-16");
    ctl_sheet_deinit(&sheet);
    assert_false(read_bytes(".csv", "a,b\n1,\0\n", 8, NULL));
    assert_error(0, 2, "", "NUL");
    ctl_sheet_deinit(&sheet);
    assert_true(ctl_sheet_encoding_known("gb18030") && ctl_sheet_encoding_known("UTF-16"));
    assert_true(ctl_sheet_encoding_known("gbk") && ctl_sheet_encoding_known("big5"));
    assert_false(ctl_sheet_encoding_known("no-such-encoding"));
    assert_false(ctl_sheet_encoding_known(""));
    assert_false(read_bytes(".csv", GB, strlen(GB), "no-such-encoding"));
    assert_int_equal(sheet.error_count, 1);
}

static bool read_json(const char *text)
{
    return read_bytes(".json", text, strlen(text), NULL);
}

static void test_json(void **state)
{
    (void)state;
    assert_true(
        read_json("[{\"a\":\"x\",\"b\":13800138000},{\"b\":null,\"c\":\"=1\"},{\"a\":[]}]"));
    assert_int_equal(sheet.count, 3);
    assert_int_equal(sheet.columns, 3);
    assert_string_equal(sheet.rows[0].cells[1], "13800138000");
    assert_string_equal(sheet.rows[1].cells[0], "");
    assert_int_equal(sheet.error_count, 2);
    assert_error(0, 3, "a", "neither a text nor a number");
    assert_error(1, 2, "c", "begins with =");
    ctl_sheet_sort_errors(&sheet);
    assert_error(0, 2, "c", "begins with =");
    ctl_sheet_deinit(&sheet);
    assert_false(read_json("[{\"a\":\n\"x\""));
    assert_int_equal(sheet.errors[0].line, 2);
    ctl_sheet_deinit(&sheet);
    assert_false(read_json("{\"a\":\"x\"}"));
    assert_error(0, 1, "", "no array");
    ctl_sheet_deinit(&sheet);
    assert_false(read_json("[{\"a\":1,\"a\":2}]"));
}

static void test_no_file(void **state)
{
    (void)state;
    assert_false(ctl_sheet_read(&sheet, "/nonexistent/roll.csv", NULL));
    assert_int_equal(sheet.error_count, 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),     TEST(test_quotes), TEST(test_open_quote),
        TEST(test_mark),      TEST(test_cells),  TEST(test_formulas),
        TEST(test_encodings), TEST(test_json),   TEST(test_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
