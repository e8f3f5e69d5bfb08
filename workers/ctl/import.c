#include "workers/ctl/commands.h"

#include "common/clock.h"
#include "common/memory.h"
#include "schemas/contract.h"
#include "workers/ctl/actor.h"
#include "workers/ctl/jetstream.h"
#include "workers/ctl/message.h"
#include "workers/ctl/roll.h"
#include "workers/document.h"
#include "workers/outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW       128 /* events that may be without an outcome */
#define POLL_MS      20
#define PATIENCE_MS  60000
#define BAR_CELLS    40
#define TELL_REFUSED 20

static enum ctl_exit exec(const struct ctl *ctl);

static const struct ctl_flag flags[] = {
    {.name = "members",
     .kind = CTL_TEXT,
     .value = "FILE",
     .required = true,
     .help = "a .csv or .json with a member in each row"},
    {.name = "dry-run", .kind = CTL_SWITCH, .help = "check the file, and send nothing"},
    {.name = "basis",
     .kind = CTL_TEXT,
     .value = "TEXT",
     .help = "by what right the files are kept, for rows without a basis"},
    {.name = "encoding",
     .kind = CTL_TEXT,
     .value = "NAME",
     .help = "convert the file from this encoding (gb18030); else it must be UTF-8"},
    {0},
};
static const struct ctl_flag *const groups[] = {ctl_actor_flags, flags, ctl_flags_output, NULL};

const struct ctl_command ctl_import = {
    .name = "import",
    .words = "",
    .summary = "register the members of a file",
    .help =
        "Checks the whole file first and tells all that is wrong, with line and column; then "
        "nothing is sent.\n"
        "Else each row is an event member.registered like any other, of the actor given here. "
        "The same file\n"
        "again changes nothing, nor does one in which only an id number, a phone or a dues base "
        "is another.\n"
        "Columns: member_id, org_path, name, kind (FULL, PROBATIONARY, "
        "APPLICANT);\n"
        "optional gender, birthday, joined_on, full_on (1990-03-07), education, position, "
        "id_number, phone,\n"
        "dues_base (yuan), roles (secretary@g1/c1;inspector@g1), basis. Their Chinese names "
        "do as well.",
    .examples = "yzctl import --members roll.csv --dry-run --tenant demo --member a1 --path g1 \\\n"
                "  --role admin@g1 --basis 党员名册",
    .groups = groups,
    .exec = exec,
};

struct progress {
    size_t total, done, applied, refused, known;
    bool shown;
};

static void show(const struct progress *progress)
{
    char bar[BAR_CELLS + 1];
    size_t filled = progress->total ? progress->done * BAR_CELLS / progress->total : BAR_CELLS;

    if (!progress->shown)
        return;
    memset(bar, ' ', BAR_CELLS);
    memset(bar, '#', filled);
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, "\r[%s] %zu/%zu%s", bar, progress->done, progress->total,
            progress->done == progress->total ? "\n" : "");
    fflush(stderr);
}

static enum ctl_exit tell_errors(const struct ctl *ctl, struct ctl_sheet *sheet, const char *path)
{
    json_t *list = json_array();

    ctl_sheet_sort_errors(sheet);
    for (size_t i = 0; i < sheet->error_count; i++) {
        const struct ctl_sheet_error *e = &sheet->errors[i];

        if (ctl->json)
            json_array_append_new(list, json_pack("{s:i, s:s, s:s}", "line", e->line, "column",
                                                  e->column, "text", e->text));
        else
            fprintf(stderr, "%s:%d:%s%s %s\n", path, e->line, e->column, *e->column ? ":" : "",
                    e->text);
    }
    if (ctl->json)
        ctl_print_json(json_pack("{s:O, s:i}", "errors", list, "imported", 0));
    json_decref(list);
    return ctl_fail(ctl, "file_refused", "%s: %zu errors; nothing was imported", path,
                    sheet->error_count);
}

static enum ctl_exit publish(const struct ctl *ctl, jsCtx *js, const char *domain,
                             const struct ctl_roll_entry *entry)
{
    struct yz_envelope env = entry->env;
    natsMsg *msg = NULL;
    natsStatus s;

    env.occurred_at_ms = yz_clock_wall_ms();
    if (yz_envelope_write(&env, domain, entry->payload, entry->len, &msg))
        return ctl_fail(ctl, "internal", "out of memory");
    s = js_PublishMsg(NULL, js, msg, NULL, NULL);
    natsMsg_Destroy(msg);
    return s == NATS_OK ? CTL_DONE
                        : ctl_fail(ctl, "not_stored",
                                   "line %d was not stored (%s); what was is imported, and the "
                                   "same command goes on with the rest",
                                   entry->line, natsStatus_GetText(s));
}

/* A window of entries whose outcomes are awaited. */
struct window {
    const struct ctl *ctl;
    const struct ctl_roll_entry *entries[WINDOW];
    char ids[WINDOW][WK_ID_MAX];
    bool settled[WINDOW];
    size_t count, left;
    struct progress *progress;
};

static void settle(struct window *window, size_t at, const struct wk_outcome *outcome)
{
    struct progress *progress = window->progress;

    window->settled[at] = true;
    window->left--;
    progress->done++;
    if (outcome->status == WK_APPLIED) {
        progress->applied++;
        return;
    }
    if (++progress->refused <= TELL_REFUSED)
        fprintf(stderr, "%sline %d: %s %s\n", progress->shown ? "\n" : "",
                window->entries[at]->line, yz_err_code(outcome->reason.err), outcome->reason.field);
}

static bool on_outcome(void *arg, const bson_t *row)
{
    struct window *window = arg;
    struct wk_outcome outcome;

    if (!wk_outcome_read(row, &outcome))
        return true;
    for (size_t i = 0; i < window->count; i++) {
        if (!window->settled[i] && strcmp(window->ids[i], outcome.id) == 0)
            settle(window, i, &outcome);
    }
    return true;
}

static enum ctl_exit await(struct window *window, struct ctl_database *db)
{
    int64_t until = yz_clock_mono_ms() + PATIENCE_MS;

    while (window->left > 0) {
        const char *ids[WINDOW];
        size_t count = 0, before = window->left;

        for (size_t i = 0; i < window->count; i++) {
            if (!window->settled[i])
                ids[count++] = window->ids[i];
        }
        if (wk_store_get_many(db->store, WK_OUTCOMES, ids, count, on_outcome, window) &&
            yz_clock_mono_ms() > until)
            return ctl_fail(window->ctl, "database_unavailable", "the database does not answer");
        if (window->left < before)
            until = yz_clock_mono_ms() + PATIENCE_MS;
        else if (yz_clock_mono_ms() > until)
            return ctl_fail(window->ctl, "not_settled",
                            "%zu events wait for a worker: is one running? They are stored, and "
                            "the same command looks again",
                            window->left);
        show(window->progress);
        if (window->left > 0)
            nats_Sleep(POLL_MS);
    }
    return CTL_DONE;
}

static enum ctl_exit send_all(const struct ctl *ctl, const struct ctl_roll *roll, jsCtx *js,
                              struct ctl_database *db, struct progress *progress)
{
    const struct yz_domain_schema *domain = NULL;
    struct window *window = yz_calloc(1, sizeof *window);
    enum ctl_exit code = CTL_DONE;

    (void)yz_event_type_find("member.registered", &domain);
    window->ctl = ctl;
    window->progress = progress;
    for (size_t i = 0; code == CTL_DONE && i < roll->count; i++) {
        const struct ctl_roll_entry *entry = &roll->entries[i];

        if (entry->known) {
            progress->known++;
            progress->done++;
        } else if ((code = publish(ctl, js, domain->name, entry)) == CTL_DONE) {
            window->entries[window->count] = entry;
            window->settled[window->count] = false;
            wk_outcome_id(&entry->env, window->ids[window->count++]);
            window->left++;
        }
        if (window->count == WINDOW || (i + 1 == roll->count && code == CTL_DONE)) {
            code = code ? code : await(window, db);
            window->count = 0;
        }
    }
    free(window);
    show(progress);
    return code;
}

static enum ctl_exit report(const struct ctl *ctl, const struct progress *progress)
{
    if (ctl->json)
        ctl_print_json(json_pack("{s:I, s:I, s:I, s:I}", "rows", (json_int_t)progress->total,
                                 "imported", (json_int_t)progress->applied, "refused",
                                 (json_int_t)progress->refused, "known",
                                 (json_int_t)progress->known));
    else
        printf("%zu rows: %zu imported, %zu refused, %zu there already\n", progress->total,
               progress->applied, progress->refused, progress->known);
    return progress->refused ? CTL_FAILED : CTL_DONE;
}

static enum ctl_exit send(const struct ctl *ctl, const struct ctl_roll *roll,
                          struct ctl_database *db)
{
    struct progress progress = {.total = roll->count, .shown = !ctl->json && isatty(STDERR_FILENO)};
    natsConnection *nc = ctl_nats_open(ctl, false);
    enum ctl_exit code = CTL_FAILED;
    jsCtx *js = NULL;

    if (!nc)
        return CTL_FAILED;
    if (natsConnection_JetStream(&js, nc, NULL) != NATS_OK)
        code = ctl_fail(ctl, "internal", "out of memory");
    else
        code = send_all(ctl, roll, js, db, &progress);
    jsCtx_Destroy(js);
    ctl_nats_close(nc);
    return code ? code : report(ctl, &progress);
}

static enum ctl_exit import(const struct ctl *ctl, const struct yz_actor *actor,
                            struct ctl_sheet *sheet, struct ctl_database *db)
{
    const char *path = ctl_text(ctl, "members");
    struct ctl_roll roll = {0};
    enum ctl_exit code;

    if (ctl_roll_read(&roll, sheet, actor, ctl_text(ctl, "basis"), db)) {
        code = ctl_fail(ctl, "database_unavailable", "the database does not answer");
    } else if (sheet->error_count > 0) {
        code = tell_errors(ctl, sheet, path);
    } else if (ctl_given(ctl, "dry-run")) {
        if (ctl->json)
            ctl_print_json(json_pack("{s:I, s:i}", "rows", (json_int_t)roll.count, "imported", 0));
        else
            printf("%s: %zu rows, nothing wrong; nothing was sent\n", path, roll.count);
        code = CTL_DONE;
    } else {
        code = send(ctl, &roll, db);
    }
    ctl_roll_deinit(&roll);
    return code;
}

static enum ctl_exit exec(const struct ctl *ctl)
{
    const char *path = ctl_text(ctl, "members"), *encoding = ctl_text(ctl, "encoding");
    struct ctl_database db;
    struct ctl_sheet sheet;
    struct yz_actor actor;
    enum ctl_exit code;

    if (!ctl_actor_read(ctl, &actor))
        return CTL_USAGE;
    if (encoding && !ctl_sheet_encoding_known(encoding))
        return ctl_misuse(ctl,
                          "--encoding: \"%s\" is not known here; it is gb18030 (also for GBK and "
                          "GB2312), big5, utf-16 or another name that iconv -l tells",
                          encoding);
    if (!ctl_sheet_read(&sheet, path, encoding)) {
        code = tell_errors(ctl, &sheet, path);
    } else if (!ctl_database_open(ctl, &db)) {
        code = CTL_FAILED;
    } else {
        code = import(ctl, &actor, &sheet, &db);
        ctl_database_close(&db);
    }
    ctl_sheet_deinit(&sheet);
    return code;
}
