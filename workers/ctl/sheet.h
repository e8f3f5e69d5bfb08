/* sheet.h: a table of texts from a CSV or JSON file, with all that is wrong with its form.
 *
 * CSV: RFC 4180, the first line names the columns; a byte-order mark is passed over. JSON: an array
 * of objects whose values are texts or numbers. A cell that a spreadsheet would run (it begins with
 * =, +, -, @, a tab or a return) is an error; a plain number or phone number is none.
 *
 * Lifetime  ctl_sheet_read .. ctl_sheet_deinit, also after a failure.
 * Thread    main.
 * Limits    CTL_SHEET_BYTES_MAX, CTL_SHEET_COLUMNS_MAX.
 */
#ifndef CTL_SHEET_H
#define CTL_SHEET_H

#include <stdbool.h>
#include <stddef.h>

#define CTL_SHEET_BYTES_MAX   ((size_t)512 << 20)
#define CTL_SHEET_COLUMNS_MAX 32

struct ctl_sheet_row {
    int line;           /* where it begins; of JSON: which entry it is */
    const char **cells; /* one for each column, "" when there is none */
};

/* What is wrong, and where. column is a name, "" for a whole line. */
struct ctl_sheet_error {
    int line;
    char column[64];
    char text[256];
};

struct ctl_sheet {
    char *bytes; /* what the cells point into */
    void *json;
    const char *names[CTL_SHEET_COLUMNS_MAX];
    size_t columns;
    struct ctl_sheet_row *rows;
    size_t count, cap;
    struct ctl_sheet_error *errors;
    size_t error_count, error_cap;
};

/* It can be converted from this encoding ("gb18030", whatever iconv knows). */
bool ctl_sheet_encoding_known(const char *encoding);
/* encoding: NULL: UTF-8; else one that is known. false: an error says why not one row
 * could be read. */
bool ctl_sheet_read(struct ctl_sheet *sheet, const char *path, const char *encoding);
void ctl_sheet_deinit(struct ctl_sheet *sheet);
/* The column's number, or columns when there is none of this name. */
size_t ctl_sheet_column(const struct ctl_sheet *sheet, const char *name);
void ctl_sheet_complain(struct ctl_sheet *sheet, int line, const char *column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* In the order of their lines. */
void ctl_sheet_sort_errors(struct ctl_sheet *sheet);

#endif
