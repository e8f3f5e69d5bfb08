#include "schemas/receipt_hash.h"

#include "common/subject.h"

#include <stdio.h>
#include <string.h>

#define SECRET_MIN 32
#define SECRET_MAX 4096
#define PERSONAL   "yizhan receipt 1"

enum yz_err yz_receipt_key_read(const char *path, struct yz_receipt_key *key, const char **reason)
{
    uint8_t secret[SECRET_MAX];
    size_t len = 0;
    FILE *file;

    if (sodium_init() < 0)
        return YZ_INTERNAL;
    if (*path) {
        file = fopen(path, "rb");
        if (!file) {
            *reason = "it cannot be read";
            return YZ_INVALID_VALUE;
        }
        len = fread(secret, 1, sizeof secret, file);
        fclose(file);
        if (len < SECRET_MIN) {
            *reason = "it has less than 32 bytes";
            return YZ_INVALID_VALUE;
        }
    }
    crypto_generichash(key->bytes, sizeof key->bytes, secret, len, (const uint8_t *)PERSONAL,
                       strlen(PERSONAL));
    sodium_memzero(secret, sizeof secret);
    return YZ_OK;
}

void yz_receipt_salt(const struct yz_receipt_key *key, const char *tenant,
                     uint8_t salt[crypto_pwhash_SALTBYTES])
{
    crypto_generichash(salt, crypto_pwhash_SALTBYTES, (const uint8_t *)tenant, strlen(tenant),
                       key->bytes, sizeof key->bytes);
}

enum yz_err yz_receipt_hash(const char *receipt, const uint8_t salt[crypto_pwhash_SALTBYTES],
                            char concealed[YZ_RECEIPT_CONCEALED_MAX])
{
    unsigned char hash[YZ_RECEIPT_HASH_BYTES];
    size_t mark = strlen(YZ_RECEIPT_MARK);

    if (crypto_pwhash(hash, sizeof hash, receipt, strlen(receipt), salt, YZ_RECEIPT_OPS,
                      YZ_RECEIPT_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return YZ_BUSY;
    memcpy(concealed, YZ_RECEIPT_MARK, mark);
    yz_hex(hash, sizeof hash, concealed + mark);
    return YZ_OK;
}
