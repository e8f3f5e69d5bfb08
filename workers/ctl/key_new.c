#include "workers/ctl/commands.h"

#include "workers/ctl/keyfile.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "kid",
     .kind = CTL_TEXT,
     .value = "ID",
     .required = true,
     .help = "name of the key, in each token it signs"},
    {.name = "alg", .kind = CTL_TEXT, .value = "ALG", .help = "HS256 (default), RS256 or ES256"},
    {.name = "dir", .kind = CTL_TEXT, .value = "DIR", .help = "folder (default: YZ_KEYS_DIR)"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_key_new = {
    .name = "key new",
    .words = "",
    .summary = "make a token key",
    .help =
        "HS256 makes one file, <kid>.HS256.key, which both signs and verifies. RS256 and ES256 "
        "make\n"
        "two: <kid>.<ALG>.pem for the gateway and <kid>.<ALG>.private.pem for whoever signs, who\n"
        "should take it away. To rotate: make a new key, let the gateways read it (SIGHUP or\n"
        "restart), sign with it, and delete the old file when its last token has expired.\n"
        "A file that exists is never overwritten.",
    .examples = "yzctl key new --kid 2026a\n"
                "yzctl key new --kid portal --alg ES256 --dir /etc/yizhan/keys",
    .groups = groups,
    .exec = exec,
};

/* What is written, in this order; a failure leaves what is complete. */
struct made {
    struct ctl_keyname name;
    char paths[2][CTL_PATH_MAX];
    int count;
};

static bool write_part(const struct ctl *ctl, struct made *made, const char *dir,
                       enum ctl_key_part part, const void *data, size_t len)
{
    char *path = made->paths[made->count];

    made->name.part = part;
    if (!ctl_keyfile_path(dir, &made->name, path)) {
        ctl_misuse(ctl, "the folder's name is too long");
        return false;
    }
    if (!ctl_keyfile_write(path, data, len, part == CTL_KEY_PUBLIC ? 0644 : 0600)) {
        ctl_fail(ctl, "not_written", "%s: %s", path, strerror(errno));
        return false;
    }
    made->count++;
    return true;
}

static bool make_secret(const struct ctl *ctl, struct made *made, const char *dir)
{
    char secret[65];
    bool good;

    if (!ctl_keyfile_random(secret)) {
        ctl_fail(ctl, "no_randomness", "the system gives no random bytes");
        return false;
    }
    good = write_part(ctl, made, dir, CTL_KEY_SECRET, secret, strlen(secret));
    OPENSSL_cleanse(secret, sizeof secret);
    return good;
}

static bool make_pair(const struct ctl *ctl, struct made *made, const char *dir)
{
    EVP_PKEY *key = strcmp(made->name.algorithm, "RS256") == 0 ? EVP_RSA_gen(CTL_RSA_BITS)
                                                               : EVP_EC_gen("P-256");
    BIO *private = BIO_new(BIO_s_secmem()), *public = BIO_new(BIO_s_mem());
    char *private_text, *public_text;
    long private_len, public_len;
    bool good = false;

    if (!key || !private || !public ||
        !PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) ||
        !PEM_write_bio_PUBKEY(public, key)) {
        ctl_fail(ctl, "not_made", "OpenSSL could not make the key");
        goto out;
    }
    private_len = BIO_get_mem_data(private, &private_text);
    public_len = BIO_get_mem_data(public, &public_text);
    good = write_part(ctl, made, dir, CTL_KEY_PRIVATE, private_text, (size_t)private_len) &&
           write_part(ctl, made, dir, CTL_KEY_PUBLIC, public_text, (size_t)public_len);
out:
    BIO_free(public);
    BIO_free(private);
    EVP_PKEY_free(key);
    return good;
}

/* The gateway takes one key for a kid, whatever the algorithm. */
static bool is_free(const char *dir, const char *kid)
{
    static const struct ctl_keyname forms[] = {
        {"", "HS256", CTL_KEY_SECRET},  {"", "RS256", CTL_KEY_PUBLIC},
        {"", "ES256", CTL_KEY_PUBLIC},  {"", "RS256", CTL_KEY_PRIVATE},
        {"", "ES256", CTL_KEY_PRIVATE},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct ctl_keyname name = forms[i];
        char path[CTL_PATH_MAX];

        snprintf(name.kid, sizeof name.kid, "%s", kid);
        if (ctl_keyfile_path(dir, &name, path) && access(path, F_OK) == 0)
            return false;
    }
    return true;
}

static void report(const struct ctl *ctl, const struct made *made)
{
    json_t *files = json_array();

    for (int i = 0; i < made->count; i++)
        json_array_append_new(files, json_string(made->paths[i]));
    if (ctl->json) {
        ctl_print_json(json_pack("{s:s, s:s, s:o}", "kid", made->name.kid, "algorithm",
                                 made->name.algorithm, "files", files));
        return;
    }
    json_decref(files);
    for (int i = 0; i < made->count; i++)
        printf("made %s\n", made->paths[i]);
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *kid = ctl_text(ctl, "kid");
    const char *dir = ctl_given(ctl, "dir") ? ctl_text(ctl, "dir") : ctl->conf->keys_dir;
    const char *algorithm = ctl_given(ctl, "alg") ? ctl_text(ctl, "alg") : "HS256";
    struct made made = {0};
    bool good;

    if (!yz_id_valid(kid))
        return ctl_misuse(ctl, "'%s' is no id: 1 to 64 of A-Z a-z 0-9 _ -", kid);
    if (!ctl_keyfile_algorithm_valid(algorithm))
        return ctl_misuse(ctl, "'%s' is none of HS256, RS256, ES256", algorithm);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return ctl_fail(ctl, "no_folder", "%s cannot be made: %s", dir, strerror(errno));
    if (!is_free(dir, kid))
        return ctl_fail(ctl, "exists",
                        "%s holds a key '%s' already; keys are never overwritten: "
                        "choose another kid",
                        dir, kid);
    snprintf(made.name.kid, sizeof made.name.kid, "%s", kid);
    snprintf(made.name.algorithm, sizeof made.name.algorithm, "%s", algorithm);
    good =
        strcmp(algorithm, "HS256") == 0 ? make_secret(ctl, &made, dir) : make_pair(ctl, &made, dir);
    if (!good)
        return CTL_FAILED;
    report(ctl, &made);
    return CTL_DONE;
}
