/* The rotating check-in code: a text, and before it (up to the first newline) a meeting's id. */
#include "tests/fuzz/fuzz.h"
#include "workers/code.h"

#include <string.h>

#define TEXT_MAX 512

static const uint8_t secret[] = "0123456789abcdef0123456789abcdef";

/* What was made is read back, is good for its own meeting, and for no other. */
static void judge_made(const struct wk_code_meeting *meeting, const uint8_t *bytes, size_t len)
{
    struct wk_code_meeting other = *meeting;
    uint8_t key[WK_CODE_KEY_BYTES], nonce[WK_CODE_NONCE_BYTES] = {0};
    char text[WK_CODE_LEN + 1], again[WK_CODE_LEN + 1];
    struct wk_code code;
    uint32_t slot = 0;

    for (size_t i = 0; i < len && i < sizeof nonce; i++)
        nonce[i] = bytes[i];
    for (size_t i = sizeof nonce; i < len && i < sizeof nonce + 4; i++)
        slot = slot << 8 | bytes[i];
    wk_code_key(secret, sizeof secret - 1, meeting, key);
    wk_code_make(key, meeting, slot, nonce, text);
    PROMISE(strlen(text) == WK_CODE_LEN && wk_code_parse(text, &code));
    PROMISE(code.slot == slot && memcmp(code.nonce, nonce, sizeof nonce) == 0);
    PROMISE(wk_code_verify(key, meeting, &code));
    wk_code_make(key, meeting, code.slot, code.nonce, again);
    PROMISE(strcmp(text, again) == 0);
    other.meeting_id = strcmp(meeting->meeting_id, "another") == 0 ? "other" : "another";
    PROMISE(!wk_code_verify(key, &other, &code));
    code.mac[len % WK_CODE_MAC_BYTES] ^= (uint8_t)(1U << (len % 8));
    PROMISE(!wk_code_verify(key, meeting, &code));
}

/* A text that is a code at all is the only spelling of it, and is good only if it is the one that
 * the key makes: nobody forges one. */
static void judge_text(const struct wk_code_meeting *meeting, const char *text)
{
    uint8_t key[WK_CODE_KEY_BYTES];
    char made[WK_CODE_LEN + 1];
    struct wk_code code;

    if (!wk_code_parse(text, &code)) {
        return;
    }
    PROMISE(strlen(text) == WK_CODE_LEN);
    wk_code_key(secret, sizeof secret - 1, meeting, key);
    wk_code_make(key, meeting, code.slot, code.nonce, made);
    PROMISE(wk_code_verify(key, meeting, &code) == (strcmp(made, text) == 0));
}

/* Each single change of a good text is refused. */
static void judge_changed(const struct wk_code_meeting *meeting, const uint8_t *bytes, size_t len)
{
    uint8_t key[WK_CODE_KEY_BYTES], nonce[WK_CODE_NONCE_BYTES] = {1, 2, 3};
    char text[WK_CODE_LEN + 1];
    struct wk_code code;

    if (len < 2)
        return;
    wk_code_key(secret, sizeof secret - 1, meeting, key);
    wk_code_make(key, meeting, bytes[0], nonce, text);
    if (text[bytes[0] % WK_CODE_LEN] == (char)bytes[1])
        return;
    text[bytes[0] % WK_CODE_LEN] = (char)bytes[1];
    PROMISE(!wk_code_parse(text, &code) || !wk_code_verify(key, meeting, &code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wk_code_meeting meeting = {"t1", "g1/c1/b1", ""};
    char text[TEXT_MAX], *newline;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    newline = strchr(text, '\n');
    if (newline)
        *newline = '\0';
    meeting.meeting_id = newline ? text : "m1";
    /* Ids are checked long before: 1 to 64 characters of few kinds. */
    if (strlen(meeting.meeting_id) > 64)
        return 0;
    judge_text(&meeting, newline ? newline + 1 : text);
    judge_made(&meeting, data, size);
    judge_changed(&meeting, data, size);
    return 0;
}
