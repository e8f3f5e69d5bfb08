/* vault.h: fields that the database must not be able to read (id number, phone, dues base):
 * encrypted with a key of their member's own. Deleting that key deletes the data, in backups, too.
 *
 * A member's key is 32 random bytes, kept only wrapped by the master key (setting
 * member_key_file) in the document of collection WK_MEMBER_KEYS, _id "<tenant>|<member>".
 * Primitives: libsodium's crypto_aead_xchacha20poly1305_ietf; the associated data are tenant,
 * member and field's name, so that a value cannot be moved to another place. Values are padded:
 * their length tells nothing.
 *
 * Lifetime  one vault for the process, constant.
 * Thread    any.
 * Limits    values of WK_VAULT_VALUE_MAX bytes.
 */
#ifndef WK_VAULT_H
#define WK_VAULT_H

#include "common/err.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WK_MEMBER_KEYS     "member_keys"
#define WK_VAULT_VALUE_MAX 256

struct wk_vault;

/* The master key is derived from a file of WK_VAULT_SECRET_MIN to _MAX random bytes.
 * YZ_INVALID_VALUE and a log line when it cannot be used. */
#define WK_VAULT_SECRET_MIN 32
#define WK_VAULT_SECRET_MAX 4096
YZ_MUST_USE enum yz_err wk_vault_open(const char *master_key_file, struct wk_vault **vault);
/* The same from bytes in memory (tests). */
YZ_MUST_USE enum yz_err wk_vault_new(const uint8_t *secret, size_t len, struct wk_vault **vault);
/* NULL: nothing. */
void wk_vault_close(struct wk_vault *vault);

/* A new member's key, wrapped: a document for WK_MEMBER_KEYS (the caller's). */
bson_t *wk_vault_new_key(const struct wk_vault *vault, const char *tenant, const char *member);
/* The document holds a key: it was made and not deleted. NULL: no. */
bool wk_vault_has_key(const bson_t *key);
/* Whose value of which field. */
struct wk_vault_place {
    const char *tenant, *member, *field;
};
/* Append the encrypted value to `document` as binary field place->field; "" appends nothing. The
 * nonce is random: the same value never looks the same twice. YZ_NOT_FOUND: key is NULL
 * or was deleted; YZ_INTERNAL: it is not this master key's. */
YZ_MUST_USE enum yz_err wk_vault_seal(const struct wk_vault *vault, const bson_t *key,
                                      const struct wk_vault_place *place, const char *value,
                                      bson_t *document);
/* The value in `document`; "" when it has none. Errors as above, and YZ_INTERNAL when it was
 * tampered with. */
YZ_MUST_USE enum yz_err wk_vault_open_value(const struct wk_vault *vault, const bson_t *key,
                                            const struct wk_vault_place *place,
                                            const bson_t *document,
                                            char out[WK_VAULT_VALUE_MAX + 1]);

#endif
