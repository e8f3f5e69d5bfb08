#include "workers/code.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
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

/* HMAC-SHA256 has no failing case for a valid key length but want of memory. */
static void hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[WK_CODE_KEY_BYTES])
{
    unsigned out_len = WK_CODE_KEY_BYTES;
    int waited_ms = 0;

    while (!HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len)) {
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
