/* Figures of a branch's meetings: kept by meeting.held, one document for what was held last and one
 * for each year; read by the queries gaps and statistics. */
#include "workers/domains/meeting.h"

#include "workers/calendar.h"
#include "workers/roster.h"
#include "workers/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BRANCH_COUNT 20
#define BRANCH_MAX   50
#define KINDS_MAX    16
/* So many registered orgs are looked at for a page, whether anybody is left in them or not. */
#define LOOK_MAX 500

static const Yizhan__V1__MeetingHeld *held_of(const struct wk_event *event)
{
    return (const Yizhan__V1__MeetingHeld *)event->payload;
}

static void org_id(const char *tenant, const char *org_path, char out[WK_ID_MAX])
{
    wk_id(out, tenant, org_path, NULL);
}

static void year_id(const char *tenant, const char *org_path, int64_t year, char out[WK_ID_MAX])
{
    char text[24];

    snprintf(text, sizeof text, "%04lld", (long long)year);
    wk_id(out, tenant, org_path, text, NULL);
}

/* wk_needs has no context: the year is local, so the neighbours of the UTC year may be meant. */
static int64_t utc_year(int64_t at_ms)
{
    static const struct wk_rules_calendar utc = {.utc_offset_minutes = 0};

    return wk_calendar_year(&utc, at_ms);
}

void wk_meeting_needs_held(const struct wk_event *event, struct wk_needs *needs)
{
    const Yizhan__V1__MeetingHeld *held = held_of(event);
    int64_t year = utc_year(wk_timestamp_ms(held->held_at));
    char id[WK_ID_MAX];

    org_id(event->env->actor.tenant, held->org_path, id);
    wk_need_own(needs, WK_MEETING_ORGS, id);
    for (int64_t near = year - 1; near <= year + 1; near++) {
        year_id(event->env->actor.tenant, held->org_path, near, id);
        wk_need_own(needs, WK_MEETING_YEARS, id);
    }
}

/* When each kind was held last: fields named by the kind. Figures of a meeting that was closed
 * before another one change nothing here. */
static void put_last(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingHeld *held = held_of(event);
    const char *kind =
        wk_document_enum_name(&yizhan__v1__meeting_kind__descriptor, (int)held->kind);
    int64_t held_ms = wk_timestamp_ms(held->held_at);
    char id[WK_ID_MAX];
    const bson_t *org;
    bson_t *changed;

    org_id(event->env->actor.tenant, held->org_path, id);
    org = wk_get(fold, WK_MEETING_ORGS, id);
    if (!*kind || (org && wk_document_time_ms(org, kind) >= held_ms))
        return;
    changed = bson_new();
    if (org)
        WK_COPY_WITHOUT(org, changed, kind, "org_path");
    BSON_APPEND_UTF8(changed, "org_path", held->org_path);
    BSON_APPEND_DATE_TIME(changed, kind, held_ms);
    wk_put(fold, WK_MEETING_ORGS, id, changed);
}

static void append_entry(bson_t *list, uint32_t at, const Yizhan__V1__MeetingHeld *held)
{
    char key[16];
    bson_t entry;

    snprintf(key, sizeof key, "%u", at);
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &entry);
    BSON_APPEND_UTF8(&entry, "m", held->meeting_id);
    BSON_APPEND_UTF8(&entry, "k",
                     wk_document_enum_name(&yizhan__v1__meeting_kind__descriptor, (int)held->kind));
    BSON_APPEND_INT32(&entry, "s", (int32_t)held->should_attend);
    BSON_APPEND_INT32(&entry, "p", (int32_t)held->present);
    BSON_APPEND_INT32(&entry, "l", (int32_t)held->on_leave);
    BSON_APPEND_INT32(&entry, "t", (int32_t)held->minutes);
    BSON_APPEND_INT64(&entry, "q", (int64_t)held->sequence);
    bson_append_document_end(list, &entry);
}

/* One entry for each meeting, that of its latest event; NULL when it stands there already. */
static bson_t *merge_year(const bson_t *year, const Yizhan__V1__MeetingHeld *held)
{
    bson_t *changed = bson_new(), list, entry;
    bool stale = false;
    uint32_t count = 0;
    bson_iter_t entries;
    char key[16];

    BSON_APPEND_UTF8(changed, "org_path", held->org_path);
    BSON_APPEND_ARRAY_BEGIN(changed, "meetings", &list);
    if (year && wk_document_array(year, "meetings", &entries)) {
        while (bson_iter_next(&entries)) {
            if (!wk_document_at(&entries, &entry))
                continue;
            if (strcmp(wk_document_text(&entry, "m"), held->meeting_id) == 0) {
                stale = stale || wk_document_number(&entry, "q") >= (int64_t)held->sequence;
                continue;
            }
            snprintf(key, sizeof key, "%u", count++);
            BSON_APPEND_DOCUMENT(&list, key, &entry);
        }
    }
    append_entry(&list, count, held);
    bson_append_array_end(changed, &list);
    if (!stale)
        return changed;
    bson_destroy(changed);
    return NULL;
}

void wk_meeting_apply_held(const struct wk_event *event, struct wk_fold *fold)
{
    const Yizhan__V1__MeetingHeld *held = held_of(event);
    int64_t held_ms = wk_timestamp_ms(held->held_at);
    const struct wk_rules_calendar *calendar =
        wk_rules_calendar_at(wk_fold_context(fold)->rules, held_ms);
    char id[WK_ID_MAX];
    bson_t *changed;

    put_last(event, fold);
    year_id(event->env->actor.tenant, held->org_path, wk_calendar_year(calendar, held_ms), id);
    changed = merge_year(wk_get(fold, WK_MEETING_YEARS, id), held);
    if (changed)
        wk_put(fold, WK_MEETING_YEARS, id, changed);
}

/* Orgs of a page of the query gaps: their last meetings, and since when their members are known. */
struct branch {
    char org_path[YZ_ORG_PATH_MAX];
    int64_t known_ms; /* first member registered; 0: none is */
    bson_t *last;     /* NULL: never held any */
};

struct branches {
    struct branch rows[BRANCH_MAX];
    size_t count, limit, looked;
    char last[YZ_ORG_PATH_MAX]; /* that was looked at */
    bool more;
};

/* *left: nobody belongs to it any more, as where an org was moved away or dissolved. */
static int64_t first_joined(const bson_t *row, bool *left)
{
    struct wk_branch_member member;
    struct wk_branch_walk walk;
    int64_t first = 0;

    *left = true;
    for (wk_branch_begin(&walk, row); wk_branch_next(&walk, &member);) {
        if (first == 0 || member.joined_at_ms < first)
            first = member.joined_at_ms;
        *left = *left && member.left_at_ms != 0;
    }
    return first;
}

static bool on_branch(void *arg, const bson_t *row)
{
    struct branches *branches = arg;
    struct branch *branch = &branches->rows[branches->count];
    int64_t known_ms;
    bool left;

    branches->more = branches->count == branches->limit || branches->looked == LOOK_MAX;
    if (branches->more)
        return false;
    branches->looked++;
    snprintf(branches->last, sizeof branches->last, "%s", wk_document_text(row, "org_path"));
    known_ms = first_joined(row, &left);
    if (left)
        return true;
    snprintf(branch->org_path, sizeof branch->org_path, "%s", branches->last);
    branch->known_ms = known_ms;
    branches->count++;
    return true;
}

static void append_char(char *text, size_t size, char c)
{
    size_t len = strlen(text);

    snprintf(text + len, size - len, "%c", c);
}

/* Registered branches below the org: a range of _id. */
static enum yz_err find_branches(const struct wk_query *query, const char *org_path,
                                 const char *after, struct branches *branches)
{
    char first[WK_ID_MAX + 4], last[WK_ID_MAX + 4];
    bson_t filter = BSON_INITIALIZER, range, *opts;
    enum yz_err err;

    /* One more than the page has room for tells whether more follow. */
    if (*after && strcmp(after, org_path) != 0) {
        wk_branch_id(first, query->actor->tenant, after);
    } else {
        wk_branch_id(first, query->actor->tenant, org_path);
        append_char(first, sizeof first, '/');
    }
    wk_branch_id(last, query->actor->tenant, org_path);
    append_char(last, sizeof last, '/' + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(&filter, &range);
    opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64(LOOK_MAX + 1),
                    "batchSize", BCON_INT32((int32_t)(branches->limit + 1 - branches->count)));
    err = wk_store_find(query->store, WK_BRANCHES, &filter, opts, on_branch, branches);
    bson_destroy(opts);
    bson_destroy(&filter);
    return err;
}

/* The org itself, which need not have members of its own, comes first. */
static enum yz_err find_org(const struct wk_query *query, const char *org_path,
                            struct branches *branches)
{
    char id[WK_ID_MAX];
    bson_t row;
    bool found, left;
    enum yz_err err;

    wk_branch_id(id, query->actor->tenant, org_path);
    err = wk_store_get(query->store, WK_BRANCHES, id, &row, &found);
    if (!err) {
        snprintf(branches->rows[0].org_path, YZ_ORG_PATH_MAX, "%s", org_path);
        snprintf(branches->last, sizeof branches->last, "%s", org_path);
        branches->rows[0].known_ms = found ? first_joined(&row, &left) : 0;
        branches->count = 1;
    }
    bson_destroy(&row);
    return err;
}

static bool on_last(void *arg, const bson_t *row)
{
    struct branches *branches = arg;

    for (size_t i = 0; i < branches->count; i++) {
        if (strcmp(branches->rows[i].org_path, wk_document_text(row, "org_path")) == 0)
            branches->rows[i].last = bson_copy(row);
    }
    return true;
}

static enum yz_err find_last(const struct wk_query *query, struct branches *branches)
{
    char ids[BRANCH_MAX][WK_ID_MAX];
    const char *pointers[BRANCH_MAX];

    for (size_t i = 0; i < branches->count; i++) {
        org_id(query->actor->tenant, branches->rows[i].org_path, ids[i]);
        pointers[i] = ids[i];
    }
    return wk_store_get_many(query->store, WK_MEETING_ORGS, pointers, branches->count, on_last,
                             branches);
}

static bool fill_gap(const struct wk_query *query, const struct branch *branch,
                     Yizhan__V1__MeetingKind kind, Yizhan__V1__MeetingGapsReply__Gap **out)
{
    int64_t now_ms = query->now_ms;
    const struct wk_rules_meeting *rules = wk_rules_meeting_at(query->context->rules, now_ms);
    int64_t every = wk_meeting_every_months(rules, kind), last_ms = 0, since_ms, began_ms;

    *out = NULL;
    if (every == 0)
        return true;
    if (branch->last)
        last_ms = wk_document_time_ms(
            branch->last, wk_document_enum_name(&yizhan__v1__meeting_kind__descriptor, (int)kind));
    began_ms =
        branch->known_ms > rules->effective_from_ms ? branch->known_ms : rules->effective_from_ms;
    since_ms = wk_meeting_overdue_ms(wk_rules_calendar_at(query->context->rules, now_ms), every,
                                     last_ms, began_ms);
    if (since_ms > now_ms)
        return true;
    *out = yz_arena_alloc(query->arena, sizeof **out);
    if (!*out)
        return false;
    yizhan__v1__meeting_gaps_reply__gap__init(*out);
    (*out)->kind = kind;
    (*out)->last_held_at = wk_timestamp_new(query->arena, last_ms);
    (*out)->overdue_since = wk_timestamp_new(query->arena, since_ms);
    (*out)->every_months = (uint32_t)every;
    return true;
}

static Yizhan__V1__MeetingGapsReply__Branch *fill_branch(const struct wk_query *query,
                                                         const struct branch *branch)
{
    const ProtobufCEnumDescriptor *kinds = &yizhan__v1__meeting_kind__descriptor;
    Yizhan__V1__MeetingGapsReply__Branch *out = yz_arena_alloc(query->arena, sizeof *out);
    Yizhan__V1__MeetingGapsReply__Gap *gap;

    if (!out)
        return NULL;
    yizhan__v1__meeting_gaps_reply__branch__init(out);
    out->org_path = yz_arena_alloc(query->arena, YZ_ORG_PATH_MAX);
    out->gaps = yz_arena_alloc(query->arena, kinds->n_values * sizeof *out->gaps);
    if (!out->org_path || !out->gaps)
        return NULL;
    snprintf(out->org_path, YZ_ORG_PATH_MAX, "%s", branch->org_path);
    for (unsigned i = 0; i < kinds->n_values; i++) {
        if (!fill_gap(query, branch, (Yizhan__V1__MeetingKind)kinds->values[i].value, &gap))
            return NULL;
        if (gap)
            out->gaps[out->n_gaps++] = gap;
    }
    return out;
}

static enum yz_err fill_gaps(const struct wk_query *query, const struct branches *branches,
                             Yizhan__V1__MeetingGapsReply *answer)
{
    answer->branches =
        yz_arena_alloc(query->arena, (branches->count + 1) * sizeof *answer->branches);
    if (!answer->branches)
        return YZ_BUSY;
    for (size_t i = 0; i < branches->count; i++) {
        answer->branches[i] = fill_branch(query, &branches->rows[i]);
        if (!answer->branches[i])
            return YZ_BUSY;
    }
    answer->n_branches = branches->count;
    /* In the arena, as the reply is. */
    if (branches->more)
        answer->next_after = (char *)(uintptr_t)branches->last;
    answer->rule_version =
        (char *)(uintptr_t)wk_rules_meeting_at(query->context->rules, query->now_ms)->version;
    return YZ_OK;
}

enum yz_err wk_meeting_answer_gaps(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__MeetingGapsRequest *request =
        (const Yizhan__V1__MeetingGapsRequest *)query->request;
    Yizhan__V1__MeetingGapsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    struct branches *branches = yz_arena_alloc(query->arena, sizeof *branches);
    enum yz_err err = YZ_OK;

    if (!answer || !branches)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    memset(branches, 0, sizeof *branches);
    branches->limit = request->limit ? request->limit : BRANCH_COUNT;
    yizhan__v1__meeting_gaps_reply__init(answer);
    if (*request->after == '\0')
        err = find_org(query, request->org_path, branches);
    if (!err)
        err = find_branches(query, request->org_path, request->after, branches);
    if (!err)
        err = find_last(query, branches);
    if (!err)
        err = fill_gaps(query, branches, answer);
    for (size_t i = 0; i < branches->count; i++) {
        if (branches->rows[i].last)
            bson_destroy(branches->rows[i].last);
    }
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}

static void add_figures(Yizhan__V1__MeetingStatisticsReply__Kind *kind, const bson_t *entry)
{
    kind->held++;
    kind->should_attend += (uint32_t)wk_document_number(entry, "s");
    kind->present += (uint32_t)wk_document_number(entry, "p");
    kind->on_leave += (uint32_t)wk_document_number(entry, "l");
    kind->minutes += (uint32_t)wk_document_number(entry, "t");
}

static bool sum_year(const struct wk_query *query, const bson_t *year,
                     Yizhan__V1__MeetingStatisticsReply *answer)
{
    Yizhan__V1__MeetingStatisticsReply__Kind *kinds[KINDS_MAX] = {0};
    bson_iter_t entries;
    bson_t entry;

    answer->kinds = yz_arena_alloc(query->arena, sizeof kinds);
    if (!answer->kinds)
        return false;
    if (!wk_document_array(year, "meetings", &entries))
        return true;
    while (bson_iter_next(&entries)) {
        int kind;

        if (!wk_document_at(&entries, &entry))
            continue;
        kind = wk_document_enum(&entry, "k", &yizhan__v1__meeting_kind__descriptor);
        if (kind >= KINDS_MAX)
            continue;
        if (!kinds[kind]) {
            kinds[kind] = yz_arena_alloc(query->arena, sizeof *kinds[kind]);
            if (!kinds[kind])
                return false;
            yizhan__v1__meeting_statistics_reply__kind__init(kinds[kind]);
            kinds[kind]->kind = (Yizhan__V1__MeetingKind)kind;
        }
        add_figures(kinds[kind], &entry);
    }
    for (int kind = 0; kind < KINDS_MAX; kind++) {
        if (kinds[kind])
            answer->kinds[answer->n_kinds++] = kinds[kind];
    }
    return true;
}

enum yz_err wk_meeting_answer_statistics(const struct wk_query *query, ProtobufCMessage **reply,
                                         struct yz_violation *v)
{
    const Yizhan__V1__MeetingStatisticsRequest *request =
        (const Yizhan__V1__MeetingStatisticsRequest *)query->request;
    Yizhan__V1__MeetingStatisticsReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    char id[WK_ID_MAX];
    bson_t year;
    bool found;
    enum yz_err err;

    if (!answer)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__meeting_statistics_reply__init(answer);
    year_id(query->actor->tenant, request->org_path, request->year, id);
    err = wk_store_get(query->store, WK_MEETING_YEARS, id, &year, &found);
    if (!err && found && !sum_year(query, &year, answer))
        err = YZ_BUSY;
    bson_destroy(&year);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    *reply = &answer->base;
    return YZ_OK;
}
