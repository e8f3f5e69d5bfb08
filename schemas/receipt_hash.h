/* receipt_hash.h: the Argon2id hash by which everybody behind the gateway knows a receipt.
 *
 * The salt is BLAKE2b of the tenant's name under the secret of receipt_secret_file, the same
 * wherever receipts are hashed: without it nobody who has the database can try receipts. One
 * receipt costs YZ_RECEIPT_OPS passes over YZ_RECEIPT_MEMORY_BYTES; receipts stay valid only for as
 * long as these and the secret do.
 *
 * Lifetime  a key is plain data; wipe it with sodium_memzero.
 * Thread    any.
 */
#ifndef YZ_RECEIPT_HASH_H
#define YZ_RECEIPT_HASH_H

#include "schemas/receipt.h"

#include <sodium.h>

#define YZ_RECEIPT_OPS          2
#define YZ_RECEIPT_MEMORY_BYTES (64 << 20)

struct yz_receipt_key {
    uint8_t bytes[crypto_generichash_KEYBYTES];
};

/* path "": a constant key; the hash is slow, and that is all. YZ_INVALID_VALUE: no file that can be
 * read, or less than 32 bytes; *reason (constant) says which. */
YZ_MUST_USE enum yz_err yz_receipt_key_read(const char *path, struct yz_receipt_key *key,
                                            const char **reason);
void yz_receipt_salt(const struct yz_receipt_key *key, const char *tenant,
                     uint8_t salt[crypto_pwhash_SALTBYTES]);
/* About 0.1 s. YZ_BUSY: the memory is not to be had for now. */
YZ_MUST_USE enum yz_err yz_receipt_hash(const char *receipt,
                                        const uint8_t salt[crypto_pwhash_SALTBYTES],
                                        char concealed[YZ_RECEIPT_CONCEALED_MAX]);

#endif
