#include "workers/vault.h"

#include "common/log.h"
#include "common/memory.h"
#include "workers/document.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES    crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES    crypto_aead_xchacha20poly1305_ietf_ABYTES
#define MASTER_LABEL "yizhan-member-keys-v1"
#define WRAPPED      "wrapped"
/* Values are padded to whole blocks: their length says nothing of a phone or a base. */
#define PAD_BYTES  32
#define PADDED_MAX (WK_VAULT_VALUE_MAX + PAD_BYTES)
#define SEALED_MAX (NONCE_BYTES + PADDED_MAX + TAG_BYTES)
#define PLACE_MAX  512

struct wk_vault {
    uint8_t master[KEY_BYTES];
};

static enum yz_err refuse_file(const char *reason)
{
    yz_error("member_key_unusable", "setting=member_key_file reason=\"%s\"", reason);
    return YZ_INVALID_VALUE;
}

enum yz_err wk_vault_new(const uint8_t *secret, size_t len, struct wk_vault **vault)
{
    if (sodium_init() < 0)
        return refuse_file("libsodium does not start");
    if (len < WK_VAULT_SECRET_MIN || len > WK_VAULT_SECRET_MAX)
        return refuse_file(len < WK_VAULT_SECRET_MIN ? "fewer than 32 bytes"
                                                     : "more than 4096 bytes");
    *vault = yz_calloc(1, sizeof **vault);
    crypto_generichash((*vault)->master, KEY_BYTES, secret, len, (const uint8_t *)MASTER_LABEL,
                       strlen(MASTER_LABEL));
    return YZ_OK;
}

enum yz_err wk_vault_open(const char *master_key_file, struct wk_vault **vault)
{
    uint8_t bytes[WK_VAULT_SECRET_MAX + 1];
    FILE *file = fopen(master_key_file, "rbe");
    enum yz_err err;
    size_t count;

    if (!file)
        return refuse_file(strerror(errno));
    count = fread(bytes, 1, sizeof bytes, file);
    err = ferror(file) ? refuse_file("cannot be read") : wk_vault_new(bytes, count, vault);
    fclose(file);
    sodium_memzero(bytes, sizeof bytes);
    return err;
}

void wk_vault_close(struct wk_vault *vault)
{
    if (!vault)
        return;
    sodium_memzero(vault, sizeof *vault);
    free(vault);
}

/* "<tenant>\0<member>\0<field>": no part can hold a NUL, so no two places read alike. */
static size_t name_place(const struct wk_vault_place *place, uint8_t out[PLACE_MAX])
{
    const char *parts[] = {place->tenant, place->member, place->field};
    size_t len = 0;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t part = strlen(parts[i]) + 1;

        if (len + part > PLACE_MAX)
            abort(); /* ids are checked: 64 bytes each */
        memcpy(out + len, parts[i], part);
        len += part;
    }
    return len;
}

/* out: nonce, cipher text, tag. */
static size_t encrypt(const uint8_t key[KEY_BYTES], const struct wk_vault_place *place,
                      const uint8_t *plain, size_t len, uint8_t *out)
{
    uint8_t named[PLACE_MAX];
    size_t named_len = name_place(place, named);
    unsigned long long sealed_len = 0;

    randombytes_buf(out, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_BYTES, &sealed_len, plain, len, named,
                                               named_len, NULL, out, key);
    return NONCE_BYTES + (size_t)sealed_len;
}

static bool decrypt(const uint8_t key[KEY_BYTES], const struct wk_vault_place *place,
                    const uint8_t *sealed, size_t len, uint8_t *plain, size_t *plain_len)
{
    uint8_t named[PLACE_MAX];
    size_t named_len = name_place(place, named);
    unsigned long long out_len = 0;

    if (len < NONCE_BYTES + TAG_BYTES || len > SEALED_MAX ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &out_len, NULL, sealed + NONCE_BYTES,
                                                   len - NONCE_BYTES, named, named_len, sealed,
                                                   key) != 0)
        return false;
    *plain_len = (size_t)out_len;
    return true;
}

bson_t *wk_vault_new_key(const struct wk_vault *vault, const char *tenant, const char *member)
{
    const struct wk_vault_place place = {tenant, member, WRAPPED};
    uint8_t key[KEY_BYTES], sealed[SEALED_MAX];
    bson_t *document = bson_new();
    size_t len;

    crypto_aead_xchacha20poly1305_ietf_keygen(key);
    len = encrypt(vault->master, &place, key, sizeof key, sealed);
    sodium_memzero(key, sizeof key);
    BSON_APPEND_BINARY(document, WRAPPED, BSON_SUBTYPE_BINARY, sealed, (uint32_t)len);
    return document;
}

static const uint8_t *binary(const bson_t *document, const char *field, uint32_t *len)
{
    return document ? wk_document_bytes(document, field, len) : NULL;
}

bool wk_vault_has_key(const bson_t *key)
{
    uint32_t len;

    return binary(key, WRAPPED, &len) != NULL;
}

static enum yz_err unwrap(const struct wk_vault *vault, const bson_t *document,
                          const struct wk_vault_place *place, uint8_t key[KEY_BYTES])
{
    const struct wk_vault_place wrapped = {place->tenant, place->member, WRAPPED};
    uint8_t plain[SEALED_MAX];
    uint32_t len = 0;
    const uint8_t *bytes = binary(document, WRAPPED, &len);
    size_t plain_len = 0;
    bool good;

    if (!bytes)
        return YZ_NOT_FOUND;
    good =
        decrypt(vault->master, &wrapped, bytes, len, plain, &plain_len) && plain_len == KEY_BYTES;
    if (good)
        memcpy(key, plain, KEY_BYTES);
    sodium_memzero(plain, sizeof plain);
    return good ? YZ_OK : YZ_INTERNAL;
}

enum yz_err wk_vault_seal(const struct wk_vault *vault, const bson_t *key,
                          const struct wk_vault_place *place, const char *value, bson_t *document)
{
    uint8_t bytes[KEY_BYTES], padded[PADDED_MAX] = {0}, sealed[SEALED_MAX];
    size_t len = strlen(value), padded_len = 0;
    enum yz_err err = unwrap(vault, key, place, bytes);

    if (err)
        return err;
    if (len > WK_VAULT_VALUE_MAX)
        abort(); /* contracts bound it */
    memcpy(padded, value, len);
    sodium_pad(&padded_len, padded, len, PAD_BYTES, sizeof padded);
    if (len > 0) {
        len = encrypt(bytes, place, padded, padded_len, sealed);
        BSON_APPEND_BINARY(document, place->field, BSON_SUBTYPE_BINARY, sealed, (uint32_t)len);
    }
    sodium_memzero(padded, sizeof padded);
    sodium_memzero(bytes, sizeof bytes);
    return YZ_OK;
}

enum yz_err wk_vault_open_value(const struct wk_vault *vault, const bson_t *key,
                                const struct wk_vault_place *place, const bson_t *document,
                                char out[WK_VAULT_VALUE_MAX + 1])
{
    uint8_t bytes[KEY_BYTES], plain[SEALED_MAX];
    uint32_t len = 0;
    const uint8_t *sealed = binary(document, place->field, &len);
    size_t plain_len = 0, value_len = 0;
    enum yz_err err;

    out[0] = '\0';
    if (!sealed)
        return YZ_OK;
    err = unwrap(vault, key, place, bytes);
    if (err)
        return err;
    if (decrypt(bytes, place, sealed, len, plain, &plain_len) && plain_len > 0 &&
        sodium_unpad(&value_len, plain, plain_len, PAD_BYTES) == 0 &&
        value_len <= WK_VAULT_VALUE_MAX) {
        memcpy(out, plain, value_len);
        out[value_len] = '\0';
    } else {
        err = YZ_INTERNAL;
    }
    sodium_memzero(plain, sizeof plain);
    sodium_memzero(bytes, sizeof bytes);
    return err;
}
