#include "workers/rules.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "workers/rules_builtin.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX   32
#define RULES_FILE_MAX (256 * 1024)
#define PLACE_MAX      160

/* Every version is a version's text, its time and then the values in the order of rules.def. */
struct version {
    char version[WK_RULES_VERSION_MAX];
    int64_t effective_from_ms;
    int64_t values[];
};

#define RULE(field, low, high, help) int64_t field;
#define PACK(name, rules)                                                                          \
    _Static_assert(offsetof(struct version, values) == sizeof(char[WK_RULES_VERSION_MAX]) + 8,     \
                   #name ": the values follow the time");
#include "workers/rules.def"
#undef PACK
#undef RULE

struct rule {
    const char *name;
    int64_t low, high;
};

#define RULE(field, low, high, help) {#field, low, high},
#define PACK(name, ...)              static const struct rule rules_of_##name[] = {__VA_ARGS__{0}};
#include "workers/rules.def"
#undef PACK
#undef RULE

enum pack_index {
#define PACK(name, rules) PACK_##name,
#include "workers/rules.def"
#undef PACK
    PACK_COUNT
};

static const struct {
    const char *name;
    const struct rule *rules;
    size_t rule_count;
} packs[] = {
#define PACK(name, rules)                                                                          \
    {#name, rules_of_##name, sizeof rules_of_##name / sizeof rules_of_##name[0] - 1},
#include "workers/rules.def"
#undef PACK
};

struct wk_rules {
    struct version *versions[PACK_COUNT][VERSIONS_MAX]; /* in the order of their days */
    size_t counts[PACK_COUNT];
};

static enum yz_err refuse(const char *pack, const char *place, const char *reason)
{
    yz_error("rules_unusable", "pack=%s place=\"%s\" reason=\"%s\"", pack, place, reason);
    return YZ_INVALID_VALUE;
}

/* "2026-01-01" as the first millisecond of that day, UTC for now; INT64_MIN: it is no day. */
static int64_t day_ms(const char *text)
{
    char time[YZ_RFC3339_MAX];
    int64_t seconds;
    int32_t nanos;
    int len;

    if (!text || strlen(text) != 10)
        return INT64_MIN;
    len = snprintf(time, sizeof time, "%sT00:00:00Z", text);
    return yz_clock_parse(time, (size_t)len, &seconds, &nanos) ? seconds * 1000 : INT64_MIN;
}

static enum yz_err read_values(size_t pack, json_t *rules, const char *place,
                               struct version *version)
{
    char at[PLACE_MAX];
    const char *name;
    json_t *value;
    int64_t number;

    for (size_t i = 0; i < packs[pack].rule_count; i++) {
        const struct rule *rule = &packs[pack].rules[i];

        value = json_object_get(rules, rule->name);
        snprintf(at, sizeof at, "%.40s.rules.%.100s", place, rule->name);
        if (!json_is_integer(value))
            return refuse(packs[pack].name, at, value ? "not a whole number" : "missing");
        number = json_integer_value(value);
        if (number < rule->low || number > rule->high)
            return refuse(packs[pack].name, at, "out of bounds");
        /* It will be read as a field of the pack's own struct. */
        memcpy(&version->values[i], &number, sizeof number);
    }
    json_object_foreach(rules, name, value)
    {
        size_t i = 0;

        while (i < packs[pack].rule_count && strcmp(packs[pack].rules[i].name, name) != 0)
            i++;
        snprintf(at, sizeof at, "%.40s.rules.%.100s", place, name);
        if (i == packs[pack].rule_count)
            return refuse(packs[pack].name, at, "there is no such rule");
    }
    return YZ_OK;
}

static enum yz_err read_version(struct wk_rules *rules, size_t pack, size_t index, json_t *from)
{
    const char *name = json_string_value(json_object_get(from, "version"));
    const char *provenance = json_string_value(json_object_get(from, "provenance"));
    struct version *version;
    char place[PLACE_MAX];

    snprintf(place, sizeof place, "versions[%zu]", index);
    if (!name || !*name || strlen(name) >= WK_RULES_VERSION_MAX)
        return refuse(packs[pack].name, place, "no version's name");
    if (!provenance || !*provenance)
        return refuse(packs[pack].name, place, "no provenance");
    for (size_t i = 0; i < index; i++) {
        if (strcmp(rules->versions[pack][i]->version, name) == 0)
            return refuse(packs[pack].name, place, "the version's name stands twice");
    }
    version = yz_calloc(1, sizeof *version + packs[pack].rule_count * sizeof(int64_t));
    rules->versions[pack][index] = version;
    rules->counts[pack] = index + 1;
    snprintf(version->version, sizeof version->version, "%s", name);
    version->effective_from_ms = day_ms(json_string_value(json_object_get(from, "effective_from")));
    if (version->effective_from_ms == INT64_MIN)
        return refuse(packs[pack].name, place, "effective_from is no day");
    if (index > 0 &&
        version->effective_from_ms <= rules->versions[pack][index - 1]->effective_from_ms)
        return refuse(packs[pack].name, place, "its day is not after that of the version before");
    return read_values(pack, json_object_get(from, "rules"), place, version);
}

static enum yz_err read_pack(struct wk_rules *rules, size_t pack, const char *text, size_t len)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error), *versions, *from;
    const char *name = json_string_value(json_object_get(root, "pack"));
    char place[PLACE_MAX];
    enum yz_err err = YZ_OK;
    size_t i;

    versions = json_object_get(root, "versions");
    snprintf(place, sizeof place, "line %d", root ? 1 : error.line);
    if (!root)
        err = refuse(packs[pack].name, place, error.text);
    else if (!name || strcmp(name, packs[pack].name) != 0)
        err = refuse(packs[pack].name, "pack", "another pack's name");
    else if (json_array_size(versions) == 0 || json_array_size(versions) > VERSIONS_MAX)
        err = refuse(packs[pack].name, "versions", "there are 1 to 32");
    json_array_foreach(versions, i, from)
    {
        if (!err)
            err = read_version(rules, pack, i, from);
    }
    json_decref(root);
    return err;
}

static enum yz_err read_file(struct wk_rules *rules, size_t pack, const char *dir)
{
    char path[4096];
    char *text;
    size_t len;
    FILE *file;
    enum yz_err err;

    snprintf(path, sizeof path, "%s/%s.json", dir, packs[pack].name);
    file = fopen(path, "rbe");
    if (!file)
        return refuse(packs[pack].name, path, "cannot be opened");
    text = yz_malloc(RULES_FILE_MAX);
    len = fread(text, 1, RULES_FILE_MAX, file);
    err = ferror(file) || len == RULES_FILE_MAX
              ? refuse(packs[pack].name, path, "cannot be read, or is too large")
              : read_pack(rules, pack, text, len);
    fclose(file);
    free(text);
    return err;
}

static enum yz_err read_built_in(struct wk_rules *rules, size_t pack)
{
    for (size_t i = 0; wk_rules_builtin[i].name; i++) {
        if (strcmp(wk_rules_builtin[i].name, packs[pack].name) == 0)
            return read_pack(rules, pack, (const char *)wk_rules_builtin[i].text,
                             wk_rules_builtin[i].len);
    }
    return refuse(packs[pack].name, "built in", "there is no such file");
}

/* A day begins at local midnight; one offset for all, so that the order of days stays. */
static void begin_at_local_midnight(struct wk_rules *rules)
{
    const struct wk_rules_calendar *calendar = wk_rules_calendar_at(rules, INT64_MIN);
    int64_t offset_ms = calendar->utc_offset_minutes * 60000;

    for (size_t pack = 0; pack < PACK_COUNT; pack++) {
        for (size_t i = 0; i < rules->counts[pack]; i++)
            rules->versions[pack][i]->effective_from_ms -= offset_ms;
    }
}

enum yz_err wk_rules_load(const char *dir, struct wk_rules **out)
{
    struct wk_rules *rules = yz_calloc(1, sizeof *rules);
    enum yz_err err = YZ_OK;

    for (size_t pack = 0; !err && pack < PACK_COUNT; pack++)
        err = *dir ? read_file(rules, pack, dir) : read_built_in(rules, pack);
    if (err) {
        wk_rules_free(rules);
        return err;
    }
    begin_at_local_midnight(rules);
    *out = rules;
    return YZ_OK;
}

void wk_rules_free(struct wk_rules *rules)
{
    if (!rules)
        return;
    for (size_t pack = 0; pack < PACK_COUNT; pack++) {
        for (size_t i = 0; i < rules->counts[pack]; i++)
            free(rules->versions[pack][i]);
    }
    free(rules);
}

static const void *find_at(const struct wk_rules *rules, size_t pack, int64_t at_ms)
{
    size_t i = rules->counts[pack] - 1;

    while (i > 0 && rules->versions[pack][i]->effective_from_ms > at_ms)
        i--;
    return rules->versions[pack][i];
}

static const void *find_version(const struct wk_rules *rules, size_t pack, const char *version)
{
    for (size_t i = 0; i < rules->counts[pack]; i++) {
        if (strcmp(rules->versions[pack][i]->version, version) == 0)
            return rules->versions[pack][i];
    }
    return NULL;
}

#define PACK(name, rules)                                                                          \
    const struct wk_rules_##name *wk_rules_##name##_at(const struct wk_rules *all, int64_t at_ms)  \
    {                                                                                              \
        return find_at(all, PACK_##name, at_ms);                                                   \
    }                                                                                              \
    const struct wk_rules_##name *wk_rules_##name##_version(const struct wk_rules *all,            \
                                                            const char *version)                   \
    {                                                                                              \
        return find_version(all, PACK_##name, version);                                            \
    }
#include "workers/rules.def"
#undef PACK
