/* The queries of the domain study. */
#include "workers/calendar.h"
#include "workers/document.h"
#include "workers/domains/study.h"
#include "workers/query.h"
#include "workers/store.h"

#include <string.h>

#define VERSIONS_MAX 100
#define HOURS_COUNT  20
#define HOURS_MAX    100
#define BRANCH_COUNT 50
#define BRANCH_MAX   200

/* Sorted by `field`, ascending (1) or descending (-1); limit 0: none. */
static void sort_by(bson_t *opts, const char *field, int32_t order, size_t limit)
{
    bson_t sort;

    BSON_APPEND_DOCUMENT_BEGIN(opts, "sort", &sort);
    bson_append_int32(&sort, field, -1, order);
    bson_append_document_end(opts, &sort);
    if (limit > 0)
        BSON_APPEND_INT64(opts, "limit", (int64_t)limit);
}

/* study.progress */

/* A member's progress in the versions of a lesson, being read. */
struct versions {
    const struct wk_query *query;
    Yizhan__V1__StudyProgress **progress;
    size_t count;
    uint32_t version; /* 0: all */
    bool full;
};

static bool read_intervals(struct yz_arena *arena, const bson_t *kept,
                           Yizhan__V1__StudyProgress *progress)
{
    struct wk_watched watched;
    Yizhan__V1__StudyInterval *intervals;

    wk_watched_read(kept, "watched", &watched);
    intervals = yz_arena_alloc(arena, (watched.count + 1) * sizeof *intervals);
    progress->intervals = yz_arena_alloc(arena, (watched.count + 1) * sizeof(void *));
    if (!intervals || !progress->intervals)
        return false;
    for (size_t i = 0; i < watched.count; i++) {
        yizhan__v1__study_interval__init(&intervals[i]);
        intervals[i].from_ms = watched.parts[i].from_ms;
        intervals[i].to_ms = watched.parts[i].to_ms;
        progress->intervals[i] = &intervals[i];
    }
    progress->n_intervals = watched.count;
    return true;
}

static Yizhan__V1__StudyProgress *read_progress(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__StudyProgress *progress = yz_arena_alloc(arena, sizeof *progress);
    Google__Protobuf__Timestamp *completed_at = yz_arena_alloc(arena, sizeof *completed_at);
    bson_t kept;

    if (!progress || !completed_at || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__study_progress__init(progress);
    wk_study_fill(&kept, progress, completed_at);
    return read_intervals(arena, &kept, progress) ? progress : NULL;
}

static bool on_version(void *arg, const bson_t *row)
{
    struct versions *versions = arg;

    if (versions->version && wk_document_number(row, "version") != (int64_t)versions->version)
        return true;
    if (versions->count == VERSIONS_MAX)
        return false;
    versions->progress[versions->count] = read_progress(versions->query->arena, row);
    versions->full = !versions->progress[versions->count];
    if (!versions->full)
        versions->count++;
    return !versions->full;
}

/* Those of a lesson stand side by side in the index on _id. */
static enum yz_err find_versions(struct versions *versions, const char *lesson_id)
{
    const struct yz_actor *actor = versions->query->actor;
    char first[WK_ID_MAX], last[WK_ID_MAX];
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range;
    enum yz_err err;

    wk_id(first, actor->tenant, actor->member, lesson_id, "", NULL);
    wk_id(last, actor->tenant, actor->member, lesson_id, NULL);
    snprintf(last + strlen(last), sizeof last - strlen(last), "%c", '|' + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gt", first);
    BSON_APPEND_UTF8(&range, "$lt", last);
    bson_append_document_end(&filter, &range);
    sort_by(&opts, "_id", 1, 0);
    err = wk_store_find(versions->query->store, WK_STUDY_PROGRESS, &filter, &opts, on_version,
                        versions);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : versions->full ? YZ_BUSY : YZ_OK;
}

static bool is_ended(const bson_t *session)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, session, "ended") && bson_iter_as_bool(&iter);
}

static enum yz_err fill_session(const struct wk_query *query, const bson_t *row,
                                Yizhan__V1__StudyProgressReply *answer)
{
    const struct wk_rules_study *rules = wk_rules_study_at(query->context->rules, query->now_ms);
    Yizhan__V1__StudySession *session = yz_arena_alloc(query->arena, sizeof *session);
    bson_t kept;

    if (!session || !wk_document_keep(query->arena, row, &kept))
        return YZ_BUSY;
    yizhan__v1__study_session__init(session);
    session->session_id = (char *)(uintptr_t)wk_document_text(&kept, "session_id");
    session->lesson_id = (char *)(uintptr_t)wk_document_text(&kept, "lesson_id");
    session->version = (uint32_t)wk_document_number(&kept, "version");
    session->device = (char *)(uintptr_t)wk_document_text(&kept, "device");
    session->state = YIZHAN__V1__STUDY_SESSION_STATE__SESSION_STARTED;
    session->took_over = (char *)(uintptr_t)wk_document_text(&kept, "took_over");
    session->heartbeat_s = (uint32_t)rules->heartbeat_s + WK_STUDY_HEARTBEAT_MARGIN_S;
    session->started_at = wk_timestamp_new(query->arena, wk_document_time_ms(&kept, "started_at"));
    answer->session = session;
    return YZ_OK;
}

static enum yz_err find_session(const struct wk_query *query,
                                Yizhan__V1__StudyProgressReply *answer)
{
    char id[WK_ID_MAX];
    bson_t row;
    bool found;
    enum yz_err err;

    wk_study_member_id(id, query->actor->tenant, query->actor->member);
    err = wk_store_get(query->store, WK_STUDY_MEMBERS, id, &row, &found);
    if (!err && found && !is_ended(&row))
        err = fill_session(query, &row, answer);
    bson_destroy(&row);
    return err;
}

static enum yz_err answer_progress(const struct wk_query *query, ProtobufCMessage **reply,
                                   struct yz_violation *v)
{
    const Yizhan__V1__StudyProgressRequest *request =
        (const Yizhan__V1__StudyProgressRequest *)query->request;
    struct versions versions = {.query = query, .version = request->version};
    Yizhan__V1__StudyProgressReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err;

    versions.progress = yz_arena_alloc(query->arena, VERSIONS_MAX * sizeof(void *));
    if (!answer || !versions.progress)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    yizhan__v1__study_progress_reply__init(answer);
    err = find_versions(&versions, request->lesson_id);
    if (!err)
        err = find_session(query, answer);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    answer->progress = versions.progress;
    answer->n_progress = versions.count;
    *reply = &answer->base;
    return YZ_OK;
}

/* study.hours */

/* The ledger of a year being read, newest first: all are added up, a page of them is kept. */
struct ledger {
    const struct wk_query *query;
    Yizhan__V1__StudyHours **entries;
    size_t count, limit, bytes;
    uint64_t before, next_before;
    int64_t seconds;
    bool closed, full;
};

static Yizhan__V1__StudyHours *read_entry(struct yz_arena *arena, const bson_t *row)
{
    Yizhan__V1__StudyHours *entry = yz_arena_alloc(arena, sizeof *entry);
    int64_t seconds = wk_document_number(row, "seconds");
    bson_t kept;

    if (!entry || !wk_document_keep(arena, row, &kept))
        return NULL;
    yizhan__v1__study_hours__init(entry);
    entry->source_kind = (Yizhan__V1__StudySource)wk_document_enum(
        &kept, "source_kind", &yizhan__v1__study_source__descriptor);
    entry->source = (char *)(uintptr_t)wk_document_text(&kept, "source");
    entry->seconds = (uint32_t)(seconds > 0 ? seconds : 0);
    entry->taken_back_seconds = (uint32_t)(seconds < 0 ? -seconds : 0);
    entry->reason = (char *)(uintptr_t)wk_document_text(&kept, "reason");
    entry->org_path = (char *)(uintptr_t)wk_document_text(&kept, "org_path");
    entry->ended_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "ended_at"));
    entry->year = (uint32_t)wk_document_number(&kept, "year");
    entry->rules_version = (char *)(uintptr_t)wk_document_text(&kept, "rules");
    entry->sequence = (uint64_t)wk_document_number(&kept, "sequence");
    return entry;
}

static bool on_entry(void *arg, const bson_t *row)
{
    struct ledger *ledger = arg;

    ledger->seconds += wk_document_number(row, "seconds");
    if (ledger->closed ||
        (ledger->before && (uint64_t)wk_document_number(row, "sequence") >= ledger->before))
        return true;
    if (ledger->count == ledger->limit ||
        (ledger->count > 0 && ledger->bytes + wk_document_size(row) > WK_PAGE_MAX_BYTES)) {
        ledger->next_before = ledger->entries[ledger->count - 1]->sequence;
        ledger->closed = true;
        return true;
    }
    ledger->entries[ledger->count] = read_entry(ledger->query->arena, row);
    ledger->full = !ledger->entries[ledger->count];
    if (ledger->full)
        return false;
    ledger->bytes += wk_document_size(row);
    ledger->count++;
    return true;
}

/* A member's year is some hundred entries: what it comes to is added up anew, and cannot drift. */
static enum yz_err find_entries(struct ledger *ledger, int64_t year)
{
    const struct yz_actor *actor = ledger->query->actor;
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", actor->tenant);
    BSON_APPEND_UTF8(&filter, "member", actor->member);
    BSON_APPEND_INT32(&filter, "year", (int32_t)year);
    sort_by(&opts, "sequence", -1, 0);
    err = wk_store_find(ledger->query->store, WK_STUDY_HOURS, &filter, &opts, on_entry, ledger);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : ledger->full ? YZ_BUSY : YZ_OK;
}

/* Secretary of any org. */
static bool is_secretary(const struct yz_actor *actor)
{
    static const char role[] = "secretary@";

    for (const char *at = actor->roles; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, role, sizeof role - 1) == 0)
            return true;
    }
    return false;
}

/* The rules in force at the end of the year, or now while it lasts. */
static const struct wk_rules_study *rules_of_year(const struct wk_rules *rules, int64_t year,
                                                  int64_t now_ms)
{
    const struct wk_rules_calendar *calendar = wk_rules_calendar_at(rules, now_ms);
    int64_t end_ms = wk_calendar_month_ms(calendar, 12 * (year + 1)) - 1;

    return wk_rules_study_at(rules, end_ms < now_ms ? end_ms : now_ms);
}

static enum yz_err answer_hours(const struct wk_query *query, ProtobufCMessage **reply,
                                struct yz_violation *v)
{
    const Yizhan__V1__StudyHoursRequest *request =
        (const Yizhan__V1__StudyHoursRequest *)query->request;
    const struct wk_rules *all = query->context->rules;
    int64_t now_ms = query->now_ms;
    int64_t year = request->year ? (int64_t)request->year
                                 : wk_calendar_year(wk_rules_calendar_at(all, now_ms), now_ms);
    const struct wk_rules_study *rules = rules_of_year(all, year, now_ms);
    struct ledger ledger = {.query = query, .before = request->before};
    Yizhan__V1__StudyHoursReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err;

    ledger.limit = request->limit ? request->limit : HOURS_COUNT;
    ledger.limit = ledger.limit > HOURS_MAX ? HOURS_MAX : ledger.limit;
    ledger.entries = yz_arena_alloc(query->arena, ledger.limit * sizeof(void *));
    if (!answer || !ledger.entries)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = find_entries(&ledger, year);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__study_hours_reply__init(answer);
    answer->year = (uint32_t)year;
    answer->minutes = (uint32_t)(ledger.seconds / 60);
    answer->goal_minutes = (uint32_t)(is_secretary(query->actor) ? rules->secretary_minutes_per_year
                                                                 : rules->member_minutes_per_year);
    answer->rules_version = (char *)(uintptr_t)rules->version;
    answer->entries = ledger.entries;
    answer->n_entries = ledger.count;
    answer->next_before = ledger.next_before;
    *reply = &answer->base;
    return YZ_OK;
}

/* study.branch */

struct branch {
    const struct wk_query *query;
    Yizhan__V1__StudyBranchReply__Completion **completed;
    size_t count, limit;
    bool more, full;
};

static bool on_completed(void *arg, const bson_t *row)
{
    struct branch *branch = arg;
    struct yz_arena *arena = branch->query->arena;
    Yizhan__V1__StudyBranchReply__Completion *completion;
    bson_t kept;

    if (branch->count == branch->limit) {
        branch->more = true;
        return false;
    }
    completion = yz_arena_alloc(arena, sizeof *completion);
    if (!completion || !wk_document_keep(arena, row, &kept)) {
        branch->full = true;
        return false;
    }
    yizhan__v1__study_branch_reply__completion__init(completion);
    completion->member = (char *)(uintptr_t)wk_document_text(&kept, "member");
    completion->completed_at = wk_timestamp_new(arena, wk_document_time_ms(&kept, "completed_at"));
    branch->completed[branch->count++] = completion;
    return true;
}

static enum yz_err find_completed(struct branch *branch,
                                  const Yizhan__V1__StudyBranchRequest *request)
{
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, fields;
    enum yz_err err;

    BSON_APPEND_UTF8(&filter, "tenant", branch->query->actor->tenant);
    BSON_APPEND_UTF8(&filter, "org_path", request->org_path);
    BSON_APPEND_UTF8(&filter, "lesson_id", request->lesson_id);
    BSON_APPEND_INT32(&filter, "version", (int32_t)request->version);
    BSON_APPEND_BOOL(&filter, "completed", true);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "member", &range);
    BSON_APPEND_UTF8(&range, "$gt", request->after);
    bson_append_document_end(&filter, &range);
    sort_by(&opts, "member", 1, branch->limit + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &fields);
    BSON_APPEND_INT32(&fields, "member", 1);
    BSON_APPEND_INT32(&fields, "completed_at", 1);
    bson_append_document_end(&opts, &fields);
    err = wk_store_find(branch->query->store, WK_STUDY_PROGRESS, &filter, &opts, on_completed,
                        branch);
    bson_destroy(&opts);
    bson_destroy(&filter);
    return err ? err : branch->full ? YZ_BUSY : YZ_OK;
}

static enum yz_err answer_branch(const struct wk_query *query, ProtobufCMessage **reply,
                                 struct yz_violation *v)
{
    const Yizhan__V1__StudyBranchRequest *request =
        (const Yizhan__V1__StudyBranchRequest *)query->request;
    struct branch branch = {.query = query};
    Yizhan__V1__StudyBranchReply *answer = yz_arena_alloc(query->arena, sizeof *answer);
    enum yz_err err;

    branch.limit = request->limit ? request->limit : BRANCH_COUNT;
    branch.limit = branch.limit > BRANCH_MAX ? BRANCH_MAX : branch.limit;
    branch.completed = yz_arena_alloc(query->arena, branch.limit * sizeof(void *));
    if (!answer || !branch.completed)
        return yz_violate(v, YZ_BUSY, NULL, NULL);
    err = find_completed(&branch, request);
    if (err)
        return yz_violate(v, err, NULL, NULL);
    yizhan__v1__study_branch_reply__init(answer);
    answer->completed = branch.completed;
    answer->n_completed = branch.count;
    if (branch.more)
        answer->next_after = branch.completed[branch.count - 1]->member;
    *reply = &answer->base;
    return YZ_OK;
}

const struct wk_query_handler wk_study_queries[] = {
    {"study.progress", answer_progress},
    {"study.hours", answer_hours},
    {"study.branch", answer_branch},
    {0},
};
