#include "common/err.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *code;
    const char *text;
    bool temporary;
    int status;
} errors[YZ_ERR_COUNT] = {
    [YZ_OK] = {"ok", "", false, 200},
#define YZ_ERR(name, code, temporary, status, text) [YZ_##name] = {code, text, temporary, status},
#include "common/err.def"
#undef YZ_ERR
};

static const struct {
    enum yz_close close;
    const char *code;
    const char *text;
} closes[] = {
#define YZ_CLOSE(name, ws_code, code, text) {YZ_CLOSE_##name, code, text},
#include "common/err.def"
#undef YZ_CLOSE
};

const char *yz_err_code(enum yz_err err)
{
    return errors[err].code;
}

const char *yz_err_text(enum yz_err err)
{
    return errors[err].text;
}

bool yz_err_temporary(enum yz_err err)
{
    return errors[err].temporary;
}

int yz_err_http_status(enum yz_err err)
{
    return errors[err].status;
}

enum yz_err yz_err_from_code(const char *code)
{
    for (int i = 0; i < YZ_ERR_COUNT; i++) {
        if (strcmp(errors[i].code, code) == 0)
            return (enum yz_err)i;
    }
    return YZ_INTERNAL;
}

const char *yz_close_code(enum yz_close close)
{
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        if (closes[i].close == close)
            return closes[i].code;
    }
    return "";
}

const char *yz_close_text(enum yz_close close)
{
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        if (closes[i].close == close)
            return closes[i].text;
    }
    return "";
}

/* Copy what fits. A character of several bytes is kept whole or not at all: half of one would make
 * the reply invalid UTF-8, and a WebSocket client closes on that. */
static void copy_cut(char *out, size_t cap, const char *text)
{
    size_t len = strlen(text), start, need;

    if (len >= cap)
        len = cap - 1;
    for (start = len; start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80; start--)
        ;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xC0) {
        unsigned char lead = (unsigned char)text[--start];

        need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (len - start < need)
            len = start;
    }
    memmove(out, text, len);
    out[len] = '\0';
}

enum yz_err yz_violate(struct yz_violation *v, enum yz_err err, const char *field, const char *text)
{
    v->err = err;
    v->retry_after_ms = 0;
    copy_cut(v->field, sizeof v->field, field ? field : "");
    copy_cut(v->text, sizeof v->text, text ? text : "");
    return err;
}

const char *yz_violation_text(const struct yz_violation *v)
{
    return v->text[0] ? v->text : yz_err_text(v->err);
}
