#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "workers/ctl/month.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The made-up tenant lives by Beijing's clock, as the rule pack calendar does. */
#define UTC_OFFSET_MS INT64_C(28800000)
#define DAY_MS        INT64_C(86400000)
#define HANDLER_KEY_MAX                                                                            \
    sodium_base64_ENCODED_LEN(crypto_box_SECRETKEYBYTES, sodium_base64_VARIANT_ORIGINAL)

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "tenant",
     .kind = CTL_TEXT,
     .value = "ID",
     .help = "the tenant to fill (default: showcase); it must have no orgs yet"},
    {.name = "seed",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = 1,
     .min = 1,
     .max = 1000000000,
     .help = "the same seed, the same people and the same month"},
    {.name = "days",
     .kind = CTL_NUMBER,
     .value = "N",
     .def = 30,
     .min = 1,
     .max = 60,
     .help = "how many days, up to yesterday"},
    {0},
};
static const struct ctl_flag *const groups[] = {flags, ctl_flags_output, NULL};

const struct ctl_command ctl_demo = {
    .name = "demo",
    .words = "",
    .summary = "fill a tenant with a month of made-up life",
    .help =
        "8 branches with 160 members in 3 companies: notices and who read them, lessons and who "
        "studied\n"
        "them, meetings with check-ins, discussions, complaints. Everything is an event like "
        "everybody\n"
        "else's, with its day in the past, so that every query has something to show. The receipts "
        "of the\n"
        "complaints open them only when receipt_secret_file is the gateways'. Needs running "
        "workers.",
    .examples = "yzctl demo\n  yzctl demo --tenant trial --seed 7 --days 10 --json",
    .groups = groups,
    .exec = exec,
};

static bool has_orgs(struct ctl_month *month)
{
    const char *code = "";
    json_t *reply = ctl_past_ask(month->past, &month->cast->admin, "org.tree",
                                 json_pack("{s:i}", "limit", 1), &code);
    bool there = json_array_size(json_object_get(reply, "orgs")) > 0;

    json_decref(reply);
    return there;
}

static void show_progress(const struct ctl *ctl, const struct ctl_month *month, int day)
{
    if (!ctl->json && isatty(STDERR_FILENO))
        fprintf(stderr, "\rday %2d of %d, %6u events%s", day, month->days,
                ctl_past_counts(month->past).emitted, day == month->days ? "\n" : "");
}

/* The secret key of the handler "discipline", as base64. */
static void handler_key(const struct ctl_month *month, char *text, size_t size)
{
    sodium_bin2base64(text, size, month->handler_secret, sizeof month->handler_secret,
                      sodium_base64_VARIANT_ORIGINAL);
}

static json_t *receipts(const struct ctl_month *month)
{
    json_t *list = json_array();

    for (int i = 0; i < ctl_month_complaints(month); i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "receipt", month->cases[i].receipt,
                                              "complaintId", month->cases[i].id));
    return list;
}

static void print_text(const struct ctl_month *month)
{
    struct ctl_past_counts counts = ctl_past_counts(month->past);
    json_t *value;
    const char *type;
    char key[HANDLER_KEY_MAX];
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)ctl_past_applied(month->past), type, value)
        printf("%8lld  %s\n", (long long)json_integer_value(value), type);
    printf("%8u  events, %u applied, %u refused\n", counts.emitted, counts.applied, counts.refused);
    json_array_foreach(ctl_past_refused(month->past), i, value) printf(
        "  refused: %s of %s: %s %s: %s\n", json_string_value(json_object_get(value, "type")),
        json_string_value(json_object_get(value, "member")),
        json_string_value(json_object_get(value, "code")),
        json_string_value(json_object_get(value, "field")),
        json_string_value(json_object_get(value, "text")));
    handler_key(month, key, sizeof key);
    printf("complaints, handled by member discipline with the secret key %s\n", key);
    for (int n = 0; n < ctl_month_complaints(month); n++)
        printf("  receipt %s opens %s\n", month->cases[n].receipt, month->cases[n].id);
}

static enum ctl_exit report(const struct ctl *ctl, const struct ctl_month *month)
{
    struct ctl_past_counts counts = ctl_past_counts(month->past);
    char key[HANDLER_KEY_MAX];

    handler_key(month, key, sizeof key);
    if (ctl->json)
        ctl_print_json(json_pack(
            "{s:s, s:i, s:i, s:i, s:O, s:O, s:o, s:s}", "tenant", month->cast->admin.tenant,
            "emitted", (int)counts.emitted, "applied", (int)counts.applied, "refused",
            (int)counts.refused, "types", ctl_past_applied(month->past), "refusals",
            ctl_past_refused(month->past), "complaints", receipts(month), "handlerKey", key));
    else
        print_text(month);
    return counts.applied > 0 ? CTL_DONE : CTL_FAILED;
}

static enum ctl_exit play(const struct ctl *ctl, struct ctl_month *month)
{
    bool good;

    if (has_orgs(month))
        return ctl_fail(ctl, "exists",
                        "tenant '%s' has orgs already: nothing was added; take another --tenant",
                        month->cast->admin.tenant);
    good = ctl_month_found(month);
    for (int day = 0; good && day < month->days; day++) {
        good = ctl_month_day(month, day);
        show_progress(ctl, month, day + 1);
    }
    if (good)
        return report(ctl, month);
    return ctl_past_failed(month->past)
               ? CTL_FAILED
               : ctl_fail(
                     ctl, "timed_out",
                     "the workers did not do what was expected in time; is yz-worker running?");
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    static struct ctl_cast cast;
    const char *tenant = ctl_given(ctl, "tenant") ? ctl_text(ctl, "tenant") : "showcase";
    struct ctl_month month = {.cast = &cast,
                              .seed = (uint64_t)ctl_number(ctl, "seed"),
                              .days = (int)ctl_number(ctl, "days")};
    int64_t local_ms = yz_clock_wall_ms() + UTC_OFFSET_MS;
    struct yz_receipt_key key;
    const char *reason = "out of memory";
    enum ctl_exit code;

    if (!yz_id_valid(tenant))
        return ctl_misuse(ctl, "--tenant: 1 to 64 of the characters A-Z a-z 0-9 _ and -");
    if (yz_receipt_key_read(ctl->conf->receipt_secret_file, &key, &reason) != YZ_OK)
        return ctl_fail(ctl, "unusable_secret", "receipt_secret_file %s: %s",
                        ctl->conf->receipt_secret_file, reason);
    month.past = ctl_past_open(ctl);
    if (!month.past)
        return CTL_FAILED;
    month.midnight_ms = local_ms - local_ms % DAY_MS - UTC_OFFSET_MS - month.days * DAY_MS;
    month.dice.state = month.seed;
    ctl_cast_make(&cast, tenant, &month.dice);
    code = ctl_month_complaints_draw(&month, &key) == YZ_OK
               ? play(ctl, &month)
               : ctl_fail(ctl, "busy", "there is not enough memory to hash a receipt");
    ctl_past_close(month.past);
    return code;
}
