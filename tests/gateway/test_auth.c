#include "gateway/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_S  1800000000
#define NOW_MS (NOW_S * 1000LL)

static const char secret[] = "0123456789abcdef0123456789abcdef";
static char dir[] = "/tmp/yz-auth-XXXXXX";
static char rsa_private[4096], ec_private[1024], rsa_public[2048], ec_public[1024];
static struct gw_auth *auth;

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void read_bio(BIO *bio, char *out, size_t size)
{
    int len = BIO_read(bio, out, (int)size - 1);

    assert_true(len > 0);
    out[len] = '\0';
    BIO_free(bio);
}

static void make_pair(EVP_PKEY *key, char *private_pem, size_t private_size, char *public_pem,
                      size_t public_size)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_non_null(key);
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    read_bio(bio, private_pem, private_size);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key);
    read_bio(bio, public_pem, public_size);
    EVP_PKEY_free(key);
}

static int make_keys(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    make_pair(EVP_RSA_gen(2048), rsa_private, sizeof rsa_private, rsa_public, sizeof rsa_public);
    make_pair(EVP_EC_gen("P-256"), ec_private, sizeof ec_private, ec_public, sizeof ec_public);
    write_file("hs.HS256.key", secret);
    write_file("rs.RS256.pem", rsa_public);
    write_file("es.ES256.pem", ec_public);
    write_file("short.HS256.key", "too short");
    write_file("wrong.RS256.pem", ec_public);
    write_file("bad name.HS256.key", secret);
    write_file("notes.txt", "not a key");
    return gw_auth_new(dir, "yizhan", &auth) == YZ_OK ? 0 : -1;
}

static int drop_keys(void **state)
{
    static const char *const names[] = {"hs.HS256.key",    "rs.RS256.pem",    "es.ES256.pem",
                                        "short.HS256.key", "wrong.RS256.pem", "bad name.HS256.key",
                                        "notes.txt",       "next.HS256.key"};

    (void)state;
    gw_auth_free(auth);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static json_t *good_claims(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[s,s], s:s, s:i}", "sub", "m1", "tid", "t1", "org",
                     "b1", "path", "g1/c1/b1", "roles", "member", "secretary@g1/c1", "aud",
                     "yizhan", "exp", NOW_S + 60);
}

/* Takes claims. */
static char *sign(const char *kid, jwt_alg_t alg, const char *key, json_t *claims)
{
    char *text = json_dumps(claims, 0), *token;
    jwt_t *jwt;

    assert_int_equal(jwt_new(&jwt), 0);
    assert_int_equal(jwt_add_grants_json(jwt, text), 0);
    if (kid)
        assert_int_equal(jwt_add_header(jwt, "kid", kid), 0);
    assert_int_equal(jwt_set_alg(jwt, alg, (const unsigned char *)key, key ? (int)strlen(key) : 0),
                     0);
    token = jwt_encode_str(jwt);
    assert_non_null(token);
    jwt_free(jwt);
    free(text);
    json_decref(claims);
    return token;
}

/* Takes token. */
static enum yz_err verify(char *token, struct gw_identity *identity)
{
    enum yz_err err = gw_auth_verify(auth, token, strlen(token), NOW_MS, identity);

    free(token);
    return err;
}

static enum yz_err verify_claims(json_t *claims)
{
    struct gw_identity identity;

    return verify(sign("hs", JWT_ALG_HS256, secret, claims), &identity);
}

static json_t *with(const char *name, json_t *value)
{
    json_t *claims = good_claims();

    if (value)
        json_object_set_new(claims, name, value);
    else
        json_object_del(claims, name);
    return claims;
}

static void accepts_each_algorithm(void **state)
{
    struct gw_identity identity;

    (void)state;
    assert_int_equal(verify(sign("hs", JWT_ALG_HS256, secret, good_claims()), &identity), YZ_OK);
    assert_int_equal(verify(sign("rs", JWT_ALG_RS256, rsa_private, good_claims()), &identity),
                     YZ_OK);
    assert_int_equal(verify(sign("es", JWT_ALG_ES256, ec_private, good_claims()), &identity),
                     YZ_OK);
    assert_string_equal(identity.actor.member, "m1");
    assert_string_equal(identity.actor.tenant, "t1");
    assert_string_equal(identity.actor.org_path, "g1/c1/b1");
    assert_string_equal(identity.actor.roles, "member,secretary@g1/c1");
    assert_int_equal(identity.expires_at_ms, NOW_MS + 60000);
}

static void ignores_what_is_no_good_key(void **state)
{
    (void)state;
    assert_int_equal(gw_auth_key_count(auth), 3);
}

static void pins_the_algorithm_to_the_key(void **state)
{
    struct gw_identity identity;

    (void)state;
    /* The public key as an HMAC secret: the classic confusion. */
    assert_int_equal(verify(sign("rs", JWT_ALG_HS256, rsa_public, good_claims()), &identity),
                     YZ_TOKEN_ALGORITHM);
    assert_int_equal(verify(sign("hs", JWT_ALG_RS256, rsa_private, good_claims()), &identity),
                     YZ_TOKEN_ALGORITHM);
    assert_int_equal(verify(sign("hs", JWT_ALG_HS512, secret, good_claims()), &identity),
                     YZ_TOKEN_ALGORITHM);
    assert_int_equal(verify(sign("hs", JWT_ALG_NONE, NULL, good_claims()), &identity),
                     YZ_TOKEN_ALGORITHM);
}

static void refuses_an_unknown_key(void **state)
{
    struct gw_identity identity;

    (void)state;
    assert_int_equal(verify(sign("who", JWT_ALG_HS256, secret, good_claims()), &identity),
                     YZ_TOKEN_UNKNOWN_KEY);
    assert_int_equal(verify(sign(NULL, JWT_ALG_HS256, secret, good_claims()), &identity),
                     YZ_TOKEN_UNKNOWN_KEY);
}

static void refuses_a_wrong_signature(void **state)
{
    struct gw_identity identity;
    char *token;

    (void)state;
    assert_int_equal(
        verify(sign("hs", JWT_ALG_HS256, "another-secret-another-secret-32", good_claims()),
               &identity),
        YZ_TOKEN_BAD_SIGNATURE);
    token = sign("es", JWT_ALG_ES256, ec_private, good_claims());
    token[strlen(token) - 10] ^= 1;
    assert_int_equal(verify(token, &identity), YZ_TOKEN_BAD_SIGNATURE);
    /* Claims of one token under the signature of another. */
    token = sign("hs", JWT_ALG_HS256, secret, with("sub", json_string("m2")));
    memcpy(strrchr(token, '.') + 1, "AAAA", 4);
    assert_int_equal(verify(token, &identity), YZ_TOKEN_BAD_SIGNATURE);
    /* No signature at all. */
    token = sign("hs", JWT_ALG_HS256, secret, good_claims());
    strrchr(token, '.')[1] = '\0';
    assert_int_equal(verify(token, &identity), YZ_TOKEN_BAD_SIGNATURE);
}

static void refuses_what_is_no_token(void **state)
{
    static const char *const texts[] = {"a",        "a.b",      "a.b.c",      "a.b.c.d",
                                        "..",       "e30.e30.", "e30=.e30.x", "\x01.\x02.\x03",
                                        "W10.e30.x"};
    struct gw_identity identity;
    char *huge = malloc(20000);

    (void)state;
    assert_int_equal(gw_auth_verify(auth, "", 0, NOW_MS, &identity), YZ_TOKEN_MISSING);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(verify(strdup(texts[i]), &identity), YZ_TOKEN_MALFORMED);
    assert_non_null(huge);
    memset(huge, 'A', 19999);
    huge[100] = huge[200] = '.';
    huge[19999] = '\0';
    assert_int_equal(verify(huge, &identity), YZ_TOKEN_MALFORMED);
}

static void judges_the_times(void **state)
{
    (void)state;
    assert_int_equal(verify_claims(with("exp", json_integer(NOW_S))), YZ_TOKEN_EXPIRED);
    assert_int_equal(verify_claims(with("exp", json_integer(NOW_S + 1))), YZ_OK);
    assert_int_equal(verify_claims(with("exp", NULL)), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("exp", json_string("soon"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("nbf", json_integer(NOW_S + 30))), YZ_OK);
    assert_int_equal(verify_claims(with("nbf", json_integer(NOW_S + 31))), YZ_TOKEN_NOT_YET_VALID);
    assert_int_equal(verify_claims(with("nbf", json_true())), YZ_TOKEN_CLAIMS);
}

static void judges_the_audience(void **state)
{
    (void)state;
    assert_int_equal(verify_claims(with("aud", json_string("other"))), YZ_TOKEN_WRONG_AUDIENCE);
    assert_int_equal(verify_claims(with("aud", json_pack("[s,s]", "other", "yizhan"))), YZ_OK);
    assert_int_equal(verify_claims(with("aud", json_array())), YZ_TOKEN_WRONG_AUDIENCE);
    assert_int_equal(verify_claims(with("aud", NULL)), YZ_TOKEN_CLAIMS);
}

static void judges_the_claims(void **state)
{
    (void)state;
    assert_int_equal(verify_claims(with("sub", NULL)), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("sub", json_string("a.b"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("sub", json_integer(7))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("tid", json_string(""))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("tid", json_string("t>"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("org", json_string("c1"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("path", json_string("g1//b1"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("path", json_string("g1/*/b1"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", NULL)), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", json_string("member"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", json_pack("[s]", "emperor@g1"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", json_pack("[s]", "member,admin@g1"))),
                     YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", json_pack("[s]", "secretary@"))), YZ_TOKEN_CLAIMS);
    assert_int_equal(verify_claims(with("roles", json_array())), YZ_OK);
}

static void reloads_or_keeps_the_old_keys(void **state)
{
    struct gw_identity identity;
    static const char next[] = "next-secret-next-secret-next-secret";

    (void)state;
    write_file("next.HS256.key", next);
    assert_int_equal(verify(sign("next", JWT_ALG_HS256, next, good_claims()), &identity),
                     YZ_TOKEN_UNKNOWN_KEY);
    assert_int_equal(gw_auth_reload(auth), YZ_OK);
    assert_int_equal(verify(sign("next", JWT_ALG_HS256, next, good_claims()), &identity), YZ_OK);
}

/* What was kept of an earlier token's header goes with the keys it was read with. */
static void forgets_a_key_that_was_replaced(void **state)
{
    static const char before[] = "before-before-before-before-before";
    static const char after[] = "after-after-after-after-after-after";
    struct gw_identity identity;

    (void)state;
    write_file("next.HS256.key", before);
    assert_int_equal(gw_auth_reload(auth), YZ_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(verify(sign("next", JWT_ALG_HS256, before, good_claims()), &identity),
                         YZ_OK);
    write_file("next.HS256.key", after);
    assert_int_equal(gw_auth_reload(auth), YZ_OK);
    assert_int_equal(verify(sign("next", JWT_ALG_HS256, before, good_claims()), &identity),
                     YZ_TOKEN_BAD_SIGNATURE);
    assert_int_equal(verify(sign("next", JWT_ALG_HS256, after, good_claims()), &identity), YZ_OK);
}

/* A good token keeps its header; a bad one behind it is none the better for it. */
static void judges_each_signature_anew(void **state)
{
    static const struct {
        const char *kid, *key;
        jwt_alg_t alg;
    } keys[] = {{"hs", secret, JWT_ALG_HS256},
                {"rs", rsa_private, JWT_ALG_RS256},
                {"es", ec_private, JWT_ALG_ES256}};
    struct gw_identity identity;

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char *good = sign(keys[i].kid, keys[i].alg, keys[i].key, good_claims()), *bad;
        char *other = sign(keys[i].kid, keys[i].alg, keys[i].key, with("sub", json_string("m2")));

        for (size_t at = 1; at < 40; at += 3) {
            assert_int_equal(verify(strdup(good), &identity), YZ_OK);
            bad = strdup(good);
            bad[strlen(bad) - at - 1] = bad[strlen(bad) - at - 1] == 'A' ? 'B' : 'A';
            assert_int_equal(verify(bad, &identity), YZ_TOKEN_BAD_SIGNATURE);
        }
        bad = strdup(good);
        bad[strlen(bad) - 8] = '\0'; /* cut */
        assert_int_equal(verify(bad, &identity), YZ_TOKEN_BAD_SIGNATURE);
        bad = malloc(strlen(good) + strlen(other));
        assert_non_null(bad);
        snprintf(bad, strlen(good) + strlen(other), "%.*s%s", (int)(strrchr(other, '.') - other),
                 other, strrchr(good, '.'));
        assert_int_equal(verify(bad, &identity), YZ_TOKEN_BAD_SIGNATURE);
        assert_int_equal(verify(other, &identity), YZ_OK);
        assert_string_equal(identity.actor.member, "m2");
        free(good);
    }
}

static void refuses_to_start_without_keys(void **state)
{
    char empty[] = "/tmp/yz-auth-empty-XXXXXX";
    struct gw_auth *none = NULL;

    (void)state;
    assert_non_null(mkdtemp(empty));
    assert_int_equal(gw_auth_new(empty, "yizhan", &none), YZ_NOT_FOUND);
    assert_int_equal(rmdir(empty), 0);
    assert_int_equal(gw_auth_new(empty, "yizhan", &none), YZ_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_each_algorithm),
        cmocka_unit_test(ignores_what_is_no_good_key),
        cmocka_unit_test(pins_the_algorithm_to_the_key),
        cmocka_unit_test(refuses_an_unknown_key),
        cmocka_unit_test(refuses_a_wrong_signature),
        cmocka_unit_test(refuses_what_is_no_token),
        cmocka_unit_test(judges_the_times),
        cmocka_unit_test(judges_the_audience),
        cmocka_unit_test(judges_the_claims),
        cmocka_unit_test(reloads_or_keeps_the_old_keys),
        cmocka_unit_test(forgets_a_key_that_was_replaced),
        cmocka_unit_test(judges_each_signature_anew),
        cmocka_unit_test(refuses_to_start_without_keys),
    };

    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
