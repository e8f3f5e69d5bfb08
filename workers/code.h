/* code.h: the rotating check-in code (PROTOCOL.md, "The rotating code"): its key, making,
 * verifying.
 *
 * Lifetime  results go into the caller's buffers; wk_code_secret_read gives memory to free.
 * Thread    any; pure but for wk_code_secret_read.
 * Limits    a code is WK_CODE_LEN characters; a slot fits 32 bits.
 *
 * Each meeting has a key of its own, derived from the system's secret; the secretary's screen holds
 * that key and shows, every period, base64url(slot | nonce | MAC). The slot is floor(Unix seconds /
 * period), so a code tells when it was on the screen; it is the broker's time that is compared with
 * it, never a phone's.
 */
#ifndef WK_CODE_H
#define WK_CODE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WK_CODE_KEY_BYTES   32
#define WK_CODE_NONCE_BYTES 8
#define WK_CODE_MAC_BYTES   16
#define WK_CODE_LEN         38
#define WK_CODE_PERIOD_S    30 /* when meeting.convened names none */
#define WK_CODE_SECRET_MIN  32
#define WK_CODE_SECRET_MAX  4096

/* Which meeting; borrowed strings. */
struct wk_code_meeting {
    const char *tenant, *org_path, *meeting_id;
};

/* A code taken apart; nothing of it is true before wk_code_verify says so. */
struct wk_code {
    uint32_t slot;
    uint8_t nonce[WK_CODE_NONCE_BYTES];
    uint8_t mac[WK_CODE_MAC_BYTES];
};

/* The meeting's key. */
void wk_code_key(const uint8_t *secret, size_t secret_len, const struct wk_code_meeting *meeting,
                 uint8_t key[WK_CODE_KEY_BYTES]);
/* The text to show. */
void wk_code_make(const uint8_t key[WK_CODE_KEY_BYTES], const struct wk_code_meeting *meeting,
                  uint32_t slot, const uint8_t nonce[WK_CODE_NONCE_BYTES],
                  char out[WK_CODE_LEN + 1]);
/* false: malformed, in any way. There is one spelling of a code only. */
bool wk_code_parse(const char *text, struct wk_code *code);
/* The MAC is this meeting's; takes the same time whatever the bytes. */
bool wk_code_verify(const uint8_t key[WK_CODE_KEY_BYTES], const struct wk_code_meeting *meeting,
                    const struct wk_code *code);

/* Read the secret from a file of WK_CODE_SECRET_MIN to _MAX bytes; *secret is the caller's to free.
 * YZ_INVALID_VALUE (the reason is logged, never the bytes): missing, unreadable, too short or too
 * long. */
YZ_MUST_USE enum yz_err wk_code_secret_read(const char *path, uint8_t **secret, size_t *len);

#endif
