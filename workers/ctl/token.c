#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "workers/ctl/actor.h"
#include "workers/ctl/database.h"
#include "workers/ctl/keyfile.h"
#include "workers/document.h"
#include "workers/domains/member.h"

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_KID "demo"

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag who[] = {
    {.name = "tenant",
     .kind = CTL_TEXT,
     .value = "ID",
     .required = true,
     .help = "the organisation's tenant"},
    {.name = "member", .kind = CTL_TEXT, .value = "ID", .required = true, .help = "who acts"},
    {.name = "path",
     .kind = CTL_TEXT,
     .value = "PATH",
     .help = "the member's org with all above it, g1/c1/b1"},
    {.name = "role",
     .kind = CTL_LIST,
     .value = "ROLE",
     .help = "secretary@PATH, inspector@PATH, admin@PATH; public alone: a guest"},
    {.name = "from-registry",
     .kind = CTL_SWITCH,
     .help = "take path and roles from the member's file, those whose term runs now"},
    {0},
};
static const struct ctl_flag flags[] = {
    {.name = "ttl",
     .kind = CTL_NUMBER,
     .value = "S",
     .def = 3600,
     .min = 1,
     .max = 31536000,
     .help = "seconds until it expires"},
    {.name = "kid", .kind = CTL_TEXT, .value = "ID", .help = "key in YZ_KEYS_DIR (default: demo)"},
    {.name = "key",
     .kind = CTL_TEXT,
     .value = "FILE",
     .help = "another file: a secret or a private PEM"},
    {.name = "alg",
     .kind = CTL_TEXT,
     .value = "ALG",
     .help = "HS256, RS256 or ES256; else as the file's name says"},
    {.name = "audience",
     .kind = CTL_TEXT,
     .value = "AUD",
     .help = "the aud claim (default: YZ_TOKEN_AUDIENCE)"},
    {0},
};
static const struct ctl_flag *const groups[] = {who, flags, ctl_flags_output, NULL};

const struct ctl_command ctl_token = {
    .name = "token",
    .words = "",
    .summary = "sign a token (JWT) for a member, to try things out",
    .help = "The role member is always in it, unless the only role is public. The key's file name "
            "gives kid\n"
            "and algorithm: <kid>.HS256.key, <kid>.RS256.private.pem, <kid>.ES256.private.pem.",
    .examples =
        "yzctl token --tenant demo --member m1 --path g1/c1/b1\n"
        "yzctl token --tenant demo --member s1 --path g1/c1 --role secretary@g1/c1 --ttl 600\n"
        "yzctl token --tenant demo --member m1 --path g1 --key portal.ES256.private.pem\n"
        "yzctl token --tenant demo --member m1 --from-registry",
    .groups = groups,
    .exec = exec,
};

/* Which file signs, under which kid and algorithm. */
struct signer {
    struct ctl_keyname name;
    char path[CTL_PATH_MAX];
};

/* A key of keys_dir that can sign. */
static enum ctl_exit find_signer(const struct ctl *ctl, const char *kid, struct signer *signer)
{
    static const struct ctl_keyname forms[] = {
        {"", "HS256", CTL_KEY_SECRET},
        {"", "RS256", CTL_KEY_PRIVATE},
        {"", "ES256", CTL_KEY_PRIVATE},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        signer->name = forms[i];
        snprintf(signer->name.kid, sizeof signer->name.kid, "%s", kid);
        if (ctl_keyfile_path(ctl->conf->keys_dir, &signer->name, signer->path) &&
            access(signer->path, F_OK) == 0)
            return CTL_DONE;
    }
    return ctl_fail(ctl, "no_key",
                    "%s holds no key '%s' that can sign: yzctl key new --kid %s makes one",
                    ctl->conf->keys_dir, kid, kid);
}

static enum ctl_exit choose_signer(const struct ctl *ctl, struct signer *signer)
{
    const char *kid = ctl_text(ctl, "kid"), *file = ctl_text(ctl, "key");
    const char *algorithm = ctl_text(ctl, "alg");
    bool named;

    if (!file)
        return find_signer(ctl, kid ? kid : DEFAULT_KID, signer);
    named = ctl_keyfile_parse(file, &signer->name);
    if (named && signer->name.part == CTL_KEY_PUBLIC)
        return ctl_misuse(ctl, "%s is a public key: sign with the .private.pem beside it", file);
    if (!named && (!kid || !algorithm))
        return ctl_misuse(
            ctl, "the name of %s says neither kid nor algorithm: give --kid and --alg", file);
    if ((kid && !yz_id_valid(kid)) || (algorithm && !ctl_keyfile_algorithm_valid(algorithm)))
        return ctl_misuse(ctl, "--kid must be an id, --alg one of HS256, RS256, ES256");
    if (kid)
        snprintf(signer->name.kid, sizeof signer->name.kid, "%s", kid);
    if (algorithm)
        snprintf(signer->name.algorithm, sizeof signer->name.algorithm, "%s", algorithm);
    snprintf(signer->path, sizeof signer->path, "%s", file);
    return CTL_DONE;
}

static json_t *claims_of(const struct ctl *ctl, const struct yz_actor *actor, int64_t now_s)
{
    const char *slash = strrchr(actor->org_path, '/');
    const char *audience =
        ctl_given(ctl, "audience") ? ctl_text(ctl, "audience") : ctl->conf->token_audience;
    json_t *roles = json_array();
    char list[YZ_ROLES_MAX], *save = NULL;

    snprintf(list, sizeof list, "%s", actor->roles);
    for (char *role = strtok_r(list, ",", &save); role; role = strtok_r(NULL, ",", &save))
        json_array_append_new(roles, json_string(role));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:I}", "sub", actor->member, "tid",
                     actor->tenant, "org", slash ? slash + 1 : actor->org_path, "path",
                     actor->org_path, "roles", roles, "aud", audience, "iat", (json_int_t)now_s,
                     "exp", (json_int_t)(now_s + ctl_number(ctl, "ttl")));
}

/* NULL: the key is not of the algorithm, or memory ran out. */
static char *sign(const struct signer *signer, const json_t *claims, const uint8_t *key, size_t len)
{
    char *text = json_dumps(claims, JSON_COMPACT), *token = NULL;
    jwt_t *jwt = NULL;

    if (text && jwt_new(&jwt) == 0 && jwt_add_header(jwt, "kid", signer->name.kid) == 0 &&
        jwt_add_grants_json(jwt, text) == 0 &&
        jwt_set_alg(jwt, jwt_str_alg(signer->name.algorithm), key, (int)len) == 0)
        token = jwt_encode_str(jwt);
    jwt_free(jwt);
    free(text);
    return token;
}

static enum ctl_exit print_token(const struct ctl *ctl, const struct signer *signer, json_t *claims)
{
    size_t len = 0;
    uint8_t *key = ctl_keyfile_read(signer->path, &len);
    char *token;

    if (!key)
        return ctl_fail(ctl, "key_unreadable", "%s: %s", signer->path, strerror(errno));
    if (signer->name.part == CTL_KEY_SECRET && len < CTL_SECRET_MIN) {
        ctl_keyfile_free(key, len);
        return ctl_fail(ctl, "key_too_short", "%s holds %zu bytes; the gateway wants %d or more",
                        signer->path, len, CTL_SECRET_MIN);
    }
    token = sign(signer, claims, key, len);
    ctl_keyfile_free(key, len);
    if (!token)
        return ctl_fail(ctl, "not_signed", "%s is no key for %s", signer->path,
                        signer->name.algorithm);
    if (ctl->json)
        ctl_print_json(json_pack("{s:s, s:s, s:s, s:O}", "token", token, "kid", signer->name.kid,
                                 "algorithm", signer->name.algorithm, "claims", claims));
    else
        printf("%s\n", token);
    free(token);
    return CTL_DONE;
}

/* The roles of the file whose term runs now, each with its scope. */
static void read_roles(const bson_t *file, int64_t now_ms, char out[YZ_ROLES_MAX])
{
    struct wk_member_term terms[WK_MEMBER_TERMS_MAX];
    size_t count = wk_member_terms(file, terms);
    size_t len = (size_t)snprintf(out, YZ_ROLES_MAX, "member");

    for (size_t i = 0; i < count && len < YZ_ROLES_MAX; i++) {
        if (terms[i].from_ms > now_ms || (terms[i].until_ms && terms[i].until_ms <= now_ms))
            continue;
        len += (size_t)snprintf(out + len, YZ_ROLES_MAX - len, ",%s@%s",
                                wk_member_role_name(terms[i].role), terms[i].scope);
    }
}

static enum ctl_exit read_file(const struct ctl *ctl, struct ctl_database *db,
                               struct yz_actor *actor)
{
    enum ctl_exit code = CTL_DONE;
    char id[WK_ID_MAX];
    bool found = false;
    bson_t file;

    wk_member_id(id, actor->tenant, actor->member);
    if (wk_store_get(db->store, WK_MEMBERS, id, &file, &found))
        code = ctl_fail(ctl, "database_unavailable", "the database does not answer");
    else if (!found)
        code = ctl_fail(ctl, "not_registered", "the registry has no file of this member");
    else if (strcmp(wk_document_text(&file, "status"), "MEMBER_ACTIVE") != 0)
        code = ctl_fail(ctl, "member_archived", "the member's file is archived");
    if (code == CTL_DONE) {
        snprintf(actor->org_path, sizeof actor->org_path, "%s",
                 wk_document_text(&file, "org_path"));
        read_roles(&file, yz_clock_wall_ms(), actor->roles);
    }
    bson_destroy(&file);
    return code;
}

static enum ctl_exit ask_registry(const struct ctl *ctl, struct yz_actor *actor)
{
    const char *tenant = ctl_text(ctl, "tenant"), *member = ctl_text(ctl, "member");
    struct ctl_database db;
    enum ctl_exit code;

    memset(actor, 0, sizeof *actor);
    if (ctl_given(ctl, "path") || ctl_given(ctl, "role"))
        return ctl_misuse(ctl, "--from-registry takes path and roles from the member's file");
    if (!yz_id_valid(tenant) || !yz_id_valid(member))
        return ctl_misuse(ctl, "'%s' is no id: 1 to 64 of A-Z a-z 0-9 _ -",
                          yz_id_valid(tenant) ? member : tenant);
    snprintf(actor->tenant, sizeof actor->tenant, "%s", tenant);
    snprintf(actor->member, sizeof actor->member, "%s", member);
    if (!ctl_database_open(ctl, &db))
        return CTL_FAILED;
    code = read_file(ctl, &db, actor);
    ctl_database_close(&db);
    return code;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    struct yz_actor actor;
    struct signer signer = {0};
    enum ctl_exit code;
    json_t *claims;

    if (ctl_given(ctl, "from-registry")) {
        if ((code = ask_registry(ctl, &actor)))
            return code;
    } else if (!ctl_given(ctl, "path")) {
        return ctl_misuse(ctl, "--path is required, or --from-registry");
    } else if (!ctl_actor_read(ctl, &actor)) {
        return CTL_USAGE;
    }
    if ((code = choose_signer(ctl, &signer)))
        return code;
    claims = claims_of(ctl, &actor, yz_clock_wall_ms() / 1000);
    code = print_token(ctl, &signer, claims);
    json_decref(claims);
    return code;
}
