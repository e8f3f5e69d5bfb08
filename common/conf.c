#include "common/conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define G YZ_CONF_GATEWAY
#define W YZ_CONF_WORKER
#define C YZ_CONF_CTL

struct option {
    const char *field;
    int who;
    bool is_text;
    size_t at;
    int64_t def, min, max;
    const char *text;
    const char *help;
};

static const struct option options[] = {
#define INT(who, field, def, min, max, help)                                                       \
    {#field, who, false, offsetof(struct yz_conf, field), def, min, max, NULL, help},
#define STR(who, field, def, help)                                                                 \
    {#field, who, true, offsetof(struct yz_conf, field), 0, 0, 0, def, help},
#include "common/conf.def"
#undef INT
#undef STR
};

#define OPTION_COUNT (sizeof options / sizeof options[0])
#define NAME_MAX_LEN 64

/* "listen_port" as "--listen-port" or "YZ_LISTEN_PORT". */
static void flag_name(const struct option *o, char out[NAME_MAX_LEN])
{
    snprintf(out, NAME_MAX_LEN, "--%s", o->field);
    for (char *p = out; *p; p++)
        *p = *p == '_' ? '-' : *p;
}

static void variable_name(const struct option *o, char out[NAME_MAX_LEN])
{
    snprintf(out, NAME_MAX_LEN, "YZ_%s", o->field);
    for (char *p = out; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
}

static bool assign(struct yz_conf *conf, const struct option *o, const char *value,
                   const char *source)
{
    char *end;
    long long number;

    if (o->is_text) {
        memcpy((char *)conf + o->at, &value, sizeof value);
        return true;
    }
    errno = 0;
    number = strtoll(value, &end, 10);
    if (*value == '\0' || *end != '\0' || errno != 0 || number < o->min || number > o->max) {
        fprintf(stderr, "%s: '%s' is not a whole number from %lld to %lld\n", source, value,
                (long long)o->min, (long long)o->max);
        return false;
    }
    int64_t stored = number;
    memcpy((char *)conf + o->at, &stored, sizeof stored);
    return true;
}

/* Defaults, then the environment. An empty variable counts as not set. */
static bool from_environment(struct yz_conf *conf, enum yz_conf_who who)
{
    bool good = true;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char name[NAME_MAX_LEN];
        const char *value;

        if (o->is_text)
            memcpy((char *)conf + o->at, &o->text, sizeof o->text);
        else
            memcpy((char *)conf + o->at, &o->def, sizeof o->def);
        variable_name(o, name);
        value = getenv(name);
        if ((o->who & (int)who) && value && *value && !assign(conf, o, value, name))
            good = false;
    }
    return good;
}

static const struct option *find_flag(const char *word, size_t len, enum yz_conf_who who)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[NAME_MAX_LEN];

        flag_name(&options[i], name);
        if ((options[i].who & (int)who) && strlen(name) == len && strncmp(name, word, len) == 0)
            return &options[i];
    }
    return NULL;
}

static void print_and_leave(const char *word, enum yz_conf_who who, const char *usage)
{
    if (strcmp(word, "--help") == 0) {
        printf("%s\n\nSettings (a flag, else its variable, else the default):\n", usage);
        yz_conf_help(stdout, who);
        printf("\n  --help-markdown  the settings of all programs as a Markdown table\n"
               "  --version\n");
        exit(0);
    }
    if (strcmp(word, "--help-markdown") == 0) {
        yz_conf_markdown(stdout);
        exit(0);
    }
    if (strcmp(word, "--version") == 0) {
        printf("yizhan %s\n", YZ_VERSION);
        exit(0);
    }
}

bool yz_conf_parse(struct yz_conf *conf, enum yz_conf_who who, int argc, char **argv,
                   const char *usage, int *rest)
{
    bool good = from_environment(conf, who);
    int i;

    for (i = 1; i < argc; i++) {
        const char *word = argv[i], *equals = strchr(word, '=');
        size_t len = equals ? (size_t)(equals - word) : strlen(word);
        const struct option *o;

        if (strcmp(word, "--") == 0) {
            i++;
            break;
        }
        if (strncmp(word, "--", 2) != 0)
            break;
        print_and_leave(word, who, usage);
        o = find_flag(word, len, who);
        if (!o) {
            fprintf(stderr, "%.*s: there is no such flag; see --help\n", (int)len, word);
            good = false;
        } else if (!equals && i + 1 >= argc) {
            fprintf(stderr, "%s: the value is missing\n", word);
            good = false;
        } else if (!assign(conf, o, equals ? equals + 1 : argv[++i], word)) {
            good = false;
        }
    }
    if (rest)
        *rest = i;
    else if (i < argc) {
        fprintf(stderr, "%s: this program takes flags only; see --help\n", argv[i]);
        good = false;
    }
    return good;
}

void yz_conf_help(FILE *out, enum yz_conf_who who)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char flag[NAME_MAX_LEN], variable[NAME_MAX_LEN];

        if (!(o->who & (int)who))
            continue;
        flag_name(o, flag);
        variable_name(o, variable);
        fprintf(out, "  %-30s %s\n", flag, o->help);
        if (o->is_text)
            fprintf(out, "  %-30s %s, default %s\n", "", variable, *o->text ? o->text : "none");
        else
            fprintf(out, "  %-30s %s, %lld to %lld, default %lld\n", "", variable,
                    (long long)o->min, (long long)o->max, (long long)o->def);
    }
}

/* '<kid>' would be taken for a tag. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '<' ? "\\%c" : "%c", *text);
}

void yz_conf_markdown(FILE *out)
{
    fprintf(out, "| setting | programs | default | range | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char variable[NAME_MAX_LEN];

        variable_name(o, variable);
        fprintf(out, "| `%s` |%s%s%s | ", variable, o->who & G ? " gateway" : "",
                o->who & W ? " worker" : "", o->who & C ? " yzctl" : "");
        if (o->is_text)
            fprintf(out, "%s%s%s | | ", *o->text ? "`" : "", o->text, *o->text ? "`" : "");
        else
            fprintf(out, "%lld | %lld–%lld | ", (long long)o->def, (long long)o->min,
                    (long long)o->max);
        print_escaped(out, o->help);
        fprintf(out, " |\n");
    }
}
