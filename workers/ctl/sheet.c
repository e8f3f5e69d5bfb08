#include "workers/ctl/sheet.h"

#include "common/memory.h"
#include "schemas/text.h"

#include <errno.h>
#include <iconv.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ctl_sheet_complain(struct ctl_sheet *sheet, int line, const char *column, const char *fmt, ...)
{
    struct ctl_sheet_error *error;
    va_list args;

    if (sheet->error_count == sheet->error_cap) {
        sheet->error_cap = sheet->error_cap ? sheet->error_cap * 2 : 64;
        sheet->errors = yz_realloc(sheet->errors, sheet->error_cap * sizeof *sheet->errors);
    }
    error = &sheet->errors[sheet->error_count++];
    error->line = line;
    snprintf(error->column, sizeof error->column, "%s", column);
    va_start(args, fmt);
    vsnprintf(error->text, sizeof error->text, fmt, args);
    va_end(args);
}

static int by_line(const void *a, const void *b)
{
    const struct ctl_sheet_error *left = a, *right = b;

    return left->line != right->line ? (left->line > right->line) - (left->line < right->line)
                                     : strcmp(left->column, right->column);
}

void ctl_sheet_sort_errors(struct ctl_sheet *sheet)
{
    if (sheet->error_count > 1)
        qsort(sheet->errors, sheet->error_count, sizeof *sheet->errors, by_line);
}

size_t ctl_sheet_column(const struct ctl_sheet *sheet, const char *name)
{
    size_t i = 0;

    while (i < sheet->columns && strcmp(sheet->names[i], name) != 0)
        i++;
    return i;
}

static struct ctl_sheet_row *new_row(struct ctl_sheet *sheet, int line)
{
    struct ctl_sheet_row *row;

    if (sheet->count == sheet->cap) {
        sheet->cap = sheet->cap ? sheet->cap * 2 : 256;
        sheet->rows = yz_realloc(sheet->rows, sheet->cap * sizeof *sheet->rows);
    }
    row = &sheet->rows[sheet->count++];
    row->line = line;
    row->cells = yz_calloc(CTL_SHEET_COLUMNS_MAX, sizeof *row->cells);
    for (size_t i = 0; i < CTL_SHEET_COLUMNS_MAX; i++)
        row->cells[i] = "";
    return row;
}

/* The whole file with a NUL behind it; NULL: an error says why. */
static char *read_bytes(struct ctl_sheet *sheet, const char *path, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    char *bytes = NULL;
    size_t cap = 65536, count;

    *len = 0;
    if (!file) {
        ctl_sheet_complain(sheet, 0, "", "%s", strerror(errno));
        return NULL;
    }
    do {
        cap *= 2;
        bytes = yz_realloc(bytes, cap + 1);
        count = fread(bytes + *len, 1, cap - *len, file);
        *len += count;
    } while (*len == cap && cap < CTL_SHEET_BYTES_MAX);
    if (ferror(file) || !feof(file)) {
        ctl_sheet_complain(sheet, 0, "", "%s",
                           ferror(file) ? "it cannot be read" : "it is too large");
        free(bytes);
        bytes = NULL;
    } else {
        bytes[*len] = '\0';
    }
    fclose(file);
    return bytes;
}

bool ctl_sheet_encoding_known(const char *encoding)
{
    iconv_t cd = iconv_open("UTF-8", encoding);

    if (cd == (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr): iconv's own way */
        return false;
    iconv_close(cd);
    return *encoding != '\0'; /* "" would be that of the terminal */
}

/* NULL: the bytes are not of this encoding, *at is where. */
static char *convert(const char *bytes, size_t len, const char *encoding, size_t *out_len,
                     size_t *at)
{
    iconv_t cd = iconv_open("UTF-8", encoding);
    size_t left = len, room = len * 4 + 4, cap = room;
    char *in = (char *)(uintptr_t)bytes, *out, *to;

    *at = 0;
    if (cd == (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr): iconv's own way */
        return NULL;
    out = to = yz_malloc(room + 1);
    if (iconv(cd, &in, &left, &to, &room) == (size_t)-1) {
        *at = len - left;
        free(out);
        out = NULL;
    } else {
        *out_len = cap - room;
        out[*out_len] = '\0';
    }
    iconv_close(cd);
    return out;
}

static int line_at(const char *bytes, size_t at)
{
    int line = 1;

    for (size_t i = 0; i < at; i++)
        line += bytes[i] == '\n';
    return line;
}

static size_t first_invalid(const char *bytes, size_t len)
{
    size_t low = 0, line;

    /* Line by line: an invalid one is named. */
    for (line = 0; line < len; line = low) {
        const char *end = memchr(bytes + line, '\n', len - line);

        low = end ? (size_t)(end - bytes) + 1 : len;
        if (!yz_text_valid(bytes + line, low - line))
            return line;
    }
    return len;
}

/* Name what the bytes are, so that one knows what to do. */
static void complain_of_encoding(struct ctl_sheet *sheet, const char *bytes, size_t len)
{
    size_t at = first_invalid(bytes, len), out_len, gb_at;
    char *converted = convert(bytes, len, "GB18030", &out_len, &gb_at);
    bool wide = len >= 2 && ((uint8_t)bytes[0] == 0xFF || (uint8_t)bytes[0] == 0xFE) &&
                ((uint8_t)bytes[1] == 0xFE || (uint8_t)bytes[1] == 0xFF);

    if (wide)
        ctl_sheet_complain(sheet, 1, "", "it is UTF-16, not UTF-8: --encoding utf-16 converts it");
    else if (memchr(bytes, '\0', len))
        ctl_sheet_complain(sheet, line_at(bytes, strlen(bytes)), "", "it holds a NUL byte");
    else if (converted)
        ctl_sheet_complain(sheet, line_at(bytes, at), "",
                           "it is not UTF-8; the bytes are GB18030 (GBK): --encoding gb18030 "
                           "converts them");
    else
        ctl_sheet_complain(sheet, line_at(bytes, at), "", "it is not UTF-8");
    free(converted);
}

static bool load(struct ctl_sheet *sheet, const char *path, const char *encoding, size_t *len)
{
    size_t at, out_len = 0;
    char *converted, *bytes = read_bytes(sheet, path, len);

    if (!bytes)
        return false;
    if (encoding) {
        converted = convert(bytes, *len, encoding, &out_len, &at);
        if (!converted)
            ctl_sheet_complain(sheet, line_at(bytes, at), "", "it is not %s", encoding);
        free(bytes);
        bytes = converted;
        *len = out_len;
        if (!bytes)
            return false;
    } else if (!yz_text_valid(bytes, *len)) {
        complain_of_encoding(sheet, bytes, *len);
        free(bytes);
        return false;
    }
    sheet->bytes = bytes;
    return true;
}

/* Where a CSV file is being read: cells are cut out of it in place. */
struct csv {
    char *at;
    int line;
};

/* The cell behind `at`, its quotes taken away; *last: it ends its row. false: an error was told. */
static bool next_cell(struct ctl_sheet *sheet, struct csv *csv, char **cell, bool *last)
{
    bool quoted = *csv->at == '"', closed = false;
    char *from = csv->at + quoted, *to = from;

    *cell = from;
    for (; *from && (quoted || !strchr(",\r\n", *from)); from++) {
        if (quoted && *from == '"' && *++from != '"') {
            closed = true;
            break;
        }
        csv->line += *from == '\n';
        *to++ = *from;
    }
    if (quoted && (!closed || (*from && !strchr(",\r\n", *from)))) {
        ctl_sheet_complain(sheet, csv->line, "", "%s",
                           *from ? "text behind a closing quote" : "a quote is not closed");
        return false;
    }
    *last = *from != ',';
    csv->at = from + (*from == ',');
    if (*from == '\r')
        csv->at = from + 1;
    if (*last && *csv->at == '\n')
        csv->at++;
    *to = '\0';
    return true;
}

static bool read_names(struct ctl_sheet *sheet, struct csv *csv)
{
    bool last = false;
    char *cell;

    while (!last) {
        if (!next_cell(sheet, csv, &cell, &last))
            return false;
        if (sheet->columns == CTL_SHEET_COLUMNS_MAX ||
            ctl_sheet_column(sheet, cell) < sheet->columns) {
            ctl_sheet_complain(sheet, 1, cell, "%s",
                               sheet->columns == CTL_SHEET_COLUMNS_MAX ? "too many columns"
                                                                       : "the column stands twice");
            return false;
        }
        sheet->names[sheet->columns++] = cell;
    }
    csv->line++;
    return true;
}

static bool read_csv_row(struct ctl_sheet *sheet, struct csv *csv)
{
    struct ctl_sheet_row *row = new_row(sheet, csv->line);
    size_t count = 0;
    bool last = false;
    char *cell;

    while (!last) {
        if (!next_cell(sheet, csv, &cell, &last))
            return false;
        if (count < sheet->columns)
            row->cells[count] = cell;
        count++;
    }
    if (count != sheet->columns)
        ctl_sheet_complain(sheet, row->line, "", "%zu cells, but the first line names %zu columns",
                           count, sheet->columns);
    csv->line++;
    return true;
}

static bool read_csv(struct ctl_sheet *sheet)
{
    struct csv csv = {.at = sheet->bytes, .line = 1};

    if (strncmp(csv.at, "\xEF\xBB\xBF", 3) == 0)
        csv.at += 3;
    if (!*csv.at) {
        ctl_sheet_complain(sheet, 1, "", "it is empty");
        return false;
    }
    if (!read_names(sheet, &csv))
        return false;
    while (*csv.at) {
        if (strspn(csv.at, "\r\n") > 0) { /* an empty line */
            csv.line += *csv.at++ == '\n';
            continue;
        }
        if (!read_csv_row(sheet, &csv))
            return false;
    }
    return true;
}

/* A number keeps its digits: libjansson's real would not. */
static const char *text_of(json_t *value, json_t *kept)
{
    json_t *text = NULL;
    char *dump;

    if (json_is_string(value))
        return json_string_value(value);
    if (!json_is_number(value))
        return NULL;
    dump = json_dumps(value, JSON_ENCODE_ANY);
    if (dump)
        text = json_string(dump);
    free(dump);
    json_array_append_new(kept, text);
    return json_string_value(text);
}

static void read_entry(struct ctl_sheet *sheet, json_t *entry, int number, json_t *kept)
{
    struct ctl_sheet_row *row = new_row(sheet, number);
    const char *name;
    json_t *value;

    if (!json_is_object(entry))
        ctl_sheet_complain(sheet, number, "", "it is no object");
    json_object_foreach(entry, name, value)
    {
        size_t column = ctl_sheet_column(sheet, name);
        const char *text = json_is_null(value) ? "" : text_of(value, kept);

        if (column == sheet->columns && column < CTL_SHEET_COLUMNS_MAX)
            sheet->names[sheet->columns++] = name;
        if (column == CTL_SHEET_COLUMNS_MAX)
            ctl_sheet_complain(sheet, number, name, "too many different names");
        else if (!text)
            ctl_sheet_complain(sheet, number, name, "it is neither a text nor a number");
        else
            row->cells[column] = text;
    }
}

static bool read_json(struct ctl_sheet *sheet, size_t len)
{
    const char *text = sheet->bytes;
    json_error_t error;
    json_t *list, *kept = json_array();

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    list = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    sheet->json = json_pack("[o, o*]", kept, list);
    if (!json_is_array(list)) {
        ctl_sheet_complain(sheet, list ? 1 : error.line, "", "%s",
                           list ? "it is no array of objects" : error.text);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        read_entry(sheet, json_array_get(list, i), (int)i + 1, kept);
    return true;
}

/* "+86138…" and "-3.5" are what they look like. */
static bool is_plain_number(const char *text)
{
    const char *digits = text + strspn(text, "+-");

    return digits == text + 1 && *digits && strspn(digits, "0123456789.") == strlen(digits);
}

static void refuse_formulas(struct ctl_sheet *sheet)
{
    for (size_t i = 0; i < sheet->count; i++) {
        for (size_t c = 0; c < sheet->columns; c++) {
            const char *cell = sheet->rows[i].cells[c];

            if (*cell && strchr("=+-@\t\r", *cell) && !is_plain_number(cell))
                ctl_sheet_complain(sheet, sheet->rows[i].line, sheet->names[c],
                                   "a cell that begins with %s is a formula to a spreadsheet",
                                   *cell == '\t'   ? "a tab"
                                   : *cell == '\r' ? "a return"
                                                   : (char[]){*cell, '\0'});
        }
    }
}

bool ctl_sheet_read(struct ctl_sheet *sheet, const char *path, const char *encoding)
{
    size_t name_len = strlen(path), len = 0;
    bool json = name_len > 5 && strcmp(path + name_len - 5, ".json") == 0;

    memset(sheet, 0, sizeof *sheet);
    if (!load(sheet, path, encoding, &len))
        return false;
    if (strlen(sheet->bytes) != len) {
        ctl_sheet_complain(sheet, line_at(sheet->bytes, strlen(sheet->bytes)), "",
                           "it holds a NUL byte");
        return false;
    }
    if (!(json ? read_json(sheet, len) : read_csv(sheet)))
        return false;
    refuse_formulas(sheet);
    return true;
}

void ctl_sheet_deinit(struct ctl_sheet *sheet)
{
    for (size_t i = 0; i < sheet->count; i++)
        free(sheet->rows[i].cells);
    free(sheet->rows);
    free(sheet->errors);
    free(sheet->bytes);
    json_decref(sheet->json);
    memset(sheet, 0, sizeof *sheet);
}
