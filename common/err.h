/* err.h: the one table of errors and close codes (err.def) as enums, codes and texts.
 *
 * Lifetime  constant tables.
 * Thread    any.
 */
#ifndef YZ_ERR_H
#define YZ_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum yz_err {
    YZ_OK = 0,
#define YZ_ERR(name, code, temporary, status, text) YZ_##name,
#include "common/err.def"
#undef YZ_ERR
    YZ_ERR_COUNT
};

enum yz_close {
    YZ_CLOSE_NONE = 0,
#define YZ_CLOSE(name, ws_code, code, text) YZ_CLOSE_##name = (ws_code),
#include "common/err.def"
#undef YZ_CLOSE
};

#define YZ_MUST_USE __attribute__((warn_unused_result))

/* Stable wire code ("code_expired"); "ok" for YZ_OK. */
const char *yz_err_code(enum yz_err err);
const char *yz_err_text(enum yz_err err);
/* true: nothing was wrong with the request, the same may be sent again. */
bool yz_err_temporary(enum yz_err err);
int yz_err_http_status(enum yz_err err);
/* The error with this wire code, or YZ_INTERNAL when there is none. */
enum yz_err yz_err_from_code(const char *code);

const char *yz_close_code(enum yz_close close);
const char *yz_close_text(enum yz_close close);
static inline bool yz_close_reconnects(enum yz_close close)
{
    return (int)close >= 3000 && (int)close < 3500;
}

#define YZ_FIELD_MAX 128
#define YZ_TEXT_MAX  256

/* What is wrong and where: filled by checks and decoders, sent to the client as it is.
 * field is a path ("payload.roster[3]"), text replaces the table's text unless empty. */
struct yz_violation {
    enum yz_err err;
    char field[YZ_FIELD_MAX];
    char text[YZ_TEXT_MAX];
    uint32_t retry_after_ms; /* of a temporary error; 0: the usual time */
};

/* Fill v (field and text may be NULL; both are cut to their maximum) and return err. */
enum yz_err yz_violate(struct yz_violation *v, enum yz_err err, const char *field,
                       const char *text);
/* v's own text, else the table's. */
const char *yz_violation_text(const struct yz_violation *v);

#endif
