/* auth.h: tokens (JWT) to identities, by the keys of keys_dir.
 *
 * A key is a file: <kid>.HS256.key (raw secret, at least 32 bytes), <kid>.RS256.pem or
 * <kid>.ES256.pem (public key). The file's name pins the algorithm: what a token says of its own
 * algorithm is only compared with it.
 *
 * Lifetime  one per process; gw_auth_reload replaces the keys as a whole, or not at all.
 * Thread    loop. Verifying costs about 10 µs (HS256) to 90 µs (ES256) of CPU, once a session, and
 *           takes no lock and no I/O: less than the hand-over to a pool and back would add to most
 *           logins.
 * Limits    GW_TOKEN_MAX bytes of token, GW_KEYS_MAX keys.
 * Failure   each reason has its own code (token_*); a temporary one when revocations are not known.
 * A token is never logged, nor any part of it.
 */
#ifndef GW_AUTH_H
#define GW_AUTH_H

#include "common/envelope.h"
#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

#define GW_TOKEN_MAX 8192
#define GW_KEYS_MAX  64

struct gw_auth;
struct gw_revocations;

struct gw_identity {
    struct yz_actor actor;
    int64_t expires_at_ms;    /* wall clock */
    int64_t issued_at_ms;     /* 0: the token does not say, so it is older than anything */
    char token_id[YZ_ID_MAX]; /* "": none, or none that could be revoked by its name */
};

/* Loads the keys. YZ_NOT_FOUND: the folder cannot be read or holds no key (logged with the reason).
 */
YZ_MUST_USE enum yz_err gw_auth_new(const char *keys_dir, const char *audience,
                                    struct gw_auth **auth);
void gw_auth_free(struct gw_auth *auth);
/* Read the folder again; on an error the old keys stay. */
YZ_MUST_USE enum yz_err gw_auth_reload(struct gw_auth *auth);
size_t gw_auth_key_count(const struct gw_auth *auth);

/* From now on tokens are judged by these too (borrowed); without it nothing is revoked. */
void gw_auth_heed(struct gw_auth *auth, const struct gw_revocations *revocations);
/* A token that was good before: YZ_TOKEN_REVOKED when it was revoked since. */
YZ_MUST_USE enum yz_err gw_auth_judge(const struct gw_auth *auth,
                                      const struct gw_identity *identity);

/* token need not end in NUL. On success identity is filled; else the token_* error, or a temporary
 * one. */
YZ_MUST_USE enum yz_err gw_auth_verify(const struct gw_auth *auth, const char *token, size_t len,
                                       int64_t now_ms, struct gw_identity *identity);

#endif
