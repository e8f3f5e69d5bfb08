#include "gateway/auth.h"

#include "common/log.h"
#include "common/memory.h"
#include "gateway/revocation.h"
#include "gateway/signature.h"
#include "schemas/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX        16384
#define HEADER_KEPT_MAX     256
#define NOT_BEFORE_LEEWAY_S 30
#define MEMBER_ROLE         "member"

struct algorithm {
    const char *name; /* in a token's header and in the file's name */
    const char *suffix;
    enum gw_algorithm kind;
};

static const struct algorithm algorithms[] = {
    {"HS256", ".HS256.key", GW_HS256},
    {"RS256", ".RS256.pem", GW_RS256},
    {"ES256", ".ES256.pem", GW_ES256},
};

struct key {
    char kid[YZ_ID_MAX];
    const struct algorithm *algorithm;
    struct gw_signer *signer;
};

struct keys {
    struct key list[GW_KEYS_MAX];
    size_t count;
    /* The header of the last good token and its key: whoever issues tokens writes the same header
     * into each of a key. */
    char header[HEADER_KEPT_MAX];
    size_t header_len;
    const struct key *header_key;
};

struct gw_auth {
    char *keys_dir, *audience;
    struct keys *keys;
    const struct gw_revocations *revocations; /* NULL: none are heeded */
};

static void free_keys(struct keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        gw_signer_free(keys->list[i].signer);
    free(keys);
}

/* "demo.HS256.key" to kid and algorithm; false when the name is not of this form. */
static bool parse_name(const char *name, struct key *key)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        size_t suffix = strlen(algorithms[i].suffix);

        if (len <= suffix || len - suffix >= sizeof key->kid ||
            strcmp(name + len - suffix, algorithms[i].suffix) != 0)
            continue;
        memcpy(key->kid, name, len - suffix);
        key->kid[len - suffix] = '\0';
        key->algorithm = &algorithms[i];
        return yz_id_valid(key->kid);
    }
    return false;
}

/* The file's bytes and one more; false when it cannot be read or is too large. */
static bool read_file(int dir, const char *name, unsigned char data[KEY_FILE_MAX + 1], size_t *len)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return false;
    got = read(fd, data, KEY_FILE_MAX + 1);
    close(fd);
    *len = got < 0 ? 0 : (size_t)got;
    return got >= 0 && got <= KEY_FILE_MAX;
}

static const struct key *find_key(const struct keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->list[i].kid, kid) == 0)
            return &keys->list[i];
    }
    return NULL;
}

static void add_key(struct keys *keys, int dir, const char *name)
{
    unsigned char data[KEY_FILE_MAX + 1];
    struct key key = {0};
    const char *reason = NULL;
    size_t len = 0;

    if (!parse_name(name, &key))
        return; /* some other file, e.g. a private key beside its public one */
    if (find_key(keys, key.kid))
        reason = "kid_used_twice";
    else if (keys->count == GW_KEYS_MAX)
        reason = "too_many_keys";
    else if (!read_file(dir, name, data, &len))
        reason = "unreadable_or_too_large";
    else
        key.signer = gw_signer_new(key.algorithm->kind, data, len, &reason);
    OPENSSL_cleanse(data, len);
    if (key.signer)
        keys->list[keys->count++] = key;
    else
        yz_warn("key_ignored", "file=%s reason=%s", name, reason);
}

static struct keys *load_keys(const char *path)
{
    struct keys *keys = calloc(1, sizeof *keys);
    DIR *dir = keys ? opendir(path) : NULL;
    struct dirent *entry;

    if (!dir) {
        yz_error("keys_dir_unreadable", "keys_dir=%s reason=%s", path, strerror(errno));
        free_keys(keys);
        return NULL;
    }
    while ((entry = readdir(dir)))
        add_key(keys, dirfd(dir), entry->d_name);
    closedir(dir);
    if (keys->count == 0) {
        yz_error("no_keys", "keys_dir=%s", path);
        free_keys(keys);
        return NULL;
    }
    yz_info("keys_loaded", "keys_dir=%s count=%zu", path, keys->count);
    return keys;
}

enum yz_err gw_auth_new(const char *keys_dir, const char *audience, struct gw_auth **out)
{
    struct gw_auth *auth = calloc(1, sizeof *auth);

    if (!auth)
        return YZ_INTERNAL;
    auth->keys_dir = strdup(keys_dir);
    auth->audience = strdup(audience);
    if (!auth->keys_dir || !auth->audience) {
        gw_auth_free(auth);
        return YZ_INTERNAL;
    }
    auth->keys = load_keys(keys_dir);
    if (!auth->keys) {
        gw_auth_free(auth);
        return YZ_NOT_FOUND;
    }
    *out = auth;
    return YZ_OK;
}

void gw_auth_free(struct gw_auth *auth)
{
    if (!auth)
        return;
    free_keys(auth->keys);
    free(auth->keys_dir);
    free(auth->audience);
    free(auth);
}

enum yz_err gw_auth_reload(struct gw_auth *auth)
{
    struct keys *keys = load_keys(auth->keys_dir);

    if (!keys)
        return YZ_NOT_FOUND;
    free_keys(auth->keys);
    auth->keys = keys;
    return YZ_OK;
}

size_t gw_auth_key_count(const struct gw_auth *auth)
{
    return auth->keys->count;
}

static int digit64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Strict base64url without padding; false on any other character or a length that cannot be. */
static bool decode64(const char *text, size_t len, char *out, size_t *out_len)
{
    unsigned bits = 0;
    int held = 0;
    size_t at = 0;

    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int digit = digit64(text[i]);

        if (digit < 0)
            return false;
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[at++] = (char)(bits >> held & 0xff);
        }
    }
    *out_len = at;
    return true;
}

/* A token's part as a JSON object; NULL when it is none. A name that stands twice is refused, so
 * that nobody reads another value than we do. */
static json_t *decode_part(const char *text, size_t len)
{
    char raw[GW_TOKEN_MAX];
    size_t raw_len;
    json_t *object;

    if (len > sizeof raw || !decode64(text, len, raw, &raw_len))
        return NULL;
    object = yz_json_load(raw, raw_len, JSON_REJECT_DUPLICATES, NULL);
    if (object && !json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Which key the header names, if that key is of the header's algorithm. */
static enum yz_err choose_key(const struct keys *keys, const json_t *header, const struct key **key)
{
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const char *kid = json_string_value(json_object_get(header, "kid"));

    if (!alg || json_object_get(header, "crit"))
        return YZ_TOKEN_MALFORMED;
    if (strcasecmp(alg, "none") == 0)
        return YZ_TOKEN_ALGORITHM;
    if (!kid)
        return YZ_TOKEN_UNKNOWN_KEY;
    *key = find_key(keys, kid);
    if (!*key)
        return YZ_TOKEN_UNKNOWN_KEY;
    return strcmp(alg, (*key)->algorithm->name) == 0 ? YZ_OK : YZ_TOKEN_ALGORITHM;
}

/* The key that the token's header names; a header met before needs no reading. */
static enum yz_err read_header(struct keys *keys, const char *text, size_t len,
                               const struct key **key)
{
    enum yz_err err = YZ_TOKEN_MALFORMED;
    json_t *header;

    if (len > 0 && len == keys->header_len && memcmp(text, keys->header, len) == 0) {
        *key = keys->header_key;
        return YZ_OK;
    }
    header = decode_part(text, len);
    if (header)
        err = choose_key(keys, header, key);
    json_decref(header);
    return err;
}

static void keep_header(struct keys *keys, const char *text, size_t len, const struct key *key)
{
    if (len > sizeof keys->header)
        return;
    memcpy(keys->header, text, len);
    keys->header_len = len;
    keys->header_key = key;
}

/* text: header, dot, claims, dot, signature. */
static enum yz_err check_signature(const char *text, size_t signed_len, size_t len,
                                   const struct key *key)
{
    char signature[GW_TOKEN_MAX];
    size_t signature_len;

    if (!decode64(text + signed_len + 1, len - signed_len - 1, signature, &signature_len))
        return YZ_TOKEN_BAD_SIGNATURE;
    return gw_signer_check(key->signer, text, signed_len, (const unsigned char *)signature,
                           signature_len);
}

static bool is_for(const json_t *aud, const char *audience)
{
    const char *one = json_string_value(aud);
    const json_t *each;
    size_t i;

    if (one)
        return strcmp(one, audience) == 0;
    json_array_foreach(aud, i, each)
    {
        if (json_is_string(each) && strcmp(json_string_value(each), audience) == 0)
            return true;
    }
    return false;
}

/* A number of seconds; false when the claim is there and is none. */
static bool seconds(const json_t *claim, double *value)
{
    if (!claim)
        return true;
    *value = json_number_value(claim);
    return json_is_number(claim) && *value >= 0 && *value < 253402300800.0; /* year 10000 */
}

/* An iat of the future would outlive the revocations of today. */
static enum yz_err check_times(const json_t *claims, int64_t now_ms, struct gw_identity *identity)
{
    double exp = 0, nbf = 0, iat = 0;

    if (!json_object_get(claims, "exp") || !seconds(json_object_get(claims, "exp"), &exp) ||
        !seconds(json_object_get(claims, "nbf"), &nbf) ||
        !seconds(json_object_get(claims, "iat"), &iat))
        return YZ_TOKEN_CLAIMS;
    identity->expires_at_ms = (int64_t)(exp * 1000);
    identity->issued_at_ms = (int64_t)(iat * 1000);
    if (identity->expires_at_ms <= now_ms)
        return YZ_TOKEN_EXPIRED;
    if ((int64_t)((nbf > iat ? nbf : iat) * 1000) > now_ms + NOT_BEFORE_LEEWAY_S * 1000)
        return YZ_TOKEN_NOT_YET_VALID;
    return YZ_OK;
}

static bool copy_claim(const json_t *claims, const char *name, char *out, size_t size)
{
    const json_t *claim = json_object_get(claims, name);
    const char *text = json_string_value(claim);

    if (!text || json_string_length(claim) >= size || strlen(text) != json_string_length(claim))
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* "member", "public" or "<role>@<org path>" of a known role. */
static bool role_valid(const char *role)
{
    static const char *const scoped[] = {"secretary@", "inspector@", "admin@"};

    if (strcmp(role, MEMBER_ROLE) == 0 || strcmp(role, "public") == 0)
        return true;
    for (size_t i = 0; i < sizeof scoped / sizeof scoped[0]; i++) {
        size_t len = strlen(scoped[i]);

        if (strncmp(role, scoped[i], len) == 0)
            return yz_org_path_valid(role + len);
    }
    return false;
}

static bool join_roles(const json_t *roles, char out[YZ_ROLES_MAX])
{
    size_t used = 0, i;
    const json_t *each;

    out[0] = '\0';
    if (!json_is_array(roles))
        return false;
    json_array_foreach(roles, i, each)
    {
        const char *role = json_string_value(each);
        size_t len = role ? strlen(role) : 0;

        if (!role || len != json_string_length(each) || !role_valid(role) ||
            used + len + 2 > YZ_ROLES_MAX)
            return false;
        if (used > 0)
            out[used++] = ',';
        memcpy(out + used, role, len + 1);
        used += len;
    }
    return true;
}

static bool read_actor(const json_t *claims, struct yz_actor *actor)
{
    char org[YZ_ID_MAX];
    const char *last;

    if (!copy_claim(claims, "sub", actor->member, sizeof actor->member) ||
        !copy_claim(claims, "tid", actor->tenant, sizeof actor->tenant) ||
        !copy_claim(claims, "org", org, sizeof org) ||
        !copy_claim(claims, "path", actor->org_path, sizeof actor->org_path) ||
        !join_roles(json_object_get(claims, "roles"), actor->roles))
        return false;
    if (!yz_id_valid(actor->member) || !yz_id_valid(actor->tenant) ||
        !yz_org_path_valid(actor->org_path))
        return false;
    last = strrchr(actor->org_path, '/');
    return strcmp(org, last ? last + 1 : actor->org_path) == 0;
}

static enum yz_err check_claims(const struct gw_auth *auth, const json_t *claims, int64_t now_ms,
                                struct gw_identity *identity)
{
    enum yz_err err;

    if (!json_object_get(claims, "aud"))
        return YZ_TOKEN_CLAIMS;
    if (!is_for(json_object_get(claims, "aud"), auth->audience))
        return YZ_TOKEN_WRONG_AUDIENCE;
    err = check_times(claims, now_ms, identity);
    if (err != YZ_OK)
        return err;
    if (!copy_claim(claims, "jti", identity->token_id, sizeof identity->token_id) ||
        !yz_id_valid(identity->token_id))
        identity->token_id[0] = '\0';
    return read_actor(claims, &identity->actor) ? YZ_OK : YZ_TOKEN_CLAIMS;
}

void gw_auth_heed(struct gw_auth *auth, const struct gw_revocations *revocations)
{
    auth->revocations = revocations;
}

enum yz_err gw_auth_judge(const struct gw_auth *auth, const struct gw_identity *identity)
{
    return auth->revocations ? gw_revocations_judge(auth->revocations, identity) : YZ_OK;
}

/* Where header and claims end; false unless there are exactly three parts. */
static bool find_dots(const char *token, size_t len, size_t *first, size_t *second)
{
    const char *a = memchr(token, '.', len), *b;

    if (!a)
        return false;
    b = memchr(a + 1, '.', len - (size_t)(a + 1 - token));
    if (!b || memchr(b + 1, '.', len - (size_t)(b + 1 - token)))
        return false;
    *first = (size_t)(a - token);
    *second = (size_t)(b - token);
    return true;
}

enum yz_err gw_auth_verify(const struct gw_auth *auth, const char *token, size_t len,
                           int64_t now_ms, struct gw_identity *identity)
{
    const struct key *key = NULL;
    json_t *claims;
    size_t first, second;
    unsigned refusals = yz_memory_refusals();
    enum yz_err err = YZ_TOKEN_MALFORMED;

    if (len == 0)
        return YZ_TOKEN_MISSING;
    if (len > GW_TOKEN_MAX || memchr(token, '\0', len) || !find_dots(token, len, &first, &second))
        return YZ_TOKEN_MALFORMED;
    claims = decode_part(token + first + 1, second - first - 1);
    if (claims)
        err = read_header(auth->keys, token, first, &key);
    if (err == YZ_OK)
        err = check_signature(token, second, len, key);
    if (err == YZ_OK) {
        keep_header(auth->keys, token, first, key);
        err = check_claims(auth, claims, now_ms, identity);
    }
    if (err == YZ_OK)
        err = gw_auth_judge(auth, identity);
    json_decref(claims);
    /* Without memory nothing can be said about the token, neither good nor bad. */
    return yz_memory_refusals() == refusals ? err : YZ_INTERNAL;
}
