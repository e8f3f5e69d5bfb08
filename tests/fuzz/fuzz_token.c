/* Tokens. The first byte says how the rest is meant: 0 a token as it came; else header and claims
 * as two JSON texts (claims behind the first newline), which are then signed well by the algorithm
 * of that number, so that what lies behind the signature is reached. */
#include "gateway/auth.h"
#include "schemas/text.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define NOW_MS     INT64_C(1767225600000)
#define AUDIENCE   "yizhan"
#define SECRET     "0123456789abcdef0123456789abcdef"
#define SECRET_LEN (sizeof SECRET - 1)
#define TEXT_MAX   3000
#define SIGNED_MAX (2 * 2 * TEXT_MAX + 2 * 512)
#define P256_HALF  32
#define RSA_BITS   2048

static struct gw_auth *auth;
static EVP_PKEY *rsa, *ec;

static void write_public(const char *dir, const char *name, EVP_PKEY *key)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    PROMISE(file && PEM_write_PUBKEY(file, key) == 1 && fclose(file) == 0);
}

static void remove_key(const char *dir, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* One key of each algorithm, made for this run: what is signed here is verified here. */
static void make_keys(void)
{
    char dir[] = "/tmp/yz-fuzz-XXXXXX", path[64];
    FILE *file;

    yz_log_init("fuzz", YZ_LOG_ERROR);
    PROMISE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/hs.HS256.key", dir);
    file = fopen(path, "w");
    PROMISE(file && fputs(SECRET, file) >= 0 && fclose(file) == 0);
    rsa = EVP_RSA_gen(RSA_BITS);
    ec = EVP_EC_gen("P-256");
    PROMISE(rsa && ec);
    write_public(dir, "rs.RS256.pem", rsa);
    write_public(dir, "es.ES256.pem", ec);
    PROMISE(gw_auth_new(dir, AUDIENCE, &auth) == YZ_OK && gw_auth_key_count(auth) == 3);
    remove_key(dir, "hs.HS256.key");
    remove_key(dir, "rs.RS256.pem");
    remove_key(dir, "es.ES256.pem");
    rmdir(dir);
}

static size_t encode64(const void *data, size_t len, char *out)
{
    yz_base64_encode(data, len, out);
    for (size_t i = 0; i < YZ_BASE64_LEN(len); i++) {
        if (out[i] == '=')
            return i;
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    }
    return YZ_BASE64_LEN(len);
}

static size_t sign_hmac(const char *text, size_t len, unsigned char *out)
{
    unsigned got = EVP_MAX_MD_SIZE;

    PROMISE(HMAC(EVP_sha256(), SECRET, SECRET_LEN, (const unsigned char *)text, len, out, &got));
    return got;
}

static size_t sign_with(EVP_PKEY *key, const char *text, size_t len, unsigned char *out,
                        size_t room)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    PROMISE(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
    PROMISE(EVP_DigestSign(ctx, out, &room, (const unsigned char *)text, len) == 1);
    EVP_MD_CTX_free(ctx);
    return room;
}

/* From DER to the two numbers behind one another, as JWS has them. */
static size_t sign_ec(const char *text, size_t len, unsigned char *out)
{
    unsigned char der[128];
    const unsigned char *at = der;
    size_t got = sign_with(ec, text, len, der, sizeof der);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)got);

    PROMISE(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, P256_HALF) == P256_HALF);
    PROMISE(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + P256_HALF, P256_HALF) == P256_HALF);
    ECDSA_SIG_free(sig);
    return 2 * (size_t)P256_HALF;
}

static size_t sign(unsigned how, const char *header, size_t header_len, const char *claims,
                   size_t claims_len, char *token)
{
    unsigned char signature[512];
    size_t len = encode64(header, header_len, token), got;

    token[len++] = '.';
    len += encode64(claims, claims_len, token + len);
    if (how == 1)
        got = sign_hmac(token, len, signature);
    else if (how == 2)
        got = sign_with(rsa, token, len, signature, sizeof signature);
    else
        got = sign_ec(token, len, signature);
    token[len++] = '.';
    return len + encode64(signature, got, token + len);
}

/* Who was let in is somebody whom the bus can name. */
static void judge(const struct gw_identity *identity)
{
    const struct yz_actor *actor = &identity->actor;

    PROMISE(identity->expires_at_ms > NOW_MS);
    PROMISE(yz_id_valid(actor->tenant) && yz_id_valid(actor->member));
    PROMISE(yz_org_path_valid(actor->org_path));
    PROMISE(identity->token_id[0] == '\0' || yz_id_valid(identity->token_id));
    PROMISE(identity->issued_at_ms >= 0);
    PROMISE(strlen(actor->roles) < YZ_ROLES_MAX && !strpbrk(actor->roles, " \t\r\n"));
    PROMISE(yz_text_valid(actor->roles, strlen(actor->roles)));
}

/* A token as it came is good only if its last part is our HMAC of the others: nobody here signs one
 * with the other keys. */
static void judge_signature(const char *token, size_t len)
{
    const char *dot = memrchr(token, '.', len);
    unsigned char mac[EVP_MAX_MD_SIZE];
    char text[128];
    size_t text_len;

    PROMISE(dot);
    text_len = encode64(mac, sign_hmac(token, (size_t)(dot - token), mac), text);
    PROMISE((size_t)(token + len - dot - 1) == text_len && memcmp(dot + 1, text, text_len) == 0);
}

/* The signature is not that of any other header or claims. */
static void judge_altered(char *token, size_t len)
{
    const char *dot = memrchr(token, '.', len);
    size_t at = (unsigned char)token[len - 1] * len % (size_t)(dot - token);
    struct gw_identity identity;

    if (token[at] == '.')
        return;
    token[at] = token[at] == 'A' ? 'B' : 'A';
    PROMISE(gw_auth_verify(auth, token, len, NOW_MS, &identity) != YZ_OK);
}

static void verify_raw(const char *token, size_t len)
{
    struct gw_identity identity;
    enum yz_err err = gw_auth_verify(auth, token, len, NOW_MS, &identity);

    PROMISE(err < YZ_ERR_COUNT && err != YZ_INTERNAL);
    if (err != YZ_OK)
        return;
    judge(&identity);
    judge_signature(token, len);
}

static void verify_signed(unsigned how, const char *text, size_t len)
{
    static char token[SIGNED_MAX];
    const char *line = memchr(text, '\n', len);
    size_t header_len = line ? (size_t)(line - text) : len;
    const char *claims = line ? line + 1 : "{}";
    size_t claims_len = line ? len - header_len - 1 : 2;
    struct gw_identity identity;
    enum yz_err err;

    len = sign(how, text, header_len, claims, claims_len, token);
    err = gw_auth_verify(auth, token, len, NOW_MS, &identity);
    PROMISE(err < YZ_ERR_COUNT && err != YZ_INTERNAL);
    if (err != YZ_OK)
        return;
    judge(&identity);
    judge_altered(token, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!auth)
        make_keys();
    if (size == 0 || size > TEXT_MAX)
        return 0;
    if (data[0] % 4 == 0)
        verify_raw((const char *)data + 1, size - 1);
    else
        verify_signed(data[0] % 4, (const char *)data + 1, size - 1);
    return 0;
}
