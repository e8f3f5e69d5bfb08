/* signature.h: token signatures, checked with keys that were parsed once.
 *
 * libjwt 1.10 parses a public key's PEM for every token and fetches OpenSSL's algorithms anew each
 * time: 20 µs of an arrival for HS256, of which the MAC itself is one.
 *
 * Lifetime  a gw_signer from gw_signer_new until gw_signer_free; what it was made of is not kept.
 * Thread    loop: a check uses the signer's own contexts.
 * Limits    RSA keys have 2048 bits or more, EC keys lie on P-256, secrets have 32 bytes or more:
 *           anything else is no signer.
 * Failure   a signature is good or bad; YZ_INTERNAL when there was no memory to tell.
 */
#ifndef GW_SIGNATURE_H
#define GW_SIGNATURE_H

#include "common/err.h"

#include <stddef.h>

enum gw_algorithm { GW_HS256, GW_RS256, GW_ES256 };

struct gw_signer;

/* key: a secret, or the PEM text of a public key. NULL: it is none that the algorithm can be
 * trusted with, and *reason (constant) says why. */
struct gw_signer *gw_signer_new(enum gw_algorithm algorithm, const unsigned char *key, size_t len,
                                const char **reason);
void gw_signer_free(struct gw_signer *signer);

/* The signature of the text: YZ_OK or YZ_TOKEN_BAD_SIGNATURE. 1 µs (HS256), 25 µs (RS256), 80 µs
 * (ES256). */
YZ_MUST_USE enum yz_err gw_signer_check(struct gw_signer *signer, const char *text, size_t len,
                                        const unsigned char *signature, size_t signature_len);

#endif
