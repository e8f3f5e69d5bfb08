#include "workers/code.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BYTES    4
#define CODE_BYTES    (SLOT_BYTES + WK_CODE_NONCE_BYTES + WK_CODE_MAC_BYTES)
#define SIGNED_MAX    640
#define MEETING_LABEL "meeting-key-v1"
#define CODE_LABEL    "checkin-code-v1"

_Static_assert((CODE_BYTES * 8 + 5) / 6 == WK_CODE_LEN, "base64url without padding");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static pthread_once_t mac_once = PTHREAD_ONCE_INIT;
static pthread_key_t mac_key;

static void free_mac(void *ctx)
{
    EVP_MAC_CTX_free(ctx);
}

static void make_mac_key(void)
{
    if (pthread_key_create(&mac_key, free_mac) != 0)
        abort();
}

static EVP_MAC_CTX *new_mac(void)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

    EVP_MAC_free(hmac);
    if (ctx && EVP_MAC_CTX_set_params(ctx, params))
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

/* The thread's own: to look an algorithm up by its name takes longer than to compute it. */
static EVP_MAC_CTX *mac_of_thread(void)
{
    EVP_MAC_CTX *ctx;
    int waited_ms = 0;

    pthread_once(&mac_once, make_mac_key);
    ctx = pthread_getspecific(mac_key);
    if (ctx)
        return ctx;
    while (!(ctx = new_mac()) || pthread_setspecific(mac_key, ctx) != 0) {
        EVP_MAC_CTX_free(ctx);
        if (!yz_memory_again(&waited_ms))
            abort();
    }
    return ctx;
}

/* HMAC-SHA256 has no failing case for a valid key length but want of memory. */
static void hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[WK_CODE_KEY_BYTES])
{
    EVP_MAC_CTX *ctx = mac_of_thread();
    size_t out_len = 0;
    int waited_ms = 0;

    while (!EVP_MAC_init(ctx, key, key_len, NULL) || !EVP_MAC_update(ctx, data, len) ||
           !EVP_MAC_final(ctx, out, &out_len, WK_CODE_KEY_BYTES)) {
        if (!yz_memory_again(&waited_ms))
            abort();
    }
}

void wk_code_key(const uint8_t *secret, size_t secret_len, const struct wk_code_meeting *meeting,
                 uint8_t key[WK_CODE_KEY_BYTES])
{
    char text[SIGNED_MAX];
    int len = snprintf(text, sizeof text, MEETING_LABEL "\n%s\n%s\n%s", meeting->tenant,
                       meeting->org_path, meeting->meeting_id);

    hmac(secret, secret_len, (const uint8_t *)text, (size_t)len, key);
}

static void store_slot(uint8_t *out, uint32_t slot)
{
    for (int i = 0; i < SLOT_BYTES; i++)
        out[i] = (uint8_t)(slot >> (8 * (SLOT_BYTES - 1 - i)));
}

static void compute_mac(const uint8_t *key, const struct wk_code_meeting *meeting, uint32_t slot,
                        const uint8_t *nonce, uint8_t mac[WK_CODE_MAC_BYTES])
{
    uint8_t text[SIGNED_MAX], whole[WK_CODE_KEY_BYTES];
    size_t len;

    len = (size_t)snprintf((char *)text, sizeof text, CODE_LABEL "\n%s\n%s\n%s\n", meeting->tenant,
                           meeting->org_path, meeting->meeting_id);
    store_slot(text + len, slot);
    memcpy(text + len + SLOT_BYTES, nonce, WK_CODE_NONCE_BYTES);
    hmac(key, WK_CODE_KEY_BYTES, text, len + SLOT_BYTES + WK_CODE_NONCE_BYTES, whole);
    memcpy(mac, whole, WK_CODE_MAC_BYTES);
}

static void encode(const uint8_t bytes[CODE_BYTES], char out[WK_CODE_LEN + 1])
{
    uint32_t bits = 0;
    int held = 0, at = 0;

    for (int i = 0; i < CODE_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            out[at++] = alphabet[bits >> (held - 6) & 63];
    }
    if (held > 0)
        out[at++] = alphabet[bits << (6 - held) & 63];
    out[at] = '\0';
}

static bool decode(const char *text, uint8_t bytes[CODE_BYTES])
{
    uint32_t bits = 0;
    int held = 0, at = 0;

    if (strnlen(text, WK_CODE_LEN + 1) != WK_CODE_LEN)
        return false;
    for (const char *p = text; *p; p++) {
        const char *found = strchr(alphabet, *p);

        if (!found)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[at++] = (uint8_t)(bits >> held);
        }
    }
    /* Left-over bits that are not 0 would be a second spelling of the same code. */
    return (bits & ((1U << held) - 1)) == 0;
}

void wk_code_make(const uint8_t key[WK_CODE_KEY_BYTES], const struct wk_code_meeting *meeting,
                  uint32_t slot, const uint8_t nonce[WK_CODE_NONCE_BYTES],
                  char out[WK_CODE_LEN + 1])
{
    uint8_t bytes[CODE_BYTES];

    store_slot(bytes, slot);
    memcpy(bytes + SLOT_BYTES, nonce, WK_CODE_NONCE_BYTES);
    compute_mac(key, meeting, slot, nonce, bytes + SLOT_BYTES + WK_CODE_NONCE_BYTES);
    encode(bytes, out);
}

bool wk_code_parse(const char *text, struct wk_code *code)
{
    uint8_t bytes[CODE_BYTES] = {0};

    if (!decode(text, bytes))
        return false;
    code->slot = 0;
    for (int i = 0; i < SLOT_BYTES; i++)
        code->slot = code->slot << 8 | bytes[i];
    memcpy(code->nonce, bytes + SLOT_BYTES, WK_CODE_NONCE_BYTES);
    memcpy(code->mac, bytes + SLOT_BYTES + WK_CODE_NONCE_BYTES, WK_CODE_MAC_BYTES);
    return true;
}

bool wk_code_verify(const uint8_t key[WK_CODE_KEY_BYTES], const struct wk_code_meeting *meeting,
                    const struct wk_code *code)
{
    uint8_t mac[WK_CODE_MAC_BYTES];

    compute_mac(key, meeting, code->slot, code->nonce, mac);
    return CRYPTO_memcmp(mac, code->mac, WK_CODE_MAC_BYTES) == 0;
}

static enum yz_err refuse_file(const char *reason)
{
    yz_error("code_secret_unusable", "setting=code_secret_file reason=\"%s\"", reason);
    return YZ_INVALID_VALUE;
}

enum yz_err wk_code_secret_read(const char *path, uint8_t **secret, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes;
    size_t count;
    bool failed;

    if (!file)
        return refuse_file(strerror(errno));
    bytes = yz_malloc(WK_CODE_SECRET_MAX + 1);
    count = bytes ? fread(bytes, 1, WK_CODE_SECRET_MAX + 1, file) : 0;
    failed = !bytes || ferror(file);
    fclose(file);
    if (failed || count < WK_CODE_SECRET_MIN || count > WK_CODE_SECRET_MAX) {
        if (bytes)
            OPENSSL_cleanse(bytes, count);
        free(bytes);
        return refuse_file(failed                       ? "cannot be read"
                           : count < WK_CODE_SECRET_MIN ? "fewer than 32 bytes"
                                                        : "more than 4096 bytes");
    }
    *secret = bytes;
    *len = count;
    return YZ_OK;
}
