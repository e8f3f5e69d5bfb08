#include "gateway/signature.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MIN   32
#define RSA_BITS_MIN 2048
#define HASH_LEN     32
#define ES256_LEN    64                  /* r and s, 32 bytes each */
#define DER_MAX      (2 * (32 + 3) + 16) /* the same as ASN.1 */

struct gw_signer {
    enum gw_algorithm algorithm;
    EVP_MAC_CTX *mac;  /* HS256 */
    EVP_MD *hash;      /* the others */
    EVP_PKEY_CTX *key; /* ready to verify */
};

static EVP_MAC_CTX *new_mac(const unsigned char *secret, size_t len)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};

    EVP_MAC_free(mac); /* the context holds its own reference */
    if (ctx && EVP_MAC_init(ctx, secret, len, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

/* NULL: the key is one that the algorithm can be trusted with. */
static const char *judge_public(enum gw_algorithm algorithm, const EVP_PKEY *pkey)
{
    char curve[32] = "";

    if (!pkey)
        return "no_public_key_in_pem_form";
    if (algorithm == GW_RS256 &&
        (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA || EVP_PKEY_bits(pkey) < RSA_BITS_MIN))
        return "not_an_rsa_key_of_2048_bits_or_more";
    if (algorithm == GW_ES256 && (EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL) != 1 ||
                                  strcmp(curve, "prime256v1") != 0))
        return "not_an_ec_key_on_p256";
    return NULL;
}

static bool prepare(struct gw_signer *signer, EVP_PKEY *pkey)
{
    signer->hash = EVP_MD_fetch(NULL, "SHA256", NULL);
    signer->key = EVP_PKEY_CTX_new(pkey, NULL);
    if (!signer->hash || !signer->key || EVP_PKEY_verify_init(signer->key) != 1 ||
        EVP_PKEY_CTX_set_signature_md(signer->key, signer->hash) != 1)
        return false;
    return signer->algorithm != GW_RS256 ||
           EVP_PKEY_CTX_set_rsa_padding(signer->key, RSA_PKCS1_PADDING) == 1;
}

static const char *take_public(struct gw_signer *signer, const unsigned char *pem, size_t len)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    const char *reason = judge_public(signer->algorithm, pkey);

    if (!reason && !prepare(signer, pkey))
        reason = "no_memory";
    EVP_PKEY_free(pkey); /* the context holds its own reference */
    BIO_free(bio);
    return reason;
}

static const char *take_secret(struct gw_signer *signer, const unsigned char *secret, size_t len)
{
    if (len < SECRET_MIN)
        return "secret_shorter_than_32_bytes";
    signer->mac = new_mac(secret, len);
    return signer->mac ? NULL : "no_memory";
}

struct gw_signer *gw_signer_new(enum gw_algorithm algorithm, const unsigned char *key, size_t len,
                                const char **reason)
{
    struct gw_signer *signer = calloc(1, sizeof *signer);

    if (!signer) {
        *reason = "no_memory";
        return NULL;
    }
    signer->algorithm = algorithm;
    *reason = algorithm == GW_HS256 ? take_secret(signer, key, len) : take_public(signer, key, len);
    ERR_clear_error();
    if (!*reason)
        return signer;
    gw_signer_free(signer);
    return NULL;
}

void gw_signer_free(struct gw_signer *signer)
{
    if (!signer)
        return;
    EVP_MAC_CTX_free(signer->mac);
    EVP_PKEY_CTX_free(signer->key);
    EVP_MD_free(signer->hash);
    free(signer);
}

/* 1: good, 0: bad, below: it could not be told, or the signature has no right form. */
static int check_mac(struct gw_signer *signer, const char *text, size_t len,
                     const unsigned char *signature, size_t signature_len)
{
    unsigned char mac[HASH_LEN];
    size_t mac_len = 0;

    /* Without a key the one before is taken again. */
    if (EVP_MAC_init(signer->mac, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(signer->mac, (const unsigned char *)text, len) != 1 ||
        EVP_MAC_final(signer->mac, mac, &mac_len, sizeof mac) != 1 || mac_len != sizeof mac)
        return -1;
    return signature_len == sizeof mac && CRYPTO_memcmp(mac, signature, sizeof mac) == 0;
}

/* A token holds r and s one behind the other, OpenSSL wants them as ASN.1. 0: out of memory. */
static size_t to_der(const unsigned char *signature, unsigned char der[DER_MAX])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, ES256_LEN / 2, NULL);
    BIGNUM *s = BN_bin2bn(signature + ES256_LEN / 2, ES256_LEN / 2, NULL);
    int len = 0;

    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* taken */
        len = i2d_ECDSA_SIG(sig, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static int check_public(struct gw_signer *signer, const char *text, size_t len,
                        const unsigned char *signature, size_t signature_len)
{
    unsigned char hash[HASH_LEN], der[DER_MAX];

    if (signer->algorithm == GW_ES256) {
        if (signature_len != ES256_LEN)
            return 0;
        signature_len = to_der(signature, der);
        signature = der;
    }
    if (signature_len == 0 || EVP_Digest(text, len, hash, NULL, signer->hash, NULL) != 1)
        return -1;
    return EVP_PKEY_verify(signer->key, signature, signature_len, hash, sizeof hash);
}

enum yz_err gw_signer_check(struct gw_signer *signer, const char *text, size_t len,
                            const unsigned char *signature, size_t signature_len)
{
    int result;
    bool starved;

    if (signature_len == 0)
        return YZ_TOKEN_BAD_SIGNATURE;
    ERR_clear_error();
    result = signer->algorithm == GW_HS256
                 ? check_mac(signer, text, len, signature, signature_len)
                 : check_public(signer, text, len, signature, signature_len);
    starved = result != 1 && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error(); /* TLS looks at the same queue */
    if (result == 1)
        return YZ_OK;
    return starved ? YZ_INTERNAL : YZ_TOKEN_BAD_SIGNATURE;
}
